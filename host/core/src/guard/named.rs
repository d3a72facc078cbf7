//! What rules name, and what they ask that is never or always so: told from their text, before any question is asked.
//!
//! Cedar takes any text for an entity's id. One that Balm never gives to anything is a rule that never speaks, and a `forbid`
//! that never speaks forbids nothing. It owns which ids there can be, and refuses to know which there are.

use serde_json::Value;

use crate::{
    caps,
    name::PolicyName,
    target::{AccountId, Resource, Target},
};

/// The entities that a rule speaks of, as type and id, in the JSON form of Cedar's own.
pub(super) fn entities(rule: &Value) -> Vec<(&str, &str)> {
    let text = |key: &str| rule.get(key).and_then(Value::as_str);
    match (rule, text("type").zip(text("id"))) {
        (_, Some(entity)) => vec![entity],
        (Value::Object(fields), None) => fields.values().flat_map(entities).collect(),
        (Value::Array(values), None) => values.iter().flat_map(entities).collect(),
        _ => Vec::new(),
    }
}

/// Whether Balm may give this id to an entity of this type; otherwise which it would.
pub(super) fn check_id(kind: &str, id: &str) -> Result<(), String> {
    let wrong = |right: &str| Err(format!("{kind}::{id:?} is nothing that Balm asks about: {right}"));
    match kind {
        "Policy" => match id.parse::<PolicyName>() {
            Ok(_) => Ok(()),
            Err(error) => wrong(&format!("write the name of a policy, as in Policy::\"web-cpu\" ({error})")),
        },
        "Account" => match id.parse::<AccountId>() {
            Ok(_) => Ok(()),
            Err(_) => wrong("write the twelve digits, as in Account::\"123456789012\""),
        },
        "Cluster" => match cluster(id) {
            Some(right) if right == id => Ok(()),
            Some(right) => wrong(&format!("write it as Balm does, Cluster::{right:?}")),
            None => wrong("write the cluster's ARN, as in Cluster::\"arn:aws:ecs:REGION:ACCOUNT:cluster/NAME\""),
        },
        "Service" | "Group" => match id.parse::<Target>() {
            Ok(target) if kind_of(&target) != kind => wrong(&format!("it is a {}", kind_of(&target))),
            Ok(target) if target.to_string() == id => Ok(()),
            Ok(target) => wrong(&format!("write it as Balm does, {kind}::\"{target}\"")),
            Err(_) => wrong(form(kind)),
        },
        // Actions are checked against the schema.
        _ => Ok(()),
    }
}

const fn kind_of(target: &Target) -> &'static str {
    match target.resource {
        Resource::EcsService { .. } => "Service",
        Resource::AsgGroup { .. } => "Group",
    }
}

fn form(kind: &str) -> &'static str {
    if kind == "Group" {
        "write the group's ARN with * in place of its UUID, as in \
         Group::\"arn:aws:autoscaling:REGION:ACCOUNT:autoScalingGroup:*:autoScalingGroupName/NAME\""
    } else {
        "write the service's ARN with its cluster, as in Service::\"arn:aws:ecs:REGION:ACCOUNT:service/CLUSTER/NAME\""
    }
}

/// A cluster's ARN as rules are asked about it: that of any of its services, without the service.
fn cluster(id: &str) -> Option<String> {
    let (place, name) = id.split_once(":cluster/")?;
    let service: Target = format!("{place}:service/{name}/any").parse().ok()?;
    let Resource::EcsService { cluster, .. } = &service.resource else { return None };
    let Target { account, region, .. } = &service;
    Some(format!("arn:{}:ecs:{}:{}:cluster/{cluster}", service.partition(), region.as_str(), account.as_str()))
}

/// Numbers of the context that have bounds, with those.
const RANGES: [(&str, i64, i64); 3] =
    [("approvals", 0, caps::APPROVALS_MOST_PEOPLE as i64), ("hour", 0, 23), ("weekday", 1, 7)];

/// Comparisons of a rule that are so for every number that there can be, or for none.
pub(super) fn constants(rule: &Value) -> Vec<String> {
    let own = rule.as_object().into_iter().flatten().filter_map(|(operator, sides)| constant(operator, sides));
    let inner = match rule {
        Value::Object(fields) => fields.values().flat_map(constants).collect(),
        Value::Array(values) => values.iter().flat_map(constants).collect(),
        _ => Vec::new(),
    };
    own.chain(inner).collect()
}

