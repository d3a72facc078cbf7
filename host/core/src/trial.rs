//! Trials: what the guard would say, on a host that exists only in memory.
//!
//! The same engine takes the same inputs as in production, so what a trial says is what the guard says. It owns how a
//! situation is set up (an alert, what was done before, a stop, a time) and refuses to know the world: what a look would
//! find is told to it.

use std::{collections::BTreeMap, time::Duration};

use crate::{
    action,
    alert::{Alert, Status},
    caps,
    configuration::{Configuration, Mode, Targets},
    digest::Digest,
    engine::{Engine, genesis},
    evaluation::{Capsule, Conclusion, Decision, Proposal, Trigger},
    guard::ProposedIntent,
    input::{Input, Reply},
    json::Json,
    look::Reading,
    name::{EpisodeId, IntentId, PolicyName, Seq},
    record::{
        AccountChecked, CallResult, CheckName, Fact, HostStarted, IntentEnd, IntentEnded, IntentJudged, Manifest,
        PluginActivated, Purpose, Reception, Record,
    },
    state::State,
    target::Target,
    time::Timestamp,
    versions::record::Cause,
};

/// Why an alert is not put before the guard.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unheard {
    /// It would concern the policy, which is off, or which its labels lead to no allowed target: this check would refuse.
    #[error("{1}")]
    Idle(CheckName, String),
    /// It would not concern the policy.
    #[error("{0}")]
    Not(String),
}

/// A host in memory, with a configuration in force, every plugin loaded and every account verified.
#[derive(Debug)]
pub struct Trial {
    engine: Engine,
    now: Timestamp,
    alerts: BTreeMap<EpisodeId, Alert>,
    judged: Option<IntentJudged>,
    records: Vec<Record>,
}

impl Trial {
    /// Put a configuration in force. Fails with what is wrong with its rules.
    pub fn new(configuration: Configuration, now: Timestamp) -> Result<Self, String> {
        let mut engine = Engine::new();
        let first = genesis("00".repeat(16), env!("CARGO_PKG_VERSION"), now);
        engine.replay(&first);
        let mut trial = Self { engine, now, alerts: BTreeMap::new(), judged: None, records: vec![first] };
        trial.take(Input::Started(HostStarted { version: env!("CARGO_PKG_VERSION").into(), engine: String::new() }))?;
        let plugins: Vec<_> = configuration.policies.values().map(|policy| policy.plugin.clone()).collect();
        let accounts: Vec<_> = configuration
            .accounts
            .iter()
            .flat_map(|(account, regions)| regions.iter().map(|region| (*account, region.clone())))
            .collect();
        trial.take(Input::Configured(Box::new(configuration)))?;
        for plugin in plugins {
            let actions = action::NAMES.iter().map(|action| (*action).to_owned()).collect();
            let manifest = Manifest { actions, ..Manifest::default() };
            let digest = Digest::of(&[plugin.to_string().as_bytes()]);
            trial.take(Input::PluginActivated(Box::new(PluginActivated {
                plugin,
                digest,
                bytes: 0,
                manifest,
                cause: Cause::Directory,
            })))?;
        }
        for (account, region) in accounts {
            let identity = Ok("a trial".into());
            trial.take(Input::AccountChecked(AccountChecked { account, region, identity }))?;
        }
        Ok(trial)
    }

    /// What its records say.
    #[must_use]
    pub const fn state(&self) -> &State {
        self.engine.state()
    }

    /// All that it wrote down.
    #[must_use]
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// Its time.
    #[must_use]
    pub const fn now(&self) -> Timestamp {
        self.now
    }

    /// Let time pass.
    pub fn wait(&mut self, span: Duration) {
        self.now = self.now + span;
    }

    /// Take any input. Fails with why it was not taken.
    pub fn take(&mut self, input: Input) -> Result<Vec<Record>, String> {
        let taken = self.engine.take(input, self.now);
        self.records.extend(taken.records.iter().cloned());
        let judged = taken.records.iter().rev().find_map(|record| match &record.fact {
            Fact::IntentJudged(judged) => Some(IntentJudged::clone(judged)),
            _ => None,
        });
        self.judged = judged.or(self.judged.take());
        match taken.reply {
            Reply::Recorded(_) | Reply::Waits(..) => Ok(taken.records),
            Reply::Refused(why) | Reply::Overloaded(why) => Err(why),
        }
    }

