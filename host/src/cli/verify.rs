//! `balm audit verify`: whether a journal or an export of it is whole, and still the one that was signed.

use std::{fs, path::Path, process::ExitCode};

use anyhow::{Context as _, bail};
use balm_core::{
    checkpoint::{Finding, Inspection, Kept},
    digest::Digest,
    line::{self, Chain},
};
use clap::Args;

use super::{Place, out::say};
use crate::{checkpoint, export, journal};

#[derive(Debug, Args)]
pub(super) struct Verify {
    #[command(flatten)]
    place: Place,
    /// An export, instead of the journal of the data directory.
    file: Option<std::path::PathBuf>,
    /// A checkpoint that was kept elsewhere: a notice, a record, or a number, a hash and perhaps a signature; or a file of them, one a
    /// line. It shows whether the end was cut off, or everything written anew.
    #[arg(long, value_name = "FILE|TEXT")]
    checkpoint: Vec<String>,
    /// The public key that checkpoints must be signed with (`balm audit key`); otherwise that of the first one counts.
    #[arg(long, value_name = "KEY", value_parser = public_key)]
    key: Vec<String>,
}

pub(super) fn run(verify: &Verify) -> anyhow::Result<ExitCode> {
    let kept = verify.checkpoint.iter().map(|text| kept(text)).collect::<anyhow::Result<Vec<_>>>()?.concat();
    let mut inspection = Inspection::new(checkpoint::verify, verify.key.clone(), kept);
    let (chain, torn_bytes) = match &verify.file {
        Some(file) => (of_export(file, &mut inspection)?, 0),
        None => of_journal(&verify.place.data()?, &mut inspection)?,
    };
    let checked = inspection.end()?;
    if checked.key.is_none() && !verify.key.is_empty() {
        bail!(
            "{} are whole and in order, but there is no checkpoint among them: nothing shows that they are of the host with the key {}",
            records(checked.begins, chain),
            verify.key.join(" or ")
        );
    }
    say!("{}; the last one's hash is {}", whole(checked.begins, chain), chain.hash)?;
    match checked.key {
        Some(key) => say!(
            "{} checkpoints fit, the last one of record {}; they are signed with the key {key}",
            checked.checkpoints,
            checked.fixed
        ),
        None => say!("there is no checkpoint in it"),
    }?;
    if checked.kept > 0 {
        say!("{} checkpoints that were kept elsewhere fit", checked.kept)?;
    }
    if checked.forgotten > 0 {
        say!("{} that were kept elsewhere are of records that are no longer kept", checked.forgotten)?;
    }
    if torn_bytes > 0 {
        say!("behind them: {torn_bytes} bytes of an unfinished write, which nobody was told of")?;
    }
    Ok(ExitCode::SUCCESS)
}

/// A key as `balm audit key` prints it. One that no host can have would find every journal wanting, and not say why.
fn public_key(text: &str) -> Result<String, String> {
    match Digest::from_hex(text.trim().as_bytes()) {
        Some(key) => Ok(key.to_string()),
        None => Err("a key is 64 hexadecimal digits, as `balm audit key` prints them".into()),
    }
}

fn records(begins: Chain, chain: Chain) -> String {
    format!("{} records", chain.seq.0 - begins.seq.0)
}

/// How many records there are, and from which on where older ones are no longer kept.
fn whole(begins: Chain, chain: Chain) -> String {
    let count = records(begins, chain);
    match begins {
        Chain::START => format!("{count} are whole and in order"),
        Chain { seq, .. } => {
            format!("{count} are whole and in order, from record {} on: older ones are no longer kept", seq.next())
        }
    }
}

/// What a file or a text says that was kept.
fn kept(text: &str) -> anyhow::Result<Vec<Kept>> {
    let of_file = fs::read_to_string(text).ok();
    let lines = of_file.as_deref().unwrap_or(text).lines().filter(|line| !line.trim().is_empty());
    let read = |line: &str| Kept::find(line).with_context(|| format!("{line:?} holds no checkpoint"));
    let found: Vec<Kept> = lines.map(read).collect::<Result<_, _>>()?;
    if found.is_empty() {
        bail!("{text} holds no checkpoint");
    }
    Ok(found)
}

fn of_export(file: &Path, inspection: &mut Inspection) -> anyhow::Result<Chain> {
    let mut found = Ok(());
    let scanned = export::scan(file, |line| {
        if found.is_ok() {
            found = inspection.see(&line.record, line.framing, line.hash);
        }
    });
    // What was found in a record stands before whatever is wrong with a later line.
    found.with_context(|| file.display().to_string())?;
    Ok(scanned?)
}

fn of_journal(data: &Path, inspection: &mut Inspection) -> anyhow::Result<(Chain, usize)> {
    let mut found: Result<(), Finding> = Ok(());
    let scanned = journal::scan(data, |hash, record, line| {
        if found.is_ok() {
            let framing = line::claims(line).map(|(_, framing)| framing).unwrap_or_default();
            found = inspection.see(record, framing, hash);
        }
    });
    found.with_context(|| data.join("journal").display().to_string())?;
    let scanned = scanned?;
    Ok((scanned.chain, scanned.torn_bytes))
}

/// `balm audit key`: the public key of a data directory.
pub(super) fn show_key(data: &Path) -> anyhow::Result<ExitCode> {
    let key = checkpoint::Key::find(data)?;
    let key =
        key.with_context(|| format!("{} has no key yet: the host makes it at its first start", data.display()))?;
    say!("{}", key.public())?;
    Ok(ExitCode::SUCCESS)
}
