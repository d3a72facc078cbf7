//! Rot: a file of a host that is no longer what was written, and what the host makes of it.
//!
//! A host plays a scene among many alerts and ends. Then, thousands of times, one of its files is damaged in a copy: a bit is
//! another, bytes are zeros, missing, exchanged or too many. Either that is told, with the place, or every question is answered
//! as before. Each kind of file has its own way to be asked (`kinds`); where nothing less will do, a host is started (`whole`).

mod damage;
mod kinds;
mod template;
mod whole;

use std::{
    collections::BTreeMap,
    fs,
    path::PathBuf,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

pub use self::kinds::Kind;
use self::{damage::Damage, kinds::Judge, template::Template};
use crate::{
    harness::{self, Dir},
    sim::random::Random,
};

/// Cases side by side.
const AT_ONCE: usize = 2;

/// Failures that are kept in words.
const KEPT: usize = 20;

/// What is to be done.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Corruptions of files of every kind.
    pub corruptions: usize,
    /// Corruptions of sealed native code beside those.
    pub cache: usize,
    /// What all randomness comes from.
    pub seed: u64,
}

/// What came of the corruptions of one kind of file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// All of them.
    pub corruptions: usize,
    /// Those that were told, with the place.
    pub told: usize,
    /// Those after which everything was answered as before.
    pub same: usize,
    /// All others.
    pub silent: usize,
}

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// By kind of file.
    pub kinds: BTreeMap<Kind, Count>,
    /// Corruptions of sealed native code alone.
    pub cache: Count,
    /// The first that were neither told nor without consequence, in words.
    pub wrong: Vec<String>,
}

impl Report {
    /// All kinds together.
    #[must_use]
    pub fn whole(&self) -> Count {
        self.kinds.values().fold(Count::default(), |sum, count| Count {
            corruptions: sum.corruptions + count.corruptions,
            told: sum.told + count.told,
            same: sum.same + count.same,
            silent: sum.silent + count.silent,
        })
    }
}

/// What came of a corruption.
enum Verdict {
    /// It was told, with the place.
    Told,
    /// Everything is answered as before.
    Same,
    /// Neither.
    Silent(String),
}

/// A file to be damaged, and where its randomness comes from.
struct Case {
    kind: Kind,
    seed: u64,
}

/// Damage copies of a host's files, and judge what comes of it.
#[must_use]
pub fn run(options: Options) -> Report {
    let template = Template::make();
    let case = |kind, nth: usize| Case { kind, seed: options.seed ^ nth as u64 };
    let turns = Kind::TURNS.into_iter().cycle();
    let all: Vec<Case> = turns.take(options.corruptions).enumerate().map(|(nth, kind)| case(kind, nth)).collect();
    let mut report = Report::default();
    for (kind, verdict) in judged(&template, &all) {
        report.kinds.entry(kind).or_default().add(verdict, &mut report.wrong);
    }
    let cache: Vec<Case> = (0..options.cache).map(|nth| case(Kind::Cache, options.corruptions + nth)).collect();
    for (_, verdict) in judged(&template, &cache) {
        report.cache.add(verdict, &mut report.wrong);
    }
    report
}

impl Count {
    fn add(&mut self, verdict: Verdict, wrong: &mut Vec<String>) {
        self.corruptions += 1;
        match verdict {
            Verdict::Told => self.told += 1,
            Verdict::Same => self.same += 1,
            Verdict::Silent(why) => {
                self.silent += 1;
                if wrong.len() < KEPT {
                    wrong.push(why);
                }
            }
        }
    }
}

fn judged(template: &Template, cases: &[Case]) -> Vec<(Kind, Verdict)> {
    let judges = Mutex::new(Vec::<Judge>::new());
    harness::side_by_side(AT_ONCE, cases, |case| {
        let waiting = judges.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut judge = waiting.unwrap_or_else(Judge::new);
        let verdict = one(template, case, &mut judge);
        judges.lock().unwrap_or_else(PoisonError::into_inner).push(judge);
        (case.kind, verdict)
    })
}

/// One corruption: of a file of the kind, in copies of what is asked.
fn one(template: &Template, case: &Case, judge: &mut Judge) -> Verdict {
    let files = case.kind.files(template);
    let mut random = Random::new(case.seed);
    let at = random.below(files.len() as u64);
    let file = files[usize::try_from(at).expect("below a length")].clone();
    let damage = Damage::any(&mut random, &fs::read(template.path().join(&file)).expect("a file can be read"));
    let damaged = Damaged { template, file, damage };
    match case.kind.judge(judge, template, &damaged) {
        Verdict::Silent(why) => {
            let Damaged { file, damage, .. } = &damaged;
            Verdict::Silent(format!("seed {:#x}, {} {}: {damage}: {why}", case.seed, case.kind, file.display()))
        }
        verdict => verdict,
    }
}

/// A host's files, one of them damaged.
struct Damaged<'a> {
    template: &'a Template,
    file: PathBuf,
    damage: Damage,
}

impl Damaged<'_> {
    /// The damaged file's name.
    fn name(&self) -> &str {
        kinds::name_of(&self.file)
    }

    /// A copy of these parts of all files, or of all of them.
    fn copy(&self, parts: &[&str]) -> Dir {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let dir = Dir::in_memory(&format!("rot-{}", NUMBER.fetch_add(1, Ordering::Relaxed)));
        if parts.is_empty() {
            harness::copy(self.template.path(), dir.path());
            // What an earlier host said is no word of this one.
            let _ = fs::remove_file(dir.path().join("balm.log"));
        }
        for part in parts {
            harness::copy(&self.template.path().join(part), &dir.path().join(part));
        }
        let path = dir.path().join(&self.file);
        let damaged = self.damage.of(fs::read(&path).expect("a file can be read"));
        fs::write(path, damaged).expect("it can be written");
        dir
    }
}
