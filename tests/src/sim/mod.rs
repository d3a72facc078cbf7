//! The simulator: the core, a model of the journal, the real policy and the model cloud, under one seed and in virtual time.
//!
//! A seed decides everything: which alerts come and in which order, how slow and how untruthful the cloud is, when a person
//! stops everything, and where the host crashes, including in the middle of a write. After each step the invariants are
//! checked; at the end everything must have come to an end. A seed that violates one is printed and can be run again.

mod host;
mod invariants;
pub(crate) mod random;
mod script;
mod world;

use std::{cmp::Reverse, collections::BinaryHeap, ops::Range};

use balm_core::{input::Input, time::Timestamp};

use self::{
    host::{Crash, Ending, Host},
    invariants::Ledger,
    random::Random,
    script::Happening,
    world::World,
};
use crate::seeds;

/// When a simulation begins: its clock is none of ours.
const START: u64 = 1_795_435_200_000;

/// How long things happen, and how long everything then has to come to an end, in milliseconds.
const ACT_MS: u64 = 15 * 60_000;
const REST_MS: u64 = 2 * 3_600_000;

/// Steps of one seed: far more than any needs; one that needs more never ends.
const STEPS_MOST: u32 = 100_000;

/// What one seed came to.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// How often the host crashed.
    pub crashes: u32,
    /// Changes that the cloud made.
    pub effects: usize,
    /// Those it made more than once for one intent.
    pub duplicate_effects: usize,
    /// Intents and episodes that did not come to an end.
    pub stuck: usize,
    /// Records written.
    pub records: u64,
    /// Calls without an answer.
    pub unanswered: u32,
    /// What was violated, in words.
    pub violations: Vec<String>,
    /// Of all bytes of the journal: the same seed gives the same.
    pub fingerprint: String,
}

/// Something that will happen.
#[derive(Debug)]
enum Event {
    /// The host takes what waits.
    Step,
    /// Something outside happens.
    Script(Happening),
    /// A sender that got no answer sends the same again.
    Again(Box<Input>),
    /// Something that the host began comes to its end.
    Ends(Box<Ending>),
    /// A request arrives at the cloud, whether or not the host that sent it still lives.
    Arrives(u64),
}

/// What many seeds came to.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// How many.
    pub seeds: u64,
    /// Crashes in all.
    pub crashes: u64,
    /// Crashes of the seed with the fewest.
    pub crashes_least: u64,
    /// Changes that the cloud made.
    pub effects: u64,
    /// Those it made more than once for one intent.
    pub duplicate_effects: u64,
    /// Intents and episodes that did not come to an end.
    pub stuck: u64,
    /// What was violated, with its seed and story.
    pub violations: Vec<String>,
}

/// Many seeds, on all processors.
#[must_use]
pub fn run_all(seeds: Range<u64>) -> Tally {
    let none = Tally { crashes_least: u64::MAX, ..Tally::default() };
    seeds::fold(seeds, none, run, |tally, seed, outcome| tally.add(seed, &outcome))
}

impl Tally {
    fn add(&mut self, seed: u64, outcome: &Outcome) {
        self.seeds += 1;
        self.crashes += u64::from(outcome.crashes);
        self.crashes_least = self.crashes_least.min(u64::from(outcome.crashes));
        self.effects += outcome.effects as u64;
        self.duplicate_effects += outcome.duplicate_effects as u64;
        self.stuck += outcome.stuck as u64;
        if !outcome.violations.is_empty() {
            self.violations.push(format!("seed {seed}: {outcome:#?}\n{}", story(seed)));
        }
    }
}

/// One seed, from the first alert until everything has come to an end.
#[must_use]
pub fn run(seed: u64) -> Outcome {
    Simulation::new(seed).run()
}

/// What a seed's host wrote down and what its cloud did, for people: a line each.
#[must_use]
pub fn story(seed: u64) -> String {
    let mut simulation = Simulation::new(seed);
    simulation.live();
    let mut lines = simulation.host.story();
    lines.extend(simulation.world.story());
    lines.sort();
    lines
        .into_iter()
        .map(|(at, line)| format!("{:>10.3}  {line}\n", (at.saturating_sub(START)) as f64 / 1000.0))
        .collect()
}

/// The bytes of a seed's journal.
#[must_use]
pub fn journal(seed: u64) -> Vec<u8> {
    let mut simulation = Simulation::new(seed);
    simulation.live();
    simulation.host.disk().to_vec()
}

struct Simulation {
    now: u64,
    random: Random,
    agenda: BinaryHeap<Reverse<(u64, u64)>>,
    events: Vec<Option<Event>>,
    world: World,
    host: Host,
    ledger: Ledger,
    crashes_left: u32,
    outcome: Outcome,
}

