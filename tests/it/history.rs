//! What is done with the journal behind a running host's back: its state is saved and the next start begins with it, older
//! records are checked, and old ones are dropped.

use std::{fs, path::PathBuf, time::Duration};

use balm_core::{name::Seq, record::Fact};
use balm_tests::harness::{
    Dir,
    grafana::{Alert, body},
    host::{Files, Host},
    journal, wait,
};
use serde_json::Value;

const WITHIN: Duration = Duration::from_secs(60);

/// Alerts of one request.
const ALERTS: u64 = 100;

/// A host that saves its state every 100 records, in files of 1 MiB.
fn files(name: &str, keep: &str) -> Files {
    let files = Files::bare(Dir::new(name));
    files.edit("balm.toml", |text| {
        let journal = format!("reserve-mib = 0\nsegment-mib = 1\nstate-every = 100\n{keep}");
        format!("max-body-kib = 512\n{}\n[notifier.log]\nkind = \"log\"\n", text.replace("reserve-mib = 0", &journal))
    });
    files
}

/// Alerts that concern nobody, which fire and then resolve.
fn pour(host: &Host, from: u64) {
    let alerts: Vec<Alert> = (0..ALERTS).map(|i| Alert::firing("Load", "db", from + i)).collect();
    host.accept(&body(&alerts));
    let ended: Vec<Alert> = alerts.into_iter().map(|alert| alert.resolved("2026-11-01T10:00:00Z")).collect();
    host.accept(&body(&ended));
}

/// Pour until the journal has more than so many files.
fn pour_until(files: &Files, host: &Host, count: usize) -> u64 {
    let mut from = 0;
    while journals(files).len() <= count {
        pour(host, from);
        from += ALERTS;
        assert!(from < 100_000, "the journal does not grow");
    }
    from
}

fn listed(files: &Files, dir: &str, ending: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(files.data().join(dir)).expect("the directory is there");
    let mut found: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    found.retain(|path| path.extension().is_some_and(|extension| extension == ending));
    found.sort();
    found
}

fn journals(files: &Files) -> Vec<PathBuf> {
    listed(files, "journal", "journal")
}

fn states(files: &Files) -> Vec<PathBuf> {
    listed(files, "state", "state")
}

/// The last record that a saved state is of.
fn last_saved(files: &Files) -> u64 {
    let number = |path: &PathBuf| path.file_stem()?.to_str()?.parse().ok();
    states(files).last().and_then(number).unwrap_or(0)
}

/// Wait until a state is saved that was not there before.
fn wait_for_state(files: &Files, behind: u64) -> u64 {
    wait::until("a state to be saved", WITHIN, || Some(last_saved(files)).filter(|saved| *saved > behind))
}

fn wait_until_verified(files: &Files) -> Value {
    wait::until("the journal to be verified", WITHIN, || {
        Some(files.status()).filter(|status| status["verifying"] == false)
    })
}

#[test]
fn after_a_kill_a_host_starts_from_its_saved_state_and_verifies_the_rest_behind_its_back() {
    let files = files("history-kill", "");
    let mut host = files.start();
    let first = wait_for_state(&files, {
        pour_until(&files, &host, 3);
        0
    });
    pour(&host, 1_000_000);
    wait_for_state(&files, first);
    pour(&host, 2_000_000);
    let before = files.status();
    host.kill();
    assert_eq!(states(&files).len(), 2, "two are kept");
    let host = files.start();
    assert!(!host.log().contains("a saved state is not used"), "{}", host.log());
    let after = wait_until_verified(&files);
    assert_eq!(after["episodes"], before["episodes"]);
    assert!(after["verified-seq"].as_u64() >= before["seq"].as_u64(), "{after}");
    assert_eq!(after["damage"], Value::Null);
    assert!(host.log().contains("the whole journal is verified"), "{}", host.log());
    host.stop();
    let vouched = |fact: &Fact| matches!(fact, Fact::StateSaved(_));
    assert!(journal::facts(&files.data()).iter().filter(|fact| vouched(fact)).count() >= 2);
}

#[test]
fn a_damaged_state_is_said_and_the_one_before_it_gives_the_same_answers() {
    let files = files("history-older", "");
    let mut host = files.start();
    pour(&host, 0);
    let first = wait_for_state(&files, 0);
    pour(&host, 1_000);
    wait_for_state(&files, first);
    let before = files.status();
    host.kill();
    let newest = states(&files).pop().expect("there are two");
    let mut bytes = fs::read(&newest).expect("it can be read");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&newest, bytes).expect("it can be written");
    let mut host = files.start();
    assert!(host.log().contains("a saved state is not used"), "{}", host.log());
    assert!(host.log().contains("its digest does not fit its text"), "{}", host.log());
    assert_eq!(files.status()["episodes"], before["episodes"]);
    host.kill();
    fs::remove_dir_all(files.data().join("state")).expect("it is there");
    let host = files.start();
    assert_eq!(files.status()["episodes"], before["episodes"], "and so do all records");
    host.stop();
}

