//! Whatever strangers hand to the host is taken for what it is, or refused.

use balm_tests::fuzz;

/// Any would do.
const SEED: u64 = 0xf022;

#[test]
fn nothing_that_is_nearly_right_panics_or_is_taken_for_what_it_is_not() {
    let report = fuzz::run(1, SEED);
    assert_eq!(report.failures, [""; 0]);
    assert!(report.doors == 6 && report.executions > 20_000, "{report:?}");
}
