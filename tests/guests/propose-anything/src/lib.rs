//! A guest of the tests: when its alert fires it proposes what its settings say, to the letter, and asks nothing.
//!
//! So a test can put any intent before the host, right or wrong, and what the host then reads is the guard's own look.
//! It refuses to know whether any of it makes sense.

use std::collections::BTreeMap;

use balm_sdk::{Decision, Input, Intent, Policy, Stop, Target, catalogue};
use serde_json::Value;

/// What a test sets.
#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Settings {
    /// What is proposed.
    #[serde(default)]
    intents: Vec<Proposed>,
    /// When it wants to be asked again, in seconds.
    #[serde(default)]
    look_again_after: Option<u32>,
}

/// An intent, as it crosses the boundary.
#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Proposed {
    /// A name of the catalogue, or none of it.
    action: String,
    /// The first of the policy's targets where it is not said.
    #[serde(default)]
    target: Option<String>,
    /// In the catalogue's shape, or not.
    #[serde(default)]
    parameters: BTreeMap<String, Value>,
    /// Attributes of the target.
    #[serde(default)]
    expects: BTreeMap<String, Value>,
    /// Seconds.
    #[serde(default)]
    verify_within: Option<u32>,
    /// Whether to take it back.
    #[serde(default)]
    undo: bool,
}

/// The guest.
pub struct ProposeAnything;

impl Policy for ProposeAnything {
    type Settings = Settings;

    const SUMMARY: &'static str = "Proposes what its settings say.";
    const ACTIONS: &'static [&'static str] = catalogue::ACTIONS;
    const QUERIES: &'static [&'static str] = &[];

    fn evaluate(input: &Input<Settings>) -> Result<Decision, Stop> {
        let mut decision = Decision::because("the settings say so");
        decision.look_again_after = input.settings.look_again_after;
        if input.alert.is_firing() {
            decision.intents = input.settings.intents.iter().map(|proposed| intent(proposed, input)).collect();
        }
        Ok(decision)
    }
}

balm_sdk::export!(ProposeAnything);

fn intent(proposed: &Proposed, input: &Input<Settings>) -> Intent {
    let target = proposed.target.as_ref().map(Target::new).or_else(|| input.targets.first().cloned());
    Intent {
        action: proposed.action.clone(),
        target: target.unwrap_or_else(|| Target::new("")),
        parameters: serde_json::to_string(&proposed.parameters).unwrap_or_default(),
        expects: proposed.expects.clone().into_iter().collect(),
        verify_within: proposed.verify_within,
        undo: proposed.undo,
        reason: "the settings say so".into(),
    }
}
