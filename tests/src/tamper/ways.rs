//! Ways to tamper with an export. Some leave the hashes as they were; some compute all later ones again, as somebody would
//! who knows the format; some know everything but the host's key.

use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::Value;

use super::{Forged, Left};
use crate::export::{self, Entry};

/// Entries, changed.
type Way = fn(&Left, &mut Vec<Entry>);

/// A text, torn.
type Tear = fn(String) -> String;

/// Those that the chain alone shows.
const BY_THE_CHAIN: [(&str, Way); 17] = [
    ("a digit of a decision is changed", |left, entries| {
        edit(entries, left.decision(), "\"desired\":6", "\"desired\":9");
    }),
    ("a digit of a hash is changed", |_, entries| {
        let hash = &mut entries[3].hash;
        let last = if hash.ends_with('0') { '1' } else { '0' };
        hash.replace_range(63.., &last.to_string());
    }),
    ("a hash is written in capitals", |_, entries| entries[3].hash = entries[3].hash.to_uppercase()),
    ("a record is dropped", |left, entries| drop(entries.remove(left.decision()))),
    ("the first record is dropped", |_, entries| drop(entries.remove(0))),
    ("the first ten records are dropped", |_, entries| drop(entries.drain(..10))),
    ("two records are swapped", |left, entries| entries.swap(left.decision(), left.decision() + 1)),
    ("a record stands there twice", |left, entries| entries.insert(left.decision(), entries[left.decision()].clone())),
    ("a record is moved to the end", |left, entries| {
        let moved = entries.remove(left.decision());
        entries.push(moved);
    }),
    ("a record has another number", |_, entries| edit(entries, 4, "\"seq\":5", "\"seq\":6")),
    ("a record is of another time", |_, entries| {
        let at = entries[4].record()["at"].as_u64().expect("a time");
        edit(entries, 4, &at.to_string(), &(at + 1).to_string());
    }),
    ("a record says the same with a space more", |_, entries| edit(entries, 4, "\"data\":{", "\"data\": {")),
    ("a record is of another kind", |left, entries| {
        edit(entries, left.first("attempt-started"), "\"kind\":\"attempt-started\"", "\"kind\":\"attempt-stopped\"");
    }),
    ("a record of another host stands in the place of one", |left, entries| entries[4] = left.others[4].clone()),
    ("the end is another host's", |left, entries| {
        entries.truncate(entries.len() / 2);
        entries.extend(left.others.iter().skip(entries.len()).cloned());
    }),
    ("the end is cut within a batch", |_, entries| {
        let goes_on = entries.iter().rposition(|entry| entry.json.contains("\"more\":true")).expect("a batch");
        entries.truncate(goes_on + 1);
    }),
    ("there is nothing", |_, entries| entries.clear()),
];

