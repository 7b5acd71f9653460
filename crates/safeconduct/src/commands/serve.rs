//! `safeconduct serve`: the gateway.

use std::io::Write as _;
use std::path::Path;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::app::{self, Failed, Running};
use crate::config;

/// Serves by this file until SIGTERM or SIGINT. Blocks.
///
/// # Errors
/// The problems of the file as they are printed, or what could not be started.
pub fn run(config: &Path, color: bool) -> Result<(), Failure> {
    let mut loaded = config::load(config);
    let policy = loaded.plan.as_ref().and_then(|plan| config::compile(plan, &mut loaded.report));
    let (Some(plan), Some(policy)) = (loaded.plan, policy) else {
        return Err(Failure::Configuration(loaded.report.text(color)));
    };
    let mut stderr = std::io::stderr().lock();
    if !loaded.report.problems.is_empty() {
        let _ = stderr.write_all(loaded.report.text(color).as_bytes());
    }
    let names: Vec<String> = plan.servers.iter().map(|server| server.resource.clone()).collect();
    let running = app::start(plan, policy)?;
    let _ = writeln!(stderr, "listening on {}", running.address);
    for resource in names {
        let _ = writeln!(stderr, "  {resource}");
    }
    if let Some(admin) = running.admin {
        let _ = writeln!(stderr, "admin on http://{admin}: /healthz /readyz /metrics /status");
    }
    drop(stderr);
    running.watch(config.to_owned());
    wait(&running, config)?;
    tracing::info!("draining");
    running.stop();
    Ok(())
}

/// Why serving ended, or never began.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The file does not hold up; the text is the whole report.
    #[error("{0}")]
    Configuration(String),
    /// Something could not be started.
    #[error(transparent)]
    Failed(#[from] Failed),
    /// Signals cannot be received.
    #[error("signals: {0}")]
    Signals(#[from] std::io::Error),
}

fn wait(running: &Running, config: &Path) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let [mut term, mut int, mut hup] = signals()?;
        loop {
            tokio::select! {
                _ = term.recv() => return Ok(()),
                _ = int.recv() => return Ok(()),
                _ = hup.recv() => running.hang_up(config),
            }
        }
    })
}

fn signals() -> std::io::Result<[Signal; 3]> {
    Ok([signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?, signal(SignalKind::hangup())?])
}
