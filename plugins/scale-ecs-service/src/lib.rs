//! Scales an ECS service out while an alert says that it is saturated, and slowly back in afterwards.
//!
//! Out, when a saturation alert fires, and again for as long as it keeps firing. In, step by step, after it has resolved,
//! by what this episode added and down to what was there before it; or while an alert fires that says that there is too little load, down to the
//! minimum. Never below the operator's minimum, never further above the maximum, never while something is still on its way,
//! and never as a correction of what somebody set by hand.
//!
//! `plan` decides for one target and is pure; everything else asks and words.

use balm_sdk::{
    Decision, Input, Intent, PastIntent, Policy, Stop, Target, Trigger,
    catalogue::ecs::{Service, ServiceQuery},
};

/// How soon a target is looked at again that something is still under way on, in seconds.
const SOON: u32 = 15;

/// What the operator sets.
#[derive(Clone, Debug, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Settings {
    /// Tasks that are never gone below.
    pub minimum: u32,
    /// Tasks that are never gone above.
    pub maximum: u32,
    /// Tasks that are added at once.
    #[serde(default = "defaults::out_step")]
    pub out_step: u32,
    /// Tasks that are taken away at once.
    #[serde(default = "defaults::in_step")]
    pub in_step: u32,
    /// Seconds between two steps out, while the alert keeps firing.
    #[serde(default = "defaults::out_pause")]
    pub out_pause: u32,
    /// Seconds before the first step in, and between two.
    #[serde(default = "defaults::in_pause")]
    pub in_pause: u32,
    /// Names of alerts whose firing means too little load. Every other alert means too much.
    #[serde(default)]
    pub low_alerts: Vec<String>,
}

mod defaults {
    pub(super) const fn out_step() -> u32 {
        2
    }

    pub(super) const fn in_step() -> u32 {
        1
    }

    pub(super) const fn out_pause() -> u32 {
        300
    }

    pub(super) const fn in_pause() -> u32 {
        600
    }
}

/// The policy.
pub struct ScaleEcsService;

impl Policy for ScaleEcsService {
    type Settings = Settings;

    const SUMMARY: &'static str =
        "Scales an ECS service out while an alert says that it is saturated, and slowly back in afterwards.";
    const ACTIONS: &'static [&'static str] = &["ecs:scale-service"];
    const QUERIES: &'static [&'static str] = &["ecs:service"];

    fn validate(settings: &Settings) -> Result<(), String> {
        let Settings { minimum, maximum, out_step, in_step, out_pause, in_pause, .. } = settings;
        if *minimum == 0 {
            return Err("minimum is 0: set it to 1 at least, since a service without tasks serves nobody".into());
        }
        if minimum > maximum {
            return Err(format!("minimum {minimum} is above maximum {maximum}: raise maximum or lower minimum"));
        }
        let positive = [("out-step", out_step), ("in-step", in_step), ("out-pause", out_pause), ("in-pause", in_pause)];
        match positive.iter().find(|(_, value)| **value == 0) {
            Some((name, _)) => Err(format!("{name} is 0: set it to 1 at least")),
            None => Ok(()),
        }
    }

    fn evaluate(input: &Input<Settings>) -> Result<Decision, Stop> {
        let services = input.ask_all(&input.targets, &ServiceQuery {})?;
        let plans: Vec<Plan> = services.iter().map(|(target, service)| plan(input, target, service)).collect();
        Ok(plans.into_iter().fold(Decision::default(), |decision, plan| plan.add_to(decision)))
    }
}

balm_sdk::export!(ScaleEcsService);

/// What is to be done about one target.
struct Plan {
    intent: Option<Intent>,
    why: String,
    look_again_after: Option<u32>,
}

impl Plan {
    fn nothing(why: String) -> Self {
        Self { intent: None, why, look_again_after: None }
    }

    fn wait(why: String, seconds: u32) -> Self {
        Self { intent: None, why, look_again_after: Some(seconds) }
    }

    fn add_to(self, mut decision: Decision) -> Decision {
        if !decision.explanation.is_empty() {
            decision.explanation.push_str("; ");
        }
        decision.explanation.push_str(&self.why);
        if let Some(intent) = self.intent {
            decision = decision.propose(intent);
        }
        match self.look_again_after {
            Some(seconds) => decision.look_again_after(seconds),
            None => decision,
        }
    }
}

fn plan(input: &Input<Settings>, target: &Target, service: &Service) -> Plan {
    let name = target.name();
    if service.status != "ACTIVE" {
        return Plan::nothing(format!("{name} is {}: it is left alone", service.status));
    }
    // Before anything is concluded from what is there: it is about to become something else.
    if input.is_in_progress(target) {
        return Plan::wait(format!("a change of {name} is still under way"), SOON.min(pause(&input.settings)));
    }
    let means_low_load = input.settings.low_alerts.contains(&input.alert.name);
    match (means_low_load, input.alert.is_firing()) {
        (false, true) => saturated(input, target, service),
        (false, false) => relieved(input, target, service),
        (true, true) => idle(input, target, service),
        (true, false) => Plan::nothing(format!("{name} is no longer short of load: nothing is to be done")),
    }
}

