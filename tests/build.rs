//! Builds the plugins of this repository and the guests of its tests for Wasm, so that tests run what was just edited.
//!
//! Nested cargo has a target directory of its own: two builds in one directory would wait for each other.

use std::{env, path::PathBuf, process::Command};

/// What is shipped.
const PLUGINS: &[&str] = &["scale-ecs-service", "scale-asg", "replace-unhealthy-instance"];

/// What only tests run, each a package below `guests`.
const GUESTS: &[&str] = &["misbehave", "open-socket", "propose-anything", "stamped"];

/// Plugins of released contracts, each a package below `golden/<version>`.
const GOLDEN: &[&str] = &["golden-say-everything", "golden-scale-by-hand"];

fn main() {
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it")).join("..");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it")).join("wasm");
    // Not the whole of `sdk`: what is in other languages there is built when a test asks for it.
    for watched in
        ["sdk/Cargo.toml", "sdk/src", "sdk/catalogue", "plugins", "tests/guests", "tests/golden", "wit", "Cargo.toml"]
    {
        println!("cargo::rerun-if-changed={}", root.join(watched).display());
    }
    let mut cargo = Command::new(env::var_os("CARGO").expect("cargo sets it"));
    cargo
        .current_dir(&root)
        .args(["build", "--quiet", "--target", "wasm32-wasip2", "--profile", "plugin", "--target-dir"])
        .arg(&out)
        // What cargo tells this script about the host's build is not true of the nested one.
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env_remove("RUSTC_WORKSPACE_WRAPPER");
    for package in PLUGINS.iter().chain(GUESTS).chain(GOLDEN) {
        cargo.args(["--package", package]);
    }
    let built = cargo.status().expect("cargo runs");
    assert!(built.success(), "the plugins cannot be built: is the target there? rustup target add wasm32-wasip2");
    for (kind, packages) in [("PLUGIN", PLUGINS), ("GUEST", GUESTS), ("PLUGIN", GOLDEN)] {
        for package in packages {
            let name = package.replace('-', "_");
            let file = out.join("wasm32-wasip2/plugin").join(&name).with_extension("wasm");
            println!("cargo::rustc-env={kind}_{}={}", name.to_uppercase(), file.display());
        }
    }
}
