//! The operations, as Amazon ECS and STS do them. Truly: lies are told elsewhere.
//!
//! Where AWS documents no words for an error, those that people report seeing are used.

use super::{
    World, place,
    service::{Service, Status},
    task::{Stop, Task, Wanted},
    view::Tags,
};
use crate::{
    answer::{Answer, Error, ErrorCode, Failure, Identity, Services, Stopping, TaskArns, Tasks, Updated},
    limits,
    name::{Place, TaskId},
    request::{DescribeServices, DescribeTasks, ListTasks, Operation, Request, StopTask, UpdateService},
};

impl World {
    /// Does what is asked, now.
    pub(crate) fn operate(&mut self, request: &Request) -> Result<Answer, Error> {
        let place = place(request);
        match &request.operation {
            Operation::DescribeServices(call) => self.describe_services(place, call),
            Operation::UpdateService(call) => self.update_service(place, call),
            Operation::ListTasks(call) => self.list_tasks(place, call),
            Operation::DescribeTasks(call) => self.describe_tasks(place, call),
            Operation::StopTask(call) => self.stop_task(place, call),
            Operation::DescribeAutoScalingGroups(call) => self.describe_groups(place, call),
            Operation::SetDesiredCapacity(call) => self.set_desired_capacity(place, call),
            Operation::TerminateInstanceInAutoScalingGroup(call) => self.terminate_instance(place, call),
            Operation::StartInstanceRefresh(call) => self.start_refresh(place, call),
            Operation::DescribeInstanceRefreshes(call) => self.describe_refreshes(place, call),
            Operation::GetCallerIdentity(_) => Ok(identity(place)),
        }
    }

    fn describe_services(&self, place: Place<'_>, call: &DescribeServices) -> Result<Answer, Error> {
        let cluster = self.known_cluster(place, call.cluster.as_deref())?;
        if call.services.is_empty() {
            return Err(invalid("Services cannot be empty."));
        }
        if call.services.len() > limits::SERVICES_PER_DESCRIBE {
            return Err(invalid("Services cannot have more than 10 elements."));
        }
        let tags = if call.include.iter().any(|field| field == "TAGS") { Tags::Shown } else { Tags::Left };
        let mut answer = Services { services: Vec::with_capacity(call.services.len()), failures: Vec::new() };
        for given in &call.services {
            let name = place.service(cluster, given)?;
            let found = self.service_index(place, cluster, name).and_then(|index| self.services.get(index));
            match found {
                Some(service) => answer.services.push(service.show(tags)),
                None => answer.failures.push(missing(place.arn(format_args!("service/{cluster}/{name}")))),
            }
        }
        Ok(Answer::Services(answer))
    }

    fn update_service(&mut self, place: Place<'_>, call: &UpdateService) -> Result<Answer, Error> {
        let cluster = self.known_cluster(place, call.cluster.as_deref())?;
        let name = place.service(cluster, &call.service)?;
        let desired = call.desired_count.map(desired_count).transpose()?;
        let index = self.service_index(place, cluster, name).ok_or_else(service_not_found)?;
        let (service, clockwork) = self.service_mut(index).ok_or_else(service_not_found)?;
        if service.status != Status::Active {
            return Err(ErrorCode::ServiceNotActiveException.with("Service was not ACTIVE."));
        }
        let before = service.deployments.first().map(|newest| newest.task_definition.clone());
        let given = call.task_definition.as_deref().map(|text| task_definition(place, text, before.as_deref()));
        let changed = given.as_deref().is_some_and(|given| Some(given) != before.as_deref());
        if changed || call.force_new_deployment == Some(true) {
            if service.deployments.len() >= limits::DEPLOYMENTS_PER_SERVICE {
                return Err(invalid("Too many deployments are in progress."));
            }
            let definition = given.map(Into::into).or(before).unwrap_or_else(|| "".into());
            service.deploy(definition, clockwork);
        }
        service.desired = desired.unwrap_or(service.desired);
        service.wake_soon(clockwork);
        Ok(Answer::Updated(Updated { service: service.show(Tags::Left) }))
    }

    fn list_tasks(&self, place: Place<'_>, call: &ListTasks) -> Result<Answer, Error> {
        let cluster = self.known_cluster(place, call.cluster.as_deref())?;
        let most = match call.max_results {
            None => limits::TASKS_PER_PAGE,
            Some(most @ 1..=100) => usize::try_from(most).unwrap_or(limits::TASKS_PER_PAGE),
            Some(_) => return Err(invalid("maxResults must be between 1 and 100.")),
        };
        let after = call.next_token.as_deref().map(read_token).transpose()?;
        let wanted = match call.desired_status.as_deref() {
            None | Some("RUNNING") => Some(Wanted::Running),
            Some("STOPPED") => Some(Wanted::Stopped),
            // ECS never sets this one, so it finds nothing (API Reference, `ListTasks`).
            Some("PENDING") => None,
            Some(_) => return Err(invalid("desiredStatus must be one of RUNNING, PENDING, STOPPED.")),
        };
        let shown = |service: &&Service, task: &&Task| {
            Some(task.wanted) == wanted
                && after.is_none_or(|after| task.id > after)
                && service.status != Status::Inactive
        };
        let mut found: Vec<(TaskId, String)> = Vec::new();
        for service in self.services_of(place, cluster, call.service_name.as_deref())? {
            let tasks = service.tasks.values().filter(|task| shown(&service, task));
            // One more than a page, to know whether there is a next one.
            found.extend(tasks.take(most + 1).map(|task| (task.id, service.task_arn(task))));
        }
        found.sort_unstable();
        let next_token = (found.len() > most).then(|| found.get(most - 1).map(|(id, _)| id.to_string())).flatten();
        let task_arns = found.into_iter().take(most).map(|(_, arn)| arn).collect();
        Ok(Answer::TaskArns(TaskArns { task_arns, next_token }))
    }

