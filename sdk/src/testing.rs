//! A test kit: build an alert, give answers, look at the decision. No Wasm, no host.
//!
//! ```
//! # use balm_sdk::{Decision, Input, Policy, Stop, testing::{Scene, service}};
//! # struct Nothing;
//! # impl Policy for Nothing {
//! #     type Settings = std::collections::BTreeMap<String, String>;
//! #     const SUMMARY: &'static str = "";
//! #     const ACTIONS: &'static [&'static str] = &[];
//! #     const QUERIES: &'static [&'static str] = &["ecs:service"];
//! #     fn evaluate(input: &Input<Self::Settings>) -> Result<Decision, Stop> {
//! #         let service = input.ecs_service(&input.targets[0])?;
//! #         Ok(Decision::because(format!("{} tasks are enough", service.desired)))
//! #     }
//! # }
//! let web = "arn:aws:ecs:eu-central-1:123456789012:service/prod/web";
//! let scene = Scene::firing("HighCpu").target(web);
//! assert_eq!(scene.clone().service(web, service(4)).decide::<Nothing>().explanation, "4 tasks are enough");
//! assert!(scene.failure::<Nothing>().contains("could not be read"));
//! ```

mod recorded;

use std::{
    borrow::Borrow,
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
};

use balm_catalogue::{
    Query as Kind,
    asg::{Group, GroupQuery, Instance},
    ecs::{Deployment, Service, ServiceQuery, Task, Tasks, TasksQuery},
};

pub use self::recorded::{expects, parameters};
use crate::{
    Alert, Decision, PastIntent, Policy, Target, Trigger,
    log::Level,
    wire::{self, Answer, Outcome, Query, RawInput},
};

/// The rounds and queries that a host plays.
const ROUNDS: usize = 4;
const QUERIES: usize = 16;

/// The time of a scene, unless it says otherwise: a Monday noon in 2026.
pub const NOW: u64 = 1_795_435_200_000;

thread_local! {
    static LOGGED: RefCell<Vec<(Level, String)>> = const { RefCell::new(Vec::new()) };
}

#[cfg(not(target_family = "wasm"))]
pub(crate) fn log(level: Level, message: &str) {
    LOGGED.with_borrow_mut(|logged| logged.push((level, message.into())));
}

/// What policies have logged in this test so far, oldest first. Reading empties it.
#[must_use]
pub fn logged() -> Vec<(Level, String)> {
    LOGGED.take()
}

/// An evaluation in the making.
#[derive(Clone, Debug)]
pub struct Scene {
    input: RawInput,
    readings: BTreeMap<(String, Target, String), Result<String, String>>,
}

impl Scene {
    /// An alert of this name fires.
    #[must_use]
    pub fn firing(name: &str) -> Self {
        let alert = Alert {
            source: "grafana".into(),
            org: "1".into(),
            fingerprint: "c6eadffa33fcdf37".into(),
            firing: true,
            name: name.into(),
            labels: [("alertname".to_owned(), name.to_owned())].into(),
            annotations: BTreeMap::new(),
            values: [("A".to_owned(), 95.0)].into(),
            starts_at: Some(NOW - 60_000),
            ends_at: None,
        };
        let input = RawInput {
            alert,
            policy: "policy".into(),
            targets: Vec::new(),
            settings: "{}".into(),
            answers: Vec::new(),
            trigger: Trigger::Fired,
            history: Vec::new(),
            now: NOW,
            seed: 1,
        };
        Self { input, readings: BTreeMap::new() }
    }

    /// An alert of this name has just resolved.
    #[must_use]
    pub fn resolved(name: &str) -> Self {
        let mut scene = Self::firing(name).trigger(Trigger::Resolved);
        scene.input.alert.firing = false;
        scene.input.alert.ends_at = Some(NOW);
        scene
    }

