//! A good plugin beside every hostile guest at once: how long its alerts wait for their decision, against a host that has the
//! good one alone; how late those are stopped that do not end by themselves; and what all of it costs in memory.
//!
//! Two hosts, of which one sleeps while the other is measured, block by block in turn, so that whatever else the machine does
//! touches both alike. In the loaded one quarantine is off and every hostile policy always has alerts that wait. What is counted
//! is what the journals have.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use balm_cloud::Options;
use balm_core::{
    evaluation::{Conclusion, FailureKind},
    json::Json,
    record::Fact,
};
use balm_sandbox::{Plugin, Sandbox};

use crate::{
    bench::{load, quantile},
    corpus::{self, Ending, Hostile},
    harness::{
        Dir,
        cloud::{self, Cloud},
        grafana::{Alert, body},
        host::{Files, Host, TOKEN, configuration},
        http::Connection,
        journal, memory, socket, wait,
    },
};

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Hostile guests that were put to work beside the good plugin.
    pub guests: u64,
    /// Evaluations of theirs that ended meanwhile.
    pub evaluations: u64,
    /// Milliseconds from when an alert was due to the record of its decision, for 99 of 100: with the good plugin alone.
    pub alone_p99_ms: f64,
    /// The same beside all others.
    pub beside_p99_ms: f64,
    /// Alerts of the good plugin that nothing was decided about in the end.
    pub undecided: u64,
    /// Evaluations of a sandbox that all hostile guests share, all at once, that had to be stopped by their fuel or by the time.
    pub stopped: u64,
    /// By how many milliseconds they had more than the time that a guest may have, for 99 of 100, and at most. Those that ran out
    /// of fuel before had no more.
    pub late_p99_ms: f64,
    /// See [`Report::late_p99_ms`].
    pub late_most_ms: f64,
    /// MiB that the loaded host has beyond what it had before the load, once nothing waits any more.
    pub grown_mib: f64,
    /// The most that it had meanwhile: with the memory of the guests that ran, up to 32 MiB each.
    pub peak_mib: f64,
}

impl Report {
    /// By how much hostile guests slow a decision of the good plugin.
    #[must_use]
    pub fn ratio(&self) -> f64 {
        self.beside_p99_ms / self.alone_p99_ms
    }
}

/// The time that a guest may have in one call.
const DEADLINE_MS: f64 = 100.0;

/// Blocks of each host, and how long each lasts. What is due at the beginning of a block is not counted: a host wakes up.
const BLOCKS: u64 = 6;
const BLOCK: Duration = Duration::from_secs(4);
const WAKES_UP: Duration = Duration::from_millis(500);

/// The time between two alerts for the good plugin, and between two for each hostile policy.
const GOOD_EVERY: Duration = Duration::from_millis(20);
const HOSTILE_EVERY: Duration = Duration::from_secs(1);

/// Evaluations of each hostile guest in the sandbox that all share.
const STOPS: usize = 10;

/// How long the decisions that still wait at the end may take.
const DECIDED_WITHIN: Duration = Duration::from_secs(60);

/// One of the two hosts, and the alerts for the good plugin that it was sent: fingerprint, and when it was due.
struct Side {
    files: Files,
    host: Host,
    due_ms: BTreeMap<String, f64>,
}

/// Measure.
///
/// # Panics
///
/// If a host does not start, or takes no alerts.
#[must_use]
pub fn run() -> Report {
    let cloud = Cloud::start(1, Options::default(), None);
    cloud.create_service("web", 4);
    let mut alone = Side::start("neighbour-alone", &cloud, &[]);
    let hostile = hostile();
    let mut beside = Side::start("neighbour-beside", &cloud, &hostile);
    // The first decisions of a host find nothing warm.
    for side in [&mut alone, &mut beside] {
        side.block(1 << 32, &[], Duration::from_secs(2));
        side.due_ms.clear();
    }
    let before_mib = memory::resident_mib(beside.host.pid());
    memory::forget_peak(beside.host.pid());
    alone.host.signal("STOP");
    beside.host.signal("STOP");
    for block in 1..=BLOCKS {
        for (side, hostile) in [(&mut alone, &[][..]), (&mut beside, &hostile)] {
            side.host.signal("CONT");
            side.block(block << 32, hostile, BLOCK);
            side.host.signal("STOP");
        }
    }
    let peak_mib = memory::peak_mib(beside.host.pid()) - before_mib;
    let mut report = Report { guests: hostile.len() as u64, peak_mib, ..Report::default() };
    beside.host.signal("CONT");
    beside.rest();
    report.grown_mib = memory::resident_mib(beside.host.pid()) - before_mib;
    let (mut alone, mut beside) = (alone.ended(&mut report), beside.ended(&mut report));
    report.alone_p99_ms = quantile(&mut alone, 0.99);
    report.beside_p99_ms = quantile(&mut beside, 0.99);
    for (side, took) in [("alone", &mut alone), ("beside", &mut beside)] {
        let [half, most, all] = [0.5, 0.9, 1.0].map(|share| quantile(took, share));
        eprintln!("{side}: {half:.1} ms for a half, {most:.1} ms for 9 of 10, {all:.1} ms for all of {}", took.len());
    }
    let mut late = stops();
    report.stopped = late.len() as u64;
    report.late_p99_ms = quantile(&mut late, 0.99);
    report.late_most_ms = quantile(&mut late, 1.0);
    report
}

