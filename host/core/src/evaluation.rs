//! Evaluations: what a plugin is told, what it answers, and the capsule that keeps both.
//!
//! It refuses to know how a plugin is run; the sandbox takes an [`Input`] and returns an [`Outcome`].

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::{
    alert::Alert,
    caps,
    digest::Digest,
    json::Json,
    name::{EpisodeId, IntentId, PolicyName, Seq},
    target::Target,
    time::Timestamp,
};

/// Why an evaluation happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Trigger {
    /// The alert fires.
    Fired,
    /// The alert has resolved.
    Resolved,
    /// The last decision asked for it.
    LookAgain,
    /// An intent could not be verified.
    Unverified,
}

impl fmt::Display for Trigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fired => "fired",
            Self::Resolved => "resolved",
            Self::LookAgain => "look-again",
            Self::Unverified => "unverified",
        })
    }
}

/// All that an evaluation may know.
#[derive(Clone, Debug, PartialEq)]
pub struct Input {
    /// The alert, as last received.
    pub alert: Arc<Alert>,
    /// The policy that is being evaluated.
    pub policy: PolicyName,
    /// Within its reach.
    pub targets: Vec<Target>,
    /// What the operator told the plugin.
    pub settings: Json,
    /// Answers so far, in the order in which they were asked.
    pub answers: Vec<Answer>,
    /// Why now.
    pub trigger: Trigger,
    /// What this policy proposed in this episode, oldest first.
    pub history: Vec<PastIntent>,
    /// The time.
    pub now: Timestamp,
    /// The only randomness.
    pub seed: u64,
}

/// A question to the host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Query {
    /// Its kind in the catalogue; whatever the plugin wrote.
    pub kind: String,
    /// Its target; whatever the plugin wrote.
    pub target: String,
    /// A JSON object.
    pub parameters: Json,
}

/// The host's answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Answer {
    /// The question.
    pub query: Query,
    /// What was read, or why not.
    #[serde(with = "crate::serde_result")]
    pub reading: Result<Json, String>,
    /// When.
    pub at: Timestamp,
}

/// An intent of the past, as a plugin sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct PastIntent {
    /// Which.
    pub id: IntentId,
    /// What was proposed.
    pub action: String,
    /// Where; whatever the plugin wrote.
    pub target: String,
    /// When.
    pub at: Timestamp,
    /// What became of it.
    pub state: String,
    /// As the host found the target.
    pub before: Json,
    /// As the intent wanted it.
    pub after: Json,
}

/// One proposed change, as the plugin wrote it: checked for size and form, not yet for anything else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Proposal {
    /// The action's name.
    pub action: String,
    /// The target.
    pub target: String,
    /// The action's parameters.
    pub parameters: Json,
    /// What must still be true: attributes of the target.
    pub expects: Json,
    /// Seconds until it must be verified, if not the action's own deadline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verify_within: Option<u32>,
    /// Whether to undo it if it cannot be verified.
    pub undo: bool,
    /// Why.
    pub reason: String,
}

/// What an evaluation concluded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Decision {
    /// What to do.
    pub intents: Vec<Proposal>,
    /// Why.
    pub explanation: String,
    /// Seconds until this episode is to be evaluated again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub look_again_after: Option<u32>,
    /// What later contracts carry.
    pub extra: Json,
}

impl Decision {
    /// Whether it is within the caps; otherwise what is not.
    pub fn check(&self) -> Result<(), String> {
        let Self { intents, explanation, .. } = self;
        if intents.len() > caps::INTENTS_PER_DECISION {
            return Err(format!("{} intents; at most {} are allowed", intents.len(), caps::INTENTS_PER_DECISION));
        }
        let reasons = intents.iter().flat_map(|intent| [&intent.reason, &intent.action, &intent.target]);
        match reasons.chain([explanation]).find(|text| text.len() > caps::TEXT_BYTES) {
            Some(text) => Err(format!("a text of {} bytes; at most {} are allowed", text.len(), caps::TEXT_BYTES)),
            None => Ok(()),
        }
    }
}

/// What one round of an evaluation returned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is complete.
    Decided(Decision),
    /// It needs answers first.
    Needs(Vec<Query>),
}

/// What an evaluation came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Conclusion {
    /// The plugin decided.
    Decided(Decision),
    /// The plugin failed.
    Failed(Failure),
}

/// How a plugin failed: data about the plugin, not an error of the host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Failure {
    /// What kind of ending it was.
    pub kind: FailureKind,
    /// What happened, for the plugin's author.
    pub message: String,
}

/// The endings that a failing evaluation can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailureKind {
    /// The plugin returned an error.
    Returned,
    /// It trapped: a panic, an access out of bounds, …
    Trapped,
    /// It used more instructions than it may.
    OutOfFuel,
    /// It used more time than it may.
    OutOfTime,
    /// It asked for more memory, table or other space than it may.
    OutOfSpace,
    /// It returned something that is no decision, or one beyond the caps.
    Malformed,
    /// It asked for more rounds or queries than there are, or for what its manifest does not declare.
    Queries,
    /// It is not loaded.
    NotLoaded,
}

impl fmt::Display for FailureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Returned => "it returned an error",
            Self::Trapped => "it trapped",
            Self::OutOfFuel => "it ran out of fuel",
            Self::OutOfTime => "it ran out of time",
            Self::OutOfSpace => "it ran out of space",
            Self::Malformed => "it returned a malformed decision",
            Self::Queries => "it asked for more than it may",
            Self::NotLoaded => "it is not loaded",
        })
    }
}

/// The record of one evaluation: with the records that it names, all that is needed to repeat it byte for byte.
///
/// The alert is the record `alert`, the settings are those of the policy in the record `configured`, the plugin is the
/// component with the digest `plugin`. The last round with all answers is one pure call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Capsule {
    /// Of which episode.
    pub episode: EpisodeId,
    /// Of which policy.
    pub policy: PolicyName,
    /// Which trigger of this policy in this episode, counted; a later one supersedes it.
    pub generation: u32,
    /// The component that ran.
    pub plugin: Digest,
    /// The record with the alert that it saw.
    pub alert: Seq,
    /// The record with the settings that it saw.
    pub configured: Seq,
    /// Why it happened.
    pub trigger: Trigger,
    /// What it may look at and change.
    pub targets: Vec<Target>,
    /// All answers that it got.
    pub answers: Vec<Answer>,
    /// What it proposed before.
    pub history: Vec<PastIntent>,
    /// The time that it saw.
    pub now: Timestamp,
    /// The randomness that it saw.
    pub seed: u64,
    /// How many calls it took.
    pub rounds: u32,
    /// Instructions of the last round.
    pub fuel: u64,
    /// How long it took with all rounds and answers, in microseconds, but for what it waited behind others for its turn. The only
    /// field that a replay does not repeat.
    pub took_us: u64,
    /// What it came to.
    pub conclusion: Conclusion,
    /// Something newer happened meanwhile, so its intents are not followed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub superseded: bool,
}
