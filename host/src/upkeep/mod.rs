//! Upkeep: what is done with the journal behind the engine's back.
//!
//! A thread of its own, which stands back behind all others. After a start it checks the part of the chain that was not read
//! (`scrub`) and the audit database; from then on it saves the state from time to time (`states`), so that the next start reads little (`recover`),
//! and drops what is no longer kept (`retention`). The state that it saves is its own: the last saved one and the records
//! since then, read from the journal as at a start. So the engine is never held up, and what a start will find has been done
//! once before. While alerts wait for their evaluation it gives way (`giving_way`). It refuses to write records; it asks the engine for them.

mod giving_way;
mod limits;
mod recover;
mod retention;
mod scrub;
mod states;
mod verified;

use std::{
    fs, io,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use balm_core::{
    engine::Engine,
    input::{Input, Reply},
    line::{self, Chain, LineError},
    name::Seq,
    record::{DamageFound, HistoryDropped, StateSaved},
    snapshot,
    time::Timestamp,
};
use tokio::{runtime::Handle, sync::watch};

use self::{
    giving_way::GivingWay,
    limits::{GIVE_WAY_MOST, LOOK_EVERY, READ_BYTES, REST_TIMES, RETAIN_EVERY, SAVE_AFTER, SAVE_LEAST, STATES},
    retention::{Closed, Horizon},
    scrub::{Broken, Watch},
    states::{Room, Saved},
};
pub(crate) use self::{
    recover::{Recovered, recover},
    retention::Retention,
    scrub::damage_between,
    states::{StateError, States},
    verified::Verified,
};
use crate::{
    audit::Audit,
    engine::Inbox,
    journal::{self, Log, LogError, Position, Segment},
    priority,
    status::Status,
};

/// What the operator decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    /// Records after which the state is saved again.
    pub(crate) save_every: u64,
    /// How much of the journal is kept.
    pub(crate) keep: Retention,
    /// Bytes that stay free on the disk.
    pub(crate) reserve_bytes: u64,
}

/// What the thread is made of.
pub(crate) struct Upkeep {
    pub(crate) settings: Settings,
    pub(crate) states: States,
    pub(crate) log: Arc<Log>,
    pub(crate) audit: Audit,
    pub(crate) inbox: Inbox,
    pub(crate) status: Arc<Status>,
    pub(crate) verified: Arc<Verified>,
    pub(crate) runtime: Handle,
    pub(crate) ending: watch::Receiver<bool>,
}

/// What was found at the start.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found {
    /// Where the chain stands before the first file.
    pub(crate) begins: Chain,
    /// Where it stood before the first file that was read.
    pub(crate) checked_from: Chain,
    /// Where it stood after the last record.
    pub(crate) checked_to: Chain,
    /// Up to where records were dropped, as the records say.
    pub(crate) dropped: Chain,
    /// The saved state that was used.
    pub(crate) used: Option<Saved>,
}

/// Why the state was not saved.
#[derive(Debug, thiserror::Error)]
enum NotSaved {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("{0}")]
    Log(#[from] LogError),
    #[error("record {} in the journal is not what was written", .0.seq)]
    Damaged(DamageFound),
    #[error(
        "no saved state can be used, and the records before {0} are no longer kept, so the next start will be refused: \
        restore the files in `state` from a backup before this host is ended"
    )]
    NoState(Seq),
    #[error("the host ends")]
    Ending,
}

/// The thread's own.
struct Running {
    parts: Upkeep,
    /// Saved states that the chain vouches for, oldest first; at most [`STATES`].
    saved: Vec<Saved>,
    horizon: Horizon,
    retained_at: Instant,
    saved_at: Instant,
    saving_took: Duration,
    /// What was wrong the last time, so that it is said once.
    complained: String,
}

impl Found {
    /// How far everything is checked already.
    pub(crate) fn verified(&self) -> Verified {
        // Without a saved state all of it was read.
        let all = self.begins == self.checked_from;
        Verified::upto(if all { self.checked_to.seq } else { self.begins.seq }, self.checked_to.seq)
    }
}

