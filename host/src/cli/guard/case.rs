//! A case of a table: a situation, an intent, and the verdict that a team expects.

use std::{collections::BTreeMap, time::Duration};

use balm_catalogue::{asg, ecs};
use balm_core::{
    configuration::Configuration,
    evaluation::Proposal,
    json::Json,
    look::Reading,
    name::{IntentId, PolicyName},
    record::{IntentJudged, Verdict},
    target::{Resource, Target},
    time::Timestamp,
    trial::Trial,
};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::config;

/// When a case is, if it does not say: a Wednesday at noon, UTC.
const USUALLY: u64 = 1_767_787_200_000;

/// The beginning of the world is so long before it, so that what was done before has room.
const BEFORE: Duration = Duration::from_secs(8 * 24 * 3600);

/// Tasks or instances that a look may find: the quota "Tasks per service" of Amazon ECS. Each of them is made.
const RUNNING_MOST: u32 = 5_000;

/// The table.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Table {
    #[serde(default)]
    pub(super) case: Vec<Case>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Case {
    /// What it is called where it fails.
    pub(super) name: String,
    policy: PolicyName,
    action: String,
    target: String,
    #[serde(default)]
    parameters: Map<String, Value>,
    /// What the intent expects; the desired count that the look finds, where it does not say and its action must.
    expects: Option<Map<String, Value>>,
    look: Look,
    /// In RFC 3339.
    at: Option<String>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    /// What was done before, all of it by the same guardrails.
    #[serde(default)]
    before: Vec<Before>,
    /// The verdict.
    pub(super) expect: String,
}

/// What a look finds.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Look {
    desired: u32,
    /// As many as desired, if it does not say.
    running: Option<u32>,
    #[serde(default)]
    pending: u32,
    /// Of the running ones; the one that a parameter names is among them if there are any.
    #[serde(default)]
    unhealthy: u32,
    /// The share of the desired tasks that a service keeps in a rollout, which is not known if it does not say.
    min_healthy_percent: Option<u32>,
    /// A group's own bounds.
    min: Option<u32>,
    max: Option<u32>,
    #[serde(default)]
    tags: BTreeMap<String, String>,
}

/// Something that was done before; what it does not say is as in the case.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Before {
    /// How long before, as in `10m`.
    ago: String,
    policy: Option<PolicyName>,
    action: Option<String>,
    target: Option<String>,
    parameters: Option<Map<String, Value>>,
    look: Option<Look>,
    #[serde(default)]
    ended: Ended,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Ended {
    #[default]
    Verified,
    Failed,
    UnderWay,
}

impl Case {
    /// What the guard says. Fails if the situation cannot be set up.
    pub(super) fn judge(&self, configuration: &Configuration) -> Result<IntentJudged, String> {
        let before = self.before.iter().filter_map(|done| done.look.as_ref());
        before.chain([&self.look]).try_for_each(Look::check)?;
        let at = match &self.at {
            None => Timestamp::from_millis(USUALLY),
            Some(text) => {
                Timestamp::parse_rfc3339(text).ok_or_else(|| format!("at is {text:?}, which is no time in RFC 3339"))?
            }
        };
        let mut trial = Trial::new(configuration.clone(), at.before(BEFORE))?;
        let mut before = Vec::new();
        for done in &self.before {
            let ago = config::parse_duration(&done.ago).filter(|ago| *ago < BEFORE);
            before.push((
                ago.ok_or_else(|| format!("ago is {:?}; it must be a time as in \"10m\", up to 7d", done.ago))?,
                done,
            ));
        }
        before.sort_by_key(|(ago, _)| std::cmp::Reverse(*ago));
        for (ago, done) in before {
            trial.wait(at.before(ago).since(trial.now()));
            self.set_up(&mut trial, done).map_err(|why| format!("what was done {} before: {why}", done.ago))?;
        }
        trial.wait(at.since(trial.now()));
        let wanted = Wanted {
            policy: &self.policy,
            action: &self.action,
            target: &self.target,
            parameters: &self.parameters,
            expects: self.expects.as_ref(),
            look: &self.look,
        };
        wanted.ask(&mut trial, &self.labels).map(|(_, judged)| judged)
    }

    fn set_up(&self, trial: &mut Trial, done: &Before) -> Result<(), String> {
        let wanted = Wanted {
            policy: done.policy.as_ref().unwrap_or(&self.policy),
            action: done.action.as_ref().unwrap_or(&self.action),
            target: done.target.as_ref().unwrap_or(&self.target),
            parameters: done.parameters.as_ref().unwrap_or(&self.parameters),
            expects: None,
            look: done.look.as_ref().unwrap_or(&self.look),
        };
        let (intent, judged) = wanted.ask(trial, &self.labels)?;
        if judged.verdict != Verdict::Admitted {
            return Err(format!("it would not have been admitted: {}", judged.verdict));
        }
        match done.ended {
            Ended::Verified => trial.verify(intent),
            Ended::Failed => trial.fail(intent),
            Ended::UnderWay => Ok(()),
        }
    }
}

