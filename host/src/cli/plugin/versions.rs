//! `balm plugin` for a running host: versions handed over, shown, chosen, gone back from; and what a plugin said.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use balm_core::name::PluginName;
use clap::{Args, Subcommand};
use serde::de::DeserializeOwned;

use super::{name, read};
use crate::{
    admin::{CandidateChoice, Choice, Differences, Example, Lines, PluginVersions, Why},
    cli::{Place, out, say_done, show::printable},
};

/// The plugin of the running host that is meant.
#[derive(Debug, Args)]
pub(crate) struct Which {
    /// The plugin's name.
    plugin: PluginName,
    #[command(flatten)]
    place: Place,
}

/// Why, for the record.
#[derive(Debug, Args)]
pub(crate) struct Reason {
    /// Why, for the record.
    #[arg(long, default_value = "no reason given")]
    why: String,
}

/// Asks the running host.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Hand a version over to the running host: it is compiled, asked what it is, and kept. Nothing is in force by it.
    #[command(after_help = "\
Examples:
  balm plugin push scale-web.wasm --why 'build 1812'
  balm plugin push target/release/policy.wasm --name scale-web --why 'build 1812'")]
    Push {
        /// The component; its name without .wasm is the plugin's.
        file: PathBuf,
        /// The plugin's name, if the file's is another.
        #[arg(long)]
        name: Option<PluginName>,
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        reason: Reason,
    },
    /// List the plugins of the running host, as `balm plugins` does.
    List {
        #[command(flatten)]
        place: Place,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Show the versions of a plugin that are known: which one decides, which are in quarantine and why, which can be chosen.
    Show {
        #[command(flatten)]
        which: Which,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Put a known version in force. Evaluations under way end on theirs.
    #[command(after_help = "\
Examples:
  balm plugin activate scale-web 3f1c09d27ab4 --why 'build 1812 decides as the one before'")]
    Activate {
        #[command(flatten)]
        which: Which,
        /// The version: its digest, or the first 8 or more digits of it.
        digest: String,
        #[command(flatten)]
        reason: Reason,
    },
    /// Go back to the version that was chosen before the one in force; and from there further back.
    Rollback {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        reason: Reason,
    },
    /// Put a plugin out of force: its policies are idle until a version is activated or another file arrives.
    Disable {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        reason: Reason,
    },
    /// Have a version compared with the one in force: it sees the same, with the same answers, and never acts.
    #[command(after_help = "\
Examples:
  balm plugin candidate scale-web 3f1c09d27ab4 --why 'does build 1812 decide as the one in force?'
  balm plugin diff scale-web
  balm plugin candidate scale-web --none")]
    Candidate {
        #[command(flatten)]
        which: Which,
        /// The version: its digest, or the first 8 or more digits of it.
        #[arg(required_unless_present = "none")]
        digest: Option<String>,
        /// None is compared any more.
        #[arg(long, conflicts_with = "digest")]
        none: bool,
        #[command(flatten)]
        reason: Reason,
    },
    /// Show where the candidate and the version in force disagree, with examples.
    Diff {
        #[command(flatten)]
        which: Which,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Print the last lines that a plugin wrote. The host's own log has them all.
    Logs {
        #[command(flatten)]
        which: Which,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
}

pub(super) fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Push { file, name, place, reason } => push(&file, name, &place, &reason.why),
        Command::List { place, json } => crate::cli::plugins::run(&place.client()?, json),
        Command::Show { which, json } => ask(&which, "", json, &table),
        Command::Activate { which, digest, reason } => which.post("activate", &Choice { digest, why: reason.why }),
        Command::Rollback { which, reason } => which.post("rollback", &Why { why: reason.why }),
        Command::Disable { which, reason } => which.post("disable", &Why { why: reason.why }),
        Command::Candidate { which, digest, none: _, reason } => {
            which.post("candidate", &CandidateChoice { digest, why: reason.why })
        }
        Command::Diff { which, json } => ask(&which, "/diff", json, &differences),
        Command::Logs { which, json } => ask(&which, "/log", json, &lines),
    }
}

fn push(file: &Path, named: Option<PluginName>, place: &Place, why: &str) -> anyhow::Result<()> {
    let name = named.map_or_else(|| name(file).map_err(anyhow::Error::msg), Ok)?;
    let why = escaped(why);
    let answer = place.client()?.post_bytes(
        &format!("/v1/plugins/{name}/versions?why={why}"),
        "application/wasm",
        read(file)?,
    )?;
    say_done(&answer)
}

/// As it may stand in an address (RFC 3986, section 2.1).
fn escaped(text: &str) -> String {
    text.bytes().fold(String::new(), |mut escaped, byte| {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => escaped.push(char::from(byte)),
            _ => drop(write!(escaped, "%{byte:02X}")),
        }
        escaped
    })
}

