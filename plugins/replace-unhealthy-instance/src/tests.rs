//! The policy, on both sides of every boundary, for groups and for services.

use balm_sdk::{
    Trigger,
    catalogue::asg::Refresh,
    testing::{NOW, Scene, group, instance, service, task},
};

use super::*;

const FLEET: &str = "arn:aws:autoscaling:eu-central-1:123456789012:autoScalingGroup:*:autoScalingGroupName/fleet";
const WEB: &str = "arn:aws:ecs:eu-central-1:123456789012:service/prod/web";

fn scene() -> Scene {
    Scene::firing("Unhealthy").target(FLEET)
}

/// A group of which the first so many are unhealthy.
fn sick(unhealthy: usize, of: u32) -> Group {
    let mut group = group(of);
    group.instances.iter_mut().take(unhealthy).for_each(|instance| instance.health_status = "Unhealthy".into());
    group
}

/// Tasks of which the first so many are unhealthy.
fn tasks(unhealthy: usize, of: u32) -> Vec<Task> {
    let mut tasks: Vec<Task> = (0..of).map(|number| task(&format!("{number:032x}"))).collect();
    tasks.iter_mut().take(unhealthy).for_each(|task| task.health = "UNHEALTHY".into());
    tasks
}

/// An intent of the past that replaced an instance.
fn replaced(seconds_ago: u64, state: &str) -> PastIntent {
    PastIntent {
        action: "asg:terminate-instance".into(),
        target: Target::new(FLEET),
        at: NOW - seconds_ago * 1000,
        state: state.into(),
        before: "{}".into(),
        after: "{}".into(),
    }
}

/// What it takes away, if anything, and when it looks again.
fn taken(scene: Scene) -> (Option<String>, Option<u32>) {
    let decision = scene.decide::<ReplaceUnhealthyInstance>();
    assert!(!decision.explanation.is_empty(), "every decision explains itself");
    assert!(decision.intents.len() <= 1);
    let taken = decision.intents.first().map(|intent| {
        let parameters: serde_json::Value = serde_json::from_str(&intent.parameters).unwrap();
        let id = parameters.as_object().unwrap().values().next().unwrap().as_str().unwrap().to_owned();
        assert!(intent.expects.contains_key(&format!("health:{id}")) && !intent.reason.is_empty());
        id
    });
    (taken, decision.look_again_after)
}

