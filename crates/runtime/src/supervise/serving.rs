//! One server, as the configuration wants it run.

use std::sync::Arc;
use std::time::Duration;

use crate::engine::{Engine, EngineError};
use crate::launch::{Ladder, Launch, Transport};

/// Whose calls one instance answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Occupancy {
    /// One caller's. What a server keeps in memory, and what it is told to ask for, is nobody else's.
    PerCaller,
    /// All callers'. Only for servers that need no credential of the caller and keep nothing of one call for the next.
    Shared,
}

/// Makes the launch of an instance with this name. Called for every start, so that secrets are read anew.
pub type MakeLaunch = Arc<dyn Fn(&str) -> Result<Launch, EngineError> + Send + Sync>;

/// See the module.
#[derive(Clone)]
pub struct Serving {
    /// Name of the server.
    pub server: Box<str>,
    /// What runs it.
    pub engine: Arc<dyn Engine>,
    /// Whose calls one instance answers.
    pub occupancy: Occupancy,
    /// How it is spoken to; the same as in its launches.
    pub transport: Transport,
    /// See [`MakeLaunch`].
    pub launch: MakeLaunch,
    /// Hash over all that an instance depends on, secrets included: with another one, instances are replaced.
    pub digest: [u8; 32],
    /// Unused for this long, an instance is ended.
    pub idle: Duration,
    /// How long an instance may take until it answers.
    pub ready: Duration,
    /// How an instance is ended.
    pub ladder: Ladder,
    /// Started with the program and kept although it is idle. Of a shared server only: what is started for a caller
    /// needs the caller's credential.
    pub warm: bool,
}
