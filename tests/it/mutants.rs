//! Planted faults do not rot: each fits the tree as it is, and is to be found by tests that there are.

use std::{collections::BTreeSet, path::Path};

use balm_tests::mutants;

#[test]
fn every_planted_fault_fits_the_tree_and_names_tests_that_there_are() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let all = mutants::read_all(&root).expect("they can be read");
    assert!(all.len() >= mutants::LEAST, "there are {}", all.len());
    let ill: Vec<String> =
        all.iter().filter_map(|it| it.check(&root).err().map(|error| format!("{}: {error:#}", it.name))).collect();
    assert!(ill.is_empty(), "{}", ill.join("\n"));
    let said: BTreeSet<&str> = all.iter().map(|it| it.what.as_str()).collect();
    assert_eq!(said.len(), all.len(), "two say the same");
}
