//! Bombs of one function whose ways through it are too many to follow: labels, branches, and values that are carried along.

use super::{Bomb, Ending::Costs, bomb, counts::of_sections};
use crate::binary::{I32, I64, function, functions, number, signature, types};

pub(super) const BOMBS: &[Bomb] = &[
    bomb("a_branch_with_millions_of_targets", a_branch_with_millions_of_targets, Costs),
    bomb("thousands_of_branches_with_a_thousand_targets", thousands_of_branches, Costs),
    bomb("blocks_in_blocks", || in_each_other(&[0x02, 0x40]), Costs),
    bomb("loops_in_loops", || in_each_other(&[0x03, 0x40]), Costs),
    bomb("conditions_in_conditions", || in_each_other(&[0x20, 0, 0x04, 0x40]), Costs),
    bomb("conditions_in_a_row", || of_function(&[0x20, 0, 0x04, 0x40, 0x05, 0x0b].repeat(600_000)), Costs),
    bomb("blocks_of_a_thousand_values", || carrying(&[0x02, 1, 0x0b]), Costs),
    bomb("loops_of_a_thousand_values", || carrying(&[0x03, 1, 0x0b]), Costs),
    bomb("conditions_of_a_thousand_values", || carrying(&[0x20, 0, 0x04, 1, 0x05, 0x0b]), Costs),
    bomb("branches_with_a_thousand_values", branches_with_a_thousand_values, Costs),
    bomb("calls_with_a_thousand_values", || carrying(&[0x10, 1]), Costs),
    bomb("calls_in_tails_with_a_thousand_values", calls_in_tails_with_a_thousand_values, Costs),
];

/// A component with one function that takes a number.
fn of_function(instructions: &[u8]) -> Vec<u8> {
    let (declared, code) = functions(&[0], &[function((0, I32), instructions)]);
    of_sections(&[types(&[signature(1, 0, I32)]), declared, code])
}

fn a_branch_with_millions_of_targets() -> Vec<u8> {
    let targets = 4_000_000;
    of_function(&[[0x20, 0, 0x0e].as_slice(), &number(targets), &vec![0; targets + 1]].concat())
}

/// Each in a block of its own, since what follows a branch is never reached.
fn thousands_of_branches() -> Vec<u8> {
    let (labels, branches) = (1_000, 1_500);
    let targets: Vec<u8> = (0..=labels).flat_map(number).collect();
    let branch = [[0x02, 0x40, 0x20, 0, 0x0e].as_slice(), &number(labels), &targets, &[0x0b]].concat();
    of_function(&[[0x02, 0x40].repeat(labels), branch.repeat(branches), vec![0x0b; labels]].concat())
}

/// As many as there is room for.
fn in_each_other(opening: &[u8]) -> Vec<u8> {
    let times = 4_000_000 / (opening.len() + 1);
    of_function(&[opening.repeat(times), vec![0x0b; times]].concat())
}

/// A thousand values on the stack, which something takes and gives back, and so on.
fn carrying(through: &[u8]) -> Vec<u8> {
    const VALUES: usize = 1_000;
    let times = 1_000_000 / through.len();
    let body = [[0x42, 0].repeat(VALUES), through.repeat(times), vec![0x1a; VALUES]].concat();
    let same: Vec<u8> = (0..VALUES).flat_map(|nth| [vec![0x20], number(nth)].concat()).collect();
    let (declared, code) = functions(&[0, 1], &[function((0, I32), &body), function((0, I32), &same)]);
    of_sections(&[types(&[signature(1, 0, I32), signature(VALUES, VALUES, I64)]), declared, code])
}

/// Out of one block, which each of them may leave with all values.
fn branches_with_a_thousand_values() -> Vec<u8> {
    const VALUES: usize = 1_000;
    let branches = [0x20, 0, 0x0d, 0].repeat(100_000);
    let body = [[0x42, 0].repeat(VALUES), vec![0x02, 1], branches, vec![0x0b], vec![0x1a; VALUES]].concat();
    let (declared, code) = functions(&[0], &[function((0, I32), &body)]);
    of_sections(&[types(&[signature(1, 0, I32), signature(VALUES, VALUES, I64)]), declared, code])
}

/// Of itself, each in a condition of its own.
fn calls_in_tails_with_a_thousand_values() -> Vec<u8> {
    const VALUES: usize = 1_000;
    let given: Vec<u8> = (0..VALUES).flat_map(|nth| [vec![0x20], number(nth)].concat()).collect();
    let body = [given, [0x41, 0, 0x04, 0, 0x12, 0, 0x0b].repeat(100_000)].concat();
    let (declared, code) = functions(&[0], &[function((0, I32), &body)]);
    of_sections(&[types(&[signature(VALUES, VALUES, I64)]), declared, code])
}
