//! Auto Scaling, the whole way: alerts in, groups and their instances changed on the model cloud, verified and recorded.

use std::time::Duration;

use balm_cloud::{
    Lag, Options, Span,
    answer::Health,
    fault::{Fault, Matching, Scripted, When},
    log::Applied,
    request::OperationName,
    scenario::Step,
};
use balm_core::record::{CheckName, EpisodeEnd, Fact, IntentEnd, Settled, Verdict};
use balm_tests::{
    PROPOSE_ANYTHING, REPLACE_UNHEALTHY_INSTANCE, SCALE_ASG,
    harness::{
        Dir,
        cloud::{ACCOUNT, Cloud, REGION, address, arn, group_address, group_arn},
        grafana::{Alert, body},
        host::{Files, Host},
        wait,
    },
};

/// How long the host may take to do something: it acts within seconds, on a machine that others use too.
const WITHIN: Duration = Duration::from_secs(120);

/// What people are told of the end of an alert.
const ENDED: &str = "2026-11-01T10:00:00Z";

/// A cloud with a group `fleet` of four instances.
fn cloud(cooldown_ms: u64) -> Cloud {
    let exactly = Span::exactly;
    let lag = Lag { start_ms: exactly(200), stop_ms: exactly(100), scheduler_ms: exactly(20) };
    let cloud = Cloud::start(1, Options { lag, ..Options::default() }, None);
    cloud.create_group("fleet", 4, cooldown_ms);
    cloud
}

/// Files of a host with these policies, as TOML, whose plugin is this component, and these bounds.
fn files(name: &str, cloud: &Cloud, plugin: (&str, &str), policies: &str, bounds: &str) -> Files {
    let files = Files::new(Dir::new(name), &cloud.endpoint());
    files.edit("balm.toml", |text| {
        let (host, _) = text.split_once("[[policy]]").expect("a policy");
        format!("{host}{policies}")
    });
    files.write("guardrails/web.cedar", RULES);
    files.edit("guardrails/limits.toml", |text| {
        let (limits, _) = text.split_once("[[bound]]").expect("a bound");
        format!("{limits}{bounds}\n[opposes]\nwindow = \"0s\"\n")
    });
    std::fs::copy(plugin.1, files.path(&format!("plugins/{}.wasm", plugin.0))).expect("the plugin can be copied");
    files
}

const RULES: &str = r#"
permit(principal, action in [Action::"scale", Action::"restart"], resource in Account::"123456789012");
"#;

/// A policy that acts on these targets when this alert fires.
fn policy(name: &str, plugin: &str, alert: &str, targets: &[String], settings: &str) -> String {
    let targets: Vec<String> = targets.iter().map(|target| format!("\"{target}\"")).collect();
    format!(
        "[[policy]]\nname = \"{name}\"\nplugin = \"{plugin}\"\nmode = \"enforce\"\ntargets = [{}]\n\
         match = {{ source = \"grafana\", labels = {{ alertname = \"{alert}\" }} }}\nsettings = {settings}\n\n",
        targets.join(", ")
    )
}

/// An alert of this name fires; each name has a fingerprint of its own.
fn fire(host: &Host, name: &str) -> Alert {
    let fingerprint = name.bytes().fold(0_u64, |sum, byte| sum.rotate_left(5) ^ u64::from(byte));
    let alert = Alert::firing(name, "fleet", fingerprint);
    host.accept(&body(std::slice::from_ref(&alert)));
    alert
}

/// Ends of intents so far, with their reasons.
fn ends(files: &Files) -> Vec<(IntentEnd, String)> {
    let end = |fact| if let Fact::IntentEnded(ended) = fact { Some((ended.how, ended.why)) } else { None };
    files.facts().into_iter().filter_map(end).collect()
}

/// Waits for so many ends of intents; all must be verified.
fn wait_for_verified(files: &Files, host: &Host, count: usize) {
    let ends = wait::until("intents to end", WITHIN, || Some(ends(files)).filter(|ends| ends.len() >= count));
    assert!(ends.iter().all(|(how, _)| *how == IntentEnd::Verified), "{ends:?}\n{}", host.log());
}

/// Calls of this operation that changed the cloud, by their callers' tokens.
fn applied(cloud: &Cloud, operation: OperationName) -> Vec<String> {
    cloud.with(|cloud, _| {
        let made = |entry: &&balm_cloud::log::Entry| {
            entry.request.operation.name() == operation && matches!(entry.applied, Applied::At(_))
        };
        cloud.log().entries().filter(made).map(|entry| entry.request.caller.clone()).collect()
    })
}