/// An intent in its situation.
struct Wanted<'a> {
    policy: &'a PolicyName,
    action: &'a str,
    target: &'a str,
    parameters: &'a Map<String, Value>,
    expects: Option<&'a Map<String, Value>>,
    look: &'a Look,
}

impl Wanted<'_> {
    fn ask(&self, trial: &mut Trial, labels: &BTreeMap<String, String>) -> Result<(IntentId, IntentJudged), String> {
        let expects = self.expects.map_or_else(|| json!({ "desired": self.look.desired }), |expects| json!(expects));
        let proposal = Proposal {
            action: self.action.into(),
            target: self.target.into(),
            parameters: Json::of(self.parameters),
            expects: Json::of(&expects),
            verify_within: None,
            undo: false,
            reason: "a case of a table".into(),
        };
        let episode = trial.fire(self.policy, self.target, labels.clone())?;
        let intent = trial.propose(episode, self.policy, proposal)?;
        let judged = trial.judge(intent, self.reading())?;
        Ok((intent, judged))
    }

    fn reading(&self) -> Reading {
        let target = self.target.parse::<Target>().map(|target| target.resource);
        let named = |name: &str| self.parameters.get(name).and_then(Value::as_str);
        match target {
            Ok(Resource::AsgGroup { .. }) => Reading::AsgGroup { group: self.look.group(named("instance")) },
            Ok(Resource::EcsService { .. }) | Err(_) => self.look.service(named("task")),
        }
    }
}

impl Look {
    fn check(&self) -> Result<(), String> {
        let Self { desired, running, pending, unhealthy, .. } = self;
        let counts = [
            ("desired", Some(*desired)),
            ("running", *running),
            ("pending", Some(*pending)),
            ("unhealthy", Some(*unhealthy)),
        ];
        let over = counts.into_iter().find_map(|(name, count)| Some((name, count.filter(|n| *n > RUNNING_MOST)?)));
        over.map_or(Ok(()), |(name, count)| {
            Err(format!("its look has {name} = {count}; a table goes up to {RUNNING_MOST} tasks or instances"))
        })
    }

    /// The names of what runs, each with whether it is healthy.
    fn running(&self, named: Option<&str>, other: impl Fn(u32) -> String) -> Vec<(String, bool)> {
        let running = self.running.unwrap_or(self.desired);
        // The unhealthy ones first, so that the one that is named is one of them if there are any.
        let is_healthy = |number: u32| number >= self.unhealthy;
        (0..running)
            .map(|number| {
                let name = named.filter(|_| number == 0).map_or_else(|| other(number), str::to_owned);
                (name, is_healthy(number))
            })
            .collect()
    }

    fn service(&self, task: Option<&str>) -> Reading {
        let all = self.running(task, |number| format!("{number:032x}"));
        let running = u32::try_from(all.len()).unwrap_or(u32::MAX);
        let tasks = all.into_iter().map(|(id, healthy)| ecs::Task {
            id,
            last_status: "RUNNING".into(),
            desired_status: "RUNNING".into(),
            health: if healthy { "HEALTHY" } else { "UNHEALTHY" }.into(),
            created_at: 0,
            stopped_reason: String::new(),
        });
        let service = ecs::Service {
            status: "ACTIVE".into(),
            desired: self.desired,
            running,
            pending: self.pending,
            task_definition: String::new(),
            deployments: vec![],
            min_healthy_percent: self.min_healthy_percent,
            tags: self.tags.clone(),
        };
        Reading::EcsService { service, tasks: tasks.collect() }
    }

    fn group(&self, instance: Option<&str>) -> asg::Group {
        let all = self.running(instance, |number| format!("i-{number:017x}"));
        let one = |id, state: &str, healthy| asg::Instance {
            id,
            lifecycle_state: state.into(),
            health_status: if healthy { "Healthy" } else { "Unhealthy" }.into(),
            protected: false,
        };
        let running = all.into_iter().map(|(id, healthy)| one(id, "InService", healthy));
        let pending = (0..self.pending).map(|number| one(format!("i-f{number:016x}"), "Pending", true));
        asg::Group {
            status: String::new(),
            desired: self.desired,
            min: self.min.unwrap_or(0),
            max: self.max.unwrap_or(u32::MAX),
            instances: running.chain(pending).collect(),
            refreshes: vec![],
            suspended: vec![],
            tags: self.tags.clone(),
        }
    }
}
