//! Versions of a plugin: which are known under its name, which were in force before the one that is, and how often that one
//! failed in a row.
//!
//! It owns what "the last good version" means: the one that was chosen last before the one in force, by its file or by a person,
//! and is not in quarantine. Going back to a version does not choose it anew, so going back again goes further back. It refuses to know
//! where bytes are and whether a version is in memory.

pub mod candidate;
#[cfg(test)]
mod candidate_tests;
pub mod record;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use crate::{
    caps,
    digest::Digest,
    evaluation::{Conclusion, FailureKind},
    name::Seq,
    record::{Manifest, PluginActivated},
    versions::record::{Cause, PluginPushed},
};

/// What is known under the name of a plugin.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Versions {
    /// In the order in which they became known.
    known: Vec<Version>,
    /// The file of the plugin directory that was taken in last, until it is taken away.
    file: Option<Digest>,
    /// Evaluations in a row that ended as the failure of the version in force.
    failures: u32,
}

/// A version that is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Version {
    /// Of its bytes.
    pub digest: Digest,
    /// How many.
    pub bytes: u64,
    /// What it says of itself.
    pub manifest: Manifest,
    /// The record that made it known.
    pub since: Seq,
    /// The record by which it was chosen last; none if it never was.
    pub chosen: Option<Seq>,
}

impl Versions {
    /// Every version, in the order in which they became known.
    #[must_use]
    pub fn known(&self) -> &[Version] {
        &self.known
    }

    /// One of them.
    #[must_use]
    pub fn version(&self, digest: &Digest) -> Option<&Version> {
        self.known.iter().find(|version| version.digest == *digest)
    }

    /// The file of the plugin directory that was taken in last and is still there: the same again is nothing new.
    #[must_use]
    pub const fn file(&self) -> Option<Digest> {
        self.file
    }

    /// Evaluations in a row that ended as the failure of the version in force.
    #[must_use]
    pub const fn failures(&self) -> u32 {
        self.failures
    }

    /// Versions that were chosen before this one, the last first.
    #[must_use]
    pub fn before(&self, digest: &Digest) -> Vec<&Version> {
        let chosen = self.version(digest).and_then(|version| version.chosen);
        let mut before: Vec<&Version> = self.known.iter().filter(|v| v.chosen.is_some() && v.chosen < chosen).collect();
        before.sort_by_key(|version| std::cmp::Reverse(version.chosen));
        before
    }

    pub(crate) fn activated(&mut self, activated: &PluginActivated, seq: Seq) {
        let PluginActivated { digest, bytes, manifest, cause, .. } = activated;
        let version = self.learn(*digest, *bytes, manifest, seq);
        match cause {
            Cause::Directory | Cause::Activated(_) => version.chosen = Some(seq),
            Cause::RolledBack(_) | Cause::Quarantine(_) => {}
        }
        if cause.is_directory() {
            self.file = Some(*digest);
        }
        self.failures = 0;
        self.forget_one_but(digest);
    }

    pub(crate) fn pushed(&mut self, pushed: &PluginPushed, in_force: Option<Digest>, seq: Seq) {
        let PluginPushed { digest, bytes, manifest, .. } = pushed;
        self.learn(*digest, *bytes, manifest, seq);
        self.forget_one_but(&in_force.unwrap_or(*digest));
    }

    /// None is in force any more. A file that a person put out of force stays known, so that it does not come back by itself.
    pub(crate) fn removed(&mut self, by_person: bool) {
        self.failures = 0;
        if !by_person {
            self.file = None;
        }
    }

    /// Count how an evaluation of the version in force ended.
    pub(crate) fn ended(&mut self, conclusion: &Conclusion) {
        match conclusion {
            Conclusion::Decided(_) => self.failures = 0,
            Conclusion::Failed(failure) if is_its_own(failure.kind) => self.failures = self.failures.saturating_add(1),
            Conclusion::Failed(_) => {}
        }
    }

    fn learn(&mut self, digest: Digest, bytes: u64, manifest: &Manifest, seq: Seq) -> &mut Version {
        let at = self.known.iter().position(|version| version.digest == digest).unwrap_or_else(|| {
            self.known.push(Version { digest, bytes, manifest: manifest.clone(), since: seq, chosen: None });
            self.known.len() - 1
        });
        &mut self.known[at]
    }

    /// At the cap the one goes that has been known longest, is not the one in force, and is not the newest.
    fn forget_one_but(&mut self, in_force: &Digest) {
        if self.known.len() > caps::VERSIONS_PER_PLUGIN
            && let Some(at) = self.known.iter().position(|version| version.digest != *in_force)
        {
            self.known.remove(at);
        }
    }
}

/// Whether a failure says that the version does not work: it broke, or took more than it may. What it returns as its error, and
/// what it asks, are words of a version that works; and that it was not in memory is the host's doing.
const fn is_its_own(kind: FailureKind) -> bool {
    match kind {
        FailureKind::Trapped
        | FailureKind::OutOfFuel
        | FailureKind::OutOfTime
        | FailureKind::OutOfSpace
        | FailureKind::Malformed => true,
        FailureKind::Returned | FailureKind::Queries | FailureKind::NotLoaded => false,
    }
}
