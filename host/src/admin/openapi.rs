//! The OpenAPI document: made from the handlers themselves, so that an address cannot be served and be undocumented.

use std::sync::Arc;

use axum::{
    Extension,
    body::Bytes,
    http::{HeaderName, header::CONTENT_TYPE},
};
use utoipa::{
    OpenApi,
    openapi::{
        Content, OpenApi as Described, Ref, Response,
        path::{Operation, PathItem},
        response::ResponseBuilder,
        security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    Admin, events, problem, routes_approvals, routes_health, routes_operate, routes_plugins, routes_records,
    routes_state, schema,
};

/// The document as it is served.
#[derive(Clone)]
pub(super) struct Document(pub(super) Bytes);

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Balm",
        description = "The admin API of a Balm host. Times are milliseconds since 1970 unless said otherwise. Every answer \
                       that is no success is a problem (RFC 9457).",
    ),
    tags(
        (name = "state", description = "How things stand now."),
        (name = "records", description = "What happened, and why."),
        (name = "operate", description = "What changes what the host does now."),
        (name = "plugins", description = "Versions of plugins: handed over, chosen, gone back from."),
        (name = "approvals", description = "What waits for people, and what they say to it."),
        (name = "health", description = "Whether the host is well."),
    ),
    components(schemas(problem::Written, schema::Record)),
)]
struct Api;

/// Every address of the API, each with its document.
pub(super) fn routes() -> OpenApiRouter<Arc<Admin>> {
    OpenApiRouter::with_openapi(Api::openapi())
        .routes(routes!(routes_health::get_health))
        .routes(routes!(routes_health::get_readiness))
        .routes(routes!(routes_health::get_metrics))
        .routes(routes!(routes_state::get_status))
        .routes(routes!(routes_state::list_policies))
        .routes(routes!(routes_state::list_plugins))
        .routes(routes!(routes_state::list_episodes))
        .routes(routes!(routes_state::list_intents))
        .routes(routes!(routes_records::list_records))
        .routes(routes!(routes_records::get_record))
        .routes(routes!(routes_records::get_episode))
        .routes(routes!(routes_records::get_intent))
        .routes(routes!(events::follow_events))
        .routes(routes!(routes_operate::list_stops, routes_operate::engage_stop))
        .routes(routes!(routes_operate::release_stops))
        .routes(routes!(routes_operate::accept_clock))
        .routes(routes!(routes_operate::reload))
        .routes(routes!(routes_operate::test_notifier))
        .routes(routes!(routes_plugins::show_plugin))
        .routes(routes!(routes_plugins::push_version))
        .routes(routes!(routes_plugins::activate_version))
        .routes(routes!(routes_plugins::roll_back_plugin))
        .routes(routes!(routes_plugins::disable_plugin))
        .routes(routes!(routes_plugins::read_log))
        .routes(routes!(routes_plugins::name_candidate))
        .routes(routes!(routes_plugins::show_differences))
        .routes(routes!(routes_approvals::list_approvals, routes_approvals::give_approval))
        .routes(routes!(routes_approvals::withdraw_approval))
        .routes(routes!(routes_approvals::deny_approval))
}

/// Add what holds for every operation, and so stands at none of them: how callers prove who they are, and the answers
/// that the readers of requests give.
pub(super) fn finish(mut document: Described) -> Described {
    let token = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some(
        "The token of a credential of the configuration; `balm credential` makes one. Each operation names the role that it \
         needs; an admin may everything.",
    ));
    let components = document.components.get_or_insert_default();
    components.add_security_scheme("token", SecurityScheme::Http(token.build()));
    for item in document.paths.paths.values_mut() {
        for operation in operations(item) {
            add_common_answers(operation);
        }
    }
    document
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [item.get.as_mut(), item.post.as_mut()].into_iter().flatten()
}

fn add_common_answers(operation: &mut Operation) {
    let (secured, has_body) = (operation.security.is_some(), operation.request_body.is_some());
    let asks = secured || has_body || operation.parameters.is_some();
    let common = [
        (asks, "400", "The request cannot be understood."),
        (secured, "401", "No token, or one that nobody has."),
        (secured, "403", "The token's role does not allow this. Each attempt is recorded."),
        (true, "405", "The address does not take this method."),
        (has_body, "408", "The body took too long."),
        (has_body, "413", "The body is larger than 64 KiB."),
        (has_body, "415", "The body is not said to be JSON."),
        (secured, "503", "Not now; try again."),
    ];
    for (_, status, description) in common.into_iter().filter(|(holds, ..)| *holds) {
        operation.responses.responses.entry(status.into()).or_insert_with(|| problem_of(description).into());
    }
}

fn problem_of(description: &str) -> Response {
    let content = Content::new(Some(Ref::from_schema_name("Problem")));
    ResponseBuilder::new().description(description).content(problem::PROBLEM, content).build()
}

/// The document itself.
pub(super) async fn show(
    Extension(Document(document)): Extension<Document>,
) -> ([(HeaderName, &'static str); 1], Bytes) {
    ([(CONTENT_TYPE, "application/json")], document)
}