    fn describe_tasks(&self, place: Place<'_>, call: &DescribeTasks) -> Result<Answer, Error> {
        let cluster = self.known_cluster(place, call.cluster.as_deref())?;
        if call.tasks.is_empty() {
            return Err(invalid("Tasks cannot be empty."));
        }
        if call.tasks.len() > limits::TASKS_PER_PAGE {
            return Err(invalid("Tasks cannot have more than 100 elements."));
        }
        let mut answer = Tasks { tasks: Vec::with_capacity(call.tasks.len()), failures: Vec::new() };
        for given in &call.tasks {
            let id = place.task(cluster, given)?;
            let home = self.home(place, cluster, id);
            match home.and_then(|service| service.tasks.get(&id).map(|task| service.show_task(task))) {
                Some(task) => answer.tasks.push(task),
                None => answer.failures.push(missing(place.arn(format_args!("task/{cluster}/{id}")))),
            }
        }
        Ok(Answer::Tasks(answer))
    }

    fn stop_task(&mut self, place: Place<'_>, call: &StopTask) -> Result<Answer, Error> {
        let cluster = self.known_cluster(place, call.cluster.as_deref())?;
        let id = place.task(cluster, &call.task)?;
        if call.reason.as_ref().is_some_and(|reason| reason.len() > limits::STOP_REASON_BYTES) {
            return Err(invalid("reason longer than 255."));
        }
        let not_found = || invalid("The referenced task was not found.");
        let index = self.home(place, cluster, id).ok_or_else(not_found)?.index;
        let (service, clockwork) = self.service_mut(index).ok_or_else(not_found)?;
        let reason = call.reason.as_deref().filter(|reason| !reason.is_empty()).unwrap_or("Task stopped by user");
        service.stop(id, Stop { code: "UserInitiated", reason: reason.to_owned() }, clockwork);
        service.wake_soon(clockwork);
        let task = service.tasks.get(&id).map(|task| service.show_task(task)).ok_or_else(not_found)?;
        Ok(Answer::Stopping(Stopping { task }))
    }

    fn known_cluster<'t>(&self, place: Place<'_>, given: Option<&'t str>) -> Result<&'t str, Error> {
        let name = place.cluster(given)?;
        match self.cluster(place, name) {
            Some(_) => Ok(name),
            None => Err(ErrorCode::ClusterNotFoundException.with("Cluster not found.")),
        }
    }

    /// The cluster's services, or the one asked for.
    fn services_of(&self, place: Place<'_>, cluster: &str, only: Option<&str>) -> Result<Vec<&Service>, Error> {
        if let Some(given) = only {
            let name = place.service(cluster, given)?;
            let index = self.service_index(place, cluster, name).ok_or_else(service_not_found)?;
            return Ok(self.services.get(index).into_iter().collect());
        }
        let indices = self.cluster(place, cluster).into_iter().flat_map(|cluster| cluster.services.values());
        Ok(indices.filter_map(|index| self.services.get(*index)).collect())
    }

    pub(super) fn service_mut(&mut self, index: usize) -> Option<(&mut Service, &mut super::Clockwork)> {
        Some((self.services.get_mut(index)?, &mut self.clockwork))
    }
}

fn desired_count(given: i64) -> Result<u32, Error> {
    let desired = u32::try_from(given).map_err(|_| invalid("desiredCount cannot be negative."))?;
    if desired > limits::TASKS_PER_SERVICE {
        return Err(invalid("desiredCount exceeds the quota of tasks per service (5000)."));
    }
    Ok(desired)
}

/// The ARN of a task definition. A family without revision means the present one where it is of that family, else the
/// first: definitions are not registered here.
pub(super) fn task_definition(place: Place<'_>, given: &str, present: Option<&str>) -> String {
    if given.starts_with("arn:") {
        return given.to_owned();
    }
    let family = place.arn(format_args!("task-definition/{given}"));
    if given.contains(':') {
        return family;
    }
    let of_family = |arn: &&str| arn.strip_prefix(&family).is_some_and(|revision| revision.starts_with(':'));
    present.filter(of_family).map_or_else(|| format!("{family}:1"), str::to_owned)
}

fn read_token(token: &str) -> Result<TaskId, Error> {
    TaskId::read(token).ok_or_else(|| invalid("Invalid token."))
}

fn identity(place: Place<'_>) -> Answer {
    Answer::Identity(Identity {
        account: place.account.to_owned(),
        arn: format!("arn:aws:iam::{}:user/cloud", place.account),
        user_id: "AIDACLOUD".to_owned(),
    })
}

fn missing(arn: String) -> Failure {
    Failure { arn, reason: "MISSING" }
}

fn invalid(message: &str) -> Error {
    ErrorCode::InvalidParameterException.with(message)
}

fn service_not_found() -> Error {
    ErrorCode::ServiceNotFoundException.with("Service not found.")
}
