//! One Auto Scaling group: its instances, what it does to have as many as it shall, and its refreshes.
//!
//! How it is asked for is not known here.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use serde::{Deserialize, Serialize};

use super::clockwork::{Clockwork, Event};
use crate::{
    answer::{self, asg},
    limits,
    name::InstanceId,
};

/// What a refresh keeps in service and healthy where nobody says, in per cent (API Reference, `RefreshPreferences`).
const MIN_HEALTHY_PERCENT: u32 = 90;

/// What becomes of instances that a group launches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Launching {
    /// They are in service after their lag.
    #[default]
    Normal,
    /// They stay Pending for ever, as when a lifecycle hook is not answered.
    Never,
}

/// Where an instance is in its life (Amazon EC2 Auto Scaling User Guide, "instance lifecycle"), without hooks. One that is
/// terminated is no longer shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    Pending,
    InService,
    Terminating,
}

#[derive(Clone, Debug)]
pub(super) struct Instance {
    pub(super) id: InstanceId,
    pub(super) phase: Phase,
    pub(super) healthy: bool,
    pub(super) protected: bool,
    /// Counts changes; a planned step of an older version is void.
    version: u32,
    /// How many refreshes there were when it was launched: one with fewer than there are is old.
    refreshes: u64,
}

#[derive(Clone, Debug)]
struct Refresh {
    id: u128,
    start_ms: u64,
    end_ms: Option<u64>,
    min_healthy_percent: u32,
    /// Instances that were there when it began.
    of: u32,
    left: u32,
}

#[derive(Clone, Debug)]
pub(super) struct Group {
    /// Its place in the world's list.
    pub(super) index: usize,
    pub(super) account: Arc<str>,
    pub(super) region: Arc<str>,
    pub(super) name: Arc<str>,
    pub(super) min: u32,
    pub(super) max: u32,
    pub(super) desired: u32,
    pub(super) created_ms: u64,
    pub(super) cooldown_ms: u64,
    /// Until then it cools down from its last change of capacity.
    pub(super) cools_until_ms: u64,
    pub(super) suspended: Vec<String>,
    pub(super) tags: BTreeMap<String, String>,
    pub(super) launching: Launching,
    pub(super) instances: BTreeMap<InstanceId, Instance>,
    /// Newest first.
    refreshes: VecDeque<Refresh>,
    /// How many there have been, those forgotten too.
    refreshed: u64,
    /// When it looks at its instances next. An earlier plan makes a later one void.
    pub(super) wakes_ms: Option<u64>,
}

impl Phase {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::InService => "InService",
            Self::Terminating => "Terminating",
        }
    }
}

impl Instance {
    fn stays(&self) -> bool {
        self.phase != Phase::Terminating
    }

    fn serves(&self) -> bool {
        self.phase == Phase::InService && self.healthy
    }
}

impl Group {
    /// A group without instances.
    pub(super) fn new(index: usize, new: &crate::scenario::NewGroup, now_ms: u64) -> Self {
        Self {
            index,
            account: new.address.account.as_str().into(),
            region: new.address.region.as_str().into(),
            name: new.address.group.as_str().into(),
            min: new.min,
            max: new.max,
            desired: new.desired,
            created_ms: now_ms.saturating_sub(60_000),
            cooldown_ms: new.cooldown_ms,
            cools_until_ms: 0,
            suspended: new.suspended.clone(),
            tags: new.tags.clone(),
            launching: Launching::Normal,
            instances: BTreeMap::new(),
            refreshes: VecDeque::new(),
            refreshed: 0,
            wakes_ms: None,
        }
    }

    /// All its instances are in service: it has been there for a while.
    pub(super) fn make_steady(&mut self, clockwork: &mut Clockwork) {
        while self.instances.len() < self.desired as usize && self.launch(clockwork) {}
        for instance in self.instances.values_mut() {
            // The version makes the planned end of Pending void.
            (instance.phase, instance.version) = (Phase::InService, instance.version + 1);
        }
    }

    /// It will look after its lag.
    pub(super) fn wake_soon(&mut self, clockwork: &mut Clockwork) {
        let at_ms = clockwork.now_ms + clockwork.draw(clockwork.lag.scheduler_ms);
        if self.wakes_ms.is_none_or(|planned| planned > at_ms) {
            self.wakes_ms = Some(at_ms);
            clockwork.plan(at_ms, Event::WakeGroup { group: self.index });
        }
    }

    /// It shall have so many instances from now on, and cools down from that.
    pub(super) fn set_desired(&mut self, desired: u32, clockwork: &mut Clockwork) {
        if desired != self.desired {
            self.cools_until_ms = clockwork.now_ms + self.cooldown_ms;
        }
        self.desired = desired;
        self.wake_soon(clockwork);
    }

