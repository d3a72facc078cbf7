//! Inputs that are nearly right: one of a corpus, changed in a few places, the same for the same seed.

use crate::sim::random::Random;

/// Changes of one input at most.
const CHANGES: u64 = 6;

/// Bytes of an input at most; what is longer is cut.
const BYTES: usize = 64 << 10;

/// Bytes that are repeated, removed or taken from another input at most.
const PIECE: u64 = 64;

/// Numbers on the edge of what something holds.
const EDGES: [u32; 12] = [0, 1, 2, 7, 0x7f, 0xff, 0xffff, 0x0001_0000, 0x00ff_ffff, 0x7fff_ffff, 0x8000_0000, u32::MAX];

/// Words of JSON and of what our texts are made of.
const WORDS: [&str; 22] = [
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"",
    "null",
    "true",
    "{}",
    "[]",
    "-1",
    "0.1",
    "1e400",
    "-0",
    "18446744073709551616",
    "\\ud800",
    "\\u0000",
    "\u{202e}",
    "é",
    "\n",
    "arn:aws:ecs:eu-central-1:123456789012:service/prod/web",
];

/// The input of a seed.
pub(super) fn input(corpus: &[Vec<u8>], seed: u64) -> Vec<u8> {
    let mut random = Random::new(seed);
    let mut bytes = pick(&mut random, corpus).clone();
    for _ in 0..random.within(1, CHANGES) {
        change(&mut random, &mut bytes, corpus);
    }
    bytes.truncate(BYTES);
    bytes
}

fn pick<'a, T>(random: &mut Random, of: &'a [T]) -> &'a T {
    &of[random.below(of.len() as u64) as usize]
}

/// A place in the bytes, and one behind it that is no further than a piece.
fn piece(random: &mut Random, bytes: &[u8]) -> (usize, usize) {
    let from = random.below(bytes.len() as u64 + 1) as usize;
    (from, (from + random.below(PIECE) as usize).min(bytes.len()))
}

fn change(random: &mut Random, bytes: &mut Vec<u8>, corpus: &[Vec<u8>]) {
    let (from, to) = piece(random, bytes);
    let insert = |bytes: &mut Vec<u8>, what: &[u8]| drop(bytes.splice(from..from, what.iter().copied()));
    match random.below(10) {
        0 if from < bytes.len() => bytes[from] ^= 1 << random.below(8),
        1 if from < bytes.len() => bytes[from] = random.below(256) as u8,
        2 => drop(bytes.drain(from..to)),
        3 => {
            let again = bytes[from..to].to_vec();
            insert(bytes, &again);
        }
        4 => {
            let other = pick(random, corpus);
            let (begin, end) = piece(random, other);
            insert(bytes, &other[begin..end]);
        }
        // A number where one may stand.
        5 | 6 if bytes.len() >= 4 => {
            let at = random.below(bytes.len() as u64 / 4) as usize * 4;
            bytes[at..at + 4].copy_from_slice(&pick(random, &EDGES).to_le_bytes());
        }
        7 => insert(bytes, pick(random, &WORDS).as_bytes()),
        // A word in place of another.
        8 => {
            let word = pick(random, &WORDS).as_bytes();
            bytes.splice(from..to, word.iter().copied());
        }
        _ => digits(random, bytes, from),
    }
}

/// The next number in a text becomes another.
fn digits(random: &mut Random, bytes: &mut Vec<u8>, from: usize) {
    let Some(begin) = bytes[from..].iter().position(u8::is_ascii_digit).map(|at| from + at) else { return };
    let length = bytes[begin..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let number = pick(random, &EDGES).to_string();
    bytes.splice(begin..begin + length, number.bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_makes_the_same_input_and_others_make_others() {
        let corpus = [br#"{"a": 12, "b": [1, 2, 3]}"#.to_vec(), b"arn:aws:ecs".to_vec()];
        let inputs: std::collections::BTreeSet<_> = (0..500).map(|seed| input(&corpus, seed)).collect();
        assert!(inputs.len() > 300, "{}", inputs.len());
        assert!((0..500).all(|seed| input(&corpus, seed) == input(&corpus, seed)));
        assert!((0..500).any(|seed| !input(&[Vec::new()], seed).is_empty()), "nothing becomes something");
    }
}
