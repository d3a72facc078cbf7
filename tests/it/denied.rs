//! What is not allowed does not happen, and the record says why, by name.
//!
//! Every case ends the same way: the cloud's own call log has no call that could change the service, and the verdict,
//! or the record in place of one, names its reason. Where something is denied for a time, it is done once that is over.

use std::{fs, sync::Arc};

use balm_cloud::{
    Starting,
    fault::{Fault, Matching, Scripted, When},
    request::OperationName,
    scenario::Step,
};
use balm_core::record::{CheckName, EpisodeEnd, IntentEnd, IntentJudged, Reception, Verdict};
use balm_tests::harness::{
    Dir,
    cloud::{ACCOUNT, Cloud, REGION, address, arn},
    grafana::Alert,
    host::Files,
    wait,
};
use serde_json::Value;

use crate::stage::{self, Shared, Stage, WITHIN};

/// An account of the configuration whose credentials turn out to be another one's.
const OTHER_ACCOUNT: &str = "210987654321";

const SCALE_OUT: &str = r#"{ action = "ecs:scale-service", parameters = { desired = 6 }, expects = { desired = 4 } }"#;
const SCALE_IN: &str = r#"{ action = "ecs:scale-service", parameters = { desired = 4 }, expects = { desired = 6 } }"#;
const TOO_FAR: &str = r#"{ action = "ecs:scale-service", parameters = { desired = 9 }, expects = { desired = 4 } }"#;
const REDEPLOY: &str = r#"{ action = "ecs:redeploy-service" }"#;
const UNDECLARED: &str = r#"{ action = "ecs:delete-cluster" }"#;
const BLIND: &str = r#"{ action = "ecs:scale-service", parameters = { desired = 6 } }"#;

/// A policy on a service of the same name, which lacks nothing to act unless a case says so.
struct Case {
    name: &'static str,
    service: &'static str,
    mode: &'static str,
    intent: String,
    account: &'static str,
    permitted: bool,
    limit: Option<u32>,
    bounded: bool,
}

impl Case {
    fn new(name: &'static str, intent: &str) -> Self {
        let (mode, account) = ("enforce", ACCOUNT);
        Self {
            name,
            service: name,
            mode,
            intent: intent.into(),
            account,
            permitted: true,
            limit: Some(10),
            bounded: true,
        }
    }

    fn policy(&self) -> String {
        let target = format!("arn:aws:ecs:{REGION}:{}:service/prod/{}", self.account, self.service);
        stage::proposing(self.name, self.mode, &target, &self.intent)
    }

    fn limits(&self) -> String {
        let Self { name, limit, bounded, .. } = self;
        let limit = limit.map(|count| {
            format!("[[limit]]\nscope = \"policy\"\npolicy = \"{name}\"\ncount = {count}\nwindow = \"1h\"\n")
        });
        let bound = bounded.then(|| format!("[[bound]]\npolicy = \"{name}\"\nminimum = 2\nmaximum = 12\nstep = 4\n"));
        limit.unwrap_or_default() + &bound.unwrap_or_default()
    }
}

fn cases() -> Vec<Case> {
    let case = Case::new;
    let elsewhere = format!("{{ action = \"ecs:redeploy-service\", target = \"{}\" }}", arn("no-rule"));
    vec![
        case("allowed", SCALE_OUT),
        Case { permitted: false, ..case("no-rule", SCALE_OUT) },
        Case { limit: None, ..case("no-limit", SCALE_OUT) },
        Case { bounded: false, ..case("no-bound", SCALE_OUT) },
        case("too-far", TOO_FAR),
        Case { limit: Some(1), ..case("spent", REDEPLOY) },
        case("undeclared", UNDECLARED),
        case("blind", BLIND),
        case("elsewhere", &elsewhere),
        Case { account: OTHER_ACCOUNT, ..case("wrong-account", SCALE_OUT) },
        case("busy", REDEPLOY),
        case("rolling", SCALE_OUT),
        case("resolved", SCALE_OUT),
        case("out", SCALE_OUT),
        Case { service: "out", ..case("back-in", SCALE_IN) },
        Case { mode: "off", ..case("off", SCALE_OUT) },
        Case { mode: "shadow", ..case("shadow", SCALE_OUT) },
        Case { mode: "suggest", ..case("suggest", SCALE_OUT) },
        case("stopped-policy", SCALE_OUT),
        case("stopped-target", SCALE_OUT),
    ]
}

