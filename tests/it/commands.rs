//! The command line beside a running host, and without one.

use std::{fs, path::Path, time::Duration};

use balm_core::{
    digest::Digest,
    line::{self, Chain, Framing},
    record::{CheckName, ClockJumped, Fact, Record, Verdict},
    recovery,
    time::Timestamp,
};
use balm_tests::harness::{
    Dir,
    cloud::{Cloud, arn},
    grafana::{Alert, body},
    host::{Files, Host},
    wait,
};

const WITHIN: Duration = Duration::from_secs(30);

/// A cloud with a steady service `web`, and the files of a host.
fn stage(name: &str) -> (Cloud, Files) {
    let cloud = Cloud::start(1, fast(), None);
    cloud.create_service("web", 4);
    let files = Files::new(Dir::new(name), &cloud.endpoint());
    (cloud, files)
}

/// Tasks that start as soon as they should.
fn fast() -> balm_cloud::Options {
    let span = |least, most| balm_cloud::Span::between(least, most).expect("least is not above most");
    let lag = balm_cloud::Lag { start_ms: span(5, 20), stop_ms: span(5, 20), scheduler_ms: span(1, 5) };
    balm_cloud::Options { lag, ..balm_cloud::Options::default() }
}

fn saturate(host: &Host, fingerprint: u64) {
    host.accept(&body(&[Alert::firing("HighCpu", "web", fingerprint)]));
}

fn becomes(cloud: &Cloud, files: &Files, tasks: u32) {
    wait::until(&format!("{tasks} tasks"), WITHIN, || {
        let service = cloud.service("web").service;
        (service.desired_count == tasks && service.running_count == tasks).then_some(())
    });
    files.wait_for_rest();
}

/// How the guard refused the last intent, once it has judged so many.
fn refusal(files: &Files, judged: usize) -> String {
    wait::until("a verdict", WITHIN, || {
        let verdicts: Vec<_> = files
            .facts()
            .into_iter()
            .filter_map(|fact| match fact {
                Fact::IntentJudged(judged) => Some(judged),
                _ => None,
            })
            .collect();
        let last = verdicts.last().filter(|_| verdicts.len() == judged)?;
        assert_eq!(last.verdict, Verdict::Refused(CheckName::Stop), "{last:?}");
        let stop = last.checks.iter().find(|checked| checked.check == CheckName::Stop).expect("it is checked");
        Some(stop.found.clone())
    })
}

#[test]
fn check_names_what_a_right_configuration_would_do() {
    let (_cloud, files) = stage("check-good");
    let said = files.balm_says(&["check"]);
    for wanted in [
        "plugin scale-ecs-service: Scales an ECS service out",
        "policy web-cpu: enforce with plugin scale-ecs-service",
        "1 rule, 1 limit, 1 bound, 1 account, 1 of 1 policies beyond shadow (web-cpu): can act within them",
        "nothing is wrong",
    ] {
        assert!(said.contains(wanted), "{wanted:?}: {said}");
    }
    files.write("guardrails/web.cedar", "// nobody may do anything yet\n");
    let said = files.balm_says(&["check"]);
    assert!(said.contains("\n0 rules, ") && said.contains(": nothing can act\n"), "{said}");
    assert!(!files.data().exists(), "checking touches nothing");
}

#[test]
fn check_names_a_policy_without_a_plugin_and_settings_that_a_plugin_refuses() {
    let (_cloud, files) = stage("check-bad");
    files.edit("balm.toml", |text| {
        text.replace("minimum = 2", "minimum = 20")
            + "\n[[policy]]\nname = \"db\"\nplugin = \"restart-db\"\ntargets = []\nmatch = { source = \"grafana\" }\n"
    });
    let told = files.balm_fails(&["check"]);
    let settings = "policy web-cpu: the plugin does not accept its settings: minimum 20 is above maximum 12";
    let missing = format!("policy db: there is no plugin restart-db.wasm in {}", files.path("plugins").display());
    assert!(told.contains(settings) && told.contains(&missing), "{told}");
    assert!(told.contains("see above for what is wrong"), "{told}");
}

