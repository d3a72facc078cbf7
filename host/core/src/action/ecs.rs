//! The actions of Amazon ECS on one service.

use std::{collections::BTreeMap, time::Duration};

use balm_catalogue::{Action as _, ecs};
use serde_json::Value;

use super::Trace;
use crate::json::{InvalidJson, Json};

/// An action of ECS with its parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// `ecs:scale-service`
    ScaleService(ecs::ScaleService),
    /// `ecs:redeploy-service`
    RedeployService(ecs::RedeployService),
    /// `ecs:stop-task`
    StopTask(ecs::StopTask),
}

impl Change {
    /// Read an action's parameters; `None` if it is no action of ECS.
    pub(super) fn read(action: &str, parameters: &Json) -> Option<Result<Self, InvalidJson>> {
        Some(match action {
            ecs::ScaleService::NAME => parameters.read().map(Self::ScaleService),
            ecs::RedeployService::NAME => parameters.read().map(Self::RedeployService),
            ecs::StopTask::NAME => parameters.read().map(Self::StopTask),
            _ => return None,
        })
    }

    pub(super) fn validate(&self) -> Result<(), String> {
        match self {
            // The quota "Tasks per service" of Amazon ECS is 5,000.
            Self::ScaleService(ecs::ScaleService { desired }) if *desired > 5_000 => {
                Err(format!("desired = {desired} is more than the 5000 tasks that a service may have"))
            }
            Self::StopTask(ecs::StopTask { task }) if !is_task_id(task) => {
                Err("task is no task id: write the last part of its ARN, 32 hexadecimal digits".into())
            }
            Self::ScaleService(_) | Self::RedeployService(_) | Self::StopTask(_) => Ok(()),
        }
    }

    pub(super) const fn action(&self) -> &'static str {
        match self {
            Self::ScaleService(_) => ecs::ScaleService::NAME,
            Self::RedeployService(_) => ecs::RedeployService::NAME,
            Self::StopTask(_) => ecs::StopTask::NAME,
        }
    }

    pub(super) fn parameters(&self) -> Json {
        match self {
            Self::ScaleService(parameters) => Json::of(parameters),
            Self::RedeployService(parameters) => Json::of(parameters),
            Self::StopTask(parameters) => Json::of(parameters),
        }
    }

    pub(super) const fn sets_desired(&self) -> Option<u32> {
        match self {
            Self::ScaleService(to) => Some(to.desired),
            Self::RedeployService(_) | Self::StopTask(_) => None,
        }
    }

    pub(super) fn before(&self, service: &ecs::Service, tasks: &[ecs::Task]) -> Json {
        let attributes: BTreeMap<&str, Value> = match self {
            Self::ScaleService(_) => [("desired", service.desired.into())].into(),
            Self::RedeployService(_) => [("deployments", service.deployments.len().into())].into(),
            Self::StopTask(stop) => {
                let status = find(tasks, &stop.task).map_or(Value::Null, |task| task.last_status.clone().into());
                [("task", stop.task.clone().into()), ("last-status", status)].into()
            }
        };
        Json::of(&attributes)
    }

    pub(super) fn after(&self) -> Json {
        let attributes: BTreeMap<&str, Value> = match self {
            Self::ScaleService(to) => [("desired", to.desired.into())].into(),
            Self::RedeployService(_) => [("deployments", 1.into())].into(),
            Self::StopTask(stop) => [("task", stop.task.clone().into()), ("last-status", "STOPPED".into())].into(),
        };
        Json::of(&attributes)
    }

    pub(super) const fn verify_within(&self) -> Duration {
        match self {
            Self::ScaleService(_) | Self::StopTask(_) => Duration::from_secs(10 * 60),
            Self::RedeployService(_) => Duration::from_secs(30 * 60),
        }
    }

    pub(super) fn verify(
        &self,
        before: &ecs::Service,
        service: &ecs::Service,
        tasks: &[ecs::Task],
    ) -> Result<(), String> {
        match self {
            Self::ScaleService(to) if service.desired != to.desired => {
                return Err(format!("desired is {}, not {}", service.desired, to.desired));
            }
            Self::RedeployService(_) if new_deployment(before, service).is_none() => {
                return Err("no deployment has begun since".into());
            }
            Self::StopTask(stop) => match find(tasks, &stop.task) {
                Some(task) if task.last_status != "STOPPED" => {
                    return Err(format!("task {} is {}", stop.task, task.last_status));
                }
                Some(_) | None => {}
            },
            Self::ScaleService(_) | Self::RedeployService(_) => {}
        }
        steady(service)
    }

    pub(super) fn trace(&self, before: &ecs::Service, service: &ecs::Service, tasks: &[ecs::Task]) -> Trace {
        match self {
            Self::ScaleService(to) if service.desired == to.desired => {
                Trace::Seen(format!("desired is {}", to.desired))
            }
            Self::ScaleService(_) => Trace::NotSeenRepeatable(format!("desired is {}", service.desired)),
            // By id, not by time: AWS's clock is not ours.
            Self::RedeployService(_) => match new_deployment(before, service) {
                Some(deployment) => Trace::Seen(format!("deployment {} has begun", deployment.id)),
                None => Trace::NotSeenOnce("no deployment has begun; each call would begin another".into()),
            },
            Self::StopTask(stop) => match find(tasks, &stop.task) {
                Some(task) if task.desired_status != "STOPPED" => {
                    Trace::NotSeenRepeatable(format!("task {} is {}", stop.task, task.last_status))
                }
                Some(task) => Trace::Seen(format!("task {} is {}", stop.task, task.last_status)),
                None => Trace::Seen(format!("task {} is gone", stop.task)),
            },
        }
    }

    pub(super) fn inverse(&self, before: &ecs::Service) -> Option<Self> {
        match self {
            Self::ScaleService(_) => Some(Self::ScaleService(ecs::ScaleService { desired: before.desired })),
            Self::RedeployService(_) | Self::StopTask(_) => None,
        }
    }
}