impl Upkeep {
    /// Begin. The thread ends when `ending` says so.
    pub(crate) fn start(self, found: Found) -> io::Result<thread::JoinHandle<()>> {
        let running = self.begin(&found);
        thread::Builder::new().name("balm-upkeep".into()).spawn(move || running.run(found))
    }

    fn begin(self, found: &Found) -> Running {
        Running {
            saved: found.used.into_iter().collect(),
            horizon: Horizon::nothing(),
            retained_at: Instant::now(),
            saved_at: Instant::now(),
            saving_took: Duration::ZERO,
            complained: String::new(),
            parts: self,
        }
    }
}

impl Running {
    fn run(mut self, found: Found) {
        priority::stand_back();
        let begins = finish_dropping(&self.parts.log, found.begins, found.dropped);
        self.scrub(begins, found.checked_from, found.checked_to);
        self.check_audit();
        while self.goes_on() {
            if self.is_due() {
                self.save();
                self.retain();
            } else if self.retained_at.elapsed() >= RETAIN_EVERY {
                self.retain();
            }
        }
    }

    /// Wait until it may be time for something. False when the host ends.
    fn goes_on(&mut self) -> bool {
        let Upkeep { runtime, ending, .. } = &mut self.parts;
        runtime.block_on(async {
            let _ = tokio::time::timeout(LOOK_EVERY, ending.wait_for(|ending| *ending)).await;
        });
        !*self.parts.ending.borrow()
    }

    fn is_due(&self) -> bool {
        let last = self.saved.last().map_or(Seq::ZERO, |saved| saved.chain.seq);
        let more = self.parts.log.durable().seq.0.saturating_sub(last.0);
        let since = self.saved_at.elapsed();
        let many = more >= self.parts.settings.save_every;
        let long = since >= SAVE_AFTER && more >= SAVE_LEAST;
        (many || long) && since >= self.saving_took * REST_TIMES && self.parts.verified.damage().is_none()
    }

    /// Check what the start did not read.
    fn scrub(&mut self, begins: Chain, ends: Chain, checked_to: Chain) {
        if begins == ends {
            // Nothing is left of that, perhaps since it was dropped.
            self.parts.verified.advance(checked_to.seq);
            return;
        }
        let log = Arc::clone(&self.parts.log);
        match scrub::scrub(&log, begins, ends, self) {
            Ok(()) => {
                self.parts.verified.advance(checked_to.seq);
                tracing::info!(seq = checked_to.seq.0, "the whole journal is verified");
            }
            Err(Broken::Ending) => {}
            Err(Broken::Damage(damage)) => self.tell_damage(damage),
        }
    }

    /// Check what the start found in the audit database. What is wrong with it, it says itself from then on.
    fn check_audit(&mut self) {
        let Upkeep { audit, ending, verified, .. } = &self.parts;
        if audit.check(|| !*ending.borrow()).is_ok() {
            tracing::debug!("the audit database is checked");
        }
        verified.audit_is_checked();
    }

    /// Damage does not stop a host that runs: the state that it acts on is vouched for, and what comes is written to a file
    /// that is whole. But it is said wherever it can be, and the next start without a saved state refuses.
    fn tell_damage(&self, damage: DamageFound) {
        let told = scrub::told(&damage);
        tracing::error!(damage = told, "the journal is damaged: restore the file from a backup");
        self.parts.verified.found(told);
        self.ask(Input::DamageFound(damage));
    }

    fn ask(&self, input: Input) -> bool {
        let asked = self.parts.runtime.block_on(self.parts.inbox.insist(input));
        matches!(asked, Ok(Reply::Recorded(_)))
    }

