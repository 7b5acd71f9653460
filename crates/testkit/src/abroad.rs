//! The authorization server of another domain: it takes assertions of the first domain's identity provider as
//! grants (RFC 7523 §2.1), which it verifies with that provider's keys over HTTP, and issues its own tokens. An
//! identity assertion (ID-JAG) must also be for the client that presents it.

use std::collections::BTreeSet;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::canary;
use crate::clock::Clock;
use crate::keyring::Keyring;
use crate::keys::{self, Algorithm};
use crate::oauth::client::Clients;
use crate::oauth::{self, Client, Problem};
use crate::verify::{Trust, Verifier};
use crate::wire::{Edge, Faults, Log, Reply, Seen, Serve};

/// What this domain gives.
#[derive(Clone, Debug)]
pub struct Domain {
    /// Issuer of the assertions that are taken.
    pub home: String,
    /// Audience of the tokens that are given.
    pub audience: String,
    /// Scopes that may be asked for.
    pub scopes: Vec<String>,
    /// Longest life of a token.
    pub lifetime: Duration,
}

/// A running authorization server.
pub struct Abroad {
    edge: Edge,
    state: Arc<State>,
}

struct State {
    issuer: String,
    domain: Domain,
    home: Verifier,
    keys: Keyring,
    clients: Clients,
    clock: Clock,
    /// Whether an assertion is taken once.
    once: AtomicBool,
    used: Mutex<BTreeSet<String>>,
}

impl Abroad {
    /// Starts it.
    ///
    /// # Errors
    /// When loopback cannot be bound or a key cannot be made.
    pub async fn start(domain: Domain, clock: Clock) -> io::Result<Self> {
        let (listener, address) = Edge::bind().await?;
        let issuer = format!("http://{address}");
        let trust = Trust { issuer: domain.home.clone(), audiences: vec![issuer.clone()] };
        let state = Arc::new(State {
            home: Verifier::new(trust, clock.clone()),
            issuer,
            domain,
            keys: Keyring::new()?,
            clients: Clients::default(),
            clock,
            once: AtomicBool::new(false),
            used: Mutex::default(),
        });
        Ok(Self { edge: Edge::start(listener, address, state.clone()), state })
    }

    /// Its issuer identifier: what assertions must be for.
    pub fn issuer(&self) -> &str {
        &self.state.issuer
    }

    /// Where assertions become tokens.
    pub fn token_endpoint(&self) -> String {
        format!("{}/token", self.state.issuer)
    }

    /// Registers a client.
    pub fn add_client(&self, client: Client) {
        self.state.clients.add(client);
    }

    /// From now on an assertion is taken once.
    pub fn take_once(&self) {
        self.state.once.store(true, Ordering::SeqCst);
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
            (Method::GET, "/jwks") => Reply::json(StatusCode::OK, &self.keys.jwks()),
            (Method::POST, "/token") => match self.token(&seen).await {
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
            "token_endpoint": format!("{}/token", self.issuer),
            "jwks_uri": format!("{}/jwks", self.issuer),
            "grant_types_supported": [oauth::JWT_BEARER, oauth::CLIENT_CREDENTIALS],
            "authorization_grant_profiles_supported": ["urn:ietf:params:oauth:grant-profile:id-jag"],
            "id_token_signing_alg_values_supported": ["ES256"],
        })
    }

    async fn token(&self, seen: &Seen) -> Result<Value, Problem> {
        let endpoint = format!("{}/token", self.issuer);
        let client = self.clients.authenticate(seen, &[&endpoint, &self.issuer], self.clock.secs())?;
        let form = seen.form();
        let subject = match form.one("grant_type") {
            Some(oauth::JWT_BEARER) => self.asserted(&client, form.one("assertion")).await?,
            Some(oauth::CLIENT_CREDENTIALS) => client.id.clone(),
            _ => return Err(Problem::new("unsupported_grant_type", "not served here")),
        };
        let scopes = form.words("scope");
        if let Some(excess) = scopes.iter().find(|scope| !self.domain.scopes.iter().any(|own| own == *scope))
        {
            return Err(Problem::new("invalid_scope", format!("{excess} is not granted")));
        }
        let now = self.clock.secs();
        let end = now + self.domain.lifetime.as_secs();
        let claims = json!({
            "iss": self.issuer,
            "sub": subject,
            "aud": self.domain.audience,
            "iat": now,
            "nbf": now,
            "exp": end,
            "jti": canary::random_hex(),
            "client_id": client.id,
            "scope": scopes.join(" "),
            "canary": canary::MARK,
        });
        Ok(json!({
            "access_token": self.keys.sign(Algorithm::Es256, "at+jwt", &claims),
            "token_type": "Bearer",
            "expires_in": end.saturating_sub(now),
            "scope": scopes.join(" "),
        }))
    }

    /// Whose assertion it is.
    async fn asserted(&self, client: &Client, assertion: Option<&str>) -> Result<String, Problem> {
        let refused = |why: &str| Problem::new("invalid_grant", why);
        let assertion = assertion.ok_or_else(|| Problem::new("invalid_request", "no assertion"))?;
        let claims = self.home.verify(assertion).await.map_err(|why| refused(&why))?;
        if keys::header_of(assertion)["typ"] == "oauth-id-jag+jwt"
            && claims["client_id"] != client.id.as_str()
        {
            return Err(refused("the assertion is for another client"));
        }
        if self.once.load(Ordering::SeqCst) {
            let id = claims["jti"].as_str().ok_or_else(|| refused("no jti"))?;
            if !self.used.lock().unwrap_or_else(PoisonError::into_inner).insert(id.to_owned()) {
                return Err(refused("the assertion was used before"));
            }
        }
        let subject = claims["sub"].as_str().ok_or_else(|| refused("no sub"))?;
        Ok(subject.to_owned())
    }
}
