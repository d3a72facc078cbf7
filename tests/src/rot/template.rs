//! A host's files with some history, and what they answer while they are whole.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    time::Duration,
};

use serde_json::Value;

use crate::{
    SCALE_ASG,
    harness::{
        Dir,
        cloud::Cloud,
        grafana::{Alert, body},
        host::Files,
        known::Known,
        opening::{Opened, Opener},
        socket, wait,
    },
    kills,
    replay::{self, Replayed},
};

const WITHIN: Duration = Duration::from_secs(60);

/// Alerts of strangers in one request.
const STRANGERS: u64 = 8;

/// Bytes of one stranger's label, so that few records fill a file of the journal.
const SAID: usize = 6_000;

/// Records between two saved states.
const STATE_EVERY: u64 = 100;

/// The files, and the cloud that they name.
pub(super) struct Template {
    files: Files,
    _cloud: Cloud,
    known: Known,
    /// What the state after the last record would be vouched for with.
    pub(super) state: String,
    /// The record that the newest saved state is of.
    pub(super) used: u64,
    /// The plugins that are loaded from native code that was kept.
    pub(super) loaded: BTreeSet<String>,
    pub(super) answers: Answers,
    pub(super) replayed: Replayed,
}

/// What a host answers when it is asked for everything.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Answers {
    records: BTreeMap<u64, Value>,
    episodes: BTreeMap<u64, Vec<Value>>,
}

impl Template {
    pub(super) fn make() -> Self {
        let cloud = Cloud::start(11, kills::cloud_options(), None);
        cloud.create_service("web", 4);
        let files = Files::new(Dir::new("rot-template"), &cloud.endpoint());
        fs::copy(SCALE_ASG, files.path("plugins/scale-asg.wasm")).expect("the plugin can be copied");
        files.edit("balm.toml", |text| {
            let journal = format!("reserve-mib = 0\nsegment-mib = 1\nstate-every = {STATE_EVERY}");
            let small = text.replace("reserve-mib = 0", &journal);
            let quick = small.replace("maximum = 12", "maximum = 6").replace("out-pause = 60", "out-pause = 1");
            format!("max-body-kib = 512\n{quick}")
        });
        let host = files.start();
        let runs = |tasks: u32| {
            let service = cloud.service("web").service;
            (service.desired_count == tasks && service.running_count == tasks).then_some(())
        };
        let scene = Alert::firing("HighCpu", "web", 0x5ce9e);
        host.accept(&body(std::slice::from_ref(&scene)));
        wait::until("the change out", WITHIN, || runs(6));
        for half in [0..15, 15..30] {
            half.for_each(|nth| host.accept(&body(&strangers(nth))));
            wait::until("the state to be saved", WITHIN, || is_saved(&files).then_some(()));
        }
        host.accept(&body(&[scene.resolved("2026-11-01T10:00:00Z")]));
        wait::until("the change back in", WITHIN, || runs(4));
        // Nothing is left for a later start to do: it would answer with more.
        wait::until("the episode to end", WITHIN, || {
            files.facts().iter().any(|fact| fact.kind() == "episode-ended").then_some(())
        });
        files.wait_for_rest();
        host.stop();
        // What a start writes itself belongs to every copy: the host that is asked is the second one.
        files.start().stop();
        let mut known = Known::default();
        known.learn(&files.data());
        let answers = {
            let host = files.start();
            files.wait_for_rest();
            let answers = Answers::ask(&files.data(), known.last()).expect("a whole host answers");
            host.stop();
            answers
        };
        assert!(answers.episodes.len() > 200 && answers.records.len() > 250, "there is too little to ask for");
        // That start wrote as well.
        known.learn(&files.data());
        let replayed = replay::run(&files.data()).expect("balm replay answers");
        assert!(replayed.replayed > 1 && replayed.mismatches == 0, "{replayed:?}");
        let (state, used) = Self::opened(&files, &known);
        let loaded = Opener::caches().loaded(&files.data()).expect("plugins are loaded");
        assert!(loaded.len() > 1, "no plugin's native code is kept");
        Self { files, _cloud: cloud, known, state, used, loaded, answers, replayed }
    }

