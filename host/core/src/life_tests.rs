//! Lives of intents and episodes, from the alert to the end, as the records tell them.

use std::time::Duration;

use crate::{
    alert::{Alert, Held, tests::firing},
    caps,
    engine::{Effect, Handed},
    evaluation::{Conclusion, Failure, FailureKind},
    fixture::{self, Bench},
    input::{Input, Reply},
    limit::Window,
    record::{CallResult, Fact, HostStarted, IntentEnd, Purpose, Record, Verdict},
};

fn kinds(records: &[Record]) -> Vec<&'static str> {
    records.iter().map(|record| record.fact.kind()).collect()
}

fn ended(records: &[Record]) -> Option<IntentEnd> {
    records.iter().find_map(|record| match &record.fact {
        Fact::IntentEnded(ended) => Some(ended.how),
        _ => None,
    })
}

fn evaluations(effects: &[Effect]) -> usize {
    effects.iter().filter(|effect| matches!(effect, Effect::Evaluate(_))).count()
}

fn admitted() -> Bench {
    let mut bench = Bench::new();
    assert_eq!(bench.judge_and_admit().verdict, Verdict::Admitted);
    bench.release();
    bench
}

#[test]
fn admission_and_attempt_are_one_batch_and_the_call_is_handed_out_once() {
    let mut bench = Bench::new();
    let records = bench.looked(Purpose::Guard, Ok(fixture::reading(4)));
    assert_eq!(kinds(&records), ["target-looked", "intent-judged", "attempt-started"]);
    let acts = |effects: Vec<Effect>| effects.into_iter().filter(|effect| matches!(effect, Effect::Act(_))).count();
    assert_eq!(acts(bench.release()), 1);
    assert_eq!(acts(bench.release()), 0);
}

#[test]
fn an_intent_is_verified_when_the_world_is_as_promised() {
    let mut bench = admitted();
    bench.call_ended(CallResult::Done { request: "r-1".into() });
    let records = bench.looked(Purpose::Verify, Ok(fixture::reading(4)));
    assert_eq!(kinds(&records), ["target-looked"], "not yet");
    let records = bench.looked(Purpose::Verify, Ok(fixture::reading(6)));
    assert_eq!(kinds(&records), ["target-looked", "intent-ended"]);
    assert_eq!(ended(&records), Some(IntentEnd::Verified));
}

#[test]
fn an_intent_that_is_not_verified_by_its_deadline_ends_and_the_policy_is_asked_again() {
    let mut bench = admitted();
    bench.call_ended(CallResult::Done { request: "r-1".into() });
    bench.release();
    bench.wait(Duration::from_secs(600) - Duration::from_millis(1));
    assert_eq!(ended(&bench.looked(Purpose::Verify, Ok(fixture::reading(4)))), None);
    bench.wait(Duration::from_millis(1));
    let records = bench.looked(Purpose::Verify, Ok(fixture::reading(4)));
    assert_eq!(ended(&records), Some(IntentEnd::Unverified));
    let effects = bench.release();
    let [Effect::Evaluate(order), ..] = effects.as_slice() else { panic!("an evaluation is due: {effects:?}") };
    assert_eq!(order.trigger, crate::evaluation::Trigger::Unverified);
    assert_eq!(order.history[0].state, "unverified");
}

