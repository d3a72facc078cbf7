//! The life of services and tasks, rule by rule, in virtual time.

use std::collections::BTreeSet;

use crate::{
    HealthCheck, Options, Span, Starting,
    answer::{ErrorCode, Health, Task},
    fixture::{Bench, RUNS_AFTER_MS, START_MS, address, exact_lag, redeploy, scale, stop},
    limits,
    request::{Operation, UpdateService},
    scenario::{NewService, Step},
};

fn ids(tasks: &[Task]) -> BTreeSet<String> {
    tasks.iter().map(|task| task.id().to_owned()).collect()
}

fn roll_to(task_definition: &str) -> Operation {
    let Operation::UpdateService(update) = redeploy() else { unreachable!() };
    let task_definition = Some(task_definition.to_owned());
    Operation::UpdateService(UpdateService { force_new_deployment: None, task_definition, ..update })
}

#[test]
fn a_new_service_is_steady() {
    let mut bench = Bench::new();
    let service = bench.service();
    assert_eq!(bench.counts(), (4, 4, 0, 1));
    assert_eq!((service.status, service.deployments[0].rollout_state), ("ACTIVE", "COMPLETED"));
    assert!(service.deployments[0].id.starts_with("ecs-svc/"));
    assert_eq!(service.deployments[0].id.len(), "ecs-svc/".len() + 19);
    let task = bench.tasks().remove(0);
    assert_eq!((task.last_status, task.desired_status, task.health_status), ("RUNNING", "RUNNING", Health::Healthy));
    assert_eq!((task.group.as_str(), &task.started_by), ("service:web", &service.deployments[0].id));
    assert_eq!(task.id().len(), 32);
    bench.wait(3_600_000);
    assert_eq!(bench.service(), service);
}

#[test]
fn tasks_without_a_health_check_are_of_unknown_health() {
    let mut bench = Bench::new();
    let health_check = HealthCheck::None;
    let new = NewService { address: address("api"), desired: 1, health_check, ..NewService::default() };
    bench.play(&Step::CreateService(new));
    let sights = bench.cloud.look(bench.now_ms, 1, 1);
    assert_eq!(sights[0].tasks[0].health_status, Health::Unknown);
}

#[test]
fn scaling_out_shows_first_nothing_then_pending_then_running_tasks() {
    let mut bench = Bench::new();
    bench.answer(scale(6));
    assert_eq!(bench.counts(), (6, 4, 0, 1));
    bench.wait(100);
    assert_eq!(bench.counts(), (6, 4, 2, 1));
    assert_eq!(bench.tasks_in("PROVISIONING").len(), 2);
    bench.wait(1_000);
    assert_eq!(bench.tasks_in("PENDING").len(), 2);
    bench.wait(1_999);
    assert_eq!((bench.tasks_in("ACTIVATING").len(), bench.counts()), (2, (6, 4, 2, 1)));
    bench.wait(1);
    assert_eq!(bench.counts(), (6, 6, 0, 1));
    let newest = bench.tasks().into_iter().max_by_key(|task| task.created_at).expect("a task");
    assert_eq!(newest.created_at, START_MS + 100);
    assert_eq!(newest.started_at, Some(START_MS + RUNS_AFTER_MS));
    assert_eq!(newest.health_status, Health::Healthy);
}

#[test]
fn tasks_start_one_by_one_when_the_lag_varies() {
    let mut bench = Bench::new();
    let start_ms = Span::between(1_000, 60_000).expect("a span");
    bench.play(&Step::SetLag { lag: crate::Lag { start_ms, ..exact_lag() } });
    bench.answer(scale(12));
    let mut seen = BTreeSet::new();
    for _ in 0..700 {
        bench.wait(100);
        seen.insert(bench.service().running_count);
    }
    assert!(seen.contains(&4) && seen.contains(&12) && seen.len() >= 6, "{seen:?}");
}