/// What changes its target between the plugin's answer and the host's look must ask first: the bundled plugin does.
const CHANGED: &str = r#"
[[policy]]
name = "changed"
plugin = "scale-ecs-service"
mode = "enforce"
targets = ["arn:aws:ecs:eu-central-1:123456789012:service/prod/changed"]
match = { labels = { alertname = "changed" } }
settings = { minimum = 2, maximum = 12 }
"#;

static STAGE: Shared = Shared::new();

/// The stage of all cases that do not disturb each other.
fn stage() -> Arc<Stage> {
    STAGE.get("denied", |name| {
        let cloud = Cloud::start(21, stage::quick(), None);
        let mut cases = cases();
        for case in cases.iter().filter(|case| case.name == case.service) {
            cloud.create_service(case.service, 4);
        }
        cloud.create_service("changed", 4);
        let files = Files::new(Dir::new(name), &cloud.endpoint());
        stage::add_guest(&files);
        let account = format!(
            "\n[[aws.account]]\nid = \"{OTHER_ACCOUNT}\"\nregions = [\"{REGION}\"]\nendpoint = \"{}\"\n",
            cloud.endpoint()
        );
        let policies: String = cases.iter().map(Case::policy).collect();
        files.edit("balm.toml", |text| text + CHANGED + &policies + &account);
        files.write("guardrails/web.cedar", &rules(&cases));
        cases.push(Case::new("changed", ""));
        files.write("guardrails/limits.toml", &cases.iter().map(Case::limits).collect::<String>());
        Stage { host: files.start(), files, cloud }
    })
}

/// Everybody may do everything in cluster `prod`, of whichever account, but those without a rule.
fn rules(cases: &[Case]) -> String {
    let without: Vec<String> = cases
        .iter()
        .filter(|case| !case.permitted)
        .map(|case| format!("principal == Policy::\"{}\"", case.name))
        .collect();
    format!("permit(principal, action, resource) unless {{ {} }};", without.join(" || "))
}

/// What a check found that failed.
fn found(judged: &IntentJudged, name: CheckName) -> String {
    let checked = judged.checks.iter().find(|checked| checked.check == name).expect("every check is recorded");
    assert!(!checked.passed, "{name} passed: {}", checked.found);
    checked.found.clone()
}

/// The alert of a case fires, its intent is refused by a check that says so, and nothing happens.
#[track_caller]
fn assert_refused(stage: &Stage, name: &str, by: CheckName, why: &str) {
    let judged = stage.judged(stage.fire(name, name));
    assert_refusal(&judged, by, why);
    stage.assert_untouched(name);
}

#[track_caller]
fn assert_refusal(judged: &IntentJudged, by: CheckName, why: &str) {
    assert_eq!(judged.verdict, Verdict::Refused(by), "{judged:?}");
    assert_eq!(judged.checks.len(), 16, "every check is recorded");
    let found = found(judged, by);
    assert!(found.contains(why), "{found:?} does not say {why:?}");
}

/// The alert of a case fires, and its intent is done.
#[track_caller]
fn assert_done(stage: &Stage, name: &str, service: &str) {
    let before = stage.changes(service).len();
    let ended = stage.ended(stage.fire(name, service));
    assert_eq!(ended.how, IntentEnd::Verified, "{ended:?}");
    assert_eq!(stage.changes(service).len(), before + 1);
}

