//! How things stand now: the host, policies, plugins, and from the engine's own state open episodes and intents.
//!
//! What the state has forgotten (episodes a day after they ended, intents once they end) is in the records.

use std::sync::Arc;

use axum::{Json, extract::State};
use balm_core::{
    alert::Status as AlertStatus,
    episode::Episode,
    evaluation::{PastIntent, Trigger},
    intent::{Intent, Stage},
    json::Json as CoreJson,
    name::{EpisodeId, IntentId, PolicyName, Seq},
    record::Fact,
    state::State as CoreState,
    time::Timestamp,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    About, Admin,
    auth::Reader,
    problem::{Fields, NoFields, Problem},
    schema::{self, Limit, Number},
};
use crate::{
    journal::Log,
    status::{Numbers, PluginView, PolicyView, View},
};

/// Episodes and intents of one answer.
const PAGE: usize = 100;
const PAGE_MOST: usize = 200;

/// Episodes and intents that one question goes through on the engine's thread: a millisecond at most.
const LOOKED_AT: usize = 10_000;

/// How the host is.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Report {
    #[serde(flatten)]
    about: About,
    #[serde(flatten)]
    numbers: Numbers,
    /// The last record that the audit database has.
    #[schema(value_type = u64)]
    audit_seq: Seq,
    #[serde(flatten)]
    checked: Checked,
    /// Everything is stopped.
    stopped: bool,
    /// What lies in the files of the configuration and is not in force, and why: what was in force before stays.
    refused: Vec<String>,
    #[serde(flatten)]
    view: View,
}

/// How far the journal was checked against its chain.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Checked {
    /// Every record up to this one was checked since the process started; it wrote those behind the last record of its
    /// start itself. After a start from a saved state it grows while the older records are checked in the background.
    #[schema(value_type = u64)]
    verified_seq: Seq,
    /// Older records are still being checked, or the audit database is.
    verifying: bool,
    /// What is wrong with the journal or the audit database, and where, if anything was found.
    #[serde(skip_serializing_if = "Option::is_none")]
    damage: Option<String>,
}

impl Checked {
    pub(super) fn by(Admin { verified, audit, .. }: &Admin) -> Self {
        let damage = verified.damage().or_else(|| audit.damage().map(|error| error.to_string()));
        Self { verified_seq: verified.seq(), verifying: verified.goes_on(), damage }
    }
}

/// How the host is.
#[utoipa::path(
    get, path = "/v1/status", tag = "state", security(("token" = ["viewer"])),
    responses((status = 200, description = "Numbers, stops, policies, plugins and accounts.", body = Report)),
)]
pub(super) async fn get_status(State(admin): State<Arc<Admin>>, _: Reader, _: NoFields) -> Json<Report> {
    Json(Report {
        about: admin.about.clone(),
        numbers: admin.status.numbers(),
        audit_seq: admin.audit.head(),
        checked: Checked::by(&admin),
        stopped: admin.kill_switch.is_engaged(),
        refused: admin.shown.refused(),
        view: admin.status.view(),
    })
}

/// Policies in force.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Policies {
    policies: Vec<PolicyView>,
}

/// The policies in force.
#[utoipa::path(
    get, path = "/v1/policies", tag = "state", security(("token" = ["viewer"])),
    responses((status = 200, description = "Policies and how far they may go, by name.", body = Policies)),
)]
pub(super) async fn list_policies(State(admin): State<Arc<Admin>>, _: Reader, _: NoFields) -> Json<Policies> {
    Json(Policies { policies: admin.status.view().policies })
}

/// Plugins in force.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Plugins {
    plugins: Vec<PluginView>,
}

/// The plugins in force.
#[utoipa::path(
    get, path = "/v1/plugins", tag = "state", security(("token" = ["viewer"])),
    responses((status = 200, description = "Plugins, by name.", body = Plugins)),
)]
pub(super) async fn list_plugins(State(admin): State<Arc<Admin>>, _: Reader, _: NoFields) -> Json<Plugins> {
    Json(Plugins { plugins: admin.status.view().plugins })
}

/// Which episodes or intents.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Which {
    /// Only those that concern this policy.
    #[param(schema_with = schema::name, required = false)]
    policy: Option<PolicyName>,
    /// Go on behind an earlier page: its `next`.
    #[param(schema_with = schema::number, required = false)]
    cursor: Option<Number>,
    /// How many at most: 1 to 200, otherwise 100.
    #[param(schema_with = limit, required = false)]
    limit: Option<Limit>,
}

fn limit() -> utoipa::openapi::schema::Object {
    schema::limit(PAGE_MOST)
}

