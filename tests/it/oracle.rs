//! The guard says what an oracle says that shares no code with it, on twenty thousand intents.

use balm_tests::oracle;

const CASES: u64 = 20_000;

#[test]
fn the_guard_and_the_oracle_say_the_same() {
    let tally = oracle::run_all(0..CASES / oracle::INTENTS);
    println!("{tally:#?}");
    assert_eq!(tally.cases, CASES);
    let wrong = [tally.over_grants, tally.over_denials, tally.other_reasons, tally.overruns];
    assert_eq!(wrong, [0; 4], "{}", tally.differences.join("\n"));
    assert!(tally.kills > 1_000, "{} kills", tally.kills);
    assert_eq!(tally.kill_differences, 0, "{}", tally.differences.join("\n"));
    assert!(tally.edges * 100 >= tally.cases * 20, "{} of {} are on an edge", tally.edges, tally.cases);
    let permitted = tally.permitted * 100 / tally.cases;
    assert!((20..=80).contains(&permitted), "{permitted} % are permitted");
}
