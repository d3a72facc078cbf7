//! SIGKILL at any moment: scenes run on several services at once, alerts pour in beside them, and the host is killed again
//! and again. Afterwards everything is recounted: what was acknowledged, what the cloud did, what the journal says, and
//! what the audit database holds.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    ops::AddAssign,
    path::PathBuf,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use balm_cloud::{
    Lag, Options as CloudOptions, Span,
    fault::{Chance, Fault, Matching},
    log::{Applied, Entry},
    request::OperationName,
};
use balm_core::{
    alert::Status,
    record::{EpisodeEnd, Fact, IntentEnd, Reception, Record},
};
use serde_json::Value;

use crate::harness::{
    Dir,
    cloud::{ACCOUNT, Cloud, REGION},
    grafana::{Alert, body},
    host::{self, Files, Host, TOKEN},
    http, journal, programs, wait,
};

/// What is to be done.
#[derive(Clone, Debug)]
pub struct Options {
    /// How often the host is killed.
    pub kills: u32,
    /// What all randomness comes from.
    pub seed: u64,
    /// Where everything stays that is needed to recount; a temporary directory otherwise.
    pub keep: Option<PathBuf>,
}

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// How often the host was killed.
    pub kills: u32,
    /// Alerts that it acknowledged.
    pub acknowledged: usize,
    /// Those of them that are not in the journal.
    pub lost: usize,
    /// Scenes that were begun, each an alert that fires and resolves.
    pub scenes: usize,
    /// Scenes whose episode did not end, or not with a verified change out and back in.
    pub scenes_unfinished: usize,
    /// Changes that the cloud made for the host.
    pub effects: usize,
    /// Those that it made more than once for one intent.
    pub duplicate_effects: usize,
    /// Those without an attempt in the journal from before them.
    pub unrecorded_effects: usize,
    /// Records of the journal.
    pub records: usize,
    /// Records that the audit database has otherwise, or not.
    pub audit_differences: usize,
}

impl Report {
    /// Whether nothing was lost, doubled, left undone or told differently.
    #[must_use]
    pub const fn is_clean(&self) -> bool {
        self.lost == 0
            && self.scenes_unfinished == 0
            && self.duplicate_effects == 0
            && self.unrecorded_effects == 0
            && self.audit_differences == 0
    }
}

impl AddAssign for Report {
    fn add_assign(&mut self, other: Self) {
        // Named one by one, so that a count that is new is not left out of the sum.
        let Self {
            kills,
            acknowledged,
            lost,
            scenes,
            scenes_unfinished,
            effects,
            duplicate_effects,
            unrecorded_effects,
            records,
            audit_differences,
        } = other;
        self.kills += kills;
        self.acknowledged += acknowledged;
        self.lost += lost;
        self.scenes += scenes;
        self.scenes_unfinished += scenes_unfinished;
        self.effects += effects;
        self.duplicate_effects += duplicate_effects;
        self.unrecorded_effects += unrecorded_effects;
        self.records += records;
        self.audit_differences += audit_differences;
    }
}

/// Services on which scenes run at once, each at another moment of its scene when the host is killed.
const SERVICES: usize = 6;

/// What each runs before and after a scene, and in between.
const STEADY: u32 = 4;
const SCALED: u32 = 6;

/// How long a scene may take, whatever is killed in it.
const SCENE_WITHIN: Duration = Duration::from_secs(120);

/// How often a scene is looked at: with a service come all tasks that it ever had.
const LOOK_EVERY: Duration = Duration::from_millis(50);

struct Stage<'a> {
    cloud: &'a Cloud,
    /// `host:port` of the host that runs now, if one does.
    alerts: Mutex<Option<String>>,
    acknowledged: Mutex<Vec<(String, Status)>>,
    fingerprints: AtomicU64,
    scenes: AtomicU64,
    curtain: AtomicBool,
}

