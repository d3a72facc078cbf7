//! What AWS answers: the shapes of the services' answers, and their errors.
//!
//! Field names and times of ECS's are those of AWS's wire (JSON 1.1, times as seconds since 1970 with a fraction), so
//! serialising such an answer is the wire's body. How it gets onto a wire is not known here.

pub mod asg;

use serde::{Serialize, Serializer};

/// The answer of an operation that succeeded.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Answer {
    /// Of `DescribeServices`.
    Services(Services),
    /// Of `UpdateService`.
    Updated(Updated),
    /// Of `ListTasks`.
    TaskArns(TaskArns),
    /// Of `DescribeTasks`.
    Tasks(Tasks),
    /// Of `StopTask`.
    Stopping(Stopping),
    /// Of `DescribeAutoScalingGroups`.
    Groups(asg::Groups),
    /// Of `SetDesiredCapacity`, which says nothing.
    CapacitySet,
    /// Of `TerminateInstanceInAutoScalingGroup`.
    Terminating(asg::Activity),
    /// Of `StartInstanceRefresh`: the refresh's id.
    RefreshStarted(String),
    /// Of `DescribeInstanceRefreshes`.
    Refreshes(asg::Refreshes),
    /// Of `GetCallerIdentity`.
    Identity(Identity),
}

/// Services, in the order asked for, and what was not found.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[expect(missing_docs, reason = "AWS's fields of the same names")]
pub struct Services {
    pub services: Vec<Service>,
    pub failures: Vec<Failure>,
}

/// The service after an update.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[expect(missing_docs, reason = "AWS's field of the same name")]
pub struct Updated {
    pub service: Service,
}

/// A page of tasks.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "AWS's fields of the same names")]
pub struct TaskArns {
    pub task_arns: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_token: Option<String>,
}

/// Tasks, in the order asked for, and what was not found.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[expect(missing_docs, reason = "AWS's fields of the same names")]
pub struct Tasks {
    pub tasks: Vec<Task>,
    pub failures: Vec<Failure>,
}

/// The task that was told to stop.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[expect(missing_docs, reason = "AWS's field of the same name")]
pub struct Stopping {
    pub task: Task,
}

/// Whose credentials they are.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
#[expect(missing_docs, reason = "AWS's fields of the same names")]
pub struct Identity {
    pub account: String,
    pub arn: String,
    pub user_id: String,
}

/// A service (Amazon ECS API Reference, `Service`), as far as the model goes.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "AWS's fields of the same names")]
pub struct Service {
    pub service_arn: String,
    pub service_name: String,
    pub cluster_arn: String,
    /// `ACTIVE`, `DRAINING` or `INACTIVE`.
    pub status: &'static str,
    pub desired_count: u32,
    pub running_count: u32,
    pub pending_count: u32,
    pub task_definition: String,
    pub deployment_configuration: DeploymentConfiguration,
    /// Newest first.
    pub deployments: Vec<Deployment>,
    #[serde(serialize_with = "seconds")]
    pub created_at: u64,
    /// `None` unless tags were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tags: Option<Vec<Tag>>,
}

/// How far a rollout may go over and under the desired count. The same for every service here.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "AWS's fields of the same names")]
pub struct DeploymentConfiguration {
    pub maximum_percent: u32,
    pub minimum_healthy_percent: u32,
}

/// One rollout of a service (Amazon ECS API Reference, `Deployment`).
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "AWS's fields of the same names")]
pub struct Deployment {
    pub id: String,
    /// `PRIMARY` or `ACTIVE`.
    pub status: &'static str,
    pub task_definition: String,
    pub desired_count: u32,
    pub pending_count: u32,
    pub running_count: u32,
    pub failed_tasks: u32,
    #[serde(serialize_with = "seconds")]
    pub created_at: u64,
    #[serde(serialize_with = "seconds")]
    pub updated_at: u64,
    /// `IN_PROGRESS` or `COMPLETED`.
    pub rollout_state: &'static str,
    pub rollout_state_reason: String,
}

