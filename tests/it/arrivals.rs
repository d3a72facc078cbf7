//! What an alert means depends on what is known of it: repetitions, late deliveries, groups, tenants and storms, as
//! Grafana sends them to the host of the tests of payloads.

use balm_core::record::{EpisodeEnd, Reception};
use balm_tests::harness::grafana::{Alert, NO_TIME, body};
use serde_json::{Value, json};

use crate::{
    payloads::{accepted, changed, evaluated, first, of_source, ordinary, post, posted_to, send},
    stage,
};

#[test]
fn the_same_body_again_is_a_sign_of_life_and_no_second_evaluation() {
    let stage = posted_to();
    let alert = Alert::firing("HighCpu", "web", stage::fingerprint());
    let fires = body(std::slice::from_ref(&alert));
    let opened = accepted(&stage, &fires, &alert.fingerprint);
    let episode = opened.episode().expect("it opens one");
    evaluated(&stage, &opened);
    for _ in 0..3 {
        let again = accepted(&stage, &fires, &alert.fingerprint);
        assert_eq!(again.reception, Reception::Repeated { episode, concerned: vec![] });
    }
    evaluated(&stage, &ordinary(&stage));
    assert_eq!(stage::evaluations(&stage.records(), episode), 1);
    let ends = body(&[alert.clone().resolved("2026-11-01T10:00:00Z")]);
    let over = accepted(&stage, &ends, &alert.fingerprint);
    assert_eq!(over.reception, Reception::Resolved { episode, held: false });
    stage.until("the end of the episode", |records| stage::episode_end(records, episode));
    let again = accepted(&stage, &ends, &alert.fingerprint);
    assert!(matches!(again.reception, Reception::Ignored { episode: Some(of), .. } if of == episode), "{again:?}");
    evaluated(&stage, &ordinary(&stage));
    assert_eq!(stage::evaluations(&stage.records(), episode), 2);
}

/// The firing of the beginning arrives once more after the end; then an end from before the beginning.
#[test]
fn what_arrives_late_means_nothing_and_what_fires_anew_opens_the_episode_again() {
    let stage = posted_to();
    let alert = Alert::firing("HighCpu", "web", stage::fingerprint());
    let fires = |starts_at: &str| body(&[Alert { starts_at: starts_at.into(), ..alert.clone() }]);
    let ends = |ends_at: &str| body(&[alert.clone().resolved(ends_at)]);
    let told = |body: &[u8]| accepted(&stage, body, &alert.fingerprint).reception;
    let opened = accepted(&stage, &fires("2026-11-01T09:00:00Z"), &alert.fingerprint);
    let episode = opened.episode().expect("it opens one");
    evaluated(&stage, &opened);
    assert_eq!(told(&ends("2026-11-01T10:00:00Z")), Reception::Resolved { episode, held: false });
    stage.until("the end of the episode", |records| stage::episode_end(records, episode));
    let late = told(&fires("2026-11-01T09:00:00Z"));
    let Reception::Ignored { episode: Some(of), why } = &late else { panic!("{late:?}") };
    assert_eq!((*of, why.as_str()), (episode, "it began before the end that is already known: a late delivery"));
    let anew = accepted(&stage, &fires("2026-11-01T10:05:00Z"), &alert.fingerprint);
    assert!(matches!(&anew.reception, Reception::Reopened { episode: of, .. } if *of == episode), "{anew:?}");
    evaluated(&stage, &anew);
    let late = told(&ends("2026-11-01T10:00:00Z"));
    let Reception::Ignored { episode: Some(of), why } = &late else { panic!("{late:?}") };
    assert_eq!((*of, why.as_str()), (episode, "it ended before the beginning that is already known: a late delivery"));
    // Fired, resolved, fired anew: the late ones ran nothing.
    evaluated(&stage, &ordinary(&stage));
    assert_eq!(stage::evaluations(&stage.records(), episode), 3);
    assert_eq!(told(&ends("2026-11-01T10:10:00Z")), Reception::Resolved { episode, held: false });
}

#[test]
fn an_end_without_a_beginning_is_recorded_and_nothing_else() {
    let stage = posted_to();
    for ends_at in ["2026-11-01T10:00:00Z", NO_TIME] {
        let alert = Alert::firing("HighCpu", "web", stage::fingerprint()).resolved(ends_at);
        let report = accepted(&stage, &body(std::slice::from_ref(&alert)), &alert.fingerprint);
        let why = "it is resolved, and no episode of it is known".to_owned();
        assert_eq!(report.reception, Reception::Ignored { episode: None, why });
        let evaluated = evaluated(&stage, &ordinary(&stage));
        assert!(!evaluated.contains(&report.seq));
    }
}

