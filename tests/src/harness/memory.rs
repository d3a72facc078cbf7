//! The physical memory of a process, as the kernel counts it (proc(5)).

use std::fs;

const KIB: f64 = 1024.0;

/// MiB that a process has now.
///
/// # Panics
///
/// If it does not run.
#[must_use]
pub fn resident_mib(process: u32) -> f64 {
    field(process, "VmRSS:")
}

/// The most MiB that a process had since the last call of [`forget_peak`], or since it began.
///
/// # Panics
///
/// If it does not run.
#[must_use]
pub fn peak_mib(process: u32) -> f64 {
    field(process, "VmHWM:")
}

/// Let the peak of a process begin anew with what it has now.
///
/// # Panics
///
/// If it does not run, or is not ours.
pub fn forget_peak(process: u32) {
    fs::write(format!("/proc/{process}/clear_refs"), "5").expect("the process is ours");
}

fn field(process: u32, name: &str) -> f64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).expect("the process runs");
    let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("a process has memory");
    line.trim().trim_end_matches(" kB").parse::<f64>().expect("a number") / KIB
}
