//! How far the journal was checked, and what was found wrong with it, for whoever asks.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use balm_core::name::Seq;

/// Up to which record everything was checked against the chain.
#[derive(Debug)]
pub(crate) struct Verified {
    upto: AtomicU64,
    /// The last record of the start: those behind it this process writes itself.
    start: Seq,
    /// So was the audit database.
    audit: AtomicBool,
    damage: Mutex<Option<String>>,
}

impl Verified {
    /// Everything up to one record was checked, of those up to `start` that there were.
    pub(crate) fn upto(seq: Seq, start: Seq) -> Self {
        Self { upto: AtomicU64::new(seq.0), start, audit: AtomicBool::new(false), damage: Mutex::default() }
    }

    /// Whether what the start found is still being checked.
    pub(crate) fn goes_on(&self) -> bool {
        let all = self.seq() >= self.start && self.audit.load(Ordering::Acquire);
        !all && self.damage().is_none()
    }

    /// The last record of those.
    pub(crate) fn seq(&self) -> Seq {
        Seq(self.upto.load(Ordering::Acquire))
    }

    pub(super) fn advance(&self, seq: Seq) {
        self.upto.store(seq.0, Ordering::Release);
    }

    pub(super) fn audit_is_checked(&self) {
        self.audit.store(true, Ordering::Release);
    }

    /// What is wrong with the journal, if anything was found.
    pub(crate) fn damage(&self) -> Option<String> {
        self.damage.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn found(&self, damage: String) {
        *self.damage.lock().unwrap_or_else(PoisonError::into_inner) = Some(damage);
    }
}
