//! A rule permits the intent, and none forbids it.

use std::{borrow::Cow, collections::BTreeMap};

use super::{
    Finding, ProposedIntent,
    rules::{Question, Resource},
};
use crate::{
    caps,
    target::{self, Target},
};

pub(super) fn check(proposed: &ProposedIntent<'_>) -> Finding {
    let given = proposed.approvals;
    let Some(question) = question(proposed, given) else {
        return Finding::Fails("there is no look to ask about".into());
    };
    let refusal = match ask(proposed, &question) {
        Ok(by) => return Finding::Passes(format!("permitted by {by}")),
        Err(refusal) => refusal,
    };
    // Approval is no mode of a rule but part of the question: the least that is permitted is what the intent needs.
    for people in given + 1..=caps::APPROVALS_MOST_PEOPLE {
        let asked = ask(proposed, &Question { approvals: people, ..question.clone() });
        if let Ok(by) = asked {
            return Finding::Asks(
                people,
                format!(
                    "permitted by {by} once {people} {} approved it",
                    if people == 1 { "person has" } else { "people have" }
                ),
            );
        }
    }
    Finding::Fails(refusal)
}

/// The rules that permit it. A clock set ahead opens no rule: until a person accepts the time, they are asked for both, and
/// must permit it at both.
fn ask(proposed: &ProposedIntent<'_>, question: &Question<'_>) -> Result<String, String> {
    let by = proposed.rules.ask(question)?;
    let steady = proposed.state.steady(proposed.now);
    if steady == proposed.now {
        return Ok(by);
    }
    let mut before = question.clone();
    let (hour, weekday) = proposed.guardrails().zone.hour_and_weekday(steady);
    for (name, number) in &mut before.numbers {
        match *name {
            "hour" => *number = hour,
            "weekday" => *number = weekday,
            _ => {}
        }
    }
    let leapt = "by the time without the clock's leap, which counts too until somebody says `balm accept-clock`";
    proposed.rules.ask(&before).map_err(|refusal| format!("{refusal} {leapt}"))?;
    Ok(by)
}

fn question<'a>(proposed: &'a ProposedIntent<'_>, approvals: u32) -> Option<Question<'a>> {
    let (change, target) = proposed.admissible()?;
    let reading = proposed.reading.ok()?;
    let counts = reading.counts();
    let (hour, weekday) = proposed.guardrails().zone.hour_and_weekday(proposed.now);
    let numbers = [
        ("from", counts.desired),
        ("to", change.sets_desired().unwrap_or(counts.desired)),
        ("desired", counts.desired),
        ("running", counts.running),
        ("pending", counts.pending),
        ("changing", change.changing(reading)),
        ("hour", hour),
        ("weekday", weekday),
        ("attempts", proposed.intent.attempts),
    ];
    Some(Question {
        policy: proposed.intent.policy.as_str().into(),
        plugin: proposed.policy.map(|policy| policy.plugin.to_string()).unwrap_or_default(),
        digest: proposed.plugin.map(|plugin| plugin.digest.to_string()).unwrap_or_default(),
        action: change.action(),
        resource: Resource { tags: Cow::Borrowed(reading.tags()), ..resource(target) },
        numbers,
        severity: proposed
            .state
            .episodes
            .get(&proposed.intent.episode)
            .map_or("".into(), |episode| (&*episode.severity).into()),
        undo: proposed.intent.undo_of.is_some(),
        approvals,
    })
}

