//! What the provider gives besides exchanged access tokens: assertions for another domain's authorization server
//! (identity chaining, ID-JAG), and tokens for its clients themselves.

use std::sync::PoisonError;

use serde_json::{Value, json};

use super::{Rule, State};
use crate::canary;
use crate::keys::Algorithm;
use crate::oauth::{self, Problem};
use crate::wire::{Form, Seen};

/// What a client may have for itself.
#[derive(Clone, Debug)]
pub(super) struct Service {
    pub(super) client: String,
    pub(super) audience: String,
    pub(super) scopes: Vec<String>,
}

impl State {
    /// A grant for the one authorization server that was asked for.
    pub(super) fn asserted(
        &self,
        rules: &[Rule],
        subject: &Value,
        scopes: &[String],
        form: &Form,
    ) -> Result<Value, Problem> {
        let [rule] = rules else {
            return Err(Problem::new("invalid_target", "an assertion is for one authorization server"));
        };
        let there = rule.client_there.as_ref();
        let there = there.ok_or_else(|| Problem::new("invalid_target", "no assertions for this target"))?;
        let kind = form.one("requested_token_type").unwrap_or_default();
        let now = self.clock.secs();
        let mut claims = json!({
            "iss": self.issuer,
            "sub": subject["sub"],
            "aud": rule.to,
            "client_id": there,
            "scope": scopes.join(" "),
            "iat": now,
            "exp": now + rule.lifetime.as_secs(),
            "jti": canary::random_hex(),
            "canary": canary::MARK,
        });
        if let Some(resource) = form.one("resource") {
            claims["resource"] = json!(resource);
        }
        let typ = if kind == oauth::ID_JAG { "oauth-id-jag+jwt" } else { "JWT" };
        Ok(json!({
            "access_token": self.keys.sign(Algorithm::Es256, typ, &claims),
            "issued_token_type": kind,
            "token_type": "N_A",
            "expires_in": rule.lifetime.as_secs(),
        }))
    }

    /// A token for the client itself (RFC 6749 §4.4).
    pub(super) fn for_itself(&self, seen: &Seen) -> Result<Value, Problem> {
        let endpoints = [self.at("/token"), self.issuer.clone()];
        let endpoints: Vec<&str> = endpoints.iter().map(String::as_str).collect();
        let client = self.clients.authenticate(seen, &endpoints, self.clock.secs())?;
        let services = self.services.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let service = services.into_iter().find(|service| service.client == client.id);
        let service =
            service.ok_or_else(|| Problem::new("unauthorized_client", "no token for this client itself"))?;
        let form = seen.form();
        let asked = form.words("scope");
        if let Some(excess) = asked.iter().find(|scope| !service.scopes.iter().any(|own| own == *scope)) {
            return Err(Problem::new("invalid_scope", format!("{excess} is not granted")));
        }
        let now = self.clock.secs();
        let claims = json!({
            "iss": self.issuer,
            "sub": client.id,
            "aud": service.audience,
            "client_id": client.id,
            "scope": asked.join(" "),
            "iat": now,
            "exp": now + 600,
            "jti": canary::random_hex(),
            "canary": canary::MARK,
        });
        Ok(json!({
            "access_token": self.keys.sign(Algorithm::Es256, "at+jwt", &claims),
            "token_type": "Bearer",
            "expires_in": 600,
        }))
    }
}
