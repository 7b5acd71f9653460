//! OpenBao (HashiCorp Vault) on loopback, as far as a login with a JWT goes: the auth method `jwt`, the key-value engine,
//! version 2, and a database engine whose users live as long as their leases. It verifies the callers' tokens, and
//! refuses in its own sentences: a refused login is always a 400.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::canary;
use crate::clock::Clock;
use crate::verify::{Trust, Verifier, words};
use crate::wire::{Edge, Faults, Log, Reply, Seen, Serve};

/// Who may log in, and what they may read then.
#[derive(Clone, Debug)]
pub struct Role {
    /// Its name.
    pub name: String,
    /// `bound_audiences`, one.
    pub audience: String,
    /// `bound_claims.groups`: one of these; empty for everyone.
    pub groups: Vec<String>,
    /// What its policy lets it read: a path, or the beginning of paths with `*` at its end. `{sub}` is the caller.
    pub reads: Vec<String>,
    /// How long its tokens live.
    pub lifetime: Duration,
}

/// A running vault.
pub struct Vault {
    edge: Edge,
    state: Arc<State>,
}

struct State {
    clock: Clock,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    issuer: String,
    roles: BTreeMap<String, Role>,
    secrets: BTreeMap<String, Value>,
    databases: BTreeMap<String, u64>,
    tokens: BTreeMap<String, Token>,
}

#[derive(Clone)]
struct Token {
    role: Role,
    subject: String,
    ends: u64,
    /// Lease id, its end, and the password of its user.
    leases: BTreeMap<String, (u64, String)>,
}

type Answer = Result<Value, (StatusCode, String)>;

impl Vault {
    /// Starts one that believes nobody yet.
    ///
    /// # Errors
    /// When loopback cannot be bound.
    pub async fn start(clock: Clock) -> io::Result<Self> {
        let (listener, address) = Edge::bind().await?;
        let state = Arc::new(State { clock, inner: Mutex::default() });
        Ok(Self { edge: Edge::start(listener, address, state.clone()), state })
    }

    /// `http://127.0.0.1:PORT`.
    pub fn address(&self) -> String {
        self.edge.url()
    }

    /// From now on tokens of this issuer are believed (`bound_issuer`, `oidc_discovery_url`).
    pub fn believe(&self, issuer: &str) {
        issuer.clone_into(&mut self.state.inner().issuer);
    }

    /// Adds or replaces a role.
    pub fn add_role(&self, role: Role) {
        self.state.inner().roles.insert(role.name.clone(), role);
    }

    /// Puts a secret of the key-value engine at `secret/data/...`.
    pub fn put(&self, path: &str, members: Value) {
        self.state.inner().secrets.insert(path.into(), members);
    }

    /// Users are made at `database/creds/...`, for so long.
    pub fn make_users(&self, path: &str, lifetime: Duration) {
        self.state.inner().databases.insert(path.into(), lifetime.as_secs());
    }

    /// Whose user has this password now; None for a user that has ended.
    pub fn user_with(&self, password: &str) -> Option<String> {
        let now = self.state.clock.secs();
        let inner = self.state.inner();
        let of = |token: &&Token| {
            token.ends > now && token.leases.values().any(|(ends, known)| *ends > now && known == password)
        };
        inner.tokens.values().find(of).map(|token| token.subject.clone())
    }

    /// Logins that have not been given back.
    pub fn logins(&self) -> usize {
        self.state.inner().tokens.len()
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
        let path = seen.path().strip_prefix("/v1/").unwrap_or_default().to_owned();
        let answer = match (seen.method.clone(), path.as_str()) {
            (Method::POST, "auth/jwt/login") => self.login(&seen).await,
            (Method::POST, "auth/token/renew-self") => self.renew(&seen),
            (Method::POST, "auth/token/revoke-self") => {
                self.inner().tokens.remove(seen.header("x-vault-token").unwrap_or_default());
                return Reply::empty(StatusCode::NO_CONTENT);
            }
            (Method::POST, "sys/leases/renew") => self.renew_lease(&seen),
            (Method::GET, path) => self.read(&seen, path),
            _ => Err((StatusCode::NOT_FOUND, String::new())),
        };
        match answer {
            Ok(answer) => Reply::json(StatusCode::OK, &answer).header("cache-control", "no-store"),
            Err((status, error)) => {
                let errors: Vec<String> = Some(error).filter(|error| !error.is_empty()).into_iter().collect();
                Reply::json(status, &json!({ "errors": errors }))
            }
        }
    }
}

