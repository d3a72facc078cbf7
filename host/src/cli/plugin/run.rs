//! `balm plugin run`: one evaluation, with everything that it was told on the command line.

use std::{
    fmt::Write as _,
    path::Path,
    process::ExitCode,
    time::{Duration, Instant},
};

use balm_core::evaluation::{Conclusion, Decision, Failure, Outcome, Query};
use balm_sandbox::Plugin;
use serde_json::{Value, json};

use super::{Loader, Scene, scene::Played};
use crate::{
    cli::{out, show::printable},
    plugin_log,
};

/// How it ends where an answer is missing: neither decided nor failed.
const NEEDS: u8 = 3;

pub(super) fn run(file: &Path, scene: &Scene, as_json: bool) -> anyhow::Result<ExitCode> {
    let loader = Loader::new()?;
    let plugin = loader.open(file)?;
    let read = scene.read(&plugin)?;
    let since = Instant::now();
    let played = loader.runtime.block_on(read.play_accepted(&plugin))?;
    let took = since.elapsed();
    let text =
        if as_json { format!("{}\n", in_json(&plugin, &played, took)) } else { in_words(&plugin, &played, took) };
    out::write(text)?;
    Ok(match (&played.round.outcome, played.missing.is_empty()) {
        (Ok(_), true) => ExitCode::SUCCESS,
        (Ok(_), false) => ExitCode::from(NEEDS),
        (Err(_), _) => ExitCode::FAILURE,
    })
}

fn in_json(plugin: &Plugin, played: &Played, took: Duration) -> Value {
    let Played { rounds, round, missing, .. } = played;
    let conclusion = match &round.outcome {
        Ok(Outcome::Decided(decision)) => json!(Conclusion::Decided(decision.clone())),
        Ok(Outcome::Needs(_)) => json!({ "needs": missing }),
        Err(failure) => json!(Conclusion::Failed(failure.clone())),
    };
    let log: Vec<Value> = round
        .log
        .iter()
        .map(|line| json!({ "level": plugin_log::word(line.level), "message": line.message }))
        .collect();
    json!({
        "plugin": plugin.name().as_str(),
        "digest": plugin.digest(),
        "conclusion": conclusion,
        "refused": refused(plugin, played),
        "rounds": rounds,
        "fuel": round.fuel,
        "took-us": u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
        "log": log,
        "log-dropped": round.log_dropped,
    })
}

fn in_words(plugin: &Plugin, played: &Played, took: Duration) -> String {
    let Played { rounds, round, missing, .. } = played;
    let mut text = match &round.outcome {
        Ok(Outcome::Decided(decision)) => decided(decision),
        Ok(Outcome::Needs(_)) => needs(missing),
        Err(Failure { kind, message }) => format!("failed: {kind}: {}\n", printable(message)),
    };
    for why in refused(plugin, played) {
        let _ = writeln!(text, "the host would refuse it: {}", printable(&why));
    }
    let rounds = if *rounds == 1 { "1 round".to_owned() } else { format!("{rounds} rounds") };
    let ms = took.as_secs_f64() * 1e3;
    let _ = writeln!(text, "{rounds}, {} instructions in the last, {ms:.1} ms with all", round.fuel);
    for line in &round.log {
        let _ = writeln!(text, "log {}: {}", plugin_log::word(line.level), printable(&line.message));
    }
    if round.log_dropped > 0 {
        let _ = writeln!(text, "log: {} further lines were dropped", round.log_dropped);
    }
    text
}

fn decided(decision: &Decision) -> String {
    let Decision { intents, explanation, look_again_after, .. } = decision;
    let mut text = format!("decided: {}\n", printable(explanation));
    for intent in intents {
        let (action, target) = (printable(&intent.action), printable(&intent.target));
        let _ = writeln!(text, "  {action} {} on {target}", printable(intent.parameters.as_str()));
        let _ = writeln!(text, "    expects {}: {}", printable(intent.expects.as_str()), printable(&intent.reason));
    }
    if intents.is_empty() {
        text.push_str("  nothing is proposed\n");
    }
    if let Some(seconds) = look_again_after {
        let _ = writeln!(text, "  looks again after {seconds} s");
    }
    text
}

/// The queries, as the file of --answers is to have them.
fn needs(missing: &[Query]) -> String {
    let answers: Vec<Value> = missing.iter().map(|query| json!({ "query": query, "reading": { "ok": {} } })).collect();
    let template = serde_json::to_string_pretty(&answers).expect("JSON values are JSON");
    format!(
        "needs answers: put this into the file of --answers, with the readings filled in (see the catalogue)\n{template}\n"
    )
}

/// What the guard refuses about any decision, whatever the guardrails say.
fn refused(plugin: &Plugin, played: &Played) -> Vec<String> {
    let Ok(Outcome::Decided(decision)) = &played.round.outcome else { return Vec::new() };
    let declared = &plugin.manifest().actions;
    let is_target = |text: &str| played.input.targets.iter().any(|target| target.to_string() == text);
    let mut why = Vec::new();
    for intent in &decision.intents {
        if !declared.contains(&intent.action) {
            why.push(format!("{:?} is not among the actions of its manifest", intent.action));
        }
        if !is_target(&intent.target) {
            why.push(format!("{:?} is none of its targets", intent.target));
        }
    }
    why
}