/// Those in which all hashes are right again, and which the journal's own checkpoints show.
const BY_CHECKPOINTS: [(&str, Way); 16] = [
    ("a digit of a decision is changed, and all hashes are right", |left, entries| {
        edit(entries, left.decision(), "\"desired\":6", "\"desired\":9");
    }),
    ("an attempt is turned into something else, and all hashes are right", |left, entries| {
        replace(entries, left.first("attempt-started"), r#""kind":"time-passed","data":{}"#);
    }),
    ("a record is dropped, and all hashes are right", |left, entries| drop(entries.remove(left.decision()))),
    ("a record is dropped, the others renumbered", |left, entries| {
        entries.remove(left.decision());
        renumber(entries);
    }),
    ("a record is put in, the others renumbered", |left, entries| {
        entries.insert(left.decision(), entries[left.decision()].clone());
        renumber(entries);
    }),
    ("two records are swapped and renumbered", |_, entries| {
        entries.swap(2, 3);
        renumber(entries);
    }),
    ("the first records are dropped, the others renumbered", |_, entries| {
        entries.drain(..3);
        renumber(entries);
    }),
    ("the end is another host's, renumbered", |left, entries| {
        entries.truncate(left.decision());
        entries.extend(left.others.iter().skip(left.decision()).cloned());
        renumber(entries);
    }),
    ("another host's journal follows", |left, entries| {
        entries.extend(left.others.iter().cloned());
        renumber(entries);
    }),
    ("the host has another name", |_, entries| {
        let host = entries[0].record()["data"]["host"].as_str().expect("a host").to_owned();
        edit(entries, 0, &host, &"0".repeat(32));
    }),
    ("time goes back", |_, entries| {
        let at = entries[4].record()["at"].as_u64().expect("a time");
        edit(entries, 4, &at.to_string(), "1");
    }),
    ("a checkpoint's hash is the forged one", |left, entries| {
        edit(entries, left.decision(), "\"desired\":6", "\"desired\":9");
        export::rehash(entries, 0);
        follow_checkpoints(entries, None);
    }),
    ("a checkpoint's signature is changed", |left, entries| {
        let at = left.first("checkpoint");
        let signature = entries[at].record()["data"]["signature"].as_str().expect("a signature").to_owned();
        let other: String = signature.chars().rev().collect();
        edit(entries, at, &signature, &other);
    }),
    ("a checkpoint names an earlier record", |left, entries| {
        let at = left.first("checkpoint");
        let seq = entries[at].record()["data"]["seq"].as_u64().expect("a number");
        edit(entries, at, &format!("\"seq\":{seq},\"hash\""), &format!("\"seq\":{},\"hash\"", seq - 1));
    }),
    ("a checkpoint is another host's", |left, entries| {
        let theirs = left.others.iter().find(|entry| entry.kind() == "checkpoint").expect("they have one").record();
        replace(entries, left.first("checkpoint"), &format!("\"kind\":\"checkpoint\",\"data\":{}", theirs["data"]));
    }),
    ("a later checkpoint is signed with another key", |_, entries| {
        let last = entries.iter().rposition(|entry| entry.kind() == "checkpoint").expect("there is one");
        follow(entries, last, Some(&forger()));
    }),
];

/// Those that need a checkpoint that was kept elsewhere.
const BY_WHAT_WAS_KEPT: [(&str, Way); 8] = [
    ("the end is cut before what was kept", |left, entries| {
        let kept = left.kept_seq();
        cut(entries, kept - 2);
    }),
    ("the end is cut by one batch", |left, entries| {
        let kept = left.kept_seq();
        cut(entries, kept - 1);
    }),
    ("all but the beginning is cut", |_, entries| cut(entries, 6)),
    ("everything is another host's", |left, entries| entries.clone_from(&left.others)),
    ("all checkpoints are dropped, and one decision is another", |left, entries| {
        edit(entries, left.decision(), "\"desired\":6", "\"desired\":9");
        entries.retain(|entry| entry.kind() != "checkpoint");
        renumber(entries);
    }),
    ("everything is written anew and signed with another key", |left, entries| {
        edit(entries, left.decision(), "\"desired\":6", "\"desired\":9");
        export::rehash(entries, 0);
        follow_checkpoints(entries, Some(&forger()));
    }),
    ("what was kept is the only checkpoint behind a change", |left, entries| {
        cut(entries, left.kept_seq());
        let last = entries.iter().rposition(|entry| entry.kind() == "checkpoint").map_or(0, |last| last + 1);
        edit(entries, last, "\"data\":{", "\"data\":{\"forged\":1,");
    }),
    ("the record that was kept is another", |left, entries| {
        cut(entries, left.kept_seq());
        let last = entries.len() - 1;
        // Whatever it was, it was not this.
        replace(entries, last, r#""kind":"time-passed","data":{"forged":1}"#);
    }),
];

/// Those that are no longer lines.
const TORN: [(&str, Tear); 7] = [
    ("the last line is half", |text| text[..text.len() - 40].to_owned()),
    ("there is an empty line", |text| text.replacen('\n', "\n\n", 1)),
    ("lines end as on Windows", |text| text.replace('\n', "\r\n")),
    ("something stands behind the end", |text| text + "{}\n"),
    ("two lines are one", |text| text.replacen('\n', "", 1)),
    ("a hash is missing", |text| {
        let (before, after) = text.split_once(",\"hash\":\"").expect("a hash");
        format!("{before}{}", &after[65..])
    }),
    ("it is not text", |text| text.replacen("genesis", "gen\u{0}sis", 1)),
];

/// An export, tampered with in every way above.
pub(super) fn all(left: &Left) -> Vec<Forged> {
    let forge = |(way, forge): (&str, Way), again: bool, needs_kept: bool| {
        let mut entries = left.entries.clone();
        forge(left, &mut entries);
        if again {
            export::rehash(&mut entries, 0);
        }
        let text = export::write(&entries);
        assert_ne!(text, export::write(&left.entries), "{way}: nothing was changed");
        Forged { way: way.to_owned(), text, needs_kept }
    };
    let torn = TORN.map(|(way, tear)| {
        let text = tear(export::write(&left.entries));
        Forged { way: way.to_owned(), text, needs_kept: false }
    });
    let chain = BY_THE_CHAIN.into_iter().map(|way| forge(way, false, false));
    let checkpoints = BY_CHECKPOINTS.into_iter().map(|way| forge(way, true, false));
    let kept = BY_WHAT_WAS_KEPT.into_iter().map(|way| forge(way, true, true));
    chain.chain(checkpoints).chain(kept).chain(torn).collect()
}

/// One byte is another, anywhere; or a piece of the text is gone.
pub(super) fn random(left: &Left, count: u64, seed: u64) -> Vec<Forged> {
    let whole = export::write(&left.entries).into_bytes();
    let mut random = seed | 1;
    let mut below = |most: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        usize::try_from(random % most as u64).expect("below a length")
    };
    let one = |_| {
        let (at, mut bytes) = (below(whole.len() - 1), whole.clone());
        let way = match below(3) {
            0 => {
                // The last line stays in part, so that this is no cut that only what was kept could show.
                let end = (at + 1 + below(2_000)).min(whole.len() - 100).max(at + 1);
                bytes.drain(at..end);
                format!("bytes {at} to {end} are gone")
            }
            1 => {
                bytes[at] = b'0' + u8::try_from(below(10)).expect("a digit");
                format!("byte {at} is a digit")
            }
            _ => {
                bytes[at] ^= 1 << below(7);
                format!("a bit of byte {at} is another")
            }
        };
        // What happens to be the same is not tampered with.
        let same = bytes == whole;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        (!same).then_some(Forged { way, text, needs_kept: false })
    };
    (0..count).filter_map(one).collect()
}

impl Left {
    /// Where the first decision stands that changed something.
    fn decision(&self) -> usize {
        let decided = |entry: &Entry| entry.kind() == "evaluated" && entry.json.contains("\"desired\":6");
        self.entries.iter().position(decided).expect("a decision")
    }

    fn first(&self, kind: &str) -> usize {
        self.entries.iter().position(|entry| entry.kind() == kind).expect("there is such a record")
    }

    fn kept_seq(&self) -> usize {
        let seq = self.kept["checkpoint"]["seq"].as_u64().expect("a number");
        usize::try_from(seq).expect("a small number")
    }
}

fn edit(entries: &mut [Entry], at: usize, from: &str, to: &str) {
    assert!(entries[at].json.contains(from), "{from} is in {}", entries[at].json);
    entries[at].json = entries[at].json.replace(from, to);
}

/// Say something else in the place of a record.
fn replace(entries: &mut [Entry], at: usize, kind_and_data: &str) {
    let record = entries[at].record();
    entries[at].json = format!("{{\"v\":1,\"seq\":{},\"at\":{},{kind_and_data}}}", record["seq"], record["at"]);
}

/// Cut behind a number of records, or where the batch ends that goes on there.
fn cut(entries: &mut Vec<Entry>, count: usize) {
    let whole = (1..=count).rev().find(|end| !entries[end - 1].json.contains("\"more\":true"));
    entries.truncate(whole.expect("a batch ends somewhere"));
}

/// Number all records from 1 on, let time go on, and let none speak of the ones before it.
fn renumber(entries: &mut [Entry]) {
    let mut at = 0;
    for (number, entry) in (1..).zip(entries.iter_mut()) {
        let record = entry.record();
        at = at.max(record["at"].as_u64().unwrap_or_default());
        let data = entry.json.split_once("\"data\":").map(|(_, data)| data.to_owned()).expect("data");
        let more = if record["more"] == true { ",\"more\":true" } else { "" };
        entry.json =
            format!("{{\"v\":1,\"seq\":{number},\"at\":{at},\"kind\":{}{more},\"data\":{data}", record["kind"]);
    }
}

/// A key, and it is not the host's.
fn forger() -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[7; 32]).expect("32 bytes are a seed")
}

