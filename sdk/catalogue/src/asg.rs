//! Amazon EC2 Auto Scaling: groups and their instances.
//!
//! Field names follow the API's (`DescribeAutoScalingGroups`, `DescribeInstanceRefreshes` of the Amazon EC2 Auto Scaling
//! API Reference), shortened where the context says the rest. Times are milliseconds since 1970.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Action, Query};

/// Have this many instances in the group (`SetDesiredCapacity`).
///
/// Verified when exactly that many are in service, none is on its way in, and what is new among them is healthy. Its inverse
/// sets the number that was found before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct SetDesiredCapacity {
    /// How many instances there shall be: absolute, never a difference.
    pub desired: u32,
}

impl Action for SetDesiredCapacity {
    const NAME: &'static str = "asg:set-desired-capacity";
}

/// Terminate one instance of the group; the group launches another in its place, since its desired number stays
/// (`TerminateInstanceInAutoScalingGroup` without decrement).
///
/// Verified when that instance is gone, the group has its desired number in service again, and what is new among them is
/// healthy. It has no inverse.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct TerminateInstance {
    /// The instance's id: `i-` and 8 or 17 hexadecimal digits.
    pub instance: String,
}

impl Action for TerminateInstance {
    const NAME: &'static str = "asg:terminate-instance";
}

/// Replace all instances of the group by new ones, some at a time (`StartInstanceRefresh`).
///
/// Verified when a refresh that was not there before the attempt was successful, the group has its desired number in service,
/// and what is new among them is healthy. It has no inverse.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct StartInstanceRefresh {
    /// The share of the desired number that stays in service and healthy meanwhile, in per cent, 0 to 100; 90 when absent,
    /// as the API has it. AWS takes away one instance at least.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_healthy_percent: Option<u32>,
}

impl Action for StartInstanceRefresh {
    const NAME: &'static str = "asg:start-instance-refresh";
}

/// Ask for a group as it is now, with its instances. No parameters.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct GroupQuery {}

impl Query for GroupQuery {
    const NAME: &'static str = "asg:group";
    type Answer = Group;
}

/// A group, as `DescribeAutoScalingGroups` shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct Group {
    /// Empty, or `Delete in progress`.
    #[serde(default)]
    pub status: String,
    /// Instances that there shall be.
    pub desired: u32,
    /// The fewest that the group may be told to have.
    pub min: u32,
    /// The most that it may be told to have.
    pub max: u32,
    /// Its instances, sorted by id. One that is gone is no longer among them.
    pub instances: Vec<Instance>,
    /// The newest refreshes, newest first, ended ones among them. At most ten.
    #[serde(default)]
    pub refreshes: Vec<Refresh>,
    /// Processes that somebody suspended, such as `Launch` or `ReplaceUnhealthy`, sorted.
    #[serde(default)]
    pub suspended: Vec<String>,
    /// The group's tags.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
}

/// An instance of a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct Instance {
    /// `i-` and 8 or 17 hexadecimal digits.
    pub id: String,
    /// Where it is in its life: `Pending`, `Pending:Wait`, …, `InService`, `Terminating`, …, `Standby`, `Detaching`, …
    pub lifecycle_state: String,
    /// `Healthy` or `Unhealthy`, by the checks that the group uses.
    pub health_status: String,
    /// Whether it is protected from being chosen when the group scales in.
    #[serde(default)]
    pub protected: bool,
}

/// A refresh of a group, as `DescribeInstanceRefreshes` shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct Refresh {
    /// Its id.
    pub id: String,
    /// `Pending`, `InProgress`, `Successful`, `Failed`, `Cancelling`, `Cancelled`, `RollbackInProgress`, …
    pub status: String,
    /// When it began, in milliseconds since 1970; 0 before it has.
    #[serde(default)]
    pub started_at: u64,
    /// How much of it is done, in per cent.
    #[serde(default)]
    pub percentage_complete: u32,
}

impl Group {
    /// The instances in service, healthy or not.
    pub fn in_service(&self) -> impl Iterator<Item = &Instance> {
        self.instances.iter().filter(|instance| instance.is_in_service())
    }

    /// How many instances are in service and healthy.
    #[must_use]
    pub fn healthy(&self) -> u32 {
        count(self.in_service().filter(|instance| instance.is_healthy()))
    }

    /// How many instances are on their way into service.
    #[must_use]
    pub fn pending(&self) -> u32 {
        count(self.instances.iter().filter(|instance| instance.is_pending()))
    }

    /// The refresh that is under way, if one is.
    #[must_use]
    pub fn refreshing(&self) -> Option<&Refresh> {
        self.refreshes.iter().find(|refresh| !refresh.has_ended())
    }
}

impl Instance {
    /// Whether it serves.
    #[must_use]
    pub fn is_in_service(&self) -> bool {
        self.lifecycle_state == "InService"
    }

    /// Whether the group's checks find it healthy.
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        self.health_status == "Healthy"
    }

    /// Whether it is on its way into service.
    #[must_use]
    pub fn is_pending(&self) -> bool {
        self.lifecycle_state.starts_with("Pending")
    }

    /// Whether it is on its way out for good.
    #[must_use]
    pub fn is_terminating(&self) -> bool {
        self.lifecycle_state.starts_with("Terminat")
    }
}

impl Refresh {
    /// Whether it is over, however it ended. A word that is not known means that it is not.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        matches!(self.status.as_str(), "Successful" | "Failed" | "Cancelled" | "RollbackFailed" | "RollbackSuccessful")
    }
}

fn count<'a>(instances: impl Iterator<Item = &'a Instance>) -> u32 {
    u32::try_from(instances.count()).unwrap_or(u32::MAX)
}
