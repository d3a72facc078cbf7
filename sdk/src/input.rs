//! What an evaluation may know, and how it asks for more.

use std::{collections::BTreeMap, fmt};

use balm_catalogue::{
    Query as Kind,
    asg::{Group, GroupQuery},
    ecs::{Service, ServiceQuery, Tasks, TasksQuery},
};

use crate::{
    Stop,
    wire::{Answer, Query},
};

/// All that an evaluation may know.
#[derive(Clone, Debug)]
pub struct Input<S> {
    /// The alert, as last received.
    pub alert: Alert,
    /// The operator's name for this policy.
    pub policy: String,
    /// What it may look at and propose to change, in this episode.
    pub targets: Vec<Target>,
    /// What the operator set.
    pub settings: S,
    /// Why it is evaluated now.
    pub trigger: Trigger,
    /// What it proposed in this episode before, oldest first; the newest sixteen.
    pub history: Vec<PastIntent>,
    /// The time, in milliseconds since 1970. It stands still.
    pub now: u64,
    /// The only randomness.
    pub seed: u64,
    pub(crate) answers: Vec<Answer>,
}

/// One alert instance. Its texts are written by whoever writes alert rules: data, never instructions.
#[derive(Clone, Debug, PartialEq)]
pub struct Alert {
    /// The configured sender.
    pub source: String,
    /// The sender's tenant.
    pub org: String,
    /// The sender's identity of this instance.
    pub fingerprint: String,
    /// Whether the condition holds.
    pub firing: bool,
    /// The label `alertname`, or "".
    pub name: String,
    /// By name.
    pub labels: BTreeMap<String, String>,
    /// By name.
    pub annotations: BTreeMap<String, String>,
    /// What was measured, by query or expression; finite.
    pub values: BTreeMap<String, f64>,
    /// When it began, in milliseconds since 1970, by the sender's clock.
    pub starts_at: Option<u64>,
    /// When it ended.
    pub ends_at: Option<u64>,
}

impl Alert {
    /// Whether the condition holds.
    #[must_use]
    pub const fn is_firing(&self) -> bool {
        self.firing
    }

    /// The value of a label.
    #[must_use]
    pub fn label(&self, name: &str) -> Option<&str> {
        self.labels.get(name).map(String::as_str)
    }

    /// A measured value.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<f64> {
        self.values.get(name).copied()
    }
}

/// A resource within the policy's reach, as an ARN.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Target(String);

impl Target {
    /// A target by its ARN.
    #[must_use]
    pub fn new(arn: impl Into<String>) -> Self {
        Self(arn.into())
    }

    /// The ARN.
    #[must_use]
    pub fn arn(&self) -> &str {
        &self.0
    }

    /// The last part of the ARN: what people call it.
    #[must_use]
    pub fn name(&self) -> &str {
        // The name of a group may have slashes itself.
        let group = self.is_asg_group().then(|| self.0.split_once(":autoScalingGroupName/")).flatten();
        group.map_or_else(|| self.0.rsplit(['/', ':']).next().unwrap_or(&self.0), |(_, name)| name)
    }

    /// Whether it is an Auto Scaling group.
    #[must_use]
    pub fn is_asg_group(&self) -> bool {
        self.service() == Some("autoscaling")
    }

    /// Whether it is an ECS service.
    #[must_use]
    pub fn is_ecs_service(&self) -> bool {
        self.service() == Some("ecs")
    }

    /// The service of AWS in the ARN.
    fn service(&self) -> Option<&str> {
        self.0.split(':').nth(2)
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why an evaluation happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// The alert fires.
    Fired,
    /// The alert has resolved.
    Resolved,
    /// The last decision asked for it.
    LookAgain,
    /// An intent could not be verified in time.
    Unverified,
    /// A word of a later host: treat it as [`Trigger::LookAgain`].
    Other(String),
}

impl From<String> for Trigger {
    fn from(word: String) -> Self {
        match word.as_str() {
            "fired" => Self::Fired,
            "resolved" => Self::Resolved,
            "look-again" => Self::LookAgain,
            "unverified" => Self::Unverified,
            _ => Self::Other(word),
        }
    }
}

/// One intent of this episode and policy so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PastIntent {
    /// What was proposed.
    pub action: String,
    /// Where.
    pub target: Target,
    /// When, in milliseconds since 1970.
    pub at: u64,
    /// What became of it: waiting, refused, observed, attempting, unknown, verifying, verified, unverified, failed,
    /// undone, expired, denied, void.
    pub state: String,
    /// What it changes, as Balm found it: a JSON object.
    pub before: String,
    /// The same, as it wanted it.
    pub after: String,
}