#[test]
fn an_undo_is_an_intent_of_its_own_and_passes_the_guard() {
    let mut bench = Bench::new();
    bench.propose(|proposal| proposal.undo = true);
    bench.judge_and_admit();
    bench.call_ended(CallResult::Done { request: "r-1".into() });
    bench.wait(Duration::from_secs(600));
    let stuck = |pending| {
        let mut service = fixture::service(6);
        (service.running, service.pending) = (4, pending);
        crate::look::Reading::EcsService { service, tasks: vec![] }
    };
    let records = bench.looked(Purpose::Verify, Ok(stuck(2)));
    assert_eq!(kinds(&records), ["target-looked", "undo-proposed", "intent-ended"]);
    bench.intent = crate::name::IntentId { proposed: records[1].seq, index: 0 };
    bench.look(stuck(2));
    assert_eq!(bench.judge_and_admit().verdict, Verdict::Admitted);
    bench.call_ended(CallResult::Done { request: "r-2".into() });
    let records = bench.looked(Purpose::Verify, Ok(fixture::reading(4)));
    assert_eq!(ended(&records), Some(IntentEnd::Verified));
    let concern = bench.engine.state().concern(bench.episode, &fixture::policy_name()).expect("a concern");
    assert_eq!(concern.past.iter().map(|past| past.state.as_str()).collect::<Vec<_>>(), ["undone", "verified"]);
}

#[test]
fn a_call_that_surely_did_not_happen_is_judged_anew_before_it_is_tried_again() {
    let mut bench = admitted();
    bench.call_ended(CallResult::NotDone { why: "throttled".into() });
    assert!(bench.release().iter().all(|effect| !matches!(effect, Effect::Act(_) | Effect::Look(_))), "after a pause");
    bench.wait(Duration::from_secs(caps::ATTEMPT_RETRY_S));
    bench.take(Input::Tick);
    assert!(bench.release().iter().any(|effect| matches!(effect, Effect::Look(_))));
    let records = bench.looked(Purpose::Guard, Ok(fixture::reading(4)));
    let Fact::AttemptStarted(attempt) = &records[2].fact else { panic!("{:?}", kinds(&records)) };
    assert_eq!(attempt.attempt, 2);
}

#[test]
fn a_call_is_tried_a_bounded_number_of_times_and_spends_its_limit_once() {
    let mut bench = Bench::new();
    for attempt in 1..=caps::ATTEMPTS {
        assert_eq!(bench.judge_and_admit().verdict, Verdict::Admitted, "attempt {attempt}");
        let records = bench.call_ended(CallResult::NotDone { why: "throttled".into() });
        let last = attempt == caps::ATTEMPTS;
        assert_eq!(ended(&records), last.then_some(IntentEnd::Failed), "attempt {attempt}");
    }
    let ledger = &bench.engine.state().ledger;
    let spent = ledger.spent(Window::of_ms(60_000), bench.episode, |_| Duration::ZERO, |_| true);
    assert_eq!((spent, ledger.under_way().count()), (1, 0));
}

#[test]
fn an_unanswered_call_is_looked_for_once_it_can_no_longer_land() {
    let mut bench = admitted();
    bench.call_ended(CallResult::Unknown { why: "timeout".into() });
    let settle = bench.configuration().timing.settle();
    bench.wait(settle - Duration::from_millis(1));
    bench.take(Input::Tick);
    assert!(bench.release().iter().all(|effect| !matches!(effect, Effect::Look(_))));
    bench.wait(Duration::from_millis(1));
    bench.take(Input::Tick);
    let looks = bench.release();
    assert!(looks.iter().any(|effect| matches!(effect, Effect::Look(look) if look.purpose == Purpose::Trace)));
}

#[test]
fn an_unanswered_call_that_is_seen_is_done_and_one_that_is_not_is_proposed_again() {
    let mut bench = admitted();
    bench.call_ended(CallResult::Unknown { why: "timeout".into() });
    let records = bench.looked(Purpose::Trace, Ok(fixture::reading(6)));
    assert_eq!(kinds(&records), ["target-looked", "attempt-settled"]);
    let records = bench.looked(Purpose::Verify, Ok(fixture::reading(6)));
    assert_eq!(ended(&records), Some(IntentEnd::Verified));

    let mut bench = admitted();
    bench.call_ended(CallResult::Unknown { why: "timeout".into() });
    bench.looked(Purpose::Trace, Ok(fixture::reading(4)));
    let records = bench.looked(Purpose::Guard, Ok(fixture::reading(4)));
    assert_eq!(kinds(&records), ["target-looked", "intent-judged", "attempt-started"]);
}

