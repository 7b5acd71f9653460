//! How long a credential is kept, and when it is fetched anew. Pure.

use std::time::Duration;

use safeconduct_core::time::Timestamp;

/// No credential is kept into its last ten seconds.
const LEAST_MARGIN: Duration = Duration::from_secs(10);
/// Nor need it be given up earlier than a minute before its end.
const MOST_MARGIN: Duration = Duration::from_secs(60);

/// What bounds a credential's time here.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// The credential's own end.
    pub(crate) expires: Timestamp,
    /// The end of the caller's token that it was bought with: access must not outlive the session.
    pub(crate) caller_expires: Timestamp,
    /// The configured maximum.
    pub(crate) longest: Duration,
}

/// Times from now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lifetime {
    /// How long it is handed out.
    pub(crate) kept: Duration,
    /// After which a use of it fetches the next one, in the background.
    pub(crate) fresh: Duration,
    /// True when the caller's token is what ends it: asking again with the same one would give no more time.
    pub(crate) by_caller: bool,
}

impl Bounds {
    /// The lifetime, or None when what is left is within the margin: then it is used once and not kept.
    /// `draw` is an even random number, for the jitter of the refresh (75 to 85 %).
    pub(crate) fn lifetime(self, now: Timestamp, draw: u64) -> Option<Lifetime> {
        let whole = self.expires.min(self.caller_expires).since(now).min(self.longest);
        let margin = (whole / 10).min(MOST_MARGIN).max(LEAST_MARGIN);
        let kept = whole.checked_sub(margin).filter(|kept| !kept.is_zero())?;
        let thousandths = 750 + u32::try_from(draw % 101).unwrap_or(0);
        let by_caller = self.caller_expires < self.expires && self.caller_expires.since(now) < self.longest;
        Some(Lifetime { kept, fresh: kept * thousandths / 1000, by_caller })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_000_000);

    fn kept(expires: u64, caller: u64, longest: u64) -> Option<u64> {
        let bounds = Bounds {
            expires: NOW.plus(Duration::from_secs(expires)),
            caller_expires: NOW.plus(Duration::from_secs(caller)),
            longest: Duration::from_secs(longest),
        };
        bounds.lifetime(NOW, 0).map(|lifetime| lifetime.kept.as_secs())
    }

    /// Edge: 37
    #[test]
    fn the_shortest_of_the_three_bounds_counts_less_a_margin() {
        assert_eq!(kept(3600, 9999, 9999), Some(3540));
        assert_eq!(kept(3600, 300, 9999), Some(270));
        assert_eq!(kept(3600, 9999, 60), Some(50));
        assert_eq!(kept(100, 9999, 9999), Some(90));
    }

    /// Edge: 38
    #[test]
    fn what_ends_within_the_margin_is_not_kept() {
        assert_eq!(kept(11, 9999, 9999), Some(1));
        assert_eq!(kept(10, 9999, 9999), None);
        assert_eq!(kept(0, 9999, 9999), None);
        assert_eq!(kept(3600, 5, 9999), None);
    }

    /// Edge: 39
    #[test]
    fn the_refresh_is_due_between_three_quarters_and_eighty_five_percent() {
        for draw in [0, 50, 100, 101, u64::MAX] {
            let bounds = Bounds {
                expires: NOW.plus(Duration::from_secs(1000)),
                caller_expires: NOW.plus(Duration::from_secs(9999)),
                longest: Duration::from_secs(9999),
            };
            let Lifetime { kept, fresh, by_caller } = bounds.lifetime(NOW, draw).unwrap();
            assert!(!by_caller);
            assert!(fresh >= kept * 75 / 100 && fresh <= kept * 85 / 100, "{draw}");
        }
    }
}
