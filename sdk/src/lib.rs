//! Write remediation policies for Balm in Rust.
//!
//! A policy is a pure function. Balm calls it when an alert fires or resolves, with everything it may know; it answers
//! with a decision: what to change, and why. It never acts by itself: Balm looks at the target, asks its guardrails, acts,
//! verifies and records.
//!
//! # Five minutes
//!
//! ```toml
//! # Cargo.toml
//! [lib]
//! crate-type = ["cdylib", "rlib"]
//!
//! [dependencies]
//! balm-sdk = { path = "…" }
//! schemars = { version = "1", default-features = false, features = ["derive", "std"] }
//! serde = { version = "1", features = ["derive"] }
//! ```
//!
//! ```
//! use balm_sdk::{Decision, Input, Intent, Policy, Stop};
//!
//! /// What the operator can set.
//! #[derive(serde::Deserialize, schemars::JsonSchema)]
//! struct Settings {
//!     maximum: u32,
//! }
//!
//! /// Adds a task for every firing alert, up to a maximum.
//! struct OneMore;
//!
//! impl Policy for OneMore {
//!     type Settings = Settings;
//!     const SUMMARY: &'static str = "Adds a task for every firing alert, up to a maximum.";
//!     const ACTIONS: &'static [&'static str] = &["ecs:scale-service"];
//!     const QUERIES: &'static [&'static str] = &["ecs:service"];
//!
//!     fn evaluate(input: &Input<Settings>) -> Result<Decision, Stop> {
//!         let mut decision = Decision::because("one task more");
//!         for target in &input.targets {
//!             // Asks Balm the first time, and has the answer the second time.
//!             let service = input.ecs_service(target)?;
//!             if input.alert.is_firing() && service.desired < input.settings.maximum {
//!                 let intent = Intent::scale_service(target, service.desired + 1)
//!                     .expecting("desired", service.desired)
//!                     .because("the alert fires");
//!                 decision = decision.propose(intent);
//!             }
//!         }
//!         Ok(decision)
//!     }
//! }
//!
//! balm_sdk::export!(OneMore);
//!
//! // Without Wasm, in an ordinary test:
//! use balm_sdk::testing::{Scene, service};
//!
//! let web = "arn:aws:ecs:eu-central-1:123456789012:service/prod/web";
//! let decision = Scene::firing("HighCpu")
//!     .settings(r#"{"maximum": 6}"#)
//!     .target(web)
//!     .service(web, service(4))
//!     .decide::<OneMore>();
//! assert_eq!(decision.intents[0].parameters, r#"{"desired":5}"#);
//! ```
//!
//! `cargo build --release --target wasm32-wasip2` makes the component; copy it into Balm's plugin directory.
//!
//! # How a policy asks
//!
//! [`Input::ecs_service`], [`Input::asg_group`] and their like return what Balm has read. If it has not read it yet, they
//! return [`Stop::Needs`]; hand that on with `?`, and Balm reads it and evaluates again. To ask for several at once, so that
//! it takes one round, use [`Input::ask_all`] and [`Stop::both`].
//!
//! # What makes a good policy
//!
//! It proposes absolute values with what it expects ("6, provided it is still 4"), explains itself also when it proposes
//! nothing, looks at [`Input::history`] before it repeats itself, and says with [`Decision::look_again_after`] when it
//! wants to be asked again: it may not wait. A policy that scales something by steps has most of that in [`stepping`].

mod decision;
#[doc(hidden)]
pub mod heap;
mod input;
pub mod log;
mod policy;
pub mod stepping;
pub mod testing;
pub mod wire;

#[cfg(target_family = "wasm")]
#[doc(hidden)]
pub mod glue;

pub use balm_catalogue as catalogue;
pub use decision::{Decision, Intent, Stop};
pub use input::{Alert, Input, PastIntent, Target, Trigger};
pub use policy::Policy;

/// Make a type that is a [`Policy`] the plugin of this crate. Once a crate; does nothing in a native build.
///
/// It also sets the crate's allocator, to one that is made for a call and what it needs: do not set another.
#[macro_export]
macro_rules! export {
    ($policy:ty) => {
        #[cfg(target_family = "wasm")]
        #[allow(unsafe_code, reason = "the canonical ABI of components is a C ABI")]
        const _: () = {
            #[global_allocator]
            static HEAP: $crate::heap::Heap = $crate::heap::Heap::new();

            struct Exported;

            impl $crate::glue::Guest for Exported {
                fn describe() -> $crate::glue::Manifest {
                    $crate::glue::describe::<$policy>(env!("CARGO_PKG_VERSION"))
                }

                fn validate_settings(settings: String) -> Result<(), String> {
                    $crate::wire::validate_settings::<$policy>(&settings)
                }

                fn evaluate(input: $crate::glue::Input) -> Result<$crate::glue::Outcome, String> {
                    $crate::glue::evaluate::<$policy>(input)
                }
            }

    $crate::glue::bindings::export!(Exported with_types_in $crate::glue::bindings);
        };
    };
}
