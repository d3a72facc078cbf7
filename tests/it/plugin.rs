//! `balm plugin`: a plugin's file is looked at, run and measured without a host and without a cloud.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use balm_tests::{
    MISBEHAVE, OPEN_SOCKET, SCALE_ECS_SERVICE,
    harness::{
        Dir,
        cloud::arn,
        grafana::{Alert, body},
        programs,
    },
};
use serde_json::{Value, json};

/// A directory with the plugin, an alert, a policy's file and answers.
struct Desk(Dir);

impl Desk {
    fn new(name: &str) -> Self {
        let desk = Self(Dir::new(name));
        fs::copy(SCALE_ECS_SERVICE, desk.0.path().join("web.wasm")).expect("the plugin can be copied");
        desk.put("alert.json", &body(&[Alert::firing("HighCpu", "web", 1)]));
        let targets = format!("targets = [\"{}\"]", arn("web"));
        let policy = format!("mode = \"shadow\"\n{targets}\n[match]\n[settings]\nminimum = 2\nmaximum = 10\n");
        desk.put("web.toml", policy.as_bytes());
        desk
    }

    fn put(&self, name: &str, bytes: &[u8]) {
        fs::write(self.0.path().join(name), bytes).expect("a file can be written");
    }

    fn balm(&self, arguments: &[&str]) -> Output {
        Command::new(programs::balm())
            .arg("plugin")
            .args(arguments)
            .current_dir(self.0.path())
            .output()
            .expect("it runs")
    }

    /// How it ended, and what it said on both outputs.
    fn says(&self, arguments: &[&str]) -> (i32, String) {
        let output = self.balm(arguments);
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        (output.status.code().expect("it ended by itself"), said)
    }

    fn json(&self, arguments: &[&str]) -> (i32, Value) {
        let output = self.balm(arguments);
        let said = serde_json::from_slice(&output.stdout);
        let complained = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code().expect("it ended by itself"), said.expect(&complained))
    }
}

const RUN: [&str; 6] = ["run", "web.wasm", "--alert", "alert.json", "--settings", "web.toml"];

fn service(desired: u32) -> Value {
    let counts =
        json!({ "desired": desired, "running": desired, "pending": 0, "status": "ACTIVE", "task-definition": "" });
    let mut deployment = json!({ "id": "1", "failed": 0, "created-at": 0 });
    let mut service = counts.clone();
    for (key, value) in counts.as_object().expect("an object") {
        deployment[key] = value.clone();
    }
    service["deployments"] = json!([deployment]);
    service
}

#[test]
fn a_missing_answer_is_printed_as_the_answer_to_fill_in_and_with_it_the_plugin_decides() {
    let desk = Desk::new("plugin-run");
    let (code, said) = desk.says(&RUN);
    assert_eq!(code, 3, "{said}");
    let template = &said[said.find("\n[").expect("a list") + 1..=said.find("\n]").expect("its end") + 1];
    let mut answers: Value = serde_json::from_str(template).expect("what is printed is the file's format");
    assert_eq!(answers[0]["query"], json!({ "kind": "ecs:service", "target": arn("web"), "parameters": {} }));
    let (code, needs) = desk.json(&[RUN.as_slice(), &["--json"]].concat());
    assert_eq!((code, &needs["conclusion"]["needs"][0]), (3, &answers[0]["query"]));

    answers[0]["reading"]["ok"] = service(4);
    desk.put("answers.json", answers.to_string().as_bytes());
    let decide = [RUN.as_slice(), &["--answers", "answers.json"]].concat();
    let (code, said) = desk.says(&decide);
    assert_eq!(code, 0, "{said}");
    assert!(said.starts_with("decided: web is saturated: from 4 to 6 tasks\n"), "{said}");
    assert!(
        said.contains("  ecs:scale-service {\"desired\":6} on ") && said.contains("looks again after 300 s"),
        "{said}"
    );
    assert!(said.contains("\n2 rounds, ") && said.contains(" instructions in the last, "), "{said}");
    let (_, one) = desk.json(&[decide.as_slice(), &["--json", "--now", "2026-11-23T12:00:00Z"]].concat());
    let (_, two) = desk.json(&[decide.as_slice(), &["--json", "--now", "2026-11-23T12:00:00Z"]].concat());
    assert_eq!(one["conclusion"]["decided"]["intents"][0]["parameters"], json!({ "desired": 6 }));
    assert_eq!((&one["conclusion"], &one["fuel"]), (&two["conclusion"], &two["fuel"]));
    assert!(one["fuel"].as_u64() > Some(1000) && one["took-us"].as_u64() > Some(0), "{one}");
    assert_eq!((&one["rounds"], &one["refused"]), (&json!(2), &json!([])));
}

