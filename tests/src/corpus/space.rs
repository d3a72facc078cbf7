//! Guests that take space: memory, tables, instances, globals.

use balm_core::evaluation::FailureKind::OutOfSpace;

use super::{
    Ending::{Decides, Fails, Refused},
    Hostile,
    component::{Guest, SAYS},
    guest, misbehave,
    time::WHOLE_MEMORY,
};

pub(super) const GUESTS: &[Hostile] = &[
    guest("grows_its_memory_without_end", grows_its_memory_without_end, Fails(OutOfSpace, "bytes of memory")),
    guest("has_too_large_a_memory", || Guest { memory: "513", ..Guest::default() }.build(), Refused("memory")),
    guest(
        "has_memories_that_are_too_large_together",
        || Guest { after: &memories(3, 200), ..Guest::default() }.build(),
        Refused("it ran out of space: it asked for"),
    ),
    guest("has_too_many_memories", || Guest { after: &memories(4, 1), ..Guest::default() }.build(), Refused("memor")),
    guest("grows_its_table_without_end", grows_its_table_without_end, Fails(OutOfSpace, "table entries")),
    guest(
        "has_too_large_a_table",
        || Guest { items: "(table 10001 funcref)", ..Guest::default() }.build(),
        Refused("table"),
    ),
    guest(
        "has_tables_that_are_too_large_together",
        || Guest { after: &tables(2, 6_000), ..Guest::default() }.build(),
        Refused("it ran out of space: it asked for"),
    ),
    guest("has_too_many_tables", || Guest { after: &tables(17, 1), ..Guest::default() }.build(), Refused("table")),
    guest(
        "has_two_tables_in_a_module",
        || Guest { items: &"(table 1 funcref)".repeat(2), ..Guest::default() }.build(),
        Refused("table"),
    ),
    guest("has_too_many_instances", || instances(65), Refused("instance")),
    guest("has_ten_thousand_instances", || instances(10_000), Refused("instance")),
    guest(
        "has_a_hundred_thousand_globals",
        || Guest { items: &"(global (mut i64) (i64.const 0))".repeat(100_000), ..Guest::default() }.build(),
        Refused("types, imports and other definitions; at most 50000 are allowed"),
    ),
    guest("leaves_something_in_its_memory", leaves_something_in_its_memory, Decides(SAYS)),
    guest("looks_for_what_others_left", looks_for_what_others_left, Decides(SAYS)),
    misbehave("allocates_without_end_in_rust", r#"{"how":"allocate"}"#, Fails(OutOfSpace, "bytes of memory")),
    misbehave("allocates_at_once_in_rust", r#"{"how":"allocate-at-once"}"#, Fails(OutOfSpace, "bytes of memory")),
];

fn grows_its_memory_without_end() -> Vec<u8> {
    let evaluate = "(loop $again (br_if $again (i32.ne (memory.grow (i32.const 16)) (i32.const -1)))) unreachable";
    Guest { evaluate, ..Guest::default() }.build()
}

fn grows_its_table_without_end() -> Vec<u8> {
    let evaluate = "(loop $again
            (br_if $again (i32.ne (table.grow $t (ref.null func) (i32.const 100)) (i32.const -1))))
        unreachable";
    Guest { evaluate, items: "(table $t 1 funcref)", ..Guest::default() }.build()
}

/// Instances that have nothing but a memory.
fn memories(count: usize, pages: u32) -> String {
    format!("(core module $room (memory {pages}))") + &"(core instance (instantiate $room))".repeat(count)
}

/// Instances that have nothing but a table.
fn tables(count: usize, entries: u32) -> String {
    format!("(core module $list (table {entries} funcref))") + &"(core instance (instantiate $list))".repeat(count)
}

fn instances(count: usize) -> Vec<u8> {
    let after = "(core module $nothing)".to_owned() + &"(core instance (instantiate $nothing))".repeat(count);
    Guest { after: &after, ..Guest::default() }.build()
}

/// In half of it: each byte costs an instruction.
fn leaves_something_in_its_memory() -> Vec<u8> {
    let evaluate = "(memory.fill (i32.const 0x100000) (i32.const 0xa5) (i32.const 0x1000000)) (i32.const 3072)";
    Guest { evaluate, memory: WHOLE_MEMORY, ..Guest::default() }.build()
}

/// It reads every word that others may have left there and it has not been given, and traps at the first that is not zero.
fn looks_for_what_others_left() -> Vec<u8> {
    let evaluate = "(local $at i32)
        (local.set $at (i32.const 0x100000))
        (loop $again
            (if (i64.ne (i64.or (i64.load (local.get $at)) (i64.load offset=8 (local.get $at))) (i64.const 0))
                (then unreachable))
            (local.set $at (i32.add (local.get $at) (i32.const 16)))
            (br_if $again (i32.lt_u (local.get $at) (i32.const 0x1100000))))
        (i32.const 3072)";
    Guest { evaluate, memory: WHOLE_MEMORY, ..Guest::default() }.build()
}
