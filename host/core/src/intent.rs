//! Intents on their way: where each stands, until it ends.
//!
//! It owns the stages; which stage follows which is decided in `decide`, and what is allowed in `guard`.

use serde::{Deserialize, Serialize};

use crate::{
    action::Change,
    alert::Status,
    digest::Digest,
    evaluation::{PastIntent, Proposal},
    json::Json,
    look::Reading,
    name::{EpisodeId, IntentId, PolicyName},
    time::Timestamp,
};

/// An intent that has not ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Intent {
    /// Which.
    pub id: IntentId,
    /// Of which episode.
    pub episode: EpisodeId,
    /// Of which policy.
    pub policy: PolicyName,
    /// The version of the plugin that proposed it, or what it undoes.
    pub plugin: Digest,
    /// What was proposed.
    pub proposal: Proposal,
    /// When.
    pub proposed_at: Timestamp,
    /// When what made the policy propose it happened.
    pub triggered_at: Timestamp,
    /// Whether the alert was firing then.
    pub status: Status,
    /// The intent that it undoes, if it is an undo.
    pub undo_of: Option<IntentId>,
    /// Calls made for it so far.
    pub attempts: u32,
    /// What the host saw just before the last admission.
    pub before: Option<Box<Reading>>,
    /// Where it stands.
    pub stage: Stage,
}

/// Where an intent stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// It is to be looked at and judged.
    Waiting {
        /// How often the look failed.
        looks_failed: u32,
    },
    /// It waits for people.
    Approval,
    /// A call is under way.
    Attempting {
        /// Since when.
        since: Timestamp,
    },
    /// The call had no answer: it is looked for.
    Unknown {
        /// Since when.
        since: Timestamp,
        /// How often the look failed.
        looks_failed: u32,
    },
    /// It was done: the world is to become as promised.
    Verifying {
        /// Until then.
        deadline: Timestamp,
        /// How often it was looked at.
        looks: u32,
    },
}

impl Stage {
    /// The word for it in a plugin's history.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Waiting { .. } | Self::Approval => "waiting",
            Self::Attempting { .. } => "attempting",
            Self::Unknown { .. } => "unknown",
            Self::Verifying { .. } => "verifying",
        }
    }
}

impl Intent {
    /// How it looks in a plugin's history, in this state.
    #[must_use]
    pub fn as_past(&self, state: &str) -> PastIntent {
        let change = Change::read(&self.proposal.action, &self.proposal.parameters).ok();
        let before = change.as_ref().zip(self.before.as_deref()).map(|(change, before)| change.before(before));
        PastIntent {
            id: self.id,
            action: self.proposal.action.clone(),
            target: self.proposal.target.clone(),
            at: self.proposed_at,
            state: state.into(),
            before: before.unwrap_or_else(Json::empty_object),
            after: change.map_or_else(Json::empty_object, |change| change.after()),
        }
    }
}
