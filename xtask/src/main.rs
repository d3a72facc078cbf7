//! `cargo xtask`: what people and CI run, each a few commands with what they need installed first.
//!
//! It compiles in seconds and knows nothing of Balm; the substance of `demo`, `bench` and `prove` is in `tests/src/bin`.

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

/// moto, an AWS that is not ours, and what its server needs; its own extra `server` brings twice as much.
const MOTO: [&str; 3] = ["moto==5.2.5", "flask==3.1.3", "flask-cors==6.0.5"];

/// Where the tests look for moto's server. Who sets it has installed one, and none is installed here.
const MOTO_PROGRAM: &str = "BALM_TEST_MOTO";

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
        /// Only raw, act or load.
        #[arg(long, value_name = "GROUP")]
        only: Option<String>,
    },
    /// Show each promise with its figure.
    Prove {
        /// One JSON object of numbers on the standard output, and nothing else there.
        #[arg(long)]
        json: bool,
        /// Only the promises whose key begins so: approval, cache, corruption, hostile, kill,
        /// power, swap, sim, replay, syscall, tamper or type.
        #[arg(long, value_name = "KEY")]
        only: Option<String>,
        /// Ten times as many kills, swaps and seeds.
        #[arg(long)]
        long: bool,
        /// Leave everything there that is needed to recount.
        #[arg(long, value_name = "DIR")]
        keep: Option<PathBuf>,
    },
}

fn main() -> anyhow::Result<()> {
    match Cli::parse().task {
        Task::Demo { once } => {
            install_wasm()?;
            program("debug", "demo", once.then(|| "--once".to_owned()))
        }
        Task::Test => test(),
        Task::Check => check(),
        Task::Docs => {
            install_wasm()?;
            program("debug", "reference", None)
        }
        Task::Bench { json, only } => {
            install_wasm()?;
            let arguments =
                json.then(|| "--json".to_owned()).into_iter().chain(only.map(|key| format!("--only={key}")));
            program("release", "bench", arguments)
        }
        Task::Prove { json, only, long, keep } => {
            install_wasm()?;
            let keep = keep.map(|dir| env::current_dir().map(|here| here.join(dir))).transpose()?;
            let mut arguments = Vec::new();
            arguments.extend(json.then(|| "--json".to_owned()));
            arguments.extend(only.map(|key| format!("--only={key}")));
            arguments.extend(long.then(|| "--long".to_owned()));
            arguments.extend(keep.map(|dir| format!("--keep={}", dir.display())));
            program("debug", "prove", arguments)
        }
    }
}

/// Run a program of the tests' package, in the build of this name.
///
/// The whole workspace is selected whatever is built, here and wherever the programs build others: with the same features
/// everywhere, nothing is compiled twice.
fn program(build: &str, name: &str, arguments: impl IntoIterator<Item = String>) -> anyhow::Result<()> {
    eprintln!("building; the first time takes some minutes");
    let profile = if build == "release" { "release" } else { "dev" };
    let built = ["build", "--workspace", "--quiet", "--profile", profile];
    run(cargo(built).args(["--bin", "balm", "--bin", name]))?;
    let own = env::current_exe().context("this program's own place is not known")?;
    let target = own.ancestors().nth(2).context("this program is not in a target directory")?;
    run(Command::new(target.join(build).join(name)).current_dir(root()).args(arguments))
}

fn test() -> anyhow::Result<()> {
    install_wasm()?;
    let moto = install_moto()?;
    step("tests", cargo(["test", "--workspace"]).args(["--", "--show-output"]).env(MOTO_PROGRAM, moto))
}

fn check() -> anyhow::Result<()> {
    install_wasm()?;
    step("formatting", &mut cargo(["fmt", "--all", "--check"]))?;
    no_binaries()?;
    step("lints", &mut cargo(["clippy", "--workspace", "--all-targets", "--quiet", "--", "--deny", "warnings"]))?;
    let mut docs = cargo(["doc", "--workspace", "--no-deps", "--quiet", "--document-private-items"]);
    step("documentation", docs.env("RUSTDOCFLAGS", "--deny warnings"))?;
    program("debug", "reference", ["--check".to_owned()]).context("generated pages: not as they should be")?;
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

/// Install moto into a virtual environment of its own, below the target directory, and say where its server is.
fn install_moto() -> anyhow::Result<PathBuf> {
    if let Some(installed) = env::var_os(MOTO_PROGRAM) {
        return Ok(installed.into());
    }
    let own = env::current_exe().context("a program knows where it is")?;
    // <target>/<profile>/xtask
    let target = own.ancestors().nth(2).context("xtask is in a target directory")?;
    let dir = target.join(MOTO[0].replace("==", "-"));
    // Written last, so that an installation that was broken off is begun again.
    let (done, server) = (dir.join("installed"), dir.join("bin/moto_server"));
    if done.exists() {
        return Ok(server);
    }
    eprintln!("installing {} into {}", MOTO.join(", "), dir.display());
    let what = "the tests play the main scene against moto, a Python program";
    run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&dir)).with_context(|| {
        format!("{what}: install Python 3 with its module venv, or leave it out with `cargo test --workspace`")
    })?;
    let pip = ["install", "--quiet", "--disable-pip-version-check"];
    run(Command::new(dir.join("bin/pip")).args(pip).args(MOTO)).with_context(|| {
        format!("{what}: it comes from PyPI; name another moto_server with {MOTO_PROGRAM}, or leave it out with `cargo test --workspace`")
    })?;
    std::fs::write(done, "").context("the target directory cannot be written")?;
    Ok(server)
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
