//! Starts from saved states on a real disk, with every file in the way that it can be wrong.

mod dropping;

use std::{collections::BTreeSet, fs, path::Path};

use balm_core::{
    alert::{Alert, Status},
    digest::Digest,
    engine::genesis,
    input::Input,
    line::Chain,
    name::Seq,
    record::{HistoryDropped, HostStarted, Person, Record, StateSaved},
    state::State,
    time::Timestamp,
};
use tokio::runtime::Runtime;

use super::{limits::READ_TRIES, scrub::scrub, *};
use crate::{
    audit,
    journal::{Journal, Layout, OpenError, Opened},
    test_dir::TestDir,
};

const SMALL: Layout = Layout { segment_bytes: 8 << 10, reserve_bytes: 0 };

/// A host as far as its journal and its saved states go: no thread, no effects.
struct Bench {
    dir: TestDir,
    states: States,
    engine: Engine,
    journal: Journal,
    log: Arc<Log>,
    alerts: u64,
    /// How far its clock is ahead, in milliseconds.
    ahead: u64,
}

impl Bench {
    fn new(name: &str) -> Self {
        let dir = TestDir::new(name);
        let states = States::open(dir.path()).unwrap();
        let mut engine = Engine::new();
        let read = journal::read(dir.path(), Chain::START, |_| {}).unwrap();
        let Opened { journal, log, .. } = read.open(SMALL).unwrap();
        let first = genesis("host".into(), "0.1.0", Timestamp::EPOCH);
        engine.replay(&first);
        let mut bench = Self { dir, states, engine, journal, log, alerts: 0, ahead: 0 };
        bench.write(&[first]);
        let started = HostStarted { version: "0.1.0".into(), engine: "none".into() };
        bench.take(Input::Started(started));
        bench.take(Input::Configured(Box::default()));
        bench
    }

    fn data(&self) -> &Path {
        self.dir.path()
    }

    fn write(&mut self, records: &[Record]) {
        self.journal.append(records).unwrap();
        self.journal.commit().unwrap();
    }

    fn take(&mut self, input: Input) {
        let records = self.engine.take(input, Timestamp::from_millis(1_000 + self.alerts + self.ahead)).records;
        self.write(&records);
    }

    /// So many alerts, a commit each; every third is the end of an earlier one.
    fn alerts(&mut self, count: u64) -> &mut Self {
        for _ in 0..count {
            self.alerts += 1;
            let ends = self.alerts.is_multiple_of(3);
            let alert = alert(if ends { self.alerts - 1 } else { self.alerts }, ends);
            self.take(Input::Alerts(vec![alert]));
        }
        self
    }

    /// Save the state as it is, and have the chain vouch for it.
    fn save(&mut self) -> Saved {
        let saved = self.save_unvouched();
        self.vouch(saved.chain.seq, saved.digest);
        saved
    }

    fn save_unvouched(&self) -> Saved {
        self.states.write(self.engine.state(), self.log.durable(), 0, 0).unwrap()
    }

    fn vouch(&mut self, upto: Seq, digest: Digest) {
        self.take(Input::StateSaved(StateSaved { upto, digest, bytes: 0, version: snapshot::VERSION }));
    }

    /// Start again with what is on the disk.
    fn recover(&self) -> Result<Recovered, recover::RecoverError> {
        recover(self.data(), &self.states, false)
    }

    /// Which saved state a start uses; whichever it is, the state is that of all records.
    fn used(&self) -> Option<Seq> {
        let recovered = self.recover().unwrap();
        assert!(recovered.engine.state() == self.engine.state(), "the state is another one");
        assert!(bytes(recovered.engine.state()) == bytes(self.engine.state()), "its bytes are others");
        assert_eq!(recovered.journal.chain, self.log.durable());
        recovered.used.map(|saved| saved.chain.seq)
    }

    fn damage(&self, at: Seq, change: impl FnOnce(&mut Vec<u8>)) {
        let path = self.states.path(at);
        let mut bytes = fs::read(&path).unwrap();
        change(&mut bytes);
        fs::write(&path, bytes).unwrap();
    }

