//! A case of a table: a situation, an intent, and the verdict that a team expects.

use std::{collections::BTreeMap, time::Duration};

use balm_core::{
    configuration::Configuration,
    evaluation::Proposal,
    input::Input,
    json::Json,
    look::Reading,
    name::{EpisodeId, IntentId, PolicyName},
    record::{CheckName, IntentJudged, Person, StopEngaged, StopScope, Verdict},
    target::{Resource, Target},
    time::Timestamp,
    trial::{Trial, Unheard},
};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::look::Look;
use crate::config;

/// When a case is, if it does not say: a Wednesday at noon, UTC.
const USUALLY: u64 = 1_767_787_200_000;

/// The beginning of the world is so long before it, so that what was done before has room.
const BEFORE: Duration = Duration::from_secs(8 * 24 * 3600);

/// The table.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Table {
    #[serde(default)]
    pub(super) case: Vec<Case>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Case {
    /// What it is called where it fails.
    pub(super) name: String,
    policy: PolicyName,
    action: String,
    target: String,
    #[serde(default)]
    parameters: Map<String, Value>,
    /// What the intent expects; the desired count that the look finds, where it does not say and its action must.
    expects: Option<Map<String, Value>>,
    look: Look,
    /// In RFC 3339.
    at: Option<String>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    /// How its alert follows the one before.
    #[serde(default)]
    alert: Follows,
    /// What was done before, all of it by the same guardrails.
    #[serde(default)]
    before: Vec<Before>,
    /// What a person has stopped.
    #[serde(default)]
    stops: Vec<Stop>,
    /// The verdict.
    pub(super) expect: String,
}

/// Something that was done before; what it does not say is as in the case.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Before {
    /// How long before, as in `10m`.
    ago: String,
    policy: Option<PolicyName>,
    action: Option<String>,
    target: Option<String>,
    parameters: Option<Map<String, Value>>,
    look: Option<Look>,
    #[serde(default)]
    alert: Follows,
    #[serde(default)]
    ended: Ended,
}

/// How an alert follows the one of what was done before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Follows {
    /// It is another one.
    #[default]
    New,
    /// It is the same, which goes on.
    Same,
    /// It is the same, which was resolved and fires again.
    Again,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Ended {
    /// The world is as promised.
    #[default]
    Verified,
    /// It was done, and the world is as before.
    Unverified,
    /// AWS refused it.
    Failed,
    /// AWS did not answer, and a quarter of an hour later it is a person's.
    Unknown,
    /// It has not ended.
    UnderWay,
}

/// What a person has stopped: one of both, or everything.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Stop {
    policy: Option<PolicyName>,
    /// An ARN, or with stars all like it.
    target: Option<String>,
}

/// What the guard said of a case, or what kept its alert from the guard.
#[derive(Debug)]
pub(super) struct Said {
    pub(super) verdict: Verdict,
    pub(super) why: String,
}

impl Case {
    /// What the guard says. Fails if the situation cannot be set up.
    pub(super) fn judge(&self, configuration: &Configuration) -> Result<Said, String> {
        let before = self.before.iter().filter_map(|done| done.look.as_ref());
        before.chain([&self.look]).try_for_each(Look::check)?;
        let at = match &self.at {
            None => Timestamp::from_millis(USUALLY),
            Some(text) => {
                Timestamp::parse_rfc3339(text).ok_or_else(|| format!("at is {text:?}, which is no time in RFC 3339"))?
            }
        };
        let mut history = History::new(Trial::new(configuration.clone(), at.before(BEFORE))?, &self.labels);
        for (ago, done) in self.in_order()? {
            let wanted = self.wanted_before(done);
            history
                .set_up(&wanted, at.before(ago), done)
                .map_err(|why| format!("what was done {} before: {why}", done.ago))?;
        }
        let wanted = Wanted {
            policy: &self.policy,
            action: &self.action,
            target: &self.target,
            parameters: &self.parameters,
            expects: self.expects.as_ref(),
            look: &self.look,
        };
        let episode = history.alert(&wanted, self.alert, at);
        for stop in &self.stops {
            history.trial.take(Input::Stop(StopEngaged::by_person(stop.scope()?, anybody())))?;
        }
        match episode {
            Ok(episode) => wanted.ask(&mut history.trial, episode, None).map(|(_, judged)| Said::of(&judged)),
            Err(Unheard::Idle(check, why)) => Ok(Said { verdict: Verdict::Refused(check), why }),
            Err(Unheard::Not(why)) => Err(why),
        }
    }

