//! People and the real program: what is approved on the command line and over the admin API is done once, and nothing else
//! is. What each of many people may try is in the table of `balm_tests::approvals`; here are the ways in, the kills and the
//! world outside.

use std::{os::unix::fs::MetadataExt as _, sync::Arc};

use balm_cloud::scenario::Step;
use balm_core::{
    approval::record::{Refusal, VoidReason},
    name::EpisodeId,
    notice::{self, Urgency},
    record::{CheckName, Fact, IntentEnd, IntentEnded, Record, Verdict},
};
use balm_tests::harness::{
    Dir,
    cloud::{Cloud, address, arn},
    grafana::{Alert, body},
    host::{Files, Host},
    http::{Answer, Connection},
    wait,
};
use serde_json::{Value, json};

use crate::stage::{self, Shared, Stage, WITHIN};

const SCALE_OUT: &str = r#"{ action = "ecs:scale-service", parameters = { desired = 6 }, expects = { desired = 4 } }"#;

/// Policies that need one person by their mode, each on a service of its own name.
const SUGGESTING: [&str; 8] = ["yes", "no", "wrong", "drift", "stopped", "reloaded", "back", "told"];

/// Policies that need two people by a rule.
const NEED_TWO: [&str; 2] = ["two", "killed"];

/// Everybody may do everything, but these need two people first.
const RULES: &str = r#"permit(principal, action, resource);
forbid(principal == Policy::"two", action, resource) when { context.approvals < 2 };
forbid(principal == Policy::"killed", action, resource) when { context.approvals < 2 };
"#;

static STAGE: Shared = Shared::new();

/// The user of this machine that the tests run as.
fn own_uid(files: &Files) -> u32 {
    std::fs::metadata(files.path("balm.toml")).expect("the file is there").uid()
}

/// Files of a host with a credential for each role and one more approver, whose tokens are in files of their names, and
/// with the tests' own user as an approver.
fn files(name: &str, cloud: &Cloud, more: &str) -> Files {
    let files = Files::new(Dir::new(name), &cloud.endpoint());
    stage::add_guest(&files);
    stage::without_bundled(&files);
    let mut text = "\n[admin]\nlisten = \"127.0.0.1:0\"\n".to_owned();
    for (holder, role) in [("vic", "viewer"), ("olga", "operator"), ("ada", "approver"), ("grace", "approver")] {
        let made = files.balm_says(&["credential", holder, "--role", role, "--json"]);
        let made: Value = serde_json::from_str(&made).expect("JSON");
        files.write(&format!("token-of-{holder}"), made["token"].as_str().expect("a token"));
        let hash = made["token-sha256"].as_str().expect("a hash");
        text += &format!("[[admin.credential]]\nname = \"{holder}\"\nrole = \"{role}\"\ntoken-sha256 = \"{hash}\"\n");
    }
    text += &format!("[[approver]]\nname = \"local\"\nuid = {}\n{more}", own_uid(&files));
    let mut policies = String::new();
    for name in SUGGESTING {
        policies += &stage::proposing(name, "suggest", &arn(name), SCALE_OUT);
    }
    for name in NEED_TWO {
        policies += &stage::proposing(name, "enforce", &arn(name), SCALE_OUT);
    }
    files.edit("balm.toml", |before| before + &text + &policies);
    files.write("guardrails/web.cedar", RULES);
    files
}

fn services(cloud: &Cloud) {
    SUGGESTING.iter().chain(&NEED_TWO).for_each(|name| cloud.create_service(name, 4));
}

fn stage() -> Arc<Stage> {
    STAGE.get("approvals", |name| {
        let cloud = Cloud::start(41, stage::quick(), None);
        services(&cloud);
        let files = files(name, &cloud, "");
        Stage { host: files.start(), files, cloud }
    })
}

/// What waits for people in an episode, as the command line lists it.
#[track_caller]
fn asked(files: &Files, episode: EpisodeId) -> Value {
    wait::until("people to be asked", WITHIN, || {
        let all: Value = serde_json::from_str(&files.balm_says(&["approvals", "--json"])).expect("JSON");
        all.as_array()?.iter().find(|one| one["episode"] == episode.0.0).cloned()
    })
}

