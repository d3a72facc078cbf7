//! What must hold whatever the seed: checked on what became durable, and recounted from the cloud's own log.

use std::collections::{BTreeMap, BTreeSet};

use balm_core::{
    name::IntentId,
    record::{CallResult, Fact, IntentEnd, Record, StopScope},
    state::State,
};

use super::{
    host::{LIMIT, Stepped},
    world::Made,
};

/// What was durable so far, as a bookkeeper that shares nothing with the core would note it.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// When each token's first attempt became durable.
    attempts: BTreeMap<String, u64>,
    /// Intents that were called, by target, with the time of their first admission.
    admitted: BTreeMap<String, Vec<(u64, IntentId)>>,
    /// The intent under way on each target.
    under_way: BTreeMap<String, IntentId>,
    targets: BTreeMap<IntentId, String>,
    stops: BTreeSet<u64>,
    last: u64,
}

impl Ledger {
    pub(super) fn check(&mut self, stepped: &Stepped, state: &State, violations: &mut Vec<String>) {
        for record in &stepped.durable {
            if let Err(violation) = self.note(record) {
                violations.push(format!("record {}: {violation}", record.seq));
            }
        }
        if !stepped.crashed && state.seq.0 < self.last {
            violations.push("the state went back".into());
        }
    }

    fn note(&mut self, record: &Record) -> Result<(), String> {
        self.last = record.seq.0;
        let at = record.at.as_millis();
        match &record.fact {
            Fact::StopEngaged(stop) if stop.scope == StopScope::Everything => {
                self.stops.insert(record.seq.0);
            }
            Fact::StopReleased(released) => {
                self.stops.remove(&released.stop.0);
            }
            Fact::AttemptStarted(attempt) => {
                if let Some(stop) = self.stops.first() {
                    return Err(format!("an attempt starts although stop {stop} is in force"));
                }
                let target = attempt.target.to_string();
                if let Some(other) = self.under_way.insert(target.clone(), attempt.intent)
                    && other != attempt.intent
                {
                    return Err(format!("{} starts on a target that {other} is under way on", attempt.intent));
                }
                self.attempts.entry(attempt.token.clone()).or_insert(at);
                self.targets.insert(attempt.intent, target.clone());
                let admitted = self.admitted.entry(target).or_default();
                if admitted.iter().all(|(_, intent)| *intent != attempt.intent) {
                    admitted.push((at, attempt.intent));
                }
                let within = admitted.iter().filter(|(then, _)| at - then < 3_600_000).count();
                if within > LIMIT as usize {
                    return Err(format!("{within} admissions in an hour, {LIMIT} are allowed"));
                }
            }
            Fact::AttemptEnded(ended) if matches!(ended.result, CallResult::NotDone { .. }) => {}
            Fact::IntentEnded(ended) => {
                self.release(ended.intent);
                if ended.how == IntentEnd::Failed && ended.why.is_empty() {
                    return Err("an intent failed for no reason".into());
                }
            }
            Fact::IntentJudged(judged) => {
                if let balm_core::record::Verdict::Refused(_) = judged.verdict {
                    self.release(judged.intent);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn release(&mut self, intent: IntentId) {
        if let Some(target) = self.targets.get(&intent)
            && self.under_way.get(target) == Some(&intent)
        {
            self.under_way.remove(target);
        }
    }

    /// Everything that the cloud did has an attempt that was durable before.
    pub(super) fn recount(&self, made: &[Made]) -> Vec<String> {
        let unrecorded = |made: &&Made| self.attempts.get(&made.token).is_none_or(|since| *since > made.at);
        made.iter().filter(unrecorded).map(|made| format!("{} was done without a record", made.token)).collect()
    }
}

/// Intents and episodes that are still open although nothing happens any more.
pub(super) fn stuck(state: &State) -> usize {
    state.intents.len() + state.episodes.values().filter(|episode| episode.ended.is_none()).count()
}
