//! The keys of one issuer, kept fresh.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use safeconduct_core::caller::KeySet;
use tokio::sync::watch;

use super::source::{Fetched, KeySource, Unavailable, fetch};
use crate::clock::Clock;
use crate::wire::Wire;

/// Keys are refreshed no more often than this, whatever the issuer says.
const SOONEST: Duration = Duration::from_secs(60);
/// And no less often.
const LATEST: Duration = Duration::from_secs(24 * 3600);
/// When the issuer says nothing.
const USUAL: Duration = Duration::from_secs(600);
/// Between two fetches because of an unknown key.
const PAUSE: Duration = Duration::from_secs(30);
/// After a fetch that failed while there are no keys at all; doubled up to `SOONEST`.
const IMPATIENT: Duration = Duration::from_secs(1);
/// Keys outlive an outage of the issuer by this.
const GRACE: Duration = Duration::from_secs(24 * 3600);
/// Unknown key names remembered, so that one of them does not cost a fetch twice.
const STRANGERS: usize = 256;

/// A key set with its number; a token verified with an older one is verified anew.
pub struct Keys {
    /// The keys.
    pub set: KeySet,
    /// Another number for each set that differs from the one before; unique in this process.
    pub generation: u64,
    document: [u8; 32],
    fetched: Duration,
}

/// See the module.
pub struct IssuerKeys {
    issuer: Box<str>,
    source: KeySource,
    wire: Wire,
    clock: Arc<dyn Clock>,
    current: ArcSwapOption<Keys>,
    state: Mutex<State>,
    /// Counts finished fetches: whoever waits for one watches it.
    finished: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    fetching: bool,
    /// When the last fetch was begun because of an unknown key.
    asked: Option<Duration>,
    strangers: VecDeque<Box<str>>,
    error: Option<Unavailable>,
    failed: Option<Duration>,
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
}

static GENERATION: AtomicU64 = AtomicU64::new(1);

impl IssuerKeys {
    /// Starts to fetch in the background, until the last handle is dropped. Never blocks.
    pub fn start(issuer: &str, source: KeySource, wire: Wire, clock: Arc<dyn Clock>) -> Arc<Self> {
        let keys = Arc::new(Self {
            issuer: issuer.into(),
            source,
            wire: wire.clone(),
            clock,
            current: ArcSwapOption::empty(),
            state: Mutex::default(),
            finished: watch::Sender::new(0),
        });
        wire.runtime().spawn(refresh(Arc::downgrade(&keys)));
        keys
    }

    /// Where the keys come from: an issuer whose source stays keeps its keys over a reload.
    pub fn source(&self) -> &KeySource {
        &self.source
    }

    /// The keys as they are known; they may be none.
    pub fn current(&self) -> Option<Arc<Keys>> {
        let keys = self.current.load_full()?;
        (self.clock.steady().saturating_sub(keys.fetched) < GRACE).then_some(keys)
    }

