//! Waiting for something to become true, with a deadline and no fixed sleep.

use std::{
    fmt,
    time::{Duration, Instant},
};

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
    poll(every, what, within, || ask().ok_or_else(String::new))
}

/// The same where what is no answer says how far it is; the last of these is told if there is no answer in time.
///
/// # Panics
///
/// If there is no answer in time.
#[track_caller]
pub fn told<T, E: fmt::Display>(what: &str, within: Duration, mut ask: impl FnMut() -> Result<T, E>) -> T {
    poll(Duration::from_millis(5), what, within, || ask().map_err(|how_far| format!(": {how_far}")))
}

#[track_caller]
#[expect(clippy::panic, reason = "this is how a test fails")]
fn poll<T>(every: Duration, what: &str, within: Duration, mut ask: impl FnMut() -> Result<T, String>) -> T {
    let since = Instant::now();
    loop {
        let how_far = match ask() {
            Ok(answer) => return answer,
            Err(how_far) => how_far,
        };
        if since.elapsed() > within {
            panic!("waited {} s for {what}{how_far}", within.as_secs());
        }
        // A poll, not a wait for a race: the answer above ends it.
        std::thread::sleep(every);
    }
}