/// What every other case lacks one thing of.
#[test]
fn what_is_allowed_in_every_respect_is_done() {
    let stage = stage();
    assert_done(&stage, "allowed", "allowed");
    assert_eq!(stage.cloud.desired("allowed"), 6);
}

#[test]
fn without_a_rule_nothing_is_done() {
    assert_refused(&stage(), "no-rule", CheckName::Authorization, "no rule permits");
}

#[test]
fn without_a_limit_nothing_is_done() {
    assert_refused(&stage(), "no-limit", CheckName::Limits, "no limit counts ecs:scale-service");
}

#[test]
fn without_a_bound_nothing_is_done() {
    assert_refused(&stage(), "no-bound", CheckName::Bounds, "no bound covers ecs:scale-service");
}

#[test]
fn what_goes_too_far_is_not_done() {
    assert_refused(&stage(), "too-far", CheckName::Bounds, "a change of 5, from 4 to 9, is more than the step of 4");
}

#[test]
fn once_the_limit_is_spent_nothing_more_is_done() {
    let stage = stage();
    assert_done(&stage, "spent", "spent");
    let judged = stage.judged(stage.fire("spent", "spent"));
    assert_refusal(&judged, CheckName::Limits, "1 of 1 in 3600 s are spent for policy spent");
    assert_eq!(stage.changes("spent").len(), 1);
}

#[test]
fn an_action_that_the_plugin_did_not_declare_is_not_done() {
    assert_refused(&stage(), "undeclared", CheckName::Manifest, "not \"ecs:delete-cluster\"");
}

#[test]
fn a_change_that_does_not_say_what_it_saw_is_not_done() {
    assert_refused(&stage(), "blind", CheckName::Catalogue, "an intent is conditional on what it saw");
}

#[test]
fn a_target_that_the_operator_did_not_give_is_not_touched() {
    let stage = stage();
    assert_refused(&stage, "elsewhere", CheckName::Target, "is none of the policy's targets");
    stage.assert_untouched("no-rule");
}

#[test]
fn nothing_is_done_with_credentials_of_another_account_than_the_configured_one() {
    let stage = stage();
    let why = format!("they belong to account {ACCOUNT}: mend the credentials");
    assert_refused(&stage, "wrong-account", CheckName::Target, &why);
    let status: Value = serde_json::from_str(&stage.files.balm_says(&["status"])).expect("JSON");
    let account = status["accounts"].as_array().and_then(|all| all.iter().find(|one| one["account"] == OTHER_ACCOUNT));
    let account = account.expect("the account is shown");
    assert!(account["acting-as"].is_null() && account["idle-because"].as_str().is_some_and(|text| text.contains(&why)));
}

#[test]
fn an_alert_that_no_policy_matches_leads_to_nothing() {
    let stage = stage();
    let alert = Alert::firing("of nobody's", "allowed", stage::fingerprint());
    stage.post(std::slice::from_ref(&alert));
    let episode = stage.episode_of(&alert);
    let reports = stage::reports(&stage.records(), &alert.fingerprint);
    let nobody = Reception::Opened { concerned: vec![], idle: vec![] };
    assert_eq!(reports.iter().map(|report| &report.reception).collect::<Vec<_>>(), [&nobody]);
    let text = stage.files.balm_says(&["audit", "show", &episode.to_string()]);
    assert!(text.contains("no policy is concerned"), "{text}");
    stage.post(&[alert.resolved("2026-11-01T10:00:00Z")]);
    let end = stage.until("the end of the episode", |records| stage::episode_end(records, episode));
    assert_eq!(end, EpisodeEnd::Resolved);
    assert_eq!(stage::evaluations(&stage.records(), episode), 0);
}

