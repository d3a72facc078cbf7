//! The policy, on both sides of every boundary.

use balm_sdk::{
    Trigger,
    testing::{NOW, Scene, scaled, service},
};

use super::*;

const WEB: &str = "arn:aws:ecs:eu-central-1:123456789012:service/prod/web";
const API: &str = "arn:aws:ecs:eu-central-1:123456789012:service/prod/api";

/// From 2 to 10 tasks, 2 out, 1 in, 300 s and 600 s apart.
const SETTINGS: &str = r#"{"minimum": 2, "maximum": 10, "low-alerts": ["LowCpu"]}"#;

fn high() -> Scene {
    Scene::firing("HighCpu").settings(SETTINGS).target(WEB)
}

fn low() -> Scene {
    Scene::firing("LowCpu").settings(SETTINGS).target(WEB)
}

fn over() -> Scene {
    Scene::resolved("HighCpu").settings(SETTINGS).target(WEB)
}

/// Where the one intent scales to, if there is one.
fn to(decision: &Decision) -> Option<u64> {
    assert!(!decision.explanation.is_empty(), "every decision explains itself");
    let [intent] = decision.intents.as_slice() else {
        assert!(decision.intents.is_empty());
        return None;
    };
    assert!(intent.expects.contains_key("desired") && !intent.reason.is_empty());
    serde_json::from_str::<serde_json::Value>(&intent.parameters).unwrap()["desired"].as_u64()
}

#[test]
fn it_adds_a_step_when_the_alert_fires_and_looks_again() {
    let decision = high().service(WEB, service(4)).decide::<ScaleEcsService>();
    assert_eq!((to(&decision), decision.look_again_after), (Some(6), Some(300)));
    assert_eq!(decision.intents[0].expects["desired"], 4);
}

#[test]
fn it_adds_again_while_the_alert_keeps_firing_and_not_before_the_pause_is_over() {
    let after = |seconds| {
        let scene = high().trigger(Trigger::LookAgain).past(scaled(WEB, 4, 6, seconds, "verified"));
        scene.service(WEB, service(6)).decide::<ScaleEcsService>()
    };
    assert_eq!((to(&after(300)), after(300).look_again_after), (Some(8), Some(300)));
    assert_eq!((to(&after(299)), after(299).look_again_after), (None, Some(1)));
}

#[test]
fn it_stops_at_the_maximum_and_does_not_take_back_what_is_above_it() {
    assert_eq!(to(&high().service(WEB, service(9)).decide::<ScaleEcsService>()), Some(10));
    for desired in [10, 11, 50] {
        let decision = high().service(WEB, service(desired)).decide::<ScaleEcsService>();
        assert_eq!((to(&decision), decision.look_again_after), (None, Some(300)), "{desired}");
    }
}

#[test]
fn it_waits_for_what_is_still_on_its_way() {
    let starting = Service { running: 5, ..service(6) };
    let pending = Service { pending: 1, ..service(6) };
    let rolling = Service { deployments: [service(6).deployments, service(6).deployments].concat(), ..service(6) };
    for on_its_way in [starting, pending, rolling] {
        let decision = high().service(WEB, on_its_way).decide::<ScaleEcsService>();
        assert_eq!((to(&decision), decision.look_again_after), (None, Some(15)));
    }
    for state in ["waiting", "attempting", "unknown", "verifying"] {
        let scene = high().past(scaled(WEB, 2, 4, 9999, state)).service(WEB, service(4));
        let decision = scene.decide::<ScaleEcsService>();
        assert_eq!((to(&decision), decision.look_again_after), (None, Some(15)), "{state}");
    }
}

#[test]
fn after_the_alert_it_waits_for_what_is_under_way_before_it_counts_what_was_added() {
    // The reading may be older than the change: it still shows what was there before.
    let scene = over().past(scaled(WEB, 4, 6, 1, "verifying")).service(WEB, service(4));
    let decision = scene.decide::<ScaleEcsService>();
    assert_eq!((to(&decision), decision.look_again_after), (None, Some(15)));
}

