//! A guest of the tests that does what no policy should: it takes time, space and output without end, waits, looks around,
//! and hands over what is no decision. Which of it is in its settings.
//!
//! Each way has an ending of its own that the tests name. It refuses to know how it ends.

use std::{hint::black_box, time::Duration};

use balm_sdk::{Decision, Input, Intent, Policy, Stop, Target, catalogue::ecs::ServiceQuery, log};

/// What a test sets.
#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// What it does.
    pub how: How,
}

/// Ways to misbehave, and two to look around.
#[derive(Clone, Copy, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum How {
    /// Computes without end.
    Loop,
    /// Copies memory without end: few instructions that do much.
    Copy,
    /// Calls the host without end: few instructions that take long.
    Chatter,
    /// Takes memory without end.
    Allocate,
    /// Takes all memory at once.
    AllocateAtOnce,
    /// Calls itself without end.
    Recurse,
    /// Panics.
    Panic,
    /// Ends its process.
    Exit,
    /// Waits for time to pass.
    Sleep,
    /// Writes more to its log than is kept, and then decides.
    Log,
    /// Writes more to its standard output than is kept, and then decides.
    Print,
    /// Explains itself in two megabytes.
    Explain,
    /// Proposes a hundred intents.
    Propose,
    /// Proposes with parameters that are no JSON.
    Garble,
    /// Proposes with parameters that are nested without end.
    Nest,
    /// Reads a file of the host.
    ReadFile,
    /// Writes a file on the host.
    WriteFile,
    /// Decides, and says what it sees of the world.
    LookAround,
}

/// The policy.
pub struct Misbehave;

impl Policy for Misbehave {
    type Settings = Settings;

    const SUMMARY: &'static str = "Does what no policy should.";
    const ACTIONS: &'static [&'static str] = &["ecs:scale-service"];
    const QUERIES: &'static [&'static str] = &[<ServiceQuery as balm_sdk::catalogue::Query>::NAME];

    fn evaluate(input: &Input<Settings>) -> Result<Decision, Stop> {
        let failed = |error: std::io::Error| Stop::failed(error.to_string());
        match input.settings.how {
            How::Loop => count_up(),
            How::Copy => copy(),
            How::Chatter => chatter(),
            How::Allocate => allocate(),
            How::AllocateAtOnce => drop(black_box(vec![1_u8; 64 << 20])),
            How::Recurse => drop(black_box(recurse(0))),
            How::Panic => explode(),
            How::Exit => std::process::exit(0),
            How::Sleep => std::thread::sleep(Duration::from_secs(3600)),
            How::Log => (0..200).for_each(|i| log::info(&format!("{i} {}", "x".repeat(2_000)))),
            How::Print => (0..200).for_each(|i| println!("{i} {}", "x".repeat(100))),
            How::Explain => return Ok(Decision::because("x".repeat(2 << 20))),
            How::Propose => return Ok(propose(100, "{}".into())),
            How::Garble => return Ok(propose(1, "{\"desired\":".into())),
            How::Nest => return Ok(propose(1, "[".repeat(60_000))),
            How::ReadFile => drop(std::fs::read("/etc/passwd").map_err(failed)?),
            How::WriteFile => std::fs::write("/tmp/misbehaved", "x").map_err(failed)?,
            How::LookAround => {}
        }
        Ok(Decision::because(look_around()))
    }
}

balm_sdk::export!(Misbehave);

fn count_up() {
    for i in 0_u64.. {
        black_box(i);
    }
}

fn copy() {
    let mut bytes = vec![1_u8; 12 << 20];
    let half = bytes.len() / 2;
    loop {
        black_box(&mut bytes).copy_within(0..half, half);
    }
}

fn chatter() {
    loop {
        log::debug("x");
    }
}

fn allocate() {
    let mut all = Vec::new();
    loop {
        all.push(black_box(Vec::<u8>::with_capacity(64 << 10)));
    }
}

#[expect(unconditional_recursion, reason = "that is what it is for")]
fn recurse(depth: u64) -> u64 {
    let frame = black_box([depth; 64]);
    recurse(depth + 1) + frame[0]
}

#[expect(clippy::panic, reason = "that is what it is for")]
fn explode() {
    panic!("as it was told to");
}

fn propose(count: usize, parameters: String) -> Decision {
    let intent = Intent { parameters, ..Intent::scale_service(&Target::new("nowhere"), 1) };
    let mut decision = Decision::because("the settings say so");
    decision.intents = vec![intent; count];
    decision
}

/// What it can find out about the world in which it runs.
fn look_around() -> String {
    use std::hash::{BuildHasher as _, RandomState};
    let variables = std::env::vars().count();
    let arguments = std::env::args().count();
    #[expect(clippy::disallowed_methods, reason = "what it would see is what is asked")]
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |now| now.as_millis());
    let random = RandomState::new().hash_one(1);
    let here = std::fs::read_dir(".").map_or_else(|_| "nothing".to_owned(), |dir| dir.count().to_string());
    format!("{variables} variables, {arguments} arguments, {now} ms, random {random}, {here} in the directory")
}