/// The target as rules know it, without its tags.
fn resource(target: &Target) -> Resource<'_> {
    static NO_TAGS: BTreeMap<String, String> = BTreeMap::new();
    let (account, region) = (target.account.as_str(), target.region.as_str());
    let place = [("account", account), ("region", region)];
    let (kind, cluster, attributes) = match &target.resource {
        target::Resource::EcsService { cluster, name } => {
            let arn = format!("arn:{}:ecs:{region}:{account}:cluster/{cluster}", target.partition());
            ("Service", Some(arn), vec![("cluster", &**cluster), ("name", &**name)])
        }
        target::Resource::AsgGroup { name } => ("Group", None, vec![("name", &**name)]),
    };
    let attributes = place.into_iter().chain(attributes).map(|(name, value)| (name, value.into())).collect();
    Resource {
        kind,
        arn: target.to_string(),
        account: account.into(),
        cluster,
        attributes,
        tags: Cow::Borrowed(&NO_TAGS),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::{
        fixture::Bench,
        record::{CheckName, Verdict},
    };

    fn with(rules: &str) -> Verdict {
        let mut bench = Bench::new();
        bench.configure(|configuration, _| {
            configuration.guardrails.rules = [("web.cedar".to_owned(), rules.to_owned())].into();
        });
        bench.judge().verdict
    }

    #[test]
    fn what_no_rule_permits_is_refused() {
        let refused = Verdict::Refused(CheckName::Authorization);
        assert_eq!(with(""), refused);
        assert_eq!(with(r#"permit(principal == Policy::"other", action, resource);"#), refused);
        assert_eq!(with("permit(principal, action, resource); forbid(principal, action, resource);"), refused);
    }

    #[test]
    fn rules_see_the_policy_the_look_and_the_alert() {
        let rules = [
            r#"permit(principal == Policy::"web-cpu", action, resource) when { principal.plugin == "scale-ecs-service" };"#,
            r#"permit(principal, action == Action::"ecs:scale-service", resource) when { context.from == 4 && context.to == 6 };"#,
            r#"permit(principal, action, resource) when { resource.hasTag("team") && resource.getTag("team") == "web" };"#,
            r#"permit(principal, action == Action::"ecs:scale-service", resource) when { context.severity == "critical" };"#,
            r#"permit(principal, action == Action::"ecs:scale-service", resource) when { context.weekday == 4 && context.hour == 0 };"#,
        ];
        for rule in rules {
            assert_eq!(with(rule), Verdict::Admitted, "{rule}");
        }
    }

    #[test]
    fn a_clock_that_leapt_ahead_opens_no_rule_until_a_person_accepts_the_time() {
        let verdicts = |rules: &str, leap_s: u64| {
            let mut bench = Bench::new();
            bench.configure(|configuration, _| {
                configuration.guardrails.rules = [("web.cedar".to_owned(), rules.to_owned())].into();
                configuration.timing.max_alert_age_ms = 7 * 86_400_000;
            });
            bench.clock_jumps(Duration::from_secs(leap_s));
            bench.propose(|_| {});
            let held = bench.judge().verdict;
            bench.clock_accepted();
            (held, bench.judge().verdict)
        };
        let refused = Verdict::Refused(CheckName::Authorization);
        // It is shortly after midnight of a Thursday.
        let later = "permit(principal, action, resource) when { context.hour >= 2 };";
        assert_eq!(verdicts(later, 3 * 3600), (refused.clone(), Verdict::Admitted));
        let tomorrow = "permit(principal, action, resource) when { context.weekday == 5 };";
        assert_eq!(verdicts(tomorrow, 86_400), (refused.clone(), Verdict::Admitted));
        let now = "permit(principal, action, resource) when { context.hour == 0 };";
        assert_eq!(verdicts(now, 3 * 3600), (refused.clone(), refused));
        let asked = "permit(principal, action, resource) when { context.hour >= 2 || context.approvals >= 1 };";
        assert_eq!(verdicts(asked, 3 * 3600), (Verdict::NeedsApproval(1), Verdict::Admitted));
    }

    #[test]
    fn rules_see_a_group_with_its_tags_and_counts() {
        let with = |rules: &str| {
            let mut bench = Bench::for_fleet();
            bench.configure(|configuration, _| {
                configuration.guardrails.rules = [("fleet.cedar".to_owned(), rules.to_owned())].into();
            });
            bench.judge().verdict
        };
        let permits = [
            r#"permit(principal, action, resource in Account::"123456789012");"#,
            r#"permit(principal, action in Action::"scale", resource is Group) when { resource.name == "fleet" };"#,
            r#"permit(principal, action == Action::"asg:set-desired-capacity", resource == Group::"arn:aws:autoscaling:eu-central-1:123456789012:autoScalingGroup:*:autoScalingGroupName/fleet");"#,
            r#"permit(principal, action == Action::"asg:set-desired-capacity", resource) when { context.from == 4 && context.to == 6 && context.running == 4 };"#,
            r#"permit(principal, action, resource) when { resource.hasTag("team") && resource.getTag("team") == "web" };"#,
        ];
        for rule in permits {
            assert_eq!(with(rule), Verdict::Admitted, "{rule}");
        }
        let denies = [
            r#"permit(principal, action, resource is Service);"#,
            r#"permit(principal, action in Action::"disruptive", resource);"#,
            r#"permit(principal, action == Action::"ecs:scale-service", resource);"#,
        ];
        for rule in denies {
            assert_eq!(with(rule), Verdict::Refused(CheckName::Authorization), "{rule}");
        }
    }

    #[test]
    fn the_least_number_of_approvals_that_is_permitted_is_what_it_needs() {
        let at_least = |people: u32| {
            with(&format!(
                r#"permit(principal, action == Action::"ecs:scale-service", resource) when {{ context.approvals >= {people} }};"#
            ))
        };
        assert_eq!(at_least(0), Verdict::Admitted);
        assert_eq!(at_least(1), Verdict::NeedsApproval(1));
        assert_eq!(at_least(3), Verdict::NeedsApproval(3));
        assert_eq!(at_least(4), Verdict::Refused(CheckName::Authorization));
    }
}
