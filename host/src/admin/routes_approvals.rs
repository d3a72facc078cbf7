//! Approvals: what waits for people, and what they say to it.

use std::{sync::Arc, time::Duration};

use axum::{Json, extract::State, http::StatusCode};
use balm_core::{
    approval::{self, Given, Request, Said, record::Saying},
    digest::Digest,
    input::{Input, Reply},
    intent::Intent,
    json::Json as CoreJson,
    name::{ApproverName, EpisodeId, IntentId, PluginName, PolicyName, Seq},
    record::Fact,
    state::State as CoreState,
    time::Timestamp,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    Admin, Done,
    auth::{Approver, Reader},
    done,
    problem::{Asked, Fields, NoFields, PROBLEM, Problem, Written},
    routes_operate::person,
    schema::{self, Limit, Number},
};
use crate::engine::Ended;

/// Requests of one answer. Each has a plan, of which the expectations may be long.
const PAGE: usize = 50;
const PAGE_MOST: usize = 200;

/// How long a person waits for the record of what they said.
const RECORD_WITHIN: Duration = Duration::from_secs(5);

/// Which requests.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Which {
    /// Go on behind an earlier page: its `next`.
    #[param(schema_with = schema::number, required = false)]
    cursor: Option<Number>,
    /// How many at most: 1 to 200, otherwise 50.
    #[param(schema_with = limit, required = false)]
    limit: Option<Limit>,
}

fn limit() -> utoipa::openapi::schema::Object {
    schema::limit(PAGE_MOST)
}

/// An intent that waits for people.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct ApprovalView {
    /// Its name, to be repeated.
    #[schema(value_type = String)]
    pub(crate) intent: IntentId,
    /// The hash of its plan, to be repeated whole.
    #[schema(value_type = String)]
    pub(crate) plan: Digest,
    /// The plan in words.
    pub(crate) words: String,
    /// What is typed on the host to say yes.
    pub(crate) command: String,
    /// How many different people must say yes.
    pub(crate) needs: u32,
    /// Who has.
    pub(crate) given: Vec<GivenView>,
    /// Who may, as configured now.
    #[schema(value_type = Vec<String>)]
    pub(crate) approvers: Vec<ApproverName>,
    /// Its approvals are used: it is being done, and nobody can say anything any more.
    pub(crate) used: bool,
    /// The record that asked for it.
    #[schema(value_type = u64)]
    pub(crate) requested: Seq,
    /// When, in milliseconds since 1970.
    #[schema(value_type = u64)]
    pub(crate) requested_at: Timestamp,
    /// When it is over.
    #[schema(value_type = u64)]
    pub(crate) expires_at: Timestamp,
    #[schema(value_type = u64)]
    pub(crate) episode: EpisodeId,
    #[schema(value_type = String)]
    pub(crate) policy: PolicyName,
    #[schema(value_type = String)]
    pub(crate) plugin: PluginName,
    /// The plugin's version: of its bytes.
    #[schema(value_type = String)]
    pub(crate) plugin_digest: Digest,
    /// The version of the guardrails.
    #[schema(value_type = String)]
    pub(crate) guardrails: Digest,
    pub(crate) action: String,
    pub(crate) target: String,
    /// What it does, as its action reads it.
    #[schema(value_type = Value)]
    pub(crate) parameters: CoreJson,
    /// What must still be true of the target.
    #[schema(value_type = Value)]
    pub(crate) expects: CoreJson,
    /// Why, in the plugin's words.
    pub(crate) reason: String,
}

/// A person's yes.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct GivenView {
    #[schema(value_type = String)]
    pub(crate) by: ApproverName,
    /// When, in milliseconds since 1970.
    #[schema(value_type = u64)]
    pub(crate) at: Timestamp,
    pub(crate) why: String,
}

/// Intents that wait for people, oldest first.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct Approvals {
    pub(crate) approvals: Vec<ApprovalView>,
    /// Ask with this as `cursor` for more; absent at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) next: Option<u64>,
}