/// Kill, and recount.
///
/// # Panics
///
/// If a scene does not come to its end in time.
#[must_use]
pub fn run(options: &Options) -> Report {
    let dir = options.keep.clone().map_or_else(|| Dir::new("kills"), Dir::kept);
    let call_log = dir.path().join("cloud-calls.jsonl");
    let cloud = Cloud::start(options.seed, cloud_options(), Some(call_log));
    (0..SERVICES).for_each(|i| cloud.create_service(&service(i), STEADY));
    slow_calls(&cloud);
    let files = files(dir, &cloud);
    // Built before anybody waits for it: on a fresh checkout that takes minutes.
    let _ = programs::balm();
    let stage = Stage {
        cloud: &cloud,
        alerts: Mutex::new(None),
        acknowledged: Mutex::new(Vec::new()),
        fingerprints: AtomicU64::new(1),
        scenes: AtomicU64::new(0),
        curtain: AtomicBool::new(false),
    };
    let host = thread::scope(|threads| {
        for i in 0..SERVICES {
            let stage = &stage;
            threads.spawn(move || stage.play(i));
        }
        threads.spawn(|| stage.pour());
        stage.kill(&files, options)
    });
    let acknowledged = stage.acknowledged.into_inner().unwrap_or_else(PoisonError::into_inner);
    keep_notes(&files, options, &acknowledged);
    let mut report = Report {
        kills: options.kills,
        scenes: usize::try_from(stage.scenes.into_inner()).expect("a small number"),
        acknowledged: acknowledged.len(),
        ..Report::default()
    };
    recount(&mut report, &cloud, &files, host, &acknowledged);
    report
}

fn service(i: usize) -> String {
    format!("web-{i}")
}

pub(crate) fn cloud_options() -> CloudOptions {
    let lag = Lag { start_ms: span(50, 250), stop_ms: span(20, 100), scheduler_ms: span(5, 30) };
    CloudOptions { lag, ..CloudOptions::default() }
}

fn span(least: u64, most: u64) -> Span {
    Span::between(least, most).expect("least is not above most")
}

/// Answers take a while, so that the host is often killed while one is on its way.
fn slow_calls(cloud: &Cloud) {
    let slow = Chance { matching: Matching::default(), per_million: 900_000, fault: Fault::Slow { ms: span(1, 60) } };
    cloud.with(|cloud, _| cloud.plan().chance(slow)).expect("the plan has room");
}

fn files(dir: Dir, cloud: &Cloud) -> Files {
    let files = Files::new(dir, &cloud.endpoint());
    let allowed: Vec<String> = (0..SERVICES).map(|i| format!("{:?}", service(i))).collect();
    let mapped = format!(
        "[policy.target-from-label]\naccount = \"{ACCOUNT}\"\nregion = \"{REGION}\"\ncluster = \"prod\"\nlabel = \"service\"\nallowed = [{}]\n",
        allowed.join(", ")
    );
    files.edit("balm.toml", |text| {
        let fixed = text.lines().find(|line| line.starts_with("targets")).expect("the policy has targets").to_owned();
        let load = LOAD_POLICY.replace("TARGET", &format!("arn:aws:ecs:{REGION}:{ACCOUNT}:service/prod/web-0"));
        let quick =
            text.replace("maximum = 12", &format!("maximum = {SCALED}")).replace("out-pause = 60", "out-pause = 1");
        quick.replace(&fixed, "").replace("[policy.match]", &format!("{mapped}\n[policy.match]")) + &load
    });
    // As many scenes as there is time for.
    files.edit("guardrails/limits.toml", |text| text.replace("count = 100", "count = 10000"));
    files
}

const LOAD_POLICY: &str = r#"
[[policy]]
name = "load"
plugin = "scale-ecs-service"
mode = "shadow"
targets = ["TARGET"]

[policy.match]
labels = { alertname = "Load" }

[policy.settings]
minimum = 2
maximum = 12
out-pause = 3600
"#;

