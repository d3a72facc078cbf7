//! How much live capacity a change takes away or replaces: what bounds on change at once measure.

use balm_catalogue::{asg, ecs as services};

use super::{Change, asg as groups, ecs};
use crate::look::{Counts, Reading};

impl Change {
    /// How many live tasks or instances it takes away or replaces, most of them at once. Adding capacity touches none.
    #[must_use]
    pub fn changing(&self, reading: &Reading) -> u32 {
        let counts = reading.counts();
        match self {
            Self::Ecs(ecs::Change::ScaleService(_)) | Self::Asg(groups::Change::SetDesiredCapacity(_)) => {
                self.sets_desired().map_or(0, |to| scaling_in(counts, to))
            }
            Self::Ecs(ecs::Change::RedeployService(_)) => counts.running,
            Self::Ecs(ecs::Change::StopTask(_)) | Self::Asg(groups::Change::TerminateInstance(_)) => 1,
            Self::Asg(groups::Change::StartInstanceRefresh(refresh)) => refreshing(refresh, counts.desired),
        }
    }
}

/// How many of those that run a smaller count may take away, at worst.
///
/// AWS goes down to it from all that is there, on its way, or yet to be started, and does not say in which order: what does
/// not run yet may be what is kept. More than runs cannot be taken away.
fn scaling_in(counts: Counts, to: u32) -> u32 {
    let Counts { desired, running, pending } = counts;
    if to >= desired {
        return 0;
    }
    let all = running.saturating_add(pending).max(desired);
    (all - to).min(running)
}

/// How many of those that are desired ECS may stop at once while it replaces them all: as many as are more than the share
/// that the service's deployment configuration keeps, rounded up, which is how ECS rounds it. All of them where the look
/// does not say what is kept.
pub(crate) fn redeploying(service: &services::Service) -> u32 {
    let share = u64::from(service.desired) * u64::from(service.min_healthy_percent.unwrap_or(0));
    let kept = u32::try_from(share.div_ceil(100)).unwrap_or(u32::MAX);
    service.desired.min(service.running).saturating_sub(kept)
}

/// How many instances a refresh may take at once. AWS takes one at least, whatever the share.
pub(crate) fn refreshing(refresh: &asg::StartInstanceRefresh, desired: u32) -> u32 {
    let kept = refresh.min_healthy_percent.unwrap_or(groups::MIN_HEALTHY_PERCENT);
    let share = u64::from(desired) * u64::from(100_u32.saturating_sub(kept)) / 100;
    u32::try_from(share).unwrap_or(u32::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{fixture, json::Json};

    #[test]
    fn what_is_taken_away_or_replaced_is_counted_and_what_is_added_is_not() {
        let changing = |action: &str, parameters: &str, reading: &Reading| {
            Change::read(action, &Json::parse(parameters).expect("JSON")).expect("an action").changing(reading)
        };
        let (service, group) = (fixture::reading(10), fixture::group_reading(10));
        let task = r#"{"task":"0123456789abcdef0123456789abcdef"}"#;
        let instance = r#"{"instance":"i-0123456789abcdef0"}"#;
        let cases = [
            ("ecs:scale-service", r#"{"desired":12}"#, &service, 0),
            ("ecs:scale-service", r#"{"desired":7}"#, &service, 3),
            ("ecs:redeploy-service", "{}", &service, 10),
            ("ecs:stop-task", task, &service, 1),
            ("asg:set-desired-capacity", r#"{"desired":12}"#, &group, 0),
            ("asg:set-desired-capacity", r#"{"desired":8}"#, &group, 2),
            ("asg:terminate-instance", instance, &group, 1),
            ("asg:start-instance-refresh", r#"{"min-healthy-percent":75}"#, &group, 2),
            ("asg:start-instance-refresh", r#"{"min-healthy-percent":100}"#, &group, 1),
            ("asg:start-instance-refresh", "{}", &group, 1),
        ];
        for (action, parameters, reading, units) in cases {
            assert_eq!(changing(action, parameters, reading), units, "{action} {parameters}");
        }
    }

    #[test]
    fn a_smaller_count_takes_away_what_runs_and_no_more_than_that() {
        let cases = [
            // desired, running, pending, to: taken away
            ((10, 10, 0, 7), 3),
            ((10, 4, 6, 5), 4),
            ((10, 4, 0, 5), 4),
            ((10, 9, 1, 9), 1),
            ((4, 8, 0, 2), 6),
            ((4, 4, 4, 3), 4),
            ((4, 8, 0, 4), 0),
            ((4, 8, 0, 6), 0),
            ((4, 0, 4, 1), 0),
        ];
        for ((desired, running, pending, to), taken) in cases {
            let counts = Counts { desired, running, pending };
            assert_eq!(scaling_in(counts, to), taken, "{counts:?} to {to}");
        }
    }
}
