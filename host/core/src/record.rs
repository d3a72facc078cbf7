//! Records: the facts of the journal, in types.
//!
//! Everything that the host knows is one of these. A record is written once and never changed; the state is what all of
//! them say together. How records become lines of a file is `line`'s business, what they lead to is `decide`'s.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{
    alert::Alert,
    approval::record::{
        ApprovalDenied, ApprovalExpired, ApprovalGiven, ApprovalRefused, ApprovalReminded, ApprovalRequested,
        ApprovalUsed, ApprovalVoid, ApprovalWithdrawn,
    },
    configuration::{Configuration, Mode},
    digest::Digest,
    evaluation::{Capsule, Proposal},
    json::Json,
    look::Reading,
    name::{EpisodeId, IntentId, NotifierName, PluginName, PolicyName, Seq},
    pattern::TargetPattern,
    target::{AccountId, Region, Target},
    time::Timestamp,
    versions::{
        candidate::{CandidateCompared, CandidateEnded, CandidateNamed},
        record::{Cause, PluginPushed},
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
            pub(crate) fn read(kind: &str, data: &str) -> Option<serde_json::Result<Self>> {
                match kind {
                    $($kind => Some(serde_json::from_str(data).map(Self::$name)),)*
                    _ => None,
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

/// See [`Fact::Genesis`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Genesis {
    /// Who this host is: 32 random hexadecimal digits, for ever.
    pub host: String,
    /// The version of Balm that began the journal.
    pub version: String,
}

/// See [`Fact::HostStarted`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct HostStarted {
    /// The version of Balm that runs.
    pub version: String,
    /// Of wasmtime: fuel is comparable within one version.
    pub engine: String,
}

/// See [`Fact::HostStopped`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct HostStopped {
    /// Why: a signal's name.
    pub why: String,
}

/// See [`Fact::TailCut`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct TailCut {
    /// How many bytes.
    pub bytes: u64,
    /// The file in the data directory that keeps them.
    pub kept: String,
}

/// See [`Fact::LossAccepted`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct LossAccepted {
    /// The last record that something else had seen.
    pub known: Seq,
    /// What had seen it.
    pub by: String,
}

/// See [`Fact::StateSaved`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct StateSaved {
    /// The last record that it is of.
    pub upto: Seq,
    /// Of the file.
    pub digest: Digest,
    /// How large the file is.
    pub bytes: u64,
    /// The version of its format; another version of Balm may not read it, and reads the records instead.
    pub version: u32,
}

/// See [`Fact::HistoryDropped`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct HistoryDropped {
    /// The last record that is no longer kept.
    pub upto: Seq,
    /// Its hash: the first record that is kept follows it.
    pub hash: Digest,
    /// How many bytes of the disk become free.
    pub bytes: u64,
    /// By which bound.
    pub why: String,
}

/// See [`Fact::DamageFound`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct DamageFound {
    /// The first record that cannot be read; everything before it was checked.
    pub seq: Seq,
    /// The file in the data directory.
    pub file: String,
    /// Where in it the record should begin.
    pub offset: u64,
    /// What is wrong.
    pub why: String,
}

/// See [`Fact::Configured`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Configured {
    /// Of the guardrails: stands in every verdict.
    pub guardrails: Digest,
    /// The whole.
    pub configuration: Configuration,
}

/// What a plugin says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Manifest {
    /// The plugin's own version.
    pub version: String,
    /// What it does.
    pub summary: String,
    /// What it may propose.
    pub actions: Vec<String>,
    /// What it may ask.
    pub queries: Vec<String>,
}

/// See [`Fact::PluginActivated`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct PluginActivated {
    /// Its name.
    pub plugin: PluginName,
    /// Of the component's bytes.
    pub digest: Digest,
    /// How many bytes.
    pub bytes: u64,
    /// What it says of itself.
    pub manifest: Manifest,
    /// Why it is in force; its file in the plugin directory if nothing is said.
    #[serde(default, skip_serializing_if = "Cause::is_directory")]
    pub cause: Cause,
}

/// See [`Fact::PluginRefused`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct PluginRefused {
    /// Its name.
    pub plugin: PluginName,
    /// Of the file's bytes, where they could be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// Why, and what to do.
    pub why: String,
}

/// See [`Fact::PluginRemoved`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct PluginRemoved {
    /// Its name.
    pub plugin: PluginName,
    /// The version that was in force.
    pub digest: Digest,
    /// Why, and what to do if that was not meant.
    pub why: String,
    /// Who disabled it, if somebody did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Person>,
}

