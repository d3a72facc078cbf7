//! An outage of Slack in the middle of a storm: two hosts get the same alerts at the same moments, and the receiver of one
//! of them is dead meanwhile. What is counted comes from the journals and from what the receiver took.
//!
//! A policy that no rule permits anything is set off by every alert, a person must approve what another one wants, and a
//! third goes through a whole scene: those are not to be slower for it, and their people are to be called.

use std::{
    net::SocketAddr,
    thread,
    time::{Duration, Instant},
};

use balm_cloud::Options as Manners;
use balm_core::{
    notice::{self, Urgency},
    record::{Fact, IntentEnd, NoticeSent, Record},
};
use serde_json::Value;

use crate::{
    bench::{load::seldom, quantile},
    harness::{
        Dir,
        cloud::Cloud,
        grafana::{Alert, body},
        host::{Files, Host, policy},
        journal,
        receiver::{self, Away, Receiver},
        wait,
    },
};

/// Alerts of a body.
const BODY: u64 = 50;

/// Alerts that need a person.
const PERSONS: u64 = 20;

/// How long a host may take until everything is judged, and until everything is told.
const WITHIN: Duration = Duration::from_secs(300);

/// How large an outage.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Alerts of the storm.
    pub alerts: u64,
    /// How long nobody answers; the storm lasts as long.
    pub away: Duration,
}

/// What an outage came to.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Alerts that the host with the dead receiver acknowledged.
    pub alerts: u64,
    /// Seconds for which nobody answered.
    pub away_s: f64,
    /// Messages that arrived once somebody did.
    pub messages: Vec<Value>,
    /// Notices that were worth telling, against those that the journal says arrived, and those that it dropped.
    pub untold: u64,
    /// Calls for a person that no message counts or that it counts too often.
    pub uncalled: u64,
    /// Intents that wait for approval and are named in no message.
    pub unnamed: u64,
    /// Milliseconds to an acknowledgement, 99 of 100: with the dead receiver, and beside one that answers.
    pub ack_p99_ms: f64,
    /// The same of the other host.
    pub other_ack_p99_ms: f64,
    /// Seconds from the scene's alert to its verified end, likewise.
    pub scene_s: f64,
    /// The same of the other host.
    pub other_scene_s: f64,
}

/// One of the two hosts.
struct Side {
    cloud: Cloud,
    files: Files,
    host: Host,
    acks: Vec<f64>,
    records: Vec<Record>,
}

/// Play it.
///
/// # Panics
///
/// If a host does not acknowledge an alert, or does not come to rest.
#[must_use]
pub fn run(options: Options) -> Report {
    let away = Away::hold();
    let answering = Receiver::start();
    let mut down = Side::start("outage-down", away.address());
    let mut up = Side::start("outage-up", answering.address());
    let began = Instant::now();
    let bodies = options.alerts / BODY;
    for number in 0..bodies {
        let alert = |place: u64| Alert::firing("storm", "batch", 1_000 + number * BODY + place);
        let storm = body(&(0..BODY).map(alert).collect::<Vec<_>>());
        for side in [&mut down, &mut up] {
            side.post(&storm);
            if number == bodies / 2 {
                side.call_people();
            }
        }
        let due = options.away.mul_f64((number + 1) as f64 / bodies as f64);
        thread::sleep(due.saturating_sub(began.elapsed()));
    }
    let scene_s = down.scene();
    let other_scene_s = up.scene();
    let intents = bodies * BODY + PERSONS + 1;
    down.wait_for("everything to be judged", |records| {
        records.iter().filter(|record| matches!(record.fact, Fact::IntentJudged(_))).count() as u64 >= intents
    });
    assert!(sent(&down.records).iter().all(|sent| sent.kept), "nothing arrives at a dead address, and nothing is lost");
    let away_s = began.elapsed().as_secs_f64();
    let slack = away.come_back();
    down.wait_for("everything to be told", |records| told(records) >= worth_telling(records));
    down.host.stop();
    up.host.stop();
    let records: Vec<Record> = journal::read(&down.files.data()).into_iter().map(|(record, _)| record).collect();
    let report = Report {
        alerts: bodies * BODY,
        away_s,
        ack_p99_ms: quantile(&mut down.acks, 0.99),
        other_ack_p99_ms: quantile(&mut up.acks, 0.99),
        scene_s,
        other_scene_s,
        ..Report::default()
    };
    count(&records, Report { messages: slack.taken(), ..report })
}