fn constant(operator: &str, sides: &Value) -> Option<String> {
    let (left, right) = (sides.get("left")?, sides.get("right")?);
    let holds: fn(i64, i64) -> bool = match operator {
        "<" => |one, other| one < other,
        "<=" => |one, other| one <= other,
        ">" => |one, other| one > other,
        ">=" => |one, other| one >= other,
        "==" => |one, other| one == other,
        "!=" => |one, other| one != other,
        _ => return None,
    };
    let number = |side: &Value| side.get("Value")?.as_i64();
    let of_context = |side: &Value| {
        let access = side.get(".")?;
        let is_context = access.get("left")?.get("Var")?.as_str()? == "context";
        let name = access.get("attr")?.as_str().filter(|_| is_context)?;
        RANGES.into_iter().find(|(known, ..)| *known == name)
    };
    let (name, least, most, text, answers) = match (of_context(left), number(right), number(left), of_context(right)) {
        (Some((name, least, most)), Some(other), ..) => {
            let answers: Vec<bool> = (least..=most).map(|one| holds(one, other)).collect();
            (name, least, most, format!("context.{name} {operator} {other}"), answers)
        }
        (_, _, Some(one), Some((name, least, most))) => {
            let answers: Vec<bool> = (least..=most).map(|other| holds(one, other)).collect();
            (name, least, most, format!("{one} {operator} context.{name}"), answers)
        }
        _ => return None,
    };
    let first = *answers.first()?;
    let word = if first { "always" } else { "never" };
    answers
        .iter()
        .all(|answer| *answer == first)
        .then(|| format!("{text} is {word} so: Balm asks with {name} from {least} to {most}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLEET: &str = "arn:aws:autoscaling:eu-central-1:123456789012:autoScalingGroup:*:autoScalingGroupName/fleet";
    const WEB: &str = "arn:aws:ecs:eu-central-1:123456789012:service/prod/web";
    const PROD: &str = "arn:aws:ecs:eu-central-1:123456789012:cluster/prod";

    #[test]
    fn ids_that_balm_gives_are_right_and_others_are_told_with_the_right_form() {
        for (kind, id) in [
            ("Policy", "web-cpu"),
            ("Account", "123456789012"),
            ("Cluster", PROD),
            ("Cluster", "arn:aws-cn:ecs:cn-north-1:123456789012:cluster/prod"),
            ("Service", WEB),
            ("Group", FLEET),
            ("Action", "ecs:scale-service"),
        ] {
            assert_eq!(check_id(kind, id), Ok(()), "{kind} {id}");
        }
        let console = FLEET.replace('*', "930d940e-891e-4781-a11a-7b0acd480f03");
        for (kind, id, wanted) in [
            ("Group", &*console, "autoScalingGroup:*:autoScalingGroupName/"),
            ("Group", "fleet", "write the group's ARN"),
            ("Group", WEB, "it is a Service"),
            ("Service", FLEET, "it is a Group"),
            ("Service", "web", "write the service's ARN"),
            ("Service", "arn:aws:ecs:eu-central-1:123456789012:service/web", "with its cluster"),
            ("Cluster", "prod", "write the cluster's ARN"),
            ("Cluster", "arn:aws:ecs:eu-central-1:123456789012:cluster/", "write the cluster's ARN"),
            ("Cluster", "arn:aws:ecs:eu-central-1:123456789012:cluster/prod/web", "write the cluster's ARN"),
            ("Cluster", WEB, "write the cluster's ARN"),
            ("Account", "1234", "twelve digits"),
            ("Account", "prod", "twelve digits"),
            ("Policy", "Web CPU", "the name of a policy"),
        ] {
            let said = check_id(kind, id).expect_err(id);
            assert!(said.contains(wanted), "{wanted} in {said}");
        }
    }

    fn constants_of(condition: &str) -> Vec<String> {
        let text = format!("permit(principal, action, resource) when {{ {condition} }};");
        constants(&text.parse::<cedar_policy::Policy>().expect("a rule").to_json().expect("JSON"))
    }

    #[test]
    fn comparisons_that_no_number_changes_are_told() {
        for (condition, word) in [
            ("context.approvals >= 5", "never"),
            ("context.approvals > 3", "never"),
            ("context.approvals < 4", "always"),
            ("5 <= context.approvals", "never"),
            ("context.hour == 24", "never"),
            ("context.weekday > 0", "always"),
            ("context.to > 4 && !(context.weekday != 8)", "always"),
        ] {
            let said = constants_of(condition);
            assert!(said.len() == 1 && said[0].contains(word), "{condition}: {said:?}");
        }
        for condition in [
            "context.approvals >= 3",
            "context.approvals >= 1",
            "context.hour < 23",
            "context.weekday == 7",
            "context.to >= 5000",
            "context.approvals == context.attempts",
        ] {
            assert_eq!(constants_of(condition), Vec::<String>::new(), "{condition}");
        }
    }
}
