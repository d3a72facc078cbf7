//! The clock: the one place that reads the time.
//!
//! It owns a time that never goes back and never stands still: the wall clock's, unless that falls behind what the
//! machine's own monotonic clock says has passed. A wall clock that leaps ahead of it is told, so that nobody's limits
//! are freed by a wrong time.

use std::time::{Duration, Instant, SystemTime};

use balm_core::{caps, time::Timestamp};

/// The wall clock.
pub(crate) fn wall() -> Timestamp {
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    let now = SystemTime::now();
    let since = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
    Timestamp::from_millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// A time that never goes back.
pub(crate) struct Clock {
    last: Timestamp,
    read: Instant,
}

/// A reading of the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tick {
    /// The time.
    pub(crate) at: Timestamp,
    /// By how much the wall clock leapt ahead since the last reading, if it did.
    pub(crate) jumped_ms: Option<u64>,
}

impl Clock {
    /// A clock that goes on from a time of an earlier process.
    pub(crate) fn starting(last: Timestamp) -> Self {
        Self { last: last.max(wall()), read: Instant::now() }
    }

    /// About what it will say, for whoever wants to sleep until then.
    pub(crate) fn about(&self) -> Timestamp {
        wall().max(self.last + self.read.elapsed())
    }

    /// Read it.
    pub(crate) fn tick(&mut self) -> Tick {
        let now = Instant::now();
        let tick = step(self.last, wall(), now - self.read);
        (self.last, self.read) = (tick.at, now);
        tick
    }
}

fn step(last: Timestamp, wall: Timestamp, passed: Duration) -> Tick {
    let steady = last + passed;
    let ahead = wall.since(steady);
    let jumped = ahead > Duration::from_secs(caps::CLOCK_JUMP_S);
    let by_ms = u64::try_from(ahead.as_millis()).unwrap_or(u64::MAX);
    Tick { at: wall.max(steady), jumped_ms: jumped.then_some(by_ms) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(s: u64) -> Timestamp {
        Timestamp::from_millis(s * 1000)
    }

    #[test]
    fn it_follows_the_wall_clock_and_goes_on_when_that_goes_back() {
        let second = Duration::from_secs(1);
        assert_eq!(step(at(100), at(101), second), Tick { at: at(101), jumped_ms: None });
        assert_eq!(step(at(100), at(40), second), Tick { at: at(101), jumped_ms: None });
    }

    #[test]
    fn a_leap_ahead_is_told_from_a_minute_on() {
        let second = Duration::from_secs(1);
        assert_eq!(step(at(100), at(161), second), Tick { at: at(161), jumped_ms: None });
        assert_eq!(step(at(100), at(162), second), Tick { at: at(162), jumped_ms: Some(61_000) });
    }
}
