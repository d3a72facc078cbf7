//! What is the group's: its bounds, its instances, and when it is left alone. The steps themselves are tested where they
//! were first taken, with `scale-ecs-service`.

use balm_sdk::{
    Trigger,
    catalogue::asg::{Instance, Refresh},
    testing::{Scene, group, instance, resized},
};

use super::*;

const FLEET: &str = "arn:aws:autoscaling:eu-central-1:123456789012:autoScalingGroup:*:autoScalingGroupName/fleet";

/// From 2 to 10 instances, 2 out, 1 in, 300 s and 600 s apart.
const SETTINGS: &str = r#"{"minimum": 2, "maximum": 10, "low-alerts": ["LowCpu"]}"#;

fn high() -> Scene {
    Scene::firing("HighCpu").settings(SETTINGS).target(FLEET)
}

fn low() -> Scene {
    Scene::firing("LowCpu").settings(SETTINGS).target(FLEET)
}

fn over() -> Scene {
    Scene::resolved("HighCpu").settings(SETTINGS).target(FLEET).trigger(Trigger::LookAgain)
}

/// Where the one intent goes to, if there is one.
fn to(scene: Scene) -> Option<u64> {
    let decision = scene.decide::<ScaleAsg>();
    assert!(!decision.explanation.is_empty(), "every decision explains itself");
    let [intent] = decision.intents.as_slice() else {
        assert!(decision.intents.is_empty());
        return None;
    };
    assert!(intent.expects.contains_key("desired") && intent.reason.contains("instances"), "{intent:?}");
    serde_json::from_str::<serde_json::Value>(&intent.parameters).unwrap()["desired"].as_u64()
}

#[test]
fn it_adds_a_step_when_the_alert_fires_and_gives_it_back_after_the_alert() {
    let decision = high().group(FLEET, group(4)).decide::<ScaleAsg>();
    assert_eq!(
        (decision.intents[0].action.as_str(), decision.look_again_after),
        ("asg:set-desired-capacity", Some(300))
    );
    assert_eq!(to(high().group(FLEET, group(4))), Some(6));
    let scene = || over().alert(|alert| alert.ends_at = None).past(resized(FLEET, 4, 6, 2000, "verified"));
    assert_eq!(to(scene().group(FLEET, group(6))), Some(5));
    assert_eq!(to(scene().group(FLEET, group(4))), None, "no more than was added");
}

#[test]
fn it_stays_within_its_own_bounds_and_within_the_groups() {
    assert_eq!(to(high().group(FLEET, group(9))), Some(10));
    assert_eq!(to(high().group(FLEET, group(10))), None);
    assert_eq!(to(low().group(FLEET, group(3))), Some(2));
    assert_eq!(to(low().group(FLEET, group(2))), None);
    let bounded = |instances, min, max| Group { min, max, ..group(instances) };
    assert_eq!(to(high().group(FLEET, bounded(4, 0, 5))), Some(5));
    assert_eq!(to(high().group(FLEET, bounded(5, 0, 5))), None);
    assert_eq!(to(low().group(FLEET, bounded(5, 4, 100))), Some(4));
    assert_eq!(to(low().group(FLEET, bounded(4, 4, 100))), None);
    assert_eq!(to(high().group(FLEET, bounded(1, 0, 1))), None, "the group's maximum is below the operator's minimum");
}

#[test]
fn it_waits_for_instances_and_refreshes_that_are_on_their_way() {
    let with = |state: &str| {
        let mut on_its_way = group(4);
        on_its_way.instances[0] = Instance { lifecycle_state: state.into(), ..instance(0) };
        on_its_way
    };
    for state in ["Pending", "Pending:Wait", "Terminating", "Standby"] {
        let decision = high().group(FLEET, with(state)).decide::<ScaleAsg>();
        assert_eq!((decision.intents.len(), decision.look_again_after), (0, Some(15)), "{state}");
    }
    let refresh =
        |status: &str| Refresh { id: "r".into(), status: status.into(), started_at: 0, percentage_complete: 0 };
    let refreshing = |status: &str| Group { refreshes: vec![refresh(status)], ..group(4) };
    assert_eq!(to(high().group(FLEET, refreshing("InProgress"))), None);
    assert_eq!(to(high().group(FLEET, refreshing("Successful"))), Some(6));
    let mut leaving = group(4);
    leaving.instances.push(Instance { lifecycle_state: "Terminating".into(), ..instance(9) });
    assert_eq!(
        to(high().group(FLEET, leaving)),
        Some(6),
        "an instance that goes beyond the desired number holds up nothing"
    );
}

#[test]
fn an_unhealthy_instance_does_not_keep_it_from_adding_more() {
    let mut sick = group(4);
    sick.instances[0].health_status = "Unhealthy".into();
    assert_eq!(to(high().group(FLEET, sick)), Some(6));
}

#[test]
fn a_group_that_is_being_deleted_is_left_alone() {
    let gone = Group { status: "Delete in progress".into(), ..group(4) };
    let decision = high().group(FLEET, gone).decide::<ScaleAsg>();
    assert_eq!((decision.intents.len(), decision.look_again_after), (0, None));
}

#[test]
fn settings_that_make_no_sense_are_refused_with_what_to_do() {
    let refused = |settings: &str| Scene::firing("HighCpu").settings(settings).failure::<ScaleAsg>();
    assert!(refused(r#"{"minimum": 0, "maximum": 4}"#).contains("a group without instances serves nobody"));
    assert!(refused(r#"{"minimum": 5, "maximum": 4}"#).contains("raise maximum"));
    assert!(refused(r#"{"minimum": 1, "maximum": 4, "maxmum": 5}"#).contains("there is no setting \"maxmum\""));
}
