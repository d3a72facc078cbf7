//! Golden decisions: inputs, and what plugins made of them when the contract was released. They are kept as source beside the
//! plugins, and must come out the same for as long as the contract is taken, and in every language.
//!
//! A file of `tests/golden` is one JSON object: `input` is what is common to all cases, each of `cases` says in `with` what is
//! different and in `outcome` what comes of it, and `settings` has settings and whether they are accepted. Of a failure only
//! its kind counts: its words are the language's.

use std::{fs, path::Path, sync::Arc};

use anyhow::Context as _;
use balm_core::{
    evaluation::{Answer, Conclusion, Input, Outcome, PastIntent, Query, Trigger},
    json::Json,
    name::{IntentId, Seq},
    time::Timestamp,
};
use balm_sandbox::{Plugin, Round, Sandbox};
use serde_json::{Map, Value, json};

use crate::{
    GOLDEN_SAY_EVERYTHING, GOLDEN_SCALE_BY_HAND, SCALE_ECS_SERVICE,
    languages::{self, Language},
};

/// The golden decisions of `scale-ecs-service`, whatever it is written in.
pub const SCALE: &str = "scale-ecs-service.json";

/// Plugins of released contracts, each with its file of golden decisions.
pub const RELEASED: [(&str, &str); 2] =
    [(GOLDEN_SAY_EVERYTHING, "0.1.0/say-everything.json"), (GOLDEN_SCALE_BY_HAND, "0.1.0/scale-by-hand.json")];

/// A file of golden decisions.
pub struct Golden {
    plugin: String,
    cases: Vec<Case>,
    settings: Vec<(Json, bool)>,
}

struct Case {
    name: String,
    input: Input,
    outcome: Value,
    log: Option<Value>,
}

/// What was found.
#[derive(Debug, Default)]
pub struct Compared {
    /// Components that were asked.
    pub plugins: usize,
    /// Decisions that were compared.
    pub decisions: usize,
    /// What came out otherwise.
    pub mismatches: Vec<String>,
}

/// Every golden plugin, and `scale-ecs-service` in Rust and in every language that can be built here.
///
/// # Errors
///
/// If a file cannot be read, or a component is no plugin.
pub async fn compare_all() -> anyhow::Result<Compared> {
    let sandbox = Arc::new(Sandbox::new()?);
    let mut compared = Compared::default();
    for (component, file) in RELEASED {
        Golden::read(file)?.compare(&sandbox, Path::new(component), &mut compared).await?;
    }
    let scale = Golden::read(SCALE)?;
    scale.compare(&sandbox, Path::new(SCALE_ECS_SERVICE), &mut compared).await?;
    for component in Language::ALL.into_iter().filter_map(languages::component) {
        scale.compare(&sandbox, component, &mut compared).await?;
    }
    Ok(compared)
}

impl Golden {
    /// Read a file of `tests/golden`.
    ///
    /// # Errors
    ///
    /// If it is not what this module says.
    pub fn read(file: &str) -> anyhow::Result<Self> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden").join(file);
        let whole: Value = serde_json::from_str(&fs::read_to_string(&path).with_context(|| file.to_owned())?)?;
        let common = whole["input"].as_object().context("input: what is common to all cases")?;
        let mut cases = Vec::new();
        for case in whole["cases"].as_array().context("cases")? {
            cases.push(Case::read(common, case).with_context(|| format!("{file}: {}", case["name"]))?);
        }
        let accepted = |given: &Value| {
            let accepted = given["accepted"].as_bool().with_context(|| format!("{file}: accepted, of {given}"))?;
            anyhow::Ok((Json::of(&given["settings"]), accepted))
        };
        let settings = whole["settings"].as_array().into_iter().flatten().map(accepted).collect::<Result<_, _>>()?;
        Ok(Self { plugin: whole["plugin"].as_str().context("plugin: its name")?.to_owned(), cases, settings })
    }

    /// An input of one of the cases, by its name.
    #[must_use]
    pub fn input(&self, case: &str) -> Option<&Input> {
        self.cases.iter().find(|own| own.name == case).map(|case| &case.input)
    }

    /// Ask a component everything.
    ///
    /// # Errors
    ///
    /// If it is no plugin.
    pub async fn compare(
        &self,
        sandbox: &Arc<Sandbox>,
        component: &Path,
        compared: &mut Compared,
    ) -> anyhow::Result<()> {
        let place = component.display();
        let bytes = fs::read(component).with_context(|| format!("{place}"))?;
        let plugin = Plugin::load(sandbox, self.plugin.parse()?, &bytes).await.with_context(|| format!("{place}"))?;
        compared.plugins += 1;
        for case in &self.cases {
            let round = plugin.evaluate(&case.input).await;
            compared.decisions += 1;
            let found = (said(&round), case.log.as_ref().map(|_| log(&round)));
            if found != (case.outcome.clone(), case.log.clone()) {
                let failure = round.outcome.err().map(|failure| failure.message);
                // As it would stand in the file.
                let found = json!({ "name": case.name, "outcome": found.0, "log": found.1, "failure": failure });
                compared.mismatches.push(format!("{place}: {found}"));
            }
        }
        for (settings, accepted) in &self.settings {
            let verdict = plugin.validate_settings(settings).await;
            compared.decisions += 1;
            if verdict.is_ok() != *accepted || verdict.as_ref().is_err_and(String::is_empty) {
                compared.mismatches.push(format!("{place}: {settings}: {verdict:?}"));
            }
        }
        Ok(())
    }
}