fn text(value: &Value, key: &str) -> String {
    value[key].as_str().expect("a text").to_owned()
}

/// `balm approve` with the intent and plan of what was asked.
fn approve(asked: &Value, more: &[&str]) -> Vec<String> {
    let (intent, plan) = (text(asked, "intent"), text(asked, "plan"));
    let command = ["approve", &intent, "--plan", &plan].map(str::to_owned);
    command.into_iter().chain(more.iter().map(|word| (*word).to_owned())).collect()
}

#[track_caller]
fn says(files: &Files, command: &[String]) -> String {
    files.balm_says(&command.iter().map(String::as_str).collect::<Vec<_>>())
}

#[track_caller]
fn fails(files: &Files, command: &[String]) -> String {
    files.balm_fails(&command.iter().map(String::as_str).collect::<Vec<_>>())
}

/// Post to the admin API as the holder of a token.
fn post(host: &Host, files: &Files, who: &str, path: &str, body: &Value) -> Answer {
    let address =
        host.ready["admin"].as_str().and_then(|at| at.strip_prefix("http://")).expect("an address").to_owned();
    let token = std::fs::read_to_string(files.path(&format!("token-of-{who}"))).expect("a token");
    let token = format!("Bearer {token}");
    let headers = [("authorization", token.as_str()), ("content-type", "application/json")];
    let mut connection = Connection::open(&address).expect("the admin API listens");
    connection.send("POST", path, &headers, body.to_string().as_bytes()).expect("it answers")
}

fn said(asked: &Value) -> Value {
    json!({"intent": asked["intent"], "plan": asked["plan"], "why": "I have looked"})
}

/// The facts of one intent.
fn of_intent<T>(records: &[Record], asked: &Value, pick: impl Fn(&Fact) -> Option<(String, T)>) -> Vec<T> {
    let intent = text(asked, "intent");
    records.iter().filter_map(|record| pick(&record.fact)).filter(|(of, _)| *of == intent).map(|(_, it)| it).collect()
}

fn refusals(records: &[Record], asked: &Value) -> Vec<Refusal> {
    of_intent(records, asked, |fact| match fact {
        Fact::ApprovalRefused(refused) => Some((refused.intent.to_string(), refused.reason)),
        _ => None,
    })
}

fn voids(records: &[Record], asked: &Value) -> Vec<VoidReason> {
    of_intent(records, asked, |fact| match fact {
        Fact::ApprovalVoid(void) => Some((void.intent.to_string(), void.reason)),
        _ => None,
    })
}

#[track_caller]
fn ended(stage: &Stage, asked: &Value) -> IntentEnded {
    stage.until("the end of the intent", |records| {
        let ends = of_intent(records, asked, |fact| match fact {
            Fact::IntentEnded(ended) => Some((ended.intent.to_string(), ended.clone())),
            _ => None,
        });
        ends.into_iter().next()
    })
}

/// The guard's last answer, once it has given two: the first one asked for people.
#[track_caller]
fn judged_again(stage: &Stage, asked: &Value) -> Verdict {
    stage.until("a second verdict", |records| {
        let verdicts = of_intent(records, asked, |fact| match fact {
            Fact::IntentJudged(judged) => Some((judged.intent.to_string(), judged.verdict.clone())),
            _ => None,
        });
        verdicts.get(1).cloned()
    })
}

