//! The programs under test, built when they are first asked for.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

/// The host.
#[must_use]
pub fn balm() -> &'static Path {
    static BALM: OnceLock<PathBuf> = OnceLock::new();
    BALM.get_or_init(|| build("balm"))
}

/// The model cloud.
#[must_use]
pub fn balm_cloud() -> &'static Path {
    static CLOUD: OnceLock<PathBuf> = OnceLock::new();
    CLOUD.get_or_init(|| build("balm-cloud"))
}

/// Build a program of this workspace in the profile of the running one, and say where it is.
///
/// The whole workspace is selected although one program is built: features are those of all its packages together, as they
/// were for the running program, so that nothing it stands on is compiled a second time.
fn build(name: &str) -> PathBuf {
    let own = std::env::current_exe().expect("a program knows where it is");
    // <target>/<profile>/deps/<test> or <target>/<profile>/<program>
    let dir = own.ancestors().skip(1).find(|dir| !dir.ends_with("deps")).expect("a program is in a directory");
    let target = dir.parent().expect("a profile's directory is in the target directory");
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let profile = if dir.ends_with("release") { "release" } else { "dev" };
    let built = Command::new(env!("CARGO"))
        .current_dir(root)
        .args(["build", "--quiet", "--profile", profile, "--workspace", "--bin", name, "--target-dir"])
        .arg(target)
        .status()
        .expect("cargo runs");
    assert!(built.success(), "{name} cannot be built");
    dir.join(name)
}
