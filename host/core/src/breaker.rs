//! Breakers: what ends badly again and again is halted until a person says go on.
//!
//! It owns the count of bad ends in a row, per policy, per target and over everything. A breaker engages a stop like any
//! other; it never releases one.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

use crate::{
    caps,
    intent::Intent,
    record::{IntentEnd, StopScope},
    target::Target,
};

/// Halts what shares its scope after so many bad ends in a row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Breaker {
    /// What shares the count, and is halted.
    pub scope: BreakerScope,
    /// After so many.
    pub after: u32,
}

/// What shares a breaker's count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BreakerScope {
    /// All intents together.
    Everything,
    /// Those of one policy.
    Policy,
    /// Those on one target.
    Target,
}

impl fmt::Display for BreakerScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Everything => "everything",
            Self::Policy => "policy",
            Self::Target => "target",
        })
    }
}

impl BreakerScope {
    /// What is halted when an intent was one too many. None for one without a target, which was never admitted.
    pub(crate) fn of(self, intent: &Intent) -> Option<StopScope> {
        match self {
            Self::Everything => Some(StopScope::Everything),
            Self::Policy => Some(StopScope::Policy(intent.policy.clone())),
            Self::Target => intent.proposal.target.parse::<Target>().ok().map(StopScope::Target),
        }
    }
}

/// Bad ends in a row.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Streaks(#[serde(with = "crate::pairs")] BTreeMap<StopScope, u32>);

impl Streaks {
    /// An intent has ended. A verified one ends every row that it is in; one that was never admitted says nothing, and of one
    /// that took another back only a bad end does.
    pub(crate) fn end(&mut self, intent: &Intent, how: IntentEnd) {
        let scopes = [BreakerScope::Everything, BreakerScope::Policy, BreakerScope::Target];
        let scopes = scopes.into_iter().filter_map(|scope| scope.of(intent));
        match how {
            how if how.is_bad() && intent.attempts > 0 => scopes.for_each(|scope| self.count_one(scope)),
            IntentEnd::Verified if intent.undo_of.is_none() => {
                for scope in scopes {
                    self.0.remove(&scope);
                }
            }
            _ => {}
        }
    }

    /// Where there is no room for another row, the shortest is forgotten: it is the farthest from halting anything.
    fn count_one(&mut self, scope: StopScope) {
        if self.0.len() >= caps::STREAKS
            && !self.0.contains_key(&scope)
            && let Some(shortest) = self.0.iter().min_by_key(|(_, count)| **count).map(|(scope, _)| scope.clone())
        {
            self.0.remove(&shortest);
        }
        *self.0.entry(scope).or_default() += 1;
    }

    /// A person has released what a breaker halted: the row begins anew, and every one where that was everything.
    pub(crate) fn forgive(&mut self, scope: &StopScope) {
        if *scope == StopScope::Everything {
            self.0.clear();
        }
        self.0.remove(scope);
    }

    /// How many ended badly in a row.
    pub(crate) fn count(&self, scope: &StopScope) -> u32 {
        self.0.get(scope).copied().unwrap_or(0)
    }
}
