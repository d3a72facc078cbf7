//! Adds a task to an ECS service while an alert fires, up to a maximum. A beginning: make it your own.

use balm_sdk::{Decision, Input, Intent, Policy, Stop};

/// What the operator sets in `my-policy.toml`.
#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Settings {
    /// Tasks that are never gone above.
    pub maximum: u32,
}

/// The policy.
pub struct MyPolicy;

impl Policy for MyPolicy {
    type Settings = Settings;

    const SUMMARY: &'static str = "Adds a task to an ECS service while an alert fires, up to a maximum.";
    const ACTIONS: &'static [&'static str] = &["ecs:scale-service"];
    const QUERIES: &'static [&'static str] = &["ecs:service"];

    fn evaluate(input: &Input<Settings>) -> Result<Decision, Stop> {
        if !input.alert.is_firing() {
            return Ok(Decision::because("the alert has resolved: nothing is to be done"));
        }
        let mut decision = Decision::because(format!("{} fires", input.alert.name));
        for target in &input.targets {
            // Asks Balm the first time, and has the answer the second time.
            let service = input.ecs_service(target)?;
            if service.desired < input.settings.maximum {
                // Absolute and conditional: if somebody else changes it first, this intent dies.
                let intent = Intent::scale_service(target, service.desired + 1)
                    .expecting("desired", service.desired)
                    .because("the alert fires, and there is room for one task more");
                decision = decision.propose(intent);
            }
        }
        Ok(decision)
    }
}

balm_sdk::export!(MyPolicy);

#[cfg(test)]
mod tests {
    use balm_sdk::testing::{Scene, service};

    use super::MyPolicy;

    const WEB: &str = "arn:aws:ecs:eu-central-1:123456789012:service/prod/web";

    fn with(tasks: u32, scene: Scene) -> balm_sdk::Decision {
        scene.settings(r#"{"maximum": 6}"#).target(WEB).service(WEB, service(tasks)).decide::<MyPolicy>()
    }

    #[test]
    fn a_firing_alert_adds_a_task() {
        let decision = with(4, Scene::firing("HighCpu"));
        assert_eq!(decision.intents[0].parameters, r#"{"desired":5}"#);
    }

    #[test]
    fn the_maximum_is_never_passed() {
        assert!(with(6, Scene::firing("HighCpu")).intents.is_empty());
    }

    #[test]
    fn a_resolved_alert_changes_nothing() {
        assert!(with(4, Scene::resolved("HighCpu")).intents.is_empty());
    }
}
