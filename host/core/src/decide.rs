//! Decisions: what an input leads to, as records.
//!
//! Every input becomes a batch: what happened, and what follows from it. Each record is applied to the state as soon as
//! it is decided, so that the next one is decided on it; nobody acts on any of it before the batch is durable, and a host
//! that cannot make it durable ends. It owns the order of an intent's life; the guard owns what is allowed.

mod approvals;

use std::time::Duration;

use crate::{
    action::{Change, Trace},
    alert::{Alert, Status},
    approval::{self, Standing, record::VoidReason},
    caps,
    configuration::Configuration,
    digest::Digest,
    episode::{self, Arrival},
    evaluation::{Capsule, Conclusion, Proposal},
    guard::{ApprovedIntent, ProposedIntent, Rules},
    input::{Arrived, Input, Reply},
    intent::{Intent, Stage},
    look::Reading,
    matching,
    name::{EpisodeId, IntentId, PolicyName, Seq},
    record::{
        AlertReceived, AttemptEnded, AttemptSettled, CallResult, ClockAccepted, ClockJumped, Concerned, Configured,
        EpisodeEnd, EpisodeEnded, Fact, HostStarted, IntentEnd, IntentEnded, Person, Purpose, Reception, Record,
        Settled, StopCause, StopEngaged, StopScope, TargetLooked, TimePassed, UndoProposed,
    },
    state::{State, Timer},
    target::Target,
    time::Timestamp,
    versions::{
        Versions,
        candidate::{CandidateCompared, CandidateEnded},
    },
};

/// A batch in the making.
pub(crate) struct Batch<'a> {
    pub(crate) state: &'a mut State,
    rules: &'a Rules,
    pub(crate) at: Timestamp,
    records: Vec<Record>,
    approved: Vec<ApprovedIntent>,
}

/// A batch: its records, what may be acted on once they are durable, and the answer.
pub(crate) struct Decided {
    pub(crate) records: Vec<Record>,
    pub(crate) approved: Vec<ApprovedIntent>,
    pub(crate) reply: Reply,
}

/// Decide an input and apply what was decided. `at` is not before the state's time.
pub(crate) fn decide(state: &mut State, rules: &Rules, input: Input, at: Timestamp) -> Decided {
    let mut batch = Batch { state, rules, at, records: Vec::new(), approved: Vec::new() };
    let refusal = batch.take(input).err();
    if let Some(last) = batch.records.last_mut() {
        last.more = false;
    }
    let reply = refusal.unwrap_or(Reply::Recorded(batch.state.seq));
    Decided { records: batch.records, approved: batch.approved, reply }
}

