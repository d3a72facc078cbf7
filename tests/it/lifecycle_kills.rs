//! A host that is killed in the middle of any change of a plugin's versions has one whole version in force afterwards.

use balm_tests::{harness::strace, lifecycle::run};

#[test]
fn one_whole_version_is_in_force_whenever_a_change_is_cut_off() {
    if let Some(why) = strace::missing() {
        println!("skipped: {why}");
        return;
    }
    let report = run(8);
    println!("{report:#?}");
    assert!(report.is_clean(), "{report:#?}");
    assert!(report.kills >= 5 && report.changes.len() >= 3, "too little happened to show anything: {report:#?}");
}
