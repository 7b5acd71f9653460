//! A token before it is signed.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::State;
use crate::canary;
use crate::keys::Algorithm;

/// What a token shall say. The default is a good access token (RFC 9068) of the user, for nobody, for an hour.
#[derive(Clone, Debug)]
pub struct Mint {
    pub(crate) user: String,
    pub(crate) audiences: Vec<String>,
    pub(crate) scopes: String,
    pub(crate) client: String,
    pub(crate) lifetime: Duration,
    pub(crate) algorithm: Algorithm,
    pub(crate) typ: String,
    pub(crate) extra: Map<String, Value>,
}

impl Mint {
    /// For this user. One that the provider does not know has no groups.
    pub fn user(subject: &str) -> Self {
        Self {
            user: subject.to_owned(),
            audiences: Vec::new(),
            scopes: String::new(),
            client: "mcp-client".into(),
            lifetime: Duration::from_secs(3600),
            algorithm: Algorithm::Es256,
            typ: "at+jwt".into(),
            extra: Map::new(),
        }
    }

    /// One more audience.
    #[must_use]
    pub fn audience(mut self, audience: &str) -> Self {
        self.audiences.push(audience.to_owned());
        self
    }

    /// These scopes, separated by spaces.
    #[must_use]
    pub fn scopes(mut self, scopes: &str) -> Self {
        scopes.clone_into(&mut self.scopes);
        self
    }

    /// Issued to this client (`client_id` and `azp`).
    #[must_use]
    pub fn client(mut self, client: &str) -> Self {
        client.clone_into(&mut self.client);
        self
    }

    /// From now for so long.
    #[must_use]
    pub fn lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = lifetime;
        self
    }

    /// Signed so.
    #[must_use]
    pub fn algorithm(mut self, algorithm: Algorithm) -> Self {
        self.algorithm = algorithm;
        self
    }

    /// With this `typ` in the header.
    #[must_use]
    pub fn typ(mut self, typ: &str) -> Self {
        typ.clone_into(&mut self.typ);
        self
    }

    /// With this claim, in place of any of the same name; null takes the claim away.
    #[must_use]
    pub fn claim(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.extra.insert(name.to_owned(), value.into());
        self
    }
}

impl State {
    /// The claims of the token, at this moment.
    pub(crate) fn claims(&self, mint: &Mint) -> Value {
        let now = self.clock.secs();
        let mut claims = Map::new();
        let mut put = |name: &str, value: Value| claims.insert(name.to_owned(), value);
        put("iss", json!(self.issuer));
        put("sub", json!(mint.user));
        put("aud", one_or_many(&mint.audiences));
        put("iat", json!(now));
        put("nbf", json!(now));
        put("exp", json!(now + mint.lifetime.as_secs()));
        put("jti", json!(canary::random_hex()));
        put("client_id", json!(mint.client));
        put("azp", json!(mint.client));
        put("scope", json!(mint.scopes));
        put("canary", json!(canary::MARK));
        if let Some(user) = self.users().get(&mint.user) {
            put("groups", json!(user.groups));
            claims.extend(user.claims.clone());
        }
        claims.extend(mint.extra.clone());
        claims.retain(|_, value| !value.is_null());
        Value::Object(claims)
    }
}

pub(crate) fn one_or_many(audiences: &[String]) -> Value {
    match audiences {
        [] => Value::Null,
        [one] => json!(one),
        many => json!(many),
    }
}
