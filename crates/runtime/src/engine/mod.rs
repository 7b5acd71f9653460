//! What runs a process: one file an engine.

use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::pin::Pin;

use safeconduct_core::secret::Secret;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::launch::{Ladder, Launch};

/// What an engine's functions give, without a generic for each.
pub type Doing<'a, T> = Pin<Box<dyn Future<Output = Result<T, EngineError>> + Send + 'a>>;

/// Starts instances.
pub trait Engine: Send + Sync {
    /// `docker`, `podman` or `process`.
    fn name(&self) -> &'static str;

    /// Starts one, confined as its launch says.
    ///
    /// # Errors
    /// See [`EngineError`]; whatever was made for it by then is taken away again.
    fn start<'a>(&'a self, launch: &'a Launch) -> Doing<'a, Box<dyn Instance>>;
}

/// A started instance. Dropped without [`Instance::stop`], it is stopped in the background.
pub trait Instance: Send + Sync {
    /// Its standard streams, once; None for a server that is spoken to over HTTP, and the second time.
    fn pipes(&self) -> Option<Pipes>;

    /// Where it listens, as this program reaches it; None for one that is spoken to over its standard streams.
    fn address(&self) -> Option<SocketAddr>;

    /// The address at which this program is reached from inside, on a network that only this instance is on; loopback
    /// for an engine without networks of its own. Listeners for the instance alone are bound here.
    fn gateway(&self) -> IpAddr;

    /// The address that its connections come from: what a listener for the instance alone compares with.
    fn source(&self) -> IpAddr;

    /// Replaces one of its in-memory files.
    ///
    /// # Errors
    /// See [`EngineError`].
    fn write<'a>(&'a self, file: &'a Path, content: &'a Secret) -> Doing<'a, ()>;

    /// Waits for its end.
    ///
    /// # Errors
    /// When the engine is gone.
    fn ended(&self) -> Doing<'_, Exit>;

    /// Ends it and takes away all that was made for it.
    ///
    /// # Errors
    /// When something could not be taken away.
    fn stop(&self, ladder: Ladder) -> Doing<'_, ()>;
}

/// A process's standard streams.
pub struct Pipes {
    /// Its input.
    pub stdin: Box<dyn AsyncWrite + Send + Unpin>,
    /// Its output.
    pub stdout: Box<dyn AsyncRead + Send + Unpin>,
    /// Its error output.
    pub stderr: Box<dyn AsyncRead + Send + Unpin>,
}

/// How a process ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exit {
    /// Its code; None when a signal ended it.
    pub code: Option<i64>,
    /// It was killed because it used more memory than it may.
    pub out_of_memory: bool,
}

/// An engine did not do what it was asked. The texts are the operator's; none holds a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    /// There is no engine, or it does not answer.
    #[error("the container engine does not answer: {0}")]
    Absent(String),
    /// What was asked for is not there: an image, a path.
    #[error("{0}")]
    Missing(String),
    /// It is not allowed: a mount of the engine's socket, an image by tag, a root user.
    #[error("{0}")]
    Forbidden(String),
    /// Anything else that the engine said.
    #[error("the engine refused: {0}")]
    Refused(String),
}
