//! The files of saved states: `data/state/<seq>.state`, each written beside its place, synced and renamed.
//!
//! Only this user may read them; whether one is believed is the chain's word. It refuses to know when they are written.

use std::{
    fs::{self, File},
    io::{self, BufWriter, Write},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use balm_core::{
    digest::Digest,
    line::Chain,
    name::Seq,
    snapshot::{self, Outline, Snapshot, Unusable},
    state::State,
};

use super::limits::{BUFFER_BYTES, UNSYNCED_BYTES};
use crate::journal::{OpenError, free_bytes, sync_dir};

const STATE: &str = "state";
const ENDING: &str = ".state";
const PART: &str = "next.part";
/// The ending of a file that knew records which a person has accepted to be lost.
const LOST: &str = "lost";

/// The directory of saved states.
#[derive(Clone, Debug)]
pub(crate) struct States(PathBuf);

/// A state that the chain vouches for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Saved {
    /// Where the chain stood.
    pub(crate) chain: Chain,
    /// Of the file.
    pub(crate) digest: Digest,
    /// How large the file is.
    pub(crate) bytes: u64,
}

/// Why a saved state is not used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StateError {
    /// The file cannot be read.
    #[error("it cannot be read: {0}")]
    Io(#[from] io::Error),
    /// It is not what was written, or of another version.
    #[error(transparent)]
    Unusable(#[from] Unusable),
    /// It is another one's.
    #[error("it is the state at record {0}: somebody moved it")]
    Moved(Seq),
    /// The journal does not lead on from it.
    #[error("the journal does not go on from it: {0}")]
    Journal(OpenError),
    /// It is not the one that was saved.
    #[error("no record of the journal vouches for it")]
    Unvouched,
}

impl States {
    /// Below a data directory, made if it is not there.
    pub(crate) fn open(data: &Path) -> io::Result<Self> {
        let states = Self::below(data);
        match fs::DirBuilder::new().mode(0o700).create(&states.0) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            Ok(()) | Err(_) => sync_dir(data)?,
        }
        Ok(states)
    }

    /// Below somebody else's data directory.
    pub(crate) fn below(data: &Path) -> Self {
        Self(data.join(STATE))
    }

    /// The directory.
    pub(crate) fn dir(&self) -> &Path {
        &self.0
    }

    /// The file of a state.
    pub(crate) fn path(&self, at: Seq) -> PathBuf {
        self.0.join(format!("{:020}{ENDING}", at.0))
    }

    /// The records that there are states of, the newest first.
    pub(crate) fn list(&self) -> io::Result<Vec<Seq>> {
        let mut found = Vec::new();
        let entries = match fs::read_dir(&self.0) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(found),
            entries => entries?,
        };
        for entry in entries {
            let name = entry?.file_name();
            let number = name.to_str().and_then(|name| name.strip_suffix(ENDING)).filter(|digits| digits.len() == 20);
            found.extend(number.and_then(|digits| digits.parse().ok()).map(Seq));
        }
        found.sort_by(|a, b| b.cmp(a));
        Ok(found)
    }

    /// Read one. Whether the chain vouches for it is still to be asked.
    pub(crate) fn read(&self, at: Seq) -> Result<(Snapshot, u64), StateError> {
        let bytes = fs::read(self.path(at))?;
        let snapshot = snapshot::read(&bytes)?;
        if snapshot.chain.seq == at {
            Ok((snapshot, bytes.len() as u64))
        } else {
            Err(StateError::Moved(snapshot.chain.seq))
        }
    }

    /// Whose one is and where it stands, if it is whole.
    pub(crate) fn outline(&self, at: Seq) -> Result<Outline, StateError> {
        Ok(snapshot::outline(&fs::read(self.path(at))?)?)
    }

    /// Write a state; durable when this returns. `expected` bytes and the reserve must be free.
    pub(crate) fn write(&self, state: &State, chain: Chain, expected: u64, reserve: u64) -> io::Result<Saved> {
        let free = free_bytes(&self.0)?;
        if free < reserve.saturating_add(expected) {
            let (free, reserve) = (free >> 20, reserve >> 20);
            return Err(io::Error::other(format!("{free} MiB are free, and {reserve} MiB are kept in reserve")));
        }
        let part = self.0.join(PART);
        let written = self.write_part(&part, state, chain);
        if written.is_err() {
            let _ = fs::remove_file(&part);
        }
        written
    }

    fn write_part(&self, part: &Path, state: &State, chain: Chain) -> io::Result<Saved> {
        let file = File::options().write(true).create(true).truncate(true).mode(0o600).open(part)?;
        let mut to = Syncing { file, unsynced: 0, bytes: 0 };
        let digest = snapshot::write(state, chain, BufWriter::with_capacity(BUFFER_BYTES, &mut to))?;
        to.file.sync_all()?;
        fs::rename(part, self.path(chain.seq))?;
        sync_dir(&self.0)?;
        Ok(Saved { chain, digest, bytes: to.bytes })
    }

    /// Delete all but these.
    pub(crate) fn keep(&self, kept: &[Seq]) -> io::Result<()> {
        let others = self.list()?.into_iter().filter(|seq| !kept.contains(seq));
        others.into_iter().try_for_each(|seq| fs::remove_file(self.path(seq)))
    }

    /// Put away those that know records which the journal has lost.
    pub(crate) fn put_away_after(&self, last: Seq) -> io::Result<()> {
        for seq in self.list()?.into_iter().filter(|seq| *seq > last) {
            fs::rename(self.path(seq), self.path(seq).with_extension(LOST))?;
        }
        sync_dir(&self.0)
    }
}

/// A file that is synced every few MiB.
struct Syncing {
    file: File,
    unsynced: usize,
    bytes: u64,
}

impl Write for &mut Syncing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        (self.unsynced, self.bytes) = (self.unsynced + written, self.bytes + written as u64);
        if self.unsynced >= UNSYNCED_BYTES {
            self.file.sync_data()?;
            self.unsynced = 0;
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
