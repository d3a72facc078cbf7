//! What happens in the world besides the calls under test: creation, other people, failures of tasks and instances, lag.
//!
//! A scenario's step is never faulted and never logged as a call. How steps come in is not known here.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    answer::Health,
    limits,
    world::{
        clockwork::Lag,
        group::Launching,
        service::{HealthCheck, Starting},
    },
};

/// One step. In JSON it is told apart by `do`: `{"do":"set-desired","service":{…},"desired":6}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case", rename_all_fields = "kebab-case", deny_unknown_fields)]
pub enum Step {
    /// An empty cluster comes to be; one that is there stays as it is.
    CreateCluster {
        /// Its account; the endpoint's own when empty.
        #[serde(default)]
        account: String,
        /// Its region; the endpoint's own when empty.
        #[serde(default)]
        region: String,
        /// Its name.
        cluster: String,
    },
    /// A service comes to be, and its cluster if need be, in a steady state.
    CreateService(NewService),
    /// Another person sets how many tasks a service runs. Not in the call log: it is not a call under test.
    SetDesired {
        /// Which.
        service: Address,
        /// How many.
        desired: u32,
    },
    /// Another person rolls a service.
    Redeploy {
        /// Which.
        service: Address,
    },
    /// A task's health checks say something else from now on. The scheduler leaves an unhealthy task alone; AWS's would
    /// replace it sooner or later, which is `KillTask` here, whenever that suits the scenario.
    SetHealth {
        /// Whose.
        service: Address,
        /// Which task; the running one with the lowest id when absent.
        #[serde(default)]
        task: Option<String>,
        /// What they say.
        health: Health,
    },
    /// A task's process ends; the scheduler replaces it.
    KillTask {
        /// Whose.
        service: Address,
        /// Which task; the running one with the lowest id when absent.
        #[serde(default)]
        task: Option<String>,
    },
    /// What becomes of tasks that a service starts from now on. Back to normal, those held up start.
    SetStarting {
        /// Whose.
        service: Address,
        /// What.
        starting: Starting,
    },
    /// A service is deleted: it drains, is INACTIVE for an hour, then unknown.
    DeleteService {
        /// Which.
        service: Address,
    },
    /// How slow the world is from now on. What is under way keeps its time.
    SetLag {
        /// How slow.
        lag: Lag,
    },
    /// A group comes to be, in a steady state.
    CreateGroup(NewGroup),
    /// Another person sets how many instances a group has. It cools down from that as from any change.
    SetCapacity {
        /// Which.
        group: GroupAddress,
        /// How many.
        desired: u32,
    },
    /// An instance's health checks say something else from now on. It stays until somebody terminates it.
    SetInstanceHealth {
        /// Whose.
        group: GroupAddress,
        /// Which instance; the one in service with the lowest id when absent.
        #[serde(default)]
        instance: Option<String>,
        /// Whether they pass.
        healthy: bool,
    },
    /// An instance is protected from being chosen when the group scales in, or no longer.
    SetProtection {
        /// Whose.
        group: GroupAddress,
        /// Which instance; the one in service with the lowest id when absent.
        #[serde(default)]
        instance: Option<String>,
        /// Whether it is.
        protected: bool,
    },
    /// What becomes of instances that a group launches from now on. Back to normal, those held up go on.
    SetLaunching {
        /// Whose.
        group: GroupAddress,
        /// What.
        launching: Launching,
    },
    /// Somebody suspends exactly these processes of a group. It shows them, and goes on all the same.
    Suspend {
        /// Whose.
        group: GroupAddress,
        /// Such as `Launch`.
        processes: Vec<String>,
    },
    /// Another person starts a refresh, unless one is under way.
    Refresh {
        /// Which group's.
        group: GroupAddress,
    },
}

/// Where a group is.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct GroupAddress {
    /// The account; the endpoint's own when empty.
    #[serde(default)]
    pub account: String,
    /// The region; the endpoint's own when empty.
    #[serde(default)]
    pub region: String,
    /// The group's name.
    pub group: String,
}

