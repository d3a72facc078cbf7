//! The admin API as its callers see it: roles, records, chains, events, metrics, and the document that describes it all.

use std::{
    io::{BufRead as _, BufReader},
    net::TcpStream,
    process::Command,
    time::Duration,
};

use balm_core::record::{Fact, IntentEnd};
use balm_tests::harness::{
    Dir,
    cloud::Cloud,
    grafana::{Alert, body},
    host::{Files, Host},
    http::{Answer, Connection},
    wait,
};
use serde_json::{Value, json};

const WITHIN: Duration = Duration::from_secs(60);

/// A host with a model cloud and a credential for each role.
struct Scene {
    cloud: Cloud,
    files: Files,
    tokens: Vec<(&'static str, String)>,
}

/// A running host and the address of its admin API.
struct Api {
    host: Host,
    address: String,
    tokens: Vec<(&'static str, String)>,
}

impl Scene {
    fn new(name: &str) -> Self {
        let cloud = Cloud::start(1, balm_cloud::Options::default(), None);
        cloud.create_service("web", 4);
        let files = Files::new(Dir::new(name), &cloud.endpoint());
        let mut text = "\n[admin]\nlisten = \"127.0.0.1:0\"\n".to_owned();
        let mut tokens = Vec::new();
        for role in ["viewer", "operator", "approver", "admin"] {
            let made = files.balm_says(&["credential", &format!("the-{role}"), "--role", role, "--json"]);
            let made: Value = serde_json::from_str(&made).expect("JSON");
            tokens.push((role, made["token"].as_str().expect("a token").to_owned()));
            let hash = made["token-sha256"].as_str().expect("a hash");
            text +=
                &format!("[[admin.credential]]\nname = \"the-{role}\"\nrole = \"{role}\"\ntoken-sha256 = \"{hash}\"\n");
        }
        files.edit("balm.toml", |before| before + &text);
        Self { cloud, files, tokens }
    }

    fn start(&self) -> Api {
        let host = self.files.start();
        let address = host.ready["admin"].as_str().expect("the ready line names the admin API");
        let address = address.strip_prefix("http://").expect("an address").to_owned();
        Api { host, address, tokens: self.tokens.clone() }
    }
}

impl Api {
    /// Ask with the token of a role, or without one.
    fn ask(&self, role: &str, method: &str, path: &str, body: Option<&Value>) -> Answer {
        let token = self.tokens.iter().find(|(known, _)| *known == role).map(|(_, token)| format!("Bearer {token}"));
        let mut headers = Vec::new();
        if let Some(token) = &token {
            headers.push(("authorization", token.as_str()));
        }
        if body.is_some() {
            headers.push(("content-type", "application/json"));
        }
        let body = body.map(|body| body.to_string().into_bytes()).unwrap_or_default();
        let mut connection = Connection::open(&self.address).expect("the admin API listens");
        connection.send(method, path, &headers, &body).expect("the admin API answers")
    }

    /// What a viewer gets.
    fn get(&self, path: &str) -> Value {
        let answer = self.ask("viewer", "GET", path, None);
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        serde_json::from_str(&answer.body).expect("JSON")
    }

    /// Every record that a question with paging leads to.
    fn pages(&self, path: &str) -> Vec<Value> {
        let (mut all, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = self.get(&format!("{path}{cursor}"));
            all.extend(page["records"].as_array().expect("records").iter().cloned());
            let Some(next) = page["next"].as_u64() else { return all };
            cursor = format!("&cursor={next}");
        }
    }

    /// One metric's value.
    fn metric(&self, name: &str) -> Option<f64> {
        let answer = self.ask("viewer", "GET", "/metrics", None);
        let line = answer.body.lines().find(|line| line.starts_with(&format!("{name} ")));
        line.and_then(|line| line.rsplit(' ').next()?.parse().ok())
    }

    fn document(&self) -> Value {
        let answer = self.ask("nobody", "GET", "/openapi.json", None);
        assert_eq!(answer.status, 200);
        serde_json::from_str(&answer.body).expect("JSON")
    }

