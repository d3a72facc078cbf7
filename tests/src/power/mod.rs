//! Power cuts: every state in which the disk may be found, made from what the real binary asked of the kernel, and opened.
//!
//! Hosts run under load while strace writes down each call that changes what a start reads, and each answer that they send
//! (`life`, `reader`, `step`): the journal's files, what was cut from them, and saved states. From these a model of the disk
//! (`disk`, `tear`) says, for every moment, what a power cut may leave: what was not synced is there, is not, is torn within
//! a sector or has holes; names are old or new. Such states are made on a real file system and opened by the real binary
//! (`opening`): everything that was acknowledged before that moment must be there, and the state must be the one that all
//! records lead to (`harness::known`).

mod disk;
mod life;
mod reader;
mod step;
mod tear;

use std::{
    collections::{BTreeMap, BTreeSet, hash_map::DefaultHasher},
    fs,
    hash::{Hash as _, Hasher as _},
    path::Path,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use self::{
    disk::{Disk, Found, State},
    life::Life,
    step::Step,
};
use crate::{
    harness::{
        Dir,
        opening::{Opened, Opener},
    },
    sim::random::Random,
};

/// Processes that open states side by side.
const AT_ONCE: usize = 2;

/// States of one moment that are among those to be opened: names under way together have thousands, each much like another.
const OF_A_MOMENT: usize = 256;

/// Failures that are kept in words, and as files.
const KEPT: usize = 20;

/// What is to be done.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// States to be opened, about: drawn from all that there are.
    pub states: usize,
    /// Requests of the load.
    pub requests: usize,
    /// What is drawn from.
    pub seed: u64,
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
    /// Those of them that were opened with a saved state.
    pub resumed: usize,
    /// Those of them that were left by each of the stories.
    pub stories: BTreeMap<String, usize>,
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
        self.resumed += other.resumed;
        for (story, states) in other.stories {
            *self.stories.entry(story).or_default() += states;
        }
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
    let first = Life::beginning(options.requests);
    // A second host finds a write of the first one torn, and must cut it: its power is cut as well while it does.
    let (torn, needed) = torn_end(&first);
    let second = Life::on_torn(|data| torn.write(data), needed, options.requests / 4);
    let lives = [first, second, Life::dropping(options.requests / 4)];
    let all: usize = lives.iter().flat_map(|life| moments(life, options.seed)).map(|moment| moment.found.len()).sum();
    let drawn = Drawn { every: (all / options.states.max(1)).max(1), seed: options.seed };
    let (mut report, parts) = (Report::default(), Mutex::new(Report::default()));
    for life in &lives {
        report.moments += moments(life, options.seed).filter(|moment| !moment.found.is_empty()).count();
        report.acknowledged += life.acknowledged;
        let seen = Mutex::new(BTreeSet::new());
        thread::scope(|threads| {
            for worker in 0..AT_ONCE {
                let (parts, seen) = (&parts, &seen);
                threads.spawn(move || {
                    let part = open_all(life, drawn, worker, seen);
                    parts.lock().unwrap_or_else(PoisonError::into_inner).add(part);
                });
            }
        });
    }
    report.add(parts.into_inner().unwrap_or_else(PoisonError::into_inner));
    report
}

/// Which of all states are opened.
#[derive(Clone, Copy)]
struct Drawn {
    every: usize,
    seed: u64,
}

