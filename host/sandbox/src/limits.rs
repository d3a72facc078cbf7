//! Every limit of the sandbox, with its unit in the name and the reason beside it.
//!
//! wasmtime's own defaults for components are unlimited or very large, so each one that exists is set. What a guest may
//! cost the host is bounded three times over: by instructions (the same on every machine, so a decision replays with its
//! ending), by time (what instructions cost is not the same on every machine), and by space.

use std::time::Duration;

/// Instructions of one call, as wasmtime counts them. Deterministic, so that the same input always ends the same way.
/// `scale-ecs-service` needs about 40,000, the same in a language runtime up to 3 million. 16 ms of arithmetic where nobody
/// else wants the processor, so that also on a slow machine that others share a guest is out of fuel long before it is out of
/// time.
pub(crate) const FUEL: u64 = 25_000_000;

/// The epoch's tick. Each is a point at which a running guest yields its thread to others.
pub(crate) const TICK: Duration = Duration::from_millis(1);

/// The processor's time of a guest in one call: 100 ms, however long it waits for a processor. Fuel ends nearly all guests before;
/// this is for what fuel does not see, such as one instruction that copies a whole memory. It is looked at with every tick.
pub(crate) const TIME: Duration = Duration::from_millis(100);

/// The processor's time of a call that is short: whose plugin's calls are, have their turns at once. A Rust policy takes a
/// twentieth of a millisecond, JavaScript half of one, and Python three to six: those share as many places as there are
/// processors, which is all that they can use.
pub(crate) const SHORT: Duration = Duration::from_millis(2);

/// What share of a long call is forgotten with each short one after it. After one of all its time some thirty short ones make a
/// plugin's calls short again.
pub(crate) const LONG_FORGOTTEN: u32 = 8;

/// The wall clock of one call, with all waiting for a turn: a guest that neither ends nor uses its time has its future
/// dropped. Twenty times the guest's own time, since so many may share a thread.
pub(crate) const WALL: Duration = Duration::from_secs(2);

/// The wall clock of the calls made when a plugin is loaded: `describe` and `validate-settings`.
pub(crate) const LOAD_WALL: Duration = Duration::from_secs(5);

/// Bytes of all linear memories of an instance together. A Rust guest uses 1 to 2 MiB, Python 16.
pub(crate) const MEMORY_BYTES: usize = 32 << 20;

/// Entries of all tables of an instance together. componentize-py needs about 6,000.
pub(crate) const TABLE_ENTRIES: usize = 10_000;

/// Bytes that a guest may hand to the host in one call, in either direction: a log line, or a whole outcome.
pub(crate) const HOSTCALL_BYTES: usize = 1 << 20;

/// Handles to host resources (streams and the like) that a guest may hold.
pub(crate) const HANDLES: usize = 256;

/// Bytes of randomness in one request.
pub(crate) const RANDOM_BYTES: u64 = 4 << 10;

/// Lines of a plugin's log in one call; further ones are counted and dropped.
pub(crate) const LOG_LINES: usize = 64;

/// Bytes of one line of a plugin's log; the rest is cut.
pub(crate) const LOG_LINE_BYTES: usize = 1 << 10;

/// Bytes that a guest may write to its standard output and error, together; further ones are dropped. Enough for the
/// message of a panic, which is why they are kept at all.
pub(crate) const STDIO_BYTES: usize = 4 << 10;

/// Bytes of the message that explains a failure.
pub(crate) const MESSAGE_BYTES: usize = 1 << 10;

/// Bytes of a plain component: code and little else. A Rust policy has 0.4 MB, QuickJS 1.2 MB, a C policy 0.04 MB.
pub(crate) const PLAIN_BYTES: usize = 4 << 20;

/// Bytes of a component that carries the runtime of a language: componentize-py has 18.8 MB, SpiderMonkey 12 MB, Go 4.5 MB.
pub(crate) const RUNTIME_BYTES: usize = 32 << 20;

