//! The guard against an oracle: random configurations, histories and intents, and two answers to each that must be the same.
//!
//! The guard is asked through the real engine, with the inputs and records of production. The oracle (`verdict`) shares no
//! code with it. Every case is drawn such that many stand on an edge: a window that ends now, a limit with one left, a
//! count that is the bound itself.

mod killed;
mod plan;
mod verdict;

use std::{ops::Range, time::Duration};

use balm_catalogue::{asg, ecs};
use balm_core::{
    evaluation::Proposal,
    input::{Input, Resume},
    json::Json,
    look::Reading,
    name::{EpisodeId, IntentId, PolicyName},
    record::{Person, StopEngaged, StopScope},
    time::Timestamp,
    trial::Trial,
};

use self::{
    killed::Moments,
    plan::{ACTIONS, During, GIVEN, POLICIES, Plan, TARGETS, pick},
    verdict::{Asked, Done, Halted, Jump, Seen, World},
};
use crate::{seeds, sim::random::Random};

/// When every history begins.
const START: u64 = 1_795_435_200_000;

/// Intents of one configuration.
pub const INTENTS: u64 = 40;

/// What many configurations came to.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Intents that both judged.
    pub cases: u64,
    /// Of them, those that the oracle permits: at once, or with approvals.
    pub permitted: u64,
    /// Of them, those that stood on an edge.
    pub edges: u64,
    /// The guard permits what the oracle does not, or with fewer approvals.
    pub over_grants: u64,
    /// The oracle permits what the guard does not, or with fewer approvals.
    pub over_denials: u64,
    /// Both refuse, for another reason.
    pub other_reasons: u64,
    /// Limits that admitted intents went beyond, as recounted from what was admitted.
    pub overruns: u64,
    /// Moments at which a host was killed and lived again from its journal.
    pub kills: u64,
    /// Of them, those after which the guard judged by something else than without.
    pub kill_differences: u64,
    /// By the oracle's verdict.
    pub verdicts: std::collections::BTreeMap<String, u64>,
    /// The first few differences, with the seed.
    pub differences: Vec<String>,
}

/// Of so many configurations the host of one is killed: comparing all that it judges by takes as long as judging.
const KILLED_EVERY: u64 = 20;

/// Differences that are told; the rest is counted.
const TOLD: usize = 10;

/// Many configurations, on all processors.
#[must_use]
pub fn run_all(seeds: Range<u64>) -> Tally {
    seeds::fold(seeds, Tally::default(), run, |tally, _, own| tally.add(own))
}

impl Tally {
    fn add(&mut self, other: Self) {
        self.cases += other.cases;
        self.permitted += other.permitted;
        self.edges += other.edges;
        self.over_grants += other.over_grants;
        self.over_denials += other.over_denials;
        self.other_reasons += other.other_reasons;
        self.overruns += other.overruns;
        self.kills += other.kills;
        self.kill_differences += other.kill_differences;
        other.verdicts.into_iter().for_each(|(verdict, count)| *self.verdicts.entry(verdict).or_default() += count);
        let room = TOLD.saturating_sub(self.differences.len());
        self.differences.extend(other.differences.into_iter().take(room));
    }

    fn compare(&mut self, told: &str, wanted: &str) -> bool {
        let (told, wanted) = (freedom(told), freedom(wanted));
        match told.cmp(&wanted) {
            std::cmp::Ordering::Greater => self.over_grants += 1,
            std::cmp::Ordering::Less => self.over_denials += 1,
            std::cmp::Ordering::Equal => return true,
        }
        false
    }
}

/// How much a verdict permits: more is freer.
fn freedom(verdict: &str) -> u32 {
    if verdict.starts_with("refused") {
        return 0;
    }
    match verdict.strip_prefix("needs approval of ").map(|people| people.parse::<u32>().expect("a number")) {
        Some(people) => 10 - people,
        None if verdict == "observed only" => 1,
        None => 20,
    }
}

/// One configuration, with a history that its own verdicts make.
///
/// # Panics
///
/// If the core does not take what a host hands to it.
#[must_use]
pub fn run(seed: u64) -> Tally {
    let mut scene = Scene::new(seed);
    let mut tally = Tally::default();
    let mut moments = seed.is_multiple_of(KILLED_EVERY).then(Moments::default);
    for _ in 0..INTENTS {
        scene.pass();
        moments.iter_mut().for_each(|moments| moments.note(scene.trial.state()));
        scene.ask(seed, &mut tally);
        moments.iter_mut().for_each(|moments| moments.note(scene.trial.state()));
    }
    if let Some(moments) = moments {
        let differing = moments.differing(&scene.trial);
        tally.kills = moments.count();
        tally.kill_differences = differing.len() as u64;
        let told = differing.iter().take(1);
        tally.differences.extend(told.map(|seq| format!("seed {seed}: killed after record {seq}, the guard differs")));
    }
    tally
}

