//! The admin API: what people and their programs ask the running host, over its socket and, if configured, over HTTP.
//!
//! Both listeners share every route below `/v1`; they differ in who is at the other end. On the socket the kernel says
//! who; over HTTP a credential does (`auth`). It owns no rule: it reads projections of the journal, and hands what people
//! want to the engine. The OpenAPI document is made from the same functions that answer.

mod auth;
mod events;
mod metrics;
mod openapi;
mod problem;
mod routes_approvals;
mod routes_health;
mod routes_operate;
mod routes_plugins;
mod routes_records;
mod routes_state;
pub(crate) mod schema;
mod socket;

use std::{sync::Arc, time::Duration};

use axum::{Extension, Json, Router, body::Bytes, middleware, routing::get};
use balm_core::time::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::{Semaphore, SemaphorePermit, watch};
use utoipa::ToSchema;

use self::problem::Problem;
pub(crate) use self::{
    auth::Doors,
    problem::Said,
    routes_approvals::{ApprovalRequest, ApprovalView, Approvals},
    routes_operate::{NotifyTest, ResumeRequest, StopRequest, Why},
    routes_plugins::{CandidateChoice, Choice, Differences, Example, Lines, PluginVersions},
    schema::STOP_FOR_MOST_S,
    socket::{SOCKET, bind, serve},
};
use crate::{
    audit::Audit,
    engine::Inbox,
    http::alerts,
    journal::Log,
    kill_switch::KillSwitch,
    metrics::Metrics,
    notify::Notifiers,
    plugin_log::PluginLog,
    reload::{Requests, Shown},
    status::Status,
    upkeep::Verified,
};

/// Questions that read files or the state at once: one person's large question must not hold up the host.
const QUESTIONS: usize = 8;

/// How long a question waits for its turn.
const TURN_WITHIN: Duration = Duration::from_secs(5);

/// What the routes need.
pub(crate) struct Admin {
    pub(crate) about: About,
    pub(crate) inbox: Inbox,
    pub(crate) reload: Requests,
    /// Every plugin that arrived, in force or not, and why.
    pub(crate) shown: Arc<Shown>,
    pub(crate) log: Arc<Log>,
    pub(crate) audit: Audit,
    pub(crate) verified: Arc<Verified>,
    pub(crate) status: Arc<Status>,
    pub(crate) kill_switch: Arc<KillSwitch>,
    pub(crate) notifiers: Arc<Notifiers>,
    /// Absent where nobody can ask for them.
    pub(crate) metrics: Option<Arc<Metrics>>,
    pub(crate) alerts: Arc<alerts::Counts>,
    /// What plugins said.
    pub(crate) said: Arc<PluginLog>,
    pub(crate) doors: Doors,
    pub(crate) questions: Questions,
    /// Whether plugins are loaded and every account was asked whose it is.
    pub(crate) ready: watch::Receiver<bool>,
    pub(crate) ending: watch::Receiver<bool>,
}

/// What does not change while the host runs.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct About {
    /// Who this host is, for ever.
    pub(crate) host: String,
    /// The version of Balm.
    pub(crate) version: &'static str,
    /// When this process started, in milliseconds since 1970.
    #[schema(value_type = u64)]
    pub(crate) started_at: Timestamp,
    /// Where alerts come in, behind which a source's name follows.
    pub(crate) alerts_at: String,
    /// The public key of its checkpoints, Ed25519, as 64 hexadecimal digits.
    pub(crate) checkpoint_key: String,
}

/// Turns for questions, and places for listeners to events.
pub(crate) struct Questions {
    turns: Semaphore,
    /// Bodies with a plugin, which are large, are read one after the other.
    pushes: Semaphore,
    listeners: Arc<Semaphore>,
}

impl Default for Questions {
    fn default() -> Self {
        Self {
            turns: Semaphore::new(QUESTIONS),
            pushes: Semaphore::new(1),
            listeners: Arc::new(Semaphore::new(events::LISTENERS)),
        }
    }
}

/// What came of it.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Done {
    /// In words.
    pub(crate) done: String,
}

impl Admin {
    async fn turn(&self) -> Result<SemaphorePermit<'_>, Problem> {
        let turn = tokio::time::timeout(TURN_WITHIN, self.questions.turns.acquire()).await;
        turn.ok().and_then(Result::ok).ok_or_else(|| Problem::unavailable("too many questions are asked at once"))
    }

    /// Ask the audit database. Whoever caused a record and then asks finds it.
    async fn ask<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&Audit) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        // Waiting reads nothing: a database that lags takes no turn from others.
        self.audit.reach(self.log.durable().seq).await;
        let audit = self.audit.clone();
        self.aside(move || ask(&audit)).await?
    }

    /// Ask the journal, whatever the audit database does.
    async fn ask_log<T: Send + 'static>(&self, ask: impl FnOnce(&Log) -> T + Send + 'static) -> Result<T, Problem> {
        let log = Arc::clone(&self.log);
        self.aside(move || ask(&log)).await
    }

    /// Read files where that holds up nobody.
    async fn aside<T: Send + 'static>(&self, read: impl FnOnce() -> T + Send + 'static) -> Result<T, Problem> {
        let _turn = self.turn().await?;
        let read = tokio::task::spawn_blocking(read).await;
        read.map_err(|_| Problem::unavailable("the records could not be read"))
    }

    /// See the engine's state as it is durable.
    async fn see<T: Send + 'static>(
        &self,
        see: impl FnOnce(&balm_core::state::State) -> T + Send + 'static,
    ) -> Result<T, Problem> {
        let _turn = self.turn().await?;
        self.inbox.view(see).await.ok_or_else(|| Problem::unavailable("too many requests wait for the engine"))
    }
}

/// What both listeners answer.
pub(crate) fn router(admin: Arc<Admin>) -> Router {
    let (router, document) = openapi::routes().split_for_parts();
    let document = Bytes::from(openapi::finish(document).to_json().expect("it serialises"));
    router
        .route("/openapi.json", get(openapi::show))
        .layer(Extension(openapi::Document(document)))
        .layer(middleware::from_fn_with_state(Arc::clone(&admin), problem::finish))
        .with_state(admin)
}

fn done(done: String) -> Json<Done> {
    Json(Done { done })
}
