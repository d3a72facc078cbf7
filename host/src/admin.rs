//! The socket in the data directory: for whoever is on the host itself, without token and network.
//!
//! The file's permissions (0600) say who may, and the kernel says who does. It speaks HTTP, so that `curl --unix-socket`
//! works as well as `balm`. It owns no rule; it hands what people want to the engine.

use std::{fs, io, os::unix::fs::PermissionsExt as _, path::Path, sync::Arc, time::Duration};

use axum::{
    Extension, Json, Router,
    body::Body,
    extract::{Path as UrlPath, Query, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use balm_core::{
    input::{Input, Reply, Resume},
    line,
    name::{EpisodeId, IntentId, Seq},
    record::{Person, StopScope},
};
use hyper::server::conn::http1;
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use serde::{Deserialize, Serialize};
use tokio::{
    net::{UnixListener, UnixStream},
    sync::{Semaphore, watch},
};

use crate::{
    audit::Audit,
    engine::Inbox,
    journal::Log,
    kill_switch::KillSwitch,
    notify::Notifiers,
    reload::{Requests, Shown},
    status::{Numbers, Status, View},
};

/// The name of the socket in the data directory.
pub(crate) const SOCKET: &str = "balm.sock";

/// Connections at once; a person has one.
const CONNECTIONS: usize = 64;

/// Records of one answer.
const PAGE_MOST: usize = 10_000;

/// How long a person waits for the record of a stop that is in force already.
const RECORD_WITHIN: Duration = Duration::from_secs(2);

/// What the routes need.
pub(crate) struct Admin {
    pub(crate) inbox: Inbox,
    pub(crate) reload: Requests,
    pub(crate) plugins: Arc<Shown>,
    pub(crate) log: Arc<Log>,
    pub(crate) audit: Audit,
    pub(crate) status: Arc<Status>,
    pub(crate) kill_switch: Arc<KillSwitch>,
    pub(crate) notifiers: Arc<Notifiers>,
}

/// Who is at the other end, as the kernel says.
#[derive(Clone, Debug)]
struct Caller(String);

/// What is halted, and why.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct StopRequest {
    pub(crate) scope: StopScope,
    pub(crate) why: String,
}

/// What is no longer halted, and why.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct ResumeRequest {
    /// A stop by its number; otherwise all that halt exactly `scope`.
    #[serde(default)]
    pub(crate) stop: Option<Seq>,
    #[serde(default)]
    pub(crate) scope: Option<StopScope>,
    pub(crate) why: String,
}

/// Why something is accepted or done.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Why {
    pub(crate) why: String,
}

/// Which notifier is to be tested.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct NotifyTest {
    pub(crate) notifier: String,
}

/// What came of it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Done {
    /// In words.
    pub(crate) done: String,
}

/// How the host is.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Report {
    #[serde(flatten)]
    numbers: Numbers,
    /// The last record that the audit database has.
    audit_seq: Seq,
    /// Everything is stopped.
    stopped: bool,
    #[serde(flatten)]
    view: View,
}

#[derive(Debug, Deserialize)]
struct Page {
    from: Option<u64>,
    most: Option<usize>,
}

/// Bind the socket; the file of an earlier process is replaced, since the data directory is locked.
pub(crate) fn bind(data: &Path) -> io::Result<UnixListener> {
    let path = data.join(SOCKET);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let listener = UnixListener::bind(&path)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Serve until `ending` says so.
pub(crate) async fn serve(listener: UnixListener, admin: Arc<Admin>, mut ending: watch::Receiver<bool>) {
    let router = router(admin);
    let connections = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let permit = Arc::clone(&connections).acquire_owned().await.expect("the semaphore is never closed");
        let stream = tokio::select! {
            _ = ending.wait_for(|ending| *ending) => return,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(_) => continue,
            },
        };
        let router = router.clone().layer(Extension(caller(&stream)));
        let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
        let mut ending = ending.clone();
        tokio::spawn(async move {
            tokio::select! {
                _ = connection => {}
                _ = ending.wait_for(|ending| *ending) => {}
            }
            drop(permit);
        });
    }
}

