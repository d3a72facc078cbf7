//! `balm replay`: decisions of the past made again, compared byte for byte.

use std::{process::ExitCode, time::Instant};

use anyhow::bail;
use balm_core::{evaluation::Capsule, name::Seq, replay::Difference};
use clap::Args;
use serde_json::{Value, json};

use super::{
    out,
    past::{FOUND, Past, Which},
    show::printable,
};
use crate::replay::{self, Replayed};

/// Differences that are told in words; all that are kept are in the JSON.
const TOLD: usize = 20;

#[derive(Debug, Args)]
pub(super) struct Replay {
    /// A capsule's record, an intent of it, or the number of an episode for all of its evaluations.
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    id: Option<Which>,
    /// Every evaluation there is.
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    past: Past,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(replay: &Replay) -> anyhow::Result<ExitCode> {
    let since = Instant::now();
    let history = replay.past.history()?;
    let survey = replay::survey(&history, |seq, capsule, _| replay.id.is_none_or(|id| id.names(seq, capsule)))?;
    if let Some(id) = replay.id.filter(|_| survey.len() == 0) {
        bail!("{id} names no evaluation: give the number of a record `evaluated`, an intent, or an episode");
    }
    let replayed = replay::replay_all(&history, &survey, &mut replay.past.shelf()?)?;
    let took_ms = u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX);
    let text = if replay.json { format!("{}\n", in_json(&replayed, took_ms)) } else { in_words(&replayed) };
    out::write(text)?;
    Ok(if replayed.is_the_same() { ExitCode::SUCCESS } else { ExitCode::from(FOUND) })
}

fn in_json(replayed: &Replayed, took_ms: u64) -> Value {
    let difference = |(seq, capsule, difference): &(Seq, Box<Capsule>, Difference)| {
        let conclusion = difference.conclusion.as_ref().map(|(then, now)| {
            let read = |text: &str| serde_json::from_str(text).unwrap_or(Value::Null);
            json!({ "then": read(then), "now": read(now) })
        });
        let fuel = difference.fuel.map(|(then, now)| json!({ "then": then, "now": now }));
        let (policy, plugin) = (&capsule.policy, capsule.plugin);
        json!({ "seq": seq, "policy": policy, "plugin": plugin, "conclusion": conclusion, "fuel": fuel })
    };
    json!({
        "replayed": replayed.replayed,
        "fuel-compared": replayed.fuel_compared,
        "differing": replayed.differing,
        "differences": replayed.differences.iter().map(difference).collect::<Vec<_>>(),
        "ended-by-the-clock": replayed.by_the_clock,
        "no-longer-kept": replayed.dropped,
        "left-out": replayed.left_out,
        "took-ms": took_ms,
    })
}

fn in_words(replayed: &Replayed) -> String {
    let Replayed { replayed: made, fuel_compared, differing, differences, by_the_clock, dropped, left_out } = replayed;
    let mut text = String::new();
    let mut line = |words: String| text.push_str(&format!("{}\n", printable(&words)));
    for (seq, capsule, difference) in differences.iter().take(TOLD) {
        line(format!("record {seq}, policy {}, plugin {}:", capsule.policy, capsule.plugin.short()));
        if let Some((then, now)) = &difference.conclusion {
            line(format!("  then  {then}"));
            line(format!("  now   {now}"));
        }
        if let Some((then, now)) = difference.fuel {
            line(format!("  fuel  {then} then, {now} now"));
        }
    }
    for (why, count) in left_out {
        line(format!("{count} left out: {why}"));
    }
    if *dropped > 0 {
        line(format!("{dropped} name a record that is no longer kept"));
    }
    for (how, count) in by_the_clock {
        line(format!("{count} need not come out the same: {how}"));
    }
    let same = made - differing;
    let fuel = match *fuel_compared {
        0 => "; another engine counted their fuel".to_owned(),
        compared if compared == *made => "; so was their fuel".to_owned(),
        compared => format!("; the fuel of {compared} was compared, the others were another engine's"),
    };
    line(format!("{made} evaluations made again: {same} came out the same byte for byte, {differing} did not{fuel}"));
    text
}
