//! `balm plugin bench`: what a plugin costs on this machine.

use std::{
    path::Path,
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::bail;
use balm_core::evaluation::{Input, Outcome};
use balm_sandbox::{Class, Plugin};
use serde_json::{Value, json};

use super::{Loader, Scene, read};
use crate::cli::out;

/// Calls before the first that counts: they warm the pool of instances.
const WARM_CALLS: usize = 20;

/// Calls that count: enough for a p99 that says something.
const CALLS: usize = 2_000;

/// When it is enough all the same.
const MOST: Duration = Duration::from_secs(10);

pub(super) fn run(file: &Path, scene: &Scene, as_json: bool) -> anyhow::Result<ExitCode> {
    let loader = Loader::new()?;
    let bytes = read(file)?;
    let since = Instant::now();
    let plugin = loader.load(file, &bytes).map_err(|why| anyhow::anyhow!("{} is not loaded: {why}", file.display()))?;
    let load = since.elapsed();
    let read = scene.read(&plugin)?;
    let played = loader.runtime.block_on(read.play_accepted(&plugin))?;
    match &played.round.outcome {
        Ok(Outcome::Decided(_)) => {}
        Ok(Outcome::Needs(_)) => bail!("it needs answers, which `balm plugin run` prints: give them with --answers"),
        Err(failure) => bail!("it decides nothing: {}: {}", failure.kind, failure.message),
    }
    let samples = loader.runtime.block_on(measure(&plugin, &played.input))?;
    let figures = figures(&plugin, load, played.round.fuel, &samples);
    let text = if as_json { format!("{figures}\n") } else { in_words(&figures) };
    out::write(text)?;
    Ok(ExitCode::SUCCESS)
}

/// Times of calls, sorted.
async fn measure(plugin: &Plugin, input: &Input) -> anyhow::Result<Vec<Duration>> {
    let mut samples = Vec::with_capacity(CALLS);
    let began = Instant::now();
    for call in 0..WARM_CALLS + CALLS {
        let since = Instant::now();
        let round = plugin.evaluate(input).await;
        let took = since.elapsed();
        if !matches!(round.outcome, Ok(Outcome::Decided(_))) {
            bail!("it decided once and not again: a decision must depend on its input alone");
        }
        if call >= WARM_CALLS {
            samples.push(took);
        }
        if !samples.is_empty() && began.elapsed() > MOST {
            break;
        }
    }
    samples.sort();
    Ok(samples)
}

fn figures(plugin: &Plugin, load: Duration, fuel: u64, samples: &[Duration]) -> Value {
    let at = |share: usize| samples[(samples.len() * share / 100).min(samples.len() - 1)].as_secs_f64() * 1e6;
    let class = usize::try_from(plugin.bytes()).ok().and_then(Class::of);
    json!({
        "plugin": plugin.name().as_str(),
        "digest": plugin.digest(),
        "component-bytes": plugin.bytes(),
        "class": class.map(|class| class.to_string()),
        "load-ms": load.as_secs_f64() * 1e3,
        "calls": samples.len(),
        "decide-p50-us": at(50),
        "decide-p99-us": at(99),
        "fuel": fuel,
    })
}

fn in_words(figures: &Value) -> String {
    let rounded = |key: &str| figures[key].as_f64().unwrap_or_default().round();
    format!(
        "{} bytes, class {}, loaded in {} ms\n{} decisions: p50 {} µs, p99 {} µs, {} instructions each\n",
        figures["component-bytes"],
        figures["class"].as_str().unwrap_or("none"),
        rounded("load-ms"),
        figures["calls"],
        rounded("decide-p50-us"),
        rounded("decide-p99-us"),
        figures["fuel"],
    )
}
