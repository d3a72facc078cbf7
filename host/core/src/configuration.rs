//! What the operator configured, as far as the rules depend on it: policies, guardrails, accounts.
//!
//! It is a record of the journal like every other input, so that a decision can be understood years later. It holds no
//! secret and refuses to know files, addresses and credentials; the host parses those and checks them before.

use std::{collections::BTreeMap, fmt, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    approval::Terms,
    breaker::Breaker,
    digest::Digest,
    freeze::{Freeze, Zone},
    json::Json,
    name::{NotifierName, PluginName, PolicyName, SourceName},
    storm::Storm,
    swings::Conflicts,
    target::{AccountId, Region, Target},
};

pub use crate::limit::{Limit, Scope, Since, Window};

/// Everything the rules depend on that an operator may change.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Configuration {
    /// Plugins put to work, by name.
    pub policies: BTreeMap<PolicyName, Policy>,
    /// Who may do what, how much and how often.
    pub guardrails: Guardrails,
    /// Where intents may act. Empty means nowhere.
    pub accounts: BTreeMap<AccountId, Vec<Region>>,
    /// Who is told, in the order of the configuration.
    pub notifiers: Vec<NotifierName>,
    /// Those of them that are told of many things at once, with pauses; the others are told of each at once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paced: Vec<NotifierName>,
    /// Those of them that are sent the host's checkpoints, so that they are kept where this host cannot change them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checkpoints: Vec<NotifierName>,
    /// Times.
    pub timing: Timing,
    /// Failures in a row after which a version of a plugin is stopped; never if it is 0.
    #[serde(default, skip_serializing_if = "is_never")]
    pub quarantine_after: u32,
    /// Who may approve, and for how long a request waits.
    #[serde(default, skip_serializing_if = "Terms::is_default")]
    pub approval: Terms,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over references")]
const fn is_never(after: &u32) -> bool {
    *after == 0
}

/// Times that the rules depend on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Timing {
    /// A trigger older than this is not acted on.
    pub max_alert_age_ms: u64,
    /// A call without an answer may still land for this long after it was sent; only then is it looked for.
    pub settle_ms: u64,
}

impl Default for Timing {
    fn default() -> Self {
        Self { max_alert_age_ms: 15 * 60 * 1000, settle_ms: 20 * 1000 }
    }
}

impl Timing {
    /// See [`Timing::max_alert_age_ms`].
    #[must_use]
    pub const fn max_alert_age(self) -> Duration {
        Duration::from_millis(self.max_alert_age_ms)
    }

    /// See [`Timing::settle_ms`].
    #[must_use]
    pub const fn settle(self) -> Duration {
        Duration::from_millis(self.settle_ms)
    }
}

/// A plugin put to work.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Policy {
    /// The plugin that decides.
    pub plugin: PluginName,
    /// How far its intents may go.
    pub mode: Mode,
    /// Which alerts it concerns.
    pub matches: Matcher,
    /// What it may look at and propose to change.
    pub targets: Targets,
    /// What the plugin is told; a JSON object that the plugin accepted.
    pub settings: Json,
}

/// How far a policy's intents may go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Not evaluated.
    Off,
    /// Evaluated and recorded, never acted on.
    #[default]
    Shadow,
    /// Every intent needs a person's approval.
    Suggest,
    /// Acts within the guardrails.
    Enforce,
}

impl Mode {
    /// Whether anything is ever done, be it with a person's approval.
    #[must_use]
    pub const fn may_act(self) -> bool {
        matches!(self, Self::Suggest | Self::Enforce)
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Off => "off",
            Self::Shadow => "shadow",
            Self::Suggest => "suggest",
            Self::Enforce => "enforce",
        })
    }
}

/// Which alerts concern a policy. All conditions must hold; a matcher without any matches nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Matcher {
    /// The alert comes from one of these.
    #[serde(default)]
    pub sources: Vec<SourceName>,
    /// Each label has one of these values, to the letter.
    #[serde(default)]
    pub labels: BTreeMap<String, Vec<String>>,
}

