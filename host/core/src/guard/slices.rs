//! The rules that can concern a question, told by their heads: `principal == …`, `action in …`, `resource == …`.
//!
//! A rule whose head does not fit neither permits nor forbids nor errs, so leaving it out changes no answer, which a test and
//! the oracle show. A team's rules are mostly about one policy or target each, and evaluating all of them for every intent is
//! what costs. It refuses to look at conditions.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use cedar_policy::{
    ActionConstraint, Entities, EntityUid, Policy, PolicySet, PrincipalConstraint, Request, ResourceConstraint,
};

use crate::caps;

/// Slices of a set of rules, by principal, action and resource.
#[derive(Debug, Default)]
pub(super) struct Slices(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    slices: HashMap<[EntityUid; 3], Arc<PolicySet>>,
    rules: usize,
}

impl Slices {
    /// The rules of a set that can concern a request.
    pub(super) fn of(&self, set: &PolicySet, actions: &Entities, request: &Request) -> Arc<PolicySet> {
        let (Some(principal), Some(action), Some(resource)) =
            (request.principal(), request.action(), request.resource())
        else {
            // A question of ours has all three; whatever has not is asked of every rule.
            return Arc::new(set.clone());
        };
        let head = [principal.clone(), action.clone(), resource.clone()];
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slice) = kept.slices.get(&head) {
            return Arc::clone(slice);
        }
        let concerns = |rule: &&Policy| fits(rule, &head, actions);
        let slice = PolicySet::from_policies(set.policies().filter(concerns).cloned());
        let slice = Arc::new(slice.expect("rules of one set have different names"));
        if kept.rules + slice.num_of_policies() > caps::RULES_IN_SLICES {
            *kept = Kept::default();
        }
        kept.rules += slice.num_of_policies().max(1);
        kept.slices.insert(head, Arc::clone(&slice));
        slice
    }
}

/// Whether a rule's head may fit; in doubt it does.
fn fits(rule: &Policy, [principal, action, resource]: &[EntityUid; 3], actions: &Entities) -> bool {
    let by_principal = match rule.principal_constraint() {
        PrincipalConstraint::Eq(named) => named == *principal,
        _ => true,
    };
    let by_action = match rule.action_constraint() {
        ActionConstraint::Eq(named) => named == *action,
        ActionConstraint::In(named) => {
            named.iter().any(|named| named == action || actions.is_ancestor_of(named, action))
        }
        ActionConstraint::Any => true,
    };
    let by_resource = match rule.resource_constraint() {
        ResourceConstraint::Eq(named) => named == *resource,
        ResourceConstraint::Is(kind) => kind == *resource.type_name(),
        _ => true,
    };
    by_principal && by_action && by_resource
}
