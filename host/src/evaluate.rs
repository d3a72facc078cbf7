//! Evaluating: calls a plugin, answers what it asks, calls it again, and keeps the capsule.
//!
//! It owns the rounds. Between them no instance lives, so a slow answer costs no slot. It refuses to know what the decision
//! leads to.

use std::{
    collections::HashMap,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use balm_core::{
    alert::Alert,
    caps,
    digest::Digest,
    engine::Order,
    evaluation::{Answer, Capsule, Conclusion, Failure, FailureKind, Input, Query},
    name::PolicyName,
    record::Fact,
    rounds::{self, Reach, Step},
    target::Target,
};
use balm_sandbox::{Level, Plugin, Round};
use futures_util::FutureExt as _;

use crate::{journal::Log, look::Looker, plugins::Plugins};

/// A whole evaluation, with all rounds and answers.
const WALL: Duration = Duration::from_secs(15);

/// Policies with their targets whose questions are remembered. At the cap all are forgotten: they cost one round more.
const HABITS: usize = 4096;

/// Evaluations after which a habit is learned anew, so that what a policy no longer asks is not read for ever.
const HABIT_LASTS: u32 = 256;

/// Evaluates policies.
pub(crate) struct Evaluator {
    log: Arc<Log>,
    plugins: Arc<Plugins>,
    looker: Arc<Looker>,
    /// Where answers are fetched: guests have threads of their own.
    io: tokio::runtime::Handle,
    habits: Mutex<HashMap<Asker, Habit>>,
}

/// Who asks: a version of a policy about the same targets mostly asks the same.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Asker {
    policy: PolicyName,
    digest: Digest,
    targets: Vec<Target>,
}

/// What was asked the last time, which is answered before it is asked again: a round less for each evaluation.
#[derive(Clone, Debug)]
struct Habit {
    queries: Arc<[Query]>,
    left: u32,
}

/// An evaluation that is over.
struct Ending {
    answers: Vec<Answer>,
    rounds: u32,
    fuel: u64,
    conclusion: Conclusion,
}

impl Evaluator {
    pub(crate) fn new(log: Arc<Log>, plugins: Arc<Plugins>, looker: Arc<Looker>, io: tokio::runtime::Handle) -> Self {
        Self { log, plugins, looker, io, habits: Mutex::new(HashMap::new()) }
    }

    /// The version that an order names, if it is in memory.
    pub(crate) fn plugin(&self, order: &Order) -> Option<Arc<Plugin>> {
        self.plugins.get(&order.digest)
    }

    /// Evaluate what is due, by the version that it names. A plugin's trouble is in the capsule; there is always one.
    pub(crate) async fn evaluate(&self, order: Order, plugin: Option<Arc<Plugin>>) -> Capsule {
        let since = Instant::now();
        let evaluating = AssertUnwindSafe(tokio::time::timeout(WALL, self.run(&order, plugin.as_deref())));
        let ending = match evaluating.catch_unwind().await {
            Ok(Ok(ending)) => ending,
            Ok(Err(_)) => {
                let message = format!("the evaluation with its answers took more than {} s", WALL.as_secs());
                Ending::failed(FailureKind::OutOfTime, message)
            }
            // It must not stay under way for ever.
            Err(_) => Ending::failed(FailureKind::NotLoaded, crate::effects::BUG.into()),
        };
        capsule(order, ending, since.elapsed())
    }

    async fn run(&self, order: &Order, plugin: Option<&Plugin>) -> Ending {
        let Some(plugin) = plugin else {
            let message = format!("version {} of plugin {} is not in memory", order.digest.short(), order.plugin);
            return Ending::failed(FailureKind::NotLoaded, message);
        };
        let alert = match self.alert(order) {
            Ok(alert) => alert,
            Err(message) => return Ending::failed(FailureKind::NotLoaded, message),
        };
        let mut input = Input {
            alert: Arc::new(alert),
            policy: order.policy.clone(),
            targets: order.targets.clone(),
            settings: order.settings.clone(),
            answers: Vec::new(),
            trigger: order.trigger,
            history: order.history.clone(),
            now: order.now,
            seed: order.seed,
        };
        let asker = Asker { policy: order.policy.clone(), digest: order.digest, targets: order.targets.clone() };
        if let Some(queries) = self.habit(&asker) {
            input.answers = self.answer(&queries).await;
        }
        self.rounds(order, &asker, plugin, &mut input).await
    }

