//! Scenes: all that an evaluation may know, read from files instead of from the world.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, bail};
use balm_core::{
    alert::{Alert, Status},
    evaluation::{Answer, Conclusion, Input, Outcome, PastIntent, Query, Trigger},
    json::Json,
    name::PolicyName,
    rounds::{self, Reach, Step},
    target::Target,
    time::Timestamp,
};
use balm_sandbox::{Plugin, Round};
use clap::{Args, ValueEnum};
use serde::Deserialize;
use serde_json::Value;

use crate::{clock, http::grafana};

/// What an evaluation is told.
#[derive(Debug, Args)]
pub(crate) struct Scene {
    /// The alert: a body that Grafana posted with one alert in it, or an alert as `balm audit show` has it.
    #[arg(long, value_name = "FILE")]
    alert: PathBuf,
    /// The operator's settings, JSON or TOML; or the whole policy file that lies beside the plugin, with its targets.
    #[arg(long, value_name = "FILE")]
    settings: Option<PathBuf>,
    /// What the host would read: a list of answers, as `balm audit show` has them and as this command asks for them.
    #[arg(long, value_name = "FILE")]
    answers: Option<PathBuf>,
    /// What it proposed in this episode before: a list, as `balm audit show` has it in an evaluation.
    #[arg(long, value_name = "FILE")]
    history: Option<PathBuf>,
    /// A target within its reach. Repeatable. Otherwise those of the policy file, or those that the answers are about.
    #[arg(long = "target", value_name = "ARN")]
    targets: Vec<String>,
    /// Why it is evaluated; otherwise what the alert says.
    #[arg(long, value_enum)]
    trigger: Option<TriggerWord>,
    /// The time, as in 2026-11-25T12:00:00Z; otherwise now.
    #[arg(long, value_name = "TIME", value_parser = time)]
    now: Option<Timestamp>,
    /// The only randomness.
    #[arg(long, default_value = "1")]
    seed: u64,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum TriggerWord {
    Fired,
    Resolved,
    LookAgain,
    Unverified,
}

impl From<TriggerWord> for Trigger {
    fn from(word: TriggerWord) -> Self {
        match word {
            TriggerWord::Fired => Self::Fired,
            TriggerWord::Resolved => Self::Resolved,
            TriggerWord::LookAgain => Self::LookAgain,
            TriggerWord::Unverified => Self::Unverified,
        }
    }
}

fn time(text: &str) -> Result<Timestamp, String> {
    Timestamp::parse_rfc3339(text).ok_or_else(|| "write it as in 2026-11-25T12:00:00Z".into())
}

/// An answer, which needs no time: it is read now.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Given {
    query: GivenQuery,
    reading: Reading,
    at: Option<Timestamp>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct GivenQuery {
    kind: String,
    target: String,
    #[serde(default)]
    parameters: serde_json::Map<String, Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Reading {
    Ok(Value),
    Error(String),
}

/// An evaluation played to its end, or to where an answer is missing.
pub(super) struct Played {
    pub(super) rounds: u32,
    /// The last round.
    pub(super) round: Round,
    /// What it was called with.
    pub(super) input: Input,
    /// What it asked that nobody gave; empty unless the last round asked.
    pub(super) missing: Vec<Query>,
}

/// What a scene holds once its files were read.
pub(super) struct Read {
    input: Input,
    answers: Vec<Answer>,
}

impl Scene {
    /// Read all files.
    pub(super) fn read(&self, plugin: &Plugin) -> anyhow::Result<Read> {
        let now = self.now.unwrap_or_else(clock::wall);
        let alert = read_alert(&self.alert)?;
        let answers: Vec<Answer> = match &self.answers {
            Some(path) => read_answers(path, now)?,
            None => Vec::new(),
        };
        let history: Vec<PastIntent> = self.history.as_deref().map(json_of).transpose()?.unwrap_or_default();
        let (settings, configured) = self.settings.as_deref().map_or_else(|| Ok(Default::default()), read_settings)?;
        let trigger = self.trigger.map_or_else(|| of_status(alert.status), Trigger::from);
        let input = Input {
            alert: Arc::new(alert),
            policy: plugin.name().as_str().parse::<PolicyName>()?,
            targets: self.targets(configured, &answers)?,
            settings: Json::of(&settings),
            answers: Vec::new(),
            trigger,
            history,
            now,
            seed: self.seed,
        };
        Ok(Read { input, answers })
    }

    fn targets(&self, configured: Vec<String>, answers: &[Answer]) -> anyhow::Result<Vec<Target>> {
        let named = [self.targets.clone(), configured].into_iter().find(|targets| !targets.is_empty());
        let mut texts = named.unwrap_or_else(|| answers.iter().map(|answer| answer.query.target.clone()).collect());
        let mut seen = std::collections::BTreeSet::new();
        texts.retain(|text| seen.insert(text.clone()));
        texts.iter().map(|text| text.parse().with_context(|| format!("the target {text:?}"))).collect()
    }
}

impl Read {
    /// Play the rounds as the host does, with the answers that were given. It evaluates no policy whose settings the plugin did
    /// not accept.
    pub(super) async fn play_accepted(self, plugin: &Plugin) -> anyhow::Result<Played> {
        let accepted = plugin.validate_settings(&self.input.settings).await;
        accepted.map_err(|why| anyhow::anyhow!("the plugin does not accept its settings: {why}"))?;
        Ok(self.play(plugin).await)
    }

    async fn play(mut self, plugin: &Plugin) -> Played {
        let targets = self.input.targets.clone();
        let reach = Reach { queries: &plugin.manifest().queries, targets: &targets };
        let mut rounds = 1;
        loop {
            let Round { outcome, fuel, log, log_dropped, waited } = plugin.evaluate(&self.input).await;
            let played = |outcome, input, missing| {
                let round = Round { outcome, fuel, log, log_dropped, waited };
                Played { rounds, round, input, missing }
            };
            let queries = match rounds::conclude(outcome, rounds, &self.input.answers, reach) {
                Step::Asks(queries) => queries,
                Step::Concluded(Conclusion::Decided(decision)) => {
                    return played(Ok(Outcome::Decided(decision)), self.input, Vec::new());
                }
                Step::Concluded(Conclusion::Failed(failure)) => return played(Err(failure), self.input, Vec::new()),
            };
            let given = |query: &Query| self.answers.iter().find(|answer| answer.query == *query);
            let missing: Vec<Query> = queries.iter().filter(|query| given(query).is_none()).cloned().collect();
            if !missing.is_empty() {
                return played(Ok(Outcome::Needs(queries)), self.input, missing);
            }
            let answered: Vec<Answer> = queries.iter().filter_map(given).cloned().collect();
            self.input.answers.extend(answered);
            rounds += 1;
        }
    }
}

const fn of_status(status: Status) -> Trigger {
    match status {
        Status::Firing => Trigger::Fired,
        Status::Resolved => Trigger::Resolved,
    }
}

fn text_of(path: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))
}

