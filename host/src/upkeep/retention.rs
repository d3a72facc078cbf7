//! Retention: which of the oldest files of the journal are no longer kept.
//!
//! Whole files, oldest first, and none that anything still needs: two saved states lead over what is gone, everything that the
//! state or people may still ask for is behind it, the audit database has it, and it was found whole. A record says first up
//! to which one records are gone and with which hash, so that the rest can be checked as before. It refuses to delete.

use std::time::{Duration, Instant};

use balm_core::{name::Seq, state::State, time::Timestamp};

/// How much is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Retention {
    /// Records that are older are dropped.
    pub(crate) age: Option<Duration>,
    /// The oldest are dropped while the journal takes more bytes of the disk.
    pub(crate) bytes: Option<u64>,
}

/// A file that another follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Closed {
    /// Its last record.
    pub(super) last: Seq,
    /// No record of it is younger.
    pub(super) until: Timestamp,
    /// Bytes of the disk that it takes.
    pub(super) bytes: u64,
}

/// What the last saved state says of what may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Horizon {
    /// The oldest record that is needed.
    pub(super) needed: Seq,
    /// What time it was, without what the clock was set ahead by and nobody accepted: a wrong clock makes nothing old.
    now: Timestamp,
    /// When that was, on a clock that nobody sets.
    seen: Instant,
}

impl Horizon {
    /// Before anything was saved nothing may go.
    pub(super) fn nothing() -> Self {
        Self { needed: Seq::ZERO, now: Timestamp::EPOCH, seen: Instant::now() }
    }

    pub(super) fn of(state: &State) -> Self {
        Self { needed: state.oldest_needed(), now: state.steady(state.now), seen: Instant::now() }
    }

    /// What time it is, as far as the process itself knows.
    pub(super) fn now(self) -> Timestamp {
        self.after(self.seen.elapsed())
    }

    pub(super) fn after(self, passed: Duration) -> Timestamp {
        self.now + passed
    }
}

impl Retention {
    /// How many of the oldest files are dropped, and why. `all_bytes` is what the journal takes with its last file; nothing
    /// behind `needed` goes.
    pub(super) fn to_drop(
        self,
        closed: &[Closed],
        all_bytes: u64,
        needed: Seq,
        now: Timestamp,
    ) -> Option<(usize, String)> {
        let (mut files, mut left, mut why) = (0, all_bytes, None);
        for file in closed.iter().take_while(|file| file.last < needed) {
            let too_old = self.age.filter(|age| now.since(file.until) > *age);
            let too_much = self.bytes.filter(|most| left > *most);
            let Some(reason) = reason(too_old, too_much) else { break };
            (files, left, why) = (files + 1, left - file.bytes.min(left), Some(reason));
        }
        why.map(|why| (files, why))
    }
}

fn reason(too_old: Option<Duration>, too_much: Option<u64>) -> Option<String> {
    match (too_old, too_much) {
        (Some(age), _) => Some(format!("they are older than {} days", age.as_secs() / 86_400)),
        (None, Some(most)) => Some(format!("the journal had more than {} MiB", most >> 20)),
        (None, None) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 86_400_000;

    /// Ten files of ten records and 100 bytes, one a day.
    fn files() -> Vec<Closed> {
        let file = |day: u64| Closed { last: Seq(day * 10), until: Timestamp::from_millis(day * DAY), bytes: 100 };
        (1..=10).map(file).collect()
    }

    fn dropped(keep: Retention, needed: u64) -> Option<usize> {
        let now = Timestamp::from_millis(10 * DAY);
        keep.to_drop(&files(), 1_050, Seq(needed), now).map(|(files, _)| files)
    }

    fn days(days: u64) -> Retention {
        Retention { age: Some(Duration::from_secs(days * 86_400)), bytes: None }
    }

    fn bytes(bytes: u64) -> Retention {
        Retention { bytes: Some(bytes), age: None }
    }

    #[test]
    fn files_go_whole_and_only_beyond_the_bound() {
        assert_eq!(dropped(Retention::default(), 1_000), None);
        assert_eq!(dropped(days(7), 1_000), Some(2), "the third is seven days old and no older");
        assert_eq!(dropped(days(9), 1_000), None);
        assert_eq!(dropped(bytes(1_050), 1_000), None);
        assert_eq!(dropped(bytes(1_049), 1_000), Some(1));
        assert_eq!(dropped(bytes(500), 1_000), Some(6));
        assert_eq!(dropped(Retention { bytes: Some(500), ..days(7) }, 1_000), Some(6), "either is enough");
    }

    #[test]
    fn what_is_needed_stays_whatever_the_bounds_say() {
        assert_eq!(dropped(bytes(0), 31), Some(3));
        assert_eq!(dropped(bytes(0), 30), Some(2), "a file goes whole or not at all");
        assert_eq!(dropped(bytes(0), 10), None);
    }
}
