//! What becomes due, and what an episode's age does.

use std::time::Duration;

use super::{State, Timer};
use crate::{
    caps,
    episode::Phase,
    evaluation::Trigger,
    intent::{Intent, Stage},
    name::{EpisodeId, PolicyName, Seq},
    record::Purpose,
};

impl State {
    /// The time of a stop has come, unless only by a clock that was set ahead.
    pub(super) fn rouse_stop(&mut self, seq: Seq) {
        let Some(until) = self.stops.get(&seq).and_then(|stop| stop.until) else { return };
        if until > self.steady(self.now) {
            self.timers.insert((until + self.held, Timer::Stop(seq)));
        }
    }

    pub(super) fn apply_timers(&mut self) {
        for _ in 0..caps::TIMERS_PER_BATCH {
            let Some((at, _)) = self.timers.first() else { break };
            if *at > self.now {
                break;
            }
            let (_, timer) = self.timers.pop_first().expect("there is a first timer");
            match timer {
                Timer::Evaluate(episode, policy, generation) => self.rouse(episode, &policy, generation),
                Timer::Look(intent, purpose) => {
                    // A person may have withdrawn their yes before a look was tried again.
                    let waits = |intent: &Intent| purpose == Purpose::Guard && intent.stage == Stage::Approval;
                    if self.intents.get(&intent).is_some_and(|intent| !waits(intent)) {
                        self.looks.insert((intent, purpose));
                    }
                }
                // The records that say what follows are in the same batch.
                Timer::Approval(_) => {}
                Timer::Stop(seq) => self.rouse_stop(seq),
                // That the time has come is enough.
                Timer::Tell(_) => {}
                Timer::Episode(episode) => self.age_episode(episode),
            }
        }
    }

    /// A scheduled evaluation has become due.
    pub(super) fn rouse(&mut self, episode: EpisodeId, policy: &PolicyName, generation: u32) {
        let now = self.now;
        let Some(concern) = self.concern_mut(episode, policy) else { return };
        if concern.generation != generation || !matches!(concern.phase, Phase::Scheduled) {
            return;
        }
        if concern.retries == 0 {
            concern.trigger = Trigger::LookAgain;
            concern.triggered_at = now;
        }
        concern.phase = Phase::Due;
        self.evaluations.entry(policy.clone()).or_default().insert((episode, generation));
    }

    /// An episode may have become old enough to be forgotten; an open one that expires has a record of its own.
    pub(super) fn age_episode(&mut self, id: EpisodeId) {
        let Some(episode) = self.episodes.get(&id) else { return };
        let until = episode.remembered_until();
        if until > self.now {
            self.timers.insert((until, Timer::Episode(id)));
        } else if episode.ended.is_some() {
            if self.by_alert.get(&episode.key) == Some(&id) {
                self.by_alert.remove(&episode.key);
            }
            self.episodes.remove(&id);
            self.ledger.forget(id);
            self.alerting.forget_alert(id);
        }
    }

    pub(super) fn schedule(&mut self, episode: EpisodeId, policy: &PolicyName, after: Duration) {
        let at = self.now + after;
        let Some(concern) = self.concern_mut(episode, policy) else { return };
        concern.phase = Phase::Scheduled;
        let timer = Timer::Evaluate(episode, policy.clone(), concern.generation);
        self.timers.insert((at, timer));
    }
}