impl Stage<'_> {
    /// Post until it is acknowledged, by whichever host lives.
    fn post(&self, alerts: &[Alert]) {
        let body = body(alerts);
        let authorization = format!("Bearer {TOKEN}");
        let headers = [("authorization", authorization.as_str())];
        wait::until("an acknowledgement", SCENE_WITHIN, || {
            let address = self.alerts.lock().unwrap_or_else(PoisonError::into_inner).clone()?;
            let answer = http::post(&address, "/v1/alerts/grafana", &headers, &body).ok()?;
            (answer.status == 200).then_some(())
        });
        let mut acknowledged = self.acknowledged.lock().unwrap_or_else(PoisonError::into_inner);
        acknowledged.extend(
            alerts
                .iter()
                .map(|alert| (alert.fingerprint.clone(), if alert.firing { Status::Firing } else { Status::Resolved })),
        );
    }

    /// One scene after the other on a service: it fires, is scaled out, resolves, is scaled in.
    fn play(&self, i: usize) {
        let name = service(i);
        while !self.curtain.load(Ordering::SeqCst) {
            self.scenes.fetch_add(1, Ordering::SeqCst);
            let alert = Alert::firing("HighCpu", &name, self.fingerprints.fetch_add(1, Ordering::SeqCst));
            self.post(std::slice::from_ref(&alert));
            self.becomes(i, SCALED);
            self.post(&[alert.resolved("2026-11-01T10:00:00Z")]);
            self.becomes(i, STEADY);
        }
    }

    fn becomes(&self, i: usize, tasks: u32) {
        wait::seldom(LOOK_EVERY, &format!("{} to run {tasks} tasks", service(i)), SCENE_WITHIN, || {
            let service = self.cloud.with(|cloud, now| cloud.look(now, i, 1)).pop()?.service;
            (service.desired_count == tasks && service.running_count == tasks).then_some(())
        });
    }

    /// Alerts of strangers: about five hundred a second, less what their sender waits for.
    fn pour(&self) {
        while !self.curtain.load(Ordering::SeqCst) {
            thread::sleep(Duration::from_millis(10));
            let fingerprint = || 1 << 32 | self.fingerprints.fetch_add(1, Ordering::SeqCst);
            let alerts: Vec<Alert> = (0..5).map(|_| Alert::firing("Load", "web-0", fingerprint())).collect();
            self.post(&alerts);
        }
    }

    /// Kill the host so many times, most often while it works, sometimes while it starts; leave one running.
    fn kill(&self, files: &Files, options: &Options) -> Host {
        let mut random = options.seed | 1;
        for _ in 0..options.kills {
            if below(&mut random, 4) == 0 {
                let mut host = files.spawn(&[]);
                thread::sleep(Duration::from_millis(below(&mut random, 400)));
                host.kill();
            } else {
                let mut host = files.start();
                self.introduce(&host);
                thread::sleep(Duration::from_millis(below(&mut random, 2_500)));
                *self.alerts.lock().unwrap_or_else(PoisonError::into_inner) = None;
                host.kill();
            }
        }
        let host = files.start();
        self.introduce(&host);
        self.curtain.store(true, Ordering::SeqCst);
        host
    }

    fn introduce(&self, host: &Host) {
        *self.alerts.lock().unwrap_or_else(PoisonError::into_inner) = Some(host.alerts.clone());
    }
}

/// Xorshift: good enough to be anywhere.
fn below(random: &mut u64, most: u64) -> u64 {
    *random ^= *random << 13;
    *random ^= *random >> 7;
    *random ^= *random << 17;
    *random % most
}

fn keep_notes(files: &Files, options: &Options, acknowledged: &[(String, Status)]) {
    let lines: String =
        acknowledged.iter().map(|(fingerprint, status)| format!("{fingerprint} {status:?}\n")).collect();
    files.write("acknowledged.txt", &lines);
    files.write("seed.txt", &options.seed.to_string());
}

/// Wait until the host has nothing more to do, end it, and count what is wrong with what it left.
pub(crate) fn recount(
    report: &mut Report,
    cloud: &Cloud,
    files: &Files,
    host: Host,
    acknowledged: &[(String, Status)],
) {
    wait::told("the host to have nothing more to do", SCENE_WITHIN, || host::at_rest(files.status()));
    let audited = audited_lines(files);
    host.stop();
    let written = journal::read(&files.data());
    report.records = written.len();
    report.audit_differences = differences(&written, &audited);
    let records: Vec<Record> = written.into_iter().map(|(record, _)| record).collect();
    report.lost = lost(&records, acknowledged);
    report.scenes_unfinished = unfinished(&records);
    let entries: Vec<Entry> = cloud.with(|cloud, _| cloud.log().entries().cloned().collect());
    count_effects(report, &records, &entries);
}

