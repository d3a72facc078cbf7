//! The intent is not too often. What no limit counts is refused: an empty list means nothing.

use super::{Finding, ProposedIntent};
use crate::{
    ledger::Admission,
    limit::{Limit, Scope},
    target::Target,
};

pub(super) fn check(proposed: &ProposedIntent<'_>) -> Finding {
    let Ok(target) = &proposed.target else { return Finding::Fails("it has no target".into()) };
    // One that was admitted before is counted already.
    let is_new = proposed.intent.attempts == 0;
    if is_new && let Some(full) = proposed.state.ledger.full(proposed.intent.episode, |at| proposed.age(at)) {
        return Finding::Fails(format!("{full}: no limit can be counted"));
    }
    let (action, policy) = (&proposed.intent.proposal.action, &proposed.intent.policy);
    let covering = proposed.guardrails().limits.iter().filter(|limit| limit.only.covers(action, policy, target));
    let mut found = Vec::new();
    for limit in covering {
        let spent = spent(proposed, limit, target);
        let Limit { scope, count, window, .. } = limit;
        if spent >= *count as usize {
            let who = shared_by(proposed, *scope, target);
            return Finding::Fails(format!("{spent} of {count} {window} are spent for {scope} {who}"));
        }
        found.push(format!("{spent} of {count} {window} for {scope}"));
    }
    if found.is_empty() {
        return Finding::Fails(format!("no limit counts {action} on {target}: write one in limits.toml"));
    }
    Finding::Passes(found.join(", "))
}

/// How many other admissions count against the limit now.
fn spent(proposed: &ProposedIntent<'_>, limit: &Limit, target: &Target) -> usize {
    let intent = proposed.intent;
    let counts = |admission: &Admission| {
        let Admission { intent: id, action, policy, target: where_, .. } = admission;
        let shared = match limit.scope {
            Scope::Everything => true,
            Scope::Account => where_.account == target.account,
            Scope::Service => where_.resource.is_called_as(&target.resource),
            Scope::Policy => *policy == intent.policy,
            Scope::Target => where_ == target,
        };
        shared && *id != intent.id && limit.only.covers(action, policy, where_)
    };
    proposed.state.ledger.spent(limit.window, intent.episode, |at| proposed.age(at), counts)
}

