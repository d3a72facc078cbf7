//! What is halted, by whom and how it ends, and the storm brake.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Person, is_default};
use crate::{
    digest::Digest,
    name::{PolicyName, Seq},
    pattern::TargetPattern,
    target::Target,
    time::Timestamp,
};

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

/// See [`Fact::StopEngaged`](super::Fact::StopEngaged).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct StopEngaged {
    /// What is halted.
    pub scope: StopScope,
    /// Who and why. Of what Balm engaged itself, what did and what it saw.
    pub by: Person,
    /// What engaged it.
    #[serde(default, skip_serializing_if = "is_default")]
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

/// See [`Fact::ReleaseAsked`](super::Fact::ReleaseAsked).
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

/// See [`Fact::StopReleased`](super::Fact::StopReleased).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct StopReleased {
    /// The record that engaged it.
    pub stop: Seq,
    /// Who and why; the last of them, where it took several people.
    pub by: Person,
    /// What becomes of alerts whose intents were refused meanwhile.
    #[serde(default, skip_serializing_if = "is_default")]
    pub backlog: Backlog,
}

/// See [`Fact::StormBrake`](super::Fact::StormBrake).
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
