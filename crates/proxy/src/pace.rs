//! How often strangers may ask for what costs a signature's verification: each address, and all together.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use safeconduct_core::time::Timestamp;

use crate::limits::Rate;

/// Addresses remembered; when there are more, only the common rate counts for the new ones.
const SOURCES: usize = 4096;

/// See the module. Buckets are kept as the time until which they are full (GCRA).
pub struct Pace {
    each: Rate,
    all: Rate,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    all: Timestamp,
    sources: HashMap<IpAddr, Timestamp>,
}

impl Pace {
    /// `each` for one address, `all` for all of them.
    pub fn new(each: Rate, all: Rate) -> Self {
        Self { each, all, state: Mutex::default() }
    }

    /// Counts one more.
    ///
    /// # Errors
    /// The time to wait.
    pub fn admit(&self, source: IpAddr, now: Timestamp) -> Result<(), Duration> {
        let source = network(source);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let State { all, sources } = &mut *state;
        if sources.len() >= SOURCES && !sources.contains_key(&source) {
            sources.retain(|_, full| *full > now);
        }
        let room = sources.len() < SOURCES || sources.contains_key(&source);
        let one = if room { Some(sources.entry(source).or_default()) } else { None };
        let next = one.as_ref().map(|full| next(**full, self.each, now)).transpose()?;
        *all = self::next(*all, self.all, now)?;
        if let (Some(full), Some(next)) = (one, next) {
            *full = next;
        }
        Ok(())
    }
}

fn next(full: Timestamp, rate: Rate, now: Timestamp) -> Result<Timestamp, Duration> {
    let each = rate.window / rate.calls.max(1);
    let start = full.max(now);
    let ahead = start.since(now) + each;
    // A clock that was turned back must not shut anybody out.
    if ahead > rate.window && ahead <= rate.window * 2 {
        return Err(ahead - rate.window);
    }
    Ok(start.min(now.plus(rate.window)).plus(each))
}

/// Whoever has one address of an IPv6 network has all of them.
fn network(source: IpAddr) -> IpAddr {
    match source {
        IpAddr::V4(_) => source,
        IpAddr::V6(address) => {
            let prefix = u128::from(address) & !u128::from(u64::MAX);
            IpAddr::V6(prefix.into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Duration, IpAddr, Pace, Rate, SOURCES, Timestamp};

    const NOW: Timestamp = Timestamp::from_secs(1_000_000);

    fn pace(each: u32, all: u32) -> Pace {
        let second = Duration::from_secs(1);
        Pace::new(Rate { calls: each, window: second }, Rate { calls: all, window: second })
    }

    fn v4(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    #[test]
    fn one_address_has_its_share_and_leaves_the_others_theirs() {
        let pace = pace(3, 100);
        for _ in 0..3 {
            assert_eq!(pace.admit(v4(1), NOW), Ok(()));
        }
        assert!(pace.admit(v4(1), NOW).is_err_and(|wait| wait <= Duration::from_secs(1)));
        assert_eq!(pace.admit(v4(2), NOW), Ok(()));
        assert_eq!(pace.admit(v4(1), NOW.plus(Duration::from_secs(1))), Ok(()));
    }

    #[test]
    fn addresses_of_one_network_are_one() {
        let pace = pace(1, 100);
        let at = |text: &str| text.parse::<IpAddr>().unwrap();
        assert_eq!(pace.admit(at("2001:db8:1:2::1"), NOW), Ok(()));
        assert!(pace.admit(at("2001:db8:1:2:ffff::9"), NOW).is_err());
        assert_eq!(pace.admit(at("2001:db8:1:3::1"), NOW), Ok(()));
    }

    #[test]
    fn all_together_have_a_rate_and_what_is_kept_is_bounded() {
        let pace = pace(10, 20);
        let admitted = (0..100).filter(|last| pace.admit(v4(*last), NOW).is_ok()).count();
        assert_eq!(admitted, 20);
        let pace = self::pace(1, 1_000_000);
        for number in 0..2 * SOURCES as u32 {
            assert_eq!(pace.admit(IpAddr::V4(number.into()), NOW), Ok(()));
        }
        assert_eq!(pace.state.lock().unwrap().sources.len(), SOURCES);
    }

    #[test]
    fn a_clock_that_is_turned_back_shuts_nobody_out() {
        let pace = pace(3, 100);
        assert_eq!(pace.admit(v4(1), NOW), Ok(()));
        assert_eq!(pace.admit(v4(1), Timestamp::from_secs(900_000)), Ok(()));
    }
}
