//! The life of groups and instances, and Auto Scaling's operations and their errors, in virtual time.

use std::collections::BTreeSet;

use crate::{
    Cloud, GroupSight, Launching, Options, Outcome,
    answer::{Answer, ErrorCode, asg},
    fault::{Fault, Matching, Scripted, When},
    fixture::{ACCOUNT, REGION, RUNS_AFTER_MS, START_MS, exact_lag, request},
    log::Applied,
    request::{
        DescribeAutoScalingGroups, DescribeInstanceRefreshes, Operation, OperationName, SetDesiredCapacity,
        StartInstanceRefresh, TerminateInstanceInAutoScalingGroup,
    },
    scenario::{GroupAddress, NewGroup, NotPlayed, Step},
};

/// From a call until an instance is gone: its stop, for which the group need not look.
const GONE_AFTER_MS: u64 = 400;

struct Bench {
    cloud: Cloud,
    now_ms: u64,
}

fn address() -> GroupAddress {
    GroupAddress { account: ACCOUNT.into(), region: REGION.into(), group: "fleet".into() }
}

fn new_group() -> NewGroup {
    NewGroup { address: address(), desired: 4, min: 2, max: 8, ..NewGroup::default() }
}

fn set(desired: i64) -> Operation {
    Operation::SetDesiredCapacity(SetDesiredCapacity {
        auto_scaling_group_name: "fleet".into(),
        desired_capacity: desired,
        honor_cooldown: true,
    })
}

fn terminate(instance: &str, decrement: bool) -> Operation {
    Operation::TerminateInstanceInAutoScalingGroup(TerminateInstanceInAutoScalingGroup {
        instance_id: instance.into(),
        should_decrement_desired_capacity: decrement,
    })
}

fn refresh(percent: Option<i64>) -> Operation {
    Operation::StartInstanceRefresh(StartInstanceRefresh {
        auto_scaling_group_name: "fleet".into(),
        min_healthy_percentage: percent,
    })
}

impl Bench {
    /// Group `fleet` of four instances, 2 to 8.
    fn new() -> Self {
        Self::with(new_group())
    }

    fn with(new: NewGroup) -> Self {
        let mut bench =
            Self { cloud: Cloud::new(1, Options { lag: exact_lag(), ..Options::default() }), now_ms: START_MS };
        bench.play(&Step::CreateGroup(new));
        bench
    }

    fn play(&mut self, step: &Step) -> Option<String> {
        self.cloud.play(self.now_ms, step).expect("a step that can be")
    }

    fn refused(&mut self, step: &Step) -> NotPlayed {
        self.cloud.play(self.now_ms, step).expect_err("a step that cannot be")
    }

    fn sicken(&mut self) -> String {
        self.play(&Step::SetInstanceHealth { group: address(), instance: None, healthy: false }).expect("an instance")
    }

    fn answer(&mut self, operation: Operation) -> Answer {
        match self.cloud.call(self.now_ms, &request(operation)).outcome {
            Outcome::Answered(answer) => *answer,
            other => panic!("not answered: {other:?}"),
        }
    }

    fn refusal(&mut self, operation: Operation) -> ErrorCode {
        match self.cloud.call(self.now_ms, &request(operation)).outcome {
            Outcome::Refused(error) => error.code,
            other => panic!("not refused: {other:?}"),
        }
    }

    fn wait(&mut self, ms: u64) {
        self.now_ms += ms;
    }

    fn sight(&mut self) -> GroupSight {
        self.cloud.look_at_groups(self.now_ms, 0, 1).pop().expect("the group")
    }

    fn ids_in(&mut self, state: &str) -> BTreeSet<String> {
        let group = self.sight().group;
        let of = |instance: &&asg::Instance| instance.lifecycle_state == state;
        group.instances.iter().filter(of).map(|instance| instance.instance_id.clone()).collect()
    }

    /// (desired, in service, pending, terminating)
    fn counts(&mut self) -> (u32, usize, usize, usize) {
        let desired = self.sight().group.desired_capacity;
        (desired, self.ids_in("InService").len(), self.ids_in("Pending").len(), self.ids_in("Terminating").len())
    }
}

