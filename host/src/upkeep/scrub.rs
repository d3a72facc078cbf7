//! The scrub: the part of the chain that a start did not read, checked line by line behind its back.
//!
//! It computes hashes and reads no record: the chain proves the order, and where it arrives is known. It refuses to know what
//! follows from damage.

use std::sync::Arc;

use balm_core::{
    line::{self, Chain},
    name::Seq,
    record::DamageFound,
};

use super::limits::{READ_BYTES, READ_TRIES};
use crate::journal::{Log, Segment};

/// How checking ended before its end.
#[derive(Debug)]
pub(super) enum Broken {
    /// A line is not what was written, or cannot be read.
    Damage(DamageFound),
    /// It was told to end.
    Ending,
}

/// Whoever has it done.
pub(super) trait Watch {
    /// Is told how far it is, and says whether to go on.
    fn went_on(&mut self, seq: Seq) -> bool;

    /// Waits before something is read again that could not be read, and says whether to go on.
    fn waited(&mut self) -> bool;
}

/// Check everything from where the chain begins to where the start began to read.
pub(super) fn scrub(log: &Log, begins: Chain, ends: Chain, watch: &mut impl Watch) -> Result<(), Broken> {
    let (mut chain, mut block) = (begins, vec![0; READ_BYTES]);
    for segment in log.files() {
        if chain.seq >= ends.seq {
            break;
        }
        if segment.first() != chain.seq.next() {
            let why = format!("it holds other records than its name says, which begins with {}", segment.first());
            return Err(Broken::Damage(damage(&segment, chain.seq.next(), 0, why)));
        }
        chain = scrub_file(&segment, chain, &mut block, watch)?;
    }
    if chain == ends {
        return Ok(());
    }
    let last = log.files().into_iter().rfind(|segment| segment.first() <= ends.seq);
    let why = "the records up to here are not those that the following ones go on from".to_owned();
    Err(last.map_or(Broken::Ending, |segment| Broken::Damage(damage(&segment, ends.seq, 0, why))))
}

fn scrub_file(
    segment: &Arc<Segment>,
    mut chain: Chain,
    block: &mut Vec<u8>,
    watch: &mut impl Watch,
) -> Result<Chain, Broken> {
    let (mut offset, end) = (0, segment.end());
    while offset < end {
        let bytes = usize::try_from(end - offset).map_or(block.len(), |left| left.min(block.len()));
        read(segment, chain.seq.next(), &mut block[..bytes], offset, watch)?;
        let Some(last) = block[..bytes].iter().rposition(|c| *c == b'\n') else {
            if bytes as u64 == end - offset {
                let why = "the line has no end".to_owned();
                return Err(Broken::Damage(damage(segment, chain.seq.next(), offset, why)));
            }
            // A line longer than a block.
            block.resize(block.len() * 2, 0);
            continue;
        };
        for text in block[..last].split(|c| *c == b'\n') {
            chain = follow(chain, text).ok_or_else(|| {
                let why = "its hash does not fit its text and the record before".to_owned();
                Broken::Damage(damage(segment, chain.seq.next(), offset, why))
            })?;
            offset += text.len() as u64 + 1;
        }
        if !watch.went_on(chain.seq) {
            return Err(Broken::Ending);
        }
    }
    Ok(chain)
}

/// Read a place of a file, more than once if need be.
fn read(segment: &Segment, seq: Seq, block: &mut [u8], offset: u64, watch: &mut impl Watch) -> Result<(), Broken> {
    let mut tries = 0;
    while let Err(error) = segment.read_at(block, offset) {
        tries += 1;
        if tries == READ_TRIES {
            let why = format!("it cannot be read: {error}");
            return Err(Broken::Damage(damage(segment, seq, offset, why)));
        }
        tracing::warn!(file = %segment.path().display(), offset, %error, "the journal cannot be read; it is tried again");
        if !watch.waited() {
            return Err(Broken::Ending);
        }
    }
    Ok(())
}

/// Where the chain stands after a line, if that is the next one.
fn follow(chain: Chain, text: &[u8]) -> Option<Chain> {
    let (hash, json) = line::split(text)?;
    (line::hash_after(&chain.hash, json) == hash).then(|| Chain { seq: chain.seq.next(), hash })
}

/// What is wrong between two places of the chain, if anything is, in words: the same check at once, by whoever waits for it.
pub(crate) fn damage_between(log: &Log, begins: Chain, ends: Chain) -> Option<String> {
    match scrub(log, begins, ends, &mut Waiting) {
        Err(Broken::Damage(damage)) => Some(told(&damage)),
        Ok(()) | Err(Broken::Ending) => None,
    }
}

/// Goes on to the end, and takes what cannot be read for damage once it was tried often enough.
struct Waiting;

impl Watch for Waiting {
    fn went_on(&mut self, _: Seq) -> bool {
        true
    }

    fn waited(&mut self) -> bool {
        true
    }
}

/// Damage in words.
pub(super) fn told(DamageFound { seq, file, offset, why }: &DamageFound) -> String {
    format!("record {seq} in {file} at byte {offset}: {why}")
}

/// What is told of damage at a place.
pub(super) fn damage(segment: &Segment, seq: Seq, offset: u64, why: String) -> DamageFound {
    let name = segment.path().file_name().unwrap_or_default().to_string_lossy();
    DamageFound { seq, file: format!("journal/{name}"), offset, why }
}
