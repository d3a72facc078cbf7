//! Whatever a power cut leaves of what a start reads, a host opens it and finds everything that was acknowledged.

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
    let report = run(Options { states: 300, requests: 75, seed: 0x9e37_79b9 });
    println!("{report:#?}");
    assert!(report.is_clean(), "{report:#?}");
    let each = report.stories.len() == 3 && report.stories.values().all(|states| *states > 20);
    assert!(each && report.states >= 200, "too few states to show anything: {report:#?}");
    assert!(report.cut > 20 && report.resumed > 50, "too little is cut or resumed: {report:#?}");
}
