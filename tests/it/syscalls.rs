//! A host that is killed at any call to the kernel, or comes to an error there, loses nothing and does nothing twice.

use balm_tests::{
    harness::strace,
    syscalls::{Options, run},
};

#[test]
fn nothing_is_lost_or_done_twice_at_any_call_to_the_kernel_or_by_an_error_of_the_disk() {
    if let Some(why) = strace::missing() {
        println!("skipped: {why}");
        return;
    }
    let report = run(Options { points: 8, errors: 5 });
    println!("{report:#?}");
    assert!(report.is_clean(), "{report:#?}");
    assert!(report.points >= 6 && report.errors == 5, "too little happened to show anything: {report:#?}");
}
