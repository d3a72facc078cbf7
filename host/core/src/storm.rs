//! The storm brake: when many targets or accounts alert at once, the cause is rarely in each of them.
//!
//! It owns what alerts now, and from when on less and then nothing is done. What is done about it is decided by the guard
//! (less) and by whoever takes alerts (a stop, once).

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use crate::{caps, target::Target, time::Moment};

/// When many alert at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Storm {
    /// What alerted within this time alerts at once.
    pub window_ms: u64,
    /// From when on less is done, and how much.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slow: Option<Slow>,
    /// From when on everything is stopped.
    #[serde(default, skip_serializing_if = "Threshold::is_never")]
    pub stop: Threshold,
}

/// From when on less is done, and how much.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Slow {
    /// From when on.
    pub from: Threshold,
    /// At most so many admissions in the storm's window, whatever the limits say.
    pub count: u32,
}

/// So many targets, or so many accounts; what is absent does not matter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Threshold {
    /// So many targets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub targets: Option<u32>,
    /// So many accounts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accounts: Option<u32>,
}

impl Threshold {
    /// Whether nothing reaches it.
    #[must_use]
    pub const fn is_never(&self) -> bool {
        self.targets.is_none() && self.accounts.is_none()
    }

    /// Whether so many reach it.
    #[must_use]
    pub fn is_reached(&self, width: Width) -> bool {
        self.targets.is_some_and(|least| width.targets >= least)
            || self.accounts.is_some_and(|least| width.accounts >= least)
    }
}

/// How many alert at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Width {
    /// Targets that firing alerts concern.
    pub targets: u32,
    /// Their accounts.
    pub accounts: u32,
}

/// What alerted last when.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Alerting {
    last: BTreeMap<Target, Moment>,
    /// That less is done has been recorded for this storm.
    pub(crate) told: bool,
}

impl Alerting {
    /// A firing alert concerns a target. `age` tells how long ago a moment was.
    pub(crate) fn note(&mut self, target: &Target, at: Moment, age: impl Fn(Moment) -> Duration) {
        if self.last.len() >= caps::TARGETS_ALERTING && !self.last.contains_key(target) {
            let longest = Duration::from_secs(caps::STORM_WINDOW_MOST_S);
            self.last.retain(|_, at| age(*at) < longest);
            if self.last.len() >= caps::TARGETS_ALERTING {
                return;
            }
        }
        self.last.insert(target.clone(), at);
    }

    /// How many alert at once.
    pub(crate) fn width(&self, window_ms: u64, age: impl Fn(Moment) -> Duration) -> Width {
        let window = Duration::from_millis(window_ms);
        let now = self.last.iter().filter(|(_, at)| age(**at) < window);
        let (mut targets, mut accounts) = (0, BTreeSet::new());
        for (target, _) in now {
            targets += 1;
            accounts.insert(target.account);
        }
        Width { targets, accounts: u32::try_from(accounts.len()).unwrap_or(u32::MAX) }
    }

    /// A person has released what the brake stopped: what alerts from now on is counted anew.
    pub(crate) fn forget(&mut self) {
        self.last.clear();
    }

    /// A person accepts the time: moments are as old as they look.
    pub(crate) fn accept_clock(&mut self) {
        self.last.values_mut().for_each(Moment::accept);
    }
}
