//! What must hold of any journal, recounted from its records alone by somebody who shares nothing with the core.

use std::collections::{BTreeMap, BTreeSet};

use balm_core::{
    approval::record::{ApprovalGiven, ApprovalRequested},
    digest::Digest,
    name::IntentId,
    record::{CallResult, Fact, Record},
};

#[derive(Debug, Default)]
struct Ledger {
    requested: BTreeMap<IntentId, ApprovalRequested>,
    given: BTreeMap<IntentId, BTreeMap<String, Digest>>,
    /// Requests that nothing may be done on any more.
    over: BTreeSet<IntentId>,
    /// Intents with a call that was not said not to have happened.
    called: BTreeSet<IntentId>,
}

/// The laws that the records break.
pub(super) fn broken(records: &[Record]) -> Vec<String> {
    let mut ledger = Ledger::default();
    records
        .iter()
        .filter_map(|record| ledger.note(record).err().map(|law| format!("record {}: {law}", record.seq)))
        .collect()
}

impl Ledger {
    fn note(&mut self, record: &Record) -> Result<(), String> {
        match &record.fact {
            Fact::ApprovalRequested(requested) => {
                let text = serde_json::to_value(&requested.plan).map(|mut plan| {
                    plan.sort_all_objects();
                    plan.to_string()
                });
                let hash = Digest::of(&[b"balm plan 1\n", text.unwrap_or_default().as_bytes()]);
                if hash != requested.hash {
                    return Err("the hash is not that of the plan".into());
                }
                if self.requested.insert(requested.plan.intent, (**requested).clone()).is_some() {
                    return Err("people are asked twice for one intent".into());
                }
            }
            Fact::ApprovalGiven(given) => self.note_given(record, given)?,
            Fact::ApprovalWithdrawn(withdrawn) => {
                self.given.entry(withdrawn.intent).or_default().remove(withdrawn.by.as_str());
            }
            Fact::ApprovalDenied(it) => drop(self.over.insert(it.intent)),
            Fact::ApprovalExpired(it) => drop(self.over.insert(it.intent)),
            Fact::ApprovalVoid(it) => drop(self.over.insert(it.intent)),
            Fact::AttemptStarted(attempt) => {
                if !self.called.insert(attempt.intent) {
                    return Err(format!("{} is called although it may have been done", attempt.intent));
                }
                self.may_be_called(record, attempt.intent)?;
            }
            Fact::AttemptEnded(ended) if matches!(ended.result, CallResult::NotDone { .. }) => {
                self.called.remove(&ended.intent);
            }
            _ => {}
        }
        Ok(())
    }

    fn note_given(&mut self, record: &Record, given: &ApprovalGiven) -> Result<(), String> {
        let Some(requested) = self.requested.get(&given.intent) else {
            return Err("an approval of what nobody asked for".into());
        };
        if record.at >= requested.expires_at || self.over.contains(&given.intent) {
            return Err("an approval of what is over".into());
        }
        if given.hash != requested.hash {
            return Err("an approval of another plan".into());
        }
        let people = self.given.entry(given.intent).or_default();
        if people.insert(given.by.to_string(), given.hash).is_some() {
            return Err(format!("{} counts twice", given.by));
        }
        if people.len() != given.count as usize {
            return Err(format!("{} people have approved, the record says {}", people.len(), given.count));
        }
        Ok(())
    }

    fn may_be_called(&self, record: &Record, intent: IntentId) -> Result<(), String> {
        let Some(requested) = self.requested.get(&intent) else { return Ok(()) };
        let people = self.given.get(&intent).map_or(0, BTreeMap::len);
        if people < requested.needs as usize {
            return Err(format!("a call on {people} of {} approvals", requested.needs));
        }
        if record.at >= requested.expires_at {
            return Err("a call on approvals that have expired".into());
        }
        if self.over.contains(&intent) { Err("a call on what is over".into()) } else { Ok(()) }
    }
}
