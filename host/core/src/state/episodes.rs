//! What records of alerts, evaluations and episodes say of the state.

use std::time::Duration;

use super::{State, Timer};
use crate::{
    caps,
    episode::{Concern, Episode, Phase, push_first_alone},
    evaluation::{Capsule, Conclusion, Trigger},
    name::{EpisodeId, IntentId, PolicyName, Seq},
    record::{AlertReceived, Concerned, EpisodeEnd, EvaluationSkipped},
    target::Target,
};

impl State {
    pub(super) fn apply_alert(&mut self, seq: Seq, received: &AlertReceived) {
        use crate::record::Reception;
        let alert = &received.alert;
        match &received.reception {
            Reception::Opened { concerned, .. } => {
                let id = EpisodeId(seq);
                let episode = Episode::open(alert, seq, self.configured, self.now);
                self.timers.insert((episode.remembered_until(), Timer::Episode(id)));
                self.by_alert.insert(episode.key, id);
                self.episodes.insert(id, episode);
                self.trigger_concerned(id, concerned);
            }
            Reception::Reopened { episode: id, concerned, .. } => {
                let (now, configured) = (self.now, self.configured);
                if let Some(episode) = self.episodes.get_mut(id) {
                    episode.reopen(alert, seq, configured, now);
                    episode.concerns.iter_mut().for_each(Concern::recur);
                }
                self.trigger_concerned(*id, concerned);
            }
            Reception::Repeated { episode: id, concerned } => {
                let (now, configured) = (self.now, self.configured);
                if let Some(episode) = self.episodes.get_mut(id) {
                    episode.repeat(alert, seq, now);
                    episode.matched = configured;
                }
                self.trigger_concerned(*id, concerned);
            }
            Reception::Resolved { episode: id, held } => {
                let now = self.now;
                let Some(episode) = self.episodes.get_mut(id) else { return };
                episode.resolve(alert, seq, now);
                let policies: Vec<PolicyName> = episode.concerns.iter().map(|c| c.policy.clone()).collect();
                for policy in policies {
                    if *held {
                        self.silence(*id, &policy);
                    } else {
                        self.trigger(*id, &policy, Trigger::Resolved);
                    }
                }
            }
            Reception::Ignored { .. } => {}
        }
    }

    pub(super) fn trigger_concerned(&mut self, id: EpisodeId, concerned: &[Concerned]) {
        self.alerts(id, concerned);
        for concern in concerned {
            if self.concern(id, &concern.policy).is_none() {
                let Some(episode) = self.episodes.get_mut(&id) else { return };
                push_first_alone(&mut episode.concerns, Concern::new(concern.policy.clone()));
            }
            if let Some(known) = self.concern_mut(id, &concern.policy) {
                known.targets.clone_from(&concern.targets);
            }
            self.trigger(id, &concern.policy, Trigger::Fired);
        }
    }

    /// What a firing alert says of how much alerts at once. Only policies that may act count: what is watched alone is in no
    /// danger from us.
    fn alerts(&mut self, id: EpisodeId, concerned: &[Concerned]) {
        let (now, moment, held) = (self.now, self.moment(), self.held);
        let policies = &self.configuration.policies;
        let acts = |one: &&Concerned| policies.get(&one.policy).is_some_and(|policy| policy.mode.may_act());
        let mut acting: Vec<&Concerned> = concerned.iter().filter(acts).collect();
        // A policy with one target speaks of that one, and a policy with a list of one of them.
        acting.sort_by_key(|one| one.targets.len());
        let targets: Vec<&Target> = acting.iter().flat_map(|one| &one.targets).collect();
        let window =
            self.configuration.guardrails.storm.as_ref().map_or(caps::STORM_WINDOW_MOST_S * 1000, |it| it.window_ms);
        self.alerting.fires(id, &targets, moment, Duration::from_millis(window), |at| at.age(held, now));
    }

