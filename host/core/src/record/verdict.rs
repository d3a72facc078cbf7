//! What the guard said of an intent, check by check, and the conflicts that it found.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::is_default;
use crate::{
    configuration::Mode,
    digest::Digest,
    name::{EpisodeId, IntentId, PolicyName},
    target::Target,
};

/// See [`Fact::IntentJudged`](super::Fact::IntentJudged).
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
    #[serde(default, skip_serializing_if = "is_default")]
    pub approvals: u32,
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

impl CheckName {
    /// Every check, in their order.
    pub const ALL: [Self; 16] = [
        Self::Stop,
        Self::Stale,
        Self::Mode,
        Self::Manifest,
        Self::Catalogue,
        Self::Target,
        Self::Look,
        Self::Expectation,
        Self::Busy,
        Self::Opposes,
        Self::Oscillation,
        Self::Recurrence,
        Self::Storm,
        Self::Limits,
        Self::Bounds,
        Self::Authorization,
    ];
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

impl CheckName {
    /// Whether it may find that intents work against each other, or a remedy against itself.
    #[must_use]
    pub const fn finds_conflicts(self) -> bool {
        matches!(self, Self::Opposes | Self::Oscillation | Self::Recurrence)
    }
}

/// See [`Fact::ConflictFound`](super::Fact::ConflictFound).
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
