//! Everything that Grafana posts, as it posts it: what is answered, what is recorded, and whether a plugin runs.
//!
//! The fixtures are written here, from the field list of grafana/alerting and what its versions do differently. Beside
//! the repository there may be a folder with payloads of the field; then they are posted as well, every one.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use balm_core::{
    alert::Status,
    name::Seq,
    record::{Fact, Reception, Record},
    time::Timestamp,
};
use balm_tests::harness::{
    Dir,
    cloud::{Cloud, arn},
    grafana::{Alert, NO_TIME, body},
    host::{Files, TOKEN},
    http::{Answer, Connection},
};
use serde_json::{Value, json};

use crate::stage::{self, Reported, Shared, Stage};

static STAGE: Shared = Shared::new();

/// A host with one policy that watches everything and proposes nothing, and a source for each payload of the field.
pub(crate) fn posted_to() -> Arc<Stage> {
    STAGE.get("payloads", |name| {
        let cloud = Cloud::start(41, stage::quick(), None);
        cloud.create_service("web", 4);
        let files = Files::new(Dir::new(name), &cloud.endpoint());
        stage::add_guest(&files);
        stage::without_bundled(&files);
        let source = |source: &String| format!("\n[source.{source}]\nkind = \"grafana\"\ntoken-file = \"token\"\n");
        let mut names: Vec<String> = field().into_keys().collect();
        let sources: String = names.iter().map(source).collect::<String>() + &source(&"storm".into());
        names.push("grafana".into());
        let watch = stage::proposing("watch", "enforce", &arn("web"), "");
        let watch = watch.replace("labels = { alertname = \"watch\" }", &format!("source = {names:?}"));
        // Only one policy is evaluated for an alert of any name.
        files.edit("balm.toml", |text| text.replace("\"HighCpu\"", "\"of nobody's\"") + &sources + &watch);
        Stage { host: files.start(), files, cloud }
    })
}

/// A file of the folder with payloads of the field, if that folder is there.
pub(crate) fn shared(name: &str) -> Option<Vec<u8>> {
    let path = folder().join(name);
    let read = std::fs::read(&path).ok();
    if read.is_none() {
        println!("skipped: there is no {}", path.display());
    }
    read
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/payloads")
}

/// The payloads of the field, by a name that a source can have.
fn field() -> BTreeMap<String, Vec<u8>> {
    let Ok(entries) = std::fs::read_dir(folder().join("grafana")) else { return BTreeMap::new() };
    let paths = entries.flatten().map(|entry| entry.path());
    let paths = paths.filter(|path| path.extension().is_some_and(|extension| extension == "json"));
    let named = |path: PathBuf| {
        let name = path.file_stem()?.to_str()?.replace('.', "-").to_lowercase();
        Some((name, std::fs::read(&path).ok()?))
    };
    paths.filter_map(named).collect()
}

/// Post a body to a source in some way.
pub(crate) fn send(stage: &Stage, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    let token = format!("Bearer {TOKEN}");
    let headers = [&[("authorization", token.as_str())], headers].concat();
    let mut connection = Connection::open(&stage.host.alerts).expect("the host listens");
    connection.send(method, path, &headers, body).expect("an answer")
}

pub(crate) fn post(stage: &Stage, body: &[u8]) -> Answer {
    send(stage, "POST", "/v1/alerts/grafana", &[("content-type", "application/json")], body)
}

/// A body with one alert of its own, changed by `change`; and the alert's fingerprint.
pub(crate) fn changed(change: impl FnOnce(&mut Value)) -> (Value, String) {
    let alert = Alert::firing("HighCpu", "web", stage::fingerprint());
    let fingerprint = alert.fingerprint.clone();
    let mut body = serde_json::from_slice(&body(&[alert])).expect("JSON");
    change(&mut body);
    (body, fingerprint)
}

pub(crate) fn first(body: &mut Value) -> &mut serde_json::Map<String, Value> {
    body["alerts"][0].as_object_mut().expect("an alert is an object")
}

/// Post a body that is accepted, and wait for what is recorded of the alert with that fingerprint.
#[track_caller]
pub(crate) fn accepted(stage: &Stage, body: &[u8], fingerprint: &str) -> Reported {
    let answer = post(stage, body);
    assert_eq!(answer.status, 200, "{}", answer.body);
    let seq = serde_json::from_str::<Value>(&answer.body).expect("JSON")["seq"].as_u64().expect("a number");
    stage.until("the alert's record", |records| {
        records.last().filter(|last| last.seq.0 >= seq)?;
        let reports = stage::reports(records, fingerprint).into_iter().filter(|report| report.seq.0 <= seq);
        Some(reports.last().expect("what is acknowledged is recorded"))
    })
}

