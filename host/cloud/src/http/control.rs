//! The controls under `/_cloud/`: scenario, faults, time, and what was done. The crate's page lists them.
//!
//! They are for people and tests; no AWS client comes here.

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Method, Response, StatusCode, http::request::Parts};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Answer, Closed, reply, shared::Shared};
use crate::{
    Cloud,
    fault::{Chance, Scripted},
    limits,
    log::{Tally, Touched},
    scenario::Step,
};

/// Why a request is not done.
enum Refusal {
    /// Its sender is told.
    Told(StatusCode, String),
    /// Nothing may be said any more.
    Closed,
}

type Outcome = Result<Value, Refusal>;

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Skip {
    skip_ms: u64,
}

/// Answers a control request.
pub(super) fn answer(head: &Parts, body: &[u8], shared: &Shared) -> Answer {
    let query = head.uri.query().unwrap_or_default();
    match route(head, body, query, shared) {
        Ok(value) => Ok(value_reply(StatusCode::OK, &value)),
        Err(Refusal::Told(status, error)) => Ok(value_reply(status, &json!({ "error": error }))),
        Err(Refusal::Closed) => Err(Closed),
    }
}

fn route(head: &Parts, body: &[u8], query: &str, shared: &Shared) -> Outcome {
    match (&head.method, head.uri.path()) {
        (&Method::POST, "/_cloud/scenario") => play(read(body)?, shared),
        (&Method::GET, "/_cloud/services") => services(&page(query)?, shared),
        (&Method::GET, "/_cloud/groups") => groups(&page(query)?, shared),
        (&Method::POST, "/_cloud/faults/scripted") => {
            let fault: Scripted = read(body)?;
            shared.with(|cloud, _| cloud.plan().script(fault))?.map(|()| json!({})).map_err(refuse)
        }
        (&Method::POST, "/_cloud/faults/chance") => {
            let fault: Chance = read(body)?;
            shared.with(|cloud, _| cloud.plan().chance(fault))?.map(|()| json!({})).map_err(refuse)
        }
        (&Method::GET, "/_cloud/faults") => Ok(shared.with(|cloud, _| json!(cloud.plan()))?),
        (&Method::DELETE, "/_cloud/faults") => Ok(shared.with(|cloud, _| cloud.plan().clear()).map(|()| json!({}))?),
        (&Method::GET, "/_cloud/log") => log(&page(query)?, shared),
        (&Method::GET, "/_cloud/tally") => Ok(shared.with(|cloud, _| tally(&cloud.log().tally()))?),
        (&Method::GET, "/_cloud/time") => Ok(shared.with(|_, now_ms| json!({ "now-ms": now_ms }))?),
        (&Method::POST, "/_cloud/time") => {
            let Skip { skip_ms } = read(body)?;
            Ok(json!({ "now-ms": shared.skip(skip_ms) }))
        }
        (&Method::POST, "/_cloud/reset") => Ok(shared.with(|cloud, _| cloud.reset()).map(|()| json!({}))?),
        (method, path) => Err(Refusal::Told(StatusCode::NOT_FOUND, format!("there is no {method} {path}"))),
    }
}

fn play(step: Step, shared: &Shared) -> Outcome {
    let step = step.at_home(&shared.settings.account, &shared.settings.region);
    let played = shared.with(|cloud, now_ms| cloud.play(now_ms, &step))?;
    played.map(|task| json!({ "task": task })).map_err(refuse)
}

fn services(page: &Page, shared: &Shared) -> Outcome {
    let from = usize::try_from(page.from).unwrap_or(usize::MAX);
    let sights = shared.with(|cloud, now_ms| cloud.look(now_ms, from, page.most))?;
    let next = (sights.len() == page.most).then_some(from + page.most);
    Ok(json!({ "services": sights, "next": next }))
}

fn groups(page: &Page, shared: &Shared) -> Outcome {
    let from = usize::try_from(page.from).unwrap_or(usize::MAX);
    let sights = shared.with(|cloud, now_ms| cloud.look_at_groups(now_ms, from, page.most))?;
    let next = (sights.len() == page.most).then_some(from + page.most);
    Ok(json!({ "groups": sights, "next": next }))
}

fn log(page: &Page, shared: &Shared) -> Outcome {
    let show = |cloud: &mut Cloud, _| {
        let log = cloud.log();
        let entries: Vec<_> = log.from(page.from).take(page.most).collect();
        let next = entries.last().filter(|_| entries.len() == page.most).map(|last| last.number + 1);
        json!({ "entries": entries, "next": next, "last-number": log.last_number(), "dropped": log.dropped() })
    };
    Ok(shared.with(show)?)
}

fn tally(tally: &Tally) -> Value {
    let row = |(touched, applied): (&Touched, &u64)| {
        let mut row = json!(touched);
        row["applied"] = json!(applied);
        row
    };
    let by_service: Vec<Value> = tally.by_service.iter().map(row).collect();
    json!({ "by-caller": tally.by_caller, "by-service": by_service, "dropped": tally.dropped })
}

struct Page {
    from: u64,
    most: usize,
}

/// `from` and `limit` of a query; no decoding, since both are numbers.
fn page(query: &str) -> Result<Page, Refusal> {
    let mut page = Page { from: 0, most: 100 };
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        match pair.split_once('=').map(|(key, value)| (key, value.parse::<u64>())) {
            Some(("from", Ok(from))) => page.from = from,
            Some(("limit", Ok(limit))) => {
                page.most = usize::try_from(limit).unwrap_or(usize::MAX).clamp(1, limits::ROWS_PER_PAGE);
            }
            _ => return Err(refuse("the query knows from=<number> and limit=<number>")),
        }
    }
    Ok(page)
}

fn read<'b, T: Deserialize<'b>>(body: &'b [u8]) -> Result<T, Refusal> {
    serde_json::from_slice(body).map_err(refuse)
}

fn refuse(why: impl std::fmt::Display) -> Refusal {
    Refusal::Told(StatusCode::BAD_REQUEST, why.to_string())
}

impl From<Closed> for Refusal {
    fn from(Closed: Closed) -> Self {
        Self::Closed
    }
}

fn value_reply(status: StatusCode, value: &Value) -> Response<Full<Bytes>> {
    reply(status, "application/json", super::json(value))
}
