//! What earlier versions wrote is read as it was meant.

use std::fs;

use balm_core::{digest::Digest, record::Fact};
use balm_tests::golden;

#[test]
fn the_golden_journal_of_version_1_leads_to_the_state_that_it_led_to() {
    let text = fs::read(golden::dir().join("records-1.txt")).expect("it is kept");
    let (records, chain, digest) = golden::fold(&text);
    let kept = fs::read_to_string(golden::dir().join("records-1.state.txt")).expect("it is kept");
    let (end, state) = kept.trim().split_once('\n').expect("two lines");
    assert_eq!(end, format!("{} {}", chain.seq, chain.hash), "the text is not what was written");
    assert_eq!(
        Digest::from_hex(state.as_bytes()),
        Some(digest),
        "the same records lead to another state than before, or the same state to other bytes: raise snapshot::VERSION, \
         with an upcast, and keep {digest} in records-1.state.txt"
    );
    let (kinds, known) = (golden::kinds(&records), Fact::KINDS.len());
    assert!(kinds.len() >= 32.min(known), "the golden journal has {} of {known} kinds: {kinds:?}", kinds.len());
}

#[test]
fn what_this_version_writes_it_reads() {
    let (records, ..) = golden::fold(&golden::write());
    assert!(records.len() > 80, "{}", records.len());
}
