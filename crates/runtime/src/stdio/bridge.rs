//! The bridge: its processes, its sessions, and connections to it.

use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::join_all;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::DuplexStream;
use tokio::runtime::Handle;

use super::era::{self, Verdict};
use super::message::Parts;
use super::process::{Common, Opened, Over, Process, Spawned};
use super::rounds::Rounds;
use super::session::{Handshake, Session};
use super::{Sharing, http};
use crate::flight::Flight;
use crate::launch::Ladder;

/// Bytes that one connection holds on their way.
const PIPE: usize = 64 << 10;
/// Instances whose end was asked for, as many as are remembered.
const ENDING: usize = 64;

/// What a start gives.
pub type Starting<'a> = Pin<Box<dyn Future<Output = Result<Spawned, NotStarted>> + Send + 'a>>;

/// Starts processes for a bridge.
pub trait Spawn: Send + Sync + 'static {
    /// Starts another one.
    ///
    /// # Errors
    /// It was not started.
    fn spawn(&self) -> Starting<'_>;
}

/// Why there is no process, in words for the caller.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotStarted(pub Arc<str>);

/// How a bridge behaves.
#[derive(Clone, Debug)]
pub struct Options {
    /// Whose calls its processes answer.
    pub sharing: Sharing,
    /// How its processes are ended.
    pub ladder: Ladder,
    /// Longest message of a process, in bytes.
    pub longest: usize,
    /// Largest request of a client, in bytes.
    pub largest: usize,
    /// How long a process may take to answer the question for its era before it counts as legacy.
    pub probe: Duration,
    /// How long a process may take to answer a handshake.
    pub start: Duration,
    /// Processes at a time; more than one only for clients that cannot share one.
    pub processes: usize,
    /// Legacy sessions at a time; the one that was silent the longest is ended for another.
    pub sessions: usize,
    /// How long a call waits for a client's input before it is given up (a modern client, a legacy server).
    pub input: Duration,
}

impl Options {
    /// As most servers want it.
    pub fn new(sharing: Sharing) -> Self {
        Self {
            sharing,
            ladder: Ladder::default(),
            longest: 16 << 20,
            largest: 16 << 20,
            probe: Duration::from_secs(10),
            start: Duration::from_secs(60),
            processes: 4,
            sessions: if sharing == Sharing::OneCaller { 64 } else { 4096 },
            input: Duration::from_secs(300),
        }
    }
}

/// See the [module](super).
pub struct Bridge {
    pub(super) common: Common,
    pub(super) options: Options,
    pub(super) verdict: Arc<Verdict>,
    spawn: Arc<dyn Spawn>,
    processes: Mutex<Processes>,
    sessions: Mutex<HashMap<Box<str>, Arc<Session>>>,
    pub(super) rounds: Rounds,
}

#[derive(Default)]
struct Processes {
    /// Started, and not opened for anybody.
    spare: Option<Arc<Process>>,
    opened: HashMap<Variant, Flight<Result<Arc<Process>, Refused>>>,
    running: Vec<Arc<Process>>,
    /// Instances whose end was asked for.
    ending: VecDeque<Box<str>>,
    over: bool,
}

/// For whom a process was opened: these cannot share one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Variant {
    Modern,
    Legacy(Arc<str>),
}

/// Why there is no process for a request.
#[derive(Clone, Debug)]
pub(super) enum Refused {
    /// It did not start, or not answer.
    NotStarted(Arc<str>),
    /// It answered the handshake with this error (JSON text of the answer).
    Handshake(Bytes),
    /// It does not speak the stateless revision.
    NotModern,
}

/// What a bridge's processes are doing.
#[derive(Clone, Debug)]
pub struct Activity {
    /// Their instances, with the number of unanswered requests of each.
    pub processes: Vec<(Box<str>, usize)>,
    /// Legacy sessions.
    pub sessions: usize,
    /// When anybody last used it; None while a request is not answered or somebody subscribed.
    pub idle_since: Option<Instant>,
}

impl From<Over> for Refused {
    fn from(over: Over) -> Self {
        Self::NotStarted(over.0)
    }
}

impl Bridge {
    /// A bridge without a process. Its pumps run on `runtime`; connections run where [`Bridge::connect`] is called.
    pub fn new(runtime: Handle, options: Options, verdict: Arc<Verdict>, spawn: Arc<dyn Spawn>) -> Arc<Self> {
        let common = Common {
            runtime,
            sharing: options.sharing,
            ladder: options.ladder,
            longest: options.longest,
            numbers: Arc::new(AtomicU64::new(1)),
        };
        Arc::new(Self {
            common,
            options,
            verdict,
            spawn,
            processes: Mutex::default(),
            sessions: Mutex::default(),
            rounds: Rounds::default(),
        })
    }