#[test]
fn status_is_json_for_everybody_and_a_clear_answer_without_a_host() {
    let (_cloud, files) = stage("status");
    let told = files.balm_fails(&["status"]);
    assert!(told.contains("balm: no host runs with this data directory: "), "{told}");
    let host = files.start();
    let status = files.status();
    assert_eq!(status["stopped"], false);
    assert_eq!(
        (&status["policies"][0]["policy"], &status["policies"][0]["mode"]),
        (&"web-cpu".into(), &"enforce".into())
    );
    assert_eq!(status["plugins"][0]["plugin"], "scale-ecs-service");
    assert_eq!(status["accounts"][0]["account"], "123456789012");
    assert!(status["accounts"][0]["acting-as"].as_str().is_some_and(|who| who.starts_with("arn:")), "{status}");
    host.stop();
}

#[test]
fn a_second_host_on_the_same_data_directory_is_told_what_to_do_and_disturbs_nothing() {
    let (cloud, files) = stage("second");
    let host = files.start();
    let told = files.refuses_to_start();
    let data = files.data().canonicalize().expect("it is there");
    let wanted = format!("balm: the data directory {} is in use by another host: stop that one first", data.display());
    assert!(told.contains(&wanted), "{told}");
    saturate(&host, 1);
    becomes(&cloud, &files, 6);
    host.stop();
}

#[test]
fn a_stop_of_everything_of_a_policy_or_of_a_target_holds_until_it_is_released() {
    let (cloud, files) = stage("stops");
    let host = files.start();
    let web = arn("web");
    let scopes: [(&[&str], &str); 3] = [
        (&[], "everything"),
        (&["--policy", "web-cpu"], "policy web-cpu"),
        (&["--target", &web], &format!("target {web}")),
    ];
    for (i, (scope, words)) in (0..).zip(&scopes) {
        let before = cloud.desired("web");
        let said = files.balm_says(&[&["stop", "--why", "maintenance of the database"], *scope].concat());
        assert!(said.contains(&format!("{words} is stopped; record ")), "{said}");
        let stops = files.status()["stops"].clone();
        assert_eq!((&stops[0]["why"], &stops[1]), (&"maintenance of the database".into(), &serde_json::Value::Null));
        assert_eq!(files.status()["stopped"], scope.is_empty());
        saturate(&host, 0x10 + i);
        let found = refusal(&files, 2 * usize::try_from(i).expect("a small number") + 1);
        assert!(found.contains("maintenance of the database"), "{words}: {found}");
        assert_eq!(cloud.desired("web"), before, "{words} is stopped");
        let said = files.balm_says(&[&["resume", "--why", "it is over"], *scope].concat());
        assert!(said.contains("released; record "), "{said}");
        assert_eq!(files.status()["stops"], serde_json::json!([]));
        saturate(&host, 0x20 + i);
        becomes(&cloud, &files, before + 2);
    }
    host.stop();
}

#[test]
fn a_stop_of_a_policy_that_is_not_there_says_so_and_holds() {
    let (_cloud, files) = stage("stop-nobody");
    let host = files.start();
    let said = files.balm_says(&["stop", "--policy", "web-cpu"]);
    assert!(!said.contains("no policy of this name"), "{said}");
    let said = files.balm_says(&["stop", "--policy", "web-cpo"]);
    assert!(said.contains("policy web-cpo is stopped; record ") && said.contains("no policy of this name"), "{said}");
    assert!(files.balm_says(&["status"]).contains("web-cpo"));
    host.stop();
}

#[test]
fn a_stop_of_something_else_halts_nothing_and_one_is_released_by_its_number() {
    let (cloud, files) = stage("stop-other");
    let host = files.start();
    drop(files.balm_says(&["stop", "--target", &arn("db")]));
    drop(files.balm_says(&["stop", "--policy", "db"]));
    saturate(&host, 1);
    becomes(&cloud, &files, 6);
    let told = files.balm_fails(&["resume"]);
    assert!(told.contains("balm: no such stop is in force; `balm status` lists them"), "{told}");
    for left in [1, 0] {
        let number = files.status()["stops"][0]["stop"].to_string();
        drop(files.balm_says(&["resume", "--stop", &number]));
        assert_eq!(files.status()["stops"].as_array().map(Vec::len), Some(left));
    }
    let told = files.balm_fails(&["stop", "--target", "prod/web"]);
    assert!(told.contains("\"prod/web\" is no target"), "{told}");
    host.stop();
}

