//! Recovery: which bytes of a journal's file are believed after a crash.
//!
//! It owns the distinction that everything hangs on: a torn end, which was never acknowledged and is cut, against
//! damage to what was acknowledged, at which the host stops. It refuses to know files; it is given their bytes.

use crate::{
    line::{self, Chain, Line, LineError},
    name::Seq,
};

/// A line, and where it stands in its file.
#[derive(Debug)]
pub struct Placed {
    /// The line.
    pub line: Line,
    /// The offset of its first byte.
    pub offset: usize,
    /// Its bytes, with the newline.
    pub bytes: usize,
}

/// What a file of the journal holds.
#[derive(Debug, PartialEq, Eq)]
pub struct Held {
    /// Where the chain stands after the last whole batch.
    pub chain: Chain,
    /// The bytes up to there.
    pub believed: usize,
    /// What follows them.
    pub rest: Rest,
}

/// What follows the last whole batch of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rest {
    /// Nothing but the zeros of pre-allocation.
    Nothing,
    /// An unfinished write. Nothing that was acknowledged is in it: it can be cut.
    Torn {
        /// The bytes up to the last that is not zero.
        bytes: usize,
    },
    /// Something that was once durable cannot be read.
    Damaged {
        /// The first record that cannot be read.
        seq: Seq,
        /// Where it should begin.
        offset: usize,
        /// What proves that it was durable.
        proof: String,
    },
    /// A line whose hash is right, and which is nothing that this version can read.
    Unreadable {
        /// Its place.
        seq: Seq,
        /// Where it begins.
        offset: usize,
        /// What it is.
        why: LineError,
    },
}

/// Read a file from its first byte, where `chain` stands, and hand over each whole batch.
pub fn read_file(bytes: &[u8], mut chain: Chain, mut each: impl FnMut(Vec<Placed>)) -> Held {
    let (mut believed, mut offset) = ((chain, 0), 0);
    let mut batch = Vec::new();
    let broken = loop {
        let Some(length) = bytes[offset..].iter().position(|c| *c == b'\n') else { break None };
        let line = match line::read(chain, &bytes[offset..offset + length]) {
            Ok(line) => line,
            Err(why) => break Some(why),
        };
        chain = Chain { seq: line.record.seq, hash: line.hash };
        let last = !line.record.more;
        batch.push(Placed { line, offset, bytes: length + 1 });
        offset += length + 1;
        if last {
            believed = (chain, offset);
            each(std::mem::take(&mut batch));
        }
    };
    let rest =
        judge(&bytes[believed.1..], &bytes[offset..], (believed.0.seq.next(), believed.1), (chain, offset), broken);
    Held { chain: believed.0, believed: believed.1, rest }
}

/// `after_batch` is everything behind the last whole batch, `after_line` everything behind the last line believed.
fn judge(
    after_batch: &[u8],
    after_line: &[u8],
    (first_lost, lost_at): (Seq, usize),
    (chain, offset): (Chain, usize),
    broken: Option<LineError>,
) -> Rest {
    let Some(last) = after_batch.iter().rposition(|c| *c != 0) else { return Rest::Nothing };
    if let Some(why) = broken.filter(|why| *why != LineError::Hash) {
        return Rest::Unreadable { seq: chain.seq.next(), offset, why };
    }
    let durable = |claim: (Seq, Seq)| {
        let (seq, synced) = claim;
        (synced >= first_lost).then(|| format!("record {seq} says that it was already durable"))
    };
    match claims(after_line).find_map(durable) {
        Some(proof) => Rest::Damaged { seq: first_lost, offset: lost_at, proof },
        None => Rest::Torn { bytes: last + 1 },
    }
}

