//! Simulating: the configured policies and guardrails on the model cloud, in virtual time, under one seed.
//!
//! The engine, the guard and the plugins are those of production; the cloud and the storm are not (`world`, `storm`). A seed
//! decides everything: which alerts come, how slow and untruthful the cloud is, and what other people do meanwhile. What
//! must hold is recounted by a judge that asks the guard nothing (`judge`). Nothing here reads a clock or a network.

mod judge;
mod random;
mod seeds;
mod storm;
mod world;

use std::{cmp::Reverse, collections::BTreeMap, collections::BinaryHeap, sync::Arc};

use balm_core::{
    alert::Alert,
    configuration::Configuration,
    digest::Digest,
    engine::{Effect, Engine, Handed, Order, Tell, genesis},
    evaluation::{Answer, Capsule, Conclusion, Failure, FailureKind, Input as Seen, Query},
    input::Input,
    name::{PluginName, Seq},
    record::{AccountChecked, Fact, HostStarted, NoticeSent, PluginActivated, Record, Verdict},
    rounds::{self, Reach, Step},
    state::State,
    time::Timestamp,
    versions::record::Cause,
};
use balm_sandbox::Plugin;
use tokio::runtime::Runtime;

pub(crate) use self::seeds::{Kept, Seeds};
use self::{judge::Judge, random::Random, storm::Happening, world::World};

/// When a simulation begins: a Wednesday at noon, UTC. Its clock is none of ours.
const START_MS: u64 = 1_767_787_200_000;

/// How long everything has to come to an end once the storm is over: longer than an episode is remembered.
const REST_MS: u64 = 30 * 3_600_000;

/// Steps of one seed: far more than any needs, so that one that never ends is told.
const STEPS_MOST: u32 = 2_000_000;

/// Tries of an evaluation that ran out of time by our own clock: another program may have had the processor.
const TRIES: u32 = 3;

/// What is simulated.
pub(crate) struct Subject {
    pub(crate) configuration: Configuration,
    /// The plugins of its policies.
    pub(crate) plugins: BTreeMap<PluginName, Arc<Plugin>>,
    /// How long a call to AWS may take.
    pub(crate) call_timeout_ms: u64,
    /// Tags of every target.
    pub(crate) tags: BTreeMap<String, String>,
}

/// What must hold beyond the guardrails, and for how long the storm lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Terms {
    pub(crate) minutes: u64,
    /// No change leaves fewer healthy tasks or instances than this.
    pub(crate) healthy_least: u32,
    /// No target is turned around more often than this within an hour.
    pub(crate) reversals_most: u32,
}

/// What happened, counted.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    /// Alerts that came in.
    pub(crate) alerts: usize,
    /// Intents that the guard judged, and those that it let through.
    pub(crate) judged: usize,
    pub(crate) admitted: usize,
    /// Calls that the cloud made true.
    pub(crate) changes: usize,
    /// Evaluations that failed.
    pub(crate) failed: usize,
}

impl Tally {
    pub(crate) const fn add(&mut self, other: &Self) {
        self.alerts += other.alerts;
        self.judged += other.judged;
        self.admitted += other.admitted;
        self.changes += other.changes;
        self.failed += other.failed;
    }

    fn note(&mut self, fact: &Fact) {
        match fact {
            Fact::AlertReceived(_) => self.alerts += 1,
            Fact::Evaluated(capsule) => self.failed += usize::from(matches!(capsule.conclusion, Conclusion::Failed(_))),
            Fact::IntentJudged(judged) => {
                self.judged += 1;
                self.admitted += usize::from(judged.verdict == Verdict::Admitted);
            }
            _ => {}
        }
    }
}

/// What one seed came to.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) tally: Tally,
    /// What did not hold, in words.
    pub(crate) violations: Vec<String>,
    /// What the host wrote down and what happened around it, a line each.
    pub(crate) story: Vec<String>,
    /// Of everything that the host wrote down.
    pub(crate) digest: Option<Digest>,
}

/// Something that will happen.
enum Event {
    /// The host does what has become due.
    Due,
    /// Something outside happens.
    Happens(Happening),
    /// Something that the host began has ended.
    Ended(Box<Input>),
    /// A call arrives at the cloud.
    Arrives(u64),
}

/// Live through one seed.
pub(crate) fn run(subject: &Subject, terms: Terms, seed: u64, runtime: &Runtime) -> Result<Outcome, String> {
    let mut simulation = Simulation::new(subject, terms, seed, runtime)?;
    simulation.live();
    Ok(simulation.finish())
}

struct Simulation<'a> {
    subject: &'a Subject,
    runtime: &'a Runtime,
    now_ms: u64,
    act_ms: u64,
    random: Random,
    agenda: BinaryHeap<Reverse<(u64, u64)>>,
    events: BTreeMap<u64, Event>,
    planned: u64,
    due_at: u64,
    engine: Engine,
    alerts: BTreeMap<Seq, Alert>,
    world: World,
    judge: Judge,
    outcome: Outcome,
    lines: Vec<u8>,
}

