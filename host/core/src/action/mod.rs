//! What each action of the catalogue means to the rules: its parameters in types, what it changes, when it is verified,
//! how an unanswered call is recognised, and its inverse.
//!
//! It owns what is the same for every service of AWS, and hands the rest to the file of the service. It refuses to know how
//! an action is done; the host's `act` does that.

pub mod asg;
mod changing;
pub mod ecs;

pub(crate) use changing::{redeploying, refreshing};

use std::time::Duration;

use crate::{json::Json, look::Reading, target::Resource};

/// The names of all actions.
pub const NAMES: &[&str] = balm_catalogue::ACTIONS;

/// An action with its parameters, by the service of AWS that does it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Of an ECS service.
    Ecs(ecs::Change),
    /// Of an Auto Scaling group.
    Asg(asg::Change),
}

/// Whether a change adds capacity, takes some away, or does neither.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// More.
    Out,
    /// Less.
    In,
    /// As much as before.
    Neither,
}

/// What a look says about a call that had no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trace {
    /// The world is as the call would have made it. Whether it was this call or somebody else is not known.
    Seen(String),
    /// There is no trace of the call, and sending it again does no harm if it lands after all.
    NotSeenRepeatable(String),
    /// There is no trace of the call, and sending it again could do the thing twice: a person must look.
    NotSeenOnce(String),
}

/// What is said where a reading is not of the kind that the action changes. The guard admits no such intent.
const OTHER_KIND: &str = "what was read is of another kind than what the action changes";

impl Direction {
    /// The way from one count to another.
    #[must_use]
    pub(crate) const fn between(from: u32, to: u32) -> Self {
        match () {
            () if to > from => Self::Out,
            () if to < from => Self::In,
            () => Self::Neither,
        }
    }
}

impl Change {
    /// Read an action's parameters. The error names the action, or what is wrong with the parameters.
    pub fn read(action: &str, parameters: &Json) -> Result<Self, String> {
        let wrong = |error| format!("the parameters of {action} are wrong: {error}");
        if let Some(change) = ecs::Change::read(action, parameters) {
            let change = change.map_err(wrong)?;
            change.validate()?;
            return Ok(Self::Ecs(change));
        }
        if let Some(change) = asg::Change::read(action, parameters) {
            let change = change.map_err(wrong)?;
            change.validate()?;
            return Ok(Self::Asg(change));
        }
        let known = NAMES.join(", ");
        Err(format!("{action:?} is no action of the catalogue, which has {known}"))
    }

