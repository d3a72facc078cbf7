//! Which records an episode is found by: the first of each batch that has one of it, from which the others follow.
//!
//! What sled costs grows with the number of values that it is given, and a busy host has several batches for every alert. So
//! episodes that began about the same time share their values, one for each block of records. A value is the same however its
//! records were copied, so that those that are copied again after a crash change nothing. It refuses to know what stands in
//! records.

use std::collections::{BTreeMap, BTreeSet};

use balm_core::{
    line::Glance,
    name::{EpisodeId, Seq},
};
use sled::{Batch, IVec, Tree};

use super::AuditError;

/// Episodes that share values: those whose numbers differ in their last byte alone.
const TOGETHER: u64 = 1 << 8;

/// Records of a block. A value with an entry for each has less than half of what sled syncs.
const BLOCK: u64 = 512;

/// How far a record is into its block, and the last byte of the episode's number.
type Entry = [u8; 3];

/// Notes what is to be found by which record.
#[derive(Default)]
pub(super) struct Index {
    /// The episode that the batch that goes on is already found by.
    indexed: Option<EpisodeId>,
    /// What is not in the database yet.
    new: BTreeMap<[u8; 16], BTreeSet<Entry>>,
}

impl Index {
    /// The episode that is to be found by the next record.
    pub(super) fn enters(&mut self, Glance { more, episode, .. }: Glance) -> Option<EpisodeId> {
        let enters = episode.filter(|episode| self.indexed != Some(*episode));
        self.indexed = if more { episode.or(self.indexed) } else { None };
        enters
    }

    /// An episode is to be found by a record.
    pub(super) fn add(&mut self, episode: EpisodeId, seq: Seq) {
        self.new.entry(key(episode, seq)).or_default().insert(entry(episode, seq));
    }

    /// Put all that was added into the database.
    pub(super) fn put(&mut self, found: &Tree) -> Result<(), AuditError> {
        let mut batch = Batch::default();
        for (key, mut entries) in std::mem::take(&mut self.new) {
            if let Some(before) = found.get(key)? {
                entries.extend(read(&key, &before)?);
            }
            batch.insert(&key, Vec::from_iter(entries).as_flattened());
        }
        Ok(found.apply_batch(batch)?)
    }
}

/// Whether an episode is found by a record.
pub(super) fn has(found: &Tree, episode: EpisodeId, seq: Seq) -> Result<bool, AuditError> {
    let key = key(episode, seq);
    let Some(value) = found.get(key)? else { return Ok(false) };
    Ok(read(&key, &value)?.contains(&entry(episode, seq)))
}

/// The records that an episode is found by, in order: the last that does not stand behind `from`, and those behind it.
pub(super) fn records(
    found: &Tree,
    episode: EpisodeId,
    from: Seq,
) -> Result<impl Iterator<Item = Result<Seq, AuditError>>, AuditError> {
    let of_it = move |value: sled::Result<(IVec, IVec)>| of(episode, value);
    let mut start = Seq::ZERO;
    for value in found.range(key(episode, Seq::ZERO)..=key(episode, from)).rev() {
        if let Some(last) = of_it(value)?.into_iter().rfind(|seq| *seq <= from) {
            start = last;
            break;
        }
    }
    let values = found.range(key(episode, start)..=key(episode, Seq(u64::MAX)));
    let records = values.flat_map(move |value| match of_it(value) {
        Ok(seqs) => seqs.into_iter().map(Ok).collect(),
        Err(error) => vec![Err(error)],
    });
    Ok(records.filter(move |seq| !matches!(seq, Ok(seq) if *seq < start)))
}

/// The records of a value that an episode is found by.
fn of(episode: EpisodeId, value: sled::Result<(IVec, IVec)>) -> Result<Vec<Seq>, AuditError> {
    let (key, value) = value?;
    let key = key[..].try_into().map_err(|_| AuditError::Damaged(episode.0))?;
    let first = first(&key);
    let [.., own] = entry(episode, Seq::ZERO);
    let entries = read(&key, &value)?.iter().filter(|[.., of]| *of == own);
    Ok(entries.map(|[a, b, _]| Seq(first.0.saturating_add(u16::from_be_bytes([*a, *b]).into()))).collect())
}

/// The entries of a value.
fn read<'a>(key: &[u8; 16], value: &'a [u8]) -> Result<&'a [Entry], AuditError> {
    match value.as_chunks() {
        (entries, []) => Ok(entries),
        _ => Err(AuditError::Damaged(first(key).max(Seq::ZERO.next()))),
    }
}

/// The value that says whether an episode is found by a record.
fn key(episode: EpisodeId, seq: Seq) -> [u8; 16] {
    let mut key = [0; 16];
    key[..8].copy_from_slice(&(episode.0.0 / TOGETHER).to_be_bytes());
    key[8..].copy_from_slice(&(seq.0 / BLOCK).to_be_bytes());
    key
}

/// The first record of a value's block.
fn first(key: &[u8; 16]) -> Seq {
    let [.., a, b, c, d, e, f, g, h] = *key;
    Seq(u64::from_be_bytes([a, b, c, d, e, f, g, h]).saturating_mul(BLOCK))
}

