//! The reference of the book, made from the code: the command line, the catalogue and the records; and what the code says
//! of the configuration, to be compared with the page about it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    process::Command,
};

use crate::harness::programs;

/// The source text with the kinds of records, and those with their data.
const RECORDS: &str = include_str!("../../host/core/src/record.rs");
const DATA: [&str; 12] = [
    include_str!("../../host/core/src/record/arrival.rs"),
    include_str!("../../host/core/src/record/episode.rs"),
    include_str!("../../host/core/src/record/intent.rs"),
    include_str!("../../host/core/src/record/journal.rs"),
    include_str!("../../host/core/src/record/person.rs"),
    include_str!("../../host/core/src/record/stop.rs"),
    include_str!("../../host/core/src/record/verdict.rs"),
    include_str!("../../host/core/src/evaluation.rs"),
    include_str!("../../host/core/src/approval/record.rs"),
    include_str!("../../host/core/src/approval/mod.rs"),
    include_str!("../../host/core/src/versions/record.rs"),
    include_str!("../../host/core/src/versions/candidate.rs"),
];

/// The generated pages, by file name.
///
/// # Panics
///
/// If a program that writes one cannot be run.
#[must_use]
pub fn pages() -> BTreeMap<&'static str, String> {
    let manual = Command::new(programs::balm())
        .args(["man", "--format", "markdown"])
        .env_remove("BALM_CONFIG")
        .env_remove("BALM_DATA")
        .output();
    [("cli.md", printed(manual)), ("catalogue.md", catalogue()), ("records.md", records(RECORDS, &DATA))].into()
}

/// The catalogue writes its own page, in a build of its own, since only there its types have schemas.
fn catalogue() -> String {
    let example = ["run", "--quiet", "--package", "balm-catalogue", "--features", "schema", "--example", "reference"];
    printed(Command::new(env!("CARGO")).args(example).current_dir(env!("CARGO_MANIFEST_DIR")).output())
}

fn printed(output: std::io::Result<std::process::Output>) -> String {
    let output = output.expect("the program runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("it writes text")
}

/// Write the pages.
pub fn write(dir: &Path) -> std::io::Result<()> {
    fs::create_dir_all(dir)?;
    pages().iter().try_for_each(|(name, text)| fs::write(dir.join(name), text))
}

/// The pages that are not what the code says.
#[must_use]
pub fn stale(dir: &Path) -> Vec<&'static str> {
    let is_stale = |(name, text): &(&str, String)| fs::read_to_string(dir.join(name)).ok().as_ref() != Some(text);
    pages().into_iter().filter(is_stale).map(|(name, _)| name).collect()
}

/// A type in the source: its documentation, and its fields or variants with theirs.
#[derive(Debug, Default)]
struct Shape {
    name: String,
    is_enum: bool,
    doc: String,
    parts: Vec<Part>,
}

#[derive(Debug)]
struct Part {
    name: String,
    ty: String,
    doc: String,
}

fn records(records: &str, others: &[&str]) -> String {
    let mut text = String::from(
        "# Records\n\nWritten by `cargo xtask docs` from the code.\n\nThe journal is a list of records: one line each, \
         `<sha256> <json>`, the hash over the one before it and the JSON. The JSON has `v` (the version of the format), `seq`, \
         `at` (milliseconds since 1970), `kind`, `data`, and `more` if the next record belongs to the same batch. `balm audit \
         export` writes them all.\n\n",
    );
    let shapes: Vec<Shape> = [records].iter().chain(others).flat_map(|source| shapes(source)).collect();
    let facts = facts(records);
    for (kind, name, doc) in &facts {
        text.push_str(&format!("## {kind}\n\n{doc}\n"));
        if let Some(shape) = shapes.iter().find(|shape| shape.name == *name) {
            text.push_str(&shape.table());
        }
        text.push('\n');
    }
    text.push_str("# Shapes in records\n\n");
    let is_fact = |shape: &&Shape| facts.iter().any(|(_, name, _)| *name == shape.name);
    let aside = ["Record", "Fact", "Input", "Outcome", "Speaker", "Request", "Requests", "Given", "Closed", "Said"];
    for shape in shapes.iter().filter(|shape| !is_fact(shape) && !aside.contains(&shape.name.as_str())) {
        text.push_str(&format!("## {}\n\n{}\n{}\n", shape.name, shape.doc, shape.table()));
    }
    format!("{}\n", text.trim_end())
}

/// The kinds, with the type of their data and what they say, in the order of the source.
fn facts(source: &str) -> Vec<(String, String, String)> {
    let list = source.split("facts! {\n").nth(1).and_then(|rest| rest.split("\n}\n").next()).expect("a list of facts");
    let mut facts = Vec::new();
    let mut doc = Vec::new();
    for line in list.lines().map(str::trim) {
        if let Some(words) = line.strip_prefix("/// ") {
            doc.push(words);
        } else if let Some((name, rest)) = line.split_once('(') {
            let name = rest.trim_start_matches("Box<").split(['>', ')']).next().unwrap_or(name);
            let kind = rest.split('"').nth(1).expect("a kind");
            facts.push((kind.to_owned(), name.to_owned(), doc.join(" ")));
            doc.clear();
        }
    }
    facts
}