/// What all lines in a text claim to have been durable, wherever they begin: what stands between them may be damaged.
/// The JSON of a record has no space outside of strings and every quote in a string is escaped, so the mark is unique.
fn claims(text: &[u8]) -> impl Iterator<Item = (Seq, Seq)> {
    const MARK: &[u8] = b" {\"v\":";
    const HASH_BYTES: usize = 64;
    let starts = text.windows(MARK.len()).enumerate().filter(|(_, window)| *window == MARK);
    starts.filter_map(|(at, _)| {
        let line = text.get(at.checked_sub(HASH_BYTES)?..)?;
        let (seq, framing) = line::claims(line.split(|c| *c == b'\n').next()?)?;
        Some((seq, framing.synced?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        line::Framing,
        record::{Fact, Record, TimePassed},
        time::Timestamp,
    };

    /// Writes of batches of records: `[[2, 1], [1]]` is a write of a batch of two and one of one, then another write.
    fn journal(writes: &[&[usize]]) -> (Vec<u8>, Vec<usize>) {
        let (mut bytes, mut ends, mut chain) = (Vec::new(), Vec::new(), Chain::START);
        for write in writes {
            let mut framing = Framing { synced: Some(chain.seq), prev: None };
            for batch in *write {
                for place in 1..=*batch {
                    let fact = Fact::TimePassed(TimePassed {});
                    let record = Record { seq: chain.seq.next(), at: Timestamp::EPOCH, more: place < *batch, fact };
                    chain = line::write(chain, &record, std::mem::take(&mut framing), &mut bytes);
                }
            }
            ends.push(bytes.len());
        }
        (bytes, ends)
    }

    fn read(bytes: &[u8]) -> (Held, Vec<usize>) {
        let mut batches = Vec::new();
        let held = read_file(bytes, Chain::START, |batch| batches.push(batch.len()));
        (held, batches)
    }

    fn preallocated(mut bytes: Vec<u8>) -> Vec<u8> {
        bytes.resize(bytes.len() + 4096, 0);
        bytes
    }

    #[test]
    fn whole_batches_are_handed_over_and_zeros_are_the_end() {
        let (bytes, ends) = journal(&[&[2, 1], &[3]]);
        let (held, batches) = read(&preallocated(bytes));
        assert_eq!((held.believed, held.rest, batches), (ends[1], Rest::Nothing, vec![2, 1, 3]));
        assert_eq!(held.chain.seq, Seq(6));
    }

    #[test]
    fn wherever_the_last_write_is_torn_the_writes_before_it_stay_and_the_rest_is_cut() {
        let (bytes, ends) = journal(&[&[1], &[2, 2]]);
        for kept in ends[0]..bytes.len() {
            let (held, batches) = read(&preallocated(bytes[..kept].to_vec()));
            assert!(
                matches!(held.rest, Rest::Nothing | Rest::Torn { .. }),
                "kept {kept} of {}: {:?}",
                bytes.len(),
                held.rest
            );
            assert!(held.believed >= ends[0] && held.believed <= kept);
            assert!(batches.iter().skip(1).all(|length| *length == 2), "a batch is whole or absent");
        }
    }

    #[test]
    fn a_torn_write_may_have_a_hole_in_its_middle() {
        let (mut bytes, ends) = journal(&[&[1], &[1, 1, 1, 1]]);
        bytes[ends[0] + 10..ends[0] + 150].fill(0);
        let (held, batches) = read(&preallocated(bytes));
        assert!(matches!(held.rest, Rest::Torn { .. }), "{:?}", held.rest);
        assert_eq!((held.believed, batches.len()), (ends[0], 1));
    }

    #[test]
    fn any_damage_to_a_write_that_another_follows_is_damage() {
        let (bytes, ends) = journal(&[&[1], &[2], &[1]]);
        for at in ends[0]..ends[1] {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            let (held, batches) = read(&preallocated(damaged));
            assert!(matches!(held.rest, Rest::Damaged { seq: Seq(2), .. }), "byte {at}: {:?}", held.rest);
            assert_eq!((held.believed, batches), (ends[0], vec![1]));
        }
    }

    #[test]
    fn zeroed_records_that_others_follow_are_damage() {
        let (mut bytes, ends) = journal(&[&[1], &[1], &[1]]);
        bytes[ends[0]..ends[1]].fill(0);
        let (held, _) = read(&preallocated(bytes));
        assert!(matches!(held.rest, Rest::Damaged { seq: Seq(2), .. }), "{:?}", held.rest);
    }

    #[test]
    fn a_record_of_a_later_version_is_no_torn_end() {
        let json = r#"{"v":9,"seq":1,"at":0,"kind":"x","data":{}}"#;
        let hash = crate::digest::Digest::of(&[Chain::START.hash.as_bytes(), json.as_bytes()]);
        let (held, _) = read(&preallocated(format!("{hash} {json}\n").into_bytes()));
        assert_eq!(held.rest, Rest::Unreadable { seq: Seq(1), offset: 0, why: LineError::Newer(9) });
    }
}
