//! The records of approvals: asked for, given, withdrawn, denied, repeated, expired, used, void, and what did not count.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Plan;
use crate::{
    digest::Digest,
    name::{ApproverName, EpisodeId, IntentId, PolicyName},
    record::{CheckName, Person},
    time::Timestamp,
};

/// See [`Fact::ApprovalRequested`](crate::record::Fact::ApprovalRequested).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ApprovalRequested {
    /// For which intent.
    pub intent: IntentId,
    /// Of which episode.
    pub episode: EpisodeId,
    /// Of which policy.
    pub policy: PolicyName,
    /// What is to be approved, whole.
    pub plan: Plan,
    /// SHA-256 over the line `balm plan 1` and the plan's JSON with sorted keys: what an approval must repeat.
    pub hash: Digest,
    /// How many different people must say yes.
    pub needs: u32,
    /// Who may. Fewer than are needed means that it will expire, unless others are configured before.
    pub approvers: Vec<ApproverName>,
    /// When people are told once more.
    pub reminds_at: Timestamp,
    /// When it is over.
    pub expires_at: Timestamp,
}

/// See [`Fact::ApprovalReminded`](crate::record::Fact::ApprovalReminded).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ApprovalReminded {
    /// Of which intent.
    pub intent: IntentId,
    /// Of which episode.
    pub episode: EpisodeId,
    /// The plan.
    pub hash: Digest,
    /// How many people must say yes.
    pub needs: u32,
    /// Who has.
    pub given: Vec<ApproverName>,
    /// When it is over.
    pub expires_at: Timestamp,
}

/// See [`Fact::ApprovalGiven`](crate::record::Fact::ApprovalGiven).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ApprovalGiven {
    /// To which intent.
    pub intent: IntentId,
    /// Of which episode.
    pub episode: EpisodeId,
    /// The plan that it is a yes to.
    pub hash: Digest,
    /// Whose yes.
    pub by: ApproverName,
    /// How the host knew the person, and why they say yes.
    pub person: Person,
    /// The how manieth yes it is.
    pub count: u32,
    /// How many are needed. With the last of them the intent is proposed again.
    pub needs: u32,
}

/// See [`Fact::ApprovalWithdrawn`](crate::record::Fact::ApprovalWithdrawn).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ApprovalWithdrawn {
    /// From which intent.
    pub intent: IntentId,
    /// Of which episode.
    pub episode: EpisodeId,
    /// The plan.
    pub hash: Digest,
    /// Whose yes it was.
    pub by: ApproverName,
    /// How the host knew the person, and why.
    pub person: Person,
}

/// See [`Fact::ApprovalDenied`](crate::record::Fact::ApprovalDenied).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ApprovalDenied {
    /// To which intent.
    pub intent: IntentId,
    /// Of which episode.
    pub episode: EpisodeId,
    /// The plan.
    pub hash: Digest,
    /// Whose no.
    pub by: ApproverName,
    /// How the host knew the person, and why they say no.
    pub person: Person,
}

/// See [`Fact::ApprovalExpired`](crate::record::Fact::ApprovalExpired).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ApprovalExpired {
    /// Of which intent.
    pub intent: IntentId,
    /// Of which episode.
    pub episode: EpisodeId,
    /// The plan.
    pub hash: Digest,
    /// How many people were to say yes.
    pub needs: u32,
    /// Who had.
    pub given: Vec<ApproverName>,
}

/// See [`Fact::ApprovalUsed`](crate::record::Fact::ApprovalUsed).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ApprovalUsed {
    /// By which intent.
    pub intent: IntentId,
    /// Of which episode.
    pub episode: EpisodeId,
    /// The plan.
    pub hash: Digest,
    /// Whose approvals.
    pub by: Vec<ApproverName>,
}

