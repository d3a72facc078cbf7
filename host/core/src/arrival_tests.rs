//! Plugins and configuration that arrive while the host runs: what is put in force together is seen together.

use crate::{
    alert::{Alert, tests::firing},
    digest::Digest,
    engine::{Effect, Order},
    envelope,
    evaluation::{Conclusion, Decision},
    fixture::{self, Bench},
    input::{Arrived, Input},
    json::Json,
    name::{EpisodeId, PluginName},
    record::{
        CheckName, ConfigurationPart, ConfigurationRefused, Fact, Manifest, PluginActivated, PluginRemoved, Record,
        Reloaded, Verdict,
    },
    versions::record::Cause,
};

fn plugin() -> PluginName {
    fixture::policy().plugin
}

fn version(bytes: &[u8]) -> PluginActivated {
    let manifest = Manifest { actions: vec!["ecs:scale-service".into()], ..Manifest::default() };
    PluginActivated {
        plugin: plugin(),
        digest: Digest::of(&[bytes]),
        bytes: bytes.len() as u64,
        manifest,
        cause: Cause::Directory,
    }
}

fn removed(bench: &Bench) -> PluginRemoved {
    let digest = bench.engine.state().plugins[&plugin()].digest;
    PluginRemoved { plugin: plugin(), digest, why: "its file is gone".into(), by: None }
}

fn pair(bench: &Bench, bytes: &[u8], settings: &str) -> Input {
    let mut configuration = bench.configuration();
    for policy in configuration.policies.values_mut() {
        policy.settings = Json::parse(settings).expect("JSON");
    }
    let activated = vec![version(bytes)];
    Input::Arrived(Box::new(Arrived { activated, configuration: Some(configuration), ..Arrived::default() }))
}

fn kinds(records: &[Record]) -> Vec<&'static str> {
    records.iter().map(|record| record.fact.kind()).collect()
}

fn orders(bench: &mut Bench) -> Vec<Order> {
    let order = |effect| if let Effect::Evaluate(order) = effect { Some(*order) } else { None };
    bench.release().into_iter().filter_map(order).collect()
}

#[test]
fn a_plugin_and_its_settings_are_one_batch_and_no_evaluation_sees_one_without_the_other() {
    let mut bench = Bench::before_alert();
    let input = pair(&bench, b"two", r#"{"version":2}"#);
    let records = bench.take(input);
    assert_eq!(kinds(&records), ["plugin-activated", "configured"]);
    assert_eq!(records.iter().map(|record| record.more).collect::<Vec<_>>(), [true, false]);
    bench.take(Input::Alerts(vec![firing()]));
    let orders = orders(&mut bench);
    let seen: Vec<_> = orders.iter().map(|order| (order.digest, order.settings.as_str())).collect();
    assert_eq!(seen, [(Digest::of(&[b"two"]), r#"{"version":2}"#)]);
}

#[test]
fn what_is_under_way_ends_on_its_version_and_is_followed() {
    let mut bench = Bench::before_alert();
    bench.take(Input::Alerts(vec![firing()]));
    bench.episode = EpisodeId(bench.engine.state().seq);
    let order = orders(&mut bench).remove(0);
    let decision = Decision {
        intents: Vec::new(),
        explanation: "well".into(),
        look_again_after: None,
        extra: Json::empty_object(),
    };
    let capsule = bench.capsule(Conclusion::Decided(decision));
    assert_eq!(capsule.plugin, order.digest);
    let input = pair(&bench, b"two", r#"{"version":2}"#);
    bench.take(input);
    let records = bench.take(Input::Evaluated(Box::new(capsule)));
    let Fact::Evaluated(recorded) = &records[0].fact else { panic!("a capsule") };
    assert_eq!((recorded.plugin, recorded.superseded), (order.digest, false));
}

#[test]
fn a_removed_plugin_is_asked_no_more_and_what_it_proposed_is_refused() {
    let mut bench = Bench::new();
    let gone = removed(&bench);
    let records = bench.take(Input::Arrived(Box::new(Arrived { removed: vec![gone], ..Arrived::default() })));
    assert_eq!(kinds(&records), ["plugin-removed"]);
    assert_eq!(bench.judge().verdict, Verdict::Refused(CheckName::Manifest));
    bench.take(Input::Alerts(vec![Alert { fingerprint: "another".into(), ..firing() }]));
    assert!(orders(&mut bench).is_empty());
}

#[test]
fn evaluations_wait_while_plugins_are_loaded_and_nothing_is_forgotten() {
    let mut bench = Bench::before_alert();
    bench.engine.hold_evaluations();
    bench.take(Input::Alerts(vec![firing()]));
    assert!(orders(&mut bench).is_empty());
    let input = pair(&bench, b"two", r#"{"version":2}"#);
    bench.take(input);
    assert!(orders(&mut bench).is_empty());
    bench.engine.resume_evaluations();
    assert_eq!(orders(&mut bench)[0].settings.as_str(), r#"{"version":2}"#);
}

#[test]
fn a_configuration_that_changes_nothing_is_no_record() {
    let mut bench = Bench::before_alert();
    let same = Arrived { configuration: Some(bench.configuration()), ..Arrived::default() };
    assert!(bench.take(Input::Arrived(Box::new(same))).is_empty());
}

#[test]
fn the_new_records_are_read_as_they_were_written() {
    let facts = [
        Fact::PluginRemoved(PluginRemoved {
            plugin: plugin(),
            digest: Digest::ZERO,
            why: "its file is gone".into(),
            by: None,
        }),
        Fact::ConfigurationRefused(ConfigurationRefused {
            part: ConfigurationPart::Beside(plugin()),
            mistakes: vec!["web.toml:1: x is no key".into()],
            by: None,
        }),
        Fact::ConfigurationRefused(ConfigurationRefused {
            part: ConfigurationPart::Whole,
            mistakes: Vec::new(),
            by: Some(fixture::person()),
        }),
        Fact::Reloaded(Reloaded { by: fixture::person(), after_restart: vec!["listen".into()] }),
    ];
    let texts = [
        r#"{"plugin":"scale-ecs-service","digest":"0000000000000000000000000000000000000000000000000000000000000000","why":"its file is gone"}"#,
        r#"{"part":{"beside":"scale-ecs-service"},"mistakes":["web.toml:1: x is no key"]}"#,
        r#"{"part":"whole","mistakes":[],"by":{"who":"ada","why":"maintenance"}}"#,
        r#"{"by":{"who":"ada","why":"maintenance"},"after-restart":["listen"]}"#,
    ];
    for (fact, text) in facts.into_iter().zip(texts) {
        assert_eq!(envelope::read_data(fact.kind(), text).expect("a record"), Some(fact));
    }
}
