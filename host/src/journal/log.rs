//! The reading end of the journal: any number of readers, which see what is durable and nothing else.

use std::{
    fs::File,
    io,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
};

use balm_core::{
    line::{self, Chain},
    name::Seq,
    record::Record,
};
use tokio::sync::watch;

/// Of so many records one is marked with its place, so that any can be found without reading its file.
const MARK_EVERY: u64 = 4;

/// Bytes read at once when a record is looked for: about as many as stand between two marks.
const READ_BYTES: usize = 8 << 10;

/// Bytes read at once for one line; an alert has one to two thousand.
const LINE_BYTES: usize = 4 << 10;

/// The journal, for readers.
pub(crate) struct Log {
    segments: RwLock<Vec<Arc<Segment>>>,
    durable: watch::Sender<Chain>,
}

/// A file of the journal.
pub(super) struct Segment {
    path: PathBuf,
    file: File,
    first: Seq,
    size: u64,
    /// The places of the records [`is_marked`] speaks of, in order.
    marks: Mutex<Vec<u64>>,
    /// Bytes that are durable.
    end: AtomicU64,
}

/// A place between two lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    segment: usize,
    offset: u64,
}

impl Position {
    /// Before the first record.
    pub(crate) const START: Self = Self { segment: 0, offset: 0 };
}

/// Why a record cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LogError {
    /// The file cannot be read.
    #[error("the journal cannot be read: {0}")]
    Io(#[from] io::Error),
    /// There is no such record, or not yet.
    #[error("there is no record {0}")]
    Absent(Seq),
    /// There is something else in its place.
    #[error("record {seq} cannot be read: {why}")]
    Damaged {
        /// Which.
        seq: Seq,
        /// What is wrong with it.
        why: String,
    },
}

impl Log {
    pub(super) fn new(durable: Chain) -> Self {
        Self { segments: RwLock::new(Vec::new()), durable: watch::Sender::new(durable) }
    }

    pub(super) fn add(&self, segment: Arc<Segment>) {
        self.segments.write().unwrap_or_else(PoisonError::into_inner).push(segment);
    }

    pub(super) fn publish(&self, durable: Chain) {
        self.durable.send_replace(durable);
    }

    /// Where the chain stands durably.
    pub(crate) fn durable(&self) -> Chain {
        *self.durable.borrow()
    }

    /// Be told when more is durable.
    pub(crate) fn follow(&self) -> watch::Receiver<Chain> {
        self.durable.subscribe()
    }

    fn segment(&self, index: usize) -> Option<Arc<Segment>> {
        self.segments.read().unwrap_or_else(PoisonError::into_inner).get(index).cloned()
    }

    /// The place of a record: before it, or at the end if it does not exist yet.
    pub(crate) fn position(&self, seq: Seq) -> Result<Position, LogError> {
        if seq > self.durable().seq {
            return Ok(self.end());
        }
        let (index, segment) = self.segment_of(seq)?;
        Ok(Position { segment: index, offset: segment.find(seq)?.0 })
    }

    /// The file that a record stands in.
    fn segment_of(&self, seq: Seq) -> Result<(usize, Arc<Segment>), LogError> {
        let segments = self.segments.read().unwrap_or_else(PoisonError::into_inner);
        let index = segments.partition_point(|segment| segment.first <= seq).checked_sub(1);
        let index = index.ok_or(LogError::Absent(seq))?;
        Ok((index, Arc::clone(&segments[index])))
    }

    /// Behind the last record.
    pub(crate) fn end(&self) -> Position {
        let segments = self.segments.read().unwrap_or_else(PoisonError::into_inner);
        let Some(last) = segments.last() else { return Position::START };
        Position { segment: segments.len() - 1, offset: last.end.load(Ordering::Acquire) }
    }

    /// A record.
    pub(crate) fn read(&self, seq: Seq) -> Result<Record, LogError> {
        if seq > self.durable().seq {
            return Err(LogError::Absent(seq));
        }
        let (_, segment) = self.segment_of(seq)?;
        let line = segment.line(seq)?;
        let damaged = |why: String| LogError::Damaged { seq, why };
        let (_, json) = line::split(&line).ok_or_else(|| damaged("it is no line".into()))?;
        let (record, _) = line::read_json(json).map_err(|error| damaged(error.to_string()))?;
        if record.seq == seq { Ok(record) } else { Err(damaged(format!("record {} stands there", record.seq))) }
    }

