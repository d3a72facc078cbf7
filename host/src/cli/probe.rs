//! `balm probe`: what a start makes of a data directory's files, without the host around it.
//!
//! Each is opened as `serve` does, and changed as `serve` does: what was never acknowledged is cut, the next file is allocated,
//! native code that is not under the seal is removed. No record is written, and plugins only say what they are. Crashes leave
//! thousands of states, and a process for each would be most of what looking at them costs.

use std::{
    fs,
    io::{self, BufRead as _, Write as _},
    path::Path,
    sync::Arc,
};

use balm_core::{name::PluginName, snapshot};
use balm_sandbox::Sandbox;
use clap::ValueEnum;
use serde_json::{Value, json};

use crate::{
    compile::Compiler,
    data_dir::DataDir,
    journal::Layout,
    plugins,
    upkeep::{self, Recovered, States},
};

/// As small as a configuration may have it.
const LAYOUT: Layout = Layout { segment_bytes: 1 << 20, reserve_bytes: 0 };

/// What is looked at.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum What {
    /// Where the journal stands and with which state, or why it is refused.
    Journals,
    /// Which plugins are loaded from native code that was kept.
    Caches,
}

/// Answer each line of the standard input, a data directory, with a line of JSON.
pub(super) fn run(what: What) -> anyhow::Result<()> {
    let sandbox = Arc::new(Sandbox::new()?);
    let mut answers = io::stdout().lock();
    for line in io::stdin().lock().lines() {
        let line = line?;
        let answer = match what {
            What::Journals => journal(Path::new(&line)).unwrap_or_else(|why| json!({ "refused": format!("{why:#}") })),
            What::Caches => json!({ "loaded": loaded(&sandbox, Path::new(&line))? }),
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
    // Without a saved one it is what all records say, and there is nothing to compare it with.
    let state = used.map(|_| snapshot::write(engine.state(), opened.chain, io::sink())).transpose()?;
    Ok(json!({
        "seq": opened.chain.seq,
        "hash": opened.chain.hash,
        "cut": opened.cut.len(),
        "state": state,
        "used": used.map(|saved| saved.chain.seq),
        "damage": damage,
    }))
}

/// The digests of those whose native code is there, under the seal, and this engine's. Nothing is compiled.
fn loaded(sandbox: &Arc<Sandbox>, data: &Path) -> anyhow::Result<Vec<String>> {
    let compiler = Compiler::keeping(Arc::clone(sandbox), data)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let name: PluginName = "probed".parse().map_err(anyhow::Error::msg)?;
    let mut loaded = Vec::new();
    for entry in fs::read_dir(plugins::kept(data))?.flatten() {
        let bytes = plugins::read_once(&entry.path()).map_err(anyhow::Error::msg)?;
        if let Some(Ok(plugin)) = runtime.block_on(compiler.kept(&name, &bytes)) {
            loaded.push(plugin.digest().to_string());
        }
    }
    Ok(loaded)
}