#[test]
fn what_changed_nothing_does_not_pace_it_and_what_was_only_observed_does() {
    let after = |state| {
        let scene = high().trigger(Trigger::LookAgain).past(scaled(WEB, 4, 6, 10, state)).service(WEB, service(4));
        to(&scene.decide::<ScaleEcsService>())
    };
    for state in ["refused", "failed", "expired", "denied", "void", "undone"] {
        assert_eq!(after(state), Some(6), "{state}");
    }
    for state in ["observed", "verified", "unverified"] {
        assert_eq!(after(state), None, "{state}");
    }
}

#[test]
fn what_could_not_be_verified_is_not_repeated_at_once() {
    let scene = high().trigger(Trigger::Unverified).past(scaled(WEB, 4, 6, 60, "unverified")).service(WEB, service(6));
    let decision = scene.decide::<ScaleEcsService>();
    assert_eq!((to(&decision), decision.look_again_after), (None, Some(240)));
}

#[test]
fn after_the_alert_it_gives_back_what_was_added_slowly_and_no_more() {
    let step = |desired, resolved_ago: u64| {
        let scene = over().trigger(Trigger::LookAgain).alert(|alert| alert.ends_at = Some(NOW - resolved_ago * 1000));
        let scene = scene.past(scaled(WEB, 4, 6, 2000, "verified")).past(scaled(WEB, 6, 8, 1700, "verified"));
        scene.service(WEB, service(desired)).decide::<ScaleEcsService>()
    };
    assert_eq!((to(&step(8, 599)), step(8, 599).look_again_after), (None, Some(1)));
    assert_eq!((to(&step(8, 600)), step(8, 600).look_again_after), (Some(7), Some(600)));
    assert_eq!(to(&step(5, 600)), Some(4));
    for desired in [4, 3, 1] {
        let done = step(desired, 600);
        assert_eq!((to(&done), done.look_again_after), (None, None), "{desired}");
    }
}

#[test]
fn the_steps_in_are_a_pause_apart() {
    let after = |seconds| {
        let scene = over().trigger(Trigger::LookAgain).alert(|alert| alert.ends_at = Some(NOW - 5_000_000));
        let scene = scene.past(scaled(WEB, 4, 6, 6000, "verified")).past(scaled(WEB, 6, 5, seconds, "verified"));
        scene.service(WEB, service(5)).decide::<ScaleEcsService>()
    };
    assert_eq!(to(&after(600)), Some(4));
    assert_eq!((to(&after(599)), after(599).look_again_after), (None, Some(1)));
}

#[test]
fn without_a_time_of_the_end_it_waits_one_pause_from_being_told() {
    for ends_at in [None, Some(NOW + 1)] {
        let scene = |trigger| {
            let scene = over().trigger(trigger).alert(|alert| alert.ends_at = ends_at);
            scene.past(scaled(WEB, 4, 6, 2000, "verified")).service(WEB, service(6)).decide::<ScaleEcsService>()
        };
        let told = scene(Trigger::Resolved);
        assert_eq!((to(&told), told.look_again_after), (None, Some(600)));
        assert_eq!(to(&scene(Trigger::LookAgain)), Some(5));
    }
}

#[test]
fn it_gives_back_nothing_that_it_did_not_add() {
    let plain = over().service(WEB, service(8)).decide::<ScaleEcsService>();
    assert_eq!((to(&plain), plain.look_again_after), (None, None));
    for state in ["refused", "failed", "undone"] {
        let scene = over().past(scaled(WEB, 4, 6, 2000, state)).service(WEB, service(8));
        assert_eq!(to(&scene.decide::<ScaleEcsService>()), None, "{state}");
    }
    let minimum = over().trigger(Trigger::LookAgain).alert(|alert| alert.ends_at = None);
    let minimum = minimum.past(scaled(WEB, 1, 3, 2000, "verified")).service(WEB, service(2));
    assert_eq!(to(&minimum.decide::<ScaleEcsService>()), None, "the minimum is above what was there");
}

#[test]
fn what_another_episode_added_since_is_left_to_that_one() {
    let step = |back: u32, desired: u32| {
        let scene = over().trigger(Trigger::LookAgain).alert(|alert| alert.ends_at = None);
        let scene = scene.past(scaled(WEB, 4, 6, 3000, "verified")).past(scaled(WEB, 6, back, 2000, "verified"));
        scene.service(WEB, service(desired)).decide::<ScaleEcsService>()
    };
    let done = step(4, 6);
    assert_eq!((to(&done), done.look_again_after), (None, None), "both were given back; these are somebody else's");
    assert_eq!(to(&step(5, 7)), Some(6), "one is still to be given back");
    let settings = r#"{"minimum": 2, "maximum": 10, "in-step": 3}"#;
    let scene = over().settings(settings).trigger(Trigger::LookAgain).alert(|alert| alert.ends_at = None);
    let scene = scene.past(scaled(WEB, 4, 6, 3000, "verified")).service(WEB, service(9));
    assert_eq!(to(&scene.decide::<ScaleEcsService>()), Some(7), "no more than was added");
}

