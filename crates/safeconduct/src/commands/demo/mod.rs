//! `safeconduct demo`: the whole mission on loopback, over real HTTP, with real tokens. Nothing is staged: each
//! statement is a check of what the edges saw, and the exit code says whether all held.

mod play;
mod show;
mod stage;

use std::io::Write as _;

use serde::Serialize;
use serde_json::Value;

use crate::exit::Exit;
use crate::present::{Paint, Said};
use stage::Stage;

/// What was typed.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Leave it running and print commands to paste.
    pub keep: bool,
    /// The report as JSON.
    pub json: bool,
}

/// One statement and whether it held.
#[derive(Debug, Serialize)]
struct Check {
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

/// What was played.
#[derive(Debug, Serialize)]
struct Report {
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
        let mut stage = Stage::build().await?;
        let mut scenes = play::all(&stage).await?;
        let audit = stage.audit_lines().await?;
        scenes.push(play::records(&audit, &stage));
        let held = scenes.iter().flat_map(|scene| &scene.checks).all(|check| check.held);
        let report = Report { scenes, audit, held, milliseconds: began.elapsed().as_millis() };
        if options.keep {
            stage.open_again().await?;
        }
        Ok::<_, Box<dyn std::error::Error>>((report, stage))
    });
    let (report, stage) = match played {
        Ok(played) => played,
        Err(error) => return Said::failure(Exit::Failed, format!("the stage could not be set: {error}")),
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
