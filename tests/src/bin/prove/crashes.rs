//! What is left after crashes: of the process, of the power, of the disk.

use balm_tests::{harness::strace, power, rot, syscalls};

use crate::promise::Promise;

/// Calls to the kernel at which a host is killed, and errors that it comes to; with `--long` all there are.
const POINTS: usize = 150;
const ERRORS: usize = 24;

/// What there must be at least.
const POINTS_LEAST: u64 = 100;

const KILLED: &str = "calls to the kernel before which a host was killed";

/// States that a power cut may leave which are opened, about; and what there must be at least.
const STATES: usize = 1_200;
const STATES_LEAST: u64 = 1_000;

const POWER_CUT: &str = "different states of its disk that were opened";

/// Requests before the power is cut.
const REQUESTS: usize = 140;

/// Files that are damaged.
const CORRUPTIONS: usize = 5_000;

pub(crate) fn syscalls(long: bool) -> Vec<Promise> {
    if let Some(why) = strace::missing() {
        eprintln!("not killing a host at its calls to the kernel: {why}");
        // A promise that nobody could show does not hold.
        return vec![Promise::at_least(KILLED, "syscall_points", 0, POINTS_LEAST)];
    }
    eprintln!("killing a host at one call to the kernel after the other");
    let options = if long {
        syscalls::Options { points: usize::MAX, errors: usize::MAX }
    } else {
        syscalls::Options { points: POINTS, errors: ERRORS }
    };
    let report = syscalls::run(options);
    report.wrong.iter().for_each(|wrong| eprintln!("{wrong}"));
    vec![
        Promise::at_least(KILLED, "syscall_points", report.points as u64, POINTS_LEAST),
        Promise::at_least("kinds of them", "syscall_kinds", report.kinds.len() as u64, 5),
        Promise::at_least("errors of the disk that it came to", "syscall_errors", report.errors as u64, 1),
        Promise::at_least("alerts that it acknowledged before", "syscall_acknowledged", report.acknowledged as u64, 1),
        Promise::none("of them lost", "syscall_lost", report.lost as u64),
        Promise::none("changes made again", "syscall_duplicate_effects", report.duplicate_effects as u64),
        Promise::none("anything else wrong after the next start", "syscall_wrong", report.wrong.len() as u64),
    ]
}

pub(crate) fn power_cuts(times: u32, seed: u64) -> Vec<Promise> {
    let least = STATES_LEAST * u64::from(times);
    if let Some(why) = strace::missing() {
        eprintln!("not cutting the power of a host: {why}");
        return vec![Promise::at_least(POWER_CUT, "power_cut_states", 0, least)];
    }
    eprintln!("cutting the power of a host at every moment");
    let report = power::run(power::Options { states: STATES * times as usize, requests: REQUESTS, seed });
    report.wrong.iter().for_each(|wrong| eprintln!("{wrong}"));
    let lost = "of them in which one is missing, or something else is in its place";
    vec![
        Promise::at_least("moments at which a host's power was cut", "power_cut_moments", report.moments as u64, 1),
        Promise::at_least(POWER_CUT, "power_cut_states", report.states as u64, least),
        Promise::at_least("of them with a write that was cut", "power_cut_torn", report.cut as u64, 1),
        Promise::at_least("of them opened with a saved state", "power_cut_resumed", report.resumed as u64, 1),
        Promise::at_least("alerts that were acknowledged", "power_cut_acknowledged", report.acknowledged as u64, 1),
        Promise::none(lost, "power_cut_lost", report.lost as u64),
        Promise::none("of them that a host does not start with", "power_cut_refused", report.refused as u64),
    ]
}

/// Damage to files of every kind.
pub(crate) fn corruptions(seed: u64) -> Vec<Promise> {
    eprintln!("damaging files of a host");
    let report = rot::run(rot::Options { corruptions: CORRUPTIONS, cache: 0, seed });
    report.wrong.iter().for_each(|wrong| eprintln!("{wrong}"));
    report.kinds.iter().for_each(|(kind, count)| eprintln!("{kind}: {count:?}"));
    let whole = report.whole();
    vec![
        Promise::at_least(
            "files of a host that were damaged",
            "corruptions",
            whole.corruptions as u64,
            CORRUPTIONS as u64,
        ),
        Promise::at_least("of them told, with the place", "corruptions_told", whole.told as u64, 1),
        Promise::at_least("of them without consequence for any answer", "corruptions_same", whole.same as u64, 0),
        Promise::none("of them neither", "corruptions_silent", whole.silent as u64),
    ]
}

/// Damage to native code that is kept.
pub(crate) fn cache(seed: u64) -> Vec<Promise> {
    eprintln!("damaging native code");
    let report = rot::run(rot::Options { corruptions: 0, cache: CORRUPTIONS, seed });
    report.wrong.iter().for_each(|wrong| eprintln!("{wrong}"));
    let cache = report.cache;
    vec![
        Promise::at_least(
            "files of native code that were damaged",
            "cache_corruptions",
            cache.corruptions as u64,
            CORRUPTIONS as u64,
        ),
        Promise::exactly("of them refused", "cache_corruptions_refused", cache.told as u64, cache.corruptions as u64),
        Promise::none("of them loaded", "cache_corruptions_loaded", (cache.corruptions - cache.told) as u64),
    ]
}
