//! What happened: records by number, kind, policy, episode and time, and the causal chains of episodes and intents.
//!
//! Everything here is read from the audit database, which may be a moment behind the journal; answers say how far it is.

use std::sync::Arc;

use axum::{Json, extract::State};
use balm_core::{
    evaluation::Conclusion,
    line::{self, Glance},
    name::{EpisodeId, IntentId, PolicyName, Seq},
    record::{CallResult, Fact, Reception, Record},
    time::Timestamp,
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::{
    Admin,
    auth::Reader,
    problem::{Fields, Named, NoFields, PROBLEM, Problem, Written},
    schema::{self, Limit, Number},
};
use crate::audit::{Audit, AuditError, Room};

/// Records of one answer.
const PAGE: usize = 100;
const PAGE_MOST: usize = 1_000;

/// Bytes of one answer; a capsule with its answers can be large.
const PAGE_BYTES: usize = 8 << 20;

/// Records that one question goes through, and reads at once.
const LOOKED_AT: usize = 20_000;
const READ_AT_ONCE: usize = 64;

/// Records of an episode that are gone through for the chain of one intent.
const CHAIN: Room = Room { records: 10_000, bytes: 16 << 20 };

/// Which records.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Which {
    /// Only records of this kind.
    #[param(schema_with = schema::kind, required = false)]
    kind: Option<String>,
    /// Only records that name this policy: evaluations and verdicts.
    #[param(schema_with = schema::name, required = false)]
    policy: Option<PolicyName>,
    /// Only records of this episode.
    #[param(schema_with = schema::number, required = false)]
    episode: Option<Number>,
    /// The first record, by its number.
    #[param(schema_with = schema::number, required = false)]
    from: Option<Number>,
    /// The last record, by its number.
    #[param(schema_with = schema::number, required = false)]
    to: Option<Number>,
    /// Only records written at this time or later.
    #[param(schema_with = schema::time, required = false)]
    since: Option<Time>,
    /// Only records written at this time or earlier.
    #[param(schema_with = schema::time, required = false)]
    until: Option<Time>,
    /// Which come first; otherwise the oldest.
    #[param(schema_with = order, required = false)]
    order: Option<Order>,
    /// Go on behind an earlier page: its `next`, with everything else as it was.
    #[param(schema_with = schema::number, required = false)]
    cursor: Option<Number>,
    /// How many at most: 1 to 1,000, otherwise 100.
    #[param(schema_with = limit, required = false)]
    limit: Option<Limit>,
}

fn limit() -> utoipa::openapi::schema::Object {
    schema::limit(PAGE_MOST)
}

/// Which records come first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Order {
    #[default]
    Oldest,
    Newest,
}

fn order() -> utoipa::openapi::schema::Object {
    schema::words(["oldest", "newest"])
}

/// A time, as RFC 3339 writes it.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(try_from = "String")]
struct Time(Timestamp);

impl TryFrom<String> for Time {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Timestamp::parse_rfc3339(&text)
            .map(Self)
            .ok_or_else(|| format!("{text:?} is no time: write it as in 2026-11-01T09:51:03Z"))
    }
}

/// A page of records.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Page {
    #[schema(value_type = Vec<schema::Record>)]
    records: Vec<Box<RawValue>>,
    /// Ask with this as `cursor` for more; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u64>)]
    next: Option<Seq>,
    /// The last record that could be asked for.
    #[schema(value_type = u64)]
    audit_seq: Seq,
}

/// Records.
///
/// A page may be short and yet have a `next`: one question goes through a bounded number of records.
#[utoipa::path(
    get, path = "/v1/records", tag = "records", security(("token" = ["viewer"])), params(Which),
    responses(
        (status = 200, description = "A page of records.", body = Page),
        (
            status = 409, description = "The episode is too long to begin with its newest records.",
            body = Written, content_type = PROBLEM,
        ),
    ),
)]
pub(super) async fn list_records(
    State(admin): State<Arc<Admin>>,
    _: Reader,
    Fields(mut which): Fields<Which>,
) -> Result<Json<Page>, Problem> {
    let room = Room { records: schema::read_limit(which.limit, PAGE, PAGE_MOST)?, bytes: PAGE_BYTES };
    which.kind = schema::read_kind(which.kind)?;
    admin.ask(move |audit| Ok(Json(find(audit, &which, room)?))).await
}