/// The alert fires: one step out, again and again.
fn saturated(input: &Input<Settings>, target: &Target, service: &Service) -> Plan {
    let Settings { minimum, maximum, out_step, out_pause, .. } = input.settings;
    let (name, from) = (target.name(), service.desired);
    if let Some(wait) = not_yet(input, target, service, out_pause) {
        return wait;
    }
    let to = from.saturating_add(out_step).clamp(minimum, maximum);
    if to <= from {
        let why = format!("{name} is saturated and runs {from} tasks, which is its maximum of {maximum}");
        return Plan::wait(why, out_pause);
    }
    scale(target, from, to, format!("{name} is saturated: from {from} to {to} tasks"), out_pause)
}

/// The alert has resolved: give back, slowly, what this episode added.
fn relieved(input: &Input<Settings>, target: &Target, service: &Service) -> Plan {
    let Settings { minimum, in_step, in_pause, .. } = input.settings;
    let (name, from) = (target.name(), service.desired);
    let Some(before) = before_this_episode(input, target) else {
        return Plan::nothing(format!("{name} is well again, and nothing was added to it"));
    };
    let floor = before.max(minimum);
    // What runs above the floor may be another episode's by now: each gives back its own.
    let left = still_added(input, target);
    if from <= floor || left == 0 {
        return Plan::nothing(format!("{name} is well again with {from} tasks, and nothing is left to give back"));
    }
    // An end in the future is a sender's clock that is ahead: it tells as little as none.
    let rested = match (input.alert.ends_at.filter(|ended| *ended <= input.now), &input.trigger) {
        (Some(ended), _) => input.seconds_since(ended),
        (None, Trigger::Resolved) => 0,
        (None, _) => u64::from(in_pause),
    };
    if let Some(left) = remaining(rested, in_pause) {
        return Plan::wait(format!("{name} is well again: it keeps its {from} tasks for {left} s more"), left);
    }
    if let Some(wait) = not_yet(input, target, service, in_pause) {
        return wait;
    }
    let to = from.saturating_sub(in_step.min(left)).max(floor);
    scale(target, from, to, format!("{name} is well again: from {from} to {to} tasks, on the way to {floor}"), in_pause)
}

/// An alert fires that says that there is too little load: one step in, again and again.
fn idle(input: &Input<Settings>, target: &Target, service: &Service) -> Plan {
    let Settings { minimum, in_step, in_pause, .. } = input.settings;
    let (name, from) = (target.name(), service.desired);
    if let Some(wait) = not_yet(input, target, service, in_pause) {
        return wait;
    }
    let to = from.saturating_sub(in_step).max(minimum);
    if to >= from {
        return Plan::wait(
            format!("{name} is short of load and runs {from} tasks, its minimum is {minimum}"),
            in_pause,
        );
    }
    scale(target, from, to, format!("{name} is short of load: from {from} to {to} tasks"), in_pause)
}

fn scale(target: &Target, from: u32, to: u32, why: String, pause: u32) -> Plan {
    let intent = Intent::scale_service(target, to).expecting("desired", from).because(why.clone());
    Plan { intent: Some(intent), why, look_again_after: Some(pause) }
}

/// The shorter of the two pauses.
fn pause(settings: &Settings) -> u32 {
    settings.out_pause.min(settings.in_pause)
}

/// The tasks are still on their way, or it is too soon after the last step.
fn not_yet(input: &Input<Settings>, target: &Target, service: &Service, pause: u32) -> Option<Plan> {
    let name = target.name();
    let Service { desired, running, pending, deployments, .. } = service;
    if running < desired || *pending > 0 || deployments.len() > 1 {
        let why = format!("{name} is still on its way: {running} of {desired} tasks run, {pending} are pending");
        return Some(Plan::wait(why, SOON.min(pause)));
    }
    let newest = input.history.iter().rev().find(|past| past.target == *target && !past.changed_nothing())?;
    let left = remaining(input.seconds_since(newest.at), pause)?;
    Some(Plan::wait(format!("the last step of {name} is too recent: the next is due in {left} s"), left))
}

/// What is left of a pause, if anything is.
fn remaining(passed: u64, pause: u32) -> Option<u32> {
    u32::try_from(u64::from(pause).saturating_sub(passed)).ok().filter(|left| *left > 0)
}

/// The tasks that the service had before this episode added any; none if it added none.
fn before_this_episode(input: &Input<Settings>, target: &Target) -> Option<u32> {
    let added = |past: &&PastIntent| {
        past.target == *target && !past.changed_nothing() && past.before("desired") < past.after("desired")
    };
    let before = input.history.iter().filter(added).filter_map(|past| past.before("desired")).min()?;
    u32::try_from(before).ok()
}

/// The tasks that this episode added and has not given back.
fn still_added(input: &Input<Settings>, target: &Target) -> u32 {
    let changes = input.history.iter().filter(|past| past.target == *target && !past.changed_nothing());
    let desired = |past: &PastIntent| Some((past.before("desired")?, past.after("desired")?));
    let (added, given_back) = changes.filter_map(desired).fold((0_u64, 0_u64), |(added, given_back), (from, to)| {
        (added.saturating_add(to.saturating_sub(from)), given_back.saturating_add(from.saturating_sub(to)))
    });
    u32::try_from(added.saturating_sub(given_back)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
