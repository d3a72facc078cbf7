//! `cargo xtask`: what people and CI run, each a few commands with what they need installed first.
//!
//! It compiles in seconds and knows nothing of Balm; the substance of `demo`, `bench` and `prove` is in `tests/src/bin`.

mod tools;

use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Instant,
};

use anyhow::{Context as _, bail};
use clap::{Parser, Subcommand};

/// The target that policies are built for.
const WASM: &str = "wasm32-wasip2";

/// Everything that is done with this repository.
#[derive(Debug, Parser)]
#[command(bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Play the main scene: an alert of Grafana's scales a service of a model cloud out, and back in once it resolves.
    Demo {
        /// Play it once and end: successfully if both changes were verified.
        #[arg(long)]
        once: bool,
    },
    /// Run all tests.
    Test,
    /// Check formatting, lints, documentation, the tree, and licences if cargo-deny is there.
    Check,
    /// Write the pages of docs/reference that are made from the code.
    Docs,
    /// Measure the release build, each figure beside what this machine gives at best.
    Bench {
        /// One JSON object of numbers on the standard output, and nothing else there.
        #[arg(long)]
        json: bool,
        /// Only raw, guard, act, languages, load, acknowledge or history.
        #[arg(long, value_name = "GROUP")]
        only: Option<String>,
    },
    /// Show each promise with its figure.
    Prove {
        /// One JSON object of numbers on the standard output, and nothing else there.
        #[arg(long)]
        json: bool,
        /// Only the promises whose key begins so: approval, cache, compile, corruption, fuzz, golden, guard, hostile, kill,
        /// lifecycle, mutants, neighbour, power, replay, sim, slack, storm, swap, syscall, tamper or type.
        #[arg(long, value_name = "KEY")]
        only: Option<String>,
        /// Twenty times as many kills, ten times as many intents, power cuts, swaps and seeds, ten times as long without Slack;
        /// and faults are planted, which takes a build for each.
        #[arg(long)]
        long: bool,
        /// Leave everything there that is needed to recount.
        #[arg(long, value_name = "DIR")]
        keep: Option<PathBuf>,
        /// With --only fuzz: try the input of this file first, which an earlier run has kept.
        #[arg(long, value_name = "FILE")]
        again: Option<PathBuf>,
    },
}

fn main() -> anyhow::Result<()> {
    match Cli::parse().task {
        Task::Demo { once } => {
            install_wasm()?;
            program("debug", "demo", once.then(|| "--once".to_owned()), None)
        }
        Task::Test => test(),
        Task::Check => check(),
        Task::Docs => {
            install_wasm()?;
            program("debug", "reference", None, None)
        }
        Task::Bench { json, only } => {
            install_wasm()?;
            let tools = tools_for("languages", only.as_deref())?;
            let arguments =
                json.then(|| "--json".to_owned()).into_iter().chain(only.map(|key| format!("--only={key}")));
            program("release", "bench", arguments, tools)
        }
        Task::Prove { json, only, long, keep, again } => {
            install_wasm()?;
            let from_here = |path: PathBuf| env::current_dir().map(|here| here.join(path));
            let (keep, again) = (keep.map(from_here).transpose()?, again.map(from_here).transpose()?);
            let tools = tools_for("golden", only.as_deref())?;
            // How long others wait is a promise about what is shipped.
            let is_timed = only.is_some() && is_wanted("neighbour", only.as_deref());
            let build = if is_timed { "release" } else { "debug" };
            let mut arguments = Vec::new();
            arguments.extend(json.then(|| "--json".to_owned()));
            arguments.extend(only.map(|key| format!("--only={key}")));
            arguments.extend(long.then(|| "--long".to_owned()));
            arguments.extend(keep.map(|dir| format!("--keep={}", dir.display())));
            arguments.extend(again.map(|file| format!("--again={}", file.display())));
            program(build, "prove", arguments, tools)
        }
    }
}

/// Run a program of the tests' package, in the build of this name.
///
/// The whole workspace is selected whatever is built, here and wherever the programs build others: with the same features
/// everywhere, nothing is compiled twice.
/// `tools` build policies in other languages, if it needs any.
fn program(
    build: &str,
    name: &str,
    arguments: impl IntoIterator<Item = String>,
    tools: Option<PathBuf>,
) -> anyhow::Result<()> {
    eprintln!("building; the first time takes some minutes");
    let profile = if build == "release" { "release" } else { "dev" };
    let built = ["build", "--workspace", "--quiet", "--profile", profile];
    run(cargo(built).args(["--bin", "balm", "--bin", name]))?;
    let mut command = Command::new(tools::target()?.join(build).join(name));
    command.envs(tools.map(|tools| (tools::LANGUAGES, tools)));
    run(command.current_dir(root()).args(arguments))
}

