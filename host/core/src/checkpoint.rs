//! Checkpoints: how far a journal had come, signed, and whether a journal is still the one that was signed.
//!
//! The chain alone shows what was changed within it by somebody who does not compute all later hashes again, and it cannot
//! show that its end was cut. A checkpoint that is kept elsewhere shows both. It owns what is signed and what is checked
//! beyond the chain itself; the signature's arithmetic is handed in, and files are nobody's business here.

use std::collections::VecDeque;

use serde::Deserialize as _;

use crate::{
    beginning, caps,
    digest::Digest,
    line::{Chain, Framing},
    name::Seq,
    record::{Checkpoint, Fact, Record},
    time::Timestamp,
};

/// What a checkpoint's signature is over.
#[must_use]
pub fn signed(host: &str, seq: Seq, hash: Digest) -> String {
    format!("balm checkpoint 1\n{host}\n{seq}\n{hash}\n")
}

/// What somebody has kept elsewhere: that a record had a hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Which record.
    pub seq: Seq,
    /// Its hash.
    pub hash: Digest,
    /// The signature, if it was kept as well.
    pub signature: Option<String>,
}

impl Kept {
    /// Find what was kept in a text: a notice as a webhook got it, the headline of one, an exported record, or a number, a
    /// hash and perhaps a signature.
    #[must_use]
    pub fn find(text: &str) -> Option<Self> {
        if let Ok(json) = serde_json::from_str::<serde_json::Value>(text) {
            let places = [&json["checkpoint"], &json["data"], &json];
            let checkpoint = places.into_iter().find_map(|place| Checkpoint::deserialize(place).ok());
            return checkpoint.map(|Checkpoint { seq, hash, signature, .. }| Self {
                seq,
                hash,
                signature: Some(signature),
            });
        }
        let words: Vec<&str> =
            text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()).collect();
        let numbered = |pair: &[&str]| Some((Seq(pair[0].parse().ok()?), Digest::from_hex(pair[1].as_bytes())?));
        let (seq, hash) = words.windows(2).find_map(numbered)?;
        let is_signature = |word: &&&str| word.len() == 128 && word.bytes().all(|c| c.is_ascii_hexdigit());
        Some(Self { seq, hash, signature: words.iter().find(is_signature).map(|word| (*word).to_owned()) })
    }
}

/// What is wrong with a journal although every hash in it is right.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Finding {
    /// The first record is another, or a later one begins a journal again.
    #[error("record {0} is not where a journal begins: its first record, and no other, is its genesis")]
    Genesis(Seq),
    /// Time goes back.
    #[error("record {0} is older than the one before it, and a host's time never goes back")]
    Time(Seq),
    /// What a line says of the lines before it is not so.
    #[error("record {0} says of the records before it what they are not: they are not the ones that were written")]
    Framing(Seq),
    /// A checkpoint is another host's.
    #[error("record {0} is a checkpoint of another host: it was put there from another journal")]
    Stranger(Seq),
    /// A checkpoint's signature is not by its key.
    #[error("the checkpoint in record {0} is not signed by its key")]
    Signature(Seq),
    /// A checkpoint's key is not the one that is expected.
    #[error(
        "the checkpoint in record {seq} is signed with the key {found}, and not with {expected}: if the host was given a \
        new key, name both with --key"
    )]
    Key {
        /// The checkpoint's record.
        seq: Seq,
        /// Its key.
        found: String,
        /// The key of those before it, or those that were named.
        expected: String,
    },
    /// A checkpoint names another hash than the record has.
    #[error(
        "the checkpoint in record {by} says that record {seq} had another hash: something up to that record was changed"
    )]
    Contradicted {
        /// The checkpoint's record.
        by: Seq,
        /// The record that it names.
        seq: Seq,
    },
    /// A checkpoint names a record that it cannot know, or one so long ago that no host would.
    #[error("the checkpoint in record {by} names record {seq}, which it cannot be about")]
    Impossible {
        /// The checkpoint's record.
        by: Seq,
        /// The record that it names.
        seq: Seq,
    },
    /// What was kept elsewhere is not what is there.
    #[error(
        "a checkpoint that was kept elsewhere says that record {0} had another hash: something up to that record was changed"
    )]
    KeptOtherwise(Seq),
    /// What was kept elsewhere is not there.
    #[error(
        "a checkpoint that was kept elsewhere names record {kept}, and the journal ends with record {last}: its end was cut off"
    )]
    Cut {
        /// The record that was there.
        kept: Seq,
        /// The last one that is.
        last: Seq,
    },
    /// What was kept elsewhere is signed, and not by this host.
    #[error("the checkpoint of record {0} that was kept elsewhere is not signed by this host: it proves nothing")]
    KeptForged(Seq),
}

