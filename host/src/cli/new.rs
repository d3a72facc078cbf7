//! `balm new`: a policy project of its own, with tests, outside this repository.
//!
//! It owns the template and how the SDK is named in it. There is no registry release, so the SDK is a folder of a clone
//! or a git repository.

use std::{
    fs::{self, File},
    io::Write as _,
    path::{Component, Path, PathBuf},
};

use anyhow::{Context as _, bail};
use balm_core::name::PluginName;

use super::out::say;

/// The files of a project, by their places in it. Their texts speak of `my-policy`, so that they are what they look like.
const FILES: [(&str, &str); 5] = [
    ("Cargo.toml", include_str!("../../templates/new/Cargo.toml.txt")),
    ("src/lib.rs", include_str!("../../templates/new/lib.rs")),
    ("README.md", include_str!("../../templates/new/README.md")),
    ("my-policy.toml", include_str!("../../templates/new/policy.toml")),
    (".gitignore", include_str!("../../templates/new/gitignore")),
];

/// Names that cargo would take for something else, as crates are spelt.
const TAKEN: [&str; 10] =
    ["alloc", "balm_sdk", "build", "core", "deps", "proc_macro", "schemars", "serde", "std", "test"];

/// Words of Rust, which are no name of a crate (The Rust Reference, Keywords), and those that its editions may still take.
const KEYWORDS: [&str; 53] = [
    "abstract", "as", "async", "await", "become", "box", "break", "const", "continue", "crate", "do", "dyn", "else",
    "enum", "extern", "false", "final", "fn", "for", "gen", "if", "impl", "in", "let", "loop", "macro", "match", "mod",
    "move", "mut", "override", "priv", "pub", "ref", "return", "self", "static", "struct", "super", "trait", "true",
    "try", "type", "typeof", "union", "unsafe", "unsized", "use", "virtual", "where", "while", "yield", "raw",
];

/// Types that the template speaks of, which the policy's own would hide.
const TYPES: [&str; 19] = [
    "Box", "Decision", "Default", "Err", "Input", "Intent", "None", "Ok", "Option", "Policy", "Result", "Scene",
    "Self", "Service", "Settings", "Some", "Stop", "String", "Vec",
];

/// Where the SDK is.
enum Sdk {
    /// A folder, as the user named it.
    Folder(PathBuf),
    /// A git repository.
    Git(String),
}

/// Write the project, and say how to go on.
pub(super) fn run(name: &PluginName, path: Option<PathBuf>, sdk: Option<&str>) -> anyhow::Result<()> {
    let text = name.as_str();
    if !is_free(text) {
        bail!(
            "a project cannot be called {text}: choose a name that begins with a letter and says what it does, as in restart-web"
        );
    }
    let dir = path.unwrap_or_else(|| text.into());
    if fs::read_dir(&dir).is_ok_and(|mut entries| entries.next().is_some()) {
        bail!("{} is there already and not empty: nothing was written; name another with --path", dir.display());
    }
    let sdk = find_sdk(sdk)?;
    fs::create_dir_all(dir.join("src")).with_context(|| format!("{} cannot be made", dir.display()))?;
    let dependency = sdk.dependency(&dir)?;
    for (file, template) in FILES {
        let filled = fill(template, text).replace("BALM_SDK", &dependency);
        let path = dir.join(fill(file, text));
        let written = File::create_new(&path).and_then(|mut file| file.write_all(filled.as_bytes()));
        written.with_context(|| format!("{} cannot be written", path.display()))?;
    }
    let (dir, snake) = (dir.display(), text.replace('-', "_"));
    say!("{dir} holds the policy {text}: src/lib.rs decides, {text}.toml puts it to work\n\nnext:")?;
    say!("  cd {dir}")?;
    say!("  cargo test")?;
    say!("  cargo build --release --target wasm32-wasip2")?;
    say!("  cp target/wasm32-wasip2/release/{snake}.wasm <plugins>/{text}.wasm")?;
    say!("  cp {text}.toml <plugins>/")?;
    say!("\n<plugins> is the plugin directory of a host, as its balm.toml says; `balm check` then reads both")?;
    Ok(())
}

/// Whether a crate and a type may be called so, in the spellings that they have.
fn is_free(name: &str) -> bool {
    let (snake, camel) = (name.replace('-', "_"), camel(name));
    name.starts_with(|c: char| c.is_ascii_lowercase())
        && ![&TAKEN[..], &KEYWORDS].concat().contains(&snake.as_str())
        && !TYPES.contains(&camel.as_str())
}

