//! Plugins: components that were checked, compiled and asked what they are.

use std::{sync::Arc, time::Duration};

use balm_core::{
    digest::Digest,
    evaluation::{Failure, FailureKind, Input, Outcome},
    json::Json,
    name::PluginName,
    record::Manifest,
};
use wasmtime::{
    Store,
    component::{Component, ComponentExportIndex},
};

use crate::{
    compile::{self, Compiled},
    contract::{PolicyPre, exports::balm::policy::plugin},
    convert, failure, limits,
    sandbox::{Sandbox, Turn},
    store::{self, Guest, LogLine},
    turns::Habit,
    wasi,
};

/// What the contract calls the functions that a plugin exports.
const INTERFACE: &str = "balm:policy/plugin@0.1.0";

/// What the contract says that `evaluate` returns.
type EvaluateReturns = Result<plugin::Outcome, String>;

/// A version of a plugin, ready to be called.
pub struct Plugin {
    name: PluginName,
    digest: Digest,
    bytes: u64,
    manifest: Manifest,
    settings_schema: Json,
    pre: PolicyPre<Guest>,
    /// Where its function `evaluate` is.
    evaluate: ComponentExportIndex,
    habit: Habit,
    sandbox: Arc<Sandbox>,
}

/// One call of `evaluate`.
#[derive(Debug)]
pub struct Round {
    /// What it returned, or how it failed.
    pub outcome: Result<Outcome, Failure>,
    /// Instructions that it used, or none if it could not be instantiated; the same for the same input.
    pub fuel: u64,
    /// What it said.
    pub log: Vec<LogLine>,
    /// Lines beyond the cap.
    pub log_dropped: u64,
    /// How long it waited for its turn, before it ran and once that took long.
    pub waited: Duration,
}

/// Why a file is no plugin, and what its author can do.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// It is too large.
    #[error("it has {0} bytes; at most {cap} are allowed", cap = limits::RUNTIME_BYTES)]
    TooLarge(usize),
    /// It is something else.
    #[error("it is {0}; build it as a component, for Rust with --target wasm32-wasip2")]
    NotAComponent(&'static str),
    /// Compiling it would cost too much.
    #[error("it has {found} {what}; at most {most} are allowed")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many.
        found: u32,
        /// How many there may be.
        most: u32,
    },
    /// What it was compiled to is too much to keep.
    #[error("it comes to {found} bytes of native code; at most {most} are allowed")]
    TooMuchCode {
        /// Bytes.
        found: usize,
        /// How many there may be.
        most: usize,
    },
    /// Its texts are encoded otherwise.
    #[error("its texts are in UTF-16 or Latin-1; a policy's are in UTF-8 (string-encoding=utf8)")]
    NotUtf8,
    /// It cannot be compiled.
    #[error("it cannot be compiled: {0}")]
    Invalid(String),
    /// Its native code is another engine's, or needs more of it than there is.
    #[error("its native code does not fit the engine: {0}")]
    Stale(String),
    /// It wants more of the world than a policy may have.
    #[error("it imports {0}, which no policy may; it gets `log` and an inert WASI without sockets and HTTP")]
    ForbiddenImport(String),
    /// It does not fit the contract.
    #[error("it does not fit the contract balm:policy@0.1.0: {0}")]
    Contract(String),
    /// It failed when it was asked what it is.
    #[error("it failed when it was asked to describe itself: {}: {}", .0.kind, .0.message)]
    Describe(Failure),
    /// What it says of itself cannot be used.
    #[error("its manifest is wrong: {0}")]
    Manifest(String),
}

impl Plugin {
    /// Check, compile and ask a component, all in this process: for those who trust it, such as tests and benchmarks.
    pub async fn load(sandbox: &Arc<Sandbox>, name: PluginName, bytes: &[u8]) -> Result<Self, LoadError> {
        compile::check(bytes)?;
        let component = Component::from_binary(&sandbox.engine, bytes).map_err(|error| invalid(&error))?;
        Self::link(sandbox, name, bytes, &component).await
    }

    /// Link and ask a component that was compiled before. `bytes` are what it was compiled from.
    pub async fn from_compiled(
        sandbox: &Arc<Sandbox>,
        name: PluginName,
        bytes: &[u8],
        compiled: &Compiled,
    ) -> Result<Self, LoadError> {
        let component = compiled.component(&sandbox.engine).map_err(|error| LoadError::Stale(first_line(&error)))?;
        Self::link(sandbox, name, bytes, &component).await
    }

    async fn link(
        sandbox: &Arc<Sandbox>,
        name: PluginName,
        bytes: &[u8],
        component: &Component,
    ) -> Result<Self, LoadError> {
        let ty = component.component_type();
        let imports: Vec<String> = ty.imports(&sandbox.engine).map(|(name, _)| name.to_owned()).collect();
        if let Some(import) = wasi::forbidden(imports.iter().map(String::as_str)).first() {
            return Err(LoadError::ForbiddenImport((*import).to_owned()));
        }
        let contract = |error: wasmtime::Error| LoadError::Contract(format!("{error:#}"));
        let pre = sandbox.linker.instantiate_pre(component).and_then(PolicyPre::new).map_err(contract)?;
        let interface = component.get_export_index(None, INTERFACE);
        let evaluate = interface.and_then(|interface| component.get_export_index(Some(&interface), "evaluate"));
        let evaluate = evaluate.ok_or_else(|| LoadError::Contract(format!("{INTERFACE} has no function evaluate")))?;
        let mut plugin = Self {
            name,
            digest: Digest::of(&[bytes]),
            bytes: bytes.len() as u64,
            manifest: Manifest::default(),
            settings_schema: Json::empty_object(),
            pre,
            evaluate,
            habit: Habit::unknown(),
            sandbox: Arc::clone(sandbox),
        };
        (plugin.manifest, plugin.settings_schema) = plugin.describe().await?;
        Ok(plugin)
    }

