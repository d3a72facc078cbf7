//! What is left after crashes: of the process, of the power, of the disk.

use balm_tests::{harness::strace, power, rot, syscalls};

use crate::Promise;

/// Calls to the kernel at which a host is killed, and errors that it comes to; with `--long` all there are.
const POINTS: usize = 150;
const ERRORS: usize = 24;

/// What there must be at least.
const POINTS_LEAST: usize = 100;

/// States that a power cut may leave, and the load before it.
const STATES: usize = 12_000;
const REQUESTS: usize = 140;
const STATES_LEAST: usize = 10_000;

/// Files that are damaged.
const CORRUPTIONS: usize = 5_000;

pub(crate) fn syscalls(long: bool) -> Vec<Promise> {
    if let Some(why) = strace::missing() {
        eprintln!("not killing a host at its calls to the kernel: {why}");
        return Vec::new();
    }
    eprintln!("killing a host at one call to the kernel after the other");
    let options = if long {
        syscalls::Options { points: usize::MAX, errors: usize::MAX }
    } else {
        syscalls::Options { points: POINTS, errors: ERRORS }
    };
    let report = syscalls::run(options);
    report.wrong.iter().for_each(|wrong| eprintln!("{wrong}"));
    let least =
        |says, key, figure: usize, least: usize| Promise { says, key, figure: figure as f64, holds: figure >= least };
    vec![
        least("calls to the kernel before which a host was killed", "syscall_points", report.points, POINTS_LEAST),
        least("kinds of them", "syscall_kinds", report.kinds, 5),
        least("errors of the disk that it came to", "syscall_errors", report.errors, 1),
        least("alerts that it acknowledged before", "syscall_acknowledged", report.acknowledged, 1),
        Promise::none("of them lost", "syscall_lost", report.lost),
        Promise::none("changes made again", "syscall_duplicate_effects", report.duplicate_effects),
        Promise::none("anything else wrong after the next start", "syscall_wrong", report.wrong.len()),
    ]
}

pub(crate) fn power_cuts(times: usize) -> Vec<Promise> {
    if let Some(why) = strace::missing() {
        eprintln!("not cutting the power of a host: {why}");
        return Vec::new();
    }
    eprintln!("cutting the power of a host at every moment");
    let report = power::run(power::Options { states: STATES * times, requests: REQUESTS });
    report.wrong.iter().for_each(|wrong| eprintln!("{wrong}"));
    vec![
        least("moments at which the power of a host was cut", "power_cut_moments", report.moments, 1),
        least("different states of its disk that were opened", "power_cut_states", report.states, STATES_LEAST),
        least("alerts that it acknowledged", "power_cut_acknowledged", report.acknowledged, 1),
        Promise::none(
            "states in which one is missing, or something else is in its place",
            "power_cut_lost",
            report.lost,
        ),
        Promise::none("states that a host does not start with", "power_cut_refused", report.refused),
    ]
}

pub(crate) fn corruptions(times: usize, seed: u64) -> Vec<Promise> {
    eprintln!("damaging files of a host");
    let report = rot::run(rot::Options { corruptions: CORRUPTIONS * times, cache: CORRUPTIONS * times, seed });
    report.wrong.iter().for_each(|wrong| eprintln!("{wrong}"));
    report.kinds.iter().for_each(|(kind, count)| eprintln!("{kind}: {count:?}"));
    let (whole, cache) = (report.whole(), report.cache);
    vec![
        least("files of a host that were damaged", "corruptions", whole.corruptions, CORRUPTIONS),
        least("of them told, with the place", "corruptions_told", whole.told, 1),
        least("of them without consequence for any answer", "corruptions_same", whole.same, 0),
        Promise::none("of them neither", "corruptions_silent", whole.silent),
        least("files of native code that were damaged", "cache_corruptions", cache.corruptions, CORRUPTIONS),
        Promise::none("of them loaded", "cache_corruptions_loaded", cache.corruptions - cache.told),
    ]
}

fn least(says: &'static str, key: &'static str, figure: usize, least: usize) -> Promise {
    Promise { says, key, figure: figure as f64, holds: figure >= least }
}
