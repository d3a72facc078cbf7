//! Inputs: everything that can happen to the host, as the core is told of it.

use crate::{
    alert::Alert,
    approval::Said,
    configuration::Configuration,
    evaluation::Capsule,
    look::Reading,
    name::{IntentId, Seq},
    record::{
        AccessDenied, AccountChecked, Backlog, CallResult, Checkpoint, ConfigurationRefused, DamageFound,
        EvaluationSkipped, HistoryDropped, HostStarted, HostStopped, LossAccepted, NoticeSent, Person, PluginActivated,
        PluginRefused, PluginRemoved, Purpose, Reloaded, StateSaved, StopEngaged, StopScope, TailCut,
    },
    time::Timestamp,
    versions::{
        candidate::{CandidateCompared, CandidateEnded, CandidateNamed},
        record::PluginPushed,
    },
};

/// Something happened.
#[derive(Clone, Debug)]
pub enum Input {
    /// The host runs. Calls of an earlier life without an answer become unknown.
    Started(HostStarted),
    /// The host was told to end.
    Stopped(HostStopped),
    /// Bytes were cut from the journal's end when it was opened.
    TailCut(TailCut),
    /// A person accepted that records are missing.
    LossAccepted(LossAccepted),
    /// The state was saved.
    StateSaved(StateSaved),
    /// Old records are about to be deleted.
    HistoryDropped(HistoryDropped),
    /// The journal was checked in the background, and something is wrong with it.
    DamageFound(DamageFound),
    /// A configuration was read and found good.
    Configured(Box<Configuration>),
    /// A plugin was compiled and found good.
    PluginActivated(Box<PluginActivated>),
    /// A person handed over a version, and it was found good.
    PluginPushed(Box<PluginPushed>),
    /// A person has a known version compared with the one in force.
    CandidateNamed(CandidateNamed),
    /// A candidate was compared.
    Compared(Box<CandidateCompared>),
    /// A version is to be compared no longer.
    CandidateEnded(CandidateEnded),
    /// A plugin was not.
    PluginRefused(PluginRefused),
    /// A configuration, or a part of one, was read and found wrong.
    ConfigurationRefused(ConfigurationRefused),
    /// Plugins and configuration that belong together were found good, each with the others.
    Arrived(Box<Arrived>),
    /// Whose an account is was asked.
    AccountChecked(AccountChecked),
    /// A request brought alerts.
    Alerts(Vec<Alert>),
    /// Time passed.
    Tick,
    /// The clock was set ahead by so many milliseconds.
    ClockJumped(u64),
    /// A person accepted the time after a jump.
    ClockAccepted(Person),
    /// A policy was evaluated. Whether its capsule is superseded is found out now.
    Evaluated(Box<Capsule>),
    /// A policy could not be evaluated.
    Skipped(EvaluationSkipped),
    /// A target was looked at.
    Looked {
        /// For which intent.
        intent: IntentId,
        /// What for.
        purpose: Purpose,
        /// What was read.
        reading: Result<Box<Reading>, String>,
        /// When it was read.
        read_at: Timestamp,
    },
    /// A call came back, or did not.
    CallEnded {
        /// Of which intent.
        intent: IntentId,
        /// Which attempt.
        attempt: u32,
        /// How.
        result: CallResult,
    },
    /// A person halts something, for good or until a time.
    Stop(StopEngaged),
    /// A person ends stops: the one with this number, or all that halt exactly this; and says what becomes of what was
    /// refused meanwhile, which must be said where Balm engaged one itself.
    Resume(Resume, Option<Backlog>, Person),
    /// A person says something of an approval.
    Approval(Box<Said>),
    /// People were told, or could not be.
    NoticeSent(NoticeSent),
    /// Somebody asked for what its role does not allow.
    AccessDenied(AccessDenied),
    /// The host signed how far the journal has come.
    Checkpoint(Checkpoint),
}

/// What is put in force together, or not at all: a plugin with the settings that it accepts.
#[derive(Clone, Debug, Default)]
pub struct Arrived {
    /// Who had it read, if somebody had.
    pub reloaded: Option<Reloaded>,
    /// Plugins that are in force no longer.
    pub removed: Vec<PluginRemoved>,
    /// Versions that were compiled and found good.
    pub activated: Vec<PluginActivated>,
    /// The whole configuration, if it is another one.
    pub configuration: Option<Configuration>,
}

impl Arrived {
    /// Whether there is nothing to put in force.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        let Self { reloaded, removed, activated, configuration } = self;
        reloaded.is_none() && removed.is_empty() && activated.is_empty() && configuration.is_none()
    }
}

/// Which stops are released.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resume {
    /// The one that this record engaged.
    Stop(Seq),
    /// All that halt exactly this.
    Scope(StopScope),
}

/// What whoever caused an input is told, once its records are durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// It is recorded. The last record of its batch, or the state's last record where nothing was to be recorded.
    Recorded(Seq),
    /// It is recorded, and takes more than that: what.
    Waits(Seq, String),
    /// Nothing was recorded: there is no room. Try again later.
    Overloaded(String),
    /// It cannot be done, for this reason; nothing was recorded but that it was asked for, where that matters.
    Refused(String),
}