/// The records with the alerts that were evaluated, once the last one's evaluation is recorded.
#[track_caller]
pub(crate) fn evaluated(stage: &Stage, last: &Reported) -> Vec<Seq> {
    stage.until("the last evaluation", |records| {
        let evaluated = |record: &Record| match &record.fact {
            Fact::Evaluated(capsule) => Some(capsule.alert),
            _ => None,
        };
        let evaluated: Vec<Seq> = records.iter().filter_map(evaluated).collect();
        evaluated.contains(&last.seq).then_some(evaluated)
    })
}

/// An ordinary alert: once it is evaluated, everything before it is that will be.
#[track_caller]
pub(crate) fn ordinary(stage: &Stage) -> Reported {
    let (body, fingerprint) = changed(|_| ());
    accepted(stage, body.to_string().as_bytes(), &fingerprint)
}

type Change = fn(&mut Value);

/// Shapes of alerts that were measured, from 9.x to 13.x, and what templates of users make of them.
const MEASURED: &[(&str, Change)] = &[
    ("as it is", |_| ()),
    ("without what only newer versions send", |body| {
        for key in ["appVersion", "groupKey", "truncatedAlerts"] {
            drop(body.as_object_mut().expect("a body is an object").remove(key));
        }
        for key in ["ruleUID", "orgId", "valueString", "dashboardURL", "panelURL", "silenceURL"] {
            drop(first(body).remove(key));
        }
    }),
    ("with what newer versions will send", |body| {
        body["notification"] = json!({"reason": ["first", 1]});
        body["alerts"][0]["enrichments"] = json!({"items": [{"type": "assistant", "data": null}]});
        body["alerts"][0]["imageURL"] = json!("https://grafana.example.com/render/1.png?expires=1");
        body["alerts"][0]["embeddedImage"] = json!("data:image/png;base64,AAAA");
    }),
    ("a receiver's name escaped for a regular expression", |body| body["receiver"] = json!("balm \\+ mail \\[1\\]")),
    ("truncated to the first alerts", |body| body["truncatedAlerts"] = json!(4_998)),
    ("an envelope that says resolved", |body| body["status"] = json!("resolved")),
    ("a rule of named expressions, one without a value", |body| {
        body["alerts"][0]["values"] = json!({"A": 2_473_545_728_u64, "minute": 9, "B0": null, "C": -1});
    }),
    ("no alertname", |body| body["alerts"][0]["labels"] = json!({"service": "web"})),
    ("null labels and annotations", |body| {
        (body["alerts"][0]["labels"], body["alerts"][0]["annotations"]) = (Value::Null, Value::Null);
    }),
    ("a user's own rule of the name of Grafana's", |body| {
        body["alerts"][0]["labels"]["alertname"] = json!("DatasourceError");
    }),
    ("no times", |body| {
        (body["alerts"][0]["startsAt"], body["alerts"][0]["endsAt"]) = (json!(NO_TIME), json!(NO_TIME));
    }),
    ("a state reason that does not matter", |body| {
        body["alerts"][0]["annotations"]["grafana_state_reason"] = json!("Updated");
    }),
];

#[test]
fn every_shape_of_a_measured_alert_is_recorded_and_evaluated() {
    let stage = posted_to();
    for (shape, change) in MEASURED {
        let (body, fingerprint) = changed(change);
        let opened = accepted(&stage, backwards(&body).as_bytes(), &fingerprint);
        let is_new = matches!(&opened.reception, Reception::Opened { concerned, .. } if concerned.len() == 1);
        assert!(is_new, "{shape}: {opened:?}");
        evaluated(&stage, &opened);
        // The same in another order and printed by a template.
        let again = accepted(&stage, format!("{body:#}").as_bytes(), &fingerprint);
        assert!(matches!(again.reception, Reception::Repeated { .. }), "{shape}: {again:?}");
        assert_eq!(again.alert, opened.alert, "{shape}");
    }
}

/// A JSON text with the keys of every object in the reverse order.
fn backwards(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let pairs = map.iter().rev().map(|(key, value)| format!("{}:{}", json!(key), backwards(value)));
            format!("{{{}}}", pairs.collect::<Vec<_>>().join(","))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(backwards).collect::<Vec<_>>().join(",")),
        other => other.to_string(),
    }
}

