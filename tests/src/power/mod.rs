//! Power cuts: every state in which the disk may be found, made from what the real binary asked of the kernel, and opened.
//!
//! A host runs under load while strace writes down each call that changes the journal's files, and each answer that it sends
//! (`life`). From these a model of the disk (`disk`) says, for every moment, what a power cut may leave: what was not synced
//! is there, is not, is torn within a sector or has holes; names are old or new. Each such state is made on a real file system
//! and opened by the real binary (`opening`): everything that was acknowledged before that moment must be there.

mod disk;
mod life;
mod tear;

use std::{
    collections::{BTreeMap, BTreeSet, hash_map::DefaultHasher},
    fs,
    hash::{Hash as _, Hasher as _},
    path::Path,
    sync::{Mutex, PoisonError},
    thread,
};

use self::{
    disk::{Disk, Found},
    life::{Life, Step},
};
use crate::harness::{
    Dir,
    opening::{Opened, Opener},
};

/// Processes that open states side by side.
const AT_ONCE: usize = 2;

/// Failures that are kept in words.
const KEPT: usize = 20;

/// What is to be done.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// States to be opened, about: taken at equal distances from all that there are.
    pub states: usize,
    /// Requests of the load.
    pub requests: usize,
}

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Moments at which the power was cut: before each call that changes the disk.
    pub moments: usize,
    /// Different states that were opened.
    pub states: usize,
    /// Those of them in which an unfinished write was cut and kept aside.
    pub cut: usize,
    /// Alerts that the hosts acknowledged.
    pub acknowledged: usize,
    /// States without an alert that was acknowledged before, or with something else in its place.
    pub lost: usize,
    /// States that the host does not start with.
    pub refused: usize,
    /// The first of those, in words.
    pub wrong: Vec<String>,
}

impl Report {
    /// Whether every state opens with everything that was acknowledged.
    #[must_use]
    pub const fn is_clean(&self) -> bool {
        self.lost == 0 && self.refused == 0
    }

    fn add(&mut self, other: Self) {
        self.states += other.states;
        self.cut += other.cut;
        self.lost += other.lost;
        self.refused += other.refused;
        self.wrong.extend(other.wrong);
        self.wrong.truncate(KEPT);
    }
}

/// Let hosts live, cut the power at every moment of their lives, and open what is left.
///
/// # Panics
///
/// If strace cannot follow a host: see `harness::strace::missing`.
#[must_use]
pub fn run(options: Options) -> Report {
    let first = Life::live("power", options.requests, |_| {});
    // A second host finds a write of the first one torn, and must cut it: its power is cut as well while it does.
    let (torn, needed) = torn_end(&first);
    let mut second = Life::live("power-torn", options.requests / 4, |data| torn.write(data));
    second.needed = needed;
    let lives = [first, second];
    let counted: Vec<usize> = lives.iter().map(|life| moments(life).map(|moment| moment.found.len()).sum()).collect();
    let every = (counted.iter().sum::<usize>() / options.states.max(1)).max(1);
    let mut report = Report::default();
    for life in &lives {
        report.moments += moments(life).filter(|moment| !moment.found.is_empty()).count();
        report.acknowledged += life.acknowledged;
        let parts = Mutex::new(Report::default());
        thread::scope(|threads| {
            for worker in 0..AT_ONCE {
                let parts = &parts;
                threads.spawn(move || {
                    let part = open_all(life, every, worker);
                    parts.lock().unwrap_or_else(PoisonError::into_inner).add(part);
                });
            }
        });
        report.add(parts.into_inner().unwrap_or_else(PoisonError::into_inner));
    }
    report
}

/// A moment before a step.
struct Moment {
    /// What may be found.
    found: Vec<Found>,
    disk: Disk,
    /// The last record that an acknowledged alert needs.
    needed: u64,
    /// Where in the life it is.
    step: usize,
}

