//! The actions of Amazon EC2 Auto Scaling on one group.

use std::{collections::BTreeMap, time::Duration};

use balm_catalogue::{Action as _, asg};
use serde_json::Value;

use super::Trace;
use crate::{
    caps,
    json::{InvalidJson, Json},
};

/// What is kept in service and healthy during a refresh where an intent does not say, in per cent: the API's own default.
/// It is sent all the same, so that AWS does what was judged.
pub const MIN_HEALTHY_PERCENT: u32 = 90;

/// An action of Auto Scaling with its parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// `asg:set-desired-capacity`
    SetDesiredCapacity(asg::SetDesiredCapacity),
    /// `asg:terminate-instance`
    TerminateInstance(asg::TerminateInstance),
    /// `asg:start-instance-refresh`
    StartInstanceRefresh(asg::StartInstanceRefresh),
}

impl Change {
    /// Read an action's parameters; `None` if it is no action of Auto Scaling.
    pub(super) fn read(action: &str, parameters: &Json) -> Option<Result<Self, InvalidJson>> {
        Some(match action {
            asg::SetDesiredCapacity::NAME => parameters.read().map(Self::SetDesiredCapacity),
            asg::TerminateInstance::NAME => parameters.read().map(Self::TerminateInstance),
            asg::StartInstanceRefresh::NAME => parameters.read().map(Self::StartInstanceRefresh),
            _ => return None,
        })
    }

    pub(super) fn validate(&self) -> Result<(), String> {
        match self {
            Self::SetDesiredCapacity(to) if to.desired > caps::INSTANCES => {
                let (desired, most) = (to.desired, caps::INSTANCES);
                Err(format!("desired = {desired} is more than the {most} instances of a group that Balm can watch"))
            }
            Self::TerminateInstance(asg::TerminateInstance { instance }) if !is_instance_id(instance) => {
                Err("instance is no instance id: write `i-` and 8 or 17 hexadecimal digits".into())
            }
            Self::StartInstanceRefresh(asg::StartInstanceRefresh { min_healthy_percent: Some(percent) })
                if *percent > 100 =>
            {
                Err(format!("min-healthy-percent = {percent} is more than 100"))
            }
            Self::SetDesiredCapacity(_) | Self::TerminateInstance(_) | Self::StartInstanceRefresh(_) => Ok(()),
        }
    }

