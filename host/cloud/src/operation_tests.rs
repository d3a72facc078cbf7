//! The operations and their errors, as callers see them.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    Outcome,
    answer::{Answer, ErrorCode},
    fixture::{ACCOUNT, Bench, RUNS_AFTER_MS, address, describe, identity, list, redeploy, request, scale, stop},
    limits,
    request::{DescribeServices, DescribeTasks, ListTasks, Operation, StopTask, UpdateService},
    scenario::{NewService, Step},
};

fn describe_all(services: &[&str]) -> DescribeServices {
    let services = services.iter().map(|name| (*name).to_owned()).collect();
    DescribeServices { cluster: Some("prod".into()), services, include: Vec::new() }
}

fn update(change: impl FnOnce(&mut UpdateService)) -> Operation {
    let Operation::UpdateService(mut update) = scale(4) else { unreachable!() };
    change(&mut update);
    Operation::UpdateService(update)
}

fn arns(bench: &mut Bench, call: ListTasks) -> (Vec<String>, Option<String>) {
    match bench.answer(Operation::ListTasks(call)) {
        Answer::TaskArns(page) => (page.task_arns, page.next_token),
        other => panic!("{other:?}"),
    }
}

#[test]
fn services_are_described_in_order_and_missing_ones_are_failures() {
    let mut bench = Bench::new();
    let web = "arn:aws:ecs:eu-central-1:123456789012:service/prod/web";
    let Answer::Services(found) = bench.answer(Operation::DescribeServices(describe_all(&["api", web, "web"]))) else {
        panic!()
    };
    assert_eq!(found.services.iter().map(|service| service.service_arn.as_str()).collect::<Vec<_>>(), [web, web]);
    assert_eq!((found.failures.len(), found.failures[0].reason), (1, "MISSING"));
    assert_eq!(found.failures[0].arn, "arn:aws:ecs:eu-central-1:123456789012:service/prod/api");
    assert_eq!(found.services[0].cluster_arn, "arn:aws:ecs:eu-central-1:123456789012:cluster/prod");
}

