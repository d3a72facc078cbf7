//! Copying: the thread that puts the journal's lines into the database, and opens it again when it fails.
//!
//! Once sled has failed to write, such as on a disk that others have filled, it does nothing any more; so it is let go of, and
//! opened like at a start once there is room. What is asked meanwhile is told to come back. It refuses to know what lines say.

use std::{
    fs::File,
    panic::AssertUnwindSafe,
    path::Path,
    sync::{Arc, PoisonError},
    thread,
    time::{Duration, Instant},
};

use balm_core::{
    line::{self, Chain},
    name::Seq,
};
use rustix::fs::FlockOperation;
use sled::Batch;
use tokio::{runtime::Handle, sync::watch};

use super::{Audit, AuditError, Database, FILE, HEAD, Index, Opened, pack, put, room, usable};
use crate::journal::Log;

/// Bytes of the journal that are copied at once.
const COPY_BYTES: usize = 1 << 20;

/// How long more is waited for when little was copied: each time costs the same, so a busy host copies much at a time.
const GATHER: Duration = Duration::from_millis(20);

/// How long what was copied may stay unsynced.
const SYNC_EVERY: Duration = Duration::from_millis(250);

/// How long is waited before a database that failed is opened again: at first, and at most where it fails over and over.
const AGAIN_FIRST: Duration = Duration::from_secs(1);
const AGAIN_MOST: Duration = Duration::from_secs(60);

impl Opened {
    /// Begin to copy, and hand out the reading end. When `ending` says so, the thread copies what is left and ends.
    pub(crate) fn start(
        self,
        log: Arc<Log>,
        runtime: Handle,
        ending: watch::Receiver<bool>,
    ) -> std::io::Result<(Audit, thread::JoinHandle<()>)> {
        let Self { audit, database, .. } = self;
        let copying = Copying { audit: audit.clone(), log, runtime, ending };
        let handle = thread::Builder::new().name("balm-audit".into()).spawn(move || copying.run(database))?;
        Ok((audit, handle))
    }
}

/// The thread's own.
struct Copying {
    audit: Audit,
    log: Arc<Log>,
    runtime: Handle,
    ending: watch::Receiver<bool>,
}

impl Copying {
    fn run(mut self, mut database: Database) {
        let (mut pause, mut before) = (AGAIN_FIRST, None);
        loop {
            let Err(error) = self.copy(&mut database) else { return };
            if !matches!(error, AuditError::Sled(_) | AuditError::Io { .. }) || self.audit.damage().is_some() {
                tracing::error!(%error, "the audit database stands still; it catches up at the next start");
                return;
            }
            tracing::error!(%error, "the audit database stands still until it can be opened again");
            // What it had when it was opened the last time has come through; what was put into it since then may not have.
            let known = Some(database.trees.known.seq);
            pause = if known > before { AGAIN_FIRST } else { (pause * 2).min(AGAIN_MOST) };
            before = known;
            self.let_go(database);
            match self.again(pause) {
                Some(again) => database = again,
                None => return,
            }
            tracing::info!(seq = self.audit.head().0, "the audit database is open again, and catches up");
        }
    }

    /// Nothing of sled is left in this process, so that it can be opened again.
    fn let_go(&self, database: Database) {
        drop(self.audit.shared.trees.write().unwrap_or_else(PoisonError::into_inner).take());
        // Answers that are being put together still read it, each no more than a page, and a check until it looks again. A poll,
        // since an Arc tells nobody when the others are gone.
        while Arc::strong_count(&database.trees) > 1 {
            thread::sleep(Duration::from_millis(10));
        }
        // sled panics where its last sync fails.
        if std::panic::catch_unwind(AssertUnwindSafe(|| drop(database))).is_err() {
            tracing::warn!("sled could not end in order");
        }
    }

    /// Open it once that can be done. None if the host ends before.
    fn again(&mut self, pause: Duration) -> Option<Database> {
        let mut complained = String::new();
        loop {
            let ends = self.ending.wait_for(|ending| *ending);
            if self.runtime.block_on(async { tokio::time::timeout(pause, ends).await.is_ok() }) {
                return None;
            }
            match self.open() {
                Ok(database) => return Some(database),
                Err(why) if why != complained => {
                    tracing::warn!(
                        why,
                        "the audit database cannot be opened yet; at the latest the next start has it again"
                    );
                    complained = why;
                }
                Err(_) => {}
            }
        }
    }

    fn open(&self) -> Result<Database, String> {
        let dir = &self.audit.shared.dir;
        room(dir).map_err(|error| error.to_string())?;
        if is_locked(dir) {
            return Err("it is still in use".into());
        }
        // Whatever is wrong may pass; only a start gives up what there is, and builds it again.
        usable(dir, &self.log).map_err(|why| why.to_string())?;
        let database = Database::open(dir, &self.log).map_err(|error| error.to_string())?;
        self.audit.use_trees(&database);
        // What a failed write has left behind is found out now, as after a start.
        let _ = self.audit.check(|| !*self.ending.borrow());
        Ok(database)
    }

    fn copy(&mut self, database: &mut Database) -> Result<(), AuditError> {
        let mut follow = self.log.follow();
        let (mut packer, mut lines, mut unsynced_since) = (Packer::default(), Vec::new(), None);
        loop {
            follow.borrow_and_update();
            let ends = *self.ending.borrow();
            database.from = self.log.lines_into(database.from, COPY_BYTES, &mut lines)?;
            if !lines.is_empty() {
                database.put(&self.audit, &lines, &mut packer)?;
                unsynced_since.get_or_insert_with(Instant::now);
            } else if ends {
                return database.sync();
            }
            if unsynced_since.is_some_and(|since| since.elapsed() >= SYNC_EVERY) {
                database.sync()?;
                unsynced_since = None;
            }
            if ends || lines.len() > COPY_BYTES / 2 {
                continue;
            }
            let caught_up = lines.is_empty();
            let wake =
                if caught_up { unsynced_since.map(|since| since + SYNC_EVERY) } else { Some(Instant::now() + GATHER) };
            self.runtime.block_on(async {
                tokio::select! {
                    _ = follow.changed(), if caught_up => {}
                    _ = self.ending.changed() => {}
                    () = until(wake) => {}
                }
            });
        }
    }
}

