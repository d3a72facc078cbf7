//! Files in the plugin directory that are no plugins: each is refused with its reason, and harms nothing else.

use std::{fs, path::Path, process::Command};

use balm_core::record::Fact;
use balm_tests::{
    SCALE_ECS_SERVICE,
    harness::{
        Dir,
        cloud::Cloud,
        grafana::{Alert, body},
        host::{Files, ready_within},
        wait,
    },
};

/// Names of bad plugins, and what is said of each.
const BAD: [(&str, &str); 13] = [
    ("core-module", "it is a core module; build it as a component, for Rust with --target wasm32-wasip2"),
    ("cut-off", "it cannot be compiled: "),
    ("directory", "it is no regular file"),
    ("empty", "it is empty; build it as a component"),
    ("fifo", "it is no regular file"),
    (
        "http-client",
        "it imports wasi:http/outgoing-handler@0.2.0, which no policy may; it gets `log` and an inert WASI",
    ),
    ("huge", "it has 33554433 bytes; at most 33554432 are allowed"),
    (
        "large",
        "it has 4194305 bytes, and a plain plugin at most 4194304: if it carries the runtime of its language, permit that with \
         plugin-class = \"runtime\" in balm.toml",
    ),
    ("nothing", "it does not fit the contract balm:policy@0.1.0: "),
    ("precompiled", "it is native code, perhaps a precompiled module; build it as a component"),
    ("random-bytes", "it is no WebAssembly; build it as a component"),
    ("socket-user", "it imports wasi:sockets/tcp@0.2.3, which no policy may"),
    ("stranger", "it imports shop:orders/refund, which no policy may"),
];

fn write_all(plugins: &Path) {
    let put = |name: &str, bytes: &[u8]| {
        fs::write(plugins.join(name).with_extension("wasm"), bytes).expect("a file can be written");
    };
    let good = fs::read(SCALE_ECS_SERVICE).expect("the plugin is built");
    put("core-module", b"\0asm\x01\0\0\0");
    put("cut-off", &good[..good.len() / 2]);
    fs::create_dir(plugins.join("directory.wasm")).expect("a directory can be made");
    put("empty", b"");
    let made = Command::new("mkfifo").arg(plugins.join("fifo.wasm")).status();
    assert!(made.is_ok_and(|made| made.success()), "a FIFO can be made");
    put("large", &vec![0; (4 << 20) + 1]);
    put("huge", &vec![0; (32 << 20) + 1]);
    put("http-client", &component(Some("wasi:http/outgoing-handler@0.2.0")));
    put("nothing", &component(None));
    put("precompiled", b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0");
    let noise: Vec<u8> = (0..999_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    put("random-bytes", &noise);
    put("socket-user", &component(Some("wasi:sockets/tcp@0.2.3")));
    put("stranger", &component(Some("shop:orders/refund")));
}

/// A component that is nothing but its import of an empty interface (WebAssembly Component Model, Binary.md).
fn component(import: Option<&str>) -> Vec<u8> {
    let mut bytes = b"\0asm\x0d\0\x01\0".to_vec();
    if let Some(name) = import {
        // Section 7: one type, an instance without declarations.
        bytes.extend([7, 3, 1, 0x42, 0]);
        // Section 10: one import, of an instance of type 0. All lengths are below 128, so each is one byte.
        let length = u8::try_from(name.len()).expect("a short name");
        bytes.extend([10, length + 5, 1, 0, length]);
        bytes.extend(name.bytes());
        bytes.extend([5, 0]);
    }
    bytes
}

#[test]
fn check_says_of_every_bad_plugin_what_is_wrong_and_goes_on() {
    let files = Files::new(Dir::new("bad-plugins-check"), "http://127.0.0.1:9");
    write_all(&files.path("plugins"));
    let told = files.balm_fails(&["check"]);
    for (name, why) in BAD {
        let file = files.path("plugins").join(name).with_extension("wasm");
        let wanted = format!("plugin {name}: {}: {why}", file.display());
        assert!(told.contains(&wanted), "\n  wanted {wanted}\n  told   {told}");
    }
    assert!(told.contains("plugin scale-ecs-service: Scales an ECS service"), "{told}");
    assert!(told.contains("see above for what is wrong"), "{told}");
}

#[test]
fn a_host_refuses_bad_plugins_on_record_and_works_with_the_good_one() {
    let cloud = Cloud::start(1, balm_cloud::Options::default(), None);
    cloud.create_service("web", 4);
    let files = Files::new(Dir::new("bad-plugins"), &cloud.endpoint());
    write_all(&files.path("plugins"));
    files.edit("balm.toml", |text| {
        text + "\n[[policy]]\nname = \"idle\"\nplugin = \"empty\"\nmode = \"enforce\"\ntargets = [\"arn:aws:ecs:eu-central-1:123456789012:service/prod/web\"]\n\
            match = { labels = { alertname = \"HighCpu\" } }\n"
    });
    let host = files.start();
    host.accept(&body(&[Alert::firing("HighCpu", "web", 0xbad)]));
    wait::until("the good plugin's change", ready_within(), || (cloud.desired("web") == 6).then_some(()));
    let skipped = wait::until("the bad plugin's policy to be skipped", ready_within(), || {
        files.facts().into_iter().find_map(|fact| match fact {
            Fact::EvaluationSkipped(skipped) => Some(skipped),
            _ => None,
        })
    });
    assert_eq!(skipped.policy.as_str(), "idle");
    assert!(skipped.why.contains("plugin empty"), "{skipped:?}");
    // Those that end in the middle might still be on their way: they are waited for before they are refused.
    let refused = wait::until("every bad plugin to be refused", ready_within(), || {
        let refused: Vec<_> = files.facts().into_iter().filter_map(refusal).collect();
        (refused.len() >= BAD.len()).then_some(refused)
    });
    for (name, why) in BAD {
        // Beside a running host a file may still be being written.
        let why = if matches!(name, "cut-off" | "empty") { "it ends in the middle: copy it again" } else { why };
        let told: Vec<&String> = refused.iter().filter(|(plugin, _)| plugin == name).map(|(_, why)| why).collect();
        assert!(matches!(told[..], [told] if told.contains(why)), "\n  wanted {name}: {why}\n  told   {told:?}");
    }
}

fn refusal(fact: Fact) -> Option<(String, String)> {
    match fact {
        Fact::PluginRefused(refused) => Some((refused.plugin.to_string(), refused.why)),
        _ => None,
    }
}