#[test]
fn an_unanswered_redeployment_that_is_not_seen_is_for_a_person_and_never_repeated() {
    let mut bench = Bench::new();
    bench.configure(|configuration, _| configuration.guardrails.bounds[0].only.action = None);
    bench.propose(|proposal| {
        proposal.action = "ecs:redeploy-service".into();
        proposal.parameters = crate::json::Json::empty_object();
    });
    assert_eq!(bench.judge_and_admit().verdict, Verdict::Admitted);
    bench.release();
    bench.call_ended(CallResult::Unknown { why: "timeout".into() });
    let records = bench.looked(Purpose::Trace, Ok(fixture::reading(4)));
    assert_eq!(ended(&records), Some(IntentEnd::Unknown));
    assert!(bench.release().iter().all(|effect| !matches!(effect, Effect::Act(_) | Effect::Look(_))));
}

#[test]
fn what_cannot_be_read_for_too_long_is_for_a_person() {
    let mut bench = admitted();
    bench.call_ended(CallResult::Unknown { why: "timeout".into() });
    bench.wait(Duration::from_secs(caps::UNKNOWN_FOR_S));
    assert_eq!(ended(&bench.looked(Purpose::Trace, Err("no answer".into()))), None);
    bench.wait(Duration::from_millis(1));
    assert_eq!(ended(&bench.looked(Purpose::Trace, Err("no answer".into()))), Some(IntentEnd::Unknown));
}

#[test]
fn a_refusal_of_aws_ends_the_intent_and_frees_the_target() {
    let mut bench = admitted();
    let records = bench.call_ended(CallResult::Refused { why: "AccessDeniedException".into() });
    assert_eq!(ended(&records), Some(IntentEnd::Failed));
    bench.propose(|_| {});
    assert_eq!(bench.judge().verdict, Verdict::Admitted);
}

#[test]
fn a_call_of_an_earlier_life_is_unknown_and_is_not_made_again() {
    let mut bench = admitted();
    let records = bench.take(Input::Started(HostStarted { version: "0.1.0".into(), engine: "48".into() }));
    assert_eq!(kinds(&records), ["host-started", "attempt-ended"]);
    let Fact::AttemptEnded(ended) = &records[1].fact else { panic!("an attempt") };
    assert!(matches!(ended.result, CallResult::Unknown { .. }));
}

#[test]
fn a_reading_that_took_too_long_is_no_fresh_look() {
    let mut bench = Bench::new();
    let read_at = bench.now;
    bench.wait(Duration::from_secs(caps::LOOK_FRESH_S + 1));
    let reading = Ok(Box::new(fixture::reading(4)));
    let records = bench.take(Input::Looked { intent: bench.intent, purpose: Purpose::Guard, reading, read_at });
    assert_eq!(kinds(&records), ["target-looked"], "nothing is judged on it");
}

#[test]
fn a_look_that_fails_is_repeated_a_few_times_and_then_the_intent_is_refused() {
    let mut bench = Bench::new();
    for _ in 1..caps::LOOKS {
        assert_eq!(kinds(&bench.looked(Purpose::Guard, Err("no answer".into()))), ["target-looked"]);
        bench.wait(Duration::from_secs(60));
        bench.take(Input::Tick);
        assert!(bench.release().iter().any(|effect| matches!(effect, Effect::Look(_))));
    }
    let records = bench.looked(Purpose::Guard, Err("no answer".into()));
    assert_eq!(kinds(&records), ["target-looked", "intent-judged"]);
}

#[test]
fn what_is_out_of_reach_is_refused_without_a_look() {
    let mut bench = Bench::new();
    bench.propose(|proposal| proposal.target = "arn:aws:ecs:eu-west-1:999999999999:service/prod/web".into());
    assert!(bench.release().iter().all(|effect| !matches!(effect, Effect::Look(look) if look.intent == bench.intent)));
    assert!(!bench.engine.state().intents.contains_key(&bench.intent));
}

