//! Waiting for something to become true, with a deadline and no fixed sleep.

use std::time::{Duration, Instant};

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
#[expect(clippy::panic, reason = "this is how a test fails")]
pub fn seldom<T>(every: Duration, what: &str, within: Duration, mut ask: impl FnMut() -> Option<T>) -> T {
    let since = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        if since.elapsed() > within {
            panic!("waited {} s for {what}", within.as_secs());
        }
        // A poll, not a wait for a race: the answer above ends it.
        std::thread::sleep(every);
    }
}
