//! How far rules reach: whether any of them could permit a policy an action on a target, whatever is looked at then.
//!
//! It reads the scopes of `permit` rules and no conditions, so it answers yes more often than the guard admits, and never
//! no where the guard would. Nothing is permitted on its word; it is for telling people what a host may come to need.

use cedar_policy::{ActionConstraint, Effect, EntityUid, Policy, PrincipalConstraint, ResourceConstraint};

use super::rules::{Rules, uid};
use crate::{
    name::PolicyName,
    target::{Resource, Target},
};

impl Rules {
    /// Whether a rule could permit this policy this action on this target.
    #[must_use]
    pub fn could_permit(&self, policy: &PolicyName, action: &str, target: &Target) -> bool {
        let (principal, action, family) = (uid("Policy", policy.as_str()), uid("Action", action), family(target));
        self.set.policies().any(|rule| {
            rule.effect() == Effect::Permit
                && speaks_of_principal(rule, &principal)
                && self.speaks_of_action(rule, &action)
                && speaks_of_resource(rule, &family)
        })
    }

    fn speaks_of_action(&self, rule: &Policy, action: &EntityUid) -> bool {
        let is_in = |group: &EntityUid| group == action || self.actions.is_ancestor_of(group, action);
        match rule.action_constraint() {
            ActionConstraint::Any => true,
            ActionConstraint::Eq(one) => one == *action,
            ActionConstraint::In(groups) => groups.iter().any(is_in),
        }
    }
}

/// The target, first, and what it is in, as `authorization` tells it to the rules.
fn family(target: &Target) -> Vec<EntityUid> {
    let Target { account, region, resource } = target;
    let (arn, account) = (target.to_string(), uid("Account", account.as_str()));
    match resource {
        Resource::EcsService { cluster, .. } => {
            let cluster = format!("arn:{}:ecs:{region}:{}:cluster/{cluster}", target.partition(), target.account);
            vec![uid("Service", &arn), uid("Cluster", &cluster), account]
        }
        Resource::AsgGroup { .. } => vec![uid("Group", &arn), account],
    }
}

/// A policy is in nothing but itself.
fn speaks_of_principal(rule: &Policy, principal: &EntityUid) -> bool {
    match rule.principal_constraint() {
        PrincipalConstraint::Any => true,
        PrincipalConstraint::Eq(one) | PrincipalConstraint::In(one) => one == *principal,
        PrincipalConstraint::Is(kind) => kind == *principal.type_name(),
        PrincipalConstraint::IsIn(kind, one) => kind == *principal.type_name() && one == *principal,
    }
}

fn speaks_of_resource(rule: &Policy, family: &[EntityUid]) -> bool {
    let (own, is_in) = (&family[0], |one: &EntityUid| family.contains(one));
    match rule.resource_constraint() {
        ResourceConstraint::Any => true,
        ResourceConstraint::Eq(one) => one == *own,
        ResourceConstraint::In(one) => is_in(&one),
        ResourceConstraint::Is(kind) => kind == *own.type_name(),
        ResourceConstraint::IsIn(kind, one) => kind == *own.type_name() && is_in(&one),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    fn could(rule: &str, action: &str) -> bool {
        let rules = Rules::compile(&[("web.cedar".to_owned(), rule.to_owned())].into()).expect("rules");
        rules.could_permit(&fixture::policy_name(), action, &fixture::target())
    }

    #[test]
    fn a_rule_reaches_what_its_scope_speaks_of_whatever_its_conditions() {
        let reaching = [
            "permit(principal, action, resource);",
            r#"permit(principal == Policy::"web-cpu", action == Action::"ecs:scale-service", resource);"#,
            r#"permit(principal is Policy, action in Action::"scale", resource is Service);"#,
            r#"permit(principal, action in [Action::"restart", Action::"scale"], resource);"#,
            r#"permit(principal, action, resource in Cluster::"arn:aws:ecs:eu-central-1:123456789012:cluster/prod");"#,
            r#"permit(principal, action, resource is Service in Account::"123456789012");"#,
            r#"permit(principal, action, resource == Service::"arn:aws:ecs:eu-central-1:123456789012:service/prod/web");"#,
            r#"permit(principal, action == Action::"ecs:scale-service", resource) when { context.to < 0 };"#,
        ];
        for rule in reaching {
            assert!(could(rule, "ecs:scale-service"), "{rule}");
        }
    }

    #[test]
    fn a_rule_does_not_reach_beyond_its_scope() {
        let short = [
            "",
            "forbid(principal, action, resource);",
            r#"permit(principal == Policy::"other", action, resource);"#,
            r#"permit(principal, action == Action::"ecs:stop-task", resource);"#,
            r#"permit(principal, action in Action::"disruptive", resource);"#,
            r#"permit(principal, action, resource in Account::"210987654321");"#,
            r#"permit(principal, action, resource in Cluster::"arn:aws:ecs:eu-central-1:123456789012:cluster/test");"#,
        ];
        for rule in short {
            assert!(!could(rule, "ecs:scale-service"), "{rule}");
        }
    }
}
