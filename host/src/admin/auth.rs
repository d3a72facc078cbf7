//! Who asks, and whether they may: on the socket the kernel says who, over HTTP the token of a credential does.
//!
//! A handler that takes a [`Reader`] or an [`Operator`] runs only for callers who may; there is no other way to a
//! [`Caller`]. A credential that asks for what its role does not allow is recorded; somebody without a credential is
//! logged and counted, and cannot make the journal grow. It refuses to know what is asked for.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use axum::{
    extract::FromRequestParts,
    http::{StatusCode, header::AUTHORIZATION, request::Parts},
};
use balm_core::{approval::Speaker, input::Input, record::AccessDenied};

use super::{Admin, problem::Problem};
use crate::{
    config::{self, admin::MetricsFor},
    credential::{self, Credential, Need, Role},
    http::auth::after_scheme,
};

/// Records of denials that a credential may cause at once, and how often one more. A leaked token makes 8,640 records a
/// day at most; what comes faster is counted in the next one.
const DENIALS_AT_ONCE: u32 = 20;
const DENIAL_EVERY: Duration = Duration::from_secs(10);

/// How long a caller waits for the record of its denial. It is denied in any case.
const RECORD_WITHIN: Duration = Duration::from_secs(2);

/// Characters of an address in a record.
const ADDRESS_CHARS: usize = 200;

/// The credentials, and what became of requests since the host started.
#[derive(Debug)]
pub(crate) struct Doors {
    credentials: Vec<Credential>,
    metrics: MetricsFor,
    denials: Denials,
    refusals: Denials,
    answers: [AtomicU64; 5],
    strangers: AtomicU64,
}

impl Doors {
    /// As configured; otherwise nobody has a credential.
    pub(crate) fn new(configured: Option<&config::admin::Admin>) -> Self {
        Self {
            credentials: configured.map_or_else(Vec::new, |admin| admin.credentials.clone()),
            metrics: configured.map_or(MetricsFor::Viewers, |admin| admin.metrics),
            denials: Denials::default(),
            refusals: Denials::default(),
            answers: Default::default(),
            strangers: AtomicU64::new(0),
        }
    }

    pub(super) fn count(&self, status: StatusCode) {
        if let Some(count) = self.answers.get(usize::from(status.as_u16() / 100).wrapping_sub(1)) {
            count.fetch_add(1, Relaxed);
        }
    }

    /// How many answers there were, by the first digit of their status.
    pub(super) fn answers(&self) -> impl Iterator<Item = (&'static str, u64)> {
        ["1xx", "2xx", "3xx", "4xx", "5xx"].into_iter().zip(self.answers.iter().map(|count| count.load(Relaxed)))
    }

    /// What a caller said of an approval did not count, and is a record. A caller makes as many of those as of denials.
    pub(super) fn refused(&self, who: &str) {
        let _ = self.refusals.take(who, Instant::now());
    }

    /// How many requests came without a valid token.
    pub(super) fn strangers(&self) -> u64 {
        self.strangers.load(Relaxed)
    }
}

/// Who is at the other end.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    /// As records call them.
    pub(crate) who: String,
    /// The same, as it is looked up among those who may approve.
    speaker: Speaker,
    role: Role,
}

impl Caller {
    /// A user of this machine, as the kernel says. Whoever may open the socket may do everything: so may whoever can
    /// write the host's files.
    pub(super) fn local(uid: Option<u32>) -> Self {
        let who =
            uid.map_or_else(|| "an unknown user of this machine".into(), |uid| format!("user {uid} of this machine"));
        Self { who, speaker: Speaker::User(uid), role: Role::Admin }
    }

    fn holder(credential: &Credential) -> Self {
        let speaker = Speaker::Holder(credential.name.to_string());
        Self { who: format!("{} ({})", credential.name, credential.role), speaker, role: credential.role }
    }

    /// The same, as it is looked up among those who may approve.
    pub(super) fn speaker(&self) -> Speaker {
        self.speaker.clone()
    }
}

/// A caller who may read.
pub(crate) struct Reader;

/// A caller who may change what the host does now.
pub(crate) struct Operator(pub(crate) Caller);

/// A caller who may bring code to the host.
pub(crate) struct Installer(pub(crate) Caller);

/// A caller who may say something of approvals. On the socket that is whoever shows a token, or else the user: it takes a
/// name of the configuration to approve, and the right to open the socket is none.
pub(crate) struct Approver(pub(crate) Caller);

/// A caller who may read the metrics.
pub(super) struct Scraper;

impl FromRequestParts<Arc<Admin>> for Reader {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, admin: &Arc<Admin>) -> Result<Self, Problem> {
        admit(admin, parts, Need::Read).await.map(|_| Self)
    }
}

impl FromRequestParts<Arc<Admin>> for Operator {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, admin: &Arc<Admin>) -> Result<Self, Problem> {
        admit(admin, parts, Need::Operate).await.map(Self)
    }
}

impl FromRequestParts<Arc<Admin>> for Installer {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, admin: &Arc<Admin>) -> Result<Self, Problem> {
        admit(admin, parts, Need::Install).await.map(Self)
    }
}

impl FromRequestParts<Arc<Admin>> for Approver {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, admin: &Arc<Admin>) -> Result<Self, Problem> {
        let caller = admit(admin, parts, Need::Approve).await?;
        if admin.doors.refusals.are_spent(&caller.who, Instant::now()) {
            tracing::warn!(who = caller.who, "what was said of an approval is not heard: too much of it did not count");
            let detail = "too much that was said as this caller did not count: try again in some seconds";
            return Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, detail));
        }
        Ok(Self(caller))
    }
}

