//! What records of intents say of the state: from the proposal to the end.

use std::time::Duration;

use super::{State, Timer};
use crate::{
    action::{Change, Direction},
    approval::Closed,
    caps,
    digest::Digest,
    episode::{Phase, push_first_alone},
    evaluation::Trigger,
    intent::{Intent, Stage},
    ledger::Admission,
    name::{EpisodeId, IntentId, PolicyName, Seq},
    record::{
        AttemptEnded, AttemptSettled, AttemptStarted, CallResult, CheckName, IntentEnd, IntentJudged, Purpose, Settled,
        TargetLooked, UndoProposed, Verdict,
    },
    swings::Swing,
    target::Target,
};

impl State {
    pub(super) fn propose(
        &mut self,
        id: IntentId,
        episode: EpisodeId,
        policy: &PolicyName,
        plugin: Digest,
        proposal: crate::evaluation::Proposal,
        undo_of: Option<IntentId>,
    ) {
        let now = self.now;
        let Some(known) = self.episodes.get_mut(&episode) else { return };
        let status = known.status;
        let Some(concern) = known.concerns.iter_mut().find(|concern| concern.policy == *policy) else { return };
        push_first_alone(&mut concern.open, id);
        let triggered_at = if undo_of.is_some() { now } else { concern.triggered_at };
        let intent = Intent {
            id,
            episode,
            policy: policy.clone(),
            plugin,
            proposal,
            proposed_at: now,
            triggered_at,
            status,
            undo_of,
            attempts: 0,
            before: None,
            stage: Stage::Waiting { looks_failed: 0 },
        };
        self.intents.insert(id, intent);
        self.looks.insert((id, Purpose::Guard));
    }

    pub(super) fn apply_undo(&mut self, seq: Seq, undo: &UndoProposed) {
        let Some(undone) = self.intents.get(&undo.of) else { return };
        let (episode, policy, plugin) = (undone.episode, undone.policy.clone(), undone.plugin);
        let id = IntentId { proposed: seq, index: 0 };
        self.propose(id, episode, &policy, plugin, undo.proposal.clone(), Some(undo.of));
    }

    pub(super) fn apply_looked(&mut self, looked: &TargetLooked) {
        let TargetLooked { intent: id, purpose, reading, .. } = looked;
        self.looks.remove(&(*id, *purpose));
        let now = self.now;
        let Some(intent) = self.intents.get_mut(id) else { return };
        let again = match (&mut intent.stage, purpose, reading) {
            (Stage::Waiting { .. }, Purpose::Guard, Ok(reading)) => {
                intent.before = Some(Box::new(reading.clone()));
                None
            }
            (Stage::Waiting { looks_failed }, Purpose::Guard, Err(_)) => {
                *looks_failed += 1;
                let pause = Duration::from_secs(caps::LOOK_RETRY_S << (*looks_failed - 1).min(16));
                (*looks_failed < caps::LOOKS).then_some(pause)
            }
            (Stage::Unknown { looks_failed, .. }, Purpose::Trace, Err(_)) => {
                *looks_failed += 1;
                Some(Duration::from_secs(caps::LOOK_RETRY_S << (*looks_failed - 1).min(5)))
            }
            (Stage::Verifying { looks, .. }, Purpose::Verify, _) => {
                *looks += 1;
                let pause = caps::VERIFY_POLL_FIRST_MS << (*looks - 1).min(16);
                Some(Duration::from_millis(pause.min(caps::VERIFY_POLL_MOST_MS)))
            }
            _ => None,
        };
        if let Some(pause) = again {
            self.timers.insert((now + pause, Timer::Look(*id, *purpose)));
        }
    }

    pub(super) fn apply_judged(&mut self, judged: &IntentJudged) {
        let now = self.now;
        self.looks.remove(&(judged.intent, Purpose::Guard));
        match judged.verdict {
            // What follows an admission is said by the attempt.
            Verdict::Admitted => {}
            Verdict::NeedsApproval(_) => {
                if let Some(intent) = self.intents.get_mut(&judged.intent) {
                    intent.stage = Stage::Approval;
                    let (_, until) = self.configuration.approval.deadlines(now);
                    self.timers.insert((until, Timer::Approval(judged.intent)));
                }
            }
            Verdict::Refused(check) => {
                // A call that surely did nothing came before, or none at all.
                self.swing_not_made(judged.intent);
                if check == CheckName::Stop
                    && let Some(concern) = self.concern_mut(judged.episode, &judged.policy)
                {
                    concern.halted = true;
                }
                self.close(judged.intent, "refused");
            }
            Verdict::Observed => self.close(judged.intent, "observed"),
        }
    }

    pub(super) fn apply_attempt_started(&mut self, attempt: &AttemptStarted) {
        let (now, moment, held) = (self.now, self.moment(), self.held);
        let Some(intent) = self.intents.get_mut(&attempt.intent) else { return };
        let first = intent.attempts == 0;
        intent.attempts = attempt.attempt;
        intent.stage = Stage::Attempting { since: now };
        self.busy.insert(attempt.target.clone(), attempt.intent);
        if !first {
            return;
        }
        let (episode, policy) = (intent.episode, intent.policy.clone());
        let change = Change::read(&attempt.action, &attempt.parameters).ok();
        let change = change.zip(intent.before.as_deref());
        let direction = change.as_ref().map_or(Direction::Neither, |(change, before)| change.direction(before));
        let changing = change.as_ref().map_or(0, |(change, before)| change.changing(before));
        if direction != Direction::Neither {
            let swing =
                Swing { direction, at: moment, intent: attempt.intent, policy: policy.clone(), doubtful: false };
            self.swings.note(&attempt.target, swing, |at| at.age(held, now));
        }
        if let Some(concern) = self.concern_mut(episode, &policy) {
            concern.acted = true;
        }
        let (action, target) = (attempt.action.clone(), attempt.target.clone());
        let admission = Admission { intent: attempt.intent, episode, action, policy, target };
        self.ledger.admit(admission, changing, moment, |at| at.age(held, now));
    }

