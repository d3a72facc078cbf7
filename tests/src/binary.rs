//! The binary format of WebAssembly, as far as tests write it by hand (WebAssembly, Binary Format; Component Model, Binary.md).
//!
//! For what no text could say in reasonable time, or at all: a function of megabytes, a hundred thousand segments. It refuses
//! to know whether what is written is valid.

/// Types of values.
pub const I32: u8 = 0x7f;
/// The same.
pub const I64: u8 = 0x7e;
/// The same.
pub const F64: u8 = 0x7c;

/// The id of a component's section of one core module, and of one component.
const CORE_MODULE: u8 = 1;
const COMPONENT: u8 = 4;

/// A number (LEB128, unsigned).
#[must_use]
pub fn number(mut value: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = (value & 0x7f) as u8;
        value >>= 7;
        if value == 0 {
            bytes.push(low);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}

/// The same as a signed number: its last group may not have the highest bit, which would make it negative.
#[must_use]
pub fn signed(value: usize) -> Vec<u8> {
    let mut bytes = number(value);
    if let Some(last) = bytes.last_mut().filter(|last| **last & 0x40 != 0) {
        *last |= 0x80;
        bytes.push(0);
    }
    bytes
}

/// A section: its id, its length, its content.
#[must_use]
pub fn section(id: u8, content: &[u8]) -> Vec<u8> {
    [&[id], number(content.len()).as_slice(), content].concat()
}

/// A list of so many items, which are written one after the other already.
#[must_use]
pub fn list(count: usize, items: &[u8]) -> Vec<u8> {
    [number(count).as_slice(), items].concat()
}

/// A text, or anything else with its length before it.
#[must_use]
pub fn sized(content: &[u8]) -> Vec<u8> {
    list(content.len(), content)
}

/// A core module of these sections.
#[must_use]
pub fn module(sections: &[Vec<u8>]) -> Vec<u8> {
    [b"\0asm\x01\0\0\0".as_slice(), &sections.concat()].concat()
}

/// A component of these sections.
#[must_use]
pub fn component(sections: &[Vec<u8>]) -> Vec<u8> {
    [b"\0asm\x0d\0\x01\0".as_slice(), &sections.concat()].concat()
}

/// A component that holds this core module so many times, and does nothing with it.
#[must_use]
pub fn holding(times: usize, module: &[u8]) -> Vec<u8> {
    component(&vec![section(CORE_MODULE, module); times])
}

/// A component that holds this one so many times.
#[must_use]
pub fn around(times: usize, inner: &[u8]) -> Vec<u8> {
    component(&vec![section(COMPONENT, inner); times])
}

/// A type of functions: so many parameters and results, all of one type.
#[must_use]
pub fn signature(parameters: usize, results: usize, of: u8) -> Vec<u8> {
    [vec![0x60], list(parameters, &vec![of; parameters]), list(results, &vec![of; results])].concat()
}

/// The body of a function: so many locals of one type, and its instructions without their end.
#[must_use]
pub fn function(locals: (usize, u8), instructions: &[u8]) -> Vec<u8> {
    let locals = if locals.0 == 0 { vec![0] } else { [&[1], number(locals.0).as_slice(), &[locals.1]].concat() };
    sized(&[&locals, instructions, &[0x0b]].concat())
}

/// The section of types.
#[must_use]
pub fn types(signatures: &[Vec<u8>]) -> Vec<u8> {
    section(1, &list(signatures.len(), &signatures.concat()))
}

/// The sections that declare functions of these types, and have their bodies: other sections stand between the two.
#[must_use]
pub fn functions(of: &[u8], bodies: &[Vec<u8>]) -> (Vec<u8>, Vec<u8>) {
    (section(3, &list(of.len(), of)), section(10, &list(bodies.len(), &bodies.concat())))
}
