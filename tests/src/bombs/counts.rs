//! Bombs that are too many of something. They are counted, by us or by the validator, before anything is compiled.

use super::{Bomb, Ending::Refused, bomb};
use crate::binary::{
    I32, I64, around, component, function, functions, holding, list, module, number, section, signature, signed, sized,
    types,
};

/// What is said of more types, imports, exports and the like than there may be.
pub(super) const DEFINITIONS: &str = "types, imports and other definitions; at most 50000 are allowed";

const INVALID: &str = "it cannot be compiled: ";

pub(super) const BOMBS: &[Bomb] = &[
    bomb(
        "a_million_functions",
        || of_functions(1_000_000),
        Refused("it has 1000000 functions; at most 50000 are allowed"),
    ),
    bomb(
        "one_function_too_many",
        || of_functions(50_001),
        Refused("it has 50001 functions; at most 50000 are allowed"),
    ),
    bomb(
        "functions_over_a_hundred_modules",
        || holding(120, &module_of_functions(500)),
        Refused("it has 50500 functions; at most 50000 are allowed"),
    ),
    bomb(
        "one_module_too_many",
        || holding(129, &module(&[])),
        Refused("it has 129 nested modules and components; at most 128 are allowed"),
    ),
    bomb(
        "one_component_too_many",
        || around(129, &component(&[])),
        Refused("it has 129 nested modules and components; at most 128 are allowed"),
    ),
    bomb("components_nine_deep", || nested(9), Refused("it has 9 levels of nesting; at most 8 are allowed")),
    bomb("components_a_thousand_deep", || nested(1_000), Refused("it has 9 levels of nesting; at most 8 are allowed")),
    bomb("a_million_types", a_million_types, Refused(DEFINITIONS)),
    bomb("fifty_thousand_locals", fifty_thousand_locals, Refused("locals exceed maximum")),
    bomb(
        "a_thousand_parameters",
        || of_types(&[signature(1_001, 0, I32)]),
        Refused("function params size is out of bounds"),
    ),
    bomb(
        "a_thousand_results",
        || of_types(&[signature(0, 1_001, I32)]),
        Refused("function returns size is out of bounds"),
    ),
    bomb(
        "too_many_segments_of_data",
        too_many_segments_of_data,
        Refused("data segments count exceeds limit of 100000"),
    ),
    bomb("too_many_segments_of_elements", too_many_segments_of_elements, Refused(DEFINITIONS)),
    bomb("a_hundred_tables", || of_sections(&[tables(101, 1)]), Refused("tables count exceeds limit")),
    bomb("a_name_of_megabytes", a_name_of_megabytes, Refused("string size out of bounds")),
    bomb("types_that_double", types_that_double, Refused("effective type size exceeds the limit of 1000000")),
    bomb("types_ten_thousand_deep", types_ten_thousand_deep, Refused("type nesting is too deep")),
    bomb("a_record_of_many_fields", a_record_of_many_fields, Refused("record field size is out of bounds")),
    bomb("a_constant_that_is_not_over", a_constant_that_is_not_over, Refused(INVALID)),
];

pub(super) fn of_sections(sections: &[Vec<u8>]) -> Vec<u8> {
    holding(1, &module(sections))
}

fn of_types(signatures: &[Vec<u8>]) -> Vec<u8> {
    of_sections(&[types(signatures)])
}

/// Functions that do nothing.
fn of_functions(count: usize) -> Vec<u8> {
    holding(1, &module_of_functions(count))
}

fn module_of_functions(count: usize) -> Vec<u8> {
    let (declared, code) = functions(&vec![0; count], &vec![function((0, I32), &[]); count]);
    module(&[types(&[signature(0, 0, I32)]), declared, code])
}

fn nested(levels: usize) -> Vec<u8> {
    (0..levels).fold(component(&[]), |inner, _| around(1, &inner))
}

fn a_million_types() -> Vec<u8> {
    let count = 1_000_001;
    of_sections(&[section(1, &list(count, &signature(0, 0, I32).repeat(count)))])
}

fn fifty_thousand_locals() -> Vec<u8> {
    let (declared, code) = functions(&[0], &[function((50_001, I64), &[])]);
    of_sections(&[types(&[signature(0, 0, I32)]), declared, code])
}

fn too_many_segments_of_data() -> Vec<u8> {
    let count = 100_001;
    // Passive and empty.
    of_sections(&[section(11, &list(count, &[1, 0].repeat(count)))])
}

fn too_many_segments_of_elements() -> Vec<u8> {
    let count = 100_001;
    // Passive, of functions, and empty.
    of_sections(&[section(9, &list(count, &[1, 0, 0].repeat(count)))])
}

/// The section of so many tables of functions, each with so many entries from the beginning.
pub(super) fn tables(count: usize, entries: usize) -> Vec<u8> {
    let table = [[0x70, 0].as_slice(), &number(entries)].concat();
    section(4, &list(count, &table.repeat(count)))
}

fn a_name_of_megabytes() -> Vec<u8> {
    let import = [sized(&vec![b'x'; 3 << 20]), sized(b"y"), vec![0, 0]].concat();
    of_sections(&[types(&[signature(0, 0, I32)]), section(2, &list(1, &import))])
}

/// A component's section of types.
fn component_types(count: usize, types: &[u8]) -> Vec<u8> {
    component(&[section(7, &list(count, types))])
}

/// Each a pair of the one before.
fn types_that_double() -> Vec<u8> {
    let pair = |of: usize| [vec![0x6f, 2], signed(of), signed(of)].concat();
    let pairs: Vec<u8> = (0..64).flat_map(pair).collect();
    component_types(65, &[[0x6f, 2, 0x73, 0x73].as_slice(), &pairs].concat())
}

/// Each a list of the one before.
fn types_ten_thousand_deep() -> Vec<u8> {
    let lists: Vec<u8> = (0..10_000).flat_map(|of| [vec![0x70], signed(of)].concat()).collect();
    component_types(10_001, &[[0x70, 0x73].as_slice(), &lists].concat())
}

fn a_record_of_many_fields() -> Vec<u8> {
    let field = |nth: usize| [sized(format!("f{nth}").as_bytes()), vec![0x73]].concat();
    let count = 10_001;
    component_types(1, &[vec![0x72], number(count), (0..count).flat_map(field).collect()].concat())
}

/// A global whose value is a million numbers, and no sum of them.
fn a_constant_that_is_not_over() -> Vec<u8> {
    let global = [[I32, 0].as_slice(), &[0x41, 1].repeat(1_000_000), &[0x0b]].concat();
    of_sections(&[section(6, &list(1, &global))])
}
