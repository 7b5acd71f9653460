//! From what is written to what is meant. Every check is made, whatever the others found.

mod clients;
mod deliver;
mod issuers;
mod listener;
mod outside;
mod package;
mod policies;
mod run;
mod sealed;
mod secrets;
mod servers;
mod steps;
mod url;

use std::path::{Path, PathBuf};

use super::decode::At;
use super::near::suggest;
use super::plan::Plan;
use super::problem::Problems;
use super::raw;

pub use secrets::Surroundings;

/// What the checks share.
pub(super) struct Resolver<'a> {
    pub(super) surroundings: &'a Surroundings,
    pub(super) problems: &'a mut Problems,
    pub(super) file: &'a raw::File,
    /// Opened when something first refers to it.
    sealed: Option<sealed::Sealed>,
}

impl<'a> Resolver<'a> {
    /// For what was read of a file.
    pub(super) fn new(
        surroundings: &'a Surroundings,
        problems: &'a mut Problems,
        file: &'a raw::File,
    ) -> Self {
        Self { surroundings, problems, file, sealed: None }
    }
}

impl Resolver<'_> {
    /// The plan; None when an error was noted, here or before.
    pub(super) fn plan(mut self) -> Option<Plan> {
        let file = self.file;
        let listener = self.listener();
        let clients = self.clients();
        let issuers = self.issuers();
        let group_maps = self.group_maps();
        let servers = self.servers(listener.as_ref().map(|listener| listener.public_url.as_str()));
        let policies = self.policies();
        let audit = self.audit();
        let limits = self.limits();
        let timeouts = self.timeouts();
        let session_key = self.session_key();
        let telemetry = self.telemetry();
        let runtime = self.runtime();
        let ca_file = file.ca_file.given().map(|path| self.readable(path));
        let listener = listener?;
        Some(Plan {
            listen: listener.listen,
            tls: listener.tls,
            public_url: listener.public_url,
            admin: file.admin.value().map(|address| address.0),
            allowed_hosts: listener.allowed_hosts,
            allowed_origins: listener.allowed_origins,
            trusted_proxies: listener.trusted_proxies,
            ca_file,
            issuers,
            clients,
            servers,
            group_maps,
            policies: policies.sources,
            policy_paths: policies.paths,
            lock: file
                .lock
                .value()
                .map_or_else(|| self.surroundings.lock.clone(), |written| self.path(written)),
            audit,
            limits,
            timeouts,
            session_key,
            telemetry,
            runtime,
        })
    }

    /// A path as the file means it: relative to the file's own directory.
    pub(super) fn path(&self, written: &str) -> PathBuf {
        self.surroundings.directory.join(written)
    }

    /// The same, after noting when it cannot be opened.
    pub(super) fn readable(&mut self, written: &At<String>) -> PathBuf {
        let path = self.path(&written.value);
        if let Err(error) = open(&path) {
            self.problems
                .error(written.span.clone(), format!("cannot read `{}`: {}", written.value, plainly(&error)))
                .label("this file")
                .help("relative paths start at the directory of the configuration file");
        }
        path
    }

    /// Notes a name that is not among the known ones.
    pub(super) fn known(
        &mut self,
        what: &str,
        section: &str,
        written: &At<String>,
        known: &[String],
    ) -> bool {
        if known.contains(&written.value) {
            return true;
        }
        let help = suggest(&written.value, known.iter().map(String::as_str))
            .unwrap_or_else(|| format!("there is no `{section}` section, or nothing in it"));
        self.problems
            .error(written.span.clone(), format!("no {what} is called `{}`", written.value))
            .label(format!("not under `{section}`"))
            .help(help);
        false
    }

    fn group_maps(&mut self) -> Vec<(String, Vec<(String, String)>)> {
        let Some(maps) = self.file.group_maps.value() else { return Vec::new() };
        maps.iter()
            .map(|(name, map)| {
                let rows = map.value.iter().map(|(group, word)| (group.value.clone(), word.value.clone()));
                (name.value.clone(), rows.collect())
            })
            .collect()
    }
}

fn open(path: &Path) -> std::io::Result<()> {
    let metadata = std::fs::File::open(path)?.metadata()?;
    if metadata.is_dir() {
        return Err(std::io::ErrorKind::IsADirectory.into());
    }
    Ok(())
}

// Without the number of the operating system's error, which says nothing to people.
fn plainly(error: &std::io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default().to_lowercase();
    if text.is_empty() { error.kind().to_string() } else { text }
}

/// True for a name that can stand in a path and in a policy without being escaped.
pub(super) fn plain_name(name: &str) -> bool {
    let mut characters = name.chars();
    characters.next().is_some_and(|first| first.is_ascii_alphanumeric())
        && name.len() <= 64
        && characters.all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
}