#[test]
fn a_new_group_is_steady_and_stays_so() {
    let mut bench = Bench::new();
    assert_eq!(bench.counts(), (4, 4, 0, 0));
    let before = bench.sight();
    bench.wait(3_600_000);
    assert_eq!(bench.sight(), before);
    assert!(before.group.instances.iter().all(|instance| instance.health_status == "Healthy"));
    assert!(before.group.auto_scaling_group_arn.ends_with(":autoScalingGroupName/fleet"));
}

#[test]
fn scaling_out_shows_first_nothing_then_pending_instances_then_more_in_service() {
    let mut bench = Bench::new();
    assert_eq!(bench.answer(set(6)), Answer::CapacitySet);
    assert_eq!(bench.counts(), (6, 4, 0, 0));
    bench.wait(100);
    assert_eq!(bench.counts(), (6, 4, 2, 0));
    bench.wait(RUNS_AFTER_MS - 101);
    assert_eq!(bench.counts(), (6, 4, 2, 0));
    bench.wait(1);
    assert_eq!(bench.counts(), (6, 6, 0, 0));
}

#[test]
fn scaling_in_takes_the_unhealthy_first_and_spares_what_is_protected() {
    let mut bench = Bench::new();
    let sick = bench.sicken();
    let spared = bench.ids_in("InService").into_iter().find(|id| *id != sick).expect("another");
    let instance = Some(spared.clone());
    bench.play(&Step::SetProtection { group: address(), instance, protected: true });
    bench.answer(set(3));
    bench.wait(100);
    assert_eq!(bench.ids_in("Terminating"), BTreeSet::from([sick]));
    bench.answer(set(2));
    bench.wait(100 + GONE_AFTER_MS);
    assert_eq!(bench.counts(), (2, 2, 0, 0));
    assert!(bench.ids_in("InService").contains(&spared));
}

#[test]
fn a_group_is_told_no_more_and_no_less_than_its_bounds() {
    let mut bench = Bench::new();
    for wrong in [-1, 0, 1, 9, i64::MAX, i64::MIN] {
        assert_eq!(bench.refusal(set(wrong)), ErrorCode::ValidationError, "{wrong}");
    }
    for right in [2, 8] {
        bench.answer(set(right));
        assert_eq!(i64::from(bench.sight().group.desired_capacity), right);
    }
}

#[test]
fn while_a_group_cools_down_only_those_who_honour_it_are_refused() {
    let mut bench = Bench::with(NewGroup { cooldown_ms: 60_000, ..new_group() });
    bench.play(&Step::SetCapacity { group: address(), desired: 5 });
    assert_eq!(bench.refusal(set(6)), ErrorCode::ScalingActivityInProgress);
    let Operation::SetDesiredCapacity(call) = set(6) else { unreachable!() };
    bench.answer(Operation::SetDesiredCapacity(SetDesiredCapacity { honor_cooldown: false, ..call }));
    bench.wait(59_999);
    assert_eq!(bench.refusal(set(7)), ErrorCode::ScalingActivityInProgress);
    bench.wait(1);
    bench.answer(set(7));
}

#[test]
fn a_terminated_instance_is_replaced_and_gone() {
    let mut bench = Bench::new();
    let sick = bench.sicken();
    let Answer::Terminating(activity) = bench.answer(terminate(&sick, false)) else { panic!("an activity") };
    assert_eq!((activity.auto_scaling_group_name.as_str(), activity.status_code), ("fleet", "InProgress"));
    assert_eq!(bench.counts(), (4, 3, 0, 1));
    bench.wait(100);
    assert_eq!(bench.counts(), (4, 3, 1, 1));
    bench.wait(GONE_AFTER_MS);
    assert_eq!(bench.counts(), (4, 3, 1, 0));
    bench.wait(RUNS_AFTER_MS);
    assert_eq!(bench.counts(), (4, 4, 0, 0));
    assert!(bench.sight().group.instances.iter().all(|instance| instance.health_status == "Healthy"));
    assert_eq!(bench.refusal(terminate(&sick, false)), ErrorCode::ValidationError);
}

