//! `[[freeze]]` in `limits.toml`: when nothing is done, once or every week.

use std::str::FromStr;

use balm_core::freeze::{Freeze, Span, WEEK_MINUTES, When, Zone};

use super::{
    document::{At, Section},
    limits::{needed, read_filter},
};

/// The days of the week, as they are written.
const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

const DAY_MINUTES: u16 = 24 * 60;

/// What is said of two points of different kinds.
const UNEQUAL: &str = "from and until must both be dates, both weekdays with times, or both times; only the last go with \
                       weekdays";

/// What begins or ends a freeze every week: `fri 18:00` or `18:00`. `24:00` ends a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Point {
    /// A time of every day.
    Minute(u16),
    /// A time of every week.
    Weekday(u16, u16),
}

pub(super) fn read(mut section: Section<'_>, usual: &Zone) -> Option<Freeze> {
    let only = read_filter(&mut section);
    let why = section.needed_text("why", "what whoever asks why nothing happens is told");
    let zone = if section.has("zone") { section.parsed::<Zone>("zone")?.value } else { usual.clone() };
    let weekdays = section.texts("weekdays");
    let (from, until) = (needed_point(&mut section, "from"), needed_point(&mut section, "until"));
    let when = read_when(&section, zone, &from?, &until?, weekdays);
    section.end();
    Some(Freeze { only: only?, when: when?, why: why?.value })
}

fn needed_point(section: &mut Section<'_>, key: &'static str) -> Option<At<String>> {
    needed(section, key, "a time as in \"2026-11-27T18:00\", \"fri 18:00\" or \"18:00\"")?;
    section.text(key)
}

fn read_when(
    section: &Section<'_>,
    zone: Zone,
    from: &At<String>,
    until: &At<String>,
    weekdays: Option<At<Vec<At<String>>>>,
) -> Option<When> {
    if let Some(days) = weekdays.as_ref().filter(|days| days.value.is_empty()) {
        section.mistake(days.line, "weekdays is empty: leave it away for every day");
        return None;
    }
    let dates = (zone.parse_beginning(&from.value), zone.parse_end(&until.value));
    if let (Some(_), None) | (None, Some(_)) = dates {
        let other = if dates.0.is_some() { until } else { from };
        // If that is a time at all.
        section.parse::<Point>(other)?;
        section.mistake(until.line, UNEQUAL);
        return None;
    }
    if let (Some(first), Some(last)) = dates {
        if let Some(weekdays) = weekdays {
            section.mistake(weekdays.line, "weekdays are for times of the day, as in \"18:00\"");
            return None;
        }
        if first >= last {
            section.mistake(until.line, format_args!("until {} is not after from {}", until.value, from.value));
            return None;
        }
        return Some(When::Once { from: first, until: last });
    }
    let (from, until) = (section.parse::<Point>(from)?, section.parse::<Point>(until)?);
    if from.value.minute() == DAY_MINUTES {
        section.mistake(from.line, "from is 24:00, which is when a day ends: write 00:00 of the next one");
        return None;
    }
    if weekdays.is_none() && from.value.is_same_time(until.value) {
        section.mistake(until.line, "from and until are the same: use `balm stop` for what has no end");
        return None;
    }
    let spans = match (from.value, until.value, weekdays) {
        (Point::Weekday(day, minute), Point::Weekday(last, end), None) => {
            vec![Span { from: day * DAY_MINUTES + minute, until: (last * DAY_MINUTES + end) % WEEK_MINUTES }]
        }
        (Point::Minute(from), Point::Minute(until), None) => (0..7).map(|day| on(day, from, until)).collect(),
        (Point::Minute(from), Point::Minute(until), Some(days)) => {
            let days: Option<Vec<u16>> = days.value.iter().map(|day| read_day(section, day)).collect();
            days?.into_iter().map(|day| on(day, from, until)).collect()
        }
        (Point::Minute(_), Point::Weekday(..), _)
        | (Point::Weekday(..), Point::Minute(_), _)
        | (Point::Weekday(..), Point::Weekday(..), Some(_)) => {
            section.mistake(until.line, UNEQUAL);
            return None;
        }
    };
    Some(When::Weekly { zone, spans })
}

impl Point {
    const fn minute(self) -> u16 {
        match self {
            Self::Minute(minute) | Self::Weekday(_, minute) => minute,
        }
    }