/// What is kept of an alert is what was said.
#[test]
fn names_times_and_values_are_kept_as_they_were_sent() {
    let stage = posted_to();
    let (body, fingerprint) = changed(|body| {
        body["alerts"][0]["labels"] = json!({
            "alertname": "Offset above 50us ", "host.name": "host-4", "clock.source.id": "a & <b> \u{fc}\u{1f525}",
        });
        body["alerts"][0]["annotations"] = json!({"description": "first;\nsecond"});
        body["alerts"][0]["startsAt"] = json!("2022-04-09T11:57:56.136489624+02:00");
        body["alerts"][0]["values"] = json!({"A": 44.239_437_375_419_08, "minute": 9, "gone": null});
    });
    // As Go's encoder writes it.
    let body = body.to_string().replace('&', "\\u0026").replace('<', "\\u003c").replace('>', "\\u003e");
    let alert = accepted(&stage, body.as_bytes(), &fingerprint).alert;
    assert_eq!(alert.name, "Offset above 50us ");
    assert_eq!(alert.labels["clock.source.id"], "a & <b> \u{fc}\u{1f525}");
    assert_eq!(alert.labels["host.name"], "host-4");
    assert_eq!(alert.annotations["description"], "first;\nsecond");
    assert_eq!(alert.starts_at.map(Timestamp::as_millis), Some(1_649_498_276_136));
    assert_eq!(alert.ends_at, None);
    assert_eq!(alert.values, [("A".into(), 44.239_437_375_419_08), ("minute".into(), 9.0)].into());
    assert_eq!((alert.org.as_str(), alert.status), ("1", Status::Firing));
}

/// Alerts that fire and measured nothing, and the words with which they are set aside.
const UNMEASURED: &[(&str, Change)] = &[
    ("a test of the contact point", |body| {
        body["alerts"][0]["labels"] = json!({"alertname": "TestAlert", "instance": "Grafana"});
        body["alerts"][0]["values"] = Value::Null;
        body["groupKey"] = json!("test-57c6d9296de2ad39-1758042679");
        drop(first(body).remove("orgId"));
    }),
    ("a test of the contact point", |body| {
        let labels = json!({"alertname": "TestAlert", "instance": "Grafana", "team": "of the user", "service": "web"});
        body["alerts"][0]["labels"] = labels;
    }),
    ("the alert rule has no data", |body| {
        body["alerts"][0]["labels"]["alertname"] = json!("DatasourceNoData");
        body["alerts"][0]["labels"]["rulename"] = json!("HighCpu");
        body["alerts"][0]["labels"]["datasource_uid"] = json!("prometheus");
    }),
    ("the alert rule could not be evaluated", |body| {
        body["alerts"][0]["labels"]["alertname"] = json!("DatasourceError");
        body["alerts"][0]["labels"]["datasource_uid"] = json!("prometheus");
        body["alerts"][0]["annotations"]["Error"] = json!("dial tcp 192.0.2.7:9090: connect: connection refused");
        body["alerts"][0]["values"] = Value::Null;
    }),
    ("the alert rule has no data", |body| {
        body["alerts"][0]["annotations"]["grafana_state_reason"] = json!("NoData");
    }),
    ("the alert rule could not be evaluated", |body| {
        body["alerts"][0]["annotations"]["grafana_state_reason"] = json!("Error");
    }),
    ("the alert carries no measured values", |body| body["alerts"][0]["values"] = Value::Null),
    ("the alert carries no measured values", |body| body["alerts"][0]["values"] = json!({})),
    ("the alert carries no measured values", |body| body["alerts"][0]["values"] = json!({"A": null, "B": null})),
    ("the alert carries no measured values", |body| body["alerts"][0]["values"] = json!({"A": -1, "B": -1, "C": -1})),
    ("the alert carries no measured values", |body| {
        // 8.x has no values at all.
        drop(first(body).remove("values"));
        body["alerts"][0]["generatorURL"] = json!("https://grafana.example.com/alerting/6-WtnS8nk/edit");
    }),
];

#[test]
fn no_plugin_runs_for_an_alert_that_measured_nothing_and_the_record_says_why() {
    let stage = posted_to();
    let mut reports = Vec::new();
    for (why, change) in UNMEASURED {
        let (body, fingerprint) = changed(change);
        let report = accepted(&stage, body.to_string().as_bytes(), &fingerprint);
        let wanted = Reception::Ignored { episode: None, why: format!("no policy runs: {why}") };
        assert_eq!(report.reception, wanted, "{body}");
        let text = stage.files.balm_says(&["audit", "show", &report.seq.to_string()]);
        assert!(text.contains(&format!("is ignored: no policy runs: {why}")), "{text}");
        reports.push(report.seq);
    }
    let evaluated = evaluated(&stage, &ordinary(&stage));
    assert!(reports.iter().all(|seq| !evaluated.contains(seq)));
}

