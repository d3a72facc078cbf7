//! Replaying: evaluations of the past, made again on all processors.
//!
//! A history is read twice: once to learn which evaluations are wanted and which alerts they name (`survey`), once to put
//! each input together, so that a history of any length fits into memory. It owns this, and comparing what comes out with
//! what was recorded; another version in the place of the old one is `backtest`'s business, where versions come from is
//! `shelf`'s.

mod backtest;
mod shelf;

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread,
    time::Duration,
};

use balm_core::{
    evaluation::{Capsule, Conclusion, FailureKind, Input},
    name::{PluginName, Seq},
    record::Fact,
    replay::{self, Difference, Missing, Past, Uses},
    rounds::{self, Reach, Step},
    time::Timestamp,
};
use balm_sandbox::{ENGINE_VERSION, Plugin, Round};

pub(crate) use self::{
    backtest::{Backtest, Change, Example, Side, backtest},
    shelf::Shelf,
};
use crate::{export::ExportError, history::History};

/// Evaluations that wait for a processor: enough that none is idle while the next lines are read, and few megabytes.
const WAITING: usize = 256;

/// Differences that are kept to be shown; further ones are counted.
const KEPT: usize = 1_000;

/// Tries of an evaluation that ran out of time now and not then: another program may have had the processor.
const TRIES: u32 = 3;

