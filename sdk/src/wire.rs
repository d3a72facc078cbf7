//! What crosses the boundary, as plain types, and the round that a host plays: for tests, simulators and replays that run
//! a policy without Wasm.
//!
//! Policies do not need this module; [`crate::Input`] hides it.

use balm_catalogue::Query as Kind;
use serde_json::{Map, Value};

use crate::{Alert, Decision, Input, PastIntent, Policy, Stop, Target, Trigger};

/// All that an evaluation may know, before the settings are read.
#[derive(Clone, Debug)]
pub struct RawInput {
    /// The alert.
    pub alert: Alert,
    /// The policy's name.
    pub policy: String,
    /// Within its reach.
    pub targets: Vec<Target>,
    /// A JSON text.
    pub settings: String,
    /// Answers so far.
    pub answers: Vec<Answer>,
    /// Why now.
    pub trigger: Trigger,
    /// What was proposed before.
    pub history: Vec<PastIntent>,
    /// The time, in milliseconds since 1970.
    pub now: u64,
    /// The only randomness.
    pub seed: u64,
}

/// A question to the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// Its kind in the catalogue.
    pub kind: String,
    /// About what.
    pub target: Target,
    /// A JSON object.
    pub parameters: String,
}

impl Query {
    /// A query of the catalogue about a target.
    #[must_use]
    pub fn new<Q: Kind>(target: &Target, query: &Q) -> Self {
        // By way of `Value`, so that keys are in the order in which the host hands them back.
        let parameters = serde_json::to_value(query).map(|mut value| {
            value.sort_all_objects();
            value.to_string()
        });
        Self { kind: Q::NAME.into(), target: target.clone(), parameters: parameters.unwrap_or_default() }
    }
}

/// The host's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The question.
    pub query: Query,
    /// A JSON text, or why there is none.
    pub reading: Result<String, String>,
    /// When it was read, in milliseconds since 1970.
    pub at: u64,
}

/// What one round returned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The decision.
    Decided(Decision),
    /// These answers first.
    Needs(Vec<Query>),
}

/// One round, as the host plays it.
pub fn evaluate<P: Policy>(input: RawInput) -> Result<Outcome, String> {
    let RawInput { alert, policy, targets, settings, answers, trigger, history, now, seed } = input;
    let settings = read_settings::<P>(&settings)?;
    match P::evaluate(&Input { alert, policy, targets, settings, trigger, history, now, seed, answers }) {
        Ok(decision) => Ok(Outcome::Decided(decision)),
        Err(Stop::Needs(queries)) => Ok(Outcome::Needs(queries)),
        Err(Stop::Failed(why)) => Err(why),
    }
}

fn read_settings<P: Policy>(settings: &str) -> Result<P::Settings, String> {
    serde_json::from_str(settings).map_err(|error| format!("settings: {error}"))
}

/// Whether a policy accepts settings: they can be read, have no key that it does not know, and make sense together.
pub fn validate_settings<P: Policy>(settings: &str) -> Result<(), String> {
    let given: Map<String, Value> =
        serde_json::from_str(settings).map_err(|error| format!("settings must be a table: {error}"))?;
    let schema = schemars::schema_for!(P::Settings);
    if let Some(known) = schema.get("properties").and_then(Value::as_object)
        && let Some(unknown) = given.keys().find(|key| !known.contains_key(*key))
    {
        let known: Vec<&str> = known.keys().map(String::as_str).collect();
        return Err(format!("there is no setting {unknown:?}; there are {}", known.join(", ")));
    }
    P::validate(&read_settings::<P>(settings)?)
}

/// The JSON Schema of a policy's settings.
#[must_use]
pub fn settings_schema<P: Policy>() -> String {
    serde_json::to_string(&schemars::schema_for!(P::Settings)).unwrap_or_default()
}
