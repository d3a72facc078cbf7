//! Fuzzing: whatever strangers hand to the host, changed in a few places ten thousand times over, at each door by itself.
//!
//! The inputs come from the project's own fixtures and from a seed, so that a run can be repeated to the byte. An input is a
//! finding if something panics, or if what was accepted is not what it says. It is then kept in a file of its own, with the
//! command that tries it again.

mod doors;
mod mutate;

use std::{
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
};

use crate::sim::random::Random;

/// Where something comes in.
struct Door {
    /// Its name, with which the file of a finding begins.
    name: &'static str,
    /// Inputs of a short run: what is slow has fewer.
    inputs: u64,
    /// What is good there, and accepted.
    corpus: fn() -> Vec<Vec<u8>>,
    /// What tries an input there.
    open: fn() -> Try,
}

/// Tries an input; an error says what is wrong with what became of it.
type Try = Box<dyn FnMut(&[u8]) -> Result<Became, String>>;

/// What became of an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Became {
    /// It was taken for what it is.
    Accepted,
    /// It was refused.
    Refused,
}

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Inputs that were tried.
    pub executions: u64,
    /// Those of them that were accepted: the others show nothing of what lies behind the door.
    pub accepted: u64,
    /// Doors at which.
    pub doors: u64,
    /// What is wrong, with the command that shows it again.
    pub failures: Vec<String>,
}

/// In place of the seed of an input that is as the corpus has it.
const GOOD: u64 = u64::MAX;

/// Findings of one door after which it is left.
const FINDINGS: usize = 3;

/// Try inputs at every door: so many times as many as in a short run.
#[must_use]
pub fn run(times: u64, seed: u64) -> Report {
    let mut report = Report::default();
    for door in doors::ALL {
        report.doors += 1;
        let (corpus, mut attempt) = ((door.corpus)(), (door.open)());
        let good = corpus.iter().map(|good| (GOOD, good.clone()));
        let mut seeds = Random::new(seed);
        let changed = (0..door.inputs * times).map(|_| {
            let own = seeds.below(u64::MAX);
            (own, mutate::input(&corpus, own))
        });
        let mut findings = 0;
        for (own, input) in good.chain(changed) {
            report.executions += 1;
            let became = guarded(&mut attempt, &input);
            report.accepted += u64::from(became == Ok(Became::Accepted));
            let wrong = match became {
                // The door is not open at all.
                Ok(Became::Refused) if own == GOOD => Some("what is good is refused".to_owned()),
                Ok(_) => None,
                Err(why) => Some(why),
            };
            if let Some(why) = wrong {
                report.failures.push(keep(door.name, own, &input, &why));
                findings += 1;
                if findings == FINDINGS {
                    break;
                }
                // What it panicked in may be half done.
                attempt = (door.open)();
            }
        }
    }
    report
}

/// Try the input of a file again that a run has kept.
pub fn again(file: &Path) -> anyhow::Result<()> {
    let input = fs::read(file)?;
    let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let door = doors::ALL.iter().find(|door| name.starts_with(door.name));
    let door = door.ok_or_else(|| anyhow::anyhow!("no door's name begins the name of {}", file.display()))?;
    guarded(&mut (door.open)(), &input).map(drop).map_err(|why| anyhow::anyhow!("{why}"))
}

fn guarded(attempt: &mut Try, input: &[u8]) -> Result<Became, String> {
    let tried = catch_unwind(AssertUnwindSafe(|| attempt(input)));
    tried.unwrap_or_else(|panic| {
        let said = panic.downcast_ref::<String>().cloned();
        let said = said.or_else(|| panic.downcast_ref::<&str>().map(|said| (*said).to_owned()));
        Err(format!("it panics: {}", said.unwrap_or_default()))
    })
}

fn keep(door: &str, seed: u64, input: &[u8], why: &str) -> String {
    let dir = std::env::temp_dir().join("balm-fuzz");
    let file: PathBuf = dir.join(format!("{door}-{seed:016x}"));
    let kept = fs::create_dir_all(&dir).and_then(|()| fs::write(&file, input));
    let told = kept.map_or_else(
        |error| format!("it cannot be kept: {error}"),
        |()| format!("again with: cargo xtask prove --only fuzz --again {}", file.display()),
    );
    format!("{door}: {why}; {told}")
}
