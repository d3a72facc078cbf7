//! What came into force, or did not: configurations, plugins, accounts.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Person;
use crate::{
    configuration::Configuration,
    digest::Digest,
    name::{PluginName, PolicyName},
    target::{AccountId, Region},
    versions::record::Cause,
};

/// See [`Fact::Configured`](super::Fact::Configured).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Configured {
    /// Of the guardrails: stands in every verdict.
    pub guardrails: Digest,
    /// The whole.
    pub configuration: Configuration,
}

/// What a plugin says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Manifest {
    /// The plugin's own version.
    pub version: String,
    /// What it does.
    pub summary: String,
    /// What it may propose.
    pub actions: Vec<String>,
    /// What it may ask.
    pub queries: Vec<String>,
}

/// See [`Fact::PluginActivated`](super::Fact::PluginActivated).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct PluginActivated {
    /// Its name.
    pub plugin: PluginName,
    /// Of the component's bytes.
    pub digest: Digest,
    /// How many bytes.
    pub bytes: u64,
    /// What it says of itself.
    pub manifest: Manifest,
    /// Why it is in force; its file in the plugin directory if nothing is said.
    #[serde(default, skip_serializing_if = "Cause::is_directory")]
    pub cause: Cause,
}

/// See [`Fact::PluginRefused`](super::Fact::PluginRefused).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct PluginRefused {
    /// Its name.
    pub plugin: PluginName,
    /// Of the file's bytes, where they could be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// Why, and what to do.
    pub why: String,
}

/// See [`Fact::PluginRemoved`](super::Fact::PluginRemoved).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct PluginRemoved {
    /// Its name.
    pub plugin: PluginName,
    /// The version that was in force.
    pub digest: Digest,
    /// Why, and what to do if that was not meant.
    pub why: String,
    /// Who disabled it, if somebody did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Person>,
}

/// See [`Fact::ConfigurationRefused`](super::Fact::ConfigurationRefused).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ConfigurationRefused {
    /// What of it.
    pub part: ConfigurationPart,
    /// Everything that is wrong with it, with file and line where there is one.
    pub mistakes: Vec<String>,
    /// Who had it read, if somebody had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Person>,
}

/// What is read and refused as one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ConfigurationPart {
    /// All of it.
    Whole,
    /// The directory of the guardrails.
    Guardrails,
    /// The policy in the file beside a plugin.
    Beside(PluginName),
    /// A policy, wherever it is written, whose plugin does not accept its settings.
    Policy(PolicyName),
}

impl fmt::Display for ConfigurationPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole => f.write_str("the configuration"),
            Self::Guardrails => f.write_str("a change of the guardrails"),
            Self::Beside(plugin) => write!(f, "the policy beside plugin {plugin}"),
            Self::Policy(policy) => write!(f, "policy {policy}"),
        }
    }
}

/// See [`Fact::Reloaded`](super::Fact::Reloaded).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Reloaded {
    /// Who and why.
    pub by: Person,
    /// Keys that were changed in the file and only count after a restart.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after_restart: Vec<String>,
}

/// See [`Fact::AccountChecked`](super::Fact::AccountChecked).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct AccountChecked {
    /// The account of the configuration.
    pub account: AccountId,
    /// The region.
    pub region: Region,
    /// The identity behind the credentials, if it is that account's; otherwise what is wrong.
    #[serde(with = "crate::serde_result")]
    pub identity: Result<String, String>,
}