fn shared_by(proposed: &ProposedIntent<'_>, scope: Scope, target: &Target) -> String {
    match scope {
        Scope::Everything => String::new(),
        Scope::Account => target.account.to_string(),
        Scope::Service => target.resource.name().to_owned(),
        Scope::Policy => proposed.intent.policy.to_string(),
        Scope::Target => target.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::{
        configuration::{Filter, Limit, Scope, Since, Window},
        fixture::{self, Bench},
        record::{CheckName, Verdict},
    };

    const REFUSED: Verdict = Verdict::Refused(CheckName::Limits);

    fn limit(scope: Scope, count: u32) -> Limit {
        Limit { scope, only: Filter::default(), count, window: Window::of_ms(60_000) }
    }

    fn with(limits: Vec<Limit>) -> Bench {
        let mut bench = Bench::new();
        bench.configure(|configuration, _| {
            configuration.guardrails.limits = limits;
            configuration.timing.max_alert_age_ms = 86_400_000;
        });
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
        for scope in [Scope::Everything, Scope::Account, Scope::Service, Scope::Policy, Scope::Target] {
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
        for jump in [Duration::from_secs(10 * 60), Duration::from_secs(24 * 3600)] {
            let mut bench = with(vec![limit(Scope::Target, 1)]);
            spend(&mut bench, 4);
            bench.clock_jumps(jump);
            bench.fires_elsewhere();
            bench.propose(|proposal| fixture::scale(proposal, 5, 6));
            assert_eq!(bench.judge().verdict, REFUSED, "{jump:?}");
            bench.clock_accepted();
            assert_eq!(bench.judge().verdict, Verdict::Admitted, "{jump:?}");
        }
    }

    #[test]
    fn several_windows_hold_at_once() {
        let hour = Limit { window: Window::of_ms(3_600_000), ..limit(Scope::Target, 3) };
        let mut bench = with(vec![limit(Scope::Target, 1), hour]);
        for desired in 4..7 {
            spend(&mut bench, desired);
            assert_eq!(bench.judge().verdict, REFUSED, "one in a minute is spent");
            bench.wait(Duration::from_secs(60));
        }
        bench.propose(|proposal| fixture::scale(proposal, 7, 8));
        assert_eq!(bench.judge().verdict, REFUSED, "three in an hour are spent");
        bench.wait(Duration::from_millis(3_600_000 - 180_000 - 1));
        bench.propose(|proposal| fixture::scale(proposal, 7, 8));
        assert_eq!(bench.judge().verdict, REFUSED, "the first is in the window to its end");
        bench.wait(Duration::from_millis(1));
        assert_eq!(bench.judge().verdict, Verdict::Admitted);
    }

    #[test]
    fn a_window_from_the_end_counts_what_is_under_way_and_then_from_its_end() {
        let limit = Limit { window: Window::Time(60_000, Since::End), ..limit(Scope::Policy, 1) };
        let mut bench = with(vec![limit]);
        assert_eq!(bench.judge_and_admit().verdict, Verdict::Admitted);
        let (first, other) = (bench.intent, bench.propose_on_fleet());
        bench.wait(Duration::from_secs(100));
        assert_eq!(bench.judge().verdict, REFUSED, "it has not ended");
        bench.intent = first;
        bench.done_and_verified();
        bench.intent = other;
        bench.wait(Duration::from_millis(59_999));
        assert_eq!(bench.judge().verdict, REFUSED, "it ended just now");
        bench.wait(Duration::from_millis(1));
        assert_eq!(bench.judge().verdict, Verdict::Admitted);
    }

    #[test]
    fn a_limit_is_spent_with_the_admission_and_not_only_when_the_call_has_ended() {
        let mut bench = with(vec![limit(Scope::Everything, 1)]);
        bench.propose(|_| {});
        let first = bench.intent;
        let second = bench.propose_on_fleet();
        assert_eq!(bench.judge().verdict, Verdict::Admitted, "nothing is spent");
        bench.intent = first;
        bench.look(fixture::reading(4));
        assert_eq!(bench.judge_and_admit().verdict, Verdict::Admitted);
        bench.intent = second;
        bench.look(fixture::group_reading(4));
        assert_eq!(bench.judge().verdict, REFUSED, "the first is under way");
    }

    #[test]
    fn a_limit_at_once_counts_what_is_under_way_and_nothing_else() {
        let mut bench = with(vec![Limit { window: Window::AtOnce, ..limit(Scope::Account, 1) }]);
        assert_eq!(bench.judge_and_admit().verdict, Verdict::Admitted);
        let (first, other) = (bench.intent, bench.propose_on_fleet());
        assert_eq!(bench.judge().verdict, REFUSED);
        bench.intent = first;
        bench.done_and_verified();
        bench.intent = other;
        assert_eq!(bench.judge().verdict, Verdict::Admitted);
    }

    #[test]
    fn a_limit_per_episode_is_not_freed_by_time_and_not_shared_with_other_episodes() {
        let mut bench = with(vec![Limit { window: Window::Episode, ..limit(Scope::Everything, 2) }]);
        spend(&mut bench, 4);
        spend(&mut bench, 5);
        bench.wait(Duration::from_secs(600));
        assert_eq!(bench.judge().verdict, REFUSED);
        bench.fires_elsewhere();
        bench.propose(|proposal| fixture::scale(proposal, 6, 7));
        assert_eq!(bench.judge().verdict, Verdict::Admitted);
    }

    #[test]
    fn a_service_shares_its_count_with_what_has_its_name_elsewhere() {
        let parse = |arn: &str| arn.parse::<crate::target::Target>().expect("a target").resource;
        let web = parse("arn:aws:ecs:eu-central-1:123456789012:service/prod/web");
        for (arn, same) in [
            ("arn:aws:ecs:us-east-1:210987654321:service/test/web", true),
            ("arn:aws:ecs:eu-central-1:123456789012:service/prod/api", false),
            ("arn:aws:autoscaling:eu-central-1:123456789012:autoScalingGroup:*:autoScalingGroupName/web", false),
        ] {
            assert_eq!(web.is_called_as(&parse(arn)), same, "{arn}");
        }
    }
}