#[test]
fn scaling_changes_no_deployment_and_leaves_its_rollout_completed() {
    let mut bench = Bench::new();
    let before = bench.service().deployments;
    for desired in [7, 2] {
        bench.answer(scale(desired));
        assert_eq!(bench.service().deployments[0].rollout_state, "COMPLETED");
        bench.wait(60_000);
    }
    let after = bench.service().deployments;
    assert_eq!((after.len(), &after[0].id, after[0].created_at), (1, &before[0].id, before[0].created_at));
}

#[test]
fn scaling_in_stops_tasks_by_halves_and_never_all_at_once() {
    let mut bench = Bench::new();
    bench.answer(scale(16));
    bench.wait(60_000);
    bench.answer(scale(0));
    let mut wanted = vec![16];
    for _ in 0..600 {
        bench.wait(100);
        let left = bench.tasks().iter().filter(|task| task.desired_status == "RUNNING").count();
        if wanted.last() != Some(&left) {
            wanted.push(left);
        }
    }
    assert_eq!(wanted, [16, 8, 4, 2, 1, 0]);
    assert_eq!(bench.counts(), (0, 0, 0, 1));
    let stopped = bench.tasks().remove(0);
    assert_eq!((stopped.last_status, stopped.stop_code), ("STOPPED", Some("ServiceSchedulerInitiated")));
    assert!(
        stopped.stopped_reason.expect("a reason").starts_with("Scaling activity initiated by (deployment ecs-svc/")
    );
}

#[test]
fn scaling_in_stops_tasks_that_do_not_run_first_and_then_unhealthy_ones() {
    let mut bench = Bench::new();
    let running = ids(&bench.tasks());
    bench.answer(scale(5));
    bench.wait(200);
    bench.answer(scale(4));
    bench.wait(100);
    assert_eq!(ids(&bench.tasks_in("RUNNING")), running);
    bench.wait(60_000);
    let health = Health::Unhealthy;
    let task = running.last().cloned();
    bench.play(&Step::SetHealth { service: address("web"), task: task.clone(), health });
    bench.answer(scale(3));
    bench.wait(60_000);
    assert!(!ids(&bench.tasks_in("RUNNING")).contains(&task.expect("a task")));
}

#[test]
fn a_forced_deployment_replaces_every_task_and_keeps_enough_running_all_the_while() {
    let mut bench = Bench::new();
    let old = bench.service();
    let old_tasks = ids(&bench.tasks());
    bench.play(&Step::SetLag { lag: crate::Lag::default() });
    bench.answer(redeploy());
    let primary = bench.service().deployments[0].clone();
    assert_eq!((primary.status, primary.rollout_state, primary.created_at), ("PRIMARY", "IN_PROGRESS", START_MS));
    assert_eq!((bench.service().deployments[1].status, bench.counts()), ("ACTIVE", (4, 4, 0, 2)));
    for _ in 0..300 {
        bench.wait(100);
        let wanted = bench.tasks().iter().filter(|task| task.desired_status == "RUNNING").count();
        assert!(bench.service().running_count >= 4 && wanted <= 8);
    }
    let service = bench.service();
    assert_eq!(bench.counts(), (4, 4, 0, 1));
    assert_eq!((&service.deployments[0].id, service.deployments[0].rollout_state), (&primary.id, "COMPLETED"));
    assert_eq!(service.task_definition, old.task_definition);
    assert!(ids(&bench.tasks_in("RUNNING")).is_disjoint(&old_tasks));
}

#[test]
fn every_forced_deployment_starts_another_rollout() {
    let mut bench = Bench::new();
    for rollouts in 2..=3 {
        bench.answer(redeploy());
        bench.wait(200);
        assert_eq!(bench.service().deployments.len(), rollouts);
    }
    let statuses: Vec<_> = bench.service().deployments.iter().map(|deployment| deployment.status).collect();
    assert_eq!(statuses, ["PRIMARY", "ACTIVE", "ACTIVE"]);
    bench.wait(60_000);
    assert_eq!(bench.counts(), (4, 4, 0, 1));
}

