//! Policies in other languages: the same decisions as the bundled one in Rust, and put to work by the real program.

use std::{fs, sync::Arc, time::Duration};

use balm_cloud::Options;
use balm_sandbox::Sandbox;
use balm_tests::{
    SCALE_ECS_SERVICE,
    golden::{Compared, Golden, RELEASED, SCALE},
    harness::{
        Dir,
        cloud::Cloud,
        grafana::{Alert, body},
        host::Files,
        wait,
    },
    languages::{self, Language, TOOLS},
};

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

fn agree(golden: &str, component: &std::path::Path) {
    let golden = Golden::read(golden).expect("golden decisions");
    let mut compared = Compared::default();
    let comparing = async {
        let sandbox = Arc::new(Sandbox::new().expect("a sandbox"));
        golden.compare(&sandbox, component, &mut compared).await
    };
    runtime().block_on(comparing).expect("it is a plugin");
    assert!(compared.decisions > 5, "{compared:?}");
    assert!(compared.mismatches.is_empty(), "{}", compared.mismatches.join("\n"));
}

fn agree_in(language: Language) {
    if let Some(component) = component(language) {
        agree(SCALE, component);
    }
}

/// Build it, or say that it was left out.
fn component(language: Language) -> Option<&'static std::path::Path> {
    let component = languages::component(language);
    if component.is_none() {
        println!("skipped: {TOOLS} names no tools; `cargo xtask test` installs them and sets it");
    }
    component
}

#[test]
fn plugins_of_every_released_contract_decide_as_they_did() {
    for (component, golden) in RELEASED {
        agree(golden, component.as_ref());
    }
}

#[test]
fn the_bundled_policy_decides_as_its_table_says() {
    agree(SCALE, SCALE_ECS_SERVICE.as_ref());
}

#[test]
fn a_policy_in_javascript_decides_as_the_one_in_rust() {
    agree_in(Language::JavaScript);
}

#[test]
fn a_policy_in_python_decides_as_the_one_in_rust() {
    agree_in(Language::Python);
}

#[test]
fn a_policy_in_c_decides_as_the_one_in_rust() {
    agree_in(Language::C);
}

#[test]
fn a_policy_in_go_decides_as_the_one_in_rust() {
    agree_in(Language::Go);
}

#[test]
fn the_sdks_of_other_languages_keep_their_own_promises() {
    if languages::test_sdks().is_none() {
        println!("skipped: {TOOLS} names no tools; `cargo xtask test` installs them and sets it");
    }
}

#[test]
fn a_policy_with_the_runtime_of_its_language_is_dropped_in_and_scales_a_service() {
    let Some(component) = component(Language::Python) else { return };
    let cloud = Cloud::start(1, Options::default(), None);
    cloud.create_service("web", 4);
    let files = Files::new(Dir::new("languages-python"), &cloud.endpoint());
    files.edit("balm.toml", |text| format!("plugin-class = \"runtime\"\n{text}"));
    files.put("plugins/scale-ecs-service.wasm", &fs::read(component).expect("it was built"));
    let host = files.start();
    // It is compiled once the host runs, which takes a build without optimisation a minute on a busy machine.
    let within = Duration::from_secs(180);
    wait::until("the plugin to be active", within, || {
        (files.plugin("scale-ecs-service")["state"] == "active").then_some(())
    });
    host.accept(&body(&[Alert::firing("HighCpu", "web", 1)]));
    wait::until("the change", within, || (cloud.desired("web") == 6).then_some(()));
    host.stop();
}
