//! The world of a simulation: the model cloud with everything that the policies may change, and the wire to it.
//!
//! Looks see the world as it is; calls go over a wire that loses, delays and refuses as the seed says.

use std::collections::BTreeMap;

use balm_catalogue::{Query as _, asg, ecs};
use balm_cloud::{
    Cloud, GroupSight, Options, Outcome, Sight, Span,
    answer::{ErrorCode, Health},
    fault::{Chance, Fault, Matching, When},
    log::Applied,
    request::{self, Operation, OperationName, Request},
    scenario::{Address, GroupAddress, NewGroup, NewService, Step},
};
use balm_core::{
    action::{Change, asg as asg_action, ecs as ecs_action},
    configuration::Bound,
    evaluation::Query,
    guard::ApprovedIntent,
    input::Input,
    json::Json,
    look::Reading,
    name::IntentId,
    record::CallResult,
    target::{Resource, Target},
};

use super::{START_MS, Subject, judge::Judge, random::Random, storm, storm::Happening};

/// The world was at rest for an hour before.
const CREATED_MS: u64 = START_MS - 3_600_000;

/// The operations that change the world, which alone are tampered with.
const CHANGING: [OperationName; 5] = [
    OperationName::UpdateService,
    OperationName::StopTask,
    OperationName::SetDesiredCapacity,
    OperationName::TerminateInstanceInAutoScalingGroup,
    OperationName::StartInstanceRefresh,
];

/// A call on its way.
struct Sent {
    intent: IntentId,
    attempt: u32,
    target: Target,
    change: Change,
    at: u64,
    request: Request,
}

/// What became of a call that arrived.
pub(super) struct Arrival {
    /// When its sender knows.
    pub(super) at: u64,
    pub(super) input: Input,
    /// Whether the world was changed.
    pub(super) applied: bool,
    pub(super) words: String,
}

pub(super) struct World {
    cloud: Cloud,
    timeout_ms: u64,
    /// Services and groups by their place in the cloud.
    places: BTreeMap<Target, usize>,
    wire: BTreeMap<u64, Sent>,
    calls: u64,
    /// When somebody else changed a target last.
    others: BTreeMap<Target, u64>,
}

impl World {
    pub(super) fn new(subject: &Subject, seed: u64, random: &mut Random) -> Result<Self, String> {
        let mut world = Self {
            cloud: Cloud::new(seed, Options::default()),
            timeout_ms: subject.call_timeout_ms,
            places: BTreeMap::new(),
            wire: BTreeMap::new(),
            calls: 0,
            others: BTreeMap::new(),
        };
        let (mut services, mut groups) = (0, 0);
        for (_, target) in storm::pairs(&subject.configuration) {
            if world.places.contains_key(&target) {
                continue;
            }
            let desired = begins_with(&subject.configuration.guardrails.bounds, random);
            let (count, step) = match &target.resource {
                Resource::EcsService { .. } => (&mut services, create_service(&target, desired, subject)),
                Resource::AsgGroup { .. } => (&mut groups, create_group(&target, desired, subject)),
            };
            world.places.insert(target.clone(), *count);
            *count += 1;
            let played = world.cloud.play(CREATED_MS, &world_of(step, &target));
            played.map_err(|why| format!("the model cloud cannot have {target}: {why}"))?;
        }
        if world.places.is_empty() {
            return Err("no policy has a target that can be known beforehand: nothing can be simulated".into());
        }
        world.lie(subject.configuration.timing.settle_ms, random);
        Ok(world)
    }

    /// Every seed has its own mixture of lies about calls.
    fn lie(&mut self, settle_ms: u64, random: &mut Random) {
        let late = Span::between(1_000, settle_ms.saturating_sub(2_000).max(1_000));
        let slow = Span::between(100, self.timeout_ms + 2_000);
        for operation in CHANGING {
            let mut faults = vec![
                Fault::Throttled,
                Fault::ServerError { when: When::Before },
                Fault::ServerError { when: When::After },
                Fault::Closed { when: When::Before },
                Fault::Closed { when: When::After },
                Fault::HtmlPage { status: 502, when: When::After },
            ];
            faults.extend(late.iter().map(|after_ms| Fault::Late { after_ms: *after_ms, held_ms: None }));
            faults.extend(slow.iter().map(|ms| Fault::Slow { ms: *ms }));
            for fault in faults {
                let per_million = u32::try_from(random.below(3) * random.below(40_000)).unwrap_or(0);
                if per_million > 0 {
                    let matching = Matching { operation: Some(operation), ..Matching::default() };
                    // The plan has room for as many faults as there are here.
                    let _ = self.cloud.plan().chance(Chance { matching, per_million, fault });
                }
            }
        }
    }

