//! `balm simulate`: what the configured policies and guardrails would do in a storm, before there is one.

use std::{collections::BTreeMap, path::PathBuf, process::ExitCode, sync::Arc};

use anyhow::{Context as _, anyhow, bail};
use balm_core::{configuration::Mode, name::PluginName};
use balm_sandbox::{Plugin, Sandbox};
use clap::Args;
use tokio::runtime::Runtime;

use super::{
    out::{self, Reader, Unwritable},
    show::printable,
};
use crate::{
    compile::Compiler,
    config::{self, Config},
    plugins::{directory, permitted, read_once},
    simulate::{self, Kept, Outcome, Seeds, Subject, Tally, Terms},
};

/// Violations of one seed that are shown.
const SHOWN: usize = 5;

#[derive(Debug, Args)]
pub(super) struct Simulate {
    /// The configuration.
    #[arg(long, short, default_value = "balm.toml", env = "BALM_CONFIG", value_name = "FILE")]
    config: PathBuf,
    /// How many seeds, from 1.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    seeds: u64,
    /// One seed instead.
    #[arg(long, conflicts_with = "seeds")]
    seed: Option<u64>,
    /// The seeds of a file instead, each under the terms that it was kept with.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["seeds", "seed", "minutes", "healthy_least", "reversals_most"])]
    again: Option<PathBuf>,
    /// For how long alerts come, in minutes of the simulated time.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(5..=1_440))]
    minutes: u64,
    /// No change may leave fewer healthy tasks or instances on a target than this, whatever the bounds say.
    #[arg(long, default_value_t = 1, value_name = "N")]
    healthy_least: u32,
    /// No target may be turned around more often than this within an hour, whatever the guardrails say.
    #[arg(long, default_value_t = 3, value_name = "N")]
    reversals_most: u32,
    /// Simulate every policy that is evaluated as if it enforced.
    #[arg(long)]
    enforce: bool,
    /// A tag that every simulated target has, for rules that ask for it.
    #[arg(long = "tag", value_name = "NAME=VALUE", value_parser = parse_tag)]
    tags: Vec<(String, String)>,
    /// Append seeds in which something does not hold to this file.
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,
    /// Print everything that happens, a line each.
    #[arg(long, requires = "seed")]
    story: bool,
}

fn parse_tag(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("a tag is written NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

pub(super) fn run(asked: &Simulate) -> anyhow::Result<ExitCode> {
    let config = config::load(&asked.config)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let subject = subject(asked, &config, &runtime)?;
    let (mut failing, mut all) = (0, Tally::default());
    let wanted = wanted(asked)?;
    for (seed, terms) in &wanted {
        let outcome = simulate::run(&subject, *terms, *seed, &runtime).map_err(anyhow::Error::msg)?;
        if asked.story {
            for line in &outcome.story {
                say(line)?;
            }
        }
        if let Some(first) = outcome.violations.first() {
            failing += 1;
            violated(*seed, &outcome)?;
            if let Some(file) = &asked.save {
                Kept::new(*seed, *terms, first).keep(file)?;
            }
        }
        all.add(&outcome.tally);
        if let Some(digest) = outcome.digest.filter(|_| asked.seed.is_some()) {
            say(&format!("all that was written down has the digest {}", digest.short()))?;
        }
    }
    let Tally { alerts, judged, admitted, changes, failed } = all;
    say(&format!("{alerts} alerts, {judged} judgements, {admitted} of them admitted, {changes} changes"))?;
    if failed > 0 {
        say(&format!("{failed} evaluations failed: see one with --seed N --story"))?;
    }
    if admitted == 0 {
        say("nothing was admitted, which proves little: see why with --seed 1 --story")?;
    }
    let count = wanted.len();
    say(&format!("{} of {count} seeds hold", count - failing))?;
    Ok(if failing == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn violated(seed: u64, outcome: &Outcome) -> Result<(), Unwritable> {
    say(&format!("seed {seed}:"))?;
    for violation in outcome.violations.iter().take(SHOWN) {
        say(&format!("  {violation}"))?;
    }
    let more = outcome.violations.len().saturating_sub(SHOWN);
    if more > 0 {
        say(&format!("  and {more} more"))?;
    }
    Ok(())
}

/// A line: what is in it may be a stranger's.
fn say(line: &str) -> Result<Reader, Unwritable> {
    out::write(format!("{}\n", printable(line)))
}

fn wanted(asked: &Simulate) -> anyhow::Result<Vec<(u64, Terms)>> {
    if let Some(file) = &asked.again {
        return Ok(Seeds::read(file)?.simulation.iter().map(|kept| (kept.seed, kept.terms())).collect());
    }
    let Simulate { minutes, healthy_least, reversals_most, .. } = *asked;
    let terms = Terms { minutes, healthy_least, reversals_most };
    let seeds = asked.seed.map_or(1..=asked.seeds, |seed| seed..=seed);
    Ok(seeds.map(|seed| (seed, terms)).collect())
}

fn subject(asked: &Simulate, config: &Config, runtime: &Runtime) -> anyhow::Result<Subject> {
    let mut configuration = config.core.clone();
    if asked.enforce {
        let evaluated = configuration.policies.values_mut().filter(|policy| policy.mode != Mode::Off);
        evaluated.for_each(|policy| policy.mode = Mode::Enforce);
    } else if configuration.policies.values().all(|policy| policy.mode != Mode::Enforce) {
        say("no policy enforces, so nothing will be done: --enforce simulates them as if they did")?;
    }
    let mut plugins = BTreeMap::new();
    for (name, policy) in configuration.policies.iter().filter(|(_, policy)| policy.mode != Mode::Off) {
        if !plugins.contains_key(&policy.plugin) {
            let plugin = load(config, &policy.plugin, runtime)?;
            plugins.insert(policy.plugin.clone(), plugin);
        }
        let accepted = runtime.block_on(plugins[&policy.plugin].validate_settings(&policy.settings));
        accepted.map_err(|why| anyhow!("policy {name}: the plugin does not accept its settings: {why}"))?;
    }
    if plugins.is_empty() {
        bail!("no policy is evaluated: there is nothing to simulate");
    }
    let call_timeout_ms = u64::try_from(config.call_timeout.as_millis()).context("a call may not take so long")?;
    Ok(Subject { configuration, plugins, call_timeout_ms, tags: asked.tags.iter().cloned().collect() })
}

fn load(config: &Config, name: &PluginName, runtime: &Runtime) -> anyhow::Result<Arc<Plugin>> {
    let compiler = Compiler::forgetting(Arc::new(Sandbox::new()?));
    let file = directory::wasm(&config.plugins, name);
    let bytes = read_once(&file).map_err(|why| anyhow!("plugin {name}: {why}"))?;
    let loaded = permitted(&bytes, config.plugin_class).and_then(|()| runtime.block_on(compiler.load(name, &bytes)));
    loaded.map(Arc::new).map_err(|why| anyhow!("plugin {name}: {}: {why}", file.display()))
}
