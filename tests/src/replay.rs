//! Replaying decisions with the real program, and a history of any length to try it on.

use std::{fs, ops::AddAssign, path::Path, process::Command};

use anyhow::Context as _;
use balm_core::{
    line::{self, Chain, Framing},
    name::{EpisodeId, Seq},
    record::{Fact, Record},
};
use serde_json::Value;

use crate::harness::programs;

/// What `balm replay --all` says of a data directory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Replayed {
    /// Evaluations that were made again.
    pub replayed: u64,
    /// Those whose fuel was compared as well.
    pub fuel_compared: u64,
    /// Those that came out otherwise.
    pub differing: u64,
    /// Those that came out otherwise, in one byte or in the fuel that they took, and those that could not be made again.
    pub mismatches: u64,
}

impl AddAssign for Replayed {
    fn add_assign(&mut self, other: Self) {
        let Self { replayed, fuel_compared, differing, mismatches } = other;
        self.replayed += replayed;
        self.fuel_compared += fuel_compared;
        self.differing += differing;
        self.mismatches += mismatches;
    }
}

/// Make every decision of a data directory's journal again.
///
/// # Errors
///
/// If the program cannot be run, or says nothing that can be read.
pub fn run(data: &Path) -> anyhow::Result<Replayed> {
    let output = Command::new(programs::balm()).args(["replay", "--all", "--json", "--data"]).arg(data).output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    let told: Value = serde_json::from_str(&said)
        .with_context(|| format!("balm replay says {said:?} and {:?}", String::from_utf8_lossy(&output.stderr)))?;
    let number = |key: &str| told[key].as_u64().unwrap_or_default();
    let left_out: u64 =
        told["left-out"].as_object().into_iter().flatten().filter_map(|(_, count)| count.as_u64()).sum();
    Ok(Replayed {
        replayed: number("replayed"),
        fuel_compared: number("fuel-compared"),
        differing: number("differing"),
        mismatches: number("differing") + left_out,
    })
}

/// Write a journal in which one decision of another was made so many times, each for an alert of its own.
///
/// # Errors
///
/// If there is no decision in it, or the directory cannot be written.
pub fn multiply(records: &[Record], decisions: u64, data: &Path) -> anyhow::Result<()> {
    let is_decision = |record: &&Record| matches!(record.fact, Fact::Evaluated(_));
    let decision = records.iter().find(is_decision).context("no policy decided")?;
    let Fact::Evaluated(capsule) = &decision.fact else { anyhow::bail!("it was one") };
    let alert = records.iter().find(|record| record.seq == capsule.alert).context("it has no alert")?;
    let (mut chain, mut text) = (Chain::START, Vec::new());
    let mut add = |fact: Fact| {
        let record = Record { seq: chain.seq.next(), at: decision.at, more: false, fact };
        chain = line::write(chain, &record, Framing::default(), &mut text);
        record.seq
    };
    // Everything up to the first alert: the host, its configuration and its plugins, in their places.
    for record in records.iter().take_while(|record| record.fact.episode().is_none() && record.seq < capsule.episode.0)
    {
        add(record.fact.clone());
    }
    for _ in 0..decisions {
        let seq: Seq = add(alert.fact.clone());
        let mut capsule = capsule.clone();
        (capsule.alert, capsule.episode) = (seq, EpisodeId(seq));
        add(Fact::Evaluated(capsule));
    }
    let journal = data.join("journal");
    fs::create_dir_all(&journal)?;
    fs::write(journal.join(format!("{:020}.journal", 1)), text)?;
    Ok(())
}
