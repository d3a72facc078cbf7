//! Every lie, the log that stays true, and sameness under the same seed.

use crate::{
    Options, Outcome, Reply, Span,
    answer::ErrorCode,
    fault::{Chance, Fault, Matching, Scripted, When},
    fixture::{Bench, START_MS, address, describe, identity, redeploy, request, scale, stop},
    log::{Answered, Applied, Entry, Logged},
    request::OperationName,
    scenario::Step,
};

fn strike(bench: &mut Bench, fault: Fault) {
    let scripted = Scripted { matching: Matching::default(), nth: 1, times: 1, fault };
    bench.cloud.plan().script(scripted).expect("planned");
}

/// Scales to six under a fault; returns the reply, what is desired then, and the log's entry.
fn scale_under(fault: Fault) -> (Reply, u32, Entry) {
    let mut bench = Bench::new();
    strike(&mut bench, fault);
    let reply = bench.cloud.call(bench.now_ms, &request(scale(6)));
    let entry = bench.cloud.log().get(reply.number).expect("logged").clone();
    (reply, bench.service().desired_count, entry)
}

fn late(after_ms: u64) -> Fault {
    Fault::Late { after_ms: Span::exactly(after_ms), held_ms: None }
}

#[test]
fn an_honest_call_is_applied_answered_and_logged_with_what_was_before_and_after() {
    let mut bench = Bench::new();
    bench.answer(scale(6));
    let entry = bench.cloud.log().get(1).expect("logged");
    assert_eq!((entry.applied, entry.answered, entry.fault), (Applied::At(START_MS), Answered::Ok, None));
    let desired = |state: &Option<Box<crate::State>>| state.as_ref().map(|state| state.desired());
    assert_eq!((desired(&entry.before), desired(&entry.after)), (Some(4), Some(6)));
    assert_eq!((entry.cluster.as_str(), entry.service.as_str(), entry.task.as_str()), ("prod", "web", ""));
    assert_eq!(entry.request.caller, "balm");
}

#[test]
fn throttled_and_denied_calls_are_not_applied() {
    let kinds =
        [(Fault::Throttled, ErrorCode::ThrottlingException), (Fault::AccessDenied, ErrorCode::AccessDeniedException)];
    for (fault, code) in kinds {
        let (reply, desired, entry) = scale_under(fault);
        assert!(matches!(reply.outcome, Outcome::Refused(error) if error.code == code && code.status() == 400));
        assert_eq!((desired, entry.applied, entry.answered), (4, Applied::No, Answered::Error(code)));
    }
}

#[test]
fn errors_pages_and_closed_connections_strike_before_or_after_the_call_is_applied() {
    let kinds = |when| {
        [
            (Fault::ServerError { when }, Answered::Error(ErrorCode::ServerException)),
            (Fault::Closed { when }, Answered::Lost),
            (Fault::HtmlPage { status: 502, when }, Answered::HtmlPage(502)),
        ]
    };
    for (fault, answered) in kinds(When::Before) {
        let (_, desired, entry) = scale_under(fault);
        assert_eq!((desired, entry.applied, entry.answered), (4, Applied::No, answered), "{fault:?}");
    }
    for (fault, answered) in kinds(When::After) {
        let (_, desired, entry) = scale_under(fault);
        assert_eq!((desired, entry.applied, entry.answered), (6, Applied::At(START_MS), answered), "{fault:?}");
        assert_eq!(entry.fault, Some(fault));
    }
}

#[test]
fn a_slow_call_is_applied_at_once_and_answered_truly_but_later() {
    let (reply, desired, entry) = scale_under(Fault::Slow { ms: Span::exactly(5_000) });
    assert_eq!((reply.delay_ms, desired), (5_000, 6));
    assert!(matches!(reply.outcome, Outcome::Answered(_)));
    assert_eq!((entry.applied, entry.answered), (Applied::At(START_MS), Answered::Ok));
}

#[test]
fn a_late_call_is_not_answered_and_lands_when_its_caller_has_given_up() {
    let mut bench = Bench::new();
    strike(&mut bench, late(60_000));
    let reply = bench.cloud.call(bench.now_ms, &request(scale(6)));
    assert_eq!((reply.outcome, reply.delay_ms), (Outcome::Lost, 60_000));
    bench.wait(59_999);
    assert_eq!(bench.service().desired_count, 4);
    assert_eq!(bench.cloud.log().get(1).expect("logged").applied, Applied::Due(START_MS + 60_000));
    assert_eq!(bench.cloud.log().tally().by_caller.len(), 0);
    bench.wait(1);
    assert_eq!(bench.service().desired_count, 6);
    let entry = bench.cloud.log().get(1).expect("logged");
    assert_eq!((entry.applied, entry.answered), (Applied::At(START_MS + 60_000), Answered::Lost));
    assert_eq!(entry.before.as_ref().map(|state| state.desired()), Some(4));
}