#[test]
fn a_policy_that_is_off_stays_idle_and_the_alert_says_so() {
    let stage = stage();
    let alert = Alert::firing("off", "off", stage::fingerprint());
    stage.post(std::slice::from_ref(&alert));
    let episode = stage.episode_of(&alert);
    let text = stage.files.balm_says(&["audit", "show", &episode.to_string()]);
    assert!(text.contains("matches policy off, which stays idle: its mode is off"), "{text}");
    assert_eq!(stage::evaluations(&stage.records(), episode), 0);
    stage.assert_untouched("off");
}

#[test]
fn a_policy_in_shadow_is_judged_by_every_check_and_does_nothing() {
    let stage = stage();
    let episode = stage.fire("shadow", "shadow");
    let judged = stage.judged(episode);
    assert_eq!(judged.verdict, Verdict::Observed);
    assert!(judged.checks.len() == 16 && judged.checks.iter().all(|checked| checked.passed), "{judged:?}");
    let text = stage.files.balm_says(&["audit", "show", &episode.to_string()]);
    assert!(text.contains("observed only") && text.contains("shadow: recorded, not acted on"), "{text}");
    stage.assert_untouched("shadow");
}

#[test]
fn a_policy_that_suggests_waits_for_a_person_until_its_alert_is_over() {
    let stage = stage();
    let alert = Alert::firing("suggest", "suggest", stage::fingerprint());
    stage.post(std::slice::from_ref(&alert));
    let episode = stage.episode_of(&alert);
    assert_eq!(stage.judged(episode).verdict, Verdict::NeedsApproval(1));
    let text = stage.files.balm_says(&["audit", "show", &episode.to_string()]);
    assert!(text.contains("needs approval of 1") && text.contains("a person must approve"), "{text}");
    stage.post(&[alert.resolved("2026-11-01T10:00:00Z")]);
    let ended = stage.ended(episode);
    assert_eq!((ended.how, ended.why.as_str()), (IntentEnd::Expired, "the alert has resolved"));
    stage.assert_untouched("suggest");
}

#[test]
fn a_stopped_policy_does_nothing_and_goes_on_with_the_next_alert_once_it_may() {
    let scope = ["--policy", "stopped-policy"];
    assert_stopped_and_resumed(&stage(), "stopped-policy", &scope, "on policy stopped-policy");
}

#[test]
fn a_stopped_target_is_left_alone_and_changed_by_the_next_alert_once_it_may() {
    let target = arn("stopped-target");
    let scope = ["--target", target.as_str()];
    assert_stopped_and_resumed(&stage(), "stopped-target", &scope, &format!("on target {target}"));
}

#[track_caller]
fn assert_stopped_and_resumed(stage: &Stage, name: &str, scope: &[&str], what: &str) {
    let reason = format!("{name} is being looked at");
    let said = stage.files.balm_says(&[&["stop", "--why", &reason], scope].concat());
    assert!(said.contains("is stopped; record"), "{said}");
    assert_refused(stage, name, CheckName::Stop, what);
    let judged = stage.judged(stage.fire(name, name));
    assert!(found(&judged, CheckName::Stop).ends_with(&format!("of this machine: {reason}")), "{judged:?}");
    let _ = stage.files.balm_says(&[&["resume"], scope].concat());
    assert_done(stage, name, name);
}

/// The plugin sees four tasks; the host's own look fails until somebody has set five.
#[test]
fn a_target_that_changed_after_the_decision_is_left_as_it_is() {
    let stage = stage();
    let matching = Matching {
        operation: Some(OperationName::DescribeServices),
        service: Some("changed".into()),
        ..Matching::default()
    };
    let from_the_second = Scripted { matching, nth: 2, times: 1_000, fault: Fault::ServerError { when: When::Before } };
    stage.cloud.with(|cloud, _| cloud.plan().script(from_the_second)).expect("it can be planned");
    let episode = stage.fire("changed", "changed");
    wait::until("the host's look", WITHIN, || (looks(&stage, "changed") >= 2).then_some(()));
    stage.cloud.play(&Step::SetDesired { service: address("changed"), desired: 5 });
    stage.cloud.with(|cloud, _| cloud.plan().clear());
    let judged = stage.judged(episode);
    assert_refusal(&judged, CheckName::Expectation, "desired is 5, not 4: the target has changed");
    stage.assert_untouched("changed");
    assert_eq!(stage.cloud.desired("changed"), 5);
}

