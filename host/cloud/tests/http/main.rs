//! The endpoint over a real socket: AWS's wire, lies on a connection, the controls, the log file and the program.

mod client;
mod groups;
mod program;

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, time::Instant};

use balm_cloud::{
    Cloud, Lag, Options, Span,
    http::{Error, Handle, Server, Settings},
    scenario::{Address, NewService, Step},
};
use client::Client;
use serde_json::{Value, json};
use tokio::{sync::oneshot, task::JoinHandle};

const ACCOUNT: &str = "123456789012";
const OTHER_ACCOUNT: &str = "999999999999";
const START_MS: u64 = 1_700_000_000_000;

struct Endpoint {
    address: SocketAddr,
    handle: Handle,
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<(), Error>>,
}

impl Endpoint {
    async fn start() -> Self {
        Self::with(None).await
    }

    /// Service `web` with four tasks in cluster `prod`, and a lag of ten seconds of a time that only the tests move
    /// far.
    async fn with(log_file: Option<PathBuf>) -> Self {
        let seconds = |seconds: u64| Span::exactly(seconds * 1_000);
        let lag = Lag { start_ms: seconds(6), stop_ms: seconds(2), scheduler_ms: seconds(2) };
        let mut cloud = Cloud::new(1, Options { lag, ..Options::default() });
        let address = Address { cluster: "prod".into(), service: "web".into(), ..Address::default() };
        let new = NewService { address, desired: 4, ..NewService::default() };
        cloud.play(START_MS, &Step::CreateService(new).at_home(ACCOUNT, "eu-central-1")).expect("a service");
        let settings = Settings {
            account: ACCOUNT.into(),
            region: "eu-central-1".into(),
            keys: BTreeMap::from([("AKIDOTHER".into(), OTHER_ACCOUNT.into())]),
            start_ms: START_MS,
            log_file,
        };
        let server = Server::bind(loopback(), cloud, settings).await.expect("an endpoint");
        let (stop, stopped) = oneshot::channel();
        let (address, handle) = (server.address(), server.handle());
        let task = tokio::spawn(server.run(async { _ = stopped.await }));
        Self { address, handle, stop, task }
    }

    async fn client(&self) -> Client {
        Client::connect(self.address).await
    }

    /// A client whose next call suffers this.
    async fn client_under(&self, fault: Value) -> Client {
        let mut client = self.client().await;
        let planned = client.control("POST", "faults/scripted", &json!({ "fault": fault })).await;
        assert_eq!(planned.status, 200, "{}", planned.body);
        client
    }

    async fn end(self) -> Result<(), Error> {
        self.stop.send(()).expect("it runs");
        self.task.await.expect("no panic")
    }
}

fn loopback() -> SocketAddr {
    "127.0.0.1:0".parse().expect("an address")
}

fn file(name: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("cloud-{name}.jsonl"));
    _ = std::fs::remove_file(&path);
    path
}

fn lines(path: &PathBuf) -> Vec<Value> {
    let text = std::fs::read_to_string(path).expect("the log file");
    text.lines().map(|line| serde_json::from_str(line).expect("a JSON line")).collect()
}

#[tokio::test]
async fn a_service_is_described_on_the_wire_of_aws() {
    let endpoint = Endpoint::start().await;
    let body = json!({ "cluster": "prod", "services": ["web", "api"], "include": ["TAGS"] });
    let response = endpoint.client().await.ecs("DescribeServices", &body).await.expect("an answer");
    assert_eq!((response.status, response.header("content-type")), (200, Some("application/x-amz-json-1.1")));
    assert_eq!(response.header("x-amzn-requestid").map(str::len), Some(36));
    let json = response.json();
    let service = &json["services"][0];
    assert_eq!((&service["desiredCount"], &service["status"]), (&4.into(), &"ACTIVE".into()));
    assert_eq!(service["deployments"][0]["createdAt"].as_f64(), Some(1_699_999_940.0));
    assert_eq!((&service["tags"], &json["failures"][0]["reason"]), (&json!([]), &"MISSING".into()));
}

#[tokio::test]
async fn an_update_is_seen_by_the_next_call_on_the_same_connection() {
    let endpoint = Endpoint::start().await;
    let mut client = endpoint.client().await;
    let updated = client.scale(6).await.expect("an answer").json();
    assert_eq!((&updated["service"]["desiredCount"], &updated["service"]["runningCount"]), (&6.into(), &4.into()));
    assert_eq!(client.describe().await["runningCount"], 4);
    client.control("POST", "time", &json!({ "skip-ms": 8_000 })).await;
    assert_eq!(client.describe().await["runningCount"], 6);
    let list = json!({ "cluster": "prod", "serviceName": "web", "maxResults": 5 });
    let page = client.ecs("ListTasks", &list).await.expect("an answer").json();
    assert!(page["taskArns"].as_array().is_some_and(|arns| arns.len() == 5) && page["nextToken"].is_string());
    let tasks = client.ecs("DescribeTasks", &json!({ "cluster": "prod", "tasks": page["taskArns"] })).await;
    let tasks = tasks.expect("an answer").json();
    assert_eq!(tasks["tasks"].as_array().map(Vec::len), Some(5));
    assert!(tasks["tasks"][0]["startedAt"].is_f64());
}

