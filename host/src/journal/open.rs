//! Opening the journal: what is believed after whatever happened to the process, the machine or the disk.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use balm_core::{
    beginning::{self, Unvouched},
    line::{self, Chain, LineError},
    name::Seq,
    record::{Record, TailCut},
    recovery::{self, Placed, Rest},
};

use super::{
    Journal, Layout, files, log,
    log::{Log, Segment},
};

/// Where bytes that were cut are kept, below the data directory.
const CUT: &str = "cut";
/// Bytes read at once where one line is looked for at the end of a file or at its beginning.
const FIRST_LINE_BYTES: usize = 64 << 10;
/// The longest line: none is longer than the largest file.
const LINE_BYTES_MOST: u64 = 1 << 30;
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
        /// The record that it begins with.
        first: Seq,
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
    /// Where the chain is said to stand there is something else, or nothing.
    #[error("the journal has another record {0}, or none")]
    Another(Seq),
    /// The line that two files meet at is not what was written.
    #[error(
        "record {seq} is not where it should be, at the beginning or end of {path}: restore that file from a backup"
    )]
    NotThere {
        /// Which record.
        seq: Seq,
        /// In which file.
        path: String,
    },
    /// A running host dropped a file of it meanwhile.
    #[error("old records were dropped while the journal was read: do it again")]
    Overtaken,
    /// Nothing says what came before the first record.
    #[error("the journal is not whole: {0}; restore the missing files from a backup")]
    Beginning(#[from] Unvouched),
    /// What came before the first record is known to nobody.
    #[error(
        "the journal begins with record {0}, since older ones are no longer kept, and no saved state can be used: \
        restore the files in `state` from a backup"
    )]
    NoState(Seq),
    /// There is no room for a new journal.
    #[error("the journal cannot be written: {0}")]
    NoRoom(String),
}

/// A journal that was read and found good. Nothing of it was changed yet.
pub(crate) struct Good {
    data: PathBuf,
    dir: PathBuf,
    log: Arc<Log>,
    /// Where the chain stands.
    pub(crate) chain: Chain,
    /// Where it stood before the first file that was read. What lies before that was not checked.
    pub(crate) checked_from: Chain,
    /// Where it should stand before the first file there is.
    pub(crate) begins: Chain,
    last: Option<Last>,
}

/// The last file.
struct Last {
    segment: Arc<Segment>,
    file: File,
    believed: u64,
    /// Bytes of an unfinished write behind that.
    torn: u64,
}

/// Read the journal below a data directory, and hand over every record behind `from` in order.
///
/// Files before the one with `from` are not read: there must be a reason to believe where the chain stood then.
pub(crate) fn read(data: &Path, from: Chain, mut each: impl FnMut(Record)) -> Result<Good, OpenError> {
    let dir = data.join("journal");
    create_dirs(&[&dir, &data.join(CUT)])?;
    let found = files::list(&dir).map_err(|source| failed(&dir, "read", source))?;
    let unread = unread_files(&found, from)?;
    let begins = match found.first() {
        Some((first, path)) if from != Chain::START => chain_before(path, *first)?,
        Some(_) | None => Chain::START,
    };
    let log = Arc::new(Log::new(Chain::START));
    for pair in found.windows(2).take(unread) {
        log.add(unread_segment(&pair[0], &pair[1])?);
    }
    let checked_from = match found.get(unread) {
        Some((first, path)) if from != Chain::START => chain_before(path, *first)?,
        Some(_) | None => Chain::START,
    };
    let (mut chain, mut last, mut passed) = (checked_from, None, checked_from == from);
    for (index, (first, path)) in found.iter().enumerate().skip(unread) {
        check_follows(chain, *first, path)?;
        let is_last = index + 1 == found.len();
        let (segment, file, held) = read_segment(path, *first, chain, is_last, |placed| {
            let line = placed.line;
            passed |= line.record.seq == from.seq && line.hash == from.hash;
            if line.record.seq > from.seq {
                each(line.record);
            }
        })?;
        chain = held.chain;
        log.add(Arc::clone(&segment));
        let torn = if let Rest::Torn { bytes } = held.rest { bytes as u64 } else { 0 };
        last = Some(Last { segment, file, believed: held.believed as u64, torn });
    }
    if !passed {
        return Err(OpenError::Another(from.seq));
    }
    log.publish(chain);
    Ok(Good { data: data.to_owned(), dir, log, chain, checked_from, begins, last })
}

/// How many files need not be read.
fn unread_files(found: &[(Seq, PathBuf)], from: Chain) -> Result<usize, OpenError> {
    if from == Chain::START {
        return Ok(0);
    }
    match found.partition_point(|(first, _)| *first <= from.seq) {
        0 if found.first().is_some_and(|(first, _)| *first == from.seq.next()) => Ok(0),
        0 => Err(OpenError::Another(from.seq)),
        files => Ok(files - 1),
    }
}

