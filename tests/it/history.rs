//! What is done with the journal behind a running host's back: its state is saved and the next start begins with it, older
//! records are checked, and old ones are dropped.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use balm_core::{name::Seq, record::Fact, time::Timestamp};
use balm_tests::harness::{
    Dir,
    cloud::Cloud,
    grafana::{Alert, body},
    host::{Files, Host},
    journal, socket, wait,
};
use serde_json::Value;

use crate::stage::{self, Stage};

const WITHIN: Duration = Duration::from_secs(60);

/// Alerts of one request.
const ALERTS: u64 = 100;

/// Records between two saved states.
const STATE_EVERY: u64 = 100;

/// A host that saves its state so often, in files of 1 MiB.
fn files(name: &str, keep: &str) -> Files {
    let files = Files::bare(Dir::new(name));
    small(&files, keep);
    files.edit("balm.toml", |text| text + "\n[notifier.log]\nkind = \"log\"\n");
    files
}

fn small(files: &Files, keep: &str) {
    files.edit("balm.toml", |text| {
        let journal = format!("reserve-mib = 0\nsegment-mib = 1\nstate-every = {STATE_EVERY}\n{keep}");
        format!("max-body-kib = 512\n{}", text.replace("reserve-mib = 0", &journal))
    });
}

/// Pour until the oldest of more than three files is gone. Each time the state is saved, it may go.
fn pour_until_dropped(files: &Files, host: &Host) {
    let first = files.data().join(format!("journal/{:020}.journal", 1));
    let (mut from, mut saved) = (pour_until(files, host, 3), last_saved(files));
    while first.exists() {
        pour(host, from);
        from += ALERTS;
        saved = wait_for_state(files, saved);
        assert!(from < 100_000, "nothing is dropped");
    }
}

