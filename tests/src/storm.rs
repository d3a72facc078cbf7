//! A storm: alerts by the thousand over hundreds of services, through the real program, on the model cloud.
//!
//! What is counted comes from the cloud's own call log and from the journal. The storm brake is to hold what is done to its
//! cap exactly, then to stop everything and to call a person once; and no service is ever to have less than its minimum,
//! although a policy asks for that with every alert.

use std::{
    fs, thread,
    time::{Duration, Instant},
};

use balm_cloud::{
    Options,
    request::{Operation, OperationName},
};
use balm_core::{
    notice::{self, Urgency},
    record::{Fact, Record, StopCause},
};

use crate::{
    PROPOSE_ANYTHING,
    harness::{
        Dir,
        cloud::{ACCOUNT, Cloud, REGION},
        grafana::{Alert, body},
        host::Files,
        journal, wait,
    },
};

const SERVICES: u64 = 300;

/// Services that alert at first: more than slow the host down, fewer than stop it.
const FIRST: u64 = 100;

/// What the storm brake lets happen.
const CAP: u32 = 20;

/// Tasks that a service has, and those below which it must never come.
const TASKS: u32 = 4;
const MINIMUM: u32 = 3;

const BODY: u64 = 100;

/// Alerts a minute.
pub const RATE: u64 = 10_000;

/// For how long a host may catch up.
const WITHIN: Duration = Duration::from_secs(600);

/// What a storm came to.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Alerts that were acknowledged.
    pub alerts: u64,
    /// Seconds that it took to send them.
    pub sent_s: f64,
    /// Intents that the guard judged.
    pub judged: usize,
    /// Calls that changed something.
    pub effects: usize,
    /// How many there should be.
    pub cap: usize,
    /// Calls and services below the minimum.
    pub below_minimum: usize,
    /// Records that call a person, of all kinds.
    pub calls: usize,
    /// Of them, stops by the storm brake that the log was told of.
    pub told: usize,
}

/// Send so many alerts, ten thousand a minute, and count what came of them once everything is at rest.
///
/// # Panics
///
/// If the host does not acknowledge an alert, or does not come to rest.
#[must_use]
pub fn run(alerts: u64) -> Report {
    let cloud = Cloud::start(5, Options::default(), None);
    (0..SERVICES).for_each(|number| cloud.create_service(&name(number), TASKS));
    let files = files(&cloud);
    let host = files.start();
    let began = Instant::now();
    let mut report = Report { cap: CAP as usize, ..Report::default() };
    let bodies = alerts / BODY;
    for number in 0..bodies {
        // The storm widens after its first half.
        let width = if number * 2 < bodies { FIRST } else { SERVICES };
        let alert = |place: u64| {
            let fingerprint = number * BODY + place + 1;
            Alert::firing("HighCpu", &name(fingerprint % width), fingerprint)
        };
        host.accept(&body(&(0..BODY).map(alert).collect::<Vec<_>>()));
        report.alerts += BODY;
        report.below_minimum += short(&cloud);
        let due = Duration::from_millis(report.alerts * 60_000 / RATE);
        thread::sleep(due.saturating_sub(began.elapsed()));
    }
    report.sent_s = began.elapsed().as_secs_f64();
    wait::until("rest after the storm", WITHIN, || {
        report.below_minimum += short(&cloud);
        let status = files.status();
        (status["backlog"] == 0 && status["intents"] == 0).then_some(())
    });
    host.stop();
    let records: Vec<Record> = journal::read(&files.data()).into_iter().map(|(record, _)| record).collect();
    count(&records, &cloud, &mut report);
    report
}

fn name(number: u64) -> String {
    format!("web-{number}")
}

/// Services that run or shall run fewer tasks than the minimum, now.
fn short(cloud: &Cloud) -> usize {
    let is_short = |number: &u64| {
        let service = cloud.service(&name(*number)).service;
        service.desired_count.min(service.running_count) < MINIMUM
    };
    (0..SERVICES).filter(is_short).count()
}

fn count(records: &[Record], cloud: &Cloud, report: &mut Report) {
    cloud.with(|cloud, _| {
        let calls =
            cloud.log().entries().filter(|entry| entry.request.operation.name() == OperationName::UpdateService);
        for call in calls {
            report.effects += 1;
            if let Operation::UpdateService(update) = &call.request.operation {
                report.below_minimum +=
                    usize::from(update.desired_count.is_none_or(|desired| desired < i64::from(MINIMUM)));
            }
        }
    });
    for record in records {
        let calls = notice::is_worth_telling(&record.fact) && notice::of(record).urgency == Urgency::Person;
        report.calls += usize::from(calls);
        report.judged += usize::from(matches!(record.fact, Fact::IntentJudged(_)));
        if let Fact::StopEngaged(stop) = &record.fact
            && stop.cause == StopCause::Storm
        {
            let of_it = |other: &&Record| match &other.fact {
                Fact::NoticeSent(sent) => {
                    sent.about == record.seq && sent.notifier.as_str() == "log" && sent.delivered.is_ok()
                }
                _ => false,
            };
            report.told += records.iter().filter(of_it).count();
        }
    }
}

/// One policy that grows what alerts, and one that would shrink it below its minimum.
fn files(cloud: &Cloud) -> Files {
    let files = Files::new(Dir::new("storm"), &cloud.endpoint());
    fs::copy(PROPOSE_ANYTHING, files.path("plugins/propose-anything.wasm")).expect("the guest can be copied");
    let allowed: Vec<String> = (0..SERVICES).map(|number| format!("\"{}\"", name(number))).collect();
    let mapped = format!(
        "[policy.target-from-label]\naccount = \"{ACCOUNT}\"\nregion = \"{REGION}\"\ncluster = \"prod\"\nlabel = \"service\"\nallowed = [{}]\n",
        allowed.join(", ")
    );
    let fewer = MINIMUM - 1;
    let shrink = format!(
        "\n[[policy]]\nname = \"shrink\"\nplugin = \"propose-anything\"\nmode = \"enforce\"\n{mapped}\n[policy.match]\nlabels = \
         {{ alertname = \"HighCpu\" }}\n\n[policy.settings]\nintents = [{{ action = \"ecs:scale-service\", parameters = {{ \
         desired = {fewer} }}, expects = {{ desired = {TASKS} }} }}]\n"
    );
    files.edit("balm.toml", |text| {
        let fixed = text.lines().find(|line| line.starts_with("targets")).expect("the policy has targets").to_owned();
        text.replace(&fixed, "").replace("[policy.match]", &format!("{mapped}\n[policy.match]")) + &shrink
    });
    files.edit("guardrails/web.cedar", |text| text.replace("principal == Policy::\"web-cpu\"", "principal"));
    files.write(
        "guardrails/limits.toml",
        &format!(
            "[[limit]]\nscope = \"everything\"\ncount = 1000\nwindow = \"1h\"\n\n[[bound]]\nminimum = {MINIMUM}\nmaximum = 12\n\n\
             [storm]\nwindow = \"1h\"\nslow-from-targets = 10\nslow-count = {CAP}\nstop-from-targets = 200\n"
        ),
    );
    files
}