/// Some senders write no time where an alert ended. What begins after what is known is new then, whenever it arrives.
#[test]
fn an_end_without_a_time_ends_its_episode_and_hides_no_new_beginning() {
    let stage = posted_to();
    let alert = Alert::firing("HighCpu", "web", stage::fingerprint());
    let opened = accepted(&stage, &body(std::slice::from_ref(&alert)), &alert.fingerprint);
    let episode = opened.episode().expect("it opens one");
    stage.post(&[alert.clone().resolved(NO_TIME)]);
    let how = stage.until("the end of the episode", |records| stage::episode_end(records, episode));
    assert_eq!(how, EpisodeEnd::Resolved);
    let late = accepted(&stage, &body(std::slice::from_ref(&alert)), &alert.fingerprint);
    assert!(matches!(late.reception, Reception::Ignored { .. }), "{late:?}");
    let anew = Alert { starts_at: "2026-11-01T09:52:00Z".into(), ..alert };
    let anew = accepted(&stage, &body(std::slice::from_ref(&anew)), &anew.fingerprint);
    assert_eq!(anew.episode(), Some(episode));
    assert!(matches!(anew.reception, Reception::Reopened { .. }), "{anew:?}");
}

#[test]
fn one_fingerprint_in_two_orgs_is_two_alerts() {
    let stage = posted_to();
    let (mut body, fingerprint) = changed(|_| ());
    let mine = accepted(&stage, body.to_string().as_bytes(), &fingerprint).episode();
    body["alerts"][0]["orgId"] = json!(2);
    let theirs = accepted(&stage, body.to_string().as_bytes(), &fingerprint);
    assert!(matches!(theirs.reception, Reception::Opened { .. }), "{theirs:?}");
    assert_eq!(theirs.alert.org, "2");
    assert_ne!(theirs.episode(), mine);
    // Without one of its own an alert is of its envelope's org.
    drop(first(&mut body).remove("orgId"));
    let again = accepted(&stage, body.to_string().as_bytes(), &fingerprint);
    assert!(matches!(again.reception, Reception::Repeated { .. }) && again.episode() == mine, "{again:?}");
    body["orgId"] = json!(2);
    let again = accepted(&stage, body.to_string().as_bytes(), &fingerprint);
    assert!(matches!(again.reception, Reception::Repeated { .. }) && again.episode() == theirs.episode(), "{again:?}");
}

/// One new alert sends the whole group again: some fire, some have resolved, one stands there twice.
#[test]
fn each_alert_of_a_group_means_what_it_means_by_itself() {
    let stage = posted_to();
    let [old, over, new] = [(); 3].map(|()| Alert::firing("HighCpu", "web", stage::fingerprint()));
    stage.post(&[old.clone(), over.clone()]);
    let (first, second) = (stage.episode_of(&old), stage.episode_of(&over));
    let over = over.resolved("2026-11-01T10:00:00Z");
    let group = [old.clone(), over.clone(), new.clone(), new.clone()];
    let answer = post(&stage, &body(&group));
    assert_eq!(serde_json::from_str::<Value>(&answer.body).expect("JSON")["alerts"], 4);
    let third = stage.episode_of(&new);
    let records = stage.records();
    let receptions = |alert: &Alert| {
        let reports = stage::reports(&records, &alert.fingerprint);
        reports.into_iter().skip(1).map(|report| report.reception).collect::<Vec<_>>()
    };
    assert_eq!(receptions(&old), [Reception::Repeated { episode: first, concerned: vec![] }]);
    assert_eq!(receptions(&over), [Reception::Resolved { episode: second, held: false }]);
    assert_eq!(receptions(&new), [Reception::Repeated { episode: third, concerned: vec![] }]);
}

/// Larger than what is parsed in passing.
#[test]
fn a_storm_in_one_body_is_recorded_alert_by_alert_in_its_order() {
    let stage = posted_to();
    let alerts: Vec<Alert> = (0..300).map(|_| Alert::firing("HighCpu", "web", stage::fingerprint())).collect();
    let body = body(&alerts);
    assert!(body.len() > 256 << 10, "{} bytes are no storm", body.len());
    let answer = send(&stage, "POST", "/v1/alerts/storm", &[], &body);
    assert_eq!(answer.status, 200, "{}", answer.body);
    let reports = stage.until("the whole storm", |records| {
        let reports = of_source(records, "storm");
        (reports.len() == alerts.len()).then_some(reports)
    });
    let recorded: Vec<String> = reports.into_iter().map(|report| report.alert.fingerprint).collect();
    assert_eq!(recorded, alerts.into_iter().map(|alert| alert.fingerprint).collect::<Vec<_>>());
}
