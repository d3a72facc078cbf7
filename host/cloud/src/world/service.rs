//! One service: its deployments and tasks, and what can happen to them.
//!
//! When tasks are started and stopped is decided by the scheduler, next door.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use serde::{Deserialize, Serialize};

use super::{
    clockwork::{Clockwork, Event},
    task::{Phase, Stop, Task},
};
use crate::{answer::Health, limits, name::TaskId};

/// What becomes of tasks that a service starts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Starting {
    /// They run after their lag.
    #[default]
    Normal,
    /// They stay PENDING for ever, as when capacity is out: a stuck deployment.
    Never,
    /// They fail instead of running, and the scheduler tries again and again with growing pauses.
    Failing,
}

/// Whether a service's tasks have a health check.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HealthCheck {
    /// Tasks are HEALTHY once they run.
    #[default]
    Passing,
    /// There is none: tasks are UNKNOWN for ever.
    None,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    Active,
    Draining,
    Inactive,
}

#[derive(Clone, Debug)]
pub(super) struct Deployment {
    /// The digits of `ecs-svc/…`.
    pub(super) number: u64,
    pub(super) task_definition: Arc<str>,
    pub(super) created_ms: u64,
    pub(super) updated_ms: u64,
    /// How many tasks a superseded deployment still keeps. The newest one's is the service's.
    pub(super) target: u32,
    pub(super) failed: u32,
    pub(super) completed: bool,
}

#[derive(Clone, Debug)]
pub(super) struct Service {
    /// Its place in the world's list.
    pub(super) index: usize,
    pub(super) account: Arc<str>,
    pub(super) region: Arc<str>,
    pub(super) cluster: Arc<str>,
    pub(super) name: Arc<str>,
    pub(super) status: Status,
    pub(super) desired: u32,
    pub(super) created_ms: u64,
    pub(super) tags: BTreeMap<String, String>,
    pub(super) health_check: HealthCheck,
    pub(super) starting: Starting,
    /// Newest first; never empty.
    pub(super) deployments: Vec<Deployment>,
    pub(super) tasks: BTreeMap<TaskId, Task>,
    /// Stopped tasks, the longest stopped first.
    pub(super) stopped: VecDeque<TaskId>,
    /// When the scheduler looks next. An earlier plan makes a later one void.
    pub(super) wakes_ms: Option<u64>,
}

/// Tasks of one deployment, counted.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Count {
    /// In state RUNNING, as AWS counts: those told to stop a moment ago among them.
    pub(super) running: u32,
    /// On their way to RUNNING.
    pub(super) pending: u32,
    /// Those that the scheduler counts on: not told to stop.
    pub(super) wanted: u32,
    /// Those of them that run.
    pub(super) wanted_running: u32,
    /// Those not yet STOPPED.
    pub(super) left: u32,
}

impl Service {
    /// Counts tasks by deployment, in the order of the deployments.
    pub(super) fn count(&self) -> Vec<Count> {
        let mut counts = vec![Count::default(); self.deployments.len()];
        for task in self.tasks.values().filter(|task| task.phase != Phase::Stopped) {
            let place = self.deployments.iter().position(|deployment| deployment.number == task.deployment);
            let Some(count) = place.and_then(|place| counts.get_mut(place)) else { continue };
            count.left += 1;
            count.running += u32::from(task.runs());
            count.pending += u32::from(task.starts());
            count.wanted += u32::from(task.is_wanted());
            count.wanted_running += u32::from(task.is_wanted() && task.runs());
        }
        counts
    }

    /// The scheduler will look after its lag.
    pub(super) fn wake_soon(&mut self, clockwork: &mut Clockwork) {
        let lag_ms = clockwork.draw(clockwork.lag.scheduler_ms);
        self.wake_after(lag_ms, clockwork);
    }

    /// The scheduler will look after that long, unless it looks before.
    pub(super) fn wake_after(&mut self, pause_ms: u64, clockwork: &mut Clockwork) {
        let at_ms = clockwork.now_ms + pause_ms;
        if self.wakes_ms.is_none_or(|planned| planned > at_ms) {
            self.wakes_ms = Some(at_ms);
            clockwork.plan(at_ms, Event::Wake { service: self.index });
        }
    }

    /// A new deployment takes over; the one before drains as the new one's tasks run.
    pub(super) fn deploy(&mut self, task_definition: Arc<str>, clockwork: &mut Clockwork) {
        if let (Some(count), Some(primary)) = (self.count().first().copied(), self.deployments.first_mut()) {
            primary.target = count.wanted;
        }
        let deployment = Deployment {
            number: clockwork.random.below(10_u64.pow(19)),
            task_definition,
            created_ms: clockwork.now_ms,
            updated_ms: clockwork.now_ms,
            target: 0,
            failed: 0,
            completed: false,
        };
        self.deployments.insert(0, deployment);
    }

