//! What runs, for a status page and for `list`.

use std::sync::Arc;
use std::time::Duration;

use super::berth::{Berth, Speaks};
use crate::delivery::Deliver;

/// One berth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BerthStatus {
    /// Name of the server.
    pub server: Box<str>,
    /// Name of the engine.
    pub engine: &'static str,
    /// Whose place it is; None: all callers'.
    pub caller: Option<Caller>,
    /// What it is doing.
    pub state: State,
    /// What runs in it.
    pub instances: Vec<InstanceStatus>,
    /// Legacy sessions that it holds (stdio).
    pub sessions: usize,
    /// `legacy`, `modern` or `both`, as far as it is known (stdio).
    pub era: Option<&'static str>,
    /// Failures in a row.
    pub trouble: Option<Trouble>,
}

/// A caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Name of the issuer in the configuration.
    pub issuer: Box<str>,
    /// Subject.
    pub subject: Box<str>,
    /// See [`safeconduct_core::caller::Fingerprint`].
    pub fingerprint: Box<str>,
}

/// What a berth is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Something runs in it.
    Running,
    /// Nothing runs; the next call starts it.
    Asleep,
    /// Nothing runs, and nothing is started before a time has passed.
    BackingOff,
}

/// One instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstanceStatus {
    /// Its name.
    pub name: Box<str>,
    /// How long it has been running.
    pub running: Duration,
    /// Requests that it has not answered (stdio).
    pub unanswered: usize,
}

/// Failures in a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// How many.
    pub failures: u32,
    /// Why the last one.
    pub reason: Arc<str>,
    /// When it is tried again; None: with the next call.
    pub retry: Option<Duration>,
}

impl<D: Deliver> Berth<D> {
    /// What it is doing.
    pub fn status(&self) -> BerthStatus {
        let serving = self.serving();
        let (unanswered, sessions) = match &self.speaks {
            Speaks::Stdio(bridge) => {
                let activity = bridge.activity();
                (activity.processes, activity.sessions)
            }
            Speaks::Http(_) => (Vec::new(), 0),
        };
        let asked = |name: &str| {
            let found = unanswered.iter().find(|(process, _)| **process == *name);
            found.map_or(0, |(_, asked)| *asked)
        };
        let instances: Vec<_> = self
            .runs()
            .iter()
            .map(|run| InstanceStatus {
                name: run.name.clone(),
                running: run.started.elapsed(),
                unanswered: asked(&run.name),
            })
            .collect();
        let (failures, retry) = self.failures();
        let state = match (instances.is_empty(), retry) {
            (false, _) => State::Running,
            (true, Some(_)) => State::BackingOff,
            (true, None) => State::Asleep,
        };
        BerthStatus {
            server: serving.server.clone(),
            engine: serving.engine.name(),
            caller: self.principal.as_ref().map(|principal| Caller {
                issuer: principal.issuer.clone(),
                subject: principal.subject.clone(),
                fingerprint: principal.fingerprint.to_string().into(),
            }),
            state,
            instances,
            sessions,
            era: self.verdict.name(),
            trouble: failures.map(|(failures, reason)| Trouble { failures, reason, retry }),
        }
    }
}
