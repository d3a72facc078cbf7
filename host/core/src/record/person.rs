//! What people did: who and why, what they were told, and what they were not allowed; and the clock that they accept.

use serde::{Deserialize, Serialize};

use super::is_default;
use crate::name::{EpisodeId, NotifierName, Seq};

/// See [`Fact::TimePassed`](super::Fact::TimePassed).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct TimePassed {}

/// See [`Fact::ClockJumped`](super::Fact::ClockJumped).
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

/// See [`Fact::ClockAccepted`](super::Fact::ClockAccepted).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ClockAccepted {
    /// Who and why.
    pub by: Person,
}

/// See [`Fact::NoticeSent`](super::Fact::NoticeSent).
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
    #[serde(default, skip_serializing_if = "is_default")]
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

/// See [`Fact::AccessDenied`](super::Fact::AccessDenied).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct AccessDenied {
    /// Whose credential it was, and its role.
    pub who: String,
    /// What was asked for, and what it needs.
    pub what: String,
    /// How many attempts of the same credential before it have no record of their own, since they came too fast.
    #[serde(default, skip_serializing_if = "is_default")]
    pub unrecorded: u64,
}
