//! What is deployed is linted as far as a machine without Grafana, Docker and AWS can: form, references between files, and
//! that every metric that is spoken of exists.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use balm_tests::harness::{Dir, host::Files, programs};
use serde_json::Value;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(name: &str) -> String {
    let path = root().join("deploy").join(name);
    let text = fs::read_to_string(&path);
    assert!(text.is_ok(), "{}: {text:?}", path.display());
    text.unwrap_or_default()
}

fn yaml(name: &str) -> Value {
    let parsed = serde_saphyr::from_str(&read(name));
    assert!(parsed.is_ok(), "{name}: {parsed:?}");
    parsed.unwrap_or_default()
}

/// A program that may not be installed.
fn run(program: &str, arguments: &[&str]) -> Option<Output> {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output();
    if output.is_err() {
        println!("skipped: {program} is not installed");
    }
    output.ok()
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn grafana_sends_what_it_provisions_to_the_hosts_door_and_says_when_it_is_over() {
    let provisioned = yaml("grafana/provisioning/alerting/balm.yaml");
    assert_eq!(provisioned["apiVersion"], 1);
    let point = &provisioned["contactPoints"][0];
    let receiver = &point["receivers"][0];
    assert_eq!((&receiver["type"], &receiver["disableResolveMessage"]), (&"webhook".into(), &false.into()));
    let settings = &receiver["settings"];
    assert!(settings["url"].as_str().is_some_and(|url| url.ends_with("/v1/alerts/grafana")), "{settings}");
    assert_eq!((&settings["httpMethod"], &settings["authorization_scheme"]), (&"POST".into(), &"Bearer".into()));
    assert_eq!(settings["authorization_credentials"], "$BALM_TOKEN", "no secret is in the file");

    let route = &provisioned["policies"][0]["routes"][0];
    assert_eq!(route["receiver"], point["name"]);
    assert_eq!(route["continue"], true, "people are told as before");
    let matcher = &route["object_matchers"][0];
    let rule = &provisioned["groups"][0]["rules"][0];
    let label = matcher[0].as_str().expect("a label");
    assert_eq!(
        (&matcher[1], &rule["labels"][label]),
        (&"=".into(), &matcher[2]),
        "the example's alert takes the route"
    );

    let queries = rule["data"].as_array().expect("queries");
    let refs: BTreeSet<&str> = queries.iter().filter_map(|query| query["refId"].as_str()).collect();
    assert!(refs.contains(rule["condition"].as_str().expect("a condition")), "{refs:?}");
    for query in queries {
        assert_eq!(query["refId"], query["model"]["refId"]);
        if let Some(expression) = query["model"]["expression"].as_str() {
            assert!(refs.contains(expression), "{expression} is computed from nothing");
        }
    }
    for key in ["uid", "title", "for", "noDataState", "execErrState"] {
        assert!(rule[key].is_string(), "{key}");
    }
}

/// Every metric that the code has, by its literals.
fn metrics_of_the_code() -> BTreeSet<String> {
    let mut metrics = BTreeSet::new();
    let mut dirs = vec![root().join("host/src")];
    while let Some(dir) = dirs.pop() {
        for path in fs::read_dir(dir).expect("a directory").flatten().map(|entry| entry.path()) {
            if path.is_dir() {
                dirs.push(path);
            } else if let Ok(text) = fs::read_to_string(&path) {
                metrics.extend(text.split('"').filter(|word| is_metric(word)).map(str::to_owned));
            }
        }
    }
    metrics
}

fn is_metric(word: &str) -> bool {
    word.len() > 5 && word.starts_with("balm_") && word.bytes().all(|c| c.is_ascii_lowercase() || c == b'_')
}

/// The metrics that an expression speaks of, without the endings of a histogram's series.
fn metrics_of(expression: &str) -> Vec<String> {
    let words = expression.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').filter(|word| is_metric(word));
    let base =
        |word: &str| ["_bucket", "_sum", "_count"].iter().find_map(|end| word.strip_suffix(end)).map(str::to_owned);
    words.map(|word| base(word).unwrap_or_else(|| word.to_owned())).collect()
}

fn assert_exist(metrics: impl IntoIterator<Item = String>) {
    let known = metrics_of_the_code();
    if known.is_empty() {
        println!("skipped: this host has no metrics");
        return;
    }
    for metric in metrics {
        assert!(known.contains(&metric), "{metric} is no metric of the host; there are {known:?}");
    }
}

#[test]
fn the_dashboard_shows_only_metrics_that_the_host_has_and_no_panel_covers_another() {
    let dashboard: Value = serde_json::from_str(&read("grafana/dashboards/balm.json")).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels");
    let (mut ids, mut cells, mut metrics) = (BTreeSet::new(), BTreeSet::new(), Vec::new());
    for panel in panels {
        assert!(ids.insert(panel["id"].as_u64()), "two panels have the id {}", panel["id"]);
        let place = |key: &str| panel["gridPos"][key].as_u64().expect("a place");
        assert!(place("x") + place("w") <= 24, "{} is off the page", panel["title"]);
        for (x, y) in (0..place("w")).flat_map(|dx| (0..place("h")).map(move |dy| (dx, dy))) {
            assert!(cells.insert((place("x") + x, place("y") + y)), "{} covers another", panel["title"]);
        }
        let targets = panel["targets"].as_array().expect("targets");
        let expressions = targets.iter().map(|target| target["expr"].as_str().expect("an expression"));
        let spoken: Vec<String> = expressions.flat_map(metrics_of).collect();
        assert!(!spoken.is_empty(), "{} shows nothing", panel["title"]);
        metrics.extend(spoken);
    }
    assert_exist(metrics);
}

#[test]
fn the_rules_that_watch_the_watcher_say_what_to_do_and_name_metrics_that_the_host_has() {
    let rules = yaml("prometheus/balm.rules.yaml");
    let rules = rules["groups"][0]["rules"].as_array().expect("rules").clone();
    let mut metrics = Vec::new();
    for rule in &rules {
        let text = |value: &Value| value.as_str().is_some_and(|text| !text.is_empty());
        for value in [&rule["alert"], &rule["expr"], &rule["annotations"]["summary"], &rule["annotations"]["todo"]] {
            assert!(text(value), "{rule}");
        }
        assert!(["critical", "warning"].contains(&rule["labels"]["severity"].as_str().unwrap_or_default()), "{rule}");
        metrics.extend(metrics_of(rule["expr"].as_str().unwrap_or_default()));
    }
    assert!(metrics.len() >= 10, "{metrics:?}");
    assert_exist(metrics);
    assert!(yaml("prometheus/scrape.yaml")[0]["authorization"]["credentials_file"].is_string());
}

#[test]
fn the_systemd_unit_is_understood_and_hardened() {
    let dir = Dir::new("systemd");
    let unit = dir.path().join("balm.service");
    let text = read("balm.service");
    fs::write(&unit, text.replace("/usr/local/bin/balm", &programs::balm().display().to_string())).expect("a unit");
    let unit = unit.display().to_string();
    if let Some(verified) = run("systemd-analyze", &["verify", &unit]) {
        assert!(verified.status.success() && said(&verified).is_empty(), "{}", said(&verified));
    }
    // 0 is closed, 10 is open; above 2 something that Balm does not need has crept in.
    if let Some(rated) = run("systemd-analyze", &["security", "--offline=yes", "--threshold=20", &unit]) {
        assert!(rated.status.success(), "{}", said(&rated));
    }
    for (key, value) in [("KillSignal", "SIGKILL"), ("MemoryDenyWriteExecute", "yes"), ("User", "root")] {
        assert!(!text.lines().any(|line| line == format!("{key}={value}")), "{key}={value}");
    }
}

#[test]
fn the_image_is_of_stages_its_last_is_nobodys_and_has_no_shell_to_need() {
    let text = read("Dockerfile").replace("\\\n", " ");
    let steps: Vec<(&str, &str)> =
        text.lines().filter(|line| !line.trim().starts_with('#')).filter_map(|line| line.split_once(' ')).collect();
    let last = steps.iter().rposition(|(step, _)| *step == "FROM").expect("a stage");
    assert!(last > 0, "the compiler stays behind");
    let of_last =
        |name: &str| steps[last..].iter().rev().find(|(step, _)| *step == name).map(|(_, value)| value.trim());
    let user = of_last("USER").and_then(|user| user.split(':').next()?.parse::<u32>().ok());
    assert!(user.is_some_and(|user| user > 0), "a number, since Kubernetes cannot see that a name is not root");
    assert!(of_last("RUN").is_none(), "the last stage has no shell");
    for step in ["ENTRYPOINT", "CMD"] {
        let value: Value = serde_json::from_str(of_last(step).expect("it is there")).expect("the form without a shell");
        assert!(value.is_array(), "{step}");
    }
    let arguments: Vec<String> = serde_json::from_str(of_last("CMD").expect("it is there")).expect("a list");
    let help = Command::new(programs::balm()).args(&arguments).arg("--help").output().expect("it runs");
    assert!(help.status.success(), "balm {arguments:?}: {}", said(&help));
}

#[test]
fn terraform_reads_the_example_and_what_iam_prints() {
    let dir = root().join("deploy/terraform");
    let mut names = BTreeSet::new();
    for path in fs::read_dir(&dir).expect("a directory").flatten().map(|entry| entry.path()) {
        let text = fs::read_to_string(&path).expect("a text");
        let body = hcl::parse(&text);
        assert!(body.is_ok(), "{}: {body:?}", path.display());
        let blocks = body.expect("it is parsed").into_blocks();
        names.extend(blocks.map(|block| {
            let labels: Vec<&str> = block.labels().iter().map(hcl::BlockLabel::as_str).collect();
            format!("{}.{}", block.identifier(), labels.join("."))
        }));
    }
    for name in ["resource.aws_ecs_service.host", "resource.aws_efs_access_point.data", "variable.image"] {
        assert!(names.contains(name), "{name} in {names:?}");
    }
    let main = fs::read_to_string(dir.join("main.tf")).expect("a text");
    for fact in [
        "readonlyRootFilesystem = true",
        "desired_count                      = 1",
        "deployment_maximum_percent         = 100",
    ] {
        assert!(main.contains(fact), "{fact}");
    }
    let files = Files::new(Dir::new("terraform"), "http://127.0.0.1:9");
    let printed = files.balm_says(&["iam", "--format", "terraform"]);
    assert!(hcl::parse(&printed).is_ok(), "{printed}");
    let own = fs::read_to_string(dir.join("permissions.tf")).expect("a text");
    assert!(own.ends_with(&printed), "permissions.tf is no longer what `balm iam` prints:\n{printed}");
    if let Some(formatted) = run("terraform", &["fmt", "-check", "-diff", &dir.display().to_string()]) {
        assert!(formatted.status.success(), "{}", said(&formatted));
    }
}
