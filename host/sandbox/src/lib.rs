//! The sandbox: runs plugins, which are code by strangers, so that a bad one harms only itself.
//!
//! A component of a class that the operator permits (`class`) and with interfaces of ours alone (`interfaces`) is compiled once
//! (`compile`, best in a process of its own) and becomes a [`Plugin`] (`plugin`) of a [`Sandbox`], linked against nothing but
//! our `log` and an inert WASI (`wasi`). The sandbox then makes a fresh store and instance for every call (`store`) once it has
//! its turn (`turns`), bounded in instructions, time (`meter`) and space (`limits`, the one file with every number). It is the
//! only crate that names wasmtime, and it refuses to know what a plugin's answer leads to: it turns the core's [`Input`](balm_core::evaluation::Input) into an
//! [`Outcome`](balm_core::evaluation::Outcome), or into that plugin's failure.

mod class;
mod compile;
mod convert;
mod failure;
mod interfaces;
mod limits;
mod meter;
mod plugin;
mod sandbox;
mod store;
mod turns;
mod wasi;
#[cfg(feature = "yardstick")]
pub mod yardstick;

pub use class::Class;
pub use compile::{Compiled, compile, fingerprint};
pub use interfaces::Interfaces;
pub use plugin::{LoadError, Plugin, Round};
pub use sandbox::{ENGINE_VERSION, Sandbox, SandboxError};
pub use store::{Level, LogLine};

/// The contract, as types.
mod contract {
    wasmtime::component::bindgen!({
        path: "../../wit/0.1.0",
        world: "policy",
        imports: { default: trappable },
        exports: { default: async },
    });
}
