//! What makes the world move: time, the agenda of what happens next, lag and luck.
//!
//! What the steps on the agenda do is not known here.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    name::{InstanceId, TaskId},
    random::{Random, Span},
};

/// How slow the world is. Each time is drawn anew from its span.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Lag {
    /// From a task's creation until it runs, or an instance's launch until it is in service, in milliseconds.
    pub start_ms: Span,
    /// From telling a task to stop until it has, or an instance to terminate until it is gone, in milliseconds.
    pub stop_ms: Span,
    /// From any change until the service's scheduler, or the group, takes its next step, in milliseconds.
    pub scheduler_ms: Span,
}

impl Default for Lag {
    /// Ten times as fast as Fargate, so that people can watch and tests in real time end.
    fn default() -> Self {
        let span = |least_ms, most_ms| Span::between(least_ms, most_ms).unwrap_or(Span::exactly(most_ms));
        Self { start_ms: span(1_000, 5_000), stop_ms: span(400, 3_000), scheduler_ms: span(100, 500) }
    }
}

/// Something that will happen. Services and groups are named by their place in the world's lists.
#[derive(Clone, Copy, Debug)]
pub(super) enum Event {
    /// A task enters its next phase, unless its version has changed.
    Step { service: usize, task: TaskId, version: u32 },
    /// The scheduler looks at a service.
    Wake { service: usize },
    /// A stopped task is forgotten.
    ForgetTask { service: usize, task: TaskId },
    /// A deleted service is forgotten.
    ForgetService { service: usize },
    /// An instance enters its next phase, unless its version has changed.
    StepInstance { group: usize, instance: InstanceId, version: u32 },
    /// A group looks at its instances.
    WakeGroup { group: usize },
}

#[derive(Debug)]
pub(super) struct Clockwork {
    pub(super) now_ms: u64,
    pub(super) lag: Lag,
    pub(super) random: Random,
    /// By time, then by order of planning, so that ties are settled the same way always.
    agenda: BTreeMap<(u64, u64), Event>,
    planned: u64,
    /// Which service each task belongs to.
    pub(super) homes: BTreeMap<TaskId, usize>,
    /// Which group each instance belongs to.
    pub(super) group_of: BTreeMap<InstanceId, usize>,
}

impl Clockwork {
    pub(super) fn new(random: Random, lag: Lag) -> Self {
        Self {
            now_ms: 0,
            lag,
            random,
            agenda: BTreeMap::new(),
            planned: 0,
            homes: BTreeMap::new(),
            group_of: BTreeMap::new(),
        }
    }

    pub(super) fn plan(&mut self, at_ms: u64, event: Event) {
        self.planned += 1;
        self.agenda.insert((at_ms, self.planned), event);
    }

    /// The next thing that happens no later than `until_ms`; its time becomes now.
    pub(super) fn next(&mut self, until_ms: u64) -> Option<Event> {
        let entry = self.agenda.first_entry().filter(|entry| entry.key().0 <= until_ms)?;
        self.now_ms = self.now_ms.max(entry.key().0);
        Some(entry.remove())
    }

    pub(super) fn draw(&mut self, span: Span) -> u64 {
        self.random.within(span)
    }
}
