//! Nothing else is under way on the target: no intent of ours, no deployment of anybody.

use super::{Finding, ProposedIntent};

pub(super) fn check(proposed: &ProposedIntent<'_>) -> Finding {
    let ours = proposed.target.as_ref().ok().and_then(|target| proposed.state.busy.get(target));
    if let Some(other) = ours.filter(|other| **other != proposed.intent.id) {
        return Finding::Fails(format!("intent {other} is under way on it"));
    }
    let Ok(reading) = proposed.reading else { return Finding::Fails("there is no look that says".into()) };
    let service = reading.service();
    match (service.status.as_str(), service.deployments.len()) {
        ("ACTIVE", 0..=1) => Finding::passes(),
        ("ACTIVE", deployments) => Finding::Fails(format!("{deployments} deployments are under way on it")),
        (status, _) => Finding::Fails(format!("it is {status}")),
    }
}

#[cfg(test)]
mod tests {
    use crate::{
        fixture::{self, Bench},
        look::Reading,
        record::{CheckName, Verdict},
    };

    const REFUSED: Verdict = Verdict::Refused(CheckName::Busy);

    #[test]
    fn a_second_intent_waits_until_the_first_has_ended() {
        let mut bench = Bench::new();
        assert_eq!(bench.judge_and_admit().verdict, Verdict::Admitted);
        bench.propose_anew(|_| {});
        assert_eq!(bench.judge().verdict, REFUSED);
    }

    #[test]
    fn a_service_that_rolls_or_drains_is_left_alone() {
        let with = |change: fn(&mut balm_catalogue::ecs::Service)| {
            let Reading::EcsService { mut service, tasks } = fixture::reading(4);
            change(&mut service);
            let mut bench = Bench::new();
            bench.look(Reading::EcsService { service, tasks });
            bench.judge().verdict
        };
        assert_eq!(with(|service| service.deployments.push(service.deployments[0].clone())), REFUSED);
        assert_eq!(with(|service| service.status = "DRAINING".into()), REFUSED);
        assert_eq!(with(|service| service.deployments.clear()), Verdict::Admitted);
    }
}
