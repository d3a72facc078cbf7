//! People are told: in Slack's own terms, whatever strangers write and however the receiver behaves, and never at the cost
//! of anything else.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use balm_cloud::Options;
use balm_core::record::{Fact, NoticeSent};
use balm_tests::{
    harness::{
        Dir,
        cloud::Cloud,
        grafana::{self, Alert},
        host::Files,
        journal,
        receiver::{self, Manner, Receiver, SECRET},
        wait,
    },
    outage,
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

#[test]
fn while_slack_is_down_in_a_storm_everything_goes_on_and_then_few_messages_tell_all_of_it() {
    let report = outage::run(outage::Options { alerts: 500, away: Duration::from_secs(10) });
    println!(
        "{} alerts in {:.1} s: {} messages; acknowledged within {:.1} ms, {:.1} ms beside one who is told",
        report.alerts,
        report.away_s,
        report.messages.len(),
        report.ack_p99_ms,
        report.other_ack_p99_ms
    );
    assert!((1..20).contains(&report.messages.len()), "{} messages", report.messages.len());
    report.messages.iter().for_each(assert_slack_takes);
    let texts: Vec<&Value> = report.messages.iter().map(|message| &message["text"]).collect();
    assert_eq!((report.untold, report.uncalled, report.unnamed), (0, 0, 0), "{texts:#?}");
}
