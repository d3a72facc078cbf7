//! The hostile corpus: guests and files that do what no plugin may, all made from source here, each with the ending that it
//! must have.
//!
//! An ending is always *that plugin's*: it is refused when it is loaded, it refuses its settings, its evaluation fails, or
//! what it did was without effect and it decides. Nothing else may happen to the host or to its neighbours. `tests/it/corpus.rs`
//! has a test of each guest's name and fails where a guest has none.

mod boundary;
mod component;
mod features;
mod floods;
mod handles;
mod shape;
mod space;
mod time;
pub(crate) mod told;
mod traps;

use std::sync::Arc;

use balm_core::{
    alert::{Alert, Status},
    evaluation::{FailureKind, Input, Outcome, Trigger},
    json::Json,
    time::Timestamp,
};
use balm_sandbox::{Plugin, Round, Sandbox};

pub(crate) use self::component::assemble;

/// One guest of the corpus.
#[derive(Clone, Copy, Debug)]
pub struct Hostile {
    /// Its name, which is that of its test.
    pub name: &'static str,
    /// The bytes of its file.
    pub bytes: fn() -> Vec<u8>,
    /// The settings of its policy: which of its ways a guest with many takes.
    pub settings: &'static str,
    /// What must become of it.
    pub ending: Ending,
}

/// What must become of a guest, with what must be said of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It is refused when it is loaded.
    Refused(&'static str),
    /// It is a plugin, and fails when it is asked about its policy's settings.
    RefusesSettings(&'static str),
    /// Its evaluation fails.
    Fails(FailureKind, &'static str),
    /// It asks what it may not; the host that answers queries says so.
    Asks(&'static str),
    /// What it did was without effect: it decides, the same every time.
    Decides(&'static str),
}

/// The whole corpus.
#[must_use]
pub fn all() -> Vec<Hostile> {
    [
        time::GUESTS,
        space::GUESTS,
        traps::GUESTS,
        boundary::GUESTS,
        handles::GUESTS,
        floods::GUESTS,
        features::GUESTS,
        shape::GUESTS,
    ]
    .concat()
}

/// A guest with a way of its own.
const fn guest(name: &'static str, bytes: fn() -> Vec<u8>, ending: Ending) -> Hostile {
    Hostile { name, bytes, settings: "{}", ending }
}

/// A way of the Rust guest `misbehave`.
const fn misbehave(name: &'static str, settings: &'static str, ending: Ending) -> Hostile {
    Hostile { name, bytes: || std::fs::read(crate::MISBEHAVE).expect("the build made it"), settings, ending }
}

/// Load a guest, let it check its settings and evaluate twice, as a host would, and compare with its ending: nothing, or
/// what is otherwise.
pub async fn judge(sandbox: &Arc<Sandbox>, hostile: &Hostile) -> Result<(), String> {
    let bytes = (hostile.bytes)();
    let name = plugin_name(hostile.name).parse().expect("a plugin's name");
    let settings = Json::parse(hostile.settings).expect("settings are JSON");
    let loaded = match Plugin::load(sandbox, name, &bytes).await {
        Err(error) => return matches_ending(hostile, &Ended::Refused(error.to_string())),
        Ok(plugin) => plugin,
    };
    if let Err(why) = loaded.validate_settings(&settings).await {
        return matches_ending(hostile, &Ended::RefusedSettings(why));
    }
    let input = input(settings);
    let first = loaded.evaluate(&input).await;
    matches_ending(hostile, &Ended::of(&first))?;
    let second = loaded.evaluate(&input).await;
    let out_of_time = matches!(hostile.ending, Ending::Fails(FailureKind::OutOfTime, _));
    if first.outcome != second.outcome || (first.fuel != second.fuel && !out_of_time) {
        return Err(format!("its second evaluation is another: {first:?} and {second:?}"));
    }
    Ok(())
}

/// An alert about a service, as every guest is given it.
#[must_use]
pub fn input(settings: Json) -> Input {
    let alert = Alert {
        source: "grafana".parse().expect("a name"),
        org: "1".into(),
        fingerprint: "c6eadffa33fcdf37".into(),
        status: Status::Firing,
        name: "HighCpu".into(),
        labels: [("alertname".to_owned(), "HighCpu".to_owned())].into(),
        annotations: [].into(),
        values: [("A".to_owned(), 93.4)].into(),
        starts_at: None,
        ends_at: None,
        url: String::new(),
        held: None,
    };
    Input {
        alert: Arc::new(alert),
        policy: "web-cpu".parse().expect("a name"),
        targets: vec![crate::harness::cloud::arn("web").parse().expect("a target")],
        settings,
        answers: Vec::new(),
        trigger: Trigger::Fired,
        history: Vec::new(),
        now: Timestamp::from_millis(1_795_435_200_123),
        seed: 7,
    }
}

/// A guest's name as that of a plugin.
#[must_use]
pub fn plugin_name(name: &str) -> String {
    name.replace('_', "-")
}

/// What became of a guest.
#[derive(Clone, Debug)]
pub enum Ended {
    /// It was refused when it was loaded.
    Refused(String),
    /// It did not accept its settings.
    RefusedSettings(String),
    /// Its evaluation failed.
    Failed(FailureKind, String),
    /// It asked.
    Asked,
    /// It decided, and explained itself.
    Decided(String),
}

impl Ended {
    fn of(round: &Round) -> Self {
        match &round.outcome {
            Ok(Outcome::Decided(decision)) => Self::Decided(decision.explanation.clone()),
            Ok(Outcome::Needs(_)) => Self::Asked,
            Err(failure) => Self::Failed(failure.kind, failure.message.clone()),
        }
    }
}

/// Whether what became of a guest is its ending; otherwise both.
pub fn matches_ending(hostile: &Hostile, ended: &Ended) -> Result<(), String> {
    let is = match (hostile.ending, ended) {
        (Ending::Refused(wanted), Ended::Refused(why)) => why.contains(wanted),
        (Ending::RefusesSettings(wanted), Ended::RefusedSettings(why)) => why.contains(wanted),
        (Ending::Fails(kind, wanted), Ended::Failed(found, message)) => kind == *found && message.contains(wanted),
        (Ending::Asks(wanted), Ended::Failed(FailureKind::Queries, message)) => message.contains(wanted),
        (Ending::Asks(_), Ended::Asked) => true,
        (Ending::Decides(wanted), Ended::Decided(explanation)) => explanation.contains(wanted),
        _ => false,
    };
    if is { Ok(()) } else { Err(format!("{}: wanted {:?}, and it was {ended:?}", hostile.name, hostile.ending)) }
}