/// See [`Fact::ApprovalVoid`](crate::record::Fact::ApprovalVoid).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ApprovalVoid {
    /// Of which intent.
    pub intent: IntentId,
    /// Of which episode.
    pub episode: EpisodeId,
    /// The plan.
    pub hash: Digest,
    /// Why, in a word.
    pub reason: VoidReason,
    /// In a sentence.
    pub why: String,
    /// Whose approvals are void with it.
    pub given: Vec<ApproverName>,
}

/// Why an approval is void.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum VoidReason {
    /// The plan is no longer the one that people were shown.
    PlanChanged,
    /// The world is no longer as the plan expects it.
    WorldChanged,
    /// The guard refuses it now; the named check says why.
    Refused(CheckName),
    /// The policy only watches now.
    Observed,
    /// The rules ask for more people now than they did.
    NeedsMore,
    /// Who approved it may approve no longer.
    NoApprover,
    /// The alert has resolved.
    Resolved,
    /// The episode has ended.
    EpisodeEnded,
    /// The intent ended in another way.
    Ended,
}

impl fmt::Display for VoidReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PlanChanged => f.write_str("the plan has changed"),
            Self::WorldChanged => f.write_str("the world has changed"),
            Self::Refused(check) => write!(f, "refused by the check {check}"),
            Self::Observed => f.write_str("the policy only watches now"),
            Self::NeedsMore => f.write_str("the rules ask for more people now"),
            Self::NoApprover => f.write_str("who approved may approve no longer"),
            Self::Resolved => f.write_str("the alert has resolved"),
            Self::EpisodeEnded => f.write_str("the episode has ended"),
            Self::Ended => f.write_str("the intent has ended"),
        }
    }
}

/// See [`Fact::ApprovalRefused`](crate::record::Fact::ApprovalRefused).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ApprovalRefused {
    /// Of which intent it was said.
    pub intent: IntentId,
    /// What was said.
    pub saying: Saying,
    /// The hash that was repeated, as it was typed; at most 80 characters of it.
    pub plan: String,
    /// Who said it, as far as the host knew, and why.
    pub person: Person,
    /// Why it does not count.
    pub reason: Refusal,
}

/// What a person says of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Saying {
    /// It may be done.
    Yes,
    /// Their own yes counts no longer.
    Withdrawn,
    /// It may not be done, whatever others say.
    No,
}

impl fmt::Display for Saying {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Yes => "an approval",
            Self::Withdrawn => "a withdrawal",
            Self::No => "a denial",
        })
    }
}

/// Why what a person says does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Refusal {
    /// The configuration does not name the person as an approver.
    NotAnApprover,
    /// The intent does not wait for approvals, or there is none of this name.
    NoRequest,
    /// The repeated hash is not that of the plan.
    WrongPlan,
    /// It comes too late.
    Expired,
    /// It is being done, or was done.
    Used,
    /// Somebody said no before.
    Denied,
    /// What was to be approved is no longer so.
    Void,
    /// The same person has said yes already.
    AlreadyGiven,
    /// There is no yes of this person to withdraw.
    NotGiven,
}

impl Refusal {
    /// Why, and what to do.
    #[must_use]
    pub const fn advice(self) -> &'static str {
        match self {
            Self::NotAnApprover => {
                "the configuration names nobody who may approve and speaks so: give the credential the role approver, or the \
                 user of this machine an [[approver]]"
            }
            Self::NoRequest => "no such intent waits for approval; `balm approvals` lists those that do",
            Self::WrongPlan => "this is not the hash of its plan: read the plan again with `balm approvals`",
            Self::Expired => "its time is over, and it was not done",
            Self::Used => "its approvals are used: it is being done or was done; `balm stop` halts what has not begun",
            Self::Denied => "a person has denied it",
            Self::Void => "it is void, since something has changed; `balm explain` says what",
            Self::AlreadyGiven => "this person has approved it already, and counts once",
            Self::NotGiven => "this person has not approved it, so there is nothing to withdraw",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.advice())
    }
}
