//! How often an issuer is asked for its keys. Pure: the time is handed in.

use std::collections::VecDeque;
use std::time::Duration;

/// Keys are refreshed no more often than this, whatever the issuer says (R12).
const SOONEST: Duration = Duration::from_secs(60);
/// And no less often.
const LATEST: Duration = Duration::from_secs(24 * 3600);
/// When the issuer says nothing.
const USUAL: Duration = Duration::from_secs(600);
/// Between two fetches because of an unknown key (R11).
const PAUSE: Duration = Duration::from_secs(30);
/// After a fetch that failed; doubled up to [`SOONEST`] while the next ones fail too.
const IMPATIENT: Duration = Duration::from_secs(1);
/// How long a key name that was asked for in vain is not asked for again. Not longer: an issuer may sign with a
/// key before it shows it everywhere.
const STRANGE: Duration = Duration::from_secs(60);
/// Such names remembered.
const STRANGERS: usize = 256;

/// When an issuer was asked, and when it is to be asked again.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// When the keys are to be refreshed.
    due: Duration,
    failures: u32,
    failed: Option<Duration>,
    /// When a fetch was last begun because of an unknown key.
    asked: Option<Duration>,
    strangers: VecDeque<(Box<str>, Duration)>,
}

impl Pace {
    /// How long until the refresh; zero when it is due.
    pub(super) fn until_due(&self, now: Duration) -> Duration {
        self.due.saturating_sub(now)
    }

    /// Whether a caller may make an issuer without keys be asked: not more often than once a second, however many
    /// callers there are.
    pub(super) fn may_try(&self, now: Duration) -> bool {
        self.failed.is_none_or(|failed| now.saturating_sub(failed) >= IMPATIENT)
    }

    /// Whether a token's unknown key is worth a fetch. If so, it is one.
    pub(super) fn may_ask(&mut self, kid: Option<&str>, now: Duration) -> bool {
        if self.asked.is_some_and(|asked| now.saturating_sub(asked) < PAUSE) {
            return false;
        }
        self.strangers.retain(|(_, since)| now.saturating_sub(*since) < STRANGE);
        if kid.is_some_and(|kid| self.is_strange(kid)) {
            return false;
        }
        self.asked = Some(now);
        true
    }

    /// A fetch succeeded, and this key was not in it.
    pub(super) fn in_vain(&mut self, kid: Option<&str>, now: Duration) {
        let Some(kid) = kid.filter(|kid| !self.is_strange(kid)) else { return };
        if self.strangers.len() >= STRANGERS {
            self.strangers.pop_front();
        }
        self.strangers.push_back((kid.into(), now));
    }

    fn is_strange(&self, kid: &str) -> bool {
        self.strangers.iter().any(|(stranger, _)| **stranger == *kid)
    }

    /// Keys were fetched, and the issuer said for how long they are good. For how long they are taken to be.
    pub(super) fn succeeded(&mut self, said: Option<Duration>, now: Duration) -> Duration {
        let fresh = said.unwrap_or(USUAL).clamp(SOONEST, LATEST);
        self.due = now.saturating_add(jittered(fresh, crate::wire::random()));
        (self.failures, self.failed) = (0, None);
        fresh
    }

    /// They were not: tried again soon.
    pub(super) fn failed(&mut self, now: Duration) {
        let pause = IMPATIENT.saturating_mul(2u32.saturating_pow(self.failures)).min(SOONEST);
        self.failures = self.failures.saturating_add(1);
        self.failed = Some(now);
        self.due = now.saturating_add(jittered(pause, crate::wire::random()));
    }
}

/// Somewhat less (up to a tenth), so that replicas do not ask at once.
fn jittered(pause: Duration, draw: u64) -> Duration {
    let share = f64::from((draw >> 32) as u32) / f64::from(u32::MAX);
    pause.mul_f64(0.9 + 0.1 * share)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Pace, jittered};

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// Whole seconds until the refresh, with the tenth that jitter may take.
    fn due_after(said: Option<u64>) -> std::ops::RangeInclusive<u64> {
        let mut pace = Pace::default();
        let fresh = pace.succeeded(said.map(at), at(1000)).as_secs();
        let due = pace.until_due(at(1000)).as_secs();
        assert!((fresh * 9 / 10..=fresh).contains(&due), "{due} of {fresh}");
        fresh * 9 / 10..=fresh
    }

    /// Row: R12
    #[test]
    fn keys_are_refreshed_as_the_issuer_says_within_a_minute_and_a_day() {
        assert!(Pace::default().until_due(at(0)).is_zero(), "the first fetch is due at once");
        assert_eq!(due_after(Some(300)), 270..=300);
        assert_eq!(due_after(Some(1)), 54..=60);
        assert_eq!(due_after(Some(0)), 54..=60);
        assert_eq!(due_after(Some(1_000_000_000)), 77_760..=86_400);
        assert_eq!(due_after(None), 540..=600);
    }

    #[test]
    fn jitter_takes_up_to_a_tenth_and_adds_nothing() {
        assert_eq!(jittered(at(100), 0), at(90));
        assert_eq!(jittered(at(100), u64::MAX), at(100));
    }

    /// Row: R11, A13
    #[test]
    fn unknown_keys_are_worth_one_fetch_in_thirty_seconds_however_many_there_are() {
        let mut pace = Pace::default();
        let fetches: Vec<u64> = (0..120_u64)
            .flat_map(|second| (0..1000).map(move |number| (second, format!("{second}-{number}"))))
            .filter_map(|(second, kid)| {
                let asked = pace.may_ask(Some(&kid), at(second));
                pace.in_vain(Some(&kid), at(second));
                asked.then_some(second)
            })
            .collect();
        assert_eq!(fetches, [0, 30, 60, 90]);
        assert!(pace.strangers.len() <= 256);
    }

    /// Row: R11
    #[test]
    fn a_key_that_was_asked_for_in_vain_is_not_asked_for_again_for_a_minute() {
        let mut pace = Pace::default();
        assert!(pace.may_ask(Some("gone"), at(0)));
        pace.succeeded(None, at(0));
        pace.in_vain(Some("gone"), at(0));
        assert!(!pace.may_ask(Some("gone"), at(31)));
        assert!(pace.may_ask(Some("other"), at(31)), "another one is");
        assert!(pace.may_ask(Some("gone"), at(61)));
    }

    /// Row: A13
    #[test]
    fn a_fetch_that_failed_says_nothing_of_the_key_and_is_repeated_soon() {
        let mut pace = Pace::default();
        pace.succeeded(Some(at(86_400)), at(0));
        assert!(pace.may_ask(Some("new"), at(1000)));
        pace.failed(at(1000));
        assert!(pace.until_due(at(1000)) <= at(1));
        assert!(pace.may_ask(Some("new"), at(1030)));
        let pauses: Vec<u64> = (0..8)
            .map(|_| {
                pace.failed(at(2000));
                pace.until_due(at(2000)).as_secs_f64().ceil() as u64
            })
            .collect();
        assert!(pauses[..6].is_sorted() && pauses.iter().all(|pause| *pause <= 60), "{pauses:?}");
        assert!(*pauses.last().unwrap() >= 54);
    }

    /// Row: A13
    #[test]
    fn callers_make_an_issuer_that_is_down_be_asked_once_a_second_at_most() {
        let mut pace = Pace::default();
        assert!(pace.may_try(at(5)));
        pace.failed(at(5));
        assert!(!pace.may_try(at(5)) && !pace.may_try(Duration::from_millis(5999)));
        assert!(pace.may_try(at(6)));
    }
}