/// What was checked beside the chain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// Checkpoints in the journal.
    pub checkpoints: u64,
    /// The record up to which the last of them fixes everything.
    pub fixed: Seq,
    /// The key of the last of them.
    pub key: Option<String>,
    /// Checkpoints from elsewhere that fit.
    pub kept: usize,
    /// Checkpoints from elsewhere of records that are no longer kept: of what is there they say nothing.
    pub forgotten: usize,
    /// Where the chain stood before the first record.
    pub begins: Chain,
}

/// Whether a text was signed: key and signature in hexadecimal digits, and the text.
pub type Verify = fn(&str, &str, &str) -> bool;

/// A check of a journal, record by record.
#[derive(Debug)]
pub struct Inspection {
    verify: Verify,
    /// Keys that count; if none was named, that of the first checkpoint.
    keys: Vec<String>,
    kept: Vec<Kept>,
    /// As the genesis says, or the first checkpoint where that is no longer kept.
    host: Option<String>,
    last: Seq,
    at: Timestamp,
    head: Digest,
    /// Hashes of the last records, the last one's last.
    hashes: VecDeque<Digest>,
    checked: Checked,
}

impl Inspection {
    /// Before the first record. `keys` are those that count, none if any will do as long as it stays the same.
    #[must_use]
    pub fn new(verify: Verify, keys: Vec<String>, kept: Vec<Kept>) -> Self {
        Self {
            verify,
            keys,
            kept,
            host: None,
            last: Seq::ZERO,
            at: Timestamp::EPOCH,
            head: Digest::ZERO,
            hashes: VecDeque::new(),
            checked: Checked::default(),
        }
    }

    /// Check a record whose line is believed.
    pub fn see(&mut self, record: &Record, framing: Framing, hash: Digest) -> Result<(), Finding> {
        let seq = record.seq;
        match &record.fact {
            Fact::Genesis(genesis) if seq == Seq::ZERO.next() => self.host = Some(genesis.host.clone()),
            Fact::Genesis(_) => return Err(Finding::Genesis(seq)),
            _ if self.last == Seq::ZERO => self.begin_behind_what_was_dropped(seq, framing)?,
            _ => {}
        }
        if record.at < self.at {
            return Err(Finding::Time(seq));
        }
        if framing.prev.is_some_and(|prev| prev != self.head) || framing.synced.is_some_and(|synced| synced >= seq) {
            return Err(Finding::Framing(seq));
        }
        if let Fact::Checkpoint(checkpoint) = &record.fact {
            self.check(seq, checkpoint)?;
        }
        self.at = record.at;
        self.stand(Chain { seq, hash })
    }

    /// Where the genesis is no longer kept, the first line begins a file, and says where the chain stood before it.
    fn begin_behind_what_was_dropped(&mut self, first: Seq, framing: Framing) -> Result<(), Finding> {
        let before = beginning::before(first, framing).filter(|before| *before != Chain::START);
        self.checked.begins = before.ok_or(Finding::Genesis(first))?;
        self.stand(self.checked.begins)
    }

    fn stand(&mut self, Chain { seq, hash }: Chain) -> Result<(), Finding> {
        (self.last, self.head) = (seq, hash);
        if self.hashes.len() == caps::HASHES {
            self.hashes.pop_front();
        }
        self.hashes.push_back(hash);
        match self.kept.iter().find(|kept| kept.seq == seq && kept.hash != hash) {
            Some(kept) => Err(Finding::KeptOtherwise(kept.seq)),
            None => Ok(()),
        }
    }