    pub(super) fn apply_attempt_ended(&mut self, ended: &AttemptEnded) {
        let now = self.now;
        let settle = self.configuration.timing.settle();
        let Some(intent) = self.intents.get_mut(&ended.intent) else { return };
        let Stage::Attempting { since } = intent.stage else { return };
        match &ended.result {
            CallResult::Done { .. } => self.verify(ended.intent),
            // The record that says that it is over follows.
            CallResult::Refused { .. } => {}
            CallResult::NotDone { .. } => {
                let pause = Duration::from_secs(caps::ATTEMPT_RETRY_S << (intent.attempts - 1).min(16));
                intent.stage = Stage::Waiting { looks_failed: 0 };
                self.timers.insert((now + pause, Timer::Look(ended.intent, Purpose::Guard)));
            }
            CallResult::Unknown { .. } => {
                if let Ok(target) = intent.proposal.target.parse() {
                    self.swings.doubt(&target, ended.intent);
                }
                intent.stage = Stage::Unknown { since, looks_failed: 0 };
                // Not before the call can no longer land.
                self.timers.insert(((since + settle).max(now), Timer::Look(ended.intent, Purpose::Trace)));
            }
        }
    }

    pub(super) fn verify(&mut self, id: IntentId) {
        let Some(intent) = self.intents.get_mut(&id) else { return };
        let Ok(change) = Change::read(&intent.proposal.action, &intent.proposal.parameters) else { return };
        let asked = intent
            .proposal
            .verify_within
            .map(|seconds| Duration::from_secs(u64::from(seconds).clamp(1, caps::VERIFY_WITHIN_MOST_S)));
        let deadline = self.now + asked.unwrap_or_else(|| change.verify_within());
        intent.stage = Stage::Verifying { deadline, looks: 0 };
        let first = self.now + Duration::from_millis(caps::VERIFY_POLL_FIRST_MS);
        self.timers.insert((first, Timer::Look(id, Purpose::Verify)));
    }

    pub(super) fn apply_settled(&mut self, settled: &AttemptSettled) {
        match settled.settled {
            Settled::Seen => self.verify(settled.intent),
            Settled::NotSeen => {
                if let Some(intent) = self.intents.get_mut(&settled.intent) {
                    intent.stage = Stage::Waiting { looks_failed: 0 };
                    self.looks.insert((settled.intent, Purpose::Guard));
                }
            }
            // The record that says that it is over follows.
            Settled::ForAPerson => {}
        }
    }

    pub(super) fn apply_intent_ended(&mut self, id: IntentId, how: IntentEnd) {
        let Some(intent) = self.intents.get(&id) else { return };
        let (episode, policy, undo_of) = (intent.episode, intent.policy.clone(), intent.undo_of);
        self.streaks.end(intent, how);
        match how {
            IntentEnd::Failed | IntentEnd::Expired | IntentEnd::Denied | IntentEnd::Void => self.swing_not_made(id),
            IntentEnd::Verified | IntentEnd::Unverified | IntentEnd::Unknown | IntentEnd::Undone => {}
        }
        self.close(id, &how.to_string());
        if how == IntentEnd::Verified
            && let Some(undone) = undo_of
            && let Some(concern) = self.concern_mut(episode, &policy)
            && let Some(past) = concern.past.iter_mut().find(|past| past.id == undone)
        {
            past.state = IntentEnd::Undone.to_string();
        }
        let open = self.episodes.get(&episode).is_some_and(|episode| episode.ended.is_none());
        let idle = self.concern(episode, &policy).is_some_and(|concern| concern.phase == Phase::Idle);
        match how {
            IntentEnd::Unverified if open => self.trigger(episode, &policy, Trigger::Unverified),
            // What people approved is no longer the plan: the policy looks again, at things as they are.
            IntentEnd::Void if open && idle => self.trigger(episode, &policy, Trigger::LookAgain),
            _ => {}
        }
    }

    /// What was refused or given up changed nothing, unless a call of it had no answer.
    fn swing_not_made(&mut self, id: IntentId) {
        if let Some(target) = self.intents.get(&id).and_then(|intent| intent.proposal.target.parse().ok()) {
            self.swings.take_back(&target, id);
        }
    }

    /// The intent is over: it moves into the history of its concern.
    pub(super) fn close(&mut self, id: IntentId, word: &str) {
        let Some(intent) = self.intents.remove(&id) else { return };
        self.approvals.close(id, Closed::Void);
        let moment = self.moment();
        self.ledger.end(id, moment);
        for purpose in [Purpose::Guard, Purpose::Trace, Purpose::Verify] {
            self.looks.remove(&(id, purpose));
        }
        if let Ok(target) = intent.proposal.target.parse::<Target>()
            && self.busy.get(&target) == Some(&id)
        {
            self.busy.remove(&target);
        }
        let past = intent.as_past(word);
        if let Some(concern) = self.concern_mut(intent.episode, &intent.policy) {
            concern.remember(id, past);
        }
    }
}