/// Where the chain stands before a file, as its first line says.
pub(crate) fn chain_before(path: &Path, first: Seq) -> Result<Chain, OpenError> {
    if first == Seq::ZERO.next() {
        return Ok(Chain::START);
    }
    let file = File::open(path).map_err(|source| failed(path, "opened", source))?;
    let line = first_line(&file).map_err(|source| failed(path, "read", source))?;
    let claim = line.as_deref().and_then(line::claims).filter(|(seq, _)| *seq == first);
    let chain = claim.and_then(|(seq, framing)| beginning::before(seq, framing));
    chain.ok_or_else(|| not_there(first, path))
}

fn not_there(seq: Seq, path: &Path) -> OpenError {
    OpenError::NotThere { seq, path: path.display().to_string() }
}

/// Whether the first line of a file fits its own hash.
fn begins_whole(path: &Path) -> bool {
    let line = File::open(path).and_then(|file| first_line(&file)).ok().flatten();
    let fits = |line: &[u8]| {
        let (hash, json) = line::split(line)?;
        let prev = line::claims(line)?.1.prev?;
        Some(line::hash_after(&prev, json) == hash)
    };
    line.as_deref().and_then(fits) == Some(true)
}

fn first_line(file: &File) -> io::Result<Option<Vec<u8>>> {
    let mut text = Vec::new();
    while (text.len() as u64) < LINE_BYTES_MOST {
        let (start, mut block) = (text.len(), vec![0; FIRST_LINE_BYTES]);
        let bytes = file.read_at(&mut block, start as u64)?;
        let end = block[..bytes].iter().position(|c| *c == b'\n');
        text.extend_from_slice(&block[..end.unwrap_or(bytes)]);
        if end.is_some() {
            return Ok(Some(text));
        }
        if bytes == 0 {
            break;
        }
    }
    Ok(None)
}

/// A file that is followed by another, and whose last line is the one that that one follows. Nothing else of it is read.
fn unread_segment(
    (first, path): &(Seq, PathBuf),
    (next, next_path): &(Seq, PathBuf),
) -> Result<Arc<Segment>, OpenError> {
    let file = File::open(path).map_err(|source| failed(path, "opened", source))?;
    let read = |source| failed(path, "read", source);
    let size = file.metadata().map_err(read)?.len();
    let end = end_of_text(&file, size).map_err(read)?;
    let last = last_line(&file, end).map_err(read)?;
    let stands = last.as_deref().and_then(line::split).and_then(|(hash, json)| {
        let seq = line::glance(json)?.seq;
        Some(Chain { seq, hash })
    });
    if stands != Some(chain_before(next_path, *next)?) {
        // Only the line that begins a file can be judged by itself.
        let ends_wrong = begins_whole(next_path);
        let (seq, at) = if ends_wrong { (Seq(next.0 - 1), path) } else { (*next, next_path) };
        return Err(not_there(seq, at));
    }
    Ok(Arc::new(Segment::unread(path.clone(), file, *first, size, end)))
}

/// Where the zeros of pre-allocation begin. No line has a zero, so they can be searched for.
fn end_of_text(file: &File, size: u64) -> io::Result<u64> {
    let (mut text, mut zeros) = (0, size);
    while text < zeros {
        let middle = text + (zeros - text) / 2;
        let mut byte = [0];
        file.read_exact_at(&mut byte, middle)?;
        if byte[0] == 0 { zeros = middle } else { text = middle + 1 }
    }
    Ok(text)
}

/// The line that ends there, without its newline.
fn last_line(file: &File, end: u64) -> io::Result<Option<Vec<u8>>> {
    let Some(end) = end.checked_sub(1) else { return Ok(None) };
    let (mut start, mut text) = (end, Vec::new());
    while start > 0 && end - start < LINE_BYTES_MOST {
        let from = start.saturating_sub(FIRST_LINE_BYTES as u64);
        let mut block = vec![0; usize::try_from(start - from).unwrap_or(FIRST_LINE_BYTES)];
        file.read_exact_at(&mut block, from)?;
        let newline = block.iter().rposition(|c| *c == b'\n');
        text.splice(0..0, block[newline.map_or(0, |at| at + 1)..].iter().copied());
        if newline.is_some() {
            return Ok(Some(text));
        }
        start = from;
    }
    Ok((start == 0).then_some(text))
}

impl Good {
    /// Make it one that can be written: cut what was never acknowledged, and allocate what comes next.
    pub(crate) fn open(self, layout: Layout) -> Result<Opened, OpenError> {
        let Self { data, dir, log, chain, last, .. } = self;
        let spare = files::prepare_spare(&dir, layout, layout.segment_bytes);
        let (segment, file, written, spare) = match last {
            Some(Last { segment, file, believed, torn }) => {
                if torn > 0 {
                    cut(&data, &file, segment.path(), chain.seq.next(), believed, torn)?;
                }
                (segment, file, believed, spare)
            }
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
        Ok(Opened { journal, log, chain, cut: pending_cuts(&data)? })
    }
}

/// Whether a file is the next one.
pub(super) fn check_follows(chain: Chain, first: Seq, path: &Path) -> Result<(), OpenError> {
    let expected = chain.seq.next();
    if first == expected {
        Ok(())
    } else {
        Err(OpenError::Missing { expected, found: path.display().to_string(), first })
    }
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
    mut each: impl FnMut(Placed),
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
            each(placed);
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