/// How often a service was described.
fn looks(stage: &Stage, service: &str) -> usize {
    let of = |name: OperationName| name == OperationName::DescribeServices;
    stage.cloud.with(|cloud, _| {
        cloud.log().entries().filter(|entry| entry.service == service && of(entry.request.operation.name())).count()
    })
}

/// The cloud answers nothing until the decision and the end of the alert are on record.
#[test]
fn an_alert_that_resolved_after_the_decision_leads_to_nothing() {
    let stage = stage();
    let alert = Alert::firing("resolved", "resolved", stage::fingerprint());
    let episode = stage.cloud.with(|_, _| {
        stage.post(std::slice::from_ref(&alert));
        let episode = stage.episode_of(&alert);
        stage.until("the decision", |records| (stage::evaluations(records, episode) == 1).then_some(()));
        stage.post(&[alert.resolved("2026-11-01T10:00:00Z")]);
        episode
    });
    assert_refusal(&stage.judged(episode), CheckName::Stale, "the alert has changed since it was proposed");
    stage.assert_untouched("resolved");
}

#[test]
fn a_target_on_which_an_intent_is_under_way_is_left_alone() {
    let stage = stage();
    stage.cloud.play(&Step::SetStarting { service: address("busy"), starting: Starting::Never });
    let first = stage.judged(stage.fire("busy", "busy"));
    assert_eq!(first.verdict, Verdict::Admitted);
    wait::until("the first call", WITHIN, || (stage.changes("busy").len() == 1).then_some(()));
    let judged = stage.judged(stage.fire("busy", "busy"));
    assert_refusal(&judged, CheckName::Busy, &format!("intent {} is under way on it", first.intent));
    assert_eq!(stage.changes("busy").len(), 1);
}

#[test]
fn a_target_that_somebody_else_is_rolling_is_left_alone() {
    let stage = stage();
    stage.cloud.play(&Step::SetStarting { service: address("rolling"), starting: Starting::Never });
    stage.cloud.play(&Step::Redeploy { service: address("rolling") });
    assert_refused(&stage, "rolling", CheckName::Busy, "2 deployments are under way on it");
}

#[test]
fn what_was_just_done_is_not_taken_back() {
    let stage = stage();
    assert_done(&stage, "out", "out");
    let judged = stage.judged(stage.fire("back-in", "out"));
    assert_refusal(&judged, CheckName::Opposes, "did the opposite");
    assert_eq!((stage.changes("out").len(), stage.cloud.desired("out")), (1, 6));
}

/// A stage of its own, for what concerns a whole host.
fn own_stage(name: &str, configure: impl FnOnce(&Files)) -> Stage {
    let cloud = Cloud::start(22, stage::quick(), None);
    cloud.create_service("web", 4);
    let files = Files::new(Dir::new(name), &cloud.endpoint());
    stage::add_guest(&files);
    stage::without_bundled(&files);
    let policy = stage::proposing("web", "enforce", &arn("web"), SCALE_OUT);
    files.edit("balm.toml", |text| text + &policy);
    files.edit("guardrails/web.cedar", |text| text.replace("principal == Policy::\"web-cpu\"", "principal"));
    configure(&files);
    Stage { host: files.start(), files, cloud }
}