    pub(super) const fn action(&self) -> &'static str {
        match self {
            Self::SetDesiredCapacity(_) => asg::SetDesiredCapacity::NAME,
            Self::TerminateInstance(_) => asg::TerminateInstance::NAME,
            Self::StartInstanceRefresh(_) => asg::StartInstanceRefresh::NAME,
        }
    }

    pub(super) fn parameters(&self) -> Json {
        match self {
            Self::SetDesiredCapacity(parameters) => Json::of(parameters),
            Self::TerminateInstance(parameters) => Json::of(parameters),
            Self::StartInstanceRefresh(parameters) => Json::of(parameters),
        }
    }

    pub(super) const fn sets_desired(&self) -> Option<u32> {
        match self {
            Self::SetDesiredCapacity(to) => Some(to.desired),
            Self::TerminateInstance(_) | Self::StartInstanceRefresh(_) => None,
        }
    }

    pub(super) fn before(&self, group: &asg::Group) -> Json {
        let attributes: BTreeMap<&str, Value> = match self {
            Self::SetDesiredCapacity(_) => [("desired", group.desired.into())].into(),
            Self::TerminateInstance(terminate) => {
                let found = find(group, &terminate.instance);
                let text =
                    |of: fn(&asg::Instance) -> &String| found.map_or(Value::Null, |found| of(found).clone().into());
                [
                    ("instance", terminate.instance.clone().into()),
                    ("lifecycle-state", text(|instance| &instance.lifecycle_state)),
                    ("health-status", text(|instance| &instance.health_status)),
                ]
                .into()
            }
            Self::StartInstanceRefresh(_) => {
                let newest = group.refreshes.first().map_or(Value::Null, |refresh| refresh.id.clone().into());
                [("refresh", newest)].into()
            }
        };
        Json::of(&attributes)
    }

    pub(super) fn after(&self) -> Json {
        let attributes: BTreeMap<&str, Value> = match self {
            Self::SetDesiredCapacity(to) => [("desired", to.desired.into())].into(),
            Self::TerminateInstance(terminate) => {
                [("instance", terminate.instance.clone().into()), ("lifecycle-state", "Terminated".into())].into()
            }
            Self::StartInstanceRefresh(_) => [("refresh-status", "Successful".into())].into(),
        };
        Json::of(&attributes)
    }

    /// Machines boot for minutes where containers start in seconds, and connections of one that goes are drained first. A
    /// refresh does that again and again.
    pub(super) const fn verify_within(&self) -> Duration {
        match self {
            Self::SetDesiredCapacity(_) | Self::TerminateInstance(_) => Duration::from_secs(20 * 60),
            Self::StartInstanceRefresh(_) => Duration::from_secs(2 * 60 * 60),
        }
    }

    pub(super) fn verify(&self, before: &asg::Group, now: &asg::Group) -> Result<(), String> {
        match self {
            Self::SetDesiredCapacity(to) if now.desired != to.desired => {
                return Err(format!("desired is {}, not {}", now.desired, to.desired));
            }
            Self::SetDesiredCapacity(_) => {}
            Self::TerminateInstance(terminate) => {
                if let Some(instance) = find(now, &terminate.instance) {
                    return Err(format!("instance {} is {}", instance.id, instance.lifecycle_state));
                }
            }
            Self::StartInstanceRefresh(_) => match new_refresh(before, now) {
                None => return Err("no refresh has begun since".into()),
                Some(refresh) if refresh.status != "Successful" => {
                    let asg::Refresh { id, status, percentage_complete, .. } = refresh;
                    return Err(format!("refresh {id} is {status}, {percentage_complete} % are done"));
                }
                Some(_) => {}
            },
        }
        settled(before, now)
    }

    pub(super) fn trace(&self, before: &asg::Group, now: &asg::Group) -> Trace {
        match self {
            Self::SetDesiredCapacity(to) if now.desired == to.desired => {
                Trace::Seen(format!("desired is {}", to.desired))
            }
            Self::SetDesiredCapacity(_) => Trace::NotSeenRepeatable(format!("desired is {}", now.desired)),
            // An instance dies once, and without decrement the count stays: to say it again does no harm.
            Self::TerminateInstance(terminate) => match find(now, &terminate.instance) {
                Some(instance) if !instance.is_terminating() => {
                    Trace::NotSeenRepeatable(format!("instance {} is {}", instance.id, instance.lifecycle_state))
                }
                Some(instance) => Trace::Seen(format!("instance {} is {}", instance.id, instance.lifecycle_state)),
                None => Trace::Seen(format!("instance {} is gone", terminate.instance)),
            },
            // By id, not by time: AWS's clock is not ours.
            Self::StartInstanceRefresh(_) => match new_refresh(before, now) {
                Some(refresh) => Trace::Seen(format!("refresh {} has begun", refresh.id)),
                None => Trace::NotSeenOnce("no refresh has begun; each call would begin another".into()),
            },
        }
    }

    pub(super) fn inverse(&self, before: &asg::Group) -> Option<Self> {
        match self {
            Self::SetDesiredCapacity(_) => {
                Some(Self::SetDesiredCapacity(asg::SetDesiredCapacity { desired: before.desired }))
            }
            Self::TerminateInstance(_) | Self::StartInstanceRefresh(_) => None,
        }
    }
}

fn find<'a>(group: &'a asg::Group, id: &str) -> Option<&'a asg::Instance> {
    group.instances.iter().find(|instance| instance.id == id)
}

/// Whether the desired number of instances, and no other, is in service, none is on its way in, and none is unhealthy that
/// was not there before; otherwise what is missing. Instances on their way out do not matter, and neither does one that was
/// ill before: no change promised to mend it.
fn settled(before: &asg::Group, now: &asg::Group) -> Result<(), String> {
    let (in_service, pending, desired) = (now.in_service().count(), now.pending(), now.desired);
    if u32::try_from(in_service) != Ok(desired) || pending > 0 {
        return Err(format!("{in_service} of {desired} instances are in service, {pending} are pending"));
    }
    match now.in_service().find(|instance| !instance.is_healthy() && find(before, &instance.id).is_none()) {
        Some(instance) => Err(format!("instance {}, which is new, is {}", instance.id, instance.health_status)),
        None => Ok(()),
    }
}

/// The refresh that `now` has and `before` did not have. Only the newest are read, of which there is one at a time, so one
/// that is not known is new.
fn new_refresh<'a>(before: &asg::Group, now: &'a asg::Group) -> Option<&'a asg::Refresh> {
    let known = |id: &str| before.refreshes.iter().any(|refresh| refresh.id == id);
    now.refreshes.iter().find(|refresh| !known(&refresh.id))
}

