//! What must hold in a simulation, recounted from what the host wrote down and from the cloud: the guard is asked nothing.
//!
//! No change leaves too few healthy; no limit is overrun; no target is turned around again and again. That every episode ends
//! is seen at the end, in the state.

use std::collections::{BTreeMap, BTreeSet};

use balm_catalogue::ecs;
use balm_core::{
    action::{Change, asg as asg_action, ecs as ecs_action},
    configuration::Guardrails,
    limit::{Limit, Scope, Since, Window},
    look::{Counts, Reading},
    name::{EpisodeId, IntentId, PolicyName},
    record::{Fact, Purpose, Record},
    target::Target,
};

use super::Terms;

/// Turns are counted within so long.
const HOUR_MS: u64 = 3_600_000;

/// An intent that was let through.
struct Admission {
    intent: IntentId,
    episode: EpisodeId,
    policy: PolicyName,
    action: String,
    target: Target,
    at: u64,
    ended: Option<u64>,
    /// The count that it sets, and the one that was looked at before.
    sets: Option<(u32, u32)>,
}

pub(super) struct Judge {
    guardrails: Guardrails,
    terms: Terms,
    policies: BTreeMap<IntentId, PolicyName>,
    /// What the guard was shown, and when.
    looks: BTreeMap<IntentId, (u64, u32)>,
    /// Intents that take another back, which is no turn of a policy's own.
    undos: BTreeSet<IntentId>,
    admissions: Vec<Admission>,
    violations: Vec<String>,
}

impl Judge {
    pub(super) fn new(guardrails: &Guardrails, terms: Terms) -> Self {
        Self {
            guardrails: guardrails.clone(),
            terms,
            policies: BTreeMap::new(),
            looks: BTreeMap::new(),
            undos: BTreeSet::new(),
            admissions: Vec::new(),
            violations: Vec::new(),
        }
    }

    /// The host wrote something down.
    pub(super) fn note(&mut self, record: &Record) {
        let at = record.at.as_millis();
        match &record.fact {
            Fact::TargetLooked(looked) if looked.purpose == Purpose::Guard => {
                if let Ok(reading) = &looked.reading {
                    self.looks.insert(looked.intent, (at, reading.counts().desired));
                }
            }
            Fact::UndoProposed(_) => {
                self.undos.insert(IntentId { proposed: record.seq, index: 0 });
            }
            Fact::IntentJudged(judged) => {
                self.policies.insert(judged.intent, judged.policy.clone());
            }
            Fact::AttemptStarted(attempt) if attempt.attempt == 1 => {
                let Some(policy) = self.policies.get(&attempt.intent).cloned() else { return };
                let to = Change::read(&attempt.action, &attempt.parameters).ok().and_then(|it| it.sets_desired());
                let from = self.looks.get(&attempt.intent).map(|(_, desired)| *desired);
                self.admissions.push(Admission {
                    intent: attempt.intent,
                    episode: attempt.episode,
                    policy,
                    action: attempt.action.clone(),
                    target: attempt.target.clone(),
                    at,
                    ended: None,
                    sets: from.zip(to).filter(|_| !self.undos.contains(&attempt.intent)),
                });
            }
            Fact::IntentEnded(ended) => self.ends(ended.intent, at),
            _ => {}
        }
    }

    fn ends(&mut self, intent: IntentId, at: u64) {
        let admission = self.admissions.iter_mut().rev().find(|admission| admission.intent == intent);
        if let Some(admission) = admission {
            admission.ended.get_or_insert(at);
        }
    }

    /// A change is applied, or will be, to a target that was so before. What somebody else changed since the guard looked is
    /// not the guard's.
    pub(super) fn changes(
        &mut self,
        intent: IntentId,
        target: &Target,
        (change, before): (&Change, &Reading),
        disturbed: Option<u64>,
    ) {
        let looked = self.looks.get(&intent).map_or(0, |(at, _)| *at);
        if disturbed.is_some_and(|at| at >= looked) {
            return;
        }
        let Some(policy) = self.policies.get(&intent) else { return };
        let bounds = &self.guardrails.bounds;
        let covering = || bounds.iter().filter(|bound| bound.only.covers(change.action(), policy, target));
        let (action, most) = (change.action(), covering().map(|bound| bound.minimum.unwrap_or(1)).max().unwrap_or(1));
        if let Some(to) = change.sets_desired().filter(|to| *to < most) {
            let said = format!("minimum: {action} of intent {intent} sets {to} for {target}, fewer than {most}");
            self.violations.push(said);
        }
        let Some(left) = left_healthy(change, before) else { return };
        let bound = covering().filter_map(|bound| bound.healthy_minimum).max().unwrap_or(0);
        let least = bound.max(self.terms.healthy_least);
        if left < least {
            self.violations.push(format!(
                "minimum healthy: {action} of intent {intent} leaves {left} healthy on {target}, fewer than {least}"
            ));
        }
    }

