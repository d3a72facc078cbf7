//! The intent does not go too far. What no bound covers is refused: an empty list means nothing.

use balm_catalogue::{asg, ecs};

use super::{Finding, ProposedIntent};
use crate::{
    action::{self, Change},
    configuration::Bound,
    look::Reading,
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
            if let Err(why) = hold(bound, change, reading) {
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
    match change.sets_desired() {
        Some(to) => count_holds(bound, reading.counts().desired, to),
        None => health_holds(bound, Health::during(change, reading)),
    }
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
fn health_holds(bound: &Bound, health: Health) -> Result<(), String> {
    let Some(percent) = bound.healthy_percent else { return Ok(()) };
    let Health { healthy, fewer, desired, what } = health;
    let left = healthy.saturating_sub(fewer);
    if u64::from(left) * 100 < u64::from(percent) * u64::from(desired) {
        return Err(format!("{left} healthy {what} would be left of {desired} desired, less than {percent} %"));
    }
    Ok(())
}

/// How much serves and is not unhealthy, and how much of that a change takes away for a while.
#[derive(Clone, Copy)]
struct Health {
    healthy: u32,
    fewer: u32,
    desired: u32,
    what: &'static str,
}

impl Health {
    fn during(change: &Change, reading: &Reading) -> Self {
        match reading {
            Reading::EcsService { service, tasks } => Self::of_service(change, service, tasks),
            Reading::AsgGroup { group } => Self::of_group(change, group),
        }
    }

    fn of_service(change: &Change, service: &ecs::Service, tasks: &[ecs::Task]) -> Self {
        let unhealthy = tasks.iter().filter(|task| task.last_status == "RUNNING" && !is_healthy(task)).count();
        let unhealthy = u32::try_from(unhealthy).unwrap_or(u32::MAX);
        let is_stopped = |task: &&ecs::Task| match change {
            Change::Ecs(action::ecs::Change::StopTask(stop)) => task.id == stop.task,
            Change::Ecs(_) | Change::Asg(_) => false,
        };
        let fewer = tasks.iter().find(is_stopped).is_some_and(is_healthy);
        Self {
            healthy: service.running.saturating_sub(unhealthy),
            fewer: u32::from(fewer),
            desired: service.desired,
            what: "tasks",
        }
    }

    fn of_group(change: &Change, group: &asg::Group) -> Self {
        let serves = |id: &str| group.in_service().any(|instance| instance.id == id && instance.is_healthy());
        let fewer = match change {
            Change::Asg(action::asg::Change::TerminateInstance(gone)) => u32::from(serves(&gone.instance)),
            Change::Asg(action::asg::Change::StartInstanceRefresh(refresh)) => {
                let kept = refresh.min_healthy_percent.unwrap_or(action::asg::MIN_HEALTHY_PERCENT);
                let share = u64::from(group.desired) * u64::from(100_u32.saturating_sub(kept)) / 100;
                // AWS takes one at a time at least, whatever the share.
                u32::try_from(share).unwrap_or(u32::MAX).max(1)
            }
            Change::Asg(action::asg::Change::SetDesiredCapacity(_)) | Change::Ecs(_) => 0,
        };
        Self { healthy: group.healthy(), fewer, desired: group.desired, what: "instances" }
    }
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
}
