//! Versions of plugins: which there are, one handed over, another one in force, or none.
//!
//! Whoever brings code to the host, or chooses which of it decides, needs the role admin; whoever goes back to what decided
//! before, or puts it out of force, is an operator.

use std::{sync::Arc, time::Duration};

use axum::{
    Json,
    extract::{Request, State},
    http::{StatusCode, header::CONTENT_TYPE},
};
use balm_core::{
    digest::Digest,
    name::{PluginName, Seq},
    state::State as CoreState,
    versions::Version,
};
use balm_sandbox::Class;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    Admin, Done, Why,
    auth::{Installer, Operator, Reader},
    done,
    problem::{self, Asked, Fields, Named, PROBLEM, Problem, Written},
    routes_operate::person,
    schema,
};
use crate::{plugin_log::Line, reload::Wish};

/// How long a component may take to arrive.
const COMPONENT_WITHIN: Duration = Duration::from_secs(60);

/// The media type of a component.
const WASM: &str = "application/wasm";

/// A plugin with its versions.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct PluginVersions {
    #[schema(schema_with = schema::name)]
    pub(crate) plugin: PluginName,
    /// In the order in which they became known.
    pub(crate) versions: Vec<VersionView>,
    /// Evaluations in a row that ended as the failure of the version in force.
    pub(crate) failures: u32,
    /// The file of the plugin directory that was taken in last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub(crate) file: Option<Digest>,
}

/// A version.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct VersionView {
    #[schema(value_type = String)]
    pub(crate) digest: Digest,
    /// Its own word for its version.
    pub(crate) version: String,
    pub(crate) bytes: u64,
    pub(crate) state: VersionState,
    /// The record that made it known.
    #[schema(value_type = u64)]
    pub(crate) since: Seq,
    /// The record by which it was chosen last, by its file or by a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u64>)]
    pub(crate) chosen: Option<Seq>,
    /// Why it is stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) why: Option<String>,
}

/// How a version stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum VersionState {
    /// It decides.
    Active,
    /// It may not decide: people or too many failures stopped it.
    Stopped,
    /// It is kept, and can be chosen.
    Resident,
}

/// A version that is chosen, and why.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Choice {
    /// Of the version: all of its 64 digits, or the first 8 or more.
    #[schema(min_length = 8, max_length = 64)]
    pub(crate) digest: String,
    #[schema(schema_with = schema::why)]
    pub(crate) why: String,
}

/// Why a version is handed over.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct PushWhy {
    #[param(schema_with = schema::why)]
    why: String,
}

/// The last lines that a plugin wrote.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Lines {
    /// Oldest first.
    pub(crate) lines: Vec<Line>,
}

/// A plugin with its versions.
#[utoipa::path(
    get, path = "/v1/plugins/{plugin}", tag = "plugins", security(("token" = ["viewer"])),
    params(("plugin" = String, Path, description = "Its name.")),
    responses(
        (status = 200, description = "Its versions, oldest first.", body = PluginVersions),
        (status = 404, description = "There is no plugin of this name.", body = Written, content_type = PROBLEM),
    ),
)]
pub(super) async fn show_plugin(
    State(admin): State<Arc<Admin>>,
    _: Reader,
    Named(name): Named,
) -> Result<Json<PluginVersions>, Problem> {
    let plugin = read_name(&name)?;
    let found = admin.see(move |state| view(state, plugin)).await?;
    found.map(Json).ok_or_else(|| Problem::absent(format!("there is no plugin {name}")))
}

/// Hand over a version.
///
/// It is compiled, asked what it is, and kept; nothing is in force by it. The same bytes again change nothing.
#[utoipa::path(
    post, path = "/v1/plugins/{plugin}/versions", tag = "plugins", security(("token" = ["admin"])),
    params(("plugin" = String, Path, description = "Its name."), PushWhy),
    request_body(content = Vec<u8>, content_type = WASM, description = "The component."),
    responses(
        (status = 200, description = "It is kept.", body = Done),
        (status = 409, description = "It is no plugin: why.", body = Written, content_type = PROBLEM),
        (status = 413, description = "It is larger than any plugin may be.", body = Written, content_type = PROBLEM),
        (status = 415, description = "The body is not said to be WebAssembly.", body = Written, content_type = PROBLEM),
    ),
)]
pub(super) async fn push_version(
    State(admin): State<Arc<Admin>>,
    Installer(caller): Installer,
    Named(name): Named,
    Fields(PushWhy { why }): Fields<PushWhy>,
    request: Request,
) -> Result<Json<Done>, Problem> {
    let (name, by) = (read_name(&name)?, person(caller, why)?);
    let is_wasm = request.headers().get(CONTENT_TYPE).is_some_and(|value| value.as_bytes() == WASM.as_bytes());
    if !is_wasm {
        let detail = format!("the body must be a component, and say so: content-type: {WASM}");
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail));
    }
    let turn = admin.questions.pushes.try_acquire();
    let _turn = turn.map_err(|_| Problem::unavailable("another version is being handed over: try again"))?;
    let bytes = problem::read_most(request.into_body(), Class::Runtime.most_bytes(), COMPONENT_WITHIN).await?;
    admin.reload.ask(Wish::Push(name, bytes.into()), by).await.map(done).map_err(Problem::conflict)
}

