//! Limits per caller: calls in a time, and streams at once. A caller is (issuer, subject).

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use safeconduct_core::caller::Principal;
use safeconduct_core::refusal::Reason;
use safeconduct_core::time::Timestamp;

const SHARDS: usize = 32;
/// Callers remembered per shard; beyond that those who are at rest are forgotten.
const CALLERS: usize = 8192;

/// `burst` calls at once, and on average `burst` per `window`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Number of calls.
    pub calls: u32,
    /// In this time.
    pub window: Duration,
}

#[derive(Default)]
struct Caller {
    /// When the bucket would be empty again (GCRA's theoretical arrival time).
    busy_until: Timestamp,
    streams: u32,
    /// Legacy calls in flight, which may outlive their connections.
    outliving: u32,
}

/// Legacy calls of one caller that may outlive their connections; further ones end with theirs.
const OUTLIVING: u32 = 64;

/// What is known of callers, shared by all threads; one short lock per call.
pub struct Limits {
    rate: Option<Rate>,
    streams: u32,
    hasher: RandomState,
    shards: Vec<Mutex<HashMap<u64, Caller>>>,
}

/// One of a caller's places; given back when dropped.
pub struct Place {
    limits: Arc<Limits>,
    key: u64,
    counted: fn(&mut Caller) -> &mut u32,
}

impl Limits {
    /// `streams`: how many one caller may have open.
    pub fn new(rate: Option<Rate>, streams: u32) -> Self {
        let shards = (0..SHARDS).map(|_| Mutex::default()).collect();
        Self { rate, streams, hasher: RandomState::new(), shards }
    }

    /// Counts one call.
    ///
    /// # Errors
    /// `RateLimited` with the time until the next call is free.
    pub fn call(&self, caller: &Principal, now: Timestamp) -> Result<(), Reason> {
        let Some(rate) = self.rate else { return Ok(()) };
        let each = rate.window / rate.calls.max(1);
        self.with(self.key(caller), now, |state| {
            let start = state.busy_until.max(now);
            let ahead = start.since(now);
            if ahead + each > rate.window {
                return Err(Reason::RateLimited(ahead + each - rate.window));
            }
            state.busy_until = start.plus(each);
            Ok(())
        })
    }

    /// Whether the caller may open one more stream: asked before the server is.
    ///
    /// # Errors
    /// `TooManyStreams`.
    pub fn room(&self, caller: &Principal, now: Timestamp) -> Result<(), Reason> {
        self.with(self.key(caller), now, |state| {
            if state.streams < self.streams { Ok(()) } else { Err(Reason::TooManyStreams) }
        })
    }

    /// Takes a place for a stream.
    ///
    /// # Errors
    /// `TooManyStreams`.
    pub fn stream(self: &Arc<Self>, caller: &Principal, now: Timestamp) -> Result<Place, Reason> {
        self.place(caller, now, self.streams, |state| &mut state.streams)
    }

    /// Takes a place for a call that goes on when its caller's connection ends. None when the caller has too many of
    /// these: what nobody waits for must not be without bounds.
    pub fn outlive(self: &Arc<Self>, caller: &Principal, now: Timestamp) -> Option<Place> {
        self.place(caller, now, OUTLIVING, |state| &mut state.outliving).ok()
    }

    fn place(
        self: &Arc<Self>,
        caller: &Principal,
        now: Timestamp,
        most: u32,
        counted: fn(&mut Caller) -> &mut u32,
    ) -> Result<Place, Reason> {
        let key = self.key(caller);
        self.with(key, now, |state| {
            let count = counted(state);
            if *count >= most {
                return Err(Reason::TooManyStreams);
            }
            *count += 1;
            Ok(())
        })?;
        Ok(Place { limits: self.clone(), key, counted })
    }

    fn key(&self, caller: &Principal) -> u64 {
        self.hasher.hash_one((&caller.issuer, &caller.subject))
    }

    fn with<T>(
        &self,
        key: u64,
        now: Timestamp,
        act: impl FnOnce(&mut Caller) -> Result<T, Reason>,
    ) -> Result<T, Reason> {
        let shard = usize::try_from(key).unwrap_or(0) % SHARDS;
        let Some(Ok(mut callers)) = self.shards.get(shard).map(Mutex::lock) else {
            return Err(Reason::Internal("the limits are poisoned".into()));
        };
        if callers.len() >= CALLERS && !callers.contains_key(&key) {
            callers.retain(|_, state| state.streams > 0 || state.outliving > 0 || state.busy_until > now);
            if callers.len() >= CALLERS {
                return Err(Reason::Overloaded);
            }
        }
        act(callers.entry(key).or_default())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = self.limits.with(self.key, Timestamp::default(), |state| {
            let count = (self.counted)(state);
            *count = count.saturating_sub(1);
            Ok(())
        });
    }
}

#[cfg(test)]
mod tests {
    use safeconduct_core::caller::{IssuerRules, Preset, suppose};

    use super::{CALLERS, Duration, Limits, Rate, Reason, SHARDS, Timestamp};

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn who_cannot_be_counted_is_not_served_until_others_are_at_rest() {
        let limits = Limits::new(Some(Rate { calls: 1, window: HOUR }), 1);
        let now = Timestamp::from_secs(1_000_000);
        let rules = IssuerRules::new("corp", "https://idp.example", Preset::Oidc);
        let mut caller = suppose(br#"{"sub":"x"}"#, &rules, now).unwrap();
        let mut outcomes = Vec::new();
        for number in 0..=(SHARDS * CALLERS) {
            caller.subject = number.to_string().into();
            outcomes.push(limits.call(&caller, now));
        }
        assert_eq!(outcomes.first(), Some(&Ok(())));
        let refused = outcomes.iter().filter(|outcome| **outcome == Err(Reason::Overloaded)).count();
        assert!(refused > 0, "one caller more than there are places");
        assert_eq!(limits.call(&caller, now.plus(HOUR)), Ok(()));
    }
}
