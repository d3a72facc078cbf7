//! Backups: a copy of what a host cannot do without, taken while it runs.
//!
//! The journal up to the last whole batch, every line checked on the way; the plugins that it names; the key of its
//! checkpoints. Everything else in a data directory is made from these. A backup is a data directory itself, so it is
//! restored by being put in its place.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{self, BufWriter, Write as _},
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

use balm_core::{
    digest::Digest,
    line::{self, Chain},
    record::Fact,
};

use crate::{
    checkpoint,
    journal::{self, OpenError},
    plugins,
};

/// Why there is no backup.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BackupError {
    /// The journal cannot be read or believed.
    #[error(transparent)]
    Journal(#[from] OpenError),
    /// A file cannot be read or written.
    #[error("{file} cannot be {what}: {source}")]
    Io {
        /// Which file.
        file: String,
        /// What was to be done.
        what: &'static str,
        /// Why not.
        source: io::Error,
    },
    /// There is something in its place.
    #[error("{0} is there already: a backup is written into a directory of its own")]
    There(String),
    /// There is nothing to back up.
    #[error("{0} holds no journal")]
    Empty(String),
}

/// Back up a data directory into a new one, whole or not at all. Returns how far the journal had come.
pub(crate) fn write(data: &Path, to: &Path) -> Result<Chain, BackupError> {
    if to.exists() {
        return Err(BackupError::There(to.display().to_string()));
    }
    let part = to.with_extension("part");
    // What is left of a backup that was broken off.
    let _ = fs::remove_dir_all(&part);
    let journal = part.join("journal");
    fs::DirBuilder::new().mode(0o700).recursive(true).create(&journal).map_err(failed(&journal, "made"))?;
    let (chain, versions) = copy_journal(data, &journal)?;
    if chain == Chain::START {
        return Err(BackupError::Empty(data.display().to_string()));
    }
    let kept = plugins::kept(&part);
    fs::create_dir_all(&kept).map_err(failed(&kept, "made"))?;
    for digest in versions {
        let name = plugins::file_name(digest);
        copy(&plugins::kept(data).join(&name), &kept.join(&name))?;
    }
    if checkpoint::path(data).exists() {
        copy(&checkpoint::path(data), &checkpoint::path(&part))?;
    }
    for dir in [&journal, &kept, &part] {
        sync(dir)?;
    }
    fs::rename(&part, to).map_err(failed(to, "put in place"))?;
    let above = to.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."));
    sync(above)?;
    Ok(chain)
}

/// Copy the journal line by line, into files that begin where its own do; and the plugins that it names.
fn copy_journal(data: &Path, to: &Path) -> Result<(Chain, BTreeSet<Digest>), BackupError> {
    let mut versions = BTreeSet::new();
    let mut open: Option<(PathBuf, BufWriter<File>)> = None;
    let mut broken: Result<(), BackupError> = Ok(());
    let scanned = journal::scan(data, |_, record, line| {
        if let Fact::PluginActivated(plugin) = &record.fact {
            versions.insert(plugin.digest);
        }
        let begins_file = line::claims(line).is_some_and(|(_, framing)| framing.prev.is_some());
        if broken.is_ok() {
            broken = write_line(&mut open, begins_file.then(|| to.join(journal::file_name(record.seq))), line);
        }
    })?;
    broken?;
    close(open)?;
    Ok((scanned.chain, versions))
}

fn write_line(
    open: &mut Option<(PathBuf, BufWriter<File>)>,
    begins: Option<PathBuf>,
    line: &[u8],
) -> Result<(), BackupError> {
    if let Some(path) = begins {
        close(open.take())?;
        let file = File::create_new(&path).map_err(failed(&path, "made"))?;
        *open = Some((path, BufWriter::new(file)));
    }
    let Some((path, file)) = open else { return Ok(()) };
    file.write_all(line).and_then(|()| file.write_all(b"\n")).map_err(failed(path, "written"))
}

/// Make a file durable.
fn close(open: Option<(PathBuf, BufWriter<File>)>) -> Result<(), BackupError> {
    let Some((path, file)) = open else { return Ok(()) };
    let whole = file.into_inner().map_err(io::IntoInnerError::into_error).and_then(|file| file.sync_all());
    whole.map_err(failed(&path, "written"))
}

fn copy(from: &Path, to: &Path) -> Result<(), BackupError> {
    fs::copy(from, to).map_err(failed(from, "copied"))?;
    File::open(to).and_then(|file| file.sync_all()).map_err(failed(to, "written"))
}

fn sync(dir: &Path) -> Result<(), BackupError> {
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(failed(dir, "written"))
}

fn failed<'a>(path: &'a Path, what: &'static str) -> impl Fn(io::Error) -> BackupError + use<'a> {
    move |source| BackupError::Io { file: path.display().to_string(), what, source }
}