#[test]
fn deployments_at_once_are_bounded() {
    let mut bench = Bench::new();
    for _ in 1..limits::DEPLOYMENTS_PER_SERVICE {
        bench.answer(redeploy());
    }
    assert_eq!(bench.refusal(redeploy()), ErrorCode::InvalidParameterException);
    bench.wait(600_000);
    bench.answer(redeploy());
}

#[test]
fn another_task_definition_rolls_and_the_same_one_does_not() {
    let mut bench = Bench::new();
    bench.answer(roll_to("web:1"));
    assert_eq!(bench.counts(), (4, 4, 0, 1));
    bench.answer(roll_to("web"));
    assert_eq!(bench.counts(), (4, 4, 0, 1));
    bench.answer(roll_to("web:2"));
    assert_eq!(bench.counts(), (4, 4, 0, 2));
    bench.wait(60_000);
    let definition = "arn:aws:ecs:eu-central-1:123456789012:task-definition/web:2";
    assert_eq!((bench.counts(), bench.service().task_definition.as_str()), ((4, 4, 0, 1), definition));
    assert!(bench.tasks_in("RUNNING").iter().all(|task| task.task_definition_arn == definition));
}

#[test]
fn a_stuck_deployment_stays_in_progress_and_the_old_tasks_stay() {
    let mut bench = Bench::new();
    let old = ids(&bench.tasks());
    bench.play(&Step::SetStarting { service: address("web"), starting: Starting::Never });
    bench.answer(redeploy());
    bench.wait(24 * 3_600_000);
    assert_eq!(bench.counts(), (4, 4, 4, 2));
    assert_eq!(bench.service().deployments[0].rollout_state, "IN_PROGRESS");
    assert_eq!(ids(&bench.tasks_in("RUNNING")), old);
    bench.play(&Step::SetStarting { service: address("web"), starting: Starting::Normal });
    bench.wait(60_000);
    assert_eq!((bench.counts(), bench.service().deployments[0].rollout_state), ((4, 4, 0, 1), "COMPLETED"));
}

#[test]
fn a_deployment_that_supersedes_a_stuck_one_gives_up_its_tasks_and_not_those_that_run() {
    let mut bench = Bench::new();
    let old = ids(&bench.tasks());
    bench.play(&Step::SetStarting { service: address("web"), starting: Starting::Never });
    bench.answer(redeploy());
    bench.wait(60_000);
    bench.answer(redeploy());
    bench.wait(60_000);
    assert_eq!(bench.counts(), (4, 4, 4, 2));
    assert_eq!(ids(&bench.tasks_in("RUNNING")), old);
}

#[test]
fn tasks_that_fail_to_start_are_counted_and_tried_again_with_growing_pauses() {
    let mut bench = Bench::new();
    bench.play(&Step::SetStarting { service: address("web"), starting: Starting::Failing });
    bench.answer(scale(5));
    bench.wait(60_000);
    let after_a_minute = bench.service().deployments[0].failed_tasks;
    bench.wait(3_540_000);
    let after_an_hour = bench.service().deployments[0].failed_tasks;
    assert!((3..=6).contains(&after_a_minute), "{after_a_minute}");
    assert!((8..=14).contains(&after_an_hour), "{after_an_hour}");
    assert_eq!(bench.tasks_in("STOPPED")[0].stop_code, Some("TaskFailedToStart"));
    bench.play(&Step::SetStarting { service: address("web"), starting: Starting::Normal });
    bench.wait(3_600_000);
    assert_eq!((bench.counts(), bench.service().deployments[0].failed_tasks), ((5, 5, 0, 1), 0));
}

