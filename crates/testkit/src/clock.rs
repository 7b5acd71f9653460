//! A clock that a test can set. Every edge of the kit reads its time from one of these.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The system's clock, one that goes apart from it, or one that stands still until it is moved. Clones share the time.
#[derive(Clone, Debug, Default)]
pub struct Clock(Kind);

#[derive(Clone, Debug, Default)]
enum Kind {
    #[default]
    System,
    /// The system's, so much ahead.
    Ahead(Duration),
    Standing(Arc<AtomicU64>),
}

impl Clock {
    /// The system's clock.
    pub fn system() -> Self {
        Self(Kind::System)
    }

    /// A clock that is ahead of the system's.
    pub fn ahead(by: Duration) -> Self {
        Self(Kind::Ahead(by))
    }

    /// A clock that stands at `seconds` since the Unix epoch.
    pub fn standing_at(seconds: u64) -> Self {
        Self(Kind::Standing(Arc::new(AtomicU64::new(seconds.saturating_mul(1_000_000)))))
    }

    /// Microseconds since the Unix epoch.
    pub fn micros(&self) -> u64 {
        let ahead = match &self.0 {
            Kind::Standing(fake) => return fake.load(Ordering::SeqCst),
            Kind::Ahead(by) => *by,
            Kind::System => Duration::ZERO,
        };
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default() + ahead;
        u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
    }

    /// Whole seconds since the Unix epoch (RFC 7519 NumericDate).
    pub fn secs(&self) -> u64 {
        self.micros() / 1_000_000
    }

    /// Moves a standing clock forward. The system's clock is not moved.
    pub fn advance(&self, by: Duration) {
        if let Kind::Standing(fake) = &self.0 {
            fake.fetch_add(u64::try_from(by.as_micros()).unwrap_or(u64::MAX), Ordering::SeqCst);
        }
    }

    /// Sets a standing clock, in seconds since the epoch. The system's clock is not set.
    pub fn set(&self, seconds: u64) {
        if let Kind::Standing(fake) = &self.0 {
            fake.store(seconds.saturating_mul(1_000_000), Ordering::SeqCst);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Clock;
    use std::time::Duration;

    #[test]
    fn clones_of_a_standing_clock_share_its_time() {
        let clock = Clock::standing_at(1_000);
        let other = clock.clone();
        clock.advance(Duration::from_millis(2_500));
        assert_eq!(other.micros(), 1_002_500_000);
        other.set(7);
        assert_eq!(clock.secs(), 7);
    }

    #[test]
    fn a_clock_that_is_ahead_goes_on() {
        let (system, ahead) = (Clock::system(), Clock::ahead(Duration::from_secs(400)));
        assert!((399..=401).contains(&(ahead.secs() - system.secs())));
    }

    #[test]
    fn the_system_clock_cannot_be_moved() {
        let clock = Clock::system();
        clock.set(7);
        assert!(clock.secs() > 1_700_000_000);
    }
}
