//! What is known of a host's records: from the journal that it left, read by nobody's code but the chain's.

use std::{collections::BTreeMap, fs, io, path::Path};

use balm_core::{
    alert::Status,
    digest::Digest,
    engine::Engine,
    line::Chain,
    name::Seq,
    record::Fact,
    recovery::{self, Rest},
    snapshot,
};

/// Records, and the states that they lead to.
#[derive(Debug, Default)]
pub struct Known {
    hashes: BTreeMap<u64, Digest>,
    /// What a saved state after a batch would be vouched for with.
    states: BTreeMap<u64, Digest>,
    /// The record of each alert, as [`named`] names it.
    alerts: BTreeMap<String, u64>,
    engine: Option<Engine>,
}

/// An alert as it is asked for: it fires, and later it resolves.
#[must_use]
pub fn named(fingerprint: &str, firing: bool) -> String {
    format!("{fingerprint} {}", if firing { "fires" } else { "is resolved" })
}

impl Known {
    /// Add what a data directory's journal has beyond what is known. Its oldest files may be gone if they are known.
    ///
    /// # Panics
    ///
    /// If the journal is damaged. An unfinished write at its end is no damage.
    pub fn learn(&mut self, data: &Path) {
        let mut engine = self.engine.take().unwrap_or_default();
        let mut chain = None;
        for (first, bytes) in files(data) {
            let before = chain.unwrap_or_else(|| self.before(first));
            let held = recovery::read_file(&bytes, before, |batch| {
                let last = batch.last().map(|placed| placed.line.record.seq);
                for line in batch.into_iter().map(|placed| placed.line) {
                    let at = Chain { seq: line.record.seq, hash: line.hash };
                    if at.seq <= engine.state().seq {
                        continue;
                    }
                    engine.replay(&line.record);
                    self.hashes.insert(at.seq.0, at.hash);
                    if Some(at.seq) == last {
                        let digest = snapshot::write(engine.state(), at, io::sink()).expect("nothing is written");
                        self.states.insert(at.seq.0, digest);
                    }
                    if let Fact::AlertReceived(received) = line.record.fact {
                        let alert = &received.alert;
                        let name = named(&alert.fingerprint, alert.status == Status::Firing);
                        self.alerts.insert(name, at.seq.0);
                    }
                }
            });
            assert!(matches!(held.rest, Rest::Nothing | Rest::Torn { .. }), "the file with {first}: {:?}", held.rest);
            chain = Some(held.chain);
        }
        self.engine = Some(engine);
    }

    fn before(&self, first: Seq) -> Chain {
        let seq = Seq(first.0 - 1);
        let hash = self.hashes.get(&seq.0).copied();
        if seq == Seq::ZERO { Chain::START } else { Chain { seq, hash: hash.expect("what is gone was known") } }
    }

    /// The record of an alert.
    #[must_use]
    pub fn record_of(&self, alert: &str) -> Option<u64> {
        self.alerts.get(alert).copied()
    }

    /// The hash of a record.
    #[must_use]
    pub fn hash(&self, seq: u64) -> Option<String> {
        self.hashes.get(&seq).map(ToString::to_string)
    }

    /// What the state after a batch is vouched for with.
    #[must_use]
    pub fn state(&self, seq: u64) -> Option<String> {
        self.states.get(&seq).map(ToString::to_string)
    }

    /// The last record.
    #[must_use]
    pub fn last(&self) -> u64 {
        self.hashes.keys().next_back().copied().unwrap_or_default()
    }
}

/// The journal's files in order, with the record that each begins with.
fn files(data: &Path) -> Vec<(Seq, Vec<u8>)> {
    let entries = fs::read_dir(data.join("journal")).expect("there is a journal").flatten();
    let mut paths: Vec<_> = entries.map(|entry| entry.path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "journal"));
    paths.sort();
    let number = |path: &Path| path.file_stem()?.to_str()?.parse().ok().map(Seq);
    let read = |path: &Path| fs::read(path).expect("a file of the journal can be read");
    paths.iter().map(|path| (number(path).expect("it is named by a record"), read(path))).collect()
}
