//! Looking: reads of AWS, for the host's own eyes and for plugins' questions.
//!
//! It owns how often AWS is asked: the same question of many evaluations within a moment is asked once. A look that
//! something may follow from is never shared. It refuses to know what is done with what it reads.

mod asg;
mod ecs;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::{Duration, Instant},
};

use aws_smithy_types::DateTime;
use balm_core::{
    evaluation::{Answer, Query},
    json::Json,
    look::Reading,
    target::{Resource, Target},
    time::Timestamp,
};
use tokio::sync::OnceCell;

use crate::{aws::Aws, clock};

/// How long a reading is shared among those that ask for the same.
const SHARED_FOR: Duration = Duration::from_secs(1);

/// Readings that are kept to be shared.
const SHARED_MOST: usize = 4096;

/// Looks at targets.
pub(crate) struct Looker {
    aws: Arc<Aws>,
    shared: Mutex<HashMap<(Target, Detail), Shared>>,
}

/// How much of a target is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Detail {
    /// The service alone; the group, whose instances are part of it.
    Alone,
    /// The service and its tasks. Of a group the same as [`Detail::Alone`].
    Tasks,
}

#[derive(Clone)]
struct Shared {
    since: Instant,
    reading: Arc<OnceCell<Arc<Seen>>>,
}

/// What was read, and when.
pub(crate) struct Seen {
    pub(crate) reading: Result<Reading, String>,
    pub(crate) at: Timestamp,
    /// The answers that plugins get from it, made once.
    whole: OnceLock<Json>,
    tasks: OnceLock<Json>,
}

impl Looker {
    pub(crate) fn new(aws: Arc<Aws>) -> Self {
        Self { aws, shared: Mutex::new(HashMap::new()) }
    }

    /// Read a target now.
    pub(crate) async fn look(&self, target: &Target, detail: Detail) -> Seen {
        // The time before the read: it is never younger than it says.
        let at = clock::wall();
        let reading = match self.aws.place(target) {
            Some(place) => match &target.resource {
                Resource::EcsService { cluster, name } => ecs::read(&place.ecs, cluster, name, detail).await,
                Resource::AsgGroup { name } => asg::read(&place.asg, name).await,
            },
            None => Err(format!("account {} is not configured for {}", target.account, target.region)),
        };
        Seen { reading, at, whole: OnceLock::new(), tasks: OnceLock::new() }
    }

    /// Read a target, or share what somebody read a moment ago.
    pub(crate) async fn glance(&self, target: &Target, detail: Detail) -> Arc<Seen> {
        let shared = self.share(target, detail);
        let seen = shared.reading.get_or_init(|| async { Arc::new(self.look(target, detail).await) });
        Arc::clone(seen.await)
    }

    /// What somebody read of a target a moment ago, if anybody did.
    pub(crate) fn glance_at_once(&self, target: &Target, detail: Detail) -> Option<Arc<Seen>> {
        let all = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        let shared = all.get(&(target.clone(), detail)).filter(|shared| shared.is_fresh(Instant::now()))?;
        shared.reading.get().cloned()
    }

    /// The target is being changed: what was read of it before is not shared any more.
    pub(crate) fn forget(&self, target: &Target) {
        let mut all = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        for detail in [Detail::Alone, Detail::Tasks] {
            all.remove(&(target.clone(), detail));
        }
    }

    fn share(&self, target: &Target, detail: Detail) -> Shared {
        let now = Instant::now();
        let mut all = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (target.clone(), detail);
        if let Some(shared) = all.get(&key).filter(|shared| shared.is_fresh(now)) {
            return shared.clone();
        }
        if all.len() >= SHARED_MOST {
            all.retain(|_, shared| shared.is_fresh(now));
        }
        let shared = Shared { since: now, reading: Arc::new(OnceCell::new()) };
        all.insert(key, shared.clone());
        shared
    }

