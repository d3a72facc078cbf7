//! Guardrails: `*.cedar` and `limits.toml` of one directory, read and refused as a whole.

use std::{collections::BTreeMap, path::Path};

use balm_core::{configuration::Guardrails, guard::Rules};

use super::{
    document::{self, Mistakes},
    limits,
};

/// The name of the file with limits, bounds and everything else that is no rule.
const LIMITS: &str = "limits.toml";

/// What some editors write before the first letter of a file. It is invisible.
const BYTE_ORDER_MARK: char = '\u{feff}';

/// Read a directory. Without one nothing is permitted, which is no mistake.
pub(crate) fn read(dir: &Path, mistakes: &Mistakes) -> Guardrails {
    let mut guardrails = limits::without_a_file();
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) => {
            let what = "cannot be read; the directory holds the rules (*.cedar) and limits.toml, and may be empty";
            mistakes.add(&dir.display().to_string(), 0, format!("{what}: {error}"));
            return guardrails;
        }
    };
    let mut names: Vec<String> = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    for name in names.into_iter().filter(|name| name.ends_with(".cedar")) {
        let file = dir.join(&name);
        match document::read(&file, mistakes) {
            // Cedar calls it an unexpected token, and nobody sees which.
            Some(text) if text.starts_with(BYTE_ORDER_MARK) => {
                let what =
                    "the file begins with a byte order mark, which rules do not have: save it as UTF-8 without one";
                mistakes.add(&file.display().to_string(), 1, what);
            }
            Some(text) => drop(guardrails.rules.insert(name, text)),
            None => {}
        }
    }
    check_rules(dir, &guardrails.rules, mistakes);
    let file = dir.join(LIMITS);
    if file.exists()
        && let Some(text) = document::read(&file, mistakes)
    {
        limits::read(&file.display().to_string(), &text, &mut guardrails, mistakes);
    }
    guardrails
}

fn check_rules(dir: &Path, rules: &BTreeMap<String, String>, mistakes: &Mistakes) {
    for mistake in Rules::compile(rules).err().unwrap_or_default() {
        mistakes.add(&dir.join(&mistake.file).display().to_string(), mistake.line, mistake.message);
    }
}