fn caller(stream: &UnixStream) -> Caller {
    let uid = stream.peer_cred().map(|credentials| credentials.uid());
    Caller(uid.map_or_else(|_| "an unknown user of this machine".into(), |uid| format!("user {uid} of this machine")))
}

fn router(admin: Arc<Admin>) -> Router {
    Router::new()
        .route("/status", get(status))
        .route("/stop", post(stop))
        .route("/resume", post(resume))
        .route("/clock/accept", post(accept_clock))
        .route("/notify/test", post(test_notifier))
        .route("/reload", post(reload))
        .route("/plugins", get(plugins))
        .route("/records", get(records))
        .route("/tail", get(tail))
        .route("/chains/{id}", get(chain))
        .with_state(admin)
}

async fn status(State(admin): State<Arc<Admin>>) -> Response {
    let report = Report {
        numbers: admin.status.numbers(),
        audit_seq: admin.audit.head(),
        stopped: admin.kill_switch.is_engaged(),
        view: admin.status.view(),
    };
    Json(report).into_response()
}

async fn stop(
    State(admin): State<Arc<Admin>>,
    Extension(Caller(who)): Extension<Caller>,
    Json(StopRequest { scope, why }): Json<StopRequest>,
) -> Response {
    let by = Person { who, why };
    let everything = scope == StopScope::Everything;
    let mut warning = String::new();
    if everything && let Err(error) = admin.kill_switch.engage(&by) {
        warning = format!("; the file STOPPED could not be written ({error}), so it does not outlive this process yet");
    }
    let what = format!("{scope} is stopped");
    let recorded = tokio::time::timeout(RECORD_WITHIN, admin.inbox.ask(Input::Stop(scope, by.clone()))).await;
    // Once more: somebody who released an earlier stop in between may have released this one with it.
    if everything {
        let _ = admin.kill_switch.engage(&by);
    }
    match recorded {
        Ok(Ok(Reply::Recorded(seq))) => done(format!("{what}; record {seq}{warning}")),
        Ok(Ok(Reply::Refused(why) | Reply::Overloaded(why))) => refused(why),
        _ if everything => done(format!("{what}; the record follows once the journal can be written{warning}")),
        _ => unavailable("the journal cannot be written now; stop everything instead, which needs no record first"),
    }
}

async fn resume(
    State(admin): State<Arc<Admin>>,
    Extension(Caller(who)): Extension<Caller>,
    Json(ResumeRequest { stop, scope, why }): Json<ResumeRequest>,
) -> Response {
    let resume = match (stop, scope) {
        (Some(stop), None) => Resume::Stop(stop),
        (None, Some(scope)) => Resume::Scope(scope),
        (None, None) | (Some(_), Some(_)) => return refused("say either a stop's number or a scope".into()),
    };
    let asked = tokio::time::timeout(RECORD_WITHIN, admin.inbox.ask(Input::Resume(resume, Person { who, why }))).await;
    match asked {
        Ok(Ok(Reply::Recorded(seq))) => {
            let still = admin.status.view().stops.iter().any(|stop| stop.scope == StopScope::Everything);
            if !still && let Err(error) = admin.kill_switch.release() {
                return unavailable(&format!(
                    "the stop is released in record {seq}, but the file STOPPED cannot be removed: {error}"
                ));
            }
            done(format!("released; record {seq}"))
        }
        Ok(Ok(Reply::Refused(why) | Reply::Overloaded(why))) => refused(why),
        _ => unavailable("the journal cannot be written now, and without a record nothing is released"),
    }
}

async fn accept_clock(
    State(admin): State<Arc<Admin>>,
    Extension(Caller(who)): Extension<Caller>,
    Json(Why { why }): Json<Why>,
) -> Response {
    match admin.inbox.ask(Input::ClockAccepted(Person { who, why })).await {
        Ok(Reply::Recorded(seq)) => done(format!("the clock is accepted; record {seq}")),
        Ok(Reply::Refused(why) | Reply::Overloaded(why)) => refused(why),
        Err(error) => unavailable(&error.to_string()),
    }
}