/// A record.
#[utoipa::path(
    get, path = "/v1/records/{seq}", tag = "records", security(("token" = ["viewer"])),
    params(("seq" = u64, Path, description = "Its number.", minimum = 0, maximum = 9_007_199_254_740_991_u64)),
    responses(
        (status = 200, description = "The record.", body = schema::Record),
        (
            status = 404, description = "There is no such record: not yet, or no longer.",
            body = Written, content_type = PROBLEM,
        ),
    ),
)]
pub(super) async fn get_record(
    State(admin): State<Arc<Admin>>,
    _: Reader,
    _: NoFields,
    Named(seq): Named,
) -> Result<Json<Box<RawValue>>, Problem> {
    let seq = read_number(&seq)?;
    admin.ask(move |audit| Ok(Json(raw(&line_of(audit, seq)?)?))).await
}

/// The chain of an episode.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Chain {
    #[schema(value_type = u64)]
    episode: EpisodeId,
    #[schema(value_type = Vec<schema::Record>)]
    records: Vec<Box<RawValue>>,
    /// Ask with this as `cursor` for more; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u64>)]
    next: Option<Seq>,
}

/// How much of a chain.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Piece {
    /// Go on behind an earlier page: its `next`.
    #[param(schema_with = schema::number, required = false)]
    cursor: Option<Number>,
    /// How many at most: 1 to 1,000, otherwise 1,000.
    #[param(schema_with = limit, required = false)]
    limit: Option<Limit>,
}

/// A whole episode: alert, capsules, looks, verdicts, attempts, results, verifications, notices.
#[utoipa::path(
    get, path = "/v1/episodes/{episode}", tag = "records", security(("token" = ["viewer"])),
    params(
        (
            "episode" = u64, Path, description = "Its number, or that of any of its records.",
            minimum = 0, maximum = 9_007_199_254_740_991_u64,
        ),
        Piece,
    ),
    responses(
        (status = 200, description = "The records of the episode, oldest first.", body = Chain),
        (status = 404, description = "There is no such record.", body = Written, content_type = PROBLEM),
    ),
)]
pub(super) async fn get_episode(
    State(admin): State<Arc<Admin>>,
    _: Reader,
    Named(episode): Named,
    Fields(Piece { cursor, limit }): Fields<Piece>,
) -> Result<Json<Chain>, Problem> {
    let seq = read_number(&episode)?;
    let room = Room { records: schema::read_limit(limit, PAGE_MOST, PAGE_MOST)?, bytes: PAGE_BYTES };
    let from = cursor.map_or(Seq::ZERO, Number::seq);
    admin
        .ask(move |audit| {
            let absent = || Problem::absent(format!("record {seq} belongs to no episode, or does not exist yet"));
            let episode = episode_of(audit, seq)?.ok_or_else(absent)?;
            let lines = audit.episode(episode, from, room)?;
            let last = lines.last().map(|line| glance(line, seq)).transpose()?;
            let next = last.filter(|_| room.is_full(&lines)).map(|last| last.seq.next());
            Ok(Json(Chain { episode, records: raw_all(&lines)?, next }))
        })
        .await
}

/// The causal chain of an intent.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) struct IntentChain {
    #[schema(value_type = String)]
    intent: IntentId,
    #[schema(value_type = u64)]
    episode: EpisodeId,
    /// Where it stands, or what became of it.
    state: String,
    #[schema(value_type = Vec<schema::Record>)]
    records: Vec<Box<RawValue>>,
    /// Whether these are all; otherwise the rest is in the episode's chain, or no longer kept.
    complete: bool,
}

