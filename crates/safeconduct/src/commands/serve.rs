//! `safeconduct serve`: the gateway.

use std::io::Write as _;
use std::path::Path;

use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::app::{self, Failed, Running};
use crate::config;

/// Serves by this file until SIGTERM or SIGINT. Blocks.
///
/// # Errors
/// The problems of the file as they are printed, or what could not be started.
pub fn run(config: &Path, color: bool) -> Result<(), Failure> {
    run_with(config, color, "")
}

/// The same, with something to say once it serves.
pub(super) fn run_with(config: &Path, color: bool, notice: &str) -> Result<(), Failure> {
    let mut loaded = config::load(config);
    let policy = loaded.plan.as_ref().and_then(|plan| config::compile(plan, &mut loaded.report));
    let (Some(plan), Some(policy)) = (loaded.plan, policy) else {
        return Err(Failure::Configuration(loaded.report.text(color)));
    };
    say(&loaded.report.text(color));
    let names: Vec<String> = plan.servers.iter().map(|server| format!("  {}\n", server.resource)).collect();
    // Before anything can be said or served: a signal that comes early is not lost, and does not kill.
    let signals = Signals::new()?;
    let running = app::start(plan, policy)?;
    let admin =
        running.admin.map(|admin| format!("admin on http://{admin}: /healthz /readyz /metrics /status\n"));
    say(&format!("listening on {}\n{}{}", running.address, names.concat(), admin.unwrap_or_default()));
    say(notice);
    running.watch(config.to_owned());
    signals.wait(&running, config);
    tracing::info!("draining");
    running.stop();
    Ok(())
}

// For people; that nobody listens to it is no reason not to serve.
fn say(text: &str) {
    let _ = std::io::stderr().write_all(text.as_bytes());
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

struct Signals {
    runtime: Runtime,
    term: Signal,
    int: Signal,
    hup: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let entered = runtime.enter();
        let [term, int, hup] = [
            signal(SignalKind::terminate())?,
            signal(SignalKind::interrupt())?,
            signal(SignalKind::hangup())?,
        ];
        drop(entered);
        Ok(Self { runtime, term, int, hup })
    }

    /// Until SIGTERM or SIGINT; SIGHUP reloads.
    fn wait(self, running: &Running, config: &Path) {
        let Self { runtime, mut term, mut int, mut hup } = self;
        runtime.block_on(async {
            loop {
                tokio::select! {
                    _ = term.recv() => return,
                    _ = int.recv() => return,
                    _ = hup.recv() => running.hang_up(config),
                }
            }
        });
    }
}
