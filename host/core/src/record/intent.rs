//! What was done about an intent: looks, attempts, and its end.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{
    evaluation::Proposal,
    json::Json,
    look::Reading,
    name::{EpisodeId, IntentId},
    target::Target,
};

/// See [`Fact::UndoProposed`](super::Fact::UndoProposed).
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

/// See [`Fact::TargetLooked`](super::Fact::TargetLooked).
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

/// See [`Fact::AttemptStarted`](super::Fact::AttemptStarted).
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

/// See [`Fact::AttemptEnded`](super::Fact::AttemptEnded).
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

/// See [`Fact::AttemptSettled`](super::Fact::AttemptSettled).
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

/// See [`Fact::IntentEnded`](super::Fact::IntentEnded).
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
