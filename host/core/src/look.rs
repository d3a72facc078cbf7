//! Looks: what the host itself read of a target, just before the guard, when verifying, and after an unanswered call.
//!
//! It owns the readings and their attributes; it refuses to know how they are read.

use std::{collections::BTreeMap, fmt};

use balm_catalogue::{asg, ecs};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The names of all queries that a plugin may ask.
pub const QUERIES: &[&str] = balm_catalogue::QUERIES;

/// What the host read of a target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reading {
    /// An ECS service.
    EcsService {
        /// The service.
        service: ecs::Service,
        /// Its tasks; read only where the action is about a task.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        tasks: Vec<ecs::Task>,
    },
    /// An Auto Scaling group.
    AsgGroup {
        /// The group, its instances among it.
        group: asg::Group,
    },
}

/// How much of a target there shall be, is, and is on its way: tasks of a service, instances of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    /// There shall be.
    pub desired: u32,
    /// Tasks that run, instances in service.
    pub running: u32,
    /// On their way to that.
    pub pending: u32,
}

impl Reading {
    /// The value of an attribute that an intent may expect, by its name in the catalogue; `None` if there is no such
    /// attribute.
    ///
    /// Of both kinds: `status`, `desired`, `pending`, and `health:<id>` of a task or an instance. Of a service: `running`,
    /// `task-definition`, `deployments` (their number), `task:<id>` (a task's status). Of a group: `min`, `max`,
    /// `in-service`, `healthy` (in service and healthy), `refreshes` (the number of those under way), `instance:<id>` (its
    /// lifecycle state).
    #[must_use]
    pub fn attribute(&self, name: &str) -> Option<Value> {
        match self {
            Self::EcsService { service, tasks } => service_attribute(service, tasks, name),
            Self::AsgGroup { group } => group_attribute(group, name),
        }
    }

    /// How much there is.
    #[must_use]
    pub fn counts(&self) -> Counts {
        match self {
            Self::EcsService { service, .. } => {
                Counts { desired: service.desired, running: service.running, pending: service.pending }
            }
            Self::AsgGroup { group } => {
                let running = u32::try_from(group.in_service().count()).unwrap_or(u32::MAX);
                Counts { desired: group.desired, running, pending: group.pending() }
            }
        }
    }

    /// The target's tags.
    #[must_use]
    pub const fn tags(&self) -> &BTreeMap<String, String> {
        match self {
            Self::EcsService { service, .. } => &service.tags,
            Self::AsgGroup { group } => &group.tags,
        }
    }

    /// The service, if it is one.
    #[must_use]
    pub const fn service(&self) -> Option<&ecs::Service> {
        match self {
            Self::EcsService { service, .. } => Some(service),
            Self::AsgGroup { .. } => None,
        }
    }

    /// The group, if it is one.
    #[must_use]
    pub const fn group(&self) -> Option<&asg::Group> {
        match self {
            Self::AsgGroup { group } => Some(group),
            Self::EcsService { .. } => None,
        }
    }
}

/// The counts, for people.
impl fmt::Display for Reading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Counts { desired, running, pending } = self.counts();
        match self {
            Self::EcsService { .. } => write!(f, "{desired} desired, {running} running, {pending} pending"),
            Self::AsgGroup { group } => {
                let (healthy, asg::Group { min, max, .. }) = (group.healthy(), group);
                write!(
                    f,
                    "{desired} desired ({min} to {max}), {running} in service, {healthy} healthy, {pending} pending"
                )
            }
        }
    }
}

fn service_attribute(service: &ecs::Service, tasks: &[ecs::Task], name: &str) -> Option<Value> {
    let task = |id: &str| tasks.iter().find(|task| task.id == id);
    Some(match name {
        "status" => service.status.clone().into(),
        "desired" => service.desired.into(),
        "running" => service.running.into(),
        "pending" => service.pending.into(),
        "task-definition" => service.task_definition.clone().into(),
        "deployments" => service.deployments.len().into(),
        _ => match name.split_once(':')? {
            ("task", id) => task(id)?.last_status.clone().into(),
            ("health", id) => task(id)?.health.clone().into(),
            _ => return None,
        },
    })
}

fn group_attribute(group: &asg::Group, name: &str) -> Option<Value> {
    let instance = |id: &str| group.instances.iter().find(|instance| instance.id == id);
    Some(match name {
        "status" => group.status.clone().into(),
        "desired" => group.desired.into(),
        "min" => group.min.into(),
        "max" => group.max.into(),
        "pending" => group.pending().into(),
        "in-service" => group.in_service().count().into(),
        "healthy" => group.healthy().into(),
        "refreshes" => usize::from(group.refreshing().is_some()).into(),
        _ => match name.split_once(':')? {
            ("instance", id) => instance(id)?.lifecycle_state.clone().into(),
            ("health", id) => instance(id)?.health_status.clone().into(),
            _ => return None,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn an_intent_can_expect_of_a_service_what_the_catalogue_names_and_nothing_else() {
        let reading = Reading::EcsService { service: fixture::service(4), tasks: vec![fixture::task("0a")] };
        assert_eq!(reading.attribute("desired"), Some(4.into()));
        assert_eq!(reading.attribute("deployments"), Some(1.into()));
        assert_eq!(reading.attribute("task:0a"), Some("RUNNING".into()));
        assert_eq!(reading.attribute("health:0a"), Some("HEALTHY".into()));
        for unknown in ["task:0b", "task:", "health:", "instance:0a", "min", "Desired", "tags", ""] {
            assert_eq!(reading.attribute(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn an_intent_can_expect_of_a_group_what_the_catalogue_names_and_nothing_else() {
        let mut group = fixture::group(4);
        group.instances[1].health_status = "Unhealthy".into();
        group.instances[2].lifecycle_state = "Pending:Wait".into();
        group.refreshes = vec![fixture::refresh("r-2", "InProgress"), fixture::refresh("r-1", "Successful")];
        let (second, third) = (group.instances[1].id.clone(), group.instances[2].id.clone());
        let reading = Reading::AsgGroup { group };
        let expected = [("desired", 4), ("min", 1), ("max", 12), ("in-service", 3), ("healthy", 2), ("pending", 1)];
        for (name, value) in expected {
            assert_eq!(reading.attribute(name), Some(value.into()), "{name}");
        }
        assert_eq!(reading.attribute("refreshes"), Some(1.into()));
        assert_eq!(reading.attribute("status"), Some("".into()));
        assert_eq!(reading.attribute(&format!("health:{second}")), Some("Unhealthy".into()));
        assert_eq!(reading.attribute(&format!("instance:{third}")), Some("Pending:Wait".into()));
        for unknown in ["instance:i-0", "instance:", "health:", "task:0a", "running", "deployments", "tags", ""] {
            assert_eq!(reading.attribute(unknown), None, "{unknown}");
        }
        assert_eq!(reading.counts(), Counts { desired: 4, running: 3, pending: 1 });
    }
}
