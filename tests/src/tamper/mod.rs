//! Tampering with exports of a real host, in every way that comes to mind and in random ones: `balm audit verify` and the
//! program in Python, written from the documentation alone, must find each.

mod ways;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use balm_cloud::{Lag, Options as CloudOptions, Span};
use serde_json::Value;

use crate::{
    export::{self, Entry},
    harness::{
        Dir,
        cloud::Cloud,
        grafana::{Alert, body},
        host::Files,
        programs,
        receiver::{self, Receiver},
        wait,
    },
};

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Exports that were tampered with.
    pub tampered: usize,
    /// Those that a verifier took for whole, each with which.
    pub unseen: Vec<String>,
}

/// What a host has left.
pub struct Left {
    dir: Dir,
    /// Its export.
    pub entries: Vec<Entry>,
    /// The checkpoint that its receiver got last, as it got it.
    pub kept: Value,
    /// Its public key.
    pub key: String,
    /// The export of another host.
    pub others: Vec<Entry>,
    /// The data directory.
    pub data: PathBuf,
}

/// An export that was tampered with.
pub struct Forged {
    /// In which way.
    pub way: String,
    /// What it says now.
    pub text: String,
    /// Whether nothing but what was kept elsewhere can show it.
    pub needs_kept: bool,
}

/// Let hosts live, tamper with what they leave, in as many random ways as said beside all others, and verify.
#[must_use]
pub fn run(random: u64, seed: u64) -> Report {
    let left = live("tampered");
    let mut report = Report::default();
    for forged in ways::all(&left).into_iter().chain(ways::random(&left, random, seed)) {
        report.tampered += 1;
        let file = left.write("forged.jsonl", &forged.text);
        report
            .unseen
            .extend(left.taken_for_whole(&file, forged.needs_kept).iter().map(|by| format!("{}: {by}", forged.way)));
    }
    report
}

impl Left {
    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.dir.path().join(name);
        fs::write(&path, text).expect("a file can be written");
        path
    }

    /// Which verifiers take an export for whole.
    #[must_use]
    pub fn taken_for_whole(&self, file: &Path, with_kept: bool) -> Vec<&'static str> {
        let kept = self.write("kept.json", &self.kept.to_string());
        let outside = if with_kept { vec!["--checkpoint".as_ref(), kept.as_os_str()] } else { Vec::new() };
        let mut balm = Command::new(programs::balm());
        balm.args(["audit", "verify"]).arg(file).args(&outside);
        let mut python = Command::new("python3");
        python.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("verify.py")).arg(file).args(&outside);
        let is_whole = |verifier: &mut Command| {
            let output = verifier.output().expect("the verifier runs");
            assert!(output.status.code().is_some_and(|code| code <= 1), "it ends by saying what it found: {output:?}");
            output.status.success()
        };
        let verifiers = [("balm audit verify", &mut balm), ("tests/verify.py", &mut python)];
        verifiers.into_iter().filter_map(|(name, verifier)| is_whole(verifier).then_some(name)).collect()
    }

    /// The untampered export.
    #[must_use]
    pub fn whole(&self) -> PathBuf {
        self.write("whole.jsonl", &export::write(&self.entries))
    }
}

/// A host that acts, and whose checkpoints are kept elsewhere; and another one. In directories of this name.
#[must_use]
pub fn live(name: &str) -> Left {
    let span = |least, most| Span::between(least, most).expect("least is not above most");
    let lag = Lag { start_ms: span(20, 60), stop_ms: span(10, 40), scheduler_ms: span(5, 20) };
    let cloud = || {
        let cloud = Cloud::start(17, CloudOptions { lag, ..CloudOptions::default() }, None);
        cloud.create_service("web", 4);
        cloud
    };
    let (entries, kept, key, dir, data) = life(&cloud(), name);
    let (others, ..) = life(&cloud(), &format!("{name}-other"));
    Left { dir, entries, kept, key, others, data }
}

type Life = (Vec<Entry>, Value, String, Dir, PathBuf);

fn life(cloud: &Cloud, name: &str) -> Life {
    let keeper = Receiver::start();
    let dir = Dir::new(name);
    let files = Files::new(Dir::kept(dir.path().to_owned()), &cloud.endpoint());
    files.write("keeper-url", &receiver::url(keeper.address()));
    files.write("keeper-key", "key");
    files.edit("balm.toml", |text| {
        let keeper = "\n[notifier.keeper]\nkind = \"webhook\"\nurl-file = \"keeper-url\"\nkey-file = \"keeper-key\"\ncheckpoints = true\n";
        text.replace("[journal]\n", "[journal]\ncheckpoint-every = \"1s\"\n") + keeper
    });
    let host = files.start();
    host.accept(&body(&[Alert::firing("HighCpu", "web", 1)]));
    wait::until("the change", wait_within(), || (cloud.desired("web") == 6).then_some(()));
    // Two at least, and something in between.
    let seq_of = |body: &Value| body["checkpoint"]["seq"].as_u64();
    let first = keeper.wait_for("a checkpoint", |body| seq_of(body).is_some());
    host.accept(&body(&[Alert::firing("Quiet", "other", 2)]));
    files.wait_for_rest();
    let kept = keeper.wait_for("a later checkpoint", |body| seq_of(body) > seq_of(&first));
    let key = files.balm_says(&["audit", "key"]).trim().to_owned();
    assert_eq!(files.status()["checkpoint-key"], key, "the running host shows it as well");
    host.stop();
    let exported = files.path("export.jsonl");
    drop(files.balm_says(&["audit", "export", "--to", &exported.display().to_string()]));
    let entries = export::read(&fs::read_to_string(exported).expect("the export can be read"));
    (entries, kept, key, dir, files.data())
}

const fn wait_within() -> std::time::Duration {
    crate::harness::host::ready_within()
}