struct Scene {
    random: Random,
    plan: Plan,
    trial: Trial,
    world: World,
    /// Intents under way, by their place in what was done.
    open: Vec<(IntentId, usize, Asked)>,
    episodes: Vec<Fired>,
    stops: Vec<Halted>,
}

#[derive(Clone, Copy)]
struct Fired {
    id: EpisodeId,
    policy: usize,
    at: u64,
    critical: bool,
}

impl Scene {
    fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let start = START + random.below(7 * 86_400_000);
        let plan = Plan::draw(&mut random, start);
        let trial = Trial::new(plan.configuration(), Timestamp::from_millis(start)).expect("the rules are good");
        Self { random, plan, trial, world: World::default(), open: vec![], episodes: vec![], stops: vec![] }
    }

    fn now(&self) -> u64 {
        self.trial.now().as_millis()
    }

    /// Something happens, and time passes: often until just before, at, or just after something leaves a window.
    fn pass(&mut self) {
        for _ in 0..self.random.below(3) {
            self.happen();
        }
        let wait = if self.random.percent(45) { self.until_an_edge() } else { None };
        let wait = wait.unwrap_or_else(|| match self.random.below(4) {
            0 => 0,
            1 => self.random.below(2_000),
            2 => self.random.below(120_000),
            _ => self.random.below(1_200_000),
        });
        self.trial.wait(Duration::from_millis(wait));
    }

    /// How long it takes until what was done last is as old as a window, give or take a millisecond.
    fn until_an_edge(&mut self) -> Option<u64> {
        let done = self.world.done.iter().rev().take(4).collect::<Vec<_>>();
        let done = (!done.is_empty()).then(|| pick(&mut self.random, &done))?;
        let mut windows: Vec<(u64, u64)> = vec![(done.from, self.plan.opposes_ms), (done.from, self.plan.reversals_ms)];
        for cap in &self.plan.caps {
            match cap.during {
                During::SinceStart(ms) => windows.push((done.from, ms)),
                During::SinceEnd(ms) => windows.extend(done.to.map(|to| (to, ms))),
                During::Episode | During::AtOnce => {}
            }
        }
        let now = self.now();
        let windows: Vec<u64> =
            windows.iter().map(|(since, ms)| since + ms).filter(|end| *end > now && *end < now + 7_200_000).collect();
        let end = (!windows.is_empty()).then(|| pick(&mut self.random, &windows))?;
        Some((end - now + self.random.below(3)).saturating_sub(1))
    }

    fn happen(&mut self) {
        match self.random.below(24) {
            0 => self.stop(),
            1..=4 => self.resume(),
            5 => self.jump(),
            6 => self.accept(),
            _ => self.end(),
        }
    }

    fn stop(&mut self) {
        let (halted, scope) = match self.random.below(6) {
            0 => (Halted::Everything, StopScope::Everything),
            1 => (Halted::Services, StopScope::Targets("arn:aws:ecs:*".parse().expect("a pattern"))),
            2 | 3 => {
                let at = pick(&mut self.random, &[0, 1, 2]);
                (Halted::Policy(at), StopScope::Policy(policy(at)))
            }
            _ => {
                let at = pick(&mut self.random, &[0, 1, 2, 3, 4]);
                (Halted::Target(at), StopScope::Target(TARGETS[at].arn.parse().expect("a target")))
            }
        };
        self.take(Input::Stop(StopEngaged::by_person(scope, ada())));
        self.stops.push(halted);
        self.world.halted.push(halted);
    }

    fn resume(&mut self) {
        let Some(halted) = self.stops.pop() else { return };
        let scope = match halted {
            Halted::Everything => StopScope::Everything,
            Halted::Services => StopScope::Targets("arn:aws:ecs:*".parse().expect("a pattern")),
            Halted::Policy(at) => StopScope::Policy(policy(at)),
            Halted::Target(at) => StopScope::Target(TARGETS[at].arn.parse().expect("a target")),
        };
        self.take(Input::Resume(Resume::Scope(scope), None, ada()));
        // All that halt exactly this.
        self.world.halted.retain(|other| *other != halted);
        self.stops.retain(|other| *other != halted);
    }

    /// The clock leaps ahead by minutes, hours or a day.
    fn jump(&mut self) {
        let by = pick(&mut self.random, &[61_000, 600_000, 3_600_000, 86_400_000]);
        self.trial.wait(Duration::from_millis(by));
        self.take(Input::ClockJumped(by));
        self.world.jumps.push(Jump { at: self.now(), by, accepted: false });
    }

    fn accept(&mut self) {
        if self.world.jumps.iter().any(|jump| !jump.accepted) {
            self.take(Input::ClockAccepted(ada()));
            self.world.jumps.iter_mut().for_each(|jump| jump.accepted = true);
        }
    }

    /// Something that is under way ends, well or badly.
    fn end(&mut self) {
        if self.open.is_empty() {
            return;
        }
        let at = usize::try_from(self.random.below(self.open.len() as u64)).expect("a small number");
        let (intent, place, asked) = self.open.swap_remove(at);
        let ended = sets_count(asked.action)
            && self.random.percent(60)
            && self.trial.finish(intent, steady(asked.target, asked.number)).expect("it is taken");
        if !ended && self.trial.state().intents.contains_key(&intent) {
            // One that was done and is not as promised yet cannot be refused any more.
            if self.trial.fail(intent).is_err() || self.trial.state().intents.contains_key(&intent) {
                self.open.push((intent, place, asked));
                return;
            }
            // AWS refused it, so nothing was turned around.
            self.world.done[place].way = 0;
        }
        self.world.done[place].to = Some(self.now());
    }

    fn take(&mut self, input: Input) {
        self.trial.take(input).expect("the core takes it");
    }

    /// An alert that goes on, or a new one.
    fn episode(&mut self, policy_at: usize) -> usize {
        let going_on: Vec<usize> =
            (0..self.episodes.len()).rev().filter(|at| self.episodes[*at].policy == policy_at).take(2).collect();
        if !going_on.is_empty() && self.random.percent(40) {
            return pick(&mut self.random, &going_on);
        }
        let critical = self.random.percent(60);
        let severity = if critical { "critical" } else { "warning" };
        let labels = [("severity".to_owned(), severity.to_owned())];
        let id = self.trial.fire(&policy(policy_at), TARGETS[0].arn, labels).expect("the policy is concerned");
        let now = self.now();
        self.world.alert(&self.plan, policy_at, now);
        self.episodes.push(Fired { id, policy: policy_at, at: now, critical });
        self.episodes.len() - 1
    }

    fn draw(&mut self) -> Asked {
        let policy = pick(&mut self.random, &[0, 1, 2]);
        let episode = self.episode(policy);
        let given = if self.random.percent(97) { GIVEN[policy] } else { GIVEN[0] };
        let target = pick(&mut self.random, given);
        let kinds = if TARGETS[target].cluster.is_some() { [0, 0, 1, 2] } else { [3, 3, 4, 5] };
        let action =
            if self.random.percent(2) { pick(&mut self.random, &[0, 3]) } else { pick(&mut self.random, &kinds) };
        let mut number = |least: u64, most| u32::try_from(self.random.within(least, most)).expect("a small number");
        let desired = number(1, 10);
        // Mostly what shall run does. Otherwise one is missing, or some are starting, or an earlier scale-in has not ended.
        let (running, pending) = match number(0, 9) {
            0..=5 => (desired, 0),
            6 => (desired - number(0, 1).min(desired - 1), 0),
            7 => (desired - number(0, 4).min(desired - 1), number(0, 5)),
            _ => (desired + number(1, 5), number(0, 1)),
        };
        let keeps = [None, Some(0), Some(50), Some(75), Some(100), Some(100)][number(0, 5) as usize];
        let unhealthy = if action == 2 || target > 2 { number(0, 2).min(running) } else { 0 };
        let to = match action {
            0 | 3 => number(0, 13),
            5 => number(0, 10) * 10,
            _ => 0,
        };
        let seen = Seen { desired, running, pending, keeps, healthy: running - unhealthy };
        let healthy_one = seen.healthy > 0 && self.random.percent(60);
        let expects = if self.random.percent(4) { desired + 1 } else { desired };
        let Fired { at: triggered, critical, .. } = self.episodes[episode];
        Asked { policy, target, action, episode, triggered, critical, number: to, healthy_one, expects, seen }
    }

    fn ask(&mut self, seed: u64, tally: &mut Tally) {
        let asked = self.draw();
        let now = self.now();
        let wanted = verdict::judge(&self.plan, &self.world, &asked, now);
        let episode = self.episodes[asked.episode].id;
        let intent = self.trial.propose(episode, &policy(asked.policy), proposal(&asked)).expect("it is taken");
        let judged = self.trial.judge(intent, reading(&asked)).expect("it is judged");
        let told = judged.verdict.to_string();
        tally.cases += 1;
        tally.edges += u64::from(wanted.edge);
        tally.permitted += u64::from(freedom(&wanted.verdict) > 1);
        *tally.verdicts.entry(wanted.verdict.clone()).or_default() += 1;
        if told != wanted.verdict {
            tally.other_reasons += u64::from(tally.compare(&told, &wanted.verdict));
            if tally.differences.len() < TOLD {
                let checks = judged.checks.iter().filter(|checked| !checked.passed);
                let found: Vec<String> =
                    checks.map(|checked| format!("{}: {}", checked.check, checked.found)).collect();
                tally.differences.push(format!(
                    "seed {seed}, case {}: the guard says {told} ({}), the oracle {}; {asked:?}",
                    tally.cases,
                    found.join("; "),
                    wanted.verdict
                ));
            }
        }
        if told == "admitted" {
            let (way, taken) = (verdict::way(&asked), verdict::taken(&asked));
            let Asked { policy, target, action, episode, .. } = asked;
            self.world.done.push(Done { policy, target, action, episode, from: now, to: None, way, taken });
            tally.overruns += verdict::overrun(&self.plan, &self.world, now) as u64;
            self.open.push((intent, self.world.done.len() - 1, asked));
        }
    }
}

