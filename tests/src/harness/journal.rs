//! Reading a host's journal from its files, as anybody could: nothing here is the host's own code but the chain's.

use std::path::Path;

use balm_core::{
    line::Chain,
    record::{Fact, Record},
    recovery::{self, Rest},
};

/// Every record of a data directory's journal, in order, with its line. The host must have ended: what is read while it is
/// written is no moment's truth.
///
/// # Panics
///
/// If the journal is damaged. An unfinished write at its end is no damage.
pub fn each(data: &Path, mut each: impl FnMut(Record, &[u8])) {
    let dir = data.join("journal");
    let mut files: Vec<_> = std::fs::read_dir(&dir).expect("there is a journal").flatten().map(|e| e.path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "journal"));
    files.sort();
    let mut chain = Chain::START;
    for path in files {
        let bytes = std::fs::read(&path).expect("a file of the journal can be read");
        let held = recovery::read_file(&bytes, chain, |batch| {
            for placed in batch {
                each(placed.line.record, &bytes[placed.offset..placed.offset + placed.bytes - 1]);
            }
        });
        assert!(matches!(held.rest, Rest::Nothing | Rest::Torn { .. }), "{}: {:?}", path.display(), held.rest);
        chain = held.chain;
    }
}

/// All records of a data directory's journal, and their lines; see [`each`].
#[must_use]
pub fn read(data: &Path) -> Vec<(Record, Vec<u8>)> {
    let mut records = Vec::new();
    each(data, |record, line| records.push((record, line.to_vec())));
    records
}

/// The facts alone.
#[must_use]
pub fn facts(data: &Path) -> Vec<Fact> {
    read(data).into_iter().map(|(record, _)| record.fact).collect()
}
