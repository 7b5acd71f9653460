//! The engines that are in use: each is looked for when a server first needs it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use safeconduct_runtime::egress::{Common, EgressLog};
use safeconduct_runtime::engine::docker::{Docker, Images, Progress, Settings, Step, Surroundings, Wanted};
use safeconduct_runtime::engine::process::ProcessEngine;
use safeconduct_runtime::engine::{Engine, EngineError};
use tokio::sync::Mutex;

use super::ways_out::WaysOut;
use crate::app::state;
use crate::config::plan::{EngineWord, RuntimePlan};

/// See the module.
pub(super) struct Engines {
    plan: RuntimePlan,
    log: Arc<dyn EgressLog>,
    images: Arc<dyn Images>,
    found: Mutex<BTreeMap<&'static str, Arc<dyn Engine>>>,
    containers: Mutex<Vec<Docker>>,
}

/// How long an end waits until an engine has removed what is left.
const SWEPT_WITHIN: Duration = Duration::from_secs(10);

impl Engines {
    pub(super) fn new(plan: &RuntimePlan, log: Arc<WaysOut>, images: Arc<dyn Images>) -> Self {
        Self { plan: plan.clone(), log, images, found: Mutex::default(), containers: Mutex::default() }
    }

    /// The engine of this name; None: Docker or Podman, whichever answers.
    ///
    /// # Errors
    /// When there is none.
    pub(super) async fn engine(&self, word: Option<EngineWord>) -> Result<Arc<dyn Engine>, EngineError> {
        let name = word.map_or("any", EngineWord::word);
        let mut found = self.found.lock().await;
        if let Some(engine) = found.get(name) {
            return Ok(engine.clone());
        }
        let engine: Arc<dyn Engine> = match word {
            Some(EngineWord::Process) => Arc::new(ProcessEngine::new()),
            _ => Arc::new(self.containers(word).await?),
        };
        found.insert(name, engine.clone());
        Ok(engine)
    }

    async fn containers(&self, word: Option<EngineWord>) -> Result<Docker, EngineError> {
        let docker = connect(&self.plan, word, self.log.clone(), self.images.clone()).await?;
        if let Some(lacking) = docker.lacking().first() {
            return Err(EngineError::Refused(format!("it cannot enforce {lacking}")));
        }
        tracing::info!(
            engine = docker.name(),
            version = docker.version(),
            link = docker.link(),
            "container engine"
        );
        // What a gateway of this name left behind when it crashed.
        let swept = docker.sweep(|_| false).await?;
        if swept.containers > 0 {
            tracing::warn!(
                containers = swept.containers,
                "removed what an earlier run of this gateway left behind"
            );
        }
        if swept.spared > 0 {
            tracing::warn!(
                containers = swept.spared,
                "another gateway runs from a file of the same place and address: what it started is left alone"
            );
        }
        self.containers.lock().await.push(docker.clone());
        Ok(docker)
    }

    /// Removes what could not be removed when its time had come: an engine may have been away.
    pub(super) async fn end(&self) {
        for docker in self.containers.lock().await.iter() {
            let swept = tokio::time::timeout(SWEPT_WITHIN, docker.sweep(|_| false)).await;
            if !matches!(swept, Ok(Ok(_))) {
                tracing::warn!(engine = docker.name(), "what is left there is removed at the next start");
            }
        }
    }
}

/// A connection to the engine that the plan means.
pub(crate) async fn connect(
    plan: &RuntimePlan,
    word: Option<EngineWord>,
    log: Arc<dyn EgressLog>,
    images: Arc<dyn Images>,
) -> Result<Docker, EngineError> {
    let wanted = match (&plan.socket, word) {
        (Some(socket), _) => Wanted::At(format!("unix://{}", socket.display())),
        (None, Some(EngineWord::Docker)) => Wanted::Docker,
        (None, Some(EngineWord::Podman)) => Wanted::Podman,
        (None, _) => Wanted::Any,
    };
    let mut settings = Settings::new(plan.owner.as_str());
    settings.state = vec![state::directory(plan), state::home()];
    settings.state.extend(plan.sealed.iter().cloned());
    settings.program = std::env::current_exe().ok();
    settings.egress = Common { log, ..Common::default() };
    settings.progress = Arc::new(Pulls);
    settings.images = images;
    Docker::find(&wanted, Surroundings::of_process(), settings).await
}

/// Pulls take long: what they do is in the log.
struct Pulls;

impl Progress for Pulls {
    fn step(&self, image: &str, step: &Step<'_>) {
        match step.bytes {
            Some((done, all)) => {
                tracing::debug!(image, layer = step.layer, status = step.status, done, all, "pull")
            }
            None => tracing::info!(image, layer = step.layer, status = step.status, "pull"),
        }
    }
}