#[test]
fn what_a_person_approves_is_judged_anew_done_once_and_told_with_their_name() {
    let stage = stage();
    let episode = stage.fire("yes", "yes");
    let asked = asked(&stage.files, episode);
    let words = stage.files.balm_says(&["approvals"]);
    for wanted in [
        format!("intent {} of policy yes has 0 of 1 approvals, until ", text(&asked, "intent")),
        format!(
            "  plan      ecs:scale-service desired 4 → 6 on {}, provided that {{\"desired\":4}} still holds",
            arn("yes")
        ),
        "  may       ada, grace, local".to_owned(),
        format!("  say yes   balm approve {} --plan {}", text(&asked, "intent"), text(&asked, "plan")),
    ] {
        assert!(words.contains(&wanted), "{wanted:?} is not in {words}");
    }
    stage.assert_untouched("yes");
    let told = says(&stage.files, &approve(&asked, &["--why", "checked with the team"]));
    assert!(told.contains("is approved, and is looked at and judged once more; record "), "{told}");
    assert_eq!(ended(&stage, &asked).how, IntentEnd::Verified);
    assert_eq!((stage.cloud.desired("yes"), stage.changes("yes").len()), (6, 1));
    let again = fails(&stage.files, &approve(&asked, &[]));
    assert!(again.contains("does not count: its approvals are used"), "{again}");
    assert_eq!(refusals(&stage.records(), &asked), [Refusal::Used]);

    let explained = stage.files.balm_says(&["explain", &text(&asked, "intent")]);
    for wanted in [
        "It was not done: a person must approve it first.".to_owned(),
        format!("local approved it (1 of 1; user {} of this machine): checked with the team.", own_uid(&stage.files)),
        "The approval of local is used by that, and cannot be used again.".to_owned(),
        "It is verified: ".to_owned(),
    ] {
        assert!(explained.contains(&wanted), "{wanted:?} is not in {explained}");
    }
    let chain = stage.files.balm_says(&["audit", "show", &episode.to_string()]);
    for kind in ["approval-requested", "approval-given", "approval-used", "attempt-started"] {
        assert!(chain.contains(kind), "{kind} is not in {chain}");
    }
    assert_eq!(stage.changes("yes").len(), 1, "it was done once");
}

#[test]
fn whoever_denies_it_ends_it() {
    let stage = stage();
    let asked = asked(&stage.files, stage.fire("no", "no"));
    let told = says(&stage.files, &approve(&asked, &["--deny", "--why", "the database is next"]));
    assert!(told.contains("is denied and has ended"), "{told}");
    let ended = ended(&stage, &asked);
    assert_eq!((ended.how, ended.why.as_str()), (IntentEnd::Denied, "denied by local: the database is next"));
    let late = fails(&stage.files, &approve(&asked, &[]));
    assert!(late.contains("a person has denied it"), "{late}");
    stage.assert_untouched("no");
}

