//! Whether the host is well: for whoever starts, restarts and watches it. Alive and ready need no credential, since they
//! say nothing of what the host does.

use std::{sync::Arc, time::Duration};

use axum::{
    Json,
    extract::State,
    http::{HeaderName, StatusCode, header::CONTENT_TYPE},
};
use balm_core::name::Seq;
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    Admin,
    auth::Scraper,
    metrics,
    problem::{NoFields, Problem},
    routes_state::Checked,
};

/// How long the engine may be busy with one group before the host is not ready: a slow disk takes seconds.
const BUSY_MOST: Duration = Duration::from_secs(15);

/// Whether the process answers.
#[utoipa::path(
    get, path = "/healthz", tag = "health",
    responses((status = 200, description = "It does.", body = String, content_type = "text/plain")),
)]
pub(super) async fn get_health() -> &'static str {
    "ok\n"
}

/// Whether the host takes alerts and acts on them.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Readiness {
    ready: bool,
    /// What is in the way.
    because: Vec<String>,
    /// The last record.
    seq: u64,
    /// The last record that the audit database has.
    #[schema(value_type = u64)]
    audit_seq: Seq,
    /// How many records the audit database is behind.
    audit_lag: u64,
    /// Damage is no lack of readiness: alerts are taken and recorded in a file that is whole.
    #[serde(flatten)]
    checked: Checked,
    /// Everything is stopped. That is no lack of readiness: alerts are taken and decided on.
    stopped: bool,
}

/// Whether the host takes alerts and acts on them.
#[utoipa::path(
    get, path = "/readyz", tag = "health",
    responses(
        (status = 200, description = "It is ready.", body = Readiness),
        (status = 503, description = "It is not, and why.", body = Readiness),
    ),
)]
pub(super) async fn get_readiness(State(admin): State<Arc<Admin>>) -> (StatusCode, Json<Readiness>) {
    let mut because = Vec::new();
    if !*admin.ready.borrow() {
        because.push("plugins are being loaded and accounts asked".to_owned());
    }
    if *admin.ending.borrow() {
        because.push("the host ends".into());
    }
    because.extend(admin.status.no_room().map(|why| format!("the journal has no room: {why}")));
    if admin.status.since_beat() > BUSY_MOST {
        because.push(format!("the engine has been held up for {} s", admin.status.since_beat().as_secs()));
    }
    let (seq, audit_seq) = (admin.status.numbers().seq, admin.audit.head());
    let readiness = Readiness {
        ready: because.is_empty(),
        because,
        seq,
        audit_seq,
        audit_lag: seq.saturating_sub(audit_seq.0),
        checked: Checked::by(&admin),
        stopped: admin.kill_switch.is_engaged(),
    };
    (if readiness.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, Json(readiness))
}

/// Metrics, as Prometheus reads them.
///
/// Counters begin with the process. The configuration can open this to callers without a token.
#[utoipa::path(
    get, path = "/metrics", tag = "health", security(("token" = ["viewer"])),
    responses((status = 200, description = "Metrics.", body = String, content_type = metrics::MEDIA_TYPE)),
)]
pub(super) async fn get_metrics(
    State(admin): State<Arc<Admin>>,
    _: Scraper,
    _: NoFields,
) -> Result<([(HeaderName, &'static str); 1], String), Problem> {
    Ok(([(CONTENT_TYPE, metrics::MEDIA_TYPE)], metrics::write(&admin)))
}