    /// The action's name in the catalogue.
    #[must_use]
    pub const fn action(&self) -> &'static str {
        match self {
            Self::Ecs(change) => change.action(),
            Self::Asg(change) => change.action(),
        }
    }

    /// Its parameters, normalised.
    #[must_use]
    pub fn parameters(&self) -> Json {
        match self {
            Self::Ecs(change) => change.parameters(),
            Self::Asg(change) => change.parameters(),
        }
    }

    /// Whether it changes resources of this kind.
    #[must_use]
    pub const fn is_of(&self, resource: &Resource) -> bool {
        match self {
            Self::Ecs(_) => matches!(resource, Resource::EcsService { .. }),
            Self::Asg(_) => matches!(resource, Resource::AsgGroup { .. }),
        }
    }

    /// Whether the look must include the target's tasks.
    #[must_use]
    pub const fn needs_tasks(&self) -> bool {
        matches!(self, Self::Ecs(ecs::Change::StopTask(_)))
    }

    /// The attribute that an intent of it must expect a value of: it sets one, and is conditional on what it was.
    #[must_use]
    pub const fn must_expect(&self) -> Option<&'static str> {
        match self.sets_desired() {
            Some(_) => Some("desired"),
            None => None,
        }
    }

    /// The count that it sets, if it sets one.
    #[must_use]
    pub const fn sets_desired(&self) -> Option<u32> {
        match self {
            Self::Ecs(change) => change.sets_desired(),
            Self::Asg(change) => change.sets_desired(),
        }
    }

    /// Whether it adds or takes away capacity, given what is there.
    #[must_use]
    pub fn direction(&self, reading: &Reading) -> Direction {
        self.sets_desired().map_or(Direction::Neither, |to| Direction::between(reading.counts().desired, to))
    }

    /// The attributes that it changes, as they are: what a plugin's history shows as `before`.
    #[must_use]
    pub fn before(&self, reading: &Reading) -> Json {
        match (self, reading) {
            (Self::Ecs(change), Reading::EcsService { service, tasks }) => change.before(service, tasks),
            (Self::Asg(change), Reading::AsgGroup { group }) => change.before(group),
            (Self::Ecs(_) | Self::Asg(_), _) => Json::empty_object(),
        }
    }

    /// The attributes that it changes, as it wants them.
    #[must_use]
    pub fn after(&self) -> Json {
        match self {
            Self::Ecs(change) => change.after(),
            Self::Asg(change) => change.after(),
        }
    }

    /// How long the world may take to become as promised, unless the intent says otherwise.
    #[must_use]
    pub const fn verify_within(&self) -> Duration {
        match self {
            Self::Ecs(change) => change.verify_within(),
            Self::Asg(change) => change.verify_within(),
        }
    }

    /// Whether the world is as promised; otherwise what is still missing. `before` is the look of the admission.
    pub fn verify(&self, before: &Reading, now: &Reading) -> Result<(), String> {
        match (self, before, now) {
            (
                Self::Ecs(change),
                Reading::EcsService { service: before, .. },
                Reading::EcsService { service, tasks },
            ) => change.verify(before, service, tasks),
            (Self::Asg(change), Reading::AsgGroup { group: before }, Reading::AsgGroup { group }) => {
                change.verify(before, group)
            }
            (Self::Ecs(_) | Self::Asg(_), _, _) => Err(OTHER_KIND.into()),
        }
    }

    /// What a look says about a call of this that had no answer. `before` is the look of the admission.
    #[must_use]
    pub fn trace(&self, before: &Reading, now: &Reading) -> Trace {
        match (self, before, now) {
            (
                Self::Ecs(change),
                Reading::EcsService { service: before, .. },
                Reading::EcsService { service, tasks },
            ) => change.trace(before, service, tasks),
            (Self::Asg(change), Reading::AsgGroup { group: before }, Reading::AsgGroup { group }) => {
                change.trace(before, group)
            }
            (Self::Ecs(_) | Self::Asg(_), _, _) => Trace::NotSeenOnce(OTHER_KIND.into()),
        }
    }

    /// What undoes it, if something does, with what must be true for that. `before` is the look of the admission.
    #[must_use]
    pub fn inverse(&self, before: &Reading) -> Option<(Self, Json)> {
        let back = match (self, before) {
            (Self::Ecs(change), Reading::EcsService { service, .. }) => Self::Ecs(change.inverse(service)?),
            (Self::Asg(change), Reading::AsgGroup { group }) => Self::Asg(change.inverse(group)?),
            (Self::Ecs(_) | Self::Asg(_), _) => return None,
        };
        Some((back, self.after()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    fn read(action: &str, parameters: &str) -> Result<Change, String> {
        Change::read(action, &Json::parse(parameters).expect("JSON"))
    }

    #[test]
    fn every_action_of_the_catalogue_is_read_and_keeps_its_name_and_parameters() {
        let instance = r#"{"instance":"i-0123456789abcdef0"}"#;
        let task = r#"{"task":"0123456789abcdef0123456789abcdef"}"#;
        let all = [
            ("ecs:scale-service", r#"{"desired":6}"#),
            ("ecs:redeploy-service", "{}"),
            ("ecs:stop-task", task),
            ("asg:set-desired-capacity", r#"{"desired":6}"#),
            ("asg:terminate-instance", instance),
            ("asg:start-instance-refresh", r#"{"min-healthy-percent":75}"#),
        ];
        assert_eq!(all.map(|(action, _)| action).as_slice(), NAMES);
        for (action, parameters) in all {
            let change = read(action, parameters).expect("parameters");
            assert_eq!((change.action(), change.parameters().as_str()), (action, parameters));
        }
    }

    #[test]
    fn what_is_no_action_is_refused() {
        for action in ["ecs:delete-service", "asg:delete-group", "ECS:SCALE-SERVICE", "scale-service", ""] {
            assert!(read(action, r#"{"desired":5}"#).is_err_and(|error| error.contains("no action")), "{action}");
        }
    }

    #[test]
    fn the_direction_compares_with_what_is_there() {
        for (action, reading) in
            [("ecs:scale-service", fixture::reading(4)), ("asg:set-desired-capacity", fixture::group_reading(4))]
        {
            let to = |desired: u32| {
                read(action, &format!(r#"{{"desired":{desired}}}"#)).expect("parameters").direction(&reading)
            };
            assert_eq!([to(3), to(4), to(5)], [Direction::In, Direction::Neither, Direction::Out], "{action}");
        }
    }

    #[test]
    fn a_reading_of_another_kind_proves_nothing_and_repeats_nothing() {
        let scale = read("ecs:scale-service", r#"{"desired":6}"#).expect("parameters");
        let set = read("asg:set-desired-capacity", r#"{"desired":6}"#).expect("parameters");
        for (change, other) in [(scale, fixture::group_reading(6)), (set, fixture::reading(6))] {
            assert!(change.verify(&other, &other).is_err());
            assert!(matches!(change.trace(&other, &other), Trace::NotSeenOnce(_)));
            assert_eq!(change.inverse(&other), None);
            assert_eq!(change.before(&other), Json::empty_object());
        }
    }
}