    /// Write down that the files before this one are dropped.
    fn drop_before(&mut self, file: &Segment) -> HistoryDropped {
        let Chain { seq: upto, hash } = journal::chain_before(file.path(), file.first()).unwrap();
        let dropped = HistoryDropped { upto, hash, bytes: 0, why: "a test".into() };
        self.take(Input::HistoryDropped(dropped.clone()));
        dropped
    }

    fn files(&self) -> Vec<Seq> {
        self.log.files().iter().map(|file| file.first()).collect()
    }

    /// The thread of a host that starts now, on this one, with an engine that has ended, and what that host found.
    fn upkeep(&self, keep: Retention) -> (Running, Found, Runtime) {
        let Recovered { engine, journal, used, .. } = self.recover().unwrap();
        let (begins, checked_from, checked_to) = (journal.begins, journal.checked_from, journal.chain);
        let found = Found { begins, checked_from, checked_to, dropped: engine.state().dropped, used };
        let log = journal.open(SMALL).unwrap().log;
        let runtime = Runtime::new().unwrap();
        let (_, ending) = watch::channel(true);
        let opened = audit::open(self.data(), &log, false).unwrap();
        let (audit, copied) = opened.start(Arc::clone(&log), runtime.handle().clone(), ending).unwrap();
        copied.join().unwrap();
        let parts = Upkeep {
            settings: Settings { save_every: 1, keep, reserve_bytes: 0 },
            states: self.states.clone(),
            log,
            audit,
            inbox: crate::engine::inbox().0,
            verified: Arc::new(found.verified()),
            runtime: runtime.handle().clone(),
            ending: watch::channel(false).1,
        };
        (parts.begin(&found), found, runtime)
    }

    /// Check what a start did not read, after it has deleted what was dropped.
    fn scrub(&self) -> Result<Vec<Seq>, Broken> {
        let Recovered { engine, journal, .. } = self.recover().unwrap();
        let (begins, ends) = (journal.begins, journal.checked_from);
        let log = journal.open(SMALL).unwrap().log;
        let begins = finish_dropping(&log, begins, engine.state().dropped);
        let mut seen = Seen(Vec::new());
        scrub(&log, begins, ends, &mut seen)?;
        Ok(seen.0)
    }
}

/// How far checking went; nothing is waited for.
struct Seen(Vec<Seq>);

impl Watch for Seen {
    fn went_on(&mut self, seq: Seq) -> bool {
        self.0.push(seq);
        true
    }

    fn waited(&mut self) -> bool {
        panic!("everything can be read")
    }
}

fn alert(fingerprint: u64, ends: bool) -> Alert {
    let time = Some(Timestamp::from_millis(fingerprint));
    Alert {
        source: "grafana".parse().unwrap(),
        org: String::new(),
        fingerprint: format!("{fingerprint:016x}"),
        status: if ends { Status::Resolved } else { Status::Firing },
        name: "HighCpu".into(),
        labels: [("severity".to_owned(), "page".to_owned())].into(),
        annotations: [].into(),
        values: [].into(),
        starts_at: time,
        ends_at: time.filter(|_| ends),
        url: String::new(),
        held: None,
    }
}

fn bytes(state: &State) -> Vec<u8> {
    let mut bytes = Vec::new();
    snapshot::write(state, Chain { seq: state.seq, hash: Digest::ZERO }, &mut bytes).unwrap();
    bytes
}

#[test]
fn a_start_uses_the_newest_saved_state_and_reads_only_what_it_must() {
    let mut bench = Bench::new("history-newest");
    assert_eq!(bench.used(), None);
    bench.alerts(100);
    let older = bench.save();
    bench.alerts(100);
    assert_eq!(bench.used(), Some(older.chain.seq));
    let newer = bench.save();
    bench.alerts(100);
    assert_eq!(bench.used(), Some(newer.chain.seq));
    let recovered = bench.recover().unwrap();
    let files = bench.files();
    let holding = files.iter().rfind(|first| **first <= newer.chain.seq).copied().unwrap();
    assert_eq!(recovered.journal.checked_from.seq.next(), holding, "the file with it is the first that is read");
    assert!(files.iter().filter(|first| **first < holding).count() > 5, "and there are others before it: {files:?}");
    let log = recovered.journal.open(SMALL).unwrap().log;
    for seq in (1..=bench.log.durable().seq.0).map(Seq) {
        assert_eq!(log.read(seq).unwrap(), bench.log.read(seq).unwrap(), "a record of a file that was not read");
    }
}