fn entry(episode: EpisodeId, seq: Seq) -> Entry {
    let [.., a, b] = (seq.0 % BLOCK).to_be_bytes();
    let [.., own] = (episode.0.0 % TOGETHER).to_be_bytes();
    [a, b, own]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_dir::TestDir;

    fn tree(name: &str) -> (TestDir, Tree) {
        let dir = TestDir::new(name);
        let tree = super::super::sled(dir.path()).unwrap().open_tree("found").unwrap();
        (dir, tree)
    }

    fn write(tree: &Tree, entries: &[(u64, u64)]) {
        let mut index = Index::default();
        entries.iter().for_each(|(episode, seq)| index.add(EpisodeId(Seq(*episode)), Seq(*seq)));
        index.put(tree).unwrap();
    }

    fn found(tree: &Tree, episode: u64, from: u64) -> Vec<u64> {
        let records = records(tree, EpisodeId(Seq(episode)), Seq(from)).unwrap();
        records.map(|seq| seq.unwrap().0).collect()
    }

    #[test]
    fn an_episode_is_found_by_its_own_records_among_those_that_it_shares_values_with() {
        let (_dir, tree) = tree("index-own");
        // 511 and 512 share nothing; 512, 513 and 767 share.
        write(&tree, &[(511, 511), (512, 512), (513, 513), (767, 767), (512, 800), (513, 801)]);
        write(&tree, &[(512, 900), (512, 901), (511, 902)]);
        assert_eq!(found(&tree, 512, 0), [512, 800, 900, 901]);
        assert_eq!(found(&tree, 513, 0), [513, 801]);
        assert_eq!(found(&tree, 767, 0), [767]);
        assert_eq!(found(&tree, 511, 0), [511, 902]);
        assert_eq!(found(&tree, 514, 0), [0; 0]);
        let has = |episode, seq| has(&tree, EpisodeId(Seq(episode)), Seq(seq)).unwrap();
        assert!(has(512, 800) && has(512, 901) && !has(512, 801) && !has(514, 512) && !has(512, 902));
    }

    #[test]
    fn from_a_record_on_begins_with_the_batch_that_it_may_stand_in() {
        let (_dir, tree) = tree("index-from");
        write(&tree, &[(1, 10), (2, 11), (1, 20)]);
        write(&tree, &[(2, 30), (2, 40)]);
        write(&tree, &[(2, 50), (1, 60), (1, 70)]);
        for (from, first) in [(0, 10), (10, 10), (19, 10), (20, 20), (45, 20), (59, 20), (60, 60), (69, 60), (99, 70)] {
            let all = found(&tree, 1, from);
            assert_eq!(all[..], [10, 20, 60, 70][4 - all.len()..], "from {from}");
            assert_eq!(all[0], first, "from {from}");
        }
    }

    #[test]
    fn what_is_copied_again_after_a_crash_in_other_pieces_is_found_once() {
        let (_dir, tree) = tree("index-again");
        write(&tree, &[(1, 10), (1, 11)]);
        write(&tree, &[(1, 12), (1, 13)]);
        // The next life begins with the same record, and copies more at once and less.
        write(&tree, &[(1, 10), (1, 11), (1, 12), (1, 13), (1, 14)]);
        write(&tree, &[(1, 15)]);
        assert_eq!(found(&tree, 1, 0), [10, 11, 12, 13, 14, 15]);
        for seq in 10..=15 {
            assert!(has(&tree, EpisodeId(Seq(1)), Seq(seq)).unwrap(), "{seq}");
            assert_eq!(found(&tree, 1, seq)[0], seq);
        }
    }

    #[test]
    fn a_value_is_no_larger_than_what_sled_syncs_and_one_that_is_cut_is_damaged() {
        let (_dir, tree) = tree("index-large");
        let many: Vec<(u64, u64)> = (1_000..3_000).map(|seq| (seq % 3, seq)).collect();
        many.chunks(700).for_each(|copied| write(&tree, copied));
        let values: Vec<usize> = tree.iter().map(|value| value.unwrap().1.len()).collect();
        assert!(values.len() == 5 && values.iter().all(|bytes| *bytes < super::super::VALUE_BYTES / 2), "{values:?}");
        assert_eq!(found(&tree, 1, 0).len(), 667);
        let (key, value) = tree.iter().next().unwrap().unwrap();
        tree.insert(&key, &value[..value.len() - 1]).unwrap();
        let damaged = |error: Option<AuditError>| matches!(error, Some(AuditError::Damaged(Seq(512))));
        assert!(damaged(records(&tree, EpisodeId(Seq(1)), Seq(0)).unwrap().find_map(Result::err)));
        assert!(damaged(records(&tree, EpisodeId(Seq(1)), Seq(1_000)).err()));
        assert!(damaged(has(&tree, EpisodeId(Seq(1)), Seq(1_000)).err()));
        let mut index = Index::default();
        index.add(EpisodeId(Seq(1)), Seq(1_001));
        assert!(damaged(index.put(&tree).err()));
        tree.clear().unwrap();
        tree.insert(super::key(EpisodeId(Seq(1)), Seq(u64::MAX)), &[u8::MAX, u8::MAX, 1]).unwrap();
        assert_eq!(found(&tree, 1, 0), [u64::MAX], "a number that none has, which is damage to whoever reads it");
    }
}
