//! What is left after crashes: of the process, of the power, of the disk.

use balm_tests::{harness::strace, syscalls};

use crate::promise::Promise;

/// Calls to the kernel at which a host is killed, and errors that it comes to; with `--long` all there are.
const POINTS: usize = 150;
const ERRORS: usize = 24;

/// What there must be at least.
const POINTS_LEAST: u64 = 100;

const KILLED: &str = "calls to the kernel before which a host was killed";

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