/// An intent with everything that led to it and followed from it.
///
/// The alert that opened the episode and the one that the policy saw, the capsule with the proposal, looks, the verdict with
/// every check, attempts and results, the verification or what else it came to, an undo, and who was told.
#[utoipa::path(
    get, path = "/v1/intents/{intent}", tag = "records", security(("token" = ["viewer"])),
    params((
        "intent" = String, Path, description = "Its name, as in 1042.0.",
        pattern = r"^(0|[1-9]\d{0,14})\.(0|[1-9]\d{0,8})$",
    )),
    responses(
        (status = 200, description = "The chain, oldest first.", body = IntentChain),
        (status = 404, description = "There is no such intent.", body = Written, content_type = PROBLEM),
    ),
)]
pub(super) async fn get_intent(
    State(admin): State<Arc<Admin>>,
    _: Reader,
    _: NoFields,
    Named(intent): Named,
) -> Result<Json<IntentChain>, Problem> {
    let read = |text: &str| {
        let (proposed, index) = text.split_once('.')?;
        Number::read(proposed.parse().ok()?).ok()?;
        index.bytes().all(|c| c.is_ascii_digit()).then(|| text.parse::<IntentId>().ok())?
    };
    let intent = read(&intent).filter(|id| id.to_string() == intent);
    let intent = intent.ok_or_else(|| Problem::malformed("an intent is named as in 1042.0"))?;
    admin.ask(move |audit| Ok(Json(chain_of(audit, intent)?))).await
}

fn read_number(text: &str) -> Result<Seq, Problem> {
    text.parse::<Number>().map(Number::seq).map_err(|error| Problem::malformed(error.to_string()))
}

/// What filters look at: less than a whole record, since most are passed over.
#[derive(Deserialize)]
struct Seen {
    seq: Seq,
    at: Timestamp,
    kind: String,
    data: SeenData,
}

#[derive(Deserialize)]
struct SeenData {
    policy: Option<PolicyName>,
    intent: Option<IntentId>,
    of: Option<IntentId>,
    about: Option<Seq>,
}

impl Seen {
    fn of(line: &[u8], seq: Seq) -> Result<Self, AuditError> {
        line::split(line).and_then(|(_, json)| serde_json::from_slice(json).ok()).ok_or(AuditError::Damaged(seq))
    }

    fn is_wanted(&self, which: &Which) -> bool {
        which.kind.as_ref().is_none_or(|kind| *kind == self.kind)
            && which.policy.as_ref().is_none_or(|policy| Some(policy) == self.data.policy.as_ref())
            && which.since.is_none_or(|Time(since)| self.at >= since)
            && which.until.is_none_or(|Time(until)| self.at <= until)
    }
}

fn find(audit: &Audit, which: &Which, room: Room) -> Result<Page, Problem> {
    let audit_seq = audit.head();
    let (mut from, mut to) = (audit.first(), audit_seq);
    if let Some(number) = which.from {
        from = from.max(number.seq());
    }
    if let Some(number) = which.to {
        to = to.min(number.seq());
    }
    // Times never go back along the journal, so a time is a place.
    if let Some(Time(since)) = which.since {
        from = from.max(first(audit, audit_seq, |at| at >= since)?);
    }
    if let Some(Time(until)) = which.until {
        to = to.min(Seq(first(audit, audit_seq, |at| at > until)?.0 - 1));
    }
    match (which.order.unwrap_or_default(), which.cursor) {
        (Order::Oldest, Some(cursor)) => from = from.max(cursor.seq()),
        (Order::Newest, Some(cursor)) => to = to.min(cursor.seq()),
        (Order::Oldest | Order::Newest, None) => {}
    }
    let (lines, next) = match (which.episode, which.order.unwrap_or_default()) {
        (Some(number), order) => match episode_of(audit, number.seq())? {
            Some(episode) => of_episode(audit, episode, (from, to), which, order, room)?,
            None => (Vec::new(), None),
        },
        (None, Order::Oldest) => oldest(audit, from, to, which, room)?,
        (None, Order::Newest) => newest(audit, from, to, which, room)?,
    };
    Ok(Page { records: raw_all(&lines)?, next, audit_seq })
}

/// The first record whose time is late enough, or the one behind the last.
fn first(audit: &Audit, last: Seq, is_late: impl Fn(Timestamp) -> bool) -> Result<Seq, Problem> {
    let (mut low, mut high) = (audit.first().0, last.0 + 1);
    while low < high {
        let middle = Seq(low.midpoint(high));
        if is_late(Seen::of(&line_of(audit, middle)?, middle)?.at) {
            high = middle.0;
        } else {
            low = middle.0 + 1;
        }
    }
    Ok(Seq(low))
}

