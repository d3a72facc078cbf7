//! Whether the database still holds what it held when its head was written: asked once after a start, behind everybody's back.
//!
//! A database whose head agrees with the journal may have lost what stands before it: sled finds its pages by what its log
//! says, and of a damaged log it reads less and says nothing. The lines are a chain, and its end is the journal's; so each
//! must follow the one before, and every episode must be found by each of its batches. It refuses to know who waits for it.

use balm_core::{
    line::{self, Chain},
    name::Seq,
};

use super::{Audit, AuditError, Index, index, pack, packed};

/// Check everything that was there when the database was opened. `goes_on` is asked from time to time.
pub(super) fn check(audit: &Audit, mut goes_on: impl FnMut() -> bool) -> Result<(), AuditError> {
    let trees = audit.trees()?;
    let (mut next, known, mut entered) = (audit.first(), trees.known, Index::default());
    let mut before = (next == Seq::ZERO.next()).then_some(Chain::START.hash);
    // Once it is let go of, what is opened then is checked for itself.
    while next <= known.seq && goes_on() && audit.trees().is_ok() {
        // What cannot be read is damaged like what is another.
        let pack = packed(&trees.records, next).ok().flatten().filter(|(start, _)| *start == next);
        let (start, lines) = pack.ok_or(AuditError::Damaged(next))?;
        for line in pack::lines(&lines) {
            let damaged = || AuditError::Damaged(next);
            let (hash, json) = line::split(line).ok_or_else(damaged)?;
            let glance = line::glance(json).filter(|glance| glance.seq == next).ok_or_else(damaged)?;
            // Where old records are no longer kept, the first line says what it follows.
            let follows = before.or_else(|| line::claims(line)?.1.prev);
            let is_chained = follows.is_some_and(|before| line::hash_after(&before, json) == hash);
            let is_found = match entered.enters(glance) {
                Some(episode) => matches!(index::has(&trees.found, episode, next), Ok(true)),
                None => true,
            };
            if !is_chained || !is_found || (next == known.seq && hash != known.hash) {
                return Err(damaged());
            }
            (before, next) = (Some(hash), next.next());
        }
        if next == start {
            return Err(AuditError::Damaged(next));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use balm_core::{
        line::Framing,
        name::EpisodeId,
        record::{EpisodeEnd, EpisodeEnded, Fact, Record},
        time::Timestamp,
    };

    use super::{
        super::{FOUND, RECORDS, Trees, copy::Packer, key, sled},
        *,
    };
    use crate::test_dir::TestDir;

    const MANY: u64 = 12;

    /// A database with a record for each of four episodes in turn, three records in a pack.
    fn database(dir: &TestDir) -> Audit {
        let db = sled(dir.path()).unwrap();
        let (records, found) = (db.open_tree(RECORDS).unwrap(), db.open_tree(FOUND).unwrap());
        let (mut chain, mut packer, mut lines) = (Chain::START, Packer::default(), Vec::new());
        for seq in (1..=MANY).map(Seq) {
            let ended = EpisodeEnded { episode: EpisodeId(Seq(100 + seq.0 % 4)), how: EpisodeEnd::Resolved };
            let record = Record { seq, at: Timestamp::EPOCH, more: false, fact: Fact::EpisodeEnded(ended) };
            chain = line::write(chain, &record, Framing::default(), &mut lines);
            if seq.0 % 3 == 0 {
                packer.pack(&std::mem::take(&mut lines)).unwrap();
                packer.index.put(&found).unwrap();
            }
        }
        records.apply_batch(packer.records).unwrap();
        let trees = Arc::new(Trees { records, found, known: chain });
        Audit::of(dir.path().to_owned(), Seq(1), chain.seq, &trees)
    }

    fn found(audit: &Audit) -> Option<u64> {
        match check(audit, || true) {
            Ok(()) => None,
            Err(AuditError::Damaged(seq)) => Some(seq.0),
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn whatever_is_missing_or_another_is_found_with_its_place() {
        let dir = TestDir::new("audit-check");
        let audit = database(&dir);
        let trees = audit.trees().unwrap();
        let Trees { records, found: index, .. } = &*trees;
        assert_eq!(found(&audit), None);
        for start in [1, 4, 7, 10].map(Seq) {
            let pack = records.remove(key(start, 0)).unwrap().expect("it was there");
            assert_eq!(found(&audit), Some(start.0), "a pack is missing");
            let other = records.get(key(Seq(if start.0 == 1 { 4 } else { 1 }), 0)).unwrap().unwrap();
            records.insert(key(start, 0), other).unwrap();
            assert_eq!(found(&audit), Some(start.0), "another pack is in its place");
            records.insert(key(start, 0), &pack[..pack.len() - 1]).unwrap();
            assert_eq!(found(&audit), Some(start.0), "its end is missing");
            records.insert(key(start, 0), pack).unwrap();
        }
        // All episodes and all records share one value, in which each record has an entry.
        let (key, value) = index.first().unwrap().expect("there is one");
        for seq in 1..=MANY {
            let end = usize::try_from(seq).unwrap() * 3;
            let without = [&value[..end - 3], &value[end..]].concat();
            let mut of_another = value.to_vec();
            of_another[end - 1] ^= 0x80;
            for other in [without, of_another] {
                index.insert(&key, other).unwrap();
                assert_eq!(found(&audit), Some(seq), "an episode is not found by a record");
            }
        }
        index.remove(&key).unwrap();
        assert_eq!(found(&audit), Some(1), "all of it is missing");
        index.insert(key, value).unwrap();
        assert_eq!(found(&audit), None);
    }

    #[test]
    fn what_is_found_damaged_answers_no_more_and_is_built_again() {
        let dir = TestDir::new("audit-damaged");
        let audit = database(&dir);
        audit.trees().unwrap().records.remove(key(Seq(4), 0)).unwrap();
        assert_eq!(audit.lines(Seq(1), 3).unwrap().len(), 3, "nobody knows yet");
        assert!(audit.damage().is_none());
        audit.check(|| true).unwrap_err();
        assert!(matches!(audit.lines(Seq(1), 3), Err(AuditError::Damaged(Seq(4)))));
        let room = super::super::Room { records: 10, bytes: 1 << 20 };
        assert!(matches!(audit.episode(EpisodeId(Seq(101)), Seq(0), room), Err(AuditError::Damaged(Seq(4)))));
        assert!(dir.path().join(super::super::DAMAGED).exists(), "the next start knows it");
    }
}
