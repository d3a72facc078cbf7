//! The command line: what can be asked, and who answers.

mod approvals;
mod audit;
mod backtest;
mod capsule;
mod check;
mod client;
mod credential;
mod explain;
mod find;
mod guard;
mod halt;
mod iam;
mod init;
mod manual;
mod new;
mod notify;
mod out;
mod past;
mod plugin;
mod plugins;
mod probe;
mod replay;
mod send;
mod show;
mod simulate;
mod status;
mod verify;

use std::{path::PathBuf, process::ExitCode};

use anyhow::Context as _;
use balm_core::name::{CredentialName, PluginName};
use clap::{Args, Parser, Subcommand};

pub(crate) use self::out::aside;
use self::{client::Client, out::say};
use crate::{
    admin, app,
    backup::{self, Copied},
    config,
    credential::Role,
    data_dir, telemetry,
};

/// Runs remediation policies: alerts in, sandboxed plugins decide, guardrails check, AWS is changed, everything is
/// recorded.
///
/// A host is a configuration (balm.toml), a directory of plugins, a directory of guardrails and a data directory with its
/// journal. Nothing is done that no rule, limit and bound permits. The commands that speak to a running host do so through
/// a socket in its data directory: whoever may open that file needs no token and no network.
#[derive(Debug, Parser)]
#[command(version, propagate_version = true, max_term_width = 100, after_help = FIRST_DAY)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// Where the host's files are.
#[derive(Clone, Debug, Args)]
pub(crate) struct Place {
    /// The configuration.
    #[arg(long, short, default_value = "balm.toml", env = "BALM_CONFIG", value_name = "FILE")]
    config: PathBuf,
    /// The data directory, if it is not to be looked up in the configuration.
    #[arg(long, env = "BALM_DATA", value_name = "DIR")]
    data: Option<PathBuf>,
}

/// The commands of the first day, in their order.
const FIRST_DAY: &str = "\
The first day:
  balm init host && cd host       the files of a host that nothing can act through yet
  balm check                      what is wrong with them, and what could act
  balm serve                      run it
  balm send                       send it a sample alert, as Grafana would
  balm explain                    why that did or did not act
  balm new my-policy              a policy of your own, with tests";

#[derive(Debug, Subcommand)]
enum Command {
    /// Write the files of a new host: a commented configuration, empty guardrails, a token. Nothing can act yet.
    ///
    /// Nothing that is there is overwritten. The token is the bearer credential for the webhook of Grafana's contact point.
    Init {
        /// Where to.
        #[arg(default_value = ".")]
        dir: PathBuf,
    },
    /// Write a policy project in Rust, with tests and the policy's configuration, outside of Balm's own repository.
    #[command(after_help = "\
Examples:
  balm new my-policy                                the SDK of the clone that this program was built from
  balm new my-policy --sdk ../balm/sdk              the SDK of another clone
  balm new my-policy --sdk https://git.example.com/balm.git")]
    New {
        /// What the plugin is called: verb-object, as in restart-web.
        name: PluginName,
        /// Where to; a directory of the plugin's name otherwise.
        #[arg(long, value_name = "DIR")]
        path: Option<PathBuf>,
        /// The SDK: the folder `sdk` of a clone, or the address of a git repository.
        #[arg(long, value_name = "FOLDER|URL")]
        sdk: Option<String>,
    },
    /// Send a sample alert to a running host, as Grafana would, with the credentials of the configuration.
    #[command(after_help = "\
Examples:
  balm send                                         HighCpu fires
  balm send --resolved                              and is over
  balm send --alertname Unhealthy --label service=web --value B=3
  balm send captured.json                           a body that Grafana once posted")]
    Send(send::Send),
    /// Say in words why Balm did or did not act: for an intent, a whole episode, or the newest alert.
    #[command(after_help = "\
Examples:
  balm explain                                      the newest alert
  balm explain 1042.0                               one intent
  balm explain 1042 --json                          the episode that record 1042 belongs to, for scripts")]
    Explain {
        #[command(flatten)]
        place: Place,
        /// An intent, as in 1042.0, or the number of an episode or of any of its records.
        id: Option<String>,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Print the least IAM policy for the configuration: only what its policies, plugins and rules could use.
    ///
    /// Policies in shadow need reads only; the call that a policy may make appears once it is in `enforce` or `suggest`.
    /// Print it again after every change of policies, targets or rules.
    #[command(after_help = "\
Examples:
  balm iam                                          a policy document, if there is one account
  balm iam --account 123456789012                   that of one account
  balm iam --account host                           what the host's own identity needs to take on the roles
  balm iam --format terraform                       everything, as data \"aws_iam_policy_document\"")]
    Iam(iam::Iam),
    /// Print the completions of a shell.
    #[command(after_help = "\