/// Which episodes.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct WhichEpisodes {
    /// Only those that are so.
    #[param(schema_with = phase, required = false)]
    state: Option<Phase>,
    /// Only those that concern this policy.
    #[param(schema_with = schema::name, required = false)]
    policy: Option<PolicyName>,
    /// Go on behind an earlier page: its `next`.
    #[param(schema_with = schema::number, required = false)]
    cursor: Option<Number>,
    /// How many at most: 1 to 200, otherwise 100.
    #[param(schema_with = limit, required = false)]
    limit: Option<Limit>,
}

fn phase() -> utoipa::openapi::schema::Object {
    schema::words(["firing", "resolved", "ended"])
}

/// How an episode is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
enum Phase {
    /// Its alert fires.
    Firing,
    /// Its alert has resolved, and something is still due.
    Resolved,
    /// It is over, and remembered.
    Ended,
}

impl Phase {
    fn of(episode: &Episode) -> Self {
        match (&episode.ended, episode.status) {
            (Some(_), _) => Self::Ended,
            (None, AlertStatus::Firing) => Self::Firing,
            (None, AlertStatus::Resolved) => Self::Resolved,
        }
    }
}

/// An episode.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) struct EpisodeView {
    /// Its number: that of the record that opened it.
    #[schema(value_type = u64)]
    episode: EpisodeId,
    state: Phase,
    /// The record with the alert as last received.
    #[schema(value_type = u64)]
    alert: Seq,
    /// Who sent the alert.
    source: String,
    /// The alert's name, as its sender wrote it.
    name: String,
    /// The alert's label `severity`.
    severity: String,
    /// When it was opened or opened again, in milliseconds since 1970.
    #[schema(value_type = u64)]
    opened_at: Timestamp,
    /// Its last sign of life.
    #[schema(value_type = u64)]
    last_seen: Timestamp,
    /// The policies that it concerns.
    policies: Vec<ConcernView>,
}

/// A policy's part in an episode.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
struct ConcernView {
    #[schema(value_type = String)]
    policy: PolicyName,
    /// Why it was last due.
    #[schema(schema_with = trigger)]
    trigger: Trigger,
    /// Its intents that have not ended.
    #[schema(value_type = Vec<String>)]
    open: Vec<IntentId>,
    /// Its intents that have ended, oldest first; the newest ones.
    past: Vec<PastView>,
}

fn trigger() -> utoipa::openapi::schema::Object {
    schema::words(["fired", "resolved", "look-again", "unverified"])
}

/// An intent that has ended.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
struct PastView {
    #[schema(value_type = String)]
    intent: IntentId,
    action: String,
    target: String,
    /// What became of it.
    state: String,
}

/// Episodes, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Episodes {
    episodes: Vec<EpisodeView>,
    /// Ask with this as `cursor` for more; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<u64>,
}

/// Episodes that are open, and those remembered for a day after their end.
///
/// Newest first. A page may be short and yet have a `next`: one question goes through a bounded number of episodes.
#[utoipa::path(
    get, path = "/v1/episodes", tag = "state", security(("token" = ["viewer"])), params(WhichEpisodes),
    responses((status = 200, description = "A page of episodes.", body = Episodes)),
)]
pub(super) async fn list_episodes(
    State(admin): State<Arc<Admin>>,
    _: Reader,
    Fields(which): Fields<WhichEpisodes>,
) -> Result<Json<Episodes>, Problem> {
    let WhichEpisodes { state: phase, policy, cursor, limit } = which;
    let limit = schema::read_limit(limit, PAGE, PAGE_MOST)?;
    let before = EpisodeId(cursor.map_or(Seq(u64::MAX), Number::seq));
    let (mut episodes, next) =
        admin.see(move |state| find_episodes(state, before, limit, phase, policy.as_ref())).await?;
    let episodes = admin
        .ask_log(move |log| {
            episodes.iter_mut().for_each(|episode| episode.read_alert(log));
            episodes
        })
        .await?;
    Ok(Json(Episodes { episodes, next }))
}

fn find_episodes(
    state: &CoreState,
    before: EpisodeId,
    limit: usize,
    phase: Option<Phase>,
    policy: Option<&PolicyName>,
) -> (Vec<EpisodeView>, Option<u64>) {
    let mut found = Vec::new();
    for (looked_at, (id, episode)) in state.episodes.range(..before).rev().enumerate() {
        if found.len() == limit || looked_at == LOOKED_AT {
            return (found, Some(id.0.0 + 1));
        }
        let concerns = |policy: &PolicyName| episode.concerns.iter().any(|concern| concern.policy == *policy);
        if phase.is_none_or(|phase| phase == Phase::of(episode)) && policy.is_none_or(concerns) {
            found.push(EpisodeView::of(*id, episode));
        }
    }
    (found, None)
}