/// See [`Fact::ConfigurationRefused`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ConfigurationRefused {
    /// What of it.
    pub part: ConfigurationPart,
    /// Everything that is wrong with it, with file and line where there is one.
    pub mistakes: Vec<String>,
    /// Who had it read, if somebody had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Person>,
}

/// What is read and refused as one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ConfigurationPart {
    /// All of it.
    Whole,
    /// The directory of the guardrails.
    Guardrails,
    /// The policy in the file beside a plugin.
    Beside(PluginName),
    /// A policy, wherever it is written, whose plugin does not accept its settings.
    Policy(PolicyName),
}

impl fmt::Display for ConfigurationPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole => f.write_str("the configuration"),
            Self::Guardrails => f.write_str("a change of the guardrails"),
            Self::Beside(plugin) => write!(f, "the policy beside plugin {plugin}"),
            Self::Policy(policy) => write!(f, "policy {policy}"),
        }
    }
}

/// See [`Fact::Reloaded`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Reloaded {
    /// Who and why.
    pub by: Person,
    /// Keys that were changed in the file and only count after a restart.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after_restart: Vec<String>,
}

/// See [`Fact::AccountChecked`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct AccountChecked {
    /// The account of the configuration.
    pub account: AccountId,
    /// The region.
    pub region: Region,
    /// The identity behind the credentials, if it is that account's; otherwise what is wrong.
    #[serde(with = "crate::serde_result")]
    pub identity: Result<String, String>,
}

/// See [`Fact::TimePassed`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct TimePassed {}

/// See [`Fact::ClockJumped`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ClockJumped {
    /// How far beyond the time that passed.
    pub by_ms: u64,
}

/// Who did something, and why: for every record of a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Person {
    /// Whom the host took the person to be.
    pub who: String,
    /// In the person's words.
    pub why: String,
}

/// See [`Fact::ClockAccepted`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ClockAccepted {
    /// Who and why.
    pub by: Person,
}

/// See [`Fact::AlertReceived`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct AlertReceived {
    /// What it means to its episode.
    pub reception: Reception,
    /// The alert.
    pub alert: Alert,
}

/// What an alert means to its episode.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reception {
    /// It opens an episode, which has this record's number.
    Opened {
        /// The policies that are to be evaluated.
        concerned: Vec<Concerned>,
        /// The policies that match and yet are not evaluated.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        idle: Vec<Idle>,
    },
    /// It fires again, soon after its episode ended or resolved.
    Reopened {
        /// Which.
        episode: EpisodeId,
        /// The policies that are to be evaluated.
        concerned: Vec<Concerned>,
        /// The policies that match and yet are not evaluated.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        idle: Vec<Idle>,
    },
    /// It says again what is known: a sign of life.
    Repeated {
        /// Which.
        episode: EpisodeId,
        /// Policies that are to be evaluated, since they were configured after the alert first fired.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        concerned: Vec<Concerned>,
    },
    /// It is over.
    Resolved {
        /// Which.
        episode: EpisodeId,
        /// No policy is evaluated, since it is over for another reason than being well.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        held: bool,
    },
    /// It is recorded, and nothing follows.
    Ignored {
        /// Which episode it would have belonged to, if there is one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        episode: Option<EpisodeId>,
        /// Why nothing follows.
        why: String,
    },
}

impl Reception {
    /// The episode that it belongs to; none for the alert that opens one, whose record is the episode's name.
    #[must_use]
    pub const fn episode(&self) -> Option<EpisodeId> {
        match self {
            Self::Opened { .. } => None,
            Self::Reopened { episode, .. } | Self::Repeated { episode, .. } | Self::Resolved { episode, .. } => {
                Some(*episode)
            }
            Self::Ignored { episode, .. } => *episode,
        }
    }
}

/// A policy that an alert concerns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Concerned {
    /// Which.
    pub policy: PolicyName,
    /// What it may look at and change.
    pub targets: Vec<Target>,
}

/// A policy that matches an alert and yet is not evaluated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Idle {
    /// Which.
    pub policy: PolicyName,
    /// Why.
    pub why: String,
}

/// See [`Fact::EpisodeEnded`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct EpisodeEnded {
    /// Which.
    pub episode: EpisodeId,
    /// How.
    pub how: EpisodeEnd,
}

