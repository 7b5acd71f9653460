//! From a server's part of the plan to what the runtime runs.

use std::sync::Arc;

use aws_lc_rs::digest::{Context, SHA256};
use safeconduct_core::secret::Secret;
use safeconduct_runtime::engine::{Engine, EngineError};
use safeconduct_runtime::launch::{Ladder, Launch};
use safeconduct_runtime::supervise::{MakeLaunch, Occupancy, Serving};

use crate::app::credentials::source;
use crate::config::Plan;
use crate::config::plan::{RunPlan, ServerPlan};

/// One server, as it is to be run.
pub(super) fn serving(plan: &Plan, server: &ServerPlan, run: &RunPlan, engine: Arc<dyn Engine>) -> Serving {
    Serving {
        server: server.name.as_str().into(),
        digest: digest(server, run, engine.name()),
        engine,
        occupancy: if super::own(server) { Occupancy::PerCaller } else { Occupancy::Shared },
        transport: run.transport.clone(),
        launch: launch(server, run),
        idle: run.idle,
        ready: plan.runtime.start,
        ladder: Ladder::default(),
        warm: false,
    }
}

/// Secrets of files are read anew for every start.
fn launch(server: &ServerPlan, run: &RunPlan) -> MakeLaunch {
    let (server, run) = (server.name.clone(), run.clone());
    Arc::new(move |instance: &str| {
        let plain = run
            .environment
            .iter()
            .map(|(name, value)| (name.clone(), Secret::new(value.as_bytes().to_vec())));
        let mut environment: Vec<(String, Secret)> = plain.collect();
        for secret in &run.secrets {
            let value = source(&secret.secret)
                .map(|source| Secret::new(source.current().expose().to_vec()))
                .map_err(|error| EngineError::Missing(error.to_string()))?;
            environment.push((secret.variable.clone(), value));
        }
        Ok(Launch {
            server: server.as_str().into(),
            instance: instance.into(),
            program: run.program.clone(),
            transport: run.transport.clone(),
            permissions: run.permissions.clone(),
            environment,
            files: Vec::new(),
        })
    })
}

/// All that an instance depends on. Debug of a plan shows no secret, so those are added.
fn digest(server: &ServerPlan, run: &RunPlan, engine: &str) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    context.update(format!("{engine}\0{run:?}\0{:?}", server.deliver).as_bytes());
    for secret in &run.secrets {
        context.update(&(secret.secret.value.len() as u64).to_le_bytes());
        context.update(secret.secret.value.expose());
    }
    let mut out = [0; 32];
    out.copy_from_slice(context.finish().as_ref());
    out
}
