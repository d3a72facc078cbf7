//! What earlier versions wrote is read as it was meant.

use std::fs;

use balm_core::digest::Digest;
use balm_tests::golden_journal as golden;

/// Kinds of records that there were when it was written.
const KINDS: usize = 50;

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
    let kinds = golden::kinds(&records);
    assert_eq!(kinds.len(), KINDS, "{kinds:?}");
}

#[test]
fn what_this_version_writes_it_reads() {
    let (records, ..) = golden::fold(&golden::write());
    assert!(records.len() > 80, "{}", records.len());
}
