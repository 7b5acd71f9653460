//! Servers that are started here. What starts them is not known to this crate: it is handed a permitted call, and
//! says how the instance that serves it is reached.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;

use safeconduct_core::path::Outbound;
use safeconduct_core::refusal::Reason;
use tokio::io::{AsyncRead, AsyncWrite};

/// Where instances are.
pub trait Berths: Send + Sync {
    /// The instance that serves this call, started if it is not there, with the caller's credential brought to it.
    ///
    /// # Errors
    /// `ServerNotStarted`, `NoRoomForServer`.
    fn reach<'a>(&'a self, outbound: &'a Outbound) -> Reaching<'a>;
}

/// An instance on the way.
pub type Reaching<'a> = Pin<Box<dyn Future<Output = Result<Arc<dyn Berth>, Reason>> + Send + 'a>>;

/// One instance.
pub trait Berth: Send + Sync {
    /// A number that no other instance of this process ever has: connections are kept by it.
    fn number(&self) -> u64;

    /// A connection, on which it speaks HTTP/1.1.
    ///
    /// # Errors
    /// When it is gone.
    fn connect(&self) -> Connecting<'_>;
}

/// A connection on the way.
pub type Connecting<'a> = Pin<Box<dyn Future<Output = io::Result<Box<dyn Io>>> + Send + 'a>>;

/// A connection, plain or not.
pub trait Io: AsyncRead + AsyncWrite + Unpin + Send {}

impl<I: AsyncRead + AsyncWrite + Unpin + Send> Io for I {}

/// Nothing is started here.
pub struct NoBerths;

impl Berths for NoBerths {
    fn reach<'a>(&'a self, _: &'a Outbound) -> Reaching<'a> {
        Box::pin(async { Err(Reason::ServerNotStarted("nothing is started here".into())) })
    }
}
