//! Approvals, from the request to its end: what a person says, what time does, and what becomes of it when it is used.

use super::Batch;
use crate::{
    approval::{
        self, Plan, Request, Said, Standing,
        record::{
            ApprovalDenied, ApprovalExpired, ApprovalGiven, ApprovalRefused, ApprovalReminded, ApprovalRequested,
            ApprovalUsed, ApprovalVoid, ApprovalWithdrawn, Refusal, Saying, VoidReason,
        },
    },
    caps,
    input::Reply,
    intent::{Intent, Stage},
    name::{ApproverName, EpisodeId, IntentId},
    record::{CheckName, Fact, IntentEnd, Verdict},
};

impl Batch<'_> {
    /// A person says yes, takes it back, or says no. Whatever does not count is recorded as well.
    pub(super) fn said(&mut self, said: Said) -> Result<(), Reply> {
        let by = match approval::hear(self.state, &said, self.at) {
            Ok(by) => by,
            Err(reason) => return Err(self.refuse(said, reason)),
        };
        let Some(request) = self.state.approvals.get(said.intent) else {
            return Err(self.refuse(said, Refusal::NoRequest));
        };
        let (intent, episode, hash) = (said.intent, request.plan.episode, request.hash);
        match said.saying {
            Saying::Yes => {
                // Nobody is let approve what could no longer be used.
                let proposed = self.state.intents.get(&intent);
                if let Some(changed) = proposed.and_then(|it| approval::changed(self.state, it, request)) {
                    self.cannot_be_used(intent, &Standing::Changed(changed));
                    return Err(self.refuse(said, Refusal::Void));
                }
                let (count, needs) = (people(request.given.len()) + 1, request.needs);
                let person = said.person;
                self.add(Fact::ApprovalGiven(ApprovalGiven { intent, episode, hash, by, person, count, needs }));
            }
            Saying::Withdrawn => {
                let person = said.person;
                self.add(Fact::ApprovalWithdrawn(ApprovalWithdrawn { intent, episode, hash, by, person }));
            }
            Saying::No => {
                let why = format!("denied by {by}: {}", said.person.why);
                let person = said.person;
                self.add(Fact::ApprovalDenied(ApprovalDenied { intent, episode, hash, by, person }));
                self.end(intent, IntentEnd::Denied, why);
            }
        }
        Ok(())
    }

    fn refuse(&mut self, said: Said, reason: Refusal) -> Reply {
        let Said { intent, saying, plan, person, .. } = said;
        let plan = plan.chars().take(caps::APPROVAL_PLAN_CHARS).collect();
        self.add(Fact::ApprovalRefused(ApprovalRefused { intent, saying, plan, person, reason }));
        Reply::Refused(format!("{saying} of intent {intent} does not count: {reason}"))
    }

    /// The guard has answered for an intent that these people had approved; none if nobody had been asked.
    pub(super) fn judged(&mut self, id: IntentId, approvers: &[ApproverName], facts: Vec<Fact>) {
        let request = self.state.approvals.get(id).cloned();
        for fact in facts {
            let verdict = if let Fact::IntentJudged(judged) = &fact { Some(judged.verdict.clone()) } else { None };
            self.add_judged(fact);
            match (verdict, &request) {
                (Some(Verdict::NeedsApproval(needs)), None) => self.request(id, needs),
                (Some(Verdict::NeedsApproval(needs)), Some(request)) => {
                    let why = format!("it needs {needs} people now, and {} had to approve it", request.needs);
                    self.void(request, VoidReason::NeedsMore, why.clone());
                    self.end(id, IntentEnd::Void, why);
                }
                (Some(Verdict::Admitted), Some(request)) if !request.used => {
                    let (episode, hash) = (request.plan.episode, request.hash);
                    self.add(Fact::ApprovalUsed(ApprovalUsed { intent: id, episode, hash, by: approvers.to_vec() }));
                }
                (Some(Verdict::Refused(CheckName::Expectation)), Some(request)) => {
                    self.void(request, VoidReason::WorldChanged, format!("{} no longer holds", request.plan.expects));
                }
                (Some(Verdict::Refused(check)), Some(request)) => {
                    let reason = VoidReason::Refused(check);
                    self.void(request, reason, reason.to_string());
                }
                (Some(Verdict::Observed), Some(request)) => {
                    self.void(request, VoidReason::Observed, VoidReason::Observed.to_string());
                }
                (Some(Verdict::Admitted | Verdict::Refused(_) | Verdict::Observed) | None, _) => {}
            }
        }
    }

    fn request(&mut self, id: IntentId, needs: u32) {
        if self.state.approvals.open().count() >= caps::APPROVALS {
            let why = format!("{} intents wait for approval already, and nobody reads more", caps::APPROVALS);
            return self.end(id, IntentEnd::Failed, why);
        }
        let Some(plan) = self.state.intents.get(&id).and_then(|intent| Plan::of(self.state, intent)) else {
            return self.end(id, IntentEnd::Failed, "its plan cannot be written down".into());
        };
        let terms = &self.state.configuration.approval;
        let (reminds_at, expires_at) = terms.deadlines(self.at);
        let approvers = terms.approvers.keys().cloned().collect();
        let hash = plan.hash();
        let (episode, policy) = (plan.episode, plan.policy.clone());
        self.add(Fact::ApprovalRequested(Box::new(ApprovalRequested {
            intent: id,
            episode,
            policy,
            plan,
            hash,
            needs,
            approvers,
            reminds_at,
            expires_at,
        })));
    }

    /// A request cannot be used as it stands, and never will be.
    pub(super) fn cannot_be_used(&mut self, id: IntentId, standing: &Standing) {
        let Some(request) = self.state.approvals.get(id).cloned() else { return };
        let (reason, why) = match standing {
            Standing::Expired => return self.expire(&request),
            Standing::Changed(parts) => {
                (VoidReason::PlanChanged, format!("the plan has changed since: {}", parts.join(", ")))
            }
            Standing::Short(_) => (VoidReason::NoApprover, "somebody who approved it may approve no longer".to_owned()),
            Standing::None | Standing::Approved(_) => return,
        };
        self.void(&request, reason, why.clone());
        self.end(id, IntentEnd::Void, why);
    }

    /// The alert or its episode is over: what waits for people is as well.
    pub(super) fn void_approvals(&mut self, episode: EpisodeId, reason: VoidReason) {
        let Some(episode) = self.state.episodes.get(&episode) else { return };
        let open: Vec<IntentId> = episode.concerns.iter().flat_map(|concern| concern.open.iter().copied()).collect();
        for id in open {
            if !self.state.intents.get(&id).is_some_and(waits) {
                continue;
            }
            if let Some(request) = self.state.approvals.get(id).cloned() {
                self.void(&request, reason, reason.to_string());
            }
            self.end(id, IntentEnd::Expired, reason.to_string());
        }
    }

    /// Half of a request's time has passed, or all of it.
    pub(super) fn approval_is_due(&mut self, id: IntentId) {
        let Some(intent) = self.state.intents.get(&id) else { return };
        let waits = waits(intent);
        if !waits && !matches!(intent.stage, Stage::Waiting { .. }) {
            return;
        }
        match self.state.approvals.get(id).cloned() {
            Some(request) if self.at >= request.expires_at => self.expire(&request),
            Some(request) if waits && !request.reminded && self.at >= request.reminds_at => {
                let Request { plan, hash, needs, expires_at, .. } = &request;
                self.add(Fact::ApprovalReminded(ApprovalReminded {
                    intent: id,
                    episode: plan.episode,
                    hash: *hash,
                    needs: *needs,
                    given: names(&request),
                    expires_at: *expires_at,
                }));
            }
            // A journal from before requests were records.
            None if waits => self.end(id, IntentEnd::Expired, "nobody approved it in time".into()),
            Some(_) | None => {}
        }
    }

    fn expire(&mut self, request: &Request) {
        let (intent, episode, hash, needs) = (request.plan.intent, request.plan.episode, request.hash, request.needs);
        let given = names(request);
        let why = match (request.used, given.len()) {
            (true, _) => "its approvals expired before it could be done".to_owned(),
            (false, 0) => "nobody approved it in time".to_owned(),
            (false, given) if given >= needs as usize => {
                "it was approved, and could not be judged before that expired".to_owned()
            }
            (false, given) => format!("{given} of {needs} people approved it in time"),
        };
        self.add(Fact::ApprovalExpired(ApprovalExpired { intent, episode, hash, needs, given }));
        self.end(intent, IntentEnd::Expired, why);
    }

    fn void(&mut self, request: &Request, reason: VoidReason, why: String) {
        let (intent, episode, hash) = (request.plan.intent, request.plan.episode, request.hash);
        let given = names(request);
        self.add(Fact::ApprovalVoid(ApprovalVoid { intent, episode, hash, reason, why, given }));
    }
}

