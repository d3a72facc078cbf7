//! Asking plugins about settings, where it holds up nobody.
//!
//! A plugin may take its time, and alerts must not wait for it: it is asked on a thread of its own that yields to every
//! other one, neither the engine's nor one of those on which guests decide.

use std::{thread, time::Duration};

use tokio::{runtime::Handle, sync::oneshot};

use crate::priority;

/// How long one piece of work may take: the questions of many policies, each within its own limits.
const MOST: Duration = Duration::from_secs(90);

/// Do something aside, and wait for it without holding up anything.
pub(super) async fn run<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> Result<T, String> {
    let (tell, told) = oneshot::channel();
    let runtime = Handle::current();
    let started = thread::Builder::new().name("balm-aside".into()).spawn(move || {
        priority::stand_back();
        let _ = tell.send(runtime.block_on(work));
    });
    started.map_err(|error| format!("a thread to ask it on cannot be started: {error}"))?;
    match tokio::time::timeout(MOST, told).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(_)) => Err("Balm itself failed at it; its log has the place".into()),
        Err(_) => Err(format!("it took more than {} s to ask it", MOST.as_secs())),
    }
}
