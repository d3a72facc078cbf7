//! What is no mistake in guardrails, and yet surely not what was meant: what never applies, or names a policy that is not there.
//!
//! A policy may come later, with its plugin or with the next `balm reload`, so none of it keeps a host from starting.

use std::{collections::BTreeMap, path::Path};

use balm_core::{
    configuration::{Filter, Guardrails, Policy},
    guard::{Naming, Rules},
    name::PolicyName,
};

/// All of it, one line each. Without the configured policies no name is looked up.
pub(in crate::cli) fn warnings(
    dir: &Path,
    guardrails: &Guardrails,
    policies: Option<&BTreeMap<PolicyName, Policy>>,
) -> Vec<String> {
    let Ok(rules) = Rules::compile(&guardrails.rules) else { return Vec::new() };
    let never = rules.warnings().iter().map(|warning| format!("{}/{warning}", dir.display()));
    let names = policies.map(|policies| unknown(dir, guardrails, rules.policies(), policies)).unwrap_or_default();
    never.chain(names).map(|warning| format!("warning: {warning}")).collect()
}

fn unknown(
    dir: &Path,
    guardrails: &Guardrails,
    named: &[Naming],
    policies: &BTreeMap<PolicyName, Policy>,
) -> Vec<String> {
    let known: Vec<&str> = policies.keys().map(PolicyName::as_str).collect();
    let is_unknown = |name: &str| !known.contains(&name);
    let has = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
    let said = |place: String, policy: &str| {
        format!("{place} names policy {policy}, which is not configured, so it never applies; there is {has}")
    };
    let in_rules = named.iter().filter(|naming| is_unknown(&naming.policy));
    let in_rules =
        in_rules.map(|Naming { file, line, policy }| said(format!("{}/{file}:{line}:", dir.display()), policy));
    let limits = guardrails.limits.iter().map(|limit| ("limit", &limit.only));
    let bounds = guardrails.bounds.iter().map(|bound| ("bound", &bound.only));
    let freezes = guardrails.freezes.iter().map(|freeze| ("freeze", &freeze.only));
    let in_limits = limits.chain(bounds).chain(freezes).filter_map(|(section, only): (&str, &Filter)| {
        let policy = only.policy.as_ref().map(PolicyName::as_str).filter(|policy| is_unknown(policy))?;
        Some(said(format!("{}/limits.toml: a [[{section}]]", dir.display()), policy))
    });
    in_rules.chain(in_limits).collect()
}

#[cfg(test)]
mod tests {
    use balm_core::{
        configuration::{Bound, Matcher, Mode, Targets},
        json::Json,
    };

    use super::*;

    fn name(text: &str) -> PolicyName {
        text.parse().expect("a name")
    }

    fn policies() -> BTreeMap<PolicyName, Policy> {
        let policy = Policy {
            plugin: "scale-ecs-service".parse().expect("a name"),
            mode: Mode::Shadow,
            matches: Matcher::default(),
            targets: Targets::Fixed(vec![]),
            settings: Json::empty_object(),
        };
        [(name("web"), policy)].into()
    }

    fn guardrails(policy: &str) -> Guardrails {
        let rule = format!("permit(principal == Policy::\"{policy}\", action, resource);");
        let only = Filter { policy: Some(name(policy)), ..Filter::default() };
        Guardrails {
            rules: [("web.cedar".to_owned(), rule)].into(),
            bounds: vec![Bound { only, ..Bound::default() }],
            ..Guardrails::default()
        }
    }

    #[test]
    fn policies_that_are_not_there_are_told_where_the_configuration_is_known() {
        let dir = Path::new("guardrails");
        let said = warnings(dir, &guardrails("wbe"), Some(&policies()));
        assert_eq!(said.len(), 2, "{said:?}");
        assert!(said[0].starts_with("warning: guardrails/web.cedar:1: names policy wbe"), "{}", said[0]);
        assert!(said[1].starts_with("warning: guardrails/limits.toml: a [[bound]] names policy wbe"), "{}", said[1]);
        assert!(said[0].ends_with("there is web"), "{}", said[0]);
        assert!(warnings(dir, &guardrails("web"), Some(&policies())).is_empty());
        assert!(warnings(dir, &guardrails("wbe"), None).is_empty());
    }

    #[test]
    fn what_never_applies_is_told_without_a_configuration() {
        let rule = "permit(principal, action, resource) when { context.approvals >= 5 };";
        let guardrails =
            Guardrails { rules: [("a.cedar".to_owned(), rule.to_owned())].into(), ..Guardrails::default() };
        let said = warnings(Path::new("g"), &guardrails, None);
        assert!(said.len() == 1 && said[0].starts_with("warning: g/a.cedar:1: context.approvals >= 5"), "{said:?}");
    }
}