#[test]
fn a_late_call_overwrites_what_was_done_meanwhile() {
    let mut bench = Bench::new();
    strike(&mut bench, late(10_000));
    bench.call(scale(6));
    bench.wait(5_000);
    bench.answer(scale(8));
    bench.wait(5_000);
    assert_eq!(bench.service().desired_count, 6);
    let applied: Vec<_> = bench.cloud.log().applied().map(|(ms, entry)| (ms - START_MS, entry.number)).collect();
    assert_eq!(applied, [(10_000, 1), (5_000, 2)]);
}

#[test]
fn a_late_call_that_comes_too_late_is_refused_in_silence() {
    let mut bench = Bench::new();
    strike(&mut bench, late(60_000));
    bench.call(scale(6));
    bench.play(&Step::DeleteService { service: address("web") });
    bench.wait(60_000);
    bench.service();
    let entry = bench.cloud.log().get(1).expect("logged");
    assert_eq!((entry.applied, entry.refused), (Applied::No, Some(ErrorCode::ServiceNotActiveException)));
}

#[test]
fn a_late_connection_may_break_before_the_call_lands() {
    let held = Fault::Late { after_ms: Span::exactly(60_000), held_ms: Some(Span::exactly(0)) };
    let (reply, desired, entry) = scale_under(held);
    assert_eq!((reply.delay_ms, reply.outcome, desired), (0, Outcome::Lost, 4));
    assert_eq!(entry.applied, Applied::Due(START_MS + 60_000));
}

#[test]
fn late_tasks_stop_and_roll_in_the_order_in_which_they_land() {
    let mut bench = Bench::new();
    let id = bench.tasks()[0].id().to_owned();
    strike(&mut bench, late(2_000));
    bench.call(stop(&id));
    strike(&mut bench, late(1_000));
    bench.call(redeploy());
    bench.wait(60_000);
    assert_eq!(bench.counts(), (4, 4, 0, 1));
    let log = bench.cloud.log();
    let at = |number| log.get(number).map(|entry| entry.applied);
    assert_eq!((at(1), at(2)), (Some(Applied::At(START_MS + 2_000)), Some(Applied::At(START_MS + 1_000))));
    assert_eq!(log.get(1).map(|entry| (entry.service.as_str(), entry.task.as_str())), Some(("web", id.as_str())));
}

#[test]
fn reads_are_lied_about_too_and_never_count_as_applied() {
    let mut bench = Bench::new();
    for fault in [Fault::Throttled, Fault::Closed { when: When::After }, late(1_000)] {
        strike(&mut bench, fault);
        assert!(!matches!(bench.call(describe()), Outcome::Answered(_)), "{fault:?}");
    }
    strike(&mut bench, Fault::ServerError { when: When::Before });
    assert_eq!(bench.refusal(identity()), ErrorCode::ServerException);
    bench.wait(10_000);
    bench.answer(describe());
    assert_eq!(bench.cloud.log().applied().count(), 0);
    assert!(bench.cloud.log().entries().all(|entry| entry.applied == Applied::No));
}

#[test]
fn a_refusal_of_aws_is_logged_even_when_the_caller_was_told_something_else() {
    let mut bench = Bench::new();
    strike(&mut bench, Fault::Closed { when: When::After });
    bench.call(scale(-1));
    let entry = bench.cloud.log().get(1).expect("logged");
    assert_eq!((entry.applied, entry.answered), (Applied::No, Answered::Lost));
    assert_eq!(entry.refused, Some(ErrorCode::InvalidParameterException));
}

#[test]
fn what_was_applied_is_counted_by_caller_and_by_service_and_operation() {
    let mut bench = Bench::new();
    let id = bench.tasks()[0].id().to_owned();
    bench.answer(scale(5));
    strike(&mut bench, Fault::Throttled);
    bench.call(scale(6));
    strike(&mut bench, Fault::Closed { when: When::After });
    bench.call(scale(6));
    let mut other = request(stop(&id));
    other.caller = "somebody".into();
    bench.cloud.call(bench.now_ms, &other);
    let tally = bench.cloud.log().tally();
    assert_eq!(tally.by_caller.into_iter().collect::<Vec<_>>(), [("balm".into(), 2), ("somebody".into(), 1)]);
    let rows: Vec<_> = tally.by_service.into_iter().map(|(at, count)| (at.service, at.operation, count)).collect();
    let web = || "web".to_owned();
    assert_eq!(rows, [(web(), OperationName::UpdateService, 2), (web(), OperationName::StopTask, 1)]);
    assert_eq!(tally.dropped, 0);
}

#[test]
fn the_log_is_bounded_drops_the_oldest_and_says_so() {
    let mut bench = Bench::with(Options { log_entries: 3, ..Options::default() });
    for desired in 1..=5 {
        bench.answer(scale(desired));
    }
    let log = bench.cloud.log();
    assert_eq!(log.entries().map(|entry| entry.number).collect::<Vec<_>>(), [3, 4, 5]);
    assert_eq!((log.dropped(), log.tally().dropped, log.last_number()), (2, 2, 5));
    assert!(log.get(2).is_none() && log.from(4).count() == 2);
}