Examples:
  balm completions bash > /etc/bash_completion.d/balm
  balm completions fish > ~/.config/fish/completions/balm.fish")]
    Completions {
        /// Which.
        shell: clap_complete::Shell,
    },
    /// Print the manual.
    #[command(hide = true)]
    Man {
        /// How.
        #[arg(long, value_enum, default_value = "roff")]
        format: manual::Format,
    },
    /// Run a host. Prints one line of JSON with its addresses once it is ready.
    Serve {
        /// The configuration.
        #[arg(long, short, default_value = "balm.toml", env = "BALM_CONFIG", value_name = "FILE")]
        config: PathBuf,
        /// How the log on the standard error looks.
        #[arg(long, value_enum, default_value = "text")]
        log_format: telemetry::Format,
        /// Go on although acknowledged records are missing from the journal. That they are is recorded.
        #[arg(long)]
        accept_loss: bool,
    },
    /// Say everything that is wrong with a configuration, its guardrails and its plugins.
    Check {
        /// The configuration.
        #[arg(long, short, default_value = "balm.toml", env = "BALM_CONFIG", value_name = "FILE")]
        config: PathBuf,
    },
    /// Say how the running host is: in words on a terminal, as JSON otherwise.
    Status {
        #[command(flatten)]
        place: Place,
        /// As JSON, also on a terminal.
        #[arg(long)]
        json: bool,
    },
    /// Halt everything, or one policy, plugin version or target. Works at once, without network; everything can be stopped
    /// also on a host that does not run.
    #[command(after_help = "\