/// Functions of a component, over all its modules, in either class. A Rust policy has about 500, QuickJS and Go
/// 2,500, Python 13,500.
pub(crate) const FUNCTIONS: u32 = 50_000;

/// Bytes of native code that a plain component may come to: four times as many as it may have itself. Measured: 1.4 MB for a
/// Rust policy of 0.4 MB, 4.5 MB for QuickJS with 1.2 MB. The host has it in memory twice while it is taken in.
pub(crate) const PLAIN_CODE_BYTES: usize = 16 << 20;

/// The same for one that carries the runtime of a language. Measured: 11.5 MB for Go with 4.5 MB, 40 MB for componentize-py with
/// 18.8 MB.
pub(crate) const RUNTIME_CODE_BYTES: usize = 128 << 20;

/// Types, imports, exports, globals and whatever else a component or its modules define, beside functions and data. The host
/// keeps some hundred bytes of each, whether it can be used or not. Measured: 320 in a Rust policy, 1,600 in QuickJS's, 11,000 in
/// componentize-py's.
pub(crate) const DEFINITIONS: u32 = 50_000;

/// Modules and components inside a component. Measured: componentize-py 38, QuickJS 11.
pub(crate) const PARTS: u32 = 128;

/// Memories of a module, defined or imported. Every toolchain has one; the engine itself needs the feature for more, when it
/// copies between two components inside of one.
pub(crate) const MEMORIES_OF_A_MODULE: u32 = 1;

/// Imports, and exports, that are shown of a file: about twice what WASI and our contract have together.
pub(crate) const NAMES_SHOWN: usize = 128;

/// How deep they may be nested: a module is at 1, one of a component in a component at 2. Toolchains use two.
pub(crate) const DEPTH: u32 = 8;

/// Bytes of the stack of a guest's own frames.
pub(crate) const WASM_STACK_BYTES: usize = 256 << 10;

/// Bytes of the whole stack that a guest's call runs on. What is not the guest's is for host functions, and running out
/// of it would abort the process.
pub(crate) const STACK_BYTES: usize = 2 << 20;

/// Instances alive at once. Long calls beyond the number of processors wait without one, so these are for short ones, of which
/// with more nothing was faster, and a reserve for loading plugins.
pub(crate) const INSTANCES: u32 = 72;

/// Places for calls that take long, where there are more processors: half of the instances are left to the others.
pub(crate) const LONG_MOST: usize = INSTANCES as usize / 2;

/// Core instances of a component. Measured: componentize-py 38, QuickJS 11, Go 4, Rust 3.
pub(crate) const CORE_INSTANCES_EACH: u32 = 64;

/// Memories of a component; one, and a few for adapters.
pub(crate) const MEMORIES_EACH: u32 = 4;

/// Tables of a component.
pub(crate) const TABLES_EACH: u32 = 16;

/// Bytes of the runtime's own data about a core instance; QuickJS and Python need some 100 kB.
pub(crate) const CORE_INSTANCE_BYTES: usize = 1 << 20;

/// Bytes of a memory that stay resident when its slot is given back, to be cleared instead of unmapped. Measured with
/// `scale-ecs-service` (see `cargo xtask bench`): from 64 KiB up to 2 MiB there is no difference where the kernel can
/// tell which pages were touched; without that, more costs more.
pub(crate) const MEMORY_KEPT_BYTES: usize = 256 << 10;

/// Bytes of a table that stay resident when its slot is given back.
pub(crate) const TABLE_KEPT_BYTES: usize = 64 << 10;

/// Bytes of a stack that are cleared instead of unmapped when it is given back. Measured with `scale-ecs-service` (see
/// `cargo xtask bench`): a decision takes 22 µs with it and 31 without, since unmapping what was touched interrupts every
/// core that runs a thread of this process.
pub(crate) const STACK_KEPT_BYTES: usize = 64 << 10;
