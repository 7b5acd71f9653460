//! Refusals at a bearable rate.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// The time in which as many refusals are free again.
const WINDOW: Duration = Duration::from_secs(10);

/// A leaky bucket: `burst` at once, then one each tenth of a window's share.
pub(crate) struct Pace {
    each: Duration,
    free: Duration,
    /// When all that was taken will have leaked out.
    full_until: Mutex<Instant>,
}

impl Pace {
    pub(crate) fn new(burst: u32) -> Self {
        let each = WINDOW / burst.max(1);
        Self { each, free: WINDOW, full_until: Mutex::new(Instant::now()) }
    }

    /// Takes one, and waits for it when there are none left.
    pub(crate) async fn take(&self) {
        let now = Instant::now();
        let wait = {
            let mut until = self.full_until.lock().unwrap_or_else(PoisonError::into_inner);
            *until = (*until).max(now) + self.each;
            until.duration_since(now).saturating_sub(self.free)
        };
        tokio::time::sleep(wait).await;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::Pace;

    #[tokio::test(start_paused = true)]
    async fn a_burst_is_free_and_more_is_held_up() {
        let pace = Pace::new(10);
        let began = Instant::now();
        for _ in 0..10 {
            pace.take().await;
        }
        assert!(began.elapsed() < Duration::from_millis(10));
        for _ in 0..5 {
            pace.take().await;
        }
        let took = began.elapsed();
        assert!(took >= Duration::from_secs(4) && took < Duration::from_secs(6), "{took:?}");
    }
}
