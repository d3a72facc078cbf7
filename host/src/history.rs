//! History: the records of a data directory or of an export, each believed, from the first to the last.
//!
//! Everything here reads and changes nothing, so it works beside a running host, without one, and on another machine.

use std::path::PathBuf;

use balm_core::{line::Chain, record::Record};

use crate::{
    export::{self, ExportError},
    journal,
};

/// Where records are read from.
#[derive(Clone, Debug)]
pub(crate) enum History {
    /// The journal of a data directory.
    Journal(PathBuf),
    /// What `balm audit export` wrote.
    Export(PathBuf),
}

impl History {
    /// Hand over every record in order. Returns where the chain stands.
    pub(crate) fn each(&self, mut each: impl FnMut(&Record)) -> Result<Chain, ExportError> {
        match self {
            Self::Journal(data) => Ok(journal::scan(data, |_, record, _| each(record))?.chain),
            Self::Export(path) => export::scan(path, |line| each(&line.record)),
        }
    }
}
