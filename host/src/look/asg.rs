//! Reading Auto Scaling: `DescribeAutoScalingGroups`, `DescribeInstanceRefreshes`.

use aws_sdk_autoscaling::{Client, error::DisplayErrorContext, types};
use balm_catalogue::asg::{Group, Instance, Refresh};
use balm_core::{caps, look::Reading};

use super::{count, millis};

/// Refreshes that are read, the newest: there is one at a time, so one that began since the last look is among them.
const REFRESHES: i32 = 10;

pub(super) async fn read(client: &Client, name: &str) -> Result<Reading, String> {
    // At the same time: no action needs one without the other, and neither tells the time of the other.
    let (described, refreshes) = tokio::join!(group(client, name), refreshes(client, name));
    Ok(Reading::AsgGroup { group: Group { refreshes: refreshes?, ..described? } })
}

async fn group(client: &Client, name: &str) -> Result<Group, String> {
    let asked = client.describe_auto_scaling_groups().auto_scaling_group_names(name).send().await;
    let answer = asked.map_err(|error| format!("DescribeAutoScalingGroups: {}", DisplayErrorContext(&error)))?;
    match answer.auto_scaling_groups() {
        // AWS compares names as they are; a group that is another's is a mistake of whatever answered.
        [group] if group.auto_scaling_group_name() == Some(name) => convert(group),
        [] => Err(format!("there is no Auto Scaling group {name}")),
        groups => Err(format!("DescribeAutoScalingGroups of {name} answered with {} other groups", groups.len())),
    }
}

fn convert(group: &types::AutoScalingGroup) -> Result<Group, String> {
    let instances = group.instances();
    if u32::try_from(instances.len()).is_ok_and(|found| found > caps::INSTANCES) {
        return Err(format!("it has {} instances; groups of up to {} are read", instances.len(), caps::INSTANCES));
    }
    // Then the desired number is no number of instances, and nothing here would mean what it says.
    let weighs = |instance: &types::Instance| instance.weighted_capacity().is_some();
    if group.desired_capacity_type().is_some_and(|unit| unit != "units") || instances.iter().any(weighs) {
        return Err(
            "its capacity is counted in weights, vCPUs or memory; only groups counted in instances are read".into()
        );
    }
    let mut instances: Vec<Instance> = instances.iter().map(convert_instance).collect();
    instances.sort_by(|a, b| a.id.cmp(&b.id));
    let mut suspended: Vec<String> =
        group.suspended_processes().iter().filter_map(|process| process.process_name()).map(str::to_owned).collect();
    suspended.sort();
    let tag = |tag: &types::TagDescription| Some((tag.key()?.to_owned(), tag.value().unwrap_or_default().to_owned()));
    Ok(Group {
        status: group.status().unwrap_or_default().into(),
        desired: needed("DesiredCapacity", group.desired_capacity())?,
        min: needed("MinSize", group.min_size())?,
        max: needed("MaxSize", group.max_size())?,
        instances,
        refreshes: Vec::new(),
        suspended,
        tags: group.tags().iter().filter_map(tag).collect(),
    })
}

fn convert_instance(instance: &types::Instance) -> Instance {
    Instance {
        id: instance.instance_id().unwrap_or_default().into(),
        lifecycle_state: instance.lifecycle_state().map_or("", |state| state.as_str()).into(),
        health_status: instance.health_status().unwrap_or_default().into(),
        protected: instance.protected_from_scale_in().unwrap_or_default(),
    }
}

async fn refreshes(client: &Client, name: &str) -> Result<Vec<Refresh>, String> {
    let asked = client.describe_instance_refreshes().auto_scaling_group_name(name).max_records(REFRESHES).send().await;
    let answer = asked.map_err(|error| format!("DescribeInstanceRefreshes: {}", DisplayErrorContext(&error)))?;
    // AWS sorts them by creation, newest first (API Reference, `DescribeInstanceRefreshes`).
    answer.instance_refreshes().iter().map(convert_refresh).collect()
}

fn convert_refresh(refresh: &types::InstanceRefresh) -> Result<Refresh, String> {
    Ok(Refresh {
        id: refresh.instance_refresh_id().unwrap_or_default().into(),
        status: refresh.status().map_or("", |status| status.as_str()).into(),
        started_at: millis(refresh.start_time()),
        percentage_complete: count("PercentageComplete", refresh.percentage_complete().unwrap_or_default())?,
    })
}

fn needed(what: &str, number: Option<i32>) -> Result<u32, String> {
    count(what, number.ok_or_else(|| format!("AWS does not say what {what} is"))?)
}
