//! The scene, end to end: an alert of Grafana's becomes a verified change and back, every step is on record, and people
//! are told. Then the other actions, each done once and verified.

use std::{collections::BTreeMap, net::TcpListener, process::Output, sync::Arc};

use balm_cloud::{
    log::Entry,
    request::{Operation, UpdateService},
};
use balm_core::{
    evaluation::{Conclusion, Trigger},
    name::{EpisodeId, IntentId},
    record::{CallResult, CheckName, EpisodeEnd, Fact, IntentEnd, IntentJudged, Purpose, Record, Verdict},
};
use balm_tests::harness::{
    Dir,
    cloud::{Cloud, arn},
    grafana::Alert,
    host::Files,
    journal, wait,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::Value;

use crate::{
    receiver::{Delivery, Receiver},
    signature::hmac_sha256,
    stage::{self, Shared, Stage, WITHIN},
};

/// The guard's checks, in their order.
const CHECKS: [CheckName; 16] = [
    CheckName::Stop,
    CheckName::Stale,
    CheckName::Mode,
    CheckName::Manifest,
    CheckName::Catalogue,
    CheckName::Target,
    CheckName::Look,
    CheckName::Expectation,
    CheckName::Busy,
    CheckName::Opposes,
    CheckName::Oscillation,
    CheckName::Recurrence,
    CheckName::Storm,
    CheckName::Limits,
    CheckName::Bounds,
    CheckName::Authorization,
];

/// What notices are signed with.
const KEY: &[u8] = b"twenty-four bytes of key";

#[test]
fn an_alert_leads_to_a_verified_change_out_and_back_in_with_the_whole_chain_on_record() {
    let receiver = Receiver::start(|nth| if nth == 0 { 503 } else { 204 });
    let stage = set_scene(&receiver);
    let alert = Alert::firing("HighCpu", "web", stage::fingerprint());
    stage.post(std::slice::from_ref(&alert));
    let episode = stage.episode_of(&alert);
    wait_for_verified(&stage, episode, 1);
    assert_eq!(stage.cloud.desired("web"), 6);
    stage.post(&[alert.resolved("2026-11-01T10:00:00Z")]);
    let how = stage.until("the end of the episode", |records| stage::episode_end(records, episode));
    assert_eq!((how, stage.cloud.desired("web")), (EpisodeEnd::Resolved, 4));
    wait_for_notices(&stage, episode);

    assert_chain(&stage, episode);
    assert_told(&stage, episode, &receiver.deliveries());
    assert_readers_agree(stage, episode);
}

fn set_scene(receiver: &Receiver) -> Stage {
    let cloud = Cloud::start(11, stage::quick(), None);
    cloud.create_service("web", 4);
    let files = Files::new(Dir::new("scene"), &cloud.endpoint());
    files.write("team-url", &receiver.url());
    files.write("dead-url", &nobodys_url());
    files.write("key", &format!("whsec_{}", STANDARD.encode(KEY)));
    let webhook = |name: &str| {
        format!("\n[notifier.{name}]\nkind = \"webhook\"\nurl-file = \"{name}-url\"\nkey-file = \"key\"\n")
    };
    files.edit("balm.toml", |text| text + &webhook("team") + &webhook("dead"));
    Stage { host: files.start(), files, cloud }
}

/// An address at which nobody listens.
fn nobodys_url() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    format!("http://{}/hook", listener.local_addr().expect("an address"))
}

fn wait_for_verified(stage: &Stage, episode: EpisodeId, count: usize) {
    stage.until("a verified intent", |records| {
        let verified = records.iter().filter(|record| match &record.fact {
            Fact::IntentEnded(ended) => ended.episode == episode && ended.how == IntentEnd::Verified,
            _ => false,
        });
        (verified.count() >= count).then_some(())
    });
}

/// Both receivers that live have been told of both attempts and both ends.
fn wait_for_notices(stage: &Stage, episode: EpisodeId) {
    stage.until("all notices", |records| {
        let told = notices(records, episode);
        (["log", "team"].iter().all(|name| told.get(*name) == Some(&NOTICES))).then_some(())
    });
}

/// Two attempts and two ends.
const NOTICES: u64 = 4;

/// How many notices of an episode each notifier has told of. What did not arrive is kept, and told later.
fn notices(records: &[Record], episode: EpisodeId) -> BTreeMap<String, u64> {
    let mut told: BTreeMap<String, u64> = BTreeMap::new();
    for record in records {
        if let Fact::NoticeSent(sent) = &record.fact
            && sent.episode == Some(episode)
        {
            assert_ne!(sent.delivered.is_ok(), sent.kept, "{sent:?}");
            *told.entry(sent.notifier.to_string()).or_default() += if sent.kept { 0 } else { sent.covers };
        }
    }
    told
}

