//! A running gateway: started, reloaded, drained.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use safeconduct_core::audit::Sink;
use safeconduct_core::policy::Policy;
use safeconduct_core::revocation::Revocations;
use safeconduct_identity::acquire::{CredentialLimits, CredentialStore};
use safeconduct_identity::cache::CacheLimits;
use safeconduct_identity::clock::SystemClock;
use safeconduct_proxy::listener::{Listen, Listening, listen};
use safeconduct_proxy::logout::Logouts;
use safeconduct_proxy::service::Shared;
use safeconduct_proxy::sink::FileSink;
use tokio::runtime::Runtime;
use tokio::sync::watch;

use super::assemble::{Before, House, assemble};
use super::eyes::{self, Eyes};
use super::fleet::Fleet;
use super::issuers::Issuers;
use super::keeper::{self, Keeper};
use super::revoker::{Follower, Revoker};
use super::{Failed, tls};
use crate::config::Plan;
use crate::config::plan::{ServerPlan, StepPlan};

/// A gateway at work.
pub struct Running {
    /// The address that it listens on.
    pub address: SocketAddr,
    /// The address of health, metrics and status.
    pub admin: Option<SocketAddr>,
    pub(super) inner: Arc<Inner>,
    drain: watch::Sender<bool>,
    listening: Option<Listening>,
    runtime: Option<Runtime>,
}

/// What reload and status work on.
pub(super) struct Inner {
    pub(super) house: House,
    pub(super) shared: Arc<Shared>,
    tls: Arc<ArcSwapOption<rustls::ServerConfig>>,
    upstream_tls: Arc<ArcSwap<rustls::ClientConfig>>,
    pub(super) plan: Mutex<Arc<Plan>>,
    /// One reload at a time: what was read last is put to work last.
    pub(super) reloading: Mutex<()>,
    pub(super) lists: watch::Sender<u64>,
    pub(super) eyes: Eyes,
}

/// How long a stop waits until what was on loan is given back.
const RETURNED_WITHIN: Duration = Duration::from_secs(5);

/// Starts the gateway of a plan.
///
/// # Errors
/// What cannot be opened, bound or read.
pub fn start(plan: Plan, policy: Policy) -> Result<Running, Failed> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        // Names are resolved on these; one that hangs must not hold up the others. They start when needed.
        .max_blocking_threads(64)
        .thread_name("background")
        .enable_all()
        .build()
        .map_err(|error| Failed::of("runtime", error))?;
    let _entered = runtime.enter();
    let eyes = Eyes::open(&plan, runtime.handle())?;
    let house = house(&plan, &eyes, runtime.handle())?;
    let gateway = assemble(&house, &plan, policy, None)?;
    house.fleet.serve(&plan, &gateway)?;
    house.keeper.known(gateway.entrance.servers.values());
    let (drain, drained) = watch::channel(false);
    let (lists, heard) = watch::channel(0);
    let shared = Arc::new(Shared {
        gateway: ArcSwap::from_pointee(gateway),
        audit: eyes.audit.clone(),
        sink: eyes.sink.clone() as Arc<dyn Sink>,
        drain: drained,
        lists: heard,
        logouts: Logouts::new(house.revoker.clone()),
    });
    let server_tls = plan.tls.as_ref().map(tls::server).transpose()?;
    let server_tls = Arc::new(ArcSwapOption::from(server_tls));
    let upstream_tls = Arc::new(ArcSwap::from(tls::upstream(&plan)?));
    let listening = listen(
        Listen {
            address: plan.listen,
            workers: std::thread::available_parallelism().map_or(1, usize::from),
            tls: server_tls.clone(),
            upstream_tls: upstream_tls.clone(),
            connect: plan.timeouts.connect,
            head: plan.timeouts.head,
            connections: plan.limits.connections as usize,
            grace: plan.timeouts.drain,
        },
        &shared,
    )
    .map_err(|error| Failed::of(format!("listen {}", plan.listen), error))?;
    let admin_address = plan.admin;
    let address = listening.address;
    let inner = Arc::new(Inner {
        house,
        shared,
        tls: server_tls,
        upstream_tls,
        plan: Mutex::new(Arc::new(plan)),
        reloading: Mutex::new(()),
        lists,
        eyes,
    });
    runtime.spawn(keeper::keep(inner.clone()));
    let admin = match admin_address {
        Some(admin) => Some(eyes::serve_admin(&inner, admin, &listening, runtime.handle())?),
        None => None,
    };
    drop(_entered);
    Ok(Running { address, admin, inner, drain, listening: Some(listening), runtime: Some(runtime) })
}

