//! The policy's mode lets it act.

use super::{Finding, ProposedIntent};
use crate::configuration::Mode;

pub(super) fn check(proposed: &ProposedIntent<'_>) -> Finding {
    match proposed.policy.map(|policy| policy.mode) {
        None => Finding::Fails(format!("policy {} is no longer configured", proposed.intent.policy)),
        Some(Mode::Off) => Finding::Fails("the policy is off".into()),
        Some(Mode::Shadow) => Finding::Watches("shadow: recorded, not acted on".into()),
        Some(Mode::Suggest) => Finding::Asks(1, "suggest: a person must approve".into()),
        Some(Mode::Enforce) => Finding::Passes("enforce".into()),
    }
}

#[cfg(test)]
mod tests {
    use crate::{
        configuration::Mode,
        fixture::Bench,
        record::{CheckName, Verdict},
    };

    #[test]
    fn only_a_policy_that_enforces_acts_by_itself() {
        let cases = [
            (Mode::Off, Verdict::Refused(CheckName::Mode)),
            (Mode::Shadow, Verdict::Observed),
            (Mode::Suggest, Verdict::NeedsApproval(1)),
            (Mode::Enforce, Verdict::Admitted),
        ];
        for (mode, verdict) in cases {
            let mut bench = Bench::new();
            bench.configure(|configuration, policy| configuration.policies.get_mut(policy).expect("it").mode = mode);
            assert_eq!(bench.judge().verdict, verdict, "{mode}");
        }
    }

    #[test]
    fn a_policy_that_is_gone_does_not_act() {
        let mut bench = Bench::new();
        bench.configure(|configuration, _| configuration.policies.clear());
        assert_eq!(bench.judge().verdict, Verdict::Refused(CheckName::Mode));
    }

    #[test]
    fn what_a_policy_in_shadow_would_not_have_been_allowed_is_refused_by_name() {
        let mut bench = Bench::new();
        bench.configure(|configuration, policy| {
            configuration.policies.get_mut(policy).expect("it").mode = Mode::Shadow;
            configuration.guardrails.limits.clear();
        });
        assert_eq!(bench.judge().verdict, Verdict::Refused(CheckName::Limits));
    }
}
