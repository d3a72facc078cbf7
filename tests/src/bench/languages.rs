//! What a decision costs by the language that its policy is written in: the same input to the same policy, a fresh instance
//! each time, all limits on. Rust is measured beside the others, so that they share the machine's mood.

use std::{fs, path::Path, sync::Arc, time::Instant};

use anyhow::Context as _;
use balm_core::evaluation::{Input, Outcome};
use balm_sandbox::{Plugin, Sandbox};

use super::{Figures, quantile};
use crate::{
    SCALE_ECS_SERVICE,
    golden::{Golden, SCALE},
    languages::{self, Language, TOOLS},
};

/// The case that is decided: one answer, one intent.
const CASE: &str = "a firing alert adds a step";

/// Blocks of each language in turn, so that whatever else the machine does touches all alike. The first warms the pool.
const BLOCKS: usize = 20;
const CALLS: usize = 50;

/// The keys of one language.
struct Keys {
    p50_us: &'static str,
    p99_us: &'static str,
    fuel: &'static str,
    load_ms: &'static str,
    bytes: &'static str,
}

macro_rules! keys {
    ($language:literal) => {
        Keys {
            p50_us: concat!("decide_", $language, "_p50_us"),
            p99_us: concat!("decide_", $language, "_p99_us"),
            fuel: concat!("decide_", $language, "_fuel"),
            load_ms: concat!("load_", $language, "_ms"),
            bytes: concat!("component_", $language, "_bytes"),
        }
    };
}

struct Measured {
    keys: Keys,
    plugin: Plugin,
    samples: Vec<f64>,
}

/// Measure every language that can be built here.
///
/// # Errors
///
/// If a component is no plugin, or does not decide.
pub async fn measure(figures: &mut Figures) -> anyhow::Result<()> {
    let golden = Golden::read(SCALE)?;
    let input = golden.input(CASE).context("the case that is decided is not in the table")?;
    let sandbox = Arc::new(Sandbox::new()?);
    let mut all = vec![load(&sandbox, keys!("rust"), SCALE_ECS_SERVICE.as_ref(), figures).await?];
    for language in Language::ALL {
        match languages::component(language) {
            Some(component) => all.push(load(&sandbox, keys_of(language), component, figures).await?),
            None => eprintln!("{} is left out: {TOOLS} names no tools", language.folder()),
        }
    }
    for block in 0..BLOCKS {
        for one in &mut all {
            let mut samples = decide(&one.plugin, input).await?;
            if block > 0 {
                one.samples.append(&mut samples);
            }
        }
    }
    for mut one in all {
        figures.insert(one.keys.p50_us, quantile(&mut one.samples, 0.5));
        figures.insert(one.keys.p99_us, quantile(&mut one.samples, 0.99));
        figures.insert(one.keys.fuel, f64::from(u32::try_from(one.plugin.evaluate(input).await.fuel)?));
    }
    Ok(())
}

const fn keys_of(language: Language) -> Keys {
    match language {
        Language::JavaScript => keys!("js"),
        Language::Python => keys!("python"),
        Language::C => keys!("c"),
        Language::Go => keys!("go"),
    }
}

async fn load(sandbox: &Arc<Sandbox>, keys: Keys, component: &Path, figures: &mut Figures) -> anyhow::Result<Measured> {
    let bytes = fs::read(component)?;
    let since = Instant::now();
    let plugin = Plugin::load(sandbox, "scale-ecs-service".parse()?, &bytes).await?;
    figures.insert(keys.load_ms, since.elapsed().as_secs_f64() * 1e3);
    figures.insert(keys.bytes, f64::from(u32::try_from(bytes.len())?));
    Ok(Measured { keys, plugin, samples: Vec::new() })
}

/// One block of calls, in microseconds.
async fn decide(plugin: &Plugin, input: &Input) -> anyhow::Result<Vec<f64>> {
    let mut samples = Vec::with_capacity(CALLS);
    for _ in 0..CALLS {
        let since = Instant::now();
        let round = plugin.evaluate(input).await;
        samples.push(since.elapsed().as_secs_f64() * 1e6);
        anyhow::ensure!(matches!(round.outcome, Ok(Outcome::Decided(_))), "it does not decide: {round:?}");
    }
    Ok(samples)
}
