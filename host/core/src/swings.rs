//! Swings: when a target's capacity was changed one way and then the other.
//!
//! Part of the state; it owns what a target was last changed by and how often it was turned around. Whether that is too
//! often is the guard's to say.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use crate::{
    action::Direction,
    caps,
    name::{IntentId, PolicyName},
    target::Target,
    time::Moment,
};

/// What conflicts are recognised, and from when on they go to a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Conflicts {
    /// A target is turned around at most so often …
    pub reversals: u32,
    /// … within this time.
    pub reversals_within_ms: u64,
    /// An alert that fired again after what was done about it, so often, is not met by the same policy again.
    pub recurrences: u32,
}

impl Default for Conflicts {
    fn default() -> Self {
        Self { reversals: 3, reversals_within_ms: 3_600_000, recurrences: 3 }
    }
}

/// What changed a target's capacity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Swing {
    pub(crate) direction: Direction,
    pub(crate) at: Moment,
    pub(crate) intent: IntentId,
    pub(crate) policy: PolicyName,
    /// A call of it had no answer: whatever is found out later, it counts as done.
    #[serde(default)]
    pub(crate) doubtful: bool,
}

/// What changed each target's capacity last, and when that turned it around.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Swings(BTreeMap<Target, Past>);

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Past {
    last: Swing,
    /// What changed it before that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    earlier: Option<Swing>,
    /// When it was turned around, oldest first; the newest ones.
    reversed: VecDeque<Moment>,
}

impl Direction {
    /// Whether it takes back what another did.
    pub(crate) const fn opposes(self, other: Self) -> bool {
        matches!((self, other), (Self::Out, Self::In) | (Self::In, Self::Out))
    }
}

impl Swings {
    /// A target's capacity is about to be changed. `age` tells how long ago a moment was.
    pub(crate) fn note(&mut self, target: &Target, swing: Swing, age: impl Fn(Moment) -> Duration) {
        if self.0.len() >= caps::TARGETS_SWUNG
            && !self.0.contains_key(target)
            && let Some(oldest) =
                self.0.iter().max_by_key(|(_, past)| age(past.last.at)).map(|(target, _)| target.clone())
        {
            self.0.remove(&oldest);
        }
        match self.0.get_mut(target) {
            None => {
                self.0.insert(target.clone(), Past { last: swing, earlier: None, reversed: VecDeque::new() });
            }
            Some(past) => {
                if swing.direction.opposes(past.last.direction) {
                    if past.reversed.len() >= caps::REVERSALS {
                        past.reversed.pop_front();
                    }
                    past.reversed.push_back(swing.at);
                }
                past.earlier = Some(std::mem::replace(&mut past.last, swing));
            }
        }
    }

    /// A call of what is about to change a target had no answer.
    pub(crate) fn doubt(&mut self, target: &Target, intent: IntentId) {
        if let Some(past) = self.0.get_mut(target).filter(|past| past.last.intent == intent) {
            past.last.doubtful = true;
        }
    }

    /// What was about to change a target surely did not: things are as if it had never been tried.
    pub(crate) fn take_back(&mut self, target: &Target, intent: IntentId) {
        let Some(past) = self.0.get_mut(target) else { return };
        if past.last.intent != intent || past.last.doubtful {
            return;
        }
        match past.earlier.take() {
            None => drop(self.0.remove(target)),
            Some(earlier) => {
                if past.last.direction.opposes(earlier.direction) {
                    past.reversed.pop_back();
                }
                past.last = earlier;
            }
        }
    }

    /// What changed it last.
    pub(crate) fn last(&self, target: &Target) -> Option<&Swing> {
        self.0.get(target).map(|past| &past.last)
    }

    /// How often it was turned around within a time. `age` tells how long ago a moment was.
    pub(crate) fn reversals(&self, target: &Target, within: Duration, age: impl Fn(Moment) -> Duration) -> usize {
        self.0.get(target).map_or(0, |past| past.reversed.iter().filter(|at| age(**at) < within).count())
    }

    /// A person accepts the time: moments are as old as they look.
    pub(crate) fn accept_clock(&mut self) {
        for past in self.0.values_mut() {
            past.last.at.accept();
            past.earlier.iter_mut().for_each(|earlier| earlier.at.accept());
            past.reversed.iter_mut().for_each(Moment::accept);
        }
    }
}
