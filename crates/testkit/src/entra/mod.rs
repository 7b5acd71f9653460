//! Microsoft Entra ID on loopback, as far as the on-behalf-of flow goes: a tenant with users, applications and APIs.
//! It checks assertions and the applications' proofs for real, and refuses in Entra's own words and numbers
//! (<https://learn.microsoft.com/entra/identity-platform/v2-oauth2-on-behalf-of-flow>). Its tokens verify with the
//! keys that its discovery document names.

mod application;
mod refusal;
mod token;

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use http::{Method, StatusCode};
use serde_json::{Value, json};

pub use application::{Application, Proof};
use refusal::Refusal;

use crate::canary;
use crate::clock::Clock;
use crate::idp::User;
use crate::keyring::Keyring;
use crate::keys::{Algorithm, encode};
use crate::wire::{Edge, Faults, Log, Reply, Seen, Serve};

/// The tenant that is emulated.
pub const TENANT: &str = "7c9e6679-7425-40de-944b-e07fc1f90ae7";
/// The API that every tenant has.
pub const GRAPH: &str = "https://graph.microsoft.com";

/// An API that tokens are asked for.
#[derive(Clone, Debug)]
struct Api {
    scopes: Vec<String>,
    /// `acrs` that a caller's login must have (conditional access: authentication context).
    wants: Option<String>,
    /// Groups that are assigned to it, where assignment is required.
    assigned: Option<Vec<String>>,
}

/// A running tenant.
pub struct Entra {
    edge: Edge,
    state: Arc<State>,
}

struct State {
    base: String,
    clock: Clock,
    keys: Keyring,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    users: BTreeMap<String, User>,
    applications: BTreeMap<String, Application>,
    apis: BTreeMap<String, Api>,
}

impl Entra {
    /// Starts a tenant with Graph in it.
    ///
    /// # Errors
    /// When loopback cannot be bound or a key cannot be made.
    pub async fn start(clock: Clock) -> io::Result<Self> {
        Self::start_behind(None, clock).await
    }

    /// Starts one that is reached at `https://HOST:PORT`, where somebody ends TLS and hands on to [`Entra::url`].
    ///
    /// # Errors
    /// As [`Entra::start`].
    pub async fn start_behind(public: Option<&str>, clock: Clock) -> io::Result<Self> {
        let (listener, address) = Edge::bind().await?;
        let state = Arc::new(State {
            base: public.map_or_else(|| format!("http://{address}"), str::to_owned),
            clock,
            keys: Keyring::new()?,
            inner: Mutex::default(),
        });
        // Entra signs with RS256, and nothing else.
        state.keys.rotate(Algorithm::Rs256)?;
        let tenant = Self { edge: Edge::start(listener, address, state.clone()), state };
        tenant.add_api(GRAPH, &["User.Read", "Mail.Read", "Files.Read"]);
        Ok(tenant)
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        self.edge.url()
    }

    /// What stands before the tenant in its URLs: `entra_obo.authority`.
    pub fn authority(&self) -> &str {
        &self.state.base
    }

    /// The issuer of its tokens.
    pub fn issuer(&self) -> String {
        self.state.issuer()
    }

    /// Where tokens are asked for.
    pub fn token_endpoint(&self) -> String {
        self.state.token_endpoint()
    }

    /// Adds or replaces a user.
    pub fn add_user(&self, user: User) {
        self.state.inner().users.insert(user.subject.clone(), user);
    }

    /// Registers an application.
    pub fn add_application(&self, application: Application) {
        self.state.inner().applications.insert(application.id.clone(), application);
    }

    /// Adds an API with its delegated permissions.
    pub fn add_api(&self, identifier: &str, scopes: &[&str]) {
        let scopes = scopes.iter().map(|scope| (*scope).to_owned()).collect();
        self.state.inner().apis.insert(identifier.to_owned(), Api { scopes, wants: None, assigned: None });
    }

    /// From now on an API is for logins with this authentication context only (`acrs`); None lifts that.
    pub fn protect(&self, api: &str, context: Option<&str>) {
        if let Some(api) = self.state.inner().apis.get_mut(api) {
            api.wants = context.map(str::to_owned);
        }
    }