    /// What did not hold.
    pub(super) fn recount(self) -> Vec<String> {
        let mut violations = self.violations;
        for limit in &self.guardrails.limits {
            let overrun = (0..self.admissions.len()).find_map(|last| overrun(limit, &self.admissions[..=last]));
            violations.extend(overrun);
        }
        violations.extend(turns(&self.admissions, self.terms.reversals_most));
        violations
    }
}

/// Whether the last of some admissions was one too many.
fn overrun(limit: &Limit, admissions: &[Admission]) -> Option<String> {
    let (last, before) = admissions.split_last()?;
    let covers = |it: &Admission| limit.only.covers(&it.action, &it.policy, &it.target);
    if !covers(last) {
        return None;
    }
    let counts =
        |other: &&Admission| covers(other) && shares(limit.scope, last, other) && is_within(limit, last, other);
    let spent = before.iter().filter(counts).count() + 1;
    let Limit { scope, count, window, .. } = limit;
    (spent > *count as usize)
        .then(|| format!("limits: intent {} is the {spent}th of {count} {window} for {scope}", last.intent))
}

fn shares(scope: Scope, one: &Admission, other: &Admission) -> bool {
    match scope {
        Scope::Everything => true,
        Scope::Account => one.target.account == other.target.account,
        Scope::Service => one.target.resource.is_called_as(&other.target.resource),
        Scope::Policy => one.policy == other.policy,
        Scope::Target => one.target == other.target,
    }
}

fn is_within(limit: &Limit, last: &Admission, other: &Admission) -> bool {
    let ended = other.ended.filter(|ended| *ended <= last.at);
    match limit.window {
        Window::Time(ms, Since::Start) => last.at - other.at < ms,
        Window::Time(ms, Since::End) => ended.is_none_or(|ended| last.at - ended < ms),
        Window::Episode => last.episode == other.episode,
        Window::AtOnce => ended.is_none(),
    }
}

/// Targets that were set up and down and up again too often within an hour.
fn turns(admissions: &[Admission], most: u32) -> Vec<String> {
    let mut by_target: BTreeMap<&Target, Vec<(u64, bool)>> = BTreeMap::new();
    for admission in admissions {
        if let Some((from, to)) = admission.sets.filter(|(from, to)| from != to) {
            by_target.entry(&admission.target).or_default().push((admission.at, to > from));
        }
    }
    let too_often = |(target, moves): (&Target, Vec<(u64, bool)>)| {
        let turned = moves.windows(2).filter(|pair| pair[0].1 != pair[1].1).map(|pair| pair[1].0);
        let turned: Vec<u64> = turned.collect();
        let within = |last: &u64| turned.iter().filter(|at| *at <= last && last - **at < HOUR_MS).count();
        let worst = turned.iter().map(within).max().unwrap_or(0);
        (worst > most as usize).then(|| format!("oscillation: {target} was turned around {worst} times within an hour"))
    };
    by_target.into_iter().filter_map(too_often).collect()
}

/// How many stay healthy at worst while a change takes effect; none for a change that takes nothing away.
fn left_healthy(change: &Change, before: &Reading) -> Option<u32> {
    let healthy = healthy(before);
    let Counts { desired, running, pending } = before.counts();
    if let Some(to) = change.sets_desired() {
        // Of all that is there or has yet to come, those may be kept that do not serve.
        let idle = (running + pending).max(desired).saturating_sub(healthy);
        return (to < desired).then(|| to.saturating_sub(idle));
    }
    let taken = match (change, before) {
        (Change::Ecs(ecs_action::Change::StopTask(stop)), Reading::EcsService { tasks, .. }) => {
            u32::from(tasks.iter().any(|task| task.id == stop.task && is_healthy(task)))
        }
        (Change::Asg(asg_action::Change::TerminateInstance(terminate)), Reading::AsgGroup { group }) => {
            u32::from(group.in_service().any(|one| one.id == terminate.instance && one.is_healthy()))
        }
        (Change::Ecs(ecs_action::Change::RedeployService(_)), Reading::EcsService { service, .. }) => {
            let share = service.min_healthy_percent.unwrap_or(0);
            let kept = (0..desired).find(|kept| kept * 100 >= desired * share).unwrap_or(desired);
            desired.min(running).saturating_sub(kept)
        }
        _ => 0,
    };
    // Those that are more than shall be go anyway.
    (taken > 0).then(|| healthy.saturating_sub(taken + running.saturating_sub(desired)))
}

