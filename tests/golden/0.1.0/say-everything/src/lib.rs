//! A golden plugin of contract 0.1.0: says back everything that it is told, and proposes an intent with every field.
//!
//! It is kept as it is for as long as hosts take plugins of this contract. On the contract alone, without the SDK, which may
//! change. The settings say how it ends: `{"how":"decide"}`, `ask` or `fail`.

#[cfg(target_family = "wasm")]
mod plugin {
    #[allow(missing_docs, unsafe_code, clippy::all, reason = "generated from the documented contract")]
    mod bindings {
        wit_bindgen::generate!({ path: "../../../../wit/0.1.0", world: "policy" });
        use super::SayEverything;
        export!(SayEverything);
    }

    use bindings::{
        balm::policy::{
            log::{self, Level},
            types::{Alert, Answer, Decision, Intent, PastIntent, Query},
        },
        exports::balm::policy::plugin::{Guest, Input, Manifest, Outcome},
    };

    struct SayEverything;

    impl Guest for SayEverything {
        fn describe() -> Manifest {
            Manifest {
                name: Some("say-everything".into()),
                version: "0.1.0".into(),
                summary: "Says back everything that it is told.".into(),
                actions: vec!["ecs:scale-service".into(), "ecs:stop-task".into()],
                queries: vec!["ecs:service".into(), "ecs:tasks".into()],
                settings_schema: r#"{"type":"object","properties":{"how":{"type":"string"}}}"#.into(),
            }
        }

        fn validate_settings(settings: String) -> Result<(), String> {
            let known = ["decide", "ask", "fail"].map(|how| format!(r#"{{"how":"{how}"}}"#));
            if known.contains(&settings) { Ok(()) } else { Err(format!("{settings} is none of {}", known.join(", "))) }
        }

        fn evaluate(input: Input) -> Result<Outcome, String> {
            log::write(Level::Debug, "for the author");
            log::write(Level::Info, "for whoever follows");
            log::write(Level::Warn, "for whoever must mend something: \u{1b}[2J\n");
            match input.settings.as_str() {
                r#"{"how":"ask"}"# => Ok(Outcome::Needs(queries(&input))),
                r#"{"how":"fail"}"# => Err(format!("told to fail about {}", input.alert.name)),
                _ => Ok(Outcome::Decided(decision(&input))),
            }
        }
    }

    fn queries(input: &Input) -> Vec<Query> {
        let query = |target: &String| Query {
            kind: "ecs:service".into(),
            target: target.clone(),
            parameters: r#"{ "b": [1, 2], "a": null }"#.into(),
        };
        input.targets.iter().map(query).collect()
    }

    fn decision(input: &Input) -> Decision {
        let intent = |target: &String| Intent {
            action: "ecs:stop-task".into(),
            target: target.clone(),
            parameters: r#"{"task": "0123456789abcdef"}"#.into(),
            expects: r#"{"desired": 4, "running": 4}"#.into(),
            verify_within: Some(u32::MAX),
            undo: true,
            reason: "every field — größer → 🚨".into(),
        };
        Decision {
            intents: input.targets.iter().map(intent).collect(),
            explanation: everything(input),
            look_again_after: (input.seed % 2 == 1).then_some(u32::MAX),
            extra: r#"{"later": [true, 1.5, "x"]}"#.into(),
        }
    }

    fn everything(input: &Input) -> String {
        let Input { alert, policy, targets, settings, answers, trigger, history, now, seed, extra } = input;
        let answers: Vec<String> = answers.iter().map(answer).collect();
        let history: Vec<String> = history.iter().map(past).collect();
        format!(
            "{} | {policy} | {} | {settings} | {} | {trigger} | {} | {now} | {seed} | {extra}",
            self::alert(alert),
            targets.join(","),
            answers.join(","),
            history.join(","),
        )
    }

    fn alert(alert: &Alert) -> String {
        let Alert { source, org, fingerprint, status, name, labels, annotations, values, starts_at, ends_at } = alert;
        let status = format!("{status:?}");
        let status = status.rsplit(':').next().unwrap_or_default();
        format!(
            "{source} {org} {fingerprint} {status} {name} {labels:?} {annotations:?} {values:?} {starts_at:?} {ends_at:?}"
        )
    }

    fn answer(answer: &Answer) -> String {
        let Answer { query: Query { kind, target, parameters }, reading, at } = answer;
        format!("{kind} {target} {parameters} {reading:?} {at}")
    }

    fn past(past: &PastIntent) -> String {
        let PastIntent { action, target, at, state, before, after } = past;
        format!("{action} {target} {at} {state} {before} {after}")
    }
}
