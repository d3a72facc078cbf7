//! The plugin's log: for the plugin's author, no part of the decision.
//!
//! In a native build the lines are kept for the test that runs, see [`crate::testing::logged`].

/// For the plugin's author.
pub fn debug(message: &str) {
    write(Level::Debug, message);
}

/// For whoever follows what the plugin does.
pub fn info(message: &str) {
    write(Level::Info, message);
}

/// For whoever must mend something.
pub fn warn(message: &str) {
    write(Level::Warn, message);
}

/// How much a line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// See [`debug`].
    Debug,
    /// See [`info`].
    Info,
    /// See [`warn`].
    Warn,
}

#[cfg(target_family = "wasm")]
fn write(level: Level, message: &str) {
    crate::glue::log(level, message);
}

#[cfg(not(target_family = "wasm"))]
fn write(level: Level, message: &str) {
    crate::testing::log(level, message);
}
