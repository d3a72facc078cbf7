//! A host with a scene under way, followed by strace, and what is recounted once it has started again.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use balm_core::alert::Status;

use super::{Report, errors, points::Where};
use crate::{
    harness::{
        Dir,
        cloud::Cloud,
        copy,
        grafana::{Alert, body},
        host::{Files, Host, TOKEN},
        http,
        strace::{self, Event, Tracer},
    },
    kills,
};

/// How long anything may take.
const WITHIN: Duration = Duration::from_secs(60);

/// What the service runs before and after the scene, and in between.
const STEADY: u32 = 4;
const SCALED: u32 = 6;

/// Bytes of the journal's first file that are left for the scene: it goes on in the next one before its end.
const LEFT_BYTES: usize = 32 << 10;

/// Requests of strangers' alerts in each half of the scene: enough to fill what is left.
const STRANGERS: u64 = 14;

/// The fingerprint of the scene's alert.
const SCENE: u64 = 0x5ce9e;

/// A data directory whose journal is about to go on in its next file, to be copied.
pub(super) struct Template {
    data: PathBuf,
    /// What its host acknowledged.
    acknowledged: Vec<(String, Status)>,
    _dir: Dir,
}

/// A cloud, the files of a host in it, and what was said so far.
pub(super) struct Stage {
    cloud: Cloud,
    files: Files,
    acknowledged: Vec<(String, Status)>,
    /// What was said to alerts that were sent back.
    pub(super) sent_back: Vec<String>,
    strangers: u64,
}

impl Template {
    pub(super) fn make() -> Self {
        let mut stage = Stage::empty("syscalls-template");
        let host = stage.files.start();
        while left_in_first_file(&stage.files.data()) > LEFT_BYTES {
            assert!(
                stage.post(&host.alerts, &strangers(&mut stage.strangers.clone(), 10)).is_ok(),
                "the host takes alerts"
            );
            stage.strangers += 10;
        }
        host.stop();
        let dir = Dir::new("syscalls-template-data");
        copy(&stage.files.data(), dir.path());
        Self { data: dir.path().into(), acknowledged: stage.acknowledged, _dir: dir }
    }
}

fn left_in_first_file(data: &Path) -> usize {
    let bytes = fs::read(first_file(data)).expect("a file of the journal can be read");
    bytes.len() - written(&bytes)
}

fn first_file(data: &Path) -> PathBuf {
    data.join("journal").join(format!("{:020}.journal", 1))
}

/// Bytes up to the last that is no NUL.
fn written(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|c| *c != 0).map_or(0, |last| last + 1)
}

/// Alerts that concern nobody.
fn strangers(next: &mut u64, count: u64) -> Vec<Alert> {
    let alerts = (*next..*next + count).map(|nth| Alert::firing("Load", "db", 1 << 32 | nth)).collect();
    *next += count;
    alerts
}

impl Stage {
    fn empty(name: &str) -> Self {
        let cloud = Cloud::start(7, kills::cloud_options(), None);
        cloud.create_service("web", STEADY);
        let files = Files::new(Dir::new(name), &cloud.endpoint());
        files.edit("balm.toml", |text| {
            let small = text.replace("reserve-mib = 0", "reserve-mib = 0\nsegment-mib = 1");
            let quick = small
                .replace("maximum = 12", &format!("maximum = {SCALED}"))
                .replace("out-pause = 60", "out-pause = 1");
            format!("max-body-kib = 512\n{quick}")
        });
        Self { cloud, files, acknowledged: Vec::new(), sent_back: Vec::new(), strangers: 1 << 20 }
    }

