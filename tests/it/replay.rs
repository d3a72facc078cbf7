//! Decisions of the past, made again: from the journal of a running host, from an export on another machine, and by another
//! version.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use balm_core::record::{EpisodeEnd, Fact};
use balm_tests::{
    MISBEHAVE, PROPOSE_ANYTHING, SCALE_ECS_SERVICE,
    export::{self, Entry},
    harness::{
        Dir,
        cloud::{Cloud, arn},
        grafana::Alert,
        host::Files,
        programs,
    },
    replay,
};
use serde_json::Value;

use crate::stage::{self, Stage};

/// Ways to fail that come out the same again, and one that the clock ends.
const FAILURES: [&str; 6] = ["loop", "allocate-at-once", "recurse", "panic", "propose", "garble"];
const BY_THE_CLOCK: &str = "chatter";

/// What plugins of every kind decided on a host, and failed at.
fn played(name: &str) -> Stage {
    let cloud = Cloud::start(13, stage::quick(), None);
    cloud.create_service("web", 4);
    let files = Files::new(Dir::new(name), &cloud.endpoint());
    fs::copy(MISBEHAVE, files.path("plugins/misbehave.wasm")).expect("the guest can be copied");
    for how in FAILURES.iter().chain([&BY_THE_CLOCK]) {
        files.edit("balm.toml", |text| text + &misbehaving(how));
    }
    let stage = Stage { host: files.start(), files, cloud };
    let alert = Alert::firing("HighCpu", "web", stage::fingerprint());
    stage.post(std::slice::from_ref(&alert));
    let others: Vec<Alert> =
        FAILURES.iter().chain([&BY_THE_CLOCK]).map(|how| Alert::firing(how, "web", stage::fingerprint())).collect();
    stage.post(&others);
    let episode = stage.episode_of(&alert);
    stage.until("the change", |records| {
        let verified = |fact: &Fact| matches!(fact, Fact::IntentEnded(ended) if ended.episode == episode);
        records.iter().any(|record| verified(&record.fact)).then_some(())
    });
    stage.post(&[alert.resolved("2026-11-01T10:00:00Z")]);
    let how = stage.until("the end of the episode", |records| stage::episode_end(records, episode));
    assert_eq!(how, EpisodeEnd::Resolved);
    stage.until("every failure", |records| {
        let failed = records.iter().filter(
            |record| matches!(&record.fact, Fact::Evaluated(capsule) if capsule.policy.as_str().starts_with("bad-")),
        );
        (failed.count() > FAILURES.len()).then_some(())
    });
    stage
}

fn misbehaving(how: &str) -> String {
    let target = arn("web");
    format!(
        "\n[[policy]]\nname = \"bad-{how}\"\nplugin = \"misbehave\"\nmode = \"shadow\"\ntargets = [\"{target}\"]\n\
         [policy.match]\nlabels = {{ alertname = \"{how}\" }}\n[policy.settings]\nhow = \"{how}\"\n"
    )
}

fn json(output: &Output) -> Value {
    let said = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(&said).unwrap_or_else(|_| {
        let complained = String::from_utf8_lossy(&output.stderr).into_owned();
        serde_json::json!({ "said": said, "complained": complained })
    })
}

/// A `balm` on another machine: no configuration, no data directory.
fn elsewhere(dir: &Path, arguments: &[&str]) -> Output {
    let mut balm = Command::new(programs::balm());
    balm.args(arguments).current_dir(dir).env_remove("BALM_CONFIG").env_remove("BALM_DATA").output().expect("balm runs")
}