/// Where a policy's targets come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Targets {
    /// Always these.
    Fixed(Vec<Target>),
    /// The ECS service that a label names, among those allowed, in a fixed place. The alert selects; it never widens.
    EcsServiceFromLabel {
        /// The fixed account.
        account: AccountId,
        /// The fixed region.
        region: Region,
        /// The fixed cluster.
        cluster: String,
        /// Whose value is the service's name.
        label: String,
        /// The values that count, to the letter. Empty means none.
        allowed: Vec<String>,
    },
    /// The same for an Auto Scaling group.
    AsgGroupFromLabel {
        /// The fixed account.
        account: AccountId,
        /// The fixed region.
        region: Region,
        /// Whose value is the group's name.
        label: String,
        /// The values that count, to the letter. Empty means none.
        allowed: Vec<String>,
    },
}

/// Who may do what, how much and how often: one version, loaded or refused as a whole.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Guardrails {
    /// The texts of `*.cedar`, by file name. Empty means that nothing is permitted.
    pub rules: BTreeMap<String, String>,
    /// How often. An intent that none of them counts is refused.
    pub limits: Vec<Limit>,
    /// How far. An intent that none of them covers is refused.
    pub bounds: Vec<Bound>,
    /// For how long after a change its opposite is refused on the same target.
    pub opposes_for_ms: u64,
    /// By whose clock rules see the hour and the weekday.
    #[serde(default, skip_serializing_if = "Zone::is_utc")]
    pub zone: Zone,
    /// When nothing is done.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub freezes: Vec<Freeze>,
    /// After how many bad ends what is halted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub breakers: Vec<Breaker>,
    /// What is done about many alerts at once. Absent: nothing of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storm: Option<Storm>,
    /// From when on conflicts go to a person.
    #[serde(default)]
    pub conflicts: Conflicts,
    /// How many people it takes to release a stop.
    #[serde(default)]
    pub release: Release,
}

/// What it takes to release a stop. Engaging one takes one person, always.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Release {
    /// So many different people.
    pub people: u32,
}

impl Default for Release {
    fn default() -> Self {
        Self { people: 1 }
    }
}

impl Guardrails {
    /// What stands in every verdict for this version.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(&[Json::of(self).as_str().as_bytes()])
    }
}

/// Which intents a limit or bound speaks of; what is absent does not matter.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Filter {
    /// Only this action.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    /// Only this policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<PolicyName>,
    /// Only this target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Target>,
}

impl Filter {
    /// Whether it speaks of such an intent.
    #[must_use]
    pub fn covers(&self, action: &str, policy: &PolicyName, target: &Target) -> bool {
        self.action.as_ref().is_none_or(|only| only == action)
            && self.policy.as_ref().is_none_or(|only| only == policy)
            && self.target.as_ref().is_none_or(|only| only == target)
    }
}

/// How far one intent may go. Every bound that covers an intent must hold; what is absent does not matter.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Bound {
    /// Which intents it bounds.
    #[serde(default)]
    pub only: Filter,
    /// The count of tasks or instances is never set below this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minimum: Option<u32>,
    /// The count of tasks or instances is never set above this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maximum: Option<u32>,
    /// The count of tasks or instances changes by no more than this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<u32>,
    /// The count of tasks or instances changes by no more than this share of what it is, in per cent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step_percent: Option<u32>,
    /// After the intent, and while it takes effect, at least this share of the desired tasks or instances serves and is not
    /// unhealthy, in per cent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub healthy_percent: Option<u32>,
    /// After the intent, and while it takes effect, at least so many serve and are not unhealthy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub healthy_minimum: Option<u32>,
    /// Of the live tasks and instances of everything that the bound covers, at most so many are taken away or replaced at
    /// once: by the intent and by all that are under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changing: Option<u32>,
    /// Of the target's live tasks or instances, the intent takes away or replaces at most this share, in per cent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changing_percent: Option<u32>,
}
