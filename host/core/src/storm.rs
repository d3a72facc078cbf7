//! The storm brake: when many targets or accounts alert at once, the cause is rarely in each of them.
//!
//! It owns what alerts now, and from when on less and then nothing is done. What is done about it is decided by the guard
//! (less) and by whoever takes alerts (a stop, once).

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use crate::{caps, name::EpisodeId, target::Target, time::Moment};

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
    /// Targets that firing alerts stand for, of policies that may act.
    pub targets: u32,
    /// Their accounts.
    pub accounts: u32,
}

/// What alerted last when.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Alerting {
    last: BTreeMap<Target, Moment>,
    /// What each alert stands for, while its episode is remembered: one target in each account.
    #[serde(default)]
    stands_for: BTreeMap<EpisodeId, Vec<Target>>,
    /// That less is done has been recorded for this storm.
    pub(crate) told: bool,
}

impl Alerting {
    /// An alert fires that concerns these targets, those first that it speaks of most narrowly. `age` tells how long ago a
    /// moment was, and what alerted within `window` alerts now.
    ///
    /// That an operator gave a policy many targets says nothing about how many of them are in trouble, so one alert counts as
    /// one target in each account: the first that no other alert stands for, and where all are taken, the first.
    pub(crate) fn fires(
        &mut self,
        alert: EpisodeId,
        concerned: &[&Target],
        at: Moment,
        window: Duration,
        age: impl Fn(Moment) -> Duration,
    ) {
        let mut accounts = BTreeSet::new();
        for first in concerned.iter().filter(|target| accounts.insert(target.account)) {
            let mut of_account = concerned.iter().copied().filter(|target| target.account == first.account);
            let before = self.stands_for.get(&alert).into_iter().flatten().find(|one| one.account == first.account);
            if let Some(before) = before.cloned() {
                self.note(&before, at, &age);
                continue;
            }
            let is_free = |target: &&Target| self.last.get(*target).is_none_or(|at| age(*at) >= window);
            let target = Target::clone(of_account.find(is_free).unwrap_or(first));
            self.stands_for.entry(alert).or_default().push(target.clone());
            self.note(&target, at, &age);
        }
    }

    /// An alert's episode is not remembered any more.
    pub(crate) fn forget_alert(&mut self, alert: EpisodeId) {
        self.stands_for.remove(&alert);
    }

    fn note(&mut self, target: &Target, at: Moment, age: impl Fn(Moment) -> Duration) {
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
        self.stands_for.clear();
    }

    /// A person accepts the time: moments are as old as they look.
    pub(crate) fn accept_clock(&mut self) {
        self.last.values_mut().for_each(Moment::accept);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        name::Seq,
        time::{Moment, Timestamp},
    };

    const WINDOW: Duration = Duration::from_secs(60);

    struct Alerts(Alerting);

    impl Alerts {
        fn fires(&mut self, alert: u64, targets: &[&str], at_s: u64) {
            let targets: Vec<Target> = targets.iter().map(|name| target(name)).collect();
            let (held, now) = (Duration::ZERO, Timestamp::from_millis(at_s * 1000));
            let targets: Vec<&Target> = targets.iter().collect();
            self.0.fires(EpisodeId(Seq(alert)), &targets, Moment::new(now, held), WINDOW, |at| at.age(held, now));
        }

        fn width(&self, at_s: u64) -> (u32, u32) {
            let now = Timestamp::from_millis(at_s * 1000);
            let Width { targets, accounts } = self.0.width(60_000, |at| at.age(Duration::ZERO, now));
            (targets, accounts)
        }
    }

    /// `web`, or `2:web` in the second account.
    fn target(name: &str) -> Target {
        let (account, name) = name.split_once(':').map_or(("123456789012", name), |(_, name)| ("210987654321", name));
        format!("arn:aws:ecs:eu-central-1:{account}:service/prod/{name}").parse().expect("a target")
    }

    #[test]
    fn one_alert_counts_as_one_target_in_each_account_whatever_its_policies_were_given() {
        let mut alerts = Alerts(Alerting::default());
        alerts.fires(1, &["a", "b", "c", "2:a", "2:b"], 0);
        assert_eq!(alerts.width(0), (2, 2));
        alerts.fires(1, &["a", "b", "c", "2:a", "2:b"], 30);
        assert_eq!(alerts.width(30), (2, 2), "the same alert again is no other");
        assert_eq!(alerts.width(61), (2, 2), "and it alerted last when it fired again");
    }

    #[test]
    fn alerts_that_concern_the_same_targets_count_once_each_and_not_more_often_than_there_are_targets() {
        let mut alerts = Alerts(Alerting::default());
        for alert in 1..=5 {
            alerts.fires(alert, &["a", "b", "c"], 0);
        }
        assert_eq!(alerts.width(0), (3, 1));
        let mut alerts = Alerts(Alerting::default());
        for alert in 1..=5 {
            alerts.fires(alert, &["a"], 0);
        }
        assert_eq!(alerts.width(0), (1, 1));
    }

    #[test]
    fn a_target_that_no_longer_alerts_is_free_for_another_alert() {
        let mut alerts = Alerts(Alerting::default());
        alerts.fires(1, &["a", "b"], 0);
        alerts.fires(2, &["a", "b"], 59);
        assert_eq!(alerts.width(59), (2, 1));
        alerts.fires(3, &["a", "b"], 60);
        assert_eq!(alerts.width(60), (2, 1), "the first is a minute old");
    }
}
