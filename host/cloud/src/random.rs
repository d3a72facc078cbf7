//! Seeded randomness and spans of time.
//!
//! It knows no source of entropy: the same seed gives the same numbers on every machine.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::limits;

/// SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014): tiny, and good enough for
/// choosing lags.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    /// One of many streams from the same seed, so that draws for faults do not change what tasks do.
    pub(crate) fn stream(seed: u64, stream: u64) -> Self {
        Self(mix(seed ^ mix(stream)))
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    pub(crate) fn next_u128(&mut self) -> u128 {
        (u128::from(self.next()) << 64) | u128::from(self.next())
    }

    /// A number below `end`; the bias of the remainder is of no consequence here. `end` is at least 1.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    pub(crate) fn within(&mut self, span: Span) -> u64 {
        span.least_ms + self.below(span.most_ms - span.least_ms + 1)
    }
}

pub(crate) fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// A span of milliseconds from which a time is drawn, both ends included.
///
/// Written `200..1500`, or `200` for exactly that; JSON takes the text or a number. At most a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    least_ms: u64,
    most_ms: u64,
}

/// A span that cannot be: its end is before its start, longer than a day, or not written as one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no span: write LEAST..MOST or one number of milliseconds, at most {max}", max = limits::LAG_MS)]
pub struct NotASpan(String);

impl Span {
    /// Always exactly this long; longer than a day is a day.
    pub const fn exactly(ms: u64) -> Self {
        let ms = if ms > limits::LAG_MS { limits::LAG_MS } else { ms };
        Self { least_ms: ms, most_ms: ms }
    }

    /// From `least_ms` to `most_ms`, both included.
    pub fn between(least_ms: u64, most_ms: u64) -> Result<Self, NotASpan> {
        if least_ms > most_ms || most_ms > limits::LAG_MS {
            return Err(NotASpan(format!("{least_ms}..{most_ms}")));
        }
        Ok(Self { least_ms, most_ms })
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{}", self.least_ms, self.most_ms)
    }
}

impl FromStr for Span {
    type Err = NotASpan;

    fn from_str(text: &str) -> Result<Self, NotASpan> {
        let (least, most) = text.split_once("..").unwrap_or((text, text));
        match (least.parse(), most.parse()) {
            (Ok(least_ms), Ok(most_ms)) => Self::between(least_ms, most_ms),
            _ => Err(NotASpan(text.chars().take(50).collect())),
        }
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Number(u64),
            Text(String),
        }
        match Written::deserialize(deserializer)? {
            Written::Number(ms) => Self::between(ms, ms),
            Written::Text(text) => text.parse(),
        }
        .map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_draws_the_same_numbers_and_another_draws_others() {
        let draw = |seed, stream| -> Vec<u64> {
            let mut random = Random::stream(seed, stream);
            (0..5).map(|_| random.next()).collect()
        };
        assert_eq!(draw(7, 1), draw(7, 1));
        assert_ne!(draw(7, 1), draw(8, 1));
        assert_ne!(draw(7, 1), draw(7, 2));
    }

    #[test]
    fn a_draw_stays_within_its_span_and_reaches_both_ends() {
        let (mut random, span) = (Random::stream(1, 1), Span::between(3, 5).expect("a span"));
        let drawn: std::collections::BTreeSet<u64> = (0..100).map(|_| random.within(span)).collect();
        assert_eq!(drawn.into_iter().collect::<Vec<_>>(), [3, 4, 5]);
    }

    #[test]
    fn a_span_is_read_as_it_is_written() {
        assert_eq!("200..1500".parse(), Span::between(200, 1500));
        assert_eq!("7".parse(), Ok(Span::exactly(7)));
        assert_eq!(serde_json::from_str::<Span>("7").expect("a span"), Span::exactly(7));
        assert_eq!(Span::exactly(7).to_string().parse(), Ok(Span::exactly(7)));
    }

    #[test]
    fn a_span_that_ends_before_it_starts_or_after_a_day_is_refused() {
        for wrong in ["5..4", "", "..", "a..b", "-1", "86400001"] {
            assert!(wrong.parse::<Span>().is_err(), "{wrong}");
        }
        assert!("0..86400000".parse::<Span>().is_ok());
    }
}
