//! `balm backtest`: a new version of a plugin over the inputs of the past.

use std::{path::PathBuf, process::ExitCode, time::Duration};

use anyhow::{Context as _, anyhow, bail};
use balm_core::{
    evaluation::{Conclusion, Decision},
    name::{PluginName, PolicyName},
};
use clap::Args;
use serde_json::{Value, json};

use super::{
    out,
    past::{FOUND, Past},
    show::printable,
};
use crate::{
    config,
    plugins::read_once,
    replay::{self, Backtest as Found, Change, Example, Side},
};

#[derive(Debug, Args)]
pub(super) struct Backtest {
    /// The candidate. The name of its file says whose evaluations it is given: those that plugin made.
    #[arg(long, value_name = "FILE")]
    candidate: PathBuf,
    /// Only the evaluations of so long before the newest record, as in 30d.
    #[arg(long, value_name = "TIME", value_parser = parse_span)]
    last: Option<Duration>,
    /// The evaluations of this policy instead, whichever plugin made them.
    #[arg(long, value_name = "NAME")]
    policy: Option<PolicyName>,
    #[command(flatten)]
    past: Past,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

fn parse_span(text: &str) -> Result<Duration, String> {
    config::parse_duration(text).ok_or_else(|| format!("{text:?} is no time: write it as in \"90s\", \"12h\", \"30d\""))
}

pub(super) fn run(backtest: &Backtest) -> anyhow::Result<ExitCode> {
    let file = backtest.candidate.display();
    let name = name(backtest)?;
    let bytes = read_once(&backtest.candidate).map_err(|why| anyhow!("{file}: {why}"))?;
    let shelf = backtest.past.shelf()?;
    let candidate = shelf.compile(&name, &bytes).map_err(|why| anyhow!("{file}: {why}"))?;
    let history = backtest.past.history()?;
    let mut survey = replay::survey(&history, |_, capsule, plugin| match &backtest.policy {
        Some(policy) => capsule.policy == *policy,
        None => plugin == Some(&name),
    })?;
    if let Some(last) = backtest.last {
        survey.only_the_last(last);
    }
    if survey.len() == 0 {
        let whose =
            backtest.policy.as_ref().map_or_else(|| format!("plugin {name}"), |policy| format!("policy {policy}"));
        bail!("the history has no evaluation by {whose} in that time: name a policy with --policy, or a longer time");
    }
    let found = replay::backtest(&history, &survey, &shelf, &candidate)?;
    let text = if backtest.json { format!("{}\n", in_json(&found)) } else { in_words(&found) };
    out::write(text)?;
    Ok(if found.does_the_same() { ExitCode::SUCCESS } else { ExitCode::from(FOUND) })
}

/// The plugin that the candidate is a version of. Its name matters for nothing else where a policy is named.
fn name(backtest: &Backtest) -> anyhow::Result<PluginName> {
    let stem = backtest.candidate.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    // Cargo writes underscores into the names of files, and no plugin has one.
    let name = stem.replace('_', "-").parse();
    name.with_context(|| format!("{} is named like no plugin", backtest.candidate.display()))
}

fn per_minute(found: &Found) -> u64 {
    let minutes = found.took.as_secs_f64() / 60.0;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a rate, positive and below 2^52"
    )]
    let rate = (found.evaluations() as f64 / minutes.max(f64::MIN_POSITIVE)) as u64;
    rate
}

fn in_json(found: &Found) -> Value {
    json!({
        "evaluations": found.evaluations(),
        "changes": found.changes,
        "examples": found.examples.values().flatten().collect::<Vec<_>>(),
        "then": found.then,
        "now": found.now,
        "fuel-is-comparable": found.fuel_is_comparable,
        "settings-refused": found.refused,
        "left-out": found.left_out,
        "took-us": { "p50": found.quantile_us(50), "p99": found.quantile_us(99), "most": found.quantile_us(100) },
        "took-ms": u64::try_from(found.took.as_millis()).unwrap_or(u64::MAX),
        "evaluations-per-minute": per_minute(found),
    })
}

fn in_words(found: &Found) -> String {
    let mut text = String::new();
    let mut line = |words: String| text.push_str(&format!("{}\n", printable(&words)));
    for (change, examples) in &found.examples {
        for example in examples {
            tell(*change, example, &mut line);
        }
    }
    for (policy, why) in &found.refused {
        line(format!("it refuses settings of policy {policy}: {why}"));
    }
    for (why, count) in &found.left_out {
        line(format!("{count} left out: {why}"));
    }
    for (change, count) in &found.changes {
        line(format!("{count:>9}  {}", meaning(*change)));
    }
    for (when, side) in [("then", &found.then), ("now", &found.now)] {
        line(format!("{when:>9}  {}", proposals(side)));
    }
    let engines = if found.fuel_is_comparable { "" } else { "; some of it was counted by another engine" };
    line(format!(
        "     fuel  {} then, {} now; the most of one {} then, {} now{engines}",
        found.then.fuel, found.now.fuel, found.then.fuel_most, found.now.fuel_most
    ));
    line(format!(
        "     time  {} evaluations in {:.1} s, {} a minute; each {} µs at the median, 99 of 100 within {} µs",
        found.evaluations(),
        found.took.as_secs_f64(),
        per_minute(found),
        found.quantile_us(50),
        found.quantile_us(99)
    ));
    text
}

const fn meaning(change: Change) -> &'static str {
    match change {
        Change::Same => "the same to the letter",
        Change::Words => "other words, the same intents",
        Change::LookAgain => "the same intents, another time to look again",
        Change::Intents => "other intents",
        Change::Decides => "decided, where it failed then",
        Change::Fails => "failed, where it decided then",
        Change::FailsOtherwise => "failed otherwise",
        Change::Asks => "asks what nobody asked then, so what it would decide is not known",
    }
}

fn tell(change: Change, example: &Example, line: &mut impl FnMut(String)) {
    line(format!("record {}, policy {}: {}", example.seq, example.policy, meaning(change)));
    line(format!("  then  {}", conclusion(&example.then)));
    match &example.now {
        Some(now) => line(format!("  now   {}", conclusion(now))),
        None => line(format!("  now   asks {}", example.asks.join(", "))),
    }
}

fn conclusion(conclusion: &Conclusion) -> String {
    let Decision { intents, explanation, look_again_after, .. } = match conclusion {
        Conclusion::Decided(decision) => decision,
        Conclusion::Failed(failure) => return format!("{}: {}", failure.kind, failure.message),
    };
    let mut parts: Vec<String> = intents
        .iter()
        .map(|intent| {
            format!("{} {} on {}, expecting {}", intent.action, intent.parameters, intent.target, intent.expects)
        })
        .collect();
    parts.extend(look_again_after.map(|seconds| format!("look again after {seconds} s")));
    parts.push(format!("\u{201c}{explanation}\u{201d}"));
    parts.join("; ")
}

fn proposals(side: &Side) -> String {
    let intents: Vec<String> = side.intents.iter().map(|(action, count)| format!("{count} {action}")).collect();
    let intents = if intents.is_empty() { "no intent".to_owned() } else { intents.join(", ") };
    match &side.largest {
        Some(effect) => format!(
            "{intents}; the largest effect: {} from {} to {} on {} (record {})",
            effect.attribute, effect.from, effect.to, effect.target, effect.seq
        ),
        None => intents,
    }
}
