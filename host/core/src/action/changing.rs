//! How much live capacity a change takes away or replaces: what bounds on change at once measure.

use balm_catalogue::asg;

use super::{Change, asg as groups, ecs};
use crate::look::Reading;

impl Change {
    /// How many live tasks or instances it takes away or replaces, most of them at once. Adding capacity touches none.
    #[must_use]
    pub fn changing(&self, reading: &Reading) -> u32 {
        let counts = reading.counts();
        match self {
            Self::Ecs(ecs::Change::ScaleService(_)) | Self::Asg(groups::Change::SetDesiredCapacity(_)) => {
                self.sets_desired().map_or(0, |to| counts.desired.saturating_sub(to))
            }
            Self::Ecs(ecs::Change::RedeployService(_)) => counts.running,
            Self::Ecs(ecs::Change::StopTask(_)) | Self::Asg(groups::Change::TerminateInstance(_)) => 1,
            Self::Asg(groups::Change::StartInstanceRefresh(refresh)) => refreshing(refresh, counts.desired),
        }
    }
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
}