/// Put a version in force.
#[utoipa::path(
    post, path = "/v1/plugins/{plugin}/activate", tag = "plugins", security(("token" = ["admin"])),
    params(("plugin" = String, Path, description = "Its name.")), request_body = Choice,
    responses(
        (status = 200, description = "It is in force.", body = Done),
        (status = 409, description = "What was in force stays: why.", body = Written, content_type = PROBLEM),
    ),
)]
pub(super) async fn activate_version(
    State(admin): State<Arc<Admin>>,
    Installer(caller): Installer,
    Named(name): Named,
    Asked(Choice { digest, why }): Asked<Choice>,
) -> Result<Json<Done>, Problem> {
    let wish = Wish::Activate(read_name(&name)?, digest);
    admin.reload.ask(wish, person(caller, why)?).await.map(done).map_err(Problem::conflict)
}

/// Go back to the version that was chosen before the one in force.
#[utoipa::path(
    post, path = "/v1/plugins/{plugin}/rollback", tag = "plugins", security(("token" = ["operator"])),
    params(("plugin" = String, Path, description = "Its name.")), request_body = Why,
    responses(
        (status = 200, description = "It is in force.", body = Done),
        (status = 409, description = "What was in force stays: why.", body = Written, content_type = PROBLEM),
    ),
)]
pub(super) async fn roll_back_plugin(
    State(admin): State<Arc<Admin>>,
    Operator(caller): Operator,
    Named(name): Named,
    Asked(Why { why }): Asked<Why>,
) -> Result<Json<Done>, Problem> {
    let wish = Wish::RollBack(read_name(&name)?);
    admin.reload.ask(wish, person(caller, why)?).await.map(done).map_err(Problem::conflict)
}

/// Put a plugin out of force.
///
/// Its policies are idle until a version is activated, or another file is put into the plugin directory.
#[utoipa::path(
    post, path = "/v1/plugins/{plugin}/disable", tag = "plugins", security(("token" = ["operator"])),
    params(("plugin" = String, Path, description = "Its name.")), request_body = Why,
    responses(
        (status = 200, description = "None of its versions is in force.", body = Done),
        (status = 409, description = "None was.", body = Written, content_type = PROBLEM),
    ),
)]
pub(super) async fn disable_plugin(
    State(admin): State<Arc<Admin>>,
    Operator(caller): Operator,
    Named(name): Named,
    Asked(Why { why }): Asked<Why>,
) -> Result<Json<Done>, Problem> {
    let wish = Wish::Disable(read_name(&name)?);
    admin.reload.ask(wish, person(caller, why)?).await.map(done).map_err(Problem::conflict)
}

/// The last lines that a plugin wrote.
///
/// They are kept in memory, 200 of each plugin; the host's own log has them all.
#[utoipa::path(
    get, path = "/v1/plugins/{plugin}/log", tag = "plugins", security(("token" = ["viewer"])),
    params(("plugin" = String, Path, description = "Its name.")),
    responses((status = 200, description = "Oldest first.", body = Lines)),
)]
pub(super) async fn read_log(
    State(admin): State<Arc<Admin>>,
    _: Reader,
    Named(name): Named,
) -> Result<Json<Lines>, Problem> {
    Ok(Json(Lines { lines: admin.said.of(&read_name(&name)?) }))
}

fn read_name(name: &str) -> Result<PluginName, Problem> {
    name.parse().map_err(|error| Problem::malformed(format!("{name:?} is no name of a plugin: {error}")))
}

fn view(state: &CoreState, plugin: PluginName) -> Option<PluginVersions> {
    let versions = state.versions.get(&plugin)?;
    let views = versions.known().iter().map(|version| version_view(state, &plugin, version)).collect();
    Some(PluginVersions { versions: views, failures: versions.failures(), file: versions.file(), plugin })
}

fn version_view(state: &CoreState, plugin: &PluginName, version: &Version) -> VersionView {
    let Version { digest, bytes, manifest, since, chosen } = version.clone();
    let stop = state.stop_on(plugin, &digest);
    let is_active = state.plugins.get(plugin).is_some_and(|active| active.digest == digest);
    VersionView {
        digest,
        version: manifest.version,
        bytes,
        state: match (&stop, is_active) {
            (Some(_), _) => VersionState::Stopped,
            (None, true) => VersionState::Active,
            (None, false) => VersionState::Resident,
        },
        since,
        chosen,
        why: stop.map(|(seq, stop)| format!("stop {seq} by {}: {}", stop.by.who, stop.by.why)),
    }
}
