//! Nothing that halts the intent is in force.

use super::{Finding, ProposedIntent};
use crate::record::StopScope;

pub(super) fn check(proposed: &ProposedIntent<'_>) -> Finding {
    let halts = |scope: &StopScope| match scope {
        StopScope::Everything => true,
        StopScope::Policy(policy) => *policy == proposed.intent.policy,
        StopScope::Version { plugin, digest } => {
            let policy = proposed.state.configuration.policies.get(&proposed.intent.policy);
            proposed.intent.version == *digest && policy.is_some_and(|policy| policy.plugin == *plugin)
        }
        StopScope::Target(target) => proposed.target.as_ref().is_ok_and(|own| own == target),
    };
    match proposed.state.stops.iter().find(|(_, stop)| halts(&stop.scope)) {
        Some((seq, stop)) => {
            Finding::Fails(format!("stop {seq} on {} by {}: {}", stop.scope, stop.by.who, stop.by.why))
        }
        None => Finding::passes(),
    }
}

#[cfg(test)]
mod tests {
    use crate::{
        digest::Digest,
        fixture::Bench,
        record::{CheckName, StopScope, Verdict},
    };

    #[test]
    fn a_stop_halts_what_is_in_its_scope_and_nothing_else() {
        let bench = Bench::new();
        let cases = [
            (StopScope::Everything, true),
            (StopScope::Policy(bench.policy_name()), true),
            (StopScope::Version { plugin: bench.plugin_name(), digest: bench.version() }, true),
            (StopScope::Version { plugin: bench.plugin_name(), digest: Digest::ZERO }, false),
            (StopScope::Version { plugin: "other".parse().expect("a name"), digest: bench.version() }, false),
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
}