impl<'a> Simulation<'a> {
    fn new(subject: &'a Subject, terms: Terms, seed: u64, runtime: &'a Runtime) -> Result<Self, String> {
        let mut random = Random::new(seed);
        let world = World::new(subject, seed, &mut random)?;
        let act_ms = terms.minutes * 60_000;
        let mut simulation = Self {
            subject,
            runtime,
            now_ms: START_MS,
            act_ms,
            random,
            agenda: BinaryHeap::new(),
            events: BTreeMap::new(),
            planned: 0,
            due_at: u64::MAX,
            engine: Engine::new(),
            alerts: BTreeMap::new(),
            world,
            judge: Judge::new(&subject.configuration.guardrails, terms),
            outcome: Outcome::default(),
            lines: Vec::new(),
        };
        for (at, happening) in storm::write(&mut simulation.random, &subject.configuration, act_ms) {
            simulation.plan(START_MS + at, Event::Happens(happening));
        }
        simulation.plan(START_MS + act_ms, Event::Happens(Happening::Calm));
        simulation.begin();
        Ok(simulation)
    }

    /// What every start of a host writes down.
    fn begin(&mut self) {
        self.engine.replay(&genesis("simulated".into(), env!("CARGO_PKG_VERSION"), self.now()));
        let configuration = self.subject.configuration.clone();
        let accounts = configuration.accounts.clone();
        self.take(Input::Started(HostStarted { version: env!("CARGO_PKG_VERSION").into(), engine: String::new() }));
        self.take(Input::Configured(Box::new(configuration)));
        for (name, plugin) in &self.subject.plugins {
            let (digest, bytes, manifest) = (plugin.digest(), plugin.bytes(), plugin.manifest().clone());
            let activated = PluginActivated { plugin: name.clone(), digest, bytes, manifest, cause: Cause::Directory };
            self.take(Input::PluginActivated(Box::new(activated)));
        }
        for (account, regions) in accounts {
            for region in regions {
                let identity = Ok("the simulation".into());
                self.take(Input::AccountChecked(AccountChecked { account, region, identity }));
            }
        }
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.now_ms)
    }

    fn plan(&mut self, at: u64, event: Event) {
        self.planned += 1;
        self.events.insert(self.planned, event);
        self.agenda.push(Reverse((at, self.planned)));
    }

    fn live(&mut self) {
        let end = START_MS + self.act_ms + REST_MS;
        for _ in 0..STEPS_MOST {
            let Some(Reverse((at, number))) = self.agenda.pop() else { return };
            if at > end {
                return;
            }
            self.now_ms = self.now_ms.max(at);
            if let Some(event) = self.events.remove(&number) {
                self.happen(event);
            }
            self.follow();
        }
        self.outcome.violations.push(format!("it goes on after {STEPS_MOST} steps"));
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Due => self.due_at = u64::MAX,
            Event::Ended(input) => self.take(*input),
            Event::Arrives(call) => {
                let arrival = self.world.arrives(call, self.now_ms, &mut self.judge);
                self.outcome.tally.changes += usize::from(arrival.applied);
                self.tell(&arrival.words);
                self.plan(arrival.at, Event::Ended(Box::new(arrival.input)));
            }
            Event::Happens(Happening::Alerts(sent)) => {
                let now = self.now();
                self.take(Input::Alerts(sent.iter().map(|sent| sent.alert(now)).collect()));
            }
            Event::Happens(Happening::Calm) => self.world.be_truthful(),
            Event::Happens(happening) => {
                let words = self.world.happens(&happening, self.now_ms);
                self.tell(&words);
            }
        }
    }

    fn tell(&mut self, words: &str) {
        if !words.is_empty() {
            let at = self.now();
            self.outcome.story.push(format!("{at}  {words}"));
        }
    }

    /// Hand the host an input, and note what it writes down.
    fn take(&mut self, input: Input) {
        let taken = self.engine.take(input, self.now());
        self.note(&taken.records);
    }

    fn note(&mut self, records: &[Record]) {
        for record in records {
            if let Fact::AlertReceived(received) = &record.fact {
                self.alerts.insert(record.seq, received.alert.clone());
            }
            self.outcome.tally.note(&record.fact);
            self.judge.note(record);
            let line = serde_json::to_string(record).unwrap_or_default();
            self.lines.extend_from_slice(line.as_bytes());
            self.outcome.story.push(format!("{}  {line}", record.at));
        }
    }

    /// Do what is due now, and what the host hands out.
    fn follow(&mut self) {
        while self.engine.state().next_timer().is_some_and(|next| next <= self.now()) {
            self.take(Input::Tick);
        }
        let mut effects = Vec::new();
        self.engine.release(|effect| {
            effects.push(effect);
            Handed::UnderWay
        });
        effects.into_iter().for_each(|effect| self.start(effect));
        if let Some(next) = self.engine.state().next_timer().map(Timestamp::as_millis)
            && next < self.due_at
        {
            self.due_at = next;
            self.plan(next.max(self.now_ms), Event::Due);
        }
    }

    fn start(&mut self, effect: Effect) {
        let (took, input) = match effect {
            Effect::Evaluate(order) => {
                let capsule = self.evaluate(*order);
                (self.random.within(2, 50), Input::Evaluated(Box::new(capsule)))
            }
            Effect::Compare(_) => unreachable!("no candidate is named in a simulation"),
            Effect::Skip(skipped) => (0, Input::Skipped(skipped)),
            Effect::Look(look) => {
                let reading = self.world.read(&look.target, self.now_ms).map(Box::new);
                let input = Input::Looked { intent: look.intent, purpose: look.purpose, reading, read_at: self.now() };
                (self.random.within(10, 400), input)
            }
            Effect::Act(intent) => {
                let call = self.world.send(intent, self.now_ms);
                let at = self.now_ms + self.random.below(200);
                return self.plan(at, Event::Arrives(call));
            }
            Effect::Tell(Tell { notifier, message }) => {
                let (about, covers, dropped) = (message.about, message.covers, message.dropped);
                let delivered = Ok("simulated".into());
                let sent = NoticeSent { notifier, about, episode: None, delivered, dropped, covers, kept: false };
                (self.random.within(50, 500), Input::NoticeSent(sent))
            }
        };
        self.plan(self.now_ms + took, Event::Ended(Box::new(input)));
    }

    /// Evaluate a policy by its real plugin; what it asks is answered by the cloud as it is now.
    fn evaluate(&mut self, order: Order) -> Capsule {
        let mut rounds = 0;
        let mut answers = Vec::new();
        let (conclusion, fuel) = match (self.subject.plugins.get(&order.plugin), self.alerts.get(&order.alert)) {
            (Some(plugin), Some(alert)) => {
                let mut seen = Seen {
                    alert: Arc::new(alert.clone()),
                    policy: order.policy.clone(),
                    targets: order.targets.clone(),
                    settings: order.settings.clone(),
                    answers: Vec::new(),
                    trigger: order.trigger,
                    history: order.history.clone(),
                    now: order.now,
                    seed: order.seed,
                };
                let reach = Reach { queries: &order.queries, targets: &order.targets };
                let concluded = loop {
                    rounds += 1;
                    let (outcome, fuel) = ask(self.runtime, plugin, &seen);
                    match rounds::conclude(outcome, rounds, &seen.answers, reach) {
                        Step::Concluded(conclusion) => break (conclusion, fuel),
                        Step::Asks(queries) => {
                            let (world, now) = (&mut self.world, self.now_ms);
                            seen.answers.extend(queries.into_iter().map(|query| answer(world, query, now)));
                        }
                    }
                };
                answers = seen.answers;
                concluded
            }
            _ => {
                let message = format!("plugin {} is not there", order.plugin);
                (Conclusion::Failed(Failure { kind: FailureKind::NotLoaded, message }), 0)
            }
        };
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
            took_us: 0,
            conclusion,
            superseded: false,
        }
    }

    fn finish(mut self) -> Outcome {
        let state = self.engine.state();
        self.outcome.violations.extend(unended(state));
        self.outcome.violations.extend(self.judge.recount());
        self.outcome.digest = Some(Digest::of(&[&self.lines]));
        self.outcome
    }
}

/// Episodes and intents that did not come to an end.
fn unended(state: &State) -> Vec<String> {
    let episodes = state.episodes.iter().filter(|(_, episode)| episode.ended.is_none());
    let episodes = episodes.map(|(id, _)| format!("episode {id} did not end"));
    let intents = state.intents.keys().map(|id| format!("intent {id} did not end"));
    episodes.chain(intents).collect()
}

fn answer(world: &mut World, query: Query, now_ms: u64) -> Answer {
    let reading = world.answer(&query, now_ms);
    Answer { query, reading, at: Timestamp::from_millis(now_ms) }
}

/// Call a plugin. What its fuel ends is the same every time; what our own clock ends is tried again.
fn ask(runtime: &Runtime, plugin: &Plugin, seen: &Seen) -> (Result<balm_core::evaluation::Outcome, Failure>, u64) {
    let mut tries = 1;
    loop {
        let round = runtime.block_on(plugin.evaluate(seen));
        let late = round.outcome.as_ref().is_err_and(|failure| failure.kind == FailureKind::OutOfTime);
        if !late || tries == TRIES {
            return (round.outcome, round.fuel);
        }
        tries += 1;
    }
}