impl FromRequestParts<Arc<Admin>> for Scraper {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, admin: &Arc<Admin>) -> Result<Self, Problem> {
        match admin.doors.metrics {
            MetricsFor::Anyone => Ok(Self),
            MetricsFor::Viewers => admit(admin, parts, Need::Read).await.map(|_| Self),
        }
    }
}

/// The caller of a request, if it may what it asks for.
async fn admit(admin: &Admin, parts: &Parts, need: Need) -> Result<Caller, Problem> {
    // Only the socket's listener puts a caller there.
    let shows_token = need == Need::Approve && parts.headers.contains_key(AUTHORIZATION);
    let caller = match parts.extensions.get::<Caller>() {
        Some(local) if !shows_token => local.clone(),
        Some(_) | None => authenticate(admin, parts)?,
    };
    if caller.role.may(need) {
        return Ok(caller);
    }
    record(admin, &caller, parts, need).await;
    Err(Problem::new(StatusCode::FORBIDDEN, format!("{} may not do this: it needs the role {need}", caller.who)))
}

fn authenticate(admin: &Admin, parts: &Parts) -> Result<Caller, Problem> {
    let token = parts.headers.get(AUTHORIZATION).and_then(|value| after_scheme(value.as_bytes(), "bearer"));
    let holder = token.and_then(|token| credential::holder(&admin.doors.credentials, token));
    holder.map(Caller::holder).ok_or_else(|| {
        admin.doors.strangers.fetch_add(1, Relaxed);
        let shown = if token.is_some() { "a token that nobody has" } else { "no token" };
        tracing::warn!(method = %parts.method, path = parts.uri.path(), "a request to the admin API came with {shown}");
        let detail = "send the token of a credential, as Authorization: Bearer …; `balm credential` makes one";
        Problem::new(StatusCode::UNAUTHORIZED, detail)
    })
}

async fn record(admin: &Admin, caller: &Caller, parts: &Parts, need: Need) {
    let address: String = parts.uri.path().chars().take(ADDRESS_CHARS).collect();
    let what = format!("{} {address}, which needs the role {need}", parts.method);
    tracing::warn!(who = caller.who, what, "a request was denied");
    if let Some(unrecorded) = admin.doors.denials.take(&caller.who, Instant::now()) {
        let denied = AccessDenied { who: caller.who.clone(), what, unrecorded };
        let _ = tokio::time::timeout(RECORD_WITHIN, admin.inbox.ask(Input::AccessDenied(denied))).await;
    }
}

/// How many denials of each credential may still be recorded now. Holds a place for each configured credential.
#[derive(Debug, Default)]
struct Denials(Mutex<BTreeMap<String, Bucket>>);

#[derive(Debug)]
struct Bucket {
    left: u32,
    since: Instant,
    unrecorded: u64,
}

impl Denials {
    /// Whether one more may be recorded; then how many before it were not.
    fn take(&self, who: &str, now: Instant) -> Option<u64> {
        let mut buckets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let full = || Bucket { left: DENIALS_AT_ONCE, since: now, unrecorded: 0 };
        let bucket = buckets.entry(who.to_owned()).or_insert_with(full);
        bucket.fill(now);
        match bucket.left.checked_sub(1) {
            Some(left) => {
                bucket.left = left;
                Some(std::mem::take(&mut bucket.unrecorded))
            }
            None => {
                bucket.unrecorded += 1;
                None
            }
        }
    }
}

impl Denials {
    /// Whether no further one would be recorded now.
    fn are_spent(&self, who: &str, now: Instant) -> bool {
        let mut buckets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        buckets.get_mut(who).is_some_and(|bucket| {
            bucket.fill(now);
            bucket.left == 0
        })
    }
}

impl Bucket {
    fn fill(&mut self, now: Instant) {
        let more = now.duration_since(self.since).as_secs() / DENIAL_EVERY.as_secs();
        if more > 0 {
            self.left = self.left.saturating_add(u32::try_from(more).unwrap_or(u32::MAX)).min(DENIALS_AT_ONCE);
            self.since = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_count_is_heard_until_it_comes_too_fast() {
        let (refusals, start) = (Denials::default(), Instant::now());
        assert!(!refusals.are_spent("ada", start), "nothing was said yet");
        for _ in 0..DENIALS_AT_ONCE {
            assert!(!refusals.are_spent("ada", start));
            refusals.take("ada", start);
        }
        assert!(refusals.are_spent("ada", start) && !refusals.are_spent("grace", start));
        assert!(!refusals.are_spent("ada", start + DENIAL_EVERY));
    }

    #[test]
    fn denials_are_recorded_until_they_come_too_fast_and_then_counted() {
        let (denials, start) = (Denials::default(), Instant::now());
        for _ in 0..DENIALS_AT_ONCE {
            assert_eq!(denials.take("ada", start), Some(0));
        }
        for _ in 0..7 {
            assert_eq!(denials.take("ada", start + Duration::from_secs(9)), None);
        }
        assert_eq!(denials.take("grace", start), Some(0), "one credential does not use up another's");
        assert_eq!(denials.take("ada", start + DENIAL_EVERY), Some(7));
        assert_eq!(denials.take("ada", start + DENIAL_EVERY), None);
        let later = start + DENIAL_EVERY * 10_000;
        assert_eq!(denials.take("ada", later), Some(1));
        let all = (0..100).filter(|_| denials.take("ada", later).is_some()).count();
        assert_eq!(all, DENIALS_AT_ONCE as usize - 1, "a long quiet saves up no more");
    }
}