    /// What was done before, the oldest first.
    fn in_order(&self) -> Result<Vec<(Duration, &Before)>, String> {
        let ago = |done: &Before| {
            let ago = config::parse_duration(&done.ago).filter(|ago| *ago < BEFORE);
            ago.ok_or_else(|| format!("ago is {:?}; it must be a time as in \"10m\", up to 7d", done.ago))
        };
        let mut before: Vec<(Duration, &Before)> =
            self.before.iter().map(|done| Ok((ago(done)?, done))).collect::<Result<_, String>>()?;
        before.sort_by_key(|(ago, _)| std::cmp::Reverse(*ago));
        Ok(before)
    }

    fn wanted_before<'a>(&'a self, done: &'a Before) -> Wanted<'a> {
        Wanted {
            policy: done.policy.as_ref().unwrap_or(&self.policy),
            action: done.action.as_ref().unwrap_or(&self.action),
            target: done.target.as_ref().unwrap_or(&self.target),
            parameters: done.parameters.as_ref().unwrap_or(&self.parameters),
            expects: None,
            look: done.look.as_ref().unwrap_or(&self.look),
        }
    }
}

impl Said {
    fn of(judged: &IntentJudged) -> Self {
        let found = |name: CheckName| judged.checks.iter().find(|checked| checked.check == name);
        let found = match judged.verdict {
            Verdict::Refused(name) => found(name),
            Verdict::Admitted | Verdict::NeedsApproval(_) => found(CheckName::Authorization),
            Verdict::Observed => found(CheckName::Mode),
        };
        Self { verdict: judged.verdict.clone(), why: found.map(|checked| checked.found.clone()).unwrap_or_default() }
    }
}

impl Stop {
    fn scope(&self) -> Result<StopScope, String> {
        match (&self.policy, &self.target) {
            (None, None) => Ok(StopScope::Everything),
            (Some(policy), None) => Ok(StopScope::Policy(policy.clone())),
            (None, Some(target)) => match target.parse::<Target>() {
                Ok(target) => Ok(StopScope::Target(target)),
                Err(_) if target.contains('*') => {
                    target.parse().map(StopScope::Targets).map_err(|error| format!("a stop's target: {error}"))
                }
                Err(error) => Err(format!("a stop's target: {error}")),
            },
            (Some(_), Some(_)) => Err("a stop is of a policy or of a target, not of both".into()),
        }
    }
}

fn anybody() -> Person {
    Person { who: "somebody".into(), why: "a case of a table".into() }
}

/// How long before a policy looks again an alert that goes on says so.
const LOOKS_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// What happens on the host in memory, one thing after the other.
struct History<'a> {
    trial: Trial,
    labels: &'a BTreeMap<String, String>,
    /// The alert of what was done last.
    last: Option<EpisodeId>,
    /// Calls without an answer, and when each is given up.
    lost: Vec<(Timestamp, IntentId)>,
}

impl<'a> History<'a> {
    const fn new(trial: Trial, labels: &'a BTreeMap<String, String>) -> Self {
        Self { trial, labels, last: None, lost: Vec::new() }
    }

