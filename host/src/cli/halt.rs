//! `balm stop` and `balm resume`.

use std::{io::IsTerminal as _, path::Path, time::Duration};

use anyhow::{Context as _, bail};
use balm_core::{
    digest::Digest,
    record::{Backlog, Person, StopScope},
};
use clap::{Args, ValueEnum};

use super::{
    Place,
    client::{Client, Error},
    out::say,
    say_done,
};
use crate::{admin, config, kill_switch, reload::PluginShown};

/// What a stop halts.
#[derive(Clone, Debug, Args)]
pub(super) struct Scope {
    /// Only this policy.
    #[arg(long, group = "narrow")]
    policy: Option<String>,
    /// Only what this version of a plugin proposed: its digest, as `balm plugins` shows it.
    #[arg(long, group = "narrow", value_name = "DIGEST")]
    plugin_version: Option<String>,
    /// Only this target, or with stars all targets like it: 'arn:aws:ecs:eu-central-1:123456789012:service/prod/*'.
    #[arg(long, group = "narrow", value_name = "ARN")]
    target: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct Stop {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    scope: Scope,
    /// Only for this long, as in 90s, 15m, 1h or 7d; until somebody resumes otherwise.
    #[arg(long, value_name = "TIME", value_parser = stop_for)]
    r#for: Option<Duration>,
    /// Why, for the record.
    #[arg(long, default_value = "no reason given")]
    why: String,
}

#[derive(Debug, Args)]
pub(super) struct Resume {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    scope: Scope,
    /// A stop by its number, as `balm status` shows it.
    #[arg(long, conflicts_with = "narrow", value_name = "NUMBER")]
    stop: Option<u64>,
    /// What becomes of alerts whose intents were refused meanwhile. It is asked for, or must be said, where Balm halted
    /// something itself.
    #[arg(long, value_enum)]
    backlog: Option<What>,
    /// Why, for the record.
    #[arg(long, default_value = "no reason given")]
    why: String,
}

/// What becomes of alerts whose intents a stop refused.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum What {
    /// Nothing, until they fire again or their policy looks again.
    Drop,
    /// Their policies are evaluated again, now, on what is true now.
    Evaluate,
}

impl From<What> for Backlog {
    fn from(what: What) -> Self {
        match what {
            What::Drop => Self::Drop,
            What::Evaluate => Self::Evaluate,
        }
    }
}

/// A stop without a time holds until somebody ends it, and none is over before it begins.
fn stop_for(text: &str) -> Result<Duration, String> {
    let time = config::parse_duration(text).ok_or("write a time as in 90s, 15m, 1h or 7d")?;
    let (least, most) = (Duration::from_secs(1), Duration::from_secs(admin::STOP_FOR_MOST_S));
    if (least..=most).contains(&time) {
        Ok(time)
    } else {
        Err("a stop that ends by itself holds from 1s to 30d".into())
    }
}

impl Scope {
    fn read(&self, client: &Client) -> anyhow::Result<StopScope> {
        let Self { policy, plugin_version, target } = self;
        Ok(match (policy, plugin_version, target) {
            (Some(policy), ..) => StopScope::Policy(policy.parse()?),
            (None, Some(digest), _) => StopScope::Version(version(client, digest)?),
            (None, None, Some(target)) => match target.parse() {
                Ok(target) => StopScope::Target(target),
                Err(_) if target.contains('*') => StopScope::Targets(target.parse()?),
                Err(error) => return Err(error.into()),
            },
            (None, None, None) => StopScope::Everything,
        })
    }
}

/// A version by its digest, or by the beginning that `balm plugins` shows.
fn version(client: &Client, digest: &str) -> anyhow::Result<Digest> {
    if let Some(digest) = Digest::from_hex(digest.as_bytes()) {
        return Ok(digest);
    }
    let plugins: Vec<PluginShown> = serde_json::from_slice(&client.get("/plugins")?)?;
    let known = plugins.iter().filter_map(|plugin| plugin.digest);
    let found: Vec<Digest> = known.filter(|known| known.to_string().starts_with(digest)).collect();
    match found[..] {
        [digest] => Ok(digest),
        [] => bail!("no version in memory has a digest that begins with {digest:?}; `balm plugins` shows them"),
        _ => bail!("several versions have a digest that begins with {digest:?}: write more of it"),
    }
}

/// A host that does not run is stopped by the file that it finds when it starts.
pub(super) fn stop(stop: Stop) -> anyhow::Result<()> {
    let Stop { place, scope, r#for, why } = stop;
    let data = place.data()?;
    let client = Client::new(&data);
    let scope = scope.read(&client)?;
    let for_s = r#for.map(|time| time.as_secs());
    let whole = scope == StopScope::Everything && for_s.is_none();
    match client.post("/stop", &admin::StopRequest { scope, why: why.clone(), for_s }) {
        Ok(answer) => say_done(&answer),
        Err(Error::NotRunning(_)) if whole => stop_offline(&data, why),
        Err(error @ Error::NotRunning(_)) => Err(error)
            .context("without a host only everything can be stopped: leave --policy and --target away, and --for"),
        Err(error) => Err(error.into()),
    }
}

fn stop_offline(data: &Path, why: String) -> anyhow::Result<()> {
    let by = Person { who: "a user of this machine".into(), why };
    kill_switch::write_offline(data, &by).with_context(|| format!("cannot write into {}", data.display()))?;
    say!("no host runs here; the next one starts with everything stopped")?;
    Ok(())
}

/// A stop file that anybody could remove would be none: a release is a record, and only a host writes those.
pub(super) fn resume(resume: Resume) -> anyhow::Result<()> {
    let Resume { place, scope, stop, backlog, why } = resume;
    let client = place.client()?;
    let stop = stop.map(balm_core::name::Seq);
    let scope = if stop.is_some() { None } else { Some(scope.read(&client)?) };
    let request = admin::ResumeRequest { stop, scope, backlog: backlog.map(Backlog::from), why };
    match client.post("/resume", &request) {
        Ok(answer) => say_done(&answer),
        Err(error @ Error::NotRunning(_)) => {
            Err(error).context("a stop is released by a record, which a host writes: start it first, it starts stopped")
        }
        Err(Error::Refused(why)) if why.contains("--backlog") && std::io::stdin().is_terminal() => {
            let backlog = Some(ask_for_backlog()?);
            say_done(&client.post("/resume", &admin::ResumeRequest { backlog, ..request })?)
        }
        Err(error) => Err(error.into()),
    }
}

fn ask_for_backlog() -> anyhow::Result<Backlog> {
    say!("Balm halted this itself. What becomes of the alerts whose intents were refused meanwhile?")?;
    say!("  drop      nothing, until they fire again or their policy looks again")?;
    say!("  evaluate  their policies are evaluated again now, within the limits")?;
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).context("nothing could be read")?;
    match line.trim() {
        "drop" => Ok(Backlog::Drop),
        "evaluate" => Ok(Backlog::Evaluate),
        other => bail!("{other:?} is neither drop nor evaluate; nothing is released"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stop_is_never_over_before_it_begins_and_never_rounded_to_another_time() {
        assert_eq!(stop_for("1s"), Ok(Duration::from_secs(1)));
        assert_eq!(stop_for("30d"), Ok(Duration::from_secs(admin::STOP_FOR_MOST_S)));
        for wrong in ["0s", "999ms", "31d", "soon"] {
            assert!(stop_for(wrong).is_err(), "{wrong}");
        }
    }
}