/// What builds policies in other languages, if that is among what is wanted.
fn tools_for(group: &str, only: Option<&str>) -> anyhow::Result<Option<PathBuf>> {
    is_wanted(group, only).then(tools::languages).transpose()
}

/// Whether a group is among what is wanted, as the programs see it: what is asked for is the group, or a key of it.
fn is_wanted(group: &str, only: Option<&str>) -> bool {
    only.is_none_or(|only| only.starts_with(group))
}

fn test() -> anyhow::Result<()> {
    install_wasm()?;
    let (moto, languages) = (tools::moto()?, tools::languages()?);
    let mut tests = cargo(["test", "--workspace"]);
    tests.args(["--", "--show-output"]).env(tools::MOTO, moto).env(tools::LANGUAGES, languages);
    step("tests", &mut tests)
}

fn check() -> anyhow::Result<()> {
    install_wasm()?;
    step("formatting", &mut cargo(["fmt", "--all", "--check"]))?;
    no_binaries()?;
    step("lints", &mut cargo(["clippy", "--workspace", "--all-targets", "--quiet", "--", "--deny", "warnings"]))?;
    let mut docs = cargo(["doc", "--workspace", "--no-deps", "--quiet", "--document-private-items"]);
    step("documentation", docs.env("RUSTDOCFLAGS", "--deny warnings"))?;
    program("debug", "reference", ["--check".to_owned()], None).context("generated pages: not as they should be")?;
    let deny = Command::new("cargo-deny").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if deny.is_ok_and(|status| status.success()) {
        // Advisories are left out: they need a database from the network.
        return step("licences, bans, sources", &mut cargo(["deny", "check", "licenses", "bans", "sources"]));
    }
    eprintln!("licences, bans, sources: skipped, since cargo-deny is not installed");
    Ok(())
}

/// What is built is built: the tree holds text.
fn no_binaries() -> anyhow::Result<()> {
    let listed = Command::new("git").current_dir(root()).args(["ls-files"]).output().context("git cannot be run")?;
    let listed = String::from_utf8_lossy(&listed.stdout);
    let is_binary = |name: &&str| {
        let kind = Path::new(name).extension().and_then(|extension| extension.to_str());
        matches!(kind, Some("wasm" | "cwasm" | "so" | "o" | "a" | "png" | "zip" | "gz"))
    };
    let found: Vec<&str> = listed.lines().filter(is_binary).collect();
    if found.is_empty() { Ok(()) } else { bail!("files that are built are in the tree: {}", found.join(", ")) }
}

/// Install the target that policies are built for, if it is missing.
fn install_wasm() -> anyhow::Result<()> {
    let sysroot = Command::new("rustc").args(["--print", "sysroot"]).output().context("rustc cannot be run")?;
    let sysroot = PathBuf::from(String::from_utf8_lossy(&sysroot.stdout).trim());
    if sysroot.join("lib/rustlib").join(WASM).exists() {
        return Ok(());
    }
    let added = Command::new("rustup").args(["target", "add", WASM]).stdout(Stdio::null()).status();
    match added {
        Ok(status) if status.success() => Ok(()),
        _ => bail!("policies are built for {WASM}, which is not installed: run `rustup target add {WASM}`"),
    }
}

fn cargo<const N: usize>(arguments: [&str; N]) -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(root()).args(arguments);
    // What cargo says of this package is not said by a person's own command, and build scripts that look at it (ring's)
    // would run again whenever one follows the other.
    for (name, _) in env::vars_os().filter(|(name, _)| is_of_a_package(name.to_str())) {
        cargo.env_remove(name);
    }
    cargo
}

fn is_of_a_package(name: Option<&str>) -> bool {
    name.is_some_and(|name| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_"))
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn step(name: &str, command: &mut Command) -> anyhow::Result<()> {
    let since = Instant::now();
    run(command).with_context(|| format!("{name}: not as it should be"))?;
    eprintln!("{name}: good, {} s", since.elapsed().as_secs());
    Ok(())
}

fn run(command: &mut Command) -> anyhow::Result<()> {
    let status = command.status().with_context(|| format!("{} cannot be run", command.get_program().display()))?;
    if status.success() { Ok(()) } else { bail!("{} ended with {status}", command.get_program().display()) }
}

#[cfg(test)]
mod tests {
    use super::is_wanted;

    #[test]
    fn a_key_wants_its_group_and_no_other() {
        assert!(is_wanted("golden", None));
        assert!(is_wanted("golden", Some("golden")) && is_wanted("golden", Some("golden_mismatches")));
        assert!(!is_wanted("golden", Some("gold")) && !is_wanted("golden", Some("kill_lost")));
    }
}