    /// The keys, waiting for the first fetch if there are none: it is the same for all who wait.
    ///
    /// # Errors
    /// Why there are none.
    pub async fn first(self: &Arc<Self>) -> Result<Arc<Keys>, Unavailable> {
        if let Some(keys) = self.current() {
            return Ok(keys);
        }
        let since = *self.finished.borrow();
        if !self.just_failed() {
            self.begin();
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
        let newer = |keys: Arc<Keys>| (keys.generation > known).then_some(keys);
        if let Some(keys) = self.current().and_then(newer) {
            return Some(keys);
        }
        let since = *self.finished.borrow();
        if !self.may_ask(kid) {
            return None;
        }
        self.begin();
        self.wait(since).await;
        self.current().and_then(newer)
    }

    /// For readiness and status.
    pub fn status(&self) -> IssuerStatus {
        let keys = self.current();
        let age = keys.as_ref().map(|keys| self.clock.steady().saturating_sub(keys.fetched).as_secs());
        let error = self.state().error.as_ref().map(ToString::to_string);
        IssuerStatus { keys: keys.map_or(0, |keys| keys.set.len()), age, error }
    }

    /// Callers do not make an issuer that is down be asked more often than the refresh does.
    fn just_failed(&self) -> bool {
        let now = self.clock.steady();
        let state = self.state();
        !state.fetching && state.failed.is_some_and(|failed| now.saturating_sub(failed) < IMPATIENT)
    }

    /// Whether a token's unknown key is worth a fetch, or one is under way already.
    fn may_ask(&self, kid: Option<&str>) -> bool {
        let now = self.clock.steady();
        let mut state = self.state();
        if state.fetching {
            return true;
        }
        if state.asked.is_some_and(|asked| now.saturating_sub(asked) < PAUSE) {
            return false;
        }
        if let Some(kid) = kid {
            if state.strangers.iter().any(|stranger| **stranger == *kid) {
                return false;
            }
            if state.strangers.len() >= STRANGERS {
                state.strangers.pop_front();
            }
            state.strangers.push_back(kid.into());
        }
        state.asked = Some(now);
        true
    }

    /// Begins a fetch on the background runtime, unless one is under way.
    fn begin(self: &Arc<Self>) {
        {
            let mut state = self.state();
            if state.fetching {
                return;
            }
            state.fetching = true;
        }
        let keys = self.clone();
        self.wire.runtime().spawn(async move {
            // What went wrong is in the state.
            let _ = keys.fetch().await;
        });
    }

    async fn wait(&self, since: u64) {
        let mut finished = self.finished.subscribe();
        let _ = finished.wait_for(|count| *count > since).await;
    }

    /// One fetch; how long what it found is fresh.
    async fn fetch(&self) -> Result<Option<Duration>, ()> {
        let found = fetch(&self.source, &self.issuer, &self.wire).await;
        let mut state = self.state();
        state.fetching = false;
        let outcome = match found {
            Ok(Fetched { keys, document, fresh }) => {
                // A key that was unknown may be among these.
                state.strangers.clear();
                state.error = None;
                let same = self.current.load_full().filter(|before| before.document == document);
                let generation =
                    same.map_or_else(|| GENERATION.fetch_add(1, Ordering::Relaxed), |before| before.generation);
                let keys = Keys { set: keys, generation, document, fetched: self.clock.steady() };
                self.current.store(Some(Arc::new(keys)));
                Ok(fresh)
            }
            Err(error) => {
                tracing::warn!(issuer = %self.issuer, %error, "the issuer's keys could not be fetched");
                state.error = Some(error);
                state.failed = Some(self.clock.steady());
                Err(())
            }
        };
        drop(state);
        self.finished.send_modify(|count| *count += 1);
        outcome
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Fetches now, and again before what was found is old.
async fn refresh(keys: Weak<IssuerKeys>) {
    let mut impatient = IMPATIENT;
    loop {
        let pause = {
            let Some(keys) = keys.upgrade() else { return };
            let mine = {
                let mut state = keys.state();
                !std::mem::replace(&mut state.fetching, true)
            };
            if mine {
                match keys.fetch().await {
                    Ok(fresh) => {
                        impatient = IMPATIENT;
                        jittered(fresh.unwrap_or(USUAL).clamp(SOONEST, LATEST))
                    }
                    Err(()) => {
                        impatient = (impatient * 2).min(SOONEST);
                        jittered(impatient)
                    }
                }
            } else {
                IMPATIENT
            }
        };
        tokio::time::sleep(pause).await;
    }
}

/// Somewhat less, so that replicas do not ask at once.
fn jittered(pause: Duration) -> Duration {
    let mut random = [0u8; 4];
    let _ = aws_lc_rs::rand::fill(&mut random);
    let share = f64::from(u32::from_le_bytes(random)) / f64::from(u32::MAX);
    pause.mul_f64(0.9 + 0.1 * share)
}
