//! `balm guard`: the guardrails for themselves, without a running host.

mod case;
mod look;
mod table;
pub(super) mod unmatched;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::ExitCode,
};

use balm_core::{
    configuration::Policy,
    guard::{Rules, SCHEMA},
    name::PolicyName,
};
use clap::Subcommand;

use super::{
    Place, explain,
    out::{self, say},
    show::printable,
};
use crate::config;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Say everything that is wrong with a directory of guardrails, and what is in it.
    ///
    /// What is no mistake and can yet never apply is told as a warning: a rule for what there cannot be, a policy that is not
    /// configured.
    Check {
        /// The directory.
        #[arg(default_value = "guardrails", value_name = "DIR")]
        dir: PathBuf,
        /// The configuration whose policies names are looked up in; without it, balm.toml beside the directory, if there is
        /// one.
        #[arg(long, short, env = "BALM_CONFIG", value_name = "FILE")]
        config: Option<PathBuf>,
    },
    /// Print the schema that rules are validated against: what they can speak of.
    Schema,
    /// Say in words what the running host's guard said of an intent: every check, and what it found.
    Explain {
        #[command(flatten)]
        place: Place,
        /// The intent, as in 1042.0.
        intent: String,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Judge a table of intents with the configured policies and guardrails, and say where a verdict is not the expected one.
    ///
    /// Nothing is read from AWS and nothing is done: each case says what a look would find. It fails if any verdict differs, so
    /// it can stand in a team's CI.
    #[command(after_help = "\
Example of a table:
  [[case]]
  name = \"two more tasks are fine\"
  policy = \"web-cpu\"
  action = \"ecs:scale-service\"
  target = \"arn:aws:ecs:eu-central-1:123456789012:service/prod/web\"
  parameters = { desired = 6 }
  look = { desired = 4 }
  expect = \"admitted\"

Expected verdicts: admitted, needs approval of N, observed only, refused: CHECK.")]
    Test {
        /// The table, in TOML or, with the ending .json, in JSON.
        table: PathBuf,
        /// The configuration.
        #[arg(long, short, default_value = "balm.toml", env = "BALM_CONFIG", value_name = "FILE")]
        config: PathBuf,
    },
}

pub(super) fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Check { dir, config } => check(&dir, config.as_deref()),
        Command::Schema => {
            out::write(SCHEMA)?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Explain { place, intent, json } => {
            let intent: balm_core::name::IntentId = intent.parse()?;
            explain::run(&place, Some(&intent.to_string()), json, explain::Detail::Checks)
        }
        Command::Test { table, config } => table::run(&table, &config),
    }
}

fn check(dir: &Path, config: Option<&Path>) -> anyhow::Result<ExitCode> {
    let guardrails = config::guardrails(dir)?;
    let policies = policies(dir, config)?;
    let rules = Rules::compile(&guardrails.rules).map_or(0, |rules| rules.count());
    let counted = [
        (rules, "rule"),
        (guardrails.limits.len(), "limit"),
        (guardrails.bounds.len(), "bound"),
        (guardrails.freezes.len(), "freeze"),
        (guardrails.breakers.len(), "breaker"),
    ];
    let words = counted.map(|(count, what)| format!("{count} {what}{}", if count == 1 { "" } else { "s" }));
    say!("{}, {}", words.join(", "), if guardrails.storm.is_some() { "a storm brake" } else { "no storm brake" })?;
    for warning in unmatched::warnings(dir, &guardrails, policies.as_ref()) {
        say!("{}", printable(&warning))?;
    }
    let digest = guardrails.digest();
    say!("nothing is wrong; verdicts of this version say guardrails {}", digest.short())?;
    Ok(ExitCode::SUCCESS)
}

/// The configured policies: of the configuration that was named, or of the one beside the directory. A neighbour that is not
/// right is no reason not to check the guardrails.
fn policies(dir: &Path, config: Option<&Path>) -> anyhow::Result<Option<BTreeMap<PolicyName, Policy>>> {
    if let Some(file) = config {
        return Ok(Some(config::load(file)?.core.policies));
    }
    let beside = dir.parent().unwrap_or(Path::new("")).join("balm.toml");
    if !beside.exists() {
        return Ok(None);
    }
    match config::load(&beside) {
        Ok(config) => Ok(Some(config.core.policies)),
        Err(_) => {
            say!("{} is not right, so names of policies are not looked up: see `balm check`", beside.display())?;
            Ok(None)
        }
    }
}