    /// From now on an API is for users of these groups only (assignment required).
    pub fn assign(&self, api: &str, groups: &[&str]) {
        if let Some(api) = self.state.inner().apis.get_mut(api) {
            api.assigned = Some(groups.iter().map(|group| (*group).to_owned()).collect());
        }
    }

    /// What a user's client got for an application: an access token with these scopes of it.
    pub fn mint(&self, user: &str, application: &str, scopes: &str, lifetime: Duration) -> String {
        self.mint_with(user, application, scopes, lifetime, &json!({}))
    }

    /// The same with more claims; null takes one away.
    pub fn mint_with(
        &self,
        user: &str,
        application: &str,
        scopes: &str,
        lifetime: Duration,
        more: &Value,
    ) -> String {
        let now = self.state.clock.secs();
        let mut claims = self.state.of_user(user, application);
        claims["aud"] = json!(application);
        claims["azp"] = json!("11111111-1111-1111-1111-111111111111");
        claims["azpacr"] = json!("0");
        claims["scp"] = json!(scopes);
        claims["ver"] = json!("2.0");
        claims["exp"] = json!(now + lifetime.as_secs());
        if let (Some(claims), Some(more)) = (claims.as_object_mut(), more.as_object()) {
            claims.extend(more.clone());
            claims.retain(|_, value| !value.is_null());
        }
        self.state.keys.sign(Algorithm::Rs256, "JWT", &claims)
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

impl State {
    fn issuer(&self) -> String {
        format!("{}/{TENANT}/v2.0", self.base)
    }

    fn token_endpoint(&self) -> String {
        format!("{}/{TENANT}/oauth2/v2.0/token", self.base)
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What every token says of a user: `sub` differs for each application, `oid` does not.
    fn of_user(&self, user: &str, application: &str) -> Value {
        let now = self.clock.secs();
        let pairwise = digest(&SHA256, format!("{user} {application}").as_bytes());
        let mut claims = json!({
            "iss": self.issuer(),
            "iat": now,
            "nbf": now,
            "sub": encode(pairwise.as_ref()),
            "oid": format!("oid-of-{user}"),
            "tid": TENANT,
            "preferred_username": user,
            "uti": canary::random_hex(),
            "canary": canary::MARK,
        });
        if let Some(known) = self.inner().users.get(user) {
            claims["groups"] = json!(known.groups);
            if let Some(claims) = claims.as_object_mut() {
                claims.extend(known.claims.clone());
            }
        }
        claims
    }

    fn discovery(&self) -> Value {
        json!({
            "issuer": self.issuer(),
            "token_endpoint": self.token_endpoint(),
            "authorization_endpoint": format!("{}/{TENANT}/oauth2/v2.0/authorize", self.base),
            "jwks_uri": format!("{}/{TENANT}/discovery/v2.0/keys", self.base),
            "response_types_supported": ["code"],
            "subject_types_supported": ["pairwise"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt", "client_secret_basic"],
        })
    }
}

impl Serve for State {
    async fn serve(self: Arc<Self>, seen: Seen) -> Reply {
        let path = seen.path().strip_prefix(&format!("/{TENANT}")).unwrap_or_default().to_owned();
        match (seen.method.clone(), path.as_str()) {
            (Method::GET, "/v2.0/.well-known/openid-configuration") => {
                Reply::json(StatusCode::OK, &self.discovery())
            }
            (Method::GET, "/discovery/v2.0/keys") => Reply::json(StatusCode::OK, &self.keys.jwks()),
            (Method::POST, "/oauth2/v2.0/token") => match self.token(&seen).await {
                Ok(answer) => {
                    Reply::json(StatusCode::OK, &answer).header("cache-control", "no-store, no-cache")
                }
                Err(refusal) => refusal.reply(),
            },
            _ => Reply::empty(StatusCode::NOT_FOUND),
        }
    }
}

#[cfg(test)]
mod tests;
