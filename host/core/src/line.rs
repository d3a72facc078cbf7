//! Lines: how a record stands in the journal, and how it is believed again.
//!
//! A line is `<sha256> <json>\n`. The hash is over the 32 bytes of the hash before and the JSON's bytes, so the lines
//! form a chain: none can be changed, left out or moved without every later hash being wrong. The JSON is
//! `{"v":1,"seq":…,"at":…,"kind":"…","data":{…}}`, with `"more":true` where the batch goes on, `"synced":…` on the
//! first record of each write, and `"prev":"…"` on the first record of a file. It refuses to know files.

use std::{fmt, io::Write as _};

use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Value, value::RawValue};

pub use crate::glance::{Glance, glance};
use crate::{
    digest::Digest,
    envelope::{self, Data, Envelope},
    name::Seq,
    record::Record,
};

/// The version of records that this code writes; it reads this and every earlier one.
pub const VERSION: u32 = 1;

/// What brings the kind and data of a record from each earlier version to the next: the first from version 1 to 2.
const UPCASTS: [Upcast; VERSION as usize - 1] = [];

/// From one version to the next; what it does not concern it hands back as it is.
type Upcast = fn(String, Value) -> (String, Value);

/// Hexadecimal hash, space: what stands before the JSON.
const PREFIX_BYTES: usize = 65;

/// Where a chain stands: all that is needed to write the next line, or to check it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chain {
    /// The last record; zero before the first.
    pub seq: Seq,
    /// Its hash.
    pub hash: Digest,
}

impl Default for Chain {
    fn default() -> Self {
        Self::START
    }
}

impl Chain {
    /// Before the first record.
    pub const START: Self = Self { seq: Seq::ZERO, hash: Digest::ZERO };
}

/// What a line says beside its record, for whoever keeps the file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Framing {
    /// Every record up to this one was durable when this line was written. On the first line of each write, so that
    /// after a crash a torn end (never acknowledged) can be told from damage (acknowledged, and now unreadable).
    pub synced: Option<Seq>,
    /// The hash before. On the first line of each file, so that a file can be checked without those before it.
    pub prev: Option<Digest>,
}

/// A line that was believed.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// What it says.
    pub record: Record,
    /// See there.
    pub framing: Framing,
    /// Its hash: the chain's new head.
    pub hash: Digest,
}

/// Why a line is not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    /// Not a line at all, or the hash is wrong.
    #[error("its hash does not fit its text and the record before")]
    Hash,
    /// The hash is right, yet the JSON is none of ours.
    #[error("its hash is right, but it is no record: {0}")]
    Malformed(String),
    /// The hash is right, and a later version of Balm wrote it.
    #[error("it has version {0}; this version of Balm reads records up to version {VERSION}")]
    Newer(u32),
    /// The hash is right, and this version does not know what it says.
    #[error("it is a {0:?}, which this version of Balm does not know")]
    UnknownKind(String),
    /// The hash is right, yet its number is not the next.
    #[error("it has the number {found} where {expected} was expected")]
    OutOfOrder {
        /// The number that follows the record before.
        expected: Seq,
        /// Its own number.
        found: Seq,
    },
}

/// Append the line of the record that follows `chain`, and return where the chain then stands.
pub fn write(chain: Chain, record: &Record, framing: Framing, to: &mut Vec<u8>) -> Chain {
    debug_assert_eq!(record.seq, chain.seq.next(), "records are numbered without gaps");
    let start = to.len();
    to.extend_from_slice(&[b' '; PREFIX_BYTES]);
    write_json(record, framing, to);
    let hash = hash_after(&chain.hash, &to[start + PREFIX_BYTES..]);
    to[start..start + PREFIX_BYTES - 1].copy_from_slice(&hash.to_hex());
    to.push(b'\n');
    Chain { seq: record.seq, hash }
}

