//! Logout tokens (OpenID Connect Back-Channel Logout 1.0 §2.4).

use serde_json::{Map, Value, json};

use super::Idp;
use crate::canary;
use crate::keys::Algorithm;

/// What a logout token shall say. The default is a good one, for this client, of nobody.
#[derive(Clone, Debug)]
pub struct Logout {
    client: String,
    typ: String,
    claims: Map<String, Value>,
}

impl Logout {
    /// To this client of the provider.
    pub fn of(client: &str) -> Self {
        Self { client: client.to_owned(), typ: "logout+jwt".into(), claims: Map::new() }
    }

    /// Of this user.
    #[must_use]
    pub fn subject(self, subject: &str) -> Self {
        self.claim("sub", subject)
    }

    /// Of this session.
    #[must_use]
    pub fn session(self, sid: &str) -> Self {
        self.claim("sid", sid)
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
        self.claims.insert(name.to_owned(), value.into());
        self
    }
}

impl Idp {
    /// A logout token, issued now and good for two minutes.
    pub fn logout_token(&self, logout: &Logout) -> String {
        let now = self.state.clock.secs();
        let mut claims = json!({
            "iss": self.state.issuer,
            "aud": logout.client,
            "iat": now,
            "exp": now + 120,
            "jti": canary::random_hex(),
            "events": { "http://schemas.openid.net/event/backchannel-logout": {} },
            "canary": canary::MARK,
        });
        if let Value::Object(claims) = &mut claims {
            claims.extend(logout.claims.clone());
            claims.retain(|_, value| !value.is_null());
        }
        self.state.keys.sign(Algorithm::Es256, &logout.typ, &claims)
    }
}
