//! Whatever is done to an export is found, by `balm audit verify` and by a program that knows nothing but the documentation.

use std::{fs, process::Command};

use balm_tests::{
    export,
    harness::{Dir, programs},
    tamper,
};

#[test]
fn every_way_to_tamper_with_an_export_is_found_by_both_verifiers() {
    let report = tamper::run(20, 0x5eed);
    assert!(report.tampered >= 60, "{report:?}");
    assert_eq!(report.unseen, Vec::<String>::new());
}

#[test]
fn a_host_at_which_nothing_happens_signs_nothing() {
    let left = tamper::live("idle");
    let kinds: Vec<String> = left.entries.iter().map(export::Entry::kind).collect();
    let idle = |kind: &String| matches!(kind.as_str(), "checkpoint" | "notice-sent" | "time-passed");
    let signed: Vec<usize> = (0..kinds.len()).filter(|at| kinds[*at] == "checkpoint").collect();
    assert!(signed.len() >= 2, "{kinds:?}");
    for pair in signed.windows(2) {
        // What was signed is the head of a moment before its record.
        let since = left.entries[pair[0]].record()["data"]["seq"].as_u64().and_then(|seq| usize::try_from(seq).ok());
        let between = &kinds[since.expect("a number")..pair[1]];
        assert!(!between.iter().all(idle), "{between:?}");
    }
}

#[test]
fn what_was_not_tampered_with_is_whole_and_its_checkpoints_fit() {
    let left = tamper::live("untampered");
    let whole = left.whole();
    for with_kept in [false, true] {
        assert_eq!(left.taken_for_whole(&whole, with_kept), ["balm audit verify", "tests/verify.py"]);
    }
    let checkpoint = &left.kept["checkpoint"];
    assert_eq!((checkpoint["key"].as_str(), left.kept["kind"].as_str()), (Some(left.key.as_str()), Some("checkpoint")));
    let balm = |arguments: &[&str]| {
        let output = Command::new(programs::balm()).args(arguments).output().expect("balm runs");
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        (output.status.success(), said)
    };
    // The journal itself, with the key that is expected, with what was kept in the words of the notice, and with another key.
    let data = left.data.display().to_string();
    let headline = left.kept["headline"].as_str().expect("a headline");
    let (good, said) = balm(&["audit", "verify", "--data", &data, "--key", &left.key, "--checkpoint", headline]);
    assert!(good && said.contains(" checkpoints fit, the last one of record "), "{said}");
    assert!(said.contains(&left.key) && said.contains("1 checkpoints that were kept elsewhere fit"), "{said}");
    let (good, said) = balm(&["audit", "verify", "--data", &data, "--key", &"0".repeat(64)]);
    assert!(!good && said.contains("is signed with the key"), "{said}");
    // The program in Python reads the journal's files as well.
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/verify.py");
    let output = Command::new("python3").arg(script).arg(left.data.join("journal")).args(["--key", &left.key]).output();
    let output = output.expect("python3 runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && said.starts_with(&format!("{} records", left.entries.len())), "{output:?}");
    // What is missing is said: the number that was kept, and the last that is there.
    let dir = Dir::new("tamper-cut");
    let cut = dir.path().join("cut.jsonl");
    fs::write(&cut, export::write(&left.entries[..1])).expect("a file");
    let (good, said) = balm(&["audit", "verify", &cut.display().to_string(), "--checkpoint", headline]);
    let words = format!("names record {}, and the journal ends with record 1: its end was cut off", checkpoint["seq"]);
    assert!(!good && said.contains(&words), "{said}");
}
