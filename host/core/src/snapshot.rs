//! Snapshots: what all records up to one say together, as bytes, so that a start need not read all of them.
//!
//! A snapshot is three lines: `{"v":1,"host":…,"seq":…,"hash":…}` with the record that it stands at and that record's hash,
//! the state as JSON, and the SHA-256 of both lines. That digest is what a record of the chain vouches for; alone it only
//! tells a whole file from a damaged one. The same state gives the same bytes. It refuses to know files, and which snapshot
//! is believed.

use std::io;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    digest::{Digest, Hasher},
    line::Chain,
    name::Seq,
    state::State,
};

/// The version of snapshots that this code writes. It is another one whenever the same records lead to another state, or the
/// same state to other bytes, than before; a golden journal tells.
pub const VERSION: u32 = 2;

/// The oldest version that this code reads. A snapshot of an earlier one is as good as none, and the records are read; where
/// those are no longer kept, a version of Balm in between must save the state first.
pub const OLDEST: u32 = 1;

/// What brings the state of each earlier version to the next, the first from [`OLDEST`]. Where only fields were added that
/// have a default, it hands back what it is given.
///
/// Version 1 counted every target of an alert for the storm brake, kept swings that AWS had refused, and more of a scale-in
/// than it can take away. What it counted is over within a day.
const UPCASTS: [Upcast; (VERSION - OLDEST) as usize] = [|state| state];

type Upcast = fn(Value) -> Value;

/// Bytes of the last line: hexadecimal digits and the newline.
const DIGEST_BYTES: usize = 65;

/// The first line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Header {
    v: u32,
    host: String,
    seq: Seq,
    hash: Digest,
}

/// A snapshot that is whole. Whether the chain vouches for it is another question.
#[derive(Debug)]
pub struct Snapshot {
    /// Where the chain stood.
    pub chain: Chain,
    /// What a record must name for it to be believed.
    pub digest: Digest,
    /// What the records up to there say together.
    pub state: State,
}

/// Why bytes are no snapshot.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// They are not what was written.
    #[error("it is damaged: {0}")]
    Damaged(String),
    /// Another version of Balm wrote it.
    #[error("it has version {0}, and this version of Balm reads versions {OLDEST} to {VERSION}")]
    Version(u32),
}

/// What can be told of a snapshot without reading the state in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outline {
    /// Whose it is.
    pub host: String,
    /// Where the chain stood.
    pub chain: Chain,
    /// Of the whole.
    pub digest: Digest,
    version: u32,
}

/// Write a state. Returns its digest.
pub fn write(state: &State, chain: Chain, to: impl io::Write) -> io::Result<Digest> {
    debug_assert_eq!(state.seq, chain.seq, "a state is that of its last record");
    let mut to = Hashing { to, hasher: Hasher::default() };
    let header = Header { v: VERSION, host: state.host.clone(), seq: chain.seq, hash: chain.hash };
    serde_json::to_writer(&mut to, &header)?;
    io::Write::write_all(&mut to, b"\n")?;
    serde_json::to_writer(&mut to, state)?;
    io::Write::write_all(&mut to, b"\n")?;
    let Hashing { mut to, hasher } = to;
    let digest = hasher.finish();
    writeln!(to, "{digest}")?;
    to.flush()?;
    Ok(digest)
}

/// Whether bytes are a whole snapshot, of any version.
pub fn outline(bytes: &[u8]) -> Result<Outline, Unusable> {
    parts(bytes).map(|(outline, _)| outline)
}

/// Read a snapshot. Every byte of it is checked before any is believed.
pub fn read(bytes: &[u8]) -> Result<Snapshot, Unusable> {
    let (Outline { chain, digest, version, .. }, state) = parts(bytes)?;
    let mut state = read_state(state, version, OLDEST, &UPCASTS)?;
    if state.seq != chain.seq {
        return Err(Unusable::Damaged(format!("it says that it stands at record {}, and {}", chain.seq, state.seq)));
    }
    state.index();
    Ok(Snapshot { chain, digest, state })
}

fn read_state(json: &[u8], version: u32, oldest: u32, upcasts: &[Upcast]) -> Result<State, Unusable> {
    let done = version.checked_sub(oldest).and_then(|done| usize::try_from(done).ok());
    let missing = done.and_then(|done| upcasts.get(done..)).ok_or(Unusable::Version(version))?;
    let read = if missing.is_empty() {
        serde_json::from_slice(json)
    } else {
        let upcast = |state| missing.iter().fold(state, |state, upcast| upcast(state));
        serde_json::from_slice(json).map(upcast).and_then(|state| serde_json::from_str(&state.to_string()))
    };
    read.map_err(|error| Unusable::Damaged(format!("its state cannot be read: {error}")))
}

fn parts(bytes: &[u8]) -> Result<(Outline, &[u8]), Unusable> {
    let damaged = |why: &str| Unusable::Damaged(why.to_owned());
    let (text, last) = bytes.len().checked_sub(DIGEST_BYTES).map(|at| bytes.split_at(at)).unwrap_or_default();
    let digest = last.strip_suffix(b"\n").and_then(Digest::from_hex).ok_or_else(|| damaged("its end is missing"))?;
    if Digest::of(&[text]) != digest {
        return Err(damaged("its digest does not fit its text"));
    }
    let end = text.iter().position(|c| *c == b'\n').ok_or_else(|| damaged("it has no state"))?;
    let header: Header = serde_json::from_slice(&text[..end]).map_err(|error| damaged(&error.to_string()))?;
    let Header { v: version, host, seq, hash } = header;
    Ok((Outline { host, chain: Chain { seq, hash }, digest, version }, &text[end + 1..]))
}

struct Hashing<W> {
    to: W,
    hasher: Hasher,
}

