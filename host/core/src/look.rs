//! Looks: what the host itself read of a target, just before the guard, when verifying, and after an unanswered call.
//!
//! It owns the readings and their attributes; it refuses to know how they are read.

use balm_catalogue::ecs;
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
}

impl Reading {
    /// The value of an attribute that an intent may expect, by its name in the catalogue; `None` if there is no such
    /// attribute. `deployments` is their number; `task:<id>` is a task's status.
    #[must_use]
    pub fn attribute(&self, name: &str) -> Option<Value> {
        let Self::EcsService { service, tasks } = self;
        Some(match name {
            "status" => service.status.clone().into(),
            "desired" => service.desired.into(),
            "running" => service.running.into(),
            "pending" => service.pending.into(),
            "task-definition" => service.task_definition.clone().into(),
            "deployments" => service.deployments.len().into(),
            _ => {
                let id = name.strip_prefix("task:")?;
                tasks.iter().find(|task| task.id == id)?.last_status.clone().into()
            }
        })
    }

    /// The service, if it is one.
    #[must_use]
    pub fn service(&self) -> &ecs::Service {
        let Self::EcsService { service, .. } = self;
        service
    }

    /// A task of the service, if it was read.
    #[must_use]
    pub fn task(&self, id: &str) -> Option<&ecs::Task> {
        let Self::EcsService { tasks, .. } = self;
        tasks.iter().find(|task| task.id == id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn an_intent_can_expect_what_the_catalogue_names_and_nothing_else() {
        let Reading::EcsService { service, .. } = fixture::reading(4);
        let tasks = vec![fixture::task("0a")];
        let reading = Reading::EcsService { service, tasks };
        assert_eq!(reading.attribute("desired"), Some(4.into()));
        assert_eq!(reading.attribute("deployments"), Some(1.into()));
        assert_eq!(reading.attribute("task:0a"), Some("RUNNING".into()));
        for unknown in ["task:0b", "task:", "Desired", "tags", ""] {
            assert_eq!(reading.attribute(unknown), None, "{unknown}");
        }
    }
}
