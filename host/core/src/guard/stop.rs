//! Nothing that halts the intent is in force: no stop of a person, breaker or brake, and no freeze.

use super::{Finding, ProposedIntent};
use crate::{freeze::Freeze, record::StopScope};

pub(super) fn check(proposed: &ProposedIntent<'_>) -> Finding {
    let halts = |scope: &StopScope| match scope {
        StopScope::Everything => true,
        StopScope::Policy(policy) => *policy == proposed.intent.policy,
        StopScope::Version(digest) => *digest == proposed.intent.plugin,
        StopScope::Target(target) => proposed.target.as_ref().is_ok_and(|own| own == target),
        StopScope::Targets(pattern) => proposed.target.as_ref().is_ok_and(|own| pattern.covers(own)),
    };
    match proposed.state.stops.iter().find(|(_, stop)| halts(&stop.scope)) {
        Some((seq, stop)) => {
            Finding::Fails(format!("stop {seq} on {} by {}: {}", stop.scope, stop.by.who, stop.by.why))
        }
        None => check_freezes(proposed),
    }
}

/// A freeze that a clock set ahead would end, or begin, is on until a person accepts the time.
fn check_freezes(proposed: &ProposedIntent<'_>) -> Finding {
    let Ok(target) = &proposed.target else { return Finding::passes() };
    let (action, policy) = (&proposed.intent.proposal.action, &proposed.intent.policy);
    let times = [proposed.now, proposed.state.steady(proposed.now)];
    let is_on =
        |freeze: &&Freeze| freeze.only.covers(action, policy, target) && times.iter().any(|time| freeze.is_on(*time));
    match proposed.guardrails().freezes.iter().find(is_on) {
        Some(freeze) => Finding::Fails(format!("frozen: {}", freeze.why)),
        None => Finding::passes(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::{
        configuration::Filter,
        digest::Digest,
        fixture::{self, Bench},
        freeze::{Freeze, When},
        input::Input,
        record::{CheckName, StopEngaged, StopScope, Verdict},
        time::Timestamp,
    };

    const REFUSED: Verdict = Verdict::Refused(CheckName::Stop);

    #[test]
    fn a_stop_halts_what_is_in_its_scope_and_nothing_else() {
        let bench = Bench::new();
        let pattern = |text: &str| StopScope::Targets(text.parse().expect("a pattern"));
        let cases = [
            (StopScope::Version(Digest::of(&[b"plugin"])), true),
            (StopScope::Version(Digest::of(&[b"another"])), false),
            (pattern("arn:aws:ecs:*:service/prod/*"), true),
            (pattern("arn:aws:ecs:*:service/test/*"), false),
            (StopScope::Everything, true),
            (StopScope::Policy(bench.policy_name()), true),
            (StopScope::Policy("other".parse().expect("a name")), false),
            (StopScope::Target(bench.target()), true),
            (
                StopScope::Target("arn:aws:ecs:eu-central-1:123456789012:service/prod/api".parse().expect("a target")),
                false,
            ),
        ];
        for (scope, halted) in cases {
            let mut bench = Bench::new();
            let stop = bench.stop(scope.clone());
            let verdict = if halted { Verdict::Refused(CheckName::Stop) } else { Verdict::Admitted };
            assert_eq!(bench.judge().verdict, verdict, "{scope}");
            bench.resume(stop);
            assert_eq!(bench.judge().verdict, Verdict::Admitted, "{scope} released");
        }
    }

    fn frozen(only: Filter) -> Bench {
        let mut bench = Bench::new();
        let (from, until) = (Timestamp::from_millis(60_000), Timestamp::from_millis(120_000));
        let freeze = Freeze { only, when: When::Once { from, until }, why: "a sale".into() };
        bench.configure(|configuration, _| configuration.guardrails.freezes = vec![freeze]);
        bench
    }

    #[test]
    fn a_freeze_halts_what_it_speaks_of_while_it_is_on() {
        let mut bench = frozen(Filter::default());
        let waits = [(59_999, Verdict::Admitted), (1, REFUSED), (59_999, REFUSED), (1, Verdict::Admitted)];
        for (wait, verdict) in waits {
            bench.wait(Duration::from_millis(wait));
            assert_eq!(bench.judge().verdict, verdict, "at {}", bench.now);
        }
        let mut bench = frozen(Filter { action: Some("ecs:stop-task".into()), ..Filter::default() });
        bench.wait(Duration::from_secs(60));
        assert_eq!(bench.judge().verdict, Verdict::Admitted);
    }

    #[test]
    fn a_clock_that_jumps_over_a_freeze_does_not_end_it() {
        let mut bench = frozen(Filter::default());
        bench.wait(Duration::from_secs(60));
        bench.clock_jumps(Duration::from_secs(120));
        assert_eq!(bench.judge().verdict, REFUSED);
        bench.clock_accepted();
        assert_eq!(bench.judge().verdict, Verdict::Admitted);
    }

    #[test]
    fn a_stop_with_an_end_ends_then_by_itself_and_no_clock_that_jumps_ends_it_sooner() {
        let mut bench = Bench::new();
        let until = Some(bench.now + Duration::from_secs(300));
        let stop = StopEngaged { until, ..StopEngaged::by_person(StopScope::Everything, fixture::person()) };
        bench.take(Input::Stop(stop));
        bench.wait(Duration::from_millis(299_999));
        bench.take(Input::Tick);
        assert_eq!(bench.judge().verdict, REFUSED);
        bench.clock_jumps(Duration::from_secs(100));
        bench.take(Input::Tick);
        assert_eq!(bench.judge().verdict, REFUSED, "100 s were only jumped over");
        bench.wait(Duration::from_millis(1));
        bench.take(Input::Tick);
        assert_eq!(bench.judge().verdict, Verdict::Admitted);
    }
}
