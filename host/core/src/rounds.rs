//! Rounds: what one call of a plugin comes to, and what it may ask before the next.
//!
//! The host plays a round as it happens, a replay plays the last one again; both conclude here, so that the same outcome
//! comes to the same conclusion. It refuses to know how a plugin is called and where answers come from.

use crate::{
    caps,
    evaluation::{Answer, Conclusion, Failure, FailureKind, Outcome, Query},
    target::Target,
};

/// What an evaluation comes to with a round's outcome.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// It is over.
    Concluded(Conclusion),
    /// It goes on once these are answered.
    Asks(Vec<Query>),
}

/// What a plugin may ask in one evaluation.
#[derive(Clone, Copy, Debug)]
pub struct Reach<'a> {
    /// The kinds of its manifest.
    pub queries: &'a [String],
    /// The targets of its policy.
    pub targets: &'a [Target],
}

/// What the outcome of a round, counted from 1, comes to; `answers` are those that the plugin had in it.
#[must_use]
pub fn conclude(outcome: Result<Outcome, Failure>, round: u32, answers: &[Answer], reach: Reach<'_>) -> Step {
    let queries = match outcome {
        Ok(Outcome::Decided(decision)) => return Step::Concluded(Conclusion::Decided(decision)),
        Err(failure) => return Step::Concluded(Conclusion::Failed(failure)),
        Ok(Outcome::Needs(queries)) => queries,
    };
    match refusal(&queries, round, answers, reach) {
        None => Step::Asks(queries),
        Some(message) => Step::Concluded(Conclusion::Failed(Failure { kind: FailureKind::Queries, message })),
    }
}

/// A plugin may ask kinds of its manifest, about targets of its policy, each once, a bounded number of times.
fn refusal(queries: &[Query], round: u32, answers: &[Answer], reach: Reach<'_>) -> Option<String> {
    if round >= caps::ROUNDS {
        return Some(format!("it needs more than {} rounds", caps::ROUNDS));
    }
    if queries.is_empty() {
        return Some("it needs answers and asks nothing".into());
    }
    if answers.len() + queries.len() > caps::QUERIES {
        return Some(format!("it asks more than {} queries", caps::QUERIES));
    }
    queries.iter().find_map(|query| {
        if !reach.queries.contains(&query.kind) {
            return Some(format!("it asks {:?}, which its manifest does not declare", query.kind));
        }
        if !reach.targets.iter().any(|target| target.to_string() == query.target) {
            return Some(format!("it asks about {:?}, which is none of its targets", query.target));
        }
        let again = answers.iter().any(|answer| answer.query == *query);
        again.then(|| format!("it asks {:?} again, which was answered", query.kind))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{evaluation::Decision, json::Json, time::Timestamp};

    const WEB: &str = "arn:aws:ecs:eu-central-1:123456789012:service/prod/web";

    fn query(kind: &str, target: &str) -> Query {
        Query { kind: kind.into(), target: target.into(), parameters: Json::empty_object() }
    }

    fn asks(queries: Vec<Query>, round: u32, answered: &[Query]) -> Step {
        let answer =
            |query: &Query| Answer { query: query.clone(), reading: Err("away".into()), at: Timestamp::from_millis(1) };
        let answers: Vec<Answer> = answered.iter().map(answer).collect();
        let (kinds, targets) = (["ecs:service".to_owned()], [WEB.parse().expect("a target")]);
        let reach = Reach { queries: &kinds, targets: &targets };
        conclude(Ok(Outcome::Needs(queries)), round, &answers, reach)
    }

    fn why(step: &Step) -> &str {
        match step {
            Step::Concluded(Conclusion::Failed(Failure { kind: FailureKind::Queries, message })) => message,
            other => panic!("it is refused: {other:?}"),
        }
    }

    #[test]
    fn what_is_declared_about_its_own_targets_is_asked_until_the_rounds_are_over() {
        let wanted = vec![query("ecs:service", WEB)];
        for round in 1..caps::ROUNDS {
            assert_eq!(asks(wanted.clone(), round, &[]), Step::Asks(wanted.clone()));
        }
        assert_eq!(why(&asks(wanted, caps::ROUNDS, &[])), "it needs more than 4 rounds");
    }

    #[test]
    fn what_is_not_declared_of_others_asked_again_or_too_much_is_refused_with_its_reason() {
        let good = query("ecs:service", WEB);
        assert!(why(&asks(vec![], 1, &[])).contains("asks nothing"));
        assert!(why(&asks(vec![query("asg:group", WEB)], 1, &[])).contains("does not declare"));
        assert!(why(&asks(vec![query("ecs:service", "arn")], 1, &[])).contains("none of its targets"));
        assert!(why(&asks(vec![good.clone()], 2, std::slice::from_ref(&good))).contains("again"));
        let others: Vec<Query> = (0..caps::QUERIES).map(|i| query("ecs:service", &i.to_string())).collect();
        assert!(why(&asks(vec![good.clone()], 2, &others)).contains("more than 16 queries"));
        assert_eq!(asks(vec![good.clone()], 2, &others[1..]), Step::Asks(vec![good]));
    }

    #[test]
    fn decisions_and_failures_conclude_in_any_round() {
        let decision =
            Decision { intents: vec![], explanation: "".into(), look_again_after: None, extra: Json::empty_object() };
        let reach = Reach { queries: &[], targets: &[] };
        for round in 1..=caps::ROUNDS {
            let decided = conclude(Ok(Outcome::Decided(decision.clone())), round, &[], reach);
            assert_eq!(decided, Step::Concluded(Conclusion::Decided(decision.clone())));
            let failure = Failure { kind: FailureKind::Trapped, message: "unreachable".into() };
            let failed = conclude(Err(failure.clone()), round, &[], reach);
            assert_eq!(failed, Step::Concluded(Conclusion::Failed(failure)));
        }
    }
}
