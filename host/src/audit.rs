//! The audit database: every record of the journal, kept in sled where it can be asked for.
//!
//! It is a projection: one thread copies the journal's lines into it, and what it holds is compared with the chain before
//! it is believed. Losing it loses nothing; it is built again. Only here is sled spoken of, and it refuses to know what records
//! lead to.
//!
//! sled 0.34 does not sync what it flushes, loses data silently when its files are damaged, and writes values of more than
//! about 8 KiB without any sync. So lines are packed into values of at most 4 KiB, its file is synced through a descriptor
//! of our own, a child process opens it first after a start, its head must agree with the chain, and all of it is checked
//! behind everybody's back (`check`). Once it is found damaged it answers no more, and the next start builds it again. What
//! it costs grows with the bytes that it is given, and records repeat each other's words: packs of them are compressed.

mod ask;
mod check;
mod copy;
mod index;
mod pack;

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    sync::{Arc, OnceLock, RwLock, atomic::AtomicU64},
    thread,
    time::{Duration, Instant},
};

use balm_core::{
    digest::Digest,
    line::{self, Chain},
    name::Seq,
};
use sled::{Batch, Db, Tree};
use tokio::sync::watch;

pub(crate) use self::ask::Room;
use self::index::Index;
use crate::{
    itself,
    journal::{self, Log, LogError, Position},
};

/// Bytes of a value. See above.
const VALUE_BYTES: usize = 4 << 10;

/// Bytes of sled's cache: an idle host stays small.
const CACHE_BYTES: u64 = 32 << 20;

/// How long the child may take to open the database.
const PROBE: Duration = Duration::from_secs(30);

/// Bytes that are free on its disk before it is opened: what opening writes, and some copying. sled fails with less, and one
/// that is good would be taken for one that cannot be opened.
const ROOM_BYTES: u64 = 4 << 20;

/// The name says how what is in it is packed and found: another one is not found, and the database is built again.
const HEAD: &[u8] = b"head-of-lz4-packs-with-shared-index";

/// The trees: packs of records, and by which records episodes are found.
const RECORDS: &str = "records";
const FOUND: &str = "found";

/// The file that sled keeps in its directory, and locks.
const FILE: &str = "db";

/// The file in its directory that says that it is damaged, and where: it is put aside with it.
const DAMAGED: &str = "damaged";

/// The audit database, for readers.
#[derive(Clone)]
pub(crate) struct Audit {
    shared: Arc<Shared>,
}

struct Shared {
    /// None while it is let go of, to be opened again.
    trees: RwLock<Option<Arc<Trees>>>,
    /// The first record that is in it, or will be: where old records are no longer kept, one that is built again begins there.
    first: AtomicU64,
    /// The last record that is in it.
    head: watch::Sender<Seq>,
    /// Where it was found damaged, if it was.
    damaged: OnceLock<Seq>,
    dir: PathBuf,
}

/// What was opened.
struct Trees {
    records: Tree,
    found: Tree,
    /// Its head when it was opened, which is the journal's.
    known: Chain,
}

/// Why the database cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AuditError {
    /// sled says so.
    #[error("the audit database failed: {0}")]
    Sled(#[from] sled::Error),
    /// Its files cannot be handled.
    #[error("the audit database cannot be {what}: {source}")]
    Io {
        /// What was to be done.
        what: &'static str,
        /// Why not.
        source: std::io::Error,
    },
    /// It would fail at the first write.
    #[error("less than {} MiB are free on the audit database's disk: make room", ROOM_BYTES >> 20)]
    NoRoom,
    /// The journal cannot be read.
    #[error(transparent)]
    Log(#[from] LogError),
    /// It knows more than the journal does.
    #[error(
        "the audit database holds record {known}, and the journal ends with {journal}: acknowledged records are \
        missing from the journal. Restore it from a backup, or start once with --accept-loss to go on without them"
    )]
    JournalBehind {
        /// The database's last record.
        known: Seq,
        /// The journal's.
        journal: Seq,
    },
    /// It begins behind them, since the journal did when it was built.
    #[error("the records before {0} are no longer kept")]
    Dropped(Seq),
    /// What is copied to it leaves something out.
    #[error("record {found} was to be copied to the audit database where {expected} comes next")]
    OutOfOrder {
        /// The record behind the last that it has.
        expected: Seq,
        /// The one that was read.
        found: Seq,
    },
    /// It is let go of for a moment.
    #[error("the audit database failed and is opened again once that can be done: ask again in a moment")]
    Away,
    /// What is in it is not what was put in.
    #[error("record {0} in the audit database is damaged; it is built again from the journal at the next start")]
    Damaged(Seq),
}

/// A database that was found good, and how far it is.
pub(crate) struct Opened {
    audit: Audit,
    database: Database,
    /// Why it had to be built again, if it had.
    pub(crate) rebuilt: Option<String>,
    /// The last record that it had and the journal does not, if a person accepted that.
    pub(crate) lost: Option<Seq>,
}

