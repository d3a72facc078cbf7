//! The ledger: what was admitted, as limits and bounds count it.
//!
//! It is part of the state and moves by records alone. It owns what is remembered and for how long; whether there is room
//! for one more is the guard's to say.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use crate::{
    caps,
    limit::{Since, Window},
    name::{EpisodeId, IntentId, PolicyName},
    target::Target,
    time::Moment,
};

/// What was admitted.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Ledger {
    /// By when it was admitted, for as long as the longest window.
    started: VecDeque<(Moment, Admission)>,
    /// By when it ended, for as long.
    ended: VecDeque<(Moment, Admission)>,
    /// What has not ended.
    under_way: BTreeMap<IntentId, UnderWay>,
    /// By episode, for as long as that is remembered.
    episodes: BTreeMap<EpisodeId, Vec<Admission>>,
}

/// One admission.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Admission {
    pub(crate) intent: IntentId,
    pub(crate) episode: EpisodeId,
    pub(crate) action: String,
    pub(crate) policy: PolicyName,
    pub(crate) target: Target,
}

/// An admission that has not ended, and how much live capacity it takes away or replaces.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct UnderWay {
    pub(crate) admission: Admission,
    pub(crate) changing: u32,
}

impl Ledger {
    /// Write down an admission. `age` tells how long ago a moment was.
    pub(crate) fn admit(&mut self, admission: Admission, changing: u32, at: Moment, age: impl Fn(Moment) -> Duration) {
        let longest = Duration::from_secs(caps::LIMIT_WINDOW_MOST_S);
        for past in [&mut self.started, &mut self.ended] {
            while past.front().is_some_and(|(oldest, _)| age(*oldest) >= longest) {
                past.pop_front();
            }
        }
        self.started.push_back((at, admission.clone()));
        self.episodes.entry(admission.episode).or_default().push(admission.clone());
        self.under_way.insert(admission.intent, UnderWay { admission, changing });
    }

    /// An intent has ended, if it was admitted at all.
    pub(crate) fn end(&mut self, intent: IntentId, at: Moment) {
        if let Some(UnderWay { admission, .. }) = self.under_way.remove(&intent) {
            self.ended.push_back((at, admission));
        }
    }

    /// An episode is remembered no longer.
    pub(crate) fn forget(&mut self, episode: EpisodeId) {
        self.episodes.remove(&episode);
    }

    /// A person accepts the time: moments are as old as they look.
    pub(crate) fn accept_clock(&mut self) {
        self.started.iter_mut().for_each(|(at, _)| at.accept());
        self.ended.iter_mut().for_each(|(at, _)| at.accept());
    }

    /// Why nothing more can be counted, if so. `age` tells how long ago a moment was.
    pub(crate) fn full(&self, episode: EpisodeId, age: impl Fn(Moment) -> Duration) -> Option<String> {
        // Older ones are forgotten by the next admission only, and one that is not within the longest window is in no one's way.
        let first = self.started.len().checked_sub(caps::ADMISSIONS).map(|place| self.started[place].0);
        if first.is_some_and(|at| age(at) < Duration::from_secs(caps::LIMIT_WINDOW_MOST_S)) {
            return Some(format!("{} admissions within a week", caps::ADMISSIONS));
        }
        let own = self.episodes.get(&episode).map_or(0, Vec::len);
        let most = caps::ADMISSIONS_PER_EPISODE;
        (own >= most).then(|| format!("{most} admissions in this episode"))
    }

    /// How many admissions that `counts` speaks of are in a window. `age` tells how long ago a moment was.
    pub(crate) fn spent(
        &self,
        window: Window,
        episode: EpisodeId,
        age: impl Fn(Moment) -> Duration,
        counts: impl Fn(&Admission) -> bool,
    ) -> usize {
        let within = |past: &VecDeque<(Moment, Admission)>, ms: u64| {
            let window = Duration::from_millis(ms);
            // The newest stand last.
            past.iter().rev().take_while(|(at, _)| age(*at) < window).filter(|(_, one)| counts(one)).count()
        };
        let under_way = || self.under_way().filter(|under_way| counts(&under_way.admission)).count();
        match window {
            Window::Time(ms, Since::Start) => within(&self.started, ms),
            Window::Time(ms, Since::End) => under_way() + within(&self.ended, ms),
            Window::Episode => {
                self.episodes.get(&episode).map_or(0, |own| own.iter().filter(|one| counts(one)).count())
            }
            Window::AtOnce => under_way(),
        }
    }

    /// What has not ended.
    pub(crate) fn under_way(&self) -> impl Iterator<Item = &UnderWay> {
        self.under_way.values()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{fixture, name::Seq, time::Timestamp};

    #[test]
    fn a_full_ledger_takes_more_once_the_longest_window_is_over() {
        let (mut ledger, held) = (Ledger::default(), Duration::ZERO);
        let moment = |ms| Moment::new(Timestamp::from_millis(ms), held);
        let admission = |nth: u64| Admission {
            intent: IntentId { proposed: Seq(nth), index: 0 },
            episode: EpisodeId(Seq(nth)),
            action: "ecs:scale-service".into(),
            policy: fixture::policy_name(),
            target: fixture::target(),
        };
        let count = u64::try_from(caps::ADMISSIONS).expect("a number");
        for nth in 0..count {
            ledger.admit(admission(nth), 0, moment(nth), |at| at.age(held, Timestamp::from_millis(nth)));
        }
        let week = Duration::from_secs(caps::LIMIT_WINDOW_MOST_S);
        let full = |after: Duration| {
            let now = Timestamp::from_millis(0) + after;
            ledger.full(EpisodeId(Seq(count)), |at| at.age(held, now)).is_some()
        };
        assert!(full(week - Duration::from_millis(1)));
        assert!(!full(week), "the first of them is over");
    }
}