    fn check(&mut self, by: Seq, checkpoint: &Checkpoint) -> Result<(), Finding> {
        let Checkpoint { host, seq, hash, key, signature } = checkpoint;
        if self.host.get_or_insert_with(|| host.clone()) != host {
            return Err(Finding::Stranger(by));
        }
        if !(self.verify)(key, signature, &signed(host, *seq, *hash)) {
            return Err(Finding::Signature(by));
        }
        if self.keys.is_empty() {
            self.keys.push(key.clone());
        }
        if !self.keys.contains(key) {
            let expected = self.keys.join(" or ");
            return Err(Finding::Key { seq: by, found: key.clone(), expected });
        }
        if *seq < self.checked.begins.seq && *seq != Seq::ZERO {
            // What it fixes is no longer kept. That it is signed shows whose journal this is, all the same.
            (self.checked.checkpoints, self.checked.key) = (self.checked.checkpoints + 1, Some(key.clone()));
            return Ok(());
        }
        let impossible = Finding::Impossible { by, seq: *seq };
        let back = self.last.0.checked_sub(seq.0).and_then(|back| usize::try_from(back).ok());
        let at = back.and_then(|back| self.hashes.len().checked_sub(back + 1)).ok_or(impossible.clone())?;
        let then = self.hashes.get(at).ok_or(impossible)?;
        if then != hash {
            return Err(Finding::Contradicted { by, seq: *seq });
        }
        self.hashes.drain(..at);
        self.checked.checkpoints += 1;
        (self.checked.fixed, self.checked.key) = (*seq, Some(key.clone()));
        Ok(())
    }