    /// Starts a task of the deployment at `place`. `false`: the world holds no more tasks.
    pub(super) fn launch(&mut self, place: usize, clockwork: &mut Clockwork) -> bool {
        let Some(deployment) = self.deployments.get(place) else { return false };
        if clockwork.homes.len() >= limits::TASKS {
            return false;
        }
        let id = TaskId::new(clockwork.random.next_u128());
        let lag_ms = clockwork.draw(clockwork.lag.start_ms);
        let definition = deployment.task_definition.clone();
        let task = Task::new(id, deployment.number, definition, clockwork.now_ms, lag_ms);
        clockwork.homes.insert(id, self.index);
        plan_step(self.index, &task, clockwork);
        self.tasks.insert(id, task);
        true
    }

    /// Tells a task to stop; one that was told already keeps its first reason.
    pub(super) fn stop(&mut self, id: TaskId, stop: Stop, clockwork: &mut Clockwork) {
        let lag_ms = clockwork.draw(clockwork.lag.stop_ms);
        let Some(task) = self.tasks.get_mut(&id).filter(|task| task.is_wanted()) else { return };
        task.stop(stop, clockwork.now_ms, lag_ms);
        plan_step(self.index, task, clockwork);
    }

    /// A task is gone at once.
    pub(super) fn kill(&mut self, id: TaskId, stop: Stop, clockwork: &mut Clockwork) {
        let Some(task) = self.tasks.get_mut(&id).filter(|task| task.phase != Phase::Stopped) else { return };
        task.die(stop, clockwork.now_ms);
        self.retire(id, clockwork);
        self.wake_soon(clockwork);
    }

    /// A task enters its next phase, if it still is what it was when that was planned.
    pub(super) fn step(&mut self, id: TaskId, version: u32, clockwork: &mut Clockwork) {
        let Some(task) = self.tasks.get_mut(&id).filter(|task| task.version == version) else { return };
        match (task.phase, self.starting) {
            (Phase::Pending, Starting::Never) if task.is_wanted() => return,
            (Phase::Activating, Starting::Failing) if task.is_wanted() => return self.fail(id, clockwork),
            _ => task.step(clockwork.now_ms),
        }
        plan_step(self.index, task, clockwork);
        match task.phase {
            Phase::Running => self.started(id),
            Phase::Stopped => self.retire(id, clockwork),
            _ => return,
        }
        self.wake_soon(clockwork);
    }

    /// New tasks fare otherwise from now on; those held up go on.
    pub(super) fn set_starting(&mut self, starting: Starting, clockwork: &mut Clockwork) {
        let before = std::mem::replace(&mut self.starting, starting);
        if before != Starting::Never {
            return;
        }
        for task in self.tasks.values_mut().filter(|task| task.is_wanted() && task.phase == Phase::Pending) {
            let lag_ms = clockwork.draw(clockwork.lag.start_ms);
            task.resume(clockwork.now_ms, lag_ms);
            plan_step(self.index, task, clockwork);
        }
    }

    pub(super) fn forget(&mut self, id: TaskId, clockwork: &mut Clockwork) {
        self.tasks.remove(&id);
        clockwork.homes.remove(&id);
        self.stopped.retain(|stopped| *stopped != id);
    }

    fn started(&mut self, id: TaskId) {
        let Some(task) = self.tasks.get_mut(&id) else { return };
        if self.health_check == HealthCheck::Passing {
            task.health = Health::Healthy;
        }
        // A deployment that has a running task no longer counts as failing (ECS API Reference,
        // `Deployment.failedTasks`).
        let number = task.deployment;
        self.deployments.iter_mut().filter(|found| found.number == number).for_each(|found| found.failed = 0);
    }

    fn fail(&mut self, id: TaskId, clockwork: &mut Clockwork) {
        let Some(task) = self.tasks.get_mut(&id) else { return };
        let reason = "Task failed to start".into();
        task.die(Stop { code: "TaskFailedToStart", reason }, clockwork.now_ms);
        let number = task.deployment;
        let mut failures = 0;
        for deployment in self.deployments.iter_mut().filter(|found| found.number == number) {
            deployment.failed = deployment.failed.saturating_add(1);
            failures = deployment.failed;
        }
        self.retire(id, clockwork);
        let pause_ms = (1_000_u64 << failures.saturating_sub(1).min(20)).min(limits::RESTART_PAUSE_MS);
        self.wake_after(pause_ms, clockwork);
    }

    fn retire(&mut self, id: TaskId, clockwork: &mut Clockwork) {
        self.stopped.push_back(id);
        clockwork.plan(clockwork.now_ms + limits::REMEMBERED_MS, Event::ForgetTask { service: self.index, task: id });
        if self.stopped.len() > limits::STOPPED_TASKS_PER_SERVICE
            && let Some(oldest) = self.stopped.front().copied()
        {
            self.forget(oldest, clockwork);
        }
    }
}

fn plan_step(service: usize, task: &Task, clockwork: &mut Clockwork) {
    if let Some(at_ms) = task.phase_ends_ms() {
        clockwork.plan(at_ms, Event::Step { service, task: task.id, version: task.version });
    }
}
