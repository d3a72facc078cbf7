//! Balm: runs remediation policies. Alerts come in, sandboxed plugins decide, the host checks each proposal against
//! guardrails, does it on AWS, proves what it did, and tells people.
//!
//! The rules are in `balm-core`, the sandbox in `balm-sandbox`; here is everything that touches the world, a file per
//! noun. `app` builds it all and says in which order it starts and ends.

// What is said on the standard output and beside it goes through `cli::out`, which knows what it is when nobody reads it.
#![deny(clippy::print_stdout, clippy::print_stderr)]

mod act;
mod admin;
mod app;
mod audit;
mod aws;
mod backup;
mod checkpoint;
mod cli;
mod clock;
mod compare;
mod compile;
mod config;
mod credential;
mod data_dir;
mod effects;
mod engine;
mod evaluate;
mod export;
mod habits;
mod history;
mod http;
mod itself;
mod journal;
mod kill_switch;
mod look;
mod metrics;
mod notify;
mod permitted;
mod plugin_log;
mod plugins;
mod priority;
mod reload;
mod replay;
mod shutdown;
mod simulate;
mod status;
mod telemetry;
mod text;
mod upkeep;

#[cfg(test)]
mod test_dir;

use std::process::ExitCode;

use clap::Parser as _;

/// Alerts are allocated on one thread and freed on another all the time, over which the C library's allocator contends.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // reqwest takes the process's provider and panics without one; that AWS's client sets it first is not to be relied on.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let cli = cli::Cli::parse();
    match cli::run(cli) {
        Ok(code) => code,
        Err(error) => {
            cli::aside(&format!("balm: {error:#}"));
            ExitCode::FAILURE
        }
    }
}
