//! The intent is not too often. What no limit counts is refused: an empty list means nothing.

use std::time::Duration;

use super::{Finding, ProposedIntent};
use crate::{
    caps,
    configuration::{Limit, Scope},
    state::Admission,
    target::Target,
};

pub(super) fn check(proposed: &ProposedIntent<'_>) -> Finding {
    let Ok(target) = &proposed.target else { return Finding::Fails("it has no target".into()) };
    let state = proposed.state;
    if state.admissions.len() >= caps::ADMISSIONS {
        return Finding::Fails(format!("{} admissions within a week: no limit can be counted", caps::ADMISSIONS));
    }
    let (action, policy) = (&proposed.intent.proposal.action, &proposed.intent.policy);
    let covering =
        state.configuration.guardrails.limits.iter().filter(|limit| limit.only.covers(action, policy, target));
    let mut found = Vec::new();
    for limit in covering {
        let spent = spent(proposed, limit, target);
        let window = limit.window_ms / 1000;
        if spent >= limit.count as usize {
            return Finding::Fails(format!(
                "{spent} of {} in {window} s are spent for {} {}",
                limit.count,
                limit.scope,
                shared_by(proposed, limit.scope, target)
            ));
        }
        found.push(format!("{spent} of {} in {window} s for {}", limit.count, limit.scope));
    }
    if found.is_empty() {
        return Finding::Fails(format!("no limit counts {action} on {target}: write one in limits.toml"));
    }
    Finding::Passes(found.join(", "))
}

/// How many other admissions count against the limit now.
fn spent(proposed: &ProposedIntent<'_>, limit: &Limit, target: &Target) -> usize {
    let window = Duration::from_millis(limit.window_ms);
    let counts = |admission: &&Admission| {
        let Admission { at, intent, action, policy, target: where_ } = admission;
        let shared = match limit.scope {
            Scope::Everything => true,
            Scope::Account => where_.account == target.account,
            Scope::Policy => *policy == proposed.intent.policy,
            Scope::Target => where_ == target,
        };
        shared
            && *intent != proposed.intent.id
            && proposed.state.age(*at, proposed.now) < window
            && limit.only.covers(action, policy, where_)
    };
    proposed.state.admissions.iter().filter(counts).count()
}

fn shared_by(proposed: &ProposedIntent<'_>, scope: Scope, target: &Target) -> String {
    match scope {
        Scope::Everything => String::new(),
        Scope::Account => target.account.to_string(),
        Scope::Policy => proposed.intent.policy.to_string(),
        Scope::Target => target.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::{
        configuration::{Filter, Limit, Scope},
        fixture::{self, Bench},
        record::{CheckName, Verdict},
    };

    const REFUSED: Verdict = Verdict::Refused(CheckName::Limits);

    fn limit(scope: Scope, count: u32) -> Limit {
        Limit { scope, only: Filter::default(), count, window_ms: 60_000 }
    }

    fn with(limits: Vec<Limit>) -> Bench {
        let mut bench = Bench::new();
        bench.configure(|configuration, _| configuration.guardrails.limits = limits);
        bench
    }

    /// Do an intent, so that it counts.
    fn spend(bench: &mut Bench, desired: u32) {
        bench.look(fixture::reading(desired));
        bench.propose(|proposal| fixture::scale(proposal, desired, desired + 1));
        assert_eq!(bench.judge_and_admit().verdict, Verdict::Admitted);
        bench.done_and_verified();
        bench.look(fixture::reading(desired + 1));
        bench.propose(|proposal| fixture::scale(proposal, desired + 1, desired + 2));
    }

    #[test]
    fn what_no_limit_counts_is_refused() {
        assert_eq!(with(vec![]).judge().verdict, REFUSED);
        let only = Filter { action: Some("ecs:redeploy-service".into()), ..Filter::default() };
        assert_eq!(with(vec![Limit { only, ..limit(Scope::Everything, 9) }]).judge().verdict, REFUSED);
        assert_eq!(with(vec![limit(Scope::Everything, 0)]).judge().verdict, REFUSED);
    }

    #[test]
    fn a_limit_is_spent_by_admissions_and_freed_when_they_leave_the_window() {
        for scope in [Scope::Everything, Scope::Account, Scope::Policy, Scope::Target] {
            let mut bench = with(vec![limit(scope, 2)]);
            spend(&mut bench, 4);
            assert_eq!(bench.judge().verdict, Verdict::Admitted, "{scope}: one of two is spent");
            spend(&mut bench, 5);
            assert_eq!(bench.judge().verdict, REFUSED, "{scope}: two of two are spent");
            bench.wait(Duration::from_millis(59_999));
            assert_eq!(bench.judge().verdict, REFUSED, "{scope}: they are in the window to its end");
            bench.wait(Duration::from_millis(1));
            assert_eq!(bench.judge().verdict, Verdict::Admitted, "{scope}: they have left the window");
        }
    }

    #[test]
    fn every_limit_counts() {
        let mut bench = with(vec![limit(Scope::Everything, 9), limit(Scope::Target, 1)]);
        spend(&mut bench, 4);
        assert_eq!(bench.judge().verdict, REFUSED);
    }

    #[test]
    fn a_clock_that_jumps_ahead_frees_nothing_until_a_person_accepts_the_time() {
        let mut bench = with(vec![limit(Scope::Target, 1)]);
        spend(&mut bench, 4);
        bench.clock_jumps(Duration::from_secs(10 * 60));
        bench.propose(|proposal| fixture::scale(proposal, 5, 6));
        assert_eq!(bench.judge().verdict, REFUSED);
        bench.clock_accepted();
        assert_eq!(bench.judge().verdict, Verdict::Admitted);
    }
}
