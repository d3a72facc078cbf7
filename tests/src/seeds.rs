//! Many seeds on all processors, each by itself, added up in whatever order they end.

use std::{
    ops::Range,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

/// Run every seed, and add what it came to.
pub(crate) fn fold<T: Send, R>(
    seeds: Range<u64>,
    none: T,
    run: impl Fn(u64) -> R + Sync,
    add: impl Fn(&mut T, u64, R) + Sync,
) -> T {
    let (next, tally) = (AtomicU64::new(seeds.start), Mutex::new(none));
    let processors = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|threads| {
        for _ in 0..processors {
            threads.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        return;
                    }
                    let own = run(seed);
                    add(&mut tally.lock().unwrap_or_else(PoisonError::into_inner), seed, own);
                }
            });
        }
    });
    tally.into_inner().unwrap_or_else(PoisonError::into_inner)
}
