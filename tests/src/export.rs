//! Exports as anybody could write them: lines taken apart, changed, and put together again, with right hashes if wanted.

use balm_core::digest::Digest;
use serde_json::Value;

/// A line of an export: the journal's JSON, and its hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Without the hash.
    pub json: String,
    /// In hexadecimal digits.
    pub hash: String,
}

impl Entry {
    /// The record, as JSON.
    #[must_use]
    pub fn record(&self) -> Value {
        serde_json::from_str(&self.json).unwrap_or(Value::Null)
    }

    /// Its kind.
    #[must_use]
    pub fn kind(&self) -> String {
        self.record()["kind"].as_str().unwrap_or_default().to_owned()
    }
}

/// Take an export apart.
///
/// # Panics
///
/// If a line is none.
#[must_use]
pub fn read(text: &str) -> Vec<Entry> {
    let entry = |line: &str| {
        let (json, hash) = line.rsplit_once(",\"hash\":\"").expect("an exported line ends with its hash");
        Entry { json: format!("{json}}}"), hash: hash.strip_suffix("\"}").expect("and with nothing else").to_owned() }
    };
    text.lines().map(entry).collect()
}

/// Put it together again, as it is.
#[must_use]
pub fn write(entries: &[Entry]) -> String {
    let line = |Entry { json, hash }: &Entry| {
        let json = json.strip_suffix('}').unwrap_or(json);
        format!("{json},\"hash\":\"{hash}\"}}\n")
    };
    entries.iter().map(line).collect()
}

/// Compute all hashes from an entry on again, as a forger would.
pub fn rehash(entries: &mut [Entry], from: usize) {
    let before = from.checked_sub(1).and_then(|before| entries.get(before));
    let mut head = before.and_then(|entry| Digest::from_hex(entry.hash.as_bytes())).unwrap_or(Digest::ZERO);
    for entry in entries.iter_mut().skip(from) {
        head = Digest::of(&[head.as_bytes(), entry.json.as_bytes()]);
        entry.hash = head.to_string();
    }
}
