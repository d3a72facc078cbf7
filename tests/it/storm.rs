//! A storm is held to its cap exactly, crosses no minimum, and calls a person once.

use balm_tests::storm;

/// Ten thousand a minute, for twelve seconds.
const ALERTS: u64 = 2_000;

#[test]
fn a_storm_is_held_to_its_cap_crosses_no_minimum_and_calls_a_person_once() {
    let report = storm::run(ALERTS);
    println!("{report:#?}");
    assert_eq!((report.alerts, report.effects), (ALERTS, report.cap));
    assert_eq!((report.below_minimum, report.calls, report.told), (0, 1, 1));
    assert!(report.judged as u64 > ALERTS, "only {} intents were judged", report.judged);
}