impl Batch<'_> {
    fn take(&mut self, input: Input) -> Result<(), Reply> {
        match input {
            Input::Started(started) => self.started(started),
            Input::Stopped(stopped) => self.add(Fact::HostStopped(stopped)),
            Input::TailCut(cut) => self.add(Fact::TailCut(cut)),
            Input::LossAccepted(loss) => self.add(Fact::LossAccepted(loss)),
            Input::StateSaved(saved) => self.add(Fact::StateSaved(saved)),
            Input::HistoryDropped(dropped) => self.add(Fact::HistoryDropped(dropped)),
            Input::DamageFound(damage) => self.add(Fact::DamageFound(damage)),
            Input::Configured(configuration) => self.configured(*configuration),
            Input::PluginActivated(activated) => self.add(Fact::PluginActivated(activated)),
            Input::PluginPushed(pushed) => self.add(Fact::PluginPushed(pushed)),
            Input::CandidateNamed(named) => self.add(Fact::CandidateNamed(named)),
            Input::CandidateEnded(ended) => self.add(Fact::CandidateEnded(ended)),
            Input::Compared(compared) => self.compared(compared),
            Input::PluginRefused(refused) => self.add(Fact::PluginRefused(refused)),
            Input::ConfigurationRefused(refused) => self.add(Fact::ConfigurationRefused(refused)),
            Input::Arrived(arrived) => self.arrived(*arrived),
            Input::AccountChecked(checked) => self.add(Fact::AccountChecked(checked)),
            Input::Alerts(alerts) => return self.alerts(alerts),
            Input::Tick => self.tick(),
            Input::ClockJumped(by_ms) => self.add(Fact::ClockJumped(ClockJumped { by_ms })),
            Input::ClockAccepted(by) => return self.clock_accepted(by),
            Input::Evaluated(capsule) => self.evaluated(capsule),
            Input::Skipped(skipped) => {
                let episode = skipped.episode;
                self.add(Fact::EvaluationSkipped(skipped));
                self.end_if_at_rest(episode);
            }
            Input::Looked { intent, purpose, reading, read_at } => self.looked(intent, purpose, reading, read_at),
            Input::CallEnded { intent, attempt, result } => self.call_ended(intent, attempt, result),
            Input::Stop(stop) => return self.stop(stop),
            Input::Resume(resume, backlog, by) => return self.resume(&resume, backlog, &by),
            Input::Approval(said) => return self.said(*said),
            Input::NoticeSent(sent) => self.add(Fact::NoticeSent(sent)),
            Input::AccessDenied(denied) => self.add(Fact::AccessDenied(denied)),
            Input::Checkpoint(checkpoint) => self.add(Fact::Checkpoint(checkpoint)),
        }
        Ok(())
    }

    pub(crate) fn add(&mut self, fact: Fact) {
        let record = Record { seq: self.state.seq.next(), at: self.at, more: true, fact };
        self.state.apply(&record);
        self.records.push(record);
    }

    fn started(&mut self, started: HostStarted) {
        self.add(Fact::HostStarted(started));
        let attempting = |intent: &&Intent| matches!(intent.stage, Stage::Attempting { .. });
        let cut_off: Vec<_> = self.state.intents.values().filter(attempting).map(attempt_of).collect();
        for (intent, episode, attempt) in cut_off {
            let result = CallResult::Unknown { why: "the host ended before the answer came".into() };
            self.add(Fact::AttemptEnded(AttemptEnded { intent, episode, attempt, result }));
        }
    }

    fn configured(&mut self, configuration: Configuration) {
        if self.state.configured == Seq::ZERO || *self.state.configuration != configuration {
            let guardrails = configuration.guardrails.digest();
            self.add(Fact::Configured(Box::new(Configured { guardrails, configuration })));
        }
    }

    fn clock_accepted(&mut self, by: Person) -> Result<(), Reply> {
        if self.state.held.is_zero() {
            return Err(Reply::Refused("the clock was not set ahead: there is nothing to accept".into()));
        }
        self.add(Fact::ClockAccepted(ClockAccepted { by }));
        Ok(())
    }

    /// One batch: no evaluation is handed out between its records, so none sees a plugin with another one's settings.
    fn arrived(&mut self, arrived: Arrived) {
        let Arrived { reloaded, removed, activated, configuration } = arrived;
        if let Some(reloaded) = reloaded {
            self.add(Fact::Reloaded(reloaded));
        }
        removed.into_iter().for_each(|removed| self.add(Fact::PluginRemoved(removed)));
        activated.into_iter().for_each(|activated| self.add(Fact::PluginActivated(Box::new(activated))));
        if let Some(configuration) = configuration {
            self.configured(configuration);
        }
    }

    fn alerts(&mut self, alerts: Vec<Alert>) -> Result<(), Reply> {
        if self.state.episodes.len() + alerts.len() > caps::EPISODES {
            return Err(Reply::Overloaded("too many episodes are open".into()));
        }
        if self.state.intents.len() >= caps::INTENTS {
            return Err(Reply::Overloaded("too many intents are open".into()));
        }
        for alert in alerts {
            self.alert(alert);
        }
        self.brake();
        Ok(())
    }

    fn alert(&mut self, alert: Alert) {
        let known = self.state.by_alert.get(&alert.key()).copied();
        let reception = self.reception(known, &alert);
        let resolved = matches!(reception, Reception::Resolved { .. });
        self.add(Fact::AlertReceived(Box::new(AlertReceived { reception, alert })));
        if let Some(episode) = known.filter(|_| resolved) {
            self.void_approvals(episode, VoidReason::Resolved);
            self.end_if_at_rest(episode);
        }
    }

    fn reception(&self, known: Option<EpisodeId>, alert: &Alert) -> Reception {
        if let Some(why) = episode::held_back(alert) {
            return Reception::Ignored { episode: known, why };
        }
        let episode = known.and_then(|id| self.state.episodes.get(&id).map(|episode| (id, episode)));
        match (episode::arrival(episode.map(|(_, episode)| episode), alert, self.at), episode) {
            (Arrival::Reopens, Some((id, _))) => {
                let found = matching::find(&self.state.configuration, alert);
                Reception::Reopened { episode: id, concerned: found.concerned, idle: found.idle }
            }
            (Arrival::Repeats, Some((id, episode))) => {
                let new = |concerned: &Concerned| episode.concerns.iter().all(|c| c.policy != concerned.policy);
                let mut concerned = Vec::new();
                if alert.status == Status::Firing && episode.matched < self.state.configured {
                    concerned = matching::find(&self.state.configuration, alert).concerned;
                    concerned.retain(new);
                }
                Reception::Repeated { episode: id, concerned }
            }
            (Arrival::Resolves, Some((id, _))) => Reception::Resolved { episode: id, held: alert.held.is_some() },
            (Arrival::MeansNothing(why), _) => Reception::Ignored { episode: known, why: why.into() },
            (Arrival::Opens | Arrival::Reopens | Arrival::Repeats | Arrival::Resolves, _) => {
                let found = matching::find(&self.state.configuration, alert);
                Reception::Opened { concerned: found.concerned, idle: found.idle }
            }
        }
    }

    fn tick(&mut self) {
        let due: Vec<Timer> = self
            .state
            .timers
            .iter()
            .take(caps::TIMERS_PER_BATCH)
            .take_while(|(at, _)| *at <= self.at)
            .map(|(_, timer)| timer.clone())
            .collect();
        if due.is_empty() {
            return;
        }
        self.add(Fact::TimePassed(TimePassed {}));
        for timer in due {
            match timer {
                Timer::Approval(intent) => self.approval_is_due(intent),
                Timer::Stop(stop) => self.end_stop(stop),
                Timer::Episode(episode) => self.expire_episode(episode),
                // What these set off is due now, and nothing is to be decided.
                Timer::Evaluate(..) | Timer::Look(..) | Timer::Tell(_) => {}
            }
        }
    }

    fn expire_episode(&mut self, id: EpisodeId) {
        let Some(episode) = self.state.episodes.get(&id) else { return };
        if episode.ended.is_none() && episode.remembered_until() <= self.at {
            self.void_approvals(id, VoidReason::EpisodeEnded);
            self.add(Fact::EpisodeEnded(EpisodeEnded { episode: id, how: EpisodeEnd::Expired }));
        }
    }

    /// An episode ends when its alert is resolved and nothing is due any more.
    fn end_if_at_rest(&mut self, id: EpisodeId) {
        let Some(episode) = self.state.episodes.get(&id) else { return };
        if episode.status == Status::Resolved && episode.ended.is_none() && episode.is_at_rest() {
            self.add(Fact::EpisodeEnded(EpisodeEnded { episode: id, how: EpisodeEnd::Resolved }));
        }
    }

    fn evaluated(&mut self, mut capsule: Box<Capsule>) {
        let concern = self.state.concern(capsule.episode, &capsule.policy);
        capsule.superseded = concern.is_none_or(|concern| concern.generation != capsule.generation);
        let episode = capsule.episode;
        let proposed = match &capsule.conclusion {
            Conclusion::Decided(decision) if !capsule.superseded => decision.intents.len(),
            Conclusion::Decided(_) | Conclusion::Failed(_) => 0,
        };
        let (policy, version) = (capsule.policy.clone(), capsule.plugin);
        self.add(Fact::Evaluated(capsule));
        let seq = self.state.seq;
        self.quarantine(&policy, version);
        for (index, _) in (0..).zip(0..proposed) {
            self.judge_if_out_of_reach(IntentId { proposed: seq, index });
        }
        self.end_if_at_rest(episode);
    }

    /// A version that fails again and again is stopped. What takes its place is for the host to find: it knows which one is in
    /// memory and accepts the settings.
    fn quarantine(&mut self, policy: &PolicyName, version: Digest) {
        let after = self.state.configuration.quarantine_after;
        let Some(plugin) = self.state.plugin_of(policy).filter(|plugin| plugin.digest == version) else { return };
        let failures = self.state.versions.get(&plugin.plugin).map_or(0, Versions::failures);
        if after == 0 || failures < after || self.state.quarantine(&version).is_some() {
            return;
        }
        let why = format!(
            "{failures} evaluations of plugin {} in a row ended as its own failure, the last one in record {}",
            plugin.plugin, self.state.seq
        );
        let by = Person { who: "quarantine".into(), why };
        // Beyond the cap on stops, if need be: there are no more of these than versions.
        let (scope, cause) = (StopScope::Version(version), StopCause::Quarantine);
        self.add(Fact::StopEngaged(StopEngaged { scope, by, cause, until: None }));
    }

    fn compared(&mut self, compared: Box<CandidateCompared>) {
        let (plugin, digest) = (compared.plugin.clone(), compared.digest);
        let is_awaited = |state: &State| {
            let candidate = state.candidates.get(&plugin).filter(|candidate| candidate.digest == digest);
            candidate.is_some_and(|candidate| candidate.waiting.contains(&compared.capsule))
        };
        // It comes too late: another one is compared now, or none.
        if !is_awaited(self.state) {
            return;
        }
        self.add(Fact::CandidateCompared(compared));
        let after = self.state.configuration.quarantine_after;
        let failures = self.state.candidates.get(&plugin).map_or(0, |candidate| candidate.failures);
        if after > 0 && failures >= after {
            let why = format!("{failures} of its evaluations in a row ended as its own failure");
            self.add(Fact::CandidateEnded(CandidateEnded { plugin, digest, why, by: None }));
        }
    }

    /// What the host may not even look at is refused without a look.
    fn judge_if_out_of_reach(&mut self, id: IntentId) {
        let Some(intent) = self.state.intents.get(&id) else { return };
        let why = "the target is out of reach and was not looked at";
        let proposed = ProposedIntent::new(self.state, self.rules, intent, Err(why), self.at);
        if !proposed.may_look() {
            let judgement = proposed.judge();
            judgement.facts.into_iter().for_each(|fact| self.add_judged(fact));
        }
    }

    fn looked(&mut self, id: IntentId, purpose: Purpose, reading: Result<Box<Reading>, String>, read_at: Timestamp) {
        let Some(intent) = self.state.intents.get(&id) else { return };
        let (episode, stage) = (intent.episode, intent.stage);
        let age = self.at.since(read_at).as_secs();
        let reading = match reading {
            Ok(_) if age > caps::LOOK_FRESH_S => Err(format!("the reading is {age} s old")),
            Ok(reading) => Ok(*reading),
            Err(why) => Err(why),
        };
        match (purpose, stage) {
            (Purpose::Guard, Stage::Waiting { .. }) => self.looked_for_guard(id, reading),
            (Purpose::Trace, Stage::Unknown { since, .. }) => self.looked_for_trace(id, since, reading),
            (Purpose::Verify, Stage::Verifying { deadline, .. }) => self.looked_for_verify(id, deadline, reading),
            // It comes too late: the intent has gone on.
            _ => {}
        }
        self.end_if_at_rest(episode);
    }

    fn record_look(&mut self, id: IntentId, purpose: Purpose, reading: Result<Reading, String>, meaning: String) {
        let Some(intent) = self.state.intents.get(&id) else { return };
        let looked = TargetLooked { intent: id, episode: intent.episode, purpose, reading, meaning };
        self.add(Fact::TargetLooked(Box::new(looked)));
    }

    fn looked_for_guard(&mut self, id: IntentId, reading: Result<Reading, String>) {
        let failed = reading.as_ref().err().cloned();
        self.record_look(id, Purpose::Guard, reading, String::new());
        let Some(intent) = self.state.intents.get(&id) else { return };
        let reading = match (&failed, intent.before.as_deref(), intent.stage) {
            (None, Some(reading), _) => Ok(reading),
            (Some(why), _, Stage::Waiting { looks_failed }) if looks_failed >= caps::LOOKS => Err(why.as_str()),
            // It is looked at again in a moment.
            _ => return,
        };
        let approvers = match approval::standing(self.state, intent, self.at) {
            Standing::None => Vec::new(),
            Standing::Approved(by) => by,
            unusable => return self.cannot_be_used(id, &unusable),
        };
        let proposed = ProposedIntent::new(self.state, self.rules, intent, reading, self.at);
        let judgement = proposed.approved_by(approvals::people(approvers.len())).judge();
        self.judged(id, &approvers, judgement.facts);
        self.approved.extend(judgement.approved);
    }

    fn looked_for_trace(&mut self, id: IntentId, since: Timestamp, reading: Result<Reading, String>) {
        let Some(intent) = self.state.intents.get(&id) else { return };
        let (_, episode, attempt) = attempt_of(intent);
        let trace = match (&reading, change_and_before(intent)) {
            (Ok(now), Some((change, before))) => Some(change.trace(before, now)),
            (Ok(_), None) => Some(Trace::NotSeenOnce("what was called is not known".into())),
            (Err(_), _) => None,
        };
        let attempts = intent.attempts;
        let overdue = self.at.since(since) > Duration::from_secs(caps::UNKNOWN_FOR_S);
        self.record_look(id, Purpose::Trace, reading, String::new());
        let (settled, found) = match trace {
            None if !overdue => return,
            None => (Settled::ForAPerson, "the target could not be read for too long".to_owned()),
            Some(Trace::Seen(found)) => (Settled::Seen, format!("done (seen, not answered): {found}")),
            Some(Trace::NotSeenRepeatable(found)) => (Settled::NotSeen, format!("it did not happen: {found}")),
            Some(Trace::NotSeenOnce(found)) => (Settled::ForAPerson, found),
        };
        let end = match settled {
            Settled::ForAPerson => Some((IntentEnd::Unknown, found.clone())),
            Settled::NotSeen if attempts >= caps::ATTEMPTS => {
                Some((IntentEnd::Failed, format!("given up after {attempts} attempts: {found}")))
            }
            Settled::NotSeen | Settled::Seen => None,
        };
        self.add(Fact::AttemptSettled(AttemptSettled { intent: id, episode, attempt, settled, found }));
        if let Some((how, why)) = end {
            self.end(id, how, why);
        }
    }

    fn looked_for_verify(&mut self, id: IntentId, deadline: Timestamp, reading: Result<Reading, String>) {
        let Some(intent) = self.state.intents.get(&id) else { return };
        let found = match (&reading, change_and_before(intent)) {
            (Ok(now), Some((change, before))) => change.verify(before, now),
            (Ok(_), None) => Err("what was called is not known".into()),
            (Err(why), _) => Err(format!("it could not be read: {why}")),
        };
        let overdue = self.at >= deadline;
        self.record_look(id, Purpose::Verify, reading, found.clone().err().unwrap_or_default());
        match found {
            Ok(()) => self.end(id, IntentEnd::Verified, "the world is as promised".into()),
            Err(missing) if overdue => {
                self.propose_undo(id);
                self.end(id, IntentEnd::Unverified, missing);
            }
            Err(_) => {}
        }
    }

    fn propose_undo(&mut self, id: IntentId) {
        let Some(intent) = self.state.intents.get(&id) else { return };
        if !intent.proposal.undo || intent.undo_of.is_some() {
            return;
        }
        let Some((change, before)) = change_and_before(intent) else { return };
        let Some((back, expects)) = change.inverse(before) else { return };
        let proposal = Proposal {
            action: back.action().into(),
            target: intent.proposal.target.clone(),
            parameters: back.parameters(),
            expects,
            verify_within: None,
            undo: false,
            reason: format!("undo of {id}, which could not be verified in time"),
        };
        let episode = intent.episode;
        self.add(Fact::UndoProposed(Box::new(UndoProposed { of: id, episode, proposal })));
    }

    fn call_ended(&mut self, id: IntentId, attempt: u32, result: CallResult) {
        let Some(intent) = self.state.intents.get(&id) else { return };
        if !matches!(intent.stage, Stage::Attempting { .. }) || intent.attempts != attempt {
            return;
        }
        let episode = intent.episode;
        let failed = match &result {
            CallResult::Refused { why } => Some(format!("AWS refused it: {why}")),
            CallResult::NotDone { why } if attempt >= caps::ATTEMPTS => {
                Some(format!("given up after {attempt} attempts: {why}"))
            }
            CallResult::Done { .. } | CallResult::NotDone { .. } | CallResult::Unknown { .. } => None,
        };
        self.add(Fact::AttemptEnded(AttemptEnded { intent: id, episode, attempt, result }));
        if let Some(why) = failed {
            self.end(id, IntentEnd::Failed, why);
        }
    }

    fn end(&mut self, id: IntentId, how: IntentEnd, why: String) {
        let Some(intent) = self.state.intents.get(&id) else { return };
        let episode = intent.episode;
        let breakers = if how.is_bad() && intent.attempts > 0 { self.breakers_of(intent) } else { Vec::new() };
        self.add(Fact::IntentEnded(IntentEnded { intent: id, episode, how, why }));
        self.trip(id, breakers);
        self.end_if_at_rest(episode);
    }
}

fn attempt_of(intent: &Intent) -> (IntentId, EpisodeId, u32) {
    (intent.id, intent.episode, intent.attempts)
}

/// What an intent that was called does, and the look of its admission.
fn change_and_before(intent: &Intent) -> Option<(Change, &Reading)> {
    let change = Change::read(&intent.proposal.action, &intent.proposal.parameters).ok()?;
    Some((change, intent.before.as_deref()?))
}

/// The target of an intent, where it names one.
pub(crate) fn target_of(intent: &Intent) -> Option<(Target, bool)> {
    let change = Change::read(&intent.proposal.action, &intent.proposal.parameters).ok()?;
    Some((intent.proposal.target.parse().ok()?, change.needs_tasks()))
}
