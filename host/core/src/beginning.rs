//! The beginning of a journal whose old records are no longer kept.
//!
//! The first line of every file names the hash before it. A journal that does not begin with record 1 is whole if one of its
//! records says that everything up to such a place was dropped: then nothing is missing but what was dropped on purpose. It
//! owns that question, for whoever reads lines in order.

use crate::{
    line::{Chain, Framing},
    name::Seq,
    record::{Fact, Record},
};

/// What the lines so far say of where their journal may begin.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Beginning {
    /// Where files begin.
    files: Vec<Chain>,
    /// Up to where records were dropped.
    dropped: Vec<Chain>,
}

/// Nothing says that what stood before the first record was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it begins with record {0}, and none of its records says that those before it were dropped on purpose")]
pub struct Unvouched(pub Seq);

/// Where the chain stands before a file, as its first line says: what is read from there on is only as good as that.
#[must_use]
pub fn before(first: Seq, framing: Framing) -> Option<Chain> {
    if first == Seq::ZERO.next() {
        return Some(Chain::START);
    }
    Some(Chain { seq: Seq(first.0.checked_sub(1)?), hash: framing.prev? })
}

impl Beginning {
    /// The next line, whose hash was found right.
    pub fn note(&mut self, record: &Record, framing: Framing) {
        if framing.prev.is_some() || self.files.is_empty() {
            self.files.extend(before(record.seq, framing));
        }
        if let Fact::HistoryDropped(dropped) = &record.fact {
            self.dropped.push(Chain { seq: dropped.upto, hash: dropped.hash });
        }
    }

    /// Where the chain stood before the first line.
    #[must_use]
    pub fn first(&self) -> Chain {
        self.files.first().copied().unwrap_or_default()
    }

    /// Whether it may begin where it does, after the last line.
    pub fn check(&self) -> Result<(), Unvouched> {
        let Some(first) = self.files.first() else { return Ok(()) };
        // What was dropped may be there still, in part: the host ended before all of it was deleted.
        let dropped = |chain: &Chain| chain.seq >= first.seq && self.files.contains(chain);
        let vouched = *first == Chain::START || self.dropped.iter().any(dropped);
        if vouched { Ok(()) } else { Err(Unvouched(first.seq.next())) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        digest::Digest,
        record::{HistoryDropped, TimePassed},
        time::Timestamp,
    };

    fn chain(seq: u64) -> Chain {
        Chain { seq: Seq(seq), hash: Digest::of(&[&seq.to_be_bytes()]) }
    }

    /// A journal of files that begin behind these records, of which the last says that those up to another were dropped.
    fn check(files: &[u64], dropped: Option<Chain>) -> Result<(), Unvouched> {
        let mut beginning = Beginning::default();
        for before in files {
            let record = |seq| Record {
                seq: Seq(seq),
                at: Timestamp::EPOCH,
                more: false,
                fact: Fact::TimePassed(TimePassed {}),
            };
            let framing = Framing { prev: Some(chain(*before).hash), ..Framing::default() };
            beginning.note(&record(before + 1), framing);
            beginning.note(&record(before + 2), Framing::default());
        }
        if let Some(Chain { seq: upto, hash }) = dropped {
            let fact = Fact::HistoryDropped(HistoryDropped { upto, hash, bytes: 0, why: String::new() });
            let record = Record { seq: Seq(1_000), at: Timestamp::EPOCH, more: false, fact };
            beginning.note(&record, Framing::default());
        }
        beginning.check()
    }

    #[test]
    fn a_journal_begins_with_its_first_record_or_behind_what_it_says_was_dropped() {
        assert_eq!(Beginning::default().check(), Ok(()));
        assert_eq!(check(&[0, 10], None), Ok(()));
        assert_eq!(check(&[10, 20], Some(chain(10))), Ok(()));
        assert_eq!(check(&[10, 20, 30], Some(chain(30))), Ok(()), "not all of it is deleted yet");
        assert_eq!(check(&[0, 10], Some(chain(10))), Ok(()), "nothing of it is deleted yet");
    }

    #[test]
    fn what_is_missing_beyond_what_was_dropped_is_told() {
        assert_eq!(check(&[10, 20], None), Err(Unvouched(Seq(11))));
        assert_eq!(check(&[20, 30], Some(chain(10))), Err(Unvouched(Seq(21))), "more is missing than was dropped");
        let other = Chain { hash: Digest::ZERO, ..chain(10) };
        assert_eq!(check(&[10, 20], Some(other)), Err(Unvouched(Seq(11))), "another history was dropped");
    }
}
