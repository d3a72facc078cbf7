//! Components for fuzzing: whatever they are told, they hand to the host as it is.

use super::component::{FREE, Guest, data};

/// Where what a guest is told lies in its memory.
pub(crate) const TOLD: u32 = FREE;

/// Bytes that a manifest's surroundings have room for.
pub(crate) const ROOM: usize = 1_024;

/// What stands there in the component, to be overwritten: nothing else looks like it.
const PLACE: u8 = 0xee;

/// A plugin that returns what the alert's name is made of: each byte as two letters from `a` to `p`. The first of them is the
/// first of what `evaluate` returns.
pub(crate) fn returns_what_it_is_told() -> Vec<u8> {
    // The name is the fourth text of the alert, which is the first of the input, behind the alert's status.
    let evaluate = format!(
        "(local $from i32) (local $end i32) (local $to i32)
        (local.set $from (i32.load offset=28 (local.get $input)))
        (local.set $end (i32.add (local.get $from) (i32.load offset=32 (local.get $input))))
        (local.set $to (i32.const {TOLD}))
        (loop $again
            (if (i32.lt_u (local.get $from) (local.get $end)) (then
                (i32.store8 (local.get $to) (i32.or
                    (i32.shl (i32.sub (i32.load8_u (local.get $from)) (i32.const 97)) (i32.const 4))
                    (i32.sub (i32.load8_u offset=1 (local.get $from)) (i32.const 97))))
                (local.set $from (i32.add (local.get $from) (i32.const 2)))
                (local.set $to (i32.add (local.get $to) (i32.const 1)))
                (br $again))))
        i32.const {TOLD}"
    );
    Guest { evaluate: &evaluate, ..Guest::default() }.build()
}

/// Bytes as such a name.
pub(crate) fn as_letters(bytes: &[u8]) -> String {
    bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]).map(|half| char::from(b'a' + half)).collect()
}

/// A component whose `describe` returns what is written into it with [`describing`].
pub(crate) fn describes_what_it_is_told() -> Vec<u8> {
    let (describe, items) = (format!("i32.const {TOLD}"), data(TOLD, &[PLACE; ROOM]));
    Guest { describe: &describe, items: &items, ..Guest::default() }.build()
}

/// The same with these bytes, or as many of them as there is room for.
pub(crate) fn describing(component: &[u8], told: &[u8]) -> Vec<u8> {
    let place = component.windows(ROOM).position(|window| window == [PLACE; ROOM]).expect("the place is there");
    let mut bytes = component.to_vec();
    bytes[place..place + ROOM].fill(0);
    let told = &told[..told.len().min(ROOM)];
    bytes[place..place + told.len()].copy_from_slice(told);
    bytes
}

/// What a guest hands over: numbers of 32 bits, of which some are the addresses and lengths of texts behind them.
#[derive(Debug)]
pub(crate) enum Part<'a> {
    /// As it is.
    Number(u32),
    /// A text: its address and its length.
    Text(&'a str),
    /// A list of texts.
    Texts(&'a [&'a str]),
    /// A list of records, each of so many parts.
    Records(&'a [&'a [Part<'a>]]),
}

/// A guest's memory from [`TOLD`] on, with this at its beginning.
pub(crate) fn memory(parts: &[Part<'_>]) -> Vec<u8> {
    let mut bytes = vec![0; size(parts)];
    place(parts, 0, &mut bytes);
    bytes
}

fn size(parts: &[Part<'_>]) -> usize {
    parts.iter().map(|part| if matches!(part, Part::Number(_)) { 4 } else { 8 }).sum()
}

fn place(parts: &[Part<'_>], mut at: usize, bytes: &mut Vec<u8>) {
    let put = |at: &mut usize, bytes: &mut Vec<u8>, number: usize| {
        let number = u32::try_from(number).expect("a small memory");
        bytes[*at..*at + 4].copy_from_slice(&number.to_le_bytes());
        *at += 4;
    };
    for part in parts {
        let end = bytes.len().next_multiple_of(4);
        let address = TOLD as usize + end;
        match part {
            Part::Number(number) => put(&mut at, bytes, *number as usize),
            Part::Text(text) => {
                bytes.resize(end, 0);
                bytes.extend(text.bytes());
                put(&mut at, bytes, address);
                put(&mut at, bytes, text.len());
            }
            Part::Texts(texts) => {
                bytes.resize(end + 8 * texts.len(), 0);
                put(&mut at, bytes, address);
                put(&mut at, bytes, texts.len());
                for (nth, text) in texts.iter().enumerate() {
                    place(&[Part::Text(text)], end + 8 * nth, bytes);
                }
            }
            Part::Records(records) => {
                let each = records.first().map_or(0, |record| size(record));
                bytes.resize(end + each * records.len(), 0);
                put(&mut at, bytes, address);
                put(&mut at, bytes, records.len());
                for (nth, record) in records.iter().enumerate() {
                    place(record, end + each * nth, bytes);
                }
            }
        }
    }
}