/// Why nothing could be replayed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReplayError {
    /// The history cannot be read or believed.
    #[error(transparent)]
    History(#[from] ExportError),
    /// A thread's runtime cannot be made.
    #[error("the threads for plugins cannot be started: {0}")]
    Threads(#[from] io::Error),
}

/// A wanted evaluation, as the first reading found it.
#[derive(Clone, Copy, Debug)]
struct Mention {
    seq: Seq,
    at: Timestamp,
    alert: Seq,
}

/// What the first reading found.
#[derive(Debug, Default)]
pub(crate) struct Survey {
    mentions: Vec<Mention>,
    newest: Timestamp,
}

/// An evaluation of the past, ready to be made again.
pub(crate) struct Case {
    pub(crate) seq: Seq,
    pub(crate) at: Timestamp,
    pub(crate) capsule: Box<Capsule>,
    pub(crate) input: Input,
    /// The name under which its version was in force.
    pub(crate) name: Option<PluginName>,
    /// Whether its fuel was counted by an engine like ours.
    pub(crate) same_engine: bool,
}

/// Read a history for the evaluations that are wanted.
pub(crate) fn survey(
    history: &History,
    wanted: impl Fn(Seq, &Capsule, Option<&PluginName>) -> bool,
) -> Result<Survey, ReplayError> {
    let (mut survey, mut past) = (Survey::default(), Past::keeping(Uses::new()));
    history.each(|record| {
        survey.newest = record.at;
        past.remember(record);
        if let Fact::Evaluated(capsule) = &record.fact
            && wanted(record.seq, capsule, past.name(capsule))
        {
            survey.mentions.push(Mention { seq: record.seq, at: record.at, alert: capsule.alert });
        }
    })?;
    Ok(survey)
}

impl Survey {
    /// Leave out what is older than so long before the newest record.
    pub(crate) fn only_the_last(&mut self, span: Duration) {
        let since = self.newest.before(span);
        self.mentions.retain(|mention| mention.at >= since);
    }

    /// How many evaluations are wanted.
    pub(crate) fn len(&self) -> usize {
        self.mentions.len()
    }

    fn uses(&self) -> Uses {
        let mut uses = Uses::new();
        for mention in &self.mentions {
            *uses.entry(mention.alert).or_default() += 1;
        }
        uses
    }

    /// Read the history again, and hand over each wanted evaluation with its input, or with what is missing.
    pub(crate) fn cases(
        &self,
        history: &History,
        mut each: impl FnMut(Seq, Result<Case, Missing>),
    ) -> Result<(), ReplayError> {
        let mut past = Past::keeping(self.uses());
        let mut next = self.mentions.iter().map(|mention| mention.seq).peekable();
        history.each(|record| {
            past.remember(record);
            let Fact::Evaluated(capsule) = &record.fact else { return };
            if next.next_if_eq(&record.seq).is_some() {
                let case = past.input(capsule).map(|input| Case {
                    seq: record.seq,
                    at: record.at,
                    capsule: capsule.clone(),
                    input,
                    name: past.name(capsule).cloned(),
                    same_engine: past.engine() == ENGINE_VERSION,
                });
                each(record.seq, case);
            }
        })?;
        Ok(())
    }
}

/// Fold what `feed` hands over, on all processors at once, each into a value of its own.
fn on_all_cores<C: Send, T: Default + Send>(
    feed: impl FnOnce(&mut dyn FnMut(C)) -> Result<(), ReplayError>,
    fold: impl AsyncFn(&mut T, C) + Sync,
) -> Result<Vec<T>, ReplayError> {
    let cores = thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let runtime = |_| tokio::runtime::Builder::new_current_thread().enable_time().build();
    let runtimes = (0..cores).map(runtime).collect::<io::Result<Vec<_>>>()?;
    let (sender, receiver) = mpsc::sync_channel(WAITING);
    let receiver = Mutex::new(receiver);
    let next = || receiver.lock().unwrap_or_else(PoisonError::into_inner).recv().ok();
    thread::scope(|threads| {
        let (next, fold) = (&next, &fold);
        let work = |runtime: tokio::runtime::Runtime| {
            threads.spawn(move || {
                let mut folded = T::default();
                while let Some(case) = next() {
                    runtime.block_on(fold(&mut folded, case));
                }
                folded
            })
        };
        let workers: Vec<_> = runtimes.into_iter().map(work).collect();
        // If every worker has failed, nobody receives; joining them says so.
        let fed = feed(&mut |case| drop(sender.send(case)));
        drop(sender);
        let join = |worker: thread::ScopedJoinHandle<'_, T>| {
            worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        let folded = workers.into_iter().map(join).collect();
        fed.map(|()| folded)
    })
}

/// Make an evaluation again: what it comes to, and its fuel.
async fn again(plugin: &Plugin, case: &Case) -> (Step, u64) {
    let reach = Reach { queries: &plugin.manifest().queries, targets: &case.input.targets };
    let mut tries = 1;
    loop {
        let Round { outcome, fuel, .. } = plugin.evaluate(&case.input).await;
        let late = outcome.as_ref().is_err_and(|failure| failure.kind == FailureKind::OutOfTime);
        if !late || tries == TRIES {
            return (rounds::conclude(outcome, case.capsule.rounds, &case.input.answers, reach), fuel);
        }
        tries += 1;
    }
}

/// What a replay found.
#[derive(Debug, Default)]
pub(crate) struct Replayed {
    /// Evaluations that were made again.
    pub(crate) replayed: u64,
    /// Those of them whose fuel was compared: the engine is the same.
    pub(crate) fuel_compared: u64,
    /// Those that came out otherwise.
    pub(crate) differing: u64,
    /// The first of them.
    pub(crate) differences: Vec<(Seq, Box<Capsule>, Difference)>,
    /// Evaluations that need not come out the same, by how they ended.
    pub(crate) by_the_clock: BTreeMap<String, u64>,
    /// Evaluations that name a record that is no longer kept.
    pub(crate) dropped: u64,
    /// Evaluations that could not be made again, by why.
    pub(crate) left_out: BTreeMap<String, u64>,
}

impl Replayed {
    /// Whether everything that must come out the same was made again, and did.
    pub(crate) fn is_the_same(&self) -> bool {
        self.differing == 0 && self.left_out.is_empty()
    }

    async fn replay(&mut self, plugin: &Plugin, case: Case) {
        let (now, fuel) = again(plugin, &case).await;
        self.replayed += 1;
        self.fuel_compared += u64::from(case.same_engine);
        if let Some(difference) = replay::difference(&case.capsule, &now, case.same_engine.then_some(fuel)) {
            self.differing += 1;
            if self.differences.len() < KEPT {
                self.differences.push((case.seq, case.capsule, difference));
            }
        }
    }

    fn add(&mut self, other: Self) {
        self.replayed += other.replayed;
        self.fuel_compared += other.fuel_compared;
        self.differing += other.differing;
        self.differences.extend(other.differences);
        self.differences.sort_by_key(|(seq, ..)| *seq);
        self.differences.truncate(KEPT);
    }
}

/// Make all evaluations of a survey again, each by the version that made it.
pub(crate) fn replay_all(history: &History, survey: &Survey, shelf: &mut Shelf) -> Result<Replayed, ReplayError> {
    let mut whole = Replayed::default();
    let parts = on_all_cores(
        |hand_out: &mut dyn FnMut((Arc<Plugin>, Case))| {
            survey.cases(history, |_, case| match ready(case, shelf) {
                Ok(ready) => hand_out(ready),
                Err(Unready::Dropped) => whole.dropped += 1,
                Err(Unready::ByTheClock(how)) => *whole.by_the_clock.entry(how).or_default() += 1,
                Err(Unready::LeftOut(why)) => *whole.left_out.entry(why).or_default() += 1,
            })
        },
        async |replayed: &mut Replayed, (plugin, case): (Arc<Plugin>, Case)| replayed.replay(&plugin, case).await,
    )?;
    parts.into_iter().for_each(|part| whole.add(part));
    Ok(whole)
}

enum Unready {
    Dropped,
    ByTheClock(String),
    LeftOut(String),
}

fn ready(case: Result<Case, Missing>, shelf: &mut Shelf) -> Result<(Arc<Plugin>, Case), Unready> {
    let case = case.map_err(|missing| match missing {
        Missing::Dropped(_) => Unready::Dropped,
        missing => Unready::LeftOut(missing.to_string()),
    })?;
    if let Conclusion::Failed(failure) = &case.capsule.conclusion
        && !replay::is_repeatable(&case.capsule.conclusion)
    {
        return Err(Unready::ByTheClock(failure.kind.to_string()));
    }
    let name = case.name.as_ref();
    let plugin = match name {
        Some(name) => shelf.get(case.capsule.plugin, name),
        None => Err(format!("no record says which plugin version {} is", case.capsule.plugin.short())),
    };
    Ok((plugin.map_err(Unready::LeftOut)?, case))
}