    /// It looks at its instances and does what is to be done.
    pub(super) fn schedule(&mut self, clockwork: &mut Clockwork) {
        self.wakes_ms = None;
        self.refresh_some(clockwork);
        let staying = self.count(Instance::stays);
        self.terminate_surplus(staying.saturating_sub(self.desired), clockwork);
        for _ in staying..self.desired {
            if !self.launch(clockwork) {
                break;
            }
        }
        self.settle_refresh(clockwork.now_ms);
    }

    /// Replaces instances that are older than the refresh: unhealthy ones at once, of the others as many as may be missing.
    fn refresh_some(&mut self, clockwork: &mut Clockwork) {
        let Some(refresh) = self.refreshes.front().filter(|refresh| refresh.end_ms.is_none()) else { return };
        let kept = (self.desired * refresh.min_healthy_percent).div_ceil(100);
        let (serving, refreshed) = (self.count(Instance::serves), self.refreshed);
        let spare = serving.saturating_sub(kept);
        // One at a time at least, else a refresh of few instances would never end.
        let spare = if serving >= self.desired { spare.max(1) } else { spare };
        let is_old = |instance: &&Instance| instance.stays() && instance.refreshes < refreshed;
        let (sick, sound): (Vec<&Instance>, Vec<&Instance>) =
            self.instances.values().filter(is_old).partition(|instance| !instance.serves());
        let chosen = sick.into_iter().chain(sound.into_iter().take(spare as usize)).map(|instance| instance.id);
        let chosen: Vec<InstanceId> = chosen.collect();
        chosen.into_iter().for_each(|id| self.terminate(id, clockwork));
    }

    fn settle_refresh(&mut self, now_ms: u64) {
        let refreshed = self.refreshed;
        let old = self.count(|instance| instance.stays() && instance.refreshes < refreshed);
        let steady = (self.count(Instance::serves), self.count(Instance::stays)) == (self.desired, self.desired);
        let under_way = self.refreshes.front_mut().filter(|refresh| refresh.end_ms.is_none());
        if let Some(refresh) = under_way {
            refresh.left = old;
            refresh.end_ms = (old == 0 && steady).then_some(now_ms);
        }
    }

    /// Scaling in: what does not serve goes first, and what is protected stays.
    fn terminate_surplus(&mut self, surplus: u32, clockwork: &mut Clockwork) {
        let mut candidates: Vec<&Instance> =
            self.instances.values().filter(|instance| instance.stays() && !instance.protected).collect();
        candidates.sort_by_key(|instance| (instance.phase, instance.healthy, instance.id));
        let chosen: Vec<InstanceId> = candidates.iter().take(surplus as usize).map(|instance| instance.id).collect();
        chosen.into_iter().for_each(|id| self.terminate(id, clockwork));
    }

    /// Launches an instance. `false`: the world holds no more of them.
    fn launch(&mut self, clockwork: &mut Clockwork) -> bool {
        if clockwork.group_of.len() >= limits::INSTANCES {
            return false;
        }
        let id = InstanceId::new(clockwork.random.next_u128());
        let instance = Instance {
            id,
            phase: Phase::Pending,
            healthy: true,
            protected: false,
            version: 1,
            refreshes: self.refreshed,
        };
        clockwork.group_of.insert(id, self.index);
        self.instances.insert(id, instance);
        self.plan_step(id, clockwork.draw(clockwork.lag.start_ms), clockwork);
        true
    }

    /// Tells an instance to terminate; one that was told already goes on.
    pub(super) fn terminate(&mut self, id: InstanceId, clockwork: &mut Clockwork) {
        let lag_ms = clockwork.draw(clockwork.lag.stop_ms);
        let Some(instance) = self.instances.get_mut(&id).filter(|instance| instance.stays()) else { return };
        (instance.phase, instance.version) = (Phase::Terminating, instance.version + 1);
        self.plan_step(id, lag_ms, clockwork);
        self.wake_soon(clockwork);
    }

    fn plan_step(&self, id: InstanceId, lag_ms: u64, clockwork: &mut Clockwork) {
        if let Some(instance) = self.instances.get(&id) {
            let event = Event::StepInstance { group: self.index, instance: id, version: instance.version };
            clockwork.plan(clockwork.now_ms + lag_ms, event);
        }
    }

    /// An instance enters its next phase, if it still is what it was when that was planned.
    pub(super) fn step(&mut self, id: InstanceId, version: u32, clockwork: &mut Clockwork) {
        let Some(instance) = self.instances.get_mut(&id).filter(|instance| instance.version == version) else { return };
        match instance.phase {
            Phase::Pending if self.launching == Launching::Never => return,
            Phase::Pending => (instance.phase, instance.version) = (Phase::InService, version + 1),
            Phase::InService => return,
            Phase::Terminating => {
                self.instances.remove(&id);
                clockwork.group_of.remove(&id);
            }
        }
        self.wake_soon(clockwork);
    }

