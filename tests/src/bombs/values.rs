//! Bombs of one function with more values than can be kept apart, or with instructions whose native code is many times as
//! large as they are.

use super::{
    Bomb,
    Ending::Costs,
    bomb,
    counts::{of_sections, tables},
};
use crate::binary::{F64, I32, I64, function, functions, list, number, section, signature, types};

pub(super) const BOMBS: &[Bomb] = &[
    bomb("locals_that_depend_on_branches", locals_that_depend_on_branches, Costs),
    bomb("locals_that_live_over_calls", locals_that_live_over_calls, Costs),
    bomb("a_stack_of_a_million_values", a_stack_of_a_million_values, Costs),
    bomb("a_stack_of_results", a_stack_of_results, Costs),
    bomb("a_million_calls", || of_function(&[], &[0x10, 1].repeat(1_900_000)), Costs),
    bomb("calls_through_a_table", || of_function(&[tables(1, 10)], &[0x41, 0, 0x11, 1, 0].repeat(700_000)), Costs),
    bomb("divisions", || folding(&[0x20, 1, 0x7f], 1_000_000), Costs),
    bomb("roundings", || numbers(&[0x9e], 3_500_000), Costs),
    bomb("conversions", || numbers(&[0xb0, 0xb9], 1_500_000), Costs),
    bomb("sums_of_floats", || numbers(&[0x20, 2, 0xa0], 1_200_000), Costs),
    bomb("shuffles", shuffles, Costs),
    bomb("reads_of_a_table", || of_function(&[tables(1, 10)], &[0x20, 0, 0x25, 0, 0x1a].repeat(700_000)), Costs),
    bomb("copies_of_a_memory", || remembering(&[[0x20, 0].repeat(3), vec![0xfc, 0x0a, 0, 0]].concat(), 350_000), Costs),
    bomb("growths_of_a_memory", || remembering(&[0x20, 0, 0x40, 0, 0x1a], 700_000), Costs),
    bomb("reads_of_reads_of_a_memory", || remembering(&[0x20, 0, 0x28, 2, 0, 0x28, 2, 0, 0x1a], 400_000), Costs),
    bomb("choices", || folding(&[0x20, 1, 0x20, 0, 0x1b], 700_000), Costs),
];

/// A component with a function that takes a number, with a number of 64 bits and a float for locals, and one that gives a
/// number; `sections` stand where tables and memories do.
fn of_function(sections: &[Vec<u8>], instructions: &[u8]) -> Vec<u8> {
    let body = [[2, 1, I64, 1, F64].as_slice(), instructions, &[0x0b]].concat();
    let body = [number(body.len()), body].concat();
    let (declared, code) = functions(&[0, 1], &[body, function((0, I32), &[])]);
    let types = types(&[signature(1, 0, I32), signature(0, 0, I32)]);
    of_sections(&[vec![types, declared], sections.to_vec(), vec![code]].concat())
}

/// Thousands of locals, and as many branches after which each may differ.
fn locals_that_depend_on_branches() -> Vec<u8> {
    const LOCALS: usize = 40_000;
    let mut body = Vec::new();
    for i in 0..100_000_usize {
        let (local, other) = (number(i * 7_919 % LOCALS), number(i * 104_729 % LOCALS));
        // if (other is zero) { local = other + 1 }
        body.extend([&[0x20], other.as_slice(), &[0x50, 0x04, 0x40, 0x20], &other].concat());
        body.extend([&[0x42, 1, 0x7c, 0x21], local.as_slice(), &[0x0b]].concat());
    }
    let (declared, code) = functions(&[0], &[function((LOCALS, I64), &body)]);
    of_sections(&[types(&[signature(0, 0, I32)]), declared, code])
}

/// Each is given by a call, and all are added up at the end.
fn locals_that_live_over_calls() -> Vec<u8> {
    const LOCALS: usize = 49_000;
    let set = |local: usize| [vec![0x10, 1, 0x21], number(local)].concat();
    let add = |local: usize| [vec![0x20], number(local), vec![0x7c]].concat();
    let body = [(0..LOCALS).flat_map(set).collect(), vec![0x42, 0], (0..LOCALS).flat_map(add).collect()].concat();
    of_number(&function((LOCALS, I64), &body))
}

/// A component with a function that gives a number of 64 bits, and a second one.
fn of_number(body: &[u8]) -> Vec<u8> {
    let (declared, code) = functions(&[0, 0], &[body.to_vec(), function((0, I32), &[0x42, 7])]);
    of_sections(&[types(&[signature(0, 1, I64)]), declared, code])
}

/// They are all there before the first two are added.
fn a_stack_of_a_million_values() -> Vec<u8> {
    let times = 1_000_000;
    of_number(&function((1, I64), &[[0x20, 0].repeat(times), vec![0x7c; times - 1]].concat()))
}

/// The same, each from a call.
fn a_stack_of_results() -> Vec<u8> {
    let times = 200_000;
    of_number(&function((1, I64), &[[0x10, 1].repeat(times), vec![0x7c; times - 1]].concat()))
}

/// One number of 64 bits, to which something is done again and again with the same.
fn folding(step: &[u8], times: usize) -> Vec<u8> {
    of_function(&[], &[[0x20, 1].as_slice(), &step.repeat(times), &[0x1a]].concat())
}

/// The same with a float.
fn numbers(step: &[u8], times: usize) -> Vec<u8> {
    of_function(&[], &[[0x20, 2].as_slice(), &step.repeat(times), &[0x1a]].concat())
}

fn remembering(step: &[u8], times: usize) -> Vec<u8> {
    let memory = section(5, &list(1, &[0, 1]));
    of_function(&[memory], &step.repeat(times))
}

/// Of the sixteen bytes of two vectors.
fn shuffles() -> Vec<u8> {
    let shuffle: Vec<u8> = [vec![0x20, 0, 0xfd, 0x0d], (0..16).map(|byte| byte * 7 % 32).collect()].concat();
    let body = [[0x20, 0].as_slice(), &shuffle.repeat(190_000), &[0x1a]].concat();
    let (declared, code) = functions(&[0], &[function((1, 0x7b), &body)]);
    of_sections(&[types(&[signature(0, 0, I32)]), declared, code])
}
