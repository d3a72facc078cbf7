//! The state: what all records so far say together.
//!
//! `apply` is total and dumb: it writes down what a record says and recomputes no verdict, so replaying the journal and
//! running the host are the same code. It owns what is open, what is due and what counts; every collection has a cap in
//! `caps`. It refuses to decide anything: that is `decide`'s, before the record is written.

mod approvals;
mod episodes;
mod intents;
mod plugins;
mod stops;
mod timers;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt,
    sync::Arc,
    time::Duration,
};

use serde::{Deserialize, Serialize};

use crate::{
    alert::AlertKey,
    approval::Requests,
    breaker::Streaks,
    configuration::{Configuration, Mode},
    digest::Digest,
    episode::{Concern, Episode},
    intent::Intent,
    ledger::Ledger,
    line::Chain,
    name::{EpisodeId, IntentId, NotifierName, PluginName, PolicyName, Seq},
    notice,
    notices::{Notices, Waiting},
    record::{Fact, PluginActivated, Purpose, Record, StopEngaged},
    storm::Alerting,
    swings::Swings,
    target::{AccountId, Region, Target},
    time::{Moment, Timestamp},
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
    #[must_use]
    pub fn steady(&self, now: Timestamp) -> Timestamp {
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

    /// Whether a policy acts for real.
    #[must_use]
    pub fn mode(&self, policy: &PolicyName) -> Mode {
        self.configuration.policies.get(policy).map_or(Mode::Off, |policy| policy.mode)
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
}
