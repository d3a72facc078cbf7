//! The catalogue knows the action, and its parameters are well formed.

use super::{Finding, ProposedIntent};

pub(super) fn check(proposed: &ProposedIntent<'_>) -> Finding {
    let change = match &proposed.change {
        Err(error) => return Finding::Fails(error.clone()),
        Ok(change) => change,
    };
    match change.must_expect().filter(|attribute| !expects(proposed, attribute)) {
        Some(attribute) => Finding::Fails(format!(
            "it does not say what `{attribute}` it expects: an intent is conditional on what it saw"
        )),
        None => Finding::passes(),
    }
}

fn expects(proposed: &ProposedIntent<'_>, attribute: &str) -> bool {
    let expects = proposed.intent.proposal.expects.read::<serde_json::Map<String, serde_json::Value>>();
    expects.is_ok_and(|expects| expects.contains_key(attribute))
}

#[cfg(test)]
mod tests {
    use crate::{
        fixture::{self, Bench},
        json::Json,
        record::{CheckName, Verdict},
    };

    #[test]
    fn unknown_actions_and_malformed_parameters_are_refused() {
        let refused = Verdict::Refused(CheckName::Catalogue);
        let mut bench = Bench::new();
        bench.activate(&["ecs:scale-service", "ecs:delete-cluster"]);
        bench.propose(|proposal| proposal.action = "ecs:delete-cluster".into());
        assert_eq!(bench.judge().verdict, refused);
        let mut bench = Bench::new();
        bench.propose(|proposal| proposal.parameters = Json::parse(r#"{"desired":"6"}"#).expect("JSON"));
        assert_eq!(bench.judge().verdict, refused);
    }

    #[test]
    fn scaling_says_what_it_saw() {
        for expects in ["{}", "[]", r#"{"running":4}"#, "4"] {
            let mut bench = Bench::new();
            bench.propose(|proposal| proposal.expects = Json::parse(expects).expect("JSON"));
            assert_eq!(bench.judge().verdict, Verdict::Refused(CheckName::Catalogue), "{expects}");
            let mut bench = Bench::new();
            let capacity =
                |proposal: &mut _| fixture::on_fleet(proposal, "asg:set-desired-capacity", r#"{"desired":6}"#, expects);
            bench.propose(capacity);
            assert_eq!(bench.judge().verdict, Verdict::Refused(CheckName::Catalogue), "{expects}");
        }
    }
}
