//! Does the container engine answer that is to run the server, and can it enforce what the server may not do?

use safeconduct_runtime::engine::docker::{Docker, Settings, Surroundings, Wanted};

use super::super::check::Finding;
use crate::config::plan::{EngineWord, Plan, RunPlan};

/// Asks it.
pub(super) async fn check(run: &RunPlan, plan: &Plan) -> Finding {
    let word = run.engine.or(plan.runtime.engine);
    let wanted = match (&plan.runtime.socket, word) {
        (_, Some(EngineWord::Process)) => {
            return Finding::warn(
                "a plain process of this machine: nothing is asked, and nothing confines it",
                "for development only: in production give the server an `image`",
            );
        }
        (Some(socket), _) => Wanted::At(format!("unix://{}", socket.display())),
        (None, Some(EngineWord::Docker)) => Wanted::Docker,
        (None, Some(EngineWord::Podman)) => Wanted::Podman,
        (None, None) => Wanted::Any,
    };
    match Docker::find(&wanted, Surroundings::of_process(), Settings::new("doctor")).await {
        Err(error) => Finding::fail(
            error.to_string(),
            "start the engine, or name its socket in `runtime.socket`; may this user speak to it (`docker version`, `podman info`)?",
        ),
        Ok(engine) if !engine.lacking().is_empty() => Finding::fail(
            format!("version {} cannot enforce: {}", engine.version(), engine.lacking().join(", ")),
            "nothing is started by an engine that cannot confine: turn it on there (cgroups of version 2, seccomp)",
        ),
        Ok(engine) => Finding::ok(format!("version {}; servers are met {}", engine.version(), engine.link())),
    }
}