#[test]
fn reads_can_be_left_out_of_the_log_and_are_counted_all_the_same() {
    let mut bench = Bench::with(Options { logged: Logged::Mutations, ..Options::default() });
    bench.answer(describe());
    bench.answer(scale(5));
    assert_eq!(bench.cloud.log().entries().map(|entry| entry.number).collect::<Vec<_>>(), [2]);
}

#[test]
fn an_entry_is_written_as_one_json_object_with_the_parameters_of_aws() {
    let mut bench = Bench::new();
    bench.answer(scale(6));
    let json = serde_json::to_value(bench.cloud.log().get(1)).expect("JSON");
    assert_eq!(json["operation"], "UpdateService");
    assert_eq!(json["parameters"]["desiredCount"], 6);
    assert_eq!((&json["applied-at-ms"], &json["due-at-ms"]), (&START_MS.into(), &serde_json::Value::Null));
    assert_eq!((&json["before"]["desired"], &json["after"]["desired"]), (&4.into(), &6.into()));
    assert_eq!(json["answered"], "ok");
    let json = serde_json::to_value(scale_under(Fault::Throttled).2).expect("JSON");
    assert_eq!(
        (&json["fault"]["kind"], &json["answered"]["error"]),
        (&"throttled".into(), &"ThrottlingException".into())
    );
}

#[test]
fn the_bodies_that_the_crate_shows_as_examples_are_read() {
    let examples: Vec<&str> = include_str!("lib.rs").lines().filter_map(|line| line.strip_prefix("//! {")).collect();
    assert_eq!(examples.len(), 10);
    for example in examples {
        let text = format!("{{{example}");
        let read = match () {
            () if example.contains("\"do\"") => serde_json::from_str(&text).map(|_: Step| ()),
            () if example.contains("per-million") => serde_json::from_str(&text).map(|_: Chance| ()),
            () => serde_json::from_str(&text).map(|_: Scripted| ()),
        };
        assert!(read.is_ok(), "{text} {read:?}");
    }
}

#[test]
fn a_reset_empties_the_world_and_counts_on() {
    let mut bench = Bench::new();
    strike(&mut bench, Fault::Throttled);
    strike(&mut bench, late(1_000));
    bench.call(scale(6));
    bench.cloud.reset();
    assert_eq!(bench.refusal(describe()), ErrorCode::ClusterNotFoundException);
    let numbers: Vec<_> = bench.cloud.log().entries().map(|entry| entry.number).collect();
    assert_eq!((numbers, bench.cloud.now_ms()), (vec![2], START_MS));
}

/// A life full of changes and lies, told as text.
fn told(seed: u64, scripted: Option<Scripted>) -> (String, String) {
    let mut bench = Bench::seeded(seed, Options::default());
    let chances = [
        (200_000, Fault::Throttled),
        (200_000, Fault::Closed { when: When::After }),
        (200_000, Fault::Late { after_ms: Span::between(10, 9_000).expect("a span"), held_ms: None }),
        (200_000, Fault::Slow { ms: Span::between(10, 9_000).expect("a span") }),
    ];
    for (per_million, fault) in chances {
        let chance = Chance { matching: Matching::default(), per_million, fault };
        bench.cloud.plan().chance(chance).expect("planned");
    }
    if let Some(scripted) = scripted {
        bench.cloud.plan().script(scripted).expect("planned");
    }
    for round in 0..200 {
        let operation = match round % 5 {
            0 => scale(round % 9),
            1 => redeploy(),
            2 => bench.tasks().first().map_or_else(identity, |task| stop(task.id())),
            _ => describe(),
        };
        bench.call(operation);
        bench.wait(700);
    }
    bench.wait(600_000);
    let world = format!("{:?} {:?}", bench.service(), bench.tasks());
    let log: Vec<_> = bench.cloud.log().entries().map(|entry| serde_json::to_string(entry).expect("JSON")).collect();
    (world, log.join("\n"))
}

#[test]
fn the_same_seed_and_calls_give_the_same_world_and_log_and_another_seed_gives_others() {
    assert_eq!(told(7, None), told(7, None));
    assert_ne!(told(7, None).0, told(8, None).0);
    assert_ne!(told(7, None).1, told(8, None).1);
}

#[test]
fn a_script_moves_no_draw_of_the_world() {
    let reads = Matching { operation: Some(OperationName::GetCallerIdentity), ..Matching::default() };
    let scripted = Scripted { matching: reads, nth: 1, times: 1, fault: Fault::Throttled };
    assert_eq!(told(7, None).0, told(7, Some(scripted)).0);
}

#[test]
fn everything_settles_once_nobody_changes_anything() {
    for seed in 0..50 {
        let (world, _) = told(seed, None);
        assert!(world.contains("COMPLETED") && !world.contains("IN_PROGRESS"), "seed {seed}: {world}");
    }
}