fn write_json(record: &Record, framing: Framing, to: &mut Vec<u8>) {
    const NEVER: &str = "writing to memory does not fail, and our types serialise";
    let Record { seq, at, more, fact } = record;
    write!(to, r#"{{"v":{VERSION},"seq":{seq},"at":{},"kind":"{}""#, at.as_millis(), fact.kind()).expect(NEVER);
    if *more {
        to.extend_from_slice(br#","more":true"#);
    }
    if let Some(synced) = framing.synced {
        write!(to, r#","synced":{synced}"#).expect(NEVER);
    }
    if let Some(prev) = framing.prev {
        write!(to, r#","prev":"{prev}""#).expect(NEVER);
    }
    to.extend_from_slice(br#","data":"#);
    fact.serialize_data(&mut serde_json::Serializer::new(&mut *to)).expect(NEVER);
    to.push(b'}');
}

/// Read the line that follows `chain`; `line` is without its newline.
pub fn read(chain: Chain, line: &[u8]) -> Result<Line, LineError> {
    let (hash, json) = split(line).ok_or(LineError::Hash)?;
    if hash_after(&chain.hash, json) != hash {
        return Err(LineError::Hash);
    }
    let (record, framing) = read_json(json)?;
    if record.seq != chain.seq.next() {
        return Err(LineError::OutOfOrder { expected: chain.seq.next(), found: record.seq });
    }
    Ok(Line { record, framing, hash })
}

/// Take a line apart without believing it.
#[must_use]
pub fn split(line: &[u8]) -> Option<(Digest, &[u8])> {
    if line.get(PREFIX_BYTES - 1) != Some(&b' ') {
        return None;
    }
    Some((Digest::from_hex(&line[..PREFIX_BYTES - 1])?, &line[PREFIX_BYTES..]))
}

/// Read the JSON of a line whose hash is believed.
pub fn read_json(json: &[u8]) -> Result<(Record, Framing), LineError> {
    read_json_with(json, &UPCASTS)
}

fn read_json_with(json: &[u8], upcasts: &[Upcast]) -> Result<(Record, Framing), LineError> {
    let malformed = |error: &dyn fmt::Display| LineError::Malformed(error.to_string());
    let json = str::from_utf8(json).map_err(|error| malformed(&error))?;
    let version = u32::try_from(upcasts.len()).map_or(u32::MAX, |before| before + 1);
    let Envelope { v, seq, at, mut kind, more, framing, data } =
        envelope::read(json, version).map_err(|error| malformed(&error))?;
    let missing = upcasts_of(v, upcasts)?;
    let fact = match data {
        Data::Fact(fact) => fact,
        Data::Text(text) if missing.is_empty() => {
            envelope::read_data(&kind, text.get()).map_err(|error| malformed(&error))?
        }
        Data::Text(text) => {
            let first = (kind.into_owned(), serde_json::from_str(text.get()).map_err(|error| malformed(&error))?);
            let (last, data) = missing.iter().fold(first, |(kind, data), upcast| upcast(kind, data));
            kind = last.into();
            envelope::read_data(&kind, &data.to_string()).map_err(|error| malformed(&error))?
        }
    };
    let fact = fact.ok_or_else(|| LineError::UnknownKind(kind.into_owned()))?;
    Ok((Record { seq, at, more, fact }, framing))
}

/// What is still to be done to a record of a version.
fn upcasts_of(v: u32, upcasts: &[Upcast]) -> Result<&[Upcast], LineError> {
    let done = v.checked_sub(1).ok_or_else(|| LineError::Malformed("there is no version 0".into()))?;
    usize::try_from(done).ok().and_then(|done| upcasts.get(done..)).ok_or(LineError::Newer(v))
}

/// The hash that a line should have, if its chain is to hold; for whoever checks many lines and reads none.
#[must_use]
pub fn hash_after(hash: &Digest, json: &[u8]) -> Digest {
    Digest::of(&[hash.as_bytes(), json])
}

/// The framing that a line claims, believed or not: evidence of what was once durable.
#[must_use]
pub fn claims(line: &[u8]) -> Option<(Seq, Framing)> {
    #[derive(Deserialize)]
    struct Claim {
        seq: Seq,
        synced: Option<Seq>,
        prev: Option<Digest>,
    }
    let (_, json) = split(line)?;
    let Claim { seq, synced, prev } = serde_json::from_slice(json).ok()?;
    Some((seq, Framing { synced, prev }))
}

/// A record as JSON for people and programs: the journal's JSON without the chain.
impl Serialize for Record {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut json = Vec::new();
        write_json(self, Framing::default(), &mut json);
        let json = String::from_utf8(json).map_err(serde::ser::Error::custom)?;
        RawValue::from_string(json).map_err(serde::ser::Error::custom)?.serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{ClockJumped, TimePassed};
    use crate::{
        name::EpisodeId,
        record::{Fact, Reception},
        time::Timestamp,
    };

    fn record(seq: u64, fact: Fact) -> Record {
        Record { seq: Seq(seq), at: Timestamp::from_millis(1000 + seq), more: seq == 1, fact }
    }

    fn two_lines() -> (Vec<u8>, Chain, Chain) {
        let mut lines = Vec::new();
        let framing = Framing { synced: Some(Seq::ZERO), prev: Some(Digest::ZERO) };
        let first = write(Chain::START, &record(1, Fact::TimePassed(TimePassed {})), framing, &mut lines);
        let jump = Fact::ClockJumped(ClockJumped { by_ms: 7 });
        let second = write(first, &record(2, jump), Framing::default(), &mut lines);
        (lines, first, second)
    }

    #[test]
    fn what_is_written_is_read_again_and_its_hash_is_the_new_head() {
        let (text, first, second) = two_lines();
        let lines: Vec<&[u8]> = text.strip_suffix(b"\n").expect("a last newline").split(|c| *c == b'\n').collect();
        let one = read(Chain::START, lines[0]).expect("a line");
        assert_eq!(one.record, record(1, Fact::TimePassed(TimePassed {})));
        assert_eq!(one.framing, Framing { synced: Some(Seq::ZERO), prev: Some(Digest::ZERO) });
        assert_eq!(one.hash, first.hash);
        let two = read(first, lines[1]).expect("a line");
        assert_eq!((two.record.seq, two.hash), (second.seq, second.hash));
    }

    #[test]
    fn the_format_is_the_documented_one() {
        let (text, ..) = two_lines();
        let text = String::from_utf8(text).expect("UTF-8");
        let second = text.lines().nth(1).expect("two lines");
        assert_eq!(&second[PREFIX_BYTES..], r#"{"v":1,"seq":2,"at":1002,"kind":"clock-jumped","data":{"by-ms":7}}"#);
    }

    #[test]
    fn no_byte_of_a_line_can_change_unnoticed() {
        let (text, ..) = two_lines();
        let end = text.iter().position(|c| *c == b'\n').expect("a newline");
        for at in 0..end {
            for flip in [1, 0x20, 0x80] {
                let mut damaged = text[..end].to_vec();
                damaged[at] ^= flip;
                assert_eq!(read(Chain::START, &damaged), Err(LineError::Hash), "byte {at} flipped by {flip}");
            }
        }
    }

    #[test]
    fn a_line_left_out_or_moved_is_noticed() {
        let (text, first, second) = two_lines();
        let lines: Vec<&[u8]> = text.strip_suffix(b"\n").expect("a last newline").split(|c| *c == b'\n').collect();
        assert_eq!(read(Chain::START, lines[1]), Err(LineError::Hash));
        assert_eq!(read(first, lines[0]), Err(LineError::Hash));
        assert_eq!(read(second, lines[1]), Err(LineError::Hash));
    }

    #[test]
    fn a_glance_sees_the_same_episode_as_reading() {
        use crate::record::{AlertReceived, EpisodeEnd, EpisodeEnded};
        let alert = |reception| {
            Fact::AlertReceived(Box::new(AlertReceived { reception, alert: crate::alert::tests::firing() }))
        };
        let episode = EpisodeId(Seq(7));
        let facts = [
            alert(Reception::Opened { concerned: vec![], idle: vec![] }),
            alert(Reception::Repeated { episode, concerned: vec![] }),
            alert(Reception::Ignored { episode: Some(episode), why: String::new() }),
            alert(Reception::Ignored { episode: None, why: String::new() }),
            Fact::EpisodeEnded(EpisodeEnded { episode, how: EpisodeEnd::Resolved }),
            Fact::TimePassed(TimePassed {}),
        ];
        for fact in facts {
            let record = record(1, fact);
            let mut json = Vec::new();
            write_json(&record, Framing::default(), &mut json);
            let wanted = Glance { seq: record.seq, more: record.more, episode: record.fact.episode() };
            assert_eq!(glance(&json), Some(wanted), "{}", record.fact.kind());
        }
    }

    #[test]
    fn a_record_of_an_earlier_version_passes_every_upcast_behind_it() {
        let first: Upcast = |kind, data| match kind.as_str() {
            "clock-leapt" => ("clock-leaped".into(), data),
            _ => (kind, data),
        };
        let second: Upcast = |kind, data| match kind.as_str() {
            "clock-leaped" => {
                ("clock-jumped".into(), serde_json::json!({ "by-ms": data["by-s"].as_u64().map(|s| s * 1000) }))
            }
            _ => (kind, data),
        };
        let read = |v: u32, kind: &str, data: &str| {
            let json = format!(r#"{{"v":{v},"seq":1,"at":0,"kind":"{kind}","data":{data}}}"#);
            read_json_with(json.as_bytes(), &[first, second]).map(|(record, _)| record.fact)
        };
        let jumped = Ok(Fact::ClockJumped(ClockJumped { by_ms: 7_000 }));
        assert_eq!(read(1, "clock-leapt", r#"{"by-s":7}"#), jumped);
        assert_eq!(read(2, "clock-leaped", r#"{"by-s":7}"#), jumped);
        assert_eq!(read(3, "clock-jumped", r#"{"by-ms":7000}"#), jumped);
        assert_eq!(read(1, "time-passed", "{}"), Ok(Fact::TimePassed(TimePassed {})), "what it does not concern stays");
        assert_eq!(read(2, "clock-leapt", r#"{"by-s":7}"#), Err(LineError::UnknownKind("clock-leapt".into())));
        assert_eq!(read(4, "time-passed", "{}"), Err(LineError::Newer(4)));
        assert!(matches!(read(0, "time-passed", "{}"), Err(LineError::Malformed(_))));
    }

    #[test]
    fn a_record_is_the_same_whatever_of_it_stands_first() {
        let fields = [r#""v":1"#, r#""seq":1"#, r#""at":7"#, r#""kind":"clock-jumped""#, r#""data":{"by-ms":7}"#];
        let other = r#""later":[1]"#;
        let wanted = Record {
            seq: Seq(1),
            at: Timestamp::from_millis(7),
            more: false,
            fact: Fact::ClockJumped(ClockJumped { by_ms: 7 }),
        };
        for turn in 0..fields.len() {
            let fields = [&fields[turn..], &fields[..turn], &[other]].concat();
            let json = format!("{{{}}}", fields.join(","));
            assert_eq!(read_json(json.as_bytes()), Ok((wanted.clone(), Framing::default())), "{json}");
            for left_out in 0..fields.len() - 1 {
                let mut fields = fields.clone();
                fields.remove(left_out);
                let json = format!("{{{}}}", fields.join(","));
                assert!(matches!(read_json(json.as_bytes()), Err(LineError::Malformed(_))), "{json}");
            }
        }
    }

    #[test]
    fn what_is_no_record_is_malformed_wherever_it_goes_wrong() {
        let good = br#"{"v":1,"seq":1,"at":7,"kind":"clock-jumped","data":{"by-ms":7}}"#;
        assert!(read_json(good).is_ok());
        for end in 0..good.len() {
            assert!(matches!(read_json(&good[..end]), Err(LineError::Malformed(_))), "cut to {end} bytes");
        }
        let others: [&[u8]; 5] = [
            br#"{"v":1,"seq":1,"at":7,"kind":"clock-jumped","data":{"by-ms":-7}}"#,
            br#"{"v":1,"seq":1,"at":7,"data":{"by-ms":-7},"kind":"clock-jumped"}"#,
            b"{\"v\":1,\"seq\":1,\"at\":7,\"kind\":\"\xff\",\"data\":{}}",
            br#"{"v":1,"seq":1,"at":7,"kind":"clock-jumped","data":{"by-ms":7}}{"#,
            br#"{"v":1,"seq":1,"at":7,"kind":"clock-jumped","data":{"by-ms":7},"data":{"by-ms":8}}"#,
        ];
        for other in others {
            assert!(matches!(read_json(other), Err(LineError::Malformed(_))), "{}", String::from_utf8_lossy(other));
        }
    }

    #[test]
    fn later_versions_and_unknown_kinds_are_named() {
        let with = |json: &str| {
            let hash = Digest::of(&[Digest::ZERO.as_bytes(), json.as_bytes()]);
            read(Chain::START, format!("{hash} {json}").as_bytes())
        };
        assert_eq!(with(r#"{"v":2,"seq":1,"at":0,"kind":"x","data":{}}"#), Err(LineError::Newer(2)));
        assert_eq!(with(r#"{"v":1,"seq":1,"at":0,"kind":"x","data":{}}"#), Err(LineError::UnknownKind("x".into())));
        assert!(matches!(with(r#"{"v":1}"#), Err(LineError::Malformed(_))));
        assert!(matches!(
            with(r#"{"v":1,"seq":3,"at":0,"kind":"time-passed","data":{}}"#),
            Err(LineError::OutOfOrder { .. })
        ));
    }
}
