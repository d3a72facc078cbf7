//! Replaces what is unhealthy while an alert says that something is: instances of Auto Scaling groups, tasks of ECS services.
//!
//! One at a time: an unhealthy one is taken away, its group or service puts another in its place, and only when that serves
//! is the next one taken. Never when too few healthy ones are there, never more than so many in one episode, and never one
//! that its group protects.
//!
//! `plan` decides for one target and is pure; the two kinds of targets are made the same thing to it.

use balm_sdk::{
    Decision, Input, Intent, PastIntent, Policy, Stop, Target,
    catalogue::{
        asg::{Group, GroupQuery, Instance},
        ecs::{Service, ServiceQuery, Task, Tasks, TasksQuery},
    },
    stepping::{Plan, SOON, remaining},
};

/// What the operator sets.
#[derive(Clone, Debug, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Settings {
    /// The share of the desired number that must be healthy, in per cent, for anything to be replaced.
    #[serde(default = "defaults::healthy_percent")]
    pub healthy_percent: u32,
    /// Replacements of one target in one episode. More than that is no accident, and for a person.
    #[serde(default = "defaults::most")]
    pub most: u32,
    /// Seconds between two replacements, and between two looks while nothing is unhealthy and the alert keeps firing.
    #[serde(default = "defaults::pause")]
    pub pause: u32,
}

mod defaults {
    pub(super) const fn healthy_percent() -> u32 {
        50
    }

    pub(super) const fn most() -> u32 {
        3
    }

    pub(super) const fn pause() -> u32 {
        60
    }
}

/// Replacements that an episode's history can show: Balm remembers no more.
const MOST: u32 = 16;

/// The policy.
pub struct ReplaceUnhealthyInstance;

impl Policy for ReplaceUnhealthyInstance {
    type Settings = Settings;

    const SUMMARY: &'static str =
        "Replaces unhealthy instances of Auto Scaling groups and unhealthy tasks of ECS services, one at a time.";
    const ACTIONS: &'static [&'static str] = &["asg:terminate-instance", "ecs:stop-task"];
    const QUERIES: &'static [&'static str] = &["asg:group", "ecs:service", "ecs:tasks"];

    fn validate(settings: &Settings) -> Result<(), String> {
        let Settings { healthy_percent, most, pause } = settings;
        if !(1..=100).contains(healthy_percent) {
            return Err(format!("healthy-percent is {healthy_percent}: set it from 1 to 100"));
        }
        if !(1..MOST).contains(most) {
            return Err(format!("most is {most}: set it from 1 to {}", MOST - 1));
        }
        if *pause == 0 {
            return Err("pause is 0: set it to 1 at least".into());
        }
        Ok(())
    }

    fn evaluate(input: &Input<Settings>) -> Result<Decision, Stop> {
        if !input.alert.is_firing() {
            return Ok(Decision::because("the alert has resolved: nothing more is replaced"));
        }
        let groups = input.ask_all(input.targets.iter().filter(|target| target.is_asg_group()), &GroupQuery {});
        let services = || input.targets.iter().filter(|target| target.is_ecs_service());
        let services =
            Stop::both(input.ask_all(services(), &ServiceQuery {}), input.ask_all(services(), &TasksQuery {}));
        let (groups, (services, tasks)) = Stop::both(groups, services)?;
        let groups = groups.iter().map(|(target, group)| plan(input, target, &Members::of_group(group)));
        let services = services.iter().zip(&tasks).map(|((target, service), (_, tasks))| {
            let members = Members::of_service(service, tasks);
            plan(input, target, &members)
        });
        let plans: Vec<Plan> = groups.chain(services).collect();
        if plans.is_empty() {
            return Err(Stop::failed("none of its targets is an Auto Scaling group or an ECS service"));
        }
        Ok(plans.into_iter().fold(Decision::default(), |decision, plan| plan.add_to(decision)))
    }
}

balm_sdk::export!(ReplaceUnhealthyInstance);

/// What a target consists of, whatever its kind.
struct Members {
    /// One of them: `instance`.
    what: &'static str,
    /// Why the target is left alone, if it is.
    left_alone: Option<String>,
    /// What is still on its way, if something is.
    on_its_way: Option<String>,
    desired: u32,
    /// Those that serve and are not unhealthy.
    healthy: u32,
    /// The first that serves, is unhealthy and may go: its id, and the word for its health.
    unhealthy: Option<(String, String)>,
    /// The intent that takes one away.
    take: fn(&Target, String) -> Intent,
}