fn healthy(reading: &Reading) -> u32 {
    match reading {
        Reading::EcsService { tasks, .. } => {
            u32::try_from(tasks.iter().filter(|task| is_healthy(task)).count()).unwrap_or(u32::MAX)
        }
        Reading::AsgGroup { group } => group.healthy(),
    }
}

fn is_healthy(task: &ecs::Task) -> bool {
    task.last_status == "RUNNING" && task.health != "UNHEALTHY"
}

#[cfg(test)]
mod tests {
    use balm_core::{configuration::Filter, json::Json, name::Seq};

    use super::*;

    fn admission(number: u64, at: u64, (from, to): (u32, u32)) -> Admission {
        Admission {
            intent: IntentId { proposed: Seq(number), index: 0 },
            episode: EpisodeId(Seq(1)),
            policy: "web-cpu".parse().expect("a name"),
            action: "ecs:scale-service".into(),
            target: "arn:aws:ecs:eu-central-1:123456789012:service/prod/web".parse().expect("a target"),
            at,
            ended: Some(at + 10),
            sets: Some((from, to)),
        }
    }

    fn is_overrun(count: u32, window: Window, at: &[u64]) -> bool {
        let limit = Limit { scope: Scope::Target, only: Filter::default(), count, window };
        let admissions: Vec<Admission> = (1..).zip(at).map(|(number, at)| admission(number, *at, (4, 6))).collect();
        overrun(&limit, &admissions).is_some()
    }

    #[test]
    fn what_is_left_of_a_scale_in_is_counted_from_all_that_is_there() {
        let service = |desired, running, pending| ecs::Service {
            status: "ACTIVE".into(),
            desired,
            running,
            pending,
            task_definition: String::new(),
            deployments: vec![],
            min_healthy_percent: Some(100),
            tags: BTreeMap::new(),
        };
        let task = |number: u32| ecs::Task {
            id: format!("{number:032x}"),
            last_status: "RUNNING".into(),
            desired_status: "RUNNING".into(),
            health: "HEALTHY".into(),
            created_at: 0,
            stopped_reason: String::new(),
        };
        let left = |desired, running, pending, to: u32| {
            let tasks = (0..running).map(task).collect();
            let before = Reading::EcsService { service: service(desired, running, pending), tasks };
            let parameters = Json::parse(&format!(r#"{{"desired":{to}}}"#)).expect("JSON");
            left_healthy(&Change::read("ecs:scale-service", &parameters).expect("an action"), &before)
        };
        assert_eq!([left(4, 4, 0, 2), left(4, 8, 0, 2), left(4, 3, 1, 2)], [Some(2), Some(2), Some(1)]);
        assert_eq!([left(4, 8, 0, 4), left(4, 4, 0, 6)], [None, None]);
    }

    #[test]
    fn one_more_than_a_limits_count_within_its_window_is_an_overrun() {
        let hour = Window::of_ms(1_000);
        assert!(!is_overrun(2, hour, &[0, 999]) && is_overrun(2, hour, &[0, 998, 999]));
        assert!(!is_overrun(2, hour, &[0, 999, 1_000]), "the first has left the window");
        let after_the_end = Window::Time(1_000, Since::End);
        assert!(is_overrun(1, after_the_end, &[0, 1_009]) && !is_overrun(1, after_the_end, &[0, 1_010]));
        assert!(is_overrun(1, Window::AtOnce, &[0, 9]) && !is_overrun(1, Window::AtOnce, &[0, 10]));
        assert!(is_overrun(1, Window::Episode, &[0, 1_000_000]));
    }

    #[test]
    fn a_target_that_is_turned_around_more_often_than_it_may_within_an_hour_oscillates() {
        let swings = |last: u64| {
            let moves = [(0, (4, 6)), (1_000, (6, 4)), (2_000, (4, 6)), (last, (6, 4))];
            let admissions: Vec<Admission> =
                (1..).zip(moves).map(|(number, (at, sets))| admission(number, at, sets)).collect();
            turns(&admissions, 2).len()
        };
        assert_eq!((swings(HOUR_MS), swings(HOUR_MS + 1_000)), (1, 0));
        let out: Vec<Admission> = (1..9).map(|number| admission(number, number, (4, 6))).collect();
        assert!(turns(&out, 0).is_empty(), "more of the same is no turn");
    }
}
