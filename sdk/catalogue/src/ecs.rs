//! Amazon ECS: services and their tasks.
//!
//! Field names follow the API's (`DescribeServices`, `DescribeTasks` of the Amazon ECS API Reference), shortened where
//! the context says the rest. Times are milliseconds since 1970.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Action, Query};

/// Run this many tasks of the service.
///
/// Verified when the service runs exactly that many, none is pending, and one deployment is left. Its inverse sets the
/// number that was found before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct ScaleService {
    /// How many tasks there shall be: absolute, never a difference.
    pub desired: u32,
}

impl Action for ScaleService {
    const NAME: &'static str = "ecs:scale-service";
}

/// Replace all tasks of the service by new ones of the same task definition (`forceNewDeployment`).
///
/// Verified when a deployment that began after the attempt is the only one and runs all its tasks. It has no inverse.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct RedeployService {}

impl Action for RedeployService {
    const NAME: &'static str = "ecs:redeploy-service";
}

/// Stop one task of the service; the service starts another in its place.
///
/// Verified when that task has stopped and the service runs all its tasks again. It has no inverse.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct StopTask {
    /// The task's id: the last part of its ARN.
    pub task: String,
}

impl Action for StopTask {
    const NAME: &'static str = "ecs:stop-task";
}

/// Ask for a service as it is now. No parameters.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct ServiceQuery {}

impl Query for ServiceQuery {
    const NAME: &'static str = "ecs:service";
    type Answer = Service;
}

/// Ask for the tasks of a service, running and recently stopped. No parameters.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct TasksQuery {}

impl Query for TasksQuery {
    const NAME: &'static str = "ecs:tasks";
    type Answer = Tasks;
}

/// A service, as `DescribeServices` shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct Service {
    /// `ACTIVE`, `DRAINING` or `INACTIVE`.
    pub status: String,
    /// Tasks that there shall be.
    pub desired: u32,
    /// Tasks in state RUNNING.
    pub running: u32,
    /// Tasks on their way to RUNNING.
    pub pending: u32,
    /// The ARN of the task definition that new tasks use.
    pub task_definition: String,
    /// Rollouts under way and the one in place, newest first. One when the service is steady.
    pub deployments: Vec<Deployment>,
    /// The share of the desired tasks that ECS keeps running while it replaces them (`minimumHealthyPercent` of the
    /// deployment configuration), in per cent; absent where it was not read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_healthy_percent: Option<u32>,
    /// The service's tags.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
}

/// One rollout of a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct Deployment {
    /// `ecs-svc/…`
    pub id: String,
    /// `PRIMARY` (the newest), `ACTIVE` (being replaced) or `INACTIVE`.
    pub status: String,
    /// Tasks that it shall run.
    pub desired: u32,
    /// Its running tasks.
    pub running: u32,
    /// Its pending tasks.
    pub pending: u32,
    /// Its tasks that failed to start.
    pub failed: u32,
    /// When it began, in milliseconds since 1970.
    pub created_at: u64,
    /// `IN_PROGRESS`, `COMPLETED` or `FAILED`; empty where ECS does not say.
    #[serde(default)]
    pub rollout_state: String,
}

/// The tasks of a service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct Tasks {
    /// Running tasks and those that stopped within the hour that ECS remembers them, sorted by id. At most 100.
    pub tasks: Vec<Task>,
}

/// One task, as `DescribeTasks` shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct Task {
    /// The last part of its ARN.
    pub id: String,
    /// Where it is in its life: `PROVISIONING`, `PENDING`, `RUNNING`, `DEACTIVATING`, `STOPPING`, `STOPPED`, …
    pub last_status: String,
    /// Where it shall go: `RUNNING` or `STOPPED`.
    pub desired_status: String,
    /// `HEALTHY`, `UNHEALTHY` or `UNKNOWN` (no health check).
    pub health: String,
    /// When it was created, in milliseconds since 1970.
    pub created_at: u64,
    /// Why it stopped, in ECS's words; empty while it runs.
    #[serde(default)]
    pub stopped_reason: String,
}
