//! A stage for tests: a model cloud, a host that acts on it, and what the host's audit says.
//!
//! Tests of one file share a stage where they do not disturb each other: each has its own service, policy and alert on
//! it. What a test concludes, it concludes from outside: from the host's command line, and the cloud's own call log.

use std::{
    fs,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use balm_cloud::{Lag, Options, Span, log::Entry};
use balm_core::{
    alert::Alert as Received,
    line,
    name::{EpisodeId, Seq},
    record::{EpisodeEnd, Fact, IntentEnded, IntentJudged, Reception, Record},
};
use balm_tests::{
    PROPOSE_ANYTHING,
    harness::{
        cloud::Cloud,
        grafana::{Alert, body},
        host::{Files, Host},
        wait,
    },
};

/// How long anything may take: far longer than it does, since machines that test are busy.
pub(crate) const WITHIN: Duration = Duration::from_secs(60);

/// A running host and its cloud. The host goes before its files and its cloud do.
pub(crate) struct Stage {
    pub(crate) host: Host,
    pub(crate) files: Files,
    pub(crate) cloud: Cloud,
}

/// An alert as it was recorded.
#[derive(Debug)]
pub(crate) struct Reported {
    pub(crate) seq: Seq,
    pub(crate) reception: Reception,
    pub(crate) alert: Received,
}

impl Reported {
    /// The episode that it belongs to.
    pub(crate) fn episode(&self) -> Option<EpisodeId> {
        match self.reception {
            Reception::Opened { .. } => Some(EpisodeId(self.seq)),
            _ => self.reception.episode(),
        }
    }
}

impl Stage {
    /// All records so far, as the running host tells them.
    pub(crate) fn records(&self) -> Vec<Record> {
        records(&self.files)
    }

    /// Wait for something that the records say.
    #[track_caller]
    pub(crate) fn until<T>(&self, what: &str, ask: impl Fn(&[Record]) -> Option<T>) -> T {
        wait::until(what, WITHIN, || ask(&self.records()))
    }

    /// Grafana posts alerts, which are accepted.
    pub(crate) fn post(&self, alerts: &[Alert]) {
        self.host.accept(&body(alerts));
    }

    /// A new alert fires: its episode.
    #[track_caller]
    pub(crate) fn fire(&self, name: &str, service: &str) -> EpisodeId {
        let alert = Alert::firing(name, service, fingerprint());
        self.post(std::slice::from_ref(&alert));
        self.episode_of(&alert)
    }

    /// The episode that an alert opened.
    #[track_caller]
    pub(crate) fn episode_of(&self, alert: &Alert) -> EpisodeId {
        let opened = |records: &[Record]| reports(records, &alert.fingerprint).first().and_then(Reported::episode);
        self.until(&format!("the episode of {}", alert.name), opened)
    }

    /// What the guard says of the first intent of an episode.
    #[track_caller]
    pub(crate) fn judged(&self, episode: EpisodeId) -> IntentJudged {
        self.until(&format!("a verdict in episode {episode}"), |records| {
            records.iter().find_map(|record| match &record.fact {
                Fact::IntentJudged(judged) if judged.episode == episode => Some((**judged).clone()),
                _ => None,
            })
        })
    }

    /// How the first intent of an episode ends.
    #[track_caller]
    pub(crate) fn ended(&self, episode: EpisodeId) -> IntentEnded {
        self.until(&format!("the end of an intent of episode {episode}"), |records| {
            records.iter().find_map(|record| match &record.fact {
                Fact::IntentEnded(ended) if ended.episode == episode => Some(ended.clone()),
                _ => None,
            })
        })
    }

    /// The calls on a service that could change it, as the cloud logged them.
    pub(crate) fn changes(&self, service: &str) -> Vec<Entry> {
        let is_change = |entry: &&Entry| entry.service == service && entry.request.operation.name().changes_the_world();
        self.cloud.with(|cloud, _| cloud.log().entries().filter(is_change).cloned().collect())
    }

    /// Nobody called for a change of a service, and it is as it was made.
    #[track_caller]
    pub(crate) fn assert_untouched(&self, service: &str) {
        assert_eq!(self.changes(service), [], "{service} was changed");
    }
}

/// All records so far of the host that runs with these files.
pub(crate) fn records(files: &Files) -> Vec<Record> {
    let lines = files.balm_says(&["audit", "tail", "--json", "--no-follow", "--from", "1", "--most", "10000"]);
    lines.lines().map(|line| line::read_json(line.as_bytes()).expect("a record").0).collect()
}

/// What was recorded of the alerts with a fingerprint, in order.
pub(crate) fn reports(records: &[Record], fingerprint: &str) -> Vec<Reported> {
    let report = |record: &Record| match &record.fact {
        Fact::AlertReceived(received) if received.alert.fingerprint == fingerprint => {
            Some(Reported { seq: record.seq, reception: received.reception.clone(), alert: received.alert.clone() })
        }
        _ => None,
    };
    records.iter().filter_map(report).collect()
}

/// How an episode ended, if it did.
pub(crate) fn episode_end(records: &[Record], episode: EpisodeId) -> Option<EpisodeEnd> {
    records.iter().find_map(|record| match &record.fact {
        Fact::EpisodeEnded(ended) if ended.episode == episode => Some(ended.how),
        _ => None,
    })
}

/// How often policies were evaluated in an episode.
pub(crate) fn evaluations(records: &[Record], episode: EpisodeId) -> usize {
    records.iter().filter(|r| matches!(&r.fact, Fact::Evaluated(capsule) if capsule.episode == episode)).count()
}

/// A fingerprint that no other alert of this process has.
pub(crate) fn fingerprint() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0xba1a_0000_0000_0001);
    NEXT.fetch_add(1, Ordering::SeqCst)
}

