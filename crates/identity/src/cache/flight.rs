//! A fetch under way: one has the duty to fetch, the others wait, on whichever runtime.

use std::sync::Arc;
use std::time::Duration;

use safeconduct_core::time::Timestamp;
use tokio::sync::watch;

use super::{Cache, Held, Lifetime, Moment, Slot};
use crate::provider::ExchangeError;

/// A step that failed, and how.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// The configured step.
    pub(crate) step: Box<str>,
    pub(crate) error: ExchangeError,
}

/// How a flight ended, for everyone who waited.
pub(crate) type Landed = Result<Held, Arc<Failure>>;

/// What of a flight's end is kept.
pub(crate) enum Keep {
    /// A credential or subject.
    Credential {
        lifetime: Lifetime,
        /// Its end on the wall clock, less the margin.
        ends: Timestamp,
        /// See [`super::Entry::worth_with`].
        worth_with: Timestamp,
        /// Bytes of the token.
        bytes: usize,
    },
    /// The refusal.
    Refusal { lasting: Duration, asked_with: Timestamp },
}

/// The duty to fetch: one for each flight. Dropped without landing, the waiters are told.
pub(crate) struct Lead {
    cache: Arc<Cache>,
    slot: Slot,
    number: u64,
    sender: watch::Sender<Option<Landed>>,
    landed: bool,
}

impl Lead {
    pub(super) fn of(
        cache: Arc<Cache>,
        slot: Slot,
        number: u64,
        sender: watch::Sender<Option<Landed>>,
    ) -> Self {
        Self { cache, slot, number, sender, landed: false }
    }

    /// See [`Slot::bound`].
    pub(crate) fn bound(&self, caller_expires: Timestamp) -> Timestamp {
        self.slot.bound(caller_expires)
    }

    /// What it fetches is the same for all callers.
    pub(crate) fn is_shared(&self) -> bool {
        self.slot.shared
    }

    /// Ends the flight: keeps what is to be kept, and tells all who wait.
    pub(crate) fn land(mut self, outcome: Landed, keep: Option<Keep>, now: Moment) {
        self.landed = true;
        let outcome = match self.cache.land(self.slot, self.number, &outcome, keep, now) {
            true => outcome,
            false => Err(Arc::new(Failure { step: "revocation".into(), error: login_ended() })),
        };
        self.sender.send_replace(Some(outcome));
    }
}

/// What is made of a fetch for a caller whose login has ended meanwhile.
pub(crate) fn login_ended() -> ExchangeError {
    ExchangeError::SubjectRefused { error: "login_ended".into() }
}

impl Drop for Lead {
    fn drop(&mut self) {
        if !self.landed {
            self.cache.shard(self.slot.caller).touch_down(&self.slot.key, self.number);
        }
    }
}

/// A flight to wait for, on whichever runtime.
pub(crate) struct Flying(watch::Receiver<Option<Landed>>);

impl Flying {
    pub(super) fn to(landing: &watch::Receiver<Option<Landed>>) -> Self {
        Self(landing.clone())
    }

    /// Its end; None when it was given up.
    pub(crate) async fn landed(mut self) -> Option<Landed> {
        let landed = self.0.wait_for(Option::is_some).await.ok()?;
        landed.clone()
    }
}
