//! `balm simulate`: storms of the model cloud against the policies and guardrails as they are configured.

use balm_tests::harness::{Dir, host::Files};

/// Nothing is read from AWS, so there need not be one.
const NOWHERE: &str = "http://127.0.0.1:1";

/// A host whose guardrails let nothing be taken back for ten minutes.
fn files(name: &str) -> Files {
    let files = Files::new(Dir::new(&format!("simulate-{name}")), NOWHERE);
    files.edit("guardrails/limits.toml", |limits| limits.replace("\"0s\"", "\"10m\""));
    files
}

#[test]
fn seeded_storms_hold_under_the_guardrails_and_a_seed_is_always_the_same() {
    let files = files("holds");
    let said = files.balm_says(&["simulate", "--seeds", "20"]);
    assert!(said.contains("20 of 20 seeds hold") && !said.contains("nothing was admitted"), "{said}");
    let one = files.balm_says(&["simulate", "--seed", "3"]);
    assert!(one.contains("has the digest"), "{one}");
    assert_eq!(files.balm_says(&["simulate", "--seed", "3"]), one);
    assert_ne!(files.balm_says(&["simulate", "--seed", "4"]), one);
}

#[test]
fn a_seed_that_does_not_hold_is_printed_kept_and_holds_once_the_guardrails_are_mended() {
    let files = files("fails");
    let seeds = files.path("seeds.toml").display().to_string();
    let told = files.balm_fails(&["simulate", "--seeds", "20", "--healthy-least", "4", "--save", &seeds]);
    assert!(told.contains("seed ") && told.contains("minimum healthy: ecs:scale-service of intent"), "{told}");
    let again = files.balm_fails(&["simulate", "--again", &seeds]);
    assert!(again.contains("0 of ") && again.contains("minimum healthy"), "{again}");
    files.edit("guardrails/limits.toml", |limits| limits.replace("[[bound]]", "[[bound]]\nhealthy-minimum = 4"));
    let mended = files.balm_says(&["simulate", "--again", &seeds]);
    assert!(mended.contains("seeds hold") && !mended.contains("minimum healthy"), "{mended}");
}

#[test]
fn guardrails_that_let_everything_be_taken_back_at_once_are_found_to_swing() {
    let files = files("swings");
    files.edit("guardrails/limits.toml", |limits| limits.replace("\"10m\"", "\"0s\""));
    let told = files.balm_fails(&["simulate", "--seeds", "20"]);
    assert!(told.contains("oscillation: arn:aws:ecs:eu-central-1:123456789012:service/prod/web was turned"), "{told}");
}

#[test]
fn a_simulation_that_would_prove_nothing_says_so() {
    let files = files("nothing");
    files.edit("balm.toml", |text| text.replace("\"enforce\"", "\"shadow\""));
    let said = files.balm_says(&["simulate", "--seeds", "2"]);
    assert!(
        said.contains("no policy enforces") && said.contains("nothing was admitted, which proves little"),
        "{said}"
    );
    let enforced = files.balm_says(&["simulate", "--seeds", "2", "--enforce"]);
    assert!(!enforced.contains("no policy enforces") && !enforced.contains("nothing was admitted"), "{enforced}");
    files.write("guardrails/web.cedar", "// nobody may do anything\n");
    assert!(files.balm_says(&["simulate", "--seeds", "2", "--enforce"]).contains("nothing was admitted"));
    files.edit("balm.toml", |text| text.replace("\"shadow\"", "\"off\""));
    assert!(files.balm_fails(&["simulate"]).contains("no policy is evaluated"));
}
