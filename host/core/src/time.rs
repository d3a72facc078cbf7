//! Points in time, and the one clock of the core: the `at` of records.
//!
//! It owns the representation (milliseconds since 1970, as in every record) and refuses to know what time it is.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

/// Milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The start of 1970: the time of a host that has no record yet.
    pub const EPOCH: Self = Self(0);

    /// From milliseconds since 1970.
    #[must_use]
    pub const fn from_millis(ms: u64) -> Self {
        Self(ms)
    }

    /// As milliseconds since 1970.
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// How long ago `earlier` was; zero if it was not.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// This long before; not before 1970.
    #[must_use]
    pub fn before(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(millis(span)))
    }

    /// Parse RFC 3339 with any offset and up to nine fractional digits, cut to milliseconds. Year 1 means "absent" to
    /// the senders of alerts and gives `None`, as does every other time before 1970; so does text that is no time.
    #[must_use]
    pub fn parse_rfc3339(text: &str) -> Option<Self> {
        let parsed: jiff::Timestamp = text.parse().ok()?;
        u64::try_from(parsed.as_millisecond()).ok().map(Self)
    }
}

impl std::ops::Add<Duration> for Timestamp {
    type Output = Self;

    fn add(self, span: Duration) -> Self {
        Self(self.0.saturating_add(millis(span)))
    }
}

/// RFC 3339 in UTC with milliseconds.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = i64::try_from(self.0).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
        match time {
            Some(time) => write!(f, "{time:.3}"),
            None => write!(f, "{} ms", self.0),
        }
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// When something was done, such that a clock that was set ahead does not make it older until a person accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Moment {
    at: Timestamp,
    held: Duration,
}

impl Moment {
    /// A time on a clock that was set ahead by `held`.
    pub(crate) const fn new(at: Timestamp, held: Duration) -> Self {
        Self { at, held }
    }

    /// How long ago it was, at a time on a clock that was set ahead by `held` and not accepted.
    pub(crate) fn age(self, held: Duration, now: Timestamp) -> Duration {
        now.before(held).since(self.at.before(self.held))
    }

    /// A person accepts the time: it is as old as it looks.
    pub(crate) fn accept(&mut self) {
        self.held = Duration::ZERO;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn senders_times_are_read_with_any_offset_and_fraction() {
        let at = |text| Timestamp::parse_rfc3339(text).map(Timestamp::as_millis);
        assert_eq!(at("2021-10-12T09:51:03.157076+02:00"), Some(1_634_025_063_157));
        assert_eq!(at("2026-09-28T16:15:35.529073954Z"), Some(1_790_612_135_529));
        assert_eq!(at("0001-01-01T00:00:00Z"), None, "year 1 is how Go writes that there is no time");
        assert_eq!(at("yesterday"), None);
    }

    #[test]
    fn times_are_printed_in_utc() {
        assert_eq!(Timestamp::from_millis(1_634_025_063_157).to_string(), "2021-10-12T07:51:03.157Z");
    }

    #[test]
    fn a_time_before_another_is_no_time_since_it() {
        let (early, late) = (Timestamp::from_millis(5), Timestamp::from_millis(9));
        assert_eq!(late.since(early), Duration::from_millis(4));
        assert_eq!(early.since(late), Duration::ZERO);
    }
}
