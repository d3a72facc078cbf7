//! Episodes: from an alert's first firing until it is resolved and nothing is due; the unit of deduplication.
//!
//! It owns what an alert means to an episode. Which policies an alert concerns is `matching`'s business.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    alert::{Alert, AlertKey, Held, Status},
    caps,
    evaluation::{PastIntent, Trigger},
    name::{IntentId, PolicyName, Seq},
    record::EpisodeEnd,
    target::Target,
    time::Timestamp,
};

/// An episode.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Episode {
    /// Of which alert.
    pub key: AlertKey,
    /// The record with the alert as last received.
    pub alert: Seq,
    /// Whether it is firing.
    pub status: Status,
    /// The alert's label `severity`, for rules; at most 64 bytes of it.
    pub severity: Box<str>,
    /// When it was opened, or re-opened.
    pub opened_at: Timestamp,
    /// The last sign of life.
    pub last_seen: Timestamp,
    /// When it began, by the sender's clock.
    pub starts_at: Option<Timestamp>,
    /// When it ended, by the sender's clock, where the sender said.
    pub ends_at: Option<Timestamp>,
    /// When it was resolved.
    pub resolved_at: Option<Timestamp>,
    /// The configuration by which its policies were found.
    pub matched: Seq,
    /// Since when, and how it is over, if it is.
    pub ended: Option<(Timestamp, EpisodeEnd)>,
    /// The policies that it concerns.
    pub concerns: Vec<Concern>,
}

/// A policy's part in an episode.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Concern {
    /// Which policy.
    pub policy: PolicyName,
    /// What it may look at and change in this episode.
    pub targets: Vec<Target>,
    /// Triggers so far; a later one supersedes what an earlier one set off.
    pub generation: u32,
    /// The last one.
    pub trigger: Trigger,
    /// When it happened.
    pub triggered_at: Timestamp,
    /// Whether an evaluation is due.
    pub phase: Phase,
    /// How often the evaluation failed since the last trigger.
    pub retries: u8,
    /// Its intents that have not ended.
    pub open: Vec<IntentId>,
    /// Its intents that have ended, oldest first; the newest ones.
    pub past: Vec<PastIntent>,
    /// Something was done for it since the alert last began to fire.
    pub acted: bool,
    /// How often the alert fired again after something was done for it.
    pub recurrences: u32,
    /// A stop refused what it proposed since the last trigger.
    pub halted: bool,
    /// A person was called for a conflict of it since the alert last began to fire.
    pub escalated: bool,
}

/// Whether a policy's evaluation is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Not until something happens.
    Idle,
    /// Now, or under way.
    Due,
    /// When its timer says so.
    Scheduled,
}

/// What an alert means to what is known of its identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// Nothing is known of it: it opens an episode.
    Opens,
    /// It fires again, soon enough to go on with the episode.
    Reopens,
    /// It says what is known.
    Repeats,
    /// It is over.
    Resolves,
    /// It means nothing, for this reason.
    MeansNothing(&'static str),
}

impl Episode {
    pub(crate) fn open(alert: &Alert, seq: Seq, configured: Seq, now: Timestamp) -> Self {
        Self {
            key: alert.key(),
            alert: seq,
            status: Status::Firing,
            severity: severity(alert),
            opened_at: now,
            last_seen: now,
            starts_at: alert.starts_at,
            ends_at: None,
            resolved_at: None,
            matched: configured,
            ended: None,
            concerns: Vec::new(),
        }
    }

    pub(crate) fn reopen(&mut self, alert: &Alert, seq: Seq, configured: Seq, now: Timestamp) {
        let concerns = std::mem::take(&mut self.concerns);
        *self = Self { concerns, ..Self::open(alert, seq, configured, now) };
    }

    pub(crate) fn repeat(&mut self, alert: &Alert, seq: Seq, now: Timestamp) {
        self.last_seen = now;
        match self.status {
            // One of the beginning may carry newer values.
            Status::Firing if alert.held.is_none() => self.alert = seq,
            Status::Firing => {}
            // One of the end may say that it ended later: what fired before that is still an old delivery.
            Status::Resolved => self.ends_at = self.ends_at.max(alert.ends_at),
        }
    }

    pub(crate) fn resolve(&mut self, alert: &Alert, seq: Seq, now: Timestamp) {
        self.alert = seq;
        self.status = Status::Resolved;
        self.last_seen = now;
        self.resolved_at = Some(now);
        // Our own time is no substitute: it is later by what the delivery took, and what began meanwhile would seem to
        // have been over before.
        self.ends_at = alert.ends_at;
    }

    /// Until when it lives without a sign of life, or is remembered after its end.
    #[must_use]
    pub fn remembered_until(&self) -> Timestamp {
        let since = self.ended.map_or(self.last_seen, |(at, _)| at.max(self.last_seen));
        since + Duration::from_secs(caps::EPISODE_TTL_S)
    }

