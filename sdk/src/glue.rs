//! Between the contract's generated types and ours. Only in a Wasm build; [`crate::export!`] uses it.

use std::collections::BTreeMap;

use crate::{
    Alert, Decision, Intent, PastIntent, Policy, Target, Trigger,
    log::Level,
    wire::{self, Answer, Query, RawInput},
};

#[allow(missing_docs, unsafe_code, clippy::all, clippy::pedantic, reason = "generated from the documented contract")]
pub mod bindings {
    wit_bindgen::generate!({
        path: "../wit/0.1.0",
        world: "policy",
        pub_export_macro: true,
        default_bindings_module: "balm_sdk::glue::bindings",
    });
}

use bindings::balm::policy::{log as host_log, types};
pub use bindings::exports::balm::policy::plugin::{Guest, Input, Manifest, Outcome};

pub fn describe<P: Policy>(version: &str) -> Manifest {
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    Manifest {
        name: P::NAME.map(Into::into),
        version: version.into(),
        summary: P::SUMMARY.into(),
        actions: texts(P::ACTIONS),
        queries: texts(P::QUERIES),
        settings_schema: wire::settings_schema::<P>(),
    }
}

pub fn evaluate<P: Policy>(input: Input) -> Result<Outcome, String> {
    wire::evaluate::<P>(read(input)).map(|outcome| match outcome {
        wire::Outcome::Decided(decision) => Outcome::Decided(write_decision(decision)),
        wire::Outcome::Needs(queries) => Outcome::Needs(queries.into_iter().map(write_query).collect()),
    })
}

pub fn log(level: Level, message: &str) {
    let level = match level {
        Level::Debug => host_log::Level::Debug,
        Level::Info => host_log::Level::Info,
        Level::Warn => host_log::Level::Warn,
    };
    host_log::write(level, message);
}

fn read(input: Input) -> RawInput {
    RawInput {
        alert: read_alert(input.alert),
        policy: input.policy,
        targets: input.targets.into_iter().map(Target::new).collect(),
        settings: input.settings,
        answers: input.answers.into_iter().map(read_answer).collect(),
        trigger: Trigger::from(input.trigger),
        history: input.history.into_iter().map(read_past).collect(),
        now: input.now,
        seed: input.seed,
    }
}

fn read_alert(alert: types::Alert) -> Alert {
    Alert {
        source: alert.source,
        org: alert.org,
        fingerprint: alert.fingerprint,
        firing: alert.status == types::Status::Firing,
        name: alert.name,
        labels: alert.labels.into_iter().collect::<BTreeMap<_, _>>(),
        annotations: alert.annotations.into_iter().collect(),
        values: alert.values.into_iter().collect(),
        starts_at: alert.starts_at,
        ends_at: alert.ends_at,
    }
}

fn read_answer(answer: types::Answer) -> Answer {
    let types::Query { kind, target, parameters } = answer.query;
    Answer { query: Query { kind, target: Target::new(target), parameters }, reading: answer.reading, at: answer.at }
}

fn read_past(past: types::PastIntent) -> PastIntent {
    let types::PastIntent { action, target, at, state, before, after } = past;
    PastIntent { action, target: Target::new(target), at, state, before, after }
}

fn write_query(query: Query) -> types::Query {
    types::Query { kind: query.kind, target: query.target.arn().into(), parameters: query.parameters }
}

fn write_decision(decision: Decision) -> types::Decision {
    types::Decision {
        intents: decision.intents.into_iter().map(write_intent).collect(),
        explanation: decision.explanation,
        look_again_after: decision.look_again_after,
        extra: "{}".into(),
    }
}

fn write_intent(intent: Intent) -> types::Intent {
    types::Intent {
        action: intent.action,
        target: intent.target.arn().into(),
        parameters: intent.parameters,
        expects: serde_json::Value::Object(intent.expects).to_string(),
        verify_within: intent.verify_within,
        undo: intent.undo,
        reason: intent.reason,
    }
}