    /// The next whole lines from a place, about so many bytes of them, and the place behind them. Empty at the end.
    pub(crate) fn lines(&self, mut from: Position, about: usize) -> Result<(Vec<u8>, Position), LogError> {
        loop {
            let Some(segment) = self.segment(from.segment) else { return Ok((Vec::new(), from)) };
            let available = segment.end.load(Ordering::Acquire).saturating_sub(from.offset);
            if available > 0 {
                let lines =
                    segment.lines_at(from.offset, about.min(usize::try_from(available).unwrap_or(usize::MAX)))?;
                from.offset += lines.len() as u64;
                return Ok((lines, from));
            }
            if self.segment(from.segment + 1).is_none() {
                return Ok((Vec::new(), from));
            }
            from = Position { segment: from.segment + 1, offset: 0 };
        }
    }
}

impl Segment {
    pub(super) fn new(path: PathBuf, file: File, first: Seq, size: u64) -> Self {
        Self { path, file, first, size, marks: Mutex::new(Vec::new()), end: AtomicU64::new(0) }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn first(&self) -> Seq {
        self.first
    }

    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// More is durable: the bytes up to `end`, and the marks in them.
    pub(super) fn publish(&self, marks: &mut Vec<u64>, end: u64) {
        self.marks.lock().unwrap_or_else(PoisonError::into_inner).append(marks);
        self.end.store(end, Ordering::Release);
    }

    /// The place of a record of this file, from the mark before it line by line in few reads, and what was read of it and
    /// behind it on the way.
    fn find(&self, seq: Seq) -> Result<(u64, Vec<u8>), LogError> {
        let ahead = seq.0 - self.first.0;
        let mark = usize::try_from(ahead / MARK_EVERY).ok();
        let mark = mark.and_then(|mark| self.marks.lock().unwrap_or_else(PoisonError::into_inner).get(mark).copied());
        let mut offset = mark.ok_or(LogError::Absent(seq))?;
        let mut left = usize::try_from(ahead % MARK_EVERY).expect("it is less than the marks are apart");
        let mut behind = Vec::new();
        while left > 0 {
            let mut lines = self.lines_at(offset, READ_BYTES)?;
            let mut ends = memchr::memchr_iter(b'\n', &lines).take(left);
            let (passed, end) = ends.by_ref().fold((0, 0), |(count, _), end| (count + 1, end + 1));
            (offset, left) = (offset + end as u64, left - passed);
            lines.drain(..end);
            behind = lines;
        }
        Ok((offset, behind))
    }

    /// The line of a record of this file, without its newline.
    fn line(&self, seq: Seq) -> Result<Vec<u8>, LogError> {
        let (offset, mut line) = self.find(seq)?;
        if line.is_empty() {
            line = self.lines_at(offset, LINE_BYTES)?;
        }
        let end = memchr::memchr(b'\n', &line).unwrap_or(line.len());
        line.truncate(end);
        Ok(line)
    }

    /// Whole lines from a place: as many as begin within so many bytes, at least one.
    fn lines_at(&self, offset: u64, about: usize) -> Result<Vec<u8>, LogError> {
        let available = self.end.load(Ordering::Acquire).saturating_sub(offset);
        let available = usize::try_from(available).unwrap_or(usize::MAX);
        let mut bytes = about.clamp(1, available.max(1));
        loop {
            let mut lines = vec![0; bytes];
            self.file.read_exact_at(&mut lines, offset)?;
            if let Some(last) = memchr::memrchr(b'\n', &lines) {
                lines.truncate(last + 1);
                return Ok(lines);
            }
            if bytes >= available {
                let why = format!("no line ends behind byte {offset} of {}", self.path.display());
                return Err(LogError::Damaged { seq: self.first, why });
            }
            bytes = (bytes * 4).min(available);
        }
    }
}

/// Whether the place of a record is kept in memory.
pub(super) fn is_marked(seq: Seq, first: Seq) -> bool {
    (seq.0 - first.0).is_multiple_of(MARK_EVERY)
}