    /// Answer a plugin's question about one of its targets. Kinds and targets were checked before.
    pub(crate) async fn answer(&self, query: Query) -> Answer {
        let (target, detail) = match question(&query) {
            Ok(question) => question,
            Err(why) => return Answer { query, reading: Err(why), at: clock::wall() },
        };
        let seen = self.glance(&target, detail).await;
        seen.answer(query, detail)
    }

    /// The same, if what is asked was read a moment ago.
    pub(crate) fn answer_at_once(&self, query: &Query) -> Option<Answer> {
        let (target, detail) = question(query).ok()?;
        Some(self.glance_at_once(&target, detail)?.answer(query.clone(), detail))
    }
}

impl Shared {
    fn is_fresh(&self, now: Instant) -> bool {
        now.duration_since(self.since) < SHARED_FOR
    }
}

impl Seen {
    fn answer(&self, query: Query, detail: Detail) -> Answer {
        let reading = match (&self.reading, detail) {
            (Ok(Reading::EcsService { tasks, .. }), Detail::Tasks) => {
                let tasks = || Json::of(&balm_catalogue::ecs::Tasks { tasks: tasks.clone() });
                Ok(self.tasks.get_or_init(tasks).clone())
            }
            (Ok(Reading::EcsService { service, .. }), Detail::Alone) => {
                Ok(self.whole.get_or_init(|| Json::of(service)).clone())
            }
            (Ok(Reading::AsgGroup { group }), _) => Ok(self.whole.get_or_init(|| Json::of(group)).clone()),
            (Err(why), _) => Err(why.clone()),
        };
        Answer { query, reading, at: self.at }
    }
}

/// What is to be read for a query; it must be one that targets of this kind are asked.
fn question(query: &Query) -> Result<(Target, Detail), String> {
    use balm_catalogue::{
        Query as _,
        asg::GroupQuery,
        ecs::{ServiceQuery, TasksQuery},
    };
    let target: Target = query.target.parse().map_err(|error| format!("{error}"))?;
    match (query.kind.as_str(), &target.resource) {
        (ServiceQuery::NAME, Resource::EcsService { .. }) => Ok((target, Detail::Alone)),
        (TasksQuery::NAME, Resource::EcsService { .. }) => Ok((target, Detail::Tasks)),
        (GroupQuery::NAME, Resource::AsgGroup { .. }) => Ok((target, Detail::Alone)),
        (kind, _) if balm_core::look::QUERIES.contains(&kind) => {
            Err(format!("{kind} cannot be asked of {target}, which is of another kind"))
        }
        (other, _) => Err(format!("the host has no query {other:?}")),
    }
}

fn count(what: &str, number: i32) -> Result<u32, String> {
    u32::try_from(number).map_err(|_| format!("AWS says that {what} is {number}"))
}

fn millis(time: Option<&DateTime>) -> u64 {
    time.and_then(|time| time.to_millis().ok()).and_then(|ms| u64::try_from(ms).ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVICE: &str = "arn:aws:ecs:eu-central-1:123456789012:service/prod/web";
    const GROUP: &str = "arn:aws:autoscaling:eu-central-1:123456789012:autoScalingGroup:*:autoScalingGroupName/fleet";

    #[test]
    fn a_target_is_only_asked_what_is_true_of_its_kind() {
        let asked = |kind: &str, target: &str| {
            let query = Query { kind: kind.into(), target: target.into(), parameters: Json::empty_object() };
            question(&query).map(|(_, detail)| detail)
        };
        assert_eq!(asked("ecs:service", SERVICE), Ok(Detail::Alone));
        assert_eq!(asked("ecs:tasks", SERVICE), Ok(Detail::Tasks));
        assert_eq!(asked("asg:group", GROUP), Ok(Detail::Alone));
        for (kind, target) in [("asg:group", SERVICE), ("ecs:service", GROUP), ("ecs:tasks", GROUP)] {
            assert!(asked(kind, target).is_err_and(|why| why.contains("of another kind")), "{kind} {target}");
        }
        assert!(asked("asg:fleet", GROUP).is_err_and(|why| why.contains("has no query")));
        assert!(asked("asg:group", "fleet").is_err());
    }
}