/// A cloud whose tasks start and stop within a blink.
pub(crate) fn quick() -> Options {
    let span = |least, most| Span::between(least, most).expect("least is not above most");
    let lag = Lag { start_ms: span(20, 60), stop_ms: span(10, 40), scheduler_ms: span(5, 20) };
    Options { lag, ..Options::default() }
}

/// Put the guest `propose-anything` among the plugins.
pub(crate) fn add_guest(files: &Files) {
    let to = files.path("plugins/propose-anything.wasm");
    fs::copy(PROPOSE_ANYTHING, to).expect("the guest can be copied");
}

/// Take the bundled plugin away where nothing needs it: the host is ready sooner.
pub(crate) fn without_bundled(files: &Files) {
    fs::remove_file(files.path("plugins/scale-ecs-service.wasm")).expect("it is there");
}

/// A policy that proposes `intents`, a list in TOML, when an alert of its own name fires.
pub(crate) fn proposing(name: &str, mode: &str, target: &str, intents: &str) -> String {
    format!(
        r#"
[[policy]]
name = "{name}"
plugin = "propose-anything"
mode = "{mode}"
targets = ["{target}"]

[policy.match]
labels = {{ alertname = "{name}" }}

[policy.settings]
intents = [{intents}]
"#
    )
}

/// The stage of a file's tests: made by the first, gone with the last that runs.
pub(crate) struct Shared {
    stage: Mutex<Weak<Stage>>,
}

impl Shared {
    pub(crate) const fn new() -> Self {
        Self { stage: Mutex::new(Weak::new()) }
    }

    /// The stage; `start` gets a name for its directory that no other stage has.
    pub(crate) fn get(&self, name: &str, start: impl FnOnce(&str) -> Stage) -> Arc<Stage> {
        static STARTED: AtomicU64 = AtomicU64::new(0);
        // A test that failed while it held the stage says nothing about the stage.
        let mut shared = self.stage.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(stage) = shared.upgrade() {
            return stage;
        }
        let stage = Arc::new(start(&format!("{name}-{}", STARTED.fetch_add(1, Ordering::SeqCst))));
        *shared = Arc::downgrade(&stage);
        stage
    }
}