#[tokio::test]
async fn errors_have_the_shape_that_sdks_read() {
    let endpoint = Endpoint::start().await;
    let mut client = endpoint.client().await;
    let response = client.ecs("UpdateService", &json!({ "cluster": "prod", "service": "api" })).await;
    let response = response.expect("an answer");
    assert_eq!((response.status, response.json()["__type"].as_str()), (400, Some("ServiceNotFoundException")));
    assert!(response.json()["message"].is_string());
    let response = client.ecs("StopTask", &json!({ "cluster": "prod", "task": "0".repeat(32) })).await;
    let response = response.expect("an answer");
    assert_eq!(response.json()["message"], "The referenced task was not found.");
}

#[tokio::test]
async fn the_account_comes_from_the_key_and_the_region_and_caller_from_the_headers() {
    let endpoint = Endpoint::start().await;
    let mut client = endpoint.client().await;
    assert!(client.identity().await.expect("an answer").body.contains("<Account>123456789012</Account>"));
    client.key = "AKIDOTHER";
    assert!(client.identity().await.expect("an answer").body.contains("<Account>999999999999</Account>"));
    (client.region, client.agent) = ("us-east-1", "aws-sdk-rust/1.7.0 m/E app/balm-7");
    assert_eq!(client.scale(1).await.expect("an answer").json()["__type"], "ClusterNotFoundException");
    let entry = endpoint.handle.with(|cloud, _| cloud.log().get(3).cloned()).expect("logged");
    assert_eq!((entry.request.account.as_str(), entry.request.region.as_str()), (OTHER_ACCOUNT, "us-east-1"));
    assert_eq!(entry.request.caller, "balm-7");
}

#[tokio::test]
async fn sts_answers_and_refuses_in_xml() {
    let endpoint = Endpoint::start().await;
    let response = endpoint.client().await.identity().await.expect("an answer");
    assert_eq!((response.status, response.header("content-type")), (200, Some("text/xml")));
    assert!(response.body.starts_with("<GetCallerIdentityResponse"));
    let response = endpoint.client_under(json!({ "kind": "access-denied" })).await.identity().await.expect("an answer");
    assert_eq!(response.status, 403);
    assert!(response.body.contains("<Code>AccessDenied</Code>"));
}

#[tokio::test]
async fn a_lost_answer_closes_the_connection_without_a_byte_and_only_its_side_decides_what_was_done() {
    let endpoint = Endpoint::start().await;
    for (when, desired) in [("before", 4), ("after", 6)] {
        let mut client = endpoint.client_under(json!({ "kind": "closed", "when": when })).await;
        assert!(client.scale(6).await.is_none());
        assert_eq!(endpoint.client().await.describe().await["desiredCount"], desired, "{when}");
    }
}

#[tokio::test]
async fn throttles_errors_and_pages_look_like_those_of_aws_and_its_proxies() {
    let endpoint = Endpoint::start().await;
    let mut client = endpoint.client_under(json!({ "kind": "throttled" })).await;
    let response = client.scale(6).await.expect("an answer");
    assert_eq!((response.status, response.json()["__type"].as_str()), (400, Some("ThrottlingException")));
    let mut client = endpoint.client_under(json!({ "kind": "server-error", "when": "before" })).await;
    let response = client.scale(6).await.expect("an answer");
    assert_eq!((response.status, response.json()["__type"].as_str()), (500, Some("ServerException")));
    let mut client = endpoint.client_under(json!({ "kind": "html-page", "status": 503, "when": "after" })).await;
    let response = client.scale(6).await.expect("an answer");
    assert_eq!((response.status, response.header("content-type")), (503, Some("text/html")));
    assert!(response.body.starts_with("<html>"));
    assert_eq!(client.describe().await["desiredCount"], 6);
}

#[tokio::test]
async fn a_slow_answer_takes_its_time() {
    let endpoint = Endpoint::start().await;
    let mut client = endpoint.client_under(json!({ "kind": "slow", "ms": 40 })).await;
    let began = Instant::now();
    assert_eq!(client.scale(6).await.expect("an answer").status, 200);
    assert!(began.elapsed().as_millis() >= 40);
}