#[test]
fn an_evaluation_that_something_newer_overtook_is_recorded_and_not_followed() {
    let mut bench = Bench::before_alert();
    bench.take(Input::Alerts(vec![firing()]));
    bench.episode = crate::name::EpisodeId(bench.engine.state().seq);
    let decision = Conclusion::Failed(Failure { kind: FailureKind::Trapped, message: String::new() });
    let mut capsule = bench.capsule(decision);
    bench.resolve();
    capsule.conclusion = Conclusion::Decided(crate::evaluation::Decision {
        intents: vec![fixture::proposal()],
        explanation: String::new(),
        look_again_after: Some(60),
        extra: crate::json::Json::empty_object(),
    });
    let records = bench.take(Input::Evaluated(Box::new(capsule)));
    let Fact::Evaluated(recorded) = &records[0].fact else { panic!("a capsule") };
    assert!(recorded.superseded);
    assert!(bench.engine.state().intents.is_empty());
    assert_eq!(evaluations(&bench.release()), 1, "the evaluation of the resolved alert is due");
}

#[test]
fn a_failed_evaluation_is_tried_again_a_few_times() {
    let mut bench = Bench::before_alert();
    bench.take(Input::Alerts(vec![firing()]));
    bench.episode = crate::name::EpisodeId(bench.engine.state().seq);
    for retry in 0..=caps::EVALUATION_RETRIES {
        assert_eq!(evaluations(&bench.release()), 1, "try {retry}");
        let failure = Failure { kind: FailureKind::Trapped, message: "unreachable".into() };
        bench.conclude(Conclusion::Failed(failure));
        bench.wait(Duration::from_secs(3600));
        bench.take(Input::Tick);
    }
    assert_eq!(evaluations(&bench.release()), 0);
}

#[test]
fn an_episode_ends_when_its_alert_is_resolved_and_nothing_is_due() {
    let mut bench = admitted();
    bench.resolve();
    assert!(bench.engine.state().episodes[&bench.episode].ended.is_none(), "the evaluation of the end is due");
    let rest = crate::evaluation::Decision {
        intents: vec![],
        explanation: "well".into(),
        look_again_after: None,
        extra: crate::json::Json::empty_object(),
    };
    bench.decide(rest);
    assert!(bench.engine.state().episodes[&bench.episode].ended.is_none(), "its intent is under way");
    bench.done_and_verified();
    assert!(bench.engine.state().episodes[&bench.episode].ended.is_some());
}

#[test]
fn an_episode_without_a_sign_of_life_expires_and_is_forgotten_a_day_later() {
    let mut bench = Bench::before_alert();
    bench.configure(|configuration, _| configuration.policies.clear());
    bench.take(Input::Alerts(vec![firing()]));
    let day = Duration::from_secs(caps::EPISODE_TTL_S);
    bench.wait(day - Duration::from_millis(1));
    bench.take(Input::Alerts(vec![firing()]));
    bench.wait(day - Duration::from_millis(1));
    assert_eq!(kinds(&bench.take(Input::Tick)), ["time-passed"], "the repetition was a sign of life");
    bench.wait(Duration::from_millis(1));
    assert_eq!(kinds(&bench.take(Input::Tick)), ["time-passed", "episode-ended"]);
    bench.wait(day);
    bench.take(Input::Tick);
    assert!(bench.engine.state().episodes.is_empty() && bench.engine.state().by_alert.is_empty());
    assert_eq!(bench.engine.state().next_timer(), None, "nothing is left behind");
}

#[test]
fn an_alert_that_was_not_measured_starts_nothing() {
    for held in [Held::Test, Held::NoData, Held::Error, Held::NoValues] {
        let mut bench = Bench::before_alert();
        bench.take(Input::Alerts(vec![Alert { held: Some(held.clone()), ..firing() }]));
        assert_eq!(evaluations(&bench.release()), 0, "{held:?}");
        assert!(bench.engine.state().episodes.is_empty());
    }
}

