//! What records of approvals say of the state.

use super::{State, Timer};
use crate::{
    approval::{
        Closed, Given, Request,
        record::{ApprovalGiven, ApprovalRequested, ApprovalWithdrawn},
    },
    intent::Stage,
    name::{IntentId, Seq},
    record::{Fact, Purpose},
};

impl State {
    pub(super) fn apply_approval(&mut self, seq: Seq, fact: &Fact) {
        match fact {
            Fact::ApprovalRequested(requested) => self.apply_requested(seq, requested),
            Fact::ApprovalReminded(reminded) => {
                if let Some(request) = self.approvals.get_mut(reminded.intent) {
                    request.reminded = true;
                }
            }
            Fact::ApprovalGiven(given) => self.apply_given(given),
            Fact::ApprovalWithdrawn(withdrawn) => self.apply_withdrawn(withdrawn),
            Fact::ApprovalUsed(used) => {
                if let Some(request) = self.approvals.get_mut(used.intent) {
                    request.used = true;
                }
            }
            Fact::ApprovalDenied(denied) => self.approvals.close(denied.intent, Closed::Denied),
            Fact::ApprovalExpired(expired) => self.approvals.close(expired.intent, Closed::Expired),
            Fact::ApprovalVoid(void) => self.approvals.close(void.intent, Closed::Void),
            _ => {}
        }
    }

    fn apply_requested(&mut self, seq: Seq, requested: &ApprovalRequested) {
        let ApprovalRequested { plan, hash, needs, reminds_at, expires_at, .. } = requested;
        let request = Request {
            requested: seq,
            requested_at: self.now,
            plan: plan.clone(),
            hash: *hash,
            needs: *needs,
            reminds_at: *reminds_at,
            expires_at: *expires_at,
            reminded: false,
            given: Vec::new(),
            used: false,
        };
        for at in [*reminds_at, *expires_at] {
            self.timers.insert((at, Timer::Approval(plan.intent)));
        }
        self.approvals.insert(request);
    }

    /// With the last yes the intent is proposed again: it is looked at as if it were new.
    fn apply_given(&mut self, given: &ApprovalGiven) {
        let now = self.now;
        let Some(request) = self.approvals.get_mut(given.intent) else { return };
        request.given.push(Given { by: given.by.clone(), why: given.person.why.clone(), at: now });
        if given.count >= given.needs {
            self.set_stage(given.intent, Stage::Waiting { looks_failed: 0 });
            self.looks.insert((given.intent, Purpose::Guard));
        }
    }

    /// Whoever takes their yes back before it was used stops what was about to be proposed again.
    fn apply_withdrawn(&mut self, withdrawn: &ApprovalWithdrawn) {
        let Some(request) = self.approvals.get_mut(withdrawn.intent) else { return };
        request.given.retain(|given| given.by != withdrawn.by);
        if request.given.len() < request.needs as usize {
            self.set_stage(withdrawn.intent, Stage::Approval);
            self.looks.remove(&(withdrawn.intent, Purpose::Guard));
        }
    }

    fn set_stage(&mut self, id: IntentId, stage: Stage) {
        if let Some(intent) = self.intents.get_mut(&id) {
            intent.stage = stage;
        }
    }
}
