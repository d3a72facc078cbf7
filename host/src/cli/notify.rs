//! Trying out who is told.

use clap::Subcommand;

use super::{Place, say_done};
use crate::admin::NotifyTest;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Send a test through a notifier of the running host now, and say what the receiver answered.
    Test {
        #[command(flatten)]
        place: Place,
        /// The notifier, as in `[notifier.NAME]`.
        name: String,
    },
}

pub(super) fn run(command: Command) -> anyhow::Result<()> {
    let Command::Test { place, name } = command;
    say_done(&place.client()?.post("/notify/test", &NotifyTest { notifier: name })?)
}
