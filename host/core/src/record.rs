//! Records: the facts of the journal, in types.
//!
//! Everything that the host knows is one of these. A record is written once and never changed; the state is what all of
//! them say together. How records become lines of a file is `line`'s business, what they lead to is `decide`'s.

mod arrival;
mod episode;
mod intent;
mod journal;
mod person;
mod stop;
mod verdict;

use serde::{Deserialize, Deserializer, Serialize as _, de::IgnoredAny};

pub use self::{
    arrival::{
        AccountChecked, ConfigurationPart, ConfigurationRefused, Configured, Manifest, PluginActivated, PluginRefused,
        PluginRemoved, Reloaded,
    },
    episode::{AlertReceived, Concerned, EpisodeEnd, EpisodeEnded, EvaluationSkipped, Idle, Reception},
    intent::{
        AttemptEnded, AttemptSettled, AttemptStarted, CallResult, IntentEnd, IntentEnded, Purpose, Settled,
        TargetLooked, UndoProposed,
    },
    journal::{
        Checkpoint, DamageFound, Genesis, HistoryDropped, HostStarted, HostStopped, LossAccepted, StateSaved, TailCut,
    },
    person::{AccessDenied, ClockAccepted, ClockJumped, NoticeSent, Person, TimePassed},
    stop::{Backlog, ReleaseAsked, StopCause, StopEngaged, StopReleased, StopScope, StormBrake},
    verdict::{CheckName, Checked, ConflictFound, IntentJudged, Verdict},
};

use crate::{
    approval::record::{
        ApprovalDenied, ApprovalExpired, ApprovalGiven, ApprovalRefused, ApprovalReminded, ApprovalRequested,
        ApprovalUsed, ApprovalVoid, ApprovalWithdrawn,
    },
    digest::Digest,
    evaluation::Capsule,
    name::{EpisodeId, PluginName, Seq},
    time::Timestamp,
    versions::{
        candidate::{CandidateCompared, CandidateEnded, CandidateNamed},
        record::PluginPushed,
    },
};

/// One line of the journal.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// Its place.
    pub seq: Seq,
    /// When it was written; never before the one before it.
    pub at: Timestamp,
    /// Whether the next record belongs to the same batch. A batch is recovered whole or not at all.
    pub more: bool,
    /// What it says.
    pub fact: Fact,
}

