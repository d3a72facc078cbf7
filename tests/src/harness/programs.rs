//! The programs under test, built when they are first asked for.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::{Mutex, MutexGuard, OnceLock, PoisonError},
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

/// A project of `balm new`, lent what makes it build fast and without a network: the target directory of others of its kind,
/// and the versions of this workspace. Components of one name lie in one place there, so that one test at a time may have it.
///
/// # Panics
///
/// If the project cannot be written to.
pub fn lend_a_target(project: &Path) -> MutexGuard<'static, ()> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let guard = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let shared = target_dir().join("tmp/policies");
    std::fs::create_dir_all(&shared).expect("a directory can be made");
    std::os::unix::fs::symlink(shared, project.join("target")).expect("a link can be made");
    let lock = Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.lock");
    std::fs::copy(lock, project.join("Cargo.lock")).expect("the versions can be copied");
    // Cargo tells two projects of one name in one target directory apart by the times of their files alone, and this one's
    // may have been written while another was being built.
    let source = project.join("src/lib.rs");
    let text = std::fs::read(&source).expect("the project has its source");
    std::fs::write(&source, text).expect("it can be written");
    guard
}

/// Build a program of this workspace in the profile of the running one, and say where it is.
///
/// The whole workspace is selected although one program is built: features are those of all its packages together, as they
/// were for the running program, so that nothing it stands on is compiled a second time.
fn build(name: &str) -> PathBuf {
    let (dir, target) = (profile_dir(), target_dir());
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let profile = if dir.ends_with("release") { "release" } else { "dev" };
    let built = cargo()
        .current_dir(root)
        .args(["build", "--quiet", "--profile", profile, "--workspace", "--bin", name, "--target-dir"])
        .arg(target)
        .status()
        .expect("cargo runs");
    assert!(built.success(), "{name} cannot be built");
    dir.join(name)
}

/// Cargo, which does not see what it said of this package: build scripts that look at it (ring's) would run again.
pub(crate) fn cargo() -> Command {
    let mut cargo = Command::new(env!("CARGO"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| is_of_a_package(name.to_str())) {
        cargo.env_remove(name);
    }
    cargo
}

/// `<target>/<profile>`: where the programs lie, whatever the target directory is called.
fn profile_dir() -> PathBuf {
    let own = std::env::current_exe().expect("a program knows where it is");
    // <target>/<profile>/deps/<test> or <target>/<profile>/<program>
    own.ancestors().skip(1).find(|dir| !dir.ends_with("deps")).expect("a program is in a directory").into()
}

pub(crate) fn target_dir() -> PathBuf {
    profile_dir().parent().expect("a profile's directory is in the target directory").into()
}

fn is_of_a_package(name: Option<&str>) -> bool {
    name.is_some_and(|name| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_"))
}