/// Two intents, each with everything from its capsule to its verification, in order and once.
fn assert_chain(stage: &Stage, episode: EpisodeId) {
    let chain: Vec<Record> = shown(&stage.files, episode).iter().map(|line| read(line)).collect();
    assert!(matches!(chain[0].fact, Fact::AlertReceived(_)) && EpisodeId(chain[0].seq) == episode);
    let last = chain.iter().rev().find(|record| !matches!(record.fact, Fact::NoticeSent(_)));
    assert!(matches!(last.map(|record| &record.fact), Some(Fact::EpisodeEnded(_))), "{last:?}");
    let judged: Vec<&IntentJudged> = chain
        .iter()
        .filter_map(|record| match &record.fact {
            Fact::IntentJudged(judged) => Some(&**judged),
            _ => None,
        })
        .collect();
    let calls = stage.changes("web");
    assert_eq!((judged.len(), calls.len()), (2, 2));
    for ((judged, call), (trigger, desired)) in judged.iter().zip(&calls).zip([("fired", 6), ("other", 4)]) {
        let checks: Vec<CheckName> = judged.checks.iter().map(|checked| checked.check).collect();
        assert_eq!((checks, &judged.verdict), (CHECKS.to_vec(), &Verdict::Admitted));
        assert!(judged.checks.iter().all(|checked| checked.passed), "{judged:?}");
        assert_eq!(update(call).desired_count, Some(desired));
        assert_eq!(Steps::of(&chain, judged.intent, trigger).token, call.request.caller);
    }
    assert_in_words(&stage.files, episode);
}

/// What an `UpdateService` asked for.
fn update(call: &Entry) -> &UpdateService {
    let update = match &call.request.operation {
        Operation::UpdateService(update) => Some(update),
        _ => None,
    };
    update.expect("the call is an UpdateService")
}

/// The steps of one intent, found in a chain.
struct Steps {
    token: String,
}

impl Steps {
    fn of(chain: &[Record], id: IntentId, trigger: &str) -> Self {
        let place = |what: &str, is: &dyn Fn(&Fact) -> bool| {
            let found = chain.iter().rev().find(|record| is(&record.fact)).map(|record| record.seq.0);
            found.ok_or_else(|| format!("intent {id} has no {what}")).expect("every step is there")
        };
        let looked = |fact: &Fact, wanted: Purpose| match fact {
            Fact::TargetLooked(looked) => looked.intent == id && looked.purpose == wanted && looked.meaning.is_empty(),
            _ => false,
        };
        let order = [
            id.proposed.0,
            place("look for the guard", &|fact| looked(fact, Purpose::Guard)),
            place("verdict", &|fact| matches!(fact, Fact::IntentJudged(judged) if judged.intent == id)),
            place("attempt", &|fact| matches!(fact, Fact::AttemptStarted(attempt) if attempt.intent == id)),
            place("result", &|fact| match fact {
                Fact::AttemptEnded(ended) => ended.intent == id && matches!(ended.result, CallResult::Done { .. }),
                _ => false,
            }),
            place("verification", &|fact| looked(fact, Purpose::Verify)),
            place("end", &|fact| matches!(fact, Fact::IntentEnded(ended) if ended.intent == id)),
        ];
        assert!(order.is_sorted_by(|a, b| a < b), "the steps of intent {id} are not in order: {order:?}");
        let capsule = chain.iter().find(|record| record.seq == id.proposed).expect("an intent has a capsule");
        let is_right = match &capsule.fact {
            Fact::Evaluated(capsule) => {
                let decided =
                    matches!(&capsule.conclusion, Conclusion::Decided(decision) if decision.intents.len() == 1);
                decided && (capsule.trigger == Trigger::Fired) == (trigger == "fired")
            }
            _ => false,
        };
        assert!(is_right, "{capsule:?}");
        let token = chain.iter().find_map(|record| match &record.fact {
            Fact::AttemptStarted(attempt) if attempt.intent == id => Some(attempt.token.clone()),
            _ => None,
        });
        Self { token: token.expect("the attempt was found above") }
    }
}

/// The same for people: each check of both verdicts stands there with what it found.
fn assert_in_words(files: &Files, episode: EpisodeId) {
    let text = files.balm_says(&["audit", "show", &episode.to_string()]);
    for check in CHECKS {
        let lines = text.lines().filter(|line| line.trim_start().starts_with(&format!("{check} ")));
        assert_eq!(lines.filter(|line| line.contains(" passed")).count(), 2, "{check} in {text}");
    }
    for words in ["opens an episode", "proposes ecs:scale-service {\"desired\":6}", "for guard: 4 desired", "admitted"]
    {
        assert!(text.contains(words), "{words:?} is not in {text}");
    }
    for words in ["attempt 1: done", "for verify: 6 desired, 6 running", "is verified", "was told", "is over: resolved"]
    {
        assert!(text.contains(words), "{words:?} is not in {text}");
    }
}