#[test]
fn tags_are_shown_only_when_asked_for() {
    let mut bench = Bench::new();
    let tags = BTreeMap::from([("team".to_owned(), "shop".to_owned())]);
    let new = NewService { address: address("api"), desired: 0, tags, ..NewService::default() };
    bench.play(&Step::CreateService(new));
    let mut shown = |include: &[&str]| {
        let include = include.iter().map(|field| (*field).to_owned()).collect();
        match bench.answer(Operation::DescribeServices(DescribeServices { include, ..describe_all(&["api"]) })) {
            Answer::Services(found) => found.services[0].tags.clone(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(shown(&[]), None);
    let tags = shown(&["TAGS"]).expect("tags");
    assert_eq!((tags[0].key.as_str(), tags[0].value.as_str()), ("team", "shop"));
}

#[test]
fn one_to_ten_services_are_described_at_once() {
    let mut bench = Bench::new();
    bench.answer(Operation::DescribeServices(describe_all(&["web"; 10])));
    for wrong in [vec![], vec!["web"; 11]] {
        let refused = bench.refusal(Operation::DescribeServices(describe_all(&wrong)));
        assert_eq!(refused, ErrorCode::InvalidParameterException);
    }
}

#[test]
fn unknown_clusters_services_and_tasks_are_refused_as_aws_does() {
    let mut bench = Bench::new();
    let nowhere = |operation: Operation| match operation {
        Operation::UpdateService(call) => Operation::UpdateService(UpdateService { cluster: None, ..call }),
        Operation::ListTasks(call) => Operation::ListTasks(ListTasks { cluster: None, ..call }),
        other => other,
    };
    assert_eq!(bench.refusal(nowhere(scale(2))), ErrorCode::ClusterNotFoundException);
    assert_eq!(bench.refusal(nowhere(Operation::ListTasks(list()))), ErrorCode::ClusterNotFoundException);
    let other = update(|call| call.service = "api".into());
    assert_eq!(bench.refusal(other), ErrorCode::ServiceNotFoundException);
    let listed = ListTasks { service_name: Some("api".into()), ..list() };
    assert_eq!(bench.refusal(Operation::ListTasks(listed)), ErrorCode::ServiceNotFoundException);
    let unknown = "0123456789abcdef0123456789abcdef";
    assert_eq!(bench.refusal(stop(unknown)), ErrorCode::InvalidParameterException);
    assert_eq!(bench.refusal(stop("not-a-task")), ErrorCode::InvalidParameterException);
}

#[test]
fn the_reason_of_a_stop_is_bounded() {
    let mut bench = Bench::new();
    let id = bench.tasks()[0].id().to_owned();
    let with = |length: usize| {
        let Operation::StopTask(call) = stop(&id) else { unreachable!() };
        Operation::StopTask(StopTask { reason: Some("x".repeat(length)), ..call })
    };
    assert_eq!(bench.refusal(with(limits::STOP_REASON_BYTES + 1)), ErrorCode::InvalidParameterException);
    bench.answer(with(limits::STOP_REASON_BYTES));
}

#[test]
fn a_desired_count_is_between_zero_and_the_quota() {
    let mut bench = Bench::new();
    let quota = i64::from(limits::TASKS_PER_SERVICE);
    for wrong in [-1, i64::MIN, quota + 1, i64::MAX] {
        assert_eq!(bench.refusal(scale(wrong)), ErrorCode::InvalidParameterException, "{wrong}");
    }
    for right in [0, quota] {
        bench.answer(scale(right));
        assert_eq!(i64::from(bench.service().desired_count), right);
    }
}

#[test]
fn what_an_update_does_not_name_stays() {
    let mut bench = Bench::new();
    bench.answer(scale(6));
    bench.answer(redeploy());
    assert_eq!(bench.service().desired_count, 6);
    let before = bench.service();
    bench.answer(update(|call| call.desired_count = None));
    assert_eq!(bench.service(), before);
}

#[test]
fn tasks_are_listed_by_what_they_shall_become() {
    let mut bench = Bench::new();
    let id = bench.tasks()[0].id().to_owned();
    bench.answer(stop(&id));
    bench.wait(200);
    let status = |text: &str| ListTasks { desired_status: Some(text.into()), ..list() };
    assert_eq!(arns(&mut bench, list()).0.len(), 4);
    let stopped = arns(&mut bench, status("STOPPED")).0;
    assert_eq!(stopped, [format!("arn:aws:ecs:eu-central-1:123456789012:task/prod/{id}")]);
    assert!(arns(&mut bench, status("PENDING")).0.is_empty());
    let refused = bench.refusal(Operation::ListTasks(status("running")));
    assert_eq!(refused, ErrorCode::InvalidParameterException);
}

#[test]
fn pages_of_tasks_hold_each_task_once_and_end() {
    let mut bench = Bench::new();
    bench.answer(scale(205));
    bench.wait(RUNS_AFTER_MS);
    let (mut seen, mut token, mut pages) = (Vec::new(), None, Vec::new());
    loop {
        let service_name = Some("web".to_owned());
        let (arns, next) = arns(&mut bench, ListTasks { next_token: token, service_name, ..list() });
        pages.push(arns.len());
        seen.extend(arns);
        token = next;
        if token.is_none() {
            break;
        }
    }
    assert_eq!(pages, [100, 100, 5]);
    assert_eq!(seen.iter().collect::<BTreeSet<_>>().len(), 205);
    for wrong in [0, 101] {
        let refused = bench.refusal(Operation::ListTasks(ListTasks { max_results: Some(wrong), ..list() }));
        assert_eq!(refused, ErrorCode::InvalidParameterException);
    }
    let refused = bench.refusal(Operation::ListTasks(ListTasks { next_token: Some("x".into()), ..list() }));
    assert_eq!(refused, ErrorCode::InvalidParameterException);
}

#[test]
fn a_full_page_that_is_the_last_has_no_next_token() {
    let mut bench = Bench::new();
    let page = ListTasks { max_results: Some(4), ..list() };
    assert_eq!(arns(&mut bench, page).1, None);
    let page = ListTasks { max_results: Some(3), ..list() };
    assert!(arns(&mut bench, page).1.is_some());
}

#[test]
fn tasks_are_described_by_id_or_arn_and_missing_ones_are_failures() {
    let mut bench = Bench::new();
    let task = bench.tasks().remove(0);
    let tasks = vec![task.id().to_owned(), task.task_arn.clone(), "0123456789abcdef0123456789abcdef".to_owned()];
    let cluster = Some("arn:aws:ecs:eu-central-1:123456789012:cluster/prod".to_owned());
    let call = |tasks| Operation::DescribeTasks(DescribeTasks { cluster: cluster.clone(), tasks });
    let Answer::Tasks(found) = bench.answer(call(tasks)) else { panic!() };
    assert_eq!(found.tasks, [task.clone(), task.clone()]);
    assert_eq!((found.failures.len(), found.failures[0].reason), (1, "MISSING"));
    assert_eq!(bench.refusal(call(Vec::new())), ErrorCode::InvalidParameterException);
    assert_eq!(bench.refusal(call(vec![task.task_arn; 101])), ErrorCode::InvalidParameterException);
}

#[test]
fn accounts_and_regions_see_nothing_of_each_other() {
    let mut bench = Bench::new();
    let id = bench.tasks()[0].id().to_owned();
    for (account, region) in [("999999999999", "eu-central-1"), (ACCOUNT, "us-east-1")] {
        let mut elsewhere = address("web");
        (elsewhere.account, elsewhere.region) = (account.into(), region.into());
        bench.play(&Step::CreateService(NewService { address: elsewhere, desired: 1, ..NewService::default() }));
        let mut call = request(stop(&id));
        (call.account, call.region) = (account.into(), region.into());
        let outcome = bench.cloud.call(bench.now_ms, &call).outcome;
        let unknown = matches!(outcome, Outcome::Refused(error) if error.code == ErrorCode::InvalidParameterException);
        assert!(unknown, "{account} {region}");
        (call.operation, call.account) = (describe(), account.into());
        let Outcome::Answered(answer) = bench.cloud.call(bench.now_ms, &call).outcome else { panic!() };
        let Answer::Services(found) = *answer else { panic!() };
        assert_eq!(found.services[0].desired_count, 1);
    }
}

#[test]
fn credentials_are_told_whose_they_are() {
    let mut bench = Bench::new();
    let Answer::Identity(found) = bench.answer(identity()) else { panic!() };
    assert_eq!(found.account, ACCOUNT);
    assert!(found.arn.starts_with("arn:aws:iam::123456789012:"));
}