impl<W: io::Write> io::Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.to.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        alert::{Alert, Status, tests::firing},
        caps,
        engine::{Engine, genesis},
        fixture::Bench,
        input::Input,
        record::{CallResult, Purpose, Record},
        time::Timestamp,
    };

    fn chain(state: &State) -> Chain {
        Chain { seq: state.seq, hash: Digest::of(&[b"the last record"]) }
    }

    fn bytes(state: &State) -> Vec<u8> {
        let mut bytes = Vec::new();
        write(state, chain(state), &mut bytes).expect("memory can be written");
        bytes
    }

    /// All that a busy hour leaves behind, record by record.
    fn lived() -> Vec<Record> {
        let mut bench = Bench::new();
        bench.judge_and_admit();
        bench.release();
        bench.call_ended(CallResult::Unknown { why: "no answer".into() });
        bench.looked(Purpose::Trace, Err("no answer".into()));
        all(&bench)
    }

    fn all(bench: &Bench) -> Vec<Record> {
        let first = genesis("host".into(), "0.1.0", Timestamp::EPOCH);
        std::iter::once(first).chain(bench.records.iter().cloned()).collect()
    }

    fn fold(records: &[Record]) -> Engine {
        let mut engine = Engine::new();
        records.iter().for_each(|record| engine.replay(record));
        engine
    }

    #[test]
    fn a_snapshot_at_any_record_and_the_records_behind_it_give_the_state_of_all_records() {
        let records = lived();
        let whole = fold(&records);
        for cut in 0..=records.len() {
            let before = fold(&records[..cut]);
            let Snapshot { state, chain: at, .. } = read(&bytes(before.state())).expect("a snapshot");
            assert_eq!((&state, at), (before.state(), chain(before.state())), "at record {cut}");
            let mut resumed = Engine::resuming(state);
            records[cut..].iter().for_each(|record| resumed.replay(record));
            assert_eq!(resumed.state(), whole.state(), "from record {cut}");
            assert!(bytes(resumed.state()) == bytes(whole.state()), "byte for byte, from record {cut}");
        }
    }

    #[test]
    fn no_byte_can_change_and_none_can_be_missing_unnoticed() {
        let whole = bytes(fold(&lived()).state());
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 1 << (at % 8);
            assert!(matches!(outline(&damaged), Err(Unusable::Damaged(_))), "byte {at}");
        }
        for shorter in [0, 1, 64, 65, 66, whole.len() - 66, whole.len() - 1] {
            assert!(matches!(read(&whole[..shorter]), Err(Unusable::Damaged(_))), "cut to {shorter} bytes");
        }
    }

    #[test]
    fn another_version_is_whole_and_not_read() {
        let text = String::from_utf8(bytes(fold(&lived()).state())).expect("JSON");
        let newer = text.replacen(&format!("{{\"v\":{VERSION}"), &format!("{{\"v\":{}", VERSION + 1), 1);
        let text = &newer[..newer.len() - DIGEST_BYTES];
        let newer = format!("{text}{}\n", Digest::of(&[text.as_bytes()]));
        assert_eq!(read(newer.as_bytes()).err(), Some(Unusable::Version(VERSION + 1)));
        assert!(outline(newer.as_bytes()).is_ok(), "whose it is and where it stands can be told all the same");
    }

    #[test]
    fn a_state_of_an_earlier_version_passes_every_upcast_behind_it() {
        let state = fold(&lived());
        let json = serde_json::to_string(state.state()).expect("JSON");
        let (first, second): (Upcast, Upcast) = (
            |mut state| {
                state["owner"] = state["name"].take();
                state
            },
            |mut state| {
                state["host"] = state["owner"].take();
                state
            },
        );
        let read = |version, key: &str| {
            let json = json.replacen("\"host\":\"host\"", &format!("\"{key}\":\"host\""), 1);
            read_state(json.as_bytes(), version, 4, &[first, second])
        };
        for (version, key) in [(4, "name"), (5, "owner"), (6, "host")] {
            let mut read = read(version, key).unwrap_or_else(|error| panic!("version {version}: {error}"));
            read.index();
            assert_eq!(&read, state.state(), "version {version}");
        }
        for version in [0, 3, 7] {
            assert_eq!(read(version, "host"), Err(Unusable::Version(version)));
        }
    }

    #[test]
    fn what_is_still_needed_is_never_older_later_on() {
        let records = lived();
        let needed: Vec<_> = (1..=records.len()).map(|cut| fold(&records[..cut]).state().oldest_needed()).collect();
        assert!(needed.is_sorted(), "{needed:?}");
        let alert = records.iter().find(|record| record.fact.kind() == "alert-received").expect("an alert").seq;
        assert_eq!(needed.last(), Some(&alert), "the episode of the first alert is open");
    }

    #[test]
    fn an_alert_still_leads_to_its_newest_episode() {
        let mut bench = Bench::before_alert();
        let alert = |status, minute: u64| {
            let at = Some(Timestamp::from_millis(minute * 60_000));
            Input::Alerts(vec![Alert {
                status,
                starts_at: at,
                ends_at: at.filter(|_| status == Status::Resolved),
                ..firing()
            }])
        };
        bench.configure(|configuration, _| configuration.policies.clear());
        bench.take(alert(Status::Firing, 1));
        bench.take(alert(Status::Resolved, 2));
        bench.wait(Duration::from_secs(caps::REOPEN_WITHIN_S));
        bench.take(alert(Status::Firing, 40));
        let records = all(&bench);
        let state = fold(&records);
        assert_eq!(state.state().episodes.len(), 2, "the ended one is remembered");
        let same = read(&bytes(state.state())).expect("a snapshot").state;
        assert_eq!(same.by_alert, state.state().by_alert);
    }
}
