//! A candidate beside the version in force: what it is compared about, what agreement is, and when it is over.

use super::candidate::*;
use crate::{
    caps,
    digest::Digest,
    engine::Effect,
    evaluation::{Conclusion, Decision, Failure, FailureKind, Proposal, Query},
    fixture::{self, Bench, person},
    input::Input,
    json::Json,
    name::{PluginName, Seq},
    record::{Fact, Manifest, PluginActivated},
    versions::record::{Cause, PluginPushed},
};

fn plugin() -> PluginName {
    fixture::policy().plugin
}

fn candidate() -> Digest {
    Digest::of(&[b"candidate"])
}

/// A host that compares a candidate.
fn comparing(quarantine_after: u32) -> Bench {
    let mut bench = Bench::new();
    bench.configure(|configuration, _| configuration.quarantine_after = quarantine_after);
    let (digest, manifest) = (candidate(), Manifest::default());
    let pushed = PluginPushed { plugin: plugin(), digest, bytes: 1, manifest, by: person() };
    bench.take(Input::PluginPushed(Box::new(pushed)));
    bench.take(Input::CandidateNamed(CandidateNamed { plugin: plugin(), digest, by: person() }));
    bench
}

fn decision(reason: &str, desired: u32) -> Decision {
    let mut intent = fixture::proposal();
    fixture::scale(&mut intent, 4, desired);
    let intents = vec![Proposal { reason: reason.into(), ..intent }];
    Decision { intents, explanation: reason.into(), look_again_after: Some(60), extra: Json::empty_object() }
}

fn nothing() -> Conclusion {
    let extra = Json::empty_object();
    Conclusion::Decided(Decision { intents: vec![], explanation: "enough".into(), look_again_after: None, extra })
}

fn failed(kind: FailureKind, message: &str) -> Conclusion {
    Conclusion::Failed(Failure { kind, message: message.into() })
}

fn evaluated(bench: &mut Bench) -> Seq {
    bench.conclude(nothing());
    bench.records.iter().rev().find(|record| matches!(record.fact, Fact::Evaluated(_))).expect("an evaluation").seq
}

fn compared(bench: &mut Bench, capsule: Seq, conclusion: Conclusion) -> Vec<&'static str> {
    let outcome = CandidateOutcome::Concluded(conclusion);
    let compared = CandidateCompared {
        plugin: plugin(),
        digest: candidate(),
        policy: fixture::policy_name(),
        episode: bench.episode,
        capsule,
        agreement: agreement(&nothing(), &outcome),
        outcome,
        fuel: 1,
    };
    bench.take(Input::Compared(Box::new(compared))).iter().map(|record| record.fact.kind()).collect()
}

fn due(bench: &mut Bench) -> Vec<Seq> {
    let capsule = |effect| if let Effect::Compare(comparison) = effect { Some(comparison.capsule) } else { None };
    bench.release().into_iter().filter_map(capsule).collect()
}

#[test]
fn two_versions_agree_if_they_would_do_the_same_whatever_words_they_use() {
    let concluded = CandidateOutcome::Concluded;
    let decided = |reason, desired| Conclusion::Decided(decision(reason, desired));
    let trap = |message| failed(FailureKind::Trapped, message);
    for (in_force, outcome, wanted) in [
        (decided("hot", 6), concluded(decided("hot", 6)), Agreement::Same),
        (decided("hot", 6), concluded(decided("very hot", 6)), Agreement::OtherWords),
        (decided("hot", 6), concluded(decided("hot", 7)), Agreement::Differs),
        (decided("hot", 6), concluded(nothing()), Agreement::Differs),
        (decided("hot", 6), concluded(trap("x")), Agreement::Differs),
        (trap("x"), concluded(trap("y")), Agreement::OtherWords),
        (trap("x"), concluded(failed(FailureKind::OutOfFuel, "x")), Agreement::Differs),
        (nothing(), CandidateOutcome::Asks(vec![]), Agreement::Differs),
    ] {
        assert_eq!(agreement(&in_force, &outcome), wanted, "{in_force:?} {outcome:?}");
    }
    let Conclusion::Decided(mut later) = decided("hot", 6) else { unreachable!("it was decided") };
    later.look_again_after = Some(61);
    let later = CandidateOutcome::Concluded(Conclusion::Decided(later));
    assert_eq!(agreement(&decided("hot", 6), &later), Agreement::Differs, "when it looks again is something it does");
    let asks =
        CandidateOutcome::Asks(vec![Query { kind: "k".into(), target: "t".into(), parameters: Json::empty_object() }]);
    assert_eq!(agreement(&nothing(), &asks), Agreement::Differs);
}

