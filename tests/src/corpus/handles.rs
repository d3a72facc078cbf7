//! Guests that misuse what WASI hands out: streams and what can be waited for, forged, used after their end, and taken
//! without end.

use balm_core::evaluation::FailureKind::{Malformed, OutOfTime, Trapped};

use super::{
    Ending::{Decides, Fails},
    Hostile,
    component::{DECISION, Guest, SAYS},
    guest,
};

pub(super) const GUESTS: &[Hostile] = &[
    guest("forges_a_handle", || evaluating("(call $drop (i32.const 12345))"), Fails(Malformed, "handle index")),
    guest("forges_the_first_handle", || evaluating("(call $drop (i32.const 0))"), Fails(Malformed, "handle index")),
    guest("forges_the_last_handle", || evaluating("(call $drop (i32.const -1))"), Fails(Malformed, "handle index")),
    guest(
        "drops_a_handle_twice",
        || with_stream(&"(call $drop (local.get $s))".repeat(2)),
        Fails(Malformed, "handle index"),
    ),
    guest(
        "uses_a_handle_after_its_end",
        || with_stream("(call $drop (local.get $s)) (drop (call $subscribe (local.get $s)))"),
        Fails(Malformed, "handle index"),
    ),
    guest(
        "passes_a_handle_off_as_another",
        || with_stream("(call $drop_pollable (local.get $s))"),
        Fails(Malformed, "handle index"),
    ),
    guest(
        "drops_what_another_handle_needs",
        || with_stream("(drop (call $subscribe (local.get $s))) (call $drop (local.get $s))"),
        Fails(Malformed, "has children"),
    ),
    guest(
        "takes_a_million_handles",
        || times("(drop (call $get))"),
        Fails(Malformed, "resource table has no free keys"),
    ),
    guest("opens_and_drops_without_end", || for_ever("(call $drop (call $get))"), Fails(OutOfTime, "more than 100 ms")),
    guest("leaves_its_handles_open", || evaluating("(drop (call $get)) (drop (call $get))"), Decides(SAYS)),
    guest("opens_with_flags_that_are_none", opens_with_flags_that_are_none, Fails(Malformed, "handle index")),
    guest("waits_for_what_is_ready", || with_stream("(call $block (call $subscribe (local.get $s)))"), Decides(SAYS)),
    guest("waits_for_an_instant", || on_clock("subscribe-instant"), Fails(Malformed, "a policy may not wait")),
    guest("waits_for_a_while", || on_clock("subscribe-duration"), Fails(Malformed, "a policy may not wait")),
    guest("wants_a_gibibyte_of_randomness", || random("0x40000000"), Fails(Malformed, "exceeds limit 4096")),
    guest("wants_randomness_beyond_its_cap", || random("4097"), Fails(Malformed, "exceeds limit 4096")),
    guest(
        "wants_randomness_in_a_place_it_has_not",
        wants_randomness_in_a_place_it_has_not,
        Fails(Malformed, "realloc return: beyond end of memory"),
    ),
    guest("exits_with_success", exits_with_success, Fails(Trapped, "exit")),
];

/// Standard output, and what can be waited for (WASI 0.2).
const STREAMS: &str = r#"
    (import "wasi:io/poll@0.2.0" (instance $poll
        (export "pollable" (type $p (sub resource)))
        (export "[method]pollable.block" (func (param "self" (borrow $p))))))
    (alias export $poll "pollable" (type $pollable))
    (import "wasi:io/streams@0.2.0" (instance $streams
        (alias outer $C $pollable (type $p))
        (export "output-stream" (type $s (sub resource)))
        (export "[method]output-stream.subscribe" (func (param "self" (borrow $s)) (result (own $p))))))
    (alias export $streams "output-stream" (type $stream))
    (import "wasi:cli/stdout@0.2.0" (instance $stdout
        (alias outer $C $stream (type $s))
        (export "get-stdout" (func (result (own $s))))))
    (core func $get (canon lower (func $stdout "get-stdout")))
    (core func $subscribe (canon lower (func $streams "[method]output-stream.subscribe")))
    (core func $block (canon lower (func $poll "[method]pollable.block")))
    (core func $drop (canon resource.drop $stream))
    (core func $drop_pollable (canon resource.drop $pollable))"#;

fn evaluating(instructions: &str) -> Vec<u8> {
    let evaluate = format!("(local $s i32) {instructions} (i32.const {DECISION})");
    Guest {
        evaluate: &evaluate,
        imports: STREAMS,
        core_imports: r#"
            (import "balm" "get" (func $get (result i32)))
            (import "balm" "subscribe" (func $subscribe (param i32) (result i32)))
            (import "balm" "block" (func $block (param i32)))
            (import "balm" "drop" (func $drop (param i32)))
            (import "balm" "drop-pollable" (func $drop_pollable (param i32)))"#,
        core_exports: r#"
            (export "get" (func $get)) (export "subscribe" (func $subscribe)) (export "block" (func $block))
            (export "drop" (func $drop)) (export "drop-pollable" (func $drop_pollable))"#,
        ..Guest::default()
    }
    .build()
}

fn with_stream(instructions: &str) -> Vec<u8> {
    evaluating(&format!("(local.set $s (call $get)) {instructions}"))
}

fn for_ever(instructions: &str) -> Vec<u8> {
    evaluating(&format!("(loop $again {instructions} (br $again))"))
}