/// What is said of an approval.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct ApprovalRequest {
    /// The intent, as in 1042.0.
    #[schema(value_type = String)]
    pub(crate) intent: IntentId,
    /// The hash of the plan that was read: 64 hexadecimal digits.
    pub(crate) plan: String,
    #[schema(schema_with = schema::why)]
    pub(crate) why: String,
}

/// What waits for approval.
///
/// Oldest first, each with its whole plan and the plan's hash, which an approval must repeat.
#[utoipa::path(
    get, path = "/v1/approvals", tag = "approvals", security(("token" = ["viewer"])), params(Which),
    responses((status = 200, description = "A page of intents that wait for people.", body = Approvals)),
)]
pub(super) async fn list_approvals(
    State(admin): State<Arc<Admin>>,
    _: Reader,
    Fields(Which { cursor, limit }): Fields<Which>,
) -> Result<Json<Approvals>, Problem> {
    let limit = schema::read_limit(limit, PAGE, PAGE_MOST)?;
    let from = IntentId { proposed: cursor.map_or(Seq::ZERO, Number::seq), index: 0 };
    admin.see(move |state| find(state, from, limit)).await.map(Json)
}

/// All intents of a record are on one page, so that a record's number says where to go on.
fn find(state: &CoreState, from: IntentId, limit: usize) -> Approvals {
    let (mut approvals, mut last) = (Vec::new(), None);
    for request in state.approvals.open().filter(|request| request.plan.intent >= from) {
        let intent = request.plan.intent;
        if last != Some(intent.proposed) && approvals.len() >= limit {
            return Approvals { approvals, next: Some(intent.proposed.0) };
        }
        last = Some(intent.proposed);
        approvals.push(ApprovalView::of(state, request, state.intents.get(&intent)));
    }
    Approvals { approvals, next: None }
}

impl ApprovalView {
    fn of(state: &CoreState, request: &Request, intent: Option<&Intent>) -> Self {
        let Request { plan, hash, needs, used, requested, requested_at, expires_at, .. } = request;
        let given = |Given { by, why, at }: &Given| GivenView { by: by.clone(), at: *at, why: why.clone() };
        Self {
            intent: plan.intent,
            plan: *hash,
            words: plan.to_string(),
            command: approval::command(plan.intent, *hash),
            needs: *needs,
            given: request.given.iter().map(given).collect(),
            approvers: state.configuration.approval.approvers.keys().cloned().collect(),
            used: *used,
            requested: *requested,
            requested_at: *requested_at,
            expires_at: *expires_at,
            episode: plan.episode,
            policy: plan.policy.clone(),
            plugin: plan.plugin.clone(),
            plugin_digest: plan.plugin_digest,
            guardrails: plan.guardrails,
            action: plan.action.clone(),
            target: plan.target.to_string(),
            parameters: plan.parameters.clone(),
            expects: plan.expects.clone(),
            reason: intent.map(|intent| intent.proposal.reason.clone()).unwrap_or_default(),
        }
    }
}

/// Approve a plan.
///
/// The hash must be that of the plan as it was shown. With the last approval that is needed the intent is proposed again:
/// looked at afresh, judged by the whole guard, and done once if nothing has changed. What does not count is a record too.
#[utoipa::path(
    post, path = "/v1/approvals", tag = "approvals", security(("token" = ["approver"])),
    request_body = ApprovalRequest,
    responses(
        (status = 200, description = "It is recorded; how many are needed still.", body = Done),
        (status = 409, description = "It does not count, and why.", body = Written, content_type = PROBLEM),
        (status = 429, description = "Too much that was said so did not count.", body = Written, content_type = PROBLEM),
    ),
)]
pub(super) async fn give_approval(
    State(admin): State<Arc<Admin>>,
    approver: Approver,
    _: NoFields,
    Asked(asked): Asked<ApprovalRequest>,
) -> Result<Json<Done>, Problem> {
    say(&admin, approver, Saying::Yes, asked).await
}