#[test]
fn an_unhealthy_instance_is_terminated_provided_it_still_is_unhealthy() {
    let decision = scene().group(FLEET, sick(1, 4)).decide::<ReplaceUnhealthyInstance>();
    let [intent] = decision.intents.as_slice() else { panic!("one intent: {decision:?}") };
    let id = instance(0).id;
    assert_eq!(
        (intent.action.as_str(), &intent.parameters),
        ("asg:terminate-instance", &format!(r#"{{"instance":"{id}"}}"#))
    );
    assert_eq!(intent.expects[&format!("health:{id}")], "Unhealthy");
    assert_eq!(decision.look_again_after, Some(15));
}

#[test]
fn an_unhealthy_task_is_stopped_provided_it_still_is_unhealthy() {
    let scene = Scene::firing("Unhealthy").target(WEB).service(WEB, service(4)).tasks(WEB, tasks(1, 4));
    let decision = scene.decide::<ReplaceUnhealthyInstance>();
    let [intent] = decision.intents.as_slice() else { panic!("one intent: {decision:?}") };
    let id = format!("{:032x}", 0);
    assert_eq!((intent.action.as_str(), &intent.parameters), ("ecs:stop-task", &format!(r#"{{"task":"{id}"}}"#)));
    assert_eq!(intent.expects[&format!("health:{id}")], "UNHEALTHY");
}

#[test]
fn groups_and_services_are_asked_for_in_one_round_and_replaced_side_by_side() {
    let scene = scene().target(WEB).group(FLEET, sick(1, 4)).service(WEB, service(4)).tasks(WEB, tasks(1, 4));
    let decision = scene.decide::<ReplaceUnhealthyInstance>();
    let actions: Vec<&str> = decision.intents.iter().map(|intent| intent.action.as_str()).collect();
    assert_eq!(actions, ["asg:terminate-instance", "ecs:stop-task"]);
}

#[test]
fn one_is_taken_at_a_time_and_the_next_only_when_its_replacement_serves() {
    assert_eq!(taken(scene().group(FLEET, sick(2, 4))).0, Some(instance(0).id));
    for state in ["waiting", "attempting", "unknown", "verifying"] {
        let scene = scene().past(replaced(9999, state)).group(FLEET, sick(1, 4));
        assert_eq!(taken(scene), (None, Some(15)), "{state}");
    }
    for state in ["Pending", "Pending:Wait", "Terminating", "Terminating:Wait", "Standby"] {
        let mut on_its_way = sick(1, 4);
        on_its_way.instances[3] = Instance { lifecycle_state: state.into(), ..instance(3) };
        assert_eq!(taken(scene().group(FLEET, on_its_way)), (None, Some(15)), "{state}");
    }
    let mut leaving = sick(1, 4);
    leaving.instances.push(Instance { lifecycle_state: "Terminating".into(), ..instance(9) });
    assert_eq!(taken(scene().group(FLEET, leaving)), (None, Some(15)));
    let refresh = Refresh { id: "r".into(), status: "InProgress".into(), started_at: 0, percentage_complete: 0 };
    let refreshing = Group { refreshes: vec![refresh], ..sick(1, 4) };
    assert_eq!(taken(scene().group(FLEET, refreshing)), (None, Some(15)));
    for on_its_way in [Service { running: 3, ..service(4) }, Service { pending: 1, ..service(4) }] {
        let scene = Scene::firing("Unhealthy").target(WEB).service(WEB, on_its_way).tasks(WEB, tasks(1, 4));
        assert_eq!(taken(scene), (None, Some(15)));
    }
}

#[test]
fn none_is_taken_where_too_few_are_healthy() {
    let percent = |percent: u32| scene().settings(format!(r#"{{"healthy-percent": {percent}}}"#));
    assert!(taken(percent(75).group(FLEET, sick(1, 4))).0.is_some());
    assert_eq!(taken(percent(76).group(FLEET, sick(1, 4))), (None, Some(60)));
    assert!(taken(scene().group(FLEET, sick(2, 4))).0.is_some(), "a half is enough where the operator does not say");
    assert_eq!(taken(scene().group(FLEET, sick(3, 4))).0, None);
    assert_eq!(taken(scene().group(FLEET, sick(1, 1))).0, None, "the last one is left");
    let web =
        |unhealthy| Scene::firing("Unhealthy").target(WEB).service(WEB, service(4)).tasks(WEB, tasks(unhealthy, 4));
    assert!(taken(web(2)).0.is_some());
    assert_eq!(taken(web(3)).0, None);
}

#[test]
fn after_so_many_replacements_it_is_for_a_person() {
    let after = |replacements: u64, state: &str| {
        let scene = (1..=replacements).rev().fold(scene(), |scene, number| scene.past(replaced(number * 100, state)));
        taken(scene.trigger(Trigger::LookAgain).group(FLEET, sick(1, 4)))
    };
    assert!(after(2, "verified").0.is_some());
    assert_eq!(after(3, "verified"), (None, None));
    assert_eq!(after(3, "unverified"), (None, None));
    assert!(after(3, "refused").0.is_some(), "what was refused replaced nothing");
}

#[test]
fn two_replacements_are_a_pause_apart() {
    let after = |seconds| taken(scene().past(replaced(seconds, "verified")).group(FLEET, sick(1, 4)));
    assert_eq!(after(59), (None, Some(1)));
    assert!(after(60).0.is_some());
}

#[test]
fn what_is_protected_healthy_or_not_in_service_stays() {
    assert_eq!(taken(scene().group(FLEET, group(4))), (None, Some(60)));
    let mut protected = sick(2, 4);
    protected.instances[0].protected = true;
    assert_eq!(taken(scene().group(FLEET, protected)).0, Some(instance(1).id));
    let mut standby = group(4);
    let leaving = Instance { lifecycle_state: "Standby".into(), health_status: "Unhealthy".into(), ..instance(9) };
    standby.instances.push(leaving);
    assert_eq!(taken(scene().group(FLEET, standby)).0, None);
    let web = |change: fn(&mut Task)| {
        let mut tasks = tasks(1, 5);
        change(&mut tasks[0]);
        taken(Scene::firing("Unhealthy").target(WEB).service(WEB, service(4)).tasks(WEB, tasks)).0
    };
    assert!(web(|_| ()).is_some());
    assert_eq!(web(|task| task.desired_status = "STOPPED".into()), None);
    assert_eq!(web(|task| task.last_status = "STOPPED".into()), None);
    assert_eq!(web(|task| task.health = "UNKNOWN".into()), None);
}

#[test]
fn what_ends_or_has_resolved_is_left_alone() {
    let gone = Group { status: "Delete in progress".into(), ..sick(1, 4) };
    assert_eq!(taken(scene().group(FLEET, gone)), (None, None));
    let gone = Service { status: "DRAINING".into(), ..service(4) };
    assert_eq!(taken(Scene::firing("Unhealthy").target(WEB).service(WEB, gone).tasks(WEB, tasks(1, 4))), (None, None));
    assert_eq!(taken(Scene::resolved("Unhealthy").target(FLEET)), (None, None));
}

#[test]
fn what_cannot_be_read_or_is_of_no_kind_that_it_knows_is_a_failure_and_not_a_guess() {
    assert!(scene().failure::<ReplaceUnhealthyInstance>().contains("could not be read"));
    let other = Scene::firing("Unhealthy").target("arn:aws:rds:eu-central-1:123456789012:db:orders");
    assert!(other.failure::<ReplaceUnhealthyInstance>().contains("none of its targets"));
}

#[test]
fn settings_that_make_no_sense_are_refused_with_what_to_do() {
    let refused = |settings: &str| scene().settings(settings).failure::<ReplaceUnhealthyInstance>();
    assert!(refused(r#"{"healthy-percent": 0}"#).contains("from 1 to 100"));
    assert!(refused(r#"{"healthy-percent": 101}"#).contains("from 1 to 100"));
    assert!(refused(r#"{"most": 0}"#).contains("from 1 to 15"));
    assert!(refused(r#"{"most": 16}"#).contains("from 1 to 15"));
    assert!(refused(r#"{"pause": 0}"#).contains("at least"));
    assert!(refused(r#"{"healthy": 50}"#).contains("there is no setting \"healthy\""));
}