#[test]
fn a_saved_state_at_any_record_leads_to_the_same_state() {
    let mut bench = Bench::new("history-any");
    for _ in 0..60 {
        bench.alerts(1);
        let saved = bench.save();
        assert_eq!(bench.used(), Some(saved.chain.seq));
        bench.states.keep(&[]).unwrap();
    }
}

#[test]
fn a_damaged_or_missing_state_is_not_used_and_the_one_before_it_is() {
    let mut bench = Bench::new("history-damaged");
    let older = bench.alerts(50).save().chain.seq;
    let newer = bench.alerts(50).save().chain.seq;
    bench.alerts(50);
    let whole = fs::read(bench.states.path(newer)).unwrap();
    for at in (0..whole.len()).step_by(97) {
        bench.damage(newer, |bytes| bytes[at] ^= 1 << (at % 8));
        assert_eq!(bench.used(), Some(older), "byte {at}");
        fs::write(bench.states.path(newer), &whole).unwrap();
    }
    bench.damage(newer, |bytes| bytes.truncate(whole.len() / 2));
    assert_eq!(bench.used(), Some(older), "cut");
    bench.damage(newer, |bytes| bytes.fill(0));
    assert_eq!(bench.used(), Some(older), "zeroed");
    fs::remove_file(bench.states.path(newer)).unwrap();
    assert_eq!(bench.used(), Some(older), "missing");
    bench.damage(older, Vec::clear);
    assert_eq!(bench.used(), None, "all records are read");
}

#[test]
fn a_state_that_the_chain_does_not_vouch_for_is_not_used() {
    let mut bench = Bench::new("history-unvouched");
    let older = bench.alerts(50).save().chain.seq;
    bench.alerts(50);
    let unvouched = bench.save_unvouched();
    bench.alerts(50);
    assert_eq!(bench.used(), Some(older), "no record names it");
    bench.vouch(unvouched.chain.seq, Digest::of(&[b"another"]));
    assert_eq!(bench.used(), Some(older), "a record names another one");
    // What somebody would like it to be, whole in itself.
    let mut forged = State::default();
    (forged.seq, forged.host) = (unvouched.chain.seq, "somebody's".into());
    bench.states.write(&forged, unvouched.chain, 0, 0).unwrap();
    assert_eq!(bench.used(), Some(older), "a forged one");
    bench.save();
    let other = Chain { hash: Digest::of(&[b"another history"]), ..bench.log.durable() };
    bench.states.write(bench.engine.state(), other, 0, 0).unwrap();
    let newest = bench.states.list().unwrap()[1];
    assert_eq!(bench.used(), Some(newest), "one of another history");
}

#[test]
fn states_that_were_swapped_are_not_used() {
    let mut bench = Bench::new("history-swapped");
    let older = bench.alerts(50).save().chain.seq;
    let newer = bench.alerts(50).save().chain.seq;
    bench.alerts(10);
    let (one, other) = (bench.states.path(older), bench.states.path(newer));
    fs::copy(&one, &other).unwrap();
    assert_eq!(bench.used(), Some(older), "the older one under the newer one's name");
    fs::copy(&other, bench.states.path(Seq(newer.0 + 5))).unwrap();
    fs::remove_file(one).unwrap();
    assert_eq!(bench.used(), None, "and elsewhere");
}

#[test]
fn a_state_of_another_version_is_as_good_as_none() {
    let mut bench = Bench::new("history-version");
    let at = bench.alerts(20).save().chain.seq;
    bench.damage(at, |bytes| {
        let text = String::from_utf8(bytes[..bytes.len() - 65].to_vec()).unwrap();
        let text = text.replacen(&format!("\"v\":{}", snapshot::VERSION), "\"v\":0", 1);
        *bytes = format!("{text}{}\n", Digest::of(&[text.as_bytes()])).into_bytes();
    });
    assert_eq!(bench.used(), None);
}

