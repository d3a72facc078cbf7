//! Guests whose form is not a plugin's: files that are something else, components that import or export otherwise than the
//! contract says, and manifests that lie.

use std::fs;

use super::{
    Ending::{Decides, Refused},
    Hostile,
    component::{FREE, Guest, SAYS, assemble, data, words},
    guest,
};
use crate::{OPEN_SOCKET, SCALE_ECS_SERVICE, binary::number};

const FOREIGN: &str = "which no policy may";
const CONTRACT: &str = "it does not fit the contract balm:policy@0.1.0";
const INVALID: &str = "it cannot be compiled";

pub(super) const GUESTS: &[Hostile] = &[
    // Files that are something else.
    guest("is_empty", Vec::new, Refused("it is empty")),
    guest("is_a_script", || b"#!/bin/sh\nexec balm stop\n".to_vec(), Refused("it is no WebAssembly")),
    guest("is_a_core_module", || assemble("(module)"), Refused("it is a core module")),
    guest("is_native_code", || balm_sandbox::compile(&good()).expect("it compiles"), Refused("it is native code")),
    guest("is_of_an_unknown_version", || b"\0asm\x0d\0\x02\0".to_vec(), Refused("an unknown version")),
    guest("is_cut_in_the_middle", || good()[..good().len() / 2].to_vec(), Refused(INVALID)),
    guest("is_damaged_in_the_middle", is_damaged_in_the_middle, Refused(INVALID)),
    guest("has_more_bytes_than_it_may", || vec![0; (32 << 20) + 1], Refused("it has 33554433 bytes; at most 33554432")),
    guest("has_a_section_without_end", has_a_section_without_end, Refused(INVALID)),
    guest("has_garbage_for_names", || and_custom(&good(), "name", &[0xff; 64], 1), Decides(SAYS)),
    guest("has_a_custom_section_of_megabytes", || and_custom(&good(), "x", &vec![0; 3 << 20], 1), Decides(SAYS)),
    guest("has_ten_thousand_custom_sections", || and_custom(&good(), "x", b"", 10_000), Decides(SAYS)),
    // What it imports.
    guest("imports_a_stranger", || importing(r#""shop:orders/refund" (instance)"#), Refused(FOREIGN)),
    guest("imports_http", || importing(r#""wasi:http/outgoing-handler@0.2.0" (instance)"#), Refused(FOREIGN)),
    guest("imports_sockets", || importing(r#""wasi:sockets/tcp@0.2.0" (instance)"#), Refused(FOREIGN)),
    guest("opens_a_socket_in_rust", || fs::read(OPEN_SOCKET).expect("the build made it"), Refused("wasi:sockets/")),
    guest("imports_the_wasi_of_tomorrow", || importing(r#""wasi:io/streams@0.3.0" (instance)"#), Refused(FOREIGN)),
    guest("imports_the_log_of_tomorrow", || importing(r#""balm:policy/log@0.2.0" (instance)"#), Refused(FOREIGN)),
    guest("imports_a_function", || importing(r#""run" (func)"#), Refused(FOREIGN)),
    guest("imports_a_module", || importing(r#""code" (core module)"#), Refused(FOREIGN)),
    guest(
        "imports_what_the_log_has_not",
        || alone(r#"(import "balm:policy/log@0.1.0" (instance (export "erase" (func))))"#),
        Refused(CONTRACT),
    ),
    guest(
        "imports_the_log_as_another",
        || alone(r#"(import "balm:policy/log@0.1.0" (instance (export "write" (func (param "all" (list u64))))))"#),
        Refused(CONTRACT),
    ),
    guest(
        "imports_wasi_as_another",
        || alone(r#"(import "wasi:cli/exit@0.2.0" (instance (export "exit" (func (param "status" string)))))"#),
        Refused(CONTRACT),
    ),
    // What it exports.
    guest("exports_nothing", || alone(""), Refused(CONTRACT)),
    guest(
        "exports_too_little",
        || alone(r#"(instance $i) (export "balm:policy/plugin@0.1.0" (instance $i))"#),
        Refused(CONTRACT),
    ),
    guest("exports_another_type", exports_another_type, Refused("expected 1-tuple, found 0-tuple")),
    guest("exports_the_contract_of_tomorrow", exports_the_contract_of_tomorrow, Refused(CONTRACT)),
    guest("exports_more", || after(r#"(export "init" (func $validate))"#), Decides(SAYS)),
    guest(
        "exports_a_name_twice",
        || after(r#"(export "a" (func $validate)) (export "a" (func $validate))"#),
        Refused(INVALID),
    ),
    guest("imports_a_name_twice", imports_a_name_twice, Refused(INVALID)),
    guest("speaks_utf_16", || speaking("utf16"), Refused("UTF-8")),
    guest("speaks_latin_1", || speaking("latin1+utf16"), Refused("UTF-8")),
    // What it says of itself.
    guest(
        "insists_on_the_name_of_another",
        || describing(Lie::Name),
        Refused("its manifest is wrong: it insists on the name"),
    ),
    guest(
        "declares_an_action_there_is_not",
        || describing(Lie::Action),
        Refused("its manifest is wrong: it declares the action"),
    ),
    guest("declares_too_much", || describing(Lie::Actions), Refused("its manifest is wrong")),
    guest(
        "has_a_schema_that_is_no_json",
        || describing(Lie::Schema),
        Refused("its manifest is wrong: settings-schema"),
    ),
];

fn good() -> Vec<u8> {
    Guest::default().build()
}

fn is_damaged_in_the_middle() -> Vec<u8> {
    let mut bytes = fs::read(SCALE_ECS_SERVICE).expect("the build made it");
    let middle = bytes.len() / 2;
    bytes[middle..middle + 64].fill(0xff);
    bytes
}

/// A section that says it has 4 GiB.
fn has_a_section_without_end() -> Vec<u8> {
    [good(), vec![1, 0xff, 0xff, 0xff, 0xff, 0x0f]].concat()
}

/// A component and custom sections behind it.
fn and_custom(component: &[u8], name: &str, content: &[u8], times: usize) -> Vec<u8> {
    let named = [&[u8::try_from(name.len()).expect("a short name")], name.as_bytes(), content].concat();
    let section = [&[0], number(named.len()).as_slice(), &named].concat();
    [component, &section.repeat(times)].concat()
}

fn alone(text: &str) -> Vec<u8> {
    assemble(&format!("(component {text})"))
}

fn importing(import: &str) -> Vec<u8> {
    Guest { imports: &format!("(import {import})"), ..Guest::default() }.build()
}

fn after(after: &str) -> Vec<u8> {
    Guest { after, ..Guest::default() }.build()
}

fn speaking(encoding: &str) -> Vec<u8> {
    Guest { encoding, ..Guest::default() }.build()
}

/// An `evaluate` without an input.
fn exports_another_type() -> Vec<u8> {
    alone(
        r#"(core module $m (func (export "f")))
        (core instance $m (instantiate $m))
        (func $f (canon lift (core func $m "f")))
        (instance $plugin
            (export "describe" (func $f)) (export "validate-settings" (func $f)) (export "evaluate" (func $f)))
        (export "balm:policy/plugin@0.1.0" (instance $plugin))"#,
    )
}

fn exports_the_contract_of_tomorrow() -> Vec<u8> {
    alone(r#"(instance $i) (export "balm:policy/plugin@0.2.0" (instance $i))"#)
}

fn imports_a_name_twice() -> Vec<u8> {
    Guest { imports: &r#"(import "wasi:cli/exit@0.2.0" (instance))"#.repeat(2), ..Guest::default() }.build()
}

#[derive(Clone, Copy)]
enum Lie {
    Name,
    Action,
    Actions,
    Schema,
}

/// A manifest with one lie.
fn describing(lie: Lie) -> Vec<u8> {
    const NAME: &str = "scale-ecs-service";
    const ACTION: &str = "iam:create-user";
    let (text, list, manifest) = (FREE, FREE + 64, FREE + 4_096);
    let (said, own, actions, schema) = match lie {
        Lie::Name => (NAME, [1, text, 17], [0, 0], [176, 2]),
        Lie::Action => (ACTION, [0, 0, 0], [list, 1], [176, 2]),
        Lie::Actions => (ACTION, [0, 0, 0], [list, 300], [176, 2]),
        Lie::Schema => (NAME, [0, 0, 0], [0, 0], [text, 5]),
    };
    let length = u32::try_from(said.len()).expect("a short text");
    let fields = [&own[..], &[64, 5, 80, 5], &actions, &[0, 0], &schema].concat();
    let items = [data(text, said.as_bytes()), words(list, &[text, length].repeat(300)), words(manifest, &fields)];
    Guest { describe: &format!("i32.const {manifest}"), items: &items.concat(), ..Guest::default() }.build()
}
