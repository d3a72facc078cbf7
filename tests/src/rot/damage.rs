//! Damage: what may become of a file's bytes.

use std::{fmt, ops::Range};

/// Bytes that are damaged at once, at most: a few blocks of a disk.
const MOST: usize = 16 << 10;

/// Xorshift: good enough to be anywhere.
pub(super) struct Random(u64);

impl Random {
    pub(super) const fn new(seed: u64) -> Self {
        Self(seed | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub(super) fn below(&mut self, most: usize) -> usize {
        usize::try_from(self.next() % most.max(1) as u64).expect("below a length")
    }
}

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
            let end = if random.below(8) == 0 { bytes.len() } else { written };
            let damage = Self::some(random, end.max(1));
            if damage.of(bytes.to_vec()) != bytes {
                return damage;
            }
        }
    }

    fn some(random: &mut Random, end: usize) -> Self {
        let stretch = |random: &mut Random| {
            let (at, length) = (random.below(end), 1 + random.below(MOST));
            at..(at + length).min(end)
        };
        match random.below(6) {
            0 => Self::Flip { at: random.below(end), bit: u8::try_from(random.below(8)).expect("a bit") },
            1 => Self::Zero(stretch(random)),
            2 => Self::Random { bytes: stretch(random), seed: random.next() },
            3 => Self::Cut(random.below(end)),
            4 => {
                let length = 1 + random.below(MOST.min(end / 2).max(1));
                let (a, b) = (random.below(end), random.below(end));
                Self::Swap { a: a.min(b), b: a.max(b), length: length.min(end - a.max(b)).min(a.abs_diff(b)) }
            }
            _ => Self::Append { bytes: 1 + random.below(MOST), seed: random.next() },
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
            Self::Zero(range) => bytes[range].fill(0),
            Self::Random { bytes: range, seed } => {
                let mut random = Random::new(seed);
                bytes[range].fill_with(|| random.byte());
            }
            Self::Cut(at) => bytes.truncate(at),
            Self::Swap { a, b, length } => {
                let (before, behind) = bytes.split_at_mut(b);
                before[a..a + length].swap_with_slice(&mut behind[..length]);
            }
            Self::Append { bytes: count, seed } => {
                let mut random = Random::new(seed);
                bytes.extend((0..count).map(|_| random.byte()));
            }
        }
        bytes
    }
}

impl Random {
    fn byte(&mut self) -> u8 {
        self.next().to_be_bytes()[0]
    }
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
                let damage = Damage::any(&mut Random::new(seed * 0x1234_5678_9abc), bytes);
                assert_ne!(damage.of(bytes.to_vec()), bytes, "{damage}");
                ways.insert(format!("{damage:?}").split([' ', '(']).next().map(str::to_owned));
            }
        }
        assert_eq!(ways.len(), 6, "{ways:?}");
    }
}
