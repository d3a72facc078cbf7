//! What whole-system tests, proofs and benchmarks share.
//!
//! `harness` starts the real programs in directories of their own and speaks to them as strangers do. `kills` ends them at
//! any moment and recounts what is left; `syscalls` ends them at one call to the kernel after the other, and `power` opens what a power cut may leave. `swaps` replaces
//! plugins under load; `replay` makes decisions again; `export` takes exports apart and puts them together, and `tamper`
//! forges them. `sim` runs the core, a model of the journal and the model cloud under one seed. `corpus` has the hostile
//! guests, and `approvals` the table of everything that somebody may try with an approval. `bench` measures. `book` reads
//! the book and does what it says, `reference` writes the pages of it that code can write. Nothing here is shipped.

pub mod approvals;
pub mod bench;
pub mod book;
pub mod corpus;
pub mod export;
pub mod harness;
pub mod kills;
pub mod power;
pub mod reference;
pub mod replay;
pub mod rot;
pub mod sim;
pub mod swaps;
pub mod syscalls;
pub mod tamper;

/// The component of `scale-ecs-service`, as built from this repository.
pub const SCALE_ECS_SERVICE: &str = env!("PLUGIN_SCALE_ECS_SERVICE");

/// The guest that does what no policy should.
pub const MISBEHAVE: &str = env!("GUEST_MISBEHAVE");

/// The guest that imports sockets.
pub const OPEN_SOCKET: &str = env!("GUEST_OPEN_SOCKET");

/// The component of the guest `propose-anything`.
pub const PROPOSE_ANYTHING: &str = env!("GUEST_PROPOSE_ANYTHING");
/// The component of the guest `stamped`; [`harness::stamped`] makes versions of it.
pub const STAMPED: &str = env!("GUEST_STAMPED");

/// The component of `scale-asg`, as built from this repository.
pub const SCALE_ASG: &str = env!("PLUGIN_SCALE_ASG");

/// The component of `replace-unhealthy-instance`, as built from this repository.
pub const REPLACE_UNHEALTHY_INSTANCE: &str = env!("PLUGIN_REPLACE_UNHEALTHY_INSTANCE");
