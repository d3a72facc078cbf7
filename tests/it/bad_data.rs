//! A data directory that is not as the host left it: what was acknowledged and cannot be read stops it, what nobody was
//! told of is cut and kept, and what is only a projection is built again.

use std::{
    fs,
    path::{Path, PathBuf},
};

use balm_core::{
    digest::Digest,
    line::Chain,
    name::Seq,
    record::Fact,
    recovery::{self, Held},
};
use balm_tests::harness::{
    Dir,
    cloud::Cloud,
    grafana::{Alert, body},
    host::{Files, Host},
    journal,
};

/// A cloud, and a data directory of a host that has received three alerts, each in a write of its own, and was ended in
/// order.
fn used(name: &str) -> (Cloud, Files) {
    let cloud = Cloud::start(1, balm_cloud::Options::default(), None);
    let files = Files::new(Dir::new(name), &cloud.endpoint());
    let host = files.start();
    (1..=3).for_each(|fingerprint| accept(&host, fingerprint));
    files.wait_for_rest();
    host.stop();
    (cloud, files)
}

/// An alert that concerns no policy.
fn accept(host: &Host, fingerprint: u64) {
    host.accept(&body(&[Alert::firing("DiskFull", "db", fingerprint)]));
}

fn file(files: &Files) -> PathBuf {
    files.data().join("journal").join(format!("{:020}.journal", 1))
}

/// The journal's only file, and what is believed of it.
fn held(path: &Path) -> (Vec<u8>, Held) {
    let bytes = fs::read(path).expect("the journal can be read");
    let held = recovery::read_file(&bytes, Chain::START, |_| {});
    (bytes, held)
}

/// Put bytes behind the last record.
fn append(path: &Path, after: &[u8]) {
    let (mut bytes, held) = held(path);
    bytes[held.believed..held.believed + after.len()].copy_from_slice(after);
    fs::write(path, bytes).expect("the journal can be written");
}

