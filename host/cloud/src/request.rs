//! What a caller asks of the cloud: who, where, and one operation with its parameters.
//!
//! Parameters are named as on AWS's wire, so the same types read the wire and fill the call log. What they are not:
//! valid. The world judges them, as AWS does.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One call, as it arrives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The account that the credentials belong to: twelve digits.
    pub account: String,
    /// The region whose endpoint is called.
    pub region: String,
    /// A free token of the caller, empty when it names itself by none. Over HTTP it is the SDK's application name.
    pub caller: String,
    /// What is asked.
    pub operation: Operation,
}

/// An operation with its parameters. Clusters, services and tasks are given by name or ARN; no cluster means `default`.
/// Groups are given by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Operation {
    /// ECS: services as they are now.
    DescribeServices(DescribeServices),
    /// ECS: change how many tasks a service runs, or roll it.
    UpdateService(UpdateService),
    /// ECS: the tasks of a cluster or service, by ARN.
    ListTasks(ListTasks),
    /// ECS: tasks as they are now.
    DescribeTasks(DescribeTasks),
    /// ECS: stop one task.
    StopTask(StopTask),
    /// Auto Scaling: groups as they are now.
    DescribeAutoScalingGroups(DescribeAutoScalingGroups),
    /// Auto Scaling: change how many instances a group has.
    SetDesiredCapacity(SetDesiredCapacity),
    /// Auto Scaling: terminate one instance of a group.
    TerminateInstanceInAutoScalingGroup(TerminateInstanceInAutoScalingGroup),
    /// Auto Scaling: replace all instances of a group, some at a time.
    StartInstanceRefresh(StartInstanceRefresh),
    /// Auto Scaling: the refreshes of a group.
    DescribeInstanceRefreshes(DescribeInstanceRefreshes),
    /// STS: whose credentials are these.
    GetCallerIdentity(GetCallerIdentity),
}

/// The name of an operation, as AWS writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[expect(missing_docs, reason = "each is the operation of that name")]
pub enum OperationName {
    DescribeServices,
    UpdateService,
    ListTasks,
    DescribeTasks,
    StopTask,
    DescribeAutoScalingGroups,
    SetDesiredCapacity,
    TerminateInstanceInAutoScalingGroup,
    StartInstanceRefresh,
    DescribeInstanceRefreshes,
    GetCallerIdentity,
}

impl Operation {
    /// Which operation this is.
    pub fn name(&self) -> OperationName {
        match self {
            Self::DescribeServices(_) => OperationName::DescribeServices,
            Self::UpdateService(_) => OperationName::UpdateService,
            Self::ListTasks(_) => OperationName::ListTasks,
            Self::DescribeTasks(_) => OperationName::DescribeTasks,
            Self::StopTask(_) => OperationName::StopTask,
            Self::DescribeAutoScalingGroups(_) => OperationName::DescribeAutoScalingGroups,
            Self::SetDesiredCapacity(_) => OperationName::SetDesiredCapacity,
            Self::TerminateInstanceInAutoScalingGroup(_) => OperationName::TerminateInstanceInAutoScalingGroup,
            Self::StartInstanceRefresh(_) => OperationName::StartInstanceRefresh,
            Self::DescribeInstanceRefreshes(_) => OperationName::DescribeInstanceRefreshes,
            Self::GetCallerIdentity(_) => OperationName::GetCallerIdentity,
        }
    }
}

impl OperationName {
    /// Whether it changes anything when it succeeds.
    pub fn changes_the_world(self) -> bool {
        matches!(
            self,
            Self::UpdateService
                | Self::StopTask
                | Self::SetDesiredCapacity
                | Self::TerminateInstanceInAutoScalingGroup
                | Self::StartInstanceRefresh
        )
    }

    /// The service of AWS that it belongs to, as permissions name it.
    pub fn service(self) -> &'static str {
        match self {
            Self::DescribeServices | Self::UpdateService | Self::ListTasks | Self::DescribeTasks | Self::StopTask => {
                "ecs"
            }
            Self::DescribeAutoScalingGroups
            | Self::SetDesiredCapacity
            | Self::TerminateInstanceInAutoScalingGroup
            | Self::StartInstanceRefresh
            | Self::DescribeInstanceRefreshes => "autoscaling",
            Self::GetCallerIdentity => "sts",
        }
    }
}

impl fmt::Display for OperationName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// Parameters of `DescribeServices`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DescribeServices {
    /// The services' cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// The services, one to ten.
    #[serde(default)]
    pub services: Vec<String>,
    /// What to show beside them: `TAGS`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub include: Vec<String>,
}

/// Parameters of `UpdateService`. What is `None` stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UpdateService {
    /// The service's cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// The service.
    #[serde(default)]
    pub service: String,
    /// How many tasks it shall run. A number below zero is AWS's to refuse.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub desired_count: Option<i64>,
    /// Whether to replace all tasks although nothing else changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub force_new_deployment: Option<bool>,
    /// The task definition of new tasks: `family:revision` or an ARN.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_definition: Option<String>,
}

/// Parameters of `ListTasks`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ListTasks {
    /// The tasks' cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// Only tasks of this service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_name: Option<String>,
    /// Only tasks with this desired status; `RUNNING` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub desired_status: Option<String>,
    /// The page to continue with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_token: Option<String>,
    /// Tasks of a page, 1 to 100; 100 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_results: Option<i64>,
}

/// Parameters of `DescribeTasks`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DescribeTasks {
    /// The tasks' cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// The tasks, one to a hundred.
    #[serde(default)]
    pub tasks: Vec<String>,
}

/// Parameters of `StopTask`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StopTask {
    /// The task's cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// The task.
    #[serde(default)]
    pub task: String,
    /// Why; shown as the task's stopped reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Parameters of `DescribeAutoScalingGroups`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct DescribeAutoScalingGroups {
    /// The groups; all when empty.
    pub auto_scaling_group_names: Vec<String>,
}

/// Parameters of `SetDesiredCapacity`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct SetDesiredCapacity {
    /// The group.
    pub auto_scaling_group_name: String,
    /// How many instances it shall have.
    pub desired_capacity: i64,
    /// Whether to refuse while the group cools down from its last change.
    pub honor_cooldown: bool,
}

/// Parameters of `TerminateInstanceInAutoScalingGroup`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct TerminateInstanceInAutoScalingGroup {
    /// The instance.
    pub instance_id: String,
    /// Whether the group shall have one instance less; otherwise another is launched.
    pub should_decrement_desired_capacity: bool,
}

/// Parameters of `StartInstanceRefresh`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct StartInstanceRefresh {
    /// The group.
    pub auto_scaling_group_name: String,
    /// The share of the desired number that stays in service and healthy, in per cent; 90 when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_healthy_percentage: Option<i64>,
}

/// Parameters of `DescribeInstanceRefreshes`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct DescribeInstanceRefreshes {
    /// The group.
    pub auto_scaling_group_name: String,
    /// The most that are shown, 1 to 100; 50 when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_records: Option<i64>,
}

/// `GetCallerIdentity` has no parameters.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GetCallerIdentity {}