impl State {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn login(&self, seen: &Seen) -> Answer {
        let refused = |error: String| (StatusCode::BAD_REQUEST, error);
        let asked = seen.json();
        let name = asked["role"].as_str().filter(|name| !name.is_empty());
        let name = name.ok_or_else(|| refused("missing role".into()))?.to_lowercase();
        let role = self.inner().roles.get(&name).cloned();
        let role = role.ok_or_else(|| refused(format!("role {name:?} could not be found")))?;
        let jwt = asked["jwt"].as_str().ok_or_else(|| refused("missing token".into()))?;
        let trust = Trust { issuer: self.inner().issuer.clone(), audiences: vec![role.audience.clone()] };
        let claims = Verifier::new(trust, self.clock.clone()).verify(jwt).await;
        let claims = claims.map_err(|why| refused(format!("error validating token: {why}")))?;
        let groups = words(&claims["groups"]);
        if !role.groups.is_empty() && !role.groups.iter().any(|group| groups.contains(group)) {
            let error =
                "error validating claims: claim \"groups\" does not match any associated bound claim values";
            return Err(refused(error.into()));
        }
        let subject = claims["sub"].as_str();
        let subject = subject.ok_or_else(|| refused("claim \"sub\" not found in token".into()))?.to_owned();
        let (token, lifetime) = (canary::secret("hvs"), role.lifetime.as_secs());
        let kept = Token { role, subject, ends: self.clock.secs() + lifetime, leases: BTreeMap::new() };
        self.inner().tokens.insert(token.clone(), kept);
        Ok(auth(&token, lifetime))
    }

    fn renew(&self, seen: &Seen) -> Answer {
        let now = self.clock.secs();
        self.with_token(seen, |name, token| {
            let lifetime = token.role.lifetime.as_secs();
            token.ends = now + lifetime;
            Ok(auth(name, lifetime))
        })
    }

    fn renew_lease(&self, seen: &Seen) -> Answer {
        let now = self.clock.secs();
        let id = seen.json()["lease_id"].as_str().unwrap_or_default().to_owned();
        let made_at = id.rsplit_once('/').map_or("", |(path, _)| path);
        let lifetime = self.inner().databases.get(made_at).copied().unwrap_or_default();
        self.with_token(seen, |_, token| {
            let known = token.leases.get_mut(&id).filter(|(ends, _)| *ends > now);
            let (ends, _) = known.ok_or_else(|| (StatusCode::BAD_REQUEST, "lease not found".to_owned()))?;
            *ends = now + lifetime;
            Ok(json!({ "lease_id": id, "lease_duration": lifetime, "renewable": true }))
        })
    }

    fn read(&self, seen: &Seen, path: &str) -> Answer {
        let (now, path) = (self.clock.secs(), crate::wire::decode_form(path));
        let (secret, users) = {
            let inner = self.inner();
            (inner.secrets.get(&path).cloned(), inner.databases.get(&path).copied())
        };
        self.with_token(seen, |_, token| {
            let fits = |rule: &String| {
                let rule = rule.replace("{sub}", &token.subject);
                rule.strip_suffix('*').map_or(rule == path, |beginning| path.starts_with(beginning))
            };
            if !token.role.reads.iter().any(fits) {
                return Err((StatusCode::FORBIDDEN, "1 error occurred:\n\t* permission denied\n\n".into()));
            }
            if let Some(secret) = secret {
                let data = json!({ "data": secret, "metadata": { "version": 1, "destroyed": false } });
                return Ok(json!({ "lease_id": "", "lease_duration": 0, "renewable": false, "data": data }));
            }
            let lifetime = users.ok_or_else(|| (StatusCode::NOT_FOUND, String::new()))?;
            let (id, password) = (format!("{path}/{}", canary::random_hex()), canary::secret("database"));
            token.leases.insert(id.clone(), (now + lifetime, password.clone()));
            let data = json!({ "username": format!("v-jwt-{}", canary::random_hex()), "password": password });
            Ok(json!({ "lease_id": id, "lease_duration": lifetime, "renewable": true, "data": data }))
        })
    }

    fn with_token(&self, seen: &Seen, act: impl FnOnce(&str, &mut Token) -> Answer) -> Answer {
        let now = self.clock.secs();
        let name = seen.header("x-vault-token").unwrap_or_default();
        let mut inner = self.inner();
        let token = inner.tokens.get_mut(name).filter(|token| token.ends > now);
        act(name, token.ok_or_else(|| (StatusCode::FORBIDDEN, "permission denied".to_owned()))?)
    }
}

fn auth(token: &str, lifetime: u64) -> Value {
    json!({ "auth": { "client_token": token, "lease_duration": lifetime, "renewable": true, "entity_id": "e" } })
}