#[test]
fn what_does_not_count_is_answered_with_what_to_do_and_is_a_record() {
    let stage = stage();
    let (files, asked) = (&stage.files, asked(&stage.files, stage.fire("wrong", "wrong")));
    let (intent, plan) = (text(&asked, "intent"), text(&asked, "plan"));
    let command = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let cut = fails(files, &command(&["approve", &intent, "--plan", &plan[..16]]));
    assert!(cut.contains("this is not the hash of its plan: read the plan again with `balm approvals`"), "{cut}");
    let none = fails(files, &command(&["approve", "999999.0", "--plan", &plan]));
    assert!(none.contains("no such intent waits for approval"), "{none}");
    let nothing = fails(files, &approve(&asked, &["--withdraw"]));
    assert!(nothing.contains("there is nothing to withdraw"), "{nothing}");
    for (who, role) in [("vic", "viewer"), ("olga", "operator")] {
        for path in ["/v1/approvals", "/v1/approvals/deny", "/v1/approvals/withdraw"] {
            let answer = post(&stage.host, files, who, path, &said(&asked));
            assert_eq!(answer.status, 403, "{who} ({role}) {path}: {}", answer.body);
        }
        let file = files.path(&format!("token-of-{who}")).display().to_string();
        let by_socket = fails(files, &approve(&asked, &["--token-file", &file]));
        assert!(by_socket.contains(&format!("{who} ({role}) may not do this")), "{by_socket}");
    }
    let wrong = post(&stage.host, files, "ada", "/v1/approvals", &json!({"intent": intent, "plan": "", "why": "x"}));
    assert_eq!(wrong.status, 409, "{}", wrong.body);
    files.write("forged", "balm_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
    let forged = files.path("forged").display().to_string();
    let stranger = fails(files, &approve(&asked, &["--token-file", &forged]));
    assert!(stranger.contains("send the token of a credential"), "{stranger}");
    let records = stage.records();
    assert_eq!(refusals(&records, &asked), [Refusal::WrongPlan, Refusal::NotGiven, Refusal::WrongPlan]);
    let denied = |record: &&Record| match &record.fact {
        Fact::AccessDenied(denied) => denied.what.contains("/v1/approvals"),
        _ => false,
    };
    assert_eq!(records.iter().filter(denied).count(), 8, "each attempt without the role is a record");
    stage.assert_untouched("wrong");
}

#[test]
fn two_people_approve_by_token_each_counting_once_however_they_speak() {
    let stage = stage();
    let (files, asked) = (&stage.files, asked(&stage.files, stage.fire("two", "two")));
    assert_eq!(asked["needs"], 2);
    let first = post(&stage.host, files, "ada", "/v1/approvals", &said(&asked));
    assert_eq!(first.status, 200, "{}", first.body);
    assert!(first.body.contains("is approved by 1 of 2 people"), "{}", first.body);
    let file = files.path("token-of-ada").display().to_string();
    let again = fails(files, &approve(&asked, &["--token-file", &file]));
    assert!(again.contains("this person has approved it already, and counts once"), "{again}");
    let back = post(&stage.host, files, "ada", "/v1/approvals/withdraw", &said(&asked));
    assert_eq!(back.status, 200, "{}", back.body);
    drop(says(files, &approve(&asked, &["--token-file", &file])));
    stage.assert_untouched("two");
    let second = post(&stage.host, files, "grace", "/v1/approvals", &said(&asked));
    assert!(second.body.contains("is looked at and judged once more"), "{}", second.body);
    assert_eq!(ended(&stage, &asked).how, IntentEnd::Verified);
    assert_eq!(stage.changes("two").len(), 1);
}

#[test]
fn a_world_that_has_drifted_makes_the_approval_void_and_a_person_is_told() {
    let stage = stage();
    let asked = asked(&stage.files, stage.fire("drift", "drift"));
    stage.cloud.play(&Step::SetDesired { service: address("drift"), desired: 5 });
    drop(says(&stage.files, &approve(&asked, &[])));
    assert_eq!(judged_again(&stage, &asked), Verdict::Refused(CheckName::Expectation));
    let void = stage.until("the record that says so", |records| {
        let of_it = |record: &&Record| matches!(&record.fact, Fact::ApprovalVoid(void) if void.intent.to_string() == text(&asked, "intent"));
        records.iter().find(of_it).cloned()
    });
    assert_eq!(voids(&stage.records(), &asked), [VoidReason::WorldChanged]);
    let told = notice::of(&void);
    assert_eq!(told.urgency, Urgency::Person, "whoever approved it takes it to be done");
    assert!(told.headline.contains("the approval of local is void, and it is not done"), "{}", told.headline);
    assert_eq!((stage.cloud.desired("drift"), stage.changes("drift").len()), (5, 0));
    let late = fails(&stage.files, &approve(&asked, &[]));
    assert!(late.contains("it is void, since something has changed"), "{late}");
}

#[test]
fn a_stop_that_is_engaged_meanwhile_still_applies() {
    let stage = stage();
    let asked = asked(&stage.files, stage.fire("stopped", "stopped"));
    drop(stage.files.balm_says(&["stop", "--policy", "stopped", "--why", "it flaps"]));
    drop(says(&stage.files, &approve(&asked, &[])));
    assert_eq!(judged_again(&stage, &asked), Verdict::Refused(CheckName::Stop));
    stage.assert_untouched("stopped");
}

#[test]
fn a_denial_by_token_ends_it_as_well_and_nobody_withdraws_what_they_have_not_given() {
    let stage = stage();
    let asked = asked(&stage.files, stage.fire("back", "back"));
    let file = stage.files.path("token-of-grace").display().to_string();
    let nothing = fails(&stage.files, &approve(&asked, &["--withdraw", "--token-file", &file]));
    assert!(nothing.contains("there is nothing to withdraw"), "{nothing}");
    let deny = post(&stage.host, &stage.files, "grace", "/v1/approvals/deny", &said(&asked));
    assert_eq!(deny.status, 200, "{}", deny.body);
    assert_eq!(ended(&stage, &asked).how, IntentEnd::Denied);
    stage.assert_untouched("back");
}

#[test]
fn a_kill_between_two_approvals_changes_nothing() {
    let cloud = Cloud::start(42, stage::quick(), None);
    services(&cloud);
    let files = files("approvals-killed", &cloud, "");
    let mut host = files.start();
    let alert = Alert::firing("killed", "killed", stage::fingerprint());
    host.accept(&body(std::slice::from_ref(&alert)));
    let waiting = || -> Value {
        let all: Value = serde_json::from_str(&files.balm_says(&["approvals", "--json"])).expect("JSON");
        all[0].clone()
    };
    let asked = wait::until("people to be asked", WITHIN, || Some(waiting()).filter(Value::is_object));
    host.kill();
    let mut host = files.start();
    assert_eq!(waiting(), asked, "what waits is what waited");
    let first = post(&host, &files, "ada", "/v1/approvals", &said(&asked));
    assert_eq!(first.status, 200, "{}", first.body);
    let given = waiting();
    host.kill();
    let host = files.start();
    assert_eq!(waiting(), given, "who has approved is who had");
    assert_eq!((&given["given"][0]["by"], &given["given"][1]), (&json!("ada"), &Value::Null));
    let twice = post(&host, &files, "ada", "/v1/approvals", &said(&asked));
    assert_eq!(twice.status, 409, "{}", twice.body);
    drop(says(&files, &approve(&asked, &[])));
    wait::until("it to be verified", WITHIN, || {
        let verified = |fact: &Fact| matches!(fact, Fact::IntentEnded(ended) if ended.how == IntentEnd::Verified);
        files.facts().iter().any(verified).then_some(())
    });
    assert_eq!(cloud.desired("killed"), 6);
    let used = files.facts().into_iter().find_map(|fact| match fact {
        Fact::ApprovalUsed(used) => Some(used.by.iter().map(ToString::to_string).collect::<Vec<_>>()),
        _ => None,
    });
    assert_eq!(used, Some(vec!["ada".to_owned(), "local".to_owned()]));
    host.stop();
}

#[test]
fn guardrails_that_are_read_again_make_another_plan() {
    let cloud = Cloud::start(43, stage::quick(), None);
    services(&cloud);
    let files = files("approvals-reloaded", &cloud, "");
    let stage = Stage { host: files.start(), files, cloud };
    let asked = asked(&stage.files, stage.fire("reloaded", "reloaded"));
    stage.files.write("guardrails/web.cedar", &format!("// somebody thought again\n{RULES}"));
    drop(stage.files.balm_says(&["reload", "--why", "another rule"]));
    let told = fails(&stage.files, &approve(&asked, &[]));
    assert!(told.contains("it is void, since something has changed"), "{told}");
    assert_eq!(ended(&stage, &asked).how, IntentEnd::Void);
    let explained = stage.files.balm_says(&["explain", &text(&asked, "intent")]);
    assert!(explained.contains("is void: the plan has changed since: guardrails."), "{explained}");
    // The policy is asked again, under the new guardrails, and so are people.
    let anew = wait::until("people to be asked anew", WITHIN, || {
        let all: Value = serde_json::from_str(&stage.files.balm_says(&["approvals", "--json"])).expect("JSON");
        all.as_array()?.iter().find(|one| one["intent"] != asked["intent"]).cloned()
    });
    drop(says(&stage.files, &approve(&anew, &[])));
    assert_eq!(ended(&stage, &anew).how, IntentEnd::Verified);
    assert_eq!(stage.changes("reloaded").len(), 1);
}

#[test]
fn when_nobody_answers_people_are_told_once_more_then_louder_and_the_intent_ends() {
    let cloud = Cloud::start(44, stage::quick(), None);
    services(&cloud);
    let files = files("approvals-expired", &cloud, "[approval]\nexpires-after = \"2s\"\n");
    let stage = Stage { host: files.start(), files, cloud };
    let episode = stage.fire("told", "told");
    let end = stage.ended(episode);
    assert_eq!((end.how, end.why.as_str()), (IntentEnd::Expired, "nobody approved it in time"));
    let records = stage.records();
    let kinds = ["approval-requested", "approval-reminded", "approval-expired"];
    let of_it = |record: &&Record| record.fact.episode() == Some(episode) && kinds.contains(&record.fact.kind());
    let told: Vec<_> = records.iter().filter(of_it).map(notice::of).collect();
    assert_eq!(told.iter().map(|notice| notice.kind).collect::<Vec<_>>(), kinds);
    assert!(told.iter().all(|notice| notice.urgency == Urgency::Person), "{told:?}");
    let log = wait::until("the log to say so", WITHIN, || {
        let log = stage.host.log();
        log.contains("nobody answered in time for intent").then_some(log)
    });
    assert!(
        log.contains("needs approval of 1 until") && log.contains("` says yes. The plan: ecs:scale-service"),
        "{log}"
    );
    stage.assert_untouched("told");
    assert_eq!(stage.files.status()["approvals"], 0);
}

#[test]
fn where_nobody_is_named_nobody_may_not_even_whoever_owns_the_host() {
    let cloud = Cloud::start(45, stage::quick(), None);
    cloud.create_service("nobody", 4);
    let files = Files::new(Dir::new("approvals-nobody"), &cloud.endpoint());
    stage::add_guest(&files);
    stage::without_bundled(&files);
    files.edit("balm.toml", |text| text + &stage::proposing("nobody", "suggest", &arn("nobody"), SCALE_OUT));
    files.write("guardrails/web.cedar", "permit(principal, action, resource);\n");
    let stage = Stage { host: files.start(), files, cloud };
    let asked = asked(&stage.files, stage.fire("nobody", "nobody"));
    let words = stage.files.balm_says(&["approvals"]);
    assert!(words.contains("  may       nobody: name people in [[approver]]"), "{words}");
    let told = fails(&stage.files, &approve(&asked, &[]));
    assert!(told.contains("the configuration names nobody who may approve and speaks so"), "{told}");
    assert_eq!(refusals(&stage.records(), &asked), [Refusal::NotAnApprover]);
    // Naming somebody is a change of the configuration, which is a record of its own.
    let uid = own_uid(&stage.files);
    stage.files.edit("balm.toml", |text| format!("{text}\n[[approver]]\nname = \"local\"\nuid = {uid}\n"));
    drop(stage.files.balm_says(&["reload", "--why", "somebody must be able to"]));
    drop(says(&stage.files, &approve(&asked, &[])));
    assert_eq!(ended(&stage, &asked).how, IntentEnd::Verified);
    assert_eq!(stage.changes("nobody").len(), 1);
}

#[test]
fn what_does_not_count_and_comes_too_fast_is_no_longer_heard() {
    let cloud = Cloud::start(46, stage::quick(), None);
    let files = files("approvals-flood", &cloud, "");
    let host = files.start();
    let nonsense = json!({"intent": "1.0", "plan": "0", "why": "x"});
    let statuses: Vec<u16> = (0..40).map(|_| post(&host, &files, "ada", "/v1/approvals", &nonsense).status).collect();
    let heard = statuses.iter().filter(|status| **status == 409).count();
    assert!((20..=22).contains(&heard), "{statuses:?}");
    assert!(statuses.iter().all(|status| matches!(status, 409 | 429)), "{statuses:?}");
    let recorded = files.facts().iter().filter(|fact| matches!(fact, Fact::ApprovalRefused(_))).count();
    assert_eq!(recorded, heard, "what is heard is a record");
    let other = post(&host, &files, "grace", "/v1/approvals", &nonsense);
    assert_eq!(other.status, 409, "one credential does not silence another: {}", other.body);
    assert!(host.log().contains("what was said of an approval is not heard"), "{}", host.log());
    host.stop();
}
