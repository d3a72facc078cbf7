//! What records of releases say of the state.

use std::time::Duration;

use super::State;
use crate::{
    alert::Status,
    caps,
    evaluation::Trigger,
    name::{EpisodeId, PolicyName},
    record::{Backlog, ReleaseAsked, StopCause, StopReleased},
};

impl State {
    pub(super) fn apply_release_asked(&mut self, asked: &ReleaseAsked) {
        let (now, waits) = (self.now, Duration::from_secs(caps::RELEASE_WAITS_S));
        let releases = self.releases.entry(asked.stop).or_default();
        releases.retain(|_, at| now.since(*at) < waits);
        releases.insert(asked.by.who.clone(), now);
    }

    pub(super) fn apply_stop_released(&mut self, released: &StopReleased) {
        self.releases.remove(&released.stop);
        let Some(stop) = self.stops.remove(&released.stop) else { return };
        match stop.cause {
            StopCause::Breaker => self.streaks.forgive(&stop.scope),
            StopCause::Storm => self.alerting.forget(),
            StopCause::Person | StopCause::Quarantine => {}
        }
        if released.backlog == Backlog::Drop {
            return;
        }
        let refused =
            self.episodes.iter().filter(|(_, episode)| episode.ended.is_none() && episode.status == Status::Firing);
        let refused: Vec<(EpisodeId, PolicyName)> = refused
            .flat_map(|(id, episode)| {
                let halted = episode.concerns.iter().filter(|concern| concern.halted);
                halted.map(|concern| (*id, concern.policy.clone()))
            })
            .collect();
        for (episode, policy) in refused {
            self.trigger(episode, &policy, Trigger::LookAgain);
        }
    }
}