    /// Have one alert handled until its change is verified; the intent.
    fn handle_an_alert(&self, files: &Files) -> String {
        self.host.accept(&body(&[Alert::firing("HighCpu", "web", 1)]));
        wait::until("a verified intent", WITHIN, || {
            files.facts().iter().find_map(|fact| match fact {
                Fact::IntentEnded(ended) if ended.how == IntentEnd::Verified => Some(ended.intent.to_string()),
                _ => None,
            })
        })
    }
}

fn kinds(records: &[Value]) -> Vec<&str> {
    records.iter().map(|record| record["kind"].as_str().expect("a kind")).collect()
}

/// The operations of a document: method, path and description of each.
fn operations(document: &Value) -> Vec<(String, String, Value)> {
    let paths = document["paths"].as_object().expect("paths");
    let of_path = |(path, item): (&String, &Value)| {
        let item = item.as_object().expect("an item").clone();
        item.into_iter().map(|(method, it)| (method.to_uppercase(), path.clone(), it)).collect::<Vec<_>>()
    };
    paths.iter().flat_map(of_path).collect()
}

/// What changes what a host does.
const OPERATIONS: [&str; 7] =
    ["/v1/clock/accept", "/v1/notifiers/test", "/v1/reload", "/v1/stops", "/v1/stops/release", ROLL_BACK, DISABLE];
const ROLL_BACK: &str = "/v1/plugins/scale-ecs-service/rollback";
const DISABLE: &str = "/v1/plugins/scale-ecs-service/disable";

/// What brings code to a host, or chooses it.
const INSTALLS: [&str; 3] = [
    "/v1/plugins/scale-ecs-service/versions",
    "/v1/plugins/scale-ecs-service/activate",
    "/v1/plugins/scale-ecs-service/candidate",
];

/// What is said of approvals.
const APPROVALS: [&str; 3] = ["/v1/approvals", "/v1/approvals/deny", "/v1/approvals/withdraw"];

#[test]
fn every_documented_operation_is_served_to_the_roles_that_it_names_and_to_nobody_else() {
    let scene = Scene::new("api-roles");
    let api = scene.start();
    let mut denied = 0;
    for (method, path, operation) in operations(&api.document()) {
        let path = path.replace("{seq}", "1").replace("{episode}", "1").replace("{intent}", "1.0");
        let path = path.replace("{plugin}", "scale-ecs-service");
        if path == "/v1/events" {
            continue;
        }
        let body = operation.get("requestBody").map(|_| json!({}));
        let need = operation["security"][0]["token"][0].as_str();
        for role in ["nobody", "viewer", "operator", "approver", "admin"] {
            let answer = api.ask(role, &method, &path, body.as_ref());
            let may = match need {
                None => true,
                Some("viewer") => role != "nobody",
                Some("operator") => role == "operator" || role == "admin",
                Some("approver") => role == "approver" || role == "admin",
                Some("admin") => role == "admin",
                Some(other) => panic!("{method} {path} names the role {other}"),
            };
            let what = format!("{role}: {method} {path}: {} {}", answer.status, answer.body);
            let documented = operation["responses"].get(answer.status.to_string());
            assert!(documented.is_some(), "{what}: this answer is not documented");
            match (may, role) {
                (true, _) => assert!(!matches!(answer.status, 401 | 403 | 405 | 500..), "{what}"),
                (false, "nobody") => assert_eq!(answer.status, 401, "{what}"),
                (false, _) => {
                    assert_eq!(answer.status, 403, "{what}");
                    denied += 1;
                }
            }
            if answer.status >= 400 {
                let problem: Value = serde_json::from_str(&answer.body).expect("a problem");
                assert_eq!(problem["status"], answer.status, "{what}");
                let content = answer.headers.iter().find(|(name, _)| name == "content-type").expect("it has a type");
                assert_eq!(content.1, "application/problem+json", "{what}");
            }
        }
    }
    let twice = OPERATIONS.len() + APPROVALS.len();
    assert_eq!(denied, 2 * twice + 3 * INSTALLS.len(), "two roles at each, three where code is brought");
    let recorded = wait::until("a record of each attempt", WITHIN, || {
        let of_denials = |fact| if let Fact::AccessDenied(denied) = fact { Some(denied) } else { None };
        let recorded: Vec<_> = scene.files.facts().into_iter().filter_map(of_denials).collect();
        (recorded.len() == denied).then_some(recorded)
    });
    let needs = OPERATIONS.iter().map(|what| (what, "operator")).chain(APPROVALS.iter().map(|what| (what, "approver")));
    let needs = needs.chain(INSTALLS.iter().map(|what| (what, "admin")));
    for (what, need) in needs {
        let other = if need == "operator" { "the-approver (approver)" } else { "the-operator (operator)" };
        for who in ["the-viewer (viewer)", other] {
            let what = format!("POST {what}, which needs the role {need}");
            let count = recorded.iter().filter(|denied| denied.who == who && denied.what == what).count();
            assert_eq!(count, 1, "{who} {what}: {recorded:?}");
        }
    }
}

#[test]
fn strangers_are_refused_counted_and_leave_no_record() {
    let scene = Scene::new("api-strangers");
    let api = scene.start();
    let before = api.get("/v1/status")["seq"].as_u64().expect("a number");
    for headers in [
        vec![],
        vec![("authorization", "Bearer balm_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")],
        vec![("authorization", "Basic dGhlLWFkbWluOg==")],
        vec![("authorization", "Bearer")],
    ] {
        for (method, path) in [("GET", "/v1/status"), ("POST", "/v1/stops"), ("GET", "/metrics"), ("GET", "/v1/events")]
        {
            let mut connection = Connection::open(&api.address).expect("it listens");
            let answer = connection.send(method, path, &headers, b"").expect("it answers");
            assert_eq!(answer.status, 401, "{method} {path} {headers:?}");
            assert!(
                answer.headers.iter().any(|(name, value)| name == "www-authenticate" && value.starts_with("Bearer"))
            );
        }
    }
    assert_eq!(api.metric("balm_admin_unauthorized_total"), Some(16.0));
    assert_eq!(api.get("/v1/status")["seq"].as_u64(), Some(before), "strangers cannot make the journal grow");
}

#[test]
fn a_stop_over_the_api_holds_until_somebody_releases_it_and_says_who_and_why() {
    let scene = Scene::new("api-stops");
    let api = scene.start();
    let stop = api.ask("operator", "POST", "/v1/stops", Some(&json!({"scope": "everything", "why": "let me look"})));
    assert_eq!(stop.status, 200, "{}", stop.body);
    assert_eq!(api.get("/v1/status")["stopped"], true);
    let stops = api.get("/v1/stops");
    assert_eq!(stops["stops"][0]["who"], "the-operator (operator)");
    assert_eq!(stops["stops"][0]["why"], "let me look");
    assert!(scene.files.data().join("STOPPED").exists());
    api.host.accept(&body(&[Alert::firing("HighCpu", "web", 1)]));
    let judged = wait::until("a verdict", WITHIN, || api.pages("/v1/records?kind=intent-judged").into_iter().next());
    assert_eq!(judged["data"]["verdict"], json!({"refused": "stop"}), "{judged}");
    assert_eq!(scene.cloud.desired("web"), 4);

    let wrong = api.ask("operator", "POST", "/v1/stops/release", Some(&json!({"stop": 1, "why": "done"})));
    assert_eq!(wrong.status, 409, "{}", wrong.body);
    let number = &stops["stops"][0]["stop"];
    let release = api.ask("admin", "POST", "/v1/stops/release", Some(&json!({"stop": number, "why": "done"})));
    assert_eq!(release.status, 200, "{}", release.body);
    assert_eq!(api.get("/v1/status")["stopped"], false);
    let released = api.pages("/v1/records?kind=stop-released");
    assert_eq!(released[0]["data"]["by"], json!({"who": "the-admin (admin)", "why": "done"}));
    // The socket asks the same handlers, and its caller is who the kernel says.
    let policy = scene.files.balm_says(&["stop", "--policy", "web-cpu", "--why", "from the host itself"]);
    assert!(policy.contains("policy web-cpu is stopped"), "{policy}");
    let who = api.get("/v1/stops")["stops"][0]["who"].as_str().expect("a name").to_owned();
    assert!(who.starts_with("user ") && who.ends_with(" of this machine"), "{who}");
    let refused = scene.files.balm(&["resume", "--why", "nothing like this"]);
    let complained = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(complained, "balm: no such stop is in force; `balm status` lists them\n");
}

#[test]
fn an_intent_is_told_with_everything_that_led_to_it_and_followed_from_it() {
    let scene = Scene::new("api-chains");
    let api = scene.start();
    let intent = api.handle_an_alert(&scene.files);
    let chain = wait::until("the notice of the verified intent", WITHIN, || {
        let chain = api.get(&format!("/v1/intents/{intent}"));
        let count = kinds(chain["records"].as_array()?).iter().filter(|kind| **kind == "notice-sent").count();
        (count == 2).then_some(chain)
    });
    assert_eq!((&chain["state"], &chain["complete"]), (&json!("verified"), &json!(true)));
    let mut found = kinds(chain["records"].as_array().expect("records"));
    found.retain(|kind| *kind != "notice-sent");
    let wanted = ["alert-received", "evaluated", "target-looked", "intent-judged", "attempt-started", "attempt-ended"];
    assert_eq!(found[..wanted.len()], wanted, "{found:?}");
    assert!(found.contains(&"intent-ended"), "{found:?}");

    let episode = chain["episode"].as_u64().expect("a number");
    let of_records = api.pages(&format!("/v1/records?episode={episode}&limit=3"));
    let whole = api.get(&format!("/v1/episodes/{episode}"));
    let all = whole["records"].as_array().expect("records");
    assert!(
        of_records.len() > found.len() && all[..of_records.len()] == of_records[..],
        "paging loses and doubles nothing"
    );
    let proposed = intent.split('.').next().expect("a number");
    assert_eq!(
        api.get(&format!("/v1/episodes/{proposed}"))["episode"].as_u64(),
        Some(episode),
        "by any of its records"
    );

    let listed = api.get("/v1/episodes?state=firing&policy=web-cpu");
    assert_eq!(listed["episodes"][0]["episode"].as_u64(), Some(episode), "{listed}");
    assert_eq!(
        (&listed["episodes"][0]["name"], &listed["episodes"][0]["source"]),
        (&json!("HighCpu"), &json!("grafana"))
    );
    assert_eq!(listed["episodes"][0]["policies"][0]["past"][0]["intent"], json!(intent));
    assert_eq!(api.get("/v1/episodes?state=ended")["episodes"], json!([]));
    assert_eq!(api.get("/v1/intents")["intents"], json!([]), "it has ended");
    for absent in ["/v1/intents/1.0", &format!("/v1/intents/{proposed}.7"), "/v1/episodes/1", "/v1/records/999999"] {
        assert_eq!(api.ask("viewer", "GET", absent, None).status, 404, "{absent}");
    }
}

#[test]
fn records_are_found_by_number_kind_policy_and_time_in_either_order() {
    let scene = Scene::new("api-records");
    let api = scene.start();
    api.handle_an_alert(&scene.files);
    let all = api.pages("/v1/records?limit=2&to=12");
    let numbers: Vec<u64> = all.iter().map(|record| record["seq"].as_u64().expect("a number")).collect();
    assert_eq!(numbers, (1..=12).collect::<Vec<_>>());
    let newest = api.pages("/v1/records?limit=5&to=12&from=2&order=newest");
    let numbers: Vec<u64> = newest.iter().map(|record| record["seq"].as_u64().expect("a number")).collect();
    assert_eq!(numbers, (2..=12).rev().collect::<Vec<_>>());
    assert_eq!(api.get("/v1/records/7"), all[6]);
    assert_eq!(kinds(&api.pages("/v1/records?kind=genesis")), ["genesis"]);
    let of_policy = api.pages("/v1/records?policy=web-cpu");
    assert!(kinds(&of_policy).contains(&"evaluated") && kinds(&of_policy).contains(&"intent-judged"), "{of_policy:?}");

    let alert = &api.pages("/v1/records?kind=alert-received")[0];
    let (seq, at) = (alert["seq"].as_u64().expect("a number"), alert["at"].as_u64().expect("a time"));
    let text = |ms: u64| balm_core::time::Timestamp::from_millis(ms).to_string();
    let since = api.pages(&format!("/v1/records?since={}", text(at)));
    assert!(since[0]["seq"].as_u64() <= Some(seq) && since.iter().all(|record| record["at"].as_u64() >= Some(at)));
    let until = api.pages(&format!("/v1/records?until={}&limit=1000", text(at - 1)));
    assert_eq!(
        until.last().expect("records").get("seq").and_then(Value::as_u64),
        since[0]["seq"].as_u64().map(|s| s - 1)
    );
    for wrong in ["kind=nonsense", "limit=0", "limit=1001", "from=-1", "kinds=genesis", "since=yesterday", "order=up"] {
        assert_eq!(api.ask("viewer", "GET", &format!("/v1/records?{wrong}"), None).status, 400, "{wrong}");
    }
}

/// Events as they come in.
struct Events(BufReader<TcpStream>);

impl Events {
    fn listen(api: &Api, query: &str, last: Option<u64>) -> Self {
        let mut connection = TcpStream::connect(&api.address).expect("it listens");
        connection.set_read_timeout(Some(WITHIN)).expect("a time");
        let token = &api.tokens[0].1;
        let last = last.map(|last| format!("last-event-id: {last}\r\n")).unwrap_or_default();
        let head =
            format!("GET /v1/events{query} HTTP/1.1\r\nhost: balm\r\nauthorization: Bearer {token}\r\n{last}\r\n");
        std::io::Write::write_all(&mut connection, head.as_bytes()).expect("it reads");
        let mut events = Self(BufReader::new(connection));
        let status = events.line().expect("a status line");
        assert!(status.contains(" 200 "), "{status}");
        events
    }

    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        (self.0.read_line(&mut line).ok()? > 0).then(|| line.trim_end().to_owned())
    }

