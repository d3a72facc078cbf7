//! Backups: a copy of what a host cannot do without, taken while it runs.
//!
//! The journal up to the last whole batch, every line checked on the way; the saved states that it vouches for, without which
//! a journal whose old records were dropped cannot be started from; the plugins that both name; the key of its checkpoints.
//! Everything else in a data directory is made from these. A backup is a data directory itself, so it is restored by being
//! put in its place.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    io::{self, BufWriter, Write as _},
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

use balm_core::{
    digest::Digest,
    line::{self, Chain},
    name::Seq,
    record::Fact,
    versions::Versions,
};

use crate::{
    checkpoint,
    journal::{self, OpenError},
    plugins,
    upkeep::{StateError, States},
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
    /// Saved states were replaced faster than the journal could be copied.
    #[error(
        "the saved states that the journal's beginning needs were replaced while it was copied: take the backup again"
    )]
    Overtaken,
    /// There is nothing to back up.
    #[error("{0} holds no journal")]
    Empty(String),
}

/// What was copied.
#[derive(Debug)]
pub(crate) struct Copied {
    /// How many records.
    pub(crate) records: u64,
    /// How far the journal had come.
    pub(crate) chain: Chain,
}

/// Back up a data directory into a new one, whole or not at all.
pub(crate) fn write(data: &Path, to: &Path) -> Result<Copied, BackupError> {
    if to.exists() {
        return Err(BackupError::There(to.display().to_string()));
    }
    let part = to.with_extension("part");
    // What is left of a backup that was broken off.
    let _ = fs::remove_dir_all(&part);
    let journal = part.join("journal");
    fs::DirBuilder::new().mode(0o700).recursive(true).create(&journal).map_err(failed(&journal, "made"))?;
    // States first: what vouches for them is in the journal that is read after them.
    let states = copy_states(data, &part)?;
    let Journal { begins, chain, mut versions, saved } = copy_journal(data, &journal)?;
    if chain == Chain::START {
        return Err(BackupError::Empty(data.display().to_string()));
    }
    versions.extend(keep_vouched(&states, begins, &saved)?);
    let kept = plugins::kept(&part);
    fs::create_dir_all(&kept).map_err(failed(&kept, "made"))?;
    for digest in versions {
        let name = plugins::file_name(digest);
        copy(&plugins::kept(data).join(&name), &kept.join(&name))?;
    }
    if checkpoint::path(data).exists() {
        copy(&checkpoint::path(data), &checkpoint::path(&part))?;
    }
    for dir in [&journal, states.dir(), &kept, &part] {
        sync(dir)?;
    }
    fs::rename(&part, to).map_err(failed(to, "put in place"))?;
    let above = to.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."));
    sync(above)?;
    Ok(Copied { records: chain.seq.0 - begins.seq.0, chain })
}

/// Copy the saved states there are. One may be deleted meanwhile, since there are newer ones.
fn copy_states(data: &Path, to: &Path) -> Result<States, BackupError> {
    let (from, to) = (States::below(data), States::open(to).map_err(failed(to, "written"))?);
    for at in from.list().map_err(failed(from.dir(), "read"))? {
        match copy(&from.path(at), &to.path(at)) {
            Err(BackupError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
            copied => copied?,
        }
    }
    Ok(to)
}

/// Keep those copies that the copied journal vouches for. Returns the plugins in force at them, whose records may be no
/// longer kept.
fn keep_vouched(
    states: &States,
    begins: Chain,
    saved: &BTreeMap<Seq, Digest>,
) -> Result<BTreeSet<Digest>, BackupError> {
    let (mut kept, mut versions) = (Vec::new(), BTreeSet::new());
    for at in states.list().map_err(failed(states.dir(), "read"))? {
        match states.read(at) {
            Ok((snapshot, _)) if saved.get(&at) == Some(&snapshot.digest) && at >= begins.seq => {
                kept.push(at);
                let known = snapshot.state.versions.values().flat_map(Versions::known);
                versions.extend(known.map(|version| version.digest));
            }
            Err(StateError::Io(source)) => return Err(failed(&states.path(at), "read")(source)),
            // A host would not use it either.
            Ok(_) | Err(_) => {}
        }
    }
    if kept.is_empty() && begins != Chain::START {
        return Err(BackupError::Overtaken);
    }
    states.keep(&kept).map_err(failed(states.dir(), "written"))?;
    Ok(versions)
}

/// What the copied journal says.
struct Journal {
    begins: Chain,
    chain: Chain,
    /// Plugins that it names.
    versions: BTreeSet<Digest>,
    /// The digests of the states that it vouches for.
    saved: BTreeMap<Seq, Digest>,
}

/// Copy the journal line by line, into files that begin where its own do.
fn copy_journal(data: &Path, to: &Path) -> Result<Journal, BackupError> {
    let (mut versions, mut saved) = (BTreeSet::new(), BTreeMap::new());
    let mut open: Option<(PathBuf, BufWriter<File>)> = None;
    let mut broken: Result<(), BackupError> = Ok(());
    let scanned = journal::scan(data, |_, record, line| {
        match &record.fact {
            Fact::Evaluated(capsule) => drop(versions.insert(capsule.plugin)),
            Fact::StateSaved(state) => drop(saved.insert(state.upto, state.digest)),
            fact => versions.extend(fact.version().map(|(_, digest)| digest)),
        }
        let begins_file = line::claims(line).is_some_and(|(_, framing)| framing.prev.is_some());
        if broken.is_ok() {
            broken = write_line(&mut open, begins_file.then(|| to.join(journal::file_name(record.seq))), line);
        }
    })?;
    broken?;
    close(open)?;
    Ok(Journal { begins: scanned.begins, chain: scanned.chain, versions, saved })
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