/// What it is written with, and where the journal goes on behind it.
struct Database {
    db: Db,
    trees: Arc<Trees>,
    sync: File,
    from: Position,
    first: Seq,
}

/// Open the database below a data directory, or build it again if it is not what the journal says.
///
/// `accept_loss` goes on with a journal that ends before the database does.
pub(crate) fn open(data: &Path, log: &Log, accept_loss: bool) -> Result<Opened, AuditError> {
    let dir = data.join("audit");
    room(data)?;
    let (rebuilt, lost) = match usable(&dir, log) {
        Ok(()) => (None, None),
        // sled finds nothing in files that it cannot read: what there was to keep is gone already.
        Err(why @ Unusable::Empty) => (Some(why.to_string()), None),
        Err(Unusable::Behind { known }) if !accept_loss => {
            return Err(AuditError::JournalBehind { known, journal: log.durable().seq });
        }
        Err(why @ Unusable::Behind { known }) => {
            put_aside(&dir)?;
            (Some(why.to_string()), Some(known))
        }
        Err(why @ Unusable::Bad(_)) => {
            put_aside(&dir)?;
            (Some(why.to_string()), None)
        }
    };
    let database = Database::open(&dir, log)?;
    let audit = Audit::of(dir, database.first, database.trees.known.seq, &database.trees);
    Ok(Opened { audit, database, rebuilt, lost })
}

impl Audit {
    fn of(dir: PathBuf, first: Seq, head: Seq, trees: &Arc<Trees>) -> Self {
        let (trees, first) = (RwLock::new(Some(Arc::clone(trees))), AtomicU64::new(first.0));
        let (head, damaged) = (watch::Sender::new(head), OnceLock::new());
        Self { shared: Arc::new(Shared { trees, first, head, damaged, dir }) }
    }
}

impl Database {
    /// Open what was found good, or nothing yet.
    fn open(dir: &Path, log: &Log) -> Result<Self, AuditError> {
        let db = sled(dir)?;
        let (records, found) = (db.open_tree(RECORDS)?, db.open_tree(FOUND)?);
        let known = head(&db)?.unwrap_or(Chain::START);
        forget_after(&records, known.seq)?;
        let sync = File::open(dir.join(FILE)).map_err(|source| AuditError::Io { what: "opened", source })?;
        // Records that the journal no longer keeps cannot be copied any more.
        let next = known.seq.next().max(log.first());
        let first = records.first()?.and_then(|(key, _)| seq_of(&key)).unwrap_or(next);
        Ok(Self { from: log.position(next)?, first, trees: Arc::new(Trees { records, found, known }), db, sync })
    }
}

/// Whether there is room to open it.
fn room(dir: &Path) -> Result<(), AuditError> {
    let free = journal::free_bytes(dir).map_err(|source| AuditError::Io { what: "asked for room", source })?;
    if free < ROOM_BYTES { Err(AuditError::NoRoom) } else { Ok(()) }
}

/// Why what there is cannot be used.
#[derive(Debug, thiserror::Error)]
enum Unusable {
    #[error("it held nothing, and the journal does")]
    Empty,
    #[error("it held record {known}, which the journal has lost")]
    Behind { known: Seq },
    #[error("{0}")]
    Bad(String),
}

/// Whether there is nothing yet, or what there is agrees with the chain.
fn usable(dir: &Path, log: &Log) -> Result<(), Unusable> {
    if !dir.exists() {
        return Ok(());
    }
    if let Ok(why) = fs::read_to_string(dir.join(DAMAGED)) {
        return Err(Unusable::Bad(why));
    }
    let known = probe(dir).map_err(Unusable::Bad)?;
    let Some((known, first)) = known else {
        return if log.durable().seq == Seq::ZERO { Ok(()) } else { Err(Unusable::Empty) };
    };
    if known.seq > log.durable().seq {
        return Err(Unusable::Behind { known: known.seq });
    }
    let position = log.position(known.seq).map_err(|error| Unusable::Bad(error.to_string()))?;
    let (lines, _) = log.lines(position, 1).map_err(|error| Unusable::Bad(error.to_string()))?;
    match lines.split(|c| *c == b'\n').next().and_then(line::split) {
        Some((hash, _)) if hash == known.hash && first <= log.first() => Ok(()),
        Some((hash, _)) if hash == known.hash => Err(Unusable::Bad(format!("it begins with record {first}"))),
        _ => Err(Unusable::Bad(format!("its last record, {}, is not the journal's", known.seq))),
    }
}

