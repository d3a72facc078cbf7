//! Patches: a diff as git writes it, applied by what it says and not by where it says it.
//!
//! Line numbers are for people. The lines before and after a change are looked for in the whole file and must be there
//! exactly once, so a patch follows its code about and never fits by chance.

use std::{fs, path::Path};

use anyhow::{Context as _, ensure};

/// Changes of files.
#[derive(Debug, PartialEq, Eq)]
pub struct Patch(Vec<Change>);

/// One place in a file: what stands there, and what is to.
#[derive(Debug, PartialEq, Eq)]
struct Change {
    path: String,
    old: String,
    new: String,
}

impl Patch {
    pub(super) fn read(diff: &str) -> anyhow::Result<Self> {
        let (mut changes, mut path) = (Vec::<Change>::new(), "");
        for line in diff.lines() {
            if line.starts_with("--- ") {
                continue;
            }
            if let Some(named) = line.strip_prefix("+++ b/") {
                path = named;
            } else if line.starts_with("@@ ") {
                changes.push(Change { path: path.to_owned(), old: String::new(), new: String::new() });
            } else {
                let change = changes.last_mut().with_context(|| format!("{line:?} is in no change"))?;
                change.add(line)?;
            }
        }
        ensure!(!changes.is_empty(), "it changes nothing");
        for Change { path, old, new } in &changes {
            ensure!(!path.is_empty() && !old.is_empty() && old != new, "a change says no file, place or change");
        }
        Ok(Self(changes))
    }

    /// The files that it changes.
    pub(super) fn paths(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|change| change.path.as_str())
    }

    /// The files that it changes in a tree, with what they held and what they are to hold. Nothing is written.
    pub fn apply(&self, root: &Path) -> anyhow::Result<Vec<(String, String, String)>> {
        let mut files: Vec<(String, String, String)> = Vec::new();
        for change in &self.0 {
            let known = files.iter().position(|(path, ..)| *path == change.path);
            let at = match known {
                Some(at) => at,
                None => {
                    let path = root.join(&change.path);
                    let text =
                        fs::read_to_string(&path).with_context(|| format!("{} cannot be read", path.display()))?;
                    files.push((change.path.clone(), text.clone(), text));
                    files.len() - 1
                }
            };
            files[at].2 = change.apply(&files[at].2)?;
        }
        Ok(files)
    }
}

impl Change {
    fn add(&mut self, line: &str) -> anyhow::Result<()> {
        // An editor that trims lines leaves an empty one of context without its space.
        let (sign, text) = line.split_at_checked(1).unwrap_or((" ", ""));
        ensure!([" ", "-", "+"].contains(&sign), "{line:?} is no line of a diff");
        for (side, other) in [(&mut self.old, "+"), (&mut self.new, "-")] {
            if sign != other {
                side.push_str(text);
                side.push('\n');
            }
        }
        Ok(())
    }

    fn apply(&self, text: &str) -> anyhow::Result<String> {
        let Self { path, old, new } = self;
        let places =
            text.match_indices(old.as_str()).filter(|(at, _)| text[..*at].is_empty() || text[..*at].ends_with('\n'));
        let places: Vec<usize> = places.map(|(at, _)| at).collect();
        let [at] = places[..] else {
            anyhow::bail!("{path} has these lines {} times and not once:\n{old}", places.len());
        };
        Ok([&text[..at], new, &text[at + old.len()..]].concat())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIFF: &str = "--- a/x.rs\n+++ b/x.rs\n@@ -7,3 +7,3 @@ fn above() {\n if a {\n-    b\n+    c\n }\n";

    fn apply(text: &str) -> anyhow::Result<String> {
        Patch::read(DIFF).expect("a patch").0[0].apply(text)
    }

    #[test]
    fn a_change_is_made_where_its_lines_stand_and_only_if_that_is_one_place() {
        assert_eq!(apply("x\nif a {\n    b\n}\ny\n").expect("it fits"), "x\nif a {\n    c\n}\ny\n");
        assert!(apply("x\nif a {\n    d\n}\n").is_err(), "the tree has changed");
        assert!(apply("if a {\n    b\n}\nif a {\n    b\n}\n").is_err(), "which of them?");
        assert!(apply("x if a {\n    b\n}\n").is_err(), "the first line is another");
    }

    #[test]
    fn what_is_no_diff_is_refused() {
        for diff in ["", "--- a/x\n+++ b/x\n", "@@ -1 +1 @@\n-a\n+b\n", "--- a/x\n+++ b/x\n@@ -1 +1 @@\n a\n"] {
            assert!(Patch::read(diff).is_err(), "{diff:?}");
        }
        assert!(Patch::read(&DIFF.replace("-    b", "*    b")).is_err());
    }
}
