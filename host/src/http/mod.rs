//! The listener for alerts: connections, their limits, and their end.

pub(crate) mod alerts;
pub(crate) mod auth;
pub(crate) mod grafana;

use std::{sync::Arc, time::Duration};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
    service::TowerToHyperService,
};
use tokio::{
    net::TcpListener,
    sync::{Semaphore, watch},
};

/// Connections of alert sources at once. Grafana makes one for each request.
pub(crate) const ALERT_CONNECTIONS: usize = 1024;

/// Connections of the admin API at once: people, dashboards and scrapers keep few.
pub(crate) const ADMIN_CONNECTIONS: usize = 256;

/// How long a request's head may take to arrive, also on an idle connection.
const HEAD_TIMEOUT: Duration = Duration::from_secs(15);

/// Bytes of a request's head.
const HEAD_BYTES: usize = 64 << 10;

/// How long requests under way may take to end when the host ends.
const DRAIN: Duration = Duration::from_secs(10);

/// Serve so many connections at once until `ending` says so; then let requests under way end.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    connections: usize,
    mut ending: watch::Receiver<bool>,
) {
    let connections = Arc::new(Semaphore::new(connections));
    let graceful = GracefulShutdown::new();
    loop {
        let permit = Arc::clone(&connections).acquire_owned();
        let accepted = tokio::select! {
            _ = ending.wait_for(|ending| *ending) => break,
            accepted = async {
                let permit = permit.await.expect("the semaphore is never closed");
                (listener.accept().await, permit)
            } => accepted,
        };
        let (stream, permit) = match accepted {
            (Ok((stream, _)), permit) => (stream, permit),
            (Err(error), _) => {
                // Out of descriptors, most likely: it passes when others end.
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let _ = stream.set_nodelay(true);
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .max_buf_size(HEAD_BYTES)
            .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router.clone()));
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            let _ = connection.await;
            drop(permit);
        });
    }
    // Whoever comes now is turned away at once, instead of waiting for an answer that never comes.
    drop(listener);
    let _ = tokio::time::timeout(DRAIN, graceful.shutdown()).await;
}
