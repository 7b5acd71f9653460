//! How much of this program one instance's connections may use.

use std::time::Duration;

/// Bounds of one instance's way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections at the same time; further ones wait to be accepted.
    pub connections: usize,
    /// Refusals that are answered at once, and as many more each ten seconds; further ones are held up, so that a
    /// server that tries in a loop does not fill the audit file.
    pub refusals: u32,
    /// Until it is said where to: the greeting of TLS, the head of an HTTP request.
    pub head: Duration,
    /// Until a name is resolved.
    pub resolve: Duration,
    /// Until one address is connected.
    pub connect: Duration,
    /// Without a byte in either direction.
    pub idle: Duration,
    /// Altogether.
    pub total: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 256,
            refusals: 100,
            head: Duration::from_secs(30),
            resolve: Duration::from_secs(5),
            connect: Duration::from_secs(5),
            idle: Duration::from_secs(15 * 60),
            total: Duration::from_secs(12 * 3600),
        }
    }
}