#[test]
fn every_decision_and_failure_comes_out_the_same_here_and_elsewhere() {
    let Stage { host, files, cloud } = played("replay");
    records_are_found(&files);
    // Beside the running host.
    let running = files.balm(&["replay", "--all", "--json"]);
    let told = json(&running);
    assert!(running.status.success() && told["replayed"].as_u64() > Some(FAILURES.len() as u64), "{told}");
    assert_eq!((&told["differing"], &told["left-out"]), (&0.into(), &serde_json::json!({})), "{told}");
    assert_eq!(told["fuel-compared"], told["replayed"], "{told}");
    assert_eq!(told["ended-by-the-clock"]["it ran out of time"].as_u64().map(|count| count > 0), Some(true), "{told}");
    host.stop();
    let replayed = replay::run(&files.data()).expect("it replays");
    assert!(replayed.mismatches == 0 && Some(replayed.replayed) >= told["replayed"].as_u64(), "{replayed:?}");

    // Elsewhere, from an export and the plugins of it.
    let machine = Dir::new("replay-elsewhere");
    let path = |name: &str| machine.path().join(name).display().to_string();
    drop(files.balm_says(&["audit", "export", "--to", &path("history.jsonl"), "--plugins", &path("versions")]));
    let all = elsewhere(machine.path(), &["replay", "--all", "--from", "history.jsonl", "--plugins", "versions"]);
    let said = String::from_utf8_lossy(&all.stdout).into_owned();
    assert!(all.status.success() && said.contains("byte for byte, 0 did not; so was their fuel"), "{said}");
    one_by_one(&files, machine.path());
    what_differs_is_shown(machine.path());
    without_its_plugin(machine.path());
    drop(cloud);
}

/// By everything that a record may be about, also where it does not say so itself; and in pages.
fn records_are_found(files: &Files) {
    let find = |arguments: &[&str]| -> Vec<Value> {
        let said = files.balm_says(&[&["audit", "find", "--json"], arguments].concat());
        said.lines().map(|line| serde_json::from_str(line).expect("a record")).collect()
    };
    let kinds = |arguments: &[&str]| -> Vec<String> {
        find(arguments).iter().map(|record| record["kind"].as_str().unwrap_or_default().to_owned()).collect()
    };
    let web = arn("web");
    let ended = find(&["--policy", "web-cpu", "--result", "verified"]);
    assert_eq!(ended[0]["kind"], "intent-ended", "an end names no policy itself: {ended:?}");
    let other = web.replace("/web", "/other");
    for (about, own, others) in [
        ("--plugin", "scale-ecs-service", "other"),
        ("--action", "ecs:scale-service", "ecs:stop-task"),
        ("--target", &web, &other),
        ("--alert", "HighCpu", "other"),
    ] {
        assert_eq!(find(&[about, own, "--result", "verified"]), ended, "{about}");
        assert_eq!(find(&[about, others, "--result", "verified"]), Vec::<Value>::new(), "{about}");
    }
    assert_eq!(kinds(&["--verdict", "admitted"]), ["intent-judged", "intent-judged"]);
    assert_eq!(kinds(&["--result", "done"]), ["attempt-ended", "attempt-ended"]);
    let episode = ended[0]["data"]["episode"].to_string();
    let of_episode = find(&["--episode", &episode]);
    assert!(of_episode.len() > 10 && of_episode[0]["seq"] == ended[0]["data"]["episode"], "{of_episode:?}");
    let (first, rest) = (find(&["--episode", &episode, "--limit", "4"]), of_episode[3]["seq"].to_string());
    let behind = find(&["--episode", &episode, "--after", &rest]);
    assert_eq!([first, behind].concat(), of_episode, "pages follow each other");
    assert_eq!(find(&["--until", "2020-01-01T00:00:00Z"]), Vec::<Value>::new());
    assert_eq!(kinds(&["--since", "2020-01-01T00:00:00Z", "--kind", "genesis"]), ["genesis"]);
    let refused = files.balm(&["audit", "find", "--kind", "nothing"]);
    let told = String::from_utf8_lossy(&refused.stderr);
    assert!(refused.status.code() == Some(2) && told.contains("is no kind of record; there are genesis, "), "{told}");
}

