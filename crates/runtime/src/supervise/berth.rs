//! The place of one caller at one server.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use safeconduct_core::caller::Principal;
use safeconduct_core::time::Timestamp;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use super::backoff::Backoff;
use super::error::BerthError;
use super::http::Http;
use super::permits::{Permit, Permits, Who};
use super::run::Run;
use super::serving::{Occupancy, Serving};
use super::stdio::Spawner;
use super::table::Berths;
use crate::delivery::{Deliver, Freshness};
use crate::flight::Flight;
use crate::launch::Transport;
use crate::logs::Source;
use crate::stdio::{Bridge, Options, Sharing, Verdict};

/// How long calls that are under way may take to end, when what answers them must go.
pub(super) const DRAIN: Duration = Duration::from_secs(30);
/// How long an instance that is about to be ended may take to give its credential back.
const CLEARING: Duration = Duration::from_secs(2);

/// A connection to an instance.
pub trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Io for S {}

/// What all berths have in common.
#[derive(Clone)]
pub(super) struct Common {
    pub(super) runtime: Handle,
    pub(super) permits: Arc<Permits>,
    pub(super) starting: Arc<Semaphore>,
}

/// See the module.
pub struct Berth<D: Deliver> {
    pub(super) common: Common,
    pub(super) number: u64,
    /// None: all callers'.
    pub(super) principal: Option<Arc<Principal>>,
    pub(super) speaks: Speaks<D>,
    pub(super) verdict: Arc<Verdict>,
    table: Weak<Berths<D>>,
    over: AtomicBool,
    state: Mutex<State<D>>,
}

/// How its instances are spoken to.
pub(super) enum Speaks<D: Deliver> {
    Stdio(Arc<Bridge>),
    Http(Http<D>),
}

struct State<D: Deliver> {
    serving: Arc<Serving>,
    deliver: Arc<D>,
    expires: Timestamp,
    used: Instant,
    backoff: Backoff,
    runs: Vec<Arc<Run<D>>>,
    /// Why the last start was refused.
    refused: Option<BerthError>,
    start: Option<Flight<Result<(), BerthError>>>,
}

impl<D: Deliver> Berth<D> {
    pub(super) fn new(
        table: &Arc<Berths<D>>,
        common: Common,
        number: u64,
        serving: Arc<Serving>,
        principal: Option<Arc<Principal>>,
        deliver: Arc<D>,
        verdict: Arc<Verdict>,
    ) -> Arc<Self> {
        Arc::new_cyclic(|berth: &Weak<Self>| {
            let speaks = match serving.transport {
                Transport::Stdio => {
                    let sharing = match serving.occupancy {
                        Occupancy::PerCaller => Sharing::OneCaller,
                        Occupancy::Shared => Sharing::AllCallers,
                    };
                    let options =
                        Options { ladder: serving.ladder, start: serving.ready, ..Options::new(sharing) };
                    let spawner = Arc::new(Spawner(berth.clone()));
                    Speaks::Stdio(Bridge::new(common.runtime.clone(), options, verdict.clone(), spawner))
                }
                Transport::Http { .. } => Speaks::Http(Http::default()),
            };
            let state = State {
                expires: principal.as_ref().map_or(Timestamp::default(), |principal| principal.expires),
                serving,
                deliver,
                used: Instant::now(),
                backoff: Backoff::default(),
                runs: Vec::new(),
                refused: None,
                start: None,
            };
            Self {
                common,
                number,
                principal,
                speaks,
                verdict,
                table: Arc::downgrade(table),
                over: AtomicBool::new(false),
                state: Mutex::new(state),
            }
        })
    }

    /// A number for connections that may be used again: two with the same number lead to the same instance, or to
    /// ones that stand for each other.
    pub fn id(&self) -> u64 {
        match &self.speaks {
            Speaks::Stdio(_) => self.number,
            Speaks::Http(http) => http.generation().unwrap_or(self.number),
        }
    }

