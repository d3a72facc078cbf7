//! Habits: what policies asked the last time, so that it can be answered before they ask it again.
//!
//! Most policies ask the same about the same targets each time, and a first round in which they only ask costs as much as
//! the one in which they decide. It refuses to know what the answers are; a capsule keeps all that a plugin was told, asked
//! for or not, so a replay knows nothing of habits.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use balm_core::{
    caps,
    digest::Digest,
    evaluation::{Answer, Query},
    name::PolicyName,
    target::Target,
};

/// Policies with their targets whose habits are known. At the cap all are forgotten, which costs each a round.
const HABITS: usize = 4096;

/// Evaluations after which a habit is learned anew, so that what a policy no longer asks is not read for ever.
const LASTS: u32 = 256;

/// Queries of a habit. What is answered beforehand counts among the queries of an evaluation, so that a replay counts alike;
/// half of them are left for what is asked besides.
const QUERIES: usize = caps::QUERIES / 2;

/// Who asks: a version of a policy, of certain targets.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Asker {
    pub(crate) policy: PolicyName,
    pub(crate) digest: Digest,
    pub(crate) targets: Vec<Target>,
}

/// What was asked by whom.
#[derive(Debug, Default)]
pub(crate) struct Habits(Mutex<HashMap<Asker, Habit>>);

#[derive(Debug)]
struct Habit {
    queries: Arc<[Query]>,
    left: u32,
}

impl Habits {
    /// What is most likely asked next, if that is known.
    pub(crate) fn of(&self, asker: &Asker) -> Option<Arc<[Query]>> {
        let mut habits = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let habit = habits.get_mut(asker)?;
        let Some(left) = habit.left.checked_sub(1) else {
            habits.remove(asker);
            return None;
        };
        habit.left = left;
        Some(Arc::clone(&habit.queries))
    }

    /// What an evaluation asked, with what it was told beforehand. Too much is no habit.
    pub(crate) fn learn(&self, asker: &Asker, answers: &[Answer]) {
        if answers.len() > QUERIES {
            return self.forget(asker);
        }
        let queries = answers.iter().map(|answer| answer.query.clone()).collect();
        let mut habits = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if habits.len() >= HABITS {
            habits.clear();
        }
        habits.insert(asker.clone(), Habit { queries, left: LASTS });
    }

    /// An evaluation failed by what it asked: the next one is told nothing beforehand.
    pub(crate) fn forget(&self, asker: &Asker) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(asker);
    }
}

#[cfg(test)]
mod tests {
    use balm_core::{json::Json, time::Timestamp};

    use super::*;

    fn asker(policy: &str, version: &[u8]) -> Asker {
        let web = "arn:aws:ecs:eu-central-1:123456789012:service/prod/web".parse().unwrap();
        Asker { policy: policy.parse().unwrap(), digest: Digest::of(&[version]), targets: vec![web] }
    }

    fn answers(count: usize) -> Vec<Answer> {
        let query =
            |i: usize| Query { kind: format!("kind-{i}"), target: String::new(), parameters: Json::empty_object() };
        let answer = |i| Answer { query: query(i), reading: Err("away".into()), at: Timestamp::from_millis(1) };
        (0..count).map(answer).collect()
    }

    #[test]
    fn what_a_version_of_a_policy_asked_of_its_targets_is_known_of_it_alone() {
        let (habits, one) = (Habits::default(), asker("one", b"1"));
        assert!(habits.of(&one).is_none());
        habits.learn(&one, &answers(2));
        let known: Vec<String> = habits.of(&one).unwrap().iter().map(|query| query.kind.clone()).collect();
        assert_eq!(known, ["kind-0", "kind-1"]);
        let elsewhere = Asker { targets: vec![], ..one.clone() };
        for other in [asker("two", b"1"), asker("one", b"2"), elsewhere] {
            assert!(habits.of(&other).is_none(), "{other:?}");
        }
        habits.forget(&one);
        assert!(habits.of(&one).is_none());
    }

    #[test]
    fn half_of_the_queries_are_left_for_what_is_asked_besides() {
        let (habits, one) = (Habits::default(), asker("one", b"1"));
        habits.learn(&one, &answers(QUERIES));
        assert_eq!(habits.of(&one).unwrap().len(), QUERIES);
        habits.learn(&one, &answers(QUERIES + 1));
        assert!(habits.of(&one).is_none(), "what was known before is no longer so either");
    }

    #[test]
    fn a_habit_is_learned_anew_from_time_to_time() {
        let (habits, one) = (Habits::default(), asker("one", b"1"));
        habits.learn(&one, &answers(1));
        assert!((0..LASTS).all(|_| habits.of(&one).is_some()));
        assert!(habits.of(&one).is_none());
    }

    #[test]
    fn habits_beyond_the_cap_are_forgotten() {
        let habits = Habits::default();
        for i in 0..HABITS {
            habits.learn(&asker("one", &i.to_be_bytes()), &answers(1));
        }
        assert!(habits.of(&asker("one", &0_usize.to_be_bytes())).is_some());
        habits.learn(&asker("one", b"more"), &answers(1));
        assert!(habits.of(&asker("one", &0_usize.to_be_bytes())).is_none());
        assert!(habits.of(&asker("one", b"more")).is_some());
    }
}
