//! People are told: in Slack's own terms, whatever strangers write and however the receiver behaves, and never at the cost
//! of anything else.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use balm_cloud::Options;
use balm_core::{
    notice::{self, Urgency},
    record::{Fact, IntentEnd, NoticeSent, Record, Verdict},
};
use balm_tests::harness::{
    Dir,
    cloud::Cloud,
    grafana::{self, Alert},
    host::Files,
    journal,
    receiver::{self, Manner, Receiver, SECRET},
    wait,
};
use serde_json::Value;

/// The files of a host that tells `team` at an address.
fn files(name: &str, cloud: &Cloud, address: SocketAddr) -> Files {
    let files = Files::new(Dir::new(name), &cloud.endpoint());
    files.write("slack-url", &receiver::url(address));
    files.edit("balm.toml", |text| {
        format!("{text}\n[notifier.team]\nkind = \"slack\"\nurl-file = \"slack-url\"\nbase-url = \"https://grafana.example.com\"\n")
    });
    files
}

fn cloud_with(services: &[&str]) -> Cloud {
    let cloud = Cloud::start(1, Options::default(), None);
    services.iter().for_each(|service| cloud.create_service(service, 4));
    cloud
}

/// The limits of Slack's blocks, as its reference has them.
#[track_caller]
fn assert_slack_takes(message: &Value) {
    let text = |object: &Value| {
        let kind = object["type"].as_str().expect("a kind");
        assert!(["plain_text", "mrkdwn"].contains(&kind), "{object}");
        object["text"].as_str().expect("a text").encode_utf16().count()
    };
    assert!(!message["text"].as_str().expect("a fallback").is_empty());
    let blocks = message["blocks"].as_array().expect("blocks");
    assert!((1..=50).contains(&blocks.len()), "{} blocks", blocks.len());
    for block in blocks {
        let list = |key: &str| block[key].as_array().cloned().unwrap_or_default();
        match block["type"].as_str().expect("a kind") {
            "header" => assert!(block["text"]["type"] == "plain_text" && (1..=150).contains(&text(&block["text"]))),
            "section" => {
                assert!(block["text"].is_null() || (1..=3_000).contains(&text(&block["text"])), "{block}");
                assert!(!block["text"].is_null() || (1..=10).contains(&list("fields").len()), "{block}");
                assert!(list("fields").iter().all(|field| (1..=2_000).contains(&text(field))), "{block}");
            }
            "context" => {
                assert!((1..=10).contains(&list("elements").len()), "{block}");
                assert!(list("elements").iter().all(|element| (1..=3_000).contains(&text(element))), "{block}");
            }
            other => assert_eq!(other, "header", "no other blocks are expected here"),
        }
    }
}

fn says(text: &str) -> impl Fn(&Value) -> bool {
    move |message| message.to_string().contains(text)
}

#[test]
fn a_team_follows_a_scene_in_slack_and_no_alert_can_write_there_what_it_likes() {
    let (cloud, slack) = (cloud_with(&["web"]), Receiver::start());
    let files = files("notify-scene", &cloud, slack.address());
    files.edit("balm.toml", |text| {
        text.replace("labels = { alertname = \"HighCpu\" }", "labels = { service = \"web\" }")
    });
    let host = files.start();

    let name = "<!channel> *Hi* <https://evil.example.com|Grafana> @here";
    host.accept(&grafana::body(&[Alert::firing(name, "web", 1)]));
    let verified = slack.wait_for("the end of the scene", says(", verified"));
    let begun = slack.wait_for("its beginning", says("under way"));
    for message in slack.taken() {
        assert_slack_takes(&message);
        let all = message.to_string();
        for never in ["<!", "@here", "<https://evil", "://evil", SECRET] {
            assert!(!all.contains(never), "{never} in {message:#}");
        }
    }
    for message in [&begun, &verified] {
        let all = message.to_string();
        for wanted in [
            "web-cpu: ecs:scale-service",
            "&lt;!channel&gt; *Hi*",
            "desired 4 → 6",
            "service/prod/web",
            "`balm audit show ",
            "|alert rule on grafana.example.com>",
        ] {
            assert!(all.contains(wanted), "{wanted} in {message:#}");
        }
    }

    let said = files.balm_says(&["notify", "test", "team"]);
    assert_eq!(said, "team was told, and answered ok\n");
    slack.wait_for("the test", says("a test of notifier team"));

    slack.then([
        Manner::answer(404, "channel_not_found"),
        Manner::Echo(403),
        Manner::answer(200, "welcome to the proxy"),
    ]);
    for wanted in ["answered 404 channel_not_found", "answered 403\n", "answered 200 and not Slack's \"ok\""] {
        let output = files.balm(&["notify", "test", "team"]);
        let complained = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && complained.contains(wanted), "{wanted} in {complained}");
        assert!(!complained.contains(SECRET), "{complained}");
    }
    let output = files.balm(&["notify", "test", "nobody"]);
    let complained = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(complained.contains("no notifier of the running host; there are: log, team"), "{complained}");

    let log = host.log();
    host.stop();
    assert!(!log.contains(SECRET), "the address is in the log");
    for (record, line) in journal::read(&files.data()) {
        assert!(!String::from_utf8_lossy(&line).contains(SECRET), "the address is in record {}", record.seq);
    }
    let sent = sent_to_team(&journal::facts(&files.data()));
    assert!(!sent.is_empty() && sent.iter().all(|sent| sent.delivered == Ok("ok".into())), "{sent:?}");
}

