//! Asking the database: the lines of records and of episodes, as far as they are copied.
//!
//! What is not what was put in is an error, and from then on the database answers nothing: nobody takes a part for the whole.
//! It refuses to know who asks.

use std::{
    fs,
    sync::{Arc, PoisonError, atomic::Ordering},
    time::Duration,
};

use balm_core::{
    line,
    name::{EpisodeId, Seq},
};

use super::{Audit, AuditError, DAMAGED, Database, Shared, Trees, check, index, pack, packed};

/// How long a question waits for the records that were durable when it was asked.
const REACH_WITHIN: Duration = Duration::from_millis(500);

/// How much an answer may hold: it is full with so many lines, or with the first beyond so many bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Room {
    pub(crate) records: usize,
    pub(crate) bytes: usize,
}

impl Room {
    /// Whether these lines fill it.
    pub(crate) fn is_full(self, lines: &[Vec<u8>]) -> bool {
        lines.len() >= self.records || lines.iter().map(Vec::len).sum::<usize>() >= self.bytes
    }
}

impl Audit {
    /// The first record that can be asked for.
    pub(crate) fn first(&self) -> Seq {
        Seq(self.shared.first.load(Ordering::Acquire))
    }

    /// The last record that can be asked for. Answers may be older than the journal by what is not copied yet.
    pub(crate) fn head(&self) -> Seq {
        *self.shared.head.borrow()
    }

    /// What can be read now.
    pub(super) fn trees(&self) -> Result<Arc<Trees>, AuditError> {
        self.shared.trees.read().unwrap_or_else(PoisonError::into_inner).clone().ok_or(AuditError::Away)
    }

    /// From now on this is read.
    pub(super) fn use_trees(&self, database: &Database) {
        let Shared { trees, first, head, .. } = &*self.shared;
        first.store(database.first.0, Ordering::Release);
        head.send_replace(database.trees.known.seq);
        *trees.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&database.trees));
    }

    /// Wait until a record can be asked for, not for long: what is asked then is answered as far as the database is.
    pub(crate) async fn reach(&self, seq: Seq) {
        let mut head = self.shared.head.subscribe();
        let _ = tokio::time::timeout(REACH_WITHIN, head.wait_for(|head| *head >= seq)).await;
    }

    /// Where it was found damaged, if it was: it answers nothing more.
    pub(crate) fn damage(&self) -> Option<AuditError> {
        self.shared.damaged.get().copied().map(AuditError::Damaged)
    }

    /// Check all that was in it when it was opened. `goes_on` is asked from time to time.
    pub(crate) fn check(&self, goes_on: impl FnMut() -> bool) -> Result<(), AuditError> {
        self.noted(check::check(self, goes_on))
    }

    /// The lines of so many records from one on, without their newlines.
    pub(crate) fn lines(&self, from: Seq, most: usize) -> Result<Vec<Vec<u8>>, AuditError> {
        self.damage().map_or(Ok(()), Err)?;
        self.noted(self.read(from, most))
    }

    /// What cannot be answered is remembered beyond the end of this process.
    pub(super) fn noted<T>(&self, answer: Result<T, AuditError>) -> Result<T, AuditError> {
        let Err(error @ AuditError::Damaged(seq)) = &answer else { return answer };
        // One that failed to write may read wrong as well: it is opened again, and no damage.
        self.trees()?.records.flush()?;
        if self.shared.damaged.set(*seq).is_ok() {
            tracing::error!(%error, "the audit database answers no more: start again");
            let path = self.shared.dir.join(DAMAGED);
            if let Err(error) = fs::write(&path, format!("record {seq} in it was not the journal's")) {
                tracing::error!(path = %path.display(), %error, "that cannot be written down: move its directory away");
            }
        }
        answer
    }

    fn read(&self, from: Seq, most: usize) -> Result<Vec<Vec<u8>>, AuditError> {
        // In this order: while it is held, no other is opened, whose head may be before this one's.
        let trees = self.trees()?;
        let head = self.head();
        let (mut lines, mut next) = (Vec::new(), from.max(Seq::ZERO.next()));
        if next < self.first() {
            return Err(AuditError::Dropped(self.first()));
        }
        while lines.len() < most && next <= head {
            let Some((start, value)) = packed(&trees.records, next)? else {
                return Err(AuditError::Damaged(next));
            };
            let skipped = usize::try_from(next.0 - start.0).unwrap_or(usize::MAX);
            let before = lines.len();
            let more = pack::lines(&value).skip(skipped);
            lines.extend(more.take(most - before).map(<[u8]>::to_vec));
            if lines.len() == before {
                return Err(AuditError::Damaged(next));
            }
            next = Seq(next.0 + (lines.len() - before) as u64);
        }
        lines.truncate(usize::try_from((head.0 + 1).saturating_sub(from.0)).unwrap_or(usize::MAX));
        Ok(lines)
    }

    /// The lines of the records of an episode from one on, oldest first, as many as there is room for. The record that it
    /// began with may be no longer kept.
    pub(crate) fn episode(&self, episode: EpisodeId, from: Seq, room: Room) -> Result<Vec<Vec<u8>>, AuditError> {
        self.damage().map_or(Ok(()), Err)?;
        self.noted(self.read_episode(episode, from, room))
    }

    fn read_episode(&self, episode: EpisodeId, from: Seq, room: Room) -> Result<Vec<Vec<u8>>, AuditError> {
        let has_first = from <= episode.0 && episode.0 >= self.first();
        let mut lines = if has_first { self.lines(episode.0, 1)? } else { Vec::new() };
        // The batch that the first record is in may begin before it.
        for seq in index::records(&self.trees()?.found, episode, from)? {
            let seq = seq?;
            self.batch((episode, from), seq, room, &mut lines)?;
            if room.is_full(&lines) {
                break;
            }
        }
        Ok(lines)
    }

    /// The lines of an episode in a batch, from one of them on.
    fn batch(
        &self,
        (episode, from): (EpisodeId, Seq),
        mut seq: Seq,
        room: Room,
        lines: &mut Vec<Vec<u8>>,
    ) -> Result<(), AuditError> {
        while !room.is_full(lines) {
            let Some(line) = self.lines(seq, 1)?.pop() else { return Ok(()) };
            let glance = line::split(&line).and_then(|(_, json)| line::glance(json));
            let glance = glance.ok_or(AuditError::Damaged(seq))?;
            // A batch with alerts of many episodes is entered once for each.
            if glance.episode == Some(episode) {
                if seq >= from {
                    lines.push(line);
                }
            } else if glance.episode.is_some() {
                return Ok(());
            }
            if !glance.more {
                return Ok(());
            }
            seq = seq.next();
        }
        Ok(())
    }
}
