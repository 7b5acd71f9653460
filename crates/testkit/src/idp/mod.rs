//! An OpenID provider of domain A on loopback: discovery (OIDC and RFC 8414), keys with rotation, users, a token
//! endpoint with token exchange (RFC 8693), introspection (RFC 7662). It checks what it is asked, and refuses.

mod endpoints;
mod exchange;
mod grants;
mod login;
mod logout;
mod mint;
mod page;
mod user;

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;

pub use exchange::Rule;
pub(crate) use exchange::check_types;
pub use logout::Logout;
pub use mint::Mint;
pub use user::User;

use crate::canary;
use crate::clock::Clock;
use crate::keyring::Keyring;
use crate::oauth::{Client, client::Clients};
use crate::wire::{Edge, Faults, Log};

/// Changes a successful token answer before it is sent: how a test makes an endpoint that misbehaves.
pub type Twist = Arc<dyn Fn(&mut Value) + Send + Sync>;

/// A running identity provider.
pub struct Idp {
    edge: Edge,
    state: Arc<State>,
}

pub(crate) struct State {
    base: String,
    issuer: String,
    clock: Clock,
    keys: Keyring,
    clients: Clients,
    users: Mutex<BTreeMap<String, User>>,
    rules: Mutex<Vec<Rule>>,
    services: Mutex<Vec<grants::Service>>,
    opaque: Mutex<BTreeMap<String, Value>>,
    logins: Mutex<login::Logins>,
    twist: Mutex<Option<Twist>>,
}

impl Idp {
    /// Starts one whose issuer is its own address, on the system's clock.
    ///
    /// # Errors
    /// When loopback cannot be bound or a key cannot be made.
    pub async fn start() -> io::Result<Self> {
        Self::start_at("", Clock::system()).await
    }

    /// Starts one whose issuer has this path (empty, or `/oauth2/default`), on this clock.
    ///
    /// # Errors
    /// As [`Idp::start`].
    pub async fn start_at(path: &str, clock: Clock) -> io::Result<Self> {
        let (listener, address) = Edge::bind().await?;
        let base = format!("http://{address}");
        let state = Arc::new(State {
            issuer: format!("{base}{path}"),
            base,
            clock,
            keys: Keyring::new()?,
            clients: Clients::default(),
            users: Mutex::default(),
            rules: Mutex::default(),
            services: Mutex::default(),
            opaque: Mutex::default(),
            logins: Mutex::default(),
            twist: Mutex::default(),
        });
        Ok(Self { edge: Edge::start(listener, address, state.clone()), state })
    }

    /// The issuer identifier.
    pub fn issuer(&self) -> &str {
        &self.state.issuer
    }

    /// Where tokens are exchanged.
    pub fn token_endpoint(&self) -> String {
        self.state.at("/token")
    }

    /// Where the keys are.
    pub fn jwks_uri(&self) -> String {
        self.state.at("/jwks")
    }

    /// Where tokens are introspected.
    pub fn introspection_endpoint(&self) -> String {
        self.state.at("/introspect")
    }

    /// Adds or replaces a user.
    pub fn add_user(&self, user: User) {
        self.state.users().insert(user.subject.clone(), user);
    }

    /// Registers a client.
    pub fn add_client(&self, client: Client) {
        self.state.clients.add(client);
    }

    /// Lets a registered client log people in, and be sent back to this address.
    pub fn redirect(&self, client: &str, uri: &str) {
        self.state.redirect(client, uri);
    }

    /// Allows an exchange.
    pub fn allow(&self, rule: Rule) {
        self.state.rules.lock().unwrap_or_else(PoisonError::into_inner).push(rule);
    }

    /// Allows a client a token for itself.
    pub fn serve(&self, client: &str, audience: &str, scopes: &[&str]) {
        let scopes = scopes.iter().map(|scope| (*scope).to_owned()).collect();
        let service = grants::Service { client: client.into(), audience: audience.into(), scopes };
        self.state.services.lock().unwrap_or_else(PoisonError::into_inner).push(service);
    }

    /// Forgets all exchange rules: everything is refused from now on.
    pub fn allow_nothing(&self) {
        self.state.rules.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// A token as [`Mint`] describes it.
    pub fn issue(&self, mint: &Mint) -> String {
        let claims = self.state.claims(mint);
        self.state.keys.sign(mint.algorithm, &mint.typ, &claims)
    }

    /// A user's access token for one audience, with space-separated scopes.
    pub fn mint(&self, user: &str, audience: &str, scopes: &str, lifetime: Duration) -> String {
        self.issue(&Mint::user(user).audience(audience).scopes(scopes).lifetime(lifetime))
    }

    /// An opaque token that says the same; only introspection knows what.
    pub fn mint_opaque(&self, mint: &Mint) -> String {
        let token = canary::secret("opaque");
        self.state.opaque().insert(token.clone(), self.state.claims(mint));
        token
    }

    /// Ends an opaque token's life.
    pub fn revoke(&self, token: &str) {
        self.state.opaque().remove(token);
    }

    /// Its keys, for rotation.
    pub fn keys(&self) -> &Keyring {
        &self.state.keys
    }

    /// From now on successful token answers pass through this.
    pub fn twist(&self, twist: impl Fn(&mut Value) + Send + Sync + 'static) {
        *self.state.twist.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(twist));
    }

    /// Everything it received.
    pub fn log(&self) -> &Log {
        self.edge.log()
    }

    /// What goes wrong.
    pub fn faults(&self) -> &Faults {
        self.edge.faults()
    }

    /// How often its token endpoint was asked.
    pub fn exchanges(&self) -> usize {
        let path = self.token_endpoint().replacen(&self.edge.url(), "", 1);
        self.log().to(&path).len()
    }

    /// Cuts it off, as a crash does.
    pub fn stop(&self) {
        self.edge.stop();
    }
}

impl State {
    fn at(&self, path: &str) -> String {
        format!("{}{path}", self.issuer)
    }

    fn users(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, User>> {
        self.users.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn opaque(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Value>> {
        self.opaque.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
