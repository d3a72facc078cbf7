//! `POST /v1/alerts/<source>`: authenticate, read, parse, hand to the engine, and answer once the journal has it.
//!
//! The answers are what senders act on: 200 for what is durable, 401 and 400 for what will not get better, and 503 for
//! everything that will, since senders give up on anything else that is not 2xx.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use axum::{
    Json, Router,
    body::{Body, Bytes},
    extract::{Path, State},
    http::{
        HeaderMap, StatusCode,
        header::{CONTENT_LENGTH, RETRY_AFTER},
    },
    response::{IntoResponse, Response},
    routing::{get, post},
};
use balm_core::{
    input::{Input, Reply},
    name::{Seq, SourceName},
};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde::Serialize;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::{auth, grafana};
use crate::{clock, config::Source, engine::Inbox, metrics::Histogram};

/// How long a body may take to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// Bytes of all bodies in memory at once: beyond that senders are told to come back.
const IN_FLIGHT_BYTES: usize = 256 << 20;

/// The unit in which those bytes are counted.
const KIB: usize = 1 << 10;

/// Bodies larger than this are parsed where they hold up nobody else.
const PARSE_ASIDE_BYTES: usize = 256 << 10;

/// What the route needs.
pub(crate) struct Alerts {
    sources: RwLock<Sources>,
    inbox: Inbox,
    body_bytes: usize,
    body_within: Duration,
    in_flight: Semaphore,
    counts: Arc<Counts>,
}

/// What became of requests since the host started.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    /// How long a request that was accepted took, from its head to its answer.
    pub(crate) accepted: Histogram,
    refused: [AtomicU64; REASONS.len()],
}

/// Why requests are refused, as metrics name it, in the order of [`Refused`].
const REASONS: [&str; 6] = ["unknown-source", "unauthorized", "malformed", "too-large", "too-slow", "overloaded"];

impl Counts {
    /// How many requests were refused, by reason.
    pub(crate) fn refused(&self) -> impl Iterator<Item = (&'static str, u64)> {
        REASONS.into_iter().zip(self.refused.iter().map(|count| count.load(Relaxed)))
    }

    fn refuse(&self, refused: &Refused) {
        let reason = match refused {
            Refused::UnknownSource => 0,
            Refused::Unauthorized => 1,
            Refused::Bad(_) => 2,
            Refused::TooLarge(_) => 3,
            Refused::TooSlow(_) => 4,
            Refused::Overloaded(_) => 5,
        };
        self.refused[reason].fetch_add(1, Relaxed);
    }
}

/// Other ones after a reload; a request keeps those that it began with.
type Sources = Arc<BTreeMap<SourceName, Source>>;

/// What the sender is told.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Accepted {
    alerts: usize,
    /// The journal's last record when they were durable.
    seq: Seq,
}

/// Why a request brings nothing. Its text is all that the sender learns.
enum Refused {
    UnknownSource,
    Unauthorized,
    Bad(String),
    TooLarge(usize),
    TooSlow(Duration),
    Overloaded(String),
}

impl Alerts {
    pub(crate) fn new(
        sources: BTreeMap<SourceName, Source>,
        inbox: Inbox,
        body_bytes: usize,
        counts: Arc<Counts>,
    ) -> Self {
        let (sources, in_flight) = (RwLock::new(Arc::new(sources)), Semaphore::new(IN_FLIGHT_BYTES / KIB));
        Self { sources, inbox, body_bytes, body_within: BODY_TIMEOUT, in_flight, counts }
    }

    /// Other senders from now on.
    pub(crate) fn replace(&self, sources: BTreeMap<SourceName, Source>) {
        *self.sources.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(sources);
    }