Examples:
  balm stop --why 'something is odd'                everything, until somebody resumes
  balm stop --policy web-cpu --for 1h               a policy, for an hour
  balm stop --target 'arn:aws:ecs:*:service/prod/*' every service of the cluster prod
  balm stop --plugin-version 3f9ae0c1d2b4           what one version of a plugin proposed")]
    Stop(halt::Stop),
    /// End stops: the one with a number, or all that halt exactly what is named.
    Resume(halt::Resume),
    /// List the intents that wait for the approval of people: the plan in words, its hash, who has approved it, and until when.
    Approvals {
        #[command(flatten)]
        place: Place,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Approve the plan of an intent, take your approval back, or deny it.
    ///
    /// An approval is bound to the hash of the plan that you have read, counts once, and expires. With the last one that is
    /// needed the intent is proposed again: Balm looks afresh, every check runs, and it is done once if nothing has changed.
    #[command(after_help = "\
Examples:
  balm approvals                                    what waits, with the hash of each plan
  balm approve 1042.0 --plan HASH --why 'checked'
  balm approve 1042.0 --plan HASH --withdraw
  balm approve 1042.0 --plan HASH --deny --why 'the database is next'")]
    Approve(approvals::Approve),
    /// Have the running host read its sources, notifiers, guardrails and policies again. A wrong one keeps the old, and
    /// everything that is wrong is told.
    Reload {
        #[command(flatten)]
        place: Place,
        /// Why, for the record.
        #[arg(long, default_value = "no reason given")]
        why: String,
    },
    /// List the plugins of the running host: version, digest, state, why, and the policies that put them to work.
    Plugins {
        #[command(flatten)]
        place: Place,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Look at a plugin's file before it is put to work, and at the versions that a running host has.
    #[command(subcommand)]
    Plugin(plugin::Command),
    /// Accept the time after the clock was set ahead: limits count by it again.
    AcceptClock {
        #[command(flatten)]
        place: Place,
        /// Why, for the record.
        #[arg(long, default_value = "no reason given")]
        why: String,
    },
    /// Make a token for the admin API, show it once, and print the credential for the configuration.
    Credential {
        /// What its holder is called in records.
        name: CredentialName,
        /// What its holder may do: a viewer reads, an operator also stops, releases and accepts the clock, an approver
        /// approves, an admin may everything.
        #[arg(long, value_enum)]
        role: Role,
        /// One object of JSON, with token, name, role and hash.
        #[arg(long)]
        json: bool,
    },
    /// Try out the guardrails: check them, print what rules can speak of, test them against a table of intents.
    #[command(subcommand)]
    Guard(guard::Command),
    /// Read the audit: what happened, and why.
    #[command(subcommand)]
    Audit(audit::Command),
    /// Show an evaluation of the past with everything that the plugin saw; or write it as a test of the policy.
    #[command(after_help = "\
Examples:
  balm capsule 1042.0                               as JSON
  balm capsule 1042.0 --as-test >> src/recorded.rs  a test of the policy that expects what was decided")]
    Capsule(capsule::Capsule),
    /// Make decisions of the past again, each by the version that made it, and compare them byte for byte.
    ///
    /// Needs no host, no network and no AWS: what a plugin saw stands in the records. The host may run. Ends with 0 if every
    /// evaluation came out the same, with 3 if one did not or could not be made, with 1 if the history cannot be read.
    #[command(after_help = "\
Examples:
  balm replay --all                                 everything in the journal of the data directory
  balm replay 1042.0                                the decision that proposed an intent
  balm audit export --to history.jsonl --plugins versions    here, and on another machine:
  balm replay --all --from history.jsonl --plugins versions")]
    Replay(replay::Replay),
    /// Have a new version of a plugin decide what was decided in the past, and show what would have been other.
    ///
    /// It sees what the old version saw, readings and the history of the episode among it. Ends with 0 if it proposes the
    /// same, with 3 if not, with 1 if it cannot be tried.
    #[command(after_help = "\
Examples:
  balm backtest --candidate target/wasm32-wasip2/release/scale_ecs_service.wasm --last 30d
  balm backtest --candidate next.wasm --policy web-cpu --from history.jsonl --json")]
    Backtest(backtest::Backtest),
    /// Live through storms before there is one: the configured policies and guardrails on a model of the cloud, in virtual time.
    ///
    /// Plugins, engine and guard are the real ones; the cloud is slow, fails and loses answers, and others change it meanwhile. A
    /// seed decides all of it. What must hold is recounted without the guard: no change leaves too few healthy, limits are
    /// kept, no target is turned around again and again, and every episode ends. A seed in which it does not is printed, and
    /// ends the command with 1.
    #[command(after_help = "\
Examples:
  balm simulate --enforce --seeds 100               as if every policy enforced
  balm simulate --seeds 100 --save seeds.toml       keep the seeds that fail
  balm simulate --again seeds.toml                  and live through them again, in CI
  balm simulate --seed 7 --story                    what happens in one of them")]
    Simulate(simulate::Simulate),
    /// Copy what the host cannot do without into a new directory: journal, plugins and the key of checkpoints. The host may run.
    ///
    /// The copy is a data directory itself: to restore it, end the host and put it in the place of the other. What was recorded
    /// after the backup is then missing.
    #[command(after_help = "\
Examples:
  balm backup --to /backup/balm-2026-11-01
  balm audit verify --data /backup/balm-2026-11-01")]
    Backup {
        #[command(flatten)]
        place: Place,
        /// Where to; it must not be there yet.
        #[arg(long, value_name = "DIR")]
        to: PathBuf,
    },
    /// Try out who is told.
    #[command(subcommand)]
    Notify(notify::Command),
    /// Open an audit database and print its head: the host does this in a child process before it opens it itself.
    #[command(hide = true)]
    ProbeAudit {
        /// The database's directory.
        dir: PathBuf,
    },
    /// Look at the data directories on the standard input as a start does, and say what was found: the tests of crashes do so
    /// by the thousand.
    #[command(hide = true)]
    Probe {
        /// At what of them.
        what: probe::What,
    },
    /// Compile the component on the standard input within limits: the host does this in a child process.
    #[command(hide = true)]
    Compile {
        /// Seconds of processor time.
        #[arg(long)]
        cpu_seconds: u64,
        /// MiB of address space.
        #[arg(long)]
        memory_mib: u64,
    },
}

impl Place {
    /// The data directory, as named or as configured.
    fn data(&self) -> anyhow::Result<PathBuf> {
        match &self.data {
            Some(data) => Ok(data.clone()),
            None => config::data_dir(&self.config)
                .context("the data directory is not known: name it with --data, or the configuration with --config"),
        }
    }

    fn client(&self) -> anyhow::Result<Client> {
        Ok(Client::new(&self.data()?))
    }
}

/// Do what was asked.
pub(crate) fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    match cli.command {
        Command::Serve { config, log_format, accept_loss } => {
            telemetry::start(log_format);
            data_dir::keep_private();
            app::serve(&config::load_for_start(&config)?, accept_loss)?;
        }
        Command::Check { config } => return check::run(&config),
        Command::Init { dir } => init::run(&dir)?,
        Command::New { name, path, sdk } => new::run(&name, path, sdk.as_deref())?,
        Command::Send(send) => send::run(&send)?,
        Command::Explain { place, id, json } => {
            return explain::run(&place, id.as_deref(), json, explain::Detail::Story);
        }
        Command::Iam(iam) => iam::run(&iam)?,
        Command::Completions { shell } => manual::completions(shell)?,
        Command::Man { format } => manual::run(format)?,
        Command::Status { place, json } => status::run(&place, json)?,
        Command::Stop(stop) => halt::stop(stop)?,
        Command::Resume(resume) => halt::resume(resume)?,
        Command::Approvals { place, json } => approvals::list(&place, json)?,
        Command::Approve(approve) => approvals::say(approve)?,
        Command::Reload { place, why } => say_done(&place.client()?.post("/reload", &admin::Why { why })?)?,
        Command::Plugins { place, json } => plugins::run(&place.client()?, json)?,
        Command::Plugin(command) => return plugin::run(command),
        Command::AcceptClock { place, why } => {
            say_done(&place.client()?.post("/clock/accept", &admin::Why { why })?)?;
        }
        Command::Credential { name, role, json } => credential::run(&name, role, json)?,
        Command::Guard(command) => return guard::run(command),
        Command::Audit(command) => return audit::run(command),
        Command::Backup { place, to } => {
            data_dir::keep_private();
            let Copied { records, chain } = backup::write(&place.data()?, &to)?;
            say!("{records} records are in {}; the last one's hash is {}", to.display(), chain.hash)?;
        }
        Command::Capsule(capsule) => return capsule::run(&capsule),
        Command::Replay(replay) => return replay::run(&replay),
        Command::Backtest(backtest) => return backtest::run(&backtest),
        Command::Simulate(asked) => return simulate::run(&asked),
        Command::Notify(command) => notify::run(command)?,
        Command::ProbeAudit { dir } => {
            if let Some((head, first)) = crate::audit::probed(&dir)? {
                say!("{} {} {first}", head.seq, head.hash)?;
            }
        }
        Command::Probe { what } => probe::run(what)?,
        Command::Compile { cpu_seconds, memory_mib } => {
            if let Err(why) = crate::compile::child(cpu_seconds, memory_mib) {
                // Without the program's name: it is told as the plugin's mistake.
                aside(&why);
                return Ok(ExitCode::FAILURE);
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn say_done(answer: &[u8]) -> anyhow::Result<()> {
    let done: admin::Done = serde_json::from_slice(answer).context("the host's answer cannot be read")?;
    say!("{}", done.done)?;
    Ok(())
}