#[test]
fn stops_survive_a_kill_and_a_restart_and_so_does_their_release() {
    let (cloud, files) = stage("stop-killed");
    let mut host = files.start();
    drop(files.balm_says(&["stop", "--why", "who knows"]));
    drop(files.balm_says(&["stop", "--policy", "web-cpu"]));
    host.kill();
    let mut host = files.start();
    assert_eq!((&files.status()["stopped"], files.status()["stops"].as_array().map(Vec::len)), (&true.into(), Some(2)));
    saturate(&host, 1);
    drop(refusal(&files, 1));
    drop(files.balm_says(&["resume"]));
    host.kill();
    let host = files.start();
    assert_eq!(
        (&files.status()["stopped"], files.status()["stops"].as_array().map(Vec::len)),
        (&false.into(), Some(1))
    );
    saturate(&host, 2);
    drop(refusal(&files, 2));
    drop(files.balm_says(&["resume", "--policy", "web-cpu"]));
    saturate(&host, 3);
    becomes(&cloud, &files, 6);
    host.stop();
}

#[test]
fn everything_can_be_stopped_without_a_host_and_the_next_one_starts_stopped() {
    let (cloud, files) = stage("stop-offline");
    files.start().stop();
    let told = files.balm_fails(&["stop", "--policy", "web-cpu"]);
    assert!(told.contains("without a host only everything can be stopped: leave --policy and --target away"), "{told}");
    let said = files.balm_says(&["stop", "--why", "the pager"]);
    assert!(said.contains("no host runs here; the next one starts with everything stopped"), "{said}");
    assert!(fs::read_to_string(files.data().join("STOPPED")).expect("it is there").contains("the pager"));
    let told = files.balm_fails(&["resume"]);
    assert!(told.contains("a stop is released by a record, which a host writes: start it first"), "{told}");
    let host = files.start();
    let status = files.status();
    assert_eq!((&status["stopped"], &status["stops"][0]["why"]), (&true.into(), &"the pager".into()));
    saturate(&host, 1);
    assert!(refusal(&files, 1).contains("the pager"));
    drop(files.balm_says(&["resume"]));
    assert!(!files.data().join("STOPPED").exists());
    saturate(&host, 2);
    becomes(&cloud, &files, 6);
    host.stop();
}

