//! What the plugin saw is still true.

use serde_json::{Map, Value};

use super::{Finding, ProposedIntent};

pub(super) fn check(proposed: &ProposedIntent<'_>) -> Finding {
    let Ok(reading) = proposed.reading else { return Finding::Fails("there is no look to compare with".into()) };
    let expects: Map<String, Value> = match proposed.intent.proposal.expects.read() {
        Ok(expects) => expects,
        Err(error) => return Finding::Fails(format!("what it expects is no JSON object: {error}")),
    };
    for (name, expected) in &expects {
        match reading.attribute(name) {
            Some(found) if found == *expected => {}
            Some(found) => return Finding::Fails(format!("{name} is {found}, not {expected}: the target has changed")),
            None => return Finding::Fails(format!("the target has no attribute {name:?}")),
        }
    }
    Finding::Passes(format!("still {}", proposed.intent.proposal.expects))
}

#[cfg(test)]
mod tests {
    use crate::{
        fixture::{self, Bench},
        json::Json,
        record::{CheckName, Verdict},
    };

    const REFUSED: Verdict = Verdict::Refused(CheckName::Expectation);

    #[test]
    fn an_intent_dies_when_the_target_has_changed() {
        let mut bench = Bench::new();
        bench.look(fixture::reading(5));
        assert_eq!(bench.judge().verdict, REFUSED);
        bench.look(fixture::reading(4));
        assert_eq!(bench.judge().verdict, Verdict::Admitted);
    }

    #[test]
    fn every_expectation_counts_and_unknown_ones_fail() {
        let cases = [
            (r#"{"desired":4,"running":4,"deployments":1,"status":"ACTIVE"}"#, true),
            (r#"{"desired":4,"running":3}"#, false),
            (r#"{"desired":4,"colour":"green"}"#, false),
            (r#"{"desired":"4"}"#, false),
            (r#"{"desired":4.0}"#, false),
            (r#"{"desired":null}"#, false),
        ];
        for (expects, holds) in cases {
            let mut bench = Bench::new();
            bench.propose(|proposal| proposal.expects = Json::parse(expects).expect("JSON"));
            let verdict = if holds { Verdict::Admitted } else { REFUSED };
            assert_eq!(bench.judge().verdict, verdict, "{expects}");
        }
    }
}
