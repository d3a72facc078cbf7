//! Which history a command reads, and where it finds the plugins of it.

use std::{path::PathBuf, sync::Arc};

use balm_core::{
    evaluation::Capsule,
    name::{IntentId, Seq},
};
use balm_sandbox::Sandbox;
use clap::Args;

use super::Place;
use crate::{history::History, replay::Shelf};

/// Ending of a command that was done, and that found what a script should stop at.
pub(super) const FOUND: u8 = 3;

/// A history, and the plugins of it.
#[derive(Clone, Debug, Args)]
pub(super) struct Past {
    #[command(flatten)]
    place: Place,
    /// An export (`balm audit export`) instead of the journal of the data directory.
    #[arg(long, value_name = "EXPORT")]
    from: Option<PathBuf>,
    /// A directory with files of plugins (*.wasm, found by their digests), beside those that the data directory keeps.
    #[arg(long, value_name = "DIR")]
    plugins: Option<PathBuf>,
}

impl Past {
    pub(super) fn history(&self) -> anyhow::Result<History> {
        match &self.from {
            Some(export) => Ok(History::Export(export.clone())),
            None => Ok(History::Journal(self.place.data()?)),
        }
    }

    pub(super) fn shelf(&self) -> anyhow::Result<Shelf> {
        // With an export there need not be a data directory.
        let data = self.place.data().ok();
        Ok(Shelf::new(Arc::new(Sandbox::new()?), data.as_deref(), self.plugins.as_deref())?)
    }
}

/// What a person names an evaluation by: its record, an intent of it, or its episode, which may have several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Which {
    Record(Seq),
    Proposed(IntentId),
}

impl std::str::FromStr for Which {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let intent = text.parse().map(Self::Proposed).ok();
        let found = intent.or_else(|| text.parse().map(|number| Self::Record(Seq(number))).ok());
        found.ok_or_else(|| format!("{text:?} is neither a record's number nor an intent, as in 1042.0"))
    }
}

impl std::fmt::Display for Which {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Record(seq) => seq.fmt(f),
            Self::Proposed(intent) => intent.fmt(f),
        }
    }
}

impl Which {
    pub(super) fn names(self, seq: Seq, capsule: &Capsule) -> bool {
        match self {
            Self::Record(named) => named == seq || named == capsule.episode.0,
            Self::Proposed(intent) => intent.proposed == seq,
        }
    }
}
