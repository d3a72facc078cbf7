//! Bombs beside a running host: each is put where the good plugin was, and is to be refused while everything else stays.

use std::time::{Duration, Instant};

use balm_core::{
    evaluation::{Capsule, Conclusion},
    record::Fact,
};
use serde_json::Value;

use super::{Bomb, Ending};
use crate::harness::{
    Dir,
    grafana::{Alert, body},
    host::{Files, Host},
    journal, memory, stamped, wait,
};

/// How long a bomb may be about before it is refused.
const REFUSED_WITHIN: Duration = Duration::from_secs(90);

/// How much more memory the host may have at any moment meanwhile, as MiB.
const GROWN_MOST_MIB: f64 = 64.0;

/// How long a decision may take, on a busy machine in a build without optimisation.
const DECIDED_WITHIN: Duration = Duration::from_secs(60);

/// What is said of a component that took more than it may, and of one that was compiled after all.
const COSTS: [&str; 3] = ["compiling it took more than ", " bytes of native code; at most ", "it cannot be compiled: "];
const COMPILED: &str = "it does not fit the contract balm:policy@0.1.0: ";

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Bombs that were put there.
    pub bombs: u64,
    /// Those of them that were refused in time and with their reason, while the good version stayed in force and the host had
    /// the memory that it had.
    pub contained: u64,
    /// Those of them that were compiled within the limits, and refused for what they are.
    pub compiled: u64,
    /// Seconds until the slowest was refused.
    pub slowest_s: f64,
    /// The most MiB that the host had beyond what it had before the first.
    pub grown_mib: f64,
    /// Everything that is wrong, in words.
    pub wrong: Vec<String>,
}

/// Put them there, one after the other.
///
/// # Panics
///
/// If the good plugin does not decide before the first of them.
#[must_use]
pub fn run(bombs: &[Bomb]) -> Report {
    let files = Files::bare(Dir::new("bombs"));
    let good = stamped::version(1);
    files.put("plugins/web.wasm", &good);
    files.write("plugins/web.toml", &stamped::policy("web", "any"));
    let mut host = files.start();
    decide(&files, &host, 1);
    let before_mib = memory::resident_mib(host.pid());
    let mut report = Report::default();
    for bomb in bombs {
        report.bombs += 1;
        match explode(&files, &mut host, bomb, before_mib, &mut report) {
            Ok(()) => report.contained += 1,
            Err(why) => report.wrong.push(format!("{}: {why}", bomb.name)),
        }
        if host.ended().is_some() {
            report.wrong.push(format!("the host is gone: {}", host.log()));
            return report;
        }
    }
    decide(&files, &host, 2);
    host.stop();
    let facts = journal::facts(&files.data());
    let refused = facts.iter().filter(|fact| matches!(fact, Fact::PluginRefused(_))).count() as u64;
    if refused < report.bombs {
        report.wrong.push(format!("{refused} refusals are recorded of {} bombs", report.bombs));
    }
    report
}

/// Put one there, wait for its refusal, and say what is otherwise than it must be.
fn explode(files: &Files, host: &mut Host, bomb: &Bomb, before_mib: f64, report: &mut Report) -> Result<(), String> {
    let bytes = (bomb.bytes)();
    let digest = stamped::digest(&bytes);
    memory::forget_peak(host.pid());
    files.put("plugins/web.wasm", &bytes);
    let since = Instant::now();
    let shown = loop {
        if host.ended().is_some() {
            return Err("it ended the host".into());
        }
        let shown = files.plugin("web");
        if shown["refused"]["digest"] == digest.as_str() {
            break shown;
        }
        if since.elapsed() > REFUSED_WITHIN {
            return Err(format!("after {} s it is not refused: {shown}", since.elapsed().as_secs()));
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    let (took_s, grown_mib) = (since.elapsed().as_secs_f64(), memory::peak_mib(host.pid()) - before_mib);
    report.slowest_s = report.slowest_s.max(took_s);
    report.grown_mib = report.grown_mib.max(grown_mib);
    let why = shown["refused"]["why"].as_str().unwrap_or_default();
    eprintln!("{took_s:6.1} s {grown_mib:6.1} MiB {:8} bytes  {}: {}", bytes.len(), bomb.name, reason(why));
    judge(bomb, why)?;
    if why.contains(COMPILED) {
        report.compiled += 1;
    }
    in_force(&shown)?;
    if grown_mib > GROWN_MOST_MIB {
        return Err(format!("the host had {grown_mib:.1} MiB more than before"));
    }
    Ok(())
}

/// Without the path of the file.
fn reason(why: &str) -> &str {
    why.split_once(".wasm: ").map_or(why, |(_, reason)| reason)
}

fn judge(bomb: &Bomb, why: &str) -> Result<(), String> {
    let named = match bomb.ending {
        Ending::Refused(wanted) => why.contains(wanted),
        Ending::Costs => COSTS.iter().chain([&COMPILED]).any(|cost| why.contains(cost)),
    };
    if named { Ok(()) } else { Err(format!("wanted {:?}, and it was {why}", bomb.ending)) }
}

/// The good version is.
fn in_force(shown: &Value) -> Result<(), String> {
    let good = stamped::digest(&stamped::version(1));
    if shown["state"] == "active" && shown["digest"] == good.as_str() {
        Ok(())
    } else {
        Err(format!("the last good version is not in force: {shown}"))
    }
}

/// An alert more is decided about by the good version.
fn decide(files: &Files, host: &Host, alerts: u64) {
    host.accept(&body(&[Alert::firing("Hot", "web", alerts)]));
    let words = stamped::explanation(1, "any");
    let decided = |capsule: &Capsule| matches!(&capsule.conclusion, Conclusion::Decided(decision) if decision.explanation == words);
    wait::until("the good version to decide", DECIDED_WITHIN, || {
        let facts = files.facts();
        let decisions =
            facts.iter().filter(|fact| matches!(fact, Fact::Evaluated(capsule) if decided(capsule))).count();
        (decisions as u64 >= alerts).then_some(())
    });
}
