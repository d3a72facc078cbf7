//! Steps: everything in a host's life that matters to what a power cut leaves.

use std::{fmt, path::PathBuf};

/// One of them. Paths are relative to what the data directory lies in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// A directory was made.
    MakeDir(PathBuf),
    /// A file was opened and made if it was not there.
    Create {
        /// Which.
        path: PathBuf,
        /// Whether it was emptied.
        truncate: bool,
    },
    /// Room was allocated.
    Allocate {
        /// Of which file.
        path: PathBuf,
        /// Up to here.
        bytes: usize,
    },
    /// Bytes were written.
    Write {
        /// To which file.
        path: PathBuf,
        /// From here on.
        at: usize,
        /// These.
        bytes: Vec<u8>,
    },
    /// A file has another name.
    Rename(PathBuf, PathBuf),
    /// A name is gone.
    Remove(PathBuf),
    /// A thread asked for something to be synced: it is promised what was asked for before.
    Syncs(u32),
    /// What the thread asked for is done: a file or directory is on the disk as it was then.
    Synced(u32, PathBuf),
    /// An answer began to be sent that acknowledges alerts, the last of them in this record.
    Acknowledged(u64),
}

impl Step {
    /// Whether the disk may be found otherwise from then on.
    pub(super) const fn changes_the_disk(&self) -> bool {
        !matches!(self, Self::Syncs(_) | Self::Acknowledged(_))
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MakeDir(path) => write!(f, "mkdir {}", path.display()),
            Self::Create { path, .. } => write!(f, "open {}", path.display()),
            Self::Allocate { path, .. } => write!(f, "fallocate {}", path.display()),
            Self::Write { path, at, bytes } => write!(f, "write {} bytes at {at} of {}", bytes.len(), path.display()),
            Self::Rename(from, to) => write!(f, "rename {} to {}", from.display(), to.display()),
            Self::Remove(path) => write!(f, "unlink {}", path.display()),
            Self::Syncs(thread) => write!(f, "begin of a sync by thread {thread}"),
            Self::Synced(_, path) => write!(f, "end of sync {}", path.display()),
            Self::Acknowledged(seq) => write!(f, "acknowledgement of record {seq}"),
        }
    }
}
