//! All berths.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use safeconduct_core::caller::{Fingerprint, Principal};
use safeconduct_core::time::Timestamp;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use super::berth::{Berth, Common};
use super::error::{BerthError, Scope};
use super::permits::{Bounds, Permits, Who};
use super::serving::{Occupancy, Serving};
use super::snapshot::BerthStatus;
use crate::delivery::Deliver;
use crate::logs::Log;
use crate::stdio::Verdict;

/// Between two looks at what is idle or has ended.
const SWEEP: Duration = Duration::from_millis(500);
/// Logs of instances that are kept of one server, the latest last.
const LOGS: usize = 32;

/// See the [module](super). `D`: how this program's credentials are delivered.
pub struct Berths<D: Deliver> {
    common: Common,
    bounds: Bounds,
    numbers: AtomicU64,
    state: Mutex<State<D>>,
}

struct State<D: Deliver> {
    servers: HashMap<Box<str>, (Arc<Serving>, Arc<Verdict>)>,
    berths: HashMap<Key, Arc<Berth<D>>>,
    logs: HashMap<Box<str>, VecDeque<Arc<Log>>>,
    over: bool,
}

/// Server, and the caller if each has a place of their own.
type Key = (Box<str>, Option<Fingerprint>);

impl<D: Deliver> Berths<D> {
    /// An empty table. Instances are started and watched on `runtime`.
    pub fn new(runtime: Handle, bounds: Bounds) -> Arc<Self> {
        let common = Common {
            runtime,
            permits: Permits::new(bounds),
            starting: Arc::new(Semaphore::new(bounds.starting)),
        };
        let state =
            State { servers: HashMap::new(), berths: HashMap::new(), logs: HashMap::new(), over: false };
        Arc::new(Self { common, bounds, numbers: AtomicU64::new(1), state: Mutex::new(state) })
    }

    /// Takes over what is to be run. Instances of a server whose digest changed, or that is not there any more, end when
    /// their calls have, and are replaced with the next one; all others stay.
    pub fn serve(self: &Arc<Self>, servers: Vec<Serving>) {
        let mut gone = Vec::new();
        {
            let mut state = self.lock();
            let state = &mut *state;
            let mut next = HashMap::new();
            for serving in servers {
                let before = state.servers.get(&serving.server);
                let verdict = before.filter(|(before, _)| before.digest == serving.digest);
                let verdict = verdict.map(|(_, verdict)| verdict.clone()).unwrap_or_default();
                next.insert(serving.server.clone(), (Arc::new(serving), verdict));
            }
            state.servers = next;
            let (servers, logs) = (&state.servers, &mut state.logs);
            logs.retain(|server, _| servers.contains_key(server));
            state.berths.retain(|_, berth| {
                let before = berth.serving();
                let same = servers.get(&before.server).filter(|(serving, _)| serving.digest == before.digest);
                match same {
                    Some((serving, _)) => berth.serve_as(serving),
                    None => gone.push(berth.clone()),
                }
                same.is_some()
            });
        }
        for berth in gone {
            self.common.runtime.spawn(async move { berth.drain("The server was changed.").await });
        }
    }

    /// Starts the servers that are to be warm. `deliver`: what a shared server is given.
    pub async fn warm(self: &Arc<Self>, deliver: &Arc<D>) {
        let warm: Vec<_> = {
            let state = self.lock();
            let all = state.servers.values().map(|(serving, _)| serving);
            all.filter(|serving| serving.warm && serving.occupancy == Occupancy::Shared).cloned().collect()
        };
        let starts = warm.iter().map(|serving| async {
            let berth = self.berth(&serving.server, None, deliver);
            let started = match berth {
                Ok(berth) => berth.ready().await,
                Err(error) => Err(error),
            };
            if let Err(error) = started {
                tracing::warn!(server = &*serving.server, %error, "a warm server was not started");
            }
        });
        join_all(starts).await;
    }

    /// The berth of this caller at this server, with something running in it that has the credential which `deliver`
    /// brings.
    ///
    /// # Errors
    /// See [`BerthError`].
    pub async fn reach(
        self: &Arc<Self>,
        server: &str,
        principal: &Arc<Principal>,
        deliver: &Arc<D>,
    ) -> Result<Arc<Berth<D>>, BerthError> {
        let berth = self.berth(server, Some(principal), deliver)?;
        berth.refresh(deliver, principal.expires).await?;
        berth.ready().await?;
        Ok(berth)
    }

    /// Ends everything of the logins that are meant, also what is only being started: what a revocation asks for. How
    /// many berths that were.
    pub async fn revoke(&self, meant: impl Fn(&Principal) -> bool) -> usize {
        let gone = self.take(|berth| berth.principal().is_some_and(|who| meant(who)));
        join_all(gone.iter().map(|berth| berth.end("The caller's access was revoked."))).await;
        gone.len()
    }

    /// Ends everything of one server; the next call starts it again.
    pub async fn stop(&self, server: &str) -> usize {
        let gone = self.take(|berth| *berth.serving().server == *server);
        join_all(gone.iter().map(|berth| berth.end("The server was stopped."))).await;
        gone.len()
    }

