//! Guests that take time: none may have more than its budget, wherever it spends it.

use balm_core::evaluation::FailureKind::{Malformed, OutOfFuel, OutOfTime, Trapped};

use super::{
    Ending::{Fails, Refused, RefusesSettings},
    Hostile,
    component::Guest,
    guest, misbehave,
};

const FOR_EVER: &str = "(loop $again (br $again)) (i32.const 0)";
const FUEL: &str = "more than 25000000 instructions";

pub(super) const GUESTS: &[Hostile] = &[
    guest("loops", || Guest { evaluate: FOR_EVER, ..Guest::default() }.build(), Fails(OutOfFuel, FUEL)),
    guest("loops_when_it_starts", loops_when_it_starts, Refused("it ran out of fuel")),
    guest(
        "loops_when_it_describes_itself",
        || Guest { describe: FOR_EVER, ..Guest::default() }.build(),
        Refused("describe itself: it ran out of fuel"),
    ),
    guest(
        "loops_over_its_settings",
        || Guest { validate: FOR_EVER, ..Guest::default() }.build(),
        RefusesSettings("failed on them: it ran out of fuel"),
    ),
    guest("loops_when_it_is_given_room", loops_when_it_is_given_room, Fails(OutOfFuel, FUEL)),
    guest(
        "loops_after_it_returned",
        || Guest { post_return: Some("(loop $again (br $again))"), ..Guest::default() }.build(),
        Fails(OutOfFuel, FUEL),
    ),
    guest("calls_itself", calls_itself, Fails(Trapped, "call stack exhausted")),
    guest("calls_itself_through_a_table", calls_itself_through_a_table, Fails(Trapped, "call stack exhausted")),
    guest("calls_itself_with_large_frames", calls_itself_with_large_frames, Fails(Trapped, "call stack exhausted")),
    guest("copies_its_whole_memory", copies_its_whole_memory, Fails(OutOfFuel, FUEL)),
    guest("fills_its_whole_memory", fills_its_whole_memory, Fails(OutOfFuel, FUEL)),
    guest("fills_its_whole_table", fills_its_whole_table, Fails(OutOfFuel, FUEL)),
    guest("calls_the_host_without_end", calls_the_host_without_end, Fails(OutOfTime, "more than 100 ms")),
    misbehave("computes_without_end_in_rust", r#"{"how":"loop"}"#, Fails(OutOfFuel, FUEL)),
    misbehave("sleeps", r#"{"how":"sleep"}"#, Fails(Malformed, "a policy may not wait")),
];

fn loops_when_it_starts() -> Vec<u8> {
    Guest { items: "(func $spin (loop $again (br $again))) (start $spin)", ..Guest::default() }.build()
}

/// The input is a record whose numbers want to stand at multiples of 8; settings are a text, and do not.
pub(super) const FOR_AN_INPUT: &str = "(i32.eq (local.get $align) (i32.const 8))";

fn loops_when_it_is_given_room() -> Vec<u8> {
    let realloc = format!("(if {FOR_AN_INPUT} (then (loop $again (br $again)))) {}", Guest::default().realloc);
    // Locals stand before the instructions.
    let realloc = format!("(local $at i32) {}", realloc.replace("(local $at i32)", ""));
    Guest { realloc: &realloc, ..Guest::default() }.build()
}

fn calls_itself() -> Vec<u8> {
    Guest { evaluate: "(i32.add (call $evaluate (local.get $input)) (i32.const 1))", ..Guest::default() }.build()
}

fn calls_itself_through_a_table() -> Vec<u8> {
    let items = "(type $f (func (param i32) (result i32)))
        (table $t 2 funcref) (elem (i32.const 0) $one $other)
        (func $one (type $f) (i32.add (call_indirect $t (type $f) (local.get 0) (i32.const 1)) (i32.const 1)))
        (func $other (type $f) (i32.add (call_indirect $t (type $f) (local.get 0) (i32.const 0)) (i32.const 1)))";
    Guest { items, evaluate: "(call $one (local.get $input))", ..Guest::default() }.build()
}

/// Frames of 16 kB within a stack of 256.
fn calls_itself_with_large_frames() -> Vec<u8> {
    const LOCALS: usize = 2_000;
    let locals = "i64 ".repeat(LOCALS);
    let sum: String = (0..LOCALS).map(|i| format!("(i64.add (local.get {})) ", i + 1)).collect();
    let set: String =
        (0..LOCALS).map(|i| format!("(local.set {} (i64.load offset={} (local.get $input))) ", i + 1, i * 8)).collect();
    let evaluate =
        format!("(local {locals}) {set} (drop (call $evaluate (local.get $input))) (i64.const 0) {sum} i32.wrap_i64");
    Guest { evaluate: &evaluate, ..Guest::default() }.build()
}

/// All that it may have: 32 MiB.
pub(super) const WHOLE_MEMORY: &str = "512";

fn copies_its_whole_memory() -> Vec<u8> {
    let evaluate = "(loop $again
            (memory.copy (i32.const 0x100000) (i32.const 0x100008) (i32.const 0x1e00000)) (br $again))
        (i32.const 0)";
    Guest { evaluate, memory: WHOLE_MEMORY, ..Guest::default() }.build()
}

fn fills_its_whole_memory() -> Vec<u8> {
    let evaluate = "(loop $again
            (memory.fill (i32.const 0x100000) (i32.const 1) (i32.const 0x1e00000)) (br $again))
        (i32.const 0)";
    Guest { evaluate, memory: WHOLE_MEMORY, ..Guest::default() }.build()
}

fn fills_its_whole_table() -> Vec<u8> {
    let evaluate = "(loop $again
            (table.fill $t (i32.const 0) (ref.func $evaluate) (i32.const 10000)) (br $again))
        (i32.const 0)";
    Guest { evaluate, items: "(table $t 10000 funcref) (elem declare func $evaluate)", ..Guest::default() }.build()
}

fn calls_the_host_without_end() -> Vec<u8> {
    let evaluate = "(loop $again
            (call $log (i32.const 0) (i32.const 192) (i32.const 1)) (br $again))
        (i32.const 0)";
    Guest { evaluate, ..Guest::default() }.build()
}
