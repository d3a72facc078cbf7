//! The target is one that the operator gave this policy, in an account and region of the configuration whose identity
//! was verified.

use super::{Finding, ProposedIntent};

pub(super) fn check(proposed: &ProposedIntent<'_>) -> Finding {
    let target = match &proposed.target {
        Ok(target) => target,
        Err(error) => return Finding::Fails(error.clone()),
    };
    if !proposed.concern.is_some_and(|concern| concern.targets.contains(target)) {
        return Finding::Fails(format!("{target} is none of the policy's targets in this episode"));
    }
    if let Ok(change) = &proposed.change
        && !change.is_of(&target.resource)
    {
        return Finding::Fails(format!("{target} is not of the kind that {} changes", change.action()));
    }
    let (account, region) = (target.account, &target.region);
    let regions = proposed.state.configuration.accounts.get(&account);
    if !regions.is_some_and(|regions| regions.contains(region)) {
        return Finding::Fails(format!("account {account} is not configured for {region}"));
    }
    match proposed.state.accounts.get(&(account, region.clone())) {
        Some(Ok(identity)) => Finding::Passes(format!("acting as {identity}")),
        Some(Err(why)) => Finding::Fails(format!("the credentials for account {account} in {region}: {why}")),
        None => {
            Finding::Fails(format!("whose account the credentials for {account} in {region} are is not verified yet"))
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::{
        fixture::{self, Bench},
        record::{CheckName, Verdict},
    };

    const REFUSED: Verdict = Verdict::Refused(CheckName::Target);

    #[test]
    fn only_a_target_of_the_policy_in_this_episode_is_within_reach() {
        for target in [
            "arn:aws:ecs:eu-central-1:123456789012:service/prod/api",
            "arn:aws:ecs:eu-west-1:123456789012:service/prod/web",
            "arn:aws:ecs:eu-central-1:210987654321:service/prod/web",
            "arn:aws:ecs:eu-central-1:123456789012:service/prod/*",
            "arn:aws:ecs:eu-central-1:123456789012:service/prod/Web",
            "prod/web",
            "",
        ] {
            let mut bench = Bench::new();
            bench.propose(|proposal| proposal.target = target.into());
            assert_eq!(bench.judge().verdict, REFUSED, "{target}");
        }
    }

    #[test]
    fn an_action_reaches_only_targets_of_its_own_kind() {
        let mut bench = Bench::new();
        bench.propose(|proposal| proposal.target = fixture::fleet().to_string());
        assert_eq!(bench.judge().verdict, REFUSED);
        let mut bench = Bench::new();
        bench.propose(|proposal| proposal.action = "asg:set-desired-capacity".into());
        assert_eq!(bench.judge().verdict, REFUSED);
    }

    #[test]
    fn the_account_and_region_must_be_configured_and_verified() {
        let mut bench = Bench::new();
        bench.account(Err("they belong to 999999999999".into()));
        assert_eq!(bench.judge().verdict, REFUSED);
        bench.account(Ok("arn:aws:sts::123456789012:assumed-role/balm/host".into()));
        assert_eq!(bench.judge().verdict, Verdict::Admitted);
        bench.configure(|configuration, _| configuration.accounts.clear());
        assert_eq!(bench.judge().verdict, REFUSED);
    }

    #[test]
    fn an_account_that_was_never_asked_for_its_identity_is_out_of_reach() {
        let mut bench = Bench::unverified();
        assert_eq!(bench.judge().verdict, REFUSED);
    }
}
