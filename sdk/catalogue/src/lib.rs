//! The catalogue: the actions that a plugin may propose and the queries that it may ask, as the types that the SDK and
//! the host share.
//!
//! It owns names and shapes, and refuses to know what is allowed, how anything is read, or how it is done. A type here
//! is a JSON object on the wire; a field that the reader does not know is ignored, so the host can say more later.

pub mod asg;
pub mod ecs;

/// An action of the catalogue: its name, and the shape of its parameters.
pub trait Action: serde::Serialize + serde::de::DeserializeOwned {
    /// What it is called in manifests, rules and records: `ecs:scale-service`.
    const NAME: &'static str;
}

/// A query of the catalogue: its name, and the shapes of its parameters and its answer.
pub trait Query: serde::Serialize + serde::de::DeserializeOwned {
    /// What it is called in manifests and records: `ecs:service`.
    const NAME: &'static str;
    /// What the host answers.
    type Answer: serde::Serialize + serde::de::DeserializeOwned;
}

/// The names of all actions, in the order of the documentation.
pub const ACTIONS: &[&str] = &[
    ecs::ScaleService::NAME,
    ecs::RedeployService::NAME,
    ecs::StopTask::NAME,
    asg::SetDesiredCapacity::NAME,
    asg::TerminateInstance::NAME,
    asg::StartInstanceRefresh::NAME,
];

/// The names of all queries, in the order of the documentation.
pub const QUERIES: &[&str] = &[ecs::ServiceQuery::NAME, ecs::TasksQuery::NAME, asg::GroupQuery::NAME];