impl Simulation {
    fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let world = World::new(seed, &mut random);
        let crashes_left = 1 + u32::try_from(random.below(5)).expect("a small number");
        let mut simulation = Self {
            now: START,
            agenda: BinaryHeap::new(),
            events: Vec::new(),
            world,
            host: Host::new(),
            ledger: Ledger::default(),
            crashes_left,
            outcome: Outcome::default(),
            random,
        };
        for (at, happening) in script::write(&mut simulation.random, ACT_MS) {
            simulation.plan(START + at, Event::Script(happening));
        }
        simulation.plan(START + ACT_MS, Event::Step);
        simulation.start_host();
        simulation
    }

    fn plan(&mut self, at: u64, event: Event) {
        self.events.push(Some(event));
        self.agenda.push(Reverse((at, self.events.len() as u64 - 1)));
    }

    fn run(mut self) -> Outcome {
        self.live();
        self.finish()
    }

    fn live(&mut self) {
        let end = START + ACT_MS + REST_MS;
        for _ in 0..STEPS_MOST {
            let Some(Reverse((at, index))) = self.agenda.pop() else { break };
            if at > end {
                break;
            }
            self.now = self.now.max(at);
            let index = usize::try_from(index).expect("there are not so many events");
            let event = self.events[index].take().expect("an event happens once");
            self.happen(event);
            if !self.outcome.violations.is_empty() {
                break;
            }
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Step => self.step(),
            Event::Script(happening) => {
                if let Some(input) = script::input(&happening, self.now) {
                    self.host.waits(input);
                    self.wake(0);
                } else {
                    self.world.happens(&happening, self.now);
                }
            }
            Event::Again(input) => {
                self.host.waits(*input);
                self.wake(0);
            }
            Event::Ends(ending) => {
                if let Some(input) = self.host.ends(*ending) {
                    self.host.waits(input);
                    self.wake(0);
                }
            }
            Event::Arrives(call) => {
                if let Some((at, ending)) = self.world.arrives(call, self.now) {
                    self.plan(at, Event::Ends(Box::new(ending)));
                }
            }
        }
    }

    /// The host steps soon: whatever else waits by then is taken together.
    fn wake(&mut self, least: u64) {
        let at = self.now + least + self.random.below(4);
        self.plan(at, Event::Step);
    }

    /// Take what waits, make it durable, answer, hand out; and perhaps crash in between.
    fn step(&mut self) {
        let crash = self.crash();
        let acting = self.now < START + ACT_MS;
        let stepped = self.host.step(Timestamp::from_millis(self.now), crash, &mut self.random);
        self.ledger.check(&stepped, self.host.state(), &mut self.outcome.violations);
        if stepped.crashed {
            self.outcome.crashes += 1;
            self.world.forget_senders(&mut self.random);
            self.start_host();
            for input in stepped.unanswered {
                let at = self.now + self.random.within(1_000, 5_000);
                self.plan(at, Event::Again(Box::new(input)));
            }
            return;
        }
        for effect in stepped.effects {
            let begun = self.world.begin(effect, &self.host, self.now, &mut self.random);
            for (at, event) in begun {
                self.plan(at, event);
            }
        }
        if let Some(next) = self.host.next_timer() {
            self.plan(next.max(self.now), Event::Step);
        }
        if !acting {
            self.world.be_truthful();
        }
    }

    /// Where this step crashes, if it does.
    fn crash(&mut self) -> Option<Crash> {
        let due = self.now < START + ACT_MS && self.crashes_left > 0 && self.random.below(60) == 0;
        // Every seed has at least one crash: the last chance is the end of the act.
        let forced = self.now >= START + ACT_MS && self.outcome.crashes == 0;
        if !due && !forced {
            return None;
        }
        self.crashes_left = self.crashes_left.saturating_sub(1);
        Some(Crash::any(&mut self.random))
    }

    fn start_host(&mut self) {
        let lost = self.host.restart(Timestamp::from_millis(self.now), &mut self.random);
        self.outcome.violations.extend(lost);
        self.wake(0);
    }

    fn finish(mut self) -> Outcome {
        let applied = self.world.applied();
        self.outcome.effects = applied.len();
        self.outcome.duplicate_effects = self.world.duplicates();
        self.outcome.unanswered = self.world.unanswered();
        self.outcome.stuck = invariants::stuck(self.host.state());
        self.outcome.records = self.host.state().seq.0;
        self.outcome.fingerprint = self.host.fingerprint();
        self.outcome.violations.extend(self.ledger.recount(&applied));
        self.outcome.violations.extend(self.host.differs_from_its_journal(&mut self.random));
        if self.outcome.violations.is_empty() && self.outcome.stuck > 0 {
            self.outcome.violations.push(format!("{} did not come to an end", self.outcome.stuck));
        }
        if self.outcome.duplicate_effects > 0 {
            self.outcome.violations.push(format!("{} effects twice", self.outcome.duplicate_effects));
        }
        self.outcome
    }
}
