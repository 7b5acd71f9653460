//! The keys of one issuer, kept fresh.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use safeconduct_core::caller::KeySet;
use tokio::sync::watch;

use super::pace::Pace;
use super::source::{Fetched, KeySource, Unavailable, fetch};
use crate::clock::Clock;
use crate::wire::Wire;

/// One fetch, with discovery, takes no longer than this.
const LONGEST_FETCH: Duration = Duration::from_secs(10);
/// Keys outlive their freshness by this, while the issuer cannot be reached.
const GRACE: Duration = Duration::from_secs(24 * 3600);

/// A key set with its number; a token verified with an older one is verified anew.
pub struct Keys {
    /// The keys.
    pub set: KeySet,
    /// Another number for each set that differs from the one before; unique in this process.
    pub generation: u64,
    identity: [u8; 32],
    fetched: Duration,
    usable_until: Duration,
}

/// See the module.
pub struct IssuerKeys {
    issuer: Box<str>,
    source: KeySource,
    wire: ArcSwap<Wire>,
    clock: Arc<dyn Clock>,
    current: ArcSwapOption<Keys>,
    state: Mutex<State>,
    /// Counts finished fetches: whoever waits for one watches it. Changed while the state is locked.
    finished: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    fetching: bool,
    pace: Pace,
    error: Option<Unavailable>,
}

/// How an issuer is, for readiness and status.
#[derive(Clone, Debug, serde::Serialize)]
pub struct IssuerStatus {
    /// Number of usable keys; 0 when there are none yet.
    pub keys: usize,
    /// Seconds since they were fetched.
    pub age: Option<u64>,
    /// Why the last fetch failed, if it did.
    pub error: Option<String>,
    /// True when it can do without keys, because it is asked about tokens.
    pub introspection: bool,
}

static GENERATION: AtomicU64 = AtomicU64::new(1);

impl IssuerKeys {
    /// Starts to fetch in the background, until the last handle is dropped. Never blocks.
    pub fn start(issuer: &str, source: KeySource, wire: Wire, clock: Arc<dyn Clock>) -> Arc<Self> {
        let keys = Arc::new(Self {
            issuer: issuer.into(),
            source,
            wire: ArcSwap::from_pointee(wire.clone()),
            clock,
            current: ArcSwapOption::empty(),
            state: Mutex::default(),
            finished: watch::Sender::new(0),
        });
        wire.runtime().spawn(refresh(Arc::downgrade(&keys)));
        keys
    }

    /// Fetches from now on with another client (other certificates).
    pub fn rewire(&self, wire: Wire) {
        self.wire.store(Arc::new(wire));
    }

    /// Where the keys come from: an issuer whose source stays keeps its keys over a reload.
    pub fn source(&self) -> &KeySource {
        &self.source
    }

    /// The keys as they are known; they may be none.
    pub fn current(&self) -> Option<Arc<Keys>> {
        let keys = self.current.load_full()?;
        (self.clock.steady() < keys.usable_until).then_some(keys)
    }

    /// Number of the current keys: what a token verified earlier is held against.
    pub(crate) fn generation(&self) -> Option<u64> {
        let keys = self.current.load();
        let keys = keys.as_ref()?;
        (self.clock.steady() < keys.usable_until).then_some(keys.generation)
    }

    /// Why there are no keys, if the issuer was asked for them.
    pub(crate) fn failure(&self) -> Option<Unavailable> {
        if self.current().is_some() { None } else { self.state().error.clone() }
    }

    /// The keys, waiting for the first fetch if there are none: it is the same for all who wait.
    ///
    /// # Errors
    /// Why there are none.
    pub async fn first(self: &Arc<Self>) -> Result<Arc<Keys>, Unavailable> {
        // The count is read before the keys are looked at: a fetch that ends in between is not waited for.
        let since = *self.finished.borrow();
        if let Some(keys) = self.current() {
            return Ok(keys);
        }
        if self.begin(|pace, now| pace.may_try(now)) {
            self.wait(since).await;
        }
        self.current().ok_or_else(|| {
            let error = self.state().error.clone();
            error.unwrap_or_else(|| Unavailable::new(&self.issuer, "no keys yet"))
        })
    }