impl Database {
    fn put(&self, audit: &Audit, lines: &[u8], packer: &mut Packer) -> Result<(), AuditError> {
        packer.pack(lines)?;
        self.trees.records.apply_batch(std::mem::take(&mut packer.records))?;
        // What is damaged stays so, and the copying would end here after every start: the next one builds it again.
        audit.noted(packer.index.put(&self.trees.found))?;
        if let Some(head) = packer.head {
            self.db.insert(HEAD, format!("{} {}", head.seq, head.hash).as_bytes())?;
            audit.shared.head.send_replace(head.seq);
        }
        Ok(())
    }

    fn sync(&self) -> Result<(), AuditError> {
        self.db.flush()?;
        self.sync.sync_all().map_err(|source| AuditError::Io { what: "synced", source })
    }
}

/// Whether sled still holds its file: threads of its own may for a moment.
fn is_locked(dir: &Path) -> bool {
    let Ok(file) = File::open(dir.join(FILE)) else { return false };
    rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_err()
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

/// Packs lines into values.
#[derive(Default)]
pub(super) struct Packer {
    pub(super) records: Batch,
    head: Option<Chain>,
    pub(super) index: Index,
}

impl Packer {
    pub(super) fn pack(&mut self, lines: &[u8]) -> Result<(), AuditError> {
        for pack in pack::cut(lines) {
            let mut start = None;
            for line in pack::lines(pack) {
                let damaged = || AuditError::Damaged(self.head.map_or(Seq::ZERO, |head| head.seq).next());
                let (hash, json) = line::split(line).ok_or_else(damaged)?;
                let glance = line::glance(json).ok_or_else(damaged)?;
                let expected = self.head.map_or(glance.seq, |head| head.seq.next());
                if glance.seq != expected {
                    return Err(AuditError::OutOfOrder { expected, found: glance.seq });
                }
                self.head = Some(Chain { seq: glance.seq, hash });
                if let Some(episode) = self.index.enters(glance) {
                    self.index.add(episode, glance.seq);
                }
                start.get_or_insert(glance.seq);
            }
            if let Some(start) = start {
                put(start, pack, &mut self.records);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use balm_core::{
        line::Framing,
        name::EpisodeId,
        record::{ClockJumped, EpisodeEnd, EpisodeEnded, Fact, Record},
        time::Timestamp,
    };

    use super::{
        super::{DAMAGED, FOUND, RECORDS, Trees, sled},
        *,
    };
    use crate::{journal::Position, test_dir::TestDir};

    #[test]
    fn an_index_that_cannot_be_gone_on_with_is_built_again_at_the_next_start() {
        let dir = TestDir::new("audit-index-damaged");
        let db = sled(dir.path()).unwrap();
        let (records, found) = (db.open_tree(RECORDS).unwrap(), db.open_tree(FOUND).unwrap());
        let trees = Arc::new(Trees { records, found, known: Chain::START });
        let audit = Audit::of(dir.path().to_owned(), Seq(1), Seq::ZERO, &trees);
        let sync = File::open(dir.path().join(FILE)).unwrap();
        let database = Database { db, trees, sync, from: Position::START, first: Seq(1) };
        let (mut chain, mut packer) = (Chain::START, Packer::default());
        let mut copy = |seq| {
            let ended = EpisodeEnded { episode: EpisodeId(Seq(1)), how: EpisodeEnd::Resolved };
            let record = Record { seq: Seq(seq), at: Timestamp::EPOCH, more: false, fact: Fact::EpisodeEnded(ended) };
            let mut line = Vec::new();
            chain = line::write(chain, &record, Framing::default(), &mut line);
            database.put(&audit, &line, &mut packer)
        };
        copy(1).unwrap();
        let (key, value) = database.trees.found.first().unwrap().expect("record 1 has an entry");
        database.trees.found.insert(key, &value[1..]).unwrap();
        assert!(matches!(copy(2), Err(AuditError::Damaged(Seq(1)))));
        assert!(audit.damage().is_some() && dir.path().join(DAMAGED).exists(), "the next start knows it");
    }

    #[test]
    fn a_record_is_not_copied_where_another_comes_next() {
        let (mut chain, mut lines) = (Chain::START, Vec::new());
        for seq in (1..=4).map(Seq) {
            let fact = Fact::ClockJumped(ClockJumped { by_ms: seq.0 });
            let (mut line, record) = (Vec::new(), Record { seq, at: Timestamp::EPOCH, more: false, fact });
            chain = line::write(chain, &record, Framing::default(), &mut line);
            lines.push(line);
        }
        let mut packer = Packer::default();
        packer.pack(&lines[1]).expect("it may begin anywhere");
        packer.pack(&lines[2]).expect("and goes on");
        for (other, found) in [(&lines[2], 3), (&lines[0], 1)] {
            let refused = packer.pack(other).expect_err("it is not the next");
            assert!(matches!(refused, AuditError::OutOfOrder { expected: Seq(4), found: Seq(n) } if n == found));
        }
        packer.pack(&lines[3]).expect("the next is taken");
        let mut packer = Packer::default();
        assert!(packer.pack(&[lines[0].clone(), lines[2].clone()].concat()).is_err(), "nor within one read");
    }
}
