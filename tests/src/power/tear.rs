//! What may become of changes that were not synced: any part of them, in any order.
//!
//! Disks write sectors whole, in the order that they like; a byte within one is a bound only where a file system cuts there.
//! Both are torn at here.

use std::fmt;

use super::disk::Change;
use crate::sim::random::Random;

/// What a disk writes at once.
const SECTOR: usize = 512;

/// Random tears of a write, beside those at every bound.
const RANDOM: u64 = 12;

/// Bounds that a write is torn at, at most: a saved state has a thousand, and one is much like the other.
const BOUNDS: usize = 64;

/// How much is found of a file's changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Tear {
    /// Nothing.
    Missing,
    /// Everything.
    Whole,
    /// The first so many bytes, and with any the size.
    Upto(usize),
    /// Everything behind so many bytes.
    From(usize),
    /// Everything but a sector.
    Without(usize),
    /// Sectors as the bits of a random number say.
    Some(u64),
    /// The first so many changes.
    Changes(usize),
    /// Everything but so many changes.
    LastChanges(usize),
}

impl fmt::Display for Tear {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => write!(f, "as last synced"),
            Self::Whole => write!(f, "whole"),
            Self::Upto(bytes) => write!(f, "with the first {bytes} bytes written"),
            Self::From(bytes) => write!(f, "without the first {bytes} bytes written"),
            Self::Without(sector) => write!(f, "without sector {sector}"),
            Self::Some(seed) => write!(f, "with some sectors ({seed:x})"),
            Self::Changes(count) => write!(f, "with the first {count} changes"),
            Self::LastChanges(count) => write!(f, "without the first {count} changes"),
        }
    }
}

/// Every tear of pending changes; none if there are none.
pub(super) fn all(pending: &[Change], seed: u64) -> Vec<Tear> {
    if pending.is_empty() {
        return Vec::new();
    }
    let mut tears = vec![Tear::Missing];
    if pending.len() > 1 {
        tears.extend((1..pending.len()).flat_map(|count| [Tear::Changes(count), Tear::LastChanges(count)]));
    }
    let length: usize = pending.iter().map(Change::bytes).sum();
    let begins = pending.iter().find_map(|change| match change {
        Change::Bytes(at, _) => Some(*at),
        Change::Size(_) => None,
    });
    let Some(begins) = begins else { return tears };
    // Where sectors end within the bytes that were written, and how many there are.
    let bounds: Vec<usize> =
        (begins / SECTOR + 1..).map(|sector| sector * SECTOR - begins).take_while(|at| *at < length).collect();
    let every = bounds.len().div_ceil(BOUNDS).max(1);
    tears.extend(bounds.iter().step_by(every).flat_map(|at| [Tear::Upto(*at), Tear::From(*at)]));
    tears.extend((0..=bounds.len()).step_by(every).map(Tear::Without));
    tears.extend(
        [1, 64, 65, length / 2, length.saturating_sub(1)].into_iter().filter(|at| *at < length).map(Tear::Upto),
    );
    let mut random = Random::new(seed);
    for _ in 0..RANDOM {
        tears.push(Tear::Some(random.below(u64::MAX)));
        tears.push(Tear::Upto(usize::try_from(random.below(length.max(1) as u64)).expect("below a length")));
    }
    tears
}

impl Tear {
    /// The changes that are found.
    pub(super) fn of(&self, pending: &[Change]) -> Vec<Change> {
        match self {
            Self::Missing => Vec::new(),
            Self::Whole => pending.to_vec(),
            Self::Changes(count) => pending[..*count].to_vec(),
            Self::LastChanges(count) => pending[*count..].to_vec(),
            Self::Upto(bytes) => pieces(pending, |_, place| place.start < *bytes, Some(*bytes)),
            Self::From(bytes) => pieces(pending, |_, place| place.start >= *bytes, None),
            Self::Without(sector) => pieces(pending, |nth, _| nth != *sector, None),
            Self::Some(seed) => {
                pieces(pending, |nth, _| seed.rotate_left(u32::try_from(nth % 64).unwrap_or(0)) & 1 == 1, None)
            }
        }
    }
}

/// Written bytes cut at the bounds of sectors, and those pieces of them that hold; the last one cut at `end`. Sizes hold.
fn pieces(
    pending: &[Change],
    mut holds: impl FnMut(usize, std::ops::Range<usize>) -> bool,
    end: Option<usize>,
) -> Vec<Change> {
    let (mut found, mut nth, mut before) = (Vec::new(), 0, 0);
    for change in pending {
        let Change::Bytes(at, bytes) = change else {
            found.push(change.clone());
            continue;
        };
        let mut start = 0;
        while start < bytes.len() {
            let stop = bytes.len().min(start + SECTOR - (at + start) % SECTOR);
            if holds(nth, before + start..before + stop) {
                let stop = end.map_or(stop, |end| stop.min(end.saturating_sub(before).max(start)));
                found.push(Change::Bytes(at + start, bytes[start..stop].to_vec()));
            }
            (start, nth) = (stop.max(start + 1), nth + 1);
        }
        before += bytes.len();
    }
    found
}