impl Drawn {
    /// Whether one is, and by which worker.
    fn by(self, nth: usize) -> Option<usize> {
        let mut random = Random::new(self.seed ^ nth as u64);
        (random.below(self.every as u64) == 0).then(|| usize::try_from(random.below(AT_ONCE as u64)).unwrap_or(0))
    }
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
fn moments(life: &Life, seed: u64) -> impl Iterator<Item = Moment> {
    let (mut disk, mut needed) = (life.begins.clone(), life.needed);
    let steps = life.steps.iter().map(Some).chain([None]).enumerate();
    steps.filter_map(move |(step, next)| {
        let seed = seed ^ step as u64;
        let moment = next.is_none_or(Step::changes_the_disk).then(|| {
            let found = some(disk.may_be_found(seed), seed);
            Moment { found, disk: disk.clone(), needed, step }
        });
        if let Some(next) = next {
            disk.take(next);
            if let Step::Acknowledged(seq) = next {
                needed = needed.max(*seq);
            }
        }
        moment
    })
}

/// A part of many, one from each stretch of the same length.
fn some<T: Clone>(all: Vec<T>, seed: u64) -> Vec<T> {
    if all.len() <= OF_A_MOMENT {
        return all;
    }
    let mut random = Random::new(seed);
    let begins = |nth: usize| nth * all.len() / OF_A_MOMENT;
    let mut one = |nth: usize| {
        let within = random.below((begins(nth + 1) - begins(nth)) as u64);
        all[begins(nth) + usize::try_from(within).expect("below a length")].clone()
    };
    (0..OF_A_MOMENT).map(&mut one).collect()
}

/// The state in which the last commit of a life is there by half, and the last record that must be there all the same.
fn torn_end(life: &Life) -> (State, u64) {
    let commit = |step: &Step| match step {
        Step::Write { path, bytes, .. } if path.starts_with("data/journal") && bytes.len() > 1_000 => {
            Some(path.clone())
        }
        _ => None,
    };
    let last = life.steps.iter().rposition(|step| commit(step).is_some()).expect("there was a commit");
    let path = commit(&life.steps[last]).expect("it is one");
    let (mut disk, mut needed) = (life.begins.clone(), life.needed);
    for step in &life.steps[..=last] {
        disk.take(step);
        if let Step::Acknowledged(seq) = step {
            needed = needed.max(*seq);
        }
    }
    (disk.half(&path), needed)
}

/// A worker's share of all states that are to be opened.
fn open_all(life: &Life, drawn: Drawn, worker: usize, seen: &Mutex<BTreeSet<u64>>) -> Report {
    let (mut report, mut nth) = (Report::default(), 0);
    let dir = Dir::in_memory(&format!("power-{worker}"));
    let data = dir.path().join("data");
    let mut opener = Opener::journals();
    for moment in moments(life, drawn.seed) {
        for found in &moment.found {
            nth += 1;
            if drawn.by(nth) != Some(worker) {
                continue;
            }
            let state = moment.disk.state(found);
            let mut hasher = DefaultHasher::new();
            (&state, moment.needed).hash(&mut hasher);
            if !seen.lock().unwrap_or_else(PoisonError::into_inner).insert(hasher.finish()) {
                continue;
            }
            let Err((kind, why)) = judge(&mut report, &mut opener, &state, &data, life, &moment) else { continue };
            match kind {
                Wrong::Lost => report.lost += 1,
                Wrong::Refused => report.refused += 1,
            }
            if report.wrong.len() < KEPT {
                let before = life.steps.get(moment.step).map_or("the end".into(), ToString::to_string);
                let place = format!("seed {}, {:?}, step {} ({before})", drawn.seed, life.story, moment.step);
                report.wrong.push(format!("{place}, {found}: {why}; {}", keep(&state)));
            }
        }
    }
    let stories = [(format!("{:?}", life.story), report.states)];
    Report { stories: stories.into(), ..report }
}

/// Leave a state there, to be opened again: no other run makes the same calls to the kernel.
fn keep(state: &State) -> String {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let dir = std::env::temp_dir().join(format!("balm-power-cut-{}-{number}", std::process::id()));
    let data = Dir::kept(dir).path().join("data");
    state.write(&data);
    format!("it is kept in {}", data.display())
}

/// In which way a state is wrong.
enum Wrong {
    Lost,
    Refused,
}

/// Make a state, open it, and compare.
fn judge(
    report: &mut Report,
    opener: &mut Opener,
    state: &State,
    data: &Path,
    life: &Life,
    moment: &Moment,
) -> Result<(), (Wrong, String)> {
    let _ = fs::remove_dir_all(data);
    state.write(data);
    report.states += 1;
    let opened = opener.open(data);
    let Opened::Journal { seq, hash, cut, state, damage, .. } = &opened else {
        return Err(match opened {
            Opened::Refused(why) => (Wrong::Refused, format!("the host refuses it: {why}")),
            Opened::Failed(why) | Opened::Journal { hash: why, .. } => {
                (Wrong::Lost, format!("opening it fails: {why}"))
            }
        });
    };
    report.cut += usize::from(*cut);
    report.resumed += usize::from(state.is_some());
    let lost = |why: String| Err((Wrong::Lost, why));
    if *seq < moment.needed {
        return lost(format!("record {seq} is the last, and record {} was acknowledged", moment.needed));
    }
    if *seq > 0 && life.known.hash(*seq).as_ref() != Some(hash) {
        return lost(format!("record {seq} is not the one that was written"));
    }
    if state.is_some() && *state != life.known.state(*seq) {
        return lost(format!("the state at record {seq} is not the one that all records lead to"));
    }
    if let Some(damage) = damage {
        return lost(damage.clone());
    }
    if *cut {
        // What was cut once must be whole: a start after this one finds the same.
        let again = opener.open(data);
        let same = matches!(&again, Opened::Journal { seq: at, hash: with, .. } if (at, with) == (seq, hash));
        if !same {
            return lost(format!("record {seq} was the last, and then {again:?}"));
        }
    }
    Ok(())
}
