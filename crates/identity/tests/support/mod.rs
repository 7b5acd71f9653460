//! What the tests of this crate share: a permitted call, made the way that the gateway makes one; a token
//! endpoint that answers what it is told; a clock that is turned by hand.
#![allow(dead_code, unused_imports, unreachable_pub, reason = "each test program uses a part of it")]

pub mod aws;
mod call;
mod clock;
mod endpoint;
pub mod google;
mod grants;
mod papers;

pub use call::{Caller, Edge, NOW, Seen, jwt, typed_jwt};
pub use clock::FakeClock;
pub use endpoint::{Asked, Reply, TokenEndpoint};
pub use grants::{AS, HandedOn, assertion, at, client_credentials, entra_obo, id_jag, jwt_bearer, vault};
pub use papers::{Authority, Folder, Paper};

use std::sync::Arc;
use std::time::Duration;

use safeconduct_core::path::Outbound;
use safeconduct_core::refusal::Reason;
use safeconduct_core::revocation::{Revocation, Revocations, Whose};
use safeconduct_core::server::Delivery;
use safeconduct_identity::acquire::{CredentialLimits, CredentialPlan, CredentialStore, Credentials};
use safeconduct_identity::client_auth::{ClientAuth, NoAuthentication};
use safeconduct_identity::provider::{Exchange, ExchangeConfig, Leases, Provider, TokenEndpoint as At};
use safeconduct_identity::template::Template;
use safeconduct_identity::wire::{Endpoint, Wire, WireConfig};
use tokio::runtime::Handle;

/// The HTTP client, on the runtime of the test.
pub fn wire() -> Arc<Wire> {
    let config = WireConfig { system_roots: false, ..WireConfig::default() };
    Arc::new(Wire::new(&config, Handle::current()).unwrap())
}

/// A step `exchange` at an endpoint, for audience `backend` and scope `read`.
pub fn exchange_config(url: &str) -> ExchangeConfig {
    let client: Arc<dyn ClientAuth> = Arc::new(NoAuthentication::new(Some("gateway".into())));
    let mut config = ExchangeConfig::new(At::new(Endpoint::parse(url, false).unwrap(), client));
    config.targets.audience = vec![Template::fixed("backend")];
    config.targets.scopes = vec![Template::fixed("read")];
    config
}

/// The step, with changes to its configuration.
pub fn exchange(url: &str, change: impl FnOnce(&mut ExchangeConfig)) -> Arc<dyn Provider> {
    let mut config = exchange_config(url);
    change(&mut config);
    Arc::new(Exchange::new(config, wire()).unwrap())
}

/// A gateway's part under test: one server `orders`, its plan, and everything around.
pub struct Bench {
    pub edge: Edge,
    pub clock: Arc<FakeClock>,
    pub store: Arc<CredentialStore>,
    pub revocations: Arc<Revocations>,
    pub credentials: Credentials,
}

impl Bench {
    pub fn new(steps: Vec<Arc<dyn Provider>>) -> Self {
        Self::with(CredentialPlan::Chain(steps), CredentialLimits::default())
    }

    pub fn with(plan: CredentialPlan, limits: CredentialLimits) -> Self {
        Self::of(Edge::new(), plan, limits)
    }

    /// For a server that takes its credential in another way than in a header.
    pub fn delivering(delivery: Delivery, steps: Vec<Arc<dyn Provider>>) -> Self {
        Self::of(Edge::delivering(delivery), CredentialPlan::Chain(steps), CredentialLimits::default())
    }

    /// With steps that have something on loan.
    pub fn lending(steps: impl FnOnce(&Arc<Leases>) -> Vec<Arc<dyn Provider>>) -> Self {
        Self::lending_within(CredentialLimits::default(), steps)
    }

    pub fn lending_within(
        limits: CredentialLimits,
        steps: impl FnOnce(&Arc<Leases>) -> Vec<Arc<dyn Provider>>,
    ) -> Self {
        Self::planned(Edge::new(), |store| CredentialPlan::Chain(steps(store.leases())), limits)
    }

    fn of(edge: Edge, plan: CredentialPlan, limits: CredentialLimits) -> Self {
        Self::planned(edge, |_| plan, limits)
    }

    fn planned(
        edge: Edge,
        plan: impl FnOnce(&CredentialStore) -> CredentialPlan,
        limits: CredentialLimits,
    ) -> Self {
        let clock = Arc::new(FakeClock::at(NOW));
        let revocations = Arc::new(Revocations::default());
        let store = CredentialStore::under(revocations.clone(), limits, clock.clone(), Handle::current());
        let store = store.unwrap();
        let credentials = Credentials::new(store.clone(), [(edge.server.clone(), plan(&store))]);
        Self { edge, clock, store, revocations, credentials }
    }

    /// Revokes now, in the order that the gateway does. Gives how many credentials were forgotten.
    pub fn revoke(&self, whose: Whose) -> usize {
        let now = self.clock.now();
        let issuer = "https://idp.example.com".into();
        let revocation =
            Revocation { issuer, whose, issued: now, at: now, keep: Duration::from_secs(86_400) };
        self.revocations.note(&revocation);
        self.store.revoke(&revocation)
    }

    /// Acquires for a caller; what would be sent, or why not.
    pub async fn acquire(&self, caller: &Caller) -> Result<Outbound, Reason> {
        let authorized = self.edge.permitted(caller, self.clock.now());
        self.credentials.acquire(authorized, self.clock.now()).await.map_err(|refusal| refusal.reason)
    }

    /// The token that would be sent, or the code of the refusal.
    pub async fn token(&self, caller: &Caller) -> Result<String, &'static str> {
        self.acquire(caller).await.map(|outbound| sent(&outbound)).map_err(|reason| reason.code())
    }

    /// After the backend's 401.
    pub async fn renew(&self, outbound: Outbound) -> Result<Outbound, Reason> {
        self.credentials.renew(outbound, self.clock.now()).await.map_err(|refusal| refusal.reason)
    }
}

/// The `Authorization` that a call leaves with, without the word Bearer; of a signature the id of its key.
pub fn sent(outbound: &Outbound) -> String {
    let request = outbound.request();
    let value = request.headers().get("authorization").map(|value| value.to_str().unwrap().to_owned());
    let value = value.unwrap_or_default();
    match value.strip_prefix("AWS4-HMAC-SHA256 Credential=") {
        Some(signature) => signature.split('/').next().unwrap().to_owned(),
        None => value.trim_start_matches("Bearer ").to_owned(),
    }
}

/// Waits until something is true.
pub async fn until(mut is: impl FnMut() -> bool) {
    let began = std::time::Instant::now();
    while !is() {
        assert!(began.elapsed() < Duration::from_secs(10), "it did not happen in ten seconds");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
