//! What runs a process: one file an engine.

pub mod docker;
mod listener;
pub mod process;
mod scratch;

use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;

use safeconduct_core::secret::Secret;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

pub use self::listener::Listener;
use crate::launch::{Ladder, Launch, Program};

/// What an engine's functions give, without a generic for each.
pub type Doing<'a, T> = Pin<Box<dyn Future<Output = Result<T, EngineError>> + Send + 'a>>;

/// Starts instances, in two steps: what a credential endpoint is bound to must be known before the variables that
/// name it can be.
pub trait Engine: Send + Sync {
    /// `docker`, `podman` or `process`.
    fn name(&self) -> &'static str;

    /// Makes the place for one instance: its network, and whatever else does not depend on variables and files.
    /// Nothing runs in it yet.
    ///
    /// # Errors
    /// See [`EngineError`]; whatever was made by then is taken away again.
    fn prepare<'a>(&'a self, launch: &'a Launch) -> Doing<'a, Box<dyn Place>>;

    /// Makes what takes long and is made once, ahead of the first start: the image of a package. Does nothing for
    /// programs that need no such thing.
    ///
    /// # Errors
    /// See [`EngineError`]; a start then says the same.
    fn make_ready<'a>(&'a self, _program: &'a Program) -> Doing<'a, ()> {
        Box::pin(async { Ok(()) })
    }
}

/// A place made for one instance. Dropped without [`Place::start`], it is taken away in the background.
pub trait Place: Send + Sync {
    /// A listener of this program that this instance alone reaches; port 0 for any. It may be bound only when the
    /// instance runs (inside the instance's own network namespace no other program can connect, and addresses such
    /// as loopback ones are its own), so never bind one by hand.
    ///
    /// # Errors
    /// When there is no network on which the instance and this program meet, or the port is taken.
    fn listen(&self, port: u16) -> Doing<'_, Listener>;

    /// Starts the instance, confined as its launch says. Since [`Engine::prepare`] only variables and files were added.
    ///
    /// # Errors
    /// See [`EngineError`]; the place and whatever was made in it are taken away again.
    fn start<'a>(self: Box<Self>, launch: &'a Launch) -> Doing<'a, Arc<dyn Instance>>;
}

/// A started instance. When the last one who holds it lets go without [`Instance::stop`], it is stopped in the background.
pub trait Instance: Send + Sync {
    /// Its standard streams, once; None the second time. Of a server that is spoken to over HTTP the output is for
    /// the log alone, and may be None.
    fn pipes(&self) -> Option<Pipes>;

    /// Where it listens, as this program reaches it; None for one that is spoken to over its standard streams.
    fn address(&self) -> Option<SocketAddr>;

    /// Whether the server itself listens by now: what stands at [`Instance::address`] may be a listener of this program's
    /// own, which leads to it.
    fn listens(&self) -> Doing<'_, bool> {
        Box::pin(async move {
            match self.address() {
                Some(address) => Ok(TcpStream::connect(address).await.is_ok()),
                None => Ok(false),
            }
        })
    }

    /// The address that its connections come from: what a listener for the instance alone compares with.
    fn source(&self) -> IpAddr;

    /// Replaces one of its in-memory files.
    ///
    /// # Errors
    /// See [`EngineError`].
    fn write<'a>(&'a self, file: &'a Path, content: &'a Secret) -> Doing<'a, ()>;

    /// Waits for its end. May be asked by several, and after the end.
    ///
    /// # Errors
    /// When the engine is gone.
    fn ended(&self) -> Doing<'_, Exit>;

    /// Ends it and takes away all that was made for it. Its input was let go of before: the ladder's first step is
    /// only waited for. Asked again, it does nothing.
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
