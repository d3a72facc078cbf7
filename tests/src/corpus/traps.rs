//! Guests that trap: every kind of trap, at every time at which a guest runs.

use balm_core::evaluation::FailureKind::Trapped;

use super::{
    Ending::{Fails, Refused, RefusesSettings},
    Hostile,
    component::Guest,
    guest, misbehave,
    time::FOR_AN_INPUT,
};

const UNREACHABLE: &str = "wasm `unreachable` instruction executed";

pub(super) const GUESTS: &[Hostile] = &[
    guest("reaches_the_unreachable", || evaluating("unreachable"), Fails(Trapped, UNREACHABLE)),
    guest(
        "divides_by_zero",
        || evaluating("(i32.div_u (local.get $input) (i32.const 0))"),
        Fails(Trapped, "integer divide by zero"),
    ),
    guest(
        "overflows_an_integer",
        || evaluating("(i32.div_s (i32.const 0x80000000) (i32.const -1))"),
        Fails(Trapped, "integer overflow"),
    ),
    guest(
        "converts_what_is_no_number",
        || evaluating("(i32.trunc_f64_s (f64.const nan))"),
        Fails(Trapped, "invalid conversion to integer"),
    ),
    guest(
        "reads_beyond_its_memory",
        || evaluating("(i32.load (i32.const 0x7ffffffc))"),
        Fails(Trapped, "out of bounds memory access"),
    ),
    guest(
        "reads_far_beyond_its_memory",
        || evaluating("(i32.load offset=0xffffffff (i32.const 0xffffffff))"),
        Fails(Trapped, "out of bounds memory access"),
    ),
    guest("calls_beyond_its_table", || calling(9), Fails(Trapped, "out of bounds table access")),
    guest("calls_nothing", || calling(1), Fails(Trapped, "uninitialized element")),
    guest("calls_with_a_wrong_signature", || calling(0), Fails(Trapped, "indirect call type mismatch")),
    guest("traps_when_it_starts", || items("(func $trap unreachable) (start $trap)"), Refused("it trapped")),
    guest(
        "traps_when_it_describes_itself",
        || Guest { describe: "unreachable", ..Guest::default() }.build(),
        Refused("describe itself: it trapped"),
    ),
    guest(
        "traps_over_its_settings",
        || Guest { validate: "unreachable", ..Guest::default() }.build(),
        RefusesSettings("failed on them: it trapped"),
    ),
    guest("traps_when_it_is_given_room", traps_when_it_is_given_room, Fails(Trapped, UNREACHABLE)),
    guest(
        "traps_after_it_returned",
        || Guest { post_return: Some("unreachable"), ..Guest::default() }.build(),
        Fails(Trapped, UNREACHABLE),
    ),
    guest(
        "has_data_beyond_its_memory",
        || items("(data (i32.const 0x7fffffff) \"x\")"),
        Refused("out of bounds memory access"),
    ),
    guest(
        "has_elements_beyond_its_table",
        || items("(table $t 1 funcref) (elem (i32.const 9) $evaluate)"),
        Refused("out of bounds table access"),
    ),
    misbehave("panics_in_rust", r#"{"how":"panic"}"#, Fails(Trapped, "as it was told to")),
    misbehave("exits", r#"{"how":"exit"}"#, Fails(Trapped, "exit")),
    misbehave("recurses_in_rust", r#"{"how":"recurse"}"#, Fails(Trapped, "wasm trap")),
];

fn evaluating(evaluate: &str) -> Vec<u8> {
    Guest { evaluate, ..Guest::default() }.build()
}

fn items(items: &str) -> Vec<u8> {
    Guest { items, ..Guest::default() }.build()
}

/// An indirect call of an entry of its table: a function of another type, nothing, or no entry.
fn calling(entry: u32) -> Vec<u8> {
    let evaluate = format!("(call_indirect $t (param i32) (result i32) (local.get $input) (i32.const {entry}))");
    let items = "(table $t 2 funcref) (elem (i32.const 0) $other) (func $other)";
    Guest { evaluate: &evaluate, items, ..Guest::default() }.build()
}

fn traps_when_it_is_given_room() -> Vec<u8> {
    let realloc = format!("(if {FOR_AN_INPUT} (then unreachable)) (i32.const 65536)");
    Guest { realloc: &realloc, ..Guest::default() }.build()
}
