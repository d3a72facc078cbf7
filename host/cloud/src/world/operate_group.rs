//! The operations of Amazon EC2 Auto Scaling, as AWS does them. Truly: lies are told elsewhere.
//!
//! Where AWS documents no words for an error, those that people report seeing are used.

use super::{GroupSight, GroupState, Subject, World, group::Group, only, place};
use crate::{
    answer::{Answer, Error, ErrorCode, asg},
    limits,
    name::{InstanceId, Place},
    request::{
        DescribeAutoScalingGroups, DescribeInstanceRefreshes, Operation, Request, SetDesiredCapacity,
        StartInstanceRefresh, TerminateInstanceInAutoScalingGroup,
    },
};

impl World {
    pub(super) fn group_key(place: Place<'_>, name: &str) -> String {
        format!("{}/{}/{name}", place.account, place.region)
    }

    fn group(&self, place: Place<'_>, name: &str) -> Option<&Group> {
        self.groups.get(*self.group_names.get(&Self::group_key(place, name))?)
    }

    pub(super) fn group_mut(&mut self, place: Place<'_>, name: &str) -> Option<(&mut Group, &mut super::Clockwork)> {
        let index = *self.group_names.get(&Self::group_key(place, name))?;
        Some((self.groups.get_mut(index)?, &mut self.clockwork))
    }

    /// The instance's group, if it is in that place.
    fn group_of(&self, place: Place<'_>, instance: InstanceId) -> Option<&Group> {
        let group = self.groups.get(*self.clockwork.group_of.get(&instance)?)?;
        ((&*group.account, &*group.region) == (place.account, place.region)).then_some(group)
    }

    /// What a call to Auto Scaling is about; `None` for other calls.
    pub(super) fn group_subject(&self, request: &Request) -> Option<Subject> {
        let (group, instance) = match &request.operation {
            Operation::DescribeAutoScalingGroups(call) => (only(&call.auto_scaling_group_names), ""),
            Operation::SetDesiredCapacity(call) => (call.auto_scaling_group_name.as_str(), ""),
            Operation::StartInstanceRefresh(call) => (call.auto_scaling_group_name.as_str(), ""),
            Operation::DescribeInstanceRefreshes(call) => (call.auto_scaling_group_name.as_str(), ""),
            Operation::TerminateInstanceInAutoScalingGroup(call) => ("", call.instance_id.as_str()),
            _ => return None,
        };
        let home = InstanceId::read(instance).and_then(|id| self.group_of(place(request), id));
        let group = home.map_or(group, |home| &home.name);
        Some(Subject { group: group.to_owned(), instance: instance.to_owned(), ..Subject::default() })
    }

    pub(super) fn group_state(&self, request: &Request, subject: &Subject) -> Option<GroupState> {
        Some(self.group(place(request), &subject.group)?.state(InstanceId::read(&subject.instance)))
    }

    /// Groups with their refreshes, in order of creation, from the `from`-th.
    pub(crate) fn group_sights(&self, from: usize, most: usize) -> Vec<GroupSight> {
        let sight = |group: &Group| GroupSight {
            account: group.account.to_string(),
            region: group.region.to_string(),
            group: group.show(),
            refreshes: group.show_refreshes(limits::REFRESHES_PER_GROUP),
        };
        self.groups.iter().skip(from).take(most).map(sight).collect()
    }

    pub(super) fn describe_groups(&self, place: Place<'_>, call: &DescribeAutoScalingGroups) -> Result<Answer, Error> {
        let names = &call.auto_scaling_group_names;
        if names.len() > limits::GROUPS_PER_DESCRIBE {
            return Err(invalid("the number of group names is more than 100"));
        }
        let here = |group: &&Group| (&*group.account, &*group.region) == (place.account, place.region);
        // A group that is not there is no error, only absent (API Reference).
        let asked = |group: &&Group| names.is_empty() || names.iter().any(|name| **name == *group.name);
        let groups = self.groups.iter().filter(here).filter(asked).take(limits::GROUPS_PER_DESCRIBE);
        Ok(Answer::Groups(asg::Groups { groups: groups.map(Group::show).collect() }))
    }

