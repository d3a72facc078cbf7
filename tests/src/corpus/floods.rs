//! Guests that say too much, or say what would harm whoever reads it.

use balm_core::evaluation::FailureKind::{Malformed, Returned};

use super::{
    Ending::{Decides, Fails},
    Hostile,
    component::{DECISION, FREE, Guest, SAYS, data, decision, words},
    guest, misbehave,
};

/// Clears a screen, renames a window, begins a line that looks like another's, turns text around.
const ANSI: &str = "\u{1b}[2J\u{1b}]0;mine\u{7}\r\nbalm: approved\u{202e}";

pub(super) const GUESTS: &[Hostile] = &[
    misbehave("logs_more_than_is_kept", r#"{"how":"log"}"#, Decides("variables")),
    misbehave("prints_more_than_is_kept", r#"{"how":"print"}"#, Decides("variables")),
    guest("logs_a_line_of_a_gibibyte", || logging("0", "0x40000000", "4"), Fails(Malformed, "out of bounds")),
    guest("logs_a_line_of_two_mebibytes", || logging("0", "0x200000", "64"), Fails(Malformed, "fuel")),
    guest("logs_what_is_no_text", logs_what_is_no_text, Fails(Malformed, "utf-8")),
    guest("logs_control_characters", logs_control_characters, Decides(SAYS)),
    guest("explains_itself_in_control_characters", explains_itself_in_control_characters, Decides("mine")),
    guest(
        "fails_with_control_characters",
        fails_with_control_characters,
        Fails(Returned, r"\u{1b}[2J\u{1b}]0;mine\u{7}\u{d}\u{a}"),
    ),
    misbehave("explains_itself_in_two_megabytes", r#"{"how":"explain"}"#, Fails(Malformed, "")),
];

fn logging(at: &str, length: &str, memory: &str) -> Vec<u8> {
    let evaluate = format!("(call $log (i32.const 0) (i32.const {at}) (i32.const {length})) (i32.const {DECISION})");
    Guest { evaluate: &evaluate, memory, ..Guest::default() }.build()
}

/// A byte that begins nothing in UTF-8.
fn logs_what_is_no_text() -> Vec<u8> {
    let evaluate = format!("(call $log (i32.const 2) (i32.const {FREE}) (i32.const 1)) (i32.const {DECISION})");
    Guest { evaluate: &evaluate, items: &data(FREE, &[0xff]), ..Guest::default() }.build()
}

fn logs_control_characters() -> Vec<u8> {
    let length = ANSI.len();
    let evaluate = format!("(call $log (i32.const 2) (i32.const {FREE}) (i32.const {length})) (i32.const {DECISION})");
    Guest { evaluate: &evaluate, items: &data(FREE, ANSI.as_bytes()), ..Guest::default() }.build()
}

fn explains_itself_in_control_characters() -> Vec<u8> {
    let items = [data(FREE, ANSI.as_bytes()), decision(FREE + 256, (0, 0), (FREE, length(ANSI)))].concat();
    Guest { evaluate: &format!("i32.const {}", FREE + 256), items: &items, ..Guest::default() }.build()
}

fn fails_with_control_characters() -> Vec<u8> {
    let items = [data(FREE, ANSI.as_bytes()), words(FREE + 256, &[1, FREE, length(ANSI)])].concat();
    Guest { evaluate: &format!("i32.const {}", FREE + 256), items: &items, ..Guest::default() }.build()
}

fn length(text: &str) -> u32 {
    u32::try_from(text.len()).expect("a short text")
}
