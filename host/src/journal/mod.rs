//! The journal: one file after the other of chained lines, each durable before anybody acts on it.
//!
//! It owns the files of `data/journal`: writing, opening after a crash, and (`log`) reading. All of its writing happens on
//! the engine's thread. Space is allocated a segment ahead, so running out of disk shows when the next segment is prepared
//! and never in the middle of a write; any other error of writing or syncing is fatal, since what a failed sync left
//! behind cannot be known. It refuses to know what records mean.

mod files;
mod log;
mod open;
mod scan;

use std::{
    fs::File,
    io,
    os::unix::fs::FileExt as _,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use balm_core::{
    line::{self, Chain, Framing},
    record::Record,
};

use self::files::Spare;
pub(crate) use self::{
    files::{free_bytes, name as file_name, sync_dir},
    log::{Log, LogError, Position, Segment},
    open::{Good, OpenError, Opened, chain_before, cut_is_recorded, read},
    scan::{scan, scan_some},
};

/// How often the next segment is tried for when the disk was full.
const RETRY_SPARE: Duration = Duration::from_millis(250);

/// Bytes of a group that are kept allocated between groups.
const BUFFER_KEPT_BYTES: usize = 4 << 20;

/// What the first line of a file says beyond its record.
const FRAMING_BYTES: u64 = 256;

/// How the journal's files are laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    /// Of a segment.
    pub(crate) segment_bytes: u64,
    /// That stay free on the disk.
    pub(crate) reserve_bytes: u64,
}

/// The writing end.
pub(crate) struct Journal {
    dir: PathBuf,
    layout: Layout,
    log: Arc<Log>,
    segment: Arc<Segment>,
    file: File,
    /// Bytes of the segment that are written.
    written: u64,
    /// Where the chain stands after the buffer, and after the last commit.
    chain: Chain,
    durable: Chain,
    buffer: Vec<u8>,
    marks: Vec<u64>,
    spare: Result<Spare, NoRoom>,
}

/// Why there is no room for another segment, and since when it was last tried.
#[derive(Debug)]
pub(crate) struct NoRoom {
    why: String,
    tried: Instant,
}

/// The journal cannot go on: the process must end.
#[derive(Debug, thiserror::Error)]
#[error(
    "the journal at {file} failed to {what}: {source}; what it holds up to the last answer is safe, start again once the disk is well"
)]
pub(crate) struct Broken {
    file: String,
    what: &'static str,
    source: io::Error,
}

impl Journal {
    /// Whether there is room for whatever comes next; otherwise why not. Tries again from time to time.
    pub(crate) fn room(&mut self) -> Result<(), String> {
        if let Err(no_room) = &self.spare
            && no_room.tried.elapsed() >= RETRY_SPARE
        {
            self.spare = files::prepare_spare(&self.dir, self.layout, self.layout.segment_bytes);
        }
        self.spare.as_ref().map(|_| ()).map_err(|no_room| no_room.why.clone())
    }

    /// Add a batch to the group that the next commit makes durable.
    pub(crate) fn append(&mut self, batch: &[Record]) -> Result<(), Broken> {
        let (start, chain) = (self.buffer.len(), self.chain);
        self.encode(batch);
        let bytes = (self.buffer.len() - start) as u64;
        if self.written + self.buffer.len() as u64 > self.segment.size() {
            // It goes to a new file, whose first line says so: encode it again there.
            self.buffer.truncate(start);
            self.chain = chain;
            self.marks.retain(|mark| *mark < self.written + start as u64);
            self.roll(bytes + FRAMING_BYTES)?;
            self.encode(batch);
        }
        Ok(())
    }

    fn encode(&mut self, batch: &[Record]) {
        for record in batch {
            let first_of_group = self.buffer.is_empty();
            let first_of_file = first_of_group && self.written == 0;
            let framing = Framing {
                synced: first_of_group.then_some(self.durable.seq),
                prev: first_of_file.then_some(self.chain.hash),
            };
            if log::is_marked(record.seq, self.segment.first()) {
                self.marks.push(self.written + self.buffer.len() as u64);
            }
            self.chain = line::write(self.chain, record, framing, &mut self.buffer);
        }
    }

    /// Bytes that were added and are not durable yet.
    pub(crate) fn pending(&self) -> usize {
        self.buffer.len()
    }

    /// Make everything that was added durable, and say whether anything was. Nothing of it may be acted on before.
    pub(crate) fn commit(&mut self) -> Result<bool, Broken> {
        if self.buffer.is_empty() {
            return Ok(false);
        }
        self.file.write_all_at(&self.buffer, self.written).map_err(|source| self.broken("write", source))?;
        self.file.sync_data().map_err(|source| self.broken("sync", source))?;
        self.written += self.buffer.len() as u64;
        self.durable = self.chain;
        self.segment.publish(&mut self.marks, self.written);
        self.log.publish(self.durable);
        self.buffer.clear();
        self.buffer.shrink_to(BUFFER_KEPT_BYTES);
        Ok(true)
    }

    /// Go on in the next file, of at least so many bytes.
    fn roll(&mut self, least: u64) -> Result<(), Broken> {
        self.commit()?;
        let spare = std::mem::replace(&mut self.spare, Err(NoRoom::now("the next segment is in use")));
        let spare = match spare {
            Ok(spare) if spare.bytes() >= least => spare,
            // A batch larger than a segment, or one that came although there was no room: wait for the disk. Nothing
            // is lost by it, and nobody is answered.
            Ok(_) | Err(_) => self.wait_for_room(least),
        };
        let first = self.chain.seq.next();
        let (path, file) =
            spare.put_in_place(&self.dir, first).map_err(|source| self.broken("begin a file", source))?;
        let reading = file.try_clone().map_err(|source| self.broken("begin a file", source))?;
        self.segment = Arc::new(Segment::new(path, reading, first, least.max(self.layout.segment_bytes)));
        (self.file, self.written) = (file, 0);
        self.log.add(Arc::clone(&self.segment));
        self.spare = files::prepare_spare(&self.dir, self.layout, self.layout.segment_bytes);
        Ok(())
    }

    fn wait_for_room(&self, least: u64) -> Spare {
        loop {
            match files::prepare_spare(&self.dir, self.layout, least.max(self.layout.segment_bytes)) {
                Ok(spare) => return spare,
                Err(no_room) => {
                    tracing::error!(why = no_room.why, "the journal waits for room");
                    std::thread::sleep(RETRY_SPARE);
                }
            }
        }
    }

    fn broken(&self, what: &'static str, source: io::Error) -> Broken {
        Broken { file: self.segment.path().display().to_string(), what, source }
    }
}

impl NoRoom {
    fn now(why: impl Into<String>) -> Self {
        Self { why: why.into(), tried: Instant::now() }
    }
}

#[cfg(test)]
mod tests;
