//! A version that fails again and again, and which one takes its place.

use super::*;
use crate::{
    engine::Effect,
    evaluation::{Decision, Failure},
    fixture::{self, Bench},
    input::{Input, Resume},
    json::Json,
    name::PluginName,
    record::{Backlog, Person, StopEngaged, StopScope},
};

fn decided() -> Conclusion {
    let extra = Json::empty_object();
    Conclusion::Decided(Decision { intents: vec![], explanation: "enough".into(), look_again_after: None, extra })
}

fn failed(kind: FailureKind) -> Conclusion {
    Conclusion::Failed(Failure { kind, message: "unreachable".into() })
}

fn trap() -> Conclusion {
    failed(FailureKind::Trapped)
}

fn quarantining(after: u32) -> Bench {
    let mut bench = Bench::new();
    bench.configure(|configuration, _| configuration.quarantine_after = after);
    bench
}

fn stops(bench: &Bench) -> Vec<StopEngaged> {
    bench.engine.state().stops.values().cloned().collect()
}

fn plugin() -> PluginName {
    fixture::policy().plugin
}

fn activated(bytes: &[u8], cause: Cause) -> PluginActivated {
    let manifest = Manifest::default();
    PluginActivated { plugin: plugin(), digest: Digest::of(&[bytes]), bytes: 1, manifest, cause }
}

#[test]
fn a_version_that_fails_so_often_in_a_row_is_stopped_and_one_time_less_is_not() {
    let mut bench = quarantining(3);
    [trap(), trap(), decided(), trap(), trap()].into_iter().for_each(|conclusion| bench.conclude(conclusion));
    assert_eq!(stops(&bench), []);
    bench.conclude(trap());
    let last = bench.records.last().expect("a record");
    let [stop] = &stops(&bench)[..] else { panic!("one stop: {:?}", stops(&bench)) };
    assert_eq!(stop.scope, StopScope::Version(bench.version()));
    assert_eq!(stop.by.who, "quarantine");
    assert!(
        stop.by.why.contains(&format!("record {}", last.seq.0 - 1)),
        "the failure is in the same batch: {}",
        stop.by.why
    );
    bench.conclude(trap());
    assert_eq!(stops(&bench).len(), 1, "once");
}

#[test]
fn only_what_is_a_versions_own_failure_counts() {
    for (kind, counts) in [
        (FailureKind::Trapped, true),
        (FailureKind::OutOfFuel, true),
        (FailureKind::OutOfTime, true),
        (FailureKind::OutOfSpace, true),
        (FailureKind::Malformed, true),
        (FailureKind::Returned, false),
        (FailureKind::Queries, false),
        (FailureKind::NotLoaded, false),
    ] {
        let mut bench = quarantining(1);
        bench.conclude(failed(kind));
        assert_eq!(stops(&bench).len(), usize::from(counts), "{kind}");
    }
}

#[test]
fn nothing_is_stopped_where_the_operator_wants_none_and_a_late_failure_of_another_version_does_not_count() {
    let mut bench = quarantining(0);
    (0..99).for_each(|_| bench.conclude(trap()));
    assert_eq!(stops(&bench), []);
    let mut bench = quarantining(1);
    let late = bench.capsule(trap());
    bench.take(Input::PluginActivated(Box::new(activated(b"two", Cause::Directory))));
    bench.take(Input::Evaluated(Box::new(late)));
    assert_eq!(stops(&bench), []);
}