impl Members {
    fn of_group(group: &Group) -> Self {
        let in_service = u32::try_from(group.in_service().count()).unwrap_or(u32::MAX);
        let (desired, pending) = (group.desired, group.pending());
        let leaving = group.instances.iter().filter(|instance| instance.is_terminating()).count();
        let on_its_way = match group.refreshing() {
            Some(refresh) => Some(format!("refresh {} is {}", refresh.id, refresh.status)),
            None if in_service < desired || pending > 0 || leaving > 0 => Some(format!(
                "{in_service} of {desired} instances are in service, {pending} are pending, {leaving} are leaving"
            )),
            None => None,
        };
        let may_go = |instance: &&Instance| !instance.is_healthy() && !instance.protected;
        let unhealthy = group.in_service().find(may_go);
        Self {
            what: "instance",
            left_alone: (!group.status.is_empty()).then(|| format!("its status is {:?}", group.status)),
            on_its_way,
            desired,
            healthy: group.healthy(),
            unhealthy: unhealthy.map(|instance| (instance.id.clone(), instance.health_status.clone())),
            take: |target, id| Intent::terminate_instance(target, id),
        }
    }

    fn of_service(service: &Service, tasks: &Tasks) -> Self {
        let Service { desired, running, pending, deployments, .. } = service;
        let serves = |task: &&Task| task.last_status == "RUNNING" && task.desired_status == "RUNNING";
        let is_unhealthy = |task: &&Task| task.health == "UNHEALTHY";
        let serving = tasks.tasks.iter().filter(serves);
        let healthy = serving.clone().filter(|task| !is_unhealthy(task)).count();
        let is_on_its_way = running < desired || *pending > 0 || deployments.len() > 1;
        let words = || format!("{running} of {desired} tasks run, {pending} are pending");
        Self {
            what: "task",
            left_alone: (service.status != "ACTIVE").then(|| format!("it is {}", service.status)),
            on_its_way: is_on_its_way.then(words),
            desired: *desired,
            healthy: u32::try_from(healthy).unwrap_or(u32::MAX),
            unhealthy: serving.clone().find(is_unhealthy).map(|task| (task.id.clone(), task.health.clone())),
            take: |target, id| Intent::stop_task(target, id),
        }
    }

    /// Whether enough are healthy for one of the others to be taken away.
    fn enough_are_healthy(&self, percent: u32) -> bool {
        u64::from(self.healthy) * 100 >= u64::from(percent) * u64::from(self.desired)
    }
}

fn plan(input: &Input<Settings>, target: &Target, members: &Members) -> Plan {
    let Settings { healthy_percent, most, pause } = input.settings;
    let Members { what, desired, healthy, .. } = members;
    let name = target.name();
    if let Some(why) = &members.left_alone {
        return Plan::nothing(format!("{name} is left alone: {why}"));
    }
    if input.is_in_progress(target) {
        return Plan::wait(format!("a replacement in {name} is still under way"), SOON.min(pause));
    }
    if let Some(on_its_way) = &members.on_its_way {
        return Plan::wait(format!("{name} is still on its way: {on_its_way}"), SOON.min(pause));
    }
    let Some((id, health)) = &members.unhealthy else {
        return Plan::wait(format!("{name} has no unhealthy {what} that may be replaced"), pause);
    };
    if !members.enough_are_healthy(healthy_percent) {
        let why = format!("only {healthy} of {desired} {what}s of {name} are healthy, less than {healthy_percent} %");
        return Plan::wait(format!("{why}: none is taken away"), pause);
    }
    let made: Vec<&PastIntent> =
        input.history.iter().filter(|past| past.target == *target && !past.changed_nothing()).collect();
    if made.len() >= most as usize {
        let why = format!("{} {what}s of {name} were replaced in this episode and {id} is unhealthy too", made.len());
        return Plan::nothing(format!("{why}: this is for a person"));
    }
    if let Some(left) = made.last().and_then(|last| remaining(input.seconds_since(last.at), pause)) {
        return Plan::wait(format!("the last replacement in {name} is too recent: the next is due in {left} s"), left);
    }
    let why = format!("{what} {id} of {name} is {health}, and {healthy} of {desired} are healthy");
    let intent = (members.take)(target, id.clone()).expecting(format!("health:{id}"), health.clone());
    Plan { intent: Some(intent.because(why.clone())), why, look_again_after: Some(SOON.min(pause)) }
}

#[cfg(test)]
mod tests;