#[test]
fn a_task_that_is_stopped_shows_why_and_is_replaced() {
    let mut bench = Bench::new();
    let id = bench.tasks()[0].id().to_owned();
    bench.answer(stop(&id));
    let told = bench.tasks_in("RUNNING").into_iter().find(|task| task.id() == id).expect("it runs for a moment");
    assert_eq!((told.desired_status, told.stop_code), ("STOPPED", Some("UserInitiated")));
    assert_eq!(told.stopped_reason.as_deref(), Some("intent 7.0"));
    assert_eq!(told.stopping_at, Some(START_MS));
    bench.wait(400);
    assert_eq!(bench.tasks_in("STOPPED")[0].stopped_at, Some(START_MS + 400));
    assert_eq!(bench.counts(), (4, 3, 1, 1));
    bench.wait(RUNS_AFTER_MS);
    assert_eq!(bench.counts(), (4, 4, 0, 1));
}

#[test]
fn a_task_that_is_stopped_twice_keeps_its_first_reason() {
    let mut bench = Bench::new();
    let id = bench.tasks()[0].id().to_owned();
    bench.answer(stop(&id));
    bench.wait(100);
    let Operation::StopTask(again) = stop(&id) else { unreachable!() };
    bench.answer(Operation::StopTask(crate::request::StopTask { reason: None, ..again }));
    bench.wait(400);
    let stopped = bench.tasks_in("STOPPED").remove(0);
    assert_eq!((stopped.stopped_reason.as_deref(), stopped.stopping_at), (Some("intent 7.0"), Some(START_MS)));
}

#[test]
fn a_task_that_dies_is_replaced() {
    let mut bench = Bench::new();
    let lowest = bench.tasks()[0].id().to_owned();
    assert_eq!(bench.play(&Step::KillTask { service: address("web"), task: None }), Some(lowest));
    assert_eq!(bench.tasks_in("STOPPED")[0].stop_code, Some("EssentialContainerExited"));
    assert_eq!(bench.counts(), (4, 3, 0, 1));
    bench.wait(RUNS_AFTER_MS);
    assert_eq!(bench.counts(), (4, 4, 0, 1));
}

#[test]
fn a_task_that_dies_during_a_stuck_rollout_is_replaced_by_its_own_deployment() {
    let mut bench = Bench::new();
    bench.play(&Step::SetStarting { service: address("web"), starting: Starting::Never });
    bench.answer(redeploy());
    bench.wait(60_000);
    bench.play(&Step::KillTask { service: address("web"), task: None });
    bench.wait(60_000);
    let deployments = bench.service().deployments;
    assert_eq!((deployments[1].running_count, deployments[1].pending_count), (3, 1));
    assert_eq!((deployments[1].desired_count, deployments[0].pending_count), (4, 4));
}

#[test]
fn an_unhealthy_task_stays_until_somebody_stops_it() {
    let mut bench = Bench::new();
    let step = Step::SetHealth { service: address("web"), task: None, health: Health::Unhealthy };
    let id = bench.play(&step).expect("a task");
    bench.wait(3_600_000);
    let unhealthy = |task: &Task| task.health_status == Health::Unhealthy;
    assert_eq!(bench.tasks().into_iter().find(unhealthy).map(|task| task.id().to_owned()), Some(id.clone()));
    bench.answer(stop(&id));
    bench.wait(60_000);
    assert!(!bench.tasks_in("RUNNING").iter().any(unhealthy));
}

#[test]
fn a_stopped_task_is_forgotten_after_an_hour() {
    let mut bench = Bench::new();
    let id = bench.tasks()[0].id().to_owned();
    bench.answer(stop(&id));
    bench.wait(400 + limits::REMEMBERED_MS - 1);
    assert_eq!(ids(&bench.tasks_in("STOPPED")), BTreeSet::from([id.clone()]));
    bench.wait(1);
    assert!(bench.tasks_in("STOPPED").is_empty());
    assert_eq!(bench.refusal(stop(&id)), ErrorCode::InvalidParameterException);
}

