//! The live log: the journal's records as server-sent events, from any record on (WHATWG HTML, 9.2).

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    extract::State,
    http::HeaderMap,
    response::sse::{Event, KeepAlive, Sse},
};
use balm_core::{line, name::Seq, record::Record};
use futures_util::{Stream, StreamExt as _, stream};
use serde::Deserialize;
use tokio::sync::mpsc;

use super::{
    Admin,
    auth::Reader,
    problem::{Fields, PROBLEM, Problem, Written},
    schema::{self, Number},
};
use crate::journal::{Log, LogError, Position};

/// Listeners at once: each holds a connection for as long as it likes.
pub(super) const LISTENERS: usize = 32;

/// How often something is sent although nothing happens, so that nobody in between closes the connection.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// Bytes of the journal that are read at once, and pieces that wait for a slow listener.
const READ_BYTES: usize = 256 << 10;
const PIECES: usize = 4;

/// How long a listener may take nothing before it is let go.
const STALLED: Duration = Duration::from_secs(60);

/// From where on, and what.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Start {
    /// Begin with this record, or wait for it if it is the next one; without it, and without the header Last-Event-ID, with the
    /// next one.
    #[param(schema_with = schema::number, required = false)]
    from: Option<Number>,
    /// Only records of this kind.
    #[param(schema_with = schema::kind, required = false)]
    kind: Option<String>,
}

/// Follow the journal.
///
/// Every record is an event: its id is the record's number, its type the kind, its data the record. A client that comes
/// back sends the header Last-Event-ID, as browsers do by themselves, and misses nothing: it counts before `from`, which such a
/// client repeats.
#[utoipa::path(
    get, path = "/v1/events", tag = "records", security(("token" = ["viewer"])),
    params(Start, ("Last-Event-ID" = Option<String>, Header, description = "Begin behind this record.")),
    responses(
        (
            status = 200, description = "Events, until the client or the host ends.",
            content_type = "text/event-stream", body = String,
        ),
        (
            status = 404, description = "The record to begin with is not there and is not the next one, or is no longer kept.",
            body = Written, content_type = PROBLEM,
        ),
    ),
)]
pub(super) async fn follow_events(
    State(admin): State<Arc<Admin>>,
    _: Reader,
    headers: HeaderMap,
    Fields(Start { from, kind }): Fields<Start>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Problem> {
    let kind = schema::read_kind(kind)?;
    let place = Arc::clone(&admin.questions.listeners).try_acquire_owned();
    let place = place.map_err(|_| Problem::unavailable(format!("{LISTENERS} clients listen already")))?;
    let last = headers.get("last-event-id").and_then(|value| value.to_str().ok());
    let last = last.map(str::parse::<Number>).transpose().map_err(|error| Problem::malformed(error.to_string()))?;
    // Whoever comes back asks as at first, with `from`, and says in the header how far it has come.
    let from = last.map(|last| last.seq().next()).or(from.map(Number::seq));
    let lines = follow(&admin, from)?;
    let events = stream::unfold((lines, place), |(mut lines, place)| async {
        let piece = lines.recv().await?;
        Some((events_of(&piece), (lines, place)))
    });
    let wanted = move |(record, _): &(Record, String)| kind.as_deref().is_none_or(|kind| kind == record.fact.kind());
    let events = events.flat_map(move |events| {
        let wanted = wanted.clone();
        stream::iter(events.into_iter().filter(move |event| wanted(event)).map(|event| Ok(event_of(event))))
    });
    let keep_alive = KeepAlive::new().interval(HEARTBEAT).text("nothing happens");
    Ok(Sse::new(events).keep_alive(keep_alive))
}

fn events_of(lines: &[u8]) -> Vec<(Record, String)> {
    let read = |text: &[u8]| {
        let (_, json) = line::split(text)?;
        let (record, _) = line::read_json(json).ok()?;
        Some((record, String::from_utf8_lossy(json).into_owned()))
    };
    lines.split(|c| *c == b'\n').filter_map(read).collect()
}

fn event_of((record, json): (Record, String)) -> Event {
    Event::default().id(record.seq.to_string()).event(record.fact.kind()).data(json)
}

/// Whole lines of the journal from a record on, or from now on, until the host ends or nobody takes them.
///
/// The next record can be waited for. One behind it is a mistake: whoever has seen the one before has seen another journal, or one
/// whose end is lost, and must not miss without a word what was written instead.
pub(super) fn follow(admin: &Admin, from: Option<Seq>) -> Result<mpsc::Receiver<Vec<u8>>, Problem> {
    let next = admin.log.durable().seq.next();
    if let Some(from) = from.filter(|from| *from > next) {
        return Err(Problem::absent(format!("there is no record {from} to begin with: the next one is {next}")));
    }
    let start = from.map(|from| admin.log.position(from.max(Seq::ZERO.next()))).transpose();
    let start = start.map_err(|error| match error {
        LogError::Dropped(_) => Problem::absent(error.to_string()),
        error => Problem::unavailable(error.to_string()),
    })?;
    let start = start.unwrap_or_else(|| admin.log.end());
    let (sender, receiver) = mpsc::channel(PIECES);
    let (log, mut ending) = (Arc::clone(&admin.log), admin.ending.clone());
    tokio::spawn(async move {
        tokio::select! {
            () = pump(log, start, sender) => {}
            _ = ending.wait_for(|ending| *ending) => {}
        }
    });
    Ok(receiver)
}

async fn pump(log: Arc<Log>, mut at: Position, to: mpsc::Sender<Vec<u8>>) {
    let mut follow = log.follow();
    loop {
        follow.borrow_and_update();
        let Ok((lines, next)) = log.lines(at, READ_BYTES) else { return };
        if !lines.is_empty() {
            at = next;
            if to.send_timeout(lines, STALLED).await.is_err() {
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