fn sent_to_team(facts: &[Fact]) -> Vec<NoticeSent> {
    let to_team = |fact: &Fact| match fact {
        Fact::NoticeSent(sent) if sent.notifier.as_str() == "team" => Some(sent.clone()),
        _ => None,
    };
    facts.iter().filter_map(to_team).collect()
}

#[test]
fn a_receiver_that_is_busy_silent_or_broken_is_asked_again_when_it_wants_and_told_once() {
    let (cloud, slack) = (cloud_with(&["web"]), Receiver::start());
    let files = files("notify-manners", &cloud, slack.address());
    let host = files.start();
    slack.then([Manner::busy_for(3), Manner::Hang, Manner::answer(500, "rollup_error")]);
    let _ = files.balm_says(&["stop", "--why", "a drill"]);
    wait::until("the receiver to be silent", Duration::from_secs(30), || (slack.requests().len() == 2).then_some(()));

    let asked = Instant::now();
    host.accept(&grafana::body(&[Alert::firing("Nothing", "web", 1)]));
    assert!(asked.elapsed() < Duration::from_secs(5), "a silent receiver holds up an alert: {:?}", asked.elapsed());
    assert_eq!(slack.requests().len(), 2, "it is silent still");

    let told = slack.wait_for("the stop to be told", says("a drill"));
    assert_slack_takes(&told);
    let requests = slack.requests();
    let pause = requests[1].at - requests[0].at;
    assert!(pause >= Duration::from_secs(3), "Retry-After was 3 s, and it came again after {pause:?}");
    assert_eq!(requests.len(), 4, "{requests:#?}");
    assert!(requests.iter().all(|request| request.body == requests[0].body), "each try says the same");

    let sent = wait::until("the record of it", Duration::from_secs(30), || {
        let sent = sent_to_team(&files.facts());
        sent.last().is_some_and(|sent| sent.delivered.is_ok()).then_some(sent)
    });
    let kept: Vec<bool> = sent.iter().map(|sent| sent.kept).collect();
    assert_eq!(kept, [true, false], "three tries, a pause, and a fourth: {sent:?}");
    assert_eq!(sent[0].delivered, Err("the receiver answered 500 rollup_error".into()));
    host.stop();
}

/// Alerts of the storm, and those that need a person.
const STORM: u64 = 500;
const PERSONS: u64 = 20;

