//! A clock that is turned by hand.

use std::sync::Mutex;
use std::time::Duration;

use safeconduct_core::time::Timestamp;
use safeconduct_identity::clock::Clock;

pub struct FakeClock(Mutex<(Timestamp, Duration)>);

impl FakeClock {
    pub fn at(wall: Timestamp) -> Self {
        Self(Mutex::new((wall, Duration::from_secs(1000))))
    }

    pub fn now(&self) -> Timestamp {
        self.wall()
    }

    pub fn advance(&self, seconds: u64) {
        let mut both = self.0.lock().unwrap();
        let by = Duration::from_secs(seconds);
        *both = (both.0.plus(by), both.1 + by);
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
