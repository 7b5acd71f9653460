//! Points in time as plain numbers; whoever has a clock hands them in.

use std::time::Duration;

/// Microseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(u64);

impl Timestamp {
    /// From microseconds since the epoch.
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// From whole seconds since the epoch (a JWT's NumericDate, RFC 7519 §2).
    pub const fn from_secs(seconds: u64) -> Self {
        Self(seconds.saturating_mul(1_000_000))
    }

    /// Microseconds since the epoch.
    pub const fn micros(self) -> u64 {
        self.0
    }

    /// Whole seconds since the epoch.
    pub const fn secs(self) -> u64 {
        self.0 / 1_000_000
    }

    /// Later by `duration`.
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)))
    }

    /// Earlier by `duration`, not before the epoch.
    pub fn minus(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)))
    }

    /// How long after `earlier` this is; zero if it is not.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }

    /// `2026-11-22T10:00:00.123Z` (RFC 3339, milliseconds). Empty only for years that RFC 3339 cannot write.
    pub fn rfc3339(self) -> String {
        let nanos = i128::from(self.0 / 1000) * 1_000_000;
        let format = time::macros::format_description!(
            "[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z"
        );
        time::OffsetDateTime::from_unix_timestamp_nanos(nanos)
            .ok()
            .and_then(|moment| moment.format(format).ok())
            .unwrap_or_default()
    }

    /// From RFC 3339, with any fraction of a second and any offset. None for what is none, or before the epoch.
    pub fn parse_rfc3339(text: &str) -> Option<Self> {
        let format = &time::format_description::well_known::Rfc3339;
        let moment = time::OffsetDateTime::parse(text.trim(), format).ok()?;
        u64::try_from(moment.unix_timestamp_nanos() / 1000).ok().map(Self)
    }

    /// `20261122` and `20261122T100000Z`, as AWS writes the day and the moment (ISO 8601, basic). Empty as above.
    pub(crate) fn aws(self) -> (String, String) {
        let format = time::macros::format_description!("[year][month][day]T[hour][minute][second]Z");
        let seconds = i64::try_from(self.secs()).unwrap_or(i64::MAX);
        let moment = time::OffsetDateTime::from_unix_timestamp(seconds).ok();
        let text = moment.and_then(|moment| moment.format(format).ok()).unwrap_or_default();
        (text.split('T').next().unwrap_or_default().to_owned(), text)
    }
}

#[cfg(test)]
mod tests {
    use super::Timestamp;

    #[test]
    fn a_timestamp_is_written_with_milliseconds_in_utc() {
        assert_eq!(Timestamp::from_micros(1_763_805_600_123_456).rfc3339(), "2025-11-22T10:00:00.123Z");
    }

    /// Edge: 97, 102
    #[test]
    fn a_moment_is_read_with_any_fraction_and_offset() {
        let read = |text: &str| Timestamp::parse_rfc3339(text).map(Timestamp::micros);
        for same in [
            "2025-11-22T10:00:00Z",
            "2025-11-22T10:00:00.000000+00:00",
            "2025-11-22T11:00:00+01:00",
            " 2025-11-22T10:00:00.000Z\n",
        ] {
            assert_eq!(read(same), Some(1_763_805_600_000_000), "{same}");
        }
        assert_eq!(read("2025-11-22T10:00:00.123456Z"), Some(1_763_805_600_123_456));
        assert_eq!(read("2025-11-22T10:00:00.123456789Z"), Some(1_763_805_600_123_456));
        for none in ["", "2025-11-22", "2025-11-22T10:00:00", "1763805600", "1969-12-31T23:59:59Z"] {
            assert_eq!(read(none), None, "{none}");
        }
    }

    #[test]
    fn aws_writes_the_day_and_the_moment_without_signs() {
        let both = Timestamp::from_secs(1_763_805_600).aws();
        assert_eq!(both, ("20251122".to_owned(), "20251122T100000Z".to_owned()));
    }
}