    /// An alert fires that concerns a policy, with more labels than that takes. Fails if it does not.
    pub fn fire(
        &mut self,
        policy: &PolicyName,
        target: &str,
        labels: impl IntoIterator<Item = (String, String)>,
    ) -> Result<EpisodeId, Unheard> {
        let configured = self.state().configuration.policies.get(policy);
        let configured = configured.ok_or_else(|| Unheard::Not(format!("no policy {policy} is configured")))?;
        let mode = configured.mode;
        let source = configured.matches.sources.first().cloned();
        let source = source.unwrap_or_else(|| "trial".parse().expect("a name"));
        let mut all: BTreeMap<String, String> = configured
            .matches
            .labels
            .iter()
            .filter_map(|(name, values)| Some((name.clone(), values.first()?.clone())))
            .collect();
        if let Targets::EcsServiceFromLabel { label, .. } | Targets::AsgGroupFromLabel { label, .. } =
            &configured.targets
        {
            let name = target.parse::<Target>().map(|target| target.resource.name().to_owned());
            all.extend(name.ok().map(|name| (label.clone(), name)));
        }
        all.extend(labels);
        let alert = Alert {
            source,
            org: String::new(),
            fingerprint: format!("{:016x}", self.alerts.len() + 1),
            status: Status::Firing,
            name: all.get("alertname").cloned().unwrap_or_default(),
            labels: all,
            annotations: Default::default(),
            values: Default::default(),
            starts_at: Some(self.now),
            ends_at: None,
            url: String::new(),
            held: None,
        };
        let records = self.take(Input::Alerts(vec![alert.clone()])).map_err(Unheard::Not)?;
        let episode = EpisodeId(records.first().map_or(Seq::ZERO, |record| record.seq));
        self.alerts.insert(episode, alert);
        if self.state().concern(episode, policy).is_some() {
            return Ok(episode);
        }
        let idle = records.iter().find_map(|record| match &record.fact {
            Fact::AlertReceived(received) => match &received.reception {
                Reception::Opened { idle, .. } => idle.iter().find(|idle| idle.policy == *policy).cloned(),
                _ => None,
            },
            _ => None,
        });
        let check = if mode == Mode::Off { CheckName::Mode } else { CheckName::Target };
        Err(match idle {
            Some(idle) => Unheard::Idle(check, idle.why),
            None => Unheard::Not(format!(
                "no alert about {target} would concern policy {policy}: see its match and targets"
            )),
        })
    }

    /// The alert of an episode is resolved and fires again.
    pub fn fire_again(&mut self, episode: EpisodeId) -> Result<(), String> {
        let alert = self.alerts.get(&episode).ok_or_else(|| format!("there is no episode {episode}"))?.clone();
        let (status, ends_at) = (Status::Resolved, Some(self.now));
        self.take(Input::Alerts(vec![Alert { status, ends_at, ..alert.clone() }]))?;
        self.take(Input::Alerts(vec![Alert { starts_at: Some(self.now), ..alert }])).map(drop)
    }

    /// The policy looks again in an episode that goes on, after a while.
    pub fn look_again(&mut self, episode: EpisodeId, policy: &PolicyName, after: Duration) -> Result<(), String> {
        let seconds = u32::try_from(after.as_secs()).map_err(|_| "so much later nothing is looked at again")?;
        self.decide(episode, policy, Decision { look_again_after: Some(seconds), ..no_decision() })?;
        self.wait(after);
        self.take(Input::Tick).map(drop)
    }

    /// A policy proposes an intent in an episode.
    pub fn propose(&mut self, episode: EpisodeId, policy: &PolicyName, proposal: Proposal) -> Result<IntentId, String> {
        let records = self.decide(episode, policy, Decision { intents: vec![proposal], ..no_decision() })?;
        Ok(IntentId { proposed: records.first().map_or(Seq::ZERO, |record| record.seq), index: 0 })
    }

    fn decide(&mut self, episode: EpisodeId, policy: &PolicyName, decision: Decision) -> Result<Vec<Record>, String> {
        let state = self.state();
        let concern = state.concern(episode, policy).ok_or("the policy is not concerned")?;
        let plugin = state.configuration.policies.get(policy).and_then(|policy| state.plugins.get(&policy.plugin));
        let capsule = Capsule {
            episode,
            policy: policy.clone(),
            generation: concern.generation,
            plugin: plugin.map_or(Digest::ZERO, |plugin| plugin.digest),
            alert: episode.0,
            configured: state.configured,
            trigger: Trigger::Fired,
            targets: concern.targets.clone(),
            answers: vec![],
            history: vec![],
            now: self.now,
            seed: 0,
            rounds: 1,
            fuel: 0,
            took_us: 0,
            conclusion: Conclusion::Decided(decision),
            superseded: false,
        };
        self.take(Input::Evaluated(Box::new(capsule)))
    }

    /// The guard's answer, on what a look finds. An admitted intent is under way from then on.
    pub fn judge(&mut self, intent: IntentId, reading: Reading) -> Result<IntentJudged, String> {
        if self.state().intents.contains_key(&intent) {
            let reading = Ok(Box::new(reading));
            self.take(Input::Looked { intent, purpose: Purpose::Guard, reading, read_at: self.now })?;
        }
        // What is out of reach was judged without a look.
        let judged = self.judged.as_ref().filter(|judged| judged.intent == intent);
        judged.cloned().ok_or_else(|| format!("intent {intent} was not judged"))
    }