    /// The next event's id, type and record.
    fn next(&mut self) -> Option<(u64, String, Value)> {
        let (mut id, mut kind) = (None, None);
        loop {
            let line = self.line()?;
            if let Some(text) = line.strip_prefix("id: ") {
                id = text.parse().ok();
            } else if let Some(text) = line.strip_prefix("event: ") {
                kind = Some(text.to_owned());
            } else if let Some(text) = line.strip_prefix("data: ") {
                return Some((id?, kind?, serde_json::from_str(text).expect("a record")));
            }
        }
    }
}

#[test]
fn the_live_log_misses_and_doubles_nothing_over_a_broken_connection() {
    let scene = Scene::new("api-events");
    let api = scene.start();
    let mut events = Events::listen(&api, "?from=1", None);
    for wanted in 1..=4 {
        let (id, kind, record) = events.next().expect("an event");
        assert_eq!((id, record["seq"].as_u64(), record["kind"].as_str()), (wanted, Some(wanted), Some(kind.as_str())));
    }
    drop(events);
    let mut events = Events::listen(&api, "", Some(4));
    assert_eq!(events.next().expect("an event").0, 5);
    drop(events);
    // A browser that comes back asks as at first, and says how far it has come.
    let mut events = Events::listen(&api, "?from=1", Some(4));
    assert_eq!(events.next().expect("an event").0, 5);
    let next = 1 + api.get("/v1/status")["seq"].as_u64().expect("a number");
    let mut awaited = Events::listen(&api, &format!("?from={next}&kind=stop-engaged"), None);
    let beyond = api.ask("viewer", "GET", "/v1/events?from=99999", None);
    assert_eq!(beyond.status, 404, "{}", beyond.body);
    assert!(beyond.body.contains("there is no record 99999 to begin with: the next one is "), "{}", beyond.body);
    let mut stops = Events::listen(&api, "?kind=stop-engaged", None);
    let engage = json!({"scope": {"policy": "web-cpu"}, "why": "watch me"});
    assert_eq!(api.ask("operator", "POST", "/v1/stops", Some(&engage)).status, 200);
    let (_, kind, record) = stops.next().expect("it comes without asking again");
    assert_eq!((kind.as_str(), &record["data"]["by"]["why"]), ("stop-engaged", &json!("watch me")));
    assert_eq!(awaited.next().expect("what was waited for").2, record);
    // A host that ends does not wait for whoever listens.
    api.host.stop();
    while stops.next().is_some() {}
}

#[test]
fn listeners_beyond_the_cap_are_told_so_and_a_place_is_free_again_when_one_leaves() {
    let scene = Scene::new("api-listeners");
    let api = scene.start();
    let mut all: Vec<Events> = (0..32).map(|_| Events::listen(&api, "?from=1", None)).collect();
    let answer = api.ask("viewer", "GET", "/v1/events", None);
    assert_eq!(answer.status, 503, "{}", answer.body);
    all.pop();
    wait::until("a place", WITHIN, || {
        let mut connection = Connection::open(&api.address).expect("it listens");
        let token = format!("Bearer {}", api.tokens[0].1);
        let answer = connection.send("GET", "/v1/events", &[("authorization", &token)], b"").expect("it answers");
        (answer.status == 200).then_some(())
    });
}

#[test]
fn metrics_count_what_happened_and_carry_no_text_of_alerts() {
    let scene = Scene::new("api-metrics");
    let api = scene.start();
    let mut secret = Alert::firing("HighCpu", "web", 1);
    secret.labels.push(("canary".into(), "canary-label-value".into()));
    api.host.accept(&body(&[secret]));
    let delivered = "balm_notices_total{notifier=\"log\",result=\"delivered\"}";
    wait::until("the notices", WITHIN, || (api.metric(delivered) >= Some(2.0)).then_some(()));
    for (name, value) in [
        ("balm_alerts_received_total{source=\"grafana\",reception=\"opened\"}", 1.0),
        ("balm_verdicts_total{policy=\"web-cpu\",verdict=\"admitted\",check=\"\"}", 1.0),
        ("balm_attempts_total{result=\"done\"}", 1.0),
        ("balm_intents_ended_total{how=\"verified\"}", 1.0),
        ("balm_intents_proposed_total{policy=\"web-cpu\"}", 1.0),
        ("balm_records_total{kind=\"alert-received\"}", 1.0),
        ("balm_alert_request_seconds_count", 1.0),
        ("balm_policies{mode=\"enforce\"}", 1.0),
        ("balm_episodes", 1.0),
        ("balm_stopped", 0.0),
        ("balm_journal_writable", 1.0),
        ("balm_account_usable{account=\"123456789012\",region=\"eu-central-1\"}", 1.0),
    ] {
        assert_eq!(api.metric(name), Some(value), "{name}");
    }
    let unauthorized = balm_tests::harness::http::post(&api.host.alerts, "/v1/alerts/grafana", &[], b"{}");
    assert_eq!(unauthorized.expect("an answer").status, 401);
    assert_eq!(api.metric("balm_alert_requests_refused_total{reason=\"unauthorized\"}"), Some(1.0));
    let text = api.ask("viewer", "GET", "/metrics", None).body;
    for stranger in ["canary", "HighCpu", "c0ffee", "production"] {
        assert!(!text.contains(stranger), "{stranger} is in the metrics");
    }
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (name, value) = line.rsplit_once(' ').expect("a name and a value");
        assert!(name.starts_with("balm_") || name.starts_with("process_"), "{line}");
        assert!(value.parse::<f64>().is_ok(), "{line}");
    }
}

