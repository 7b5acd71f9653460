//! Why a call does not reach an instance.

use std::sync::Arc;
use std::time::Duration;

use crate::engine::EngineError;

/// Whose bound was met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// This caller's own.
    Caller,
    /// That of all callers together.
    All,
}

/// Why a call does not reach an instance. `Display` is the operator's message; none holds a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BerthError {
    /// There is no such server here.
    #[error("no server {0} is run here")]
    Unknown(Box<str>),
    /// As many instances run as may, and none of them is idle.
    #[error("as many instances run as may ({}), and none is idle", match .0 { Scope::Caller => "of this caller", Scope::All => "in all" })]
    Full(Scope),
    /// It ended too often; it is not tried before that time has passed.
    #[error("not started again for {} s: {reason}", .retry.as_secs().max(1))]
    BackOff {
        /// Why it was not started, or how it ended.
        reason: Arc<str>,
        /// When it will be tried again.
        retry: Duration,
    },
    /// The engine did not start it, or the credential was not delivered.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// It was started, and does not answer.
    #[error("the server was started and does not answer: {0}")]
    NotReady(Arc<str>),
    /// It is being stopped: the program ends, the caller's login has ended, the server was taken out.
    #[error("the server is being stopped")]
    Stopping,
}

impl BerthError {
    /// The caller's message.
    pub fn for_caller(&self) -> &'static str {
        match self {
            Self::Unknown(_) => "There is no such server.",
            Self::Full(Scope::Caller) => {
                "Too many of your servers are busy. Try again when one of them is done."
            }
            Self::Full(Scope::All) => "Too many servers are busy. Try again in a moment.",
            Self::BackOff { .. } => "The server ended several times. It is tried again in a while.",
            Self::Engine(_) => "The server could not be started.",
            Self::NotReady(_) => "The server was started and does not answer.",
            Self::Stopping => "The server is being stopped. Try again in a moment.",
        }
    }

    /// How long a caller should wait before another attempt; None where that would not help.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::BackOff { retry, .. } => Some(*retry),
            Self::Full(_) | Self::Stopping => Some(Duration::from_secs(1)),
            Self::Unknown(_) | Self::Engine(_) | Self::NotReady(_) => None,
        }
    }
}