    /// Keys that are newer than `known`, after a token named a key that is not among those. At most one fetch in 30
    /// seconds, shared by all; None when it is not the time for one, or it found nothing new.
    pub async fn newer(self: &Arc<Self>, known: u64, kid: Option<&str>) -> Option<Arc<Keys>> {
        let newer = || self.current().filter(|keys| keys.generation > known);
        // Twice: a fetch that was under way already may have begun before the key was published.
        for waited in [false, true] {
            let since = *self.finished.borrow();
            if let Some(keys) = newer() {
                return Some(keys);
            }
            if !self.begin(|pace, now| pace.may_ask(kid, now)) {
                if waited {
                    self.in_vain(kid);
                }
                return None;
            }
            self.wait(since).await;
        }
        newer().or_else(|| {
            self.in_vain(kid);
            None
        })
    }

    fn in_vain(&self, kid: Option<&str>) {
        let now = self.clock.steady();
        let mut state = self.state();
        // A fetch that failed says nothing of the key.
        if state.error.is_none() {
            state.pace.in_vain(kid, now);
        }
    }

    /// For readiness and status.
    pub fn status(&self) -> IssuerStatus {
        let keys = self.current();
        let age = keys.as_ref().map(|keys| self.clock.steady().saturating_sub(keys.fetched).as_secs());
        let error = self.state().error.as_ref().map(ToString::to_string);
        IssuerStatus { keys: keys.map_or(0, |keys| keys.set.len()), age, error, introspection: false }
    }

    /// Begins a fetch on the background runtime if it is worth one; true when one is under way now.
    fn begin(self: &Arc<Self>, worth: impl FnOnce(&mut Pace, Duration) -> bool) -> bool {
        {
            let now = self.clock.steady();
            let mut state = self.state();
            if state.fetching {
                return true;
            }
            if !worth(&mut state.pace, now) {
                return false;
            }
            state.fetching = true;
        }
        let flight = Flight { keys: self.clone(), landed: false };
        self.wire.load().runtime().spawn(flight.fly());
        true
    }

    async fn wait(&self, since: u64) {
        let mut finished = self.finished.subscribe();
        let _ = finished.wait_for(|count| *count > since).await;
    }

    /// Ends a fetch: what it found is there for all when they are told.
    fn land(&self, found: Result<Fetched, Unavailable>) {
        let now = self.clock.steady();
        let mut state = self.state();
        state.fetching = false;
        match found {
            Ok(Fetched { keys, fresh }) => {
                let identity = keys.identity();
                let fresh = state.pace.succeeded(fresh, now);
                state.error = None;
                let same = self.current.load_full().filter(|before| before.identity == identity);
                let generation = same
                    .map_or_else(|| GENERATION.fetch_add(1, Ordering::Relaxed), |before| before.generation);
                let usable_until = now.saturating_add(fresh).saturating_add(GRACE);
                let keys = Keys { set: keys, generation, identity, fetched: now, usable_until };
                self.current.store(Some(Arc::new(keys)));
            }
            Err(error) => {
                tracing::warn!(issuer = %self.issuer, %error, "the issuer's keys could not be fetched");
                state.pace.failed(now);
                state.error = Some(error);
            }
        }
        self.finished.send_modify(|count| *count += 1);
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A fetch under way. It outlives the callers who wait for it; given up, it lands as a failure, so that none of them
/// waits for ever.
struct Flight {
    keys: Arc<IssuerKeys>,
    landed: bool,
}

impl Flight {
    async fn fly(mut self) {
        let IssuerKeys { source, issuer, wire, .. } = &*self.keys;
        let wire = wire.load_full();
        let found = tokio::time::timeout(LONGEST_FETCH, fetch(source, issuer, &wire)).await;
        let found = found.unwrap_or_else(|_| Err(Unavailable::new(issuer, "no keys in ten seconds")));
        self.landed = true;
        self.keys.land(found);
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        if !self.landed {
            self.keys.land(Err(Unavailable::new(&self.keys.issuer, "the fetch was given up")));
        }
    }
}

/// Fetches now, and again before what was found is old.
async fn refresh(keys: Weak<IssuerKeys>) {
    loop {
        let pause = {
            let Some(keys) = keys.upgrade() else { return };
            let pause = {
                let now = keys.clock.steady();
                keys.state().pace.until_due(now)
            };
            if pause.is_zero() {
                let since = *keys.finished.borrow();
                keys.begin(|_, _| true);
                keys.wait(since).await;
            }
            pause
        };
        tokio::time::sleep(pause).await;
    }
}
