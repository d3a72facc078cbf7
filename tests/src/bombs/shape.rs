//! Bombs that are no one function: what a module or a component is made of, each part small and in great number, or small to
//! write down and large to keep.

use super::{
    Bomb,
    Ending::{Costs, Refused},
    bomb,
    counts::{DEFINITIONS, of_sections, tables},
};
use crate::{
    binary::{
        I32, I64, component, function, functions, holding, list, module, number, section, signature, signed, sized,
        types,
    },
    corpus,
};

pub(super) const BOMBS: &[Bomb] = &[
    bomb("as_many_functions_as_there_may_be", as_many_functions_as_there_may_be, Costs),
    bomb("exports_with_a_thousand_parameters", exports_with_a_thousand_parameters, Costs),
    bomb("imports_with_a_thousand_parameters", imports_with_a_thousand_parameters, Costs),
    bomb("types_of_a_thousand_parameters", types_of_a_thousand_parameters, Costs),
    bomb("tables_that_begin_full", || holding(1, &full_tables(100)), Costs),
    bomb("tables_that_begin_full_in_many_modules", || holding(128, &full_tables(100)), Costs),
    bomb("tables_that_begin_nearly_as_full_as_they_may", || holding(1, &full_tables(40)), Costs),
    bomb("a_constant_without_end", a_constant_without_end, Costs),
    bomb("elements_by_the_million", elements_by_the_million, Costs),
    bomb("a_hundred_thousand_segments_of_data", a_hundred_thousand_segments_of_data, Costs),
    bomb("exports_by_the_hundred_thousand", exports_by_the_hundred_thousand, Refused(DEFINITIONS)),
    bomb("globals_by_the_hundred_thousand", globals_by_the_hundred_thousand, Refused(DEFINITIONS)),
    bomb("types_of_a_component_by_the_million", types_of_a_component_by_the_million, Refused(DEFINITIONS)),
    bomb("functions_lowered_by_the_ten_thousand", || lowered(12_000), Costs),
    bomb("adapters_of_large_types", || adapted(1, 13), Costs),
    bomb("many_adapters_of_large_types", || adapted(400, 9), Costs),
];

/// Each with a loop, so that it looks at the time and at its fuel.
fn as_many_functions_as_there_may_be() -> Vec<u8> {
    let count = 50_000;
    let body = function((0, I32), &[0x03, 0x40, 0x20, 0, 0x0d, 0, 0x0b]);
    let (declared, code) = functions(&vec![0; count], &vec![body; count]);
    of_sections(&[types(&[signature(1, 0, I32)]), declared, code])
}

fn name(nth: usize) -> Vec<u8> {
    sized(format!("{nth:x}").as_bytes())
}

/// What is exported can be called from outside, for which it needs a second function that takes its values out of memory.
fn exports_with_a_thousand_parameters() -> Vec<u8> {
    let count = 900;
    let (declared, code) = functions(&vec![0; count], &vec![function((0, I32), &[]); count]);
    let exports: Vec<u8> = (0..count).flat_map(|nth| [name(nth), vec![0], number(nth)].concat()).collect();
    of_sections(&[types(&[signature(1_000, 0, I64)]), declared, section(7, &list(count, &exports)), code])
}

fn imports_with_a_thousand_parameters() -> Vec<u8> {
    let count = 900;
    let imports: Vec<u8> = (0..count).flat_map(|nth| [sized(b"x"), name(nth), vec![0, 0]].concat()).collect();
    of_sections(&[types(&[signature(1_000, 0, I64)]), section(2, &list(count, &imports))])
}

/// Each another one, and one function of each.
fn types_of_a_thousand_parameters() -> Vec<u8> {
    let signatures: Vec<_> = (0..900_usize)
        .map(|nth| {
            let of: Vec<u8> = (0..1_000).map(|bit| if nth >> (bit % 12) & 1 == 0 { I32 } else { I64 }).collect();
            [vec![0x60], list(of.len(), &of), vec![0]].concat()
        })
        .collect();
    let imports: Vec<u8> =
        (0..signatures.len()).flat_map(|nth| [sized(b"x"), name(nth), vec![0], number(nth)].concat()).collect();
    of_sections(&[types(&signatures), section(2, &list(signatures.len(), &imports))])
}

/// So many tables of a million entries, each with one element, at its end: wasmtime works out what all entries are. The
/// whole takes a few bytes to write down, and megabytes for each table to keep.
fn full_tables(count: usize) -> Vec<u8> {
    const ENTRIES: usize = 1 << 20;
    // An element of a table with a number, at this constant: `i32.const ENTRIES - 1`, which is signed.
    let last: Vec<u8> = vec![0x41, 0xff, 0xff, 0x3f, 0x0b];
    let element = |table: usize| [vec![2], number(table), last.clone(), vec![0, 1, 0]].concat();
    let elements: Vec<u8> = (0..count).flat_map(element).collect();
    let (declared, code) = functions(&[0], &[function((0, I32), &[])]);
    let sections =
        [types(&[signature(0, 0, I32)]), declared, tables(count, ENTRIES), section(9, &list(count, &elements)), code];
    module(&sections)
}

