//! A recorded evaluation as Rust: a test that sets the same scene for the policy and expects the same decision.
//!
//! What strangers wrote stands in string literals, escaped, and in nothing else: no text of an alert becomes code.

use std::fmt::Write as _;

use balm_core::{
    alert::{Alert, Status},
    evaluation::{Answer, Conclusion, Decision, FailureKind, PastIntent, Proposal, Trigger},
    json::Json,
    time::Timestamp,
};

use crate::replay::Case;

/// The text of a test.
pub(super) fn test(case: &Case, policy_type: Option<&str>) -> Result<String, String> {
    let policy_type = match (policy_type, &case.name) {
        (Some(named), _) => named.to_owned(),
        (None, Some(plugin)) => type_name(plugin.as_str()),
        (None, None) => return Err("no record says which plugin decided: name its type with --policy-type".into()),
    };
    let expected = match &case.capsule.conclusion {
        Conclusion::Decided(decision) => decided(decision, &policy_type),
        Conclusion::Failed(failure) if failure.kind == FailureKind::Returned => {
            format!("    assert_eq!(scene.failure::<{policy_type}>(), {:?});\n", failure.message)
        }
        // The kit runs no Wasm, so a trap is a panic of the test itself.
        Conclusion::Failed(failure) if failure.kind == FailureKind::Trapped => {
            format!("    // It trapped: {:?}.\n    let _ = scene.run::<{policy_type}>();\n", failure.message)
        }
        Conclusion::Failed(failure) => return Err(format!("{}, which no native test can", failure.kind)),
    };
    let mut text = String::new();
    let _ = writeln!(text, "/// What policy {} came to in record {}, at {}.", case.input.policy, case.seq, case.at);
    let _ = writeln!(text, "#[test]\nfn as_recorded_in_{}() {{", case.seq);
    let _ = writeln!(text, "    use balm_sdk::{{{}}};\n", imports(case));
    let _ = writeln!(text, "    use super::{policy_type};\n");
    text.push_str(&scene(case));
    text.push_str(&expected);
    text.push_str("}\n");
    Ok(text)
}

/// `scale-ecs-service` is `ScaleEcsService`, as `balm new` names it.
fn type_name(plugin: &str) -> String {
    let word = |word: &str| {
        let mut letters = word.chars();
        letters.next().map(|first| first.to_uppercase().chain(letters).collect::<String>()).unwrap_or_default()
    };
    plugin.split('-').map(word).collect()
}

fn imports(case: &Case) -> String {
    let has_intents = match &case.capsule.conclusion {
        Conclusion::Decided(decision) => !decision.intents.is_empty(),
        Conclusion::Failed(_) => false,
    };
    let past = if case.input.history.is_empty() { "" } else { "PastIntent, Target, " };
    let testing = if has_intents { "testing::{Scene, expects, parameters}" } else { "testing::Scene" };
    format!("Alert, {past}Trigger, {testing}")
}

fn scene(case: &Case) -> String {
    let input = &case.input;
    let mut text = String::new();
    let mut line = |words: String| text.push_str(&format!("        {words}\n"));
    line(format!(".alert(|alert| *alert = {})", alert(&input.alert)));
    line(format!(".policy({:?})", input.policy.as_str()));
    line(format!(".trigger(Trigger::{})", trigger(input.trigger)));
    line(format!(".settings({})", json(&input.settings)));
    input.targets.iter().for_each(|target| line(format!(".target({:?})", target.to_string())));
    input.history.iter().for_each(|past| line(format!(".past({})", past_intent(past))));
    input.answers.iter().for_each(|answered| line(answer(answered)));
    line(format!(".now({})", number(input.now.as_millis())));
    line(format!(".seed({});", number(input.seed)));
    format!("    let scene = Scene::firing({:?})\n{text}", input.alert.name)
}

fn alert(alert: &Alert) -> String {
    let pairs = |pairs: &std::collections::BTreeMap<String, String>| {
        let pair = |(name, value): (&String, &String)| format!("({name:?}.into(), {value:?}.into())");
        format!("[{}].into()", pairs.iter().map(pair).collect::<Vec<_>>().join(", "))
    };
    let values: Vec<String> =
        alert.values.iter().map(|(name, value)| format!("({name:?}.into(), {value:?})")).collect();
    let time = |at: Option<Timestamp>| at.map_or("None".to_owned(), |at| format!("Some({})", number(at.as_millis())));
    let fields = [
        ("source", format!("{:?}.into()", alert.source.as_str())),
        ("org", format!("{:?}.into()", alert.org)),
        ("fingerprint", format!("{:?}.into()", alert.fingerprint)),
        ("firing", (alert.status == Status::Firing).to_string()),
        ("name", format!("{:?}.into()", alert.name)),
        ("labels", pairs(&alert.labels)),
        ("annotations", pairs(&alert.annotations)),
        ("values", format!("[{}].into()", values.join(", "))),
        ("starts_at", time(alert.starts_at)),
        ("ends_at", time(alert.ends_at)),
    ];
    let fields: String = fields.iter().map(|(name, value)| format!("            {name}: {value},\n")).collect();
    format!("Alert {{\n{fields}        }}")
}