impl Case {
    fn read(common: &Map<String, Value>, case: &Value) -> anyhow::Result<Self> {
        let mut input = common.clone();
        for (key, value) in case["with"].as_object().into_iter().flatten() {
            match (input.get_mut(key), value) {
                // What is different about the alert, not another one.
                (Some(Value::Object(before)), Value::Object(after)) if key == "alert" => before.extend(after.clone()),
                _ => drop(input.insert(key.clone(), value.clone())),
            }
        }
        let name = case["name"].as_str().context("name")?.to_owned();
        let log = case.get("log").cloned();
        Ok(Self { name, input: self::input(&Value::Object(input))?, outcome: case["outcome"].clone(), log })
    }
}

fn input(raw: &Value) -> anyhow::Result<Input> {
    let texts = |key: &str| raw[key].as_array().into_iter().flatten().filter_map(Value::as_str);
    let list = |key: &str| raw[key].as_array().into_iter().flatten();
    Ok(Input {
        alert: Arc::new(serde_json::from_value(raw["alert"].clone()).context("alert")?),
        policy: raw["policy"].as_str().context("policy")?.parse()?,
        targets: texts("targets").map(str::parse).collect::<Result<_, _>>()?,
        settings: Json::of(&raw["settings"]),
        answers: list("answers").map(answer).collect::<anyhow::Result<_>>()?,
        trigger: serde_json::from_value::<Trigger>(raw["trigger"].clone()).context("trigger")?,
        history: list("history").map(past).collect::<anyhow::Result<_>>()?,
        now: Timestamp::from_millis(raw["now"].as_u64().context("now")?),
        seed: raw["seed"].as_u64().context("seed")?,
    })
}

fn answer(raw: &Value) -> anyhow::Result<Answer> {
    let text = |key: &str| raw["query"][key].as_str().map(str::to_owned).context("a query's text");
    let query =
        Query { kind: text("kind")?, target: text("target")?, parameters: Json::of(&raw["query"]["parameters"]) };
    let reading = match (raw["reading"].get("ok"), raw["reading"]["error"].as_str()) {
        (Some(reading), _) => Ok(Json::of(reading)),
        (None, why) => Err(why.context("a reading, or why there is none")?.to_owned()),
    };
    Ok(Answer { query, reading, at: Timestamp::from_millis(raw["at"].as_u64().context("at")?) })
}

fn past(raw: &Value) -> anyhow::Result<PastIntent> {
    let text = |key: &str| raw[key].as_str().map(str::to_owned).with_context(|| key.to_owned());
    Ok(PastIntent {
        // No plugin is told.
        id: IntentId { proposed: Seq(1), index: 0 },
        action: text("action")?,
        target: text("target")?,
        at: Timestamp::from_millis(raw["at"].as_u64().context("at")?),
        state: text("state")?,
        before: Json::of(&raw["before"]),
        after: Json::of(&raw["after"]),
    })
}

fn said(round: &Round) -> Value {
    match &round.outcome {
        Ok(Outcome::Decided(decision)) => json!(Conclusion::Decided(decision.clone())),
        Ok(Outcome::Needs(queries)) => json!({ "needs": queries }),
        Err(failure) => json!({ "failed": failure.kind }),
    }
}

fn log(round: &Round) -> Value {
    round.log.iter().map(|line| format!("{:?}: {}", line.level, line.message)).collect()
}
