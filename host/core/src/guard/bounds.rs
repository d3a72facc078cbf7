//! The intent does not go too far. What no bound covers is refused: an empty list means nothing.

use balm_catalogue::{asg, ecs};

use super::{Finding, ProposedIntent};
use crate::{
    action::{self, Change},
    configuration::Bound,
    ledger::{Admission, UnderWay},
    look::{Counts, Reading},
};

pub(super) fn check(proposed: &ProposedIntent<'_>) -> Finding {
    let Some((change, target)) = proposed.admissible() else { return Finding::Fails("it has no target".into()) };
    let Ok(reading) = proposed.reading else { return Finding::Fails("there is no look to measure by".into()) };
    if let Err(why) = within_its_own(change, reading) {
        return Finding::Fails(why);
    }
    let (action, policy) = (&proposed.intent.proposal.action, &proposed.intent.policy);
    let mut covered = false;
    for bound in &proposed.state.configuration.guardrails.bounds {
        if bound.only.covers(action, policy, target) {
            covered = true;
            let held =
                hold(bound, change, reading).and_then(|()| change_holds(proposed, bound, change.changing(reading)));
            if let Err(why) = held {
                return Finding::Fails(why);
            }
        }
    }
    if covered {
        Finding::passes()
    } else {
        Finding::Fails(format!("no bound covers {action} on {target}: write one in limits.toml"))
    }
}

fn hold(bound: &Bound, change: &Change, reading: &Reading) -> Result<(), String> {
    if let Some(to) = change.sets_desired() {
        count_holds(bound, reading.counts().desired, to)?;
    }
    share_holds(bound, change.changing(reading), reading.counts().running)?;
    health_holds(bound, Health::during(change, reading)).map_err(|why| {
        let all = if redeploys_blindly(change, reading) { ALL_AT_ONCE } else { "" };
        format!("{why}{all}")
    })
}

/// What is said of a rollout of which the look does not say how many tasks it keeps.
const ALL_AT_ONCE: &str = "; the look has no minimumHealthyPercent of the service, so all may be stopped at once";

fn redeploys_blindly(change: &Change, reading: &Reading) -> bool {
    let redeploys = matches!(change, Change::Ecs(action::ecs::Change::RedeployService(_)));
    redeploys && reading.service().is_some_and(|service| service.min_healthy_percent.is_none())
}

fn share_holds(bound: &Bound, changing: u32, live: u32) -> Result<(), String> {
    let too_many = |percent: &u32| u64::from(changing) * 100 > u64::from(*percent) * u64::from(live);
    match bound.changing_percent.filter(too_many) {
        Some(percent) => Err(format!("{changing} of {live} would be taken away or replaced, more than {percent} %")),
        None => Ok(()),
    }
}

/// What is under way counts with the intent, wherever the bound covers it.
fn change_holds(proposed: &ProposedIntent<'_>, bound: &Bound, changing: u32) -> Result<(), String> {
    let Some(most) = bound.changing.filter(|_| changing > 0) else { return Ok(()) };
    let own = proposed.intent.id;
    let covered = proposed.state.ledger.under_way().filter(|UnderWay { admission, .. }| {
        let Admission { intent, action, policy, target, .. } = admission;
        *intent != own && bound.only.covers(action, policy, target)
    });
    let others: u64 = covered.map(|under_way| u64::from(under_way.changing)).sum();
    let all = others + u64::from(changing);
    if all > u64::from(most) {
        return Err(format!(
            "{all} would be taken away or replaced at once, {others} of them by what is under way; at most {most} may"
        ));
    }
    Ok(())
}

/// A group's own bounds, which AWS would hold it to.
fn within_its_own(change: &Change, reading: &Reading) -> Result<(), String> {
    let (Some(to), Some(group)) = (change.sets_desired(), reading.group()) else { return Ok(()) };
    let asg::Group { min, max, .. } = group;
    if to < *min {
        return Err(format!("{to} is below the group's own minimum of {min}"));
    }
    if to > *max {
        return Err(format!("{to} is above the group's own maximum of {max}"));
    }
    Ok(())
}

