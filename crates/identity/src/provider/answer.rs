//! A token endpoint's answer, read strictly where it matters and leniently where servers are known to differ.

use std::fmt;
use std::time::Duration;

use safeconduct_core::refusal::is_page;
use safeconduct_core::secret::Secret;
use serde::Deserialize;
use serde::de::{Deserializer, Error, Visitor};
use zeroize::Zeroize;

use super::ExchangeError;
use super::pick::Members;
use super::said::masked;

/// Longest lifetime that is believed; longer ones are cut to it.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// The members of a success (RFC 8693 §2.2.1). A member named twice is an error; `refresh_token`, `id_token` and
/// what else a server may add are not even read: a refresh token would let access outlive the caller's session.
#[derive(Deserialize)]
pub(super) struct TokenAnswer {
    pub(super) access_token: Option<TokenText>,
    pub(super) issued_token_type: Option<String>,
    pub(super) token_type: Option<String>,
    expires_in: Option<ExpiresIn>,
    pub(super) scope: Option<Scope>,
    /// Okta, in place of a token: a secret that is kept for the user.
    pub(super) vaulted_secret: Option<Members>,
    /// Okta, in place of a token: an account that is shared by users.
    pub(super) service_account: Option<Members>,
}

impl TokenAnswer {
    /// Reads the body; None when it is not such an object.
    pub(super) fn read(body: &[u8]) -> Option<Self> {
        serde_json::from_slice(body).ok()
    }

    /// Lifetime: zero for what must not be kept, None when nothing (usable) is said.
    pub(super) fn lifetime(&self) -> Option<Duration> {
        self.expires_in.as_ref()?.0
    }
}

/// The members of a refusal (RFC 6749 §5.2), and what providers put beside them.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct ErrorAnswer {
    #[serde(deserialize_with = "word")]
    error: Option<String>,
    #[serde(deserialize_with = "text")]
    error_description: Option<String>,
    #[serde(deserialize_with = "text")]
    interaction_uri: Option<String>,
    #[serde(deserialize_with = "text")]
    claims: Option<String>,
    #[serde(deserialize_with = "text")]
    acr_values: Option<String>,
    #[serde(deserialize_with = "text")]
    max_age: Option<String>,
    /// Entra: numbers that say more than `error`, and which record of the request the operator may ask for.
    #[serde(deserialize_with = "numbers")]
    error_codes: Vec<u64>,
    #[serde(deserialize_with = "word")]
    suberror: Option<String>,
    #[serde(deserialize_with = "word")]
    trace_id: Option<String>,
}

impl ErrorAnswer {
    /// Reads the body; what is not such an object says nothing.
    pub(super) fn read(body: &[u8]) -> Self {
        serde_json::from_slice(body).unwrap_or_default()
    }

    /// The error code, cut to 64 visible characters.
    pub(super) fn error(&self) -> Option<String> {
        self.error.as_deref().map(|error| visible(error, 64)).filter(|error| !error.is_empty())
    }

    /// What the server says of it, whole; it may repeat a token.
    pub(super) fn words(&self) -> &str {
        self.error_description.as_deref().unwrap_or_default()
    }

    /// What the server says of it, for the log of the operator.
    pub(super) fn description(&self) -> String {
        self.error_description.as_deref().map(|text| masked(text, 256)).unwrap_or_default()
    }

    /// Numbers of the refusal (Entra's AADSTS codes).
    pub(super) fn codes(&self) -> &[u64] {
        &self.error_codes
    }

    /// What `error` is in particular (Entra).
    pub(super) fn suberror(&self) -> Option<&str> {
        self.suberror.as_deref()
    }

    /// Whether it says what claims are wanted.
    pub(super) fn wants_claims(&self) -> bool {
        self.claims.is_some()
    }

    /// What the provider calls this request in its own records.
    pub(super) fn trace(&self) -> String {
        self.trace_id.as_deref().map(|id| visible(id, 64)).unwrap_or_default()
    }

    /// The page to open.
    pub(super) fn page(&self) -> Option<String> {
        self.interaction_uri.clone().filter(|url| is_page(url))
    }

    pub(super) fn step_up(&self) -> ExchangeError {
        let clean = |text: &Option<String>, longest| {
            text.as_ref().filter(|text| text.len() <= longest && !text.chars().any(char::is_control)).cloned()
        };
        ExchangeError::StepUp {
            acr_values: clean(&self.acr_values, 512),
            max_age: self.max_age.as_deref().and_then(|age| age.parse().ok()),
            claims: clean(&self.claims, 4096),
        }
    }
}

/// Visible ASCII, cut.
pub(super) fn visible(text: &str, longest: usize) -> String {
    text.chars().filter(char::is_ascii_graphic).take(longest).collect()
}

/// Text; anything else is as if absent.
fn word<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    match serde_json::Value::deserialize(deserializer)? {
        serde_json::Value::String(text) => Ok(Some(text)),
        _ => Ok(None),
    }
}

/// The whole numbers of a list; anything else is as if absent.
fn numbers<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u64>, D::Error> {
    Ok(match serde_json::Value::deserialize(deserializer)? {
        serde_json::Value::Array(items) => {
            items.iter().take(8).filter_map(serde_json::Value::as_u64).collect()
        }
        _ => Vec::new(),
    })
}