#[test]
fn a_second_termination_changes_nothing() {
    let mut bench = Bench::new();
    let sick = bench.sicken();
    bench.answer(terminate(&sick, false));
    bench.answer(terminate(&sick, false));
    bench.wait(60_000);
    assert_eq!(bench.counts(), (4, 4, 0, 0));
}

#[test]
fn a_termination_with_decrement_takes_one_away_and_not_below_the_minimum() {
    let mut bench = Bench::with(NewGroup { min: 3, ..new_group() });
    let ids: Vec<String> = bench.ids_in("InService").into_iter().collect();
    bench.answer(terminate(&ids[0], true));
    bench.wait(60_000);
    assert_eq!(bench.counts(), (3, 3, 0, 0));
    assert_eq!(bench.refusal(terminate(&ids[1], true)), ErrorCode::ValidationError);
}

#[test]
fn an_unhealthy_instance_stays_until_somebody_terminates_it() {
    let mut bench = Bench::new();
    let sick = bench.sicken();
    bench.wait(3_600_000);
    let found = bench.sight().group.instances.into_iter().find(|instance| instance.health_status == "Unhealthy");
    assert_eq!(found.map(|instance| instance.instance_id), Some(sick));
}

#[test]
fn an_instance_that_is_held_up_stays_pending_until_launches_are_normal_again() {
    let mut bench = Bench::new();
    bench.play(&Step::SetLaunching { group: address(), launching: Launching::Never });
    bench.answer(set(5));
    bench.wait(3_600_000);
    assert_eq!(bench.counts(), (5, 4, 1, 0));
    bench.play(&Step::SetLaunching { group: address(), launching: Launching::Normal });
    bench.wait(RUNS_AFTER_MS);
    assert_eq!(bench.counts(), (5, 5, 0, 0));
}

#[test]
fn a_refresh_replaces_every_instance_and_keeps_enough_in_service_all_the_while() {
    let mut bench = Bench::new();
    let old = bench.ids_in("InService");
    let Answer::RefreshStarted(id) = bench.answer(refresh(Some(50))) else { panic!("an id") };
    assert_eq!(bench.refusal(refresh(None)), ErrorCode::InstanceRefreshInProgress);
    let mut least = 4;
    for _ in 0..300 {
        bench.wait(100);
        least = least.min(bench.ids_in("InService").len());
    }
    assert_eq!((least, bench.counts()), (2, (4, 4, 0, 0)));
    assert!(bench.ids_in("InService").is_disjoint(&old));
    let call = DescribeInstanceRefreshes { auto_scaling_group_name: "fleet".into(), max_records: None };
    let Answer::Refreshes(found) = bench.answer(Operation::DescribeInstanceRefreshes(call)) else { panic!() };
    let [done] = found.refreshes.as_slice() else { panic!("one refresh") };
    assert_eq!((&done.instance_refresh_id, done.status, done.percentage_complete), (&id, "Successful", 100));
    let Answer::RefreshStarted(second) = bench.answer(refresh(None)) else { panic!("an id") };
    let newest = bench.sight().refreshes.remove(0);
    assert_eq!((newest.instance_refresh_id, newest.status), (second, "InProgress"));
}

#[test]
fn a_refresh_of_few_instances_takes_one_at_a_time() {
    let mut bench = Bench::new();
    bench.answer(refresh(Some(100)));
    let mut least = 4;
    for _ in 0..300 {
        bench.wait(100);
        least = least.min(bench.ids_in("InService").len());
    }
    assert_eq!((least, bench.sight().refreshes[0].status), (3, "Successful"));
}

