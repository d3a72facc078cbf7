//! `balm probe`: what a start makes of a data directory's files, without the host around it.
//!
//! Each is opened as `serve` does, and changed as `serve` does: what was never acknowledged is cut, the next file is allocated,
//! native code that is not under the seal is removed. No record is written, and no plugin runs. Crashes leave thousands of
//! states, and a process for each would be most of what looking at them costs.

use std::{
    io::{self, BufRead as _, Write as _},
    path::Path,
};

use balm_sandbox::Sandbox;
use clap::ValueEnum;
use serde_json::{Value, json};

use crate::{
    compile,
    journal::{self, Layout},
};

/// As small as a configuration may have it.
const LAYOUT: Layout = Layout { segment_bytes: 1 << 20, reserve_bytes: 0 };

/// What is looked at.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum What {
    /// Where the journal stands, or why it is refused.
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
            What::Journals => journal(Path::new(&line)),
            What::Caches => json!({ "believed": compile::believed(&sandbox, Path::new(&line))? }),
        };
        writeln!(answers, "{answer}")?;
        answers.flush()?;
    }
    Ok(())
}

fn journal(data: &Path) -> Value {
    match journal::open(data, LAYOUT, |_| {}) {
        Ok(opened) => {
            let (seq, hash) = (opened.chain.seq.0, opened.chain.hash.to_string());
            json!({ "seq": seq, "hash": hash, "cut": opened.cut.len() })
        }
        Err(why) => json!({ "refused": why.to_string() }),
    }
}
