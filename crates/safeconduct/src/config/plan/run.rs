//! Servers that this program starts.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use safeconduct_runtime::launch::{Permissions, Program, Transport};

use super::{EngineWord, SecretValue};

/// What starts servers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuntimePlan {
    /// What runs them; None: Docker or Podman, whichever answers.
    pub engine: Option<EngineWord>,
    /// The engine's socket, where it is not in its usual place.
    pub socket: Option<PathBuf>,
    /// This gateway's own directory; None: one named after `owner`, below the user's.
    pub state: Option<PathBuf>,
    /// Most started servers.
    pub instances: u32,
    /// Most started servers of one caller.
    pub per_caller: u32,
    /// How long one may take to be ready.
    pub start: Duration,
    /// Name of this gateway at the engine, the same after a restart.
    pub owner: String,
    /// The encrypted file with secrets, and its key if that is a file. No server sees them, and a change of them is a
    /// reload.
    pub sealed: Vec<PathBuf>,
}

impl RuntimePlan {
    /// As it is without a file.
    pub fn usual() -> Self {
        Self {
            engine: None,
            socket: None,
            state: None,
            instances: 50,
            per_caller: 10,
            start: Duration::from_secs(60),
            owner: String::new(),
            sealed: Vec::new(),
        }
    }
}

/// One server to be started.
#[derive(Clone, Debug)]
pub struct RunPlan {
    /// What runs it; None: as [`RuntimePlan::engine`] says.
    pub engine: Option<EngineWord>,
    /// What is run.
    pub program: Program,
    /// How it is spoken to.
    pub transport: Transport,
    /// What it may do.
    pub permissions: Permissions,
    /// Variables that are no secrets.
    pub environment: Vec<(String, String)>,
    /// Secrets.
    pub secrets: Vec<RunSecret>,
    /// How long it may be idle.
    pub idle: Duration,
    /// Each caller has an instance of their own, also without a credential that is brought to it.
    pub per_caller: bool,
}

/// A secret of a started server.
#[derive(Clone, Debug)]
pub struct RunSecret {
    /// The variable that it stands in.
    pub variable: String,
    /// The secret.
    pub secret: Arc<SecretValue>,
}
