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
    name::{EpisodeId, PluginName, PolicyName, Seq},
    record::Fact,
    state::State as CoreState,
    versions::Version,
};
use balm_sandbox::Class;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::{
    Admin, Done, Why,
    auth::{Installer, Operator, Reader},
    done,
    problem::{self, Asked, Fields, Named, NoFields, PROBLEM, Problem, Written},
    routes_operate::person,
    schema,
};
use crate::{journal::Log, plugin_log::Line, reload::Wish};

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
    /// Why it is in quarantine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) why: Option<String>,
}

/// How a version stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum VersionState {
    /// It decides.
    Active,
    /// It is compared with the one that decides, and nothing follows from it.
    Candidate,
    /// It may not decide: it failed too often in a row.
    Quarantined,
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

/// A version that is compared, or none; and why.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct CandidateChoice {
    /// Of the version: all of its 64 digits, or the first 8 or more. Without it none is compared any more.
    #[serde(default)]
    #[schema(min_length = 8, max_length = 64)]
    pub(crate) digest: Option<String>,
    #[schema(schema_with = schema::why)]
    pub(crate) why: String,
}

/// How a candidate compares with the version in force.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Differences {
    #[schema(schema_with = schema::name)]
    pub(crate) plugin: PluginName,
    /// The candidate.
    #[schema(value_type = String)]
    pub(crate) candidate: Digest,
    /// The version in force.
    #[schema(value_type = Option<String>)]
    pub(crate) active: Option<Digest>,
    /// The record that began the comparison.
    #[schema(value_type = u64)]
    pub(crate) since: Seq,
    /// How often both came to the same.
    pub(crate) same: u64,
    /// How often they would have done the same, and said it in other words.
    pub(crate) other_words: u64,
    /// How often the candidate would have done something else.
    pub(crate) differs: u64,
    /// Evaluations that are still to be compared.
    pub(crate) waiting: usize,
    /// Evaluations that are not compared, since too many waited.
    pub(crate) missed: u64,
    /// The last ones of which they differ, the newest first.
    pub(crate) examples: Vec<Example>,
}

/// An evaluation that two versions differ about.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Example {
    /// The record of the comparison.
    #[schema(value_type = u64)]
    pub(crate) record: Seq,
    /// The record of the evaluation by the version in force.
    #[schema(value_type = u64)]
    pub(crate) capsule: Seq,
    #[schema(schema_with = schema::name)]
    pub(crate) policy: PolicyName,
    #[schema(value_type = u64)]
    pub(crate) episode: EpisodeId,
    /// What the version in force came to, as its record has it.
    #[schema(value_type = Object)]
    pub(crate) active: Value,
    /// What the candidate came to, as its record has it.
    #[schema(value_type = Object)]
    pub(crate) candidate: Value,
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
    _: NoFields,
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
    _: NoFields,
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
    _: NoFields,
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
    _: NoFields,
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
    _: NoFields,
    Named(name): Named,
) -> Result<Json<Lines>, Problem> {
    Ok(Json(Lines { lines: admin.said.of(&read_name(&name)?) }))
}

/// Have a version compared with the one in force, or none any more.
///
/// It sees what the one in force saw, with the same answers, after that has decided. What it comes to is recorded and compared, and
/// nothing follows from it.
#[utoipa::path(
    post, path = "/v1/plugins/{plugin}/candidate", tag = "plugins", security(("token" = ["admin"])),
    params(("plugin" = String, Path, description = "Its name.")), request_body = CandidateChoice,
    responses(
        (status = 200, description = "It is compared, or none is.", body = Done),
        (status = 409, description = "Nothing was changed: why.", body = Written, content_type = PROBLEM),
    ),
)]
pub(super) async fn name_candidate(
    State(admin): State<Arc<Admin>>,
    Installer(caller): Installer,
    _: NoFields,
    Named(name): Named,
    Asked(CandidateChoice { digest, why }): Asked<CandidateChoice>,
) -> Result<Json<Done>, Problem> {
    let wish = Wish::Candidate(read_name(&name)?, digest);
    admin.reload.ask(wish, person(caller, why)?).await.map(done).map_err(Problem::conflict)
}

/// Where the candidate and the version in force disagree.
#[utoipa::path(
    get, path = "/v1/plugins/{plugin}/diff", tag = "plugins", security(("token" = ["viewer"])),
    params(("plugin" = String, Path, description = "Its name.")),
    responses(
        (status = 200, description = "How often they agree, with examples where they do not.", body = Differences),
        (status = 404, description = "The plugin has no candidate.", body = Written, content_type = PROBLEM),
    ),
)]
pub(super) async fn show_differences(
    State(admin): State<Arc<Admin>>,
    _: Reader,
    _: NoFields,
    Named(name): Named,
) -> Result<Json<Differences>, Problem> {
    let plugin = read_name(&name)?;
    let of = plugin.clone();
    let seen = admin.see(move |state| {
        let active = state.plugins.get(&of).map(|active| active.digest);
        state.candidates.get(&of).map(|candidate| (candidate.clone(), active))
    });
    let (candidate, active) = seen.await?.ok_or_else(|| Problem::absent(format!("plugin {name} has no candidate")))?;
    let records = candidate.examples.clone();
    let examples = admin.ask_log(move |log| records.iter().rev().filter_map(|seq| example(log, *seq)).collect());
    Ok(Json(Differences {
        plugin,
        candidate: candidate.digest,
        active,
        since: candidate.since,
        same: candidate.same,
        other_words: candidate.other_words,
        differs: candidate.differs,
        waiting: candidate.waiting.len(),
        missed: candidate.missed,
        examples: examples.await?,
    }))
}

/// What both came to. What cannot be read is left out.
fn example(log: &Log, record: Seq) -> Option<Example> {
    let Fact::CandidateCompared(compared) = log.read(record).ok()?.fact else { return None };
    let Fact::Evaluated(capsule) = log.read(compared.capsule).ok()?.fact else { return None };
    Some(Example {
        record,
        capsule: compared.capsule,
        policy: compared.policy,
        episode: compared.episode,
        active: serde_json::to_value(&capsule.conclusion).ok()?,
        candidate: serde_json::to_value(&compared.outcome).ok()?,
    })
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
    let stop = state.quarantine(&digest);
    let is_active = state.plugins.get(plugin).is_some_and(|active| active.digest == digest);
    let is_candidate = state.candidates.get(plugin).is_some_and(|candidate| candidate.digest == digest);
    VersionView {
        digest,
        version: manifest.version,
        bytes,
        state: match (&stop, is_active) {
            (Some(_), _) => VersionState::Quarantined,
            (None, true) => VersionState::Active,
            (None, false) if is_candidate => VersionState::Candidate,
            (None, false) => VersionState::Resident,
        },
        since,
        chosen,
        why: stop.map(|(seq, stop)| format!("stop {seq} by {}: {}", stop.by.who, stop.by.why)),
    }
}
