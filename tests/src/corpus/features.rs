//! Guests that need what is off: no toolchain of a policy needs it, and each has had its own advisories. Two features are on for
//! the runtimes of languages, and get a guest nowhere.

use balm_core::evaluation::FailureKind::OutOfFuel;

use super::{
    Ending::{Decides, Fails, Refused},
    Hostile,
    component::{Guest, SAYS},
    guest,
};

const OFF: super::Ending = Refused("it cannot be compiled");

pub(super) const GUESTS: &[Hostile] = &[
    guest("shares_its_memory", || module("(memory 1 1 shared)"), OFF),
    guest("uses_threads", || module("(memory 1) (func (drop (i32.atomic.load (i32.const 0))))"), OFF),
    guest("waits_for_another_thread", waits_for_another_thread, OFF),
    guest("has_a_memory_of_64_bits", || module("(memory i64 1)"), OFF),
    guest("has_a_table_of_64_bits", || module("(table i64 1 funcref)"), OFF),
    guest("has_two_memories_in_a_module", || module("(memory 1) (memory 1)"), Refused("memories in a module")),
    guest("has_pages_of_one_byte", || module("(memory 1 (pagesize 1))"), OFF),
    guest("collects_garbage", || module("(type (struct (field i32)))"), OFF),
    guest(
        "has_garbage_in_arrays",
        || module("(type $a (array i8)) (func (drop (array.new_default $a (i32.const 1))))"),
        OFF,
    ),
    guest(
        "refers_to_typed_functions",
        || module("(type $f (func)) (func (param (ref $f)) (call_ref $f (local.get 0)))"),
        OFF,
    ),
    guest("throws_exceptions", || module("(tag $t) (func (throw $t))"), OFF),
    guest("calls_in_its_tail", calls_in_its_tail, Fails(OutOfFuel, "instructions")),
    guest("computes_relaxed", computes_relaxed, OFF),
    guest("computes_with_128_bits", computes_with_128_bits, OFF),
    guest("computes_its_constants", || module("(global i32 (i32.add (i32.const 1) (i32.const 1)))"), Decides(SAYS)),
    guest("switches_stacks", || module("(type $f (func)) (type $c (cont $f))"), OFF),
    guest("has_a_future", || after("(type (future u32))"), OFF),
    guest("has_a_stream", || after("(type (stream u8))"), OFF),
    guest("has_an_error_context", || after("(core func (canon error-context.drop))"), OFF),
    guest("evaluates_asynchronously", || after("(core func (canon backpressure.inc))"), OFF),
];

fn after(after: &str) -> Vec<u8> {
    Guest { after, ..Guest::default() }.build()
}

/// A good guest with one more module.
fn module(items: &str) -> Vec<u8> {
    after(&format!("(core module {items})"))
}

/// Without end, and without a stack that would run out.
fn calls_in_its_tail() -> Vec<u8> {
    let items = "(func $again (return_call $again))";
    Guest { evaluate: "(call $again) unreachable", items, ..Guest::default() }.build()
}

fn waits_for_another_thread() -> Vec<u8> {
    module("(memory 1 1 shared) (func (drop (memory.atomic.wait32 (i32.const 0) (i32.const 0) (i64.const -1))))")
}

fn computes_relaxed() -> Vec<u8> {
    module("(func (param v128) (result v128) (i8x16.relaxed_swizzle (local.get 0) (local.get 0)))")
}

fn computes_with_128_bits() -> Vec<u8> {
    module("(func (param i64) (result i64 i64) (i64.mul_wide_u (local.get 0) (local.get 0)))")
}
