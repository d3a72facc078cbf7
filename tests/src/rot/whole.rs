//! A whole host on damaged files: it is started and asked for everything.

use std::time::Duration;

use serde_json::Value;

use super::{
    Damaged, Verdict,
    template::{Answers, Template},
};
use crate::harness::{
    host::{Files, Host},
    socket, wait,
};

const WITHIN: Duration = Duration::from_secs(120);

/// What it cannot answer it must tell, and have mended by the next start. `place` is what its words must name.
pub(super) fn judge(template: &Template, damaged: &Damaged<'_>, place: &str) -> Verdict {
    let files = Files::adopt(damaged.copy(&[]));
    let mut told = false;
    for start in ["this", "the next"] {
        let mut host = match files.try_start() {
            Ok(host) => host,
            Err(said) if said.contains("panicked") => return Verdict::Silent(format!("{start} start fails: {said}")),
            Err(said) if said.contains(place) => return Verdict::Told,
            Err(said) => return Verdict::Silent(format!("{start} start fails: {said}")),
        };
        let found = ask(template, &files, &mut host);
        host.kill();
        let log = host.log();
        if log.contains("panicked") {
            return Verdict::Silent(format!("after {start} start something panics: {log}"));
        }
        match found {
            Found::Same if told || log.contains("is built again from the journal") => return Verdict::Told,
            Found::Same => return Verdict::Same,
            Found::Told(said) if said.contains(place) => told = true,
            Found::Told(said) | Found::Wrong(said) => {
                return Verdict::Silent(format!("after {start} start: {said}: {log}"));
            }
        }
    }
    Verdict::Silent("the next start has not mended it".into())
}

/// What a host answers.
enum Found {
    Same,
    /// It says what is wrong.
    Told(String),
    Wrong(String),
}

/// Ask for everything, once the host has checked what it found: until then it says that it is at it.
fn ask(template: &Template, files: &Files, host: &mut Host) -> Found {
    let data = files.data();
    let status = wait::until("the host to have checked its files", WITHIN, || {
        if let Some(ended) = host.ended() {
            return Some(Err(format!("the host ended with {ended}")));
        }
        let status = socket::get(&data, "/status").ok()?;
        let copied = status["audit-seq"].as_u64() >= Some(template.last());
        let is_checked = status["verifying"] == false && copied;
        (is_checked || status["damage"] != Value::Null).then_some(Ok(status))
    });
    match status {
        Err(ended) => Found::Wrong(ended),
        Ok(status) => match (status["damage"].as_str(), Answers::ask(&data, template.last())) {
            // Whoever asks all the same is told as well.
            (Some(damage), Err(_)) => Found::Told(damage.to_owned()),
            (Some(damage), Ok(_)) => Found::Wrong(format!("it answers, and says {damage}")),
            (None, Err(said)) => Found::Told(said),
            (None, Ok(answers)) => answers.unlike(&template.answers).map_or(Found::Same, Found::Wrong),
        },
    }
}
