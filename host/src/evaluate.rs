//! Evaluating: calls a plugin, answers what it asks, calls it again, and keeps the capsule.
//!
//! It owns the rounds. Between them no instance lives, so a slow answer costs no slot. It refuses to know what the decision
//! leads to.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use balm_core::{
    alert::Alert,
    engine::Order,
    evaluation::{Answer, Capsule, Conclusion, Failure, FailureKind, Input, Query},
    record::Fact,
    rounds::{self, Reach, Step},
};
use balm_sandbox::{Level, Plugin, Round};

use crate::{journal::Log, look::Looker, plugins::Plugins};

/// A whole evaluation, with all rounds and answers.
const WALL: Duration = Duration::from_secs(15);

/// Evaluates policies.
pub(crate) struct Evaluator {
    pub(crate) log: Arc<Log>,
    pub(crate) plugins: Arc<Plugins>,
    pub(crate) looker: Arc<Looker>,
    /// Where answers are fetched: guests have threads of their own.
    pub(crate) io: tokio::runtime::Handle,
}

/// An evaluation that is over.
struct Ending {
    answers: Vec<Answer>,
    rounds: u32,
    fuel: u64,
    conclusion: Conclusion,
}

impl Evaluator {
    /// Evaluate what is due, by the version that it names. A plugin's trouble is in the capsule; there is always one.
    pub(crate) async fn evaluate(&self, order: Order, plugin: Option<Arc<Plugin>>) -> Capsule {
        let since = Instant::now();
        let ending = match tokio::time::timeout(WALL, self.run(&order, plugin)).await {
            Ok(ending) => ending,
            Err(_) => {
                let message = format!("the evaluation with its answers took more than {} s", WALL.as_secs());
                Ending::failed(FailureKind::OutOfTime, message)
            }
        };
        capsule(order, ending, since.elapsed())
    }

    async fn run(&self, order: &Order, plugin: Option<Arc<Plugin>>) -> Ending {
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
        self.rounds(order, &plugin, &mut input).await
    }

    fn alert(&self, order: &Order) -> Result<Alert, String> {
        let record = self.log.read(order.alert).map_err(|error| format!("the alert cannot be read: {error}"))?;
        match record.fact {
            Fact::AlertReceived(received) => Ok(received.alert),
            other => Err(format!("record {} is no alert but a {}", order.alert, other.kind())),
        }
    }

    async fn rounds(&self, order: &Order, plugin: &Plugin, input: &mut Input) -> Ending {
        let reach = Reach { queries: &order.queries, targets: &order.targets };
        let mut round = 1;
        loop {
            let Round { outcome, fuel, log, log_dropped } = plugin.evaluate(input).await;
            say(order, &log, log_dropped);
            match rounds::conclude(outcome, round, &input.answers, reach) {
                Step::Concluded(conclusion) => {
                    let answers = std::mem::take(&mut input.answers);
                    return Ending { answers, rounds: round, fuel, conclusion };
                }
                Step::Asks(queries) => input.answers.extend(self.answer(queries).await),
            }
            round += 1;
        }
    }

    /// All at once: a round takes as long as its slowest answer.
    async fn answer(&self, queries: Vec<Query>) -> Vec<Answer> {
        let mut answers = Vec::with_capacity(queries.len());
        let asked: Vec<_> = queries
            .into_iter()
            .map(|query| {
                let looker = Arc::clone(&self.looker);
                self.io.spawn(async move { looker.answer(query).await })
            })
            .collect();
        for answer in asked {
            // A panic in a reader is a bug of ours; the plugin sees an answer less and asks again.
            answers.extend(answer.await);
        }
        answers
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

/// The capsule of an evaluation that could not be made.
pub(crate) fn failed(order: Order, failure: Failure) -> Capsule {
    capsule(order, Ending::failed(failure.kind, failure.message), Duration::ZERO)
}

impl Ending {
    fn failed(kind: FailureKind, message: String) -> Self {
        let conclusion = Conclusion::Failed(Failure { kind, message });
        Self { answers: Vec::new(), rounds: 0, fuel: 0, conclusion }
    }
}
