//! A security token service of another domain, B. It takes a token of domain A, which it verifies with A's keys
//! over HTTP, and issues its own: other issuer, other audience, other form of subject (RFC 8693).

use std::io;
use std::sync::Arc;
use std::time::Duration;

use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::canary;
use crate::clock::Clock;
use crate::idp::check_types;
use crate::keyring::Keyring;
use crate::keys::Algorithm;
use crate::oauth::client::Clients;
use crate::oauth::{self, Client, Problem};
use crate::verify::{Trust, Verifier, words};
use crate::wire::{Edge, Faults, Log, Reply, Seen, Serve};

/// What domain B has agreed with domain A.
#[derive(Clone, Debug)]
pub struct Federation {
    /// Whose tokens are taken, and for which audiences they must be.
    pub trust: Trust,
    /// Audience of B that may be asked for.
    pub audience: String,
    /// Scopes of B that may be asked for.
    pub scopes: Vec<String>,
    /// Groups of A whose members are let in; empty for everyone.
    pub groups: Vec<String>,
    /// What stands before A's subject in B's: `principal://sts.b.example/subject/`.
    pub subject_prefix: String,
    /// Longest life of B's token.
    pub lifetime: Duration,
}

/// A running token service.
pub struct Sts {
    edge: Edge,
    state: Arc<State>,
}

struct State {
    issuer: String,
    federation: Federation,
    foreign: Verifier,
    keys: Keyring,
    clients: Clients,
    clock: Clock,
}

impl Sts {
    /// Starts it with what it has agreed.
    ///
    /// # Errors
    /// When loopback cannot be bound or a key cannot be made.
    pub async fn start(federation: Federation, clock: Clock) -> io::Result<Self> {
        let (listener, address) = Edge::bind().await?;
        let state = Arc::new(State {
            issuer: format!("http://{address}"),
            foreign: Verifier::new(federation.trust.clone(), clock.clone()),
            federation,
            keys: Keyring::new()?,
            clients: Clients::default(),
            clock,
        });
        Ok(Self { edge: Edge::start(listener, address, state.clone()), state })
    }

    /// The issuer of domain B.
    pub fn issuer(&self) -> &str {
        &self.state.issuer
    }

    /// Where tokens of A become tokens of B.
    pub fn token_endpoint(&self) -> String {
        format!("{}/v1/token", self.state.issuer)
    }

    /// Registers a client.
    pub fn add_client(&self, client: Client) {
        self.state.clients.add(client);
    }

    /// Its keys, for rotation.
    pub fn keys(&self) -> &Keyring {
        &self.state.keys
    }

    /// Everything it received.
    pub fn log(&self) -> &Log {
        self.edge.log()
    }

    /// What goes wrong.
    pub fn faults(&self) -> &Faults {
        self.edge.faults()
    }
}

impl Serve for State {
    async fn serve(self: Arc<Self>, seen: Seen) -> Reply {
        match (seen.method.clone(), seen.path()) {
            (
                Method::GET,
                "/.well-known/openid-configuration" | "/.well-known/oauth-authorization-server",
            ) => Reply::json(StatusCode::OK, &self.discovery()),
            (Method::GET, "/v1/jwks") => Reply::json(StatusCode::OK, &self.keys.jwks()),
            (Method::POST, "/v1/token") => match self.exchange(&seen).await {
                Ok(answer) => Reply::json(StatusCode::OK, &answer).header("cache-control", "no-store"),
                Err(problem) => problem.reply(),
            },
            _ => Reply::empty(StatusCode::NOT_FOUND),
        }
    }
}

impl State {
    fn discovery(&self) -> Value {
        json!({
            "issuer": self.issuer,
            "token_endpoint": format!("{}/v1/token", self.issuer),
            "jwks_uri": format!("{}/v1/jwks", self.issuer),
            "grant_types_supported": [oauth::TOKEN_EXCHANGE],
            "id_token_signing_alg_values_supported": ["EdDSA"],
        })
    }

    async fn exchange(&self, seen: &Seen) -> Result<Value, Problem> {
        let endpoint = format!("{}/v1/token", self.issuer);
        let client = self.clients.authenticate(seen, &[&endpoint, &self.issuer], self.clock.secs())?;
        let form = seen.form();
        check_types(&form, &[oauth::ACCESS_TOKEN])?;
        let subject =
            form.one("subject_token").ok_or_else(|| Problem::new("invalid_request", "no subject_token"))?;
        let subject = self.foreign.verify(subject).await.map_err(|why| Problem::new("invalid_grant", why))?;
        let agreed = &self.federation;
        if form.all("audience") != [agreed.audience.as_str()] {
            return Err(Problem::new("invalid_target", "unknown audience"));
        }
        let groups = words(&subject["groups"]);
        if !agreed.groups.is_empty() && !agreed.groups.iter().any(|group| groups.contains(group)) {
            return Err(Problem::new("access_denied", "this user is not let into the domain"));
        }
        let scopes = form.words("scope");
        if let Some(excess) = scopes.iter().find(|scope| !agreed.scopes.iter().any(|own| own == *scope)) {
            return Err(Problem::new("invalid_scope", format!("{excess} is not granted")));
        }
        let name = subject["sub"].as_str().ok_or_else(|| Problem::new("invalid_grant", "no sub"))?;
        let now = self.clock.secs();
        let end = (now + agreed.lifetime.as_secs()).min(subject["exp"].as_u64().unwrap_or(now));
        let claims = json!({
            "iss": self.issuer,
            "sub": format!("{}{name}", agreed.subject_prefix),
            "aud": agreed.audience,
            "iat": now,
            "nbf": now,
            "exp": end,
            "jti": canary::random_hex(),
            "client_id": client.id,
            "scope": scopes.join(" "),
            "canary": canary::MARK,
        });
        Ok(json!({
            "access_token": self.keys.sign(Algorithm::EdDsa, "at+jwt", &claims),
            "issued_token_type": oauth::ACCESS_TOKEN,
            "token_type": "Bearer",
            "expires_in": end.saturating_sub(now),
            "scope": scopes.join(" "),
        }))
    }
}

#[cfg(test)]
mod tests;
