//! Waiting for something to become true, with a deadline and no fixed sleep.

use std::time::{Duration, Instant};

/// Ask until there is an answer; panics after the deadline with what was waited for.
///
/// # Panics
///
/// If there is no answer in time.
#[track_caller]
#[expect(clippy::panic, reason = "this is how a test fails")]
pub fn until<T>(what: &str, within: Duration, mut ask: impl FnMut() -> Option<T>) -> T {
    let since = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        if since.elapsed() > within {
            panic!("waited {} s for {what}", within.as_secs());
        }
        // A poll, not a wait for a race: the answer above ends it.
        std::thread::sleep(Duration::from_millis(5));
    }
}
