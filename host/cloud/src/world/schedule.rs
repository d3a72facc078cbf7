//! The service scheduler: what it starts and stops whenever it looks at a service.
//!
//! A rolling update as Amazon ECS makes it, with `minimumHealthyPercent` 100 and `maximumPercent` 200: old tasks stop
//! only as new ones run. Surplus goes by halves, look by look, so that no change is made at once. Lost tasks of an old
//! deployment are replaced by that deployment (AWS What's New, November 2025).

use std::cmp::Reverse;

use super::{
    clockwork::{Clockwork, Event},
    service::{Count, Service, Status},
    task::Stop,
};
use crate::{answer::Health, limits, name::TaskId};

pub(super) const MAXIMUM_PERCENT: u32 = 200;
pub(super) const MINIMUM_HEALTHY_PERCENT: u32 = 100;

impl Service {
    /// The scheduler looks at the service and takes one step.
    pub(super) fn schedule(&mut self, clockwork: &mut Clockwork) {
        self.wakes_ms = None;
        let drains = self.drain_old(clockwork);
        let shrinks = self.shrink_newest(clockwork);
        self.launch_missing(clockwork);
        self.settle(clockwork);
        if drains || shrinks {
            self.wake_soon(clockwork);
        }
    }

    /// Stops tasks of superseded deployments, as far as the newest one's run in their place. `true`: there are more.
    fn drain_old(&mut self, clockwork: &mut Clockwork) -> bool {
        let counts = self.count();
        let replaced = counts.first().map_or(0, |newest| newest.wanted_running);
        let kept = self.desired.saturating_sub(replaced);
        let targets: u32 = self.deployments.iter().skip(1).map(|old| old.target).sum();
        let mut surplus = targets.saturating_sub(kept);
        for (old, count) in self.deployments.iter_mut().zip(&counts).skip(1) {
            let given_up = old.target.saturating_sub(count.wanted).min(surplus);
            old.target -= given_up;
            surplus -= given_up;
        }
        self.stop_half(surplus, clockwork, |place| place > 0)
    }

    /// Stops tasks of the newest deployment that are more than desired. `true`: there are more.
    fn shrink_newest(&mut self, clockwork: &mut Clockwork) -> bool {
        let wanted = self.count().first().map_or(0, |newest| newest.wanted);
        self.stop_half(wanted.saturating_sub(self.desired), clockwork, |place| place == 0)
    }

    /// Stops half of `surplus`, at least one: tasks that do not run first, then old, then unhealthy ones.
    fn stop_half(&mut self, surplus: u32, clockwork: &mut Clockwork, of: impl Fn(usize) -> bool) -> bool {
        let mut candidates: Vec<_> = self.tasks.values().filter(|task| task.is_wanted()).collect();
        let place = |number| self.deployments.iter().position(|found| found.number == number).unwrap_or(0);
        candidates.retain(|task| of(place(task.deployment)));
        candidates.sort_by_key(|task| {
            (task.runs(), Reverse(place(task.deployment)), task.health != Health::Unhealthy, task.id)
        });
        let half = surplus.div_ceil(2) as usize;
        let chosen: Vec<(TaskId, usize)> =
            candidates.iter().take(half).map(|task| (task.id, place(task.deployment))).collect();
        for (id, place) in chosen {
            if let Some(deployment) = self.deployments.get_mut(place) {
                deployment.target = deployment.target.saturating_sub(1);
            }
            let reason = format!("Scaling activity initiated by (deployment {})", self.newest());
            self.stop(id, Stop { code: "ServiceSchedulerInitiated", reason }, clockwork);
        }
        surplus as usize > half
    }

    /// Starts what is missing: first what old deployments lost, then the newest one's, up to the maximum of all.
    fn launch_missing(&mut self, clockwork: &mut Clockwork) {
        let counts = self.count();
        let wanted: u32 = counts.iter().map(|count| count.wanted).sum();
        let mut room = (self.desired * MAXIMUM_PERCENT / 100).saturating_sub(wanted);
        let missing = |place: usize, count: &Count| {
            let target =
                if place == 0 { self.desired } else { self.deployments.get(place).map_or(0, |old| old.target) };
            target.saturating_sub(count.wanted)
        };
        let plan: Vec<_> =
            counts.iter().enumerate().rev().map(|(place, count)| (place, missing(place, count))).collect();
        for (place, missing) in plan {
            for _ in 0..missing.min(room) {
                if !self.launch(place, clockwork) {
                    // Capacity may be back later; AWS tries again too.
                    return self.wake_after(limits::RESTART_PAUSE_MS, clockwork);
                }
                room -= 1;
            }
        }
    }

    /// Drops old deployments that are empty, and completes the newest when it is alone and as desired.
    fn settle(&mut self, clockwork: &mut Clockwork) {
        let mut counts = self.count();
        let kept = |place: usize, count: &Count, target: u32| place == 0 || count.left > 0 || target > 0;
        let keep: Vec<bool> = (self.deployments.iter().zip(&counts).enumerate())
            .map(|(place, (deployment, count))| kept(place, count, deployment.target))
            .collect();
        retain(&mut self.deployments, &keep);
        retain(&mut counts, &keep);
        let steady = |count: &Count| (count.running, count.wanted, count.pending) == (self.desired, self.desired, 0);
        let alone = counts.len() == 1 && counts.first().is_some_and(steady);
        if let Some(newest) = self.deployments.first_mut().filter(|newest| alone && !newest.completed) {
            newest.completed = true;
            newest.updated_ms = clockwork.now_ms;
        }
        if self.status == Status::Draining && counts.iter().all(|count| count.left == 0) {
            self.status = Status::Inactive;
            let at_ms = clockwork.now_ms + limits::REMEMBERED_MS;
            clockwork.plan(at_ms, Event::ForgetService { service: self.index });
        }
    }
}

fn retain<T>(list: &mut Vec<T>, keep: &[bool]) {
    let mut keep = keep.iter().copied();
    list.retain(|_| keep.next().unwrap_or(true));
}
