//! Conflicts go to a person, once: a record of its own names what was found, and is told as such.

use crate::{
    decide::Batch,
    record::{CheckName, ConflictFound, Fact, IntentJudged, Verdict},
};

impl Batch<'_> {
    /// Record what the guard says, and the conflict that it found, if a person is to be called for it.
    pub(crate) fn add_judged(&mut self, fact: Fact) {
        let conflict = match &fact {
            Fact::IntentJudged(judged) => self.conflict(judged),
            _ => None,
        };
        self.add(fact);
        conflict.into_iter().for_each(|conflict| self.add(conflict));
    }

    /// The record of a conflict that a judgement found, unless a person was called for this alert already.
    fn conflict(&self, judged: &IntentJudged) -> Option<Fact> {
        let IntentJudged { intent, episode, policy, verdict, checks, .. } = judged;
        let Verdict::Refused(conflict) = verdict else { return None };
        if !conflict.finds_conflicts() || self.state.concern(*episode, policy)?.escalated {
            return None;
        }
        let target = self.state.intents.get(intent)?.proposal.target.parse().ok()?;
        // A policy that would take back what it did itself waits until that can be seen; two that disagree never will.
        if *conflict == CheckName::Opposes && self.state.swings.last(&target)?.policy == *policy {
            return None;
        }
        let found = checks.iter().find(|checked| checked.check == *conflict)?.found.clone();
        let (intent, episode, conflict) = (*intent, *episode, *conflict);
        let policy = policy.clone();
        Some(Fact::ConflictFound(Box::new(ConflictFound { conflict, intent, episode, policy, target, found })))
    }
}
