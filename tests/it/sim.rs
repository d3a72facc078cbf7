//! Two thousand simulated lives of a host, each with its own alerts, lies and crashes.

use balm_tests::sim;

const SEEDS: u64 = 2_000;

#[test]
fn no_seed_violates_an_invariant() {
    let mut effects = 0;
    for seed in 0..SEEDS {
        let outcome = sim::run(seed);
        assert!(outcome.violations.is_empty(), "seed {seed}: {outcome:#?}\n{}", sim::story(seed));
        assert!(outcome.crashes > 0, "seed {seed} has no crash");
        effects += outcome.effects;
    }
    assert!(effects > 1_000, "the simulation does nothing: {effects} effects");
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    for seed in 0..20 {
        assert_eq!(sim::run(seed).fingerprint, sim::run(seed).fingerprint, "seed {seed}");
    }
}
