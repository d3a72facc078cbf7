//! `balm capsule`: one evaluation of the past, with everything that the plugin saw; as JSON, or as a test of its policy.

mod rust;

use std::process::ExitCode;

use anyhow::bail;
use balm_core::{evaluation::Input, record::Record};
use clap::Args;
use serde_json::{Value, json};

use super::{
    out,
    past::{Past, Which},
};
use crate::replay::{self, Case};

#[derive(Debug, Args)]
pub(super) struct Capsule {
    /// A capsule's record, an intent of it, or the number of an episode for all of its evaluations.
    id: Which,
    /// As Rust: a test of the policy with the SDK's test kit, to be put beside its others.
    #[arg(long)]
    as_test: bool,
    /// What the policy's type is called in the test, if not as its plugin.
    #[arg(long, value_name = "TYPE", requires = "as_test")]
    policy_type: Option<String>,
    #[command(flatten)]
    past: Past,
}

pub(super) fn run(capsule: &Capsule) -> anyhow::Result<ExitCode> {
    let history = capsule.past.history()?;
    let survey = replay::survey(&history, |seq, found, _| capsule.id.names(seq, found))?;
    let (mut texts, mut wrong) = (Vec::new(), Vec::new());
    survey.cases(&history, |seq, case| match case.map_err(|missing| missing.to_string()) {
        Ok(case) if capsule.as_test => match rust::test(&case, capsule.policy_type.as_deref()) {
            Ok(text) => texts.push(text),
            Err(why) => wrong.push(format!("record {seq} makes no test: {why}")),
        },
        Ok(case) => texts.push(format!("{:#}\n", in_json(&case))),
        Err(why) => wrong.push(format!("record {seq}: {why}")),
    })?;
    if !wrong.is_empty() {
        bail!(wrong.join("\n"));
    }
    if texts.is_empty() {
        bail!("{} names no evaluation: give the number of a record `evaluated`, an intent, or an episode", capsule.id);
    }
    out::write(texts.join("\n"))?;
    Ok(ExitCode::SUCCESS)
}

/// The record, and of what it names that which the plugin saw.
fn in_json(case: &Case) -> Value {
    let Input { alert, settings, .. } = &case.input;
    let fact = balm_core::record::Fact::Evaluated(case.capsule.clone());
    let record = Record { seq: case.seq, at: case.at, more: false, fact };
    json!({ "plugin": case.name, "alert": alert.as_ref(), "settings": settings, "record": record })
}