/// Every moment of a life at which the disk is about to change, with what may be found there.
fn moments(life: &Life) -> impl Iterator<Item = Moment> {
    let (mut disk, mut needed) = (life.begins.clone(), life.needed);
    let steps = life.steps.iter().map(Some).chain([None]).enumerate();
    steps.filter_map(move |(step, next)| {
        if let Some(Step::Acknowledged(seq)) = next {
            needed = needed.max(*seq);
            return None;
        }
        let moment = Moment { found: disk.may_be_found(step as u64), disk: disk.clone(), needed, step };
        if let Some(next) = next {
            disk.take(next);
        }
        Some(moment)
    })
}

/// The state in which the last write of a life is there by half, and the last record that must be there all the same.
fn torn_end(life: &Life) -> (disk::State, u64) {
    let is_commit = |step: &Step| matches!(step, Step::Write { bytes, .. } if bytes.len() > 1_000);
    let last = life.steps.iter().rposition(is_commit).expect("there was a commit");
    let mut disk = life.begins.clone();
    life.steps[..=last].iter().for_each(|step| disk.take(step));
    let needed = life.steps[..last].iter().map(|step| if let Step::Acknowledged(seq) = step { *seq } else { 0 });
    (disk.half(), needed.max().unwrap_or_default())
}

/// A worker's share of all states that are to be opened.
fn open_all(life: &Life, every: usize, worker: usize) -> Report {
    let (mut report, mut nth, mut seen) = (Report::default(), 0, BTreeSet::new());
    let dir = Dir::in_memory(&format!("power-{worker}"));
    let mut opener = Opener::journals();
    for moment in moments(life) {
        for found in &moment.found {
            nth += 1;
            if nth % every != 0 || (nth / every) % AT_ONCE != worker {
                continue;
            }
            let state = moment.disk.state(found);
            let mut hasher = DefaultHasher::new();
            (&state, moment.needed).hash(&mut hasher);
            if seen.insert(hasher.finish()) {
                let data = dir.path().join("data");
                judge(&mut report, &mut opener, &state, &data, (life, &moment, found));
            }
        }
    }
    report
}

/// Make a state, open it, and compare.
fn judge(
    report: &mut Report,
    opener: &mut Opener,
    state: &disk::State,
    data: &Path,
    (life, moment, found): (&Life, &Moment, &Found),
) {
    let _ = fs::remove_dir_all(data);
    state.write(data);
    report.states += 1;
    let mut opened = opener.open(data);
    if matches!(opened, Opened::Journal { cut: true, .. }) {
        report.cut += 1;
        // What was cut once must be whole: a start after this one finds the same.
        opened = match (opened, opener.open(data)) {
            (Opened::Journal { seq, hash, .. }, Opened::Journal { seq: again, hash: hash_again, .. })
                if (seq, &hash) != (again, &hash_again) =>
            {
                Opened::Failed(format!("first record {seq} was the last, and then record {again}"))
            }
            (opened, Opened::Journal { .. }) => opened,
            (_, other) => other,
        };
    }
    let wrong = match opened {
        Opened::Journal { seq, .. } if seq < moment.needed => {
            report.lost += 1;
            format!("record {seq} is the last, and record {} was acknowledged", moment.needed)
        }
        Opened::Journal { seq, hash, .. } if seq > 0 && life.hashes.get(&seq) != Some(&hash) => {
            report.lost += 1;
            format!("record {seq} is not the one that was written")
        }
        Opened::Journal { .. } => return,
        Opened::Refused(why) => {
            report.refused += 1;
            format!("the host refuses it: {why}")
        }
        Opened::Failed(why) => {
            report.lost += 1;
            format!("opening it fails: {why}")
        }
    };
    let place = format!(
        "before step {} ({})",
        moment.step,
        life.steps.get(moment.step).map_or("the end".into(), ToString::to_string)
    );
    report.wrong.push(format!("{place}, {found}: {wrong}"));
    report.wrong.truncate(KEPT);
}

/// Records of alerts by fingerprint.
type Alerts = BTreeMap<String, u64>;
