//! WASI with nothing real behind it, for the runtimes of languages: a frozen clock, seeded randomness, no files, no
//! environment, no sockets, output that is kept up to a cap, and a trap where a guest would wait.
//!
//! What a component may import stands here as a list. Anything else is refused before the component is linked.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use wasmtime::component::{Linker, ResourceTable};
use wasmtime_wasi::{
    Deterministic, HostMonotonicClock, HostWallClock, WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView, async_trait,
    cli::{IsTerminal, StdoutStream},
    p2::{self, OutputStream, Pollable, StreamError},
};

use crate::{limits, store::Guest};

/// The interfaces of WASI 0.2 that a component may import. Neither sockets nor HTTP is among them, and `filesystem` has
/// no directory in it.
const ALLOWED: [&str; 20] = [
    "wasi:cli/environment",
    "wasi:cli/exit",
    "wasi:cli/stderr",
    "wasi:cli/stdin",
    "wasi:cli/stdout",
    "wasi:cli/terminal-input",
    "wasi:cli/terminal-output",
    "wasi:cli/terminal-stderr",
    "wasi:cli/terminal-stdin",
    "wasi:cli/terminal-stdout",
    "wasi:clocks/monotonic-clock",
    "wasi:clocks/wall-clock",
    "wasi:filesystem/preopens",
    "wasi:filesystem/types",
    "wasi:io/error",
    "wasi:io/poll",
    "wasi:io/streams",
    "wasi:random/insecure",
    "wasi:random/insecure-seed",
    "wasi:random/random",
];

/// Our own interfaces, in every released version.
const OWN: [&str; 2] = ["balm:policy/log@0.1.0", "balm:policy/types@0.1.0"];

/// The names among these that no plugin may import.
pub(crate) fn forbidden<'a>(imports: impl Iterator<Item = &'a str>) -> BTreeSet<&'a str> {
    imports.filter(|import| !OWN.contains(import) && !is_allowed(import)).collect()
}

fn is_allowed(import: &str) -> bool {
    let Some((interface, version)) = import.split_once('@') else { return false };
    let patch = version.strip_prefix("0.2.");
    let is_02 = patch.is_some_and(|patch| !patch.is_empty() && patch.bytes().all(|c| c.is_ascii_digit()));
    is_02 && ALLOWED.contains(&interface)
}

/// Link all of it, and make waiting for time a trap.
pub(crate) fn add_to_linker(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    p2::add_to_linker_async(linker)?;
    linker.allow_shadowing(true);
    for version in ["0.2.0", "0.2.12"] {
        let mut clock = linker.instance(&format!("wasi:clocks/monotonic-clock@{version}"))?;
        for function in ["subscribe-instant", "subscribe-duration"] {
            clock.func_new(function, |_, _, _, _| {
                Err(wasmtime::format_err!(
                    "it waited for time to pass: a policy may not wait, it asks to be looked at again"
                ))
            })?;
        }
    }
    linker.allow_shadowing(false);
    Ok(())
}

/// The WASI of one call. Made when a guest first asks for it: most never do.
pub(crate) struct Wasi {
    now_ms: u64,
    seed: u64,
    made: Option<Box<(WasiCtx, ResourceTable)>>,
    output: Output,
}

impl Wasi {
    pub(crate) fn new(now_ms: u64, seed: u64) -> Self {
        Self { now_ms, seed, made: None, output: Output::default() }
    }

    /// What the guest wrote to its standard output and error.
    pub(crate) fn output(&self) -> String {
        let bytes = self.output.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl WasiView for Guest {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        let Wasi { now_ms, seed, made, output } = &mut self.wasi;
        let (ctx, table) = &mut **made.get_or_insert_with(|| Box::new(make(*now_ms, *seed, output)));
        WasiCtxView { ctx, table }
    }
}

fn make(now_ms: u64, seed: u64, output: &Output) -> (WasiCtx, ResourceTable) {
    let ctx = WasiCtxBuilder::new()
        .wall_clock(Frozen(Duration::from_millis(now_ms)))
        .monotonic_clock(Frozen(Duration::ZERO))
        .secure_random(random(seed, 0))
        .insecure_random(random(seed, 1))
        .insecure_random_seed(u128::from(seed))
        .max_random_size(limits::RANDOM_BYTES)
        .stdout(output.clone())
        .stderr(output.clone())
        .allow_tcp(false)
        .allow_udp(false)
        .allow_ip_name_lookup(false)
        .build();
    let mut table = ResourceTable::new();
    table.set_max_capacity(limits::HANDLES);
    (ctx, table)
}

/// A stream of bytes that depends on the seed alone. It repeats after 4 KiB, which is plenty for hash tables and ids, and
/// it is no secret: the seed stands in the record.
fn random(seed: u64, stream: u64) -> Deterministic {
    let block = |i: u64| {
        *balm_core::digest::Digest::of_fields(&[&seed.to_be_bytes(), &stream.to_be_bytes(), &i.to_be_bytes()])
            .as_bytes()
    };
    Deterministic::new((0..128).flat_map(block).collect())
}

/// A clock that stands still.
struct Frozen(Duration);

impl HostWallClock for Frozen {
    fn resolution(&self) -> Duration {
        Duration::from_millis(1)
    }

    fn now(&self) -> Duration {
        self.0
    }
}

impl HostMonotonicClock for Frozen {
    fn resolution(&self) -> u64 {
        1
    }

    fn now(&self) -> u64 {
        u64::try_from(self.0.as_nanos()).unwrap_or(u64::MAX)
    }
}

/// What a guest writes to its standard output and error: kept up to the cap, and then swallowed.
#[derive(Clone, Default)]
struct Output(Arc<Mutex<Vec<u8>>>);

impl OutputStream for Output {
    fn write(&mut self, bytes: Bytes) -> Result<(), StreamError> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let room = limits::STDIO_BYTES - kept.len();
        kept.extend_from_slice(&bytes[..bytes.len().min(room)]);
        Ok(())
    }

    fn flush(&mut self) -> Result<(), StreamError> {
        Ok(())
    }

    fn check_write(&mut self) -> Result<usize, StreamError> {
        Ok(limits::STDIO_BYTES)
    }
}

#[async_trait]
impl Pollable for Output {
    async fn ready(&mut self) {}
}

impl IsTerminal for Output {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Output {
    fn async_stream(&self) -> Box<dyn tokio::io::AsyncWrite + Send + Sync> {
        Box::new(tokio::io::sink())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_component_may_import_our_log_and_inert_wasi_and_nothing_else() {
        let fine =
            ["balm:policy/log@0.1.0", "wasi:io/streams@0.2.12", "wasi:cli/stderr@0.2.0", "wasi:filesystem/types@0.2.9"];
        assert_eq!(forbidden(fine.into_iter()), BTreeSet::new());
        let not = [
            "wasi:http/outgoing-handler@0.2.10",
            "wasi:sockets/tcp@0.2.12",
            "wasi:keyvalue/store@0.2.0",
            "wasi:cli/run@0.2.0",
            "wasi:io/streams@0.3.0",
            "wasi:io/streams@0.2.x",
            "wasi:io/streams@0.2.",
            "wasi:io/streams",
            "balm:policy/plugin@0.1.0",
            "balm:policy/log@0.2.0",
            "log",
            "",
        ];
        assert_eq!(forbidden(not.into_iter()), not.into_iter().collect());
    }
}