/// Guests that become plugins and can be evaluated, with the text of a policy for each.
fn hostile() -> Vec<(String, Vec<u8>, String)> {
    guests()
        .map(|guest| (corpus::plugin_name(guest.name), (guest.bytes)(), policy(guest.name, guest.settings)))
        .collect()
}

fn guests() -> impl Iterator<Item = Hostile> {
    let works = |ending: Ending| !matches!(ending, Ending::Refused(_) | Ending::RefusesSettings(_));
    corpus::all().into_iter().filter(move |guest| works(guest.ending))
}

/// Set off by alerts of the guest's name.
fn policy(name: &str, settings: &str) -> String {
    let (name, target) = (corpus::plugin_name(name), cloud::arn("web"));
    let settings: BTreeMap<String, String> = serde_json::from_str(settings).expect("settings are texts");
    let settings: String = settings.iter().map(|(key, value)| format!("{key} = {value:?}\n")).collect();
    format!(
        "mode = \"shadow\"\ntargets = [\"{target}\"]\n\n[match]\nlabels = {{ alertname = \"{name}\" }}\n\n[settings]\n{settings}"
    )
}

/// Milliseconds since 1970.
fn now_ms() -> f64 {
    #[expect(clippy::disallowed_methods, reason = "the journal's times are the world's")]
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    now.as_secs_f64() * 1e3
}

impl Side {
    fn start(name: &str, cloud: &Cloud, hostile: &[(String, Vec<u8>, String)]) -> Self {
        let files = Files::new(Dir::new(name), &cloud.endpoint());
        let configuration = load::seldom(&configuration(&cloud.endpoint(), "shadow"));
        files.write("balm.toml", &format!("quarantine-after = 0\n{configuration}"));
        for (name, bytes, policy) in hostile {
            files.put(&format!("plugins/{name}.wasm"), bytes);
            files.write(&format!("plugins/{name}.toml"), policy);
        }
        let host = files.start();
        Self { files, host, due_ms: BTreeMap::new() }
    }

    /// Send to the good plugin at every beat, and to each hostile policy now and then, from connections of their own.
    fn block(&mut self, first: u64, hostile: &[(String, Vec<u8>, String)], lasts: Duration) {
        let (since, address) = (Instant::now(), self.host.alerts.clone());
        thread::scope(|threads| {
            threads.spawn(|| {
                let mut connection = Connection::open(&address).expect("the host listens");
                let turns = (0_u32..).zip(hostile.iter().cycle());
                for (nth, (name, ..)) in turns {
                    let beat = since + HOSTILE_EVERY * nth / hostile.len() as u32;
                    if beat >= since + lasts {
                        return;
                    }
                    thread::sleep(beat.saturating_duration_since(Instant::now()));
                    post(&mut connection, &[Alert::firing(name, "web", first | 1 << 24 | u64::from(nth))]);
                }
            });
            let mut connection = Connection::open(&address).expect("the host listens");
            for nth in 0.. {
                let beat = since + GOOD_EVERY * nth;
                if beat >= since + lasts {
                    return;
                }
                thread::sleep(beat.saturating_duration_since(Instant::now()));
                let due_ms = now_ms() - beat.elapsed().as_secs_f64() * 1e3;
                let alert = Alert::firing("HighCpu", "web", first | u64::from(nth));
                if beat >= since + WAKES_UP {
                    self.due_ms.insert(alert.fingerprint.clone(), due_ms);
                }
                post(&mut connection, &[alert]);
            }
        });
    }

