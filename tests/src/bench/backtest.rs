//! How fast a new version is tried on the past: the real plugin over many decisions, with reading and checking the journal.

use std::{fs, process::Command};

use anyhow::Context as _;
use balm_core::record::Record;
use serde_json::Value;

use super::Figures;
use crate::{
    SCALE_ECS_SERVICE,
    harness::{Dir, programs},
    replay,
};

/// Decisions of the history: some seconds of work, and a journal that fits into a file.
const DECISIONS: u64 = 50_000;

/// Try the plugin on a decision of its own, made many times.
pub fn measure(records: &[Record], figures: &mut Figures) -> anyhow::Result<()> {
    eprintln!("trying a plugin on {DECISIONS} decisions");
    let dir = Dir::new("bench-backtest");
    let candidate = dir.path().join("scale-ecs-service.wasm");
    fs::copy(SCALE_ECS_SERVICE, &candidate)?;
    replay::multiply(records, DECISIONS, dir.path())?;
    let mut balm = Command::new(programs::balm());
    let output =
        balm.args(["backtest", "--json", "--candidate"]).arg(candidate).arg("--data").arg(dir.path()).output()?;
    anyhow::ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let told: Value = serde_json::from_slice(&output.stdout)?;
    anyhow::ensure!(told["changes"]["same"] == DECISIONS, "the same plugin decides otherwise: {told}");
    let rate = told["evaluations-per-minute"].as_f64().context("no rate")?;
    figures.insert("backtest_capsules_per_min", rate);
    Ok(())
}
