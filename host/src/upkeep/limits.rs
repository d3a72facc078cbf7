//! Every bound of what happens behind the engine's back, with its reason.

use std::time::Duration;

/// How long a few records may wait to be summed up, so that the last minutes of a quiet host cost its next start little.
pub(super) const SAVE_AFTER: Duration = Duration::from_secs(15 * 60);

/// How many records make that worth a file: fewer are read faster than a state is.
pub(super) const SAVE_LEAST: u64 = 1_000;

/// A state is saved again after this many times what it took the last time: it never takes more than a twentieth of a
/// processor.
pub(super) const REST_TIMES: u32 = 20;

/// How often it is asked whether old records may be dropped, beside each time the state was saved: a quiet host saves
/// nothing for days, and its records grow old all the same. What is kept is counted in days, so an hour late is in time.
pub(super) const RETAIN_EVERY: Duration = Duration::from_secs(60 * 60);

/// Saved states that are kept: one, and another should that one be damaged.
pub(super) const STATES: usize = 2;

/// Bytes of a state that may be written and not yet synced: a sync of the journal may have to wait for those.
pub(super) const UNSYNCED_BYTES: usize = 4 << 20;

/// Bytes that are collected before they are written.
pub(super) const BUFFER_BYTES: usize = 256 << 10;

/// Bytes of the journal that are read at once.
pub(super) const READ_BYTES: usize = 1 << 20;

/// How often a place is read that could not be read, before it is called damaged: a volume over a network, and a disk that
/// resets its link, answer again within seconds.
pub(super) const READ_TRIES: u32 = 5;

/// How often it is asked whether there is something to do, and how long is waited before something is read again.
pub(super) const LOOK_EVERY: Duration = Duration::from_secs(1);
