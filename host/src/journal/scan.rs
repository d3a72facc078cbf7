//! Reading the journal's files without owning them: for `balm audit` beside a running host, or without one.

use std::{fs::File, path::Path};

use balm_core::{
    beginning::Beginning,
    digest::Digest,
    line::Chain,
    record::Record,
    recovery::{self, Rest},
};

use super::{
    files,
    open::{OpenError, chain_before, check, check_follows, failed},
};

/// A journal that is whole.
#[derive(Debug)]
pub(crate) struct Scanned {
    /// Where its chain stood before the first record that is kept.
    pub(crate) begins: Chain,
    /// Where it stands.
    pub(crate) chain: Chain,
    /// Bytes of an unfinished write behind it; a running host may be writing just now.
    pub(crate) torn_bytes: usize,
}

/// Check every line, and hand over each with its hash and its record. Nothing is changed.
pub(crate) fn scan(data: &Path, mut each: impl FnMut(Digest, &Record, &[u8])) -> Result<Scanned, OpenError> {
    let dir = data.join("journal");
    let found = files::list(&dir).map_err(|source| failed(&dir, "read", source))?;
    let (mut scanned, mut beginning) =
        (Scanned { begins: Chain::START, chain: Chain::START, torn_bytes: 0 }, Beginning::default());
    if let Some((first, path)) = found.first() {
        scanned.begins = chain_before(path, *first)?;
        scanned.chain = scanned.begins;
    }
    for (index, (first, path)) in found.iter().enumerate() {
        check_follows(scanned.chain, *first, path)?;
        let (bytes, _) = File::open(path)
            .and_then(|file| files::read_written(&file))
            .map_err(|source| failed(path, "read", source))?;
        let held = recovery::read_file(&bytes, scanned.chain, |batch| {
            for placed in batch {
                beginning.note(&placed.line.record, placed.line.framing);
                let line = &bytes[placed.offset..placed.offset + placed.bytes - 1];
                each(placed.line.hash, &placed.line.record, line);
            }
        });
        check(path, index + 1 == found.len(), &held)?;
        scanned.chain = held.chain;
        if let Rest::Torn { bytes } = held.rest {
            scanned.torn_bytes = bytes;
        }
    }
    beginning.check()?;
    Ok(scanned)
}