/// Every line that the audit database has, as the running host tells it.
fn audited_lines(files: &Files) -> BTreeMap<u64, Vec<u8>> {
    let mut lines = BTreeMap::new();
    loop {
        let from = lines.last_key_value().map_or(1, |(seq, _)| seq + 1);
        let page = files.balm_says(&[
            "audit",
            "tail",
            "--json",
            "--no-follow",
            "--most",
            "10000",
            "--from",
            &from.to_string(),
        ]);
        let before = lines.len();
        for line in page.lines() {
            let seq = serde_json::from_str::<Value>(line).ok().and_then(|value| value["seq"].as_u64());
            lines.insert(seq.expect("a record has a number"), line.as_bytes().to_vec());
        }
        if lines.len() == before {
            return lines;
        }
    }
}

/// Records of the journal that the audit database does not have to the letter. What was written since is not compared.
fn differences(written: &[(Record, Vec<u8>)], audited: &BTreeMap<u64, Vec<u8>>) -> usize {
    let head = audited.last_key_value().map_or(0, |(seq, _)| *seq);
    let same = |record: &Record, line: &[u8]| {
        let json = balm_core::line::split(line).map(|(_, json)| json);
        audited.get(&record.seq.0).map(Vec::as_slice) == json
    };
    written.iter().filter(|(record, line)| record.seq.0 <= head && !same(record, line)).count()
}

fn lost(records: &[Record], acknowledged: &[(String, Status)]) -> usize {
    let received: BTreeSet<(&str, bool)> = records
        .iter()
        .filter_map(|record| match &record.fact {
            Fact::AlertReceived(received) => {
                Some((received.alert.fingerprint.as_str(), received.alert.status == Status::Firing))
            }
            _ => None,
        })
        .collect();
    let is_lost = |(fingerprint, status): &&(String, Status)| {
        !received.contains(&(fingerprint.as_str(), *status == Status::Firing))
    };
    acknowledged.iter().filter(is_lost).count()
}

/// Episodes of scenes that did not end with two verified intents.
fn unfinished(records: &[Record]) -> usize {
    let mut scenes: BTreeMap<u64, (u32, bool)> = BTreeMap::new();
    for record in records {
        match &record.fact {
            Fact::AlertReceived(received) if received.alert.name == "HighCpu" => {
                if let Reception::Opened { .. } = received.reception {
                    scenes.insert(record.seq.0, (0, false));
                }
            }
            Fact::IntentEnded(ended) if ended.how == IntentEnd::Verified => {
                if let Some((verified, _)) = scenes.get_mut(&ended.episode.0.0) {
                    *verified += 1;
                }
            }
            Fact::EpisodeEnded(ended) if ended.how == EpisodeEnd::Resolved => {
                if let Some((_, over)) = scenes.get_mut(&ended.episode.0.0) {
                    *over = true;
                }
            }
            _ => {}
        }
    }
    scenes.values().filter(|scene| **scene != (2, true)).count()
}

fn count_effects(report: &mut Report, records: &[Record], entries: &[Entry]) {
    let started: BTreeMap<&str, u64> = records
        .iter()
        .rev()
        .filter_map(|record| match &record.fact {
            // From the back, so that the first attempt of an intent is what stays.
            Fact::AttemptStarted(attempt) => Some((attempt.token.as_str(), record.at.as_millis())),
            _ => None,
        })
        .collect();
    let mut made: BTreeMap<&str, usize> = BTreeMap::new();
    for entry in entries {
        let (Applied::At(_), OperationName::UpdateService) = (entry.applied, entry.request.operation.name()) else {
            continue;
        };
        report.effects += 1;
        *made.entry(entry.request.caller.as_str()).or_default() += 1;
        report.unrecorded_effects += usize::from(!started.contains_key(entry.request.caller.as_str()));
    }
    report.duplicate_effects = made.values().map(|times| times - 1).sum();
}

/// Remove a directory that was kept, for those who run it more than once.
pub fn clear(dir: &std::path::Path) {
    let _ = fs::remove_dir_all(dir);
}
