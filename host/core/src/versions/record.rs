//! Records of the versions of plugins beyond that one is in force: why it is, and what was pushed.

use serde::{Deserialize, Serialize};

use crate::{
    digest::Digest,
    name::{PluginName, Seq},
    record::{Manifest, Person},
};

/// Why a version is in force.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// Its file was put into the plugin directory.
    #[default]
    Directory,
    /// A person chose it.
    Activated(Person),
    /// A person went back to it from a later one.
    RolledBack(Person),
    /// The one in force is in quarantine, by the record with this number, and this is the last one before it.
    Quarantine(Seq),
}

impl Cause {
    pub(crate) fn is_directory(&self) -> bool {
        *self == Self::Directory
    }
}

/// See [`Fact::PluginPushed`](crate::record::Fact::PluginPushed).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct PluginPushed {
    /// Its name.
    pub plugin: PluginName,
    /// Of the component's bytes.
    pub digest: Digest,
    /// How many bytes.
    pub bytes: u64,
    /// What it says of itself.
    pub manifest: Manifest,
    /// Who and why.
    pub by: Person,
}