    /// The caller whose place it is; None if it is everybody's.
    pub fn principal(&self) -> Option<&Arc<Principal>> {
        self.principal.as_ref()
    }

    /// A connection that speaks HTTP/1.1, as the instance's own.
    ///
    /// # Errors
    /// Nothing runs, or it does not accept.
    pub async fn connect(&self) -> io::Result<Box<dyn Io>> {
        match &self.speaks {
            Speaks::Stdio(bridge) => Ok(Box::new(bridge.connect()?)),
            Speaks::Http(http) => Ok(Box::new(http.connect().await?)),
        }
    }

    /// A newer call of the caller came: its credential reaches what runs.
    pub(super) async fn refresh(
        self: &Arc<Self>,
        deliver: &Arc<D>,
        expires: Timestamp,
    ) -> Result<(), BerthError> {
        let runs = {
            let mut state = self.lock();
            state.deliver = deliver.clone();
            state.used = Instant::now();
            state.expires = state.expires.max(expires);
            state.runs.clone()
        };
        let mut stale = false;
        // One that is about to end has what it has.
        for run in runs.iter().filter(|run| !self.is_ending(&run.name)) {
            stale |= deliver.refresh(&run.delivered, &*run.instance).await? == Freshness::Stale;
        }
        if stale {
            match &self.speaks {
                Speaks::Stdio(bridge) => bridge.retire(DRAIN),
                Speaks::Http(http) => http.retire(self, DRAIN),
            }
        }
        Ok(())
    }

    /// Makes sure that something runs: begun once, however many ask.
    pub(super) async fn ready(self: &Arc<Self>) -> Result<(), BerthError> {
        if self.runs_already() {
            return Ok(());
        }
        let flight = {
            let mut state = self.lock();
            match state.start.as_ref().filter(|flight| flight.now().is_none()) {
                Some(flight) => flight.clone(),
                None => {
                    let berth = self.clone();
                    let flight = Flight::begin(&self.common.runtime, async move { berth.start().await });
                    state.start = Some(flight.clone());
                    flight
                }
            }
        };
        flight.landed().await.unwrap_or(Err(BerthError::Stopping))
    }

    fn runs_already(&self) -> bool {
        match &self.speaks {
            Speaks::Stdio(bridge) => bridge.is_running(),
            Speaks::Http(http) => http.is_running(),
        }
    }

    async fn start(self: Arc<Self>) -> Result<(), BerthError> {
        match &self.speaks {
            Speaks::Stdio(bridge) => bridge
                .start()
                .await
                .map_err(|words| self.lock().refused.take().unwrap_or(BerthError::NotReady(words.0))),
            Speaks::Http(http) => http.start(&self).await,
        }
    }

    /// Whether a start is allowed now.
    pub(super) fn may_start(&self) -> Result<(), BerthError> {
        if self.is_over() {
            return Err(BerthError::Stopping);
        }
        match self.lock().backoff.wait(Instant::now()) {
            Some((retry, reason)) => Err(BerthError::BackOff { reason, retry }),
            None => Ok(()),
        }
    }

    /// Leave to run one more instance; where there is no room, one that is idle makes it.
    pub(super) async fn permit(&self) -> Result<Permit, BerthError> {
        let who = self.who();
        loop {
            let scope = match self.common.permits.take(who.as_ref()) {
                Ok(permit) => return Ok(permit),
                Err(scope) => scope,
            };
            let table = self.table.upgrade().ok_or(BerthError::Stopping)?;
            if !table.make_room(scope, who.as_ref(), self.number).await {
                return Err(BerthError::Full(scope));
            }
        }
    }

    /// Its end was asked for.
    pub(super) fn is_over(&self) -> bool {
        self.over.load(Ordering::SeqCst)
    }

    pub(super) fn who(&self) -> Option<Who> {
        self.principal.as_ref().map(|principal| (principal.issuer.clone(), principal.subject.clone()))
    }

    pub(super) fn refuse(&self, error: BerthError) {
        self.lock().refused = Some(error);
    }