type Found = (Vec<Vec<u8>>, Option<Seq>);

fn oldest(audit: &Audit, from: Seq, to: Seq, which: &Which, room: Room) -> Result<Found, Problem> {
    let (mut found, mut next, mut looked_at) = (Vec::new(), from, 0);
    while next <= to {
        let lines = audit.lines(next, READ_AT_ONCE)?;
        // It was opened again, and does not have everything again.
        if lines.is_empty() {
            return Err(AuditError::Away.into());
        }
        for line in lines {
            if next > to {
                break;
            }
            if room.is_full(&found) || looked_at == LOOKED_AT {
                return Ok((found, Some(next)));
            }
            if Seen::of(&line, next)?.is_wanted(which) {
                found.push(line);
            }
            (next, looked_at) = (next.next(), looked_at + 1);
        }
    }
    Ok((found, None))
}

fn newest(audit: &Audit, from: Seq, to: Seq, which: &Which, room: Room) -> Result<Found, Problem> {
    let (mut found, mut next, mut looked_at) = (Vec::new(), to, 0);
    while next >= from && next > Seq::ZERO {
        let start = Seq(next.0.saturating_sub(READ_AT_ONCE as u64 - 1)).max(from);
        let wanted = usize::try_from(next.0 - start.0 + 1).unwrap_or(READ_AT_ONCE);
        let lines = audit.lines(start, wanted)?;
        if lines.len() < wanted {
            return Err(AuditError::Away.into());
        }
        for line in lines.into_iter().rev() {
            if room.is_full(&found) || looked_at == LOOKED_AT {
                return Ok((found, Some(next)));
            }
            if Seen::of(&line, next)?.is_wanted(which) {
                found.push(line);
            }
            (next, looked_at) = (Seq(next.0 - 1), looked_at + 1);
        }
    }
    Ok((found, None))
}

/// An episode has an index of its own. Its newest records are found by reading all of them, up to a bound.
fn of_episode(
    audit: &Audit,
    episode: EpisodeId,
    (from, to): (Seq, Seq),
    which: &Which,
    order: Order,
    room: Room,
) -> Result<Found, Problem> {
    let lines = audit.episode(episode, from, CHAIN)?;
    let cut = CHAIN.is_full(&lines);
    let mut last = from;
    let mut wanted = Vec::new();
    for line in lines {
        let seen = Seen::of(&line, last)?;
        last = seen.seq;
        if seen.seq <= to && seen.is_wanted(which) {
            wanted.push((seen.seq, line));
        }
    }
    if order == Order::Newest {
        if cut {
            let detail = format!("the episode has more than {} records: ask for the oldest first", CHAIN.records);
            return Err(Problem::conflict(detail));
        }
        wanted.reverse();
    }
    let mut found = Vec::new();
    for (seq, line) in wanted {
        if room.is_full(&found) {
            return Ok((found, Some(seq)));
        }
        found.push(line);
    }
    Ok((found, (cut && last < to).then(|| last.next())))
}

fn chain_of(audit: &Audit, intent: IntentId) -> Result<IntentChain, Problem> {
    let absent = || Problem::absent(format!("there is no intent {intent}"));
    let line = find_line(audit, intent.proposed)?.ok_or_else(absent)?;
    let proposed = read_record(&line, intent.proposed)?;
    let (episode, seen) = match &proposed.fact {
        Fact::Evaluated(capsule) => {
            match &capsule.conclusion {
                Conclusion::Decided(decision) if (intent.index as usize) < decision.intents.len() => {}
                Conclusion::Decided(_) | Conclusion::Failed(_) => return Err(absent()),
            }
            (capsule.episode, Some(capsule.alert))
        }
        Fact::UndoProposed(undo) if intent.index == 0 => (undo.episode, None),
        _ => return Err(absent()),
    };
    let mut before: Vec<Seq> = [Some(episode.0), seen].into_iter().flatten().collect();
    before.dedup();
    let led = before.len();
    before.retain(|seq| *seq >= audit.first());
    let all_led = before.len() == led;
    let mut lines = before.iter().map(|seq| line_of(audit, *seq)).collect::<Result<Vec<_>, _>>()?;
    let (mut intents, mut kept, mut state) = (vec![intent], before, "proposed".to_owned());
    let all = audit.episode(episode, intent.proposed, CHAIN)?;
    let mut complete = all_led && !CHAIN.is_full(&all);
    for line in all {
        let seen = Seen::of(&line, intent.proposed)?;
        let SeenData { intent: named, of, about, .. } = &seen.data;
        let undoes = of.is_some_and(|of| intents.contains(&of));
        let is_told = about.is_some_and(|about| kept.contains(&about));
        if undoes {
            intents.push(IntentId { proposed: seen.seq, index: 0 });
        }
        if !(seen.seq == intent.proposed || undoes || is_told || named.is_some_and(|named| intents.contains(&named))) {
            continue;
        }
        if *named == Some(intent) {
            state = state_after(&read_record(&line, seen.seq)?).unwrap_or(state);
        }
        if (Room { records: PAGE_MOST, bytes: PAGE_BYTES }).is_full(&lines) {
            complete = false;
            break;
        }
        kept.push(seen.seq);
        lines.push(line);
    }
    Ok(IntentChain { intent, episode, state, records: raw_all(&lines)?, complete })
}