#[test]
fn a_state_that_knows_more_than_the_journal_stops_the_host_until_that_is_accepted() {
    let mut bench = Bench::new("history-ahead");
    let older = bench.alerts(50).save().chain;
    bench.alerts(50);
    let known = bench.save().chain.seq;
    // All but the first file is gone, with what was acknowledged in it.
    for first in bench.files().into_iter().skip(1) {
        fs::remove_file(bench.data().join("journal").join(format!("{:020}.journal", first.0))).unwrap();
    }
    let refused = bench.recover().err().unwrap().to_string();
    assert!(refused.contains(&format!("a saved state knows record {known}, and the journal ends with")), "{refused}");
    let recovered = recover(bench.data(), &bench.states, true).unwrap();
    assert_eq!(recovered.lost, Some(known));
    let last = recovered.journal.chain.seq;
    bench.states.put_away_after(last).unwrap();
    let left = bench.states.list().unwrap();
    assert!(!left.contains(&known) && left.contains(&older.seq) == (older.seq <= last), "{left:?}");
    assert_eq!(bench.recover().unwrap().lost, None, "it is accepted once");
}

#[test]
fn a_state_without_any_journal_is_a_loss_too() {
    let mut bench = Bench::new("history-alone");
    let known = bench.alerts(10).save().chain.seq;
    fs::remove_dir_all(bench.data().join("journal")).unwrap();
    let refused = bench.recover().err().unwrap().to_string();
    assert!(refused.contains(&format!("a saved state knows record {known}, and the journal ends with 0")), "{refused}");
}

#[test]
fn the_scrub_goes_over_every_file_that_was_not_read() {
    let mut bench = Bench::new("history-scrub");
    bench.alerts(200);
    bench.save();
    bench.alerts(10);
    let read_from = bench.recover().unwrap().journal.checked_from;
    assert_eq!(bench.scrub().unwrap().last(), Some(&read_from.seq));
}

#[test]
fn the_scrub_finds_every_changed_byte_of_an_old_file_and_says_where() {
    let mut bench = Bench::new("history-rot");
    bench.alerts(120);
    bench.save();
    bench.alerts(10);
    let file = bench.log.files()[2].clone();
    let whole = fs::read(file.path()).unwrap();
    let end = usize::try_from(file.end()).unwrap();
    // Most of the first and the last line is read at a start already: there it is found at once.
    let first_line = whole.iter().position(|c| *c == b'\n').unwrap() + 1;
    let last_line = whole[..end - 1].iter().rposition(|c| *c == b'\n').unwrap();
    let (mut found, mut seqs) = (0, BTreeSet::new());
    for at in (first_line..last_line).step_by(61) {
        let mut damaged = whole.clone();
        damaged[at] ^= 1 << (at % 8);
        fs::write(file.path(), &damaged).unwrap();
        let Err(Broken::Damage(damage)) = bench.scrub() else { panic!("byte {at} changed unnoticed") };
        let line = whole[..at].iter().rposition(|c| *c == b'\n').map_or(0, |newline| newline + 1);
        assert_eq!(damage.offset, line as u64, "byte {at}: {damage:?}");
        assert!(damage.file.ends_with(&format!("{:020}.journal", file.first().0)), "{damage:?}");
        seqs.insert(damage.seq);
        found += 1;
    }
    assert!(found > 50 && seqs.len() > 10, "{found} {seqs:?}");
    assert_eq!(seqs.first(), Some(&file.first().next()));
    for at in [0, first_line - 2, last_line + 1, end - 2] {
        let mut damaged = whole.clone();
        damaged[at] ^= 1;
        fs::write(file.path(), &damaged).unwrap();
        match bench.recover() {
            Err(refused) => assert!(refused.to_string().contains("the journal is damaged: record"), "{refused}"),
            Ok(_) => assert!(matches!(bench.scrub(), Err(Broken::Damage(_))), "byte {at} changed unnoticed"),
        }
    }
}