    /// Behind the last record.
    pub fn end(mut self) -> Result<Checked, Finding> {
        for Kept { seq, hash, signature } in &self.kept {
            // Without a key and a host nobody can tell whose it is; then its hash alone must do.
            let (Some(host), false) = (&self.host, self.keys.is_empty()) else { continue };
            let signed = signed(host, *seq, *hash);
            let by_host = |signature: &String| self.keys.iter().any(|key| (self.verify)(key, signature, &signed));
            if !signature.as_ref().is_none_or(by_host) {
                return Err(Finding::KeptForged(*seq));
            }
        }
        self.checked.forgotten = self.kept.iter().filter(|kept| kept.seq < self.checked.begins.seq).count();
        self.checked.kept = self.kept.len() - self.checked.forgotten;
        match self.kept.iter().map(|kept| kept.seq).max().filter(|kept| *kept > self.last) {
            Some(kept) => Err(Finding::Cut { kept, last: self.last }),
            None => Ok(self.checked),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Genesis, TimePassed};

    /// A signature that is the text itself: what is checked here is not the arithmetic.
    fn verify(key: &str, signature: &str, signed: &str) -> bool {
        signature == format!("{key}:{signed}")
    }

    fn hash(seq: u64) -> Digest {
        if seq == 0 { Digest::ZERO } else { Digest::of(&[&seq.to_be_bytes()]) }
    }

    fn genesis() -> Fact {
        Fact::Genesis(Genesis { host: "host".into(), version: "1".into() })
    }

    fn checkpoint(seq: u64, of: Digest, key: &str) -> Checkpoint {
        let signature = format!("{key}:{}", signed("host", Seq(seq), of));
        Checkpoint { host: "host".into(), seq: Seq(seq), hash: of, key: key.into(), signature }
    }

    fn at(seq: u64, fact: Fact) -> Record {
        Record { seq: Seq(seq), at: Timestamp::from_millis(seq), more: false, fact }
    }

    /// A journal of so many records, with these facts in their places.
    fn inspect(last: u64, facts: &[(u64, Fact)], keys: &[&str], kept: Vec<Kept>) -> Result<Checked, Finding> {
        let mut inspection = Inspection::new(verify, keys.iter().map(|key| (*key).to_owned()).collect(), kept);
        for seq in 1..=last {
            let fact = facts.iter().find(|(at, _)| *at == seq).map(|(_, fact)| fact.clone());
            let fallback = if seq == 1 { genesis() } else { Fact::TimePassed(TimePassed {}) };
            inspection.see(&at(seq, fact.unwrap_or(fallback)), Framing::default(), hash(seq))?;
        }
        inspection.end()
    }

    fn with(checkpoint: Checkpoint) -> Result<Checked, Finding> {
        inspect(9, &[(7, Fact::Checkpoint(checkpoint))], &[], vec![])
    }

    #[test]
    fn a_checkpoint_that_fits_is_counted_and_says_how_far_everything_is_fixed() {
        let checked = with(checkpoint(6, hash(6), "k")).expect("it fits");
        assert_eq!((checked.checkpoints, checked.fixed, checked.key.as_deref()), (1, Seq(6), Some("k")));
        assert!(with(checkpoint(1, hash(1), "k")).is_ok(), "records may come between signing and recording");
    }

    #[test]
    fn a_checkpoint_of_another_past_another_host_or_the_future_is_found() {
        let (by, seq) = (Seq(7), Seq(6));
        assert_eq!(with(checkpoint(6, hash(5), "k")), Err(Finding::Contradicted { by, seq }));
        for impossible in [0, 7, 8] {
            let found = with(checkpoint(impossible, hash(impossible), "k"));
            assert_eq!(found, Err(Finding::Impossible { by, seq: Seq(impossible) }));
        }
        let stranger = Checkpoint { host: "other".into(), ..checkpoint(6, hash(6), "k") };
        assert_eq!(with(stranger), Err(Finding::Stranger(by)));
        let unsigned = Checkpoint { signature: "x".into(), ..checkpoint(6, hash(6), "k") };
        assert_eq!(with(unsigned), Err(Finding::Signature(by)));
    }

    #[test]
    fn a_key_that_changes_is_found_unless_both_are_named() {
        let facts = [
            (4, Fact::Checkpoint(checkpoint(3, hash(3), "old"))),
            (7, Fact::Checkpoint(checkpoint(6, hash(6), "new"))),
        ];
        let found = Finding::Key { seq: Seq(7), found: "new".into(), expected: "old".into() };
        assert_eq!(inspect(9, &facts, &[], vec![]), Err(found));
        assert!(inspect(9, &facts, &["new", "old"], vec![]).is_ok());
        assert!(matches!(inspect(9, &facts, &["new"], vec![]), Err(Finding::Key { seq: Seq(4), .. })));
    }

    #[test]
    fn what_was_kept_elsewhere_shows_a_changed_record_a_cut_end_and_a_forged_proof() {
        let kept = |seq, of: Digest, signature: Option<&str>| {
            vec![Kept { seq: Seq(seq), hash: of, signature: signature.map(Into::into) }]
        };
        let facts = [(7, Fact::Checkpoint(checkpoint(6, hash(6), "k")))];
        let inspect = |kept| inspect(9, &facts, &[], kept);
        assert_eq!(inspect(kept(9, hash(9), None)).expect("it fits").kept, 1);
        assert_eq!(inspect(kept(8, hash(7), None)), Err(Finding::KeptOtherwise(Seq(8))));
        assert_eq!(inspect(kept(10, hash(10), None)), Err(Finding::Cut { kept: Seq(10), last: Seq(9) }));
        let signature = checkpoint(10, hash(10), "k").signature;
        assert!(matches!(inspect(kept(10, hash(10), Some(&signature))), Err(Finding::Cut { .. })));
        assert_eq!(inspect(kept(10, hash(11), Some(&signature))), Err(Finding::KeptForged(Seq(10))));
    }

    #[test]
    fn a_second_beginning_a_missing_one_and_time_that_goes_back_are_found() {
        assert_eq!(inspect(3, &[(2, genesis())], &[], vec![]), Err(Finding::Genesis(Seq(2))));
        let none = [(1, Fact::TimePassed(TimePassed {}))];
        assert_eq!(inspect(3, &none, &[], vec![]), Err(Finding::Genesis(Seq(1))));
        let mut inspection = Inspection::new(verify, vec![], vec![]);
        inspection.see(&at(1, genesis()), Framing::default(), hash(1)).expect("the first");
        let late = Record { at: Timestamp::EPOCH, ..at(2, Fact::TimePassed(TimePassed {})) };
        assert_eq!(inspection.see(&late, Framing::default(), hash(2)), Err(Finding::Time(Seq(2))));
    }

    /// A journal that begins behind this record, and with this line.
    fn inspect_behind(
        before: u64,
        framing: Framing,
        facts: &[(u64, Fact)],
        kept: Vec<Kept>,
    ) -> Result<Checked, Finding> {
        let mut inspection = Inspection::new(verify, vec![], kept);
        for seq in before + 1..=before + 9 {
            let fact = facts.iter().find(|(at, _)| *at == seq).map(|(_, fact)| fact.clone());
            let framing = if seq == before + 1 { framing } else { Framing::default() };
            inspection.see(&at(seq, fact.unwrap_or(Fact::TimePassed(TimePassed {}))), framing, hash(seq))?;
        }
        inspection.end()
    }

    #[test]
    fn a_journal_without_its_old_records_is_checked_from_where_its_first_file_begins() {
        let begins = Framing { prev: Some(hash(20)), synced: None };
        let kept = |seq, of| vec![Kept { seq: Seq(seq), hash: of, signature: None }];
        let checkpoints = |seq, of| [(25, Fact::Checkpoint(checkpoint(seq, of, "k")))];
        let inspect = |facts: &[(u64, Fact)], kept| inspect_behind(20, begins, facts, kept);
        let checked = inspect(&checkpoints(24, hash(24)), kept(22, hash(22))).expect("it fits");
        assert_eq!((checked.begins.seq, checked.fixed, checked.kept, checked.forgotten), (Seq(20), Seq(24), 1, 0));
        let old = inspect(&checkpoints(3, hash(3)), kept(3, hash(3))).expect("what it is about is gone");
        assert_eq!((old.checkpoints, old.fixed, old.kept, old.forgotten), (1, Seq::ZERO, 0, 1));
        let (by, seq) = (Seq(25), Seq(20));
        assert_eq!(inspect(&checkpoints(20, hash(19)), vec![]), Err(Finding::Contradicted { by, seq }));
        assert!(inspect(&checkpoints(20, hash(20)), vec![]).is_ok(), "the last of the old ones is known by its hash");
        assert_eq!(inspect(&[], kept(20, hash(19))), Err(Finding::KeptOtherwise(Seq(20))));
        assert_eq!(inspect(&checkpoints(0, hash(0)), vec![]), Err(Finding::Impossible { by, seq: Seq::ZERO }));
        let stranger = Checkpoint { host: "other".into(), ..checkpoint(24, hash(24), "k") };
        let stranger = Checkpoint { signature: format!("k:{}", signed("other", Seq(24), hash(24))), ..stranger };
        let facts = [(23, Fact::Checkpoint(checkpoint(22, hash(22), "k"))), (25, Fact::Checkpoint(stranger))];
        assert_eq!(inspect(&facts, vec![]), Err(Finding::Stranger(by)), "the first one says whose it is");
        let nothing = inspect_behind(20, Framing::default(), &[], vec![]);
        assert_eq!(nothing, Err(Finding::Genesis(Seq(21))), "it does not begin with the first line of a file");
    }

    #[test]
    fn a_line_that_names_another_hash_before_it_or_what_is_to_come_is_found() {
        let second = |framing| {
            let mut inspection = Inspection::new(verify, vec![], vec![]);
            inspection.see(&at(1, genesis()), Framing::default(), hash(1)).expect("the first");
            inspection.see(&at(2, Fact::TimePassed(TimePassed {})), framing, hash(2))
        };
        assert_eq!(second(Framing { prev: Some(hash(1)), synced: Some(Seq(1)) }), Ok(()));
        assert_eq!(second(Framing { prev: Some(hash(2)), synced: None }), Err(Finding::Framing(Seq(2))));
        assert_eq!(second(Framing { prev: None, synced: Some(Seq(2)) }), Err(Finding::Framing(Seq(2))));
    }

    #[test]
    fn a_checkpoint_is_found_in_whatever_it_was_kept_in() {
        let signature = "ab".repeat(64);
        let checkpoint =
            Checkpoint { key: "cd".repeat(32), signature: signature.clone(), ..checkpoint(6, hash(6), "k") };
        let kept = Kept { seq: Seq(6), hash: hash(6), signature: Some(signature) };
        let json = serde_json::to_string(&checkpoint).expect("JSON");
        let headline = crate::notice::headline(&Fact::Checkpoint(checkpoint));
        for text in [
            json.clone(),
            format!("{{\"kind\":\"checkpoint\",\"checkpoint\":{json}}}"),
            format!("{{\"v\":1,\"data\":{json},\"hash\":\"{}\"}}", hash(7)),
            headline,
        ] {
            assert_eq!(Kept::find(&text).as_ref(), Some(&kept), "{text}");
        }
        let short = Kept { signature: None, ..kept };
        assert_eq!(Kept::find(&format!("6 {}", hash(6))), Some(short));
        for nothing in ["", "6", "{}", &format!("x {}", hash(6))] {
            assert_eq!(Kept::find(nothing), None, "{nothing}");
        }
    }
}
