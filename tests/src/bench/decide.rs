//! What a decision costs: the real policy on a real alert with one answer, with all limits and the capsule written, beside
//! a bare wasmtime loop over the same component in the same engine.

use std::{fs, sync::Arc, time::Instant};

use anyhow::Context as _;
use balm_core::{
    evaluation::{Capsule, Conclusion, Input, Outcome},
    line::{self, Chain, Framing},
    record::{Fact, Record},
    replay::Past,
};
use balm_sandbox::{Plugin, Sandbox, yardstick::Bare};

use super::{Figures, quantile};
use crate::SCALE_ECS_SERVICE;

/// Blocks of each kind, in turn, so that whatever else the machine does touches both alike.
const BLOCKS: usize = 40;
const CALLS: usize = 500;

/// The first decision of a journal, made many times.
pub async fn measure(records: &[Record], figures: &mut Figures) -> anyhow::Result<()> {
    let sandbox = Arc::new(Sandbox::new()?);
    let bytes = fs::read(SCALE_ECS_SERVICE)?;
    let loading = Instant::now();
    let plugin = Plugin::load(&sandbox, "scale-ecs-service".parse()?, &bytes).await?;
    figures.insert("plugin_load_ms", loading.elapsed().as_secs_f64() * 1e3);
    let (capsule, input) = decided(records)?;
    let bare = Bare::new(&sandbox, &bytes, &input).map_err(anyhow::Error::msg)?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    let mut line = Vec::new();
    for block in 0..BLOCKS {
        for _ in 0..CALLS {
            let since = Instant::now();
            decide(&plugin, &input, capsule.clone(), &mut line).await?;
            ours.push(since.elapsed().as_secs_f64() * 1e6);
        }
        for _ in 0..CALLS {
            let since = Instant::now();
            anyhow::ensure!(bare.evaluate().await.map_err(anyhow::Error::msg)?, "the bare loop does not decide");
            theirs.push(since.elapsed().as_secs_f64() * 1e6);
        }
        if block == 0 {
            // The first block of each warms the pool.
            (ours, theirs) = (Vec::new(), Vec::new());
        }
    }
    figures.insert("decide_p50_us", quantile(&mut ours, 0.5));
    figures.insert("decide_p99_us", quantile(&mut ours, 0.99));
    figures.insert("decide_bare_p50_us", quantile(&mut theirs, 0.5));
    figures.insert("decide_ratio_to_bare", quantile(&mut ours, 0.5) / quantile(&mut theirs, 0.5));
    Ok(())
}

async fn decide(plugin: &Plugin, input: &Input, mut capsule: Capsule, to: &mut Vec<u8>) -> anyhow::Result<()> {
    let round = plugin.evaluate(input).await;
    let Ok(Outcome::Decided(decision)) = round.outcome else { anyhow::bail!("it does not decide: {round:?}") };
    capsule.conclusion = Conclusion::Decided(decision);
    capsule.fuel = round.fuel;
    to.clear();
    let record =
        Record { seq: Chain::START.seq.next(), at: input.now, more: false, fact: Fact::Evaluated(Box::new(capsule)) };
    line::write(Chain::START, &record, Framing::default(), to);
    Ok(())
}

fn decided(records: &[Record]) -> anyhow::Result<(Capsule, Input)> {
    let mut past = Past::default();
    for record in records {
        past.remember(record);
        if let Fact::Evaluated(capsule) = &record.fact
            && capsule.answers.len() == 1
        {
            return Ok(((**capsule).clone(), past.input(capsule)?));
        }
    }
    None.context("no policy decided with one answer")
}
