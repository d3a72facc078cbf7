//! Whoever posts must show what its source asks for. What is not accepted is answered so that the sender does the right
//! thing, and leaves no record.

use std::{io, sync::Arc};

use balm_tests::harness::{
    Dir,
    cloud::Cloud,
    grafana::{Alert, body},
    host::{Files, TOKEN},
    http::{Answer, Connection},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::Value;

use crate::{
    payloads,
    signature::hmac_sha256,
    stage::{self, Shared, Stage},
};

const SIGNATURE: &str = "X-Grafana-Alerting-Signature";
const TIME: &str = "X-Signed-At";

/// Of the largest body that is taken.
const BODY_BYTES: usize = 64 << 10;

/// A source for each way to show who one is. A file of secrets with two lines is a rotation: both count.
const SOURCES: &str = r#"
[source.basic]
kind = "grafana"
user = "grafana"
password-file = "secrets"

[source.signed]
kind = "grafana"
hmac-key-file = "secrets"

[source.renamed]
kind = "grafana"
hmac-key-file = "secrets"
hmac-header = "X-Body-Mac"

[source.timed]
kind = "grafana"
hmac-key-file = "secrets"
hmac-timestamp-header = "X-Signed-At"

[source.rotated]
kind = "grafana"
token-file = "secrets"

[source.both]
kind = "grafana"
token-file = "token"
hmac-key-file = "secrets"
hmac-timestamp-header = "X-Signed-At"
"#;

/// The old and the new secret of every source that has two.
const SECRETS: [&str; 2] = ["s3cr3t", "secret"];

static STAGE: Shared = Shared::new();

fn stage() -> Arc<Stage> {
    STAGE.get("auth", |name| {
        let cloud = Cloud::start(31, stage::quick(), None);
        let files = Files::new(Dir::new(name), &cloud.endpoint());
        stage::without_bundled(&files);
        files.write("secrets", &SECRETS.join("\n"));
        let most = format!("max-body-kib = {}\nlisten =", BODY_BYTES >> 10);
        files.edit("balm.toml", |text| text.replace("listen =", &most) + SOURCES);
        Stage { host: files.start(), files, cloud }
    })
}

/// A request that is made piece by piece.
struct Post {
    source: &'static str,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    fingerprint: String,
}

impl Post {
    /// A good body, with nothing that says who sends it.
    fn to(source: &'static str) -> Self {
        let alert = Alert::firing("Auth", "web", stage::fingerprint());
        Self { source, headers: vec![], fingerprint: alert.fingerprint.clone(), body: body(&[alert]) }
    }

    fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    fn bearer(self, token: &str) -> Self {
        self.header("Authorization", format!("Bearer {token}"))
    }

    fn basic(self, user: &str, password: &str) -> Self {
        self.header("Authorization", format!("Basic {}", STANDARD.encode(format!("{user}:{password}"))))
    }

    fn signed(self, key: &str) -> Self {
        let signature = signature(key, None, &self.body);
        self.header(SIGNATURE, signature)
    }

    fn signed_at(self, key: &str, seconds: u64) -> Self {
        let signature = signature(key, Some(&seconds.to_string()), &self.body);
        self.header(TIME, seconds.to_string()).header(SIGNATURE, signature)
    }

    fn send(&self, stage: &Stage) -> Answer {
        let headers: Vec<(&str, &str)> = self.headers.iter().map(|(name, value)| (&**name, &**value)).collect();
        let mut connection = Connection::open(&stage.host.alerts).expect("the host listens");
        connection.send("POST", &format!("/v1/alerts/{}", self.source), &headers, &self.body).expect("an answer")
    }

    /// It is accepted and recorded.
    #[track_caller]
    fn assert_accepted(&self, stage: &Stage) {
        let answer = self.send(stage);
        assert_eq!(answer.status, 200, "{}", answer.body);
        let answered: Value = serde_json::from_str(&answer.body).expect("JSON");
        assert_eq!(answered["alerts"], 1);
        let seq = stage.until("the record", |records| {
            stage::reports(records, &self.fingerprint).first().map(|report| report.seq.0)
        });
        assert_eq!(answered["seq"], seq);
    }

    /// It is answered 401 with the one text that there is, and leaves no record.
    #[track_caller]
    fn assert_unauthorized(&self, stage: &Stage) {
        let answer = self.send(stage);
        let told = "not authorized: check the contact point's credentials and signature\n";
        assert_eq!((answer.status, answer.body.as_str()), (401, told));
        assert_no_record(stage, &self.fingerprint);
    }
}

/// Grafana's: over the body, or over the time, a colon and the body; in lower-case hexadecimal digits.
fn signature(key: &str, time: Option<&str>, body: &[u8]) -> String {
    let time = time.map(|time| format!("{time}:")).unwrap_or_default();
    hmac_sha256(key.as_bytes(), &[time.as_bytes(), body].concat()).to_string()
}

/// The time of this machine in seconds since 1970, and so the host's.
fn now() -> u64 {
    #[expect(clippy::disallowed_methods, reason = "a sender signs the real time")]
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    now.as_secs()
}

/// Nothing is recorded of an alert, once what was posted after it is.
#[track_caller]
fn assert_no_record(stage: &Stage, fingerprint: &str) {
    Post::to("grafana").bearer(TOKEN).assert_accepted(stage);
    let reports = stage::reports(&stage.records(), fingerprint);
    assert!(reports.is_empty(), "{reports:?}");
}

#[test]
fn a_bearer_token_must_be_the_sources() {
    let stage = stage();
    Post::to("grafana").bearer(TOKEN).assert_accepted(&stage);
    Post::to("grafana").assert_unauthorized(&stage);
    Post::to("grafana").bearer("s3cr3t-t0ke").assert_unauthorized(&stage);
    Post::to("grafana").bearer(SECRETS[0]).assert_unauthorized(&stage);
    Post::to("grafana").basic("grafana", TOKEN).assert_unauthorized(&stage);
    Post::to("grafana").header("Authorization", TOKEN).assert_unauthorized(&stage);
}

#[test]
fn user_and_password_must_be_the_sources() {
    let stage = stage();
    Post::to("basic").basic("grafana", SECRETS[0]).assert_accepted(&stage);
    Post::to("basic").basic("grafana", "wrong").assert_unauthorized(&stage);
    Post::to("basic").basic("grafanb", SECRETS[0]).assert_unauthorized(&stage);
    Post::to("basic").bearer(SECRETS[0]).assert_unauthorized(&stage);
    Post::to("basic").header("Authorization", "Basic %%%").assert_unauthorized(&stage);
    Post::to("basic").assert_unauthorized(&stage);
}

#[test]
fn a_signature_must_be_of_the_very_body() {
    let stage = stage();
    Post::to("signed").signed(SECRETS[0]).assert_accepted(&stage);
    Post::to("signed").signed("another").assert_unauthorized(&stage);
    Post::to("signed").assert_unauthorized(&stage);
    Post::to("signed").header(SIGNATURE, "no hexadecimal digits").assert_unauthorized(&stage);
    let mut changed = Post::to("signed").signed(SECRETS[0]);
    changed.body.push(b'\n');
    changed.assert_unauthorized(&stage);
}

#[test]
fn a_signature_stands_in_the_header_that_was_configured() {
    let stage = stage();
    let post = Post::to("renamed");
    let signature = signature(SECRETS[0], None, &post.body);
    post.header("x-body-mac", signature).assert_accepted(&stage);
    Post::to("renamed").signed(SECRETS[0]).assert_unauthorized(&stage);
}

#[test]
fn a_signature_that_covers_the_time_must_be_of_about_now() {
    let stage = stage();
    let minute = 60;
    Post::to("timed").signed_at(SECRETS[0], now()).assert_accepted(&stage);
    Post::to("timed").signed_at(SECRETS[0], now() - 4 * minute).assert_accepted(&stage);
    Post::to("timed").signed_at(SECRETS[0], now() + 4 * minute).assert_accepted(&stage);
    Post::to("timed").signed_at(SECRETS[0], now() - 6 * minute).assert_unauthorized(&stage);
    Post::to("timed").signed_at(SECRETS[0], now() + 6 * minute).assert_unauthorized(&stage);
    Post::to("timed").signed_at("another", now()).assert_unauthorized(&stage);
    // Without the time, with one that the signature does not cover, and with a new one on an old signature.
    Post::to("timed").signed(SECRETS[0]).assert_unauthorized(&stage);
    Post::to("timed").signed(SECRETS[0]).header(TIME, now().to_string()).assert_unauthorized(&stage);
    let mut moved = Post::to("timed").signed_at(SECRETS[0], now() - 6 * minute);
    moved.headers[0].1 = now().to_string();
    moved.assert_unauthorized(&stage);
}

#[test]
fn both_secrets_count_while_a_source_moves_from_the_old_to_the_new_one() {
    let stage = stage();
    for secret in SECRETS {
        Post::to("rotated").bearer(secret).assert_accepted(&stage);
        Post::to("basic").basic("grafana", secret).assert_accepted(&stage);
        Post::to("signed").signed(secret).assert_accepted(&stage);
        Post::to("timed").signed_at(secret, now()).assert_accepted(&stage);
    }
    Post::to("rotated").bearer("s3cr3tsecret").assert_unauthorized(&stage);
    Post::to("rotated").bearer("").assert_unauthorized(&stage);
}

#[test]
fn a_source_with_a_token_and_a_signature_wants_to_see_both() {
    let stage = stage();
    Post::to("both").bearer(TOKEN).signed_at(SECRETS[0], now()).assert_accepted(&stage);
    Post::to("both").bearer(TOKEN).assert_unauthorized(&stage);
    Post::to("both").signed_at(SECRETS[0], now()).assert_unauthorized(&stage);
    Post::to("both").bearer("wrong").signed_at(SECRETS[0], now()).assert_unauthorized(&stage);
    Post::to("both").bearer(TOKEN).signed_at("wrong", now()).assert_unauthorized(&stage);
}

/// What the operator configured for one source opens no other.
#[test]
fn a_credential_is_good_for_its_own_source_only() {
    let stage = stage();
    Post::to("rotated").bearer(TOKEN).assert_unauthorized(&stage);
    let unknown = Post::to("nobody").bearer(TOKEN);
    let answer = unknown.send(&stage);
    assert_eq!(answer.status, 404, "{}", answer.body);
    assert_no_record(&stage, &unknown.fingerprint);
}

/// Known answers, sent as they are: what is rightly signed gets further than the signature.
#[test]
fn known_signatures_are_judged_as_they_are_known() {
    let Some(vector) = payloads::shared("grafana/hmac-vector.json") else { return };
    let stage = stage();
    let vector: Value = serde_json::from_slice(&vector).expect("JSON");
    let cases = vector["cases"].as_array().expect("a list");
    assert!(!cases.is_empty());
    for case in cases {
        let text = |key: &str| case[key].as_str().unwrap_or_default().to_owned();
        let (key, time, known) = (text("secret"), case["timestamp"].as_str(), text("signature"));
        let body = text("body").into_bytes();
        assert_eq!(signature(&key, time, &body), known, "{case}");
        assert!(SECRETS.contains(&key.as_str()), "the sources of this test do not know {key:?}");
        let (source, wanted) = match time {
            // Signed long ago.
            Some(_) => ("timed", 401),
            None if serde_json::from_slice::<Value>(&body).is_ok() => ("signed", 200),
            None => ("signed", 400),
        };
        let mut post = Post { body, headers: vec![], ..Post::to(source) }.header(SIGNATURE, known);
        if let Some(time) = time {
            post = post.header(TIME, time);
        }
        let answer = post.send(&stage);
        assert_eq!(answer.status, wanted, "{case}: {}", answer.body);
    }
}

#[test]
fn a_wrong_token_is_told_before_the_body_is_sent() {
    let stage = stage();
    let mut connection = Connection::open(&stage.host.alerts).expect("the host listens");
    let head =
        "POST /v1/alerts/grafana HTTP/1.1\r\nhost: x\r\nauthorization: Bearer no\r\ncontent-length: 60000\r\n\r\n";
    connection.send_raw(head.as_bytes()).expect("the head can be sent");
    assert_eq!(connection.read().expect("an answer").status, 401);
}

#[test]
fn a_body_of_the_largest_size_is_taken_and_a_larger_one_is_refused_with_what_to_do() {
    let stage = stage();
    let mut largest = Post::to("grafana").bearer(TOKEN);
    largest.body.resize(BODY_BYTES, b' ');
    largest.assert_accepted(&stage);

    let mut larger = Post::to("grafana").bearer(TOKEN);
    larger.body.resize(BODY_BYTES + 1, b' ');
    assert_too_large(&larger.send(&stage));
    assert_no_record(&stage, &larger.fingerprint);
}

/// Nobody says beforehand how much it is.
#[test]
fn a_body_in_chunks_is_taken_up_to_the_largest_size() {
    let stage = stage();
    let mut post = Post::to("grafana").bearer(TOKEN);
    post.body.resize(BODY_BYTES, b' ');
    let answer = send_in_chunks(&stage, &post, 1_000).expect("an answer");
    assert_eq!(answer.status, 200, "{}", answer.body);

    let mut larger = Post::to("grafana").bearer(TOKEN);
    larger.body.resize(BODY_BYTES + 1, b' ');
    assert_too_large(&send_in_chunks(&stage, &larger, 1_000).expect("an answer"));
    assert_no_record(&stage, &larger.fingerprint);
}

#[track_caller]
fn assert_too_large(answer: &Answer) {
    assert_eq!(answer.status, 413, "{}", answer.body);
    assert_eq!(answer.body, "the body is larger than 64 KiB: set max alerts on the contact point\n");
}

fn send_in_chunks(stage: &Stage, post: &Post, bytes: usize) -> io::Result<Answer> {
    let mut connection = Connection::open(&stage.host.alerts)?;
    connection.send_raw(&head(post, "transfer-encoding: chunked"))?;
    for chunk in post.body.chunks(bytes) {
        let chunk = [format!("{:x}\r\n", chunk.len()).as_bytes(), chunk, b"\r\n"].concat();
        connection.send_raw(&chunk)?;
    }
    connection.send_raw(b"0\r\n\r\n")?;
    connection.read()
}

fn head(post: &Post, length: &str) -> Vec<u8> {
    let headers: String = post.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    format!("POST /v1/alerts/{} HTTP/1.1\r\nhost: x\r\n{headers}{length}\r\n\r\n", post.source).into_bytes()
}

/// A body that comes in drops, while others are served; and one whose sender goes in the middle.
#[test]
fn a_slow_body_holds_up_nobody_and_half_a_body_is_none() {
    let stage = stage();
    let (slow, broken) = (Post::to("grafana").bearer(TOKEN), Post::to("grafana").bearer(TOKEN));
    let mut connection = Connection::open(&stage.host.alerts).expect("the host listens");
    connection.send_raw(&head(&slow, &format!("content-length: {}", slow.body.len()))).expect("a head");
    let drops = slow.body.len().div_ceil(8);
    for drop in slow.body.chunks(drops) {
        connection.send_raw(drop).expect("a drop");
        Post::to("grafana").bearer(TOKEN).assert_accepted(&stage);
    }
    assert_eq!(connection.read().expect("an answer").status, 200);

    let mut connection = Connection::open(&stage.host.alerts).expect("the host listens");
    connection.send_raw(&head(&broken, &format!("content-length: {}", broken.body.len()))).expect("a head");
    connection.send_raw(&broken.body[..broken.body.len() - 1]).expect("all but a byte");
    drop(connection);
    assert_no_record(&stage, &broken.fingerprint);
}

#[test]
fn a_malformed_body_is_answered_with_what_is_wrong_and_leaves_no_record() {
    let stage = stage();
    let mut post = Post::to("grafana").bearer(TOKEN);
    post.body.truncate(post.body.len() - 2);
    let answer = post.send(&stage);
    assert_eq!(answer.status, 400);
    assert!(answer.body.starts_with("the body is no JSON object"), "{}", answer.body);
    assert_no_record(&stage, &post.fingerprint);
    let mut post = Post::to("grafana").bearer(TOKEN);
    post.body.splice(..0, [0xff, 0xfe]);
    assert_eq!(post.send(&stage).status, 400);
    assert_no_record(&stage, &post.fingerprint);
}

#[test]
fn no_secret_is_in_an_answer_a_record_or_the_log() {
    let stage = stage();
    Post::to("both").bearer("wrong").signed_at("wrong", now()).assert_unauthorized(&stage);
    Post::to("basic").basic("grafana", SECRETS[0]).assert_accepted(&stage);
    let told = stage.files.balm_says(&["audit", "tail", "--json", "--no-follow", "--from", "1", "--most", "10000"]);
    for secret in [TOKEN, SECRETS[0]] {
        assert!(!told.contains(secret) && !stage.host.log().contains(secret), "{secret} is told");
    }
}