/// Take one's own approval back.
///
/// Until it is used. The others' stay.
#[utoipa::path(
    post, path = "/v1/approvals/withdraw", tag = "approvals", security(("token" = ["approver"])),
    request_body = ApprovalRequest,
    responses(
        (status = 200, description = "It is withdrawn.", body = Done),
        (status = 409, description = "It does not count, and why.", body = Written, content_type = PROBLEM),
        (status = 429, description = "Too much that was said so did not count.", body = Written, content_type = PROBLEM),
    ),
)]
pub(super) async fn withdraw_approval(
    State(admin): State<Arc<Admin>>,
    approver: Approver,
    _: NoFields,
    Asked(asked): Asked<ApprovalRequest>,
) -> Result<Json<Done>, Problem> {
    say(&admin, approver, Saying::Withdrawn, asked).await
}

/// Deny a plan.
///
/// One denial ends the intent, whoever has approved it.
#[utoipa::path(
    post, path = "/v1/approvals/deny", tag = "approvals", security(("token" = ["approver"])),
    request_body = ApprovalRequest,
    responses(
        (status = 200, description = "It is denied, and its intent has ended.", body = Done),
        (status = 409, description = "It does not count, and why.", body = Written, content_type = PROBLEM),
        (status = 429, description = "Too much that was said so did not count.", body = Written, content_type = PROBLEM),
    ),
)]
pub(super) async fn deny_approval(
    State(admin): State<Arc<Admin>>,
    approver: Approver,
    _: NoFields,
    Asked(asked): Asked<ApprovalRequest>,
) -> Result<Json<Done>, Problem> {
    say(&admin, approver, Saying::No, asked).await
}

async fn say(
    admin: &Admin,
    Approver(caller): Approver,
    saying: Saying,
    ApprovalRequest { intent, plan, why }: ApprovalRequest,
) -> Result<Json<Done>, Problem> {
    let (who, speaker) = (caller.who.clone(), caller.speaker());
    let asking = speaker.clone();
    let is_named = admin.see(move |state| state.configuration.approval.find(&asking).is_some()).await?;
    let said = Said { intent, saying, plan, speaker, person: person(caller, why)? };
    let heard = tokio::time::timeout(RECORD_WITHIN, admin.inbox.ask(Input::Approval(Box::new(said)))).await;
    match heard {
        Ok(Ok(Reply::Recorded(seq) | Reply::Waits(seq, _))) => Ok(done(words(admin, intent, saying, seq))),
        Ok(Ok(Reply::Refused(why))) => {
            admin.doors.refused(&who);
            let status = if is_named { StatusCode::CONFLICT } else { StatusCode::FORBIDDEN };
            Err(Problem::new(status, format!("{who}: {why}")))
        }
        Ok(Ok(Reply::Overloaded(why))) => Err(Problem::unavailable(why)),
        Ok(Err(Ended)) | Err(_) => Err(Problem::unavailable(
            "the journal cannot be written now: this counts once it can, if the request still waits then; `balm approvals` \
                 shows it",
        )),
    }
}

/// What came of it, as its record says.
fn words(admin: &Admin, intent: IntentId, saying: Saying, seq: Seq) -> String {
    let fact = admin.log.read(seq).map(|record| record.fact);
    match (saying, fact) {
        (Saying::Yes, Ok(Fact::ApprovalGiven(given))) if given.count >= given.needs => {
            format!("intent {intent} is approved, and is looked at and judged once more; record {seq}")
        }
        (Saying::Yes, Ok(Fact::ApprovalGiven(given))) => {
            format!("intent {intent} is approved by {} of {} people; record {seq}", given.count, given.needs)
        }
        (Saying::Yes, _) => format!("intent {intent} is approved; record {seq}"),
        (Saying::Withdrawn, _) => format!("the approval of intent {intent} is withdrawn; record {seq}"),
        (Saying::No, _) => format!("intent {intent} is denied and has ended; record {seq}"),
    }
}