/// The data source fails while an alert fires: Grafana then says nothing of the alert that could be acted on.
#[test]
fn what_measured_nothing_neither_repeats_nor_ends_the_episode_of_what_did() {
    let stage = posted_to();
    let alert = Alert::firing("HighCpu", "web", stage::fingerprint());
    let opened = accepted(&stage, &body(std::slice::from_ref(&alert)), &alert.fingerprint);
    let episode = opened.episode().expect("it opens one");
    evaluated(&stage, &opened);
    let lost = accepted(&stage, &body(&[Alert { values: json!({"A": -1}), ..alert.clone() }]), &alert.fingerprint);
    assert!(matches!(lost.reception, Reception::Ignored { episode: Some(of), .. } if of == episode), "{lost:?}");
    let evaluated = evaluated(&stage, &ordinary(&stage));
    assert!(!evaluated.contains(&lost.seq));
    assert_eq!(stage::evaluations(&stage.records(), episode), 1);
}

#[test]
fn an_alert_that_is_over_for_another_reason_than_being_well_ends_its_episode_and_runs_no_plugin() {
    let stage = posted_to();
    for reason in ["MissingSeries", "Paused", "RuleDeleted", "NoData"] {
        let (mut body, fingerprint) = changed(|_| ());
        let opened = accepted(&stage, body.to_string().as_bytes(), &fingerprint);
        let episode = opened.episode().expect("it opens one");
        // Once the beginning is evaluated, an evaluation of the end would be the next.
        evaluated(&stage, &opened);
        body["alerts"][0]["status"] = json!("resolved");
        body["alerts"][0]["endsAt"] = json!("2026-11-01T10:00:00Z");
        body["alerts"][0]["annotations"]["grafana_state_reason"] = json!(reason);
        let resolved = accepted(&stage, body.to_string().as_bytes(), &fingerprint);
        assert_eq!(resolved.reception, Reception::Resolved { episode, held: true }, "{reason}");
        stage.until("the end of the episode", |records| stage::episode_end(records, episode));
        let evaluated = evaluated(&stage, &ordinary(&stage));
        assert!(!evaluated.contains(&resolved.seq), "{reason}");
    }
}

