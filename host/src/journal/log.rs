//! The reading end of the journal: any number of readers, which see what is durable and nothing else.

use std::{
    fs::File,
    io,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError, RwLock, RwLockReadGuard,
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

/// Bytes read at once of a file whose marks are not known.
const BLOCK_BYTES: usize = 1 << 20;

/// The journal, for readers.
pub(crate) struct Log {
    segments: RwLock<Segments>,
    durable: watch::Sender<Chain>,
}

/// The files that are kept. One is known by its number, which stays as files before it go.
#[derive(Default)]
struct Segments {
    dropped: usize,
    kept: Vec<Arc<Segment>>,
}

impl Segments {
    fn get(&self, number: usize) -> Option<&Arc<Segment>> {
        self.kept.get(number.checked_sub(self.dropped)?)
    }
}

/// A file of the journal.
pub(crate) struct Segment {
    path: PathBuf,
    file: File,
    first: Seq,
    size: u64,
    /// The places of the records [`is_marked`] speaks of, in order; `None` while nobody has asked for one in a file that
    /// was not read.
    marks: Mutex<Option<Vec<u64>>>,
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

    /// Bytes of its file before it.
    pub(crate) fn offset(self) -> u64 {
        self.offset
    }
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
    /// It was there, and is no longer kept.
    #[error("the records before {0} are no longer kept")]
    Dropped(Seq),
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
        Self { segments: RwLock::default(), durable: watch::Sender::new(durable) }
    }

    pub(super) fn add(&self, segment: Arc<Segment>) {
        self.segments.write().unwrap_or_else(PoisonError::into_inner).kept.push(segment);
    }

    fn segments(&self) -> RwLockReadGuard<'_, Segments> {
        self.segments.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The files that are kept, in order.
    pub(crate) fn files(&self) -> Vec<Arc<Segment>> {
        self.segments().kept.clone()
    }

    /// The first record that is kept.
    pub(crate) fn first(&self) -> Seq {
        self.segments().kept.first().map_or(Seq::ZERO.next(), |segment| segment.first)
    }

    /// Let go of the oldest file: nobody new will read it.
    pub(crate) fn drop_oldest(&self) {
        let mut segments = self.segments.write().unwrap_or_else(PoisonError::into_inner);
        if segments.kept.len() > 1 {
            segments.kept.remove(0);
            segments.dropped += 1;
        }
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

    /// The file of a place, if it is kept.
    pub(crate) fn file(&self, position: Position) -> Option<Arc<Segment>> {
        self.segment(position.segment)
    }

    fn segment(&self, index: usize) -> Option<Arc<Segment>> {
        self.segments().get(index).cloned()
    }

    /// The place of a record: before it, or at the end if it does not exist yet.
    pub(crate) fn position(&self, seq: Seq) -> Result<Position, LogError> {
        let durable = self.durable().seq;
        if seq <= durable {
            let (number, segment) = self.segment_of(seq)?;
            return Ok(Position { segment: number, offset: segment.find(seq)?.0 });
        }
        if durable == Seq::ZERO {
            return Ok(self.end());
        }
        // Behind the last record, and not at the end: since it was asked for, more may stand there.
        let (number, segment) = self.segment_of(durable)?;
        let (offset, line) = segment.find(durable)?;
        Ok(Position { segment: number, offset: offset + line.len() as u64 + 1 })
    }

    /// The file that a record stands in, and its number.
    fn segment_of(&self, seq: Seq) -> Result<(usize, Arc<Segment>), LogError> {
        let segments = self.segments();
        let index = segments.kept.partition_point(|segment| segment.first <= seq).checked_sub(1);
        let index = index.ok_or_else(|| match segments.kept.first() {
            Some(first) if seq > Seq::ZERO => LogError::Dropped(first.first),
            Some(_) | None => LogError::Absent(seq),
        })?;
        Ok((segments.dropped + index, Arc::clone(&segments.kept[index])))
    }

    /// Behind the last record.
    pub(crate) fn end(&self) -> Position {
        let segments = self.segments();
        let Some(last) = segments.kept.last() else { return Position::START };
        Position { segment: segments.dropped + segments.kept.len() - 1, offset: last.end() }
    }

    /// A record.
    pub(crate) fn read(&self, seq: Seq) -> Result<Record, LogError> {
        if seq > self.durable().seq {
            return Err(LogError::Absent(seq));
        }
        let (_, segment) = self.segment_of(seq)?;
        let (_, line) = segment.find(seq)?;
        let damaged = |why: String| LogError::Damaged { seq, why };
        let (_, json) = line::split(&line).ok_or_else(|| damaged("it is no line".into()))?;
        let (record, _) = line::read_json(json).map_err(|error| damaged(error.to_string()))?;
        if record.seq == seq { Ok(record) } else { Err(damaged(format!("record {} stands there", record.seq))) }
    }

    /// The next whole lines from a place, about so many bytes of them, and the place behind them. Empty at the end.
    pub(crate) fn lines(&self, from: Position, about: usize) -> Result<(Vec<u8>, Position), LogError> {
        let mut lines = Vec::new();
        let next = self.lines_into(from, about, &mut lines)?;
        Ok((lines, next))
    }

    /// The same instead of what the buffer holds, for whoever reads on and on.
    pub(crate) fn lines_into(
        &self,
        mut from: Position,
        about: usize,
        lines: &mut Vec<u8>,
    ) -> Result<Position, LogError> {
        loop {
            let Some(segment) = self.segment(from.segment) else {
                lines.clear();
                return self.beyond(from);
            };
            let available = segment.end().saturating_sub(from.offset);
            if available > 0 {
                let about = about.min(usize::try_from(available).unwrap_or(usize::MAX));
                segment.lines_at(from.offset, about, lines)?;
                from.offset += lines.len() as u64;
                return Ok(from);
            }
            if self.segment(from.segment + 1).is_none() {
                lines.clear();
                return Ok(from);
            }
            // One that another follows grows no more. What came to it since it was asked is read before the next.
            if segment.end() > from.offset {
                continue;
            }
            from = Position { segment: from.segment + 1, offset: 0 };
        }
    }

    /// Nothing is kept there: not yet, or no longer.
    fn beyond(&self, from: Position) -> Result<Position, LogError> {
        let segments = self.segments();
        match segments.kept.first().filter(|_| from.segment < segments.dropped) {
            Some(first) => Err(LogError::Dropped(first.first)),
            None => Ok(from),
        }
    }
}

impl Segment {
    pub(super) fn new(path: PathBuf, file: File, first: Seq, size: u64) -> Self {
        Self { path, file, first, size, marks: Mutex::new(Some(Vec::new())), end: AtomicU64::new(0) }
    }

    /// One of which only the end is known.
    pub(super) fn unread(path: PathBuf, file: File, first: Seq, size: u64, end: u64) -> Self {
        Self { path, file, first, size, marks: Mutex::new(None), end: AtomicU64::new(end) }
    }

    /// Its path.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The record that it begins with.
    pub(crate) fn first(&self) -> Seq {
        self.first
    }

    /// Bytes of it that are durable; behind them is nothing.
    pub(crate) fn end(&self) -> u64 {
        self.end.load(Ordering::Acquire)
    }

    /// Bytes of the disk that it takes.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// More is durable: the bytes up to `end`, and the marks in them.
    pub(super) fn publish(&self, marks: &mut Vec<u64>, end: u64) {
        self.marks.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_default().append(marks);
        self.end.store(end, Ordering::Release);
    }

    /// The place of a record of this file, and its line: of the lines between the mark before it and the next, which are read
    /// at once.
    fn find(&self, seq: Seq) -> Result<(u64, Vec<u8>), LogError> {
        let ahead = seq.0 - self.first.0;
        let (mark, next) = self.mark(ahead / MARK_EVERY)?.ok_or(LogError::Absent(seq))?;
        let before = usize::try_from(ahead % MARK_EVERY).expect("it is less than the marks are apart");
        let damaged = || {
            let why = format!("no line ends behind byte {mark} of {}", self.path.display());
            LogError::Damaged { seq, why }
        };
        let mut lines = vec![0; usize::try_from(next - mark).map_err(|_| damaged())?];
        self.read_at(&mut lines, mark)?;
        let mut ends = memchr::memchr_iter(b'\n', &lines);
        let begin = if before == 0 { Some(0) } else { ends.nth(before - 1).map(|end| end + 1) };
        let (begin, end) = begin.zip(ends.next()).ok_or_else(damaged)?;
        lines.truncate(end);
        lines.drain(..begin);
        Ok((mark + begin as u64, lines))
    }

    /// The place of a marked record, and that of the next or the end of what is durable. The first question about a file that
    /// was not read reads it.
    fn mark(&self, mark: u64) -> Result<Option<(u64, u64)>, LogError> {
        let mut marks = self.marks.lock().unwrap_or_else(PoisonError::into_inner);
        let known = match marks.take() {
            Some(known) => known,
            None => self.find_marks()?,
        };
        let mark = usize::try_from(mark).ok();
        let place = mark.and_then(|mark| Some((*known.get(mark)?, known.get(mark + 1).copied().unwrap_or(self.end()))));
        *marks = Some(known);
        Ok(place)
    }

    fn find_marks(&self) -> Result<Vec<u64>, LogError> {
        let (mut marks, mut seq, mut begins) = (Vec::new(), self.first, true);
        let (mut block, end) = (vec![0; BLOCK_BYTES], self.end());
        for offset in (0..end).step_by(BLOCK_BYTES) {
            let bytes = usize::try_from(end - offset).map_or(BLOCK_BYTES, |left| left.min(BLOCK_BYTES));
            self.read_at(&mut block[..bytes], offset)?;
            for (place, byte) in (offset..).zip(&block[..bytes]) {
                if begins && is_marked(seq, self.first) {
                    marks.push(place);
                }
                begins = *byte == b'\n';
                seq = if begins { seq.next() } else { seq };
            }
        }
        Ok(marks)
    }

    /// Read exactly these bytes.
    pub(crate) fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.read_exact_at(bytes, offset)
    }

    /// Whole lines from a place, instead of what the buffer holds: as many as begin within so many bytes, at least one.
    fn lines_at(&self, offset: u64, about: usize, lines: &mut Vec<u8>) -> Result<(), LogError> {
        let available = self.end().saturating_sub(offset);
        let available = usize::try_from(available).unwrap_or(usize::MAX);
        let mut bytes = about.clamp(1, available.max(1));
        loop {
            lines.resize(bytes, 0);
            self.file.read_exact_at(lines, offset)?;
            if let Some(last) = memchr::memrchr(b'\n', lines) {
                lines.truncate(last + 1);
                return Ok(());
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
