//! What plugins can do to a host and to each other: by what compiling them costs, and by what they do when they run.

use balm_tests::{bombs, fuzz, harness::strace, lifecycle, neighbour};

use crate::promise::Promise;

/// Bombs that there are at least.
const BOMBS: u64 = 50;

/// Seconds after which each must have been refused, and MiB that the host may have more than before meanwhile.
const BOMB_S: f64 = 90.0;
const BOMB_MIB: f64 = 64.0;

/// How much longer a decision of a good plugin may take beside every hostile guest: so many times, or so many ms.
const NEIGHBOUR_RATIO: f64 = 2.0;
const NEIGHBOUR_MS: f64 = 25.0;

/// How many ms later than its deadline a guest may be stopped, 99 of 100 and at most.
const LATE_MS: f64 = 10.0;
const LATE_MOST_MS: f64 = 100.0;

/// MiB that the host may have more once they have ended.
const HOSTILE_MIB: f64 = 64.0;

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

pub(crate) fn neighbour() -> Vec<Promise> {
    eprintln!("deciding beside every hostile guest at once");
    let report = neighbour::run();
    let (alone, beside) = (report.alone_p99_ms, report.beside_p99_ms);
    let near = beside <= (alone * NEIGHBOUR_RATIO).max(alone + NEIGHBOUR_MS);
    vec![
        Promise::at_least("hostile guests beside a good plugin", "neighbour_guests", report.guests, 54),
        Promise::at_least("evaluations of theirs meanwhile", "neighbour_evaluations", report.evaluations, 1),
        Promise::of(
            "ms from an alert to the good plugin's decision, alone, 99 of 100",
            "alone_p99_ms",
            alone,
            alone > 0.0,
        ),
        Promise::of("ms beside all of them", "neighbour_p99_ms", beside, near),
        Promise::of("times as long", "neighbour_p99_ratio", report.ratio(), near),
        Promise::none("alerts that it did not decide about", "neighbour_undecided", report.undecided),
        Promise::at_least(
            "evaluations that had to be stopped, with all guests in one sandbox",
            "hostile_stopped",
            report.stopped,
            1,
        ),
        Promise::at_most("ms after their deadline, 99 of 100", "stop_late_p99_ms", report.late_p99_ms, LATE_MS),
        Promise::at_most("ms after their deadline, at most", "stop_late_max_ms", report.late_most_ms, LATE_MOST_MS),
        Promise::at_most(
            "MiB that the host has more afterwards",
            "hostile_rss_growth_mb",
            report.grown_mib,
            HOSTILE_MIB,
        ),
        Promise::of(
            "MiB that it had more meanwhile, with those of the guests that ran",
            "hostile_rss_peak_mb",
            report.peak_mib,
            report.peak_mib.is_finite(),
        ),
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
