//! The clock that records are stamped with.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use safeconduct_core::time::Timestamp;

/// Says what time it is.
pub trait Clock: Send + Sync {
    /// The present moment.
    fn now(&self) -> Timestamp;
}

const SECOND: u64 = 1_000_000;

/// The wall clock, carried by the monotonic one: durations between two readings are real, small corrections
/// backwards are not followed, and a clock that was set is followed within a second.
pub struct SystemClock {
    start: Instant,
    /// Wall time at `start`, in microseconds.
    anchor: AtomicU64,
    /// Second since `start` in which the wall clock was last looked at.
    looked: AtomicU64,
}

impl SystemClock {
    /// Starts at the present wall time.
    pub fn new() -> Self {
        Self { start: Instant::now(), anchor: AtomicU64::new(wall()), looked: AtomicU64::new(0) }
    }

    fn correct(&self, elapsed: u64) {
        let fresh = wall().saturating_sub(elapsed);
        let anchor = self.anchor.load(Ordering::Relaxed);
        if fresh > anchor || anchor - fresh > SECOND {
            self.anchor.store(fresh, Ordering::Relaxed);
        }
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let elapsed = micros(self.start.elapsed());
        let second = elapsed / SECOND;
        if self.looked.load(Ordering::Relaxed) != second
            && self.looked.swap(second, Ordering::Relaxed) != second
        {
            self.correct(elapsed);
        }
        Timestamp::from_micros(self.anchor.load(Ordering::Relaxed) + elapsed)
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

fn wall() -> u64 {
    // A clock before 1970 is not set at all; tokens are then refused as not yet valid.
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, micros)
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::{Clock, Ordering, SECOND, SystemClock, wall};

    #[test]
    fn the_clock_agrees_with_the_wall_and_does_not_go_back() {
        let clock = SystemClock::new();
        let first = clock.now();
        assert!(clock.now() >= first);
        assert!(wall().abs_diff(clock.now().micros()) < SECOND);
    }

    #[test]
    fn a_wall_clock_that_was_set_is_followed_and_a_small_step_back_is_not() {
        let clock = SystemClock::new();
        let true_anchor = clock.anchor.load(Ordering::Relaxed);
        clock.anchor.store(true_anchor + SECOND / 2, Ordering::Relaxed);
        clock.correct(0);
        assert_eq!(clock.anchor.load(Ordering::Relaxed), true_anchor + SECOND / 2);
        clock.anchor.store(true_anchor + 3600 * SECOND, Ordering::Relaxed);
        clock.correct(0);
        assert!(clock.anchor.load(Ordering::Relaxed) < true_anchor + 10 * SECOND);
    }
}