/// Nothing is scaled to none unless a bound's minimum says 0.
fn count_holds(bound: &Bound, from: u32, to: u32) -> Result<(), String> {
    let Bound { minimum, maximum, step, step_percent, .. } = bound;
    let change = from.abs_diff(to);
    let minimum = minimum.unwrap_or(1);
    if to < minimum {
        return Err(format!("{to} is below the minimum of {minimum}"));
    }
    if let Some(maximum) = maximum.filter(|maximum| to > *maximum) {
        return Err(format!("{to} is above the maximum of {maximum}"));
    }
    if let Some(step) = step.filter(|step| change > *step) {
        return Err(format!("a change of {change}, from {from} to {to}, is more than the step of {step}"));
    }
    let share = |percent: u32| u64::from(change) * 100 > u64::from(percent) * u64::from(from);
    if let Some(percent) = step_percent.filter(|percent| share(*percent)) {
        return Err(format!("a change of {change}, from {from} to {to}, is more than {percent} % of {from}"));
    }
    Ok(())
}

/// Whether enough is healthy while a change takes effect.
fn health_holds(bound: &Bound, health: Option<Health>) -> Result<(), String> {
    let Some(Health { healthy, fewer, desired, what }) = health else { return Ok(()) };
    let left = healthy.saturating_sub(fewer);
    let too_few = |percent: &u32| u64::from(left) * 100 < u64::from(*percent) * u64::from(desired);
    if let Some(percent) = bound.healthy_percent.filter(too_few) {
        return Err(format!("{left} healthy {what} would be left of {desired} desired, less than {percent} %"));
    }
    match bound.healthy_minimum.filter(|minimum| left < *minimum) {
        Some(minimum) => Err(format!("{left} healthy {what} would be left, fewer than {minimum}")),
        None => Ok(()),
    }
}

/// How much serves and is not unhealthy, and how much of that may be gone while a change takes effect.
#[derive(Clone, Copy)]
struct Health {
    healthy: u32,
    fewer: u32,
    desired: u32,
    what: &'static str,
}

impl Health {
    /// None for a change that only adds: it makes nothing worse, and must not be refused because things are bad.
    fn during(change: &Change, reading: &Reading) -> Option<Self> {
        let before = reading.counts().desired;
        let desired = change.sets_desired().unwrap_or(before);
        if change.sets_desired().is_some_and(|to| to >= before) {
            return None;
        }
        let (healthy, what) = match reading {
            Reading::EcsService { service, tasks } => (healthy_tasks(service, tasks), "tasks"),
            Reading::AsgGroup { group } => (group.healthy(), "instances"),
        };
        Some(Self { healthy, fewer: fewer(change, reading), desired, what })
    }
}

/// How many healthy ones may be gone at the same time, at worst: which ones AWS takes away is not ours to say, so it may be
/// the healthy ones. What runs beyond what is desired goes too, whoever began that.
fn fewer(change: &Change, reading: &Reading) -> u32 {
    let Counts { desired, running, .. } = reading.counts();
    let own = match (change, reading) {
        // This counts what is beyond already.
        (_, _) if change.sets_desired().is_some() => return change.changing(reading),
        (Change::Ecs(action::ecs::Change::StopTask(stop)), Reading::EcsService { tasks, .. }) => {
            u32::from(tasks.iter().any(|task| task.id == stop.task && is_healthy(task)))
        }
        (Change::Ecs(action::ecs::Change::RedeployService(_)), Reading::EcsService { service, .. }) => {
            action::redeploying(service)
        }
        (Change::Asg(action::asg::Change::TerminateInstance(gone)), Reading::AsgGroup { group }) => {
            u32::from(group.in_service().any(|one| one.id == gone.instance && one.is_healthy()))
        }
        (Change::Asg(action::asg::Change::StartInstanceRefresh(refresh)), Reading::AsgGroup { group }) => {
            action::refreshing(refresh, group.desired)
        }
        (Change::Ecs(_) | Change::Asg(_), _) => 0,
    };
    own.saturating_add(running.saturating_sub(desired))
}