    /// Ends everything, and starts nothing any more.
    pub async fn end(&self) {
        self.lock().over = true;
        let gone = self.take(|_| true);
        join_all(gone.iter().map(|berth| berth.end("The gateway is being stopped."))).await;
    }

    /// What runs.
    pub fn status(&self) -> Vec<BerthStatus> {
        let berths: Vec<_> = self.lock().berths.values().cloned().collect();
        let mut all: Vec<_> = berths.iter().map(|berth| berth.status()).collect();
        let name = |caller: &super::Caller| (caller.issuer.clone(), caller.subject.clone());
        all.sort_by_key(|berth| (berth.server.clone(), berth.caller.as_ref().map(name)));
        all
    }

    /// The logs of a server's instances, those that have ended included, the latest last.
    pub fn logs(&self, server: &str) -> Vec<Arc<Log>> {
        self.lock().logs.get(server).map(|logs| logs.iter().cloned().collect()).unwrap_or_default()
    }

    /// Ends what is idle and what has lost its caller, again and again; `clock` tells the time. Never returns.
    pub async fn watch(self: Arc<Self>, clock: impl Fn() -> Timestamp + Send) {
        loop {
            tokio::time::sleep(SWEEP).await;
            self.sweep(clock()).await;
        }
    }

    /// One look at what is idle and what has lost its caller.
    pub async fn sweep(&self, now: Timestamp) {
        let ended = self.take(|berth| berth.expires().is_some_and(|expires| expires <= now));
        let berths: Vec<_> = self.lock().berths.values().cloned().collect();
        let idle = berths.iter().filter(|berth| {
            let serving = berth.serving();
            let kept = serving.warm && serving.occupancy == Occupancy::Shared;
            !kept && berth.idle_since().is_some_and(|since| since.elapsed() >= serving.idle)
        });
        tokio::join!(
            join_all(ended.iter().map(|berth| berth.end("The caller's login has ended."))),
            join_all(idle.map(|berth| berth.rest("Nobody used it for a while."))),
        );
    }

    /// Ends what was idle the longest, of this caller or of all. False when nothing is idle.
    pub(super) async fn make_room(&self, scope: Scope, who: Option<&Who>, but: u64) -> bool {
        let berths: Vec<_> = self.lock().berths.values().cloned().collect();
        let mut idle: Vec<_> = berths
            .into_iter()
            .filter(|berth| berth.number != but && (scope == Scope::All || berth.who().as_ref() == who))
            .filter_map(|berth| Some((berth.idle_since()?, berth)))
            .collect();
        idle.sort_by_key(|(since, _)| *since);
        let Some((_, berth)) = idle.into_iter().next() else { return false };
        tracing::info!(server = &*berth.serving().server, "an idle instance made room for another");
        berth.rest("It was idle, and another instance needed its place.").await;
        true
    }

    pub(super) fn keep_log(&self, log: &Arc<Log>) {
        let mut state = self.lock();
        let logs = state.logs.entry(log.server().into()).or_default();
        if logs.len() == LOGS {
            logs.pop_front();
        }
        logs.push_back(log.clone());
    }

    fn berth(
        self: &Arc<Self>,
        server: &str,
        principal: Option<&Arc<Principal>>,
        deliver: &Arc<D>,
    ) -> Result<Arc<Berth<D>>, BerthError> {
        let mut state = self.lock();
        if state.over {
            return Err(BerthError::Stopping);
        }
        let found = state.servers.get(server).cloned();
        let (serving, verdict) = found.ok_or_else(|| BerthError::Unknown(server.into()))?;
        let principal = principal.filter(|_| serving.occupancy == Occupancy::PerCaller);
        let key = (server.into(), principal.map(|principal| principal.fingerprint));
        if let Some(berth) = state.berths.get(&key) {
            return Ok(berth.clone());
        }
        self.forget_oldest(&mut state);
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        let (common, principal) = (self.common.clone(), principal.cloned());
        let berth = Berth::new(self, common, number, serving, principal, deliver.clone(), verdict);
        state.berths.insert(key, berth.clone());
        Ok(berth)
    }

    /// Of very many berths, the one that was not used for the longest goes.
    fn forget_oldest(&self, state: &mut State<D>) {
        if state.berths.len() < self.bounds.berths {
            return;
        }
        let oldest: Option<(Instant, Key)> =
            state.berths.iter().map(|(key, berth)| (berth.used(), key.clone())).min_by_key(|(used, _)| *used);
        let gone = oldest.and_then(|(_, key)| state.berths.remove(&key));
        if let Some(gone) = gone {
            self.common.runtime.spawn(async move { gone.drain("Too many callers.").await });
        }
    }

    fn take(&self, which: impl Fn(&Berth<D>) -> bool) -> Vec<Arc<Berth<D>>> {
        let mut gone = Vec::new();
        self.lock().berths.retain(|_, berth| {
            let goes = which(berth);
            if goes {
                gone.push(berth.clone());
            }
            !goes
        });
        gone
    }

    fn lock(&self) -> MutexGuard<'_, State<D>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