    fn sources(&self) -> Sources {
        Arc::clone(&self.sources.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The routes of the listener for alerts.
pub(crate) fn router(alerts: Arc<Alerts>) -> Router {
    // With and without a slash at the end: a redirect would turn the POST into a GET.
    Router::new()
        .route("/v1/alerts/{source}", post(receive).put(receive))
        .route("/v1/alerts/{source}/", post(receive).put(receive))
        .route("/healthz", get(|| async { "ok\n" }))
        .with_state(alerts)
}

async fn receive(
    State(alerts): State<Arc<Alerts>>,
    Path(source): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let since = Instant::now();
    match take(&alerts, &source, &headers, body).await {
        Ok(accepted) => {
            alerts.counts.accepted.observe(since.elapsed());
            Json(accepted).into_response()
        }
        Err(refused) => {
            alerts.counts.refuse(&refused);
            let (status, why) = refused.said();
            tracing::warn!(source, status = status.as_u16(), why, "a request was refused");
            let mut response = (status, why + "\n").into_response();
            if status == StatusCode::SERVICE_UNAVAILABLE {
                response.headers_mut().insert(RETRY_AFTER, axum::http::HeaderValue::from_static("5"));
            }
            response
        }
    }
}

async fn take(alerts: &Alerts, source: &str, headers: &HeaderMap, body: Body) -> Result<Accepted, Refused> {
    let sources = alerts.sources();
    let (name, source) = source
        .parse::<SourceName>()
        .ok()
        .and_then(|name| sources.get_key_value(&name))
        .ok_or(Refused::UnknownSource)?;
    let unauthorized = |refusal: auth::Refusal| {
        tracing::warn!(source = %name, ?refusal, "a request is not the source's");
        Refused::Unauthorized
    };
    auth::check_head(source, headers).map_err(unauthorized)?;
    let (body, _held) = read(alerts, headers, body).await?;
    auth::check_body(source, headers, &body, clock::wall()).map_err(unauthorized)?;
    let parsed = if body.len() > PARSE_ASIDE_BYTES {
        let name = name.clone();
        let aside = tokio::task::spawn_blocking(move || grafana::parse(&name, &body));
        aside.await.map_err(|_| Refused::Overloaded("the body could not be parsed".into()))?
    } else {
        grafana::parse(name, &body)
    };
    let parsed = parsed.map_err(|bad| Refused::Bad(bad.to_string()))?;
    let count = parsed.len();
    match alerts.inbox.ask(Input::Alerts(parsed)).await {
        Ok(Reply::Recorded(seq) | Reply::Waits(seq, _)) => Ok(Accepted { alerts: count, seq }),
        Ok(Reply::Overloaded(why) | Reply::Refused(why)) => Err(Refused::Overloaded(why)),
        Err(ended) => Err(Refused::Overloaded(ended.to_string())),
    }
}

/// The whole body, and its share of the memory for bodies.
async fn read<'a>(
    alerts: &'a Alerts,
    headers: &HeaderMap,
    body: Body,
) -> Result<(Bytes, SemaphorePermit<'a>), Refused> {
    let said = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()).and_then(|text| text.parse().ok());
    // Whoever does not say how much it sends is counted with the most.
    let bytes: usize = said.unwrap_or(alerts.body_bytes);
    if bytes > alerts.body_bytes {
        return Err(Refused::TooLarge(alerts.body_bytes));
    }
    let share = u32::try_from(bytes / KIB + 1).unwrap_or(u32::MAX);
    let held = alerts.in_flight.try_acquire_many(share);
    let held = held.map_err(|_| Refused::Overloaded("too many bytes are being received".into()))?;
    let collected = tokio::time::timeout(alerts.body_within, Limited::new(body, alerts.body_bytes).collect()).await;
    match collected {
        Ok(Ok(body)) => Ok((body.to_bytes(), held)),
        Ok(Err(error)) if error.downcast_ref::<LengthLimitError>().is_some() => {
            Err(Refused::TooLarge(alerts.body_bytes))
        }
        Ok(Err(_)) => Err(Refused::Bad("the body did not arrive whole".into())),
        Err(_) => Err(Refused::TooSlow(alerts.body_within)),
    }
}

impl Refused {
    /// What the sender is told, and the log.
    fn said(self) -> (StatusCode, String) {
        match self {
            Self::UnknownSource => {
                (StatusCode::NOT_FOUND, "no such source: the address ends with /v1/alerts/ and a source's name".into())
            }
            Self::Unauthorized => {
                (StatusCode::UNAUTHORIZED, "not authorized: check the contact point's credentials and signature".into())
            }
            Self::Bad(why) => (StatusCode::BAD_REQUEST, why),
            Self::TooLarge(most) => {
                let why = format!("the body is larger than {} KiB: set max alerts on the contact point", most / KIB);
                (StatusCode::PAYLOAD_TOO_LARGE, why)
            }
            // What was slow this time need not be the next, and whoever gets a 408 gives up.
            Self::TooSlow(within) => {
                (StatusCode::SERVICE_UNAVAILABLE, format!("the body did not arrive within {} s", within.as_secs()))
            }
            Self::Overloaded(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("overloaded: {why}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::http::header::AUTHORIZATION;

    use super::*;
    use crate::engine;

    #[tokio::test]
    async fn whoever_is_too_slow_with_the_body_is_told_to_come_back() {
        let source = Source { bearer: vec!["token".into()], basic: None, hmac: None };
        let (inbox, _waiting) = engine::inbox();
        let alerts = Alerts::new([("grafana".parse().unwrap(), source)].into(), inbox, 1 << 20, Arc::default());
        let alerts = Alerts { body_within: Duration::from_millis(1), ..alerts };
        let headers = [(AUTHORIZATION, "Bearer token".parse().unwrap())].into_iter().collect();
        let never = Body::from_stream(futures_util::stream::pending::<Result<Bytes, std::io::Error>>());
        let response = receive(State(Arc::new(alerts)), Path("grafana".into()), headers, never).await;
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(response.headers()[RETRY_AFTER], "5");
    }
}
