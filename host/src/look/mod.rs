//! Looking: reads of AWS, for the host's own eyes and for plugins' questions.
//!
//! It owns how often AWS is asked: the same question of many evaluations within a moment is asked once. A look that
//! something may follow from is never shared. It refuses to know what is done with what it reads.

mod ecs;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use balm_core::{
    evaluation::{Answer, Query},
    json::Json,
    look::Reading,
    target::Target,
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
    /// The service alone.
    Service,
    /// The service and its tasks.
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
    service: OnceCell<Json>,
    tasks: OnceCell<Json>,
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
            Some(place) => ecs::read(&place.ecs, target, detail).await,
            None => Err(format!("account {} is not configured for {}", target.account, target.region)),
        };
        Seen { reading, at, service: OnceCell::new(), tasks: OnceCell::new() }
    }

    /// Read a target, or share what somebody read a moment ago.
    pub(crate) async fn glance(&self, target: &Target, detail: Detail) -> Arc<Seen> {
        let shared = self.share(target, detail);
        let seen = shared.reading.get_or_init(|| async { Arc::new(self.look(target, detail).await) });
        Arc::clone(seen.await)
    }

    /// The target is being changed: what was read of it before is not shared any more.
    pub(crate) fn forget(&self, target: &Target) {
        let mut all = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        for detail in [Detail::Service, Detail::Tasks] {
            all.remove(&(target.clone(), detail));
        }
    }

    fn share(&self, target: &Target, detail: Detail) -> Shared {
        let now = Instant::now();
        let fresh = |shared: &Shared| now.duration_since(shared.since) < SHARED_FOR;
        let mut all = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (target.clone(), detail);
        if let Some(shared) = all.get(&key).filter(|shared| fresh(shared)) {
            return shared.clone();
        }
        if all.len() >= SHARED_MOST {
            all.retain(|_, shared| fresh(shared));
        }
        let shared = Shared { since: now, reading: Arc::new(OnceCell::new()) };
        all.insert(key, shared.clone());
        shared
    }

    /// Answer a plugin's question about one of its targets. Kinds and targets were checked before.
    pub(crate) async fn answer(&self, query: Query) -> Answer {
        use balm_catalogue::{
            Query as _,
            ecs::{ServiceQuery, TasksQuery},
        };
        let (detail, of_tasks) = match query.kind.as_str() {
            ServiceQuery::NAME => (Detail::Service, false),
            TasksQuery::NAME => (Detail::Tasks, true),
            other => {
                let reading = Err(format!("the host has no query {other:?}"));
                return Answer { query, reading, at: clock::wall() };
            }
        };
        let target: Target = match query.target.parse() {
            Ok(target) => target,
            Err(error) => return Answer { query, reading: Err(format!("{error}")), at: clock::wall() },
        };
        let seen = self.glance(&target, detail).await;
        let reading = match &seen.reading {
            Ok(Reading::EcsService { tasks, .. }) if of_tasks => {
                let tasks = || async { Json::of(&balm_catalogue::ecs::Tasks { tasks: tasks.clone() }) };
                Ok(seen.tasks.get_or_init(tasks).await.clone())
            }
            Ok(Reading::EcsService { service, .. }) => {
                Ok(seen.service.get_or_init(|| async { Json::of(service) }).await.clone())
            }
            Err(why) => Err(why.clone()),
        };
        Answer { query, reading, at: seen.at }
    }
}