    /// Something happened: the policy is due now, and what was scheduled or under way for it is superseded.
    pub(super) fn trigger(&mut self, episode: EpisodeId, policy: &PolicyName, trigger: Trigger) {
        let now = self.now;
        let Some(concern) = self.concern_mut(episode, policy) else { return };
        let before = (episode, concern.generation);
        concern.generation += 1;
        concern.trigger = trigger;
        concern.triggered_at = now;
        concern.retries = 0;
        concern.halted = false;
        concern.phase = Phase::Due;
        let due = (episode, concern.generation);
        let evaluations = self.evaluations.entry(policy.clone()).or_default();
        evaluations.remove(&before);
        evaluations.insert(due);
    }

    /// Nothing is due for the policy any more, until something happens.
    pub(super) fn silence(&mut self, episode: EpisodeId, policy: &PolicyName) {
        let Some(concern) = self.concern_mut(episode, policy) else { return };
        let before = (episode, concern.generation);
        concern.generation += 1;
        concern.phase = Phase::Idle;
        self.no_longer_due(policy, before);
    }

    pub(super) fn no_longer_due(&mut self, policy: &PolicyName, due: (EpisodeId, u32)) {
        if let Some(evaluations) = self.evaluations.get_mut(policy) {
            evaluations.remove(&due);
            if evaluations.is_empty() {
                self.evaluations.remove(policy);
            }
        }
    }

    pub(super) fn apply_episode_ended(&mut self, id: EpisodeId, how: EpisodeEnd) {
        let now = self.now;
        let Some(episode) = self.episodes.get_mut(&id) else { return };
        episode.ended = Some((now, how));
        let until = episode.remembered_until();
        let policies: Vec<PolicyName> = episode.concerns.iter().map(|concern| concern.policy.clone()).collect();
        self.timers.insert((until, Timer::Episode(id)));
        for policy in policies {
            self.silence(id, &policy);
        }
    }

    pub(super) fn apply_evaluated(&mut self, seq: Seq, capsule: &Capsule) {
        let Capsule { episode, policy, generation, .. } = capsule;
        self.no_longer_due(policy, (*episode, *generation));
        if let Some(plugin) = self.plugin_of(policy).filter(|version| version.digest == capsule.plugin) {
            let plugin = plugin.plugin.clone();
            self.versions_of(&plugin).ended(&capsule.conclusion);
            if let Some(candidate) = self.candidates.get_mut(&plugin) {
                candidate.evaluated(seq);
            }
        }
        if capsule.superseded {
            return;
        }
        match &capsule.conclusion {
            Conclusion::Decided(decision) => {
                if let Some(concern) = self.concern_mut(*episode, policy) {
                    concern.retries = 0;
                    concern.phase = Phase::Idle;
                }
                for (index, proposal) in (0..).zip(&decision.intents) {
                    let id = IntentId { proposed: seq, index };
                    self.propose(id, *episode, policy, capsule.plugin, proposal.clone(), None);
                }
                if let Some(after) = decision.look_again_after {
                    let after = u64::from(after).clamp(caps::LOOK_AGAIN_LEAST_S, caps::LOOK_AGAIN_MOST_S);
                    self.schedule(*episode, policy, Duration::from_secs(after));
                }
            }
            Conclusion::Failed(_) => {
                let Some(concern) = self.concern_mut(*episode, policy) else { return };
                concern.phase = Phase::Idle;
                if concern.retries < caps::EVALUATION_RETRIES {
                    let after = caps::EVALUATION_RETRY_S << concern.retries;
                    concern.retries += 1;
                    self.schedule(*episode, policy, Duration::from_secs(after));
                }
            }
        }
    }

    pub(super) fn apply_skipped(&mut self, skipped: &EvaluationSkipped) {
        let EvaluationSkipped { episode, policy, generation, .. } = skipped;
        self.no_longer_due(policy, (*episode, *generation));
        if let Some(concern) = self.concern_mut(*episode, policy)
            && concern.generation == *generation
        {
            concern.phase = Phase::Idle;
        }
    }
}