    /// Whether nothing is due, scheduled or under way any more.
    #[must_use]
    pub fn is_at_rest(&self) -> bool {
        self.concerns.iter().all(|concern| concern.phase == Phase::Idle && concern.open.is_empty())
    }
}

fn severity(alert: &Alert) -> Box<str> {
    let label = alert.labels.get("severity").map_or("", String::as_str);
    label[..label.floor_char_boundary(64)].into()
}

impl Concern {
    pub(crate) fn new(policy: PolicyName) -> Self {
        Self {
            policy,
            targets: Vec::new(),
            generation: 0,
            trigger: Trigger::Fired,
            triggered_at: Timestamp::EPOCH,
            phase: Phase::Idle,
            retries: 0,
            open: Vec::new(),
            past: Vec::new(),
            acted: false,
            recurrences: 0,
            halted: false,
            escalated: false,
        }
    }

    /// The alert fires again.
    pub(crate) fn recur(&mut self) {
        self.recurrences += u32::from(self.acted);
        self.acted = false;
        self.escalated = false;
    }

    pub(crate) fn remember(&mut self, id: IntentId, past: PastIntent) {
        self.open.retain(|open| *open != id);
        if self.past.len() >= caps::HISTORY_PER_CONCERN {
            self.past.remove(0);
        }
        self.past.push(past);
    }
}

/// What an alert means to the episode that is known for its identity.
///
/// Senders repeat, deliver late and out of order: an end older than the beginning we know, or a beginning older than
/// the end we know, is a late delivery and means nothing.
pub(crate) fn arrival(known: Option<&Episode>, alert: &Alert, now: Timestamp) -> Arrival {
    match (alert.status, known) {
        (Status::Firing, None) => Arrival::Opens,
        (Status::Firing, Some(known)) => fires(known, alert, now),
        (Status::Resolved, None) => Arrival::MeansNothing("it is resolved, and no episode of it is known"),
        (Status::Resolved, Some(known)) => resolves(known, alert),
    }
}

fn fires(known: &Episode, alert: &Alert, now: Timestamp) -> Arrival {
    if known.status == Status::Firing && known.ended.is_none() {
        return Arrival::Repeats;
    }
    if alert.starts_at.is_some_and(|starts| is_over(known, starts)) {
        return Arrival::MeansNothing("it began before the end that is already known: a late delivery");
    }
    let over_since = known.ended.map_or(known.last_seen, |(at, _)| at);
    let soon = now.since(over_since) < Duration::from_secs(caps::REOPEN_WITHIN_S);
    if known.ended.is_none() || soon { Arrival::Reopens } else { Arrival::Opens }
}

/// Whether what began then is what is known to be over.
fn is_over(known: &Episode, starts: Timestamp) -> bool {
    match (known.ends_at, known.starts_at, known.status) {
        (Some(ended), _, _) => starts < ended,
        // When it ended is not known: what began no later than it did is the same.
        (None, Some(started), Status::Resolved) => starts <= started,
        (None, _, _) => false,
    }
}

fn resolves(known: &Episode, alert: &Alert) -> Arrival {
    if known.ended.is_some() {
        return Arrival::MeansNothing("it is resolved, and its episode has ended");
    }
    if known.status == Status::Resolved {
        return Arrival::Repeats;
    }
    if let (Some(ends), Some(started)) = (alert.ends_at, known.starts_at)
        && ends < started
    {
        return Arrival::MeansNothing("it ended before the beginning that is already known: a late delivery");
    }
    Arrival::Resolves
}

