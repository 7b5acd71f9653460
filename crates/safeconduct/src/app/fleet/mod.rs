//! The servers that are started here: the path's [`Berths`](safeconduct_proxy::berth::Berths) on one side, the runtime
//! on the other. This is the one place where the two meet.

mod bringing;
mod engines;
mod launches;
mod lines;
mod reaching;
mod ways_out;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use safeconduct_core::audit::Sink;
use safeconduct_core::revocation::Revocation;
use safeconduct_identity::acquire::Credentials;
use safeconduct_proxy::admin::Lines;
use safeconduct_proxy::gateway::Gateway;
use safeconduct_runtime::delivery::Delivery;
use safeconduct_runtime::engine::Engine;
use safeconduct_runtime::engine::docker::Images;
use safeconduct_runtime::launch::Program;
use safeconduct_runtime::supervise::{BerthStatus, Berths, Bounds};
use tokio::runtime::Handle;

pub(crate) use self::engines::connect as container_engine;

use self::bringing::Bringing;
use self::engines::Engines;
use self::launches::serving;
use self::reaching::Reaching;
use self::ways_out::WaysOut;
use super::Failed;
use super::revoker::Follower;
use super::state::{self, Claim};
use crate::config::Plan;
use crate::config::plan::{DeliverPlan, ServerPlan};

/// All started servers. It outlives a reload: an instance whose part of the file did not change runs on.
pub(super) struct Fleet {
    berths: Arc<Berths<Bringing>>,
    engines: Engines,
    ways_out: Arc<WaysOut>,
    runtime: Handle,
    state: std::path::PathBuf,
    /// Taken with the first server that is started, or when the file names a directory.
    claim: Mutex<Option<Claim>>,
}

impl Fleet {
    /// An empty one.
    pub(super) fn new(
        plan: &Plan,
        sink: Arc<dyn Sink>,
        images: Arc<dyn Images>,
        runtime: &Handle,
    ) -> Arc<Self> {
        let bounds = Bounds {
            total: plan.runtime.instances as usize,
            per_caller: plan.runtime.per_caller as usize,
            ..Bounds::default()
        };
        let ways_out = Arc::new(WaysOut::new(sink.clone()));
        let berths = Berths::new(runtime.clone(), bounds);
        let watched = berths.clone();
        runtime.spawn(async move { watched.watch(move || sink.now()).await });
        let engines = Engines::new(&plan.runtime, ways_out.clone(), images);
        let state = state::directory(&plan.runtime);
        Arc::new(Self { berths, engines, ways_out, runtime: runtime.clone(), state, claim: Mutex::default() })
    }

    /// Takes over what a plan wants started. Blocks while an engine is looked for.
    ///
    /// # Errors
    /// When there is no engine, or the state directory is another gateway's; then nothing changes.
    pub(super) fn serve(&self, plan: &Plan, gateway: &Gateway) -> Result<(), Failed> {
        // Before an engine is asked: the first thing that it does is to remove what an earlier run has left.
        self.claim(plan)?;
        let mut all = Vec::new();
        for server in &plan.servers {
            let Some(run) = &server.run else { continue };
            let engine = self
                .runtime
                .block_on(self.engines.engine(run.engine.or(plan.runtime.engine)))
                .map_err(|error| Failed::of(format!("servers.{}", server.name), error))?;
            self.make_ready(server.name.clone(), run.program.clone(), engine.clone());
            all.push(serving(plan, server, run, engine));
        }
        self.ways_out.known(gateway.entrance.servers.values());
        self.berths.serve(all);
        Ok(())
    }

    /// What takes long is made ahead of the first call. When that fails, the call fails too, and says why.
    fn make_ready(&self, server: String, program: Program, engine: Arc<dyn Engine>) {
        self.runtime.spawn(async move {
            if let Err(error) = engine.make_ready(&program).await {
                tracing::warn!(server, %error, "is not ready to be started");
            }
        });
    }

    fn claim(&self, plan: &Plan) -> Result<(), Failed> {
        let wanted = plan.runtime.state.is_some() || plan.servers.iter().any(|server| server.run.is_some());
        let mut claim = self.claim.lock().unwrap_or_else(PoisonError::into_inner);
        if wanted && claim.is_none() {
            *claim = Some(Claim::take(&self.state, plan.listen)?);
        }
        Ok(())
    }

    /// The berths of one plan, for the path.
    pub(super) fn berths(
        self: &Arc<Self>,
        plan: &Plan,
        credentials: &Arc<Credentials>,
    ) -> Arc<dyn safeconduct_proxy::berth::Berths> {
        let deliveries: HashMap<Box<str>, Arc<Delivery>> = plan
            .servers
            .iter()
            .filter_map(|server| match &server.deliver {
                DeliverPlan::Instance(delivery) => {
                    Some((server.name.as_str().into(), Arc::new(delivery.clone())))
                }
                _ => None,
            })
            .collect();
        Arc::new(Reaching::new(
            self.berths.clone(),
            self.ways_out.clone(),
            deliveries,
            plan.servers
                .iter()
                .filter(|server| own(server))
                .map(|server| server.name.as_str().into())
                .collect(),
            credentials.clone(),
            self.runtime.clone(),
        ))
    }

    /// What runs, for status.
    pub(super) fn status(&self) -> Vec<BerthStatus> {
        self.berths.status()
    }

    /// What the instances of a server say; None for one that is not started here.
    pub(super) fn logs(&self, server: &str, follow: bool) -> Option<Lines> {
        let known = self.ways_out.is_started(server);
        known.then(|| lines::of(&self.berths.logs(server), follow))
    }

    /// Ends what runs of a server; the next call starts it again.
    pub(super) async fn stop(&self, server: &str) -> Option<usize> {
        let known = self.ways_out.is_started(server);
        if known { Some(self.berths.stop(server).await) } else { None }
    }

    /// What a server that learns has asked for, as lines to paste.
    pub(super) fn learned(&self, server: &str) -> String {
        self.ways_out.learned(server)
    }

    /// Ends all of them. Blocks.
    pub(super) fn end(&self) {
        self.runtime.block_on(async {
            self.berths.end().await;
            self.engines.end().await;
        });
        drop(self.claim.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}

/// Instances of a caller whose login has ended, end.
impl Follower for Fleet {
    fn revoked(&self, revocation: &Revocation) {
        let (berths, revocation) = (self.berths.clone(), revocation.clone());
        self.runtime.spawn(async move { berths.revoke(|who| revocation.covers(who)).await });
    }
}

/// Whether each caller has an instance of their own.
fn own(server: &ServerPlan) -> bool {
    matches!(server.deliver, DeliverPlan::Instance(_))
        || server.run.as_ref().is_some_and(|run| run.per_caller)
}
