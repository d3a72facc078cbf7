//! What an evaluation returns.

use balm_catalogue::{
    Action,
    asg::{SetDesiredCapacity, StartInstanceRefresh, TerminateInstance},
    ecs::{RedeployService, ScaleService, StopTask},
};
use serde_json::{Map, Value};

use crate::{Target, wire::Query};

/// Why an evaluation ends without a decision. Hand it on with `?`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    /// These answers are needed first: Balm reads them and evaluates again.
    Needs(Vec<Query>),
    /// It cannot be decided, for this reason. Balm records it and tries again later.
    Failed(String),
}

impl Stop {
    /// A failure in words.
    pub fn failed(why: impl Into<String>) -> Self {
        Self::Failed(why.into())
    }

    /// Both answers, or everything that is needed for both, in one round.
    pub fn both<A, B>(one: Result<A, Self>, other: Result<B, Self>) -> Result<(A, B), Self> {
        match (one, other) {
            (Ok(one), Ok(other)) => Ok((one, other)),
            (Err(Self::Failed(why)), _) | (_, Err(Self::Failed(why))) => Err(Self::Failed(why)),
            (Err(Self::Needs(one)), Err(Self::Needs(other))) => Err(Self::Needs([one, other].concat())),
            (Err(stop), Ok(_)) | (Ok(_), Err(stop)) => Err(stop),
        }
    }
}

/// What should be done, and why.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decision {
    /// What to do; at most eight.
    pub intents: Vec<Intent>,
    /// Why, for people; also when nothing is proposed.
    pub explanation: String,
    /// Evaluate again after so many seconds.
    pub look_again_after: Option<u32>,
}

impl Decision {
    /// A decision to do nothing, so far, and why.
    #[must_use]
    pub fn because(explanation: impl Into<String>) -> Self {
        Self { explanation: explanation.into(), ..Self::default() }
    }

    /// The decision with an intent more.
    #[must_use]
    pub fn propose(mut self, intent: Intent) -> Self {
        self.intents.push(intent);
        self
    }

    /// The decision to be asked again after so many seconds; the soonest counts if it is said twice.
    #[must_use]
    pub fn look_again_after(mut self, seconds: u32) -> Self {
        self.look_again_after = Some(self.look_again_after.map_or(seconds, |before| before.min(seconds)));
        self
    }
}

/// One proposed change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Intent {
    /// What: a name of the catalogue.
    pub action: String,
    /// Where.
    pub target: Target,
    /// How: a JSON object in the catalogue's shape.
    pub parameters: String,
    /// What must still be true when Balm acts: attributes of the target.
    pub expects: Map<String, Value>,
    /// Seconds until it must be verified, if not the action's own deadline.
    pub verify_within: Option<u32>,
    /// Whether to undo it when it cannot be verified.
    pub undo: bool,
    /// Why, in one sentence.
    pub reason: String,
}

impl Intent {
    /// Any action of the catalogue.
    #[must_use]
    pub fn new<A: Action>(target: &Target, action: &A) -> Self {
        Self {
            action: A::NAME.into(),
            target: target.clone(),
            parameters: serde_json::to_string(action).unwrap_or_default(),
            expects: Map::new(),
            verify_within: None,
            undo: false,
            reason: String::new(),
        }
    }

    /// Run so many tasks. Say what number is expected: `.expecting("desired", 4)`; Balm refuses it otherwise.
    #[must_use]
    pub fn scale_service(target: &Target, desired: u32) -> Self {
        Self::new(target, &ScaleService { desired })
    }

    /// Replace all tasks by new ones.
    #[must_use]
    pub fn redeploy_service(target: &Target) -> Self {
        Self::new(target, &RedeployService {})
    }

    /// Stop one task, which the service replaces.
    #[must_use]
    pub fn stop_task(target: &Target, task: impl Into<String>) -> Self {
        Self::new(target, &StopTask { task: task.into() })
    }

    /// Have so many instances in the group. Say what number is expected: `.expecting("desired", 4)`; Balm refuses it otherwise.
    #[must_use]
    pub fn set_desired_capacity(target: &Target, desired: u32) -> Self {
        Self::new(target, &SetDesiredCapacity { desired })
    }

    /// Terminate one instance, which the group replaces.
    #[must_use]
    pub fn terminate_instance(target: &Target, instance: impl Into<String>) -> Self {
        Self::new(target, &TerminateInstance { instance: instance.into() })
    }

    /// Replace all instances by new ones, some at a time: as many as leave this share of them healthy, in per cent.
    #[must_use]
    pub fn start_instance_refresh(target: &Target, min_healthy_percent: u32) -> Self {
        Self::new(target, &StartInstanceRefresh { min_healthy_percent: Some(min_healthy_percent) })
    }

    /// An attribute of the target that must still have this value when Balm acts.
    #[must_use]
    pub fn expecting(mut self, attribute: impl Into<String>, value: impl Into<Value>) -> Self {
        self.expects.insert(attribute.into(), value.into());
        self
    }

    /// Why, in one sentence.
    #[must_use]
    pub fn because(mut self, reason: impl Into<String>) -> Self {
        self.reason = reason.into();
        self
    }

    /// Seconds until it must be verified.
    #[must_use]
    pub const fn verify_within(mut self, seconds: u32) -> Self {
        self.verify_within = Some(seconds);
        self
    }

    /// Undo it when it cannot be verified in time.
    #[must_use]
    pub const fn undo_if_unverified(mut self) -> Self {
        self.undo = true;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn needs(kinds: &[&str]) -> Stop {
        let query = |kind: &&str| Query { kind: (*kind).into(), target: Target::new("arn"), parameters: "{}".into() };
        Stop::Needs(kinds.iter().map(query).collect())
    }

    #[test]
    fn both_asks_for_everything_that_is_missing_in_one_round() {
        let one = |result: Result<u8, Stop>, other: Result<u8, Stop>| Stop::both(result, other);
        assert_eq!(one(Ok(1), Ok(2)), Ok((1, 2)));
        assert_eq!(one(Err(needs(&["a"])), Ok(2)), Err(needs(&["a"])));
        assert_eq!(one(Ok(1), Err(needs(&["b"]))), Err(needs(&["b"])));
        assert_eq!(one(Err(needs(&["a"])), Err(needs(&["b", "c"]))), Err(needs(&["a", "b", "c"])));
        assert_eq!(one(Err(needs(&["a"])), Err(Stop::failed("no"))), Err(Stop::failed("no")));
        assert_eq!(one(Err(Stop::failed("no")), Ok(2)), Err(Stop::failed("no")));
    }
}