/// A sum of a million numbers, to be worked out whenever the module is instantiated.
fn a_constant_without_end() -> Vec<u8> {
    let global = [[I32, 0, 0x41, 1].as_slice(), &[0x41, 1, 0x6a].repeat(1_200_000), &[0x0b]].concat();
    of_sections(&[section(6, &list(1, &global))])
}

fn elements_by_the_million() -> Vec<u8> {
    let count = 4_000_000;
    let (declared, code) = functions(&[0], &[function((0, I32), &[])]);
    let elements = [vec![1, 0], list(count, &vec![0; count])].concat();
    of_sections(&[types(&[signature(0, 0, I32)]), declared, section(9, &list(1, &elements)), code])
}

/// One in each page of the largest memory, and again.
fn a_hundred_thousand_segments_of_data() -> Vec<u8> {
    let count = 100_000_usize;
    let at = |nth: usize| signed((nth % (1 << 15)) << 16);
    let segments: Vec<u8> = (0..count).flat_map(|nth| [vec![0, 0x41], at(nth), vec![0x0b, 1, 0xa5]].concat()).collect();
    of_sections(&[
        section(5, &list(1, &[[0].as_slice(), &number(1 << 16)].concat())),
        section(11, &list(count, &segments)),
    ])
}

fn exports_by_the_hundred_thousand() -> Vec<u8> {
    let count = 400_000;
    let (declared, code) = functions(&[0], &[function((0, I32), &[])]);
    let exports: Vec<u8> = (0..count).flat_map(|nth| [name(nth), vec![0, 0]].concat()).collect();
    of_sections(&[types(&[signature(0, 0, I32)]), declared, section(7, &list(count, &exports)), code])
}

fn globals_by_the_hundred_thousand() -> Vec<u8> {
    let count = 800_000;
    of_sections(&[section(6, &list(count, &[I32, 0, 0x41, 0, 0x0b].repeat(count)))])
}

/// Types of functions without parameters.
fn types_of_a_component_by_the_million() -> Vec<u8> {
    let count = 999_999;
    component(&[section(7, &list(count, &[0x40, 0, 1, 0].repeat(count)))])
}

/// The one function that a policy may import, made into so many of a module's.
fn lowered(count: usize) -> Vec<u8> {
    let lowered = r#"(core func (canon lower (func $log "write") (memory $m "memory")))"#.repeat(count);
    corpus::assemble(&format!(
        r#"(component
            (import "balm:policy/log@0.1.0" (instance $log
                (type $l (enum "debug" "info" "warn"))
                (export "level" (type $level (eq $l)))
                (export "write" (func (param "level" $level) (param "message" string)))))
            (core module $m (memory (export "memory") 1))
            (core instance $m (instantiate $m))
            {lowered})"#
    ))
}

/// Two components inside of one, of which one calls so many functions of the other: what they hand over is a list in a pair of
/// the same, so many times, and each must be copied from one memory into the other.
fn adapted(count: usize, doublings: usize) -> Vec<u8> {
    use std::fmt::Write as _;
    let mut ty = "(type $t0 (list u8))".to_owned();
    for nth in 1..=doublings {
        write!(ty, "(type $t{nth} (tuple $t{} (list $t{})))", nth - 1, nth - 1).expect("a string takes all");
    }
    let each = |text: &dyn Fn(usize) -> String| (0..count).map(text).collect::<String>();
    let exported = each(&|nth| format!(r#"(export "f{nth}" (func (param "x" $t{doublings})))"#));
    let lifted = each(&|nth| {
        format!(
            r#"(func (export "f{nth}") (param "x" $t{doublings})
                (canon lift (core func $m "f") (memory $m "memory") (realloc (func $m "realloc"))))"#
        )
    });
    let lowered = each(&|nth| format!(r#"(core func (canon lower (func $other "f{nth}") (memory $m "memory")))"#));
    let core = r#"(core module $m (memory (export "memory") 1)
            (func (export "realloc") (param i32 i32 i32 i32) (result i32) i32.const 0)
            (func (export "f") (param i32)))
        (core instance $m (instantiate $m))"#;
    let outer = format!("(alias outer $two $t{doublings} (type $t{doublings}))");
    corpus::assemble(&format!(
        r#"(component
            (component $one {ty} {core} {lifted})
            (component $two {ty} (import "other" (instance $other {outer} {exported})) {core} {lowered})
            (instance $one (instantiate $one))
            (instance (instantiate $two (with "other" (instance $one)))))"#,
    ))
}