#[test]
fn metrics_are_open_to_anyone_only_where_the_configuration_says_so() {
    let scene = Scene::new("api-open-metrics");
    assert_eq!(scene.start().ask("nobody", "GET", "/metrics", None).status, 401);
    scene.files.edit("balm.toml", |text| text.replace("[admin]\n", "[admin]\nmetrics = \"anyone\"\n"));
    let api = scene.start();
    assert_eq!(api.ask("nobody", "GET", "/metrics", None).status, 200);
    assert_eq!(api.ask("nobody", "GET", "/v1/status", None).status, 401);
}

#[test]
fn health_and_readiness_need_no_token_and_say_how_far_the_host_is() {
    let scene = Scene::new("api-health");
    let first = scene.start();
    assert_eq!(first.ask("nobody", "GET", "/healthz", None).body, "ok\n");
    let last = first.get("/v1/status")["seq"].as_u64().expect("a number");
    first.host.stop();
    let second = scene.start();
    let answer = second.ask("nobody", "GET", "/readyz", None);
    assert_eq!(answer.status, 200, "{}", answer.body);
    let readiness: Value = serde_json::from_str(&answer.body).expect("JSON");
    assert_eq!((&readiness["ready"], &readiness["because"]), (&json!(true), &json!([])));
    // The first host's last record is the one of its end.
    assert_eq!(readiness["verified-seq"].as_u64(), Some(last + 1), "{readiness}");
    assert!(readiness["seq"].as_u64() > Some(last + 1), "{readiness}");
}

