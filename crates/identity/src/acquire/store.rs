//! What outlives a reload: the cache, the gates to the endpoints, the counters.

use std::sync::Arc;
use std::time::Duration;

use safeconduct_core::caller::Principal;
use safeconduct_core::revocation::{Revocation, Revocations, Whose};
use tokio::runtime::Handle;

use super::counters::{CounterSnapshot, Counters};
use crate::cache::{Cache, CacheLimits, Moment};
use crate::clock::Clock;
use crate::gate::{EndpointStatus, Gates};
use crate::provider::Leases;

/// How often ended entries are taken out.
const SWEEP: Duration = Duration::from_secs(30);

/// Bounds of size and time.
#[derive(Clone, Copy, Debug)]
pub struct CredentialLimits {
    /// Of the cache.
    pub cache: CacheLimits,
    /// How long a call waits for a credential, all steps together.
    pub wait: Duration,
    /// How long one step may take with everything, whatever the provider thinks.
    pub step: Duration,
}

impl Default for CredentialLimits {
    fn default() -> Self {
        Self { cache: CacheLimits::default(), wait: Duration::from_secs(15), step: Duration::from_secs(20) }
    }
}

/// State, for `/status`.
#[derive(Clone, Debug, serde::Serialize)]
pub struct CredentialStatus {
    /// Entries kept, remembered refusals among them.
    pub entries: usize,
    /// Bytes kept, about.
    pub bytes: usize,
    /// The token endpoints.
    pub endpoints: Vec<EndpointStatus>,
}

/// See the module.
pub struct CredentialStore {
    pub(super) cache: Arc<Cache>,
    pub(super) gates: Gates,
    pub(super) counters: Counters,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) limits: CredentialLimits,
    /// What is on loan for callers, and is given back.
    leases: Arc<Leases>,
    /// What began before a revocation of its caller is not kept, and not sent.
    pub(super) revocations: Arc<Revocations>,
    /// Where flights run: they outlive the calls, and the runtimes of the calls.
    pub(super) runtime: Handle,
}

impl CredentialStore {
    /// An empty store, of callers who are never revoked. Flights run on `runtime`, which needs its timers.
    ///
    /// # Errors
    /// When the system has no randomness to give.
    pub fn new(
        limits: CredentialLimits,
        clock: Arc<dyn Clock>,
        runtime: Handle,
    ) -> Result<Arc<Self>, aws_lc_rs::error::Unspecified> {
        Self::under(Arc::default(), limits, clock, runtime)
    }

    /// An empty store under this ledger of revocations.
    ///
    /// # Errors
    /// As [`CredentialStore::new`].
    pub fn under(
        revocations: Arc<Revocations>,
        limits: CredentialLimits,
        clock: Arc<dyn Clock>,
        runtime: Handle,
    ) -> Result<Arc<Self>, aws_lc_rs::error::Unspecified> {
        let store = Arc::new(Self {
            cache: Arc::new(Cache::new(limits.cache)?),
            gates: Gates::default(),
            counters: Counters::default(),
            clock,
            limits,
            leases: Arc::default(),
            revocations,
            runtime: runtime.clone(),
        });
        let weak = Arc::downgrade(&store);
        runtime.spawn(async move {
            loop {
                tokio::time::sleep(SWEEP).await;
                match weak.upgrade() {
                    Some(store) => {
                        store.cache.sweep(store.moment());
                        store.leases.sweep(store.clock.wall());
                    }
                    None => return,
                }
            }
        });
        Ok(store)
    }

    /// Entries, bytes, and how the endpoints are.
    pub fn status(&self) -> CredentialStatus {
        let (entries, bytes) = self.cache.size();
        CredentialStatus { entries, bytes, endpoints: self.gates.status(self.clock.steady()) }
    }

    /// Counts since the start.
    pub fn counters(&self) -> CounterSnapshot {
        self.counters.snapshot()
    }

    /// Takes all credentials of one caller (issuer identifier and subject) out of the cache, and what is being
    /// fetched for them. Gives how many there were.
    pub fn forget(&self, issuer: &str, subject: &str) -> usize {
        self.give_back(|who| *who.issuer_url == *issuer && *who.subject == *subject);
        self.cache.forget(issuer, &Whose::Subject(subject.into()))
    }

    /// The same for the logins that a revocation ends. It is to stand in the ledger before: what begins between the
    /// two is not kept either.
    pub fn revoke(&self, revocation: &Revocation) -> usize {
        self.give_back(|who| revocation.covers(who));
        self.cache.forget(&revocation.issuer, &revocation.whose)
    }

    /// What steps have on loan for callers; it outlives them, as the credentials do.
    pub fn leases(&self) -> &Arc<Leases> {
        &self.leases
    }

    fn give_back(&self, whose: impl Fn(&Principal) -> bool) {
        let given_back = self.leases.take_of(whose);
        if !given_back.is_empty() {
            self.runtime.spawn(Leases::return_all(given_back));
        }
    }

    pub(super) fn moment(&self) -> Moment {
        Moment { wall: self.clock.wall(), steady: self.clock.steady() }
    }

    pub(super) fn reloaded(&self) {
        self.gates.reloaded();
    }
}