#[test]
fn without_guardrails_nothing_is_done() {
    let stage = own_stage("unguarded", |files| {
        for file in ["guardrails/web.cedar", "guardrails/limits.toml"] {
            fs::remove_file(files.path(file)).expect("the file is there");
        }
    });
    assert_eq!(stage.host.ready["rules"], 0);
    let judged = stage.judged(stage.fire("web", "web"));
    assert_eq!(judged.verdict, Verdict::Refused(CheckName::Limits));
    let failed: Vec<CheckName> = judged.checks.iter().filter(|c| !c.passed).map(|checked| checked.check).collect();
    assert_eq!(failed, [CheckName::Limits, CheckName::Bounds, CheckName::Authorization]);
    stage.assert_untouched("web");
    let permitted = stage.host.ready["permitted"].as_str().unwrap_or_default();
    assert!(permitted.starts_with("0 rules, ") && permitted.ends_with(": nothing can act"), "{permitted}");
    assert!(stage.host.log().contains(permitted), "{}", stage.host.log());
}

#[test]
fn an_alert_that_became_too_old_before_its_target_was_seen_leads_to_nothing() {
    let stage = own_stage("stale", |files| {
        let age = "max-alert-age = \"1s\"\nlisten =";
        files.edit("balm.toml", |text| text.replace("listen =", age).replace("\"1s\"\n\n[[aws", "\"5s\"\n\n[[aws"));
    });
    let fault = Fault::Slow { ms: balm_cloud::Span::exactly(1_100) };
    let matching = Matching { operation: Some(OperationName::DescribeServices), ..Matching::default() };
    let first = Scripted { matching, nth: 1, times: 1, fault };
    stage.cloud.with(|cloud, _| cloud.plan().script(first)).expect("it can be planned");
    let judged = stage.judged(stage.fire("web", "web"));
    assert_refusal(&judged, CheckName::Stale, "s old; at most 1 s are allowed");
    stage.assert_untouched("web");
}

/// Stopped while it runs, then killed and started again, resumed; then stopped while it does not run, and resumed.
#[test]
fn a_stop_of_everything_holds_over_a_kill_until_it_is_released_and_the_next_alert_acts() {
    let mut stage = own_stage("stopped", |_| ());
    let said = stage.files.balm_says(&["stop", "--why", "all hands"]);
    assert!(said.contains("everything is stopped; record"), "{said}");
    assert_everything_is_stopped(&stage, "all hands");
    stage.host.kill();
    stage.host = stage.files.start();
    assert_everything_is_stopped(&stage, "all hands");
    let _ = stage.files.balm_says(&["resume", "--why", "it was nothing"]);
    assert_done(&stage, "web", "web");

    stage.host.kill();
    let said = stage.files.balm_says(&["stop", "--why", "before it starts"]);
    assert!(said.contains("the next one starts with everything stopped"), "{said}");
    stage.host = stage.files.start();
    stage.cloud.play(&Step::SetDesired { service: address("web"), desired: 4 });
    assert_eq!(stage.changes("web").len(), 1);
    let judged = stage.judged(stage.fire("web", "web"));
    assert_refusal(&judged, CheckName::Stop, "before it starts");
    assert_eq!(stage.changes("web").len(), 1);
    let _ = stage.files.balm_says(&["resume"]);
    wait::until("four tasks", WITHIN, || (stage.cloud.service("web").service.running_count == 4).then_some(()));
    assert_done(&stage, "web", "web");
}

#[track_caller]
fn assert_everything_is_stopped(stage: &Stage, why: &str) {
    let status: Value = serde_json::from_str(&stage.files.balm_says(&["status"])).expect("JSON");
    assert_eq!((&status["stopped"], &status["stops"][0]["why"]), (&true.into(), &why.into()), "{status}");
    assert_refused(stage, "web", CheckName::Stop, "on everything by");
    assert_refused(stage, "web", CheckName::Stop, why);
}

#[test]
fn a_resume_of_what_is_not_stopped_is_refused() {
    let stage = stage();
    let output = stage.files.balm(&["resume", "--policy", "allowed"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("no such stop is in force"), "{said}");
    assert!(!stage.files.balm(&["resume", "--stop", "1"]).status.success());
}