    pub(super) fn be_truthful(&mut self) {
        self.cloud.plan().clear();
    }

    /// Something happens without the host; in words, if it did.
    pub(super) fn happens(&mut self, happening: &Happening, now_ms: u64) -> String {
        let (target, step, words) = match happening {
            Happening::SomebodySets(target, to) => (target, sets(target, *to), format!("somebody sets {to} for")),
            Happening::OneDies(target) => (target, dies(target), "one dies of".to_owned()),
            Happening::OneFallsIll(target) => (target, falls_ill(target), "one falls ill of".to_owned()),
            Happening::Alerts(_) | Happening::Calm => return String::new(),
        };
        let now_ms = now_ms.max(self.cloud.now_ms());
        self.others.insert(target.clone(), now_ms);
        // There may be none to die, and a group has bounds of its own.
        match self.cloud.play(now_ms, &world_of(step, target)) {
            Ok(_) => format!("{words} {target}"),
            Err(_) => String::new(),
        }
    }

    /// A target as it is.
    pub(super) fn read(&mut self, target: &Target, now_ms: u64) -> Result<Reading, String> {
        let place = *self.places.get(target).ok_or_else(|| format!("{target} is not simulated"))?;
        let now_ms = now_ms.max(self.cloud.now_ms());
        let reading = match &target.resource {
            Resource::EcsService { .. } => self.cloud.look(now_ms, place, 1).pop().map(|sight| service(&sight)),
            Resource::AsgGroup { .. } => self.cloud.look_at_groups(now_ms, place, 1).pop().map(|sight| group(&sight)),
        };
        reading.ok_or_else(|| format!("{target} is gone"))
    }

    /// What a plugin asks.
    pub(super) fn answer(&mut self, query: &Query, now_ms: u64) -> Result<Json, String> {
        let target: Target = query.target.parse().map_err(|error| format!("{error}"))?;
        match (query.kind.as_str(), self.read(&target, now_ms)?) {
            (ecs::TasksQuery::NAME, Reading::EcsService { tasks, .. }) => Ok(Json::of(&ecs::Tasks { tasks })),
            (ecs::ServiceQuery::NAME, Reading::EcsService { service, .. }) => Ok(Json::of(&service)),
            (asg::GroupQuery::NAME, Reading::AsgGroup { group }) => Ok(Json::of(&group)),
            (kind, _) => Err(format!("{kind} cannot be asked of {target}")),
        }
    }

    pub(super) fn send(&mut self, intent: ApprovedIntent, now_ms: u64) -> u64 {
        self.calls += 1;
        let (target, caller) = (intent.target().clone(), intent.token().to_owned());
        let (id, attempt) = (intent.id(), intent.attempt());
        let change = intent.into_change();
        let (account, region) = (target.account.to_string(), target.region.to_string());
        let request = Request { account, region, caller, operation: operation(&target, &change) };
        self.wire.insert(self.calls, Sent { intent: id, attempt, target, change, at: now_ms, request });
        self.calls
    }