#[test]
fn a_host_that_does_not_run_tells_of_its_audit_what_it_told_while_it_ran() {
    let (cloud, files) = stage("audit-offline");
    let host = files.start();
    saturate(&host, 1);
    becomes(&cloud, &files, 6);
    let opened =
        files.facts().iter().position(|fact| matches!(fact, Fact::AlertReceived(_))).expect("it was received") + 1;
    let opened = opened.to_string();
    wait::until("both notices", WITHIN, || {
        let told = files.balm_says(&["audit", "show", &opened]);
        (told.matches("was told, of record").count() == 2).then_some(())
    });
    let from = ["audit", "tail", "--no-follow", "--from", "2", "--most", "7"];
    let commands: [&[&str]; 4] =
        [&["audit", "show", &opened], &["audit", "show", "--json", &opened], &from, &["audit", "verify"]];
    let running = commands.map(|command| files.balm_says(command));
    assert_eq!(running[2].lines().filter(|line| !line.starts_with("          ")).count(), 7, "{}", running[2]);
    let exported = files.balm_says(&["audit", "export"]);
    host.stop();
    for (command, told) in commands[..3].iter().zip(&running) {
        assert_eq!(&files.balm_says(command), told, "{command:?}");
    }
    let stopped = files.balm_says(&["audit", "export"]);
    assert!(stopped.starts_with(&exported), "an export only grows");
    let last = files.balm_says(&["audit", "tail", "--json", "--most", "1"]);
    assert!(last.contains(r#""kind":"host-stopped""#) && last.lines().count() == 1, "{last}");
    let (_, intent) = running[0].split_once("intent ").expect("an intent was proposed");
    let intent = intent.split([' ', ',']).next().expect("it has a name");
    assert_eq!(files.balm_says(&["audit", "show", intent]), running[0], "an intent leads to its episode");
    let told = files.balm_fails(&["audit", "show", "99999"]);
    assert!(told.contains("there is no record 99999"), "{told}");
    for (id, why) in [
        ("99999", "there is no record 99999: not yet, or no longer"),
        ("99999.0", "there is no record 99999: not yet, or no longer"),
        ("1", "record 1 belongs to no alert: `balm audit show 1` shows it"),
    ] {
        let told = files.balm_fails(&["explain", id]);
        assert_eq!(told.trim_end(), why);
        let told: serde_json::Value =
            serde_json::from_str(&files.balm_fails(&["explain", id, "--json"])).expect("JSON");
        assert_eq!(told["detail"], why);
    }
    let told = files.balm_says(&["guard", "explain", intent]);
    for check in CheckName::ALL {
        let line = format!("{:<14} passed", check.to_string());
        assert!(told.contains(&line), "{line:?} in {told}");
    }
    let told = files.balm_says(&["guard", "explain", intent, "--json"]);
    let told: serde_json::Value = serde_json::from_str(&told).expect("JSON");
    let checks = told["intents"][0]["checks"].as_array().expect("checks");
    assert!(checks.len() == CheckName::ALL.len() && checks.iter().all(|check| check["passed"] == true), "{told}");
}

#[test]
fn a_journal_without_any_signature_does_not_pass_for_one_of_a_host_whose_key_is_named() {
    let (_cloud, files) = stage("unsigned");
    let host = files.start();
    files.wait_for_rest();
    host.stop();
    let key = files.balm_says(&["audit", "key"]);
    let unsigned = files.path("unsigned.jsonl").display().to_string();
    let export = files.balm_says(&["audit", "export"]);
    let before: Vec<&str> = export.lines().take_while(|line| !line.contains(r#""kind":"checkpoint""#)).collect();
    files.write("unsigned.jsonl", &(before.join("\n") + "\n"));
    assert!(files.balm_says(&["audit", "verify", &unsigned]).contains("there is no checkpoint in it"));
    let told = files.balm_fails(&["audit", "verify", &unsigned, "--key", key.trim_end()]);
    assert!(told.contains("but there is no checkpoint among them: nothing shows that they are of the host"), "{told}");
    let malformed = files.balm(&["audit", "verify", &unsigned, "--key", "balm.pub"]);
    let told = String::from_utf8_lossy(&malformed.stderr).into_owned();
    assert!(!malformed.status.success() && told.contains("a key is 64 hexadecimal digits"), "{told}");
}

#[test]
fn what_a_host_keeps_and_copies_is_for_its_user_alone() {
    use std::os::unix::fs::MetadataExt as _;
    fn open_to_others(dir: &Path, found: &mut Vec<String>) {
        let metadata = fs::symlink_metadata(dir).expect("it is there");
        if metadata.mode() & 0o077 != 0 && !metadata.is_symlink() {
            found.push(format!("{} {:o}", dir.display(), metadata.mode()));
        }
        if metadata.is_dir() {
            fs::read_dir(dir)
                .expect("a directory")
                .for_each(|entry| open_to_others(&entry.expect("an entry").path(), found));
        }
    }
    let (cloud, files) = stage("private");
    let host = files.start();
    saturate(&host, 1);
    becomes(&cloud, &files, 6);
    let copy = files.path("copy");
    drop(files.balm_says(&["backup", "--to", &copy.display().to_string()]));
    host.stop();
    let mut found = Vec::new();
    for dir in [&files.data(), &copy] {
        open_to_others(dir, &mut found);
    }
    assert_eq!(found, Vec::<String>::new());
    let said = files.balm_says(&["check"]);
    assert!(said.contains("warning: ") && said.contains("token-file: every user of this machine may read"), "{said}");
}

#[test]
fn whatever_is_changed_in_an_export_is_found_with_its_line() {
    let (_cloud, files) = stage("export");
    let host = files.start();
    saturate(&host, 1);
    files.wait_for_rest();
    host.stop();
    let export = files.path("export.jsonl").display().to_string();
    drop(files.balm_says(&["audit", "export", "--to", &export]));
    let verified = files.balm_says(&["audit", "verify", &export]);
    assert_eq!(verified, files.balm_says(&["audit", "verify"]), "the export and the journal have the same head");
    let told = files.balm_fails(&["audit", "export", "--to", &export]);
    assert!(told.contains(&format!("{export} cannot be written: File exists")), "{told}");

    let whole = fs::read_to_string(&export).expect("it is there");
    let lines: Vec<&str> = whole.lines().collect();
    check_by_hand(&lines);
    let with = |changed: &[&str]| {
        files.write("changed.jsonl", &(changed.join("\n") + "\n"));
        let told = files.balm_fails(&["audit", "verify", &files.path("changed.jsonl").display().to_string()]);
        told.split_once("changed.jsonl").expect("it names the file").1.to_owned()
    };
    let not_written = ":4: record 4 is not what was written: its hash does not fit its text and the record before";
    let flipped = lines[3].replacen("\"at\":1", "\"at\":2", 1);
    assert!(
        flipped != lines[3] && with(&[&lines[..3], &[flipped.as_str()], &lines[4..]].concat()).starts_with(not_written)
    );
    let left_out = with(&[&lines[..3], &lines[4..]].concat());
    assert!(left_out.starts_with(not_written), "{left_out}");
    let moved = with(&[&lines[..3], &[lines[4], lines[3]], &lines[5..]].concat());
    assert!(moved.starts_with(not_written), "{moved}");
    let twice = with(&[&lines[..4], &[lines[3]], &lines[4..]].concat());
    assert!(twice.starts_with(":5: record 5 is not what was written"), "{twice}");
    let half = with(&[&lines[..3], &[&lines[3][..lines[3].len() / 2]]].concat());
    assert!(half.starts_with(":4: this is no line of an export"), "{half}");
    let within_batch = lines.iter().position(|line| line.contains("\"more\":true")).expect("batches have many records");
    let ends = with(&lines[..=within_batch]);
    assert!(ends.contains("and its batch goes on: the end is missing"), "{ends}");
    // Nobody can tell a shorter export from an earlier one but by its head, which is why that is printed.
    files.write("changed.jsonl", &(lines[..lines.len() - 1].join("\n") + "\n"));
    let shorter = files.balm_says(&["audit", "verify", &files.path("changed.jsonl").display().to_string()]);
    assert_ne!(shorter, verified);
}

/// As anybody would who knows what the documentation says: the hash of a line is over the hash before and the line's JSON
/// without its own.
fn check_by_hand(lines: &[&str]) {
    let mut before = Digest::ZERO;
    for line in lines {
        let (json, hash) = line.rsplit_once(",\"hash\":\"").expect("a line ends with its hash");
        let hash = hash.strip_suffix("\"}").expect("and with nothing else");
        before = Digest::of(&[before.as_bytes(), format!("{json}}}").as_bytes()]);
        assert_eq!(before.to_string(), hash, "{line}");
    }
}

#[test]
fn a_clock_that_was_set_ahead_holds_the_limits_until_it_is_accepted() {
    let (_cloud, files) = stage("clock");
    let host = files.start();
    let told = files.balm_fails(&["accept-clock"]);
    assert!(told.contains("the clock was not set ahead: there is nothing to accept"), "{told}");
    files.wait_for_rest();
    host.stop();
    set_ahead(&files.data(), 600_000);
    let host = files.start();
    assert_eq!(files.status()["clock-ahead-ms"], 600_000, "it is still ahead after a restart");
    let said = files.balm_says(&["accept-clock", "--why", "it was wrong before"]);
    assert!(said.contains("the clock is accepted; record "), "{said}");
    assert_eq!(files.status()["clock-ahead-ms"], 0);
    host.stop();
}

/// What a host writes down when the clock leaps, behind what it has written: no test may set this machine's clock.
fn set_ahead(data: &Path, by_ms: u64) {
    let path = data.join("journal").join(format!("{:020}.journal", 1));
    let mut bytes = fs::read(&path).expect("the journal can be read");
    let mut at = Timestamp::EPOCH;
    let held = recovery::read_file(&bytes, Chain::START, |batch| {
        at = batch.last().map_or(at, |placed| placed.line.record.at);
    });
    let fact = Fact::ClockJumped(ClockJumped { by_ms });
    let record = Record { seq: held.chain.seq.next(), at, more: false, fact };
    let mut text = Vec::new();
    let framing = Framing { synced: Some(held.chain.seq), prev: None };
    line::write(held.chain, &record, framing, &mut text);
    bytes[held.believed..held.believed + text.len()].copy_from_slice(&text);
    fs::write(path, bytes).expect("the journal can be written");
}