/// `i-` and 17 hexadecimal digits, or 8 for instances from before 2018 (Amazon EC2 User Guide, "Resource IDs").
fn is_instance_id(text: &str) -> bool {
    let lower_hex = |c: u8| c.is_ascii_digit() || (b'a'..=b'f').contains(&c);
    text.strip_prefix("i-").is_some_and(|digits| matches!(digits.len(), 8 | 17) && digits.bytes().all(lower_hex))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{action::Change as AnyChange, fixture, look::Reading};

    /// The first instance of the fixture's group.
    const FIRST: &str = "i-00000000000000000";

    fn read(action: &str, parameters: &str) -> Result<AnyChange, String> {
        AnyChange::read(action, &Json::parse(parameters).expect("JSON"))
    }

    fn group(change: impl FnOnce(&mut asg::Group)) -> Reading {
        let mut group = fixture::group(4);
        change(&mut group);
        Reading::AsgGroup { group }
    }

    fn with_first(lifecycle_state: &str) -> Reading {
        group(|group| group.instances[0].lifecycle_state = lifecycle_state.into())
    }

    /// The first instance is gone and another, of this state and health, is there.
    fn replaced_by(lifecycle_state: &str, health_status: &str) -> Reading {
        group(|group| {
            let new = asg::Instance {
                id: "i-0aaaaaaaaaaaaaaaa".into(),
                lifecycle_state: lifecycle_state.into(),
                health_status: health_status.into(),
                protected: false,
            };
            group.instances[0] = new;
        })
    }

    #[test]
    fn parameters_are_checked_against_the_catalogue() {
        let right = [
            ("asg:set-desired-capacity", r#"{"desired":0}"#),
            ("asg:set-desired-capacity", r#"{"desired":1000}"#),
            ("asg:terminate-instance", r#"{"instance":"i-0123456789abcdef0"}"#),
            ("asg:terminate-instance", r#"{"instance":"i-01234567"}"#),
            ("asg:start-instance-refresh", "{}"),
            ("asg:start-instance-refresh", r#"{"min-healthy-percent":0}"#),
            ("asg:start-instance-refresh", r#"{"min-healthy-percent":100}"#),
        ];
        for (action, parameters) in right {
            assert!(read(action, parameters).is_ok(), "{action} {parameters}");
        }
        let wrong = [
            ("asg:set-desired-capacity", r#"{"desired":1001}"#),
            ("asg:set-desired-capacity", r#"{"desired":4294967295}"#),
            ("asg:set-desired-capacity", r#"{"desired":-1}"#),
            ("asg:set-desired-capacity", "{}"),
            ("asg:terminate-instance", "{}"),
            ("asg:terminate-instance", r#"{"instance":"*"}"#),
            ("asg:terminate-instance", r#"{"instance":"i-"}"#),
            ("asg:terminate-instance", r#"{"instance":"i-0123456"}"#),
            ("asg:terminate-instance", r#"{"instance":"i-012345678"}"#),
            ("asg:terminate-instance", r#"{"instance":"i-0123456789abcdefg"}"#),
            ("asg:terminate-instance", r#"{"instance":"I-01234567"}"#),
            ("asg:terminate-instance", r#"{"instance":"i-0123456A"}"#),
            ("asg:terminate-instance", r#"{"instance":"i-0123456789abcdef0 "}"#),
            ("asg:start-instance-refresh", r#"{"min-healthy-percent":101}"#),
            ("asg:start-instance-refresh", r#"{"min-healthy-percent":"90"}"#),
        ];
        for (action, parameters) in wrong {
            assert!(read(action, parameters).is_err(), "{action} {parameters}");
        }
    }

    #[test]
    fn a_capacity_is_verified_when_exactly_that_many_are_in_service_and_what_is_new_is_healthy() {
        let change = read("asg:set-desired-capacity", r#"{"desired":6}"#).expect("parameters");
        let before = fixture::group_reading(4);
        let six = |change: fn(&mut asg::Group)| {
            let mut group = fixture::group(6);
            change(&mut group);
            Reading::AsgGroup { group }
        };
        assert_eq!(change.verify(&before, &fixture::group_reading(6)), Ok(()));
        let leaving = six(|group| {
            let leaving = asg::Instance { lifecycle_state: "Terminating:Wait".into(), ..fixture::instance(99) };
            group.instances.push(leaving);
        });
        assert_eq!(change.verify(&before, &leaving), Ok(()), "what is on its way out does not matter");
        let ill_before = six(|group| group.instances[0].health_status = "Unhealthy".into());
        assert_eq!(change.verify(&before, &ill_before), Ok(()), "nobody promised to mend it");
        let not_yet = [
            fixture::group_reading(4),
            six(|group| group.desired = 7),
            six(|group| drop(group.instances.pop())),
            six(|group| group.instances.push(fixture::instance(99))),
            six(|group| group.instances[5].health_status = "Unhealthy".into()),
            six(|group| group.instances[0].lifecycle_state = "Pending".into()),
            six(|group| group.instances[0].lifecycle_state = "Standby".into()),
        ];
        for reading in not_yet {
            assert!(change.verify(&before, &reading).is_err(), "{reading:?}");
        }
    }

    #[test]
    fn a_capacity_is_traced_by_its_value_and_may_be_sent_again() {
        let change = read("asg:set-desired-capacity", r#"{"desired":6}"#).expect("parameters");
        let (four, six) = (fixture::group_reading(4), fixture::group_reading(6));
        assert!(matches!(change.trace(&four, &six), Trace::Seen(_)));
        assert!(matches!(change.trace(&four, &four), Trace::NotSeenRepeatable(_)));
    }

    #[test]
    fn a_terminated_instance_is_traced_by_its_life_and_by_its_absence() {
        let change = read("asg:terminate-instance", &format!(r#"{{"instance":"{FIRST}"}}"#)).expect("parameters");
        let before = with_first("InService");
        for state in ["InService", "Pending", "Standby", "Detaching"] {
            assert!(matches!(change.trace(&before, &with_first(state)), Trace::NotSeenRepeatable(_)), "{state}");
        }
        for state in ["Terminating", "Terminating:Wait", "Terminating:Proceed", "Terminated"] {
            assert!(matches!(change.trace(&before, &with_first(state)), Trace::Seen(_)), "{state}");
        }
        assert!(matches!(change.trace(&before, &replaced_by("Pending", "Healthy")), Trace::Seen(_)));
    }

    #[test]
    fn a_termination_is_verified_when_the_instance_is_gone_and_its_replacement_is_in_service_and_healthy() {
        let change = read("asg:terminate-instance", &format!(r#"{{"instance":"{FIRST}"}}"#)).expect("parameters");
        let before = group(|group| group.instances[0].health_status = "Unhealthy".into());
        assert_eq!(change.verify(&before, &replaced_by("InService", "Healthy")), Ok(()));
        let Reading::AsgGroup { group: mut another_ill } = replaced_by("InService", "Healthy") else { unreachable!() };
        another_ill.instances[1].health_status = "Unhealthy".into();
        assert_eq!(
            change.verify(&before, &Reading::AsgGroup { group: another_ill }),
            Ok(()),
            "that is for the next one"
        );
        let not_yet = [
            before.clone(),
            with_first("Terminating"),
            with_first("Terminated"),
            replaced_by("Pending", "Healthy"),
            replaced_by("InService", "Unhealthy"),
            group(|group| drop(group.instances.remove(0))),
        ];
        for reading in not_yet {
            assert!(change.verify(&before, &reading).is_err(), "{reading:?}");
        }
        let json = r#"{"health-status":"Unhealthy","instance":"i-00000000000000000","lifecycle-state":"InService"}"#;
        assert_eq!(change.before(&before).as_str(), json);
    }

    #[test]
    fn a_refresh_is_recognised_by_its_id_and_verified_by_its_success() {
        let change = read("asg:start-instance-refresh", "{}").expect("parameters");
        let with = |refreshes: Vec<asg::Refresh>| group(|group| group.refreshes = refreshes);
        let old = || fixture::refresh("r-1", "Successful");
        let before = with(vec![old()]);
        let under_way = with(vec![fixture::refresh("r-2", "InProgress"), old()]);
        let failed = with(vec![fixture::refresh("r-2", "Failed"), old()]);
        let done = with(vec![fixture::refresh("r-2", "Successful"), old()]);
        assert!(matches!(change.trace(&before, &before), Trace::NotSeenOnce(_)));
        for seen in [&under_way, &failed, &done] {
            assert!(matches!(change.trace(&before, seen), Trace::Seen(_)));
        }
        for reading in [&before, &under_way, &failed] {
            assert!(change.verify(&before, reading).is_err(), "{reading:?}");
        }
        assert_eq!(change.verify(&before, &done), Ok(()));
        let unsteady = group(|group| {
            group.refreshes = vec![fixture::refresh("r-2", "Successful")];
            group.instances[0] = asg::Instance { health_status: "Unhealthy".into(), ..fixture::instance(99) };
        });
        assert!(change.verify(&before, &unsteady).is_err());
    }

    #[test]
    fn only_a_capacity_has_an_inverse_which_expects_what_the_change_made() {
        let change = read("asg:set-desired-capacity", r#"{"desired":6}"#).expect("parameters");
        let (back, expects) = change.inverse(&fixture::group_reading(4)).expect("it can be undone");
        assert_eq!(back.parameters().as_str(), r#"{"desired":4}"#);
        assert_eq!(expects.as_str(), r#"{"desired":6}"#);
        let terminate = read("asg:terminate-instance", &format!(r#"{{"instance":"{FIRST}"}}"#)).expect("parameters");
        let refresh = read("asg:start-instance-refresh", "{}").expect("parameters");
        assert_eq!(terminate.inverse(&fixture::group_reading(4)), None);
        assert_eq!(refresh.inverse(&fixture::group_reading(4)), None);
    }
}