/// The receiver got every notice in order, the first one twice since it answered that it was busy, all of them signed.
fn assert_told(stage: &Stage, episode: EpisodeId, deliveries: &[Delivery]) {
    let told = notices(&stage.records(), episode);
    assert_eq!((told["log"], told["team"]), (NOTICES, NOTICES));
    assert_eq!(told.get("dead").copied().unwrap_or_default(), 0, "nobody is told by a dead receiver");
    let statuses: Vec<u16> = deliveries.iter().map(|delivery| delivery.answered).collect();
    assert_eq!(statuses[0], 503);
    assert!(statuses[1..].iter().all(|status| *status == 204), "{statuses:?}");
    let id = |delivery: &Delivery| delivery.headers["webhook-id"].clone();
    assert_eq!((id(&deliveries[0]), &deliveries[0].body), (id(&deliveries[1]), &deliveries[1].body));
    let bodies: Vec<Value> =
        deliveries[1..].iter().map(|delivery| serde_json::from_str(&delivery.body).expect("JSON")).collect();
    // Steps that waited together are one message, which has them all.
    let steps =
        bodies.iter().flat_map(|body| body["notices"].as_array().map_or(std::slice::from_ref(body), Vec::as_slice));
    let kinds: Vec<&str> = steps.filter_map(|step| step["kind"].as_str()).collect();
    assert_eq!(kinds, ["attempt-started", "intent-ended", "attempt-started", "intent-ended"]);
    for delivery in deliveries {
        assert_eq!(delivery.headers["content-type"], "application/json");
        assert!(is_signed(delivery, KEY), "{delivery:?}");
        assert!(!is_signed(delivery, b"another key"), "the signature does not depend on the key");
    }
}

/// Standard Webhooks 1.0.0: one of the signatures is `v1,` and the base64 of the MAC over `id.timestamp.body`.
fn is_signed(delivery: &Delivery, key: &[u8]) -> bool {
    let Delivery { headers, body, .. } = delivery;
    let signed = format!("{}.{}.{body}", headers["webhook-id"], headers["webhook-timestamp"]);
    let wanted = format!("v1,{}", STANDARD.encode(hmac_sha256(key, signed.as_bytes()).as_bytes()));
    headers["webhook-signature"].split(' ').any(|signature| signature == wanted)
}

/// Tail, chain, export and journal say the same to the letter, while the host runs and after it has ended.
fn assert_readers_agree(stage: Stage, episode: EpisodeId) {
    let Stage { host, files, cloud } = stage;
    let shown_running = shown(&files, episode);
    host.stop();
    let exported = files.path("export.jsonl");
    let to = exported.to_str().expect("a path in UTF-8");
    assert!(files.balm(&["audit", "export", "--to", to]).status.success());
    let lines = std::fs::read_to_string(&exported).expect("the export can be read");
    let exported: Vec<String> = lines.lines().map(without_hash).collect();
    let written = journal::read(&files.data());
    let json = |line: &[u8]| balm_core::line::split(line).map(|(_, json)| String::from_utf8_lossy(json).into_owned());
    let written: Vec<String> = written.iter().filter_map(|(_, line)| json(line)).collect();
    assert_eq!(exported, written);
    assert_eq!(shown(&files, episode), shown_running, "the chain differs between the audit database and the journal");
    assert!(shown_running.iter().all(|line| exported.contains(line)));
    let count = format!("{} records are whole and in order", written.len());
    assert_verified(&files.balm(&["audit", "verify"]), &count);
    assert_verified(&files.balm(&["audit", "verify", to]), &count);
    assert_tail_agrees(&files, &written);
    assert_damage_is_noticed(&files, to, &lines);
    drop(cloud);
}

fn assert_verified(output: &Output, count: &str) {
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.starts_with(count), "{said}{}", String::from_utf8_lossy(&output.stderr));
}

/// The next host's audit database tells what the first one's did.
fn assert_tail_agrees(files: &Files, written: &[String]) {
    let _host = files.start();
    let most = written.len().to_string();
    let told = files.balm_says(&["audit", "tail", "--json", "--no-follow", "--from", "1", "--most", &most]);
    assert_eq!(told.lines().collect::<Vec<_>>(), *written);
}

fn assert_damage_is_noticed(files: &Files, export: &str, lines: &str) {
    std::fs::write(export, lines.replacen("\"passed\":true", "\"passed\":true ", 1)).expect("it can be written");
    let output = files.balm(&["audit", "verify", export]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("is not what was written"), "{said}");
}