    /// Whatever else is to be different about the alert.
    #[must_use]
    pub fn alert(mut self, change: impl FnOnce(&mut Alert)) -> Self {
        change(&mut self.input.alert);
        self
    }

    /// Why the evaluation happens.
    #[must_use]
    pub fn trigger(mut self, trigger: Trigger) -> Self {
        self.input.trigger = trigger;
        self
    }

    /// What the operator set: a JSON text.
    #[must_use]
    pub fn settings(mut self, json: impl Into<String>) -> Self {
        self.input.settings = json.into();
        self
    }

    /// A target more.
    #[must_use]
    pub fn target(mut self, arn: &str) -> Self {
        self.input.targets.push(Target::new(arn));
        self
    }

    /// The time, in milliseconds since 1970.
    #[must_use]
    pub const fn now(mut self, now: u64) -> Self {
        self.input.now = now;
        self
    }

    /// An intent of the past more; the newest last.
    #[must_use]
    pub fn past(mut self, past: PastIntent) -> Self {
        self.input.history.push(past);
        self
    }

    /// What the host will answer when it is asked this.
    #[must_use]
    pub fn reading<Q: Kind>(mut self, arn: &str, query: &Q, answer: &Q::Answer) -> Self {
        let Query { kind, target, parameters } = Query::new(&Target::new(arn), query);
        let answer = serde_json::to_string(answer).unwrap_or_default();
        self.readings.insert((kind, target, parameters), Ok(answer));
        self
    }

    /// What the host will answer about a service.
    #[must_use]
    pub fn service(self, arn: &str, service: impl Borrow<Service>) -> Self {
        self.reading(arn, &ServiceQuery {}, service.borrow())
    }

    /// What the host will answer about a service's tasks.
    #[must_use]
    pub fn tasks(self, arn: &str, tasks: Vec<Task>) -> Self {
        self.reading(arn, &TasksQuery {}, &Tasks { tasks })
    }

    /// What the host will answer about a group.
    #[must_use]
    pub fn group(self, arn: &str, group: impl Borrow<Group>) -> Self {
        self.reading(arn, &GroupQuery {}, group.borrow())
    }

    /// Run the policy as the host does, with all rounds.
    ///
    /// # Errors
    ///
    /// What the host would record as the plugin's failure. A reading that the scene does not give is answered as one
    /// that could not be read.
    pub fn run<P: Policy>(mut self) -> Result<Decision, String> {
        wire::validate_settings::<P>(&self.input.settings)?;
        for _ in 0..ROUNDS {
            let queries = match wire::evaluate::<P>(self.input.clone())? {
                Outcome::Decided(decision) => return check::<P>(&self.input.targets, decision),
                Outcome::Needs(queries) => queries,
            };
            if queries.is_empty() || self.input.answers.len() + queries.len() > QUERIES {
                return Err(format!("it needs {} answers more; at most {QUERIES} are given", queries.len()));
            }
            for query in queries {
                self.read::<P>(query)?;
            }
        }
        Err(format!("it needs more than {ROUNDS} rounds"))
    }

    fn read<P: Policy>(&mut self, query: Query) -> Result<(), String> {
        if !P::QUERIES.contains(&query.kind.as_str()) {
            return Err(format!("it asks {:?}, which it does not declare in QUERIES", query.kind));
        }
        if !self.input.targets.contains(&query.target) {
            return Err(format!("it asks about {}, which is none of its targets", query.target));
        }
        let key = (query.kind.clone(), query.target.clone(), query.parameters.clone());
        let reading = self.readings.get(&key).cloned();
        let reading = reading.unwrap_or_else(|| Err("the scene gives no such reading".to_owned()));
        let at = self.input.now;
        self.input.answers.push(Answer { query, reading, at });
        Ok(())
    }

    /// The decision.
    ///
    /// # Panics
    ///
    /// If there is none; with the failure.
    #[must_use]
    pub fn decide<P: Policy>(self) -> Decision {
        self.run::<P>().unwrap_or_else(|failure| unexpected(&format!("the policy failed: {failure}")))
    }