#[test]
fn while_slack_is_down_in_a_storm_everything_goes_on_and_then_few_messages_tell_all_of_it() {
    let (cloud, address) = (cloud_with(&["web", "batch", "queue"]), receiver::dead_address());
    let files = files("notify-storm", &cloud, address);
    // No rule permits `storm` anything, and a person must approve what `ask` wants.
    files.edit("balm.toml", |text| {
        format!("{text}{}{}", policy("storm", "batch", "enforce"), policy("ask", "queue", "suggest"))
    });
    files.edit("guardrails/web.cedar", |text| {
        let both = "principal,\n    action";
        text.replace("principal == Policy::\"web-cpu\",\n    action", both)
            + "forbid(principal == Policy::\"storm\", action, resource);\n"
    });
    let host = files.start();

    for first in (0..STORM).step_by(50) {
        let alerts: Vec<Alert> = (first..first + 50).map(|n| Alert::firing("storm", "batch", 1_000 + n)).collect();
        host.accept(&grafana::body(&alerts));
        if first == STORM / 2 {
            let asks: Vec<Alert> = (0..PERSONS).map(|n| Alert::firing("ask", "queue", 5_000 + n)).collect();
            host.accept(&grafana::body(&asks));
            host.accept(&grafana::body(&[Alert::firing("HighCpu", "web", 1)]));
        }
    }
    let facts = wait::until("the storm to be judged and the scene to end", Duration::from_secs(240), || {
        std::thread::sleep(Duration::from_millis(500));
        let facts = files.facts();
        let judged = facts.iter().filter(|fact| matches!(fact, Fact::IntentJudged(_))).count() as u64;
        let verified = |fact: &Fact| matches!(fact, Fact::IntentEnded(ended) if ended.how == IntentEnd::Verified);
        (judged > STORM + PERSONS && facts.iter().any(verified)).then_some(facts)
    });
    assert_eq!(cloud.desired("web"), 6);
    assert!(
        sent_to_team(&facts).iter().all(|sent| sent.kept),
        "nothing arrives at a dead address, and nothing is lost"
    );

    let slack = Receiver::start_at(address);
    let since = Instant::now();
    let mut looked = Instant::now();
    let sent = wait::until("everything to be told", Duration::from_secs(240), || {
        if looked.elapsed() < Duration::from_secs(1) {
            return None;
        }
        looked = Instant::now();
        let sent = sent_to_team(&files.facts());
        (told(&sent) >= worth_telling(&files.facts())).then_some(sent)
    });
    println!("told after {:?}: {} messages, {} tries in all", since.elapsed(), slack.taken().len(), sent.len());
    host.stop();
    let records: Vec<Record> = journal::read(&files.data()).into_iter().map(|(record, _)| record).collect();
    let facts: Vec<Fact> = records.iter().map(|record| record.fact.clone()).collect();
    let sent = sent_to_team(&facts);
    assert_eq!(told(&sent), worth_telling(&facts), "every notice is told once");
    assert!(sent.iter().all(|sent| sent.dropped == 0));

    let messages = slack.taken();
    assert!((1..20).contains(&messages.len()), "{} messages", messages.len());
    messages.iter().for_each(assert_slack_takes);
    let needs_approval =
        |fact: &&Fact| matches!(fact, Fact::IntentJudged(judged) if judged.verdict == Verdict::NeedsApproval(1));
    assert_eq!(facts.iter().filter(needs_approval).count() as u64, PERSONS);
    let named: usize = messages.iter().map(|message| message.to_string().matches("needs approval of 1").count()).sum();
    assert!(named as u64 >= PERSONS, "{named} of {PERSONS} calls for a person are named");
    let person =
        |record: &&Record| notice::is_worth_telling(&record.fact) && notice::of(record).urgency == Urgency::Person;
    let persons = records.iter().filter(person).count();
    assert!(persons as u64 >= PERSONS);
    let counted: usize = messages.iter().map(persons_in).sum();
    assert_eq!(counted, persons, "{:#?}", messages.iter().map(|message| &message["text"]).collect::<Vec<_>>());
}

/// How many calls for a person a message says that it has.
fn persons_in(message: &Value) -> usize {
    let text = message["text"].as_str().expect("a fallback");
    let words: Vec<&str> = text.split_whitespace().collect();
    let number = words.iter().position(|word| word.starts_with("need")).and_then(|at| words[at - 1].parse().ok());
    number.unwrap_or(usize::from(text.starts_with('🚨')))
}

fn policy(name: &str, service: &str, mode: &str) -> String {
    format!(
        r#"
[[policy]]
name = "{name}"
plugin = "scale-ecs-service"
mode = "{mode}"
targets = ["{}"]
[policy.match]
source = "grafana"
labels = {{ alertname = "{name}" }}
[policy.settings]
minimum = 2
maximum = 12
out-step = 2
in-step = 2
out-pause = 60
in-pause = 1
"#,
        balm_tests::harness::cloud::arn(service)
    )
}

/// Notices that arrived.
fn told(sent: &[NoticeSent]) -> u64 {
    sent.iter().filter(|sent| sent.delivered.is_ok()).map(|sent| sent.covers).sum()
}

fn worth_telling(facts: &[Fact]) -> u64 {
    facts.iter().filter(|fact| notice::is_worth_telling(fact)).count() as u64
}