#[test]
fn an_end_for_another_reason_than_being_well_stops_what_is_due_and_starts_nothing() {
    let mut bench = Bench::before_alert();
    bench.take(Input::Alerts(vec![firing()]));
    let over = Alert {
        status: crate::alert::Status::Resolved,
        held: Some(Held::NotWell("MissingSeries".into())),
        ends_at: None,
        ..firing()
    };
    let records = bench.take(Input::Alerts(vec![over]));
    assert_eq!(kinds(&records), ["alert-received", "episode-ended"]);
    assert_eq!(evaluations(&bench.release()), 0);
}

#[test]
fn a_policy_configured_while_the_alert_fires_is_evaluated_at_the_next_repetition() {
    let mut bench = Bench::before_alert();
    let policies = bench.configuration().policies;
    bench.configure(|configuration, _| configuration.policies.clear());
    bench.take(Input::Alerts(vec![firing()]));
    bench.take(Input::Alerts(vec![firing()]));
    assert_eq!(evaluations(&bench.release()), 0);
    bench.configure(|configuration, _| configuration.policies = policies);
    bench.take(Input::Alerts(vec![firing()]));
    assert_eq!(evaluations(&bench.release()), 1);
    bench.take(Input::Alerts(vec![firing()]));
    assert_eq!(evaluations(&bench.release()), 0, "once");
}

/// A policy with a thousand alerts, and the alert of another one.
fn a_thousand_and_one() -> (Bench, Input, Input) {
    let mut bench = Bench::before_alert();
    bench.configure(|configuration, _| {
        let mut other = fixture::policy();
        other.matches.labels = [("alertname".to_owned(), vec!["Other".to_owned()])].into();
        configuration.policies.insert("other".parse().expect("a name"), other);
    });
    let many = (0..1000).map(|i| Alert { fingerprint: format!("{i:016x}"), ..firing() }).collect();
    let labels = [("alertname".to_owned(), "Other".to_owned())].into();
    let other = Alert { fingerprint: "other".into(), labels, ..firing() };
    (bench, Input::Alerts(many), Input::Alerts(vec![other]))
}

fn of_other(effects: &[Effect]) -> usize {
    let is = |effect: &&Effect| matches!(effect, Effect::Evaluate(order) if order.policy.as_str() == "other");
    effects.iter().filter(is).count()
}

#[test]
fn a_policy_with_many_alerts_leaves_turns_to_one_with_a_single_alert() {
    let (mut bench, many, other) = a_thousand_and_one();
    bench.take(many);
    bench.take(other);
    let effects = bench.release();
    assert_eq!(of_other(&effects), 1);
    assert!(evaluations(&effects) <= caps::EVALUATIONS_IN_FLIGHT);
}

#[test]
fn a_policy_with_nothing_under_way_does_not_wait_for_those_that_fill_every_place() {
    let (mut bench, many, other) = a_thousand_and_one();
    bench.take(many);
    assert_eq!(evaluations(&bench.release()), caps::EVALUATIONS_IN_FLIGHT, "every place is taken");
    bench.take(other);
    let effects = bench.release();
    assert_eq!((of_other(&effects), evaluations(&effects)), (1, 1));
    assert_eq!(evaluations(&bench.release()), 0, "and there is no room for more");
}

#[test]
fn replaying_the_records_gives_the_same_state() {
    let mut bench = admitted();
    bench.done_and_verified();
    bench.resolve();
    bench.stop(crate::record::StopScope::Everything);
    let mut again = crate::engine::Engine::new();
    again.replay(&crate::engine::genesis("host".into(), "0.1.0", crate::time::Timestamp::EPOCH));
    for record in &bench.records {
        let mut lines = Vec::new();
        let chain = crate::line::Chain { seq: crate::name::Seq(record.seq.0 - 1), hash: crate::digest::Digest::ZERO };
        crate::line::write(chain, record, crate::line::Framing::default(), &mut lines);
        let line = crate::line::read(chain, lines.strip_suffix(b"\n").expect("a newline")).expect("a line");
        assert_eq!(line.record, *record, "a record survives its line");
        again.replay(&line.record);
    }
    assert_eq!(format!("{:?}", again.state()), format!("{:?}", bench.engine.state()));
}