fn healthy_tasks(service: &ecs::Service, tasks: &[ecs::Task]) -> u32 {
    let unhealthy = tasks.iter().filter(|task| task.last_status == "RUNNING" && !is_healthy(task)).count();
    service.running.saturating_sub(u32::try_from(unhealthy).unwrap_or(u32::MAX))
}

/// A task without a health check is as healthy as can be known.
fn is_healthy(task: &ecs::Task) -> bool {
    task.last_status == "RUNNING" && task.health != "UNHEALTHY"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        configuration::Filter,
        fixture::{self, Bench},
        json::Json,
        record::{CheckName, Verdict},
    };

    #[test]
    fn what_no_bound_covers_is_refused() {
        for bounds in [
            vec![],
            vec![Bound {
                only: Filter { action: Some("ecs:stop-task".into()), ..Filter::default() },
                ..Bound::default()
            }],
        ] {
            let mut bench = Bench::new();
            bench.configure(|configuration, _| configuration.guardrails.bounds = bounds.clone());
            assert_eq!(bench.judge().verdict, Verdict::Refused(CheckName::Bounds));
        }
    }

    #[test]
    fn counts_stay_within_minimum_maximum_and_step_on_both_sides_of_each() {
        let bound = Bound { minimum: Some(2), maximum: Some(12), step: Some(4), ..Bound::default() };
        let cases = [
            ((4, 2), true),
            ((4, 1), false),
            ((8, 12), true),
            ((9, 13), false),
            ((4, 8), true),
            ((4, 9), false),
            ((8, 4), true),
            ((8, 3), false),
        ];
        for ((from, to), holds) in cases {
            assert_eq!(count_holds(&bound, from, to).is_ok(), holds, "{from} to {to}");
        }
    }

    #[test]
    fn a_share_is_of_what_is_there() {
        let bound = Bound { step_percent: Some(50), ..Bound::default() };
        let cases =
            [((4, 6), true), ((4, 7), false), ((5, 7), true), ((5, 8), false), ((1, 2), false), ((0, 1), false)];
        for ((from, to), holds) in cases {
            assert_eq!(count_holds(&bound, from, to).is_ok(), holds, "{from} to {to}");
        }
    }

    #[test]
    fn nothing_is_scaled_to_none_unless_a_bound_says_so() {
        assert!(count_holds(&Bound::default(), 1, 0).is_err());
        assert!(count_holds(&Bound { minimum: Some(0), ..Bound::default() }, 1, 0).is_ok());
    }

    /// Whether the guard's bound on health lets an action happen.
    fn holds(percent: u32, action: &str, parameters: &str, reading: &Reading) -> bool {
        let bound = Bound { healthy_percent: Some(percent), ..Bound::default() };
        let change = Change::read(action, &Json::parse(parameters).expect("JSON")).expect("an action");
        hold(&bound, &change, reading).is_ok()
    }

    #[test]
    fn a_healthy_task_is_spared_where_too_few_would_be_left() {
        let ids = ["a", "b", "c", "d"].map(|digit| digit.repeat(32));
        let healths = ["HEALTHY", "HEALTHY", "UNKNOWN", "UNHEALTHY"];
        let task = |(id, health): (&String, &str)| ecs::Task { health: health.into(), ..fixture::task(id) };
        let tasks = ids.iter().zip(healths).map(task).collect();
        let reading = Reading::EcsService { service: fixture::service(4), tasks };
        let stop = |percent, id: &str| holds(percent, "ecs:stop-task", &format!(r#"{{"task":"{id}"}}"#), &reading);
        assert!(stop(75, &ids[3]), "three of four are healthy");
        assert!(!stop(76, &ids[3]));
        assert!(stop(50, &ids[0]), "two of four would be left");
        assert!(!stop(51, &ids[0]));
        assert!(
            holds(75, "ecs:redeploy-service", "{}", &reading) && !holds(76, "ecs:redeploy-service", "{}", &reading)
        );
    }

    #[test]
    fn a_healthy_instance_is_spared_where_too_few_would_be_left() {
        let mut group = fixture::group(4);
        group.instances[0].health_status = "Unhealthy".into();
        let reading = Reading::AsgGroup { group };
        let terminate = |percent, number: u32, reading: &Reading| {
            let parameters = format!(r#"{{"instance":"{}"}}"#, fixture::instance(number).id);
            holds(percent, "asg:terminate-instance", &parameters, reading)
        };
        assert!(terminate(75, 0, &reading), "three of four are healthy and stay");
        assert!(!terminate(76, 0, &reading));
        assert!(terminate(50, 1, &reading), "two of four would be left");
        assert!(!terminate(51, 1, &reading));
        let mut group = fixture::group(4);
        group.instances[0].health_status = "Unhealthy".into();
        group.instances[1].lifecycle_state = "Pending".into();
        let reading = Reading::AsgGroup { group };
        assert!(terminate(50, 0, &reading), "what is not in service yet does not count as healthy");
        assert!(!terminate(51, 0, &reading));
    }

    #[test]
    fn a_redeploy_may_take_away_what_the_services_deployment_settings_do_not_keep() {
        let redeploy = |healthy_percent, kept, desired, running| {
            let service = ecs::Service { running, min_healthy_percent: kept, ..fixture::service(desired) };
            holds(healthy_percent, "ecs:redeploy-service", "{}", &Reading::EcsService { service, tasks: vec![] })
        };
        assert!(redeploy(100, Some(100), 4, 4));
        assert!(redeploy(75, Some(75), 4, 4) && !redeploy(76, Some(75), 4, 4));
        assert!(redeploy(60, Some(50), 5, 5) && !redeploy(61, Some(50), 5, 5), "three of five are kept");
        assert!(redeploy(0, Some(0), 4, 4) && !redeploy(1, Some(0), 4, 4));
        assert!(redeploy(50, Some(50), 4, 2) && !redeploy(51, Some(50), 4, 2), "what is kept is kept");
        assert!(redeploy(100, Some(100), 4, 8), "what is beyond goes, and no more");
        assert!(redeploy(0, None, 4, 4) && !redeploy(1, None, 4, 4), "what is kept is not known");
    }

    #[test]
    fn a_refusal_says_that_a_services_deployment_settings_are_not_known() {
        let said = |kept| {
            let service = ecs::Service { min_healthy_percent: kept, ..fixture::service(4) };
            let change = Change::read("ecs:redeploy-service", &Json::empty_object()).expect("an action");
            let bound = Bound { healthy_minimum: Some(3), ..Bound::default() };
            hold(&bound, &change, &Reading::EcsService { service, tasks: vec![] }).expect_err("it is refused")
        };
        assert!(said(None).contains("no minimumHealthyPercent"), "{}", said(None));
        assert!(!said(Some(50)).contains("minimumHealthyPercent"), "{}", said(Some(50)));
    }

    #[test]
    fn a_refresh_that_would_take_away_too_many_is_refused() {
        let refresh = |percent, kept: &str, instances| {
            holds(percent, "asg:start-instance-refresh", kept, &fixture::group_reading(instances))
        };
        assert!(refresh(75, r#"{"min-healthy-percent":75}"#, 4), "one of four is taken away");
        assert!(!refresh(76, r#"{"min-healthy-percent":75}"#, 4));
        assert!(refresh(50, r#"{"min-healthy-percent":50}"#, 4) && !refresh(51, r#"{"min-healthy-percent":50}"#, 4));
        assert!(refresh(90, "{}", 10) && !refresh(91, "{}", 10), "90 % are kept where it does not say");
        assert!(!refresh(100, r#"{"min-healthy-percent":100}"#, 4), "AWS takes one at least");
        assert!(refresh(0, r#"{"min-healthy-percent":0}"#, 1) && !refresh(1, r#"{"min-healthy-percent":100}"#, 1));
    }

    #[test]
    fn a_group_stays_within_its_own_minimum_and_maximum_whatever_the_operator_allows() {
        let set = |desired: u32| {
            let mut bench = Bench::for_fleet();
            bench.configure(|configuration, _| {
                configuration.guardrails.bounds = vec![Bound { minimum: Some(0), ..Bound::default() }];
            });
            let parameters = format!(r#"{{"desired":{desired}}}"#);
            bench.propose(|proposal| {
                fixture::on_fleet(proposal, "asg:set-desired-capacity", &parameters, r#"{"desired":4}"#);
            });
            bench.judge().verdict
        };
        let refused = Verdict::Refused(CheckName::Bounds);
        assert_eq!(
            [set(0), set(1), set(12), set(13)],
            [refused.clone(), Verdict::Admitted, Verdict::Admitted, refused]
        );
    }

    #[test]
    fn a_bounds_minimum_maximum_and_step_hold_for_instances_as_for_tasks() {
        let bound = Bound { minimum: Some(2), maximum: Some(8), step: Some(4), ..Bound::default() };
        let set = |from, to: u32| {
            let parameters = Json::parse(&format!(r#"{{"desired":{to}}}"#)).expect("JSON");
            let change = Change::read("asg:set-desired-capacity", &parameters).expect("an action");
            hold(&bound, &change, &fixture::group_reading(from)).is_ok()
        };
        assert!(set(4, 2) && !set(4, 1) && set(5, 8) && !set(5, 9) && set(4, 8) && !set(3, 8));
    }

    #[test]
    fn scaling_in_leaves_enough_healthy_and_scaling_out_is_not_asked() {
        let reading = |desired: u32, running: u32| Reading::EcsService {
            service: ecs::Service { running, ..fixture::service(desired) },
            tasks: vec![],
        };
        let scale = |bound: &Bound, from, running, to: u32| {
            let parameters = Json::parse(&format!(r#"{{"desired":{to}}}"#)).expect("JSON");
            let change = Change::read("ecs:scale-service", &parameters).expect("an action");
            hold(bound, &change, &reading(from, running)).is_ok()
        };
        let share = Bound { healthy_percent: Some(75), ..Bound::default() };
        assert!(scale(&share, 8, 8, 4), "all that are left are healthy");
        assert!(scale(&share, 8, 7, 4), "three of four are, at worst");
        assert!(!scale(&share, 8, 6, 4), "two of four are, at worst");
        assert!(scale(&share, 4, 1, 8), "more is what helps");
        let minimum = Bound { healthy_minimum: Some(3), ..Bound::default() };
        assert!(scale(&minimum, 8, 8, 3) && !scale(&minimum, 8, 8, 2));
        assert!(scale(&minimum, 8, 7, 4) && !scale(&minimum, 8, 6, 4));
    }

    #[test]
    fn what_runs_beyond_the_desired_count_is_as_good_as_gone() {
        let service = |desired, running, pending| Reading::EcsService {
            service: ecs::Service { running, pending, ..fixture::service(desired) },
            tasks: vec![],
        };
        let group = |desired, running| Reading::AsgGroup { group: asg::Group { desired, ..fixture::group(running) } };
        let least = |minimum, action: &str, parameters: &str, reading: &Reading| {
            let bound = Bound { healthy_minimum: Some(minimum), minimum: Some(0), ..Bound::default() };
            let change = Change::read(action, &Json::parse(parameters).expect("JSON")).expect("an action");
            hold(&bound, &change, reading).is_ok()
        };
        let two = r#"{"desired":2}"#;
        // Somebody's scale-in from eight to four has not ended, and two are what is left of it all.
        assert!(least(2, "ecs:scale-service", two, &service(4, 8, 0)));
        assert!(!least(3, "ecs:scale-service", two, &service(4, 8, 0)));
        assert!(least(2, "asg:set-desired-capacity", two, &group(4, 8)));
        assert!(!least(3, "asg:set-desired-capacity", two, &group(4, 8)));
        // Two of the eight are unhealthy, and they may be the two that are kept.
        let Reading::AsgGroup { group: mut ill } = group(4, 8) else { unreachable!("it is a group") };
        ill.instances[..2].iter_mut().for_each(|one| one.health_status = "Unhealthy".into());
        let ill = Reading::AsgGroup { group: ill };
        assert!(least(0, "asg:set-desired-capacity", two, &ill) && !least(1, "asg:set-desired-capacity", two, &ill));
        // What is on its way may be what is kept.
        assert!(least(1, "ecs:scale-service", two, &service(4, 3, 1)));
        assert!(!least(2, "ecs:scale-service", two, &service(4, 3, 1)));
        assert!(!least(1, "ecs:scale-service", two, &service(4, 4, 2)));
        let one = format!(r#"{{"instance":"{}"}}"#, fixture::instance(0).id);
        assert!(least(3, "asg:terminate-instance", &one, &group(4, 8)));
        assert!(!least(4, "asg:terminate-instance", &one, &group(4, 8)));
        let half = r#"{"min-healthy-percent":50}"#;
        assert!(least(2, "asg:start-instance-refresh", half, &group(4, 8)));
        assert!(!least(3, "asg:start-instance-refresh", half, &group(4, 8)));
        let share = |percent| {
            let bound = Bound { healthy_percent: Some(percent), ..Bound::default() };
            let change = Change::read("ecs:scale-service", &Json::parse(two).expect("JSON")).expect("an action");
            hold(&bound, &change, &service(4, 8, 0)).is_ok()
        };
        assert!(share(100), "two of two");
    }

    #[test]
    fn what_does_not_run_yet_is_no_live_capacity_that_could_be_taken_away() {
        let reading = Reading::EcsService {
            service: ecs::Service { running: 4, pending: 6, ..fixture::service(10) },
            tasks: vec![],
        };
        let holds = |bound: &Bound| {
            let five = Json::parse(r#"{"desired":5}"#).expect("JSON");
            hold(bound, &Change::read("ecs:scale-service", &five).expect("an action"), &reading).is_ok()
        };
        assert!(holds(&Bound { changing_percent: Some(100), ..Bound::default() }), "four of four at worst");
        assert!(!holds(&Bound { changing_percent: Some(99), ..Bound::default() }));
    }

    #[test]
    fn a_share_of_what_is_live_may_be_taken_away_or_replaced() {
        let of = |percent, action: &str, parameters: &str, reading: &Reading| {
            let bound = Bound { changing_percent: Some(percent), minimum: Some(0), ..Bound::default() };
            let change = Change::read(action, &Json::parse(parameters).expect("JSON")).expect("an action");
            hold(&bound, &change, reading).is_ok()
        };
        let service = fixture::reading(8);
        let scale = |percent, to: u32| of(percent, "ecs:scale-service", &format!(r#"{{"desired":{to}}}"#), &service);
        assert!(scale(25, 6) && !scale(25, 5) && scale(0, 9), "what is added takes nothing away");
        assert!(of(100, "ecs:redeploy-service", "{}", &service) && !of(99, "ecs:redeploy-service", "{}", &service));
    }

    #[test]
    fn what_is_under_way_counts_against_a_bound_on_change_at_once() {
        let verdict = |most, policy: &str| {
            let mut bench = Bench::new();
            bench.configure(|configuration, _| {
                let only = Filter { policy: Some(policy.parse().expect("a name")), ..Filter::default() };
                configuration.guardrails.bounds =
                    vec![Bound { only, changing: Some(most), ..Bound::default() }, Bound::default()];
            });
            bench.propose(|proposal| fixture::scale(proposal, 4, 2));
            assert_eq!(bench.judge_and_admit().verdict, Verdict::Admitted);
            let (parameters, expects) = (r#"{"desired":3}"#, r#"{"desired":4}"#);
            bench.propose(|proposal| {
                fixture::on_fleet(proposal, "asg:set-desired-capacity", parameters, expects);
            });
            bench.look(fixture::group_reading(4));
            bench.judge().verdict
        };
        assert_eq!(verdict(3, "web-cpu"), Verdict::Admitted, "two are under way, and this is one");
        assert_eq!(verdict(2, "web-cpu"), Verdict::Refused(CheckName::Bounds));
        assert_eq!(verdict(0, "other"), Verdict::Admitted);
    }
}
