//! `balm plugin`: what people do with a plugin's file, which is compiled and run as the host does it, within the same limits; and
//! with the versions that a running host has (`versions`).

mod bench;
mod inspect;
mod run;
mod scene;
mod versions;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use anyhow::Context as _;
use balm_core::name::PluginName;
use balm_sandbox::{Plugin, Sandbox};
use clap::Subcommand;

use self::scene::Scene;
use crate::{compile::Compiler, plugins};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Say what a file is: digest, size, contract, imports, what it says of itself, and whether a host would load it.
    #[command(after_help = "\
Examples:
  balm plugin inspect scale-web.wasm
  balm plugin inspect scale-web.wasm --json         with the JSON Schema of its settings")]
    Inspect {
        /// The component; its name without .wasm is the plugin's.
        file: PathBuf,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Have a plugin decide about an alert, and say what it decided and why. Nothing is read from the cloud, nothing is done.
    ///
    /// Where it asks for what --answers does not have, the queries are printed as answers to be filled in, and the command
    /// ends with the status 3; with 1 if the plugin failed.
    #[command(after_help = "\
Examples:
  balm plugin run scale-web.wasm --alert captured.json --settings scale-web.toml
  balm plugin run scale-web.wasm --alert captured.json --settings scale-web.toml --answers answers.json")]
    Run {
        /// The component.
        file: PathBuf,
        #[command(flatten)]
        scene: Scene,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Measure a plugin: how long it takes to load, and how long and how many instructions a decision takes.
    ///
    /// What is measured is one call, the one that decides, with a fresh instance each time: give the answers that it needs.
    #[command(after_help = "\
Examples:
  balm plugin bench scale-web.wasm --alert captured.json --settings scale-web.toml --answers answers.json")]
    Bench {
        /// The component.
        file: PathBuf,
        #[command(flatten)]
        scene: Scene,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    #[command(flatten)]
    Versions(versions::Command),
}

pub(super) fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Inspect { file, json } => inspect::run(&file, json),
        Command::Run { file, scene, json } => run::run(&file, &scene, json),
        Command::Bench { file, scene, json } => bench::run(&file, &scene, json),
        Command::Versions(command) => versions::run(command).map(|()| ExitCode::SUCCESS),
    }
}

/// A plugin's file, and what it takes to run it.
struct Loader {
    runtime: tokio::runtime::Runtime,
    compiler: Compiler,
}

impl Loader {
    fn new() -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(Self { runtime, compiler: Compiler::forgetting(Arc::new(Sandbox::new()?)) })
    }

    fn load(&self, file: &Path, bytes: &[u8]) -> Result<Plugin, String> {
        self.runtime.block_on(self.compiler.load(&name(file)?, bytes))
    }

    /// Load a file, or say in one sentence why not.
    fn open(&self, file: &Path) -> anyhow::Result<Plugin> {
        let bytes = read(file)?;
        self.load(file, &bytes).map_err(|why| anyhow::anyhow!("{} is not loaded: {why}", file.display()))
    }
}

/// As the host reads it.
fn read(file: &Path) -> anyhow::Result<Vec<u8>> {
    plugins::read_once(file).map_err(anyhow::Error::msg).with_context(|| file.display().to_string())
}

/// The name that a file gives to its plugin.
fn name(file: &Path) -> Result<PluginName, String> {
    let stem = file.file_stem().unwrap_or_default().to_string_lossy();
    stem.parse().map_err(|error| format!("its file gives the plugin's name: {error}"))
}
