//! Waiting for something to become true, with a deadline and no fixed sleep.

use std::{
    fmt,
    time::{Duration, Instant},
};

use serde_json::Value;

/// Ask until there is an answer; panics after the deadline with what was waited for.
///
/// # Panics
///
/// If there is no answer in time.
#[track_caller]
pub fn until<T>(what: &str, within: Duration, ask: impl FnMut() -> Option<T>) -> T {
    seldom(Duration::from_millis(5), what, within, ask)
}

/// The same with so long between two questions, where each costs those that are waited for.
///
/// # Panics
///
/// If there is no answer in time.
#[track_caller]
pub fn seldom<T>(every: Duration, what: &str, within: Duration, mut ask: impl FnMut() -> Option<T>) -> T {
    poll(every, what, within, || ask().ok_or(""))
}

/// The same where what is no answer says how far it is; the last of these is told if there is no answer in time.
///
/// # Panics
///
/// If there is no answer in time.
#[track_caller]
pub fn told<T, E: fmt::Display>(what: &str, within: Duration, ask: impl FnMut() -> Result<T, E>) -> T {
    poll(Duration::from_millis(5), what, within, ask)
}

#[track_caller]
#[expect(clippy::panic, reason = "this is how a test fails")]
fn poll<T, E: fmt::Display>(every: Duration, what: &str, within: Duration, mut ask: impl FnMut() -> Result<T, E>) -> T {
    let since = Instant::now();
    loop {
        let how_far = match ask() {
            Ok(answer) => return answer,
            Err(how_far) => how_far,
        };
        if since.elapsed() > within {
            panic!("waited {} s for {what}: {how_far}", within.as_secs());
        }
        // A poll, not a wait for a race: the answer above ends it.
        std::thread::sleep(every);
    }
}

/// Whether a host that says this of itself has nothing under way, and its audit database has all that its journal has;
/// otherwise what it says.
///
/// # Errors
///
/// If it has something under way.
pub fn is_at_rest(status: Value) -> Result<(), Value> {
    let at_rest = status["backlog"] == 0 && status["intents"] == 0 && status["seq"] == status["audit-seq"];
    if at_rest { Ok(()) } else { Err(status) }
}
