//! What is taken from an object of secrets, where an answer has one instead of a token (OpenBao's and Vault's secrets,
//! Okta's vaulted secrets and service accounts).

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use safeconduct_core::secret::Secret;
use serde::Deserialize;
use serde::de::{Deserializer, Error, Visitor};
use zeroize::Zeroizing;

use super::ExchangeError;
use crate::cache::Fields;

/// Which member, and in which form.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Pick {
    /// The only one; an object of several is refused.
    #[default]
    Only,
    /// This one.
    Member(Box<str>),
    /// `username` and `password` as HTTP Basic wants them (RFC 7617 §2): base64 of both with a colon between.
    Basic,
}

/// The members of an object: text as it is, anything else by its JSON text.
#[derive(Deserialize)]
#[serde(transparent)]
pub(super) struct Members(BTreeMap<String, Member>);

struct Member(Secret);

impl Pick {
    /// The secret.
    ///
    /// # Errors
    /// `BadAnswer`, with the names of the members and nothing else.
    pub(super) fn from(&self, members: &Members) -> Result<Secret, ExchangeError> {
        let found = |name: &str| {
            members
                .0
                .get(name)
                .map(|member| &member.0)
                .ok_or_else(|| bad(&format!("it has no member `{name}`"), members))
        };
        let secret = match self {
            Self::Only => match members.0.values().collect::<Vec<_>>().as_slice() {
                [one] => &one.0,
                _ => return Err(bad("it is not known which of its members is meant (field)", members)),
            },
            Self::Member(name) => found(name)?,
            Self::Basic => return Ok(basic(found("username")?, found("password")?)),
        };
        Ok(Secret::new(secret.expose().to_vec()))
    }

    /// The configuration's part of a cache key.
    pub(super) fn identify(&self, fields: &mut Fields) {
        match self {
            Self::Only => fields.number(0),
            Self::Member(name) => fields.number(1).text(name),
            Self::Basic => fields.number(2),
        };
    }

    /// For people.
    pub(super) fn words(&self) -> &str {
        match self {
            Self::Only => "its only member",
            Self::Member(name) => name,
            Self::Basic => "username and password, as Basic wants them",
        }
    }
}

fn basic(username: &Secret, password: &Secret) -> Secret {
    let mut pair = Zeroizing::new(Vec::with_capacity(username.len() + password.len() + 1));
    pair.extend_from_slice(username.expose());
    pair.push(b':');
    pair.extend_from_slice(password.expose());
    Secret::new(STANDARD.encode(&*pair).into_bytes())
}

fn bad(problem: &str, members: &Members) -> ExchangeError {
    let names: Vec<String> = members.0.keys().take(16).map(|name| super::answer::visible(name, 64)).collect();
    ExchangeError::BadAnswer { problem: format!("the secret: {problem}; there are: {}", names.join(", ")) }
}

impl<'de> Deserialize<'de> for Member {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw: &serde_json::value::RawValue = Deserialize::deserialize(deserializer)?;
        let text = raw.get();
        if text.starts_with('"') {
            return serde_json::from_str(text).map(|Text(secret)| Self(secret)).map_err(Error::custom);
        }
        Ok(Self(Secret::new(text.as_bytes().to_vec())))
    }
}

/// A JSON string that goes into a [`Secret`] without a stop.
struct Text(Secret);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Words;
        impl Visitor<'_> for Words {
            type Value = Text;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text")
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Text, E> {
                Ok(Text(Secret::new(text.as_bytes().to_vec())))
            }
            fn visit_string<E: Error>(self, text: String) -> Result<Text, E> {
                Ok(Text(Secret::new(text.into_bytes())))
            }
        }
        deserializer.deserialize_str(Words)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picked(pick: &Pick, object: &str) -> Result<String, String> {
        let members: Members = serde_json::from_str(object).unwrap();
        pick.from(&members)
            .map(|secret| secret.expose_str().unwrap().to_owned())
            .map_err(|error| error.to_string())
    }

    /// Edge: 30
    #[test]
    fn a_member_is_taken_by_its_name_or_because_it_is_the_only_one() {
        assert_eq!(picked(&Pick::Only, r#"{"key":"value\n"}"#), Ok("value\n".into()));
        assert_eq!(picked(&Pick::Member("b".into()), r#"{"a":"x","b":"y"}"#), Ok("y".into()));
        assert_eq!(picked(&Pick::Member("n".into()), r#"{"n":7}"#), Ok("7".into()));
        assert_eq!(picked(&Pick::Basic, r#"{"username":"u","password":"p:w"}"#), Ok("dTpwOnc=".into()));
    }

    /// Edge: 30, 46
    #[test]
    fn what_is_not_there_is_said_by_name_without_any_value() {
        let said = picked(&Pick::Member("c".into()), r#"{"a":"hunter2","b":"y"}"#).unwrap_err();
        assert!(said.contains("`c`") && said.contains("a, b") && !said.contains("hunter2"), "{said}");
        assert!(picked(&Pick::Only, r#"{"a":"x","b":"y"}"#).is_err());
        assert!(picked(&Pick::Only, "{}").is_err());
        assert!(picked(&Pick::Basic, r#"{"username":"u"}"#).is_err());
        assert!(serde_json::from_str::<Members>("[]").is_err());
    }
}
