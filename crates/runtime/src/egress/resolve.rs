//! Names to addresses.

use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;

/// The addresses of a name, in the order in which they are to be tried.
pub type Resolving<'a> = Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send + 'a>>;

/// Finds the addresses of a name. What it gives is checked before anything connects there, and is what is connected
/// to: nobody asks a second time.
pub trait Resolve: Send + Sync {
    /// Asks.
    fn resolve<'a>(&'a self, name: &'a str) -> Resolving<'a>;
}

/// As this machine resolves names.
pub struct System;

impl Resolve for System {
    fn resolve<'a>(&'a self, name: &'a str) -> Resolving<'a> {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name, 0)).await?;
            Ok(found.map(|address| address.ip().to_canonical()).collect())
        })
    }
}