#[test]
fn a_body_without_alerts_is_answered_with_what_to_do_and_leaves_no_record() {
    let stage = posted_to();
    let before = ordinary(&stage).seq;
    let cases: &[(&str, &str)] = &[
        ("", "the body is empty: remove the contact point's custom payload"),
        (" \r\n", "the body is empty"),
        ("CPU of web is high", "the body is no JSON object: remove the contact point's custom payload"),
        (r#"[{"status":"firing"}]"#, "the body is no JSON object"),
        (r#""firing""#, "the body is no JSON object"),
        (r#"{"status":"firing","alerts":["#, "the body is no JSON object"),
        (r#"{"data":{"alert_state":"firing"},"type":"JSON"}"#, "the body has no list \"alerts\""),
        (r#"{"version":"1","orgId":1,"alerts":null}"#, "the body has no list \"alerts\""),
        (r#"{"ruleId":1,"ruleName":"CPU","state":"alerting","evalMatches":[],"orgId":0}"#, "legacy alerting"),
        (r#"{"version":"4","receiver":"balm","status":"firing","alerts":[]}"#, "the body is Alertmanager's"),
        (r#"{"version":"1","alerts":[{"status":"firing"}]}"#, "alert 0 of the body has no fingerprint"),
        (r#"{"version":"1","alerts":[{"fingerprint":"ab","status":"pending"}]}"#, "alert 0 of the body has the status"),
        (r#"{"version":"1","alerts":[{"fingerprint":"ab"}]}"#, "alert 0 of the body has no status"),
        (r#"{"version":"1","alerts":[7]}"#, "alert 0 of the body cannot be read"),
    ];
    for (body, wanted) in cases {
        let answer = post(&stage, body.as_bytes());
        assert_eq!(answer.status, 400, "{body}");
        assert!(answer.body.contains(wanted), "{body}: {}", answer.body);
        // Grafana shows the first 1,024 bytes as the contact point's error.
        assert!(answer.body.len() < 1_024, "{}", answer.body);
    }
    // One bad alert takes the good one before it along: a body is accepted whole or not at all.
    let (mut body, fingerprint) = changed(|_| ());
    body["alerts"].as_array_mut().unwrap().push(json!({"status": "firing"}));
    assert!(post(&stage, body.to_string().as_bytes()).body.starts_with("alert 1 of the body has no fingerprint"));
    let after = ordinary(&stage).seq;
    let strange = |record: &Record| match &record.fact {
        Fact::AlertReceived(received) => ["ab", "", &fingerprint].contains(&received.alert.fingerprint.as_str()),
        _ => false,
    };
    let records = stage.records();
    assert!(!records.iter().any(|record| before < record.seq && record.seq < after && strange(record)));
}

#[test]
fn a_body_without_any_alert_in_its_list_is_accepted_and_records_nothing() {
    let stage = posted_to();
    let answer = post(&stage, br#"{"receiver":"test","status":"firing","version":"1","orgId":1,"alerts":[]}"#);
    let answered: Value = serde_json::from_str(&answer.body).expect("JSON");
    assert_eq!((answer.status, &answered["alerts"]), (200, &0.into()));
}

#[test]
fn put_and_a_slash_at_the_end_are_served_and_nothing_is_redirected() {
    let stage = posted_to();
    let ways = [
        ("POST", "/v1/alerts/grafana", "application/json"),
        ("POST", "/v1/alerts/grafana/", "application/json"),
        ("PUT", "/v1/alerts/grafana", "application/json"),
        ("PUT", "/v1/alerts/grafana/", "text/plain; charset=utf-8"),
        ("POST", "/v1/alerts/grafana?numAlerts=1", "application/x-www-form-urlencoded"),
    ];
    for (method, path, kind) in ways {
        let (body, fingerprint) = changed(|_| ());
        let headers = [("content-type", kind), ("user-agent", "Grafana")];
        let answer = send(&stage, method, path, &headers, body.to_string().as_bytes());
        assert_eq!(answer.status, 200, "{method} {path}: {}", answer.body);
        stage.until("its record", |records| stage::reports(records, &fingerprint).pop());
    }
    let refused =
        [("GET", "/v1/alerts/grafana", 405), ("POST", "/v1/alerts/", 404), ("POST", "/v1/alert/grafana", 404)];
    for (method, path, status) in refused {
        assert_eq!(send(&stage, method, path, &[], b"{}").status, status, "{method} {path}");
    }
}

/// The payloads of the field: what is a list of alerts is accepted and recorded, alert by alert, and runs the policy if
/// it was measured; everything else is refused.
#[test]
fn payloads_of_the_field_are_answered_recorded_and_evaluated_as_they_should_be() {
    let field = field();
    if field.is_empty() {
        println!("skipped: there are no payloads in {}", folder().join("grafana").display());
        return;
    }
    let stage = posted_to();
    for (name, body) in &field {
        let answer = send(&stage, "POST", &format!("/v1/alerts/{name}"), &[], body);
        let parsed: Value = serde_json::from_slice(body).expect("the payloads are JSON");
        let Some(alerts) = parsed["alerts"].as_array() else {
            assert_eq!(answer.status, 400, "{name}: {}", answer.body);
            assert!(of_source(&stage.records(), name).is_empty(), "{name} is recorded");
            continue;
        };
        assert_eq!(answer.status, 200, "{name}: {}", answer.body);
        let answered: Value = serde_json::from_str(&answer.body).expect("JSON");
        assert_eq!(answered["alerts"], alerts.len(), "{name}");
        let reports = stage.until("all alerts of a payload", |records| {
            let reports = of_source(records, name);
            (reports.len() == alerts.len()).then_some(reports)
        });
        for (alert, report) in alerts.iter().zip(&reports) {
            assert_eq!(alert["fingerprint"], report.alert.fingerprint, "{name}");
            let opened = matches!(&report.reception, Reception::Opened { concerned, .. } if concerned.len() == 1);
            assert_eq!(opened, fires_and_was_measured(alert), "{name}: {report:?}");
            if opened {
                evaluated(&stage, report);
            }
        }
    }
    println!("{} payloads", field.len());
}

pub(crate) fn of_source(records: &[Record], source: &str) -> Vec<Reported> {
    let report = |record: &Record| match &record.fact {
        Fact::AlertReceived(received) if received.alert.source.as_str() == source => {
            Some(Reported { seq: record.seq, reception: received.reception.clone(), alert: received.alert.clone() })
        }
        _ => None,
    };
    records.iter().filter_map(report).collect()
}

/// By the payload itself: it fires, it is no test and none of Grafana's own, and some value is one.
fn fires_and_was_measured(alert: &Value) -> bool {
    let labels = &alert["labels"];
    let own = ["TestAlert", "DatasourceNoData", "DatasourceError"].iter().any(|name| labels["alertname"] == *name);
    let values = alert["values"].as_object();
    let measured = values.is_some_and(|values| values.values().any(|value| value.as_f64().is_some_and(|v| v >= 0.0)));
    alert["status"] == "firing" && !own && measured
}