fn find<'a>(tasks: &'a [ecs::Task], id: &str) -> Option<&'a ecs::Task> {
    tasks.iter().find(|task| task.id == id)
}

/// The deployment that `now` has and `before` did not have.
fn new_deployment<'a>(before: &ecs::Service, now: &'a ecs::Service) -> Option<&'a ecs::Deployment> {
    let known = |id: &str| before.deployments.iter().any(|deployment| deployment.id == id);
    now.deployments.iter().find(|deployment| !known(&deployment.id))
}

/// Whether a service runs what it shall: the conditions of the API's own waiter `ServicesStable`, and none pending.
fn steady(service: &ecs::Service) -> Result<(), String> {
    let ecs::Service { desired, running, pending, deployments, .. } = service;
    if running != desired || *pending > 0 {
        return Err(format!("{running} of {desired} tasks run, {pending} are pending"));
    }
    if deployments.len() != 1 {
        return Err(format!("{} deployments are under way", deployments.len()));
    }
    Ok(())
}

/// A task id is 32 hexadecimal digits (Amazon ECS Developer Guide, "Amazon Resource Names and IDs"); older accounts
/// have UUIDs with hyphens, and emulators do as well.
fn is_task_id(text: &str) -> bool {
    (32..=36).contains(&text.len()) && text.bytes().all(|c| c.is_ascii_hexdigit() || c == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{action::Change as AnyChange, fixture, look::Reading};

    const TASK: &str = "0123456789abcdef0123456789abcdef";

    fn read(action: &str, parameters: &str) -> Result<AnyChange, String> {
        AnyChange::read(action, &Json::parse(parameters).expect("JSON"))
    }

    fn service(change: impl FnOnce(&mut ecs::Service)) -> Reading {
        let mut service = fixture::service(4);
        change(&mut service);
        Reading::EcsService { service, tasks: vec![] }
    }

    fn with_task(change: impl FnOnce(&mut ecs::Task)) -> Reading {
        let mut task = fixture::task(TASK);
        change(&mut task);
        Reading::EcsService { service: fixture::service(4), tasks: vec![task] }
    }

    #[test]
    fn parameters_are_checked_against_the_catalogue() {
        assert!(read("ecs:scale-service", r#"{"desired":5000}"#).is_ok());
        let wrong = [
            ("ecs:scale-service", r#"{"desired":5001}"#),
            ("ecs:scale-service", r#"{"desired":-1}"#),
            ("ecs:scale-service", r#"{"desired":1.5}"#),
            ("ecs:scale-service", r#"{"desired":"6"}"#),
            ("ecs:scale-service", "{}"),
            ("ecs:scale-service", "[]"),
            ("ecs:scale-service", "6"),
            ("ecs:stop-task", r#"{"task":"*"}"#),
            ("ecs:stop-task", r#"{"task":"arn:aws:ecs:eu-central-1:1:task/a/b"}"#),
        ];
        for (action, parameters) in wrong {
            assert!(read(action, parameters).is_err(), "{action} {parameters}");
        }
    }

    #[test]
    fn scaling_is_verified_when_exactly_that_many_run_and_nothing_else_is_under_way() {
        let change = read("ecs:scale-service", r#"{"desired":6}"#).expect("parameters");
        let before = fixture::reading(4);
        assert_eq!(change.verify(&before, &fixture::reading(6)), Ok(()));
        let not_yet = [
            fixture::reading(4),
            service(|s| (s.desired, s.running, s.pending) = (6, 5, 1)),
            service(|s| (s.desired, s.running, s.pending) = (6, 7, 0)),
            service(|s| (s.desired, s.running, s.pending) = (6, 6, 1)),
            service(|s| {
                (s.desired, s.running) = (6, 6);
                s.deployments.push(s.deployments[0].clone());
            }),
        ];
        for reading in not_yet {
            assert!(change.verify(&before, &reading).is_err(), "{reading:?}");
        }
    }

    #[test]
    fn a_redeployment_is_recognised_by_a_deployment_that_was_not_there_before() {
        let change = read("ecs:redeploy-service", "{}").expect("parameters");
        let before = fixture::reading(4);
        let rolling = service(|s| {
            s.deployments.insert(0, ecs::Deployment { id: "ecs-svc/2".into(), ..s.deployments[0].clone() });
        });
        let rolled = service(|s| s.deployments[0].id = "ecs-svc/2".into());
        assert!(matches!(change.trace(&before, &before), Trace::NotSeenOnce(_)));
        assert!(matches!(change.trace(&before, &rolling), Trace::Seen(_)));
        assert!(change.verify(&before, &before).is_err());
        assert!(change.verify(&before, &rolling).is_err());
        assert_eq!(change.verify(&before, &rolled), Ok(()));
    }

    #[test]
    fn a_stopped_task_is_recognised_by_its_status_and_by_its_absence() {
        let change = read("ecs:stop-task", &format!(r#"{{"task":"{TASK}"}}"#)).expect("parameters");
        let running = with_task(|_| ());
        let stopping = with_task(|task| (task.last_status, task.desired_status) = ("RUNNING".into(), "STOPPED".into()));
        let stopped = with_task(|task| (task.last_status, task.desired_status) = ("STOPPED".into(), "STOPPED".into()));
        assert!(matches!(change.trace(&running, &running), Trace::NotSeenRepeatable(_)));
        assert!(matches!(change.trace(&running, &stopping), Trace::Seen(_)));
        assert!(matches!(change.trace(&running, &fixture::reading(4)), Trace::Seen(_)));
        assert!(change.verify(&running, &stopping).is_err());
        assert_eq!(change.verify(&running, &stopped), Ok(()));
    }

    #[test]
    fn only_scaling_has_an_inverse_which_expects_what_the_change_made() {
        let scale = read("ecs:scale-service", r#"{"desired":6}"#).expect("parameters");
        let (back, expects) = scale.inverse(&fixture::reading(4)).expect("scaling can be undone");
        assert_eq!(back.parameters().as_str(), r#"{"desired":4}"#);
        assert_eq!(expects.as_str(), r#"{"desired":6}"#);
        let redeploy = read("ecs:redeploy-service", "{}").expect("parameters");
        assert_eq!(redeploy.inverse(&fixture::reading(4)), None);
    }
}