/// A million times.
fn times(instructions: &str) -> Vec<u8> {
    evaluating(&format!(
        "(loop $again {instructions}
            (local.set $s (i32.add (local.get $s) (i32.const 1)))
            (br_if $again (i32.lt_u (local.get $s) (i32.const 1000000))))"
    ))
}

/// The one place of the contract and its WASI with flags: opening a file below a directory, and there is no directory.
fn opens_with_flags_that_are_none() -> Vec<u8> {
    let imports = r#"
        (import "wasi:filesystem/types@0.2.0" (instance $files
            (export "descriptor" (type $descriptor (sub resource)))
            (type $d (flags "read" "write" "file-integrity-sync" "data-integrity-sync" "requested-write-sync"
                "mutate-directory"))
            (export "descriptor-flags" (type $descriptor-flags (eq $d)))
            (type $p (flags "symlink-follow"))
            (export "path-flags" (type $path-flags (eq $p)))
            (type $o (flags "create" "directory" "exclusive" "truncate"))
            (export "open-flags" (type $open-flags (eq $o)))
            (type $e (enum "access" "would-block" "already" "bad-descriptor" "busy" "deadlock" "quota" "exist"
                "file-too-large" "illegal-byte-sequence" "in-progress" "interrupted" "invalid" "io" "is-directory"
                "loop" "too-many-links" "message-size" "name-too-long" "no-device" "no-entry" "no-lock"
                "insufficient-memory" "insufficient-space" "not-directory" "not-empty" "not-recoverable"
                "unsupported" "no-tty" "no-such-device" "overflow" "not-permitted" "pipe" "read-only" "invalid-seek"
                "text-file-busy" "cross-device"))
            (export "error-code" (type $error-code (eq $e)))
            (export "[method]descriptor.open-at" (func
                (param "self" (borrow $descriptor)) (param "path-flags" $path-flags) (param "path" string)
                (param "open-flags" $open-flags) (param "flags" $descriptor-flags)
                (result (result (own $descriptor) (error $error-code)))))))
        (core func $open (canon lower (func $files "[method]descriptor.open-at") (memory $libc "memory")))"#;
    let evaluate = format!(
        "(call $open (i32.const 0) (i32.const -1) (i32.const 192) (i32.const 1) (i32.const -1) (i32.const -1)
            (i32.const 65536))
        (i32.const {DECISION})"
    );
    Guest {
        evaluate: &evaluate,
        imports,
        core_imports: r#"(import "balm" "open" (func $open (param i32 i32 i32 i32 i32 i32 i32)))"#,
        core_exports: r#"(export "open" (func $open))"#,
        ..Guest::default()
    }
    .build()
}

fn on_clock(function: &str) -> Vec<u8> {
    let imports = format!(
        r#"
        (import "wasi:io/poll@0.2.0" (instance $poll (export "pollable" (type (sub resource)))))
        (alias export $poll "pollable" (type $pollable))
        (import "wasi:clocks/monotonic-clock@0.2.0" (instance $clock
            (alias outer $C $pollable (type $p))
            (export "{function}" (func (param "when" u64) (result (own $p))))))
        (core func $wait (canon lower (func $clock "{function}")))"#
    );
    let evaluate = format!("(drop (call $wait (i64.const 3600000000000))) (i32.const {DECISION})");
    Guest {
        evaluate: &evaluate,
        imports: &imports,
        core_imports: r#"(import "balm" "wait" (func $wait (param i64) (result i32)))"#,
        core_exports: r#"(export "wait" (func $wait))"#,
        ..Guest::default()
    }
    .build()
}

fn random(bytes: &str) -> Vec<u8> {
    asking_for_randomness(bytes, "i32.const 131072")
}

fn wants_randomness_in_a_place_it_has_not() -> Vec<u8> {
    asking_for_randomness("4096", "i32.const -8")
}

/// Room for the answer is made by a module of its own, since it must be there before the one that asks.
fn asking_for_randomness(bytes: &str, room: &str) -> Vec<u8> {
    let imports = format!(
        r#"
        (core module $room (func (export "realloc") (param i32 i32 i32 i32) (result i32) {room}))
        (core instance $room (instantiate $room))
        (import "wasi:random/random@0.2.0" (instance $random
            (export "get-random-bytes" (func (param "len" u64) (result (list u8))))))
        (core func $bytes (canon lower (func $random "get-random-bytes")
            (memory $libc "memory") (realloc (func $room "realloc"))))"#
    );
    let evaluate = format!("(call $bytes (i64.const {bytes}) (i32.const 65536)) (i32.const {DECISION})");
    Guest {
        evaluate: &evaluate,
        imports: &imports,
        core_imports: r#"(import "balm" "bytes" (func $bytes (param i64 i32)))"#,
        core_exports: r#"(export "bytes" (func $bytes))"#,
        ..Guest::default()
    }
    .build()
}

fn exits_with_success() -> Vec<u8> {
    let imports = r#"
        (import "wasi:cli/exit@0.2.0" (instance $exit (export "exit" (func (param "status" (result))))))
        (core func $leave (canon lower (func $exit "exit")))"#;
    let evaluate = format!("(call $leave (i32.const 0)) (i32.const {DECISION})");
    Guest {
        evaluate: &evaluate,
        imports,
        core_imports: r#"(import "balm" "leave" (func $leave (param i32)))"#,
        core_exports: r#"(export "leave" (func $leave))"#,
        ..Guest::default()
    }
    .build()
}
