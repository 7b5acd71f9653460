//! Where the time comes from. Two clocks, because each one lies in its own way: the wall clock is stepped by
//! an administrator or NTP, and the steady clock stands still while a machine is suspended. A credential is
//! live only while both say so (edge cases 44 and 45 of the federation notes).

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use safeconduct_core::time::Timestamp;

/// The present moment, twice.
pub trait Clock: Send + Sync {
    /// Wall-clock time: what a token's `exp` is compared with.
    fn wall(&self) -> Timestamp;
    /// Time since an arbitrary start that never goes back: what lifetimes and pauses are counted in.
    fn steady(&self) -> Duration;
}

/// The machine's own clocks.
pub struct SystemClock {
    start: Instant,
}

impl SystemClock {
    /// Starts counting now.
    pub fn new() -> Self {
        Self { start: Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn wall(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_micros(u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
    }

    fn steady(&self) -> Duration {
        self.start.elapsed()
    }
}

#[cfg(test)]
pub(crate) mod fake {
    //! A clock that tests turn by hand.

    use std::sync::Mutex;
    use std::time::Duration;

    use safeconduct_core::time::Timestamp;

    use super::Clock;

    pub(crate) struct FakeClock(Mutex<(Timestamp, Duration)>);

    impl FakeClock {
        pub(crate) fn at(wall: Timestamp) -> Self {
            Self(Mutex::new((wall, Duration::from_secs(1000))))
        }

        pub(crate) fn advance(&self, by: Duration) {
            let mut both = self.0.lock().unwrap();
            both.0 = both.0.plus(by);
            both.1 += by;
        }

        /// The administrator turns the wall clock; the steady one does not notice.
        pub(crate) fn step_wall_back(&self, by: Duration) {
            let mut both = self.0.lock().unwrap();
            both.0 = both.0.minus(by);
        }

        /// The machine slept: only the wall clock went on.
        pub(crate) fn suspend(&self, by: Duration) {
            let mut both = self.0.lock().unwrap();
            both.0 = both.0.plus(by);
        }
    }

    impl Clock for FakeClock {
        fn wall(&self) -> Timestamp {
            self.0.lock().unwrap().0
        }

        fn steady(&self) -> Duration {
            self.0.lock().unwrap().1
        }
    }
}
