//! What changes what the host does now: stops, the clock, the configuration, and a test of a notifier.

use std::{sync::Arc, time::Duration};

use axum::{Json, extract::State};
use balm_core::{
    input::{Input, Reply, Resume},
    name::Seq,
    record::{Backlog, Person, StopEngaged, StopScope},
    time::Timestamp,
};
use serde::{Deserialize, Serialize};
use utoipa::{
    ToSchema,
    openapi::{
        RefOr, Schema,
        schema::{AdditionalProperties, Object, ObjectBuilder, OneOfBuilder, Type},
    },
};

use super::{
    Admin, Done,
    auth::{Caller, Operator, Reader},
    done,
    problem::{Asked, NoFields, PROBLEM, Problem, Written},
    schema::{self, Number},
};
use crate::{clock, engine::Ended, reload::Wish, status::Stop};

/// How long a person waits for the record of a stop that is in force already.
const RECORD_WITHIN: Duration = Duration::from_secs(2);

/// What is halted, and why.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct StopRequest {
    #[schema(schema_with = schema::scope)]
    pub(crate) scope: StopScope,
    #[schema(schema_with = schema::why)]
    pub(crate) why: String,
    /// For so many seconds, or until somebody releases it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = schema::seconds, required = false)]
    pub(crate) for_s: Option<u64>,
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
    /// What becomes of alerts whose intents were refused meanwhile; must be said of what Balm halted itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) backlog: Option<Backlog>,
    pub(crate) why: String,
}

/// Which notifier is to be tested.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct NotifyTest {
    #[schema(schema_with = schema::name)]
    pub(crate) notifier: String,
}

/// Why something is accepted or done.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Why {
    #[schema(schema_with = schema::why)]
    pub(crate) why: String,
}

/// Stops in force.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Stops {
    stops: Vec<Stop>,
}

/// Exactly one of stop and scope: more than a derived schema can say.
impl utoipa::PartialSchema for ResumeRequest {
    fn schema() -> RefOr<Schema> {
        let nothing = || ObjectBuilder::new().schema_type(Type::Null).build();
        let request = |stop: RefOr<Schema>, scope: RefOr<Schema>, needed: &str| -> Object {
            ObjectBuilder::new()
                .property("stop", stop)
                .property("scope", scope)
                .property("backlog", schema::backlog())
                .property("why", schema::why())
                .required(needed)
                .required("why")
                .additional_properties(Some(AdditionalProperties::FreeForm(false)))
                .build()
        };
        let by_number = request(schema::number().into(), nothing().into(), "stop");
        let by_scope = request(nothing().into(), schema::scope().into(), "scope");
        let description = "A stop by its number, or all that halt exactly `scope`.";
        Schema::OneOf(OneOfBuilder::new().item(by_number).item(by_scope).description(Some(description)).build()).into()
    }
}

impl ToSchema for ResumeRequest {
    fn name() -> std::borrow::Cow<'static, str> {
        "Release".into()
    }
}

/// The stops in force.
#[utoipa::path(
    get, path = "/v1/stops", tag = "operate", security(("token" = ["viewer"])),
    responses((status = 200, description = "The stops in force, oldest first.", body = Stops)),
)]
pub(super) async fn list_stops(State(admin): State<Arc<Admin>>, _: Reader, _: NoFields) -> Json<Stops> {
    Json(Stops { stops: admin.status.view().stops })
}

/// Halt everything, a policy or a target.
///
/// It is in force when this answers. Stopping everything works also while the journal cannot be written.
#[utoipa::path(
    post, path = "/v1/stops", tag = "operate", security(("token" = ["operator"])), request_body = StopRequest,
    responses(
        (status = 200, description = "It is stopped.", body = Done),
        (status = 409, description = "There are too many stops already.", body = Written, content_type = PROBLEM),
    ),
)]
pub(super) async fn engage_stop(
    State(admin): State<Arc<Admin>>,
    Operator(caller): Operator,
    _: NoFields,
    Asked(StopRequest { scope, why, for_s }): Asked<StopRequest>,
) -> Result<Json<Done>, Problem> {
    let by = person(caller, why)?;
    let until = for_s.map(until).transpose()?;
    let stop = StopEngaged { until, ..StopEngaged::by_person(scope.clone(), by.clone()) };
    // One that ends by itself is a record that ends it, so it needs one to begin.
    let everything = stop.is_the_kill_switch();
    let mut warning = String::new();
    if everything && let Err(error) = admin.kill_switch.engage(&by) {
        warning = format!("; the file STOPPED could not be written ({error}), so it does not outlive this process yet");
    }
    // It holds all the same: a policy of this name may be about to arrive. But a typo in an emergency must show.
    if let StopScope::Policy(policy) = &scope
        && admin.status.view().policies.iter().all(|known| known.policy != *policy)
    {
        warning = "; no policy of this name is configured, so nothing that runs now is halted by it".into();
    }
    let what = until.map_or_else(|| format!("{scope} is stopped"), |until| format!("{scope} is stopped until {until}"));
    let recorded = tokio::time::timeout(RECORD_WITHIN, admin.inbox.ask(Input::Stop(stop))).await;
    // Once more: somebody who released an earlier stop in between may have released this one with it.
    if everything {
        let _ = admin.kill_switch.engage(&by);
    }
    match recorded {
        Ok(Ok(Reply::Recorded(seq) | Reply::Waits(seq, _))) => Ok(done(format!("{what}; record {seq}{warning}"))),
        Ok(Ok(Reply::Refused(why))) => Err(Problem::conflict(why)),
        _ if everything => Ok(done(format!("{what}; the record follows once the journal can be written{warning}"))),
        Ok(Ok(Reply::Overloaded(why))) => Err(Problem::unavailable(why)),
        Ok(Err(Ended)) | Err(_) => Err(Problem::unavailable(
            "the journal cannot be written now; stop everything instead, which needs no record first",
        )),
    }
}