/// What the program in Python says of a journal or an export, and whether it is content.
fn python(of: &Path) -> (bool, String) {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/verify.py");
    let output = Command::new("python3").arg(script).arg(of).output().expect("python3 runs");
    (output.status.success(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
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

/// Wait until the newest state is vouched for, older ones are gone and no other one is due: a kill then finds just this.
fn wait_until_settled(files: &Files) {
    wait::until("the saved states to be settled", WITHIN, || {
        let newest = last_saved(files);
        let vouched = |fact: &Fact| matches!(fact, Fact::StateSaved(saved) if saved.upto == Seq(newest));
        let seq = files.status()["seq"].as_u64()?;
        let rests = seq.saturating_sub(newest) < STATE_EVERY && states(files).len() <= 2;
        (rests && journal::facts(&files.data()).iter().any(vouched)).then_some(())
    });
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
    wait_until_settled(&files);
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
    wait_until_settled(&files);
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
    pour_until_dropped(&files, &host);
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
    let said = files.balm_says(&["audit", "verify", export]);
    assert!(said.contains("older ones are no longer kept"), "{said}");
    let count = said.split(' ').next().expect("a number");
    for of in [Path::new(export), &files.data().join("journal")] {
        let (content, said) = python(of);
        assert!(content && said.starts_with(&format!("{count} records are whole")), "{said}");
    }
    // Without the record that says so, the same would be a journal with its beginning torn off.
    let text = fs::read_to_string(export).expect("it can be read");
    let torn: Vec<&str> = text.lines().take_while(|line| !line.contains("\"history-dropped\"")).collect();
    files.write("torn.jsonl", &(torn.join("\n") + "\n"));
    let told = files.balm_fails(&["audit", "verify", files.path("torn.jsonl").to_str().expect("UTF-8")]);
    assert!(told.contains("dropped on purpose") || told.contains("its batch goes on"), "{told}");
    assert!(!python(&files.path("torn.jsonl")).0, "nor does the other verifier believe it");
    // Nor is it one that begins in the middle of a file.
    files.write("middle.jsonl", &text.lines().skip(1).map(|line| format!("{line}\n")).collect::<String>());
    let told = files.balm_fails(&["audit", "verify", files.path("middle.jsonl").to_str().expect("UTF-8")]);
    assert!(told.contains("is not what was written"), "{told}");
    assert!(!python(&files.path("middle.jsonl")).0);
}

#[test]
fn with_old_records_dropped_the_rest_is_found_replayed_exported_backed_up_and_gone_on_from() {
    let cloud = Cloud::start(23, stage::quick(), None);
    cloud.create_service("web", 4);
    let files = Files::new(Dir::new("history-backup"), &cloud.endpoint());
    small(&files, "keep-mib = 3\n");
    let stage = Stage { host: files.start(), files, cloud };
    let alert = Alert::firing("HighCpu", "web", stage::fingerprint());
    stage.post(std::slice::from_ref(&alert));
    let fired = stage.episode_of(&alert);
    assert_eq!(stage.ended(fired).episode, fired);
    stage.post(&[alert.resolved("2026-11-01T10:00:00Z")]);
    stage.until("the episode to end", |records| {
        records
            .iter()
            .any(|record| matches!(&record.fact, Fact::EpisodeEnded(ended) if ended.episode == fired))
            .then_some(())
    });
    let Stage { host, files, cloud } = stage;
    // What decided, and with which version, is no longer kept.
    pour_until_dropped(&files, &host);
    let plugins = files.path("versions").display().to_string();
    let export = files.path("export.jsonl").display().to_string();
    let _ = files.balm_says(&["audit", "export", "--to", &export, "--plugins", &plugins]);
    assert!(files.balm_says(&["replay", "--all", "--from", &export]).contains("evaluations made again"));
    assert!(files.balm_says(&["replay", "--all"]).contains("evaluations made again"));
    assert!(files.balm_says(&["audit", "find", "--kind", "history-dropped"]).contains("no longer kept"));
    // Reading begins where a page can begin, and ends with it; what it says is what everything says.
    let after = journals(&files).pop().expect("a file").file_stem().and_then(|name| name.to_str()?.parse().ok());
    let after: u64 = after.expect("a number");
    for (after, limit) in [(after - 500, 3), (after - 500, 200), (0, 3)] {
        let page = |more: &[&str]| {
            let (after, limit) = (after.to_string(), limit.to_string());
            let page = ["audit", "find", "--json", "--kind", "alert-received", "--after", &after, "--limit", &limit];
            files.balm_says(&[&page, more].concat())
        };
        let found = page(&[]);
        assert_eq!(found.lines().count(), limit, "behind {after}");
        assert_eq!(found, page(&["--from", &export]), "behind {after}");
    }
    let copy = files.path("copy");
    let said = files.balm_says(&["backup", "--to", &copy.display().to_string()]);
    let data = copy.display().to_string();
    let whole = files.balm_says(&["audit", "verify", "--data", &data]);
    assert!(whole.contains("older ones are no longer kept"), "{whole}");
    assert_eq!(said.split(' ').next(), whole.split(' ').next(), "as many are copied as are there");
    host.stop();
    let other = Files::new(Dir::new("history-backup-other"), &cloud.endpoint());
    fs::remove_file(other.path("plugins/scale-ecs-service.wasm")).expect("it is there");
    fs::rename(copy, other.data()).expect("it can be put in place");
    let host = other.start();
    assert_eq!(other.plugin("scale-ecs-service")["state"], "active", "its bytes are in the backup");
    assert_eq!(wait_until_verified(&other)["damage"], Value::Null);
    answers_from_its_first_record_on(&other);
    host.stop();
    fs::remove_dir_all(other.data().join("state")).expect("it is there");
    let told = other.refuses_to_start();
    assert!(told.contains("restore the files in `state` from a backup"), "{told}");
}

/// What is asked of a host whose audit database was built from a journal without its old records.
fn answers_from_its_first_record_on(files: &Files) {
    files.wait_for_rest();
    let ask = |path: &str| socket::get(&files.data(), path);
    let page = |question: &str| {
        let page = ask(&format!("/v1/records?{question}")).expect("an answer");
        page["records"].as_array().expect("records").clone()
    };
    let seqs =
        |question: &str| -> Vec<u64> { page(question).iter().filter_map(|record| record["seq"].as_u64()).collect() };
    let first = journals(files).remove(0).file_stem().and_then(|name| name.to_str()?.parse().ok());
    let first: u64 = first.expect("a number");
    assert!(first > 1, "old records are no longer kept");
    assert_eq!(seqs("limit=2"), [first, first + 1], "oldest first");
    assert_eq!(seqs("limit=2&from=1"), [first, first + 1]);
    assert_eq!(seqs(&format!("limit=5&order=newest&to={}", first + 1)), [first + 1, first], "newest first");
    assert_eq!(seqs("limit=1&since=2020-01-01T00:00:00Z"), [first], "by time");
    assert_eq!(seqs("until=2020-01-01T00:00:00Z"), [] as [u64; 0]);
    let newest = page("limit=1&order=newest").remove(0);
    let at = Timestamp::from_millis(newest["at"].as_u64().expect("a time"));
    let since = page(&format!("since={at}&limit=1000"));
    assert!(since.iter().all(|record| record["at"].as_u64() >= newest["at"].as_u64()), "{since:?}");
    assert!(since.contains(&newest), "{since:?}");
    let told = ask("/v1/records/1").expect_err("it is no longer kept").to_string();
    assert!(told.contains(&format!("the records before {first} are no longer kept")) && told.contains("404"), "{told}");
    let told = ask("/v1/episodes/1").expect_err("it is no longer kept").to_string();
    assert!(told.contains("404") && told.contains("belongs to no episode"), "{told}");
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