    /// The guard's answer, and nothing follows from it. Fails if there is no such intent any more.
    pub fn ask(&self, intent: IntentId, reading: &Reading) -> Result<IntentJudged, String> {
        let state = self.state();
        let known = state.intents.get(&intent).ok_or_else(|| format!("there is no intent {intent}"))?;
        let judgement = ProposedIntent::new(state, self.engine.rules(), known, Ok(reading), self.now).judge();
        match judgement.facts.into_iter().next() {
            Some(Fact::IntentJudged(judged)) => Ok(*judged),
            _ => Err(format!("intent {intent} was not judged")),
        }
    }

    /// An intent that is under way ends: AWS refuses it.
    pub fn fail(&mut self, intent: IntentId) -> Result<(), String> {
        let attempt = self.state().intents.get(&intent).map_or(0, |intent| intent.attempts);
        let result = CallResult::Refused { why: "as told".into() };
        self.take(Input::CallEnded { intent, attempt, result }).map(drop)
    }

    /// An intent that is under way ends: it is done, and the world is as promised, whatever that takes.
    pub fn verify(&mut self, intent: IntentId) -> Result<(), String> {
        let known = self.state().intents.get(&intent).ok_or_else(|| format!("there is no intent {intent}"))?;
        let (episode, attempt) = (known.episode, known.attempts);
        self.take(Input::CallEnded { intent, attempt, result: CallResult::Done { request: String::new() } })?;
        let ended = IntentEnded { intent, episode, how: IntentEnd::Verified, why: "as told".into() };
        let (seq, at) = (self.state().seq.next(), self.now);
        let record = Record { seq, at, more: false, fact: Fact::IntentEnded(ended) };
        self.engine.replay(&record);
        self.records.push(record);
        Ok(())
    }

    /// An intent that is under way ends: it is done, and after a second, for which it must have asked, the world is as this
    /// look finds it. Fails if that is as promised.
    pub fn unverify(&mut self, intent: IntentId, reading: Reading) -> Result<(), String> {
        let attempt = self.state().intents.get(&intent).map_or(0, |intent| intent.attempts);
        self.take(Input::CallEnded { intent, attempt, result: CallResult::Done { request: String::new() } })?;
        self.wait(Duration::from_secs(1));
        let reading = Ok(Box::new(reading));
        let records = self.take(Input::Looked { intent, purpose: Purpose::Verify, reading, read_at: self.now })?;
        let ends = |record: &Record| match &record.fact {
            Fact::IntentEnded(ended) if ended.intent == intent => Some(ended.how),
            _ => None,
        };
        match records.iter().find_map(ends) {
            Some(IntentEnd::Unverified) => Ok(()),
            _ => Err("what it promises is what the look finds already, so it would be verified".into()),
        }
    }

    /// The call of an intent that is under way has no answer. From then on it is looked for, until [`Trial::give_up`].
    pub fn lose(&mut self, intent: IntentId) -> Result<(), String> {
        let attempt = self.state().intents.get(&intent).map_or(0, |intent| intent.attempts);
        let result = CallResult::Unknown { why: "as told".into() };
        self.take(Input::CallEnded { intent, attempt, result }).map(drop)
    }

    /// Whether a call without an answer was done could not be found out for so long ([`Trial::unknown_for`]) that it is a
    /// person's.
    pub fn give_up(&mut self, intent: IntentId) -> Result<(), String> {
        let reading = Err("as told".into());
        self.take(Input::Looked { intent, purpose: Purpose::Trace, reading, read_at: self.now }).map(drop)
    }

    /// How long after a call without an answer that is.
    #[must_use]
    pub const fn unknown_for() -> Duration {
        Duration::from_millis(caps::UNKNOWN_FOR_S * 1000 + 1)
    }

    /// An intent that is under way ends: it is done, and the world as this look finds it. Whether that is as promised is
    /// the core's to say.
    pub fn finish(&mut self, intent: IntentId, reading: Reading) -> Result<bool, String> {
        let attempt = self.state().intents.get(&intent).map_or(0, |intent| intent.attempts);
        self.take(Input::CallEnded { intent, attempt, result: CallResult::Done { request: String::new() } })?;
        let reading = Ok(Box::new(reading));
        self.take(Input::Looked { intent, purpose: Purpose::Verify, reading, read_at: self.now })?;
        Ok(!self.state().intents.contains_key(&intent))
    }
}

fn no_decision() -> Decision {
    Decision { intents: vec![], explanation: String::new(), look_again_after: None, extra: Json::empty_object() }
}
