//! The data directory: one host at a time, and nobody else's to read.

use std::{
    fs::{self, File, TryLockError},
    io,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use rustix::fs::Mode;

/// The name of the file that is locked.
const LOCK: &str = "lock";

/// A data directory that this process owns until it ends.
#[derive(Debug)]
pub(crate) struct DataDir {
    path: PathBuf,
    _lock: File,
}

/// Why the directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DataDirError {
    /// Another process has it.
    #[error("the data directory {0} is in use by another host: stop that one first, or configure another directory")]
    InUse(String),
    /// It cannot be made or locked.
    #[error("the data directory {path} cannot be used: {source}")]
    Io {
        /// Which.
        path: String,
        /// Why not.
        source: io::Error,
    },
}

impl DataDir {
    /// Make it if it is not there, and lock it.
    pub(crate) fn open(path: &Path) -> Result<Self, DataDirError> {
        let failed = |source| DataDirError::Io { path: path.display().to_string(), source };
        create(path).map_err(failed)?;
        // Absolute, so that what is printed of it leads there from anywhere.
        let path = path.canonicalize().map_err(failed)?;
        let lock = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path.join(LOCK))
            .map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {
                if let Err(error) = make_private(&path) {
                    // Whoever owns the directory may have good reasons, and alerts are to come in all the same.
                    tracing::warn!(dir = %path.display(), %error, "others may read the data directory, and that cannot be changed");
                }
                Ok(Self { path, _lock: lock })
            }
            Err(TryLockError::WouldBlock) => Err(DataDirError::InUse(path.display().to_string())),
            Err(TryLockError::Error(source)) => Err(failed(source)),
        }
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

/// Make it, with what it lies in, so that a power cut does not take it away with everything in it: a name is on the disk
/// once the directory that holds it was synced. One that is there may be so since a moment before the power failed last.
fn create(path: &Path) -> io::Result<()> {
    let dirs = path.ancestors().filter(|dir| !dir.as_os_str().is_empty());
    let made = dirs.take_while(|dir| !dir.exists()).count();
    fs::create_dir_all(path)?;
    for (nth, dir) in path.canonicalize()?.ancestors().skip(1).take(made.max(1)).enumerate() {
        match File::open(dir).and_then(|dir| dir.sync_all()) {
            // Whoever made it for us keeps what it lies in to himself, and has to sync it.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied && nth >= made => {}
            synced => synced?,
        }
    }
    Ok(())
}

/// What this process makes from now on is its user's alone.
pub(crate) fn keep_private() {
    rustix::process::umask(Mode::RWXG | Mode::RWXO);
}

/// Alerts, plans and the names of people stand in the records: take every right of others from what is there already.
fn make_private(path: &Path) -> io::Result<()> {
    const OTHERS: u32 = 0o077;
    let metadata = fs::symlink_metadata(path)?;
    if metadata.is_symlink() {
        return Ok(());
    }
    if metadata.mode() & OTHERS != 0 {
        fs::set_permissions(path, fs::Permissions::from_mode(metadata.mode() & 0o7777 & !OTHERS))?;
    }
    if metadata.is_dir() {
        for entry in fs::read_dir(path)? {
            make_private(&entry?.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_dir::TestDir;

    #[test]
    fn it_is_made_with_what_it_lies_in_and_found_again() {
        let dir = TestDir::new("made");
        let path = dir.path().join("deep/er/data");
        drop(DataDir::open(&path).unwrap());
        assert!(DataDir::open(&path).unwrap().path().ends_with("deep/er/data"));
    }

    #[test]
    fn a_second_host_is_told_that_the_directory_is_in_use() {
        let dir = TestDir::new("lock");
        let first = DataDir::open(&dir.path().join("data")).unwrap();
        let second = DataDir::open(&dir.path().join("data")).unwrap_err();
        assert!(matches!(second, DataDirError::InUse(_)));
        drop(first);
        assert!(DataDir::open(&dir.path().join("data")).is_ok());
    }

    #[test]
    fn what_others_could_read_in_it_they_cannot_any_more() {
        let dir = TestDir::new("private");
        let (data, journal) = (dir.path().join("data"), dir.path().join("data/journal"));
        let (file, elsewhere) = (journal.join("1.log"), dir.path().join("elsewhere"));
        fs::create_dir_all(&journal).unwrap();
        for file in [&file, &elsewhere] {
            fs::write(file, "").unwrap();
        }
        std::os::unix::fs::symlink(&elsewhere, data.join("link")).unwrap();
        for (path, mode) in [(&data, 0o755), (&journal, 0o755), (&file, 0o644), (&elsewhere, 0o644)] {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        }
        let _open = DataDir::open(&data).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o7777;
        assert_eq!([mode(&data), mode(&journal), mode(&file)], [0o700, 0o700, 0o600]);
        assert_eq!(mode(&elsewhere), 0o644, "what a link leads to is not ours");
    }
}