/// How an episode ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EpisodeEnd {
    /// The alert resolved, and nothing is due.
    Resolved,
    /// There was no sign of life for a day.
    Expired,
}

/// See [`Fact::EvaluationSkipped`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct EvaluationSkipped {
    /// Of which episode.
    pub episode: EpisodeId,
    /// Which policy.
    pub policy: PolicyName,
    /// Which of its triggers.
    pub generation: u32,
    /// Why.
    pub why: String,
}

/// See [`Fact::UndoProposed`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct UndoProposed {
    /// The intent that is to be undone.
    pub of: IntentId,
    /// Of which episode.
    pub episode: EpisodeId,
    /// The undo.
    pub proposal: Proposal,
}

/// Why the host looks at a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Purpose {
    /// For the guard.
    Guard,
    /// To see whether a call without an answer happened.
    Trace,
    /// To see whether the world is as promised.
    Verify,
}

/// See [`Fact::TargetLooked`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct TargetLooked {
    /// For which intent.
    pub intent: IntentId,
    /// Of which episode.
    pub episode: EpisodeId,
    /// What for.
    pub purpose: Purpose,
    /// What was read, or why nothing could be.
    #[serde(with = "crate::serde_result")]
    pub reading: Result<Reading, String>,
    /// What it means, where no record of its own says it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub meaning: String,
}

/// See [`Fact::IntentJudged`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct IntentJudged {
    /// Which.
    pub intent: IntentId,
    /// Of which episode.
    pub episode: EpisodeId,
    /// Of which policy.
    pub policy: PolicyName,
    /// How far the policy could go then.
    pub mode: Mode,
    /// The answer.
    pub verdict: Verdict,
    /// All checks, in their order.
    pub checks: Vec<Checked>,
    /// The version of the guardrails that answered.
    pub guardrails: Digest,
    /// How many people had approved its plan.
    #[serde(default, skip_serializing_if = "is_none")]
    pub approvals: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over references")]
const fn is_none(people: &u32) -> bool {
    *people == 0
}

/// The guard's answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It may be done, now, once.
    Admitted,
    /// It may be done after so many people have approved it.
    NeedsApproval(u32),
    /// It may not be done; the named check says why.
    Refused(CheckName),
    /// All checks but the mode would have admitted it; the policy only watches.
    Observed,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Admitted => f.write_str("admitted"),
            Self::NeedsApproval(people) => write!(f, "needs approval of {people}"),
            Self::Refused(check) => write!(f, "refused: {check}"),
            Self::Observed => f.write_str("observed only"),
        }
    }
}

/// The checks of the guard, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CheckName {
    /// Nothing that halts it is in force.
    Stop,
    /// Its trigger is recent, and the alert has not changed since.
    Stale,
    /// The policy's mode lets it act.
    Mode,
    /// The plugin's manifest declares the action.
    Manifest,
    /// The catalogue knows the action and its parameters.
    Catalogue,
    /// The target is the operator's, in an account whose identity was verified.
    Target,
    /// The target could be read.
    Look,
    /// What it expects is still true.
    Expectation,
    /// Nothing else is under way on the target.
    Busy,
    /// It does not take back what was just done.
    Opposes,
    /// The target is not turned around again and again.
    Oscillation,
    /// The alert has not fired again and again after what was done about it.
    Recurrence,
    /// Few enough targets and accounts alert at once, or little enough was done.
    Storm,
    /// It is not too often.
    Limits,
    /// It is not too far.
    Bounds,
    /// A rule permits it, and none forbids it.
    Authorization,
}

impl fmt::Display for CheckName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stop => "stop",
            Self::Stale => "stale",
            Self::Mode => "mode",
            Self::Manifest => "manifest",
            Self::Catalogue => "catalogue",
            Self::Target => "target",
            Self::Look => "look",
            Self::Expectation => "expectation",
            Self::Busy => "busy",
            Self::Opposes => "opposes",
            Self::Oscillation => "oscillation",
            Self::Recurrence => "recurrence",
            Self::Storm => "storm",
            Self::Limits => "limits",
            Self::Bounds => "bounds",
            Self::Authorization => "authorization",
        })
    }
}

/// What one check found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Checked {
    /// Which.
    pub check: CheckName,
    /// Whether it passed.
    pub passed: bool,
    /// What it found; why it did not pass.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub found: String,
}

