//! Opening the journal: what is believed after whatever happened to the process, the machine or the disk.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use balm_core::{
    line::{Chain, LineError},
    name::Seq,
    record::{Record, TailCut},
    recovery::{self, Rest},
};

use super::{
    Journal, Layout, files, log,
    log::{Log, Segment},
};

/// Where bytes that were cut are kept, below the data directory.
const CUT: &str = "cut";
/// The ending of a file with bytes whose cutting is not recorded yet.
const PENDING: &str = "pending";

/// An open journal.
pub(crate) struct Opened {
    /// The writing end. Its chain is at zero if the journal is new: then the first record is to be written.
    pub(crate) journal: Journal,
    /// The reading end.
    pub(crate) log: Arc<Log>,
    /// Where the chain stands.
    pub(crate) chain: Chain,
    /// What was cut from its end and is to be recorded; then [`cut_is_recorded`] is to be called.
    pub(crate) cut: Vec<TailCut>,
}

/// Why the journal cannot be opened, and what to do.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    /// The disk does not let us.
    #[error("{path} cannot be {what}: {source}")]
    Io {
        /// Which file.
        path: String,
        /// What was to be done.
        what: &'static str,
        /// Why not.
        source: io::Error,
    },
    /// A file is missing between two others.
    #[error(
        "the journal has no file with record {expected}: {found} begins with another; restore the missing file from a backup"
    )]
    Missing {
        /// The record that should come next.
        expected: Seq,
        /// The file that is there instead.
        found: String,
    },
    /// Something that was acknowledged cannot be read any more.
    #[error(
        "the journal is damaged: record {seq} in {path} at byte {offset} cannot be read, yet {proof}. \
        Balm does not start on a journal with a hole in it: restore the file from a backup"
    )]
    Damaged {
        /// The first record that is lost.
        seq: Seq,
        /// Where.
        path: String,
        /// Where in it.
        offset: u64,
        /// How that is known.
        proof: String,
    },
    /// This version of Balm does not understand it.
    #[error("record {seq} in {path} at byte {offset}: {why}; start the version of Balm that wrote it, or a later one")]
    Unreadable {
        /// Which record.
        seq: Seq,
        /// Where.
        path: String,
        /// Where in it.
        offset: u64,
        /// What it is.
        why: LineError,
    },
    /// There is no room for a new journal.
    #[error("the journal cannot be written: {0}")]
    NoRoom(String),
}

/// Open the journal below a data directory, and hand over every record in order.
pub(crate) fn open(data: &Path, layout: Layout, mut each: impl FnMut(Record)) -> Result<Opened, OpenError> {
    let dir = data.join("journal");
    create_dirs(&[&dir, &data.join(CUT)])?;
    let found = files::list(&dir).map_err(|source| failed(&dir, "read", source))?;
    let log = Arc::new(Log::new(Chain::START));
    let mut chain = Chain::START;
    let mut last = None;
    for (index, (first, path)) in found.iter().enumerate() {
        check_follows(chain, *first, path)?;
        let is_last = index + 1 == found.len();
        let (segment, file, held) = read_segment(path, *first, chain, is_last, &mut each)?;
        if let Rest::Torn { bytes } = held.rest {
            cut(data, &file, path, held.chain.seq.next(), held.believed as u64, bytes as u64)?;
        }
        chain = held.chain;
        log.add(Arc::clone(&segment));
        last = Some((segment, file, held.believed as u64));
    }
    let spare = files::prepare_spare(&dir, layout, layout.segment_bytes);
    let (segment, file, written, spare) = match last {
        Some((segment, file, written)) => (segment, file, written, spare),
        None => {
            let spare = spare.map_err(|no_room| OpenError::NoRoom(no_room.why))?;
            let (path, file) =
                spare.put_in_place(&dir, Seq::ZERO.next()).map_err(|source| failed(&dir, "written", source))?;
            let reading = file.try_clone().map_err(|source| failed(&path, "opened", source))?;
            let segment = Arc::new(Segment::new(path, reading, Seq::ZERO.next(), layout.segment_bytes));
            log.add(Arc::clone(&segment));
            (segment, file, 0, files::prepare_spare(&dir, layout, layout.segment_bytes))
        }
    };
    log.publish(chain);
    let journal = Journal {
        dir,
        layout,
        log: Arc::clone(&log),
        segment,
        file,
        written,
        chain,
        durable: chain,
        buffer: Vec::new(),
        marks: Vec::new(),
        spare,
    };
    Ok(Opened { journal, log, chain, cut: pending_cuts(data)? })
}

/// Whether a file is the next one.
pub(super) fn check_follows(chain: Chain, first: Seq, path: &Path) -> Result<(), OpenError> {
    let expected = chain.seq.next();
    if first == expected { Ok(()) } else { Err(OpenError::Missing { expected, found: path.display().to_string() }) }
}

