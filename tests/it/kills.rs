//! A host that is killed at any moment loses nothing, does nothing twice, and goes on where it was.

use balm_tests::kills::{Options, run};

#[test]
fn nothing_is_lost_doubled_or_left_undone_by_fifty_kills() {
    let report = run(&Options { kills: 50, seed: 0x9e37_79b9_7f4a_7c15, keep: None });
    println!("{report:#?}");
    assert!(report.is_clean(), "{report:#?}");
    assert!(report.acknowledged > 1_000 && report.effects > 20, "the load was too small to show anything: {report:#?}");
}