/// A line that follows the last record, with a right hash.
fn next_line(path: &Path, version: u32, kind: &str) -> String {
    let chain = held(path).1.chain;
    let json = format!(r#"{{"v":{version},"seq":{},"at":0,"kind":"{kind}","data":{{}}}}"#, chain.seq.next());
    let hash = Digest::of(&[chain.hash.as_bytes(), json.as_bytes()]);
    format!("{hash} {json}\n")
}

/// The host and `balm audit verify` both say this, and neither changes the journal.
fn both_refuse(files: &Files, wanted: &str) {
    let before = fs::read(file(files)).expect("the journal can be read");
    for told in [files.refuses_to_start(), files.balm_fails(&["audit", "verify"])] {
        assert!(told.contains(wanted), "\n  wanted {wanted}\n  told   {told}");
    }
    assert!(fs::read(file(files)).expect("the journal can be read") == before, "nothing was changed");
}

#[test]
fn a_flipped_bit_in_what_was_acknowledged_stops_the_host_and_is_located() {
    let (_cloud, files) = used("flipped");
    let path = file(&files);
    let (mut bytes, _) = held(&path);
    let mut place = (Seq::ZERO, 0);
    recovery::read_file(&bytes, Chain::START, |batch| {
        if let Some(placed) = batch.iter().find(|placed| matches!(placed.line.record.fact, Fact::AlertReceived(_))) {
            place = (placed.line.record.seq, placed.offset);
        }
    });
    let (seq, offset) = place;
    bytes[offset + 200] ^= 1;
    fs::write(&path, bytes).expect("the journal can be written");
    let wanted = format!("the journal is damaged: record {seq} in {} at byte {offset} cannot be read", path.display());
    both_refuse(&files, &wanted);
    assert!(files.refuses_to_start().contains("restore the file from a backup"));
}

#[test]
fn a_journal_from_a_newer_version_stops_the_host_which_says_what_to_start_instead() {
    let (_cloud, files) = used("newer");
    let (_, held) = held(&file(&files));
    append(&file(&files), next_line(&file(&files), 2, "alert-received").as_bytes());
    let place = format!("record {} in {} at byte {}: ", held.chain.seq.next(), file(&files).display(), held.believed);
    let what = "it has version 2; this version of Balm reads records up to version 1; start the version of Balm that";
    both_refuse(&files, &format!("{place}{what}"));
}

#[test]
fn a_record_of_an_unknown_kind_stops_the_host() {
    let (_cloud, files) = used("unknown-kind");
    append(&file(&files), next_line(&file(&files), 1, "dreamt").as_bytes());
    both_refuse(&files, "it is a \"dreamt\", which this version of Balm does not know; start the version of Balm that");
}

#[test]
fn an_unfinished_write_is_cut_kept_and_recorded_and_the_journal_goes_on() {
    let (_cloud, files) = used("torn");
    let line = next_line(&file(&files), 1, "time-passed");
    let torn = &line.as_bytes()[..line.len() / 2];
    append(&file(&files), torn);
    let said = files.balm_says(&["audit", "verify"]);
    assert!(said.contains(&format!("{} bytes of an unfinished write, which nobody was told of", torn.len())), "{said}");
    let host = files.start();
    files.wait_for_rest();
    let cut = files.facts().into_iter().find_map(|fact| match fact {
        Fact::TailCut(cut) => Some(cut),
        _ => None,
    });
    let cut = cut.expect("the cut is recorded");
    assert_eq!(cut.bytes, torn.len() as u64);
    assert_eq!(fs::read(files.data().join(&cut.kept)).expect("it is kept"), torn);
    accept(&host, 4);
    files.wait_for_rest();
    host.stop();
    let received = |fact: &Fact| matches!(fact, Fact::AlertReceived(_));
    assert_eq!(journal::facts(&files.data()).iter().filter(|fact| received(fact)).count(), 4);
    assert!(!files.balm_says(&["audit", "verify"]).contains("unfinished"));
}

#[test]
fn a_damaged_audit_database_is_told_and_built_again_from_the_journal() {
    let cases = [("conf", "it cannot be opened", true), ("db", "it held nothing, and the journal does", false)];
    for (damaged, why, kept) in cases {
        let (_cloud, files) = used(&format!("sled-{damaged}"));
        let path = files.data().join("audit").join(damaged);
        let length = fs::metadata(&path).expect("it is there").len();
        fs::write(&path, vec![0xa5; usize::try_from(length).expect("a small file")]).expect("it can be written");
        let host = files.start();
        let told = format!("the audit database is built again from the journal why=\"{why}");
        assert!(host.log().contains(&told), "{damaged}: {}", host.log());
        assert_eq!(files.data().join("audit.damaged-1").exists(), kept, "{damaged}");
        files.wait_for_rest();
        let audited = files.facts();
        host.stop();
        let written = journal::facts(&files.data());
        assert_eq!(audited, written[..audited.len()], "it holds what the journal holds");
        assert_eq!(written.len() - audited.len(), 1, "all but the host's end");
    }
}

#[test]
fn a_lost_audit_database_is_built_again() {
    let (_cloud, files) = used("sled-lost");
    fs::remove_dir_all(files.data().join("audit")).expect("it is there");
    let host = files.start();
    files.wait_for_rest();
    let received = |fact: &Fact| matches!(fact, Fact::AlertReceived(_));
    assert_eq!(files.facts().iter().filter(|fact| received(fact)).count(), 3);
    host.stop();
}

#[test]
fn a_journal_that_ends_before_the_audit_database_stops_the_host_until_the_loss_is_accepted() {
    let (_cloud, files) = used("loss");
    let path = file(&files);
    let (mut bytes, _) = held(&path);
    // The last alert and what followed it are gone without a trace, as after a disk that lied about its syncs.
    let mut last = 0;
    recovery::read_file(&bytes, Chain::START, |batch| {
        let alert = batch.iter().find(|placed| matches!(placed.line.record.fact, Fact::AlertReceived(_)));
        last = alert.map_or(last, |placed| placed.offset);
    });
    bytes[last..].fill(0);
    fs::write(&path, bytes).expect("the journal can be written");
    let left = held(&path).1.chain.seq;
    let told = files.refuses_to_start();
    let wanted = format!("and the journal ends with {left}: acknowledged records are missing from the journal");
    assert!(told.contains(&wanted), "\n  wanted {wanted}\n  told   {told}");
    assert!(told.contains("Restore it from a backup, or start once with --accept-loss"), "{told}");
    let host = files.start_with(&["--accept-loss"]);
    files.wait_for_rest();
    let lost = files.facts().into_iter().find_map(|fact| match fact {
        Fact::LossAccepted(lost) => Some(lost.known),
        _ => None,
    });
    let known = lost.expect("that it was accepted is on record");
    assert!(told.contains(&format!("the audit database holds record {known}, ")) && known > left, "{told}");
    host.stop();
    files.start().stop();
}
