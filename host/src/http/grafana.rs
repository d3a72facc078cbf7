//! Grafana's webhook: what it posts, as alerts.
//!
//! The shape is that of grafana/alerting's `receivers/webhook` and `templates/template_data.go`, from 8.x to 13.x. Unknown
//! fields are ignored, as senders add them. What an alert says about itself decides, not the envelope. It refuses to know
//! what follows from an alert, but says when it was not measured.

use std::{borrow::Cow, collections::BTreeMap};

use balm_core::{
    alert::{Alert, Held, Status},
    caps,
    name::SourceName,
    time::Timestamp,
};
use serde::Deserialize;
use serde_json::value::RawValue;

/// Bytes of an org or fingerprint. Grafana's fingerprints have 16.
const IDENTITY_BYTES: usize = 128;

/// Why a body brings no alerts. Grafana shows it as the contact point's error.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadBody {
    /// Nothing.
    #[error("the body is empty: remove the contact point's custom payload")]
    Empty,
    /// Not JSON, or not an object.
    #[error("the body is no JSON object: remove the contact point's custom payload ({0})")]
    NotAnObject(String),
    /// Grafana's legacy alerting, of version 9 and before.
    #[error("the body is one of legacy alerting: switch to Grafana Alerting")]
    Legacy,
    /// Another sender.
    #[error("the body is Alertmanager's, and this source is of kind grafana")]
    Alertmanager,
    /// An object without alerts.
    #[error("the body has no list \"alerts\": remove the contact point's custom payload")]
    NoAlerts,
    /// Too many to take at once.
    #[error("the body has {0} alerts, at most {most} are taken: set max alerts on the contact point", most = caps::ALERTS_PER_REQUEST)]
    TooMany(usize),
    /// An alert that cannot be understood.
    #[error("alert {index} of the body {problem}")]
    Alert {
        /// Its place, from 0.
        index: usize,
        /// What is wrong with it.
        problem: String,
    },
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope<'a> {
    #[serde(borrow)]
    alerts: Option<Vec<&'a RawValue>>,
    org_id: Option<i64>,
    #[serde(borrow)]
    version: Option<Cow<'a, str>>,
    rule_id: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Posted<'a> {
    #[serde(borrow)]
    status: Option<Cow<'a, str>>,
    #[serde(default)]
    labels: Option<BTreeMap<String, String>>,
    #[serde(default)]
    annotations: Option<BTreeMap<String, String>>,
    #[serde(borrow)]
    starts_at: Option<Cow<'a, str>>,
    #[serde(borrow)]
    ends_at: Option<Cow<'a, str>>,
    #[serde(rename = "generatorURL")]
    generator_url: Option<String>,
    fingerprint: Option<String>,
    #[serde(default)]
    values: Option<BTreeMap<String, Option<f64>>>,
    org_id: Option<i64>,
}

/// Read a body.
pub(crate) fn parse(source: &SourceName, body: &[u8]) -> Result<Vec<Alert>, BadBody> {
    if body.trim_ascii().is_empty() {
        return Err(BadBody::Empty);
    }
    if body.trim_ascii_start().first() != Some(&b'{') {
        return Err(BadBody::NotAnObject("it does not begin with a brace".into()));
    }
    let envelope: Envelope<'_> =
        serde_json::from_slice(body).map_err(|error| BadBody::NotAnObject(error.to_string()))?;
    let alerts = match envelope {
        Envelope { alerts: None, rule_id: Some(_), .. } => return Err(BadBody::Legacy),
        Envelope { version: Some(version), org_id: None, .. } if version == "4" => return Err(BadBody::Alertmanager),
        Envelope { alerts: None, .. } => return Err(BadBody::NoAlerts),
        Envelope { alerts: Some(alerts), .. } => alerts,
    };
    if alerts.len() > caps::ALERTS_PER_REQUEST {
        return Err(BadBody::TooMany(alerts.len()));
    }
    let one = |(index, raw): (usize, &RawValue)| {
        alert(source, envelope.org_id, raw).map_err(|problem| BadBody::Alert { index, problem })
    };
    alerts.into_iter().enumerate().map(one).collect()
}

