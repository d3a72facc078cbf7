//! The state: what all records so far say together.
//!
//! `apply` is total and dumb: it writes down what a record says and recomputes no verdict, so replaying the journal and
//! running the host are the same code. It owns what is open, what is due and what counts; every collection has a cap in
//! `caps`. It refuses to decide anything: that is `decide`'s, before the record is written.

mod approvals;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt,
    sync::Arc,
    time::Duration,
};

use serde::{Deserialize, Serialize};

use crate::{
    action::{Change, Direction},
    alert::{AlertKey, Status},
    approval::{Closed, Requests},
    breaker::Streaks,
    caps,
    configuration::{Configuration, Mode},
    digest::Digest,
    episode::{Concern, Episode, Phase},
    evaluation::{Capsule, Conclusion, Trigger},
    intent::{Intent, Stage},
    ledger::{Admission, Ledger},
    line::Chain,
    name::{EpisodeId, IntentId, NotifierName, PluginName, PolicyName, Seq},
    notice,
    notices::{Notices, Waiting},
    record::AttemptEnded,
    record::{
        AlertReceived, AttemptSettled, AttemptStarted, Backlog, CallResult, CheckName, EpisodeEnd, EvaluationSkipped,
        Fact, IntentEnd, IntentJudged, PluginActivated, Purpose, Record, ReleaseAsked, Settled, StopCause, StopEngaged,
        StopReleased, StopScope, TargetLooked, UndoProposed, Verdict,
    },
    storm::Alerting,
    swings::{Swing, Swings},
    target::{AccountId, Region, Target},
    time::Timestamp,
    versions::{Versions, candidate::Candidate},
};

/// What all records so far say together.
///
/// It is saved as a snapshot (`snapshot`): a change of its fields, or of what a record leads to, is a new version there.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct State {
    /// The last record.
    pub seq: Seq,
    /// Its time.
    pub now: Timestamp,
    /// How far the clock was set ahead without a person having accepted it.
    pub held: Duration,
    /// Who this host is.
    pub host: String,
    /// Where the chain stood after the last record that is no longer kept.
    pub dropped: Chain,
    /// The record with the configuration in force.
    pub configured: Seq,
    /// The configuration in force.
    pub configuration: Arc<Configuration>,
    /// The digest of its guardrails.
    pub guardrails: Option<Digest>,
    /// Whether the credentials for an account and region are that account's.
    #[serde(with = "crate::pairs")]
    pub accounts: BTreeMap<(AccountId, Region), Result<String, String>>,
    /// The versions in force.
    pub plugins: BTreeMap<PluginName, PluginActivated>,
    /// The versions that are known, in force or not.
    pub versions: BTreeMap<PluginName, Versions>,
    /// Versions that are compared with those in force.
    pub candidates: BTreeMap<PluginName, Candidate>,
    /// What is halted, by the record that halted it.
    pub stops: BTreeMap<Seq, StopEngaged>,
    /// Open episodes, and ended ones that are remembered.
    pub episodes: BTreeMap<EpisodeId, Episode>,
    /// Intents that have not ended.
    pub intents: BTreeMap<IntentId, Intent>,
    /// Approvals that were asked for.
    pub approvals: Requests,
    /// The newest episode of each alert; see [`State::index`].
    #[serde(skip)]
    pub(crate) by_alert: HashMap<AlertKey, EpisodeId>,
    pub(crate) busy: BTreeMap<Target, IntentId>,
    pub(crate) swings: Swings,
    pub(crate) ledger: Ledger,
    pub(crate) streaks: Streaks,
    pub(crate) alerting: Alerting,
    /// Who would end which stop, where that takes several people, and when each said so.
    pub(crate) releases: BTreeMap<Seq, BTreeMap<String, Timestamp>>,
    pub(crate) notices: BTreeMap<NotifierName, Notices>,
    pub(crate) timers: BTreeSet<(Timestamp, Timer)>,
    pub(crate) evaluations: BTreeMap<PolicyName, BTreeSet<(EpisodeId, u32)>>,
    pub(crate) looks: BTreeSet<(IntentId, Purpose)>,
}

/// When something was done, such that a clock that was set ahead does not make it older until a person accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Moment {
    at: Timestamp,
    held: Duration,
}

impl Moment {
    /// A time on a clock that was set ahead by `held`.
    pub(crate) const fn new(at: Timestamp, held: Duration) -> Self {
        Self { at, held }
    }

    /// How long ago it was, at a time on a clock that was set ahead by `held` and not accepted.
    pub(crate) fn age(self, held: Duration, now: Timestamp) -> Duration {
        now.before(held).since(self.at.before(self.held))
    }