/// Text, or a number or object by its JSON text; anything else is as if absent.
fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(match serde_json::Value::deserialize(deserializer)? {
        serde_json::Value::String(text) => Some(text),
        value @ serde_json::Value::Object(_) => Some(value.to_string()),
        serde_json::Value::Number(number) => {
            Some(number.to_string()).filter(|text| text.parse::<u64>().is_ok())
        }
        _ => None,
    })
}

/// A token that goes from the parser into a [`Secret`] without a stop.
pub(crate) struct TokenText(pub(crate) Secret);

impl<'de> Deserialize<'de> for TokenText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = TokenText;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a token")
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<TokenText, E> {
                Ok(TokenText(Secret::new(text.as_bytes().to_vec())))
            }
            fn visit_string<E: Error>(self, text: String) -> Result<TokenText, E> {
                Ok(TokenText(Secret::new(text.into_bytes())))
            }
        }
        deserializer.deserialize_string(Text)
    }
}

/// `scope`, as a list: a string with spaces, or (against the standard) an array.
pub(super) struct Scope(pub(super) Vec<Box<str>>);

impl<'de> Deserialize<'de> for Scope {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let words = |text: &str| text.split_ascii_whitespace().map(Into::into).collect::<Vec<Box<str>>>();
        match serde_json::Value::deserialize(deserializer)? {
            serde_json::Value::String(text) => Ok(Self(words(&text))),
            serde_json::Value::Array(items) => {
                let one = |item: &serde_json::Value| item.as_str().map(words);
                let lists: Option<Vec<_>> = items.iter().map(one).collect();
                lists.map(|lists| Self(lists.concat())).ok_or_else(|| Error::custom("scope holds no text"))
            }
            serde_json::Value::Null => Ok(Self(Vec::new())),
            _ => Err(Error::custom("scope is not text")),
        }
    }
}

/// `expires_in` in all the forms that are sent: a number, a fraction, a string; absurd values are cut.
struct ExpiresIn(Option<Duration>);

impl<'de> Deserialize<'de> for ExpiresIn {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let seconds = match serde_json::Value::deserialize(deserializer)? {
            serde_json::Value::Number(number) => number.as_f64(),
            serde_json::Value::String(mut text) => {
                let seconds = text.trim().parse::<f64>().ok();
                text.zeroize();
                seconds
            }
            _ => None,
        };
        let believed = |seconds: f64| Duration::from_secs_f64(seconds.clamp(0.0, LONGEST.as_secs_f64()));
        Ok(Self(seconds.filter(|seconds| !seconds.is_nan()).map(believed)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lifetime(value: &str) -> Option<u64> {
        let body = format!(r#"{{"access_token":"t","expires_in":{value}}}"#);
        TokenAnswer::read(body.as_bytes()).unwrap().lifetime().map(|lifetime| lifetime.as_secs())
    }

    /// Edge: 21
    #[test]
    fn a_lifetime_is_read_in_every_form_that_servers_send() {
        assert_eq!(lifetime("3600"), Some(3600));
        assert_eq!(lifetime("\"300\""), Some(300));
        assert_eq!(lifetime("59.9"), Some(59));
        assert_eq!(lifetime("0"), Some(0));
        assert_eq!(lifetime("-1"), Some(0));
        assert_eq!(lifetime("9223372036854775808"), Some(86_400));
        assert_eq!(lifetime("1e300"), Some(86_400));
        assert_eq!(lifetime("null"), None);
        assert_eq!(lifetime("\"soon\""), None);
        assert!(TokenAnswer::read(br#"{"access_token":"t"}"#).unwrap().lifetime().is_none());
    }

    /// Edge: 22
    #[test]
    fn a_refresh_token_of_any_form_is_ignored() {
        for value in ["null", "\"r\"", "{}", "7"] {
            let body = format!(r#"{{"access_token":"t","refresh_token":{value},"not-before-policy":0}}"#);
            assert!(TokenAnswer::read(body.as_bytes()).is_some(), "{value}");
        }
    }

    /// Edge: 46
    #[test]
    fn a_description_that_repeats_a_token_is_shown_without_it() {
        let token = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJl";
        let body = format!(r#"{{"error":"invalid_grant","error_description":"token\n{token} has expired"}}"#);
        assert_eq!(ErrorAnswer::read(body.as_bytes()).description(), "token [...] has expired");
    }

    /// Edge: 15
    #[test]
    fn a_member_named_twice_a_byte_order_mark_and_what_is_no_object_are_not_answers() {
        assert!(TokenAnswer::read(br#"{"access_token":"a"}"#).is_some());
        assert!(TokenAnswer::read(br#"{"access_token":"a","access_token":"b"}"#).is_none());
        assert!(TokenAnswer::read("\u{feff}{\"access_token\":\"a\"}".as_bytes()).is_none());
        assert!(TokenAnswer::read(br#""access_token""#).is_none());
        assert!(TokenAnswer::read(br#"{"access_token":["a"]}"#).is_none());
    }
}
