//! `balm init`: the files of a host that nothing can act through yet.
//!
//! It owns what is written for whom to read; what the files mean is the configuration's business.

use std::{
    fs::{self, File},
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use anyhow::{Context as _, bail};

use super::out::say;

/// The files that everybody may read.
const FILES: [(&str, &str); 4] = [
    ("balm.toml", include_str!("../../templates/init/balm.toml")),
    ("guardrails/rules.cedar", include_str!("../../templates/init/guardrails/rules.cedar")),
    ("guardrails/limits.toml", include_str!("../../templates/init/guardrails/limits.toml")),
    (".gitignore", include_str!("../../templates/init/gitignore")),
];

/// The file with the credential of the source `grafana`.
const TOKEN: &str = "token";

/// Bytes of randomness in a token: as many as nobody guesses.
const TOKEN_BYTES: usize = 32;

/// Write the files, or none of them if one is there already.
pub(super) fn run(dir: &Path) -> anyhow::Result<()> {
    if let Some(name) = FILES.iter().map(|(name, _)| *name).chain([TOKEN]).find(|name| dir.join(name).exists()) {
        bail!("{} is there already: nothing was written; name another directory", dir.join(name).display());
    }
    for sub in ["guardrails", "plugins"] {
        let sub = dir.join(sub);
        fs::create_dir_all(&sub).with_context(|| format!("{} cannot be made", sub.display()))?;
    }
    for (name, text) in FILES {
        write(&dir.join(name), text, 0o644)?;
    }
    write(&dir.join(TOKEN), &format!("{}\n", token()?), 0o600)?;
    let at = |name: &str| dir.join(name).display().to_string();
    say!("{:<32} what the host is: sources, accounts, policies", at("balm.toml"))?;
    say!("{:<32} rules and limits; none yet, so nothing can act", at("guardrails/"))?;
    say!("{:<32} the plugins; none yet", at("plugins/"))?;
    say!("{:<32} the bearer credential for Grafana's contact point", at(TOKEN))?;
    say!("\nnext:\n  balm check --config {0}\n  balm serve --config {0}", at("balm.toml"))?;
    Ok(())
}

fn write(path: &Path, text: &str, mode: u32) -> anyhow::Result<()> {
    let written = File::options()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()));
    written.with_context(|| format!("{} cannot be written", path.display()))
}

fn token() -> anyhow::Result<String> {
    let mut bytes = [0; TOKEN_BYTES];
    getrandom::fill(&mut bytes).context("the machine has no randomness for a token")?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
