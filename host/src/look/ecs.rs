//! Reading ECS: `DescribeServices`, `ListTasks`, `DescribeTasks`.

use std::collections::BTreeMap;

use aws_sdk_ecs::{
    Client,
    error::DisplayErrorContext,
    types::{self, DesiredStatus, ServiceField, TaskField},
};
use balm_catalogue::ecs::{Deployment, Service, Task};
use balm_core::look::Reading;

use super::{Detail, count, millis};

/// `DescribeTasks` takes at most so many (Amazon ECS API Reference).
const TASKS_MOST: usize = 100;

pub(super) async fn read(client: &Client, cluster: &str, name: &str, detail: Detail) -> Result<Reading, String> {
    let service = service(client, cluster, name).await?;
    let tasks = match detail {
        Detail::Alone => Vec::new(),
        Detail::Tasks => tasks(client, cluster, name).await?,
    };
    Ok(Reading::EcsService { service, tasks })
}

async fn service(client: &Client, cluster: &str, name: &str) -> Result<Service, String> {
    let asked = client.describe_services().cluster(cluster).services(name).include(ServiceField::Tags).send().await;
    let answer = asked.map_err(|error| format!("DescribeServices: {}", DisplayErrorContext(&error)))?;
    match (answer.services(), answer.failures()) {
        ([service], _) => convert_service(service),
        (_, [failure, ..]) => {
            let reason = failure.reason().unwrap_or("no reason given");
            Err(format!("service {name} in cluster {cluster} cannot be read: {reason}"))
        }
        (services, []) => Err(format!("DescribeServices of one service answered with {}", services.len())),
    }
}

fn convert_service(service: &types::Service) -> Result<Service, String> {
    let deployment = |deployment: &types::Deployment| {
        Ok::<_, String>(Deployment {
            id: deployment.id().unwrap_or_default().into(),
            status: deployment.status().unwrap_or_default().into(),
            desired: count("a deployment's desiredCount", deployment.desired_count())?,
            running: count("a deployment's runningCount", deployment.running_count())?,
            pending: count("a deployment's pendingCount", deployment.pending_count())?,
            failed: count("a deployment's failedTasks", deployment.failed_tasks())?,
            created_at: millis(deployment.created_at()),
            rollout_state: deployment.rollout_state().map_or_else(String::new, |state| state.as_str().into()),
        })
    };
    let kept = service.deployment_configuration().and_then(types::DeploymentConfiguration::minimum_healthy_percent);
    let tag = |tag: &types::Tag| Some((tag.key()?.to_owned(), tag.value().unwrap_or_default().to_owned()));
    Ok(Service {
        status: service.status().unwrap_or_default().into(),
        desired: count("desiredCount", service.desired_count())?,
        running: count("runningCount", service.running_count())?,
        pending: count("pendingCount", service.pending_count())?,
        task_definition: service.task_definition().unwrap_or_default().into(),
        deployments: service.deployments().iter().map(deployment).collect::<Result<_, _>>()?,
        min_healthy_percent: kept.map(|percent| count("minimumHealthyPercent", percent)).transpose()?,
        tags: service.tags().iter().filter_map(tag).collect::<BTreeMap<_, _>>(),
    })
}

async fn tasks(client: &Client, cluster: &str, name: &str) -> Result<Vec<Task>, String> {
    let mut arns = Vec::new();
    for status in [DesiredStatus::Running, DesiredStatus::Stopped] {
        let listed = client.list_tasks().cluster(cluster).service_name(name).desired_status(status).send().await;
        let listed = listed.map_err(|error| format!("ListTasks: {}", DisplayErrorContext(&error)))?;
        arns.extend_from_slice(listed.task_arns());
    }
    arns.truncate(TASKS_MOST);
    if arns.is_empty() {
        return Ok(Vec::new());
    }
    let described =
        client.describe_tasks().cluster(cluster).set_tasks(Some(arns)).include(TaskField::Tags).send().await;
    let described = described.map_err(|error| format!("DescribeTasks: {}", DisplayErrorContext(&error)))?;
    // An emulator, or a task that moved: only what says that it belongs to the service does.
    let group = format!("service:{name}");
    let ours = described.tasks().iter().filter(|task| task.group() == Some(&group));
    let mut tasks: Vec<Task> = ours.map(convert_task).collect();
    tasks.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(tasks)
}

fn convert_task(task: &types::Task) -> Task {
    let id = task.task_arn().and_then(|arn| arn.rsplit('/').next()).unwrap_or_default();
    Task {
        id: id.into(),
        last_status: task.last_status().unwrap_or_default().into(),
        desired_status: task.desired_status().unwrap_or_default().into(),
        health: task.health_status().map_or("UNKNOWN", |health| health.as_str()).into(),
        created_at: millis(task.created_at()),
        stopped_reason: task.stopped_reason().unwrap_or_default().into(),
    }
}
