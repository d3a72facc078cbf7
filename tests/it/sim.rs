//! Two thousand simulated lives of a host, each with its own alerts, lies and crashes.

use balm_tests::sim;

const SEEDS: u64 = 2_000;

#[test]
fn no_seed_violates_an_invariant() {
    let tally = sim::run_all(0..SEEDS);
    println!("{} seeds, {} crashes, {} effects", tally.seeds, tally.crashes, tally.effects);
    assert!(tally.violations.is_empty(), "{}", tally.violations.join("\n"));
    assert!(tally.crashes_least > 0, "a seed has no crash");
    assert!(tally.effects > 1_000, "the simulation does nothing: {} effects", tally.effects);
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    for seed in 0..20 {
        assert_eq!(sim::run(seed).fingerprint, sim::run(seed).fingerprint, "seed {seed}");
    }
}
