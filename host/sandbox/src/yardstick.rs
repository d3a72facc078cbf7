//! What wasmtime itself costs: the same component in the same engine, in a loop with nothing of ours around it. For
//! benchmarks only.

use balm_core::evaluation::Input;
use wasmtime::{
    Store,
    component::{Component, HasSelf, Linker},
};

use crate::{
    contract::{Policy, PolicyPre, balm::policy::log, exports::balm::policy::plugin},
    convert, limits,
    sandbox::Sandbox,
};

/// A component without limits on space, WASI, log, clock, turns and timeouts, and an input that is converted already.
pub struct Bare<'a> {
    sandbox: &'a Sandbox,
    pre: PolicyPre<Silent>,
    input: plugin::Input,
}

/// Hears nothing.
struct Silent;

impl log::Host for Silent {
    fn write(&mut self, _level: log::Level, _message: String) -> wasmtime::Result<()> {
        Ok(())
    }
}

impl<'a> Bare<'a> {
    /// Compile and link a component. Whatever else it imports traps if it is called.
    pub fn new(sandbox: &'a Sandbox, component: &[u8], input: &Input) -> Result<Self, String> {
        Self::link(sandbox, component, input).map_err(|error| format!("{error:#}"))
    }

    fn link(sandbox: &'a Sandbox, component: &[u8], input: &Input) -> wasmtime::Result<Self> {
        let component = Component::from_binary(&sandbox.engine, component)?;
        let mut linker = Linker::new(&sandbox.engine);
        log::add_to_linker::<_, HasSelf<Silent>>(&mut linker, |silent| silent)?;
        linker.define_unknown_imports_as_traps(&component)?;
        let pre = PolicyPre::new(linker.instantiate_pre(&component)?)?;
        Ok(Self { sandbox, pre, input: convert::input(input) })
    }

    /// One store, one instance, one call: whether it decided.
    pub async fn evaluate(&self) -> Result<bool, String> {
        self.call().await.map_err(|error| format!("{error:#}"))
    }

    async fn call(&self) -> wasmtime::Result<bool> {
        let mut store = Store::new(&self.sandbox.engine, Silent);
        store.set_fuel(limits::FUEL)?;
        store.set_epoch_deadline(u64::MAX / 2);
        let policy: Policy = self.pre.instantiate_async(&mut store).await?;
        let outcome = policy.balm_policy_plugin().call_evaluate(&mut store, &self.input).await?;
        Ok(matches!(outcome, Ok(plugin::Outcome::Decided(_))))
    }
}