    /// Whether the same time comes again and again from one to the other, so that there is no end.
    fn is_same_time(self, other: Self) -> bool {
        match (self, other) {
            (Self::Minute(one), Self::Minute(other)) => one == other % DAY_MINUTES,
            (Self::Weekday(day, minute), Self::Weekday(last, end)) => {
                day * DAY_MINUTES + minute == (last * DAY_MINUTES + end) % WEEK_MINUTES
            }
            (Self::Minute(_), Self::Weekday(..)) | (Self::Weekday(..), Self::Minute(_)) => false,
        }
    }
}

/// From a minute of a day until another one, which is the next day's if it is not after it.
fn on(day: u16, from: u16, until: u16) -> Span {
    let last = if until > from { day } else { day + 1 };
    Span { from: day * DAY_MINUTES + from, until: (last * DAY_MINUTES + until) % WEEK_MINUTES }
}

fn read_day(section: &Section<'_>, day: &At<String>) -> Option<u16> {
    let found = weekday(&day.value);
    if found.is_none() {
        section.mistake(day.line, format_args!("{:?} is no weekday; there are {}", day.value, DAYS.join(", ")));
    }
    found
}

fn weekday(name: &str) -> Option<u16> {
    DAYS.iter().position(|day| *day == name).and_then(|day| u16::try_from(day).ok())
}

impl FromStr for Point {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("{text:?} is no such time: write it as in \"2026-11-27T18:00\", \"fri 18:00\" or \"18:00\"");
        let minute = |text: &str| {
            let (hour, minute) = text.split_once(':')?;
            let number = |text: &str| text.parse::<u16>().ok().filter(|_| text.len() == 2 && text.is_ascii());
            let (hour, minute) = (number(hour)?, number(minute)?);
            let minutes = hour.checked_mul(60)?.checked_add(minute)?;
            (minute < 60 && minutes <= DAY_MINUTES).then_some(minutes)
        };
        let point = match text.split_once(' ') {
            Some((day, time)) => weekday(day).zip(minute(time)).map(|(day, minute)| Self::Weekday(day, minute)),
            None => minute(text).map(Self::Minute),
        };
        point.ok_or_else(wrong)
    }
}

#[cfg(test)]
mod tests {
    use balm_core::time::Timestamp;

    use super::{
        super::{document::Mistakes, limits},
        *,
    };

    fn parse(words: &str) -> Result<Freeze, Vec<String>> {
        let mistakes = Mistakes::default();
        let mut guardrails = limits::without_a_file();
        let text = format!("zone = \"Europe/Berlin\"\n[[freeze]]\nwhy = \"quiet\"\n{words}");
        limits::read("limits.toml", &text, &mut guardrails, &mistakes);
        let mistakes: Vec<String> = mistakes.take().iter().map(ToString::to_string).collect();
        guardrails.freezes.pop().filter(|_| mistakes.is_empty()).ok_or(mistakes)
    }

    fn is_on(words: &str, at: &str) -> bool {
        parse(words).expect("a freeze").is_on(Timestamp::parse_rfc3339(at).expect("a time"))
    }

    #[test]
    fn a_freeze_is_once_or_every_week_or_every_day_by_the_clock_of_its_zone() {
        let sale = "from = \"2026-11-27T00:00\"\nuntil = \"2026-11-30T08:00\"";
        let weekend = "from = \"fri 18:00\"\nuntil = \"mon 08:00\"";
        let nights = "from = \"22:00\"\nuntil = \"06:00\"";
        let sundays = "weekdays = [\"sun\"]\nfrom = \"22:00\"\nuntil = \"06:00\"";
        let cases = [
            (sale, "2026-11-26T22:59:59Z", false),
            (sale, "2026-11-26T23:00:00Z", true),
            (sale, "2026-11-30T07:00:00Z", false),
            (weekend, "2026-11-27T17:00:00Z", true),
            (weekend, "2026-11-30T06:59:59Z", true),
            (weekend, "2026-11-30T07:00:00Z", false),
            (nights, "2026-11-25T20:59:59Z", false),
            (nights, "2026-11-25T21:00:00Z", true),
            (nights, "2026-11-26T04:59:59Z", true),
            (nights, "2026-11-26T05:00:00Z", false),
            (sundays, "2026-11-29T21:00:00Z", true),
            (sundays, "2026-11-30T04:59:59Z", true),
            (sundays, "2026-11-28T21:00:00Z", false),
        ];
        for (words, at, on) in cases {
            assert_eq!(is_on(words, at), on, "{words} at {at}");
        }
        let elsewhere = format!("zone = \"UTC\"\n{nights}");
        assert!(!is_on(&elsewhere, "2026-11-25T21:00:00Z") && is_on(&elsewhere, "2026-11-25T22:00:00Z"));
    }