#[test]
fn what_is_not_there_is_refused_or_absent_as_aws_does() {
    let mut bench = Bench::new();
    let describe = |names: &[&str]| {
        let auto_scaling_group_names = names.iter().map(|name| (*name).to_owned()).collect();
        Operation::DescribeAutoScalingGroups(DescribeAutoScalingGroups { auto_scaling_group_names })
    };
    let mut found = |names: &[&str]| match bench.answer(describe(names)) {
        Answer::Groups(found) => found.groups.len(),
        other => panic!("{other:?}"),
    };
    assert_eq!([found(&[]), found(&["fleet"]), found(&["other"]), found(&["fleet", "other"])], [1, 1, 0, 1]);
    let elsewhere = SetDesiredCapacity { auto_scaling_group_name: "other".into(), ..SetDesiredCapacity::default() };
    assert_eq!(bench.refusal(Operation::SetDesiredCapacity(elsewhere)), ErrorCode::ValidationError);
    for instance in ["i-0123456789abcdef0", "i-", "*", ""] {
        assert_eq!(bench.refusal(terminate(instance, false)), ErrorCode::ValidationError, "{instance}");
    }
    for percent in [-1, 101] {
        assert_eq!(bench.refusal(refresh(Some(percent))), ErrorCode::ValidationError, "{percent}");
    }
    let mut call = request(set(5));
    call.account = "999999999999".into();
    let outcome = bench.cloud.call(bench.now_ms, &call).outcome;
    assert!(matches!(outcome, Outcome::Refused(error) if error.code == ErrorCode::ValidationError));
}

#[test]
fn a_call_whose_answer_is_lost_is_applied_and_logged_with_its_group_and_instance() {
    let mut bench = Bench::new();
    let sick = bench.sicken();
    let matching = Matching {
        operation: Some(OperationName::TerminateInstanceInAutoScalingGroup),
        group: Some("fleet".into()),
        ..Matching::default()
    };
    let fault = Fault::Closed { when: When::After };
    bench.cloud.plan().script(Scripted { matching, nth: 1, times: 1, fault }).expect("planned");
    bench.answer(set(4));
    let outcome = bench.cloud.call(bench.now_ms, &request(terminate(&sick, false))).outcome;
    assert_eq!(outcome, Outcome::Lost);
    assert_eq!(bench.counts(), (4, 3, 0, 1));
    let entry = bench.cloud.log().get(2).expect("logged");
    assert_eq!((entry.group.as_str(), &entry.instance, entry.service.as_str()), ("fleet", &sick, ""));
    assert_eq!(entry.applied, Applied::At(START_MS));
    let json = serde_json::to_value(entry).expect("JSON");
    assert_eq!(
        (&json["before"]["instance-state"], &json["after"]["instance-state"]),
        (&"InService".into(), &"Terminating".into())
    );
    assert_eq!(json["parameters"]["ShouldDecrementDesiredCapacity"], false);
    let tally = bench.cloud.log().tally();
    assert!(tally.by_service.iter().all(|(touched, applied)| touched.group == "fleet" && *applied == 1));
    assert_eq!(tally.by_service.len(), 2);
}

#[test]
fn a_groups_scenario_that_cannot_be_is_refused() {
    let mut bench = Bench::new();
    assert_eq!(bench.refused(&Step::CreateGroup(new_group())), NotPlayed::Exists("fleet".into()));
    let named = |group: &str| NewGroup { address: GroupAddress { group: group.into(), ..address() }, ..new_group() };
    assert_eq!(bench.refused(&Step::CreateGroup(named("a:b"))), NotPlayed::NotAName("a:b".into()));
    let bounds = NotPlayed::OutOfBounds { least: 2, most: 8 };
    assert_eq!(bench.refused(&Step::CreateGroup(NewGroup { desired: 9, ..named("other") })), bounds);
    assert_eq!(bench.refused(&Step::SetCapacity { group: address(), desired: 1 }), bounds);
    let nowhere = GroupAddress { group: "other".into(), ..address() };
    assert!(matches!(bench.refused(&Step::Refresh { group: nowhere }), NotPlayed::NoGroup { .. }));
    let instance = Some("i-0123456789abcdef0".to_owned());
    let step = Step::SetInstanceHealth { group: address(), instance, healthy: false };
    assert_eq!(bench.refused(&step), NotPlayed::NoInstance("fleet".into()));
}
