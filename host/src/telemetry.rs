//! The host's own log: on the standard error, as text or JSON, filtered by `BALM_LOG`.
//!
//! A message is readable alone, its fields can be queried, an error is logged once. Bodies of requests, secrets and
//! settings are never logged.

use std::io::{self, IsTerminal as _};

use clap::ValueEnum;
use tracing_subscriber::EnvFilter;

/// How the log looks.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Text,
    /// For programs: one object a line.
    Json,
}

/// Begin to log.
pub(crate) fn start(format: Format) {
    // Only ours, unless asked: what libraries say at level info is for their authors.
    let filter = EnvFilter::try_from_env("BALM_LOG")
        .unwrap_or_else(|_| EnvFilter::new("warn,balm=info,plugin=info,notice=info"));
    // What cannot be written, such as to a file on a full disk, is lost; to say so on the same output would panic.
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).log_internal_errors(false);
    match format {
        Format::Text => log.with_ansi(io::stderr().is_terminal()).init(),
        Format::Json => log.json().flatten_event(true).init(),
    }
}