    /// Its name.
    #[must_use]
    pub const fn name(&self) -> &PluginName {
        &self.name
    }

    /// The digest of its bytes: its identity.
    #[must_use]
    pub const fn digest(&self) -> Digest {
        self.digest
    }

    /// The size of its component in bytes.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// What it says of itself.
    #[must_use]
    pub const fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The JSON Schema of its settings.
    #[must_use]
    pub const fn settings_schema(&self) -> &Json {
        &self.settings_schema
    }

    /// Whether its next evaluation is expected to take longer than others should wait for: its last ones did, or there was none.
    #[must_use]
    pub fn takes_long(&self) -> bool {
        self.habit.is_long()
    }

    async fn describe(&self) -> Result<(Manifest, Json), LoadError> {
        let turn = self.sandbox.loading().await;
        let called = self
            .call(turn, (0, 0), limits::LOAD_WALL, async |store| {
                let policy = self.pre.instantiate_async(&mut *store).await?;
                policy.balm_policy_plugin().call_describe(store).await
            })
            .await;
        let manifest = called.returned.map_err(LoadError::Describe)?;
        if let Some(own) = manifest.name.as_deref().filter(|own| *own != self.name.as_str()) {
            return Err(LoadError::Manifest(format!(
                "it insists on the name {own:?}, and its file is named {}",
                self.name
            )));
        }
        convert::manifest(manifest).map_err(LoadError::Manifest)
    }

    /// Whether the plugin accepts these settings; otherwise what it says against them, or how it failed.
    pub async fn validate_settings(&self, settings: &Json) -> Result<(), String> {
        let failed =
            |failure: Failure| format!("plugin {} failed on them: {}: {}", self.name, failure.kind, failure.message);
        let turn = self.sandbox.loading().await;
        let settings = settings.to_string();
        let called = self
            .call(turn, (0, 0), limits::LOAD_WALL, async |store| {
                let policy = self.pre.instantiate_async(&mut *store).await?;
                policy.balm_policy_plugin().call_validate_settings(store, &settings).await
            })
            .await;
        let verdict = called.returned.map_err(failed)?;
        verdict.map_err(|message| store::harmless(&message, limits::MESSAGE_BYTES))
    }

    /// Evaluate an input once, in an instance of its own.
    pub async fn evaluate(&self, input: &Input) -> Round {
        let turn = self.sandbox.evaluating(&self.habit).await;
        let (theirs, mut is_there) = (convert::input(input), false);
        let Called { returned, fuel, log, waited } = self
            .call(turn, (input.now.as_millis(), input.seed), limits::WALL, async |store| {
                let instance = self.pre.instance_pre().instantiate_async(&mut *store).await?;
                is_there = true;
                // Not by way of `Policy`, which looks all of the contract's functions up and checks their types.
                let evaluate =
                    instance.get_typed_func::<(&plugin::Input,), (EvaluateReturns,)>(&mut *store, &self.evaluate)?;
                evaluate.call_async(store, (&theirs,)).await
            })
            .await;
        let outcome = returned.and_then(|(returned,)| match returned {
            Ok(outcome) => convert::outcome(outcome).map_err(|message| Failure {
                kind: FailureKind::Malformed,
                message: store::harmless(&message, limits::MESSAGE_BYTES),
            }),
            Err(message) => {
                Err(Failure { kind: FailureKind::Returned, message: store::harmless(&message, limits::MESSAGE_BYTES) })
            }
        });
        let fuel = if is_there { fuel } else { 0 };
        Round { outcome, fuel, log: log.lines, log_dropped: log.dropped, waited }
    }

    /// Make a call in a fresh store, which has an instance for as long as its turn lasts.
    async fn call<T>(
        &self,
        mut turn: Turn<'_>,
        (now_ms, seed): (u64, u64),
        wall: Duration,
        call: impl AsyncFnOnce(&mut Store<Guest>) -> wasmtime::Result<T>,
    ) -> Called<T> {
        let mut store = store::fresh(&self.sandbox, turn.turn.meter.clone(), now_ms, seed);
        let ended = tokio::time::timeout(wall, turn.turn.run(call(&mut store))).await;
        let returned = match ended {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(failure::of(&error, &store)),
            Err(_) => Err(failure::timed_out(wall)),
        };
        let (fuel, log) = (store::fuel_used(&store), std::mem::take(&mut store.data_mut().log));
        // Before the turn, so that a slot is free when its turn is.
        drop(store);
        Called { returned, fuel, log, waited: turn.turn.waited }
    }
}

/// A call that has ended.
struct Called<T> {
    returned: Result<T, Failure>,
    fuel: u64,
    log: store::Log,
    waited: Duration,
}

/// What the engine says of code may go on for lines, with a table.
fn first_line(error: &wasmtime::Error) -> String {
    format!("{error:#}").lines().next().unwrap_or_default().to_owned()
}

fn invalid(error: &wasmtime::Error) -> LoadError {
    LoadError::Invalid(format!("{error:#}"))
}
