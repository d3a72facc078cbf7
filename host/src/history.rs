//! History: the records of a data directory or of an export, each believed, from the first to the last.
//!
//! Everything here reads and changes nothing, so it works beside a running host, without one, and on another machine.

use std::{ops::ControlFlow, path::PathBuf};

use balm_core::{line::Chain, name::Seq, record::Record};

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

    /// Hand over records in order, from some place at or before a record on, until it is enough. An export is checked to its
    /// end all the same; of a journal only the files that are read are.
    pub(crate) fn some(&self, from: Seq, mut each: impl FnMut(&Record) -> ControlFlow<()>) -> Result<(), ExportError> {
        match self {
            Self::Journal(data) => Ok(journal::scan_some(data, from, each)?),
            Self::Export(path) => {
                let mut flow = ControlFlow::Continue(());
                let scanned = export::scan(path, |line| {
                    if flow.is_continue() {
                        flow = each(&line.record);
                    }
                });
                scanned.map(drop)
            }
        }
    }
}