#[test]
fn history_trigger_and_targets_are_given_on_the_command_line() {
    let desk = Desk::new("plugin-history");
    let answers = json!([{
        "query": { "kind": "ecs:service", "target": arn("web") },
        "reading": { "ok": service(6) },
    }]);
    desk.put("answers.json", answers.to_string().as_bytes());
    desk.put("settings.json", br#"{"minimum": 2, "maximum": 10}"#);
    let history = json!([{
        "id": "7.0", "action": "ecs:scale-service", "target": arn("web"), "at": 1_795_435_200_000_u64,
        "state": "verified", "before": { "desired": 4 }, "after": { "desired": 6 },
    }]);
    desk.put("history.json", history.to_string().as_bytes());
    let at = |time: &str| {
        let given = ["--settings", "settings.json", "--answers", "answers.json", "--history", "history.json"];
        let when = ["--trigger", "look-again", "--now", time];
        desk.says(&[&RUN[..4], &given, &when].concat()).1
    };
    let (early, late) = (at("2026-11-23T12:04:59Z"), at("2026-11-23T12:05:00Z"));
    assert!(early.contains("the next is due in 1 s"), "{early}");
    assert!(late.contains("from 6 to 8 tasks"), "{late}");
}

#[test]
fn what_a_host_would_refuse_before_it_evaluates_is_refused_here() {
    let desk = Desk::new("plugin-refuses");
    desk.put("wrong.toml", b"minimum = 5\nmaximum = 4\n");
    let (code, said) = desk.says(&[&RUN[..4], &["--settings", "wrong.toml"]].concat());
    assert_eq!(code, 1);
    assert!(said.contains("the plugin does not accept its settings: minimum 5 is above maximum 4"), "{said}");
    let (code, measured) = desk.says(&["bench", "web.wasm", "--alert", "alert.json", "--settings", "wrong.toml"]);
    assert!(code == 1 && measured.contains("the plugin does not accept its settings: minimum 5"), "{measured}");
    // Names that a policy's file has too are a plugin's own here.
    desk.put("own.toml", b"minimum = 2\nmaximum = 4\nmode = \"eager\"\n");
    let (code, said) = desk.says(&[&RUN[..4], &["--settings", "own.toml"]].concat());
    assert!(code == 1 && said.contains("the plugin does not accept its settings: ") && said.contains("mode"), "{said}");
    let two = [Alert::firing("HighCpu", "web", 1), Alert::firing("HighCpu", "api", 2)];
    desk.put("two.json", &body(&two));
    let (code, said) = desk.says(&["run", "web.wasm", "--alert", "two.json", "--settings", "web.toml"]);
    assert!(code == 1 && said.contains("two.json has 2 alerts: leave the one that is to be decided"), "{said}");
    desk.put("none.json", b"{}");
    let (code, said) = desk.says(&["run", "web.wasm", "--alert", "none.json"]);
    assert!(code == 1 && said.contains("none.json is neither a body of Grafana's webhook nor an alert"), "{said}");
}

#[test]
fn a_plugin_that_fails_is_told_with_its_kind_and_its_log() {
    let desk = Desk::new("plugin-fails");
    fs::copy(MISBEHAVE, desk.0.path().join("misbehave.wasm")).expect("the guest can be copied");
    let run = |how: &str| {
        desk.put("how.json", json!({ "how": how }).to_string().as_bytes());
        let given = ["--alert", "alert.json", "--settings", "how.json", "--target", &arn("web")];
        desk.says(&[["run", "misbehave.wasm"].as_slice(), &given].concat())
    };
    let (code, said) = run("panic");
    assert!(code == 1 && said.starts_with("failed: it trapped: ") && said.contains("as it was told to"), "{said}");
    let (code, said) = run("loop");
    assert!(code == 1 && said.starts_with("failed: it ran out of fuel"), "{said}");
    let (_, said) = run("log");
    assert!(said.contains("\nlog ") && said.contains("further lines were dropped"), "{said}");
}

#[test]
fn inspect_says_what_a_file_is_also_where_it_is_refused() {
    let desk = Desk::new("plugin-inspect");
    let (code, said) = desk.says(&["inspect", "web.wasm"]);
    assert_eq!(code, 0, "{said}");
    for line in [
        "contract  balm:policy@0.1.0",
        "actions   ecs:scale-service",
        "queries   ecs:service",
        "settings  in-pause, in-step, low-alerts, maximum (needed), minimum (needed), out-pause, out-step",
        "loads     yes, compiled and asked in ",
    ] {
        assert!(said.contains(line), "no {line:?} in {said}");
    }
    let (_, json) = desk.json(&["inspect", "web.wasm", "--json"]);
    let bytes = fs::metadata(SCALE_ECS_SERVICE).expect("it is there").len();
    assert_eq!((&json["bytes"], &json["class"], &json["loads"]), (&json!(bytes), &json!("plain"), &json!(true)));
    assert_eq!(json["settings-schema"]["properties"]["minimum"]["type"], "integer");
    let imports = json["imports"].as_array().expect("a list");
    assert!(
        imports.iter().any(|import| import.as_str().is_some_and(|import| import.starts_with("wasi:cli/"))),
        "{json}"
    );

    fs::copy(OPEN_SOCKET, desk.0.path().join("socket.wasm")).expect("the guest can be copied");
    let (code, said) = desk.says(&["inspect", "socket.wasm"]);
    assert!(
        code == 1 && said.contains("wasi:sockets/") && said.contains("loads     no: it imports wasi:sockets/"),
        "{said}"
    );
    desk.put("text.wasm", b"#!/bin/sh\n");
    let (code, json) = desk.json(&["inspect", "text.wasm", "--json"]);
    assert_eq!((code, &json["loads"], &json["contract"]), (1, &json!(false), &Value::Null));
    assert!(json["why"].as_str().is_some_and(|why| why.contains("no WebAssembly")), "{json}");
    desk.put("Wrong Name.wasm", &fs::read(SCALE_ECS_SERVICE).expect("it is there"));
    let (code, said) = desk.says(&["inspect", "Wrong Name.wasm"]);
    assert!(code == 1 && said.contains("no: its file gives the plugin's name: "), "{said}");
    let (code, said) = desk.says(&["inspect", "nowhere.wasm"]);
    assert!(code == 1 && said.contains("nowhere.wasm: it cannot be read"), "{said}");
}

#[test]
fn bench_measures_a_decision_and_says_what_is_missing_otherwise() {
    let desk = Desk::new("plugin-bench");
    let bench = [["bench"].as_slice(), &RUN[1..]].concat();
    let (code, said) = desk.says(&bench);
    assert!(code == 1 && said.contains("it needs answers, which `balm plugin run` prints"), "{said}");
    let answers =
        json!([{ "query": { "kind": "ecs:service", "target": arn("web") }, "reading": { "ok": service(4) } }]);
    desk.put("answers.json", answers.to_string().as_bytes());
    let (code, figures) = desk.json(&[bench.as_slice(), &["--answers", "answers.json", "--json"]].concat());
    assert_eq!(code, 0, "{figures}");
    let figure = |key: &str| figures[key].as_f64().expect(key);
    assert!(figure("decide-p50-us") > 0.0 && figure("decide-p50-us") <= figure("decide-p99-us"), "{figures}");
    assert!(figure("fuel") > 1000.0 && figure("load-ms") > 0.0 && figure("calls") > 0.0, "{figures}");
    let bytes = fs::metadata(Path::new(SCALE_ECS_SERVICE)).expect("it is there").len();
    assert_eq!(figures["component-bytes"], json!(bytes));
}