fn create_dirs(dirs: &[&Path]) -> Result<(), OpenError> {
    for dir in dirs {
        fs::create_dir_all(dir).map_err(|source| failed(dir, "created", source))?;
        if let Some(parent) = dir.parent() {
            files::sync_dir(parent).map_err(|source| failed(parent, "synced", source))?;
        }
    }
    Ok(())
}

fn read_segment(
    path: &Path,
    first: Seq,
    chain: Chain,
    is_last: bool,
    each: &mut impl FnMut(Record),
) -> Result<(Arc<Segment>, File, recovery::Held), OpenError> {
    let opened = OpenOptions::new().read(true).write(true).open(path);
    let file = opened.map_err(|source| failed(path, "opened", source))?;
    if is_last {
        // What is read from the page cache may not be on the disk: make it so before it is believed.
        file.sync_all().map_err(|source| failed(path, "synced", source))?;
    }
    let (bytes, size) = files::read_written(&file).map_err(|source| failed(path, "read", source))?;
    let mut marks = Vec::new();
    let held = recovery::read_file(&bytes, chain, |batch| {
        for placed in batch {
            if log::is_marked(placed.line.record.seq, first) {
                marks.push(placed.offset as u64);
            }
            each(placed.line.record);
        }
    });
    check(path, is_last, &held)?;
    let reading = file.try_clone().map_err(|source| failed(path, "opened", source))?;
    let segment = Arc::new(Segment::new(path.to_owned(), reading, first, size));
    segment.publish(&mut marks, held.believed as u64);
    Ok((segment, file, held))
}

/// Whether a file may end as it does.
pub(super) fn check(path: &Path, is_last: bool, held: &recovery::Held) -> Result<(), OpenError> {
    let path = path.display().to_string();
    match held.rest.clone() {
        Rest::Nothing => Ok(()),
        Rest::Torn { .. } if is_last => Ok(()),
        Rest::Torn { .. } => {
            let proof = "the file that follows it was begun after it was complete".into();
            Err(OpenError::Damaged { seq: held.chain.seq.next(), path, offset: held.believed as u64, proof })
        }
        Rest::Damaged { seq, offset, proof } => Err(OpenError::Damaged { seq, path, offset: offset as u64, proof }),
        Rest::Unreadable { seq, offset, why } => Err(OpenError::Unreadable { seq, path, offset: offset as u64, why }),
    }
}

/// Put aside what was never acknowledged, and clear its place. Whatever happens in between, the cut is recorded: the
/// copy is `pending` until it is.
fn cut(data: &Path, file: &File, path: &Path, seq: Seq, from: u64, bytes: u64) -> Result<(), OpenError> {
    let io = |source| failed(path, "cut", source);
    let mut torn = vec![0; usize::try_from(bytes).unwrap_or(usize::MAX)];
    file.read_exact_at(&mut torn, from).map_err(io)?;
    let dir = data.join(CUT);
    let kept = (0..).map(|n| dir.join(format!("{:020}-{n}.{PENDING}", seq.0)));
    let kept = kept.into_iter().find(|kept| !kept.exists() && !kept.with_extension(CUT).exists());
    let kept = kept.expect("there are endlessly many names");
    let copy = File::create(&kept).map_err(|source| failed(&kept, "created", source))?;
    copy.write_all_at(&torn, 0).and_then(|()| copy.sync_all()).map_err(|source| failed(&kept, "written", source))?;
    files::sync_dir(&dir).map_err(|source| failed(&dir, "synced", source))?;
    torn.fill(0);
    file.write_all_at(&torn, from).and_then(|()| file.sync_all()).map_err(io)
}

fn pending_cuts(data: &Path) -> Result<Vec<TailCut>, OpenError> {
    let dir = data.join(CUT);
    let entries = fs::read_dir(&dir).map_err(|source| failed(&dir, "read", source))?;
    let mut cuts = Vec::new();
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.extension().is_some_and(|extension| extension == PENDING) {
            let bytes = fs::metadata(&path).map_err(|source| failed(&path, "read", source))?.len();
            let name = path.with_extension(CUT);
            let name = name.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            cuts.push(TailCut { bytes, kept: format!("{CUT}/{name}") });
        }
    }
    cuts.sort_by(|a, b| a.kept.cmp(&b.kept));
    Ok(cuts)
}

/// The cut's record is durable.
pub(crate) fn cut_is_recorded(data: &Path, cut: &TailCut) -> Result<(), OpenError> {
    let kept: PathBuf = data.join(&cut.kept);
    fs::rename(kept.with_extension(PENDING), &kept).map_err(|source| failed(&kept, "renamed", source))
}

pub(super) fn failed(path: &Path, what: &'static str, source: io::Error) -> OpenError {
    OpenError::Io { path: path.display().to_string(), what, source }
}