fn counts(cloud: &Cloud) -> (u32, usize) {
    let group = cloud.group("fleet").group;
    let serves = |instance: &&balm_cloud::answer::asg::Instance| {
        (instance.lifecycle_state, instance.health_status) == ("InService", "Healthy")
    };
    (group.desired_capacity, group.instances.iter().filter(serves).count())
}

#[test]
fn an_alert_scales_a_group_out_and_back_in_and_waits_while_the_group_cools_down() {
    // Longer than the way from the alert to the call takes, also on a machine that others use too.
    let cloud = cloud(5_000);
    let settings = "{ minimum = 2, maximum = 12, out-step = 2, in-step = 2, out-pause = 60, in-pause = 1 }";
    let policies = policy("fleet-load", "scale-asg", "HighCpu", &[group_arn("fleet")], settings);
    let bounds = "[[bound]]\nminimum = 2\nmaximum = 12\nstep = 4\n";
    let files = files("asg-scale", &cloud, ("scale-asg", SCALE_ASG), &policies, bounds);
    let host = files.start();
    cloud.play(&Step::SetCapacity { group: group_address("fleet"), desired: 5 });
    wait::until("the fifth instance", WITHIN, || (counts(&cloud) == (5, 5)).then_some(()));
    let alert = fire(&host, "HighCpu");
    wait_for_verified(&files, &host, 1);
    assert_eq!(counts(&cloud), (7, 7));
    host.accept(&body(&[alert.resolved(ENDED)]));
    wait_for_verified(&files, &host, 2);
    assert_eq!(counts(&cloud).0, 5);
    let over = |fact: Fact| matches!(fact, Fact::EpisodeEnded(ended) if ended.how == EpisodeEnd::Resolved);
    wait::until("the end of the episode", WITHIN, || files.facts().into_iter().any(over).then_some(()));
    let calls = applied(&cloud, OperationName::SetDesiredCapacity);
    assert!(
        calls.len() == 2 && calls[0] != calls[1] && calls.iter().all(|token| token.starts_with("balm-")),
        "{calls:?}"
    );
    let cooled = |fact: &Fact| {
        let Fact::AttemptEnded(ended) = fact else { return false };
        format!("{:?}", ended.result).contains("ScalingActivityInProgress")
    };
    assert!(files.facts().iter().any(cooled), "the group never cooled down, or was not asked to honour it");
    assert!(
        files
            .balm_says(&["audit", "tail", "--no-follow", "--from", "1", "--most", "10000"])
            .contains("7 desired (2 to 12), 7 in service")
    );
    host.stop();
}

#[test]
fn an_unhealthy_instance_and_an_unhealthy_task_are_replaced_also_when_the_answer_is_lost() {
    let cloud = cloud(0);
    cloud.create_service("web", 4);
    let targets = [group_arn("fleet"), arn("web")];
    let policies = policy("health", "replace-unhealthy-instance", "Unhealthy", &targets, "{ pause = 1 }");
    let plugin = ("replace-unhealthy-instance", REPLACE_UNHEALTHY_INSTANCE);
    let files = files("asg-replace", &cloud, plugin, &policies, "[[bound]]\nhealthy-percent = 75\n");
    let host = files.start();
    let sicken = Step::SetInstanceHealth { group: group_address("fleet"), instance: None, healthy: false };
    let instance = cloud.play_on(&sicken).expect("an instance");
    let sicken = Step::SetHealth { service: address("web"), task: None, health: Health::Unhealthy };
    let task = cloud.play_on(&sicken).expect("a task");
    let terminate = OperationName::TerminateInstanceInAutoScalingGroup;
    let matching = Matching { operation: Some(terminate), ..Matching::default() };
    let fault = Fault::Closed { when: When::After };
    cloud.with(|cloud, _| cloud.plan().script(Scripted { matching, nth: 1, times: 1, fault })).expect("planned");
    let alert = fire(&host, "Unhealthy");
    wait_for_verified(&files, &host, 2);
    host.accept(&body(&[alert.resolved(ENDED)]));
    let group = cloud.group("fleet").group;
    assert_eq!(counts(&cloud), (4, 4));
    assert!(group.instances.iter().all(|found| found.instance_id != instance), "{instance} is still there");
    let tasks = cloud.service("web").tasks;
    let stopped = tasks.iter().find(|found| found.id() == task).expect("it is remembered");
    assert_eq!(stopped.last_status, "STOPPED");
    assert!(stopped.stopped_reason.as_ref().is_some_and(|reason| reason.contains("balm-")), "{stopped:?}");
    assert_eq!(applied(&cloud, terminate).len(), 1, "it was terminated once");
    let seen = |fact: &Fact| matches!(fact, Fact::AttemptSettled(settled) if settled.settled == Settled::Seen);
    assert!(files.facts().iter().any(seen), "the lost answer was not looked for");
    host.stop();
}

