//! What all connections share: the cloud, its time, and the log file.
//!
//! One lock around all three, so that the file's order is the order of what was done.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::{sync::Notify, time::Instant};

use super::{Closed, Error, Settings};
use crate::{Cloud, log::Applied, log::Log};

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) settings: Settings,
    state: Mutex<State>,
    failure: Notify,
}

#[derive(Debug)]
struct State {
    cloud: Cloud,
    clock: Clock,
    file: Option<LogFile>,
    failure: Option<io::Error>,
}

/// The world's time: real time since the start, and what was skipped.
#[derive(Debug)]
struct Clock {
    started: Instant,
    start_ms: u64,
    skipped_ms: u64,
}

/// The file that outlives the log's memory. A call that lands late is written again, whole: the last line of a number
/// counts.
#[derive(Debug)]
struct LogFile {
    file: File,
    next_number: u64,
    /// Calls whose landing is still to be written.
    due: Vec<u64>,
}

/// A way to the cloud of an endpoint for code in the same process.
#[derive(Clone, Debug)]
pub struct Handle(Arc<Shared>);

impl Handle {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self(shared)
    }

    /// Does something with the cloud while no call is served. The number is the world's time, in milliseconds since
    /// 1970; calls made meanwhile reach the log file.
    pub fn with<T>(&self, act: impl FnOnce(&mut Cloud, u64) -> T) -> T {
        let mut state = self.0.lock();
        let value = state.act(act);
        self.0.write_down(&mut state);
        value
    }

    /// Lets the world's time jump ahead.
    pub fn skip(&self, ms: u64) {
        self.0.skip(ms);
    }
}

impl Shared {
    pub(super) fn new(cloud: Cloud, settings: Settings) -> Result<Self, Error> {
        let open = |path: &std::path::PathBuf| {
            let file = OpenOptions::new().create(true).append(true).open(path);
            file.map_err(|source| Error::Log { path: path.clone(), source })
        };
        let file = settings.log_file.as_ref().map(open).transpose()?;
        let file = file.map(|file| LogFile { file, next_number: 1, due: Vec::new() });
        let clock = Clock { started: Instant::now(), start_ms: settings.start_ms, skipped_ms: 0 };
        let state = Mutex::new(State { cloud, clock, file, failure: None });
        Ok(Self { settings, state, failure: Notify::new() })
    }

    /// Does something with the cloud and writes the log down. An error means that it could not be written: the caller
    /// may not be told anything then.
    pub(super) fn with<T>(&self, act: impl FnOnce(&mut Cloud, u64) -> T) -> Result<T, Closed> {
        let mut state = self.lock();
        let value = state.act(act);
        self.write_down(&mut state);
        if state.failure.is_some() { Err(Closed) } else { Ok(value) }
    }

    /// The account that an access key belongs to.
    pub(super) fn account_of(&self, key: &str) -> &str {
        self.settings.keys.get(key).unwrap_or(&self.settings.account)
    }

    pub(super) fn skip(&self, ms: u64) -> u64 {
        let mut state = self.lock();
        state.clock.skipped_ms = state.clock.skipped_ms.saturating_add(ms.min(crate::limits::LAG_MS * 366));
        let now_ms = state.clock.now_ms();
        state.act(|_, _| ());
        self.write_down(&mut state);
        now_ms
    }

    /// Ready once the log file could not be written.
    pub(super) async fn failed(&self) {
        self.failure.notified().await;
    }

    /// The end: what has landed by now is written down.
    pub(super) fn finish(&self) -> Result<(), Error> {
        _ = self.with(|_, _| ());
        let failure = self.lock().failure.take();
        match (failure, &self.settings.log_file) {
            (Some(source), Some(path)) => Err(Error::Log { path: path.clone(), source }),
            _ => Ok(()),
        }
    }

    /// A panic elsewhere does not make the cloud wrong: it is changed by whole steps.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_down(&self, state: &mut State) {
        let State { cloud, file: Some(file), failure: failure @ None, .. } = state else { return };
        if let Err(error) = file.write(cloud.log()) {
            *failure = Some(error);
            self.failure.notify_one();
        }
    }
}

impl State {
    fn act<T>(&mut self, act: impl FnOnce(&mut Cloud, u64) -> T) -> T {
        let now_ms = self.clock.now_ms();
        self.cloud.advance(now_ms);
        act(&mut self.cloud, now_ms)
    }
}

impl Clock {
    fn now_ms(&self) -> u64 {
        let passed_ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.start_ms.saturating_add(self.skipped_ms).saturating_add(passed_ms)
    }
}

impl LogFile {
    fn write(&mut self, log: &Log) -> io::Result<()> {
        let mut lines = Vec::new();
        self.due.retain(|number| match log.get(*number) {
            Some(entry) if matches!(entry.applied, Applied::Due(_)) => true,
            Some(entry) => {
                push_line(&mut lines, entry);
                false
            }
            None => false,
        });
        for entry in log.from(self.next_number) {
            push_line(&mut lines, entry);
            if matches!(entry.applied, Applied::Due(_)) {
                self.due.push(entry.number);
            }
        }
        self.next_number = log.last_number() + 1;
        if lines.is_empty() { Ok(()) } else { self.file.write_all(&lines) }
    }
}

fn push_line(lines: &mut Vec<u8>, entry: &crate::log::Entry) {
    lines.extend_from_slice(&super::json(entry));
    lines.push(b'\n');
}