/// Let a child process open the database, and say its head and its first record: sled may panic, hang or abort on damaged
/// files.
fn probe(dir: &Path) -> Result<Option<(Chain, Seq)>, String> {
    let mut child = itself::command()
        .arg("probe-audit")
        .arg(dir)
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .env_clear()
        .spawn()
        .map_err(|error| format!("it cannot be probed: {error}"))?;
    let since = Instant::now();
    loop {
        match child.try_wait() {
            Ok(Some(_)) => break,
            Ok(None) if since.elapsed() < PROBE => thread::sleep(Duration::from_millis(2)),
            Ok(None) | Err(_) => {
                let _ = child.kill();
                let _ = child.wait();
                return Err("it could not be opened in time".into());
            }
        }
    }
    let output = child.wait_with_output().map_err(|error| format!("it cannot be probed: {error}"))?;
    if !output.status.success() {
        return Err("it cannot be opened".into());
    }
    let text = String::from_utf8_lossy(&output.stdout);
    match text.trim() {
        "" => Ok(None),
        text => {
            let read = |text: &str| {
                let (head, first) = text.rsplit_once(' ')?;
                Some((parse_chain(head)?, Seq(first.parse().ok()?)))
            };
            read(text).map(Some).ok_or_else(|| "its head cannot be read".into())
        }
    }
}

/// What the child process does: open, and read the head and the first record, which it then prints.
pub(crate) fn probed(dir: &Path) -> Result<Option<(Chain, Seq)>, AuditError> {
    let db = sled(dir)?;
    let head = head(&db)?;
    let (records, found) = (db.open_tree(RECORDS)?, db.open_tree(FOUND)?);
    // Everything that a reader would walk over: damage shows here and not there.
    for tree in [&records, &found] {
        tree.last()?;
        tree.first()?;
    }
    let Some(head) = head else { return Ok(None) };
    // Without records there is none up to the head: it begins behind it.
    let first = records.first()?.and_then(|(key, _)| seq_of(&key)).unwrap_or(head.seq.next());
    Ok(Some((head, first)))
}

fn sled(dir: &Path) -> Result<Db, AuditError> {
    // We flush; sled's own flusher would only get in between.
    Ok(sled::Config::new().path(dir).cache_capacity(CACHE_BYTES).flush_every_ms(None).open()?)
}

fn head(db: &Db) -> Result<Option<Chain>, AuditError> {
    let head = db.get(HEAD)?;
    Ok(head.and_then(|head| parse_chain(&String::from_utf8_lossy(&head))))
}

fn parse_chain(text: &str) -> Option<Chain> {
    let (seq, hash) = text.split_once(' ')?;
    Some(Chain { seq: Seq(seq.parse().ok()?), hash: Digest::from_hex(hash.as_bytes())? })
}

fn put_aside(dir: &Path) -> Result<(), AuditError> {
    if !dir.exists() {
        return Ok(());
    }
    let aside = (1..).map(|n| dir.with_extension(format!("damaged-{n}"))).find(|aside| !aside.exists());
    let aside: PathBuf = aside.expect("there are endlessly many names");
    fs::rename(dir, &aside).map_err(|source| AuditError::Io { what: "put aside", source })
}

/// Records behind the head were copied when the process ended and will be copied again, perhaps packed otherwise.
fn forget_after(records: &Tree, head: Seq) -> Result<(), AuditError> {
    for entry in records.range(key(head.next(), 0)..) {
        records.remove(entry?.0)?;
    }
    // The value that holds the head may hold records behind it as well.
    if let Some((start, lines)) = packed(records, head)? {
        let kept: Vec<u8> = lines
            .split_inclusive(|c| *c == b'\n')
            .take(usize::try_from(head.0 - start.0 + 1).unwrap_or(usize::MAX))
            .flatten()
            .copied()
            .collect();
        if kept.len() < lines.len() {
            let mut batch = Batch::default();
            for entry in records.range(key(start, 0)..key(start.next(), 0)) {
                batch.remove(entry?.0);
            }
            put(start, &kept, &mut batch);
            records.apply_batch(batch)?;
        }
    }
    Ok(())
}

/// Keep lines under the number of the first.
fn put(start: Seq, lines: &[u8], records: &mut Batch) {
    for (part, bytes) in (0..).zip(pack::pack(lines).chunks(VALUE_BYTES)) {
        records.insert(&key(start, part), bytes);
    }
}

/// Records are packed under the number of the first; a pack larger than a value goes on in the next parts.
fn key(seq: Seq, part: u16) -> [u8; 10] {
    let mut key = [0; 10];
    key[..8].copy_from_slice(&seq.0.to_be_bytes());
    key[8..].copy_from_slice(&part.to_be_bytes());
    key
}

fn seq_of(key: &[u8]) -> Option<Seq> {
    Some(Seq(u64::from_be_bytes(key.get(..8)?.try_into().ok()?)))
}

/// The lines that are packed together with a record, and the number of the first.
fn packed(records: &Tree, seq: Seq) -> Result<Option<(Seq, Vec<u8>)>, AuditError> {
    let Some((last_part, _)) = records.get_lt(key(seq.next(), 0))? else { return Ok(None) };
    let Some(start) = seq_of(&last_part) else { return Ok(None) };
    let mut pack = Vec::new();
    for entry in records.range(key(start, 0)..key(start.next(), 0)) {
        pack.extend_from_slice(&entry?.1);
    }
    let lines = pack::unpack(&pack).ok_or(AuditError::Damaged(start))?;
    Ok(Some((start, lines)))
}