impl EpisodeView {
    fn of(id: EpisodeId, episode: &Episode) -> Self {
        let past = |past: &PastIntent| PastView {
            intent: past.id,
            action: past.action.clone(),
            target: past.target.clone(),
            state: past.state.clone(),
        };
        let policies = episode.concerns.iter().map(|concern| ConcernView {
            policy: concern.policy.clone(),
            trigger: concern.trigger,
            open: concern.open.clone(),
            past: concern.past.iter().map(past).collect(),
        });
        Self {
            episode: id,
            state: Phase::of(episode),
            alert: episode.alert,
            source: String::new(),
            name: String::new(),
            severity: episode.severity.as_ref().into(),
            opened_at: episode.opened_at,
            last_seen: episode.last_seen,
            policies: policies.collect(),
        }
    }

    /// The state does not keep what stands in the alert's record.
    fn read_alert(&mut self, log: &Log) {
        if let Ok(record) = log.read(self.alert)
            && let Fact::AlertReceived(received) = record.fact
        {
            self.source = received.alert.source.to_string();
            self.name = received.alert.name;
        }
    }
}

/// An intent that has not ended.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) struct IntentView {
    /// Its name: the number of the record that proposed it, and its index there.
    #[schema(value_type = String)]
    intent: IntentId,
    #[schema(value_type = u64)]
    episode: EpisodeId,
    #[schema(value_type = String)]
    policy: PolicyName,
    /// Where it stands.
    #[schema(schema_with = stage)]
    state: &'static str,
    action: String,
    target: String,
    /// What it does, as its action reads it.
    #[schema(value_type = Value)]
    parameters: CoreJson,
    /// Why, in the plugin's words.
    reason: String,
    /// When it was proposed, in milliseconds since 1970.
    #[schema(value_type = u64)]
    proposed_at: Timestamp,
    /// Calls made for it so far.
    attempts: u32,
    /// The intent that it undoes, if it is an undo.
    #[schema(value_type = Option<String>)]
    undo_of: Option<IntentId>,
}

fn stage() -> utoipa::openapi::schema::Object {
    schema::words(["waiting", "approval", "attempting", "unknown", "verifying"])
}

/// Intents, oldest first.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Intents {
    intents: Vec<IntentView>,
    /// Ask with this as `cursor` for more; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<u64>,
}

/// Intents that have not ended.
///
/// Oldest first. Those that have ended are records of the kind intent-ended, and each is at `/v1/intents/{intent}`.
#[utoipa::path(
    get, path = "/v1/intents", tag = "state", security(("token" = ["viewer"])), params(Which),
    responses((status = 200, description = "A page of intents.", body = Intents)),
)]
pub(super) async fn list_intents(
    State(admin): State<Arc<Admin>>,
    _: Reader,
    Fields(Which { policy, cursor, limit }): Fields<Which>,
) -> Result<Json<Intents>, Problem> {
    let limit = schema::read_limit(limit, PAGE, PAGE_MOST)?;
    let from = IntentId { proposed: cursor.map_or(Seq::ZERO, Number::seq), index: 0 };
    let (intents, next) = admin.see(move |state| find_intents(state, from, limit, policy.as_ref())).await?;
    Ok(Json(Intents { intents, next }))
}

/// All intents of a record are on one page, so that a record's number says where to go on.
fn find_intents(
    state: &CoreState,
    from: IntentId,
    limit: usize,
    policy: Option<&PolicyName>,
) -> (Vec<IntentView>, Option<u64>) {
    let (mut found, mut last) = (Vec::new(), None);
    for (looked_at, (id, intent)) in state.intents.range(from..).enumerate() {
        if last != Some(id.proposed) && (found.len() >= limit || looked_at >= LOOKED_AT) {
            return (found, Some(id.proposed.0));
        }
        last = Some(id.proposed);
        if policy.is_none_or(|policy| intent.policy == *policy) {
            found.push(IntentView::of(intent));
        }
    }
    (found, None)
}

impl IntentView {
    fn of(intent: &Intent) -> Self {
        let Intent { id, episode, policy, proposal, proposed_at, undo_of, attempts, stage, .. } = intent;
        Self {
            intent: *id,
            episode: *episode,
            policy: policy.clone(),
            state: if *stage == Stage::Approval { "approval" } else { stage.word() },
            action: proposal.action.clone(),
            target: proposal.target.clone(),
            parameters: proposal.parameters.clone(),
            reason: proposal.reason.clone(),
            proposed_at: *proposed_at,
            attempts: *attempts,
            undo_of: *undo_of,
        }
    }
}
