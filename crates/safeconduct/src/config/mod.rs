//! The configuration file: from text to a [`plan::Plan`], or to all problems at once.

mod decode;
mod mask;
mod near;
mod node;
pub mod plan;
mod policies;
mod presets;
mod problem;
mod raw;
mod render;
mod resolve;
pub mod schema;
mod values;

pub(crate) use near::{nearest, suggest};
pub use plan::Plan;
pub use policies::compile;
pub use problem::{Problem, Report, Severity, SourceText};
pub use render::Row;
pub use resolve::Surroundings;

use std::path::Path;

use crate::secrets::sealed::SealedFile;

use decode::Decode;
use problem::Problems;
use resolve::Resolver;

/// What reading a configuration came to.
pub struct Loaded {
    /// The plan, when there is no error.
    pub plan: Option<Plan>,
    /// Errors and warnings.
    pub report: Report,
}

/// Reads, resolves and checks a configuration file. Policies are read; [`compile`] compiles them.
pub fn load(path: &Path) -> Loaded {
    let name = path.display().to_string();
    match std::fs::read_to_string(path) {
        Ok(text) => read(&name, &text, &Surroundings::of_process(path)),
        Err(error) => {
            let mut problems = Problems::default();
            problems
                .error(0..0, format!("cannot read the configuration: {error}"))
                .help("name it with `--config FILE`; the default is `safeconduct.yaml` in this directory");
            finish(None, &name, "", problems)
        }
    }
}

/// Where a configuration file puts the admin listener, whatever else is wrong with it: whoever speaks to a running gateway
/// need not have its secrets.
///
/// # Errors
/// Why nothing can be read.
pub fn admin(path: &Path) -> Result<Option<std::net::SocketAddr>, String> {
    Ok(written(path)?.and_then(|file| file.admin.value().map(|address| address.0)))
}

/// Where the lock file of a configuration is, whatever else is wrong with it.
///
/// # Errors
/// Why nothing can be read.
pub fn lock(path: &Path) -> Result<std::path::PathBuf, String> {
    let file = written(path)?;
    let surroundings = Surroundings::of_process(path);
    let named = file.and_then(|file| file.lock.value().cloned());
    Ok(named.map_or(surroundings.lock, |named| surroundings.directory.join(named)))
}

/// What is written in a file, as far as it can be read.
fn written(path: &Path) -> Result<Option<raw::File>, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("cannot be read: {error}"))?;
    let node = node::parse(&text).map_err(|unreadable| format!("is not YAML: {}", unreadable.message))?;
    Ok(raw::File::decode(&node, &mut Problems::default()))
}

/// The encrypted file that a configuration names, whatever else is wrong with it: secrets that it refers to may be missing yet.
///
/// # Errors
/// Why it cannot be opened.
pub(crate) fn sealed_file(path: &Path) -> Result<SealedFile, Report> {
    let name = path.display().to_string();
    let mut problems = Problems::default();
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| {
        problems.error(0..0, format!("cannot read the configuration: {error}"));
        String::new()
    });
    let found = match node::parse(&text) {
        Ok(_) if text.is_empty() => None,
        Ok(node) => raw::File::decode(&node, &mut Problems::default()).and_then(|file| {
            Resolver::new(&Surroundings::of_process(path), &mut problems, &file).sealed_file(0..0)
        }),
        Err(unreadable) => {
            problems.error(unreadable.span, format!("this is not YAML: {}", unreadable.message));
            None
        }
    };
    if found.is_none() && problems.found.is_empty() {
        problems.error(0..0, "the configuration does not hold up").help("safeconduct check says why");
    }
    found.ok_or_else(|| finish(None, &name, &text, problems).report)
}

/// The same for a text whose surroundings are given.
pub fn read(name: &str, text: &str, surroundings: &Surroundings) -> Loaded {
    let mut problems = Problems::default();
    let node = match node::parse(text) {
        Ok(node) => node,
        Err(unreadable) => {
            problems
                .error(unreadable.span, format!("this is not YAML: {}", unreadable.message))
                .label("reading stopped here");
            return finish(None, name, text, problems);
        }
    };
    let plan = match raw::File::decode(&node, &mut problems) {
        Some(file) => Resolver::new(surroundings, &mut problems, &file).plan(),
        None => None,
    };
    finish(plan, name, text, problems)
}

fn finish(plan: Option<Plan>, name: &str, text: &str, problems: Problems) -> Loaded {
    let masked = mask::mask(text, &problems.secret_spans);
    let mut report = Report {
        sources: vec![SourceText { name: name.to_owned(), text: masked }],
        problems: problems.found,
    };
    report.sort();
    let plan = plan.filter(|_| !report.has_errors());
    Loaded { plan, report }
}
