//! Nothing else is under way on the target: no intent of ours, no deployment, refresh or intervention of anybody.

use balm_catalogue::{asg, ecs};

use super::{Finding, ProposedIntent};
use crate::look::Reading;

pub(super) fn check(proposed: &ProposedIntent<'_>) -> Finding {
    let ours = proposed.target.as_ref().ok().and_then(|target| proposed.state.busy.get(target));
    if let Some(other) = ours.filter(|other| **other != proposed.intent.id) {
        return Finding::Fails(format!("intent {other} is under way on it"));
    }
    let Ok(reading) = proposed.reading else { return Finding::Fails("there is no look that says".into()) };
    let found = match reading {
        Reading::EcsService { service, .. } => service_is_free(service),
        Reading::AsgGroup { group } => group_is_free(group),
    };
    found.map_or_else(Finding::Fails, |()| Finding::passes())
}

fn service_is_free(service: &ecs::Service) -> Result<(), String> {
    match (service.status.as_str(), service.deployments.len()) {
        ("ACTIVE", 0..=1) => Ok(()),
        ("ACTIVE", deployments) => Err(format!("{deployments} deployments are under way on it")),
        (status, _) => Err(format!("it is {status}")),
    }
}

/// A group without these two keeps no count: somebody took it into their own hands (Amazon EC2 Auto Scaling User Guide,
/// "Suspend and resume processes"). What is terminated then would not be replaced.
const COUNTING: [&str; 2] = ["Launch", "Terminate"];

fn group_is_free(group: &asg::Group) -> Result<(), String> {
    if !group.status.is_empty() {
        return Err(format!("its status is {:?}", group.status));
    }
    if let Some(process) = group.suspended.iter().find(|process| COUNTING.contains(&process.as_str())) {
        return Err(format!("somebody suspended its process {process}"));
    }
    match group.refreshing() {
        Some(refresh) => Err(format!("refresh {} is {} on it", refresh.id, refresh.status)),
        None => Ok(()),
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
        bench.propose(|_| {});
        assert_eq!(bench.judge().verdict, REFUSED);
    }

    #[test]
    fn a_service_that_rolls_or_drains_is_left_alone() {
        let with = |change: fn(&mut balm_catalogue::ecs::Service)| {
            let mut service = fixture::service(4);
            change(&mut service);
            let mut bench = Bench::new();
            bench.look(Reading::EcsService { service, tasks: vec![] });
            bench.judge().verdict
        };
        assert_eq!(with(|service| service.deployments.push(service.deployments[0].clone())), REFUSED);
        assert_eq!(with(|service| service.status = "DRAINING".into()), REFUSED);
        assert_eq!(with(|service| service.deployments.clear()), Verdict::Admitted);
    }

    #[test]
    fn a_group_that_refreshes_ends_or_is_in_somebodys_hands_is_left_alone() {
        let with = |change: fn(&mut balm_catalogue::asg::Group)| {
            let mut group = fixture::group(4);
            change(&mut group);
            let mut bench = Bench::for_fleet();
            bench.look(Reading::AsgGroup { group });
            bench.judge().verdict
        };
        let suspend = |process: &str| vec![process.to_owned()];
        assert_eq!(with(|_| ()), Verdict::Admitted);
        assert_eq!(with(|group| group.status = "Delete in progress".into()), REFUSED);
        for status in ["Pending", "InProgress", "Cancelling", "RollbackInProgress", "Baking", "SomethingNew"] {
            let refreshing = |group: &mut balm_catalogue::asg::Group| {
                group.refreshes = vec![fixture::refresh("r-2", status), fixture::refresh("r-1", "Successful")];
            };
            let mut group = fixture::group(4);
            refreshing(&mut group);
            let mut bench = Bench::for_fleet();
            bench.look(Reading::AsgGroup { group });
            assert_eq!(bench.judge().verdict, REFUSED, "{status}");
        }
        assert_eq!(with(|group| group.refreshes = vec![fixture::refresh("r-1", "Failed")]), Verdict::Admitted);
        for (process, verdict) in [("Launch", REFUSED), ("Terminate", REFUSED), ("ReplaceUnhealthy", Verdict::Admitted)]
        {
            let mut group = fixture::group(4);
            group.suspended = suspend(process);
            let mut bench = Bench::for_fleet();
            bench.look(Reading::AsgGroup { group });
            assert_eq!(bench.judge().verdict, verdict, "{process}");
        }
    }
}