    fn save(&mut self) {
        let began = Instant::now();
        match self.try_to_save() {
            Ok(saved) => {
                self.complained.clear();
                tracing::debug!(seq = saved.chain.seq.0, bytes = saved.bytes, took = ?began.elapsed(), "the state is saved");
            }
            Err(NotSaved::Ending) => {}
            Err(NotSaved::Damaged(damage)) => self.tell_damage(damage),
            Err(error @ NotSaved::NoState(_)) => {
                tracing::error!(%error, "the state cannot be saved");
                self.parts.verified.found(error.to_string());
            }
            Err(error) => self.complain(&error.to_string()),
        }
        (self.saved_at, self.saving_took) = (Instant::now(), began.elapsed());
    }

    fn complain(&mut self, why: &str) {
        if self.complained != why {
            tracing::warn!(why, "the state cannot be saved: the next start takes longer");
            why.clone_into(&mut self.complained);
        }
    }

    /// The last saved state, and every record since then.
    fn try_to_save(&mut self) -> Result<Saved, NotSaved> {
        let mut others = self.giving_way();
        others.first();
        let (mut engine, mut chain, expected) = self.before()?;
        let Upkeep { states, log, settings, .. } = &self.parts;
        let upto = log.durable();
        let mut position = log.position(chain.seq.next())?;
        while chain.seq < upto.seq {
            let (lines, next) = log.lines(position, READ_BYTES)?;
            let mut offset = next.offset() - lines.len() as u64;
            for text in lines.split_inclusive(|c| *c == b'\n') {
                if chain.seq == upto.seq {
                    break;
                }
                let line = line::read(chain, text.strip_suffix(b"\n").unwrap_or(text));
                let line = line.map_err(|why| damaged(log, next, chain.seq.next(), offset, &why))?;
                offset += text.len() as u64;
                chain = Chain { seq: line.record.seq, hash: line.hash };
                engine.replay(&line.record);
            }
            position = next;
            others.first();
            if *self.parts.ending.borrow() {
                return Err(NotSaved::Ending);
            }
        }
        let room = Room { expected: expected * 2, reserve: settings.reserve_bytes };
        let saved = states.write(engine.state(), chain, room, &mut || others.first())?;
        self.horizon = Horizon::of(engine.state());
        drop(engine);
        self.vouch(saved)
    }

    fn giving_way(&self) -> GivingWay {
        let Upkeep { status, runtime, ending, .. } = &self.parts;
        GivingWay::new(Arc::clone(status), runtime.clone(), ending.clone(), GIVE_WAY_MOST)
    }

    /// The last saved state that is still what was written; without one, the state before the first record, if that is kept.
    fn before(&mut self) -> Result<(Engine, Chain, u64), NotSaved> {
        while let Some(saved) = self.saved.last() {
            match self.parts.states.read(saved.chain.seq) {
                Ok((before, bytes)) if before.digest == saved.digest => {
                    return Ok((Engine::resuming(before.state), before.chain, bytes));
                }
                Ok(_) => self.complain("the saved state before it is another one than was saved"),
                Err(why) => self.complain(&format!("the saved state before it is not used: {why}")),
            }
            self.saved.pop();
        }
        match self.parts.log.first() {
            first if first > Seq::ZERO.next() => Err(NotSaved::NoState(first)),
            _ => Ok((Engine::new(), Chain::START, 0)),
        }
    }

    /// Once its digest is on record, a saved state may be used, and those before the last two may go.
    fn vouch(&mut self, saved: Saved) -> Result<Saved, NotSaved> {
        let Saved { chain, digest, bytes } = saved;
        if !self.ask(Input::StateSaved(StateSaved { upto: chain.seq, digest, bytes, version: snapshot::VERSION })) {
            return Err(NotSaved::Ending);
        }
        self.saved.push(saved);
        let old = self.saved.len().saturating_sub(STATES);
        self.saved.drain(..old);
        let kept: Vec<Seq> = self.saved.iter().map(|saved| saved.chain.seq).collect();
        // Until there are two of our own, the one that was there before stays.
        if kept.len() == STATES {
            self.parts.states.keep(&kept)?;
        }
        Ok(saved)
    }