/// A capsule by its record, by an intent of it and by its episode; and what is none.
fn one_by_one(files: &Files, dir: &Path) {
    let entries = export::read(&fs::read_to_string(dir.join("history.jsonl")).expect("the export"));
    let capsules: Vec<Value> = entries.iter().filter(|entry| entry.kind() == "evaluated").map(Entry::record).collect();
    let proposing = capsules.iter().find(|record| !record["data"]["conclusion"]["decided"]["intents"][0].is_null());
    let proposing = proposing.expect("an intent was proposed");
    let count = |id: &str| json(&files.balm(&["replay", id, "--json"]))["replayed"].clone();
    assert_eq!((count(&proposing["seq"].to_string()), count(&format!("{}.0", proposing["seq"]))), (1.into(), 1.into()));
    let episode = &proposing["data"]["episode"];
    let of_episode = capsules.iter().filter(|record| record["data"]["episode"] == *episode).count();
    assert_eq!(count(&episode.to_string()), of_episode);
    let told = files.balm_fails(&["replay", "1"]);
    assert!(told.contains("names no evaluation"), "{told}");
}

/// A history in which somebody has written another decision, with every hash made right again.
fn what_differs_is_shown(dir: &Path) {
    let mut entries = export::read(&fs::read_to_string(dir.join("history.jsonl")).expect("the export"));
    let at = entries.iter().position(|entry| entry.json.contains("{\"desired\":6}")).expect("a decision");
    entries[at].json = entries[at].json.replacen("{\"desired\":6}", "{\"desired\":7}", 1);
    export::rehash(&mut entries, at);
    fs::write(dir.join("forged.jsonl"), export::write(&entries)).expect("it can be written");
    let output = elsewhere(dir, &["replay", "--all", "--from", "forged.jsonl", "--plugins", "versions", "--json"]);
    let told = json(&output);
    assert_eq!((output.status.code(), &told["differing"]), (Some(3), &1.into()), "{told}");
    let difference = &told["differences"][0];
    let desired = |when: &str| difference["conclusion"][when]["decided"]["intents"][0]["parameters"]["desired"].clone();
    assert_eq!((&difference["seq"], desired("then"), desired("now")), (&(at + 1).into(), 7.into(), 6.into()), "{told}");
    let output = elsewhere(dir, &["replay", "--all", "--from", "forged.jsonl", "--plugins", "versions"]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains(&format!("record {}, policy web-cpu", at + 1)) && said.contains("1 did not"), "{said}");
}

fn without_its_plugin(dir: &Path) {
    fs::create_dir(dir.join("none")).expect("a directory");
    let output = elsewhere(dir, &["replay", "--all", "--from", "history.jsonl", "--plugins", "none"]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("of plugin scale-ecs-service is not at hand: give its file with --plugins"), "{said}");
}

#[test]
fn a_candidate_is_tried_on_the_past_and_what_it_does_otherwise_is_shown() {
    let Stage { host, files, cloud } = played("backtest");
    let same = files.balm(&["backtest", "--candidate", SCALE_ECS_SERVICE, "--last", "30d", "--json"]);
    let told = json(&same);
    assert!(same.status.success() && told["changes"]["same"] == told["evaluations"], "{told}");
    assert_eq!(told["then"], told["now"], "the same plugin takes the same fuel: {told}");
    assert_eq!(told["now"]["largest"]["attribute"], "desired", "{told}");
    assert!(told["evaluations-per-minute"].as_u64() > Some(0), "{told}");

    // Another plugin in its place: it does not know the settings, and decides nothing with them.
    let other = files.balm(&["backtest", "--candidate", PROPOSE_ANYTHING, "--policy", "web-cpu", "--json"]);
    let told = json(&other);
    assert_eq!((other.status.code(), &told["changes"]["same"]), (Some(3), &Value::Null), "{told}");
    assert!(told["settings-refused"]["web-cpu"].is_string(), "{told}");
    assert_eq!(told["examples"][0]["policy"], "web-cpu", "{told}");
    let other = files.balm(&["backtest", "--candidate", PROPOSE_ANYTHING, "--policy", "web-cpu"]);
    let said = String::from_utf8_lossy(&other.stdout).into_owned();
    for wanted in ["it refuses settings of policy web-cpu", "  then  ecs:scale-service", "  now   ", "a minute; each "]
    {
        assert!(said.contains(wanted), "{wanted:?} is not in {said}");
    }
    let told = files.balm_fails(&["backtest", "--candidate", PROPOSE_ANYTHING]);
    assert!(told.contains("the history has no evaluation by plugin propose-anything"), "{told}");
    host.stop();
    drop(cloud);
}