#[test]
fn a_low_alert_takes_a_step_in_down_to_the_minimum() {
    let decision = low().service(WEB, service(4)).decide::<ScaleEcsService>();
    assert_eq!((to(&decision), decision.look_again_after), (Some(3), Some(600)));
    for desired in [2, 1] {
        let decision = low().service(WEB, service(desired)).decide::<ScaleEcsService>();
        assert_eq!((to(&decision), decision.look_again_after), (None, Some(600)), "{desired}");
    }
    let over = Scene::resolved("LowCpu").settings(SETTINGS).target(WEB).service(WEB, service(4));
    let over = over.decide::<ScaleEcsService>();
    assert_eq!((to(&over), over.look_again_after), (None, None));
}

#[test]
fn a_service_that_is_not_active_is_left_alone() {
    for status in ["DRAINING", "INACTIVE"] {
        let gone = Service { status: status.into(), ..service(4) };
        let decision = high().service(WEB, gone).decide::<ScaleEcsService>();
        assert_eq!((to(&decision), decision.look_again_after), (None, None), "{status}");
    }
}

#[test]
fn several_targets_are_asked_for_in_one_round_and_planned_one_by_one() {
    let scene = high().target(API).service(WEB, service(4)).service(API, service(10));
    let decision = scene.decide::<ScaleEcsService>();
    assert_eq!(to(&decision), Some(6));
    assert!(decision.explanation.contains("web") && decision.explanation.contains("api"), "{}", decision.explanation);
}

#[test]
fn a_service_that_cannot_be_read_is_a_failure_and_not_a_guess() {
    assert!(high().failure::<ScaleEcsService>().contains("could not be read"));
}

#[test]
fn settings_that_make_no_sense_are_refused_with_what_to_do() {
    let refused = |settings: &str| Scene::firing("HighCpu").settings(settings).failure::<ScaleEcsService>();
    assert!(refused(r#"{"minimum": 0, "maximum": 4}"#).contains("set it to 1 at least"));
    assert!(refused(r#"{"minimum": 5, "maximum": 4}"#).contains("raise maximum"));
    assert!(refused(r#"{"minimum": 1}"#).contains("maximum"));
    assert!(refused(r#"{"minimum": 1, "maximum": 4, "maxmum": 5}"#).contains("there is no setting \"maxmum\""));
    for key in ["out-step", "in-step", "out-pause", "in-pause"] {
        assert!(refused(&format!(r#"{{"minimum": 1, "maximum": 4, "{key}": 0}}"#)).contains(key));
    }
}

#[test]
fn whatever_is_there_it_never_proposes_what_is_out_of_bounds_or_nothing_new() {
    for minimum in 1..4 {
        for maximum in minimum..6 {
            for desired in 0..8 {
                for step in 1..4 {
                    for scene in [Scene::firing("HighCpu"), Scene::firing("LowCpu"), Scene::resolved("HighCpu")] {
                        let settings = format!(
                            r#"{{"minimum":{minimum},"maximum":{maximum},"out-step":{step},"in-step":{step},"low-alerts":["LowCpu"]}}"#
                        );
                        let scene = scene.settings(settings).target(WEB).trigger(Trigger::LookAgain);
                        let scene = scene.alert(|alert| alert.ends_at = None).past(scaled(WEB, 1, 3, 9999, "verified"));
                        let decision = scene.service(WEB, service(desired)).decide::<ScaleEcsService>();
                        if let Some(to) = to(&decision) {
                            let to = u32::try_from(to).unwrap();
                            let back_towards_the_maximum = to < desired && desired > maximum;
                            assert!(to >= minimum && (to <= maximum || back_towards_the_maximum), "{decision:?}");
                            assert_ne!(to, desired, "{decision:?}");
                        }
                    }
                }
            }
        }
    }
}