fn shown(files: &Files, episode: EpisodeId) -> Vec<String> {
    files.balm_says(&["audit", "show", "--json", &episode.to_string()]).lines().map(Into::into).collect()
}

fn read(line: &str) -> Record {
    balm_core::line::read_json(line.as_bytes()).expect("a record").0
}

fn without_hash(line: &str) -> String {
    let (json, _) = line.rsplit_once(",\"hash\":\"").expect("an exported line ends with its hash");
    format!("{json}}}")
}

static ACTIONS: Shared = Shared::new();

/// A stage with a service to redeploy and one with a task to stop.
fn actions() -> Arc<Stage> {
    ACTIONS.get("actions", |name| {
        let cloud = Cloud::start(12, stage::quick(), None);
        for service in ["roll", "hang"] {
            cloud.create_service(service, 4);
        }
        let files = Files::new(Dir::new(name), &cloud.endpoint());
        stage::add_guest(&files);
        stage::without_bundled(&files);
        let stop = format!("{{ action = \"ecs:stop-task\", parameters = {{ task = \"{}\" }} }}", first_task(&cloud));
        let policies = stage::proposing("roll", "enforce", &arn("roll"), "{ action = \"ecs:redeploy-service\" }")
            + &stage::proposing("hang", "enforce", &arn("hang"), &stop);
        files.edit("balm.toml", |text| text + &policies);
        files.edit("guardrails/web.cedar", |text| text.replace("principal == Policy::\"web-cpu\"", "principal"));
        Stage { host: files.start(), files, cloud }
    })
}

/// The task that is to be stopped: one of service `hang`.
fn first_task(cloud: &Cloud) -> String {
    let arn = &cloud.service("hang").tasks[0].task_arn;
    arn.rsplit('/').next().expect("an ARN has parts").to_owned()
}

#[test]
fn a_service_is_redeployed_by_one_call_and_verified_by_its_new_deployment() {
    let stage = actions();
    let before = stage.cloud.service("roll");
    let episode = stage.fire("roll", "roll");
    assert_eq!(stage.ended(episode).how, IntentEnd::Verified);
    let after = stage.cloud.service("roll");
    assert_eq!((after.service.deployments.len(), after.service.running_count), (1, 4));
    assert_ne!(after.service.deployments[0].id, before.service.deployments[0].id);
    let running = after.tasks.iter().filter(|task| task.last_status == "RUNNING");
    assert!(running.clone().all(|task| before.tasks.iter().all(|old| old.task_arn != task.task_arn)));
    let calls = stage.changes("roll");
    let [call] = &calls[..] else { panic!("{calls:?}") };
    assert_eq!((update(call).force_new_deployment, update(call).desired_count), (Some(true), None));
}

#[test]
fn a_task_is_stopped_by_one_call_and_verified_once_the_service_runs_all_its_tasks_again() {
    let stage = actions();
    let task = first_task(&stage.cloud);
    let episode = stage.fire("hang", "hang");
    assert_eq!(stage.ended(episode).how, IntentEnd::Verified);
    let after = stage.cloud.service("hang");
    let (stopped, others): (Vec<_>, Vec<_>) = after.tasks.iter().partition(|other| other.task_arn.ends_with(&task));
    assert_eq!(stopped.iter().map(|task| task.last_status).collect::<Vec<_>>(), ["STOPPED"]);
    assert_eq!(others.iter().filter(|other| other.last_status == "RUNNING").count(), 4);
    let calls = stage.changes("hang");
    let [call] = &calls[..] else { panic!("{calls:?}") };
    assert!(matches!(&call.request.operation, Operation::StopTask(stop) if stop.task == task), "{call:?}");
    let reason = stopped[0].stopped_reason.clone().unwrap_or_default();
    assert!(reason.contains(&call.request.caller), "{reason:?} does not lead to the record");
}

#[test]
fn a_tail_follows_what_the_host_records() {
    let stage = actions();
    let told = stage.files.path("tail.jsonl");
    let file = std::fs::File::create(&told).expect("a file can be made");
    let mut tail = stage.files.begin(&["audit", "tail", "--json"], file.into());
    let alert = Alert::firing("nobody's", "web", stage::fingerprint());
    stage.post(std::slice::from_ref(&alert));
    let found = wait::until("the alert in the tail", WITHIN, || {
        let told = std::fs::read_to_string(&told).expect("the file can be read");
        told.split_inclusive('\n').find(|line| line.ends_with('\n') && line.contains(&alert.fingerprint)).map(read)
    });
    assert!(matches!(found.fact, Fact::AlertReceived(_)), "{found:?}");
    let _ = tail.kill();
    let _ = tail.wait();
}