    fn alert(&self, order: &Order) -> Result<Alert, String> {
        let record = self.log.read(order.alert).map_err(|error| format!("the alert cannot be read: {error}"))?;
        match record.fact {
            Fact::AlertReceived(received) => Ok(received.alert),
            other => Err(format!("record {} is no alert but a {}", order.alert, other.kind())),
        }
    }

    async fn rounds(&self, order: &Order, asker: &Asker, plugin: &Plugin, input: &mut Input) -> Ending {
        let reach = Reach { queries: &order.queries, targets: &order.targets };
        let mut round = 1;
        loop {
            let Round { outcome, fuel, log, log_dropped } = plugin.evaluate(input).await;
            say(order, &log, log_dropped);
            match rounds::conclude(outcome, round, &input.answers, reach) {
                Step::Concluded(conclusion) => {
                    if matches!(&conclusion, Conclusion::Failed(failure) if failure.kind == FailureKind::Queries) {
                        self.unlearn(asker);
                    }
                    let answers = std::mem::take(&mut input.answers);
                    return Ending { answers, rounds: round, fuel, conclusion };
                }
                Step::Asks(queries) => {
                    input.answers.extend(self.answer(&queries).await);
                    self.learn(asker, &input.answers);
                }
            }
            round += 1;
        }
    }

    /// All at once: a round takes as long as its slowest answer.
    async fn answer(&self, queries: &[Query]) -> Vec<Answer> {
        if let Some(answers) = queries.iter().map(|query| self.looker.answer_at_once(query)).collect() {
            return answers;
        }
        let asked: Vec<_> = queries
            .iter()
            .cloned()
            .map(|query| {
                let looker = Arc::clone(&self.looker);
                self.io.spawn(async move { looker.answer(query).await })
            })
            .collect();
        let mut answers = Vec::with_capacity(asked.len());
        for answer in asked {
            // A panic in a reader is a bug of ours; the plugin sees an answer less and asks again.
            answers.extend(answer.await);
        }
        answers
    }

    /// What this policy will most likely ask.
    fn habit(&self, asker: &Asker) -> Option<Arc<[Query]>> {
        let mut habits = self.habits.lock().unwrap_or_else(PoisonError::into_inner);
        let habit = habits.get_mut(asker)?;
        let Some(left) = habit.left.checked_sub(1) else {
            habits.remove(asker);
            return None;
        };
        habit.left = left;
        Some(Arc::clone(&habit.queries))
    }

    /// What is answered beforehand counts among the queries of an evaluation, so it takes half of them at most; and a policy
    /// whose evaluation fails by what it asks is asked again without it.
    fn learn(&self, asker: &Asker, answers: &[Answer]) {
        if answers.len() > caps::QUERIES / 2 {
            return self.unlearn(asker);
        }
        let queries = answers.iter().map(|answer| answer.query.clone()).collect();
        let mut habits = self.habits.lock().unwrap_or_else(PoisonError::into_inner);
        if habits.len() >= HABITS {
            habits.clear();
        }
        habits.insert(asker.clone(), Habit { queries, left: HABIT_LASTS });
    }

    fn unlearn(&self, asker: &Asker) {
        self.habits.lock().unwrap_or_else(PoisonError::into_inner).remove(asker);
    }
}

fn say(order: &Order, log: &[balm_sandbox::LogLine], dropped: u64) {
    for line in log {
        let (policy, episode, message) = (order.policy.as_str(), order.episode.0.0, &line.message);
        match line.level {
            Level::Debug => tracing::debug!(target: "plugin", policy, episode, "{message}"),
            Level::Info => tracing::info!(target: "plugin", policy, episode, "{message}"),
            Level::Warn => tracing::warn!(target: "plugin", policy, episode, "{message}"),
        }
    }
    if dropped > 0 {
        tracing::warn!(target: "plugin", policy = order.policy.as_str(), dropped, "lines beyond the cap were dropped");
    }
}

fn capsule(order: Order, ending: Ending, took: Duration) -> Capsule {
    let Ending { answers, rounds, fuel, conclusion } = ending;
    Capsule {
        episode: order.episode,
        policy: order.policy,
        generation: order.generation,
        plugin: order.digest,
        alert: order.alert,
        configured: order.configured,
        trigger: order.trigger,
        targets: order.targets,
        answers,
        history: order.history,
        now: order.now,
        seed: order.seed,
        rounds,
        fuel,
        took_us: u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
        conclusion,
        superseded: false,
    }
}

impl Ending {
    fn failed(kind: FailureKind, message: String) -> Self {
        let conclusion = Conclusion::Failed(Failure { kind, message });
        Self { answers: Vec::new(), rounds: 0, fuel: 0, conclusion }
    }
}