impl Which {
    fn post(&self, what: &str, body: &impl serde::Serialize) -> anyhow::Result<()> {
        say_done(&self.place.client()?.post(&format!("/v1/plugins/{}/{what}", self.plugin), body)?)
    }
}

/// Print what the host answers, as it is or in words.
fn ask<T: DeserializeOwned>(which: &Which, what: &str, json: bool, words: &dyn Fn(&T) -> String) -> anyhow::Result<()> {
    let answer = which.place.client()?.get(&format!("/v1/plugins/{}{what}", which.plugin))?;
    if json {
        out::write([&answer[..], b"\n"].concat())?;
        return Ok(());
    }
    let answer: T = serde_json::from_slice(&answer).context("the host's answer cannot be read")?;
    out::write(words(&answer))?;
    Ok(())
}

fn table(plugin: &PluginVersions) -> String {
    let mut text = format!("plugin {}\n", plugin.plugin);
    for version in &plugin.versions {
        let state = serde_json::to_value(version.state).expect("a word is JSON");
        let state = state.as_str().unwrap_or_default().to_owned();
        let from = if plugin.file == Some(version.digest) { ", the file in the plugin directory" } else { "" };
        let _ = writeln!(text, "{state:<11} {}  {}{from}", version.digest, printable(&version.version));
        let _ = write!(text, "            {} bytes, known since record {}", version.bytes, version.since);
        if let Some(chosen) = version.chosen {
            let _ = write!(text, ", chosen by record {chosen}");
        }
        text.push('\n');
        if let Some(why) = &version.why {
            let _ = writeln!(text, "            {}", printable(why));
        }
    }
    if plugin.failures > 0 {
        let _ = writeln!(text, "{} evaluations in a row ended as the failure of the version in force", plugin.failures);
    }
    text
}

fn differences(diff: &Differences) -> String {
    let Differences { plugin, candidate, since, same, other_words, differs, waiting, missed, .. } = diff;
    let active = diff.active.map_or_else(|| "none".into(), |active| active.short());
    let mut text = format!(
        "plugin {plugin}: candidate {} beside {active}, since record {since}\n\
         the same {same}, the same in other words {other_words}, something else {differs}",
        candidate.short()
    );
    if *waiting > 0 {
        let _ = write!(text, ", still to be compared {waiting}");
    }
    if *missed > 0 {
        let _ = write!(text, ", not compared {missed}");
    }
    text.push('\n');
    for Example { record, capsule, policy, episode, active, candidate } in &diff.examples {
        let _ = writeln!(text, "policy {policy}, episode {episode}: records {capsule} and {record}");
        for (who, what) in [("in force ", active), ("candidate", candidate)] {
            let _ = writeln!(text, "  {who}  {}", printable(&what.to_string()));
        }
    }
    text
}

fn lines(log: &Lines) -> String {
    let mut text = String::new();
    for line in &log.lines {
        let (at, digest) = (line.at, line.digest.short());
        let (policy, episode, message) = (&line.policy, line.episode, printable(&line.message));
        let _ = writeln!(text, "{at} {:<6} {policy} episode {episode} version {digest}: {message}", line.level);
    }
    if text.is_empty() { "it wrote nothing since the host started\n".into() } else { text }
}
