//! What whole-system tests, proofs and benchmarks share.

/// The component of `scale-ecs-service`, as built from this repository.
pub const SCALE_ECS_SERVICE: &str = env!("PLUGIN_SCALE_ECS_SERVICE");
