//! `balm probe`: what a start makes of a data directory's files, without the host around it.
//!
//! Each is opened as `serve` does, and changed as `serve` does: what was never acknowledged is cut, the next file is allocated,
//! native code that is not under the seal is removed. No record is written, and no plugin runs. Crashes leave thousands of
//! states, and a process for each would be most of what looking at them costs.

use std::{
    io::{self, BufRead as _, Write as _},
    path::Path,
};

use balm_core::snapshot;
use balm_sandbox::Sandbox;
use clap::ValueEnum;
use serde_json::{Value, json};

use crate::{
    compile,
    data_dir::DataDir,
    journal::Layout,
    upkeep::{self, Recovered, States},
};

/// As small as a configuration may have it.
const LAYOUT: Layout = Layout { segment_bytes: 1 << 20, reserve_bytes: 0 };

/// What is looked at.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum What {
    /// Where the journal stands and with which state, or why it is refused.
    Journals,
    /// How many files of native code are believed.
    Caches,
}

/// Answer each line of the standard input, a data directory, with a line of JSON.
pub(super) fn run(what: What) -> anyhow::Result<()> {
    let sandbox = Sandbox::new()?;
    let mut answers = io::stdout().lock();
    for line in io::stdin().lock().lines() {
        let line = line?;
        let answer = match what {
            What::Journals => journal(Path::new(&line)).unwrap_or_else(|why| json!({ "refused": format!("{why:#}") })),
            What::Caches => json!({ "believed": compile::believed(&sandbox, Path::new(&line))? }),
        };
        writeln!(answers, "{answer}")?;
        answers.flush()?;
    }
    Ok(())
}

/// What a start finds, and then what it finds of the records that it did not read.
fn journal(data: &Path) -> anyhow::Result<Value> {
    let data = DataDir::open(data)?;
    let data = data.path();
    let Recovered { engine, journal: good, used, .. } = upkeep::recover(data, &States::open(data)?, false)?;
    let (begins, checked_from) = (good.begins, good.checked_from);
    let opened = good.open(LAYOUT)?;
    let damage = upkeep::damage_between(&opened.log, begins, checked_from);
    // Without a saved state it is what all records say, and there is nothing to compare it with.
    let state = used.map(|_| snapshot::write(engine.state(), opened.chain, io::sink())).transpose()?;
    Ok(json!({
        "seq": opened.chain.seq,
        "hash": opened.chain.hash,
        "cut": opened.cut.len(),
        "state": state,
        "damage": damage,
    }))
}