    pub(super) fn set_desired_capacity(
        &mut self,
        place: Place<'_>,
        call: &SetDesiredCapacity,
    ) -> Result<Answer, Error> {
        let name = &call.auto_scaling_group_name;
        let (group, clockwork) = self.group_mut(place, name).ok_or_else(|| group_not_found(name))?;
        let desired = call.desired_capacity;
        if desired > i64::from(group.max) {
            let most = group.max;
            return Err(invalid(&format!(
                "New SetDesiredCapacity value {desired} is above max value {most} for the AutoScalingGroup."
            )));
        }
        let below = |least: u32| {
            invalid(&format!(
                "New SetDesiredCapacity value {desired} is below min value {least} for the AutoScalingGroup."
            ))
        };
        let wanted = u32::try_from(desired).ok().filter(|desired| *desired >= group.min);
        let wanted = wanted.ok_or_else(|| below(group.min))?;
        if call.honor_cooldown && clockwork.now_ms < group.cools_until_ms {
            return Err(ErrorCode::ScalingActivityInProgress
                .with(format!("Scaling activity is in progress and blocks this action: {name} cools down")));
        }
        group.set_desired(wanted, clockwork);
        Ok(Answer::CapacitySet)
    }

    pub(super) fn terminate_instance(
        &mut self,
        place: Place<'_>,
        call: &TerminateInstanceInAutoScalingGroup,
    ) -> Result<Answer, Error> {
        let given = &call.instance_id;
        let not_found =
            || invalid(&format!("Instance Id not found - No managed instance found for instance ID: {given}"));
        let id = InstanceId::read(given).ok_or_else(not_found)?;
        let name = self.group_of(place, id).ok_or_else(not_found)?.name.to_string();
        let (group, clockwork) = self.group_mut(place, &name).ok_or_else(not_found)?;
        if call.should_decrement_desired_capacity {
            if group.desired <= group.min {
                let least = group.min;
                return Err(invalid(&format!(
                    "Currently, desiredSize equals minSize ({least}). Terminating instance without replacement will \
                     violate group's min size constraint. Either set shouldDecrementDesiredCapacity flag to false or \
                     lower group's min size."
                )));
            }
            group.set_desired(group.desired - 1, clockwork);
        }
        group.terminate(id, clockwork);
        Ok(Answer::Terminating(asg::Activity {
            activity_id: format!("{:032x}", clockwork.random.next_u128()),
            auto_scaling_group_name: name,
            description: format!("Terminating EC2 instance: {given}"),
            cause: "instance was taken out of service in response to a user request.".into(),
            start_time: clockwork.now_ms,
            status_code: "InProgress",
        }))
    }

    pub(super) fn start_refresh(&mut self, place: Place<'_>, call: &StartInstanceRefresh) -> Result<Answer, Error> {
        let name = &call.auto_scaling_group_name;
        let (group, clockwork) = self.group_mut(place, name).ok_or_else(|| group_not_found(name))?;
        let percent = call.min_healthy_percentage.map(|percent| {
            let percent = u32::try_from(percent).ok().filter(|percent| *percent <= 100);
            percent.ok_or_else(|| invalid("MinHealthyPercentage must be between 0 and 100."))
        });
        if group.is_refreshing() {
            return Err(ErrorCode::InstanceRefreshInProgress.with(format!(
                "An Instance Refresh is already in progress and blocks the execution of this Instance Refresh: {name}"
            )));
        }
        Ok(Answer::RefreshStarted(group.start_refresh(percent.transpose()?, clockwork)))
    }

    pub(super) fn describe_refreshes(
        &self,
        place: Place<'_>,
        call: &DescribeInstanceRefreshes,
    ) -> Result<Answer, Error> {
        let name = &call.auto_scaling_group_name;
        let group = self.group(place, name).ok_or_else(|| group_not_found(name))?;
        let most = match call.max_records {
            None => 50,
            Some(most @ 1..=100) => usize::try_from(most).unwrap_or(limits::REFRESHES_PER_GROUP),
            Some(_) => return Err(invalid("MaxRecords must be between 1 and 100.")),
        };
        Ok(Answer::Refreshes(asg::Refreshes { refreshes: group.show_refreshes(most) }))
    }
}

fn invalid(message: &str) -> Error {
    ErrorCode::ValidationError.with(message)
}

fn group_not_found(name: &str) -> Error {
    invalid(&format!("AutoScalingGroup name not found - AutoScalingGroup '{name}' not found"))
}
