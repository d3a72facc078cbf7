//! The signals that end the host.

use tokio::signal::unix::{SignalKind, signal as listen};

/// Listen for SIGTERM and SIGINT from now on; the first that comes is what is awaited. A second call is for a second signal.
pub(crate) fn signal() -> impl Future<Output = &'static str> {
    let listening = (listen(SignalKind::terminate()), listen(SignalKind::interrupt()));
    async move {
        let (Ok(mut terminate), Ok(mut interrupt)) = listening else {
            // Without them the host can only be killed, which it survives.
            return std::future::pending().await;
        };
        tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        }
    }
}
