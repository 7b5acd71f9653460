//! After failures in a row, the next start waits: not at all at first, then 1 s, 2 s, 4 s and so on up to a minute.

use std::sync::Arc;
use std::time::{Duration, Instant};

const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(60);
/// An instance that ran for this long was well: what came before is forgotten.
const WELL: Duration = Duration::from_secs(60);
/// So is what is this long ago.
const FORGOTTEN: Duration = Duration::from_secs(300);

/// The failures of one berth.
#[derive(Clone, Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
    last: Option<(Instant, Arc<str>)>,
}

impl Backoff {
    /// A start failed, or what was started ended by itself after `ran`.
    pub(super) fn failed(&mut self, reason: Arc<str>, ran: Duration, now: Instant) {
        let long_ago = self.last.as_ref().is_some_and(|(at, _)| now.duration_since(*at) > FORGOTTEN);
        self.failures = if ran >= WELL || long_ago { 1 } else { self.failures.saturating_add(1) };
        self.last = Some((now, reason));
    }

    /// How long the next start has to wait, and why.
    pub(super) fn wait(&self, now: Instant) -> Option<(Duration, Arc<str>)> {
        let (at, reason) = self.last.as_ref()?;
        let doublings = self.failures.checked_sub(2)?;
        let wait = FIRST.saturating_mul(1_u32.checked_shl(doublings).unwrap_or(u32::MAX)).min(LONGEST);
        let left = wait.checked_sub(now.duration_since(*at))?;
        (!left.is_zero()).then(|| (left, reason.clone()))
    }

    /// Failures in a row, and the last one's reason.
    pub(super) fn failures(&self) -> Option<(u32, Arc<str>)> {
        self.last.as_ref().map(|(_, reason)| (self.failures, reason.clone()))
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::Backoff;

    const SHORT: Duration = Duration::from_millis(10);

    #[test]
    fn the_first_failure_costs_nothing_and_the_others_twice_as_much_each_up_to_a_minute() {
        let (mut backoff, now) = (Backoff::default(), Instant::now());
        assert!(backoff.wait(now).is_none());
        let waits: Vec<_> = (0..9)
            .map(|_| {
                backoff.failed("exit code 1".into(), SHORT, now);
                backoff.wait(now).map_or(0, |(wait, _)| wait.as_secs())
            })
            .collect();
        assert_eq!(waits, [0, 1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(backoff.wait(now).unwrap().1, "exit code 1".into());
        assert!(backoff.wait(now + Duration::from_secs(60)).is_none());
    }

    #[test]
    fn who_ran_well_begins_anew() {
        let (mut backoff, now) = (Backoff::default(), Instant::now());
        (0..5).for_each(|_| backoff.failed("x".into(), SHORT, now));
        backoff.failed("y".into(), Duration::from_secs(61), now);
        assert!(backoff.wait(now).is_none());
        (0..5).for_each(|_| backoff.failed("x".into(), SHORT, now));
        let later = now + Duration::from_secs(301);
        backoff.failed("z".into(), SHORT, later);
        assert!(backoff.wait(later).is_none());
        assert_eq!(backoff.failures(), Some((1, "z".into())));
    }
}
