//! Between the contract's types and the core's. What comes from a guest is checked here, where it enters, and its raw form
//! is dropped.

use balm_core::{
    alert,
    evaluation::{Answer, Decision, Input, Outcome, PastIntent, Proposal, Query},
    json::Json,
    record::Manifest,
};

use crate::contract::{balm::policy::types, exports::balm::policy::plugin};

/// What a guest is told.
pub(crate) fn input(input: &Input) -> plugin::Input {
    let Input { alert, policy, targets, settings, answers, trigger, history, now, seed } = input;
    plugin::Input {
        alert: self::alert(alert),
        policy: policy.to_string(),
        targets: targets.iter().map(ToString::to_string).collect(),
        settings: settings.to_string(),
        answers: answers.iter().map(answer).collect(),
        trigger: trigger.to_string(),
        history: history.iter().map(past_intent).collect(),
        now: now.as_millis(),
        seed: *seed,
        extra: "{}".into(),
    }
}

fn alert(alert: &alert::Alert) -> types::Alert {
    let pairs = |map: &std::collections::BTreeMap<String, String>| {
        map.iter().map(|(name, value)| (name.clone(), value.clone())).collect()
    };
    types::Alert {
        source: alert.source.to_string(),
        org: alert.org.clone(),
        fingerprint: alert.fingerprint.clone(),
        status: match alert.status {
            alert::Status::Firing => types::Status::Firing,
            alert::Status::Resolved => types::Status::Resolved,
        },
        name: alert.name.clone(),
        labels: pairs(&alert.labels),
        annotations: pairs(&alert.annotations),
        values: alert.values.iter().map(|(name, value)| (name.clone(), *value)).collect(),
        starts_at: alert.starts_at.map(balm_core::time::Timestamp::as_millis),
        ends_at: alert.ends_at.map(balm_core::time::Timestamp::as_millis),
    }
}

fn answer(answer: &Answer) -> types::Answer {
    let Query { kind, target, parameters } = &answer.query;
    types::Answer {
        query: types::Query { kind: kind.clone(), target: target.clone(), parameters: parameters.to_string() },
        reading: answer.reading.as_ref().map(ToString::to_string).map_err(Clone::clone),
        at: answer.at.as_millis(),
    }
}

fn past_intent(past: &PastIntent) -> types::PastIntent {
    types::PastIntent {
        action: past.action.clone(),
        target: past.target.clone(),
        at: past.at.as_millis(),
        state: past.state.clone(),
        before: past.before.to_string(),
        after: past.after.to_string(),
    }
}

/// What a guest returned, if it is well formed and within the caps; otherwise what is wrong with it.
pub(crate) fn outcome(outcome: plugin::Outcome) -> Result<Outcome, String> {
    match outcome {
        plugin::Outcome::Decided(decision) => self::decision(decision).map(Outcome::Decided),
        plugin::Outcome::Needs(queries) => queries.into_iter().map(query).collect::<Result<_, _>>().map(Outcome::Needs),
    }
}

fn decision(decision: types::Decision) -> Result<Decision, String> {
    let types::Decision { intents, explanation, look_again_after, extra } = decision;
    // Before anything is read: what is beyond the caps is not worth reading.
    let intents = if intents.len() > balm_core::caps::INTENTS_PER_DECISION {
        return Err(format!(
            "{} intents; at most {} are allowed",
            intents.len(),
            balm_core::caps::INTENTS_PER_DECISION
        ));
    } else {
        intents.into_iter().map(proposal).collect::<Result<Vec<_>, _>>()?
    };
    let decision = Decision { intents, explanation, look_again_after, extra: json("extra", &extra)? };
    decision.check()?;
    Ok(decision)
}

fn proposal(intent: types::Intent) -> Result<Proposal, String> {
    let types::Intent { action, target, parameters, expects, verify_within, undo, reason } = intent;
    let (parameters, expects) = (json("parameters", &parameters)?, json("expects", &expects)?);
    Ok(Proposal { action, target, parameters, expects, verify_within, undo, reason })
}

fn query(query: types::Query) -> Result<Query, String> {
    let types::Query { kind, target, parameters } = query;
    let long =
        [&kind, &target].into_iter().map(String::len).max().filter(|length| *length > balm_core::caps::TEXT_BYTES);
    if let Some(length) = long {
        return Err(format!(
            "a query with a text of {length} bytes; at most {} are allowed",
            balm_core::caps::TEXT_BYTES
        ));
    }
    Ok(Query { kind, target, parameters: json("a query's parameters", &parameters)? })
}

fn json(what: &str, text: &str) -> Result<Json, String> {
    Json::parse(text).map_err(|error| format!("{what}: {error}"))
}

/// What a plugin says of itself, with the schema of its settings.
pub(crate) fn manifest(manifest: types::Manifest) -> Result<(Manifest, Json), String> {
    let types::Manifest { name: _, version, summary, actions, queries, settings_schema } = manifest;
    let texts = actions.iter().chain(&queries).chain([&version, &summary]);
    if actions.len() + queries.len() > 256 || texts.map(String::len).sum::<usize>() > balm_core::caps::JSON_BYTES {
        return Err("it is too long".into());
    }
    let known = |names: &[String], catalogue: &[&str], what: &str| match names
        .iter()
        .find(|name| !catalogue.contains(&name.as_str()))
    {
        Some(name) => Err(format!("it declares the {what} {name:?}, and the catalogue has {}", catalogue.join(", "))),
        None => Ok(()),
    };
    known(&actions, balm_core::action::NAMES, "action")?;
    known(&queries, balm_core::look::QUERIES, "query")?;
    Ok((Manifest { version, summary, actions, queries }, json("settings-schema", &settings_schema)?))
}
