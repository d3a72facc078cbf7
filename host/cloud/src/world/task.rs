//! The life of one task: its states, and how long each lasts.
//!
//! Why a task starts or stops is the scheduler's business, not known here.

use std::sync::Arc;

use crate::{answer::Health, name::TaskId};

/// Where a task is in its life (Amazon ECS Developer Guide, "task lifecycle"), in that order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    Provisioning,
    Pending,
    Activating,
    Running,
    Deactivating,
    Stopping,
    Deprovisioning,
    Stopped,
}

/// Where a task shall go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    Running,
    Stopped,
}

/// Why a task stopped.
#[derive(Clone, Debug)]
pub(super) struct Stop {
    pub(super) code: &'static str,
    pub(super) reason: String,
}

#[derive(Clone, Debug)]
pub(super) struct Task {
    pub(super) id: TaskId,
    /// The number of the deployment that started it.
    pub(super) deployment: u64,
    pub(super) task_definition: Arc<str>,
    pub(super) phase: Phase,
    pub(super) wanted: Wanted,
    /// Counts changes; a planned step of an older version is void.
    pub(super) version: u32,
    pub(super) health: Health,
    pub(super) created_ms: u64,
    pub(super) started_ms: Option<u64>,
    pub(super) stopping_ms: Option<u64>,
    pub(super) stopped_ms: Option<u64>,
    pub(super) stop: Option<Stop>,
    /// When the way that it is on began, up or down, and how long all of it takes.
    began_ms: u64,
    lag_ms: u64,
}

impl Task {
    pub(super) fn new(id: TaskId, deployment: u64, task_definition: Arc<str>, now_ms: u64, lag_ms: u64) -> Self {
        Self {
            id,
            deployment,
            task_definition,
            phase: Phase::Provisioning,
            wanted: Wanted::Running,
            version: 1,
            health: Health::Unknown,
            created_ms: now_ms,
            started_ms: None,
            stopping_ms: None,
            stopped_ms: None,
            stop: None,
            began_ms: now_ms,
            lag_ms,
        }
    }

    /// When the present phase ends. `None`: it stays as it is.
    pub(super) fn phase_ends_ms(&self) -> Option<u64> {
        let (part, of) = match (self.wanted, self.phase) {
            (Wanted::Running, Phase::Provisioning) => (1, 3),
            (Wanted::Running, Phase::Pending) => (2, 3),
            (Wanted::Running, Phase::Activating) => (3, 3),
            (Wanted::Stopped, Phase::Running) => (1, 4),
            (Wanted::Stopped, Phase::Deactivating) => (2, 4),
            // A task that never ran has nothing to deactivate.
            (Wanted::Stopped, phase) if phase < Phase::Running => (2, 4),
            (Wanted::Stopped, Phase::Stopping) => (3, 4),
            (Wanted::Stopped, Phase::Deprovisioning) => (4, 4),
            _ => return None,
        };
        Some(self.began_ms + self.lag_ms * part / of)
    }

    /// Enters the next phase.
    pub(super) fn step(&mut self, now_ms: u64) {
        self.version += 1;
        self.phase = match (self.wanted, self.phase) {
            (Wanted::Running, Phase::Provisioning) => Phase::Pending,
            (Wanted::Running, Phase::Pending) => Phase::Activating,
            (Wanted::Running, _) => Phase::Running,
            (Wanted::Stopped, Phase::Running) => Phase::Deactivating,
            (Wanted::Stopped, phase) if phase < Phase::Stopping => Phase::Stopping,
            (Wanted::Stopped, Phase::Stopping) => Phase::Deprovisioning,
            (Wanted::Stopped, _) => Phase::Stopped,
        };
        match self.phase {
            Phase::Running => self.started_ms = Some(now_ms),
            Phase::Stopped => self.stopped_ms = Some(now_ms),
            _ => {}
        }
    }

    /// Tells it to stop. It goes on running for a moment.
    pub(super) fn stop(&mut self, stop: Stop, now_ms: u64, lag_ms: u64) {
        self.version += 1;
        self.wanted = Wanted::Stopped;
        self.stop = Some(stop);
        self.stopping_ms = Some(now_ms);
        (self.began_ms, self.lag_ms) = (now_ms, lag_ms);
    }

    /// It is gone at once: a process that ended, or never began.
    pub(super) fn die(&mut self, stop: Stop, now_ms: u64) {
        self.stop(stop, now_ms, 0);
        self.phase = Phase::Stopped;
        self.stopped_ms = Some(now_ms);
    }

    /// Its start goes on after it was held up.
    pub(super) fn resume(&mut self, now_ms: u64, lag_ms: u64) {
        self.version += 1;
        (self.began_ms, self.lag_ms) = (now_ms, lag_ms);
    }

    pub(super) fn runs(&self) -> bool {
        self.phase == Phase::Running
    }

    pub(super) fn starts(&self) -> bool {
        self.phase < Phase::Running
    }

    /// Whether it counts as one of the service's tasks for the scheduler.
    pub(super) fn is_wanted(&self) -> bool {
        self.wanted == Wanted::Running
    }
}

impl Phase {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Provisioning => "PROVISIONING",
            Self::Pending => "PENDING",
            Self::Activating => "ACTIVATING",
            Self::Running => "RUNNING",
            Self::Deactivating => "DEACTIVATING",
            Self::Stopping => "STOPPING",
            Self::Deprovisioning => "DEPROVISIONING",
            Self::Stopped => "STOPPED",
        }
    }
}

impl Wanted {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Running => "RUNNING",
            Self::Stopped => "STOPPED",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn live_through(task: &mut Task) -> Vec<(u64, &'static str)> {
        let mut seen = Vec::new();
        while let Some(at_ms) = task.phase_ends_ms() {
            task.step(at_ms);
            seen.push((at_ms, task.phase.as_str()));
        }
        seen
    }

    fn stop() -> Stop {
        Stop { code: "UserInitiated", reason: "because".into() }
    }

    #[test]
    fn a_task_starts_through_every_state_and_runs_after_exactly_its_lag() {
        let mut task = Task::new(TaskId::new(1), 1, "web:1".into(), 1_000, 300);
        assert_eq!(live_through(&mut task), [(1_100, "PENDING"), (1_200, "ACTIVATING"), (1_300, "RUNNING")]);
        assert_eq!(task.started_ms, Some(1_300));
    }

    #[test]
    fn a_running_task_stops_through_every_state_and_runs_for_a_moment_more() {
        let mut task = Task::new(TaskId::new(1), 1, "web:1".into(), 0, 0);
        live_through(&mut task);
        task.stop(stop(), 1_000, 400);
        assert!(task.runs() && !task.is_wanted());
        let seen = live_through(&mut task);
        let states = [(1_100, "DEACTIVATING"), (1_200, "STOPPING"), (1_300, "DEPROVISIONING"), (1_400, "STOPPED")];
        assert_eq!(seen, states);
        assert_eq!((task.stopping_ms, task.stopped_ms), (Some(1_000), Some(1_400)));
    }

    #[test]
    fn a_task_that_never_ran_stops_without_deactivating() {
        let mut task = Task::new(TaskId::new(1), 1, "web:1".into(), 0, 300);
        task.stop(stop(), 50, 400);
        assert_eq!(live_through(&mut task), [(250, "STOPPING"), (350, "DEPROVISIONING"), (450, "STOPPED")]);
        assert_eq!(task.started_ms, None);
    }
}
