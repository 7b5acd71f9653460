//! `safeconduct demo`: the whole mission on loopback, over real HTTP, with real tokens. Nothing is staged: each
//! statement is a check of what the edges saw, and the exit code says whether all held.

mod domain_b;
mod play;
mod proof;
mod show;
mod stage;
#[cfg(test)]
mod tests;

use std::io::Write as _;

use serde::Serialize;
use serde_json::Value;

use crate::exit::Exit;
use crate::present::{Paint, Said};
pub use domain_b::Cloud;
use stage::Stage;

/// What was typed.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Leave it running and print commands to paste.
    pub keep: bool,
    /// The report as JSON.
    pub json: bool,
    /// Whose shapes domain B has.
    pub cloud: Option<Cloud>,
}

/// One statement and whether it held.
#[derive(Debug, Serialize)]
struct Check {
    /// Counted through all scenes.
    number: usize,
    what: String,
    held: bool,
    /// What was seen, in a few words.
    seen: String,
}

/// One call: what the token said before and after the border.
#[derive(Debug, Serialize)]
struct Crossing {
    title: String,
    before: Value,
    after: Value,
}

/// One part of the play.
#[derive(Debug, Serialize)]
struct Scene {
    title: String,
    about: String,
    crossings: Vec<Crossing>,
    checks: Vec<Check>,
}

/// Who stands where.
#[derive(Debug, Serialize)]
struct Places {
    identity_provider: String,
    orders_api: String,
    token_service: String,
    warehouse_api: String,
    mcp_server: String,
    gateway: String,
}

/// What was played.
#[derive(Debug, Serialize)]
struct Report {
    stage: Places,
    scenes: Vec<Scene>,
    audit: Vec<Value>,
    held: bool,
    milliseconds: u128,
}

/// Plays it, and prints what was seen.
pub fn run(options: Options) -> Said {
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return Said::failure(Exit::Failed, error),
    };
    let played = runtime.block_on(async {
        let began = std::time::Instant::now();
        let mut stage = Stage::build(options.cloud)
            .await
            .map_err(|error| format!("the stage could not be set: {error}"))?;
        let report = play(&mut stage, began).await.map_err(|error| format!("the play broke off: {error}"))?;
        if options.keep {
            stage.open_again().await.map_err(|error| format!("it could not be started again: {error}"))?;
        }
        Ok::<_, String>((report, stage))
    });
    let (report, stage) = match played {
        Ok(played) => played,
        Err(error) => return Said::failure(Exit::Failed, error),
    };
    let exit = if report.held { Exit::Fine } else { Exit::Failed };
    let paint = Paint::of_stdout();
    let said = if options.json {
        Said::json(&report, exit)
    } else {
        Said { data: show::report(&report, paint), people: String::new(), exit }
    };
    if !options.keep {
        runtime.block_on(stage.close());
        return said;
    }
    // What was seen is printed before the wait, not after it.
    let exit = said.print();
    let mut stderr = std::io::stderr().lock();
    let _ = stderr.write_all(show::commands(&stage, Paint::of_stderr()).as_bytes());
    drop(stderr);
    // Until Ctrl-C; whatever goes wrong with signals ends it too.
    let _ = runtime.block_on(tokio::signal::ctrl_c());
    runtime.block_on(stage.close());
    Said { data: String::new(), people: String::new(), exit }
}

/// All scenes, and at the end the log, for which the gateway is stopped.
async fn play(stage: &mut Stage, began: std::time::Instant) -> Result<Report, Box<dyn std::error::Error>> {
    let mut scenes = play::all(stage).await?;
    scenes.push(proof::border(stage).await?);
    let audit = stage.audit_lines().await?;
    scenes.push(proof::records(&audit, stage));
    let mut held = true;
    for (at, check) in scenes.iter_mut().flat_map(|scene| &mut scene.checks).enumerate() {
        check.number = at + 1;
        held &= check.held;
    }
    let milliseconds = began.elapsed().as_millis();
    Ok(Report { stage: stage.places(), scenes, audit, held, milliseconds })
}

impl Scene {
    fn new(title: &str, about: &str) -> Self {
        Self { title: title.into(), about: about.into(), crossings: Vec::new(), checks: Vec::new() }
    }

    fn check(&mut self, what: &str, held: bool, seen: impl Into<String>) {
        self.checks.push(Check { number: 0, what: what.into(), held, seen: seen.into() });
    }
}