    /// With a data directory for such a point.
    pub(super) fn set(name: &str, template: &Template, place: Where) -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let mut stage = Self::empty(&format!("{name}-{}", NUMBER.fetch_add(1, Ordering::Relaxed)));
        if place == Where::FirstStart {
            return stage;
        }
        copy(&template.data, &stage.files.data());
        stage.acknowledged.clone_from(&template.acknowledged);
        if place == Where::TornStart {
            // As if power had failed while one more write was on its way: half of it is there.
            let path = first_file(&stage.files.data());
            let mut bytes = fs::read(&path).expect("a file of the journal can be read");
            let end = written(&bytes);
            bytes[end..end + 700].fill(b'x');
            fs::write(path, bytes).expect("it can be written");
        }
        stage
    }

    pub(super) fn data(&self) -> String {
        self.files.data().display().to_string()
    }

    /// What the host logged.
    pub(super) fn log(&self) -> String {
        fs::read_to_string(self.files.path("balm.log")).unwrap_or_default()
    }

    /// Start a host, have strace follow the journal's thread from then on, and play the scene as far as the host lives. Whether
    /// it is gone, and what its thread asked of the kernel.
    pub(super) fn play_with(&mut self, tracing: &str) -> (bool, Vec<Event>) {
        let mut host = self.files.start();
        let thread = strace::thread(host.pid(), "balm-journal");
        let tracer = Tracer::attach(thread, &[tracing], self.files.path("strace.txt"));
        let gone = self.play(&host.alerts).is_err();
        if gone {
            errors::ended(&mut host);
        } else {
            host.kill();
        }
        (gone, tracer.ended())
    }

    /// Start a host with strace following its first thread. Whether it was killed before it was ready.
    pub(super) fn start_with(&self, tracing: &str) -> bool {
        let started = self.files.try_start_below(&self.strace(tracing));
        started.map(|mut host| host.kill()).is_err()
    }

    /// What a start asks of the kernel on its first thread.
    pub(super) fn list_start(self) -> Vec<Event> {
        let mut host = self.files.try_start_below(&self.strace("--trace=all")).expect("the host becomes ready");
        host.kill();
        strace::read_to_the_end(&self.files.path("strace.txt"))
    }

    fn strace(&self, tracing: &str) -> Vec<String> {
        let output = self.files.path("strace.txt").display().to_string();
        // With -D strace stands beside the host and not above it.
        ["strace", "-D", "-y", "-o", &output, tracing].map(str::to_owned).to_vec()
    }

    /// An alert is scaled out for, resolves, and is scaled in for, among strangers' alerts.
    fn play(&mut self, address: &str) -> io::Result<()> {
        let alert = Alert::firing("HighCpu", "web", SCENE);
        self.post(address, std::slice::from_ref(&alert))?;
        self.pour_until(address, SCALED)?;
        self.post(address, &[alert.resolved("2026-11-01T10:00:00Z")])?;
        self.pour_until(address, STEADY)
    }

    /// Post strangers' alerts until the service runs so many tasks, and as many as belong to the scene.
    fn pour_until(&mut self, address: &str, tasks: u32) -> io::Result<()> {
        let (since, mut poured) = (Instant::now(), 0);
        while poured < STRANGERS || !self.runs(tasks) {
            if poured < STRANGERS {
                let count = 1 + poured % 3;
                let alerts = strangers(&mut self.strangers, count);
                self.post(address, &alerts)?;
                poured += 1;
            } else if since.elapsed() > WITHIN {
                return Err(io::ErrorKind::TimedOut.into());
            } else {
                // Someone who is gone does not scale: ask whether it is there.
                drop(http::Connection::open(address)?);
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        Ok(())
    }

    fn runs(&self, tasks: u32) -> bool {
        let service = self.cloud.service("web").service;
        service.desired_count == tasks && service.running_count == tasks
    }

    /// Post until it is acknowledged. A host that is gone is an error.
    fn post(&mut self, address: &str, alerts: &[Alert]) -> io::Result<()> {
        let (authorization, since) = (format!("Bearer {TOKEN}"), Instant::now());
        let headers = [("authorization", authorization.as_str())];
        loop {
            let answer = http::post(address, "/v1/alerts/grafana", &headers, &body(alerts))?;
            if answer.status == 200 {
                let status = |alert: &Alert| if alert.firing { Status::Firing } else { Status::Resolved };
                self.acknowledged.extend(alerts.iter().map(|alert| (alert.fingerprint.clone(), status(alert))));
                return Ok(());
            }
            self.sent_back.push(answer.body);
            if since.elapsed() > WITHIN {
                return Err(io::ErrorKind::TimedOut.into());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Start again, play the scene to its end, and count what is wrong.
    pub(super) fn recount(mut self, after: &str) -> Report {
        let acknowledged_before = self.acknowledged.len();
        let host = match self.files.try_start() {
            Ok(host) => host,
            Err(said) => {
                let wrong = vec![format!("{after}: the next start fails: {said}")];
                return Report {
                    acknowledged: acknowledged_before,
                    lost: acknowledged_before,
                    wrong,
                    ..Report::default()
                };
            }
        };
        let mut wrong = Vec::new();
        if let Err(error) = self.end_scene(&host) {
            wrong.push(format!("{after}: the scene does not end: {error}"));
        }
        let mut counted = kills::Report::default();
        kills::recount(&mut counted, &self.cloud, &self.files, host, &self.acknowledged);
        let mut must_be_none = |what: &str, count: usize| {
            if count > 0 {
                wrong.push(format!("{after}: {count} {what}"));
            }
        };
        must_be_none("scenes without their right end", counted.scenes_unfinished);
        must_be_none("changes without an earlier record", counted.unrecorded_effects);
        must_be_none("records that the audit database has otherwise", counted.audit_differences);
        must_be_none("acknowledged alerts lost", counted.lost);
        must_be_none("changes made twice", counted.duplicate_effects);
        must_be_none("complaints of `balm audit verify`", usize::from(!verifies(&self.files)));
        Report {
            acknowledged: acknowledged_before,
            lost: counted.lost,
            duplicate_effects: counted.duplicate_effects,
            wrong,
            ..Report::default()
        }
    }

    /// What the sender of an alert does that got no answer: send it again.
    fn end_scene(&mut self, host: &Host) -> io::Result<()> {
        let alert = Alert::firing("HighCpu", "web", SCENE);
        let heard = |stage: &Self, status| stage.acknowledged.contains(&(alert.fingerprint.clone(), status));
        if !heard(self, Status::Firing) {
            self.post(&host.alerts, std::slice::from_ref(&alert))?;
        }
        if !heard(self, Status::Resolved) {
            self.wait_for(SCALED)?;
            self.post(&host.alerts, &[alert.clone().resolved("2026-11-01T10:00:00Z")])?;
        }
        self.wait_for(STEADY)?;
        // Episodes of strangers have no end: the one that ends is the scene's.
        within(|| {
            let last = self.files.balm_says(&["audit", "tail", "--json", "--no-follow", "--most", "200"]);
            last.contains("\"episode-ended\"")
        })
    }

    fn wait_for(&self, tasks: u32) -> io::Result<()> {
        within(|| self.runs(tasks))
    }
}

/// Wait until it is so. What does not come is an error that is counted, and no panic: the other points are still to be tried.
fn within(is_so: impl Fn() -> bool) -> io::Result<()> {
    let since = Instant::now();
    while !is_so() {
        if since.elapsed() > WITHIN {
            return Err(io::ErrorKind::TimedOut.into());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

/// Whether `balm audit verify` finds the journal whole, which the host has ended on.
fn verifies(files: &Files) -> bool {
    files.balm(&["audit", "verify"]).status.success()
}
