//! Scales an Auto Scaling group out while an alert says that it is saturated, and slowly back in afterwards.
//!
//! The steps are the SDK's, the same as for ECS services; here is what is counted, and when a group is left alone.

use balm_sdk::{
    Decision, Input, Intent, Policy, Stop, Target,
    catalogue::asg::{Group, GroupQuery},
    stepping::{Count, Counted, Plan, Steps},
};

/// What the operator sets.
#[derive(Clone, Debug, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Settings {
    /// Instances that are never gone below.
    pub minimum: u32,
    /// Instances that are never gone above.
    pub maximum: u32,
    /// Instances that are added at once.
    #[serde(default = "defaults::out_step")]
    pub out_step: u32,
    /// Instances that are taken away at once.
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
pub struct ScaleAsg;

impl Policy for ScaleAsg {
    type Settings = Settings;

    const SUMMARY: &'static str =
        "Scales an Auto Scaling group out while an alert says that it is saturated, and slowly back in afterwards.";
    const ACTIONS: &'static [&'static str] = &["asg:set-desired-capacity"];
    const QUERIES: &'static [&'static str] = &["asg:group"];

    fn validate(settings: &Settings) -> Result<(), String> {
        settings.steps().validate("a group", "instances")
    }

    fn evaluate(input: &Input<Settings>) -> Result<Decision, Stop> {
        let groups = input.ask_all(&input.targets, &GroupQuery {})?;
        let plans: Vec<Plan> = groups.iter().map(|(target, group)| plan(input, target, group)).collect();
        Ok(plans.into_iter().fold(Decision::default(), |decision, plan| plan.add_to(decision)))
    }
}

balm_sdk::export!(ScaleAsg);

const INSTANCES: Counted = Counted { what: "instances", set: Intent::set_desired_capacity };

fn plan(input: &Input<Settings>, target: &Target, group: &Group) -> Plan {
    if !group.status.is_empty() {
        return Plan::nothing(format!("the status of {} is {:?}: it is left alone", target.name(), group.status));
    }
    input.settings.steps_within(group).plan(input, target, &count(group), INSTANCES)
}

/// An unhealthy instance is not on its way anywhere: a group that has one needs the others all the more.
fn count(group: &Group) -> Count {
    let (in_service, pending, desired) = (group.in_service().count(), group.pending(), group.desired);
    let missing = u32::try_from(in_service).is_ok_and(|in_service| in_service < desired);
    let on_its_way = match group.refreshing() {
        Some(refresh) => Some(format!("refresh {} is {}", refresh.id, refresh.status)),
        None if missing || pending > 0 => {
            Some(format!("{in_service} of {desired} instances are in service, {pending} are pending"))
        }
        None => None,
    };
    Count { desired, on_its_way }
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

    /// The same within the group's own bounds, since AWS holds it to those.
    fn steps_within(&self, group: &Group) -> Steps<'_> {
        let maximum = self.maximum.min(group.max);
        Steps { minimum: self.minimum.max(group.min).min(maximum), maximum, ..self.steps() }
    }
}

#[cfg(test)]
mod tests;
