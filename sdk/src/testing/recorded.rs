//! For scenes that were recorded: what `balm capsule --as-test` writes is made of this and of what any scene is made of.

use serde_json::{Map, Value};

use super::Scene;
use crate::{Intent, Target};

impl Scene {
    /// What the operator calls the policy.
    #[must_use]
    pub fn policy(mut self, name: &str) -> Self {
        self.input.policy = name.into();
        self
    }

    /// The only randomness.
    #[must_use]
    pub const fn seed(mut self, seed: u64) -> Self {
        self.input.seed = seed;
        self
    }

    /// What the host answered to a query of this kind with these parameters, as JSON; or why it could not be read.
    #[must_use]
    pub fn answer(mut self, kind: &str, arn: &str, parameters: &str, reading: Result<&str, &str>) -> Self {
        let reading = reading.map(str::to_owned).map_err(str::to_owned);
        self.readings.insert((kind.into(), Target::new(arn), parameters.into()), reading);
        self
    }
}

/// An intent's parameters as the host records them: JSON with its keys in order.
#[must_use]
pub fn parameters(intent: &Intent) -> String {
    let value = serde_json::from_str::<Value>(&intent.parameters).map(in_order);
    value.unwrap_or_else(|_| intent.parameters.clone())
}

/// What an intent expects, as the host records it.
#[must_use]
pub fn expects(intent: &Intent) -> String {
    in_order(Value::Object(Map::clone(&intent.expects)))
}

fn in_order(mut value: Value) -> String {
    value.sort_all_objects();
    value.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Decision, Input, Policy, Stop};

    struct Counts;

    impl Policy for Counts {
        type Settings = Map<String, Value>;
        const SUMMARY: &'static str = "";
        const ACTIONS: &'static [&'static str] = &["ecs:scale-service"];
        const QUERIES: &'static [&'static str] = &["ecs:service"];

        fn evaluate(input: &Input<Self::Settings>) -> Result<Decision, Stop> {
            let service = input.ecs_service(&input.targets[0])?;
            let intent =
                Intent::scale_service(&input.targets[0], service.desired + 1).expecting("z", 1).expecting("a", 2);
            Ok(Decision::because(format!("{} {}", input.policy, input.seed)).propose(intent))
        }
    }

    #[test]
    fn a_recorded_answer_is_given_as_it_was_and_intents_read_as_they_are_recorded() {
        let web = "arn:aws:ecs:eu-central-1:123456789012:service/prod/web";
        let service = serde_json::to_string(&crate::testing::service(4)).unwrap();
        let scene = Scene::firing("HighCpu").target(web).policy("web-cpu").seed(7);
        let decision = scene.clone().answer("ecs:service", web, "{}", Ok(&service)).decide::<Counts>();
        assert_eq!(decision.explanation, "web-cpu 7");
        assert_eq!(
            (parameters(&decision.intents[0]), expects(&decision.intents[0])),
            (r#"{"desired":5}"#.to_owned(), r#"{"a":2,"z":1}"#.to_owned())
        );
        let failure = scene.answer("ecs:service", web, "{}", Err("AWS was away")).failure::<Counts>();
        assert!(failure.contains("AWS was away"), "{failure}");
    }
}
