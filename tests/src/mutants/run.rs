//! Planting: a copy of the tree, with a build of its own, in which one fault after the other is made and looked for.
//!
//! Only the named tests of the fault's own package are built and run. First they run in the copy as it is: a test that fails
//! there finds nothing.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use serde_json::Value;

use super::{Mutant, Package, read_all};
use crate::harness::programs;

/// How long the tests of one fault may run: a hundred times what they take.
const TESTS_RUN_FOR: Duration = Duration::from_secs(120);

/// What of the tree is no source.
const NO_SOURCE: [&str; 2] = ["target", ".git"];

/// What became of a planted fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Every test that it names fails.
    Found,
    /// These do not.
    Missed(Vec<String>),
    /// It could not be tried: why.
    Broken(String),
}

/// Plant all faults of a tree, and tell what became of each as it is known.
///
/// # Errors
///
/// If a named test fails without a fault, or the tree cannot be copied or built.
pub fn run_all(root: &Path, mut tell: impl FnMut(&Mutant, &Outcome)) -> anyhow::Result<Vec<Outcome>> {
    let mutants = read_all(root)?;
    let place =
        Place { tree: programs::target_dir().join("mutants/tree"), target: programs::target_dir().join("mutants") };
    copy(root, &place.tree)?;
    let packages: BTreeSet<Package> = mutants.iter().map(|mutant| mutant.package).collect();
    for package in packages {
        place.without_a_fault(package, mutants.iter().filter(|mutant| mutant.package == package))?;
    }
    let mut outcomes = Vec::new();
    for mutant in &mutants {
        let outcome = place.plant(mutant)?;
        tell(mutant, &outcome);
        outcomes.push(outcome);
    }
    Ok(outcomes)
}

struct Place {
    tree: PathBuf,
    target: PathBuf,
}

impl Place {
    fn without_a_fault<'a>(&self, package: Package, mutants: impl Iterator<Item = &'a Mutant>) -> anyhow::Result<()> {
        let tests: BTreeSet<String> = mutants.flat_map(|mutant| mutant.tests.iter().cloned()).collect();
        let program = self.build(package).context("the copy does not compile")?;
        let passed = self.test(package, &program, &tests)?;
        let ill: Vec<&String> = tests.iter().filter(|test| passed.get(*test) != Some(&true)).collect();
        ensure!(ill.is_empty(), "without a fault these do not pass, or are no tests: {ill:?}");
        Ok(())
    }

    fn plant(&self, mutant: &Mutant) -> anyhow::Result<Outcome> {
        let files = match mutant.patch.apply(&self.tree) {
            Ok(files) => files,
            Err(error) => return Ok(Outcome::Broken(format!("{error:#}"))),
        };
        for (path, _, planted) in &files {
            fs::write(self.tree.join(path), planted)?;
        }
        let outcome = self.look_for(mutant);
        for (path, well, _) in &files {
            fs::write(self.tree.join(path), well)?;
        }
        Ok(outcome.unwrap_or_else(|error| Outcome::Broken(format!("{error:#}"))))
    }

    fn look_for(&self, mutant: &Mutant) -> anyhow::Result<Outcome> {
        let program = self.build(mutant.package).context("it does not compile")?;
        let passed = self.test(mutant.package, &program, &mutant.tests)?;
        let missed = |test: &&String| passed.get(*test) != Some(&false);
        let missed: Vec<String> = mutant.tests.iter().filter(missed).cloned().collect();
        Ok(if missed.is_empty() { Outcome::Found } else { Outcome::Missed(missed) })
    }

    /// Build the tests of a package, and say where they are.
    fn build(&self, package: Package) -> anyhow::Result<PathBuf> {
        let mut cargo = programs::cargo();
        let built = cargo
            .current_dir(&self.tree)
            .args(["test", "--no-run", "--locked", "--message-format", "json-render-diagnostics"])
            .args(package.selection())
            .arg("--target-dir")
            .arg(&self.target)
            .output()
            .context("cargo cannot be run")?;
        if !built.status.success() {
            let said = String::from_utf8_lossy(&built.stderr);
            bail!("{}", said.lines().filter(|line| line.starts_with("error")).collect::<Vec<_>>().join("; "));
        }
        let messages = String::from_utf8_lossy(&built.stdout);
        let tests = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()).find_map(|message| {
            let is_test = message["profile"]["test"] == true;
            message["executable"].as_str().filter(|_| is_test).map(PathBuf::from)
        });
        tests.context("cargo does not say where the tests are")
    }

    /// Which of these tests pass, and which fail. One that does not come to an end is neither.
    fn test<'a>(
        &self,
        package: Package,
        program: &Path,
        tests: impl IntoIterator<Item = &'a String>,
    ) -> anyhow::Result<BTreeMap<String, bool>> {
        let said = self.target.join("said");
        let mut running = Command::new(program)
            .current_dir(self.tree.join(package.dir()))
            .args(["--exact", "--test-threads", "1"])
            .args(tests)
            .stdin(Stdio::null())
            .stdout(File::create(&said)?)
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("{} cannot be run", program.display()))?;
        let since = Instant::now();
        while running.try_wait()?.is_none() {
            if since.elapsed() > TESTS_RUN_FOR {
                running.kill()?;
                running.wait()?;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(read_results(&fs::read_to_string(&said)?))
    }
}

