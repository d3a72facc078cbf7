//! Stores: what one call of a guest has, and all that it may use up.

use wasmtime::{ResourceLimiter, Store, UpdateDeadline};

use crate::{
    contract::balm::policy::{log, types},
    limits,
    meter::Meter,
    sandbox::Sandbox,
    wasi::Wasi,
};

/// What one call of a guest has.
pub(crate) struct Guest {
    pub(crate) space: Space,
    pub(crate) log: Log,
    pub(crate) meter: Meter,
    pub(crate) wasi: Wasi,
}

/// What a guest has left of space. wasmtime asks before each growth.
#[derive(Default)]
pub(crate) struct Space {
    memory_bytes: usize,
    table_entries: usize,
    /// Something was refused. A guest usually traps soon after; this says why.
    pub(crate) refused: Option<String>,
}

/// What a guest said.
#[derive(Default)]
pub(crate) struct Log {
    pub(crate) lines: Vec<LogLine>,
    pub(crate) dropped: u64,
}

/// A line of a plugin's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// How much it matters to the plugin's author.
    pub level: Level,
    /// What it says, without control characters.
    pub message: String,
}

/// How much a line of a plugin's log matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// For the plugin's author.
    Debug,
    /// For whoever follows what the plugin does.
    Info,
    /// For whoever must mend something.
    Warn,
}

/// A fresh store with every limit set. `now` and `seed` are all that the guest's WASI knows of the world.
pub(crate) fn fresh(sandbox: &Sandbox, meter: Meter, now_ms: u64, seed: u64) -> Store<Guest> {
    let guest = Guest { space: Space::default(), log: Log::default(), meter, wasi: Wasi::new(now_ms, seed) };
    let mut store = Store::new(&sandbox.engine, guest);
    store.limiter(|guest| &mut guest.space);
    store.set_hostcall_fuel(limits::HOSTCALL_BYTES);
    store.set_max_component_handles(limits::HANDLES);
    store.set_fuel(limits::FUEL).expect("fuel is on in our engine");
    store.set_epoch_deadline(1);
    store.epoch_deadline_callback(|store| {
        let has_had_enough = store.data().meter.ran() > limits::TIME;
        Ok(if has_had_enough { UpdateDeadline::Interrupt } else { UpdateDeadline::Yield(1) })
    });
    store
}

/// How much fuel a call has used.
pub(crate) fn fuel_used(store: &Store<Guest>) -> u64 {
    limits::FUEL - store.get_fuel().unwrap_or(0)
}

impl ResourceLimiter for Space {
    fn memory_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        let after = self.memory_bytes + desired.saturating_sub(current);
        if after > limits::MEMORY_BYTES {
            self.refused = Some(format!("{after} bytes of memory; {} are allowed", limits::MEMORY_BYTES));
            return Ok(false);
        }
        self.memory_bytes = after;
        Ok(true)
    }

    fn table_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        let after = self.table_entries + desired.saturating_sub(current);
        if after > limits::TABLE_ENTRIES {
            self.refused = Some(format!("{after} table entries; {} are allowed", limits::TABLE_ENTRIES));
            return Ok(false);
        }
        self.table_entries = after;
        Ok(true)
    }

    fn instances(&self) -> usize {
        limits::CORE_INSTANCES_EACH as usize
    }

    fn tables(&self) -> usize {
        limits::TABLES_EACH as usize
    }

    fn memories(&self) -> usize {
        limits::MEMORIES_EACH as usize
    }
}

impl types::Host for Guest {}

impl log::Host for Guest {
    fn write(&mut self, level: log::Level, message: String) -> wasmtime::Result<()> {
        let level = match level {
            log::Level::Debug => Level::Debug,
            log::Level::Info => Level::Info,
            log::Level::Warn => Level::Warn,
        };
        self.log.write(level, &message);
        Ok(())
    }
}

impl Log {
    pub(crate) fn write(&mut self, level: Level, message: &str) {
        if self.lines.len() < limits::LOG_LINES {
            self.lines.push(LogLine { level, message: harmless(message, limits::LOG_LINE_BYTES) });
        } else {
            self.dropped += 1;
        }
    }
}

/// A guest's text, cut, with every control character escaped: it cannot move a terminal's cursor or begin a new line.
pub(crate) fn harmless(text: &str, bytes: usize) -> String {
    let cut = &text[..text.floor_char_boundary(bytes)];
    let mut harmless = String::with_capacity(cut.len());
    for c in cut.chars() {
        if c.is_control() || is_directional(c) {
            harmless.extend(c.escape_unicode());
        } else {
            harmless.push(c);
        }
    }
    if cut.len() < text.len() {
        harmless.push('…');
    }
    harmless
}

/// Characters that change the direction of what follows: they make text look like another.
const fn is_directional(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guests_text_can_neither_move_a_cursor_nor_begin_a_line_nor_turn_around() {
        let text = "a\u{1b}[2Jb\r\nc\u{202e}d\u{7f}é";
        assert_eq!(harmless(text, 100), r"a\u{1b}[2Jb\u{d}\u{a}c\u{202e}d\u{7f}é");
        assert_eq!(harmless("éé", 3), "é…");
    }

    #[test]
    fn lines_beyond_the_cap_are_counted_and_dropped() {
        let mut log = Log::default();
        (0..limits::LOG_LINES + 3).for_each(|_| log.write(Level::Info, "x"));
        assert_eq!((log.lines.len(), log.dropped), (limits::LOG_LINES, 3));
    }

    #[test]
    fn memories_and_tables_share_one_budget_each() {
        let mut space = Space::default();
        let half = limits::MEMORY_BYTES / 2;
        assert!(space.memory_growing(0, half, None).expect("an answer"));
        assert!(space.memory_growing(0, half, None).expect("an answer"), "a second memory takes the rest");
        assert!(!space.memory_growing(half, half + 1, None).expect("an answer"));
        assert!(space.refused.is_some());
        assert!(space.table_growing(0, limits::TABLE_ENTRIES, None).expect("an answer"));
        assert!(!space.table_growing(0, 1, None).expect("an answer"));
    }
}