macro_rules! facts {
    ($($(#[$doc:meta])* $name:ident($data:ty) = $kind:literal,)*) => {
        /// What a record says.
        #[derive(Clone, Debug, PartialEq)]
        pub enum Fact {
            $($(#[$doc])* $name($data),)*
        }

        impl Fact {
            /// The kind, as written in records.
            #[must_use]
            pub const fn kind(&self) -> &'static str {
                match self {
                    $(Self::$name(_) => $kind,)*
                }
            }

            /// All kinds there are.
            pub const KINDS: &'static [&'static str] = &[$($kind,)*];

            pub(crate) fn serialize_data<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                match self {
                    $(Self::$name(data) => data.serialize(serializer),)*
                }
            }

            /// `None` for a kind that this version does not know.
            pub(crate) fn read<'de, D: Deserializer<'de>>(kind: &str, data: D) -> Result<Option<Self>, D::Error> {
                match kind {
                    $($kind => Deserialize::deserialize(data).map(|data| Some(Self::$name(data))),)*
                    _ => IgnoredAny::deserialize(data).map(|_| None),
                }
            }
        }
    };
}

facts! {
    /// The journal begins.
    Genesis(Genesis) = "genesis",
    /// The host runs.
    HostStarted(HostStarted) = "host-started",
    /// The host was told to end, and ends in order.
    HostStopped(HostStopped) = "host-stopped",
    /// Bytes of an unfinished write were cut from the journal's end.
    TailCut(TailCut) = "tail-cut",
    /// A person accepted that records are missing.
    LossAccepted(LossAccepted) = "loss-accepted",
    /// What all records up to one say together was saved; by this the chain vouches for the file.
    StateSaved(StateSaved) = "state-saved",
    /// Old records are no longer kept. Those behind them can still be checked: the chain goes on from here.
    HistoryDropped(HistoryDropped) = "history-dropped",
    /// Something in the journal that was acknowledged cannot be read any more.
    DamageFound(DamageFound) = "damage-found",
    /// A configuration is in force.
    Configured(Box<Configured>) = "configured",
    /// A plugin's version is in force.
    PluginActivated(Box<PluginActivated>) = "plugin-activated",
    /// A person handed over a version of a plugin. It is kept, and not in force.
    PluginPushed(Box<PluginPushed>) = "plugin-pushed",
    /// A person has a version compared with the one in force.
    CandidateNamed(CandidateNamed) = "candidate-named",
    /// A candidate was compared with the version in force about one evaluation. Nothing follows from what it came to.
    CandidateCompared(Box<CandidateCompared>) = "candidate-compared",
    /// A version is compared no longer.
    CandidateEnded(CandidateEnded) = "candidate-ended",
    /// A plugin's file was refused; the version in force, if any, stays.
    PluginRefused(PluginRefused) = "plugin-refused",
    /// No version of a plugin is in force any more: its file was taken away, a person disabled it, or it was stopped and there is
    /// none to go back to.
    PluginRemoved(PluginRemoved) = "plugin-removed",
    /// A configuration, or a part of one, was refused; what was in force stays.
    ConfigurationRefused(ConfigurationRefused) = "configuration-refused",
    /// A person had the configuration read again. What changed by it is in the records of the same batch.
    Reloaded(Reloaded) = "reloaded",
    /// Whose an account is was asked.
    AccountChecked(AccountChecked) = "account-checked",
    /// Time passed, and something was due.
    TimePassed(TimePassed) = "time-passed",
    /// The clock was set ahead; no limit's window moves by it until a person accepts the new time.
    ClockJumped(ClockJumped) = "clock-jumped",
    /// A person accepted the time after a jump.
    ClockAccepted(ClockAccepted) = "clock-accepted",
    /// An alert came in.
    AlertReceived(Box<AlertReceived>) = "alert-received",
    /// An episode is over.
    EpisodeEnded(EpisodeEnded) = "episode-ended",
    /// A policy was evaluated.
    Evaluated(Box<Capsule>) = "evaluated",
    /// A policy could not be evaluated at all.
    EvaluationSkipped(EvaluationSkipped) = "evaluation-skipped",
    /// The host proposes an intent itself: the undo of another.
    UndoProposed(Box<UndoProposed>) = "undo-proposed",
    /// The host looked at a target.
    TargetLooked(Box<TargetLooked>) = "target-looked",
    /// The guard answered.
    IntentJudged(Box<IntentJudged>) = "intent-judged",
    /// An intent needs people: the plan that they are shown.
    ApprovalRequested(Box<ApprovalRequested>) = "approval-requested",
    /// Half of the time has passed, and too few have said yes.
    ApprovalReminded(ApprovalReminded) = "approval-reminded",
    /// A person said yes to a plan.
    ApprovalGiven(ApprovalGiven) = "approval-given",
    /// A person took their yes back.
    ApprovalWithdrawn(ApprovalWithdrawn) = "approval-withdrawn",
    /// A person said no: the intent ends.
    ApprovalDenied(ApprovalDenied) = "approval-denied",
    /// Nobody, or too few, said yes in time: the intent ends.
    ApprovalExpired(ApprovalExpired) = "approval-expired",
    /// An intent was admitted on the approvals of people. They cannot be used again.
    ApprovalUsed(ApprovalUsed) = "approval-used",
    /// What was to be approved, or was, is no longer so.
    ApprovalVoid(ApprovalVoid) = "approval-void",
    /// Something that was said of an approval, and does not count.
    ApprovalRefused(ApprovalRefused) = "approval-refused",
    /// A call to AWS is about to be made.
    AttemptStarted(Box<AttemptStarted>) = "attempt-started",
    /// The call came back, or did not.
    AttemptEnded(AttemptEnded) = "attempt-ended",
    /// What became of a call without an answer.
    AttemptSettled(AttemptSettled) = "attempt-settled",
    /// An intent is over.
    IntentEnded(IntentEnded) = "intent-ended",
    /// Something is halted.
    StopEngaged(StopEngaged) = "stop-engaged",
    /// A person would end a stop, which takes more than one.
    ReleaseAsked(ReleaseAsked) = "release-asked",
    /// It is halted no longer.
    StopReleased(StopReleased) = "stop-released",
    /// Many targets or accounts alert at once, and less is done; or no longer.
    StormBrake(StormBrake) = "storm-brake",
    /// Intents work against each other, or a remedy against itself: a person is called, once.
    ConflictFound(Box<ConflictFound>) = "conflict-found",
    /// People were told, or could not be.
    NoticeSent(NoticeSent) = "notice-sent",
    /// Somebody with a credential asked for what its role does not allow, and did not get it.
    AccessDenied(AccessDenied) = "access-denied",
    /// The host signed how far the journal had come.
    Checkpoint(Checkpoint) = "checkpoint",
}

impl Fact {
    /// The version of a plugin that it makes known: its bytes are kept beside the journal.
    #[must_use]
    pub fn version(&self) -> Option<(&PluginName, Digest)> {
        match self {
            Self::PluginActivated(activated) => Some((&activated.plugin, activated.digest)),
            Self::PluginPushed(pushed) => Some((&pushed.plugin, pushed.digest)),
            _ => None,
        }
    }

    /// The episode that it belongs to, where it belongs to one; the alert that opens an episode is its record.
    #[must_use]
    pub fn episode(&self) -> Option<EpisodeId> {
        match self {
            Self::AlertReceived(received) => received.reception.episode(),
            Self::EpisodeEnded(ended) => Some(ended.episode),
            Self::Evaluated(capsule) => Some(capsule.episode),
            Self::EvaluationSkipped(skipped) => Some(skipped.episode),
            Self::UndoProposed(undo) => Some(undo.episode),
            Self::TargetLooked(looked) => Some(looked.episode),
            Self::IntentJudged(judged) => Some(judged.episode),
            Self::ApprovalRequested(requested) => Some(requested.episode),
            Self::ApprovalReminded(reminded) => Some(reminded.episode),
            Self::ApprovalGiven(given) => Some(given.episode),
            Self::ApprovalWithdrawn(withdrawn) => Some(withdrawn.episode),
            Self::ApprovalDenied(denied) => Some(denied.episode),
            Self::ApprovalExpired(expired) => Some(expired.episode),
            Self::ApprovalUsed(used) => Some(used.episode),
            Self::ApprovalVoid(void) => Some(void.episode),
            Self::AttemptStarted(attempt) => Some(attempt.episode),
            Self::AttemptEnded(ended) => Some(ended.episode),
            Self::AttemptSettled(settled) => Some(settled.episode),
            Self::IntentEnded(ended) => Some(ended.episode),
            Self::CandidateCompared(compared) => Some(compared.episode),
            Self::ConflictFound(conflict) => Some(conflict.episode),
            Self::NoticeSent(sent) => sent.episode,
            Self::Genesis(_)
            | Self::HostStarted(_)
            | Self::HostStopped(_)
            | Self::TailCut(_)
            | Self::LossAccepted(_)
            | Self::StateSaved(_)
            | Self::HistoryDropped(_)
            | Self::DamageFound(_)
            | Self::Configured(_)
            | Self::PluginActivated(_)
            | Self::PluginPushed(_)
            | Self::CandidateNamed(_)
            | Self::CandidateEnded(_)
            | Self::PluginRefused(_)
            | Self::PluginRemoved(_)
            | Self::ConfigurationRefused(_)
            | Self::Reloaded(_)
            | Self::AccountChecked(_)
            | Self::TimePassed(_)
            | Self::ClockJumped(_)
            | Self::ClockAccepted(_)
            | Self::StopEngaged(_)
            | Self::ReleaseAsked(_)
            | Self::StopReleased(_)
            | Self::StormBrake(_)
            // It may name an intent that there is not.
            | Self::ApprovalRefused(_)
            | Self::AccessDenied(_)
            | Self::Checkpoint(_) => None,
        }
    }
}

/// Whether something need not be written, since it is what an absent field is read as.
pub(crate) fn is_default<T: Default + PartialEq>(it: &T) -> bool {
    *it == T::default()
}
