//! The socket in the data directory: for whoever is on the host itself, without token and network.
//!
//! The file's permissions (0600) say who may, and the kernel says who does. It speaks HTTP, so that `curl --unix-socket`
//! works as well as `balm`: everything below `/v1`, and the short addresses of the command line, which gets records as the
//! journal's lines.

use std::{fs, io, os::unix::fs::PermissionsExt as _, path::Path, sync::Arc};

use axum::{
    Extension, Router,
    body::Body,
    extract::State,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use balm_core::{
    line,
    name::{EpisodeId, IntentId, Seq},
};
use hyper::server::conn::http1;
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use serde::Deserialize;
use tokio::{
    net::{UnixListener, UnixStream},
    sync::{Semaphore, watch},
};

use super::{
    Admin,
    auth::Caller,
    events,
    problem::{self, Fields, Named, Problem},
    routes_operate, routes_state,
};
use crate::audit::Room;

/// The name of the socket in the data directory.
pub(crate) const SOCKET: &str = "balm.sock";

/// Connections at once; a person has one.
const CONNECTIONS: usize = 64;

/// How much one answer holds.
const PAGE: Room = Room { records: 10_000, bytes: 64 << 20 };

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
    let router = router(Arc::clone(&admin)).merge(super::router(admin));
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
    Caller::local(stream.peer_cred().map(|credentials| credentials.uid()).ok())
}

/// The addresses of the command line.
fn router(admin: Arc<Admin>) -> Router {
    Router::new()
        .route("/status", get(routes_state::get_status))
        .route("/stop", post(routes_operate::engage_stop))
        .route("/resume", post(routes_operate::release_stops))
        .route("/clock/accept", post(routes_operate::accept_clock))
        .route("/notify/test", post(routes_operate::test_notifier))
        .route("/reload", post(routes_operate::reload))
        .route("/plugins", get(plugins))
        .route("/records", get(records))
        .route("/tail", get(tail))
        .route("/chains/{id}", get(chain))
        .layer(axum::middleware::from_fn_with_state(Arc::clone(&admin), problem::finish))
        .with_state(admin)
}

/// Every plugin that arrived, in force or not, and why.
async fn plugins(State(admin): State<Arc<Admin>>) -> Response {
    axum::Json(admin.shown.all()).into_response()
}

/// Records by number, as lines of the journal.
async fn records(State(admin): State<Arc<Admin>>, Fields(page): Fields<Page>) -> Result<Response, Problem> {
    let most = page.most.unwrap_or(100).min(PAGE.records);
    let from = page.from.map(Seq);
    let newest = move |head: Seq| Seq(head.0.saturating_sub(most as u64) + 1);
    let find = move |audit: &crate::audit::Audit| {
        let from = from.unwrap_or_else(|| newest(audit.head()));
        audit.lines(from.max(audit.first()), most)
    };
    let lines = admin.ask(move |audit| Ok(find(audit)?)).await?;
    Ok(lines_of(&lines).into_response())
}

/// The records of an episode: by its number, by that of any of its records, or by that of an intent.
async fn chain(State(admin): State<Arc<Admin>>, Named(id): Named) -> Result<Response, Problem> {
    let seq = id.parse::<IntentId>().map(|intent| intent.proposed).ok().or_else(|| id.parse().map(Seq).ok());
    let seq = seq.ok_or_else(|| {
        Problem::malformed(format!("{id:?} is neither a record's number nor an intent, as in 1042.0"))
    })?;
    let find = move |audit: &crate::audit::Audit| {
        // The record that an episode began with may be no longer kept, and later ones may be.
        let line = if seq < audit.first() { None } else { audit.lines(seq, 1)?.pop() };
        let glance = line.as_deref().and_then(line::split).and_then(|(_, json)| line::glance(json));
        audit.episode(glance.and_then(|glance| glance.episode).unwrap_or(EpisodeId(seq)), Seq::ZERO, PAGE)
    };
    let lines = admin.ask(move |audit| Ok(find(audit)?)).await?;
    Ok(lines_of(&lines).into_response())
}

fn lines_of(lines: &[Vec<u8>]) -> Vec<u8> {
    lines.iter().flat_map(|line| line.iter().copied().chain([b'\n'])).collect()
}

/// The journal from a record on, or from now on, for as long as the caller listens.
async fn tail(State(admin): State<Arc<Admin>>, Fields(page): Fields<Page>) -> Result<Response, Problem> {
    let lines = events::follow(&admin, page.from.map(Seq))?;
    let stream = futures_util::stream::unfold(lines, |mut lines| async {
        let piece = lines.recv().await?;
        Some((Ok::<_, io::Error>(axum::body::Bytes::from(piece)), lines))
    });
    Ok(Body::from_stream(stream).into_response())
}
