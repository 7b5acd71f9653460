//! Another attempt: when, and after how long (federation 6.2). A pure decision and a small loop around it.

use std::time::{Duration, SystemTime};

use http::HeaderMap;
use http::header::RETRY_AFTER;

use super::{Answer, Request, Wire, WireError};

/// How often, and within how long in all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// Attempts after the first.
    pub again: u32,
    /// Longest pause before attempt n+1 is `base * 2^n`; the pause is drawn evenly below it (full jitter).
    pub base: Duration,
    /// No attempt begins after this much time since the first.
    pub total: Duration,
    /// Only what was never sent is sent again: for what must not arrive twice.
    pub unsent_only: bool,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            again: 2,
            base: Duration::from_millis(100),
            total: Duration::from_secs(10),
            unsent_only: false,
        }
    }
}

impl Retry {
    /// Exactly one attempt: for what must not be sent twice.
    pub const ONCE: Self =
        Self { again: 0, base: Duration::ZERO, total: Duration::from_secs(10), unsent_only: true };

    /// How long to wait before another attempt, or None when there is to be none. `made` counts the attempts made,
    /// `draw` is an even random number; a server's `Retry-After` is a floor.
    pub fn pause(
        &self,
        made: u32,
        elapsed: Duration,
        asked: Option<Duration>,
        draw: u64,
    ) -> Option<Duration> {
        if made > self.again {
            return None;
        }
        let ceiling = self.base.saturating_mul(2u32.saturating_pow(made.saturating_sub(1)));
        let micros = u64::try_from(ceiling.as_micros()).unwrap_or(u64::MAX);
        let drawn = Duration::from_micros(draw.checked_rem(micros).unwrap_or(0));
        let pause = asked.map_or(drawn, |asked| asked.saturating_add(drawn));
        (elapsed.saturating_add(pause) < self.total).then_some(pause)
    }
}

impl Wire {
    /// Sends, and again where that is safe and may help. `build` makes each attempt anew, because a client
    /// assertion is good for one attempt only (RFC 7523 §3, `jti`).
    ///
    /// # Errors
    /// `E` of `build`, or the last attempt's [`WireError`]. A transient status of the last attempt is an answer.
    pub async fn send_retrying<E: From<WireError>>(
        &self,
        retry: Retry,
        build: impl FnMut() -> Result<Request, E>,
    ) -> Result<Answer, E> {
        self.send_retrying_when(retry, build, |_| false).await
    }

    /// As [`Wire::send_retrying`], where an answer with another status may say that it would pass, too.
    ///
    /// # Errors
    /// As there.
    pub async fn send_retrying_when<E: From<WireError>>(
        &self,
        retry: Retry,
        mut build: impl FnMut() -> Result<Request, E>,
        passes: impl Fn(&Answer) -> bool,
    ) -> Result<Answer, E> {
        let began = tokio::time::Instant::now();
        let mut made = 0;
        loop {
            let outcome = self.send(build()?).await;
            made += 1;
            let asked = match &outcome {
                Ok(answer) if (answer.is_transient() || passes(answer)) && !retry.unsent_only => {
                    retry_after(&answer.headers, SystemTime::now())
                }
                Err(WireError::Connect { .. }) => None,
                Err(error) if error.is_transient() && !retry.unsent_only => None,
                _ => return outcome.map_err(E::from),
            };
            match retry.pause(made, began.elapsed(), asked, super::random()) {
                Some(pause) => self.sleep(pause).await,
                None => return outcome.map_err(E::from),
            }
        }
    }
}

/// `Retry-After` in seconds or as a date (RFC 9110 §10.2.3), at most 30 seconds.
pub fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    const CAP: Duration = Duration::from_secs(30);
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let asked = match value.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => httpdate::parse_http_date(value).ok()?.duration_since(now).unwrap_or_default(),
    };
    Some(asked.min(CAP))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use http::{HeaderMap, HeaderValue, header};

    use super::{Retry, retry_after};

    #[test]
    fn there_are_two_more_attempts_with_growing_pauses_and_no_third() {
        let retry = Retry::default();
        let pause = |made| retry.pause(made, Duration::ZERO, None, 99_999);
        assert_eq!(pause(1), Some(Duration::from_micros(99_999)));
        assert_eq!(retry.pause(2, Duration::ZERO, None, 199_999), Some(Duration::from_micros(199_999)));
        assert_eq!(pause(3), None);
    }

    #[test]
    fn no_attempt_begins_after_the_total_and_none_before_what_the_server_asked_for() {
        let retry = Retry::default();
        assert_eq!(
            retry.pause(1, Duration::from_secs(2), Some(Duration::from_secs(3)), 0),
            Some(Duration::from_secs(3))
        );
        assert_eq!(retry.pause(1, Duration::from_secs(8), Some(Duration::from_secs(3)), 0), None);
        assert_eq!(Retry::ONCE.pause(1, Duration::ZERO, None, 0), None);
    }

    #[test]
    fn retry_after_is_read_as_seconds_and_as_a_date_and_is_capped() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let read = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::RETRY_AFTER, HeaderValue::from_str(value).unwrap());
            retry_after(&headers, now)
        };
        assert_eq!(read("7"), Some(Duration::from_secs(7)));
        assert_eq!(read("86400"), Some(Duration::from_secs(30)));
        let date = httpdate::fmt_http_date(now + Duration::from_secs(9));
        assert_eq!(read(&date), Some(Duration::from_secs(9)));
        assert_eq!(read("soon"), None);
    }
}