    /// Wait until nothing waits any more.
    fn rest(&self) {
        wait::until("the host to have nothing more to do", DECIDED_WITHIN, || {
            let status = socket::get(&self.files.data(), "/status").ok()?;
            (status["backlog"] == 0).then_some(())
        });
    }

    /// Wait for the decisions that are not made yet, kill it, and recount how long each took.
    fn ended(mut self, report: &mut Report) -> Vec<f64> {
        self.host.signal("CONT");
        let wanted: BTreeSet<String> = self.due_ms.keys().cloned().collect();
        let mut records = Vec::new();
        wait::until("the last decisions", DECIDED_WITHIN, || {
            self.files.follow(&mut records);
            let mut waiting = wanted.clone();
            let mut alerts = BTreeMap::new();
            for record in &records {
                match &record.fact {
                    Fact::AlertReceived(received) => drop(alerts.insert(record.seq, &received.alert.fingerprint)),
                    Fact::Evaluated(capsule) if capsule.policy.as_str() == GOOD => {
                        alerts.get(&capsule.alert).map(|fingerprint| waiting.remove(*fingerprint));
                    }
                    _ => {}
                }
            }
            waiting.is_empty().then_some(())
        });
        self.host.kill();
        let (mut alerts, mut took) = (BTreeMap::new(), BTreeMap::new());
        journal::each(&self.files.data(), |record, _| match &record.fact {
            Fact::AlertReceived(received) => drop(alerts.insert(record.seq, received.alert.fingerprint.clone())),
            Fact::Evaluated(capsule) if capsule.policy.as_str() == GOOD => {
                let decided = matches!(capsule.conclusion, Conclusion::Decided(_));
                let due = alerts.get(&capsule.alert).and_then(|print| Some((print, self.due_ms.get(print)?)));
                if let Some((print, due_ms)) = due.filter(|_| decided) {
                    took.entry(print.clone()).or_insert(record.at.as_millis() as f64 - due_ms);
                }
            }
            Fact::Evaluated(_) => {
                report.evaluations += 1;
            }
            _ => {}
        });
        report.undecided += (self.due_ms.len() - took.len()) as u64;
        took.into_values().collect()
    }
}

/// The good plugin's policy.
const GOOD: &str = "web-cpu";

/// All of them at once in one sandbox, with nothing else on the processors: by how many milliseconds each that had to be stopped
/// had more than its time, without what it waited for its turn.
fn stops() -> Vec<f64> {
    let sandbox = Arc::new(Sandbox::new().expect("a sandbox"));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let mut plugins = Vec::new();
        for guest in guests() {
            let name = corpus::plugin_name(guest.name).parse().expect("a plugin's name");
            let plugin = Plugin::load(&sandbox, name, &(guest.bytes)()).await.expect("it becomes a plugin");
            plugins.push((guest, plugin));
        }
        let mut running = tokio::task::JoinSet::new();
        for (guest, plugin) in plugins {
            running.spawn(async move { late(&guest, &plugin).await });
        }
        running.join_all().await.concat()
    })
}

/// By how many milliseconds a guest had more than its time, each time that it had to be stopped.
async fn late(guest: &Hostile, plugin: &Plugin) -> Vec<f64> {
    let input = corpus::input(Json::parse(guest.settings).expect("settings are JSON"));
    let mut late = Vec::new();
    for _ in 0..STOPS {
        let since = Instant::now();
        let round = plugin.evaluate(&input).await;
        let took = since.elapsed().saturating_sub(round.waited);
        if round.outcome.is_err_and(|failure| is_stopped(failure.kind)) {
            late.push((took.as_secs_f64() * 1e3 - DEADLINE_MS).max(0.0));
        }
    }
    let most = late.iter().copied().fold(0.0, f64::max);
    if most > 10.0 {
        eprintln!("{} was stopped {most:.1} ms late", guest.name);
    }
    late
}

/// Whether a guest failed so because it had had enough.
const fn is_stopped(kind: FailureKind) -> bool {
    matches!(kind, FailureKind::OutOfFuel | FailureKind::OutOfTime)
}

fn post(connection: &mut Connection, alerts: &[Alert]) {
    let authorization = format!("Bearer {TOKEN}");
    let headers = [("authorization", authorization.as_str())];
    let answer = connection.send("POST", "/v1/alerts/grafana", &headers, &body(alerts)).expect("the host answers");
    assert_eq!(answer.status, 200, "{}", answer.body);
}