/// Have every checkpoint say the hash that its record has now, signed with a key if there is one.
fn follow_checkpoints(entries: &mut [Entry], key: Option<&Ed25519KeyPair>) {
    for at in 0..entries.len() {
        if entries[at].kind() == "checkpoint" {
            follow(entries, at, key);
            export::rehash(entries, at);
        }
    }
}

fn follow(entries: &mut [Entry], at: usize, key: Option<&Ed25519KeyPair>) {
    let data = entries[at].record()["data"].clone();
    let seq = data["seq"].as_u64().and_then(|seq| usize::try_from(seq).ok()).expect("a number");
    let text = |key: &str| data[key].as_str().expect("a text").to_owned();
    let hash = entries[seq - 1].hash.clone();
    let (mut public, mut signature) = (text("key"), text("signature"));
    if let Some(key) = key {
        let signed = format!("balm checkpoint 1\n{}\n{seq}\n{hash}\n", text("host"));
        (public, signature) = (hex(key.public_key().as_ref()), hex(key.sign(signed.as_bytes()).as_ref()));
    }
    let host: Value = data["host"].clone();
    let data = format!(
        "{{\"host\":{host},\"seq\":{seq},\"hash\":\"{hash}\",\"key\":\"{public}\",\"signature\":\"{signature}\"}}"
    );
    replace(entries, at, &format!("\"kind\":\"checkpoint\",\"data\":{data}"));
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
