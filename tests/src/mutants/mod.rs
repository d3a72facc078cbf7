//! Planted faults: what would be worst to get wrong, got wrong on purpose, and the tests that must find it.
//!
//! `tests/mutants/` holds a patch for each. Its head says what is wrong with it, which package it is in and which tests must
//! fail; the rest is a diff as git writes it. A test that runs with all others sees to it that every patch still fits the
//! tree and names tests that there are; `run` plants them, one after the other, in a copy.

mod patch;
mod run;

use std::{fs, path::Path};

use anyhow::{Context as _, bail, ensure};

pub use self::{
    patch::Patch,
    run::{Outcome, run_all},
};

/// Planted faults that there are at least.
pub const LEAST: usize = 16;

/// A planted fault.
#[derive(Debug)]
pub struct Mutant {
    /// The name of its file, without its ending.
    pub name: String,
    /// What is wrong with it.
    pub what: String,
    /// Whose tests find it.
    pub package: Package,
    /// Each of them: its path in the package, as the test's program takes it.
    pub tests: Vec<String>,
    /// What it changes.
    pub patch: Patch,
}

/// A package whose own tests find faults, so that nothing that stands on it need be compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Package {
    /// `balm-core`.
    Core,
    /// `balm`.
    Host,
}

impl Package {
    /// Its directory.
    #[must_use]
    pub const fn dir(self) -> &'static str {
        match self {
            Self::Core => "host/core",
            Self::Host => "host",
        }
    }

    /// What cargo is told to build its tests. The host's are those of the whole workspace's build, so that what was compiled
    /// for that need not be compiled for this.
    const fn selection(self) -> &'static [&'static str] {
        match self {
            Self::Core => &["--package", "balm-core", "--lib"],
            Self::Host => &["--workspace", "--bin", "balm"],
        }
    }
}

/// All planted faults of a tree, those of one package together.
pub fn read_all(root: &Path) -> anyhow::Result<Vec<Mutant>> {
    let dir = root.join("tests/mutants");
    let mut all = Vec::new();
    for entry in fs::read_dir(&dir).with_context(|| format!("{} cannot be read", dir.display()))? {
        let path = entry?.path();
        let name = path.file_stem().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        let text = fs::read_to_string(&path).with_context(|| format!("{} cannot be read", path.display()))?;
        all.push(Mutant::read(name, &text).with_context(|| format!("{} is no planted fault", path.display()))?);
    }
    all.sort_by(|a, b| (a.package, &a.name).cmp(&(b.package, &b.name)));
    Ok(all)
}

impl Mutant {
    fn read(name: String, text: &str) -> anyhow::Result<Self> {
        let diff = text.find("--- ").context("it has no diff")?;
        let (head, diff) = text.split_at(diff);
        let (mut what, mut package, mut tests) = (None, None, Vec::new());
        for line in head.lines().filter(|line| !line.is_empty()) {
            match line.split_once(": ") {
                Some(("What", said)) => what = Some(said.to_owned()),
                Some(("Package", "balm-core")) => package = Some(Package::Core),
                Some(("Package", "balm")) => package = Some(Package::Host),
                Some(("Test", test)) => tests.push(test.to_owned()),
                _ => bail!("{line:?} is none of What, Package (balm-core or balm) and Test"),
            }
        }
        ensure!(!tests.is_empty(), "it names no test");
        let (what, package) = (what.context("it does not say what is wrong")?, package.context("it names no package")?);
        let patch = Patch::read(diff)?;
        let own = |path: &str| path.starts_with(&format!("{}/src/", package.dir()));
        ensure!(patch.paths().all(own), "it changes what is not in {}/src", package.dir());
        Ok(Self { name, what, package, tests, patch })
    }

    /// What keeps it from being planted in a tree, or from being found there.
    pub fn check(&self, root: &Path) -> anyhow::Result<()> {
        self.patch.apply(root)?;
        self.tests.iter().try_for_each(|test| check_test(&root.join(self.package.dir()).join("src"), test))
    }
}

/// Whether a test is written where its path says: `a::b::tests::it_holds` in `a/b.rs`, `a/b/mod.rs` or `a/b/tests.rs`.
fn check_test(src: &Path, test: &str) -> anyhow::Result<()> {
    let (modules, name) = test.rsplit_once("::").context("a test is in a module")?;
    let file = modules.replace("::", "/");
    let inner = file.strip_suffix("/tests").unwrap_or(&file);
    let places = [format!("{file}.rs"), format!("{inner}.rs"), format!("{inner}/mod.rs")];
    let written = format!("#[test]\n{{indent}}fn {name}()");
    let is_written =
        |text: String| ["", "    "].iter().any(|indent| text.contains(&written.replace("{indent}", indent)));
    let found = places.iter().any(|place| fs::read_to_string(src.join(place)).is_ok_and(is_written));
    ensure!(found, "there is no test {test} in {}", src.display());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const WELL: &str = "What: it is off by one\nPackage: balm-core\nTest: a::tests::it_holds\n\n\
        --- a/host/core/src/a.rs\n+++ b/host/core/src/a.rs\n@@ -1,2 +1,2 @@\n fn a() {\n-    1\n+    2\n";

    #[test]
    fn a_planted_fault_says_what_it_is_and_who_finds_it() {
        let mutant = Mutant::read("it".into(), WELL).expect("it is one");
        assert_eq!((mutant.what.as_str(), mutant.package), ("it is off by one", Package::Core));
        assert_eq!(mutant.tests, ["a::tests::it_holds"]);
        let ill = [("What: it is off by one\n", ""), ("balm-core", "sled"), ("Test: a::tests::it_holds\n", "")];
        for (from, to) in ill {
            assert!(Mutant::read("it".into(), &WELL.replace(from, to)).is_err(), "{from:?} became {to:?}");
        }
        let elsewhere = WELL.replace("host/core/src/a.rs", "tests/src/a.rs");
        assert!(Mutant::read("it".into(), &elsewhere).is_err(), "a test that is changed proves nothing");
    }

    #[test]
    fn a_test_is_looked_for_where_its_path_says() {
        let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        assert!(check_test(&src, "mutants::tests::a_test_is_looked_for_where_its_path_says").is_ok());
        assert!(check_test(&src, "mutants::tests::there_is_no_such_test").is_err());
        assert!(check_test(&src, "oracle::tests::a_test_is_looked_for_where_its_path_says").is_err());
    }
}