#[test]
fn a_journal_whose_old_files_were_exchanged_does_not_lead_to_its_end() {
    let (mut bench, mut other) = (Bench::new("history-exchanged"), Bench::new("history-other"));
    for bench in [&mut bench, &mut other] {
        bench.alerts(200);
        bench.save();
    }
    other.engine = Engine::new();
    let (first, second) = (bench.log.files()[0].clone(), bench.log.files()[1].clone());
    let text = fs::read_to_string(first.path()).unwrap().replacen("\"host\":\"host\"", "\"host\":\"hose\"", 1);
    // A whole chain of its own, up to the end of that file.
    let (mut chain, mut forged) = (Chain::START, Vec::new());
    for line in text.trim_end_matches('\0').lines() {
        let json = &line.as_bytes()[65..];
        let hash = line::hash_after(&chain.hash, json);
        forged.extend_from_slice(format!("{hash} ").as_bytes());
        forged.extend_from_slice(json);
        forged.push(b'\n');
        chain = Chain { seq: chain.seq.next(), hash };
    }
    forged.resize(text.len(), 0);
    fs::write(first.path(), forged).unwrap();
    // The next file does not go on from it, so nothing is believed that leads over it.
    let refused = bench.recover().err().unwrap().to_string();
    assert!(refused.contains(&second.path().display().to_string()), "{refused}");
}

#[test]
fn what_cannot_be_read_is_read_again_and_only_then_damaged() {
    /// Somebody who mends a file the last time that is waited for, or never.
    struct Mends<'a> {
        waited: u32,
        mend: Option<&'a dyn Fn()>,
    }
    impl Watch for Mends<'_> {
        fn went_on(&mut self, _: Seq) -> bool {
            true
        }
        fn waited(&mut self) -> bool {
            self.waited += 1;
            if let Some(mend) = self.mend.filter(|_| self.waited == READ_TRIES - 1) {
                mend();
            }
            true
        }
    }
    let mut bench = Bench::new("history-unread");
    bench.alerts(120).save();
    bench.alerts(10);
    let journal = bench.recover().unwrap().journal;
    let (begins, ends) = (journal.begins, journal.checked_from);
    let log = journal.open(SMALL).unwrap().log;
    let file = log.files()[2].clone();
    let whole = fs::read(file.path()).unwrap();
    // Reading behind the end of a file fails, as a disk does that answers with an error.
    let cut = || fs::File::options().write(true).open(file.path()).unwrap().set_len(5_000).unwrap();
    cut();
    let mut mends = Mends { waited: 0, mend: Some(&|| fs::write(file.path(), &whole).unwrap()) };
    scrub(&log, begins, ends, &mut mends).unwrap();
    assert_eq!(mends.waited, READ_TRIES - 1);
    cut();
    let mut mends = Mends { waited: 0, mend: None };
    let Err(Broken::Damage(damage)) = scrub(&log, begins, ends, &mut mends) else { panic!("it cannot be read") };
    assert_eq!((mends.waited, damage.seq, damage.offset), (READ_TRIES - 1, file.first(), 0));
    assert!(damage.file.ends_with(&format!("{:020}.journal", file.first().0)), "{damage:?}");
    assert!(damage.why.starts_with("it cannot be read: "), "{damage:?}");
}

#[test]
fn damage_behind_the_last_saved_state_is_told_with_its_place() {
    let mut bench = Bench::new("history-place");
    bench.alerts(100).save();
    bench.alerts(100);
    let (mut running, ..) = bench.upkeep(Retention::default());
    let file = running.parts.log.files().pop().unwrap();
    let mut bytes = fs::read(file.path()).unwrap();
    let ends: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at] == b'\n').collect();
    let offset = ends[4] + 1;
    bytes[offset + 70] ^= 1;
    fs::write(file.path(), bytes).unwrap();
    let Err(NotSaved::Damaged(damage)) = running.try_to_save() else { panic!("it was saved") };
    assert_eq!((damage.seq, damage.offset), (Seq(file.first().0 + 5), offset as u64));
    assert!(damage.file.ends_with(&format!("{:020}.journal", file.first().0)), "{damage:?}");
    assert_eq!(damage.why, LineError::Hash.to_string());
}
