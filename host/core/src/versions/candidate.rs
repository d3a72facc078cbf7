//! Candidates: a version that sees what the one in force saw, with the same answers, and never acts.
//!
//! What it comes to is compared with what the one in force came to, after that is recorded, so that no decision waits for it. It
//! owns what counts as agreement. It refuses to know how an evaluation is made again.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::is_its_own;
use crate::{
    caps,
    digest::Digest,
    evaluation::{Conclusion, Decision, Proposal, Query},
    name::{EpisodeId, PluginName, PolicyName, Seq},
    record::{Manifest, Person},
    rounds::Step,
};

/// See [`Fact::CandidateNamed`](crate::record::Fact::CandidateNamed).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct CandidateNamed {
    /// The plugin.
    pub plugin: PluginName,
    /// The version.
    pub digest: Digest,
    /// Who and why.
    pub by: Person,
}

/// See [`Fact::CandidateEnded`](crate::record::Fact::CandidateEnded).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct CandidateEnded {
    /// The plugin.
    pub plugin: PluginName,
    /// The version.
    pub digest: Digest,
    /// Why.
    pub why: String,
    /// Who wanted that, if somebody did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Person>,
}

/// See [`Fact::CandidateCompared`](crate::record::Fact::CandidateCompared).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct CandidateCompared {
    /// The plugin.
    pub plugin: PluginName,
    /// The candidate.
    pub digest: Digest,
    /// Of which policy.
    pub policy: PolicyName,
    /// Of which episode.
    pub episode: EpisodeId,
    /// The record of the evaluation that it was compared with.
    pub capsule: Seq,
    /// Whether both would do the same.
    pub agreement: Agreement,
    /// What the candidate came to.
    pub outcome: CandidateOutcome,
    /// Instructions that it took.
    pub fuel: u64,
}

/// What a candidate came to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CandidateOutcome {
    /// It decided, or failed.
    Concluded(Conclusion),
    /// It asked what the version in force did not ask.
    Asks(Vec<Query>),
}

/// Whether two versions would do the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Agreement {
    /// They came to the same.
    Same,
    /// They would do the same, and say it in other words.
    OtherWords,
    /// They would do something else.
    Differs,
}

/// A candidate, and how it compared so far.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Candidate {
    /// The version.
    pub digest: Digest,
    /// The record that named it.
    pub since: Seq,
    /// What it may ask.
    pub queries: Vec<String>,
    /// Evaluations that it is to be compared with.
    pub waiting: VecDeque<Seq>,
    /// Evaluations that it is not compared with, since too many waited.
    pub missed: u64,
    /// How often it came to the same.
    pub same: u64,
    /// How often it said the same in other words.
    pub other_words: u64,
    /// How often it would have done something else.
    pub differs: u64,
    /// The last records that say so.
    pub examples: VecDeque<Seq>,
    /// How often in a row it failed by itself.
    pub(crate) failures: u32,
}

impl Candidate {
    pub(crate) fn new(digest: Digest, manifest: &Manifest, since: Seq) -> Self {
        Self {
            digest,
            since,
            queries: manifest.queries.clone(),
            waiting: VecDeque::new(),
            missed: 0,
            same: 0,
            other_words: 0,
            differs: 0,
            examples: VecDeque::new(),
            failures: 0,
        }
    }

    /// The version in force was evaluated.
    pub(crate) fn evaluated(&mut self, capsule: Seq) {
        if self.waiting.len() >= caps::COMPARISONS_WAITING {
            self.missed += 1;
        } else {
            self.waiting.push_back(capsule);
        }
    }

    pub(crate) fn compared(&mut self, compared: &CandidateCompared, seq: Seq) {
        self.waiting.retain(|waiting| *waiting != compared.capsule);
        match compared.agreement {
            Agreement::Same => self.same += 1,
            Agreement::OtherWords => self.other_words += 1,
            Agreement::Differs => {
                self.differs += 1;
                if self.examples.len() >= caps::COMPARISON_EXAMPLES {
                    self.examples.pop_front();
                }
                self.examples.push_back(seq);
            }
        }
        self.failures = match &compared.outcome {
            CandidateOutcome::Concluded(Conclusion::Failed(failure)) if is_its_own(failure.kind) => self.failures + 1,
            _ => 0,
        };
    }
}

impl From<Step> for CandidateOutcome {
    fn from(step: Step) -> Self {
        match step {
            Step::Concluded(conclusion) => Self::Concluded(conclusion),
            Step::Asks(queries) => Self::Asks(queries),
        }
    }
}

/// Whether what a candidate came to is what the version in force came to.
#[must_use]
pub fn agreement(in_force: &Conclusion, candidate: &CandidateOutcome) -> Agreement {
    let CandidateOutcome::Concluded(candidate) = candidate else { return Agreement::Differs };
    if in_force == candidate {
        return Agreement::Same;
    }
    let does_the_same = match (in_force, candidate) {
        (Conclusion::Decided(one), Conclusion::Decided(other)) => wordless(one) == wordless(other),
        (Conclusion::Failed(one), Conclusion::Failed(other)) => one.kind == other.kind,
        (Conclusion::Decided(_), Conclusion::Failed(_)) | (Conclusion::Failed(_), Conclusion::Decided(_)) => false,
    };
    if does_the_same { Agreement::OtherWords } else { Agreement::Differs }
}

/// A decision without its reasons.
fn wordless(decision: &Decision) -> Decision {
    let without = |intent: &Proposal| Proposal { reason: String::new(), ..intent.clone() };
    let intents = decision.intents.iter().map(without).collect();
    Decision { intents, explanation: String::new(), ..decision.clone() }
}