/// See [`Fact::AttemptStarted`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct AttemptStarted {
    /// Of which intent.
    pub intent: IntentId,
    /// Of which episode.
    pub episode: EpisodeId,
    /// Which attempt of it, from 1.
    pub attempt: u32,
    /// What the call carries, so that it can be found again in AWS's own records.
    pub token: String,
    /// What is done.
    pub action: String,
    /// Where.
    pub target: Target,
    /// How.
    pub parameters: Json,
}

/// See [`Fact::AttemptEnded`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct AttemptEnded {
    /// Of which intent.
    pub intent: IntentId,
    /// Of which episode.
    pub episode: EpisodeId,
    /// Which attempt.
    pub attempt: u32,
    /// How it ended.
    pub result: CallResult,
}

/// How a call ended. Whoever reads it does one thing for each.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CallResult {
    /// AWS answered that it is done: verify.
    Done {
        /// AWS's number of the request.
        request: String,
    },
    /// AWS answered that it will not do this: it is over.
    Refused {
        /// AWS's words.
        why: String,
    },
    /// It surely did not happen, and may later: try again.
    NotDone {
        /// What came in between: a throttle, a refused connection, a stop.
        why: String,
    },
    /// It may have happened: look for it, and never just repeat it.
    Unknown {
        /// What happened to the answer.
        why: String,
    },
}

/// See [`Fact::AttemptSettled`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct AttemptSettled {
    /// Of which intent.
    pub intent: IntentId,
    /// Of which episode.
    pub episode: EpisodeId,
    /// Which attempt.
    pub attempt: u32,
    /// What was found.
    pub settled: Settled,
    /// In words.
    pub found: String,
}

/// What became of a call without an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Settled {
    /// The world is as the call would have made it: done (seen).
    Seen,
    /// It did not happen, and is proposed again.
    NotSeen,
    /// It cannot be told, or must not be repeated: a person must look.
    ForAPerson,
}

/// See [`Fact::IntentEnded`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct IntentEnded {
    /// Which.
    pub intent: IntentId,
    /// Of which episode.
    pub episode: EpisodeId,
    /// How.
    pub how: IntentEnd,
    /// In words.
    pub why: String,
}

/// How an intent that was admitted ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum IntentEnd {
    /// The world is as promised.
    Verified,
    /// It was done, and the world is not as promised in time.
    Unverified,
    /// It was not done.
    Failed,
    /// Whether it was done is not known: a person must look.
    Unknown,
    /// Its undo is verified: it was done, and taken back.
    Undone,
    /// Nobody approved it in time, or its episode ended first.
    Expired,
    /// A person denied it.
    Denied,
    /// What people were shown or approved is no longer so.
    Void,
}

impl IntentEnd {
    /// Whether it counts against what shares a breaker with it.
    #[must_use]
    pub const fn is_bad(self) -> bool {
        match self {
            Self::Unverified | Self::Failed | Self::Unknown => true,
            Self::Verified | Self::Undone | Self::Expired | Self::Denied | Self::Void => false,
        }
    }
}

impl fmt::Display for IntentEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Verified => "verified",
            Self::Unverified => "unverified",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
            Self::Undone => "undone",
            Self::Expired => "expired",
            Self::Denied => "denied",
            Self::Void => "void",
        })
    }
}

impl CheckName {
    /// Whether it may find that intents work against each other, or a remedy against itself.
    #[must_use]
    pub const fn finds_conflicts(self) -> bool {
        matches!(self, Self::Opposes | Self::Oscillation | Self::Recurrence)
    }
}

/// What a stop halts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StopScope {
    /// Every intent.
    Everything,
    /// Those of one policy.
    Policy(PolicyName),
    /// Those that this version of a plugin proposed.
    Version(Digest),
    /// Those on one target.
    Target(Target),
    /// Those on every target of a pattern.
    Targets(TargetPattern),
}

impl fmt::Display for StopScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Everything => f.write_str("everything"),
            Self::Policy(policy) => write!(f, "policy {policy}"),
            Self::Version(digest) => write!(f, "plugin version {digest}"),
            Self::Target(target) => write!(f, "target {target}"),
            Self::Targets(pattern) => write!(f, "targets {pattern}"),
        }
    }
}

/// See [`Fact::StopEngaged`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct StopEngaged {
    /// What is halted.
    pub scope: StopScope,
    /// Who and why. Of what Balm engaged itself, what did and what it saw.
    pub by: Person,
    /// What engaged it.
    #[serde(default, skip_serializing_if = "StopCause::is_person")]
    pub cause: StopCause,
    /// When it ends by itself, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