    /// A call reaches the cloud.
    pub(super) fn arrives(&mut self, call: u64, now_ms: u64, judge: &mut Judge) -> Arrival {
        let Sent { intent, attempt, target, change, at, request } =
            self.wire.remove(&call).expect("a call arrives once");
        let before = self.read(&target, now_ms).ok();
        let now_ms = now_ms.max(self.cloud.now_ms());
        let reply = self.cloud.call(now_ms, &request);
        let last = self.cloud.log().entries().next_back();
        let applied = last.is_some_and(|entry| matches!(entry.applied, Applied::At(_) | Applied::Due(_)));
        if let Some(before) = before.filter(|_| applied) {
            let disturbed = self.others.get(&target).copied();
            judge.changes(intent, &target, (&change, &before), disturbed);
        }
        let timeout = at + self.timeout_ms;
        let (known, result) = match (now_ms + reply.delay_ms, reply.outcome) {
            (known, _) if known >= timeout => (timeout, CallResult::Unknown { why: "no answer in time".into() }),
            (known, Outcome::Answered(_)) => (known, CallResult::Done { request: call.to_string() }),
            (known, Outcome::Refused(error)) => (known, refusal(error.code, error.message)),
            (known, Outcome::HtmlPage(status)) => (known, CallResult::Unknown { why: format!("a page with {status}") }),
            (known, Outcome::Lost) => (known, CallResult::Unknown { why: "the connection was closed".into() }),
        };
        let name = request.operation.name();
        let word = if applied { "is applied" } else { "changes nothing" };
        let words = format!("call {name:?} of intent {intent} on {target} {word}");
        Arrival { at: known, input: Input::CallEnded { intent, attempt, result }, applied, words }
    }
}

/// How many tasks or instances there are at first: a few, within what the bounds allow.
fn begins_with(bounds: &[Bound], random: &mut Random) -> u32 {
    let least = bounds.iter().filter_map(|bound| bound.minimum.max(bound.healthy_minimum)).max().unwrap_or(1);
    let most = bounds.iter().filter_map(|bound| bound.maximum).min().unwrap_or(u32::MAX);
    let drawn = u32::try_from(random.within(2, 8)).unwrap_or(2);
    drawn.max(least).min(most.max(1))
}

fn create_service(target: &Target, desired: u32, subject: &Subject) -> Step {
    let tags = subject.tags.clone();
    Step::CreateService(NewService { address: address(target), desired, tags, ..NewService::default() })
}

fn create_group(target: &Target, desired: u32, subject: &Subject) -> Step {
    let (address, tags) = (group_address(target), subject.tags.clone());
    let max = desired.saturating_mul(4).max(20);
    Step::CreateGroup(NewGroup { address, desired, min: 0, max, tags, ..NewGroup::default() })
}

fn address(target: &Target) -> Address {
    let Resource::EcsService { cluster, name } = &target.resource else { return Address::default() };
    Address { cluster: cluster.to_string(), service: name.to_string(), ..Address::default() }
}

fn group_address(target: &Target) -> GroupAddress {
    GroupAddress { group: target.resource.name().to_owned(), ..GroupAddress::default() }
}

fn world_of(step: Step, target: &Target) -> Step {
    step.at_home(target.account.as_str(), target.region.as_str())
}

fn sets(target: &Target, desired: u32) -> Step {
    match &target.resource {
        Resource::EcsService { .. } => Step::SetDesired { service: address(target), desired },
        Resource::AsgGroup { .. } => Step::SetCapacity { group: group_address(target), desired },
    }
}

fn dies(target: &Target) -> Step {
    match &target.resource {
        Resource::EcsService { .. } => Step::KillTask { service: address(target), task: None },
        Resource::AsgGroup { .. } => falls_ill(target),
    }
}

fn falls_ill(target: &Target) -> Step {
    match &target.resource {
        Resource::EcsService { .. } => {
            Step::SetHealth { service: address(target), task: None, health: Health::Unhealthy }
        }
        Resource::AsgGroup { .. } => {
            Step::SetInstanceHealth { group: group_address(target), instance: None, healthy: false }
        }
    }
}

