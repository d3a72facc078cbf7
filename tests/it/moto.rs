//! The main scene against moto, an AWS that is not ours: what the host says that it did has happened *there*.
//!
//! moto runs no tasks: a service that is updated has at once as many running tasks as it should have, and one deployment.
//! So verification comes true, and shows only that the host reads somebody else's wire rightly; that it waits for tasks is
//! shown against our own cloud.

use std::time::Duration;

use balm_core::{
    line,
    record::{CallResult, CheckName, EpisodeEnd, Fact, IntentEnd, Purpose, Reception, Verdict},
};
use balm_tests::harness::{
    Dir,
    grafana::{Alert, body},
    host::Files,
    moto::{Moto, PROGRAM},
    wait,
};

/// Each half of the scene; it takes about two seconds.
const WITHIN: Duration = Duration::from_secs(60);

#[test]
fn an_alert_changes_a_service_of_another_aws_and_every_step_is_in_the_audit() {
    let Some(moto) = Moto::start("moto-server", 4) else {
        println!("skipped: {PROGRAM} names no moto_server; `cargo xtask test` installs one and sets it");
        return;
    };
    moto.create_service("prod", "web", 4);
    let files = Files::new(Dir::new("moto"), &moto.endpoint());
    // moto imports what it needs when it is first asked.
    files.edit("balm.toml", |text| text.replace("call-timeout = \"1s\"", "call-timeout = \"10s\""));
    let host = files.start();
    let alert = Alert::firing("HighCpu", "web", 0xa1e7);
    host.accept(&body(std::slice::from_ref(&alert)));
    becomes(&moto, &files, 6, 1);
    host.accept(&body(&[alert.resolved("2026-11-01T10:00:00Z")]));
    becomes(&moto, &files, 4, 2);
    let episode = wait::until("the end of the episode", WITHIN, || {
        files.facts().into_iter().find_map(|fact| match fact {
            Fact::EpisodeEnded(ended) => Some(ended),
            _ => None,
        })
    });
    assert_eq!(episode.how, EpisodeEnd::Resolved);
    wait::until("four notices: of two calls, and of two verified changes", WITHIN, || {
        let told = |fact: &Fact| matches!(fact, Fact::NoticeSent(sent) if sent.episode == Some(episode.episode));
        (files.facts().iter().filter(|fact| told(fact)).count() == 4).then_some(())
    });
    check_chain(&files, &episode.episode.to_string());
}

/// The service there, and as many intents verified here.
fn becomes(moto: &Moto, files: &Files, desired: u32, verified: usize) {
    wait::until(&format!("{desired} tasks there, verified"), WITHIN, || {
        let facts = files.facts();
        let ended = facts.iter().filter_map(|fact| match fact {
            Fact::IntentEnded(ended) => Some(ended),
            _ => None,
        });
        let ended: Vec<_> = ended.inspect(|ended| assert_eq!(ended.how, IntentEnd::Verified, "{ended:?}")).collect();
        (ended.len() == verified && moto.service("prod", "web")["desiredCount"] == desired).then_some(())
    });
}

/// What `balm audit show` tells of the episode, for programs and for people.
fn check_chain(files: &Files, episode: &str) {
    let lines = files.balm_says(&["audit", "show", "--json", episode]);
    let facts: Vec<Fact> =
        lines.lines().map(|line| line::read_json(line.as_bytes()).expect("a record").0.fact).collect();
    let mut kinds: Vec<&str> = facts.iter().map(Fact::kind).filter(|kind| *kind != "notice-sent").collect();
    // Before it scales in, the policy may have asked to be looked at again.
    kinds.dedup();
    let half = ["alert-received", "evaluated", "target-looked", "intent-judged", "attempt-started", "attempt-ended"];
    for kinds in [&kinds[..6], &kinds[kinds.iter().rposition(|kind| *kind == half[0]).expect("it resolved")..][..6]] {
        assert_eq!(kinds, half, "{lines}");
    }
    assert!(
        matches!(&facts[0], Fact::AlertReceived(received) if matches!(received.reception, Reception::Opened { .. }))
    );
    for fact in &facts {
        match fact {
            Fact::IntentJudged(judged) => {
                assert_eq!(judged.verdict, Verdict::Admitted);
                assert_eq!(judged.checks.len(), 16, "every check is there: {:?}", judged.checks);
                assert!(judged.checks.iter().all(|checked| checked.passed), "{:?}", judged.checks);
            }
            Fact::AttemptEnded(ended) => {
                assert!(matches!(&ended.result, CallResult::Done { request } if !request.is_empty()), "{ended:?}");
            }
            _ => {}
        }
    }
    let count = |wanted: fn(&Fact) -> bool| facts.iter().filter(|fact| wanted(fact)).count();
    assert!(count(|fact| matches!(fact, Fact::TargetLooked(looked) if looked.purpose == Purpose::Verify)) >= 2);
    assert_eq!(count(|fact| matches!(fact, Fact::NoticeSent(sent) if sent.delivered.is_ok())), 4, "{lines}");
    check_words(&files.balm_says(&["audit", "show", episode]));
}

fn check_words(shown: &str) {
    for words in [
        "HighCpu firing, opens an episode",
        "from 4 to 6 tasks",
        "4 desired, 4 running, 0 pending, 1 deployments",
        "of policy web-cpu: admitted",
        "attempt 1: ecs:scale-service {\"desired\":6}",
        "attempt 1: done, request",
        "for verify: 6 desired, 6 running, 0 pending, 1 deployments",
        "verified",
        "log was told, of record",
        "HighCpu resolved, resolves episode",
        "attempt 1: ecs:scale-service {\"desired\":4}",
    ] {
        assert!(shown.contains(words), "{words:?} is not told:\n{shown}");
    }
    assert!(shown.contains(&CheckName::Authorization.to_string()), "{shown}");
}