#[test]
fn the_policies_of_a_stopped_version_wait_until_another_one_is_in_force_or_none() {
    let orders = |bench: &mut Bench| {
        let order = |effect| if let Effect::Evaluate(order) = effect { Some(order.digest) } else { None };
        bench.release().into_iter().filter_map(order).collect::<Vec<_>>()
    };
    let mut bench = quarantining(1);
    bench.conclude(trap());
    bench.wait(std::time::Duration::from_secs(60));
    bench.take(Input::Tick);
    assert_eq!(orders(&mut bench), [], "it is due again, and waits");
    let stop = *bench.engine.state().stops.keys().next().expect("a stop");
    bench.take(Input::PluginActivated(Box::new(activated(b"good", Cause::Quarantine(stop)))));
    assert_eq!(orders(&mut bench), [Digest::of(&[b"good"])]);

    let mut bench = quarantining(1);
    bench.conclude(trap());
    bench.wait(std::time::Duration::from_secs(60));
    bench.take(Input::Tick);
    let stop = *bench.engine.state().stops.keys().next().expect("a stop");
    bench.take(Input::Resume(Resume::Stop(stop), Some(Backlog::Drop), fixture::person()));
    assert_eq!(orders(&mut bench), [bench.version()], "a person released it");
}

fn versions(steps: &[(&[u8], Cause)]) -> Versions {
    let mut versions = Versions::default();
    for (seq, (bytes, cause)) in (1..).zip(steps) {
        versions.activated(&activated(bytes, cause.clone()), Seq(seq));
    }
    versions
}

fn before(versions: &Versions, bytes: &[u8]) -> Vec<Digest> {
    versions.before(&Digest::of(&[bytes])).into_iter().map(|version| version.digest).collect()
}

#[test]
fn going_back_goes_to_what_was_chosen_before_and_from_there_further_back() {
    let by = || Person { who: "ann".into(), why: "better".into() };
    let [one, two, three] = [b"one", b"two", b"six"].map(|bytes| Digest::of(&[bytes]));
    let steps: [(&[u8], Cause); 3] =
        [(b"one", Cause::Directory), (b"two", Cause::Directory), (b"six", Cause::Activated(by()))];
    let versions_at = |more: &[(&[u8], Cause)]| versions(&[&steps, more].concat());
    assert_eq!(before(&versions_at(&[]), b"six"), [two, one]);
    let back = versions_at(&[(b"two", Cause::RolledBack(by()))]);
    assert_eq!(before(&back, b"two"), [one], "and not to what was left");
    let stopped = versions_at(&[(b"two", Cause::Quarantine(Seq(9)))]);
    assert_eq!(before(&stopped, b"two"), [one]);
    let again = versions_at(&[(b"one", Cause::Activated(by()))]);
    assert_eq!(before(&again, b"one"), [three, two], "it was chosen anew");
    assert_eq!(before(&again, b"nobody knows it"), []);
}

#[test]
fn a_file_is_known_until_it_is_taken_away_whatever_a_person_chose() {
    let by = || Person { who: "ann".into(), why: "better".into() };
    let file = Some(Digest::of(&[b"two"]));
    let mut versions =
        versions(&[(b"one", Cause::Directory), (b"two", Cause::Directory), (b"one", Cause::RolledBack(by()))]);
    assert_eq!(versions.file(), file);
    versions.removed(true);
    assert_eq!(versions.file(), file, "a person disabled it: the file does not bring it back");
    versions.removed(false);
    assert_eq!(versions.file(), None);
}

#[test]
fn at_the_cap_the_oldest_is_forgotten_and_never_the_one_in_force() {
    let mut versions = versions(&[(b"in force", Cause::Directory)]);
    let in_force = Digest::of(&[b"in force"]);
    for number in 0..caps::VERSIONS_PER_PLUGIN as u64 + 3 {
        let (by, bytes) = (Person { who: "ann".into(), why: "new".into() }, number.to_be_bytes());
        let (digest, manifest) = (Digest::of(&[&bytes]), Manifest::default());
        let pushed = PluginPushed { plugin: plugin(), digest, bytes: 8, manifest, by };
        versions.pushed(&pushed, Some(in_force), Seq(number + 2));
        assert!(versions.version(&digest).is_some() && versions.version(&in_force).is_some(), "{number}");
    }
    assert_eq!(versions.known().len(), caps::VERSIONS_PER_PLUGIN);
}
