//! The wiring: from a plan to a running gateway. Everything that outlives a reload is in `House`; everything
//! that a plan says is in the `Gateway` that `assemble` makes of it.

mod assemble;
mod clients;
mod credentials;
mod eyes;
mod fleet;
mod issuers;
mod keeper;
mod orders;
mod rehearsal;
mod reload;
mod revoker;
mod running;
mod state;
mod tls;

pub(crate) use fleet::container_engine;
pub(crate) use rehearsal::{Rehearsal, rehearse};
pub use reload::Reloaded;
pub use revoker::Follower;
pub use running::{Running, start};

use std::fmt;

/// The gateway could not be started, or a plan not be put to work.
#[derive(Debug, thiserror::Error)]
pub struct Failed {
    what: String,
    why: String,
}

impl Failed {
    pub(crate) fn of(what: impl fmt::Display, why: impl fmt::Display) -> Self {
        Self { what: what.to_string(), why: why.to_string() }
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.why)
    }
}
