//! Evaluating: calls a plugin, answers what it asks, calls it again, and keeps the capsule.
//!
//! It owns the rounds. Between them no instance lives, so a slow answer costs no slot. It refuses to know what the decision
//! leads to.

use std::{
    panic::AssertUnwindSafe,
    sync::Arc,
    time::{Duration, Instant},
};

use balm_core::{
    alert::Alert,
    digest::Digest,
    engine::Order,
    evaluation::{Answer, Capsule, Conclusion, Failure, FailureKind, Input, Query},
    record::Fact,
    rounds::{self, Reach, Step},
};
use balm_sandbox::{Level, Plugin, Round};
use futures_util::FutureExt as _;

use crate::{
    habits::{Asker, Habits},
    journal::Log,
    look::Looker,
    plugin_log::{self, Line, PluginLog},
    plugins::Plugins,
};

/// A whole evaluation, with all rounds and answers.
const WALL: Duration = Duration::from_secs(15);

/// Evaluates policies.
pub(crate) struct Evaluator {
    log: Arc<Log>,
    plugins: Arc<Plugins>,
    looker: Arc<Looker>,
    /// Where answers are fetched: guests have threads of their own.
    io: tokio::runtime::Handle,
    habits: Habits,
    said: Arc<PluginLog>,
}

/// An evaluation that is over.
struct Ending {
    answers: Vec<Answer>,
    rounds: u32,
    fuel: u64,
    /// How long its calls waited for their turns.
    waited: Duration,
    conclusion: Conclusion,
}

impl Evaluator {
    pub(crate) fn new(log: Arc<Log>, plugins: Arc<Plugins>, looker: Arc<Looker>, io: tokio::runtime::Handle) -> Self {
        Self { log, plugins, looker, io, habits: Habits::default(), said: Arc::default() }
    }

    /// A version, if it is in memory.
    pub(crate) fn version(&self, digest: &Digest) -> Option<Arc<Plugin>> {
        self.plugins.get(digest)
    }

    pub(crate) fn log(&self) -> &Log {
        &self.log
    }

    /// What plugins said.
    pub(crate) fn said(&self) -> Arc<PluginLog> {
        Arc::clone(&self.said)
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
        if let Some(queries) = self.habits.of(&asker) {
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
        let mut all_waited = Duration::ZERO;
        loop {
            let Round { outcome, fuel, log, log_dropped, waited } = plugin.evaluate(input).await;
            all_waited += waited;
            self.say(order, &log, log_dropped);
            match rounds::conclude(outcome, round, &input.answers, reach) {
                Step::Concluded(conclusion) => {
                    if let Conclusion::Failed(failure) = &conclusion {
                        // What it wrote before it failed, the words of a panic, is part of that.
                        self.keep(order, plugin_log::FAILED, format!("{}: {}", failure.kind, failure.message));
                    }
                    if matches!(&conclusion, Conclusion::Failed(failure) if failure.kind == FailureKind::Queries) {
                        self.habits.forget(asker);
                    }
                    let answers = std::mem::take(&mut input.answers);
                    return Ending { answers, rounds: round, fuel, waited: all_waited, conclusion };
                }
                Step::Asks(queries) => {
                    input.answers.extend(self.answer(&queries).await);
                    self.habits.learn(asker, &input.answers);
                }
            }
            round += 1;
        }
    }

    fn say(&self, order: &Order, log: &[balm_sandbox::LogLine], dropped: u64) {
        for line in log {
            let (policy, episode, message) = (order.policy.as_str(), order.episode.0.0, &line.message);
            match line.level {
                Level::Debug => tracing::debug!(target: "plugin", policy, episode, "{message}"),
                Level::Info => tracing::info!(target: "plugin", policy, episode, "{message}"),
                Level::Warn => tracing::warn!(target: "plugin", policy, episode, "{message}"),
            }
            self.keep(order, plugin_log::word(line.level), message.clone());
        }
        if dropped > 0 {
            tracing::warn!(target: "plugin", policy = order.policy.as_str(), dropped, "lines beyond the cap were dropped");
        }
    }

    fn keep(&self, order: &Order, level: &str, message: String) {
        let line = Line {
            at: order.now,
            digest: order.digest,
            policy: order.policy.clone(),
            episode: order.episode,
            level: level.to_owned(),
            message,
        };
        self.said.keep(&order.plugin, line);
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
}

fn capsule(order: Order, ending: Ending, took: Duration) -> Capsule {
    let Ending { answers, rounds, fuel, waited, conclusion } = ending;
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
        took_us: u64::try_from(took.saturating_sub(waited).as_micros()).unwrap_or(u64::MAX),
        conclusion,
        superseded: false,
    }
}

impl Ending {
    fn failed(kind: FailureKind, message: String) -> Self {
        let conclusion = Conclusion::Failed(Failure { kind, message });
        Self { answers: Vec::new(), rounds: 0, fuel: 0, waited: Duration::ZERO, conclusion }
    }
}
