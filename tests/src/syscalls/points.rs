//! The points: every call that a commit and a start make, as a run without an accident shows them.

use std::{collections::BTreeMap, fmt};

use super::stage::{Stage, Template};
use crate::harness::strace::Event;

/// What the host does at a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Where {
    /// The thread of the journal commits.
    Commit,
    /// A host starts on nothing.
    FirstStart,
    /// A host starts on what there is.
    Start,
    /// A host starts on a journal whose last write is torn, and cuts it.
    TornStart,
}

/// A call to be killed at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Point {
    pub(super) place: Where,
    /// Which call, as in `pwrite64`.
    pub(super) call: String,
    /// Which of the thread's calls of this name, from 1.
    pub(super) nth: usize,
}

impl Point {
    /// What strace is told.
    pub(super) fn injection(&self) -> String {
        format!("--inject={}:signal=SIGKILL:when={}", self.call, self.nth)
    }
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = match self.place {
            Where::Commit => "of the journal's thread",
            Where::FirstStart => "of a first start",
            Where::Start => "of a start",
            Where::TornStart => "of a start on a torn journal",
        };
        write!(f, "{} {} {place}", self.call, self.nth)
    }
}

/// Every point there is.
pub(super) fn all(template: &Template) -> Vec<Point> {
    let mut commit = Stage::set("syscalls-listed", template, Where::Commit);
    let (_, events) = commit.play_with("--trace=all");
    let mut points = of_thread(Where::Commit, &events, |_| true);
    for place in [Where::FirstStart, Where::Start, Where::TornStart] {
        let stage = Stage::set("syscalls-listed", template, place);
        let data = stage.data();
        let events = stage.list_start();
        // What a start asks of the kernel elsewhere leaves nothing behind.
        points.extend(of_thread(place, &events, |arguments| arguments.contains(&data)));
    }
    points
}

fn of_thread(place: Where, events: &[Event], counts: impl Fn(&str) -> bool) -> Vec<Point> {
    let (mut seen, mut points) = (BTreeMap::<&str, usize>::new(), Vec::new());
    for event in events {
        let Event::Begins(call) = event else { continue };
        // strace shows how a sleep goes on that it has interrupted itself.
        if call.name == "restart_syscall" {
            continue;
        }
        let nth = seen.entry(&call.name).or_default();
        *nth += 1;
        if counts(&call.arguments) {
            points.push(Point { place, call: call.name.clone(), nth: *nth });
        }
    }
    points
}

/// So many of them: the first of each kind in each place, and the others at equal distances.
pub(super) fn spread(points: Vec<Point>, most: usize) -> Vec<Point> {
    if points.len() <= most {
        return points;
    }
    let mut kinds = std::collections::BTreeSet::new();
    let (mut first, others): (Vec<_>, Vec<_>) =
        points.into_iter().partition(|point| kinds.insert((point.place, point.call.clone())));
    first.sort_by_key(|point| (!matters(&point.call), point.place));
    first.truncate(most);
    let left = most - first.len();
    let spread = (0..left).filter_map(|nth| others.get(nth * others.len() / left.max(1)).cloned());
    first.extend(spread);
    first
}

/// Whether a call leaves something on the disk.
fn matters(call: &str) -> bool {
    matches!(call, "pwrite64" | "fdatasync" | "fsync" | "rename" | "fallocate" | "mkdir" | "write" | "unlink")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_of_them_are_of_every_kind_and_none_twice() {
        let point = |call: &str, nth| Point { place: Where::Commit, call: call.into(), nth };
        let points: Vec<Point> =
            (1..=40).flat_map(|nth| ["futex", "pwrite64", "close"].map(|call| point(call, nth))).collect();
        assert_eq!(spread(points.clone(), 1000), points);
        assert_eq!(spread(points.clone(), 1), [point("pwrite64", 1)]);
        let some = spread(points, 30);
        assert_eq!(some.len(), 30);
        assert!(["futex", "close"].iter().all(|call| some.contains(&point(call, 1))));
        assert!(some.iter().enumerate().all(|(at, one)| !some[..at].contains(one)));
    }
}
