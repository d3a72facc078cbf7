//! The signals that end the host.

use tokio::signal::unix::{SignalKind, signal as listen};

/// Wait for SIGTERM or SIGINT, and say which. A second call waits for a second signal.
pub(crate) async fn signal() -> &'static str {
    let (Ok(mut terminate), Ok(mut interrupt)) = (listen(SignalKind::terminate()), listen(SignalKind::interrupt()))
    else {
        // Without them the host can only be killed, which it survives.
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    }
}
