//! What whole-system tests, proofs and benchmarks share.
//!
//! `harness` starts the real programs in directories of their own and speaks to them as strangers do, and `binary` writes Wasm
//! that no text could say. What they must withstand, each with what it counts: `kills` ends a host at any moment, `syscalls` at
//! one call to the kernel after the other and `lifecycle` in changes of plugins' versions; `power` opens what a power cut may
//! leave and `rot` what becomes of damaged files; `swaps` replaces plugins under load; `storm` sends alerts by the thousand and
//! `outage` does while nobody answers for Slack; `corpus` has the hostile guests, beside all of which a good plugin is a
//! `neighbour`, and `bombs` those that are hard to compile; `fuzz` hands over what is nearly right, `approvals` has everything
//! that somebody may try with an approval, and `tamper` forges exports, which `export` takes apart. What must come out the same:
//! `replay` makes decisions again, `golden` has decisions of released contracts and `golden_journal` what earlier versions wrote,
//! `languages` builds the policies that are not in Rust, and `oracle` judges random intents beside the guard. `sim` runs the core,
//! a model of the journal and the model cloud under one seed. `mutants` plants faults that tests must find. `bench` measures.
//! `book` reads the book and does what it says, `reference` writes the pages of it that code can write. Nothing here is shipped.

pub mod approvals;
pub mod bench;
pub mod binary;
pub mod bombs;
pub mod book;
pub mod corpus;
pub mod export;
pub mod fuzz;
pub mod golden;
pub mod golden_journal;
pub mod harness;
pub mod kills;
pub mod languages;
pub mod lifecycle;
pub mod mutants;
pub mod neighbour;
pub mod oracle;
pub mod outage;
pub mod power;
pub mod reference;
pub mod replay;
pub mod rot;
mod seeds;
pub mod sim;
pub mod storm;
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

/// The golden plugin that says back everything that it is told.
pub const GOLDEN_SAY_EVERYTHING: &str = env!("PLUGIN_GOLDEN_SAY_EVERYTHING");

/// The golden plugin that asks before it decides.
pub const GOLDEN_SCALE_BY_HAND: &str = env!("PLUGIN_GOLDEN_SCALE_BY_HAND");