/// A test changes nothing and is no record: it says nothing about what happened.
async fn test_notifier(
    State(admin): State<Arc<Admin>>,
    Extension(Caller(who)): Extension<Caller>,
    Json(NotifyTest { notifier }): Json<NotifyTest>,
) -> Response {
    admin.notifiers.test(&notifier, &who).await.map_or_else(refused, done)
}

async fn reload(
    State(admin): State<Arc<Admin>>,
    Extension(Caller(who)): Extension<Caller>,
    Json(Why { why }): Json<Why>,
) -> Response {
    admin.reload.reload(Person { who, why }).await.map_or_else(refused, done)
}

async fn plugins(State(admin): State<Arc<Admin>>) -> Response {
    Json(admin.plugins.all()).into_response()
}

/// Records by number, as lines of the journal.
async fn records(State(admin): State<Arc<Admin>>, Query(page): Query<Page>) -> Response {
    let most = page.most.unwrap_or(100).min(PAGE_MOST);
    let from = page.from.map_or_else(|| Seq(admin.audit.head().0.saturating_sub(most as u64) + 1), Seq);
    blocking(move || admin.audit.lines(from, most)).await
}

/// The records of an episode: by its number, by that of any of its records, or by that of an intent.
async fn chain(State(admin): State<Arc<Admin>>, UrlPath(id): UrlPath<String>) -> Response {
    let seq = id.parse::<IntentId>().map(|intent| intent.proposed).ok().or_else(|| id.parse().map(Seq).ok());
    let Some(seq) = seq else {
        return refused(format!("{id:?} is neither a record's number nor an intent, as in 1042.0"));
    };
    blocking(move || {
        let Some(line) = admin.audit.lines(seq, 1)?.pop() else { return Ok(Vec::new()) };
        let episode = line::split(&line).and_then(|(_, json)| line::glance(json)).and_then(|glance| glance.episode);
        admin.audit.episode(episode.unwrap_or(EpisodeId(seq)), PAGE_MOST)
    })
    .await
}

/// Ask sled where it holds up nobody: it reads files.
async fn blocking(ask: impl FnOnce() -> Result<Vec<Vec<u8>>, crate::audit::AuditError> + Send + 'static) -> Response {
    match tokio::task::spawn_blocking(ask).await {
        Ok(Ok(lines)) => lines_of(&lines).into_response(),
        Ok(Err(error)) => unavailable(&error.to_string()),
        Err(_) => unavailable("the audit database could not be asked"),
    }
}

fn lines_of(lines: &[Vec<u8>]) -> Vec<u8> {
    lines.iter().flat_map(|line| line.iter().copied().chain([b'\n'])).collect()
}

/// The journal from a record on, or from now on, for as long as the caller listens.
async fn tail(State(admin): State<Arc<Admin>>, Query(page): Query<Page>) -> Response {
    let start = match page.from.map(|from| admin.log.position(Seq(from))).transpose() {
        Ok(start) => start.unwrap_or_else(|| admin.log.end()),
        Err(error) => return refused(error.to_string()),
    };
    let (sender, receiver) = tokio::sync::mpsc::channel::<Vec<u8>>(16);
    tokio::spawn(follow(Arc::clone(&admin.log), start, sender));
    let stream = futures_util::stream::unfold(receiver, |mut receiver| async {
        let lines = receiver.recv().await?;
        Some((Ok::<_, io::Error>(axum::body::Bytes::from(lines)), receiver))
    });
    Body::from_stream(stream).into_response()
}

async fn follow(log: Arc<Log>, mut at: crate::journal::Position, to: tokio::sync::mpsc::Sender<Vec<u8>>) {
    let mut follow = log.follow();
    loop {
        follow.borrow_and_update();
        let Ok((lines, next)) = log.lines(at, 256 << 10) else { return };
        if !lines.is_empty() {
            at = next;
            if to.send(lines).await.is_err() {
                return;
            }
            continue;
        }
        tokio::select! {
            changed = follow.changed() => if changed.is_err() { return },
            () = to.closed() => return,
        }
    }
}

fn done(done: String) -> Response {
    Json(Done { done }).into_response()
}

fn refused(why: String) -> Response {
    (StatusCode::BAD_REQUEST, why).into_response()
}

fn unavailable(why: &str) -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, why.to_owned()).into_response()
}
