//! The engine, its settings, and the thread that makes time pass for guests.
//!
//! One constructor turns on fuel, epochs and the ticker together, so that none can be on without the others.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use wasmtime::{
    Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, RegallocAlgorithm, Strategy,
    WasmFeatures, component::Linker,
};

use crate::{
    contract, limits,
    store::Guest,
    turns::{self, Habit, Turns},
    wasi,
};

/// The version of wasmtime: fuel is comparable within one.
pub const ENGINE_VERSION: &str = "wasmtime 48";

/// Runs plugins. One per process: types of two engines must not be mixed.
pub struct Sandbox {
    pub(crate) engine: Engine,
    pub(crate) linker: Linker<Guest>,
    turns: Turns,
    ticker: Ticker,
}

/// What is wrong with the host, not with a plugin.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The engine cannot be set up on this machine.
    #[error(
        "the WebAssembly engine cannot be set up: {0}; it needs about 1 TiB of address space, so lift limits on virtual memory"
    )]
    Engine(String),
    /// The thread cannot be started.
    #[error("the sandbox's clock cannot be started: {0}")]
    Ticker(std::io::Error),
}

/// The right to have one instance, for as long as it lives, in an epoch that advances.
pub(crate) struct Turn<'a> {
    pub(crate) turn: turns::Turn<'a>,
    _ticking: Ticking<'a>,
}

impl Sandbox {
    /// Set up the engine.
    pub fn new() -> Result<Self, SandboxError> {
        let wrong = |error: wasmtime::Error| SandboxError::Engine(format!("{error:#}"));
        let mut config = config();
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool()));
        let engine = Engine::new(&config).map_err(wrong)?;
        let mut linker = Linker::new(&engine);
        wasi::add_to_linker(&mut linker).map_err(wrong)?;
        contract::Policy::add_to_linker::<_, wasmtime::component::HasSelf<Guest>>(&mut linker, |guest| guest)
            .map_err(wrong)?;
        let ticker = Ticker::start(&engine).map_err(SandboxError::Ticker)?;
        Ok(Self { engine, linker, turns: Turns::new(), ticker })
    }

    /// Wait for the turn of a call that evaluates, of a plugin with this habit.
    pub(crate) async fn evaluating<'a>(&'a self, habit: &'a Habit) -> Turn<'a> {
        Turn { turn: self.turns.evaluating(habit).await, _ticking: self.ticker.ticking() }
    }

    /// Wait for the turn of a call that is made when a plugin is loaded.
    pub(crate) async fn loading(&self) -> Turn<'_> {
        Turn { turn: self.turns.loading().await, _ticking: self.ticker.ticking() }
    }
}

/// Everything that decides about the code that is made and how it behaves; how instances are allocated is not part of it.
pub(crate) fn config() -> Config {
    let mut config = Config::new();
    config
        .strategy(Strategy::Cranelift)
        .cranelift_regalloc_algorithm(RegallocAlgorithm::Backtracking)
        .consume_fuel(true)
        .epoch_interruption(true)
        // Decisions replay: the same bits for every NaN on every machine.
        .cranelift_nan_canonicalization(true)
        .wasm_component_model(true)
        // The asynchronous ABI is what most advisories about components are about, and no policy needs it.
        .concurrency_support(false)
        .max_wasm_stack(limits::WASM_STACK_BYTES)
        .async_stack_size(limits::STACK_BYTES)
        // Nothing of an earlier guest is on the stack of a later one.
        .async_stack_zeroing(true)
        .wasm_backtrace_max_frames(None)
        .memory_init_cow(true);
    features(&mut config);
    config
}

/// Off: everything that no toolchain of a policy needs. On, although no Rust policy has it: what componentize-qjs and
/// componentize-py make. All three are of wasmtime's first tier and on by default there.
fn features(config: &mut Config) {
    config
        .wasm_relaxed_simd(false)
        .wasm_memory64(false)
        .wasm_custom_page_sizes(false)
        .wasm_wide_arithmetic(false)
        // There is no method of its own for it in a build without garbage collection.
        .wasm_features(WasmFeatures::FUNCTION_REFERENCES, false)
        // Components inside of components: what wasmtime writes to copy between their memories has both. A guest's own module
        // with several is refused before it is compiled.
        .wasm_multi_memory(true)
        // QuickJS's interpreter jumps so from one instruction to the next. Each such call costs fuel and sees the epoch.
        .wasm_tail_call(true)
        // Sums in the offsets of position-independent code.
        .wasm_extended_const(true);
}

fn pool() -> PoolingAllocationConfig {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(limits::INSTANCES)
        .total_core_instances(limits::INSTANCES * limits::CORE_INSTANCES_EACH)
        .total_memories(limits::INSTANCES * limits::MEMORIES_EACH)
        .total_tables(limits::INSTANCES * limits::TABLES_EACH)
        .total_stacks(limits::INSTANCES)
        .max_core_instances_per_component(limits::CORE_INSTANCES_EACH)
        .max_memories_per_component(limits::MEMORIES_EACH)
        .max_tables_per_component(limits::TABLES_EACH)
        .max_memory_size(limits::MEMORY_BYTES)
        .table_elements(limits::TABLE_ENTRIES)
        .max_core_instance_size(limits::CORE_INSTANCE_BYTES)
        .max_component_instance_size(limits::CORE_INSTANCE_BYTES)
        .max_unused_warm_slots(limits::INSTANCES)
        .linear_memory_keep_resident(limits::MEMORY_KEPT_BYTES)
        .table_keep_resident(limits::TABLE_KEPT_BYTES)
        .async_stack_keep_resident(limits::STACK_KEPT_BYTES)
        .pagemap_scan(Enabled::Auto);
    pool
}

/// A thread that advances the engine's epoch while guests run, and sleeps while none does.
struct Ticker {
    shared: Arc<Shared>,
    thread: thread::Thread,
}

struct Shared {
    /// Guests that run now; [`ENDED`] when the sandbox is gone.
    running: AtomicUsize,
}

const ENDED: usize = usize::MAX / 2;

struct Ticking<'a>(&'a Ticker);

impl Ticker {
    fn start(engine: &Engine) -> std::io::Result<Self> {
        let shared = Arc::new(Shared { running: AtomicUsize::new(0) });
        let (engine, theirs) = (engine.weak(), Arc::clone(&shared));
        let handle = thread::Builder::new().name("balm-epoch".into()).spawn(move || {
            loop {
                match theirs.running.load(Ordering::Acquire) {
                    0 => thread::park(),
                    running if running >= ENDED => return,
                    _ => {
                        thread::sleep(limits::TICK);
                        let Some(engine) = engine.upgrade() else { return };
                        engine.increment_epoch();
                    }
                }
            }
        })?;
        Ok(Self { shared, thread: handle.thread().clone() })
    }

    fn ticking(&self) -> Ticking<'_> {
        if self.shared.running.fetch_add(1, Ordering::AcqRel) == 0 {
            self.thread.unpark();
        }
        Ticking(self)
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.shared.running.store(ENDED, Ordering::Release);
        self.thread.unpark();
    }
}

impl Drop for Ticking<'_> {
    fn drop(&mut self) {
        self.0.shared.running.fetch_sub(1, Ordering::AcqRel);
    }
}