fn json_of<T: serde::de::DeserializeOwned>(path: &Path) -> anyhow::Result<T> {
    serde_json::from_str(&text_of(path)?).with_context(|| format!("{} cannot be understood", path.display()))
}

/// What Grafana posted has a list of alerts; a record has one.
fn read_alert(path: &Path) -> anyhow::Result<Alert> {
    let text = text_of(path)?;
    let value: Value =
        serde_json::from_str(&text).with_context(|| format!("{} cannot be understood", path.display()))?;
    if value.get("alerts").is_none() {
        let alert = serde_json::from_value(value);
        return alert.with_context(|| {
            format!("{} is neither a body of Grafana's webhook nor an alert as records have it", path.display())
        });
    }
    let source = "grafana".parse().context("the source's name")?;
    let mut alerts = grafana::parse(&source, text.as_bytes()).with_context(|| path.display().to_string())?;
    match (alerts.pop(), alerts.len()) {
        (Some(alert), 0) => Ok(alert),
        (_, others) => bail!("{} has {} alerts: leave the one that is to be decided", path.display(), others + 1),
    }
}

fn read_answers(path: &Path, now: Timestamp) -> anyhow::Result<Vec<Answer>> {
    let given: Vec<Given> = json_of(path)?;
    let answer = |Given { query, reading, at }: Given| {
        let GivenQuery { kind, target, parameters } = query;
        Answer {
            query: Query { kind, target, parameters: Json::of(&parameters) },
            reading: match reading {
                Reading::Ok(value) => Ok(Json::of(&value)),
                Reading::Error(why) => Err(why),
            },
            at: at.unwrap_or(now),
        }
    };
    Ok(given.into_iter().map(answer).collect())
}

/// Settings, and the targets beside them if it is a policy's file.
fn read_settings(path: &Path) -> anyhow::Result<(serde_json::Map<String, Value>, Vec<String>)> {
    let text = text_of(path)?;
    let understood = || format!("{} cannot be understood", path.display());
    let is_toml = path.extension().is_some_and(|extension| extension == "toml");
    let mut table: serde_json::Map<String, Value> = if is_toml {
        toml::from_str(&text).with_context(understood)?
    } else {
        serde_json::from_str(&text).with_context(understood)?
    };
    // Every policy has it; what else is in its file may be the name of a setting.
    if !table.contains_key("match") {
        return Ok((table, Vec::new()));
    }
    let targets = table.remove("targets").map(serde_json::from_value).transpose();
    let targets = targets.with_context(|| format!("targets of {}", path.display()))?.unwrap_or_default();
    let settings = table.remove("settings").map(serde_json::from_value).transpose();
    Ok((settings.with_context(|| format!("settings of {}", path.display()))?.unwrap_or_default(), targets))
}
