//! Compiling a plugin costs what its limits say: what would cost more is refused with its reason, the host goes on, and what
//! was compiled once is not compiled again, whatever becomes of the file that keeps it.

use std::{
    collections::BTreeSet,
    fs,
    path::PathBuf,
    time::{Duration, Instant},
};

use balm_core::record::Fact;
use balm_tests::{
    bombs,
    harness::{
        Dir,
        cloud::Cloud,
        grafana::{Alert, body},
        host::Files,
        wait,
    },
};

/// Bombs for `balm check`: counted, and of those that are compiled one that is given up.
const CHECKED: [&str; 4] =
    ["one_function_too_many", "one_module_too_many", "components_nine_deep", "locals_that_depend_on_branches"];

/// Bombs for a host, which `cargo xtask prove` puts there all.
const PUT_THERE: [&str; 8] = [
    "a_million_functions",
    "types_of_a_component_by_the_million",
    "types_that_double",
    "types_ten_thousand_deep",
    "blocks_of_a_thousand_values",
    "as_many_functions_as_there_may_be",
    "tables_that_begin_full",
    "tables_that_begin_nearly_as_full_as_they_may",
];

/// A bomb's name as that of a plugin.
fn name(bomb: &str) -> String {
    bomb.replace('_', "-")
}

fn plugin(files: &Files, name: &str) -> PathBuf {
    files.path("plugins").join(name).with_extension("wasm")
}

#[test]
fn what_would_cost_too_much_to_compile_is_refused_with_its_reason() {
    let files = Files::new(Dir::new("compile-bombs"), "http://127.0.0.1:9");
    for bomb in CHECKED {
        fs::write(plugin(&files, &name(bomb)), (bombs::named(bomb).bytes)()).expect("a file can be written");
    }
    let since = Instant::now();
    let checked = files.balm(&["check"]);
    let took = since.elapsed();
    let told = String::from_utf8_lossy(&checked.stdout).into_owned() + &String::from_utf8_lossy(&checked.stderr);
    assert!(!checked.status.success(), "{told}");
    for (bomb, why) in CHECKED.iter().zip([
        "it has 50001 functions; at most 50000 are allowed",
        "it has 129 nested modules and components; at most 128 are allowed",
        "it has 9 levels of nesting; at most 8 are allowed",
        "compiling it took more than ",
    ]) {
        let wanted = format!("plugin {}: {}: {why}", name(bomb), plugin(&files, &name(bomb)).display());
        assert!(told.contains(&wanted), "\n  wanted {wanted}\n  told   {told}");
    }
    assert!(took < Duration::from_secs(90), "it took {} s", took.as_secs());
}

#[test]
fn a_bomb_where_a_good_plugin_was_is_refused_and_the_host_has_no_more_memory_than_before() {
    let report = bombs::run(&PUT_THERE.map(bombs::named));
    assert!(report.wrong.is_empty(), "{report:#?}");
    assert_eq!((report.bombs, report.contained), (8, 8));
}

#[test]
fn there_are_fifty_bombs_each_with_a_name_of_its_own_and_each_fits_in_a_plain_plugin() {
    let all = bombs::all();
    let names: BTreeSet<&str> = all.iter().map(|bomb| bomb.name).collect();
    assert!(all.len() >= 50 && names.len() == all.len(), "{} names of {}", names.len(), all.len());
    for bomb in all {
        let bytes = (bomb.bytes)().len();
        assert_eq!(balm_sandbox::Class::of(bytes), Some(balm_sandbox::Class::Plain), "{}: {bytes}", bomb.name);
    }
}

#[test]
fn what_was_compiled_is_used_again_and_what_was_damaged_is_compiled_again() {
    let cloud = Cloud::start(1, balm_cloud::Options::default(), None);
    cloud.create_service("web", 4);
    let files = Files::new(Dir::new("compile-cache"), &cloud.endpoint());
    let kept = || -> Vec<PathBuf> {
        let entries = fs::read_dir(files.data().join("cache")).expect("the directory is there");
        entries.flatten().map(|entry| entry.path()).filter(|path| !path.ends_with("key")).collect()
    };
    files.start().stop();
    let [first] = kept().try_into().expect("one plugin, one file");
    let (code, written) = (fs::read(&first).expect("it can be read"), modified(&first));
    files.start().stop();
    assert_eq!((kept(), modified(&first)), (vec![first.clone()], written), "it was used as it is");
    for damage in [0, code.len() / 2, code.len() - 1] {
        let mut damaged = code.clone();
        damaged[damage] ^= 1;
        fs::write(&first, &damaged).expect("it can be written");
        files.start().stop();
        assert_ne!(fs::read(&first).expect("it can be read"), damaged, "byte {damage}: it was used");
    }
    let host = files.start();
    host.accept(&body(&[Alert::firing("HighCpu", "web", 1)]));
    wait::until("the change", Duration::from_secs(30), || (cloud.desired("web") == 6).then_some(()));
    assert!(!files.facts().iter().any(|fact| matches!(fact, Fact::PluginRefused(_))));
    host.stop();
}

fn modified(path: &std::path::Path) -> std::time::SystemTime {
    fs::metadata(path).and_then(|metadata| metadata.modified()).expect("it is there")
}
