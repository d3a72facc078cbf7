//! Compiling a plugin costs what its limits say: what would cost more is refused with its reason, the host goes on, and what
//! was compiled once is not compiled again, whatever becomes of the file that keeps it.

use std::{
    fs,
    path::PathBuf,
    time::{Duration, Instant},
};

use balm_core::record::Fact;
use balm_tests::harness::{
    Dir,
    cloud::Cloud,
    grafana::{Alert, body},
    host::Files,
    wait,
};

/// A number as WebAssembly writes it (LEB128, unsigned).
fn number(mut value: usize) -> Vec<u8> {
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

/// A section: its id, its length, its content.
fn section(id: u8, content: &[u8]) -> Vec<u8> {
    [&[id], number(content.len()).as_slice(), content].concat()
}

/// A list: its length and its items.
fn list(count: usize, items: &[u8]) -> Vec<u8> {
    [number(count).as_slice(), items].concat()
}

fn component(sections: &[Vec<u8>]) -> Vec<u8> {
    [b"\0asm\x0d\0\x01\0".as_slice(), &sections.concat()].concat()
}

/// A component with one core module of so many functions with this body.
fn of_functions(count: usize, body: &[u8]) -> Vec<u8> {
    // One type: no parameter, no result.
    let types = section(1, &list(1, &[0x60, 0, 0]));
    let functions = section(3, &list(count, &vec![0; count]));
    let sized = [number(body.len()).as_slice(), body].concat();
    let code = section(10, &list(count, &sized.repeat(count)));
    let module = [b"\0asm\x01\0\0\0".as_slice(), &types, &functions, &code].concat();
    component(&[section(1, &module)])
}

/// A function of few bytes for its compiler's pain: thousands of locals, and as many branches after which each may differ.
fn bomb() -> Vec<u8> {
    const LOCALS: usize = 40_000;
    let mut body = list(1, &[number(LOCALS).as_slice(), &[0x7e]].concat());
    for i in 0..100_000_usize {
        let local = number(i * 7_919 % LOCALS);
        let other = number(i * 104_729 % LOCALS);
        // if (other is zero) { local = other + 1 }
        body.extend([&[0x20], other.as_slice(), &[0x50, 0x04, 0x40, 0x20], &other].concat());
        body.extend([&[0x42, 1, 0x7c, 0x21], local.as_slice(), &[0x0b]].concat());
    }
    body.push(0x0b);
    body
}

fn plugin(files: &Files, name: &str) -> PathBuf {
    files.path("plugins").join(name).with_extension("wasm")
}

#[test]
fn what_would_cost_too_much_to_compile_is_refused_with_its_reason() {
    let files = Files::new(Dir::new("compile-bombs"), "http://127.0.0.1:9");
    let put = |name: &str, bytes: &[u8]| fs::write(plugin(&files, name), bytes).expect("a file can be written");
    let (empty, nothing) = (b"\0asm\x01\0\0\0".as_slice(), [0, 0x0b].as_slice());
    put("many-functions", &of_functions(50_001, nothing));
    put("many-modules", &component(&vec![section(1, empty); 129]));
    put("nested", &(0..9).fold(component(&[]), |inner, _| component(&[section(4, &inner)])));
    put("bomb", &of_functions(1, &bomb()));
    let since = Instant::now();
    let checked = files.balm(&["check"]);
    let took = since.elapsed();
    let told = String::from_utf8_lossy(&checked.stdout).into_owned() + &String::from_utf8_lossy(&checked.stderr);
    assert!(!checked.status.success(), "{told}");
    for (name, why) in [
        ("many-functions", "it has 50001 functions; at most 50000 are allowed"),
        ("many-modules", "it has 129 nested modules and components; at most 128 are allowed"),
        ("nested", "it has 9 levels of nesting; at most 8 are allowed"),
        ("bomb", "compiling it took more than "),
    ] {
        let wanted = format!("plugin {name}: {}: {why}", plugin(&files, name).display());
        assert!(told.contains(&wanted), "\n  wanted {wanted}\n  told   {told}");
    }
    println!("a bomb of {} bytes was given up after {} s", bomb().len(), took.as_secs());
    assert!(took < Duration::from_secs(90), "it took {} s", took.as_secs());
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