    /// A connection that speaks HTTP/1.1.
    ///
    /// # Errors
    /// None: for the sake of those who connect to something else.
    pub fn connect(self: &Arc<Self>) -> io::Result<DuplexStream> {
        let (near, far) = tokio::io::duplex(PIPE);
        let bridge = self.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request| http::serve(bridge.clone(), request));
            // A client that goes away in the middle is not an event here.
            drop(http1::Builder::new().max_headers(128).serve_connection(TokioIo::new(far), service).await);
        });
        Ok(near)
    }

    /// Makes sure that there is a process, before anybody needs it.
    ///
    /// # Errors
    /// It was not started.
    pub async fn start(&self) -> Result<(), NotStarted> {
        if self.is_running() {
            return Ok(());
        }
        match self.fresh().await {
            Ok(process) => {
                self.lock().spare = Some(process);
                Ok(())
            }
            Err(refused) => Err(NotStarted(refused.words())),
        }
    }

    /// Whether a process runs or is being opened.
    pub fn is_running(&self) -> bool {
        let mut processes = self.lock();
        processes.prune();
        !processes.running.is_empty() || processes.opened.values().any(|flight| flight.now().is_none())
    }

    /// What goes on.
    pub fn activity(&self) -> Activity {
        let running = {
            let mut processes = self.lock();
            processes.prune();
            processes.running.clone()
        };
        let sessions: Vec<_> = self.sessions().values().cloned().collect();
        let subscribed = sessions.iter().any(|session| session.is_subscribed());
        let mut used = sessions.iter().map(|session| session.used()).max();
        let mut busy = 0;
        let mut names = Vec::with_capacity(running.len());
        for process in &running {
            let (asked, since) = process.activity();
            busy += asked;
            used = used.max(Some(since));
            names.push((process.name().into(), asked));
        }
        let idle = busy == 0 && !subscribed;
        Activity { processes: names, sessions: sessions.len(), idle_since: used.filter(|_| idle) }
    }

    /// Ends the processes; sessions stay, and get another one when they need it.
    pub async fn rest(&self, reason: &str) {
        let running = self.empty();
        join_all(running.iter().map(|process| process.stop(reason))).await;
    }

    /// Takes all processes out.
    fn empty(&self) -> Vec<Arc<Process>> {
        let mut processes = self.lock();
        processes.opened.clear();
        processes.spare = None;
        let running = std::mem::take(&mut processes.running);
        running.iter().for_each(|process| processes.will_end(process));
        running
    }

    /// New calls go to other processes; those that run now end when their calls have, or after a while.
    pub fn retire(self: &Arc<Self>, patience: Duration) {
        let running = self.empty();
        self.common.runtime.spawn(join_all(running.into_iter().map(move |process| async move {
            let ends = tokio::time::Instant::now() + patience;
            while process.activity().0 > 0 && tokio::time::Instant::now() < ends {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            process.stop("The server was started anew.").await;
        })));
    }

    /// Whether the end of this instance was asked for.
    pub fn is_ending(&self, instance: &str) -> bool {
        self.lock().ending.iter().any(|ending| **ending == *instance)
    }

    /// Ends everything; nothing is started any more.
    pub async fn end(&self, reason: &str) {
        self.lock().over = true;
        self.rounds.clear();
        let running = self.empty();
        // First what is under way is answered, then the streams end.
        running.iter().for_each(|process| process.finish(reason.into()));
        let sessions = std::mem::take(&mut *self.sessions());
        sessions.into_values().for_each(|session| session.end());
        join_all(running.iter().map(|process| process.stop(reason))).await;
    }

    /// The process that is open for a handshake.
    pub(super) async fn legacy(self: &Arc<Self>, handshake: &Handshake) -> Result<Arc<Process>, Refused> {
        let handshake = handshake.clone();
        let variant = Variant::Legacy(handshake.key.clone());
        self.opened(variant, |bridge| async move { bridge.open_legacy(&handshake).await }).await
    }

    /// The process of the stateless revision.
    pub(super) async fn modern(self: &Arc<Self>) -> Result<Arc<Process>, Refused> {
        if self.verdict.known().modern == Some(false) {
            return Err(Refused::NotModern);
        }
        self.opened(Variant::Modern, |bridge| async move { bridge.open_modern().await }).await
    }

    async fn opened<F>(
        self: &Arc<Self>,
        variant: Variant,
        open: impl FnOnce(Arc<Self>) -> F,
    ) -> Result<Arc<Process>, Refused>
    where
        F: Future<Output = Result<Arc<Process>, Refused>> + Send + 'static,
    {
        let flight = {
            let mut processes = self.lock();
            let present = processes.opened.get(&variant).filter(|flight| match flight.now() {
                None => true,
                Some(Some(Ok(process))) => process.ended().is_none(),
                Some(_) => false,
            });
            match present {
                Some(flight) => flight.clone(),
                None => {
                    let flight = Flight::begin(&self.common.runtime, open(self.clone()));
                    processes.opened.insert(variant, flight.clone());
                    flight
                }
            }
        };
        flight.landed().await.unwrap_or_else(|| Err(Refused::NotStarted("The start broke off.".into())))
    }

    async fn open_legacy(self: Arc<Self>, handshake: &Handshake) -> Result<Arc<Process>, Refused> {
        let process = self.fresh().await?;
        let answer = match process.call(&handshake.request, self.options.start).await {
            Ok(answer) => answer,
            Err(over) => {
                self.throw_away(process);
                return Err(over.into());
            }
        };
        if Parts::read(&answer).is_ok_and(|parts| parts.result.is_some()) {
            self.verdict.legacy(true);
            // Set once: the process was fresh.
            let _ = process.opened.set(Opened::Handshake(answer));
            return Ok(process);
        }
        self.throw_away(process);
        Err(Refused::Handshake(answer))
    }

    /// Asks a process for its era. One that is not modern may be in any state afterwards, or have gone: it is thrown away,
    /// and whoever needs a legacy one gets another (checklist S6).
    async fn open_modern(self: Arc<Self>) -> Result<Arc<Process>, Refused> {
        let process = self.fresh().await?;
        if self.verdict.known().modern == Some(true) {
            return Ok(process);
        }
        let answer = process.call(&era::probe(), self.options.probe).await;
        if let Ok(answer) = answer
            && Parts::read(&answer).is_ok_and(|parts| era::is_modern(&parts))
        {
            self.verdict.modern(true);
            let _ = process.opened.set(Opened::Discovery(answer));
            return Ok(process);
        }
        self.verdict.modern(false);
        self.throw_away(process);
        Err(Refused::NotModern)
    }

    async fn fresh(&self) -> Result<Arc<Process>, Refused> {
        let spare = self.lock().spare.take();
        if let Some(spare) = spare.filter(|spare| spare.ended().is_none()) {
            return Ok(spare);
        }
        self.make_room().await?;
        let spawned = self.spawn.spawn().await.map_err(|NotStarted(why)| Refused::NotStarted(why))?;
        let process = Process::run(self.common.clone(), spawned);
        let mut processes = self.lock();
        if processes.over {
            drop(processes);
            self.throw_away(process);
            return Err(Refused::NotStarted("The server is being stopped.".into()));
        }
        processes.running.push(process.clone());
        Ok(process)
    }

    /// Ends the process that was idle the longest, where another one would be too many.
    async fn make_room(&self) -> Result<(), Refused> {
        let idlest = {
            let mut processes = self.lock();
            processes.prune();
            if processes.running.len() < self.options.processes {
                return Ok(());
            }
            let idle = processes.running.iter().map(|process| (process.activity(), process));
            let idle = idle.filter(|((asked, _), _)| *asked == 0).min_by_key(|((_, since), _)| *since);
            idle.map(|(_, process)| process.clone())
        };
        let busy = "All processes that this caller may have are busy.";
        let process = idlest.ok_or_else(|| Refused::NotStarted(busy.into()))?;
        self.lock().will_end(&process);
        process.stop("Another client of the same caller needed its place.").await;
        Ok(())
    }

    fn throw_away(&self, process: Arc<Process>) {
        let mut processes = self.lock();
        processes.will_end(&process);
        processes.running.retain(|running| !Arc::ptr_eq(running, &process));
        drop(processes);
        self.common.runtime.spawn(async move { process.stop("It is not needed.").await });
    }

    /// Takes a session in.
    pub(super) fn admit(&self, session: &Arc<Session>) {
        let mut sessions = self.sessions();
        while sessions.len() >= self.options.sessions {
            let silent = sessions.values().min_by_key(|session| session.used()).cloned();
            let Some(silent) = silent else { break };
            sessions.remove(&silent.id);
            silent.end();
        }
        sessions.insert(session.id.clone(), session.clone());
    }

    /// The session with this id.
    pub(super) fn session(&self, id: &str) -> Option<Arc<Session>> {
        self.sessions().get(id).cloned()
    }

    /// Ends a process that nobody needs any more.
    pub(super) fn let_go(&self, process: Arc<Process>) {
        self.throw_away(process);
    }

    /// Ends a session.
    pub(super) fn dismiss(&self, session: &Session) {
        self.sessions().remove(&session.id);
        session.end();
    }

    /// The process that a session's handshake opened, if it runs.
    pub(super) fn present(&self, handshake: &Handshake) -> Option<Arc<Process>> {
        let flight = self.lock().opened.get(&Variant::Legacy(handshake.key.clone())).cloned()?;
        flight.now()??.ok().filter(|process| process.ended().is_none())
    }

    fn sessions(&self) -> MutexGuard<'_, HashMap<Box<str>, Arc<Session>>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, Processes> {
        self.processes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Processes {
    fn will_end(&mut self, process: &Process) {
        if self.ending.len() == ENDING {
            self.ending.pop_front();
        }
        self.ending.push_back(process.name().into());
    }

    fn prune(&mut self) {
        self.running.retain(|process| process.ended().is_none());
        self.opened.retain(|_, flight| match flight.now() {
            None => true,
            Some(Some(Ok(process))) => process.ended().is_none(),
            Some(_) => false,
        });
    }
}

impl Refused {
    /// In words for the caller.
    pub(super) fn words(&self) -> Arc<str> {
        match self {
            Self::NotStarted(why) => why.clone(),
            Self::Handshake(_) => "The server refused the handshake.".into(),
            Self::NotModern => "The server does not speak the stateless revision.".into(),
        }
    }
}