fn alert(source: &SourceName, org: Option<i64>, raw: &RawValue) -> Result<Alert, String> {
    let posted: Posted<'_> = serde_json::from_str(raw.get()).map_err(|error| format!("cannot be read: {error}"))?;
    let status = match posted.status.as_deref() {
        Some("firing") => Status::Firing,
        Some("resolved") => Status::Resolved,
        Some(other) => return Err(format!("has the status {other:?}, neither firing nor resolved")),
        None => return Err("has no status".into()),
    };
    let fingerprint = posted.fingerprint.filter(|text| !text.is_empty()).ok_or("has no fingerprint")?;
    if fingerprint.len() > IDENTITY_BYTES {
        return Err(format!("has a fingerprint of {} bytes; at most {IDENTITY_BYTES} are allowed", fingerprint.len()));
    }
    let (labels, annotations) = (posted.labels.unwrap_or_default(), posted.annotations.unwrap_or_default());
    let values = posted.values.unwrap_or_default();
    let values: BTreeMap<String, f64> = values.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
    let held = held(status, &labels, &annotations, &values);
    let time = |text: Option<Cow<'_, str>>| text.and_then(|text| Timestamp::parse_rfc3339(&text));
    let alert = Alert {
        source: source.clone(),
        // The alert's own, as one contact point may serve several; a test carries none.
        org: posted.org_id.or(org).map_or_else(String::new, |org| org.to_string()),
        fingerprint,
        status,
        name: labels.get("alertname").cloned().unwrap_or_default(),
        starts_at: time(posted.starts_at),
        ends_at: time(posted.ends_at),
        url: posted.generator_url.unwrap_or_default(),
        held,
        labels,
        annotations,
        values,
    };
    Ok(alert.within_caps())
}