#[tokio::test]
async fn a_late_call_is_held_in_silence_and_lands_after_the_connection_is_gone() {
    let path = file("late");
    let endpoint = Endpoint::with(Some(path.clone())).await;
    let fault = json!({ "kind": "late", "after-ms": 60_000, "held-ms": 30 });
    let mut client = endpoint.client_under(fault).await;
    let began = Instant::now();
    assert!(client.scale(6).await.is_none());
    assert!(began.elapsed().as_millis() >= 30);
    let mut client = endpoint.client().await;
    assert_eq!(client.describe().await["desiredCount"], 4);
    client.control("POST", "time", &json!({ "skip-ms": 60_000 })).await;
    assert_eq!(client.describe().await["desiredCount"], 6);
    let updates: Vec<Value> = lines(&path).into_iter().filter(|line| line["operation"] == "UpdateService").collect();
    assert_eq!(updates.len(), 2);
    assert!(updates.iter().all(|line| line["number"] == 1));
    assert!(updates[0]["due-at-ms"].is_u64() && updates[0]["applied-at-ms"].is_null());
    assert_eq!(updates[1]["applied-at-ms"], updates[0]["due-at-ms"]);
}

#[tokio::test]
async fn every_call_is_in_the_log_file_before_its_answer_and_a_recount_agrees_with_the_tally() {
    let path = file("recount");
    let endpoint = Endpoint::with(Some(path.clone())).await;
    let mut client = endpoint.client().await;
    let chance = json!({ "per-million": 300_000, "fault": { "kind": "server-error", "when": "before" } });
    client.control("POST", "faults/chance", &chance).await;
    for number in 1..=100 {
        client.scale(number).await.expect("an answer");
        assert_eq!(lines(&path).last().map(|line| line["number"].clone()), Some(number.into()));
    }
    let recount = lines(&path).iter().filter(|line| line["applied-at-ms"].is_u64()).count();
    let tally = client.control("GET", "tally", &Value::Null).await.json();
    assert!(recount > 50 && recount < 100, "{recount}");
    assert_eq!(tally["by-caller"], json!({ "balm": recount }));
    let row = json!({ "account": ACCOUNT, "region": "eu-central-1", "cluster": "prod", "service": "web",
                      "operation": "UpdateService", "applied": recount });
    assert_eq!(tally["by-service"], json!([row]));
    endpoint.end().await.expect("a clean end");
}

#[tokio::test]
async fn what_cannot_be_logged_is_not_answered_and_ends_the_endpoint() {
    let endpoint = Endpoint::with(Some("/dev/full".into())).await;
    assert!(endpoint.client().await.scale(6).await.is_none());
    let error = endpoint.task.await.expect("no panic").expect_err("an end");
    assert!(matches!(error, Error::Log { .. }), "{error}");
}

#[tokio::test]
async fn only_loopback_is_listened_on() {
    let settings =
        Settings { account: ACCOUNT.into(), region: String::new(), keys: BTreeMap::new(), start_ms: 0, log_file: None };
    let anywhere = "0.0.0.0:0".parse().expect("an address");
    let refused = Server::bind(anywhere, Cloud::new(1, Options::default()), settings).await;
    assert!(matches!(refused, Err(Error::NotLoopback(_))));
}

