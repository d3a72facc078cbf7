//! Reading the journal's files without owning them: for `balm audit` beside a running host, or without one.

use std::{fs::File, io, ops::ControlFlow, path::Path};

use balm_core::{
    beginning::Beginning,
    digest::Digest,
    line::Chain,
    name::Seq,
    record::Record,
    recovery::{self, Placed, Rest},
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
    let mut beginning = Beginning::default();
    let scanned = walk(data, Seq::ZERO, |placed, line| {
        beginning.note(&placed.line.record, placed.line.framing);
        each(placed.line.hash, &placed.line.record, line);
        ControlFlow::Continue(())
    })?;
    beginning.check()?;
    Ok(scanned)
}

/// Check the lines from the file with a record on, and hand over each record until it is enough. What is not read, before or
/// behind, is not checked.
pub(crate) fn scan_some(
    data: &Path,
    from: Seq,
    mut each: impl FnMut(&Record) -> ControlFlow<()>,
) -> Result<(), OpenError> {
    walk(data, from, |placed, _| each(&placed.line.record)).map(drop)
}

fn walk(data: &Path, from: Seq, mut each: impl FnMut(&Placed, &[u8]) -> ControlFlow<()>) -> Result<Scanned, OpenError> {
    let dir = data.join("journal");
    let found = files::list(&dir).map_err(|source| failed(&dir, "read", source))?;
    let before = found.partition_point(|(first, _)| *first <= from).saturating_sub(1);
    let begins = found.get(before).map_or(Ok(Chain::START), |(first, path)| chain_before(path, *first));
    let begins = begins.map_err(overtaken)?;
    let (mut scanned, mut flow) = (Scanned { begins, chain: begins, torn_bytes: 0 }, ControlFlow::Continue(()));
    for (index, (first, path)) in found.iter().enumerate().skip(before) {
        if flow.is_break() {
            break;
        }
        check_follows(scanned.chain, *first, path)?;
        let (bytes, _) = File::open(path)
            .and_then(|file| files::read_written(&file))
            .map_err(|source| overtaken(failed(path, "read", source)))?;
        let held = recovery::read_file(&bytes, scanned.chain, |batch| {
            for placed in batch {
                let line = &bytes[placed.offset..placed.offset + placed.bytes - 1];
                if flow.is_continue() {
                    flow = each(&placed, line);
                }
            }
        });
        check(path, index + 1 == found.len(), &held)?;
        scanned.chain = held.chain;
        if let Rest::Torn { bytes } = held.rest {
            scanned.torn_bytes = bytes;
        }
    }
    Ok(scanned)
}

/// A file that was listed and is no longer there is one that a running host dropped.
fn overtaken(error: OpenError) -> OpenError {
    match error {
        OpenError::Io { source, .. } if source.kind() == io::ErrorKind::NotFound => OpenError::Overtaken,
        error => error,
    }
}