/// The call that the host makes for a change.
fn operation(target: &Target, change: &Change) -> Operation {
    let name = target.resource.name().to_owned();
    match change {
        Change::Ecs(change) => {
            let Address { cluster, .. } = address(target);
            let update = request::UpdateService {
                cluster: Some(cluster.clone()),
                service: name,
                ..request::UpdateService::default()
            };
            match change {
                ecs_action::Change::ScaleService(to) => Operation::UpdateService(request::UpdateService {
                    desired_count: Some(to.desired.into()),
                    ..update
                }),
                ecs_action::Change::RedeployService(_) => {
                    Operation::UpdateService(request::UpdateService { force_new_deployment: Some(true), ..update })
                }
                ecs_action::Change::StopTask(stop) => {
                    let (cluster, task) = (Some(cluster), stop.task.clone());
                    Operation::StopTask(request::StopTask { cluster, task, reason: None })
                }
            }
        }
        Change::Asg(asg_action::Change::SetDesiredCapacity(to)) => {
            Operation::SetDesiredCapacity(request::SetDesiredCapacity {
                auto_scaling_group_name: name,
                desired_capacity: to.desired.into(),
                honor_cooldown: true,
            })
        }
        Change::Asg(asg_action::Change::TerminateInstance(terminate)) => {
            Operation::TerminateInstanceInAutoScalingGroup(request::TerminateInstanceInAutoScalingGroup {
                instance_id: terminate.instance.clone(),
                should_decrement_desired_capacity: false,
            })
        }
        Change::Asg(asg_action::Change::StartInstanceRefresh(refresh)) => {
            Operation::StartInstanceRefresh(request::StartInstanceRefresh {
                auto_scaling_group_name: name,
                min_healthy_percentage: refresh.min_healthy_percent.map(i64::from),
            })
        }
    }
}

fn refusal(code: ErrorCode, why: String) -> CallResult {
    match code {
        ErrorCode::ThrottlingException | ErrorCode::ScalingActivityInProgress => CallResult::NotDone { why },
        ErrorCode::ServerException => CallResult::Unknown { why },
        _ => CallResult::Refused { why },
    }
}

fn service(sight: &Sight) -> Reading {
    let Sight { service, tasks, .. } = sight;
    let deployment = |deployment: &balm_cloud::answer::Deployment| ecs::Deployment {
        id: deployment.id.clone(),
        status: deployment.status.to_owned(),
        desired: deployment.desired_count,
        running: deployment.running_count,
        pending: deployment.pending_count,
        failed: deployment.failed_tasks,
        created_at: deployment.created_at,
        rollout_state: deployment.rollout_state.to_owned(),
    };
    let task = |task: &balm_cloud::answer::Task| ecs::Task {
        id: task.id().to_owned(),
        last_status: task.last_status.to_owned(),
        desired_status: task.desired_status.to_owned(),
        health: match task.health_status {
            Health::Healthy => "HEALTHY",
            Health::Unhealthy => "UNHEALTHY",
            Health::Unknown => "UNKNOWN",
        }
        .to_owned(),
        created_at: task.created_at,
        stopped_reason: task.stopped_reason.clone().unwrap_or_default(),
    };
    let tags = service.tags.iter().flatten().map(|tag| (tag.key.clone(), tag.value.clone())).collect();
    let service = ecs::Service {
        status: service.status.to_owned(),
        desired: service.desired_count,
        running: service.running_count,
        pending: service.pending_count,
        task_definition: service.task_definition.clone(),
        deployments: service.deployments.iter().map(deployment).collect(),
        min_healthy_percent: Some(service.deployment_configuration.minimum_healthy_percent),
        tags,
    };
    Reading::EcsService { service, tasks: tasks.iter().map(task).collect() }
}

fn group(sight: &GroupSight) -> Reading {
    let GroupSight { group, refreshes, .. } = sight;
    let instance = |instance: &balm_cloud::answer::asg::Instance| asg::Instance {
        id: instance.instance_id.clone(),
        lifecycle_state: instance.lifecycle_state.to_owned(),
        health_status: instance.health_status.to_owned(),
        protected: instance.protected_from_scale_in,
    };
    let refresh = |refresh: &balm_cloud::answer::asg::Refresh| asg::Refresh {
        id: refresh.instance_refresh_id.clone(),
        status: refresh.status.to_owned(),
        started_at: refresh.start_time.unwrap_or(0),
        percentage_complete: refresh.percentage_complete,
    };
    let mut suspended = group.suspended_processes.clone();
    suspended.sort();
    Reading::AsgGroup {
        group: asg::Group {
            status: String::new(),
            desired: group.desired_capacity,
            min: group.min_size,
            max: group.max_size,
            instances: group.instances.iter().map(instance).collect(),
            refreshes: refreshes.iter().take(10).map(refresh).collect(),
            suspended,
            tags: group.tags.iter().map(|tag| (tag.key.clone(), tag.value.clone())).collect(),
        },
    }
}