#[tokio::test]
async fn malformed_requests_are_refused_and_never_reach_the_model() {
    let endpoint = Endpoint::start().await;
    let mut client = endpoint.client().await;
    let mut kind = async |request: &str| {
        let response = client.send(request).await.expect("an answer");
        (
            response.status,
            serde_json::from_str(&response.body).map_or(Value::Null, |json: Value| json["__type"].clone()),
        )
    };
    let unsigned = "POST / HTTP/1.1\r\nhost: x\r\nx-amz-target: AmazonEC2ContainerServiceV20141113.ListTasks\r\n\
                    content-length: 2\r\n\r\n{}";
    assert_eq!(kind(unsigned).await, (400, "MissingAuthenticationTokenException".into()));
    let signed = "authorization: AWS4-HMAC-SHA256 Credential=k/20260101/r/ecs/aws4_request\r\n";
    let with = |target: &str, body: &str| {
        let length = body.len();
        format!(
            "POST / HTTP/1.1\r\nhost: x\r\nx-amz-target: {target}\r\n{signed}content-length: {length}\r\n\r\n{body}"
        )
    };
    let list = "AmazonEC2ContainerServiceV20141113.ListTasks";
    assert_eq!(kind(&with(list, "{")).await, (400, "SerializationException".into()));
    assert_eq!(kind(&with(list, r#"{"maxResults":"x"}"#)).await, (400, "SerializationException".into()));
    assert_eq!(kind(&with("DynamoDB_20120810.GetItem", "{}")).await, (400, "UnknownOperationException".into()));
    assert_eq!(kind("GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.0, 404);
    assert_eq!(endpoint.handle.with(|cloud, _| cloud.log().last_number()), 0);
    let large = with(list, &" ".repeat(65 * 1024));
    assert_eq!(endpoint.client().await.send(&large).await.map(|response| response.status), Some(413));
}

#[tokio::test]
async fn a_scenario_is_played_by_the_controls() {
    let endpoint = Endpoint::start().await;
    let mut client = endpoint.client().await;
    let web = json!({ "cluster": "prod", "service": "web" });
    let tags = json!({ "team": "shop" });
    let api = json!({ "do": "create-service", "cluster": "prod", "service": "api", "desired": 2, "tags": tags });
    let killed = client.control("POST", "scenario", &json!({ "do": "kill-task", "service": web })).await;
    let steps = [
        api,
        json!({ "do": "create-cluster", "cluster": "test" }),
        json!({ "do": "set-desired", "service": web, "desired": 5 }),
        json!({ "do": "set-health", "service": web, "health": "UNHEALTHY" }),
        json!({ "do": "set-starting", "service": web, "starting": "never" }),
        json!({ "do": "set-lag", "lag": { "start-ms": "10..20", "stop-ms": 5 } }),
        json!({ "do": "redeploy", "service": web }),
    ];
    for step in steps {
        let played = client.control("POST", "scenario", &step).await;
        assert_eq!(played.status, 200, "{step} {}", played.body);
    }
    let seen = client.control("GET", "services?limit=1", &Value::Null).await.json();
    assert_eq!((&seen["next"], &seen["services"][0]["service"]["desiredCount"]), (&1.into(), &5.into()));
    let tasks = seen["services"][0]["tasks"].as_array().expect("tasks").clone();
    let arn = |id: &Value| format!("task/prod/{}", id.as_str().expect("an id"));
    let dead = tasks.iter().find(|task| task["lastStatus"] == "STOPPED").expect("the killed one");
    assert!(dead["taskArn"].as_str().expect("an ARN").ends_with(&arn(&killed.json()["task"])));
    assert_eq!(tasks.iter().filter(|task| task["healthStatus"] == "UNHEALTHY").count(), 1);
    let seen = client.control("GET", "services?from=1", &Value::Null).await.json();
    assert_eq!(seen["services"][0]["service"]["tags"], json!([{ "key": "team", "value": "shop" }]));
    let wrong = json!({ "do": "delete-service", "service": { "cluster": "prod" } });
    assert_eq!(client.control("POST", "scenario", &wrong).await.status, 400);
    let missing = json!({ "do": "delete-service", "service": { "cluster": "prod", "service": "x" } });
    assert!(client.control("POST", "scenario", &missing).await.body.contains("there is no active service 'x'"));
}

#[tokio::test]
async fn faults_time_log_and_reset_are_under_control() {
    let endpoint = Endpoint::start().await;
    let mut client = endpoint.client().await;
    let scripted = json!({ "matching": { "operation": "UpdateService" }, "nth": 2, "fault": { "kind": "throttled" } });
    client.control("POST", "faults/scripted", &scripted).await;
    assert_eq!(client.control("GET", "faults", &Value::Null).await.json()["scripted"][0]["nth"], 2);
    assert_eq!(client.control("POST", "faults/scripted", &json!({ "fault": { "kind": "x" } })).await.status, 400);
    client.control("DELETE", "faults", &Value::Null).await;
    for desired in 1..=3 {
        assert_eq!(client.scale(desired).await.expect("an answer").status, 200);
    }
    let page = client.control("GET", "log?from=2&limit=1", &Value::Null).await.json();
    assert_eq!((&page["entries"][0]["number"], &page["next"], &page["last-number"]), (&2.into(), &3.into(), &3.into()));
    assert_eq!(client.control("GET", "log?since=2", &Value::Null).await.status, 400);
    let before = client.control("GET", "time", &Value::Null).await.json()["now-ms"].as_u64().expect("a time");
    let after = client.control("POST", "time", &json!({ "skip-ms": 5_000 })).await.json()["now-ms"].as_u64();
    assert!(after.is_some_and(|after| after >= before + 5_000));
    client.control("POST", "reset", &Value::Null).await;
    let empty = client.control("GET", "services", &Value::Null).await.json();
    assert_eq!(empty, json!({ "services": [], "next": null }));
    assert_eq!(client.control("GET", "nothing", &Value::Null).await.status, 404);
}