    fn set_up(&mut self, wanted: &Wanted<'_>, at: Timestamp, done: &Before) -> Result<(), String> {
        let episode = self.alert(wanted, done.alert, at).map_err(|unheard| unheard.to_string())?;
        self.last = Some(episode);
        let verify_within = (done.ended == Ended::Unverified).then_some(1);
        let (intent, judged) = wanted.ask(&mut self.trial, episode, verify_within)?;
        if judged.verdict != Verdict::Admitted {
            return Err(format!("it would not have been admitted: {} ({})", judged.verdict, Said::of(&judged).why));
        }
        match done.ended {
            Ended::Verified => self.trial.verify(intent),
            Ended::Unverified => self.trial.unverify(intent, wanted.reading()),
            Ended::Failed => self.trial.fail(intent),
            Ended::Unknown => {
                self.lost.push((self.trial.now() + Trial::unknown_for(), intent));
                self.trial.lose(intent)
            }
            Ended::UnderWay => Ok(()),
        }
    }

    /// The alert at a time.
    fn alert(&mut self, wanted: &Wanted<'_>, follows: Follows, at: Timestamp) -> Result<EpisodeId, Unheard> {
        let last = self.last.ok_or_else(|| Unheard::Not("there is no alert before that it could be".into()));
        let episode = match follows {
            Follows::New => {
                self.pass(at).map_err(Unheard::Not)?;
                self.trial.fire(wanted.policy, wanted.target, self.labels.clone())?
            }
            Follows::Same => {
                let episode = last?;
                self.pass(at.before(LOOKS_AGAIN_AFTER)).map_err(Unheard::Not)?;
                self.trial.look_again(episode, wanted.policy, LOOKS_AGAIN_AFTER).map_err(Unheard::Not)?;
                episode
            }
            Follows::Again => {
                let episode = last?;
                self.pass(at).map_err(Unheard::Not)?;
                self.trial.fire_again(episode).map_err(Unheard::Not)?;
                episode
            }
        };
        self.pass(at).map_err(Unheard::Not)?;
        Ok(episode)
    }

    /// Time passes, and what had no answer for too long is given up.
    fn pass(&mut self, until: Timestamp) -> Result<(), String> {
        let (mut due, later): (Vec<_>, Vec<_>) = self.lost.drain(..).partition(|(at, _)| *at <= until);
        self.lost = later;
        due.sort();
        for (at, intent) in due {
            self.trial.wait(at.since(self.trial.now()));
            self.trial.give_up(intent)?;
        }
        self.trial.wait(until.since(self.trial.now()));
        Ok(())
    }
}

/// An intent in its situation.
struct Wanted<'a> {
    policy: &'a PolicyName,
    action: &'a str,
    target: &'a str,
    parameters: &'a Map<String, Value>,
    expects: Option<&'a Map<String, Value>>,
    look: &'a Look,
}

impl Wanted<'_> {
    fn ask(
        &self,
        trial: &mut Trial,
        episode: EpisodeId,
        verify_within: Option<u32>,
    ) -> Result<(IntentId, IntentJudged), String> {
        let expects = self.expects.map_or_else(|| json!({ "desired": self.look.desired }), |expects| json!(expects));
        let proposal = Proposal {
            action: self.action.into(),
            target: self.target.into(),
            parameters: Json::of(self.parameters),
            expects: Json::of(&expects),
            verify_within,
            undo: false,
            reason: "a case of a table".into(),
        };
        let intent = trial.propose(episode, self.policy, proposal)?;
        let judged = trial.judge(intent, self.reading())?;
        Ok((intent, judged))
    }

    fn reading(&self) -> Reading {
        let target = self.target.parse::<Target>().map(|target| target.resource);
        let named = |name: &str| self.parameters.get(name).and_then(Value::as_str);
        match target {
            Ok(Resource::AsgGroup { .. }) => Reading::AsgGroup { group: self.look.group(named("instance")) },
            Ok(Resource::EcsService { .. }) | Err(_) => self.look.service(named("task")),
        }
    }
}