/// `test a::tests::it_holds ... ok`
fn read_results(said: &str) -> BTreeMap<String, bool> {
    let line = |line: &str| {
        let (test, result) = line.strip_prefix("test ")?.split_once(" ... ")?;
        match result {
            "ok" => Some((test.to_owned(), true)),
            "FAILED" => Some((test.to_owned(), false)),
            _ => None,
        }
    };
    said.lines().filter_map(line).collect()
}

/// Make a directory the same as the tree's sources. What is the same already is not touched, so that it need not be built.
fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(to)?;
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let name = entry.file_name();
        if NO_SOURCE.iter().any(|no| name == *no) {
            continue;
        }
        let (source, copied) = (entry.path(), to.join(&name));
        if entry.file_type()?.is_dir() {
            copy(&source, &copied)?;
        } else {
            let text = fs::read(&source)?;
            if fs::read(&copied).ok().as_ref() != Some(&text) {
                fs::write(&copied, text)?;
            }
        }
        names.insert(name);
    }
    for entry in fs::read_dir(to)? {
        let entry = entry?;
        if !names.contains(&entry.file_name()) {
            if entry.file_type()?.is_dir() { fs::remove_dir_all(entry.path())? } else { fs::remove_file(entry.path())? }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::Dir;

    #[test]
    fn what_tests_say_is_read() {
        let said = "\nrunning 3 tests\ntest a::it_holds ... ok\ntest b::it_holds ... FAILED\ntest c ... ignored\n\nfailures:\n";
        assert_eq!(read_results(said), [("a::it_holds".to_owned(), true), ("b::it_holds".to_owned(), false)].into());
    }

    #[test]
    fn a_copy_becomes_the_same_and_what_is_the_same_is_not_touched() {
        let (from, to) = (Dir::new("copied-from"), Dir::new("copied-to"));
        let write = |path: &str, text: &str| fs::write(from.path().join(path), text).expect("it is written");
        fs::create_dir_all(from.path().join("a")).expect("a directory");
        fs::create_dir_all(from.path().join("target")).expect("a directory");
        write("a/same", "same");
        write("a/other", "one");
        write("target/built", "built");
        copy(from.path(), to.path()).expect("it is copied");
        let touched = |path: &str| fs::metadata(to.path().join(path)).expect("it is there").modified().expect("a time");
        let before = touched("a/same");
        write("a/other", "two");
        fs::create_dir_all(to.path().join("gone/further")).expect("a directory");
        copy(from.path(), to.path()).expect("it is copied");
        assert_eq!(fs::read_to_string(to.path().join("a/other")).expect("it is there"), "two");
        assert!(!to.path().join("gone").exists() && !to.path().join("target").exists());
        assert_eq!(touched("a/same"), before);
    }
}