#[test]
fn a_clock_is_accepted_once_and_only_if_it_was_set_ahead() {
    let mut bench = Bench::new();
    let accept = |bench: &mut Bench| {
        let taken = bench.engine.take(Input::ClockAccepted(fixture::person()), bench.now);
        (taken.reply, kinds(&taken.records))
    };
    let nothing = (Reply::Refused("the clock was not set ahead: there is nothing to accept".into()), vec![]);
    assert_eq!(accept(&mut bench), nothing);
    bench.clock_jumps(Duration::from_secs(600));
    let (reply, records) = accept(&mut bench);
    assert!(matches!(reply, Reply::Recorded(_)) && records == ["clock-accepted"], "{reply:?} {records:?}");
    assert_eq!(accept(&mut bench), nothing);
}

fn tells(bench: &mut Bench, notifier: &str) -> Vec<crate::notices::Message> {
    let to = |effect| match effect {
        Effect::Tell(tell) if tell.notifier.as_str() == notifier => Some(tell.message),
        _ => None,
    };
    bench.release().into_iter().filter_map(to).collect()
}

fn sent(message: &crate::notices::Message, delivered: Result<String, String>, kept: bool) -> Input {
    Input::NoticeSent(crate::record::NoticeSent {
        notifier: "team".parse().expect("a name"),
        about: message.about,
        episode: None,
        delivered,
        dropped: message.dropped,
        covers: message.covers,
        kept,
    })
}

#[test]
fn a_message_that_does_not_arrive_is_told_again_after_a_pause_with_what_came_meanwhile() {
    let mut bench = admitted();
    // The attempt was handed out with the call; nobody answers.
    let attempt = bench.records.last().expect("a record").seq;
    let message = crate::notices::Message {
        about: attempt,
        covers: 1,
        content: crate::notices::Content::Steps(vec![attempt]),
        dropped: 0,
    };
    bench.take(sent(&message, Err("no answer".into()), true));
    assert_eq!(tells(&mut bench, "team"), [], "in the pause");
    bench.call_ended(CallResult::Refused { why: "AccessDenied".into() });
    assert_eq!(tells(&mut bench, "team"), []);
    bench.wait(Duration::from_millis(caps::NOTICES_PAUSE_FIRST_MS));
    bench.take(Input::Tick);
    let messages = tells(&mut bench, "team");
    assert_eq!((messages.len(), messages[0].covers), (1, 2), "the attempt and its end are one message: {messages:?}");
    bench.take(sent(&messages[0], Ok("ok".into()), false));
    bench.wait(Duration::from_secs(3600));
    bench.take(Input::Tick);
    assert_eq!(tells(&mut bench, "team"), [], "nothing is told twice");
}

#[test]
fn a_record_of_a_notice_from_before_there_were_digests_covers_one() {
    let old = r#"{"notifier":"team","about":7,"delivered":{"ok":"200"}}"#;
    let sent: crate::record::NoticeSent = serde_json::from_str(old).expect("an old record");
    assert_eq!((sent.covers, sent.kept), (1, false));
    assert_eq!(serde_json::to_string(&sent).expect("JSON"), old);
}

#[test]
fn looks_that_end_at_once_take_no_place_among_those_under_way() {
    let looks = |handed: Handed| {
        let mut bench = Bench::new();
        (0..caps::LOOKS_IN_FLIGHT).for_each(|_| bench.propose(|_| {}));
        let mut looks = 0;
        bench.engine.release(|effect| {
            looks += usize::from(matches!(effect, Effect::Look(_)));
            handed
        });
        looks
    };
    assert_eq!(looks(Handed::UnderWay), caps::LOOKS_IN_FLIGHT);
    assert_eq!(looks(Handed::Ended), caps::LOOKS_IN_FLIGHT + 1);
}
