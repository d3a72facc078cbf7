//! What happens in the world besides the calls under test: creation, other people, failures of tasks, lag.
//!
//! A scenario's step is never faulted and never logged as a call. How steps come in is not known here.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    answer::Health,
    limits,
    world::{
        clockwork::Lag,
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
    /// An active service of that name is there already.
    #[error("service '{0}' exists already")]
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