    /// New instances fare otherwise from now on; those held up go on.
    pub(super) fn set_launching(&mut self, launching: Launching, clockwork: &mut Clockwork) {
        self.launching = launching;
        let held = self.instances.values().filter(|instance| instance.phase == Phase::Pending);
        let held: Vec<InstanceId> = held.map(|instance| instance.id).collect();
        for id in held {
            if let Some(instance) = self.instances.get_mut(&id) {
                instance.version += 1;
            }
            self.plan_step(id, clockwork.draw(clockwork.lag.start_ms), clockwork);
        }
    }

    /// Whether a refresh is under way.
    pub(super) fn is_refreshing(&self) -> bool {
        self.refreshes.front().is_some_and(|refresh| refresh.end_ms.is_none())
    }

    /// Starts a refresh of all instances that are there; returns its id.
    pub(super) fn start_refresh(&mut self, min_healthy_percent: Option<u32>, clockwork: &mut Clockwork) -> String {
        let of = self.count(Instance::stays);
        let refresh = Refresh {
            id: clockwork.random.next_u128(),
            start_ms: clockwork.now_ms,
            end_ms: None,
            min_healthy_percent: min_healthy_percent.unwrap_or(MIN_HEALTHY_PERCENT).min(100),
            of,
            left: of,
        };
        let id = uuid(refresh.id);
        self.refreshes.push_front(refresh);
        self.refreshes.truncate(limits::REFRESHES_PER_GROUP);
        self.refreshed += 1;
        self.wake_soon(clockwork);
        id
    }

    fn count(&self, which: impl Fn(&Instance) -> bool) -> u32 {
        u32::try_from(self.instances.values().filter(|instance| which(instance)).count()).unwrap_or(u32::MAX)
    }

    pub(super) fn state(&self, instance: Option<InstanceId>) -> super::GroupState {
        let in_phase = |phase| self.count(|instance| instance.phase == phase);
        super::GroupState {
            desired: self.desired,
            in_service: in_phase(Phase::InService),
            healthy: self.count(Instance::serves),
            pending: in_phase(Phase::Pending),
            refreshes: self.refreshes.len(),
            instance_state: instance.and_then(|id| self.instances.get(&id)).map(|instance| instance.phase.as_str()),
        }
    }

    pub(super) fn show(&self) -> asg::Group {
        let instance = |instance: &Instance| asg::Instance {
            instance_id: instance.id.to_string(),
            availability_zone: format!("{}a", self.region),
            lifecycle_state: instance.phase.as_str(),
            health_status: if instance.healthy { "Healthy" } else { "Unhealthy" },
            protected_from_scale_in: instance.protected,
        };
        let tag = |(key, value): (&String, &String)| answer::Tag { key: key.clone(), value: value.clone() };
        asg::Group {
            auto_scaling_group_name: self.name.to_string(),
            auto_scaling_group_arn: self.arn(),
            min_size: self.min,
            max_size: self.max,
            desired_capacity: self.desired,
            default_cooldown: self.cooldown_ms / 1_000,
            created_time: self.created_ms,
            instances: self.instances.values().map(instance).collect(),
            suspended_processes: self.suspended.clone(),
            tags: self.tags.iter().map(tag).collect(),
        }
    }

    /// With a UUID, as AWS's has one that nobody can know beforehand.
    fn arn(&self) -> String {
        let (high, low) = (crate::random::mix(self.index as u64), crate::random::mix(self.created_ms));
        let uuid = uuid((u128::from(high) << 64) | u128::from(low));
        format!(
            "arn:aws:autoscaling:{}:{}:autoScalingGroup:{uuid}:autoScalingGroupName/{}",
            self.region, self.account, self.name
        )
    }

    /// Newest first, at most so many.
    pub(super) fn show_refreshes(&self, most: usize) -> Vec<asg::Refresh> {
        let show = |refresh: &Refresh| asg::Refresh {
            instance_refresh_id: uuid(refresh.id),
            auto_scaling_group_name: self.name.to_string(),
            status: if refresh.end_ms.is_some() { "Successful" } else { "InProgress" },
            start_time: Some(refresh.start_ms),
            end_time: refresh.end_ms,
            percentage_complete: match refresh.of {
                0 => {
                    if refresh.end_ms.is_some() {
                        100
                    } else {
                        0
                    }
                }
                of => 100 * (of.saturating_sub(refresh.left)) / of,
            },
            instances_to_update: refresh.left,
        };
        self.refreshes.iter().take(most).map(show).collect()
    }
}

fn uuid(value: u128) -> String {
    let digits = format!("{value:032x}");
    let part = |from: usize, to: usize| digits.get(from..to).unwrap_or_default();
    format!("{}-{}-{}-{}-{}", part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32))
}