fn count(records: &[Record], report: Report) -> Report {
    let person =
        |record: &&Record| notice::is_worth_telling(&record.fact) && notice::of(record).urgency == Urgency::Person;
    let persons = records.iter().filter(person).count() as u64;
    let named: usize =
        report.messages.iter().map(|message| message.to_string().matches("needs approval of 1").count()).sum();
    let dropped: u64 = sent(records).iter().map(|sent| sent.dropped).sum();
    Report {
        untold: worth_telling(records).abs_diff(told(records)) + dropped,
        uncalled: persons.abs_diff(report.messages.iter().map(persons_in).sum()),
        unnamed: PERSONS.saturating_sub(named as u64),
        ..report
    }
}

impl Side {
    fn start(name: &str, receiver: SocketAddr) -> Self {
        let cloud = Cloud::start(1, Manners::default(), None);
        ["web", "batch", "queue"].iter().for_each(|service| cloud.create_service(service, 4));
        let files = Files::new(Dir::new(name), &cloud.endpoint());
        files.write("slack-url", &receiver::url(receiver));
        files.edit("balm.toml", |text| {
            let notifier = "\n[notifier.team]\nkind = \"slack\"\nurl-file = \"slack-url\"\n";
            let policies = [policy("storm", "storm", "batch", "enforce"), policy("ask", "ask", "queue", "suggest")];
            seldom(&[text, notifier.into(), policies.concat()].concat())
        });
        files.edit("guardrails/web.cedar", |text| {
            let both = "principal,\n    action";
            text.replace("principal == Policy::\"web-cpu\",\n    action", both)
                + "forbid(principal == Policy::\"storm\", action, resource);\n"
        });
        let host = files.start();
        Self { cloud, files, host, acks: Vec::new(), records: Vec::new() }
    }

    fn post(&mut self, body: &[u8]) {
        let since = Instant::now();
        self.host.accept(body);
        self.acks.push(since.elapsed().as_secs_f64() * 1e3);
    }

    fn call_people(&mut self) {
        let asks: Vec<Alert> = (0..PERSONS).map(|n| Alert::firing("ask", "queue", 1_000_000 + n)).collect();
        self.post(&body(&asks));
        self.post(&body(&[Alert::firing("HighCpu", "web", 1)]));
    }

    /// Wait for the scene's end, and say how many seconds it took by the journal's own times.
    fn scene(&mut self) -> f64 {
        let verified = |fact: &Fact| matches!(fact, Fact::IntentEnded(ended) if ended.how == IntentEnd::Verified);
        self.wait_for("the scene to be verified", |records| records.iter().any(|record| verified(&record.fact)));
        assert_eq!(self.cloud.desired("web"), 6);
        let at = |wanted: &dyn Fn(&Fact) -> bool| {
            let found = self.records.iter().find(|record| wanted(&record.fact));
            found.expect("it is recorded").at.as_millis()
        };
        let fired = at(&|fact| matches!(fact, Fact::AlertReceived(received) if received.alert.name == "HighCpu"));
        (at(&verified) - fired) as f64 / 1e3
    }

    fn wait_for(&mut self, what: &str, is_so: impl Fn(&[Record]) -> bool) {
        let Self { files, records, .. } = self;
        wait::until(what, WITHIN, || {
            thread::sleep(Duration::from_millis(200));
            files.follow(records);
            is_so(records).then_some(())
        });
    }
}

/// How many calls for a person a message says that it has.
fn persons_in(message: &Value) -> u64 {
    let text = message["text"].as_str().expect("a fallback");
    let words: Vec<&str> = text.split_whitespace().collect();
    let number = words.iter().position(|word| word.starts_with("need")).and_then(|at| words[at - 1].parse().ok());
    number.unwrap_or(u64::from(text.starts_with('🚨')))
}

fn sent(records: &[Record]) -> Vec<&NoticeSent> {
    let mut sent = Vec::new();
    for record in records {
        match &record.fact {
            Fact::NoticeSent(notice) if notice.notifier.as_str() == "team" => sent.push(notice),
            _ => {}
        }
    }
    sent
}

/// Notices that arrived.
fn told(records: &[Record]) -> u64 {
    sent(records).iter().filter(|sent| sent.delivered.is_ok()).map(|sent| sent.covers).sum()
}

/// Notices that this notifier is to have: checkpoints go only to those that ask for them.
fn worth_telling(records: &[Record]) -> u64 {
    let wanted = |record: &&Record| notice::is_worth_telling(&record.fact) && record.fact.kind() != "checkpoint";
    records.iter().filter(wanted).count() as u64
}