fn waits(intent: &Intent) -> bool {
    intent.stage == Stage::Approval
}

fn names(request: &Request) -> Vec<ApproverName> {
    request.given.iter().map(|given| given.by.clone()).collect()
}

/// A count of people, which is bounded by that of approvers.
pub(super) fn people(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::{
        approval::{
            Approver, Said, Speaker,
            record::{Refusal, Saying},
        },
        caps,
        configuration::Mode,
        fixture::{self, Bench},
        input::Input,
        record::{CheckName, Fact, IntentEnd, Purpose, Record, StopScope, Verdict},
    };

    fn kinds(records: &[Record]) -> Vec<&'static str> {
        records.iter().map(|record| record.fact.kind()).collect()
    }

    /// A host whose policy suggests, and on which Ada may approve.
    fn suggesting() -> Bench {
        let mut bench = Bench::new();
        bench.configure(|configuration, policy| {
            configuration.policies.get_mut(policy).expect("it").mode = Mode::Suggest;
            let ada = Approver { credential: true, uid: None };
            configuration.approval.approvers.insert("ada".parse().expect("a name"), ada);
        });
        bench
    }

    fn yes(bench: &mut Bench) -> Vec<Record> {
        let plan = bench.engine.state().approvals.get(bench.intent).expect("people were asked").hash.to_string();
        let (intent, speaker) = (bench.intent, Speaker::Holder("ada".into()));
        let said = Said { intent, saying: Saying::Yes, plan, speaker, person: fixture::person() };
        bench.take(Input::Approval(Box::new(said)))
    }

    /// Why what Ada says does not count, if it does not.
    fn refusal(bench: &mut Bench, saying: Saying, plan: String) -> Option<Refusal> {
        let (intent, speaker) = (bench.intent, Speaker::Holder("ada".into()));
        let said = Said { intent, saying, plan, speaker, person: fixture::person() };
        let taken = bench.engine.take(Input::Approval(Box::new(said)), bench.now);
        taken.records.iter().find_map(|record| match &record.fact {
            Fact::ApprovalRefused(refused) => Some(refused.reason),
            _ => None,
        })
    }

    #[test]
    fn people_are_asked_in_the_batch_of_the_verdict_and_their_yes_is_used_in_that_of_the_admission() {
        let mut bench = suggesting();
        let asked = bench.looked(Purpose::Guard, Ok(fixture::reading(4)));
        assert_eq!(kinds(&asked), ["target-looked", "intent-judged", "approval-requested"]);
        assert_eq!(kinds(&yes(&mut bench)), ["approval-given"]);
        let admitted = bench.looked(Purpose::Guard, Ok(fixture::reading(4)));
        assert_eq!(kinds(&admitted), ["target-looked", "intent-judged", "approval-used", "attempt-started"]);
        let Fact::IntentJudged(judged) = &admitted[1].fact else { panic!("{admitted:?}") };
        assert_eq!((&judged.verdict, judged.approvals), (&Verdict::Admitted, 1));
        assert!(judged.checks.iter().all(|checked| checked.passed) && judged.checks.len() == 16, "the whole guard");
    }

    #[test]
    fn people_are_told_once_more_when_half_of_the_time_has_passed() {
        let mut bench = suggesting();
        bench.judge_and_admit();
        let half = Duration::from_millis(bench.configuration().approval.expires_after_ms / 2);
        bench.wait(half - Duration::from_millis(1));
        assert_eq!(kinds(&bench.take(Input::Tick)), [""; 0]);
        bench.wait(Duration::from_millis(1));
        assert_eq!(kinds(&bench.take(Input::Tick)), ["time-passed", "approval-reminded"]);
        bench.wait(half);
        assert_eq!(kinds(&bench.take(Input::Tick)), ["time-passed", "approval-expired", "intent-ended"]);
    }

    #[test]
    fn nobody_is_told_once_more_of_what_was_approved() {
        let mut bench = suggesting();
        bench.judge_and_admit();
        yes(&mut bench);
        bench.wait(Duration::from_millis(bench.configuration().approval.expires_after_ms / 2));
        assert_eq!(kinds(&bench.take(Input::Tick)), ["time-passed"]);
    }

    #[test]
    fn what_would_need_one_approval_more_than_anybody_reads_is_not_done() {
        let mut bench = suggesting();
        for _ in 0..caps::APPROVALS {
            bench.judge_and_admit();
            bench.propose(|_| {});
        }
        let records = bench.looked(Purpose::Guard, Ok(fixture::reading(4)));
        assert_eq!(kinds(&records), ["target-looked", "intent-judged", "intent-ended"]);
        let Fact::IntentEnded(ended) = &records[2].fact else { panic!("{records:?}") };
        assert_eq!(ended.how, IntentEnd::Failed);
    }

    #[test]
    fn what_people_approved_is_held_by_a_stop_that_was_engaged_meanwhile() {
        let mut bench = suggesting();
        bench.judge_and_admit();
        yes(&mut bench);
        bench.stop(StopScope::Policy(bench.policy_name()));
        let records = bench.looked(Purpose::Guard, Ok(fixture::reading(4)));
        assert_eq!(kinds(&records), ["target-looked", "intent-judged", "approval-void"]);
        let Fact::IntentJudged(judged) = &records[1].fact else { panic!("{records:?}") };
        assert_eq!(judged.verdict, Verdict::Refused(CheckName::Stop));
    }

    #[test]
    fn what_was_used_can_be_neither_approved_nor_taken_back_any_more() {
        let mut bench = suggesting();
        bench.judge_and_admit();
        yes(&mut bench);
        bench.judge_and_admit();
        for saying in [Saying::Yes, Saying::Withdrawn, Saying::No] {
            let plan = bench.engine.state().approvals.get(bench.intent).expect("it is under way").hash.to_string();
            assert_eq!(refusal(&mut bench, saying, plan), Some(Refusal::Used), "{saying}");
        }
    }

    #[test]
    fn a_yes_counts_once_for_each_person_and_only_for_the_plan_that_was_read() {
        let mut bench = suggesting();
        bench.judge_and_admit();
        let plan = bench.engine.state().approvals.get(bench.intent).expect("people were asked").hash.to_string();
        let other = crate::digest::Digest::of(&[plan.as_bytes()]).to_string();
        assert_eq!(refusal(&mut bench, Saying::Yes, other), Some(Refusal::WrongPlan));
        assert_eq!(refusal(&mut bench, Saying::Yes, plan.clone()), None);
        assert_eq!(refusal(&mut bench, Saying::Yes, plan), Some(Refusal::AlreadyGiven));
    }

    #[test]
    fn a_yes_at_the_end_of_its_time_is_too_late() {
        let expires = |bench: &Bench| Duration::from_millis(bench.configuration().approval.expires_after_ms);
        for (early, refused) in [(Duration::from_millis(1), None), (Duration::ZERO, Some(Refusal::Expired))] {
            let mut bench = suggesting();
            bench.judge_and_admit();
            let plan = bench.engine.state().approvals.get(bench.intent).expect("people were asked").hash.to_string();
            bench.wait(expires(&bench) - early);
            assert_eq!(refusal(&mut bench, Saying::Yes, plan), refused, "{early:?} before");
        }
    }

    #[test]
    fn a_void_plan_has_the_policy_asked_anew_and_a_refused_one_has_not() {
        let mut bench = suggesting();
        bench.judge_and_admit();
        yes(&mut bench);
        bench.configure(|configuration, _| configuration.guardrails.opposes_for_ms += 1);
        let records = bench.looked(Purpose::Guard, Ok(fixture::reading(4)));
        assert_eq!(kinds(&records), ["target-looked", "approval-void", "intent-ended"]);
        assert!(bench.release().iter().any(|effect| matches!(effect, crate::engine::Effect::Evaluate(_))));

        let mut bench = suggesting();
        bench.release();
        bench.judge_and_admit();
        yes(&mut bench);
        let records = bench.looked(Purpose::Guard, Ok(fixture::reading(5)));
        assert_eq!(kinds(&records), ["target-looked", "intent-judged", "approval-void"]);
        let Fact::IntentJudged(judged) = &records[1].fact else { panic!("{records:?}") };
        assert_eq!(judged.verdict, Verdict::Refused(CheckName::Expectation));
        assert!(bench.release().iter().all(|effect| !matches!(effect, crate::engine::Effect::Evaluate(_))));
    }
}