fn camel(name: &str) -> String {
    let word = |word: &str| {
        let mut letters = word.chars();
        letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters).collect::<String>()
    };
    name.split(['-', '_']).map(word).collect()
}

/// The template's names replaced by the project's, in the three spellings that Rust has.
fn fill(template: &str, name: &str) -> String {
    let camel = camel(name);
    template.replace("my-policy", name).replace("my_policy", &name.replace('-', "_")).replace("MyPolicy", &camel)
}

fn find_sdk(named: Option<&str>) -> anyhow::Result<Sdk> {
    if let Some(url) = named.filter(|named| named.contains("://") || named.starts_with("git@")) {
        return Ok(Sdk::Git(url.into()));
    }
    if let Some(folder) = named.map(PathBuf::from) {
        return if is_sdk(&folder) {
            Ok(Sdk::Folder(folder))
        } else {
            bail!("{} is not the SDK: name the folder `sdk` of a clone of Balm, or a git address", folder.display())
        };
    }
    // <clone>/target/<profile>/balm: whoever built this program has the SDK beside it.
    let own = std::env::current_exe().context("a program knows where it is")?;
    // The target directory may lie elsewhere; then the clone is where it was when this was compiled.
    let built_from = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../sdk"));
    let mut places = own.ancestors().map(|dir| dir.join("sdk")).chain(built_from.canonicalize());
    let beside = places.find(|sdk| is_sdk(sdk));
    beside.map(Sdk::Folder).context("the SDK is not known: name the folder `sdk` of a clone of Balm with --sdk")
}

fn is_sdk(dir: &Path) -> bool {
    fs::read_to_string(dir.join("Cargo.toml")).is_ok_and(|text| text.contains("name = \"balm-sdk\""))
}

impl Sdk {
    /// What stands in the braces of the dependency, seen from the project.
    fn dependency(&self, project: &Path) -> anyhow::Result<String> {
        match self {
            Self::Git(url) => Ok(format!("git = {}", quoted(url))),
            Self::Folder(folder) => {
                let whole =
                    |path: &Path| path.canonicalize().with_context(|| format!("{} cannot be found", path.display()));
                let (to, from) = (whole(folder)?, whole(project)?);
                // As the user named it: what is relative stays so, and moves with both.
                let path = if folder.is_absolute() { to } else { relative(&from, &to) };
                Ok(format!("path = {}", quoted(&path.display().to_string())))
            }
        }
    }
}

/// A TOML text. JSON's escapes are TOML's.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// The way from one directory to another; both absolute and without links.
fn relative(from: &Path, to: &Path) -> PathBuf {
    let shared = from.components().zip(to.components()).take_while(|(a, b)| a == b).count();
    let up = from.components().skip(shared).map(|_| Component::ParentDir);
    up.chain(to.components().skip(shared)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_template_takes_a_name_in_every_spelling() {
        let filled = fill("my-policy my_policy MyPolicy <plugins>/my-policy.wasm", "add-one_task2");
        assert_eq!(filled, "add-one_task2 add_one_task2 AddOneTask2 <plugins>/add-one_task2.wasm");
    }

    #[test]
    fn a_name_that_is_a_word_of_rust_or_hides_a_type_of_the_template_is_refused() {
        for name in
            ["self", "crate", "fn", "async", "union", "balm-sdk", "test", "policy", "result", "set-tings", "0ps"]
        {
            assert_eq!(is_free(name), name == "set-tings", "{name}");
        }
        for name in ["restart-web", "my-policy", "async-web", "fn2"] {
            assert!(is_free(name), "{name}");
        }
        let template = include_str!("../../templates/new/lib.rs");
        let imported = template.lines().filter_map(|line| line.trim().strip_prefix("use balm_sdk::"));
        let names = imported.flat_map(|line| line.split(|c: char| !c.is_ascii_alphanumeric() && c != '_'));
        for name in names.filter(|name| name.starts_with(|c: char| c.is_ascii_uppercase())) {
            assert!(TYPES.contains(&name), "{name} is imported by the template");
        }
    }

    #[test]
    fn the_way_to_the_sdk_leads_up_as_far_as_needed_and_no_further() {
        let way = |from: &str, to: &str| relative(Path::new(from), Path::new(to)).display().to_string();
        assert_eq!(way("/home/a/policies/web", "/home/a/balm/sdk"), "../../balm/sdk");
        assert_eq!(way("/home/a/balm", "/home/a/balm/sdk"), "sdk");
        assert_eq!(way("/x", "/y"), "../y");
    }
}
