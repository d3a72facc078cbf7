//! The intent does not go too far. What no bound covers is refused: an empty list means nothing.

use super::{Finding, ProposedIntent};
use crate::{action::Change, configuration::Bound, look::Reading};

pub(super) fn check(proposed: &ProposedIntent<'_>) -> Finding {
    let Some((change, target)) = proposed.admissible() else { return Finding::Fails("it has no target".into()) };
    let Ok(reading) = proposed.reading else { return Finding::Fails("there is no look to measure by".into()) };
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
    match change {
        Change::ScaleService(to) => count_holds(bound, reading.service().desired, to.desired),
        Change::RedeployService(_) => health_holds(bound, reading, 0),
        Change::StopTask(stop) => {
            let healthy = reading.task(&stop.task).is_some_and(is_healthy);
            health_holds(bound, reading, u32::from(healthy))
        }
    }
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

/// Whether enough is healthy once `fewer` of the healthy tasks are gone.
fn health_holds(bound: &Bound, reading: &Reading, fewer: u32) -> Result<(), String> {
    let Some(percent) = bound.healthy_percent else { return Ok(()) };
    let Reading::EcsService { service, tasks } = reading;
    let unhealthy = tasks.iter().filter(|task| task.last_status == "RUNNING" && !is_healthy(task)).count();
    let unhealthy = u32::try_from(unhealthy).unwrap_or(u32::MAX);
    let left = service.running.saturating_sub(unhealthy).saturating_sub(fewer);
    if u64::from(left) * 100 < u64::from(percent) * u64::from(service.desired) {
        return Err(format!(
            "{left} healthy tasks would be left of {} desired, less than {percent} %",
            service.desired
        ));
    }
    Ok(())
}

/// A task without a health check is as healthy as can be known.
fn is_healthy(task: &balm_catalogue::ecs::Task) -> bool {
    task.last_status == "RUNNING" && task.health != "UNHEALTHY"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        configuration::Filter,
        fixture::{self, Bench},
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

    #[test]
    fn a_healthy_task_is_spared_where_too_few_would_be_left() {
        let task = |id: &str, health: &str| balm_catalogue::ecs::Task { health: health.into(), ..fixture::task(id) };
        let service = fixture::reading(4).service().clone();
        let tasks = vec![task("a", "HEALTHY"), task("b", "HEALTHY"), task("c", "UNKNOWN"), task("d", "UNHEALTHY")];
        let reading = Reading::EcsService { service, tasks };
        let bound = |percent| Bound { healthy_percent: Some(percent), ..Bound::default() };
        assert!(health_holds(&bound(75), &reading, 0).is_ok(), "three of four are healthy");
        assert!(health_holds(&bound(76), &reading, 0).is_err());
        assert!(health_holds(&bound(50), &reading, 1).is_ok(), "two of four would be left");
        assert!(health_holds(&bound(51), &reading, 1).is_err());
    }
}
