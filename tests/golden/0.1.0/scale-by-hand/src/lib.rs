//! A golden plugin of contract 0.1.0: a small policy on the contract alone, that asks before it decides.
//!
//! It is kept as it is for as long as hosts take plugins of this contract.

#[cfg(target_family = "wasm")]
mod plugin {
    #[allow(missing_docs, unsafe_code, clippy::all, reason = "generated from the documented contract")]
    mod bindings {
        wit_bindgen::generate!({ path: "../../../../wit/0.1.0", world: "policy" });
        use super::ScaleByHand;
        export!(ScaleByHand);
    }

    use bindings::{
        balm::policy::types::{Answer, Decision, Intent, Query, Status},
        exports::balm::policy::plugin::{Guest, Input, Manifest, Outcome},
    };

    struct ScaleByHand;

    impl Guest for ScaleByHand {
        fn describe() -> Manifest {
            Manifest {
                name: None,
                version: "0.1.0".into(),
                summary: "Doubles a service while an alert fires.".into(),
                actions: vec!["ecs:scale-service".into()],
                queries: vec!["ecs:service".into()],
                settings_schema: r#"{"type":"object","properties":{}}"#.into(),
            }
        }

        fn validate_settings(settings: String) -> Result<(), String> {
            if settings == "{}" { Ok(()) } else { Err("there are no settings".into()) }
        }

        fn evaluate(input: Input) -> Result<Outcome, String> {
            if input.alert.status == Status::Resolved {
                return Ok(Outcome::Decided(decision(Vec::new(), "it is over", None)));
            }
            let missing: Vec<Query> =
                input.targets.iter().filter(|target| find(&input, target).is_none()).map(ask).collect();
            if !missing.is_empty() {
                return Ok(Outcome::Needs(missing));
            }
            let answered = input.targets.iter().filter_map(|target| Some((target, find(&input, target)?)));
            let intents = answered.map(|(target, answer)| double(target, answer)).collect::<Result<_, _>>()?;
            Ok(Outcome::Decided(decision(intents, "twice as many", Some(60))))
        }
    }

    fn ask(target: &String) -> Query {
        Query { kind: "ecs:service".into(), target: target.clone(), parameters: "{}".into() }
    }

    fn find<'a>(input: &'a Input, target: &str) -> Option<&'a Answer> {
        input.answers.iter().find(|answer| answer.query.target == target)
    }

    fn double(target: &str, answer: &Answer) -> Result<Intent, String> {
        let service = answer.reading.as_ref().map_err(|why| format!("{target}: {why}"))?;
        // The host's JSON is on one line with sorted keys, and this key is the first of its name outside of deployments.
        let desired = service.rsplit("\"desired\":").next().map(|rest| rest.split(|c: char| !c.is_ascii_digit()));
        let desired = desired.and_then(|mut digits| digits.next()?.parse::<u32>().ok());
        let desired = desired.ok_or_else(|| format!("{target}: no number is desired"))?;
        Ok(Intent {
            action: "ecs:scale-service".into(),
            target: target.into(),
            parameters: format!(r#"{{"desired":{}}}"#, desired * 2),
            expects: format!(r#"{{"desired":{desired}}}"#),
            verify_within: None,
            undo: false,
            reason: "the alert fires".into(),
        })
    }

    fn decision(intents: Vec<Intent>, explanation: &str, look_again_after: Option<u32>) -> Decision {
        Decision { intents, explanation: explanation.into(), look_again_after, extra: "{}".into() }
    }
}
