//! What a look finds in a case: counts, from which a whole reading is made.

use std::collections::BTreeMap;

use balm_catalogue::{asg, ecs};
use balm_core::look::Reading;
use serde::Deserialize;

/// Tasks or instances that a look may find: the quota "Tasks per service" of Amazon ECS. Each of them is made.
const RUNNING_MOST: u32 = 5_000;

/// What a look finds.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Look {
    pub(super) desired: u32,
    /// As many as desired, if it does not say.
    running: Option<u32>,
    #[serde(default)]
    pending: u32,
    /// Of the running ones; the one that a parameter names is among them if there are any.
    #[serde(default)]
    unhealthy: u32,
    /// The share of the desired tasks that a service keeps in a rollout, which is not known if it does not say.
    min_healthy_percent: Option<u32>,
    /// A group's own bounds.
    min: Option<u32>,
    max: Option<u32>,
    #[serde(default)]
    tags: BTreeMap<String, String>,
}

impl Look {
    pub(super) fn check(&self) -> Result<(), String> {
        let Self { desired, running, pending, unhealthy, .. } = self;
        let counts = [
            ("desired", Some(*desired)),
            ("running", *running),
            ("pending", Some(*pending)),
            ("unhealthy", Some(*unhealthy)),
        ];
        let over = counts.into_iter().find_map(|(name, count)| Some((name, count.filter(|n| *n > RUNNING_MOST)?)));
        over.map_or(Ok(()), |(name, count)| {
            Err(format!("its look has {name} = {count}; a table goes up to {RUNNING_MOST} tasks or instances"))
        })
    }

    /// The names of what runs, each with whether it is healthy.
    fn running(&self, named: Option<&str>, other: impl Fn(u32) -> String) -> Vec<(String, bool)> {
        let running = self.running.unwrap_or(self.desired);
        // The unhealthy ones first, so that the one that is named is one of them if there are any.
        let is_healthy = |number: u32| number >= self.unhealthy;
        (0..running)
            .map(|number| {
                let name = named.filter(|_| number == 0).map_or_else(|| other(number), str::to_owned);
                (name, is_healthy(number))
            })
            .collect()
    }

    pub(super) fn service(&self, task: Option<&str>) -> Reading {
        let all = self.running(task, |number| format!("{number:032x}"));
        let running = u32::try_from(all.len()).unwrap_or(u32::MAX);
        let tasks = all.into_iter().map(|(id, healthy)| ecs::Task {
            id,
            last_status: "RUNNING".into(),
            desired_status: "RUNNING".into(),
            health: if healthy { "HEALTHY" } else { "UNHEALTHY" }.into(),
            created_at: 0,
            stopped_reason: String::new(),
        });
        let service = ecs::Service {
            status: "ACTIVE".into(),
            desired: self.desired,
            running,
            pending: self.pending,
            task_definition: String::new(),
            deployments: vec![self.deployment(running)],
            min_healthy_percent: self.min_healthy_percent,
            tags: self.tags.clone(),
        };
        Reading::EcsService { service, tasks: tasks.collect() }
    }

    /// The one of a service that is not being rolled out.
    fn deployment(&self, running: u32) -> ecs::Deployment {
        ecs::Deployment {
            id: "ecs-svc/1".into(),
            status: "PRIMARY".into(),
            desired: self.desired,
            running,
            pending: self.pending,
            failed: 0,
            created_at: 0,
            rollout_state: "COMPLETED".into(),
        }
    }

    pub(super) fn group(&self, instance: Option<&str>) -> asg::Group {
        let all = self.running(instance, |number| format!("i-{number:017x}"));
        let one = |id, state: &str, healthy| asg::Instance {
            id,
            lifecycle_state: state.into(),
            health_status: if healthy { "Healthy" } else { "Unhealthy" }.into(),
            protected: false,
        };
        let running = all.into_iter().map(|(id, healthy)| one(id, "InService", healthy));
        let pending = (0..self.pending).map(|number| one(format!("i-f{number:016x}"), "Pending", true));
        asg::Group {
            status: String::new(),
            desired: self.desired,
            min: self.min.unwrap_or(0),
            max: self.max.unwrap_or(u32::MAX),
            instances: running.chain(pending).collect(),
            refreshes: vec![],
            suspended: vec![],
            tags: self.tags.clone(),
        }
    }
}