/// Release stops.
///
/// One by its number, or all that halt exactly a scope. Nothing is released before its record is durable. Where the
/// guardrails say that it takes several people, each asks, and the last one's word releases it.
#[utoipa::path(
    post, path = "/v1/stops/release", tag = "operate", security(("token" = ["operator"])), request_body = ResumeRequest,
    responses(
        (status = 200, description = "It is released.", body = Done),
        (status = 409, description = "There is no such stop.", body = Written, content_type = PROBLEM),
    ),
)]
pub(super) async fn release_stops(
    State(admin): State<Arc<Admin>>,
    Operator(caller): Operator,
    _: NoFields,
    Asked(ResumeRequest { stop, scope, backlog, why }): Asked<ResumeRequest>,
) -> Result<Json<Done>, Problem> {
    let resume = match (stop, scope) {
        (Some(Seq(stop)), None) => {
            Resume::Stop(Number::read(stop).map_err(|error| Problem::malformed(error.to_string()))?.seq())
        }
        (None, Some(scope)) => Resume::Scope(scope),
        (None, None) | (Some(_), Some(_)) => return Err(Problem::malformed("say either a stop's number or a scope")),
    };
    let input = Input::Resume(resume, backlog, person(caller, why)?);
    match tokio::time::timeout(RECORD_WITHIN, admin.inbox.ask(input)).await {
        Ok(Ok(Reply::Recorded(seq))) => {
            let still = admin.status.view().stops.iter().any(|stop| stop.is_the_kill_switch);
            if !still && let Err(error) = admin.kill_switch.release() {
                return Err(Problem::unavailable(format!(
                    "the stop is released in record {seq}, but the file STOPPED cannot be removed: {error}"
                )));
            }
            Ok(done(format!("released; record {seq}")))
        }
        Ok(Ok(Reply::Waits(seq, what))) => Ok(done(format!("{what}; record {seq}"))),
        Ok(Ok(Reply::Refused(why))) => Err(Problem::conflict(why)),
        Ok(Ok(Reply::Overloaded(why))) => Err(Problem::unavailable(why)),
        Ok(Err(Ended)) | Err(_) => {
            Err(Problem::unavailable("the journal cannot be written now, and without a record nothing is released"))
        }
    }
}

/// Accept the time after the clock was set ahead.
///
/// Limits count by it again.
#[utoipa::path(
    post, path = "/v1/clock/accept", tag = "operate", security(("token" = ["operator"])), request_body = Why,
    responses((status = 200, description = "The time is accepted.", body = Done)),
)]
pub(super) async fn accept_clock(
    State(admin): State<Arc<Admin>>,
    Operator(caller): Operator,
    _: NoFields,
    Asked(Why { why }): Asked<Why>,
) -> Result<Json<Done>, Problem> {
    match admin.inbox.ask(Input::ClockAccepted(person(caller, why)?)).await {
        Ok(Reply::Recorded(seq) | Reply::Waits(seq, _)) => Ok(done(format!("the clock is accepted; record {seq}"))),
        Ok(Reply::Refused(why) | Reply::Overloaded(why)) => Err(Problem::unavailable(why)),
        Err(error) => Err(Problem::unavailable(error.to_string())),
    }
}

/// Read the configuration again.
///
/// All of it is taken in, or nothing: then the answer lists every mistake with file and line.
#[utoipa::path(
    post, path = "/v1/reload", tag = "operate", security(("token" = ["operator"])), request_body = Why,
    responses(
        (status = 200, description = "It is in force; what waits for a restart is named.", body = Done),
        (status = 409, description = "What was in force stays: the mistakes.", body = Written, content_type = PROBLEM),
    ),
)]
pub(super) async fn reload(
    State(admin): State<Arc<Admin>>,
    Operator(caller): Operator,
    _: NoFields,
    Asked(Why { why }): Asked<Why>,
) -> Result<Json<Done>, Problem> {
    admin.reload.ask(Wish::Reload, person(caller, why)?).await.map(done).map_err(Problem::conflict)
}

/// Send a test through a notifier, once.
///
/// A test changes nothing and is no record: it says nothing about what happened.
#[utoipa::path(
    post, path = "/v1/notifiers/test", tag = "operate", security(("token" = ["operator"])), request_body = NotifyTest,
    responses(
        (status = 200, description = "The receiver took it: its answer.", body = Done),
        (status = 409, description = "It did not, or there is no such notifier.", body = Written, content_type = PROBLEM),
    ),
)]
pub(super) async fn test_notifier(
    State(admin): State<Arc<Admin>>,
    Operator(caller): Operator,
    _: NoFields,
    Asked(NotifyTest { notifier }): Asked<NotifyTest>,
) -> Result<Json<Done>, Problem> {
    admin.notifiers.test(&notifier, &caller.who).await.map(done).map_err(Problem::conflict)
}

/// When a stop ends that holds for so many seconds.
fn until(seconds: u64) -> Result<Timestamp, Problem> {
    let most = schema::STOP_FOR_MOST_S;
    if (1..=most).contains(&seconds) {
        return Ok(clock::wall() + Duration::from_secs(seconds));
    }
    Err(Problem::malformed(format!("for-s is {seconds}; it must be from 1 to {most}")))
}

/// Who and why, for a record.
pub(super) fn person(Caller { who, .. }: Caller, why: String) -> Result<Person, Problem> {
    let chars = why.chars().count();
    if (1..=schema::WHY_CHARS).contains(&chars) {
        return Ok(Person { who, why });
    }
    Err(Problem::malformed(format!("why has {chars} characters; 1 to {} are for the record", schema::WHY_CHARS)))
}