impl StopEngaged {
    /// A person's stop, until a person releases it.
    #[must_use]
    pub const fn by_person(scope: StopScope, by: Person) -> Self {
        Self { scope, by, cause: StopCause::Person, until: None }
    }

    /// Whether it is a person's, on everything, until a person releases it: what works without a record, too.
    #[must_use]
    pub fn is_the_kill_switch(&self) -> bool {
        let Self { scope, cause, until, .. } = self;
        *scope == StopScope::Everything && *cause == StopCause::Person && until.is_none()
    }
}

/// What engaged a stop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StopCause {
    /// A person.
    #[default]
    Person,
    /// A breaker: too many intents in a row ended badly.
    Breaker,
    /// The storm brake: too many targets or accounts alert at once.
    Storm,
    /// A version of a plugin failed too often in a row. It is evaluated no more, and the last good one is in force again.
    Quarantine,
}

impl StopCause {
    const fn is_person(&self) -> bool {
        matches!(self, Self::Person)
    }
}

/// See [`Fact::ReleaseAsked`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ReleaseAsked {
    /// The record that engaged it.
    pub stop: Seq,
    /// Who and why.
    pub by: Person,
    /// How many further people it takes.
    pub missing: u32,
}

/// What becomes of alerts whose intents a stop refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Backlog {
    /// Nothing, until they fire again or their policy looks again.
    #[default]
    Drop,
    /// Their policies are evaluated again, now, on what is true now.
    Evaluate,
}

impl Backlog {
    const fn is_drop(&self) -> bool {
        matches!(self, Self::Drop)
    }
}

/// See [`Fact::StopReleased`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct StopReleased {
    /// The record that engaged it.
    pub stop: Seq,
    /// Who and why; the last of them, where it took several people.
    pub by: Person,
    /// What becomes of alerts whose intents were refused meanwhile.
    #[serde(default, skip_serializing_if = "Backlog::is_drop")]
    pub backlog: Backlog,
}

/// See [`Fact::StormBrake`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct StormBrake {
    /// Whether less is done from now on.
    pub on: bool,
    /// Targets that alert at once.
    pub targets: u32,
    /// Their accounts.
    pub accounts: u32,
}

/// See [`Fact::ConflictFound`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ConflictFound {
    /// The check that found it: `opposes` where another policy did the opposite, `oscillation` or `recurrence`.
    pub conflict: CheckName,
    /// The intent that was not done for it.
    pub intent: IntentId,
    /// Of which episode.
    pub episode: EpisodeId,
    /// Of which policy.
    pub policy: PolicyName,
    /// On which target.
    pub target: Target,
    /// What was found.
    pub found: String,
}

/// See [`Fact::NoticeSent`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct NoticeSent {
    /// To whom.
    pub notifier: NotifierName,
    /// The record that people were told about; the last one, if the message was about several.
    pub about: Seq,
    /// The episode that it belongs to, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub episode: Option<EpisodeId>,
    /// The receiver's answer; or why it was given up.
    #[serde(with = "crate::serde_result")]
    pub delivered: Result<String, String>,
    /// How many notices before it were dropped, since the notifier was too slow.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub dropped: u64,
    /// How many notices the message was about: this one, and those that waited before it.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub covers: u64,
    /// They still wait and will be told again, since the receiver may be back later.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub kept: bool,
}

const fn one() -> u64 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over references")]
fn is_one(number: &u64) -> bool {
    *number == 1
}

/// See [`Fact::AccessDenied`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct AccessDenied {
    /// Whose credential it was, and its role.
    pub who: String,
    /// What was asked for, and what it needs.
    pub what: String,
    /// How many attempts of the same credential before it have no record of their own, since they came too fast.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unrecorded: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over references")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// See [`Fact::Checkpoint`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Checkpoint {
    /// Whose journal, as its `genesis` says.
    pub host: String,
    /// The record that was the last one then.
    pub seq: Seq,
    /// Its hash, which fixes every record up to it.
    pub hash: Digest,
    /// The public key of the host, Ed25519 (RFC 8032), as 64 hexadecimal digits.
    pub key: String,
    /// The signature over the text `balm checkpoint 1`, host, number and hash, each with a newline; 128 hexadecimal digits.
    pub signature: String,
}