    /// Drop what is beyond the bounds and needed by nobody.
    fn retain(&mut self) {
        self.retained_at = Instant::now();
        let verified = &self.parts.verified;
        let damaged = verified.damage().is_some() || self.parts.audit.damage().is_some();
        let unverified = verified.goes_on() || damaged;
        if self.parts.settings.keep == Retention::default() || self.saved.len() < STATES || unverified {
            return;
        }
        if let Err(error) = self.try_to_retain() {
            tracing::warn!(%error, "old records cannot be dropped; it is tried again");
        }
    }

    fn try_to_retain(&mut self) -> anyhow::Result<()> {
        let files = self.parts.log.files();
        let closed = closed(&self.parts.log, &files)?;
        let all_bytes = files.iter().map(|file| file.size()).sum();
        // The older of the saved states must still lead to the present.
        let older = self.saved.first().map_or(Seq::ZERO, |saved| saved.chain.seq.next());
        let needed = older.min(self.parts.audit.head().next()).min(self.horizon.needed);
        let Some((count, why)) = self.parts.settings.keep.to_drop(&closed, all_bytes, needed, self.horizon.now())
        else {
            return Ok(());
        };
        let Some(next) = files.get(count) else { return Ok(()) };
        let Chain { seq: upto, hash } = journal::chain_before(next.path(), next.first())?;
        let bytes = files.iter().take(count).map(|file| file.size()).sum();
        tracing::info!(upto = upto.0, bytes, why, "old records are dropped");
        if self.ask(Input::HistoryDropped(HistoryDropped { upto, hash, bytes, why })) {
            delete(&self.parts.log, upto)?;
        }
        Ok(())
    }
}

impl Watch for Running {
    fn went_on(&mut self, seq: Seq) -> bool {
        self.parts.verified.advance(seq);
        !*self.parts.ending.borrow()
    }

    fn waited(&mut self) -> bool {
        self.goes_on()
    }
}

/// Delete the files whose dropping is on record, oldest first, so that what is left is whole whenever the host ends.
fn delete(log: &Log, upto: Seq) -> io::Result<()> {
    for pair in log.files().windows(2).take_while(|pair| pair[1].first() <= upto.next()) {
        match fs::remove_file(pair[0].path()) {
            // One that is still there is still the first: without it and with one before it there would be a hole.
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => log.drop_oldest(),
        }
        if let Some(dir) = pair[0].path().parent() {
            journal::sync_dir(dir)?;
        }
    }
    Ok(())
}

/// Delete what was on record as dropped when the host ended, and was not deleted yet. Returns where the chain then begins.
fn finish_dropping(log: &Log, begins: Chain, dropped: Chain) -> Chain {
    if begins.seq >= dropped.seq {
        return begins;
    }
    if let Err(error) = delete(log, dropped.seq) {
        tracing::warn!(%error, "old records that are dropped cannot be deleted");
        let left = log.files().first().map(|first| journal::chain_before(first.path(), first.first()));
        return left.and_then(Result::ok).unwrap_or(begins);
    }
    dropped
}

/// A line at an offset is not what was written, in the file with a place behind it.
fn damaged(log: &Log, behind: Position, seq: Seq, offset: u64, why: &LineError) -> NotSaved {
    match log.file(behind) {
        Some(file) => NotSaved::Damaged(scrub::damage(&file, seq, offset, why.to_string())),
        None => NotSaved::Log(LogError::Dropped(log.first())),
    }
}

/// The files that another follows.
fn closed(log: &Log, files: &[Arc<Segment>]) -> Result<Vec<Closed>, LogError> {
    let mut closed = Vec::new();
    for pair in files.windows(2) {
        let until = match log.read(pair[1].first()) {
            Ok(record) => record.at,
            // It was begun just now, and nothing in it is durable yet.
            Err(LogError::Absent(_)) => Timestamp::from_millis(u64::MAX),
            Err(error) => return Err(error),
        };
        closed.push(Closed { last: Seq(pair[1].first().0 - 1), until, bytes: pair[0].size() });
    }
    Ok(closed)
}

#[cfg(test)]
mod tests;