#[test]
fn a_candidate_is_compared_about_every_evaluation_a_few_at_once_and_nothing_follows_from_it() {
    let mut bench = comparing(0);
    let capsules: Vec<Seq> = (0..5).map(|_| evaluated(&mut bench)).collect();
    assert_eq!(due(&mut bench), capsules[..caps::COMPARISONS_IN_FLIGHT]);
    assert_eq!(due(&mut bench), [], "they are under way");
    let intents = bench.engine.state().intents.len();
    let would_act = Conclusion::Decided(decision("hot", 9));
    assert_eq!(compared(&mut bench, capsules[0], would_act), ["candidate-compared"]);
    assert_eq!(bench.engine.state().intents.len(), intents, "nothing is proposed");
    assert_eq!(due(&mut bench), [capsules[2]]);
    assert_eq!(compared(&mut bench, capsules[0], nothing()), [] as [&str; 0], "once");
    let known = &bench.engine.state().candidates[&plugin()];
    assert_eq!((known.same, known.differs, known.waiting.len(), known.examples.len()), (0, 1, 4, 1));
}

#[test]
fn what_waits_too_long_is_counted_and_not_compared() {
    let mut candidate = Candidate::new(candidate(), &Manifest::default(), Seq(1));
    (0..caps::COMPARISONS_WAITING as u64 + 2).for_each(|capsule| candidate.evaluated(Seq(capsule)));
    assert_eq!((candidate.waiting.len(), candidate.missed), (caps::COMPARISONS_WAITING, 2));
}

#[test]
fn a_candidate_that_fails_again_and_again_is_given_up_and_the_version_in_force_is_not_touched() {
    let mut bench = comparing(3);
    let capsules: Vec<Seq> = (0..6).map(|_| evaluated(&mut bench)).collect();
    let trap = || failed(FailureKind::Trapped, "unreachable");
    let both = ["candidate-compared", "candidate-ended"];
    for (capsule, conclusion, wanted) in [
        (0, trap(), &both[..1]),
        (1, trap(), &both[..1]),
        (2, nothing(), &both[..1]),
        (3, trap(), &both[..1]),
        (4, trap(), &both[..1]),
        (5, trap(), &both[..]),
    ] {
        assert_eq!(compared(&mut bench, capsules[capsule], conclusion), wanted, "{capsule}");
    }
    assert!(bench.engine.state().candidates.is_empty() && bench.engine.state().stops.is_empty());
    assert_eq!(due(&mut bench), []);
}

#[test]
fn with_another_version_in_force_it_is_compared_anew_and_once_it_is_itself_in_force_no_more() {
    let mut bench = comparing(0);
    let capsule = evaluated(&mut bench);
    compared(&mut bench, capsule, nothing());
    assert_eq!(bench.engine.state().candidates[&plugin()].same, 1);
    let mut activate = |digest| {
        let (manifest, cause) = (Manifest::default(), Cause::Activated(person()));
        let activated = PluginActivated { plugin: plugin(), digest, bytes: 1, manifest, cause };
        bench.take(Input::PluginActivated(Box::new(activated)));
        bench.engine.state().candidates.get(&plugin()).map(|candidate| candidate.same)
    };
    assert_eq!(activate(Digest::of(&[b"another"])), Some(0));
    assert_eq!(activate(candidate()), None);
}