/// Why an alert that is held back leads to nothing, or `None` if it may still end its episode.
pub(crate) fn held_back(alert: &Alert) -> Option<String> {
    match (&alert.held, alert.status) {
        (None, _) | (Some(Held::NotWell(_) | Held::NoValues), Status::Resolved) => None,
        (Some(held), _) => Some(format!("no policy runs: {held}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::tests::firing;

    const MINUTE: u64 = 60_000;

    fn at(minutes: u64) -> Timestamp {
        Timestamp::from_millis(minutes * MINUTE)
    }

    fn alert(status: Status, starts: Option<u64>, ends: Option<u64>) -> Alert {
        Alert { status, starts_at: starts.map(at), ends_at: ends.map(at), ..firing() }
    }

    /// Fires at minute 10; `resolved` and `ended` at the given minutes.
    fn known(resolved: Option<u64>, ended: Option<u64>) -> Episode {
        let mut episode = Episode::open(&alert(Status::Firing, Some(10), None), Seq(1), Seq::ZERO, at(10));
        if let Some(minute) = resolved {
            episode.resolve(&alert(Status::Resolved, Some(10), Some(minute)), Seq(2), at(minute));
        }
        episode.ended = ended.map(|minute| (at(minute), EpisodeEnd::Resolved));
        episode
    }

    #[test]
    fn the_first_firing_opens_and_the_following_ones_repeat() {
        let again = alert(Status::Firing, Some(10), None);
        assert_eq!(arrival(None, &again, at(10)), Arrival::Opens);
        assert_eq!(arrival(Some(&known(None, None)), &again, at(300)), Arrival::Repeats);
        let moved = alert(Status::Firing, Some(11), None);
        assert_eq!(arrival(Some(&known(None, None)), &moved, at(300)), Arrival::Repeats);
    }

    #[test]
    fn it_reopens_within_half_an_hour_of_its_end_and_opens_anew_after_that() {
        let fires = |start| alert(Status::Firing, Some(start), None);
        assert_eq!(arrival(Some(&known(Some(20), None)), &fires(21), at(21)), Arrival::Reopens);
        let ended = known(Some(20), Some(20));
        assert_eq!(arrival(Some(&ended), &fires(49), at(49)), Arrival::Reopens);
        assert_eq!(arrival(Some(&ended), &fires(50), at(50)), Arrival::Opens);
    }

    #[test]
    fn a_beginning_before_the_known_end_is_a_late_delivery() {
        for episode in [known(Some(20), None), known(Some(20), Some(20))] {
            let late = alert(Status::Firing, Some(10), None);
            assert!(matches!(arrival(Some(&episode), &late, at(21)), Arrival::MeansNothing(_)));
            let new = alert(Status::Firing, Some(20), None);
            assert_eq!(arrival(Some(&episode), &new, at(21)), Arrival::Reopens);
            let unsaid = alert(Status::Firing, None, None);
            assert_eq!(arrival(Some(&episode), &unsaid, at(21)), Arrival::Reopens);
        }
    }

    #[test]
    fn after_an_end_without_a_time_only_what_began_later_is_new() {
        let mut episode = known(None, None);
        episode.resolve(&alert(Status::Resolved, Some(10), None), Seq(2), at(20));
        let fires = |start| alert(Status::Firing, Some(start), None);
        assert!(matches!(arrival(Some(&episode), &fires(9), at(21)), Arrival::MeansNothing(_)));
        assert!(matches!(arrival(Some(&episode), &fires(10), at(21)), Arrival::MeansNothing(_)));
        assert_eq!(arrival(Some(&episode), &fires(11), at(21)), Arrival::Reopens);
        episode.ended = Some((at(20), EpisodeEnd::Resolved));
        assert!(matches!(arrival(Some(&episode), &fires(10), at(21)), Arrival::MeansNothing(_)));
        assert_eq!(arrival(Some(&episode), &fires(11), at(21)), Arrival::Reopens);
    }

    #[test]
    fn what_expired_while_it_fired_is_not_over() {
        let mut episode = known(None, None);
        episode.ended = Some((at(20), EpisodeEnd::Expired));
        assert_eq!(arrival(Some(&episode), &alert(Status::Firing, Some(10), None), at(21)), Arrival::Reopens);
    }

    #[test]
    fn a_later_end_told_again_moves_the_end() {
        let mut episode = known(Some(20), Some(20));
        for (told, end) in [(Some(25), 25), (Some(22), 25), (None, 25)] {
            episode.repeat(&alert(Status::Resolved, Some(10), told), Seq(9), at(26));
            let late = alert(Status::Firing, Some(end - 1), None);
            assert!(matches!(arrival(Some(&episode), &late, at(27)), Arrival::MeansNothing(_)));
        }
    }

    #[test]
    fn an_end_before_the_known_beginning_is_a_late_delivery() {
        let end = |minute| alert(Status::Resolved, Some(1), minute);
        assert!(matches!(arrival(Some(&known(None, None)), &end(Some(9)), at(11)), Arrival::MeansNothing(_)));
        assert_eq!(arrival(Some(&known(None, None)), &end(Some(10)), at(11)), Arrival::Resolves);
        assert_eq!(arrival(Some(&known(None, None)), &end(None), at(11)), Arrival::Resolves);
    }

    #[test]
    fn an_end_without_a_beginning_means_nothing() {
        let end = alert(Status::Resolved, Some(10), Some(20));
        assert!(matches!(arrival(None, &end, at(20)), Arrival::MeansNothing(_)));
        assert!(matches!(arrival(Some(&known(Some(20), Some(20))), &end, at(21)), Arrival::MeansNothing(_)));
        assert_eq!(arrival(Some(&known(Some(20), None)), &end, at(21)), Arrival::Repeats);
    }

    #[test]
    fn what_was_not_measured_starts_nothing_but_may_end_an_episode() {
        let held = |held, status| held_back(&Alert { held, status, ..firing() }).is_some();
        for reason in [Held::Test, Held::NoData, Held::Error, Held::NoValues, Held::NotWell("Paused".into())] {
            assert!(held(Some(reason), Status::Firing));
        }
        assert!(!held(None, Status::Firing));
        assert!(!held(Some(Held::NotWell("MissingSeries".into())), Status::Resolved));
        assert!(!held(Some(Held::NoValues), Status::Resolved));
        assert!(held(Some(Held::Test), Status::Resolved));
    }
}
