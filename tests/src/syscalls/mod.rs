//! SIGKILL at every call to the kernel of a commit and of a start, and errors of the disk at those that can have one.
//!
//! A host with a scene under way and a journal that is about to go on in its next file is followed by strace. Each run kills
//! it just before one call; the next start must find everything that was acknowledged, and play the scene to its end once.

mod errors;
mod points;
mod stage;

use std::collections::BTreeSet;

pub use self::points::Point;
use self::{
    errors::Injected,
    points::Where,
    stage::{Stage, Template},
};
use crate::harness::side_by_side;

/// Hosts that are killed side by side: most of the time each waits for its disk or its cloud.
const AT_ONCE: usize = 3;

/// What is to be done.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Points at most, spread over all of them with each kind of call among them.
    pub points: usize,
    /// Errors at most.
    pub errors: usize,
}

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Calls at which a host was killed.
    pub points: usize,
    /// Of which kinds, as in `pwrite64`.
    pub kinds: BTreeSet<String>,
    /// Calls that came to an error.
    pub errors: usize,
    /// Alerts that were acknowledged before.
    pub acknowledged: usize,
    /// Those of them that are not in the journal afterwards.
    pub lost: usize,
    /// Changes that the cloud made more than once for one intent.
    pub duplicate_effects: usize,
    /// Everything that is wrong, in words: with which call it happened, and what.
    pub wrong: Vec<String>,
}

/// Kill a host at the points, and have it come to the errors.
///
/// # Panics
///
/// If strace cannot follow a host: see `harness::strace::missing`.
#[must_use]
pub fn run(options: Options) -> Report {
    let template = Template::make();
    let (points, errors) = (points::all(&template), errors::all());
    let points = points::spread(points, options.points);
    let errors: Vec<Injected> = errors::spread(errors, options.errors);
    let mut report = Report::default();
    let killed = side_by_side(AT_ONCE, &points, |point| kill(&template, point));
    let failed = side_by_side(AT_ONCE, &errors, |injected| errors::inject(&template, injected));
    killed.into_iter().chain(failed).for_each(|one| report.add(one));
    report
}

impl Report {
    fn add(&mut self, other: Self) {
        self.points += other.points;
        self.kinds.extend(other.kinds);
        self.errors += other.errors;
        self.acknowledged += other.acknowledged;
        self.lost += other.lost;
        self.duplicate_effects += other.duplicate_effects;
        self.wrong.extend(other.wrong);
    }

    /// Whether nothing was lost, done twice or otherwise wrong.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.lost == 0 && self.duplicate_effects == 0 && self.wrong.is_empty()
    }
}

/// One point: kill there, start again, and recount.
fn kill(template: &Template, point: &Point) -> Report {
    let mut stage = Stage::set("syscalls", template, point.place);
    let killed = match point.place {
        Where::Commit => stage.play_with(&point.injection()).0,
        Where::FirstStart | Where::Start | Where::TornStart => stage.start_with(&point.injection()),
    };
    // A call that did not come this time is no point: another thread was faster, or slower.
    let report = stage.recount(&format!("SIGKILL before {point}"));
    let kinds = killed.then(|| point.call.clone()).into_iter().collect();
    Report { points: usize::from(killed), kinds, ..report }
}