const fn sets_count(action: usize) -> bool {
    action == 0 || action == 3
}

fn policy(at: usize) -> PolicyName {
    POLICIES[at].parse().expect("a name")
}

fn ada() -> Person {
    Person { who: "ada".into(), why: "drawn".into() }
}

fn task(number: u32) -> String {
    format!("{number:032x}")
}

fn instance(number: u32) -> String {
    format!("i-{number:017x}")
}

/// The first ones are healthy, so this is one that is, or the first that is not; where all are healthy, one that is not
/// there.
fn one(asked: &Asked) -> u32 {
    if asked.healthy_one { 0 } else { asked.seen.healthy }
}

fn proposal(asked: &Asked) -> Proposal {
    let parameters = match asked.action {
        0 | 3 => format!(r#"{{"desired":{}}}"#, asked.number),
        2 => format!(r#"{{"task":"{}"}}"#, task(one(asked))),
        4 => format!(r#"{{"instance":"{}"}}"#, instance(one(asked))),
        5 => format!(r#"{{"min-healthy-percent":{}}}"#, asked.number),
        _ => "{}".into(),
    };
    let expects = if sets_count(asked.action) { format!(r#"{{"desired":{}}}"#, asked.expects) } else { "{}".into() };
    Proposal {
        action: ACTIONS[asked.action].into(),
        target: TARGETS[asked.target].arn.into(),
        parameters: Json::parse(&parameters).expect("JSON"),
        expects: Json::parse(&expects).expect("JSON"),
        verify_within: None,
        undo: false,
        reason: "drawn".into(),
    }
}

fn reading(asked: &Asked) -> Reading {
    found(asked.target, asked.seen, asked.action == 2)
}

/// What is left once a count was set.
fn steady(target: usize, desired: u32) -> Reading {
    found(target, Seen { desired, running: desired, pending: 0, keeps: Some(100), healthy: desired }, false)
}

fn found(target: usize, seen: Seen, with_tasks: bool) -> Reading {
    let Seen { desired, running, pending, keeps, healthy } = seen;
    if TARGETS[target].cluster.is_none() {
        let instance = |number: u32| asg::Instance {
            id: instance(number),
            lifecycle_state: if number < running { "InService" } else { "Pending" }.into(),
            health_status: if number < healthy { "Healthy" } else { "Unhealthy" }.into(),
            protected: false,
        };
        let group = asg::Group {
            status: String::new(),
            desired,
            min: 1,
            max: 12,
            instances: (0..running + pending).map(instance).collect(),
            refreshes: vec![],
            suspended: vec![],
            tags: [].into(),
        };
        return Reading::AsgGroup { group };
    }
    let deployment = ecs::Deployment {
        id: "ecs-svc/1".into(),
        status: "PRIMARY".into(),
        desired,
        running,
        pending,
        failed: 0,
        created_at: 0,
        rollout_state: "COMPLETED".into(),
    };
    let service = ecs::Service {
        status: "ACTIVE".into(),
        desired,
        running,
        pending,
        task_definition: "arn:aws:ecs:eu-central-1:123456789012:task-definition/web:7".into(),
        deployments: vec![deployment],
        min_healthy_percent: keeps,
        tags: [].into(),
    };
    let task = |number: u32| ecs::Task {
        id: task(number),
        last_status: "RUNNING".into(),
        desired_status: "RUNNING".into(),
        health: if number < healthy { "HEALTHY" } else { "UNHEALTHY" }.into(),
        created_at: 0,
        stopped_reason: String::new(),
    };
    Reading::EcsService { service, tasks: (0..if with_tasks { running } else { 0 }).map(task).collect() }
}