    /// What the files are opened to while they are whole: only what a start says of these is any proof.
    fn opened(files: &Files, known: &Known) -> (String, u64) {
        match Opener::journals().open(&files.data()) {
            Opened::Journal { seq, state: Some(state), used: Some(used), damage: None, .. }
                if seq == known.last() && Some(&state) == known.state(seq).as_ref() =>
            {
                (state, used)
            }
            other => unreachable!("whole files are opened with {other:?}"),
        }
    }

    /// The last record.
    pub(super) fn last(&self) -> u64 {
        self.known.last()
    }

    /// Whether the journal ends with this record.
    pub(super) fn is_head(&self, seq: u64, hash: &str) -> bool {
        seq == self.last() && self.known.hash(seq).as_deref() == Some(hash)
    }

    pub(super) fn path(&self) -> &Path {
        crate::harness::host::beside(&self.files)
    }

    /// Files below a directory of the host's, by their ending.
    pub(super) fn listed(&self, dir: &str, endings: &[&str]) -> Vec<std::path::PathBuf> {
        let entries = fs::read_dir(self.files.path(dir)).expect("the directory is there").flatten();
        let is_meant = |name: &str| endings.is_empty() || endings.iter().any(|ending| name.ends_with(ending));
        let names = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()));
        let names = names.filter_map(|entry| entry.file_name().into_string().ok()).filter(|name| is_meant(name));
        let mut paths: Vec<_> = names.map(|name| Path::new(dir).join(name)).collect();
        paths.sort();
        paths
    }
}

/// Alerts that concern nobody.
fn strangers(nth: u64) -> Vec<Alert> {
    let alert = |of| {
        let mut alert = Alert::firing("Load", "db", 1 << 32 | (nth * STRANGERS + of));
        alert.labels.push(("said".into(), "x".repeat(SAID)));
        alert
    };
    (0..STRANGERS).map(alert).collect()
}

/// Whether no further state is due.
fn is_saved(files: &Files) -> bool {
    let names = fs::read_dir(files.data().join("state")).into_iter().flatten().flatten();
    let number = |entry: fs::DirEntry| entry.file_name().to_str()?.strip_suffix(".state")?.parse::<u64>().ok();
    let (newest, last) = (names.filter_map(number).max(), files.status()["seq"].as_u64());
    newest.zip(last).is_some_and(|(newest, last)| last - newest < STATE_EVERY)
}

impl Answers {
    /// Ask the running host for every record up to one, and for every episode that one of them began.
    pub(super) fn ask(data: &Path, upto: u64) -> Result<Self, String> {
        let mut answers = Self { records: BTreeMap::new(), episodes: BTreeMap::new() };
        for record in pages(data, &format!("to={upto}"))? {
            let seq = record["seq"].as_u64().ok_or("a record has no number")?;
            answers.records.insert(seq, record);
        }
        let begins = |record: &&Value| record["data"]["reception"].to_string().contains("opened");
        let begun: Vec<u64> =
            answers.records.values().filter(begins).filter_map(|record| record["seq"].as_u64()).collect();
        for episode in begun {
            answers.episodes.insert(episode, pages(data, &format!("to={upto}&episode={episode}"))?);
        }
        Ok(answers)
    }

    /// What is missing or other in comparison with these, if anything is.
    pub(super) fn unlike(&self, whole: &Self) -> Option<String> {
        let other = |(seq, record): &(&u64, &Value)| self.records.get(*seq) != Some(*record);
        if let Some((seq, _)) = whole.records.iter().find(other) {
            return Some(format!("record {seq} is missing or other"));
        }
        let other = |(id, records): &(&u64, &Vec<Value>)| self.episodes.get(*id) != Some(*records);
        whole.episodes.iter().find(other).map(|(id, _)| format!("episode {id} has other records"))
    }
}

fn pages(data: &Path, which: &str) -> Result<Vec<Value>, String> {
    let (mut records, mut cursor) = (Vec::new(), String::new());
    loop {
        let page =
            socket::get(data, &format!("/v1/records?limit=1000&{which}{cursor}")).map_err(|error| error.to_string())?;
        records.extend(page["records"].as_array().cloned().unwrap_or_default());
        match page["next"].as_u64() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return Ok(records),
        }
    }
}