    #[test]
    fn a_whole_day_ends_at_24_or_when_it_began() {
        for words in [
            "weekdays = [\"sat\"]\nfrom = \"00:00\"\nuntil = \"24:00\"",
            "weekdays = [\"sat\"]\nfrom = \"00:00\"\nuntil = \"00:00\"",
            "from = \"sat 00:00\"\nuntil = \"sat 24:00\"",
            "from = \"2026-11-28T00:00\"\nuntil = \"2026-11-28T24:00\"",
        ] {
            let on = ["2026-11-27T22:59:59Z", "2026-11-27T23:00:00Z", "2026-11-28T22:59:59Z", "2026-11-28T23:00:00Z"]
                .map(|at| is_on(words, at));
            assert_eq!(on, [false, true, true, false], "{words}");
        }
        let sundays = "weekdays = [\"sun\"]\nfrom = \"08:00\"\nuntil = \"08:00\"";
        let on = ["2026-11-29T06:59:59Z", "2026-11-29T07:00:00Z", "2026-11-30T06:59:59Z", "2026-11-30T07:00:00Z"]
            .map(|at| is_on(sundays, at));
        assert_eq!(on, [false, true, true, false]);
    }

    #[test]
    fn a_freeze_until_a_time_that_comes_twice_lasts_until_the_later() {
        let words = "from = \"2026-10-24T18:00\"\nuntil = \"2026-10-25T02:30\"";
        assert_eq!(["2026-10-25T01:29:59Z", "2026-10-25T01:30:00Z"].map(|at| is_on(words, at)), [true, false]);
    }

    #[test]
    fn what_is_no_time_or_no_span_is_a_mistake() {
        for (words, wanted) in [
            ("from = \"18:00\"", "until is missing"),
            ("from = \"18:00\"\nuntil = \"25:00\"", "\"25:00\" is no such time"),
            ("from = \"18:00\"\nuntil = \"8:00\"", "\"8:00\" is no such time"),
            ("from = \"18:00\"\nuntil = \"18:00\"", "from and until are the same"),
            ("from = \"00:00\"\nuntil = \"24:00\"", "from and until are the same"),
            ("from = \"sat 18:00\"\nuntil = \"sat 18:00\"", "from and until are the same"),
            ("from = \"mon 00:00\"\nuntil = \"sun 24:00\"", "from and until are the same"),
            ("weekdays = [\"sat\"]\nfrom = \"24:00\"\nuntil = \"08:00\"", "from is 24:00"),
            ("from = \"18:00\"\nuntil = \"24:01\"", "\"24:01\" is no such time"),
            ("from = \"fri 18:00\"\nuntil = \"08:00\"", "must both be dates"),
            ("from = \"2026-11-27T18:00\"\nuntil = \"mon 08:00\"", "must both be dates"),
            ("from = \"18:00\"\nuntil = \"2026-11-27T18:00\"", "must both be dates"),
            ("from = \"2026-11-27T18:00\"\nuntil = \"2026-11-27T25:00\"", "\"2026-11-27T25:00\" is no such time"),
            ("from = \"2026-11-30T08:00\"\nuntil = \"2026-11-27T00:00\"", "is not after from"),
            ("weekdays = [\"sunday\"]\nfrom = \"18:00\"\nuntil = \"08:00\"", "\"sunday\" is no weekday"),
            (
                "weekdays = []\nfrom = \"18:00\"\nuntil = \"08:00\"",
                ":4: in [freeze], weekdays is empty: leave it away for every day",
            ),
            ("weekdays = [\"sun\"]\nfrom = \"fri 18:00\"\nuntil = \"mon 08:00\"", "must both be dates"),
        ] {
            let mistakes = parse(words).expect_err(words);
            assert!(mistakes.len() == 1 && mistakes[0].contains(wanted), "{wanted} in {mistakes:?}");
        }
    }
}
