//! Scales an ECS service out while an alert says that it is saturated, and slowly back in afterwards.
//!
//! Out, when a saturation alert fires, and again for as long as it keeps firing. In, step by step, after it has resolved, by
//! what this episode added and down to what was there before it; or while an alert fires that says that there is too little
//! load, down to the minimum. Never below the operator's minimum, never further above the maximum, never while something is
//! still on its way, and never as a correction of what somebody set by hand.
//!
//! The steps are the SDK's; here is what is counted, and when it is left alone.

use balm_sdk::{
    Decision, Input, Intent, Policy, Stop, Target,
    catalogue::ecs::{Service, ServiceQuery},
    stepping::{Count, Counted, Plan, Steps},
};

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
        settings.steps().validate("a service", "tasks")
    }

    fn evaluate(input: &Input<Settings>) -> Result<Decision, Stop> {
        let services = input.ask_all(&input.targets, &ServiceQuery {})?;
        let plans: Vec<Plan> = services.iter().map(|(target, service)| plan(input, target, service)).collect();
        Ok(plans.into_iter().fold(Decision::default(), |decision, plan| plan.add_to(decision)))
    }
}

balm_sdk::export!(ScaleEcsService);

const TASKS: Counted = Counted { what: "tasks", set: Intent::scale_service };

fn plan(input: &Input<Settings>, target: &Target, service: &Service) -> Plan {
    if service.status != "ACTIVE" {
        return Plan::nothing(format!("{} is {}: it is left alone", target.name(), service.status));
    }
    input.settings.steps().plan(input, target, &count(service), TASKS)
}

fn count(service: &Service) -> Count {
    let Service { desired, running, pending, deployments, .. } = service;
    let is_on_its_way = running < desired || *pending > 0 || deployments.len() > 1;
    let words = || format!("{running} of {desired} tasks run, {pending} are pending");
    Count { desired: *desired, on_its_way: is_on_its_way.then(words) }
}

impl Settings {
    fn steps(&self) -> Steps<'_> {
        Steps {
            minimum: self.minimum,
            maximum: self.maximum,
            out_step: self.out_step,
            in_step: self.in_step,
            out_pause: self.out_pause,
            in_pause: self.in_pause,
            low_alerts: &self.low_alerts,
        }
    }
}

#[cfg(test)]
mod tests;