/// A task (Amazon ECS API Reference, `Task`), as far as the model goes. Times are milliseconds since 1970 here.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "AWS's fields of the same names")]
pub struct Task {
    pub task_arn: String,
    pub cluster_arn: String,
    pub task_definition_arn: String,
    pub group: String,
    pub started_by: String,
    pub last_status: &'static str,
    pub desired_status: &'static str,
    pub health_status: Health,
    pub version: u32,
    #[serde(serialize_with = "seconds")]
    pub created_at: u64,
    #[serde(serialize_with = "some_seconds", skip_serializing_if = "Option::is_none")]
    pub started_at: Option<u64>,
    #[serde(serialize_with = "some_seconds", skip_serializing_if = "Option::is_none")]
    pub stopping_at: Option<u64>,
    #[serde(serialize_with = "some_seconds", skip_serializing_if = "Option::is_none")]
    pub stopped_at: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stopped_reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_code: Option<&'static str>,
}

impl Task {
    /// The last part of the task's ARN: 32 hexadecimal digits.
    pub fn id(&self) -> &str {
        self.task_arn.rsplit('/').next().unwrap_or_default()
    }
}

/// What a task's health checks say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, serde::Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Health {
    /// They pass.
    Healthy,
    /// They fail.
    Unhealthy,
    /// There are none, or none has ended yet.
    Unknown,
}

/// A tag.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[expect(missing_docs, reason = "AWS's fields of the same names")]
pub struct Tag {
    pub key: String,
    pub value: String,
}

/// Something asked for that is not there.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[expect(missing_docs, reason = "AWS's fields of the same names")]
pub struct Failure {
    pub arn: String,
    /// `MISSING`.
    pub reason: &'static str,
}

/// An answer that says no.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code:?}: {message}")]
pub struct Error {
    /// Which kind.
    pub code: ErrorCode,
    /// In AWS's words, or what comes near.
    pub message: String,
}

/// Kinds of errors, as far as the model answers them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum ErrorCode {
    /// There is no such cluster.
    ClusterNotFoundException,
    /// There is no such service.
    ServiceNotFoundException,
    /// The service is being deleted, or was.
    ServiceNotActiveException,
    /// A parameter cannot be.
    InvalidParameterException,
    /// Auto Scaling: a parameter cannot be, or what it names is not there.
    ValidationError,
    /// Auto Scaling: the group cools down from its last change. Nothing was done.
    ScalingActivityInProgress,
    /// Auto Scaling: a refresh is under way already. Nothing was done.
    InstanceRefreshInProgress,
    /// Too many calls: nothing was done.
    ThrottlingException,
    /// The credentials do not permit it: nothing was done.
    AccessDeniedException,
    /// The service failed. Whether anything was done, it does not say.
    ServerException,
}

impl ErrorCode {
    /// The HTTP status of ECS's answer (the error traits of its model): 500 for `ServerException`, else 400.
    pub fn status(self) -> u16 {
        if self == Self::ServerException { 500 } else { 400 }
    }

    pub(crate) fn with(self, message: impl Into<String>) -> Error {
        Error { code: self, message: message.into() }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn seconds<S: Serializer>(ms: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(*ms as f64 / 1000.0)
}

fn some_seconds<S: Serializer>(ms: &Option<u64>, serializer: S) -> Result<S::Ok, S::Error> {
    match ms {
        Some(ms) => seconds(ms, serializer),
        None => serializer.serialize_none(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_seconds_with_a_fraction_on_the_wire() {
        let failure = Deployment {
            id: "ecs-svc/1".into(),
            status: "PRIMARY",
            task_definition: String::new(),
            desired_count: 1,
            pending_count: 0,
            running_count: 1,
            failed_tasks: 0,
            created_at: 1_700_000_000_123,
            updated_at: 0,
            rollout_state: "COMPLETED",
            rollout_state_reason: String::new(),
        };
        let json = serde_json::to_value(failure).expect("JSON");
        assert_eq!(json["createdAt"].to_string(), "1700000000.123");
        assert_eq!(json["desiredCount"], 1);
    }
}