const fn trigger(trigger: Trigger) -> &'static str {
    match trigger {
        Trigger::Fired => "Fired",
        Trigger::Resolved => "Resolved",
        Trigger::LookAgain => "LookAgain",
        Trigger::Unverified => "Unverified",
    }
}

fn past_intent(past: &PastIntent) -> String {
    let fields = [
        ("action", format!("{:?}.into()", past.action)),
        ("target", format!("Target::new({:?})", past.target)),
        ("at", number(past.at.as_millis())),
        ("state", format!("{:?}.into()", past.state)),
        ("before", format!("{}.into()", json(&past.before))),
        ("after", format!("{}.into()", json(&past.after))),
    ];
    let fields: String = fields.iter().map(|(name, value)| format!("            {name}: {value},\n")).collect();
    format!("PastIntent {{\n{fields}        }}")
}

fn answer(answer: &Answer) -> String {
    let reading = match &answer.reading {
        Ok(reading) => format!("Ok({})", json(reading)),
        Err(why) => format!("Err({why:?})"),
    };
    let query = &answer.query;
    format!(".answer({:?}, {:?}, {}, {reading})", query.kind, query.target, json(&query.parameters))
}

fn decided(decision: &Decision, policy_type: &str) -> String {
    let Decision { intents, explanation, look_again_after, .. } = decision;
    let mut text = format!("    let decision = scene.decide::<{policy_type}>();\n");
    let mut line = |words: String| text.push_str(&format!("    {words}\n"));
    line(format!("assert_eq!(decision.explanation, {explanation:?});"));
    line(format!("assert_eq!(decision.look_again_after, {look_again_after:?});"));
    line(format!("assert_eq!(decision.intents.len(), {});", intents.len()));
    for (index, intent) in intents.iter().enumerate() {
        let Proposal { action, target, parameters, expects, verify_within, undo, reason } = intent;
        line(format!("let intent = &decision.intents[{index}];"));
        line(format!("assert_eq!((intent.action.as_str(), intent.target.arn()), ({action:?}, {target:?}));"));
        line(format!("assert_eq!(parameters(intent), {});", json(parameters)));
        line(format!("assert_eq!(expects(intent), {});", json(expects)));
        line(format!("assert_eq!((intent.verify_within, intent.undo), ({verify_within:?}, {undo}));"));
        line(format!("assert_eq!(intent.reason, {reason:?});"));
    }
    text
}

/// A JSON text as a literal: raw where it reads well and hides nothing.
fn json(json: &Json) -> String {
    let text = json.as_str();
    let hides = |c: char| c.is_control() || crate::text::is_invisible(c);
    if text.contains("\"#") || text.chars().any(hides) { format!("{text:?}") } else { format!("r#\"{text}\"#") }
}

/// A number as Rust's own lints want it.
fn number(number: u64) -> String {
    let digits = number.to_string();
    let first = digits.len() % 3;
    let mut groups: Vec<&str> = Vec::new();
    if first > 0 {
        groups.push(&digits[..first]);
    }
    groups.extend((first..digits.len()).step_by(3).map(|at| &digits[at..at + 3]));
    groups.join("_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plugin_is_named_as_its_type_is() {
        assert_eq!(type_name("scale-ecs-service"), "ScaleEcsService");
        assert_eq!(type_name("web"), "Web");
    }

    #[test]
    fn numbers_are_grouped_and_json_is_raw_unless_it_would_end_early_or_hide_something() {
        assert_eq!([0, 999, 1_000, 1_795_435_200_000].map(number), ["0", "999", "1_000", "1_795_435_200_000"]);
        assert_eq!(json(&Json::parse(r#"{"a":1}"#).unwrap()), "r#\"{\"a\":1}\"#");
        assert_eq!(json(&Json::parse("\"x\\\"#\"").unwrap()), r##""\"x\\\"#\"""##);
        assert!(json(&Json::parse("\"\u{202e}\"").unwrap()).contains("\\u{202e}"));
    }
}