#[test]
fn stopped_tasks_are_bounded_and_the_oldest_go_first() {
    let mut bench = Bench::new();
    let first = bench.play(&Step::KillTask { service: address("web"), task: None }).expect("a task");
    for _ in 0..limits::STOPPED_TASKS_PER_SERVICE {
        bench.wait(RUNS_AFTER_MS);
        bench.play(&Step::KillTask { service: address("web"), task: None });
    }
    let stopped = bench.tasks_in("STOPPED");
    assert_eq!(stopped.len(), limits::STOPPED_TASKS_PER_SERVICE);
    assert!(!ids(&stopped).contains(&first));
}

#[test]
fn a_deleted_service_drains_is_inactive_for_an_hour_and_is_then_unknown() {
    let mut bench = Bench::new();
    bench.play(&Step::DeleteService { service: address("web") });
    assert_eq!((bench.service().status, bench.counts()), ("DRAINING", (0, 4, 0, 1)));
    assert_eq!(bench.refusal(scale(2)), ErrorCode::ServiceNotActiveException);
    bench.wait(60_000);
    assert_eq!((bench.service().status, bench.counts()), ("INACTIVE", (0, 0, 0, 0)));
    assert_eq!(bench.refusal(scale(2)), ErrorCode::ServiceNotActiveException);
    bench.wait(limits::REMEMBERED_MS);
    assert_eq!(bench.refusal(scale(2)), ErrorCode::ServiceNotFoundException);
}

#[test]
fn the_name_of_a_deleted_service_can_be_used_again() {
    let mut bench = Bench::new();
    bench.play(&Step::DeleteService { service: address("web") });
    bench.wait(60_000);
    bench.play(&Step::CreateService(NewService { address: address("web"), desired: 2, ..NewService::default() }));
    bench.wait(2 * limits::REMEMBERED_MS);
    bench.answer(scale(3));
}

#[test]
fn another_person_can_change_what_is_desired() {
    let mut bench = Bench::new();
    bench.play(&Step::SetDesired { service: address("web"), desired: 5 });
    bench.play(&Step::Redeploy { service: address("web") });
    bench.wait(60_000);
    assert_eq!(bench.counts(), (5, 5, 0, 1));
    assert_eq!(bench.cloud.log().last_number(), 0);
}

#[test]
fn time_never_goes_back() {
    let mut bench = Bench::new();
    bench.answer(scale(6));
    bench.wait(60_000);
    let later = bench.service();
    bench.now_ms = START_MS;
    assert_eq!(bench.service(), later);
    assert_eq!(bench.cloud.now_ms(), START_MS + 60_000);
}

#[test]
fn looking_often_and_looking_once_show_the_same_world() {
    let life = |every_ms: u64| {
        let mut bench = Bench::with(Options::default());
        bench.answer(scale(9));
        for _ in 0..60_000 / every_ms {
            bench.wait(every_ms);
            bench.service();
        }
        bench.answer(redeploy());
        bench.wait(30_000);
        (bench.service(), bench.tasks())
    };
    assert_eq!(life(10), life(60_000));
}

#[test]
fn a_scenario_that_cannot_be_is_refused() {
    use crate::scenario::NotPlayed;
    let mut bench = Bench::new();
    let mut played = |step: Step| bench.cloud.play(bench.now_ms, &step).expect_err("refused");
    let new = |name: &str, desired| NewService { address: address(name), desired, ..NewService::default() };
    assert_eq!(played(Step::CreateService(new("web", 1))), NotPlayed::Exists("web".into()));
    assert_eq!(played(Step::CreateService(new("a/b", 1))), NotPlayed::NotAName("a/b".into()));
    let most = limits::TASKS_PER_SERVICE;
    let too_many = NotPlayed::TooMany { what: "tasks per service", most: most as usize };
    assert_eq!(played(Step::CreateService(new("api", most + 1))), too_many);
    assert_eq!(played(Step::SetDesired { service: address("web"), desired: most + 1 }), too_many);
    assert!(matches!(played(Step::DeleteService { service: address("api") }), NotPlayed::NoService { .. }));
    let task = Some("00000000000000000000000000000000".into());
    assert_eq!(played(Step::KillTask { service: address("web"), task }), NotPlayed::NoTask("web".into()));
}
