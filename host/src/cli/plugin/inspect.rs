//! `balm plugin inspect`: what a file is, also where a host would refuse it.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    path::Path,
    process::ExitCode,
    time::{Duration, Instant},
};

use balm_core::digest::Digest;
use balm_sandbox::{Class, Interfaces, Plugin};
use serde_json::{Value, json};

use super::{Loader, read};
use crate::cli::{out, show::printable};

/// What was found.
struct Found {
    digest: Digest,
    bytes: usize,
    interfaces: Interfaces,
    loaded: Result<Plugin, String>,
    took: Duration,
}

pub(super) fn run(file: &Path, as_json: bool) -> anyhow::Result<ExitCode> {
    let bytes = read(file)?;
    let loader = Loader::new()?;
    let since = Instant::now();
    let loaded = loader.load(file, &bytes);
    let found = Found {
        digest: Digest::of(&[&bytes]),
        bytes: bytes.len(),
        interfaces: Interfaces::of(&bytes),
        loaded,
        took: since.elapsed(),
    };
    let text = if as_json { format!("{}\n", found.json()) } else { found.words(file) };
    out::write(text)?;
    Ok(if found.loaded.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

impl Found {
    fn class(&self) -> String {
        Class::of(self.bytes).map_or_else(|| "too large".into(), |class| class.to_string())
    }

    fn json(&self) -> Value {
        let Interfaces { imports, exports } = &self.interfaces;
        let mut json = json!({
            "digest": self.digest,
            "bytes": self.bytes,
            "class": self.class(),
            "contract": self.interfaces.contract(),
            "imports": imports,
            "exports": exports,
            "loads": self.loaded.is_ok(),
            "load-ms": self.took.as_secs_f64() * 1e3,
        });
        match &self.loaded {
            Ok(plugin) => {
                json["manifest"] = json!(plugin.manifest());
                json["settings-schema"] = json!(plugin.settings_schema());
            }
            Err(why) => json["why"] = json!(why),
        }
        json
    }

    fn words(&self, file: &Path) -> String {
        let mut text = String::new();
        let mut line = |what: &str, says: &str| {
            let _ = writeln!(text, "{what:<10}{}", printable(says));
        };
        line("file", &file.display().to_string());
        line("digest", &self.digest.to_string());
        line("size", &format!("{} bytes, class {}", self.bytes, self.class()));
        line("contract", &self.interfaces.contract().map_or_else(|| "none".into(), |v| format!("balm:policy@{v}")));
        line("imports", &listed(&self.interfaces.imports));
        match &self.loaded {
            Ok(plugin) => {
                let manifest = plugin.manifest();
                line("plugin", &format!("{} {}: {}", plugin.name(), manifest.version, manifest.summary));
                line("actions", &listed(&manifest.actions));
                line("queries", &listed(&manifest.queries));
                line("settings", &settings(&json!(plugin.settings_schema())));
                line("loads", &format!("yes, compiled and asked in {} ms", self.took.as_millis()));
            }
            Err(why) => line("loads", &format!("no: {why}")),
        }
        text
    }
}

fn listed(names: &[String]) -> String {
    if names.is_empty() { "none".into() } else { names.join(", ") }
}

/// The names of a schema's properties by the alphabet, those that must be given marked.
fn settings(schema: &Value) -> String {
    let required = schema["required"].as_array().cloned().unwrap_or_default();
    let properties: BTreeMap<&String, &Value> = schema["properties"].as_object().into_iter().flatten().collect();
    let marked =
        |name: &String| if required.contains(&json!(name)) { format!("{name} (needed)") } else { name.clone() };
    listed(&properties.into_keys().map(marked).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_told_by_name_and_what_must_be_given_is_marked() {
        let schema = json!({"properties": {"maximum": {}, "low-alerts": {}}, "required": ["maximum"]});
        assert_eq!(settings(&schema), "low-alerts, maximum (needed)");
        assert_eq!(settings(&json!({})), "none");
    }
}
