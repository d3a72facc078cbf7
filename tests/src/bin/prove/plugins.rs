//! What plugins can do to a host: by what compiling them costs.

use balm_tests::{bombs, fuzz, harness::strace, lifecycle};

use crate::promise::Promise;

/// Bombs that there are at least.
const BOMBS: u64 = 50;

/// Seconds after which each must have been refused, and MiB that the host may have more than before meanwhile.
const BOMB_S: f64 = 90.0;
const BOMB_MIB: f64 = 64.0;

/// Calls to the kernel at which a host is killed in the middle of a change of versions; with `--long` all there are. Some do not
/// come a second time.
const LIFECYCLE_POINTS: usize = 130;

/// What there must be at least.
const LIFECYCLE_KILLS: u64 = 100;

/// How many times as many inputs are tried as in the tests.
const FUZZ_TIMES: u64 = 5;

pub(crate) fn bombs() -> Vec<Promise> {
    let all = bombs::all();
    eprintln!("putting {} compile bombs where a good plugin was", all.len());
    let report = bombs::run(&all);
    report.wrong.iter().for_each(|wrong| eprintln!("{wrong}"));
    vec![
        Promise::at_least("compile bombs that were put where a good plugin was", "compile_bombs", report.bombs, BOMBS),
        Promise::exactly(
            "of them that were refused with their reason while the good version stayed in force",
            "compile_bombs_contained",
            report.contained,
            report.bombs,
        ),
        Promise::of(
            "of them that could be compiled within the limits, and were refused for what they are",
            "compile_bombs_compiled",
            report.compiled as f64,
            report.compiled < report.bombs,
        ),
        Promise::at_most("seconds until the slowest was refused", "compile_bomb_s", report.slowest_s, BOMB_S),
        Promise::at_most(
            "MiB that the host had more at any moment",
            "compile_bomb_grown_mib",
            report.grown_mib,
            BOMB_MIB,
        ),
        Promise::none("anything else wrong about them", "compile_bomb_wrong", report.wrong.len() as u64),
    ]
}

pub(crate) fn lifecycle(long: bool) -> Vec<Promise> {
    const KILLS: &str = "times a host was killed in the middle of a change of a plugin's versions";
    if let Some(why) = strace::missing() {
        eprintln!("not killing a host in changes of versions: {why}");
        // A promise that nobody could show does not hold.
        return vec![Promise::at_least(KILLS, "lifecycle_kills", 0, LIFECYCLE_KILLS)];
    }
    eprintln!("killing a host in the middle of changes of a plugin's versions");
    let report = lifecycle::run(if long { usize::MAX } else { LIFECYCLE_POINTS });
    report.wrong.iter().for_each(|wrong| eprintln!("{wrong}"));
    let (changes, all) = (report.changes.len() as u64, lifecycle::Change::ALL.len() as u64);
    vec![
        Promise::at_least(KILLS, "lifecycle_kills", report.kills, LIFECYCLE_KILLS),
        Promise::exactly("kinds of changes", "lifecycle_changes", changes, all),
        Promise::none("starts afterwards without one whole version in force", "lifecycle_torn", report.torn),
        Promise::none("changes that were answered as done and were not", "lifecycle_lost", report.lost),
        Promise::none("anything else wrong afterwards", "lifecycle_wrong", report.wrong.len() as u64),
    ]
}

pub(crate) fn fuzz(seed: u64, times: u32) -> Vec<Promise> {
    eprintln!("trying what is nearly right at every door");
    let report = fuzz::run(FUZZ_TIMES * u64::from(times), seed);
    report.failures.iter().for_each(|failure| eprintln!("{failure}"));
    vec![
        Promise::at_least("doors at which inputs come in", "fuzz_doors", report.doors, 6),
        Promise::at_least("inputs that were tried there", "fuzz_executions", report.executions, 100_000),
        Promise::none(
            "of them that panic, or are taken for what they are not",
            "fuzz_failures",
            report.failures.len() as u64,
        ),
    ]
}
