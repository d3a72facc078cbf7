//! Which policies an alert concerns, and which targets they map it to. Pure: configuration and alert in, names out.

use crate::{
    alert::Alert,
    caps,
    configuration::{Configuration, Matcher, Mode, Policy, Targets},
    name::PolicyName,
    record::{Concerned, Idle},
    target::Target,
};

/// What an alert means to the configured policies.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Match {
    /// Policies that are to be evaluated, by name.
    pub(crate) concerned: Vec<Concerned>,
    /// Policies whose conditions hold, yet that are not evaluated, and why.
    pub(crate) idle: Vec<Idle>,
}

/// Match an alert that is not held back.
pub(crate) fn find(configuration: &Configuration, alert: &Alert) -> Match {
    let mut found = Match::default();
    for (name, policy) in configuration.policies.iter().filter(|(_, policy)| concerns(&policy.matches, alert)) {
        match targets(name, policy, alert, found.concerned.len()) {
            Ok(targets) => found.concerned.push(Concerned { policy: name.clone(), targets }),
            Err(why) => found.idle.push(Idle { policy: name.clone(), why }),
        }
    }
    found
}

fn concerns(matches: &Matcher, alert: &Alert) -> bool {
    let Matcher { sources, labels } = matches;
    let says_something = !sources.is_empty() || !labels.is_empty();
    let from = sources.is_empty() || sources.contains(&alert.source);
    let labelled =
        |(name, values): (&String, &Vec<String>)| alert.labels.get(name).is_some_and(|value| values.contains(value));
    says_something && from && labels.iter().all(labelled)
}

fn targets(name: &PolicyName, policy: &Policy, alert: &Alert, before: usize) -> Result<Vec<Target>, String> {
    if policy.mode == Mode::Off {
        return Err("its mode is off".into());
    }
    if before >= caps::CONCERNS_PER_EPISODE {
        return Err(format!("more than {} policies match one alert", caps::CONCERNS_PER_EPISODE));
    }
    match &policy.targets {
        Targets::Fixed(targets) if targets.is_empty() => Err(format!("policy {name} has no targets")),
        Targets::Fixed(targets) => Ok(targets.clone()),
        Targets::EcsServiceFromLabel { account, region, cluster, label, allowed } => {
            let name = labelled(alert, label, allowed, "services")?;
            let target = Target::ecs_service(*account, region.clone(), cluster, name);
            target.map(|target| vec![target]).map_err(|error| error.to_string())
        }
        Targets::AsgGroupFromLabel { account, region, label, allowed } => {
            let name = labelled(alert, label, allowed, "groups")?;
            let target = Target::asg_group(*account, region.clone(), name);
            target.map(|target| vec![target]).map_err(|error| error.to_string())
        }
    }
}

/// The value of a label, if it is one of those allowed.
fn labelled<'a>(alert: &'a Alert, label: &str, allowed: &[String], what: &str) -> Result<&'a str, String> {
    let value = alert.labels.get(label).ok_or_else(|| format!("the alert has no label {label:?}"))?;
    if !allowed.contains(value) {
        let value: String = value.chars().take(80).collect();
        return Err(format!("label {label:?} says {value:?}, which is none of the allowed {what}"));
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{alert::tests::firing, fixture};

    fn names(found: &Match) -> (Vec<&str>, Vec<&str>) {
        let concerned = found.concerned.iter().map(|concerned| concerned.policy.as_str()).collect();
        (concerned, found.idle.iter().map(|idle| idle.policy.as_str()).collect())
    }

    fn found(policy: Policy, alert: &Alert) -> Match {
        find(&Configuration { policies: [(fixture::policy_name(), policy)].into(), ..fixture::configuration() }, alert)
    }

    #[test]
    fn all_conditions_must_hold() {
        let policy = fixture::policy();
        assert_eq!(names(&found(policy.clone(), &firing())), (vec!["web-cpu"], vec![]));
        let other_source = Alert { source: "other".parse().expect("a name"), ..firing() };
        assert_eq!(names(&found(policy.clone(), &other_source)), (vec![], vec![]));
        let other_label = Alert { labels: [("alertname".into(), "HighCpu ".into())].into(), ..firing() };
        assert_eq!(names(&found(policy, &other_label)), (vec![], vec![]));
    }

    #[test]
    fn a_matcher_without_conditions_matches_nothing() {
        let policy = Policy { matches: Matcher::default(), ..fixture::policy() };
        assert_eq!(found(policy, &firing()), Match::default());
    }

    #[test]
    fn a_policy_that_is_off_or_without_targets_is_idle_and_the_reason_is_kept() {
        let off = Policy { mode: Mode::Off, ..fixture::policy() };
        assert_eq!(names(&found(off, &firing())), (vec![], vec!["web-cpu"]));
        let nowhere = Policy { targets: Targets::Fixed(vec![]), ..fixture::policy() };
        assert_eq!(names(&found(nowhere, &firing())), (vec![], vec!["web-cpu"]));
    }

    #[test]
    fn a_label_selects_among_what_is_allowed_and_never_widens_it() {
        let target = fixture::target();
        let targets = Targets::EcsServiceFromLabel {
            account: target.account,
            region: target.region.clone(),
            cluster: "prod".into(),
            label: "service".into(),
            allowed: vec!["web".into(), "a/b".into()],
        };
        let policy = Policy { targets, ..fixture::policy() };
        let service = |value: &str| {
            let mut alert = firing();
            alert.labels.insert("service".into(), value.into());
            alert
        };
        let concerned = found(policy.clone(), &service("web")).concerned;
        assert_eq!(concerned[0].targets, [target]);
        for stranger in ["api", "*", "web*", "", "ＷＥＢ", "../web", "a/b", "arn:aws:ecs:eu-central-1:1:service/x/web"]
        {
            let found = found(policy.clone(), &service(stranger));
            assert_eq!(names(&found), (vec![], vec!["web-cpu"]), "{stranger}");
        }
        let mut without = firing();
        without.labels.remove("service");
        assert_eq!(names(&found(policy, &without)), (vec![], vec!["web-cpu"]));
    }

    #[test]
    fn a_label_names_a_group_in_the_same_way() {
        let fleet = fixture::fleet();
        let targets = Targets::AsgGroupFromLabel {
            account: fleet.account,
            region: fleet.region.clone(),
            label: "group".into(),
            allowed: vec!["fleet".into(), "*".into()],
        };
        let policy = Policy { targets, ..fixture::policy() };
        let group = |value: &str| {
            let mut alert = firing();
            alert.labels.insert("group".into(), value.into());
            found(policy.clone(), &alert)
        };
        assert_eq!(group("fleet").concerned[0].targets, [fleet]);
        for stranger in ["other", "*", "fleet*", "", "Fleet"] {
            assert_eq!(names(&group(stranger)), (vec![], vec!["web-cpu"]), "{stranger}");
        }
    }
}
