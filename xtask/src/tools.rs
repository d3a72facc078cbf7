//! Tools that the tests use and Rust does not bring: moto, and what builds policies in other languages. They are installed
//! once, below the target directory, in the versions that this repository names.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Context as _;

use crate::{root, run};

/// Where the tests look for moto's server. Who sets it has installed one, and none is installed here.
pub(crate) const MOTO: &str = "BALM_TEST_MOTO";

/// Where the tests look for what builds policies in other languages. Who sets it has installed them.
pub(crate) const LANGUAGES: &str = "BALM_TEST_LANGUAGES";

/// moto, an AWS that is not ours, and what its server needs; its own extra `server` brings twice as much.
const MOTO_PACKAGES: [&str; 3] = ["moto==5.2.5", "flask==3.1.3", "flask-cors==6.0.5"];

/// What is needed from PyPI, and from npm, by the files of the SDKs themselves.
const REQUIREMENTS: [&str; 3] = ["sdk/python/requirements.txt", "sdk/c/requirements.txt", "sdk/go/requirements.txt"];
const PACKAGES: [&str; 2] = ["sdk/javascript/package.json", "sdk/javascript/package-lock.json"];

/// Install moto into a virtual environment of its own, and say where its server is.
pub(crate) fn moto() -> anyhow::Result<PathBuf> {
    if let Some(installed) = env::var_os(MOTO) {
        return Ok(installed.into());
    }
    let dir = target()?.join(MOTO_PACKAGES[0].replace("==", "-"));
    let what = "the tests play the main scene against moto, a Python program";
    install_once(&dir, &MOTO_PACKAGES.join("\n"), || {
        venv(&dir).context(what)?;
        pip(&dir).args(MOTO_PACKAGES).done().with_context(|| {
            format!("{what}: it comes from PyPI; name another moto_server with {MOTO}, or {LEAVE_OUT}")
        })
    })?;
    Ok(dir.join("bin/moto_server"))
}

/// Install what builds policies in Python, JavaScript, C and Go, and say where it is.
pub(crate) fn languages() -> anyhow::Result<PathBuf> {
    if let Some(installed) = env::var_os(LANGUAGES) {
        return Ok(installed.into());
    }
    let dir = target()?.join("languages");
    let text_of = |file: &&str| fs::read_to_string(root().join(file)).with_context(|| format!("{file} cannot be read"));
    let wanted = REQUIREMENTS.iter().chain(&PACKAGES).map(text_of).collect::<anyhow::Result<Vec<_>>>()?.concat();
    let what = "the tests build policies in other languages";
    install_once(&dir, &wanted, || {
        let python = dir.join("python");
        venv(&python).context(what)?;
        let mut pip = pip(&python);
        for file in REQUIREMENTS {
            pip.arg("--requirement").arg(root().join(file));
        }
        pip.done().with_context(|| format!("{what}, with tools from PyPI: {LEAVE_OUT}"))?;
        for file in PACKAGES {
            let name = Path::new(file).file_name().context("a file has a name")?;
            fs::copy(root().join(file), dir.join(name)).with_context(|| format!("{file} cannot be copied"))?;
        }
        let npm = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"];
        Command::new("npm").current_dir(&dir).args(npm).done().with_context(|| {
            format!("{what}, with tools from npm: install Node.js 20 or later with npm, or {LEAVE_OUT}")
        })
    })?;
    Ok(dir)
}

const LEAVE_OUT: &str = "leave it out with `cargo test --workspace`";

/// The target directory that this program is in.
pub(crate) fn target() -> anyhow::Result<PathBuf> {
    let own = env::current_exe().context("a program knows where it is")?;
    // <target>/<profile>/xtask
    Ok(own.ancestors().nth(2).context("xtask is in a target directory")?.to_owned())
}

/// Install what is wanted into a directory, unless exactly that is there.
fn install_once(dir: &Path, wanted: &str, install: impl FnOnce() -> anyhow::Result<()>) -> anyhow::Result<()> {
    // Written last, so that an installation that was broken off is begun again.
    let done = dir.join("installed");
    if fs::read_to_string(&done).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    eprintln!("installing into {}", dir.display());
    let _ = fs::remove_file(&done);
    fs::create_dir_all(dir).context("the target directory cannot be written")?;
    install()?;
    fs::write(done, wanted).context("the target directory cannot be written")
}

fn venv(dir: &Path) -> anyhow::Result<()> {
    let made = Command::new("python3").args(["-m", "venv", "--clear"]).arg(dir).done();
    made.with_context(|| format!("install Python 3.11 or later with its module venv, or {LEAVE_OUT}"))
}

fn pip(venv: &Path) -> Command {
    let mut pip = Command::new(venv.join("bin/pip"));
    pip.args(["install", "--quiet", "--disable-pip-version-check"]);
    pip
}

trait Done {
    fn done(&mut self) -> anyhow::Result<()>;
}

impl Done for Command {
    fn done(&mut self) -> anyhow::Result<()> {
        run(self)
    }
}
