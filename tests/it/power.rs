//! Whatever a power cut leaves of the journal's files, a host opens it and finds everything that was acknowledged.

use balm_tests::{
    harness::strace,
    power::{Options, run},
};

#[test]
fn whatever_a_power_cut_leaves_opens_with_everything_that_was_acknowledged() {
    if let Some(why) = strace::missing() {
        println!("skipped: {why}");
        return;
    }
    let report = run(Options { states: 400, requests: 32 });
    println!("{report:#?}");
    assert!(report.is_clean(), "{report:#?}");
    assert!(report.states >= 300 && report.cut > 50, "too few states to show anything: {report:#?}");
}