/// A group that comes to be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct NewGroup {
    /// Where.
    #[serde(flatten)]
    pub address: GroupAddress,
    /// How many instances it has.
    pub desired: u32,
    /// The fewest that it may be told to have.
    #[serde(default)]
    pub min: u32,
    /// The most.
    pub max: u32,
    /// Milliseconds that it cools down from a change of capacity.
    #[serde(default)]
    pub cooldown_ms: u64,
    /// Processes that somebody has suspended.
    #[serde(default)]
    pub suspended: Vec<String>,
    /// Its tags.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
}

/// Where a service is.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Address {
    /// The account; the endpoint's own when empty.
    #[serde(default)]
    pub account: String,
    /// The region; the endpoint's own when empty.
    #[serde(default)]
    pub region: String,
    /// The cluster's name.
    pub cluster: String,
    /// The service's name.
    pub service: String,
}

/// A service that comes to be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct NewService {
    /// Where.
    #[serde(flatten)]
    pub address: Address,
    /// How many tasks it runs.
    pub desired: u32,
    /// What they run, `family:revision` or an ARN; `<service>:1` when absent.
    #[serde(default)]
    pub task_definition: Option<String>,
    /// Its tags.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    /// Whether its tasks have a health check.
    #[serde(default)]
    pub health_check: HealthCheck,
}

/// A step that cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotPlayed {
    /// Not a name, an account or a region.
    #[error("'{0}' cannot be a name here")]
    NotAName(String),
    /// There is no such service.
    #[error("there is no active service '{service}' in cluster '{cluster}' of account '{account}' in '{region}'")]
    NoService {
        /// The account looked in.
        account: String,
        /// The region looked in.
        region: String,
        /// The cluster looked in.
        cluster: String,
        /// The service looked for.
        service: String,
    },
    /// There is no such group.
    #[error("there is no group '{group}' in account '{account}' in '{region}'")]
    NoGroup {
        /// The account looked in.
        account: String,
        /// The region looked in.
        region: String,
        /// The group looked for.
        group: String,
    },
    /// The group has no such instance, or none in service.
    #[error("group '{0}' has no such instance")]
    NoInstance(String),
    /// A group cannot have so many instances.
    #[error("the group has from {least} to {most} instances")]
    OutOfBounds {
        /// Its minimum.
        least: u32,
        /// Its maximum.
        most: u32,
    },
    /// An active service, or a group, of that name is there already.
    #[error("'{0}' exists already")]
    Exists(String),
    /// The service has no such task, or none that runs.
    #[error("service '{0}' has no such task")]
    NoTask(String),
    /// A bound would be passed.
    #[error("no more than {most} {what}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// The bound.
        most: usize,
    },
}

impl Step {
    /// Puts the endpoint's own account and region where none is given.
    pub fn at_home(mut self, home_account: &str, home_region: &str) -> Self {
        let (account, region) = match &mut self {
            Self::CreateCluster { account, region, .. } => (account, region),
            Self::CreateService(NewService { address, .. })
            | Self::SetDesired { service: address, .. }
            | Self::Redeploy { service: address }
            | Self::SetHealth { service: address, .. }
            | Self::KillTask { service: address, .. }
            | Self::SetStarting { service: address, .. }
            | Self::DeleteService { service: address } => (&mut address.account, &mut address.region),
            Self::CreateGroup(NewGroup { address, .. })
            | Self::SetCapacity { group: address, .. }
            | Self::SetInstanceHealth { group: address, .. }
            | Self::SetProtection { group: address, .. }
            | Self::SetLaunching { group: address, .. }
            | Self::Suspend { group: address, .. }
            | Self::Refresh { group: address } => (&mut address.account, &mut address.region),
            Self::SetLag { .. } => return self,
        };
        for (given, home) in [(account, home_account), (region, home_region)] {
            if given.is_empty() {
                home.clone_into(given);
            }
        }
        self
    }
}

impl NewService {
    pub(crate) fn within_bounds(&self) -> Result<(), NotPlayed> {
        let bounds = [
            ("tasks per service", self.desired as usize, limits::TASKS_PER_SERVICE as usize),
            ("tags per service", self.tags.len(), limits::TAGS_PER_SERVICE),
        ];
        match bounds.into_iter().find(|(_, found, most)| found > most) {
            Some((what, _, most)) => Err(NotPlayed::TooMany { what, most }),
            None => Ok(()),
        }
    }
}