    pub(super) fn failed(&self, reason: Arc<str>, ran: Duration) {
        self.lock().backoff.failed(reason, ran, Instant::now());
    }

    pub(super) fn failures(&self) -> (Option<(u32, Arc<str>)>, Option<Duration>) {
        let state = self.lock();
        (state.backoff.failures(), state.backoff.wait(Instant::now()).map(|(wait, _)| wait))
    }

    pub(super) fn remember(&self, run: &Arc<Run<D>>) {
        self.lock().runs.push(run.clone());
        if let Some(table) = self.table.upgrade() {
            table.keep_log(&run.log);
        }
    }

    pub(super) fn forget(&self, run: &Arc<Run<D>>) {
        self.lock().runs.retain(|other| !Arc::ptr_eq(other, run));
    }

    /// Whether the end of this one was asked for.
    pub(super) fn is_ending(&self, instance: &str) -> bool {
        self.is_over()
            || match &self.speaks {
                Speaks::Stdio(bridge) => bridge.is_ending(instance),
                Speaks::Http(http) => http.is_ending(instance),
            }
    }

    pub(super) fn runs(&self) -> Vec<Arc<Run<D>>> {
        self.lock().runs.clone()
    }

    pub(super) fn serving(&self) -> Arc<Serving> {
        self.lock().serving.clone()
    }

    pub(super) fn serve_as(&self, serving: &Arc<Serving>) {
        self.lock().serving = serving.clone();
    }

    pub(super) fn deliver(&self) -> Arc<D> {
        self.lock().deliver.clone()
    }

    /// When the caller's token ends; None for a berth of all callers.
    pub(super) fn expires(&self) -> Option<Timestamp> {
        self.principal.as_ref().map(|_| self.lock().expires)
    }

    pub(super) fn used(&self) -> Instant {
        self.lock().used
    }

    /// Since when what runs in it is idle; None while it works, and when nothing runs.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        let idle = match &self.speaks {
            Speaks::Stdio(bridge) if bridge.is_running() => bridge.activity().idle_since,
            Speaks::Http(http) if http.is_running() => http.is_idle().then(|| self.used()),
            _ => None,
        };
        idle.map(|since| since.max(self.used()))
    }

    /// Ends what runs; the berth stays.
    pub(super) async fn rest(self: &Arc<Self>, reason: &str) {
        match &self.speaks {
            Speaks::Stdio(bridge) => bridge.rest(reason).await,
            Speaks::Http(http) => http.rest(self.serving().ladder).await,
        }
    }

    /// Lets calls end, for a while, and ends then.
    pub(super) async fn drain(self: &Arc<Self>, reason: &str) {
        let ends = tokio::time::Instant::now() + DRAIN;
        while self.is_busy() && tokio::time::Instant::now() < ends {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        self.end(reason).await;
    }

    /// Ends it: nothing is started in it any more.
    pub(super) async fn end(self: &Arc<Self>, reason: &str) {
        self.over.store(true, Ordering::SeqCst);
        self.take_back().await;
        match &self.speaks {
            Speaks::Stdio(bridge) => bridge.end(reason).await,
            Speaks::Http(http) => http.rest(self.serving().ladder).await,
        }
    }

    /// Takes the credentials back from what runs: it may take a while to end, and must not use them in it.
    async fn take_back(&self) {
        let deliver = self.deliver();
        for run in self.runs() {
            let clearing = deliver.clear(&run.delivered, &*run.instance);
            if let Ok(Err(error)) = tokio::time::timeout(CLEARING, clearing).await {
                run.log.line(Source::Runtime, error.to_string().as_bytes());
            }
        }
    }

    fn is_busy(&self) -> bool {
        match &self.speaks {
            Speaks::Stdio(bridge) => bridge.activity().processes.iter().any(|(_, asked)| *asked > 0),
            Speaks::Http(http) => http.is_running() && !http.is_idle(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<D>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