    /// The failure.
    ///
    /// # Panics
    ///
    /// If it did not fail; with the decision.
    #[must_use]
    pub fn failure<P: Policy>(self) -> String {
        match self.run::<P>() {
            Ok(decision) => unexpected(&format!("the policy decided: {decision:?}")),
            Err(failure) => failure,
        }
    }
}

#[expect(clippy::panic, reason = "this is how a test fails")]
fn unexpected(what: &str) -> ! {
    panic!("{what}")
}

/// What the host would refuse about any decision.
fn check<P: Policy>(targets: &[Target], decision: Decision) -> Result<Decision, String> {
    for intent in &decision.intents {
        if !P::ACTIONS.contains(&intent.action.as_str()) {
            return Err(format!("it proposes {:?}, which it does not declare in ACTIONS", intent.action));
        }
        if !targets.contains(&intent.target) {
            return Err(format!("it proposes to change {}, which is none of its targets", intent.target));
        }
    }
    let distinct: BTreeSet<&Target> = decision.intents.iter().map(|intent| &intent.target).collect();
    if distinct.len() < decision.intents.len() {
        return Err("it proposes two changes of one target: the second would find it busy".into());
    }
    Ok(decision)
}

/// A steady service that runs so many tasks.
#[must_use]
pub fn service(tasks: u32) -> Service {
    let deployment = Deployment {
        id: "ecs-svc/1".into(),
        status: "PRIMARY".into(),
        desired: tasks,
        running: tasks,
        pending: 0,
        failed: 0,
        created_at: NOW - 3_600_000,
        rollout_state: "COMPLETED".into(),
    };
    Service {
        status: "ACTIVE".into(),
        desired: tasks,
        running: tasks,
        pending: 0,
        task_definition: "arn:aws:ecs:eu-central-1:123456789012:task-definition/web:7".into(),
        deployments: vec![deployment],
        min_healthy_percent: None,
        tags: BTreeMap::new(),
    }
}

/// A healthy running task.
#[must_use]
pub fn task(id: &str) -> Task {
    Task {
        id: id.into(),
        last_status: "RUNNING".into(),
        desired_status: "RUNNING".into(),
        health: "HEALTHY".into(),
        created_at: NOW - 3_600_000,
        stopped_reason: String::new(),
    }
}

/// A steady group of so many instances, [`instance`] by number, which may have up to a hundred.
#[must_use]
pub fn group(instances: u32) -> Group {
    Group {
        status: String::new(),
        desired: instances,
        min: 0,
        max: 100,
        instances: (0..instances).map(instance).collect(),
        refreshes: Vec::new(),
        suspended: Vec::new(),
        tags: BTreeMap::new(),
    }
}

/// A healthy instance in service; its id ends in the number, in hexadecimal digits.
#[must_use]
pub fn instance(number: u32) -> Instance {
    Instance {
        id: format!("i-{number:017x}"),
        lifecycle_state: "InService".into(),
        health_status: "Healthy".into(),
        protected: false,
    }
}

/// An intent of the past that set the desired number of a group from one to another, this long ago.
#[must_use]
pub fn resized(arn: &str, from: u32, to: u32, seconds_ago: u64, state: &str) -> PastIntent {
    PastIntent { action: "asg:set-desired-capacity".into(), ..scaled(arn, from, to, seconds_ago, state) }
}

/// An intent of the past that scaled a service from one number to another, this long ago.
#[must_use]
pub fn scaled(arn: &str, from: u32, to: u32, seconds_ago: u64, state: &str) -> PastIntent {
    PastIntent {
        action: "ecs:scale-service".into(),
        target: Target::new(arn),
        at: NOW - seconds_ago * 1000,
        state: state.into(),
        before: format!(r#"{{"desired":{from}}}"#),
        after: format!(r#"{{"desired":{to}}}"#),
    }
}
