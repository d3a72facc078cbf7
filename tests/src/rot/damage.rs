//! Damage: what may become of a file's bytes.

use std::{fmt, ops::Range};

use crate::sim::random::Random;

/// Bytes that are damaged at once, at most: a few blocks of a disk.
const MOST: usize = 16 << 10;

/// One of the ways, and where. It always changes something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Damage {
    Flip {
        at: usize,
        bit: u8,
    },
    Zero(Range<usize>),
    Random {
        bytes: Range<usize>,
        seed: u64,
    },
    Cut(usize),
    /// Two stretches of one length have changed places.
    Swap {
        a: usize,
        b: usize,
        length: usize,
    },
    Append {
        bytes: usize,
        seed: u64,
    },
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flip { at, bit } => write!(f, "bit {bit} of byte {at} is another"),
            Self::Zero(bytes) => write!(f, "bytes {} to {} are zeros", bytes.start, bytes.end),
            Self::Random { bytes, .. } => write!(f, "bytes {} to {} are others", bytes.start, bytes.end),
            Self::Cut(at) => write!(f, "it is cut behind {at} bytes"),
            Self::Swap { a, b, length } => write!(f, "{length} bytes at {a} and at {b} have changed places"),
            Self::Append { bytes, .. } => write!(f, "{bytes} bytes stand behind its end"),
        }
    }
}

impl Damage {
    /// Some damage to these bytes, mostly where something was written.
    pub(super) fn any(random: &mut Random, bytes: &[u8]) -> Self {
        let written = bytes.iter().rposition(|c| *c != 0).map_or(0, |last| last + 1);
        loop {
            let end = if below(random, 8) == 0 { bytes.len() } else { written };
            let damage = Self::some(random, end.max(1));
            if damage.of(bytes.to_vec()) != bytes {
                return damage;
            }
        }
    }

    fn some(random: &mut Random, end: usize) -> Self {
        let stretch = |random: &mut Random| {
            let (at, length) = (below(random, end), 1 + below(random, MOST));
            at..(at + length).min(end)
        };
        match below(random, 6) {
            0 => Self::Flip { at: below(random, end), bit: u8::try_from(below(random, 8)).expect("a bit") },
            1 => Self::Zero(stretch(random)),
            2 => Self::Random { bytes: stretch(random), seed: random.below(u64::MAX) },
            3 => Self::Cut(below(random, end)),
            4 => {
                let length = 1 + below(random, MOST.min(end / 2));
                let (a, b) = (below(random, end), below(random, end));
                Self::Swap { a: a.min(b), b: a.max(b), length: length.min(end - a.max(b)).min(a.abs_diff(b)) }
            }
            _ => Self::Append { bytes: 1 + below(random, MOST), seed: random.below(u64::MAX) },
        }
    }

    /// The bytes, damaged.
    pub(super) fn of(&self, mut bytes: Vec<u8>) -> Vec<u8> {
        match self.clone() {
            Self::Flip { at, bit } => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << bit;
                }
            }
            Self::Zero(range) => stretch(&mut bytes, range).fill(0),
            Self::Random { bytes: range, seed } => {
                let mut random = Random::new(seed);
                stretch(&mut bytes, range).fill_with(|| byte(&mut random));
            }
            Self::Cut(at) => bytes.truncate(at),
            Self::Swap { a, b, length } => {
                let (before, behind) = bytes.split_at_mut(b);
                before[a..a + length].swap_with_slice(&mut behind[..length]);
            }
            Self::Append { bytes: count, seed } => {
                let mut random = Random::new(seed);
                bytes.extend((0..count).map(|_| byte(&mut random)));
            }
        }
        bytes
    }
}

/// What there is of a stretch.
fn stretch(bytes: &mut [u8], range: Range<usize>) -> &mut [u8] {
    let end = range.end.min(bytes.len());
    &mut bytes[range.start.min(end)..end]
}

fn below(random: &mut Random, most: usize) -> usize {
    usize::try_from(random.below(most.max(1) as u64)).expect("below a length")
}

fn byte(random: &mut Random) -> u8 {
    u8::try_from(random.below(256)).expect("a byte")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damage_is_damage_wherever_it_falls() {
        let file = [&b"what was written"[..], &[0; 64]].concat();
        let mut ways = std::collections::BTreeSet::new();
        for seed in 1..500 {
            for bytes in [&file[..], b"x", b""] {
                let damage = Damage::any(&mut Random::new(seed), bytes);
                assert_ne!(damage.of(bytes.to_vec()), bytes, "{damage}");
                ways.insert(format!("{damage:?}").split([' ', '(']).next().map(str::to_owned));
            }
        }
        assert_eq!(ways.len(), 6, "{ways:?}");
    }
}