#[test]
fn damage_in_an_old_file_is_found_said_and_recorded_while_the_host_goes_on() {
    let files = files("history-rot", "");
    let host = files.start();
    pour_until(&files, &host, 3);
    let newest = files.status()["seq"].as_u64().expect("a number");
    pour(&host, 1_000_000);
    wait_for_state(&files, newest);
    host.stop();
    let second = journals(&files).remove(1);
    let mut bytes = fs::read(&second).expect("it can be read");
    bytes[300_000] ^= 1;
    fs::write(&second, bytes).expect("it can be written");
    let host = files.start();
    let damage = wait::until("the damage to be found", WITHIN, || files.status()["damage"].as_str().map(str::to_owned));
    let name = second.file_name().and_then(|name| name.to_str()).expect("a name");
    assert!(damage.contains(&format!("in journal/{name} at byte ")), "{damage}");
    pour(&host, 3_000_000);
    wait::until("people to be told", WITHIN, || host.log().contains("restore the file from a backup").then_some(()));
    let found = wait::until("the damage to be recorded", WITHIN, || {
        files.wait_for_rest();
        let records = files.balm_says(&["audit", "tail", "--no-follow", "--most", "500"]);
        records.lines().find(|line| line.contains("damage-found")).map(str::to_owned)
    });
    assert!(found.contains(name), "{found}");
    assert!(files.balm_fails(&["audit", "verify"]).contains("the journal is damaged: record"));
    host.stop();
}

#[test]
fn old_records_are_dropped_and_the_rest_is_verified_as_before_also_after_a_kill() {
    let files = files("history-keep", "keep-mib = 3\n");
    let mut host = files.start();
    pour_until(&files, &host, 4);
    let mut from = 1_000_000;
    let dropped = wait::until("old records to be dropped", WITHIN, || {
        pour(&host, from);
        from += ALERTS;
        let first = journals(&files).remove(0);
        (!first.ends_with(format!("{:020}.journal", 1))).then_some(first)
    });
    files.wait_for_rest();
    let episodes = files.status()["episodes"].clone();
    host.kill();
    let said = files.balm_says(&["audit", "verify"]);
    assert!(said.contains("older ones are no longer kept"), "{said}");
    let host = files.start();
    assert_eq!(files.status()["episodes"], episodes);
    wait_until_verified(&files);
    host.stop();
    let export = files.path("export.jsonl");
    let export = export.to_str().expect("UTF-8");
    let _ = files.balm_says(&["audit", "export", "--to", export]);
    assert!(files.balm_says(&["audit", "verify", export]).contains("older ones are no longer kept"));
    // Without the record that says so, the same would be a journal with its beginning torn off.
    let text = fs::read_to_string(export).expect("it can be read");
    let torn: Vec<&str> = text.lines().take_while(|line| !line.contains("\"history-dropped\"")).collect();
    files.write("torn.jsonl", &(torn.join("\n") + "\n"));
    let told = files.balm_fails(&["audit", "verify", files.path("torn.jsonl").to_str().expect("UTF-8")]);
    assert!(told.contains("dropped on purpose") || told.contains("its batch goes on"), "{told}");
    assert!(!dropped.exists() || journals(&files)[0] == dropped);
}

#[test]
fn a_state_that_knows_more_than_the_journal_stops_the_host_until_the_loss_is_accepted() {
    let files = files("history-ahead", "");
    let mut host = files.start();
    pour(&host, 0);
    let known = wait_for_state(&files, 0);
    host.kill();
    // The journal as it was before, as after a volume that was restored from too old a backup.
    let path = journals(&files).remove(0);
    let text = fs::read(&path).expect("it can be read");
    let end = text.iter().enumerate().filter(|(_, c)| **c == b'\n').nth(3).expect("it has lines").0 + 1;
    let mut old = text[..end].to_vec();
    old.resize(text.len(), 0);
    fs::write(&path, old).expect("it can be written");
    fs::remove_dir_all(files.data().join("audit")).expect("it is there");
    let told = files.refuses_to_start();
    let wanted = format!("a saved state knows record {known}, and the journal ends with ");
    assert!(told.contains(&wanted) && told.contains("start once with --accept-loss"), "{told}");
    let host = files.start_with(&["--accept-loss"]);
    host.stop();
    let lost = journal::facts(&files.data()).into_iter().find_map(|fact| match fact {
        Fact::LossAccepted(lost) => Some((lost.known, lost.by)),
        _ => None,
    });
    assert_eq!(lost, Some((Seq(known), "a saved state".to_owned())));
    files.start().stop();
}