/// Why no remediation may start from it. The texts are those of grafana/grafana `pkg/services/ngalert/state`.
fn held(
    status: Status,
    labels: &BTreeMap<String, String>,
    annotations: &BTreeMap<String, String>,
    values: &BTreeMap<String, f64>,
) -> Option<Held> {
    let label = |name: &str| labels.get(name).map_or("", String::as_str);
    if label("alertname") == "TestAlert" && label("instance") == "Grafana" {
        return Some(Held::Test);
    }
    // A user's own rule may have such a name; only what Grafana makes of another rule carries these labels.
    let made_by_grafana = labels.contains_key("datasource_uid") || labels.contains_key("rulename");
    match label("alertname") {
        "DatasourceNoData" if made_by_grafana => return Some(Held::NoData),
        "DatasourceError" if made_by_grafana => return Some(Held::Error),
        _ => {}
    }
    let reason = annotations.get("grafana_state_reason").map_or("", String::as_str);
    match (reason, status) {
        ("", _) => {}
        ("NoData", Status::Firing) => return Some(Held::NoData),
        ("Error", Status::Firing) => return Some(Held::Error),
        (reason, Status::Resolved) => return Some(Held::NotWell(reason.chars().take(64).collect())),
        (_, Status::Firing) => {}
    }
    // Null after a NaN or without data, and -1 for every query after data that was lost.
    #[expect(clippy::float_cmp, reason = "the sentinel is exactly -1")]
    let lost = values.values().all(|value| *value == -1.0);
    lost.then_some(Held::NoValues)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn grafana() -> SourceName {
        "grafana".parse().unwrap()
    }

    fn body(change: impl FnOnce(&mut Value)) -> Vec<u8> {
        let mut body = json!({
            "receiver": "balm", "status": "firing", "orgId": 1, "version": "1", "groupKey": "{}:{}",
            "alerts": [{
                "status": "firing",
                "labels": {"alertname": "HighCpu", "service": "web"},
                "annotations": {"summary": "CPU is high"},
                "startsAt": "2026-09-28T16:15:35.529073954Z",
                "endsAt": "0001-01-01T00:00:00Z",
                "generatorURL": "https://grafana.example.com/alerting/grafana/x/view?orgId=1",
                "fingerprint": "c6eadffa33fcdf37",
                "values": {"B": 91.5, "C": 1},
            }],
        });
        change(&mut body);
        serde_json::to_vec(&body).unwrap()
    }

    fn one(change: impl FnOnce(&mut Value)) -> Alert {
        parse(&grafana(), &body(|body| change(&mut body["alerts"][0]))).unwrap().remove(0)
    }

    #[test]
    fn an_alert_is_read_with_everything_that_it_says() {
        let alert = one(|_| {});
        assert_eq!((alert.org.as_str(), alert.name.as_str(), alert.status), ("1", "HighCpu", Status::Firing));
        assert_eq!(alert.values, [("B".to_owned(), 91.5), ("C".to_owned(), 1.0)].into());
        assert_eq!(alert.starts_at, Some(Timestamp::from_millis(1_790_612_135_529)));
        assert_eq!((alert.ends_at, alert.held), (None, None));
    }

    #[test]
    fn the_alert_decides_and_not_the_envelope() {
        assert_eq!(one(|alert| alert["status"] = json!("resolved")).status, Status::Resolved);
        assert_eq!(one(|alert| alert["orgId"] = json!(7)).org, "7");
    }

    #[test]
    fn what_was_not_measured_is_held_back() {
        let cases: [(&str, Value, Option<Held>); 13] = [
            ("values", Value::Null, Some(Held::NoValues)),
            ("values", json!({}), Some(Held::NoValues)),
            ("values", json!({"A": null}), Some(Held::NoValues)),
            ("values", json!({"A": -1, "B": -1.0}), Some(Held::NoValues)),
            ("values", json!({"A": -1, "B": 5}), None),
            ("labels", json!({"alertname": "TestAlert", "instance": "Grafana", "team": "a"}), Some(Held::Test)),
            ("labels", json!({"alertname": "TestAlert", "instance": "db-1"}), None),
            ("labels", json!({"alertname": "DatasourceNoData", "datasource_uid": "x"}), Some(Held::NoData)),
            ("labels", json!({"alertname": "DatasourceError", "rulename": "x"}), Some(Held::Error)),
            ("labels", json!({"alertname": "DatasourceError", "service": "db"}), None),
            ("annotations", json!({"grafana_state_reason": "NoData"}), Some(Held::NoData)),
            ("annotations", json!({"grafana_state_reason": "Error"}), Some(Held::Error)),
            ("annotations", json!({"grafana_state_reason": ""}), None),
        ];
        for (field, value, held) in cases {
            assert_eq!(one(|alert| alert[field] = value.clone()).held, held, "{field} {value}");
        }
        let without_values = one(|alert| drop(alert.as_object_mut().unwrap().remove("values")));
        assert_eq!(without_values.held, Some(Held::NoValues));
        let paused = one(|alert| {
            alert["status"] = json!("resolved");
            alert["annotations"] = json!({"grafana_state_reason": "Paused"});
        });
        assert_eq!(paused.held, Some(Held::NotWell("Paused".into())));
    }

    #[test]
    fn bodies_that_bring_no_alerts_are_refused_with_what_to_do() {
        let parse = |body: &[u8]| parse(&grafana(), body);
        assert_eq!(parse(b""), Err(BadBody::Empty));
        assert_eq!(parse(b" \n"), Err(BadBody::Empty));
        for foreign in [&b"[]"[..], b"hello", b"\"x\"", b"{", b"{\"alerts\":", b"\xff\xfe"] {
            assert!(matches!(parse(foreign), Err(BadBody::NotAnObject(_))), "{foreign:?}");
        }
        assert_eq!(parse(b"{\"data\":{}}"), Err(BadBody::NoAlerts));
        assert_eq!(parse(b"{\"ruleId\":0,\"state\":\"paused\"}"), Err(BadBody::Legacy));
        assert_eq!(parse(b"{\"version\":\"4\",\"alerts\":[]}"), Err(BadBody::Alertmanager));
        assert_eq!(parse(b"{\"alerts\":[]}"), Ok(vec![]));
    }

    #[test]
    fn an_alert_that_cannot_be_understood_is_named_by_its_place() {
        type Change<'a> = &'a dyn Fn(&mut Value);
        let bad = |change: Change<'_>| {
            let body = body(|body| {
                let mut second = body["alerts"][0].clone();
                change(&mut second);
                body["alerts"].as_array_mut().unwrap().push(second);
            });
            parse(&grafana(), &body).unwrap_err().to_string()
        };
        let cases: [(Change<'_>, &str); 5] = [
            (&|a| drop(a.as_object_mut().unwrap().remove("fingerprint")), "alert 1 of the body has no fingerprint"),
            (&|a| a["fingerprint"] = json!("x".repeat(129)), "alert 1 of the body has a fingerprint of 129 bytes"),
            (&|a| a["status"] = json!("pending"), "alert 1 of the body has the status \"pending\""),
            (&|a| a["labels"] = json!({"a": 1}), "alert 1 of the body cannot be read: invalid type: integer `1`"),
            (&|a| *a = json!("x"), "alert 1 of the body cannot be read"),
        ];
        for (change, wanted) in cases {
            let told = bad(change);
            assert!(told.starts_with(wanted), "{told}");
        }
    }

    #[test]
    fn times_that_are_none_are_absent() {
        for text in ["0001-01-01T00:00:00Z", "", "yesterday"] {
            assert_eq!(one(|alert| alert["startsAt"] = json!(text)).starts_at, None, "{text}");
        }
    }
}
