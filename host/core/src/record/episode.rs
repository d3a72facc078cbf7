//! What alerts meant to their episodes, and how those end.

use serde::{Deserialize, Serialize};

use crate::{
    alert::Alert,
    name::{EpisodeId, PolicyName},
    target::Target,
};

/// See [`Fact::AlertReceived`](super::Fact::AlertReceived).
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

/// See [`Fact::EpisodeEnded`](super::Fact::EpisodeEnded).
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

/// See [`Fact::EvaluationSkipped`](super::Fact::EvaluationSkipped).
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