/// Where an intent stands after one of its records.
fn state_after(record: &Record) -> Option<String> {
    Some(match &record.fact {
        Fact::IntentJudged(judged) => judged.verdict.to_string(),
        Fact::AttemptStarted(_) => "attempting".into(),
        Fact::AttemptEnded(ended) => match ended.result {
            CallResult::Done { .. } => "verifying".into(),
            CallResult::Refused { .. } | CallResult::NotDone { .. } => "not done".into(),
            CallResult::Unknown { .. } => "unknown".into(),
        },
        Fact::IntentEnded(ended) => ended.how.to_string(),
        _ => return None,
    })
}

/// The episode that has this number, or that the record with this number belongs to.
fn episode_of(audit: &Audit, seq: Seq) -> Result<Option<EpisodeId>, AuditError> {
    let Some(line) = find_line(audit, seq)? else {
        // The record that an episode began with may be no longer kept, and later ones may be.
        let later = audit.episode(EpisodeId(seq), Seq::ZERO, Room { records: 1, bytes: 1 })?;
        return Ok((!later.is_empty()).then_some(EpisodeId(seq)));
    };
    let glance = glance(&line, seq)?;
    if glance.episode.is_some() {
        return Ok(glance.episode);
    }
    let opens = match read_record(&line, seq)?.fact {
        Fact::AlertReceived(received) => matches!(received.reception, Reception::Opened { .. }),
        _ => false,
    };
    Ok(opens.then_some(EpisodeId(seq)))
}

fn find_line(audit: &Audit, seq: Seq) -> Result<Option<Vec<u8>>, AuditError> {
    if seq < audit.first() { Ok(None) } else { Ok(audit.lines(seq, 1)?.pop()) }
}

fn line_of(audit: &Audit, seq: Seq) -> Result<Vec<u8>, Problem> {
    if seq > Seq::ZERO && seq < audit.first() {
        return Err(AuditError::Dropped(audit.first()).into());
    }
    find_line(audit, seq)?.ok_or_else(|| Problem::absent(format!("there is no record {seq}")))
}

fn glance(line: &[u8], seq: Seq) -> Result<Glance, AuditError> {
    line::split(line).and_then(|(_, json)| line::glance(json)).ok_or(AuditError::Damaged(seq))
}

fn read_record(line: &[u8], seq: Seq) -> Result<Record, AuditError> {
    let json = line::split(line).map(|(_, json)| json).ok_or(AuditError::Damaged(seq))?;
    line::read_json(json).map(|(record, _)| record).map_err(|_| AuditError::Damaged(seq))
}

fn raw(line: &[u8]) -> Result<Box<RawValue>, Problem> {
    let json = line::split(line).and_then(|(_, json)| String::from_utf8(json.to_vec()).ok());
    let value = json.and_then(|json| RawValue::from_string(json).ok());
    value.ok_or_else(|| Problem::unavailable("a record in the audit database is damaged"))
}

fn raw_all(lines: &[Vec<u8>]) -> Result<Vec<Box<RawValue>>, Problem> {
    lines.iter().map(|line| raw(line)).collect()
}
