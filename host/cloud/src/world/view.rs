//! How the world shows itself: services and tasks in AWS's words.

use super::{
    schedule::{MAXIMUM_PERCENT, MINIMUM_HEALTHY_PERCENT},
    service::{Count, Deployment, Service, Status},
    task::Task,
};
use crate::{answer, name::Place};

/// Whether an answer shows tags.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Tags {
    Shown,
    Left,
}

impl Status {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Active => "ACTIVE",
            Self::Draining => "DRAINING",
            Self::Inactive => "INACTIVE",
        }
    }
}

impl Deployment {
    pub(super) fn id(&self) -> String {
        format!("ecs-svc/{:019}", self.number)
    }
}

impl Service {
    pub(super) fn place(&self) -> Place<'_> {
        Place { account: &self.account, region: &self.region }
    }

    pub(super) fn cluster_arn(&self) -> String {
        self.place().arn(format_args!("cluster/{}", self.cluster))
    }

    /// The id of the newest deployment.
    pub(super) fn newest(&self) -> String {
        self.deployments.first().map(Deployment::id).unwrap_or_default()
    }

    pub(super) fn show(&self, tags: Tags) -> answer::Service {
        let counts = self.count();
        let tags = (tags == Tags::Shown).then(|| {
            let tag = |(key, value): (&String, &String)| answer::Tag { key: key.clone(), value: value.clone() };
            self.tags.iter().map(tag).collect()
        });
        answer::Service {
            service_arn: self.place().arn(format_args!("service/{}/{}", self.cluster, self.name)),
            service_name: self.name.to_string(),
            cluster_arn: self.cluster_arn(),
            status: self.status.as_str(),
            desired_count: self.desired,
            running_count: counts.iter().map(|count| count.running).sum(),
            pending_count: counts.iter().map(|count| count.pending).sum(),
            task_definition: self
                .deployments
                .first()
                .map(|newest| newest.task_definition.to_string())
                .unwrap_or_default(),
            deployment_configuration: answer::DeploymentConfiguration {
                maximum_percent: MAXIMUM_PERCENT,
                minimum_healthy_percent: MINIMUM_HEALTHY_PERCENT,
            },
            deployments: self.show_deployments(&counts),
            created_at: self.created_ms,
            tags,
        }
    }

    fn show_deployments(&self, counts: &[Count]) -> Vec<answer::Deployment> {
        // AWS lists no deployment of a service that is gone.
        if self.status == Status::Inactive {
            return Vec::new();
        }
        let show = |(place, deployment): (usize, &Deployment)| {
            let count = counts.get(place).copied().unwrap_or_default();
            let id = deployment.id();
            let (rollout_state, word) =
                if deployment.completed { ("COMPLETED", "completed") } else { ("IN_PROGRESS", "in progress") };
            answer::Deployment {
                status: if place == 0 { "PRIMARY" } else { "ACTIVE" },
                task_definition: deployment.task_definition.to_string(),
                desired_count: if place == 0 { self.desired } else { deployment.target },
                pending_count: count.pending,
                running_count: count.running,
                failed_tasks: deployment.failed,
                created_at: deployment.created_ms,
                updated_at: deployment.updated_ms,
                rollout_state,
                rollout_state_reason: format!("ECS deployment {id} {word}."),
                id,
            }
        };
        self.deployments.iter().enumerate().map(show).collect()
    }

    pub(super) fn task_arn(&self, task: &Task) -> String {
        self.place().arn(format_args!("task/{}/{}", self.cluster, task.id))
    }

    pub(super) fn show_task(&self, task: &Task) -> answer::Task {
        answer::Task {
            task_arn: self.task_arn(task),
            cluster_arn: self.cluster_arn(),
            task_definition_arn: task.task_definition.to_string(),
            group: format!("service:{}", self.name),
            started_by: format!("ecs-svc/{:019}", task.deployment),
            last_status: task.phase.as_str(),
            desired_status: task.wanted.as_str(),
            health_status: task.health,
            version: task.version,
            created_at: task.created_ms,
            started_at: task.started_ms,
            stopping_at: task.stopping_ms,
            stopped_at: task.stopped_ms,
            stopped_reason: task.stop.as_ref().map(|stop| stop.reason.clone()),
            stop_code: task.stop.as_ref().map(|stop| stop.code),
        }
    }
}