/// The structs and enums of a source text, as far as rustfmt's layout tells them.
fn shapes(source: &str) -> Vec<Shape> {
    let source = source.split("#[cfg(test)]").next().unwrap_or_default();
    let mut shapes: Vec<Shape> = Vec::new();
    let mut doc: Vec<&str> = Vec::new();
    let mut inside = false;
    for line in source.lines() {
        let declared = line.strip_prefix("pub struct ").map(|rest| (false, rest));
        let declared = declared.or_else(|| line.strip_prefix("pub enum ").map(|rest| (true, rest)));
        if let Some((is_enum, rest)) = declared {
            let name = rest.split([' ', '(', '{', ';']).next().unwrap_or_default().to_owned();
            shapes.push(Shape { name, is_enum, doc: doc.join(" "), parts: Vec::new() });
            inside = rest.ends_with('{');
            doc.clear();
        } else if let Some(words) = line.trim_start().strip_prefix("/// ") {
            doc.push(words);
        } else if line == "}" {
            inside = false;
            doc.clear();
        } else if inside && !line.trim_start().starts_with('#') {
            let indented = line.len() - line.trim_start().len();
            if let (4, Some(shape)) = (indented, shapes.last_mut())
                && let Some(part) = part(line.trim(), shape.is_enum, &doc)
            {
                shape.parts.push(part);
            }
            doc.clear();
        }
    }
    shapes
}

fn part(line: &str, is_enum: bool, doc: &[&str]) -> Option<Part> {
    let doc = doc.join(" ");
    if is_enum {
        let name = line.split([' ', '(', '{', ',']).next().filter(|name| name.starts_with(char::is_uppercase))?;
        return Some(Part { name: kebab(name), ty: String::new(), doc });
    }
    let (name, ty) = line.strip_prefix("pub ")?.trim_end_matches(',').split_once(": ")?;
    Some(Part { name: name.replace('_', "-"), ty: ty.to_owned(), doc })
}

fn kebab(name: &str) -> String {
    let mut kebab = String::new();
    for (index, letter) in name.char_indices() {
        if letter.is_uppercase() && index > 0 {
            kebab.push('-');
        }
        kebab.push(letter.to_ascii_lowercase());
    }
    kebab
}

impl Shape {
    fn table(&self) -> String {
        if self.parts.is_empty() {
            return String::new();
        }
        let mut text = String::from(if self.is_enum {
            "\n| one of | |\n|---|---|\n"
        } else {
            "\n| field | type | |\n|---|---|---|\n"
        });
        for Part { name, ty, doc } in &self.parts {
            let row = if self.is_enum {
                format!("| `{name}` | {doc} |\n")
            } else {
                format!("| `{name}` | `{ty}` | {doc} |\n")
            };
            text.push_str(&row);
        }
        text
    }
}

/// The keys that the code reads, and those that the page about the configuration has.
///
/// # Panics
///
/// If either cannot be read.
#[must_use]
pub fn configuration_keys(root: &Path) -> (BTreeSet<String>, BTreeSet<String>) {
    let mut code = BTreeSet::new();
    for entry in fs::read_dir(root.join("host/src/config")).expect("the code").flatten() {
        let name = entry.file_name();
        if name == "tests.rs" || name == "document.rs" {
            continue;
        }
        let text = fs::read_to_string(entry.path()).expect("a source text");
        let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default().to_owned();
        for reader in READERS {
            code.extend(text.split(reader).skip(1).filter_map(|rest| Some(rest.split_once('"')?.0.to_owned())));
        }
    }
    let page = fs::read_to_string(root.join("docs/reference/configuration.md")).expect("the page");
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `"));
    let book = rows.filter_map(|row| Some(row.split_once('`')?.0.to_owned())).collect();
    (code, book)
}

/// How the code asks for a key.
const READERS: [&str; 21] = [
    "needed(&mut section, \"",
    "needed_point(&mut section, \"",
    "small(&mut section, \"",
    "small(&mut release, \"",
    "parsed::<Zone>(\"",
    "text(\"",
    "texts(\"",
    "parsed::<SocketAddr>(\"",
    "parsed::<Class>(\"",
    "number(\"",
    "duration(\"",
    "word(\"",
    "section(\"",
    "sections(\"",
    "named_sections::<SourceName>(\"",
    "named_sections::<NotifierName>(\"",
    "json(\"",
    "directory(&mut root, \"",
    "file: \"",
    "env: \"",
    "flag(\"",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_record_is_told_with_its_fields() {
        let text = records(RECORDS, &DATA);
        for kind in balm_core::record::Fact::KINDS {
            assert!(text.contains(&format!("\n## {kind}\n")), "{kind}");
        }
        for row in ["| `reception` | `Reception` |", "| `took-us` | `u64` |", "| `needs-approval` |", "| `identity` |"]
        {
            assert!(text.contains(row), "{row} in {text}");
        }
    }
}