impl PastIntent {
    /// Whether it is still on its way.
    #[must_use]
    pub fn is_in_progress(&self) -> bool {
        matches!(self.state.as_str(), "waiting" | "attempting" | "unknown" | "verifying")
    }

    /// Whether nothing was changed by it: it was refused, failed, expired, denied, void or taken back.
    #[must_use]
    pub fn changed_nothing(&self) -> bool {
        matches!(self.state.as_str(), "refused" | "failed" | "expired" | "denied" | "void" | "undone")
    }

    /// A whole number of `before`: `past.before("desired")`.
    #[must_use]
    pub fn before(&self, attribute: &str) -> Option<u64> {
        number(&self.before, attribute)
    }

    /// A whole number of `after`.
    #[must_use]
    pub fn after(&self, attribute: &str) -> Option<u64> {
        number(&self.after, attribute)
    }
}

fn number(json: &str, attribute: &str) -> Option<u64> {
    serde_json::from_str::<serde_json::Value>(json).ok()?.get(attribute)?.as_u64()
}

impl<S> Input<S> {
    /// A service as Balm read it.
    pub fn ecs_service(&self, target: &Target) -> Result<Service, Stop> {
        self.ask(target, &ServiceQuery {})
    }

    /// The tasks of a service as Balm read them.
    pub fn ecs_tasks(&self, target: &Target) -> Result<Tasks, Stop> {
        self.ask(target, &TasksQuery {})
    }

    /// A group with its instances as Balm read it.
    pub fn asg_group(&self, target: &Target) -> Result<Group, Stop> {
        self.ask(target, &GroupQuery {})
    }

    /// The answer to a query, or the stop that makes Balm read it.
    pub fn ask<Q: Kind>(&self, target: &Target, query: &Q) -> Result<Q::Answer, Stop> {
        let query = Query::new(target, query);
        self.answer_to::<Q>(&query).unwrap_or_else(|| Err(Stop::Needs(vec![query])))
    }

    /// The answers to the same query about several targets: all that are missing are asked for in one round.
    pub fn ask_all<'t, Q: Kind>(
        &self,
        targets: impl IntoIterator<Item = &'t Target>,
        query: &Q,
    ) -> Result<Vec<(&'t Target, Q::Answer)>, Stop> {
        let (mut answers, mut missing) = (Vec::new(), Vec::new());
        for target in targets {
            let query = Query::new(target, query);
            match self.answer_to::<Q>(&query) {
                Some(answer) => answers.push((target, answer?)),
                None => missing.push(query),
            }
        }
        if missing.is_empty() { Ok(answers) } else { Err(Stop::Needs(missing)) }
    }

    fn answer_to<Q: Kind>(&self, query: &Query) -> Option<Result<Q::Answer, Stop>> {
        let answer = self.answers.iter().find(|answer| answer.query == *query)?;
        Some(match &answer.reading {
            Ok(json) => serde_json::from_str(json)
                .map_err(|error| Stop::Failed(format!("the answer to {} is not understood: {error}", query.kind))),
            Err(why) => Err(Stop::Failed(format!("{} of {} could not be read: {why}", query.kind, query.target))),
        })
    }

    /// The newest intent of the history, if there is one.
    #[must_use]
    pub fn newest_intent(&self, target: &Target) -> Option<&PastIntent> {
        self.history.iter().rev().find(|past| past.target == *target)
    }

    /// Whether an intent on this target is still on its way.
    #[must_use]
    pub fn is_in_progress(&self, target: &Target) -> bool {
        self.history.iter().any(|past| past.target == *target && past.is_in_progress())
    }

    /// Whole seconds since a time in milliseconds; zero for one to come.
    #[must_use]
    pub const fn seconds_since(&self, then: u64) -> u64 {
        self.now.saturating_sub(then) / 1000
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_says_what_it_is_and_what_people_call_it() {
        let service = Target::new("arn:aws:ecs:eu-central-1:123456789012:service/prod/web");
        assert!(service.is_ecs_service() && !service.is_asg_group());
        assert_eq!(service.name(), "web");
        let prefix = "arn:aws:autoscaling:eu-central-1:123456789012:autoScalingGroup:*:autoScalingGroupName/";
        let group = Target::new(format!("{prefix}team/fleet"));
        assert!(group.is_asg_group() && !group.is_ecs_service());
        assert_eq!(group.name(), "team/fleet");
        let other = Target::new("fleet");
        assert!(!other.is_asg_group() && !other.is_ecs_service());
    }
}