#[test]
fn a_group_is_refreshed_and_nothing_is_taken_away_below_the_healthy_minimum() {
    let cloud = cloud(0);
    let fleet = [group_arn("fleet")];
    let before = cloud.group("fleet").group.instances;
    let healthy = before.last().expect("an instance").instance_id.clone();
    let terminate = format!(
        "{{ intents = [{{ action = \"asg:terminate-instance\", parameters = {{ instance = \"{healthy}\" }} }}] }}"
    );
    let refresh = |percent| {
        format!(
            "{{ intents = [{{ action = \"asg:start-instance-refresh\", parameters = {{ min-healthy-percent = {percent} }} }}] }}"
        )
    };
    let policies = [
        policy("kill", "propose-anything", "Kill", &fleet, &terminate),
        policy("refresh-at-once", "propose-anything", "RefreshAtOnce", &fleet, &refresh(50)),
        policy("refresh", "propose-anything", "Refresh", &fleet, &refresh(75)),
    ];
    let plugin = ("propose-anything", PROPOSE_ANYTHING);
    let files = files("asg-refresh", &cloud, plugin, &policies.concat(), "[[bound]]\nhealthy-percent = 75\n");
    let host = files.start();
    let health = |healthy| Step::SetInstanceHealth { group: group_address("fleet"), instance: None, healthy };
    cloud.play(&health(false));
    fire(&host, "Kill");
    wait_for_refusals(&files, 1);
    cloud.play(&health(true));
    fire(&host, "RefreshAtOnce");
    wait_for_refusals(&files, 2);
    assert_eq!(applied(&cloud, OperationName::TerminateInstanceInAutoScalingGroup), Vec::<String>::new());
    assert!(cloud.group("fleet").refreshes.is_empty());
    fire(&host, "Refresh");
    wait_for_verified(&files, &host, 1);
    let after = cloud.group("fleet");
    assert_eq!((counts(&cloud), after.refreshes.len(), after.refreshes[0].status), ((4, 4), 1, "Successful"));
    let stayed = |id: &String| before.iter().any(|instance| instance.instance_id == *id);
    assert!(
        !after.group.instances.iter().any(|instance| stayed(&instance.instance_id)),
        "an instance was not replaced"
    );
    assert_eq!(applied(&cloud, OperationName::StartInstanceRefresh).len(), 1);
    host.stop();
}

/// Waits for so many refusals; all must be for what is left healthy.
fn wait_for_refusals(files: &Files, count: usize) {
    let verdicts = wait::until("refusals", WITHIN, || {
        let verdict = |fact| if let Fact::IntentJudged(judged) = fact { Some(judged.verdict) } else { None };
        let verdicts: Vec<Verdict> = files.facts().into_iter().filter_map(verdict).collect();
        (verdicts.len() >= count).then_some(verdicts)
    });
    assert!(verdicts.iter().all(|verdict| *verdict == Verdict::Refused(CheckName::Bounds)), "{verdicts:?}");
}

#[test]
fn a_label_selects_a_group_among_those_that_the_operator_allows() {
    let cloud = cloud(0);
    cloud.create_group("other", 4, 0);
    let policies = format!(
        "[[policy]]\nname = \"fleet-load\"\nplugin = \"scale-asg\"\nmode = \"enforce\"\n\
         match = {{ source = \"grafana\", labels = {{ alertname = \"HighCpu\" }} }}\n\
         settings = {{ minimum = 2, maximum = 12 }}\n\
         target-from-label = {{ kind = \"asg-group\", account = \"{ACCOUNT}\", region = \"{REGION}\", \
         label = \"service\", allowed = [\"fleet\"] }}\n"
    );
    let bounds = "[[bound]]\nminimum = 2\n";
    let files = files("asg-label", &cloud, ("scale-asg", SCALE_ASG), &policies, bounds);
    let host = files.start();
    host.accept(&body(&[Alert::firing("HighCpu", "other", 1), Alert::firing("HighCpu", "fleet", 2)]));
    wait_for_verified(&files, &host, 1);
    assert_eq!((counts(&cloud), cloud.group("other").group.desired_capacity), ((6, 6), 4));
    host.stop();
}
