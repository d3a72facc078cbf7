//! SIGKILL in the middle of every change of a plugin's versions: at each call to the kernel by which the host touches what is
//! kept of plugins, the cache of their code, or the journal.
//!
//! A host with several known versions is asked for one change, or finds another file in its directory, and strace kills it just
//! before one of those calls. The next start must find exactly one version in force, one of the two that there were, whole, and
//! deciding; what was answered must be so; and the change can be made again.

mod changes;
mod stage;

use std::{
    collections::BTreeSet,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

pub use self::changes::Change;
use self::stage::{Stage, Template};

/// Hosts that are killed side by side: most of the time each waits for its disk.
const AT_ONCE: usize = 2;

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Times a host was killed in the middle of a change.
    pub kills: u64,
    /// In which changes.
    pub changes: BTreeSet<Change>,
    /// Before which kinds of calls, as in `rename`.
    pub calls: BTreeSet<String>,
    /// Starts afterwards that found no version in force, several, a damaged one, or another than before and after the change.
    pub torn: u64,
    /// Changes that were answered as done and were not.
    pub lost: u64,
    /// Everything that is wrong, in words.
    pub wrong: Vec<String>,
}

/// One call to be killed at.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Point {
    change: Change,
    /// Which call, as in `rename`.
    call: String,
    /// Which of a thread's calls of this name, from 1.
    nth: usize,
}

/// Kill a host at so many points at most, spread over all changes with each kind of call among them.
///
/// # Panics
///
/// If strace cannot follow a host: see `harness::strace::missing`.
#[must_use]
pub fn run(most: usize) -> Report {
    let template = Template::make();
    let mut points = Vec::new();
    for change in Change::ALL {
        points.extend(Stage::set(&template, change).list());
    }
    let points = spread(points, most);
    let (report, next) = (Mutex::new(Report::default()), AtomicUsize::new(0));
    std::thread::scope(|threads| {
        for _ in 0..AT_ONCE {
            threads.spawn(|| {
                while let Some(point) = points.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let one = Stage::set(&template, point.change).kill(point);
                    report.lock().unwrap_or_else(PoisonError::into_inner).add(one);
                }
            });
        }
    });
    report.into_inner().unwrap_or_else(PoisonError::into_inner)
}

impl Report {
    fn add(&mut self, other: Self) {
        self.kills += other.kills;
        self.changes.extend(other.changes);
        self.calls.extend(other.calls);
        self.torn += other.torn;
        self.lost += other.lost;
        self.wrong.extend(other.wrong);
    }

    /// Whether nothing was torn, lost or otherwise wrong.
    #[must_use]
    pub const fn is_clean(&self) -> bool {
        self.torn == 0 && self.lost == 0 && self.wrong.is_empty()
    }
}

/// The first of each kind of call in each change, and the others at equal distances.
fn spread(points: Vec<Point>, most: usize) -> Vec<Point> {
    if points.len() <= most {
        return points;
    }
    let mut kinds = BTreeSet::new();
    let (mut first, others): (Vec<_>, Vec<_>) =
        points.into_iter().partition(|point| kinds.insert((point.change, point.call.clone())));
    // Of few, one of each change; and what leaves something on the disk before what does not.
    first.sort_by_key(|point| (!matters(&point.call), point.call.clone(), point.change));
    let step = (first.len() as f64 / most as f64).max(1.0);
    let first: Vec<_> = (0..most).map_while(|nth| first.get((nth as f64 * step) as usize).cloned()).collect();
    let left = most - first.len();
    let spread = (0..left).filter_map(|nth| others.get(nth * others.len() / left.max(1)).cloned());
    first.into_iter().chain(spread).collect()
}

/// Whether a call leaves something on the disk.
fn matters(call: &str) -> bool {
    matches!(call, "pwrite64" | "fdatasync" | "fsync" | "rename" | "write" | "unlink")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_points_are_of_several_changes_and_none_is_there_twice() {
        let point = |change, call: &str, nth| Point { change, call: call.into(), nth };
        let points: Vec<Point> = Change::ALL
            .into_iter()
            .flat_map(|change| {
                ["openat", "pwrite64"].into_iter().flat_map(move |call| (1..=9).map(move |nth| (change, call, nth)))
            })
            .map(|(change, call, nth)| point(change, call, nth))
            .collect();
        assert_eq!(spread(points.clone(), 1_000), points);
        for most in [5, 40] {
            let some = spread(points.clone(), most);
            assert_eq!(some.len(), most);
            assert!(some.iter().enumerate().all(|(at, one)| !some[..at].contains(one)));
            assert!(some.iter().map(|one| one.change).collect::<BTreeSet<_>>().len() >= 3);
        }
    }
}
