//! What people are shown of plugins: a copy that is refreshed after every change, and on which nothing is decided.

use std::{
    collections::BTreeSet,
    sync::{PoisonError, RwLock},
};

use balm_core::{
    configuration::Mode,
    digest::Digest,
    name::{PluginName, PolicyName},
    record::ConfigurationPart,
};
use serde::{Deserialize, Serialize};

use super::Loader;

/// The copy.
#[derive(Debug, Default)]
pub(crate) struct Shown(RwLock<Copied>);

/// What is in it.
#[derive(Debug, Default)]
pub(super) struct Copied {
    plugins: Vec<PluginShown>,
    refused: Vec<String>,
}

/// A plugin that is in force, was, or should be.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct PluginShown {
    /// Its name.
    pub(crate) plugin: PluginName,
    /// How it stands.
    pub(crate) state: PluginState,
    /// Its own word for its version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) version: Option<String>,
    /// Of the version in force, or of the file that was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) digest: Option<Digest>,
    /// Policies that put it to work.
    pub(crate) policies: Vec<PolicyShown>,
    /// The file that lies there and is not in force, and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) refused: Option<RefusedShown>,
    /// Why it is not active, or what is wrong with a newer file of it or of the policy beside it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) why: Option<String>,
}

/// A policy of a plugin.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct PolicyShown {
    pub(crate) policy: PolicyName,
    pub(crate) mode: Mode,
}

/// A file that was refused.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct RefusedShown {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) digest: Option<Digest>,
    pub(crate) why: String,
}

/// How a plugin stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum PluginState {
    /// A version is in force.
    Active,
    /// None is: its file was refused.
    Refused,
    /// None is: there is no file.
    Removed,
}

impl Shown {
    /// All of them, by name.
    pub(crate) fn all(&self) -> Vec<PluginShown> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).plugins.clone()
    }

    /// What lies in the files and is not in force, and why, in words.
    pub(crate) fn refused(&self) -> Vec<String> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).refused.clone()
    }

    pub(super) fn set(&self, copied: Copied) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = copied;
    }
}

pub(super) fn of(loader: &Loader) -> Copied {
    let parts = loader.wrong.iter().map(|(part, mistakes)| format!("{part}: {}", mistakes.join("; ")));
    let plugins = loader.refused.iter().map(|(name, refused)| format!("plugin {name}: {}", refused.why));
    Copied { plugins: all(loader), refused: parts.chain(plugins).collect() }
}

fn all(loader: &Loader) -> Vec<PluginShown> {
    let policies = &loader.config.core.policies;
    let names: BTreeSet<&PluginName> = (loader.in_force.keys())
        .chain(loader.refused.keys())
        .chain(loader.removed.keys())
        .chain(loader.wrong.keys().filter_map(|part| match part {
            ConfigurationPart::Beside(plugin) => Some(plugin),
            ConfigurationPart::Whole | ConfigurationPart::Guardrails | ConfigurationPart::Policy(_) => None,
        }))
        .chain(policies.values().map(|policy| &policy.plugin))
        .collect();
    names.into_iter().map(|name| plugin(loader, name)).collect()
}

fn plugin(loader: &Loader, name: &PluginName) -> PluginShown {
    let in_force = loader.in_force.get(name);
    let refused = loader.refused.get(name);
    let removed = loader.removed.get(name);
    let wrong = loader.wrong.get(&ConfigurationPart::Beside(name.clone())).map(|mistakes| mistakes.join("; "));
    let is_wrong = wrong.is_some();
    let why = refused.map(|refused| refused.why.clone()).or(wrong);
    let state = match in_force {
        Some(_) => PluginState::Active,
        None if refused.is_some() || is_wrong => PluginState::Refused,
        None => PluginState::Removed,
    };
    let missing = || match loader.filed.contains_key(name) {
        true => "it was disabled; `balm plugin activate` chooses a version".to_owned(),
        false => format!("there is no {name}.wasm in {}", loader.config.plugins.display()),
    };
    let policies = loader.config.core.policies.iter().filter(|(_, policy)| policy.plugin == *name);
    PluginShown {
        plugin: name.clone(),
        state,
        version: in_force.or(removed).map(|version| version.manifest.version.clone()),
        digest: in_force.map(|version| version.digest).or_else(|| refused.and_then(|refused| refused.digest)),
        policies: policies.map(|(name, policy)| PolicyShown { policy: name.clone(), mode: policy.mode }).collect(),
        refused: refused.map(|refused| RefusedShown { digest: refused.digest, why: refused.why.clone() }),
        why: why.or_else(|| (state == PluginState::Removed).then(missing)),
    }
}
