//! Guests that lie at the boundary: about where what they return is, how long it is, and what it is.
//!
//! The addresses, lengths and discriminants are those of the canonical ABI (Component Model, CanonicalABI.md).

use balm_core::evaluation::FailureKind::{Malformed, Returned, Trapped};

use super::{
    Ending::{Asks, Decides, Fails},
    Hostile,
    component::{DECISION, EMPTY_OBJECT, EXPLANATION, FREE, Guest, SAYS, data, decision, words},
    guest, misbehave,
    time::FOR_AN_INPUT,
};

pub(super) const GUESTS: &[Hostile] = &[
    // Where room is made for what the host hands over.
    guest(
        "gives_room_out_of_range",
        || giving_room("0xfffffff8"),
        Fails(Malformed, "realloc return: beyond end of memory"),
    ),
    guest(
        "gives_room_at_the_edge",
        || giving_room("0x3fff8"),
        Fails(Malformed, "realloc return: beyond end of memory"),
    ),
    guest("gives_room_that_is_misaligned", || giving_room("65537"), Fails(Malformed, "not aligned")),
    guest("gives_the_same_room_again_and_again", gives_the_same_room_again_and_again, Decides(SAYS)),
    guest("calls_back_while_it_gives_room", calls_back_while_it_gives_room, Fails(Trapped, "cannot leave component")),
    // Where what it returns is.
    guest("returns_out_of_range", || returning("i32.const 0xfffffff8", ""), Fails(Malformed, "out of bounds")),
    guest("returns_at_the_edge", || returning("i32.const 0x3fff8", ""), Fails(Malformed, "out of bounds")),
    guest("returns_what_is_misaligned", || returning("i32.const 3073", ""), Fails(Malformed, "not aligned")),
    guest("returns_what_it_was_given", || returning("local.get $input", ""), Fails(Malformed, "")),
    guest("keeps_what_it_returned", || Guest::default().build(), Decides(SAYS)),
    // Texts.
    guest("says_what_is_no_text", || saying(&[b'a', 0xff, b'b']), Fails(Malformed, "utf-8")),
    guest("says_half_of_a_character", || saying(&[0xe2, 0x82]), Fails(Malformed, "utf-8")),
    // U+D800, which is half of a pair in UTF-16 and no character.
    guest("says_a_surrogate", || saying(&[0xed, 0xa0, 0x80]), Fails(Malformed, "utf-8")),
    guest("says_an_overlong_character", || saying(&[0xc0, 0xaf]), Fails(Malformed, "utf-8")),
    guest("says_four_gibibytes", || explaining(1, u32::MAX), Fails(Malformed, "out of bounds")),
    guest("says_more_than_there_is", || explaining(0x3_fffe, 3), Fails(Malformed, "out of bounds")),
    guest("says_nothing_from_nowhere", || explaining(u32::MAX, 0), Fails(Malformed, "out of bounds")),
    // Discriminants.
    guest("returns_neither_well_nor_ill", || discriminants(2, 0), Fails(Malformed, "discriminant")),
    guest("returns_no_outcome_there_is", || discriminants(0, 2), Fails(Malformed, "discriminant")),
    guest("has_neither_some_nor_none", has_neither_some_nor_none, Fails(Malformed, "discriminant")),
    guest("logs_at_no_level_there_is", logs_at_no_level_there_is, Fails(Malformed, "discriminant")),
    guest("says_true_in_its_own_way", says_true_in_its_own_way, Decides("seven is true")),
    // Lists.
    guest("proposes_a_million_intents", || intents(1_000_000, "4"), Fails(Malformed, "out of bounds")),
    guest("proposes_twenty_thousand_intents", || intents(20_000, "32"), Fails(Malformed, "")),
    guest("proposes_nine_intents", || intents(9, "4"), Fails(Malformed, "9 intents; at most 8 are allowed")),
    guest("asks_the_same_text_forty_thousand_times", asks_the_same_text_forty_thousand_times, Fails(Malformed, "fuel")),
    guest(
        "returns_a_list_at_a_misaligned_place",
        returns_a_list_at_a_misaligned_place,
        Fails(Malformed, "not aligned"),
    ),
    // Questions.
    guest("asks_nothing", || asking(0), Asks("it needs answers and asks nothing")),
    guest("asks_seventeen_questions", || asking(17), Asks("it asks more than 16 queries")),
    guest("asks_what_it_did_not_declare", || asking(1), Asks("which its manifest does not declare")),
    // Numbers.
    guest("computes_with_what_is_no_number", computes_with_what_is_no_number, Decides(SAYS)),
    guest("counts_its_calls", counts_its_calls, Decides(SAYS)),
    // What a toolchain makes of it.
    misbehave("looks_around", r#"{"how":"look-around"}"#, Decides("0 variables, 0 arguments")),
    misbehave("reads_a_file", r#"{"how":"read-file"}"#, Fails(Returned, "")),
    misbehave("writes_a_file", r#"{"how":"write-file"}"#, Fails(Returned, "")),
    misbehave("proposes_a_hundred_intents", r#"{"how":"propose"}"#, Fails(Malformed, "100 intents")),
    misbehave("proposes_what_is_no_json", r#"{"how":"garble"}"#, Fails(Malformed, "JSON")),
    misbehave("proposes_what_is_nested_without_end", r#"{"how":"nest"}"#, Fails(Malformed, "JSON")),
];

/// Room for the input is there, whatever is asked for; for anything before that it is honest.
fn giving_room(at: &str) -> Vec<u8> {
    let realloc = format!("(if (result i32) {FOR_AN_INPUT} (then (i32.const {at})) (else (i32.const 65536)))");
    Guest { realloc: &realloc, ..Guest::default() }.build()
}

/// The host writes each part of the input over the one before. It is the guest's own input that is garbled.
fn gives_the_same_room_again_and_again() -> Vec<u8> {
    Guest { realloc: "i32.const 65536", ..Guest::default() }.build()
}

fn calls_back_while_it_gives_room() -> Vec<u8> {
    let realloc = format!(
        "(if {FOR_AN_INPUT} (then (call $log (i32.const 0) (i32.const {EXPLANATION}) (i32.const 1))))
        (i32.const 65536)"
    );
    Guest { realloc: &realloc, ..Guest::default() }.build()
}

fn returning(evaluate: &str, items: &str) -> Vec<u8> {
    Guest { evaluate, items, ..Guest::default() }.build()
}

/// What is returned lies at the first free address.
fn returning_free(items: &str) -> Vec<u8> {
    returning(&format!("i32.const {FREE}"), items)
}

fn saying(text: &[u8]) -> Vec<u8> {
    let (at, length) = (FREE + 256, u32::try_from(text.len()).expect("a short text"));
    returning_free(&[data(at, text), decision(FREE, (0, 0), (at, length))].concat())
}

fn explaining(at: u32, length: u32) -> Vec<u8> {
    returning_free(&decision(FREE, (0, 0), (at, length)))
}

fn discriminants(result: u32, outcome: u32) -> Vec<u8> {
    returning_free(&words(FREE, &[result, outcome, 0, 0, EXPLANATION, 1, 0, 0, EMPTY_OBJECT, 2]))
}

fn has_neither_some_nor_none() -> Vec<u8> {
    returning_free(&words(FREE, &[0, 0, 0, 0, EXPLANATION, 1, 7, 0, EMPTY_OBJECT, 2]))
}

fn logs_at_no_level_there_is() -> Vec<u8> {
    let evaluate = format!("(call $log (i32.const 9) (i32.const {EXPLANATION}) (i32.const 1)) (i32.const {DECISION})");
    returning(&evaluate, "")
}

/// Any number but zero is true: what counts is that the host has one of two values.
fn says_true_in_its_own_way() -> Vec<u8> {
    const SAYS: &str = "seven is true";
    let (intent, text) = (FREE + 64, FREE + 256);
    let length = u32::try_from(SAYS.len()).expect("a short text");
    let fields = [0, 0, 0, 0, EMPTY_OBJECT, 2, EMPTY_OBJECT, 2, 0, 0, 7, 0, 0];
    let items = [data(text, SAYS.as_bytes()), words(intent, &fields), decision(FREE, (intent, 1), (text, length))];
    returning_free(&items.concat())
}

/// Intents whose every byte is zero.
fn intents(count: u32, memory: &str) -> Vec<u8> {
    let items = decision(FREE, (FREE + 256, count), (EXPLANATION, 1));
    Guest { evaluate: &format!("i32.const {FREE}"), items: &items, memory, ..Guest::default() }.build()
}

/// A list of 1 MB, each of whose items is the same 64 KiB of memory: 2.6 GB, if it were read.
fn asks_the_same_text_forty_thousand_times() -> Vec<u8> {
    let evaluate = format!(
        "(local $at i32)
        (local.set $at (i32.const 0x100000))
        (loop $again
            (i32.store offset=4 (local.get $at) (i32.const 65536))
            (local.set $at (i32.add (local.get $at) (i32.const 24)))
            (br_if $again (i32.lt_u (local.get $at) (i32.const 2008576))))
        (i32.const {FREE})"
    );
    let items = words(FREE, &[0, 1, 0x10_0000, 40_000]);
    Guest { evaluate: &evaluate, items: &items, memory: "64", ..Guest::default() }.build()
}

fn returns_a_list_at_a_misaligned_place() -> Vec<u8> {
    returning_free(&words(FREE, &[0, 1, FREE + 257, 1]))
}

/// Queries whose every byte is zero but for their parameters.
fn asking(count: usize) -> Vec<u8> {
    let queries = [0, 0, 0, 0, EMPTY_OBJECT, 2].repeat(count);
    let count = u32::try_from(count).expect("a few");
    returning_free(&[words(FREE, &[0, 1, FREE + 256, count]), words(FREE + 256, &queries)].concat())
}

/// Whatever a processor makes of it, a NaN that was computed has one form.
fn computes_with_what_is_no_number() -> Vec<u8> {
    let evaluate = format!(
        "(if (i64.ne (i64.reinterpret_f64 (f64.div (f64.const 0) (f64.const 0))) (i64.const 0x7ff8000000000000))
            (then unreachable))
        (if (i64.ne (i64.reinterpret_f64 (f64.add (f64.const -nan:0x123) (f64.const 1)))
                (i64.const 0x7ff8000000000000))
            (then unreachable))
        (if (i32.ne (i32.reinterpret_f32 (f32.sqrt (f32.const -1))) (i32.const 0x7fc00000)) (then unreachable))
        (i32.const {DECISION})"
    );
    returning(&evaluate, "")
}

/// It would fail the second time, if anything of the first were left.
fn counts_its_calls() -> Vec<u8> {
    let evaluate = format!(
        "(if (global.get $calls) (then unreachable))
        (global.set $calls (i32.const 1))
        (i32.const {DECISION})"
    );
    returning(&evaluate, "(global $calls (mut i32) (i32.const 0))")
}