#[test]
fn garbage_is_answered_with_a_documented_problem_and_never_with_a_5xx() {
    let scene = Scene::new("api-garbage");
    let api = scene.start();
    let token = format!("Bearer {}", api.tokens.iter().find(|(role, _)| *role == "admin").expect("an admin").1);
    let send = |method: &str, path: &str, kind: &str, body: &[u8]| {
        let headers = [("authorization", token.as_str()), ("content-type", kind)];
        let mut connection = Connection::open(&api.address).expect("it listens");
        connection.send(method, path, &headers, body).expect("it answers").status
    };
    let json = "application/json";
    assert_eq!(send("POST", "/v1/stops", json, b"{"), 400);
    assert_eq!(send("POST", "/v1/stops", json, b"[]"), 400);
    assert_eq!(send("POST", "/v1/stops", json, br#"["everything","in the order of the keys"]"#), 400);
    assert_eq!(send("POST", "/v1/clock/accept", json, br#" ["why"]"#), 400);
    assert_eq!(send("POST", "/v1/stops", json, b"\xff\xfe"), 400);
    assert_eq!(send("POST", "/v1/stops", json, br#"{"scope":"everything","why":""}"#), 400);
    assert_eq!(send("POST", "/v1/stops", json, br#"{"scope":"everything","why":"x","x":1}"#), 400);
    assert_eq!(send("POST", "/v1/stops", json, br#"{"scope":{"policy":"No Name"},"why":"x"}"#), 400);
    assert_eq!(send("POST", "/v1/stops", json, format!("\"{}\"", "x".repeat(1001)).as_bytes()), 400);
    assert_eq!(send("POST", "/v1/stops", "application/x-www-form-urlencoded", b"scope=everything"), 415);
    assert_eq!(send("POST", "/v1/stops", json, &vec![b' '; (64 << 10) + 1]), 413);
    assert_eq!(send("POST", "/v1/stops/release", json, br#"{"why":"x"}"#), 400);
    assert_eq!(send("POST", "/v1/stops/release", json, br#"{"stop":9007199254740992,"why":"x"}"#), 400);
    assert_eq!(send("GET", "/v1/records/%ff", json, b""), 400);
    assert_eq!(send("GET", "/v1/records/0", json, b""), 404);
    assert_eq!(send("GET", "/v1/intents/0.0", json, b""), 404);
    assert_eq!(send("GET", "/v1/intents/99999999999999999999.0", json, b""), 400);
    assert_eq!(send("GET", "/v1/nothing", json, b""), 404);
    assert_eq!(send("DELETE", "/v1/stops", json, b""), 405);
    assert_eq!(api.get("/v1/stops")["stops"], json!([]), "nothing of it was done");
}

#[test]
fn what_no_operation_takes_behind_the_question_mark_is_refused_by_each_of_them() {
    let scene = Scene::new("api-parameters");
    let api = scene.start();
    for (method, path, operation) in operations(&api.document()) {
        if operation.get("security").is_none() {
            continue;
        }
        let path = path.replace("{seq}", "1").replace("{episode}", "1").replace("{intent}", "1.0");
        let path = path.replace("{plugin}", "scale-ecs-service") + "?nonsense=1";
        let body = operation.get("requestBody").map(|_| json!({}));
        let answer = api.ask("admin", &method, &path, body.as_ref());
        assert_eq!(answer.status, 400, "{method} {path}: {}", answer.body);
        let told = ["question mark", "nonsense"].iter().any(|words| answer.body.contains(words));
        assert!(told, "{method} {path}: {}", answer.body);
    }
    for limit in ["-1", "abc", "0", "100000"] {
        let answer = api.ask("viewer", "GET", &format!("/v1/records?limit={limit}"), None);
        assert_eq!(answer.status, 400);
        assert!(answer.body.contains("limit") && !answer.body.contains("a record's number"), "{}", answer.body);
    }
}

#[test]
fn schemathesis_finds_no_5xx_and_no_undocumented_answer() {
    let Some(program) = std::env::var_os("BALM_TEST_SCHEMATHESIS") else {
        println!("skipped: set BALM_TEST_SCHEMATHESIS to the program schemathesis (PyPI) to run it");
        return;
    };
    let scene = Scene::new("api-schemathesis");
    let api = scene.start();
    api.handle_an_alert(&scene.files);
    for role in ["admin", "viewer"] {
        let token = &api.tokens.iter().find(|(known, _)| *known == role).expect("a role").1;
        let output = Command::new(&program)
            .args(["run", &format!("http://{}/openapi.json", api.address)])
            .args(["--header", &format!("Authorization: Bearer {token}")])
            // It never ends by design; the tests above listen to it.
            .args(["--exclude-path", "/v1/events"])
            .args(["--checks", CHECKS, "--max-examples", "50", "--generation-deterministic", "--no-color"])
            .current_dir(scene.files.data())
            .output()
            .expect("schemathesis runs");
        let said = String::from_utf8_lossy(&output.stdout);
        println!("{said}");
        assert!(output.status.success(), "as {role}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

/// What is checked: no 5xx, that status, media type, headers and body of every answer are as documented, that nothing is
/// answered without a token that needs one, and that what is not documented is refused.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,\
                      response_schema_conformance,unsupported_method,allow_header_conformance,\
                      ignored_auth,negative_data_rejection";