    /// A person accepts the time: it is as old as it looks.
    pub(crate) fn accept(&mut self) {
        self.held = Duration::ZERO;
    }
}

/// What happens when its time has come.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Timer {
    /// The policy is due again, if no later trigger came.
    Evaluate(EpisodeId, PolicyName, u32),
    /// The target is to be looked at.
    Look(IntentId, Purpose),
    /// Nobody approved: people are told once more, or it expires.
    Approval(IntentId),
    /// The stop ends by itself.
    Stop(Seq),
    /// The episode expires, or is forgotten.
    Episode(EpisodeId),
    /// The notifier may be told again.
    Tell(NotifierName),
}

impl State {
    /// How long ago something was done, at a time. What a clock was set ahead by does not count until a person accepts.
    #[must_use]
    pub(crate) fn age(&self, moment: Moment, now: Timestamp) -> Duration {
        moment.age(self.held, now)
    }

    /// A time without what the clock was set ahead by, until a person accepts it: no wait is over sooner for it.
    pub(crate) fn steady(&self, now: Timestamp) -> Timestamp {
        now.before(self.held)
    }

    fn moment(&self) -> Moment {
        Moment::new(self.now, self.held)
    }

    /// Everything that the guard judges by and that records made, for whoever compares a host that was killed with one that
    /// was not.
    #[must_use]
    pub fn guarded(&self) -> impl fmt::Debug + '_ {
        let counted = (&self.ledger, &self.swings, &self.streaks, &self.alerting);
        let halted = (&self.stops, &self.releases, &self.busy, &self.accounts, self.guardrails);
        (self.held, counted, halted, &self.episodes, &self.intents, &self.approvals)
    }

    /// When a timer is due next.
    #[must_use]
    pub fn next_timer(&self) -> Option<Timestamp> {
        self.timers.first().map(|(at, _)| *at)
    }

    /// The concern of a policy in an episode.
    #[must_use]
    pub fn concern(&self, episode: EpisodeId, policy: &PolicyName) -> Option<&Concern> {
        self.episodes.get(&episode)?.concerns.iter().find(|concern| concern.policy == *policy)
    }

    fn concern_mut(&mut self, episode: EpisodeId, policy: &PolicyName) -> Option<&mut Concern> {
        self.episodes.get_mut(&episode)?.concerns.iter_mut().find(|concern| concern.policy == *policy)
    }

    /// What is not saved because it follows from the rest: an alert leads to the newest of its episodes that are
    /// remembered.
    pub(crate) fn index(&mut self) {
        self.by_alert = self.episodes.iter().map(|(id, episode)| (episode.key, *id)).collect();
    }

    /// The oldest record that the host may still read: an alert that a policy may be evaluated with, what proposed an
    /// intent that has not ended, and what people are yet to be told. No later state needs one that is older: what is new
    /// is behind this state, and an episode that goes on or is opened again has a newer alert.
    #[must_use]
    pub fn oldest_needed(&self) -> Seq {
        let open = self.episodes.values().filter(|episode| episode.ended.is_none());
        let alerts = open.map(|episode| episode.alert);
        let intents = self.intents.keys().map(|intent| intent.proposed);
        let notices = self.notices.values().filter_map(Notices::oldest);
        alerts.chain(intents).chain(notices).min().unwrap_or(self.seq).min(self.seq)
    }

    /// Evaluations and looks that wait for their turn: the backlog.
    #[must_use]
    pub fn backlog(&self) -> usize {
        self.evaluations.values().map(BTreeSet::len).sum::<usize>() + self.looks.len()
    }

    /// Write down what a record says.
    ///
    /// # Panics
    ///
    /// If the record is not the next one: records are applied in order, each once.
    pub fn apply(&mut self, record: &Record) {
        assert_eq!(record.seq, self.seq.next(), "records are applied in order");
        self.seq = record.seq;
        self.now = record.at;
        self.apply_fact(record);
        if notice::is_worth_telling(&record.fact) {
            let waiting = Waiting::of(record);
            let is_checkpoint = matches!(record.fact, Fact::Checkpoint(_));
            let checkpoints = &self.configuration.checkpoints;
            // Checkpoints are for whoever keeps them, and nothing that people want to read.
            let wants = |notifier: &NotifierName| !is_checkpoint || checkpoints.contains(notifier);
            for (notifier, notices) in self.notices.iter_mut().filter(|(notifier, _)| wants(notifier)) {
                if let Some(at) = notices.push(waiting, record.at) {
                    self.timers.insert((at, Timer::Tell(notifier.clone())));
                }
            }
        }
    }

    fn apply_fact(&mut self, record: &Record) {
        let seq = record.seq;
        match &record.fact {
            Fact::Genesis(genesis) => self.host.clone_from(&genesis.host),
            Fact::HistoryDropped(dropped) => self.dropped = Chain { seq: dropped.upto, hash: dropped.hash },
            Fact::Configured(configured) => {
                self.configured = seq;
                self.guardrails = Some(configured.guardrails);
                self.apply_configuration(&configured.configuration);
            }
            Fact::PluginActivated(activated) => {
                self.plugins.insert(activated.plugin.clone(), PluginActivated::clone(activated));
                self.versions_of(&activated.plugin).activated(activated, seq);
                // With another one in force a new comparison begins, and with itself in force there is none.
                let own = self.candidates.get(&activated.plugin).map(|candidate| candidate.digest);
                self.candidates.remove(&activated.plugin);
                if let Some(digest) = own.filter(|digest| *digest != activated.digest) {
                    self.name_candidate(&activated.plugin, digest, seq);
                }
            }
            Fact::PluginPushed(pushed) => {
                let in_force = self.plugins.get(&pushed.plugin).map(|version| version.digest);
                self.versions_of(&pushed.plugin).pushed(pushed, in_force, seq);
            }
            Fact::PluginRemoved(removed) => {
                self.plugins.remove(&removed.plugin);
                self.versions_of(&removed.plugin).removed(removed.by.is_some());
            }
            Fact::CandidateNamed(named) => self.name_candidate(&named.plugin, named.digest, seq),
            Fact::CandidateCompared(compared) => {
                let candidate = self.candidates.get_mut(&compared.plugin);
                if let Some(candidate) = candidate.filter(|candidate| candidate.digest == compared.digest) {
                    candidate.compared(compared, seq);
                }
            }
            Fact::CandidateEnded(ended) => {
                self.candidates.remove(&ended.plugin);
            }
            Fact::AccountChecked(checked) => {
                self.accounts.insert((checked.account, checked.region.clone()), checked.identity.clone());
            }
            Fact::TimePassed(_) => self.apply_timers(),
            Fact::ClockJumped(jump) => self.held += Duration::from_millis(jump.by_ms),
            Fact::ClockAccepted(_) => self.accept_clock(),
            Fact::AlertReceived(received) => self.apply_alert(seq, received),
            Fact::EpisodeEnded(ended) => self.apply_episode_ended(ended.episode, ended.how),
            Fact::Evaluated(capsule) => self.apply_evaluated(seq, capsule),
            Fact::EvaluationSkipped(skipped) => self.apply_skipped(skipped),
            Fact::UndoProposed(undo) => self.apply_undo(seq, undo),
            Fact::TargetLooked(looked) => self.apply_looked(looked),
            Fact::IntentJudged(judged) => self.apply_judged(judged),
            Fact::ApprovalRequested(_)
            | Fact::ApprovalReminded(_)
            | Fact::ApprovalGiven(_)
            | Fact::ApprovalWithdrawn(_)
            | Fact::ApprovalDenied(_)
            | Fact::ApprovalExpired(_)
            | Fact::ApprovalUsed(_)
            | Fact::ApprovalVoid(_) => self.apply_approval(seq, &record.fact),
            Fact::AttemptStarted(attempt) => self.apply_attempt_started(attempt),
            Fact::AttemptEnded(ended) => self.apply_attempt_ended(ended),
            Fact::AttemptSettled(settled) => self.apply_settled(settled),
            Fact::IntentEnded(ended) => self.apply_intent_ended(ended.intent, ended.how),
            Fact::StopEngaged(stop) => {
                if let Some(until) = stop.until {
                    self.timers.insert((until, Timer::Stop(seq)));
                }
                self.stops.insert(seq, stop.clone());
            }
            Fact::ReleaseAsked(asked) => self.apply_release_asked(asked),
            Fact::StopReleased(released) => self.apply_stop_released(released),
            Fact::StormBrake(brake) => self.alerting.told = brake.on,
            Fact::ConflictFound(conflict) => {
                if let Some(concern) = self.concern_mut(conflict.episode, &conflict.policy) {
                    concern.escalated = true;
                }
            }
            Fact::NoticeSent(sent) => {
                if let Some(at) = self.notices.get_mut(&sent.notifier).and_then(|notices| notices.sent(sent, self.now))
                {
                    self.timers.insert((at, Timer::Tell(sent.notifier.clone())));
                }
            }
            Fact::HostStarted(_)
            | Fact::HostStopped(_)
            | Fact::TailCut(_)
            | Fact::LossAccepted(_)
            | Fact::StateSaved(_)
            | Fact::DamageFound(_)
            | Fact::PluginRefused(_)
            | Fact::ConfigurationRefused(_)
            | Fact::Reloaded(_)
            | Fact::ApprovalRefused(_)
            | Fact::AccessDenied(_)
            | Fact::Checkpoint(_) => {}
        }
    }

    /// What is known of the version is what it said when it became known; one that was forgotten since is compared no more.
    fn name_candidate(&mut self, plugin: &PluginName, digest: Digest, seq: Seq) {
        let known = self.versions.get(plugin).and_then(|versions| versions.version(&digest));
        if let Some(candidate) = known.map(|version| Candidate::new(digest, &version.manifest, seq)) {
            self.candidates.insert(plugin.clone(), candidate);
        }
    }

    fn versions_of(&mut self, plugin: &PluginName) -> &mut Versions {
        if self.versions.len() >= caps::PLUGINS_KNOWN
            && !self.versions.contains_key(plugin)
            && let Some(idle) = self.versions.keys().find(|name| !self.plugins.contains_key(name)).cloned()
        {
            self.versions.remove(&idle);
        }
        self.versions.entry(plugin.clone()).or_default()
    }

    /// The plugin of a policy, in the version in force.
    #[must_use]
    pub fn plugin_of(&self, policy: &PolicyName) -> Option<&PluginActivated> {
        self.plugins.get(&self.configuration.policies.get(policy)?.plugin)
    }

    /// The stop that keeps a version in quarantine: it may not decide. What else halts a version halts its intents alone.
    #[must_use]
    pub fn quarantine(&self, version: &Digest) -> Option<(Seq, &StopEngaged)> {
        let keeps =
            |stop: &StopEngaged| stop.cause == StopCause::Quarantine && stop.scope == StopScope::Version(*version);
        self.stops.iter().find(|(_, stop)| keeps(stop)).map(|(seq, stop)| (*seq, stop))
    }

    /// Whether the version of a policy's plugin that is in force is in quarantine: its policies wait until another one is in force,
    /// or none.
    #[must_use]
    pub(crate) fn waits_for_a_version(&self, policy: &PolicyName) -> bool {
        self.plugin_of(policy).is_some_and(|version| self.quarantine(&version.digest).is_some())
    }

    fn apply_configuration(&mut self, configuration: &Configuration) {
        // A notifier that is new starts with what happens from now on; one that is gone is forgotten.
        let mut known = std::mem::take(&mut self.notices);
        for notifier in &configuration.notifiers {
            let mut notices = known.remove(notifier).unwrap_or_default();
            notices.set_paced(configuration.paced.contains(notifier));
            self.notices.insert(notifier.clone(), notices);
        }
        let configured = |account: &AccountId, region: &Region| {
            configuration.accounts.get(account).is_some_and(|regions| regions.contains(region))
        };
        self.accounts.retain(|(account, region), _| configured(account, region));
        self.configuration = Arc::new(configuration.clone());
    }

    fn accept_clock(&mut self) {
        self.held = Duration::ZERO;
        self.ledger.accept_clock();
        self.swings.accept_clock();
        self.alerting.accept_clock();
        let ending = self.stops.iter().filter_map(|(seq, stop)| Some((stop.until?, Timer::Stop(*seq))));
        self.timers.extend(ending);
    }

    fn apply_release_asked(&mut self, asked: &ReleaseAsked) {
        let (now, waits) = (self.now, Duration::from_secs(caps::RELEASE_WAITS_S));
        let releases = self.releases.entry(asked.stop).or_default();
        releases.retain(|_, at| now.since(*at) < waits);
        releases.insert(asked.by.who.clone(), now);
    }

    fn apply_stop_released(&mut self, released: &StopReleased) {
        self.releases.remove(&released.stop);
        let Some(stop) = self.stops.remove(&released.stop) else { return };
        match stop.cause {
            StopCause::Breaker => self.streaks.forgive(&stop.scope),
            StopCause::Storm => self.alerting.forget(),
            StopCause::Person | StopCause::Quarantine => {}
        }
        if released.backlog == Backlog::Drop {
            return;
        }
        let refused =
            self.episodes.iter().filter(|(_, episode)| episode.ended.is_none() && episode.status == Status::Firing);
        let refused: Vec<(EpisodeId, PolicyName)> = refused
            .flat_map(|(id, episode)| {
                let halted = episode.concerns.iter().filter(|concern| concern.halted);
                halted.map(|concern| (*id, concern.policy.clone()))
            })
            .collect();
        for (episode, policy) in refused {
            self.trigger(episode, &policy, Trigger::LookAgain);
        }
    }

    /// The time of a stop has come, unless only by a clock that was set ahead.
    fn rouse_stop(&mut self, seq: Seq) {
        let Some(until) = self.stops.get(&seq).and_then(|stop| stop.until) else { return };
        if until > self.steady(self.now) {
            self.timers.insert((until + self.held, Timer::Stop(seq)));
        }
    }

    fn apply_timers(&mut self) {
        for _ in 0..caps::TIMERS_PER_BATCH {
            let Some((at, _)) = self.timers.first() else { break };
            if *at > self.now {
                break;
            }
            let (_, timer) = self.timers.pop_first().expect("there is a first timer");
            match timer {
                Timer::Evaluate(episode, policy, generation) => self.rouse(episode, &policy, generation),
                Timer::Look(intent, purpose) => {
                    // A person may have withdrawn their yes before a look was tried again.
                    let waits = |intent: &Intent| purpose == Purpose::Guard && intent.stage == Stage::Approval;
                    if self.intents.get(&intent).is_some_and(|intent| !waits(intent)) {
                        self.looks.insert((intent, purpose));
                    }
                }
                // The records that say what follows are in the same batch.
                Timer::Approval(_) => {}
                Timer::Stop(seq) => self.rouse_stop(seq),
                // That the time has come is enough.
                Timer::Tell(_) => {}
                Timer::Episode(episode) => self.age_episode(episode),
            }
        }
    }

    /// A scheduled evaluation has become due.
    fn rouse(&mut self, episode: EpisodeId, policy: &PolicyName, generation: u32) {
        let now = self.now;
        let Some(concern) = self.concern_mut(episode, policy) else { return };
        if concern.generation != generation || !matches!(concern.phase, Phase::Scheduled) {
            return;
        }
        if concern.retries == 0 {
            concern.trigger = Trigger::LookAgain;
            concern.triggered_at = now;
        }
        concern.phase = Phase::Due;
        self.evaluations.entry(policy.clone()).or_default().insert((episode, generation));
    }

    /// An episode may have become old enough to be forgotten; an open one that expires has a record of its own.
    fn age_episode(&mut self, id: EpisodeId) {
        let Some(episode) = self.episodes.get(&id) else { return };
        let until = episode.remembered_until();
        if until > self.now {
            self.timers.insert((until, Timer::Episode(id)));
        } else if episode.ended.is_some() {
            if self.by_alert.get(&episode.key) == Some(&id) {
                self.by_alert.remove(&episode.key);
            }
            self.episodes.remove(&id);
            self.ledger.forget(id);
        }
    }

    fn apply_alert(&mut self, seq: Seq, received: &AlertReceived) {
        use crate::record::Reception;
        let alert = &received.alert;
        match &received.reception {
            Reception::Opened { concerned, .. } => {
                let id = EpisodeId(seq);
                let episode = Episode::open(alert, seq, self.configured, self.now);
                self.timers.insert((episode.remembered_until(), Timer::Episode(id)));
                self.by_alert.insert(episode.key, id);
                self.episodes.insert(id, episode);
                self.trigger_concerned(id, concerned);
            }
            Reception::Reopened { episode: id, concerned, .. } => {
                let (now, configured) = (self.now, self.configured);
                if let Some(episode) = self.episodes.get_mut(id) {
                    episode.reopen(alert, seq, configured, now);
                    episode.concerns.iter_mut().for_each(Concern::recur);
                }
                self.trigger_concerned(*id, concerned);
            }
            Reception::Repeated { episode: id, concerned } => {
                let (now, configured) = (self.now, self.configured);
                if let Some(episode) = self.episodes.get_mut(id) {
                    episode.repeat(alert, seq, now);
                    episode.matched = configured;
                }
                self.trigger_concerned(*id, concerned);
            }
            Reception::Resolved { episode: id, held } => {
                let now = self.now;
                let Some(episode) = self.episodes.get_mut(id) else { return };
                episode.resolve(alert, seq, now);
                let policies: Vec<PolicyName> = episode.concerns.iter().map(|c| c.policy.clone()).collect();
                for policy in policies {
                    if *held {
                        self.silence(*id, &policy);
                    } else {
                        self.trigger(*id, &policy, Trigger::Resolved);
                    }
                }
            }
            Reception::Ignored { .. } => {}
        }
    }

    fn trigger_concerned(&mut self, id: EpisodeId, concerned: &[crate::record::Concerned]) {
        let (now, moment, held) = (self.now, self.moment(), self.held);
        for concern in concerned {
            for target in &concern.targets {
                self.alerting.note(target, moment, |at| at.age(held, now));
            }
            if self.concern(id, &concern.policy).is_none() {
                let Some(episode) = self.episodes.get_mut(&id) else { return };
                episode.concerns.push(Concern::new(concern.policy.clone()));
            }
            if let Some(known) = self.concern_mut(id, &concern.policy) {
                known.targets.clone_from(&concern.targets);
            }
            self.trigger(id, &concern.policy, Trigger::Fired);
        }
    }

    /// Something happened: the policy is due now, and what was scheduled or under way for it is superseded.
    fn trigger(&mut self, episode: EpisodeId, policy: &PolicyName, trigger: Trigger) {
        let now = self.now;
        let Some(concern) = self.concern_mut(episode, policy) else { return };
        let before = (episode, concern.generation);
        concern.generation += 1;
        concern.trigger = trigger;
        concern.triggered_at = now;
        concern.retries = 0;
        concern.halted = false;
        concern.phase = Phase::Due;
        let due = (episode, concern.generation);
        let evaluations = self.evaluations.entry(policy.clone()).or_default();
        evaluations.remove(&before);
        evaluations.insert(due);
    }

    /// Nothing is due for the policy any more, until something happens.
    fn silence(&mut self, episode: EpisodeId, policy: &PolicyName) {
        let Some(concern) = self.concern_mut(episode, policy) else { return };
        let before = (episode, concern.generation);
        concern.generation += 1;
        concern.phase = Phase::Idle;
        self.no_longer_due(policy, before);
    }

    fn no_longer_due(&mut self, policy: &PolicyName, due: (EpisodeId, u32)) {
        if let Some(evaluations) = self.evaluations.get_mut(policy) {
            evaluations.remove(&due);
            if evaluations.is_empty() {
                self.evaluations.remove(policy);
            }
        }
    }

    fn schedule(&mut self, episode: EpisodeId, policy: &PolicyName, after: Duration) {
        let at = self.now + after;
        let Some(concern) = self.concern_mut(episode, policy) else { return };
        concern.phase = Phase::Scheduled;
        let timer = Timer::Evaluate(episode, policy.clone(), concern.generation);
        self.timers.insert((at, timer));
    }

    fn apply_episode_ended(&mut self, id: EpisodeId, how: EpisodeEnd) {
        let now = self.now;
        let Some(episode) = self.episodes.get_mut(&id) else { return };
        episode.ended = Some((now, how));
        let until = episode.remembered_until();
        let policies: Vec<PolicyName> = episode.concerns.iter().map(|concern| concern.policy.clone()).collect();
        self.timers.insert((until, Timer::Episode(id)));
        for policy in policies {
            self.silence(id, &policy);
        }
    }

    fn apply_evaluated(&mut self, seq: Seq, capsule: &Capsule) {
        let Capsule { episode, policy, generation, .. } = capsule;
        self.no_longer_due(policy, (*episode, *generation));
        if let Some(plugin) = self.plugin_of(policy).filter(|version| version.digest == capsule.plugin) {
            let plugin = plugin.plugin.clone();
            self.versions_of(&plugin).ended(&capsule.conclusion);
            if let Some(candidate) = self.candidates.get_mut(&plugin) {
                candidate.evaluated(seq);
            }
        }
        if capsule.superseded {
            return;
        }
        match &capsule.conclusion {
            Conclusion::Decided(decision) => {
                if let Some(concern) = self.concern_mut(*episode, policy) {
                    concern.retries = 0;
                    concern.phase = Phase::Idle;
                }
                for (index, proposal) in (0..).zip(&decision.intents) {
                    let id = IntentId { proposed: seq, index };
                    self.propose(id, *episode, policy, capsule.plugin, proposal.clone(), None);
                }
                if let Some(after) = decision.look_again_after {
                    let after = u64::from(after).clamp(caps::LOOK_AGAIN_LEAST_S, caps::LOOK_AGAIN_MOST_S);
                    self.schedule(*episode, policy, Duration::from_secs(after));
                }
            }
            Conclusion::Failed(_) => {
                let Some(concern) = self.concern_mut(*episode, policy) else { return };
                concern.phase = Phase::Idle;
                if concern.retries < caps::EVALUATION_RETRIES {
                    let after = caps::EVALUATION_RETRY_S << concern.retries;
                    concern.retries += 1;
                    self.schedule(*episode, policy, Duration::from_secs(after));
                }
            }
        }
    }

    fn apply_skipped(&mut self, skipped: &EvaluationSkipped) {
        let EvaluationSkipped { episode, policy, generation, .. } = skipped;
        self.no_longer_due(policy, (*episode, *generation));
        if let Some(concern) = self.concern_mut(*episode, policy)
            && concern.generation == *generation
        {
            concern.phase = Phase::Idle;
        }
    }

    fn propose(
        &mut self,
        id: IntentId,
        episode: EpisodeId,
        policy: &PolicyName,
        plugin: Digest,
        proposal: crate::evaluation::Proposal,
        undo_of: Option<IntentId>,
    ) {
        let now = self.now;
        let Some(known) = self.episodes.get_mut(&episode) else { return };
        let status = known.status;
        let Some(concern) = known.concerns.iter_mut().find(|concern| concern.policy == *policy) else { return };
        concern.open.push(id);
        let triggered_at = if undo_of.is_some() { now } else { concern.triggered_at };
        let intent = Intent {
            id,
            episode,
            policy: policy.clone(),
            plugin,
            proposal,
            proposed_at: now,
            triggered_at,
            status,
            undo_of,
            attempts: 0,
            before: None,
            stage: Stage::Waiting { looks_failed: 0 },
        };
        self.intents.insert(id, intent);
        self.looks.insert((id, Purpose::Guard));
    }

    fn apply_undo(&mut self, seq: Seq, undo: &UndoProposed) {
        let Some(undone) = self.intents.get(&undo.of) else { return };
        let (episode, policy, plugin) = (undone.episode, undone.policy.clone(), undone.plugin);
        let id = IntentId { proposed: seq, index: 0 };
        self.propose(id, episode, &policy, plugin, undo.proposal.clone(), Some(undo.of));
    }

    fn apply_looked(&mut self, looked: &TargetLooked) {
        let TargetLooked { intent: id, purpose, reading, .. } = looked;
        self.looks.remove(&(*id, *purpose));
        let now = self.now;
        let Some(intent) = self.intents.get_mut(id) else { return };
        let again = match (&mut intent.stage, purpose, reading) {
            (Stage::Waiting { .. }, Purpose::Guard, Ok(reading)) => {
                intent.before = Some(Box::new(reading.clone()));
                None
            }
            (Stage::Waiting { looks_failed }, Purpose::Guard, Err(_)) => {
                *looks_failed += 1;
                let pause = Duration::from_secs(caps::LOOK_RETRY_S << (*looks_failed - 1).min(16));
                (*looks_failed < caps::LOOKS).then_some(pause)
            }
            (Stage::Unknown { looks_failed, .. }, Purpose::Trace, Err(_)) => {
                *looks_failed += 1;
                Some(Duration::from_secs(caps::LOOK_RETRY_S << (*looks_failed - 1).min(5)))
            }
            (Stage::Verifying { looks, .. }, Purpose::Verify, _) => {
                *looks += 1;
                let pause = caps::VERIFY_POLL_FIRST_MS << (*looks - 1).min(16);
                Some(Duration::from_millis(pause.min(caps::VERIFY_POLL_MOST_MS)))
            }
            _ => None,
        };
        if let Some(pause) = again {
            self.timers.insert((now + pause, Timer::Look(*id, *purpose)));
        }
    }

    fn apply_judged(&mut self, judged: &IntentJudged) {
        let now = self.now;
        self.looks.remove(&(judged.intent, Purpose::Guard));
        match judged.verdict {
            // What follows an admission is said by the attempt.
            Verdict::Admitted => {}
            Verdict::NeedsApproval(_) => {
                if let Some(intent) = self.intents.get_mut(&judged.intent) {
                    intent.stage = Stage::Approval;
                    let (_, until) = self.configuration.approval.deadlines(now);
                    self.timers.insert((until, Timer::Approval(judged.intent)));
                }
            }
            Verdict::Refused(check) => {
                if check == CheckName::Stop
                    && let Some(concern) = self.concern_mut(judged.episode, &judged.policy)
                {
                    concern.halted = true;
                }
                self.close(judged.intent, "refused");
            }
            Verdict::Observed => self.close(judged.intent, "observed"),
        }
    }

    fn apply_attempt_started(&mut self, attempt: &AttemptStarted) {
        let (now, moment, held) = (self.now, self.moment(), self.held);
        let Some(intent) = self.intents.get_mut(&attempt.intent) else { return };
        let first = intent.attempts == 0;
        intent.attempts = attempt.attempt;
        intent.stage = Stage::Attempting { since: now };
        self.busy.insert(attempt.target.clone(), attempt.intent);
        if !first {
            return;
        }
        let (episode, policy) = (intent.episode, intent.policy.clone());
        let change = Change::read(&attempt.action, &attempt.parameters).ok();
        let change = change.zip(intent.before.as_deref());
        let direction = change.as_ref().map_or(Direction::Neither, |(change, before)| change.direction(before));
        let changing = change.as_ref().map_or(0, |(change, before)| change.changing(before));
        if direction != Direction::Neither {
            let swing = Swing { direction, at: moment, intent: attempt.intent, policy: policy.clone() };
            self.swings.note(&attempt.target, swing, |at| at.age(held, now));
        }
        if let Some(concern) = self.concern_mut(episode, &policy) {
            concern.acted = true;
        }
        let (action, target) = (attempt.action.clone(), attempt.target.clone());
        let admission = Admission { intent: attempt.intent, episode, action, policy, target };
        self.ledger.admit(admission, changing, moment, |at| at.age(held, now));
    }

    fn apply_attempt_ended(&mut self, ended: &AttemptEnded) {
        let now = self.now;
        let settle = self.configuration.timing.settle();
        let Some(intent) = self.intents.get_mut(&ended.intent) else { return };
        let Stage::Attempting { since } = intent.stage else { return };
        match &ended.result {
            CallResult::Done { .. } => self.verify(ended.intent),
            // The record that says that it is over follows.
            CallResult::Refused { .. } => {}
            CallResult::NotDone { .. } => {
                let pause = Duration::from_secs(caps::ATTEMPT_RETRY_S << (intent.attempts - 1).min(16));
                intent.stage = Stage::Waiting { looks_failed: 0 };
                self.timers.insert((now + pause, Timer::Look(ended.intent, Purpose::Guard)));
            }
            CallResult::Unknown { .. } => {
                intent.stage = Stage::Unknown { since, looks_failed: 0 };
                // Not before the call can no longer land.
                self.timers.insert(((since + settle).max(now), Timer::Look(ended.intent, Purpose::Trace)));
            }
        }
    }

    fn verify(&mut self, id: IntentId) {
        let Some(intent) = self.intents.get_mut(&id) else { return };
        let Ok(change) = Change::read(&intent.proposal.action, &intent.proposal.parameters) else { return };
        let asked = intent
            .proposal
            .verify_within
            .map(|seconds| Duration::from_secs(u64::from(seconds).clamp(1, caps::VERIFY_WITHIN_MOST_S)));
        let deadline = self.now + asked.unwrap_or_else(|| change.verify_within());
        intent.stage = Stage::Verifying { deadline, looks: 0 };
        let first = self.now + Duration::from_millis(caps::VERIFY_POLL_FIRST_MS);
        self.timers.insert((first, Timer::Look(id, Purpose::Verify)));
    }

    fn apply_settled(&mut self, settled: &AttemptSettled) {
        match settled.settled {
            Settled::Seen => self.verify(settled.intent),
            Settled::NotSeen => {
                if let Some(intent) = self.intents.get_mut(&settled.intent) {
                    intent.stage = Stage::Waiting { looks_failed: 0 };
                    self.looks.insert((settled.intent, Purpose::Guard));
                }
            }
            // The record that says that it is over follows.
            Settled::ForAPerson => {}
        }
    }

    fn apply_intent_ended(&mut self, id: IntentId, how: IntentEnd) {
        let Some(intent) = self.intents.get(&id) else { return };
        let (episode, policy, undo_of) = (intent.episode, intent.policy.clone(), intent.undo_of);
        self.streaks.end(intent, how);
        self.close(id, &how.to_string());
        if how == IntentEnd::Verified
            && let Some(undone) = undo_of
            && let Some(concern) = self.concern_mut(episode, &policy)
            && let Some(past) = concern.past.iter_mut().find(|past| past.id == undone)
        {
            past.state = IntentEnd::Undone.to_string();
        }
        let open = self.episodes.get(&episode).is_some_and(|episode| episode.ended.is_none());
        let idle = self.concern(episode, &policy).is_some_and(|concern| concern.phase == Phase::Idle);
        match how {
            IntentEnd::Unverified if open => self.trigger(episode, &policy, Trigger::Unverified),
            // What people approved is no longer the plan: the policy looks again, at things as they are.
            IntentEnd::Void if open && idle => self.trigger(episode, &policy, Trigger::LookAgain),
            _ => {}
        }
    }

    /// The intent is over: it moves into the history of its concern.
    fn close(&mut self, id: IntentId, word: &str) {
        let Some(intent) = self.intents.remove(&id) else { return };
        self.approvals.close(id, Closed::Void);
        let moment = self.moment();
        self.ledger.end(id, moment);
        for purpose in [Purpose::Guard, Purpose::Trace, Purpose::Verify] {
            self.looks.remove(&(id, purpose));
        }
        if let Ok(target) = intent.proposal.target.parse::<Target>()
            && self.busy.get(&target) == Some(&id)
        {
            self.busy.remove(&target);
        }
        let past = intent.as_past(word);
        if let Some(concern) = self.concern_mut(intent.episode, &intent.policy) {
            concern.remember(id, past);
        }
    }

    /// Whether a policy acts for real.
    #[must_use]
    pub fn mode(&self, policy: &PolicyName) -> Mode {
        self.configuration.policies.get(policy).map_or(Mode::Off, |policy| policy.mode)
    }
}
