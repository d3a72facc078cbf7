//! Auto Scaling's operations on the wire.

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Response, StatusCode};

use super::{
    aws::Malformed,
    query::{self, Form, Service, element, list, time},
};
use crate::{
    answer::{Answer, asg},
    request::{
        DescribeAutoScalingGroups, DescribeInstanceRefreshes, Operation, SetDesiredCapacity, StartInstanceRefresh,
        TerminateInstanceInAutoScalingGroup,
    },
};

const VERSION: &str = "2011-01-01";

pub(super) fn operation(body: &[u8]) -> Result<Operation, Malformed> {
    let form = Form::read(body)?;
    let unknown = |what: &str| Malformed {
        code: "InvalidAction",
        message: format!("no such operation of autoscaling is modelled here: {what}"),
    };
    if form.get("Version") != Some(VERSION) {
        return Err(unknown("it is of another version"));
    }
    let group = || needed(&form, "AutoScalingGroupName").map(str::to_owned);
    Ok(match form.get("Action").unwrap_or_default() {
        "DescribeAutoScalingGroups" => Operation::DescribeAutoScalingGroups(DescribeAutoScalingGroups {
            auto_scaling_group_names: form.list("AutoScalingGroupNames"),
        }),
        "SetDesiredCapacity" => Operation::SetDesiredCapacity(SetDesiredCapacity {
            auto_scaling_group_name: group()?,
            desired_capacity: form.parsed("DesiredCapacity")?.ok_or_else(|| missing("DesiredCapacity"))?,
            honor_cooldown: form.parsed("HonorCooldown")?.unwrap_or(false),
        }),
        "TerminateInstanceInAutoScalingGroup" => {
            let decrement = "ShouldDecrementDesiredCapacity";
            Operation::TerminateInstanceInAutoScalingGroup(TerminateInstanceInAutoScalingGroup {
                instance_id: needed(&form, "InstanceId")?.to_owned(),
                should_decrement_desired_capacity: form.parsed(decrement)?.ok_or_else(|| missing(decrement))?,
            })
        }
        "StartInstanceRefresh" => Operation::StartInstanceRefresh(StartInstanceRefresh {
            auto_scaling_group_name: group()?,
            min_healthy_percentage: form.parsed("Preferences.MinHealthyPercentage")?,
        }),
        "DescribeInstanceRefreshes" => Operation::DescribeInstanceRefreshes(DescribeInstanceRefreshes {
            auto_scaling_group_name: group()?,
            max_records: form.parsed("MaxRecords")?,
        }),
        other => return Err(unknown(other)),
    })
}

fn needed<'f>(form: &'f Form, name: &str) -> Result<&'f str, Malformed> {
    form.get(name).ok_or_else(|| missing(name))
}

fn missing(name: &str) -> Malformed {
    Malformed { code: "ValidationError", message: format!("{name} is missing") }
}

pub(super) fn answered(answer: &Answer, id: &str) -> Response<Full<Bytes>> {
    let (action, result) = match answer {
        Answer::Groups(found) => ("DescribeAutoScalingGroups", groups(found)),
        Answer::CapacitySet => ("SetDesiredCapacity", String::new()),
        Answer::Terminating(activity) => ("TerminateInstanceInAutoScalingGroup", terminating(activity)),
        Answer::RefreshStarted(refresh) => ("StartInstanceRefresh", element("InstanceRefreshId", refresh)),
        Answer::Refreshes(found) => ("DescribeInstanceRefreshes", refreshes(found)),
        Answer::Services(_)
        | Answer::Updated(_)
        | Answer::TaskArns(_)
        | Answer::Tasks(_)
        | Answer::Stopping(_)
        | Answer::Identity(_) => {
            let (status, what) = (StatusCode::INTERNAL_SERVER_ERROR, "not an answer of Auto Scaling");
            return query::error(Service::AutoScaling, status, "InternalFailure", what, id);
        }
    };
    // What says nothing has no result at all.
    let result = if result.is_empty() { result } else { format!("<{action}Result>{result}</{action}Result>") };
    query::answered(Service::AutoScaling, action, &result, id)
}

fn groups(found: &asg::Groups) -> String {
    list("AutoScalingGroups", found.groups.iter().map(group))
}

fn group(group: &asg::Group) -> String {
    let name = &group.auto_scaling_group_name;
    let process = |process: &String| element("ProcessName", process) + &element("SuspensionReason", "User suspended");
    let tag = |tag: &crate::answer::Tag| {
        let of = element("ResourceId", name) + &element("ResourceType", "auto-scaling-group");
        of + &element("Key", &tag.key) + &element("Value", &tag.value) + &element("PropagateAtLaunch", true)
    };
    [
        element("AutoScalingGroupName", name),
        element("AutoScalingGroupARN", &group.auto_scaling_group_arn),
        element("MinSize", group.min_size),
        element("MaxSize", group.max_size),
        element("DesiredCapacity", group.desired_capacity),
        element("DefaultCooldown", group.default_cooldown),
        element("HealthCheckType", "EC2"),
        element("HealthCheckGracePeriod", 0),
        element("CreatedTime", time(group.created_time)),
        list("Instances", group.instances.iter().map(instance)),
        list("SuspendedProcesses", group.suspended_processes.iter().map(process)),
        list("Tags", group.tags.iter().map(tag)),
        element("NewInstancesProtectedFromScaleIn", false),
    ]
    .concat()
}

fn instance(instance: &asg::Instance) -> String {
    [
        element("InstanceId", &instance.instance_id),
        element("AvailabilityZone", &instance.availability_zone),
        element("LifecycleState", instance.lifecycle_state),
        element("HealthStatus", instance.health_status),
        element("ProtectedFromScaleIn", instance.protected_from_scale_in),
    ]
    .concat()
}

fn terminating(activity: &asg::Activity) -> String {
    let fields = [
        element("ActivityId", &activity.activity_id),
        element("AutoScalingGroupName", &activity.auto_scaling_group_name),
        element("Description", &activity.description),
        element("Cause", &activity.cause),
        element("StartTime", time(activity.start_time)),
        element("StatusCode", activity.status_code),
        element("Progress", 0),
    ];
    format!("<Activity>{}</Activity>", fields.concat())
}

fn refreshes(found: &asg::Refreshes) -> String {
    let refresh = |refresh: &asg::Refresh| {
        [
            element("InstanceRefreshId", &refresh.instance_refresh_id),
            element("AutoScalingGroupName", &refresh.auto_scaling_group_name),
            element("Status", refresh.status),
            refresh.start_time.map(|ms| element("StartTime", time(ms))).unwrap_or_default(),
            refresh.end_time.map(|ms| element("EndTime", time(ms))).unwrap_or_default(),
            element("PercentageComplete", refresh.percentage_complete),
            element("InstancesToUpdate", refresh.instances_to_update),
        ]
        .concat()
    };
    list("InstanceRefreshes", found.refreshes.iter().map(refresh))
}