fn house(plan: &Plan, eyes: &Eyes, runtime: &tokio::runtime::Handle) -> Result<House, Failed> {
    // As long as the slowest chain may take; each step bounds itself by its own `timeout`.
    let chain = |server: &ServerPlan| server.credential.iter().map(StepPlan::timeout).sum::<Duration>();
    let longest = plan.servers.iter().map(chain).fold(plan.timeouts.token_endpoint, Duration::max);
    let limits = CredentialLimits {
        cache: CacheLimits { entries: plan.limits.credentials as usize, ..CacheLimits::default() },
        wait: longest + Duration::from_secs(5),
        step: longest + Duration::from_secs(5),
    };
    let clock = Arc::new(SystemClock::new());
    let revocations = Arc::new(Revocations::default());
    let store = CredentialStore::under(revocations.clone(), limits, clock.clone(), runtime.clone())
        .map_err(|_| Failed::of("random numbers", "the system gives none"))?;
    let mut session_key = [0; 32];
    aws_lc_rs::rand::fill(&mut session_key)
        .map_err(|_| Failed::of("random numbers", "the system gives none"))?;
    let issuers = Issuers::new(clock);
    let revoker = Revoker::new(revocations, store.clone(), issuers.known().clone(), runtime.clone());
    let keeper = Keeper::open(&plan.lock, eyes.sink.clone())?;
    let fleet = Fleet::new(plan, eyes.sink.clone(), keeper.clone(), runtime);
    revoker.follow(fleet.clone());
    let (runtime, revoker) = (runtime.clone(), Arc::new(revoker));
    Ok(House { runtime, store, issuers, revoker, fleet, keeper, session_key })
}

impl Running {
    /// Puts another plan to work. Calls and streams in flight go on under theirs.
    ///
    /// # Errors
    /// What the plan names and cannot be had; then the old plan stays.
    pub fn reload(&self, plan: Plan, policy: Policy) -> Result<(), Failed> {
        self.inner.reload(plan, policy)
    }

    /// Tells this one of all revocations from now on.
    pub fn tell_of_revocations(&self, follower: Arc<dyn Follower>) {
        self.inner.house.revoker.follow(follower);
    }

    /// Watches the configuration file, and everything that it names, for changes.
    pub fn watch(&self, config: PathBuf) {
        if let Some(runtime) = &self.runtime {
            runtime.spawn(super::reload::watch(self.inner.clone(), config));
        }
    }

    /// Reads the configuration file again, and opens the audit log anew (SIGHUP).
    pub fn hang_up(&self, config: &std::path::Path) {
        self.inner.eyes.audit.reopen();
        super::reload::reread(&self.inner, config);
    }

    /// The audit log.
    pub fn audit(&self) -> &Arc<FileSink> {
        &self.inner.eyes.audit
    }

    /// Ends: new calls are refused, calls in flight end in the plan's `timeouts.drain`, the audit log is written
    /// to its end. Blocks.
    pub fn stop(mut self) {
        let _ = self.drain.send(true);
        if let Some(listening) = self.listening.take() {
            listening.join();
        }
        self.inner.house.fleet.end();
        if let Some(runtime) = &self.runtime {
            // What was made for callers elsewhere ends with the gateway.
            runtime.block_on(self.inner.house.store.leases().end(RETURNED_WITHIN));
        }
        self.inner.house.keeper.turn();
        self.inner.eyes.close(Duration::from_secs(5));
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(Duration::from_secs(1));
        }
    }
}

impl Inner {
    pub(super) fn plan(&self) -> Arc<Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn reload(&self, plan: Plan, policy: Policy) -> Result<(), Failed> {
        let _entered = self.house.runtime.enter();
        let before = self.plan();
        let gateway = self.shared.gateway.load_full();
        // What may fail comes first: a bad plan changes nothing.
        let tls = plan.tls.as_ref().map(tls::server).transpose()?;
        let upstream_tls = tls::upstream(&plan)?;
        let next = assemble(&self.house, &plan, policy, Some(Before { plan: &before, gateway: &gateway }))?;
        self.house.fleet.serve(&plan, &next)?;
        self.house.keeper.known(next.entrance.servers.values());
        self.upstream_tls.store(upstream_tls);
        self.tls.store(tls);
        self.eyes.watch(&plan);
        self.shared.gateway.store(Arc::new(next));
        let texts =
            |plan: &Plan| -> Vec<String> { plan.policies.iter().map(|source| source.text.clone()).collect() };
        let changed = texts(&before) != texts(&plan);
        *self.plan.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(plan);
        if changed {
            // What lists show may have changed: listeners are told (checklist P12).
            self.lists.send_modify(|count| *count += 1);
        }
        Ok(())
    }
}
