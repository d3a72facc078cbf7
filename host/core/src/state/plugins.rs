//! What versions of plugins are in force, compared, or in quarantine.

use super::State;
use crate::{
    caps,
    digest::Digest,
    name::{PluginName, PolicyName, Seq},
    record::{PluginActivated, StopCause, StopEngaged, StopScope},
    versions::Versions,
    versions::candidate::Candidate,
};

impl State {
    /// What is known of the version is what it said when it became known; one that was forgotten since is compared no more.
    pub(super) fn name_candidate(&mut self, plugin: &PluginName, digest: Digest, seq: Seq) {
        let known = self.versions.get(plugin).and_then(|versions| versions.version(&digest));
        if let Some(candidate) = known.map(|version| Candidate::new(digest, &version.manifest, seq)) {
            self.candidates.insert(plugin.clone(), candidate);
        }
    }

    pub(super) fn versions_of(&mut self, plugin: &PluginName) -> &mut Versions {
        if self.versions.len() >= caps::PLUGINS_KNOWN
            && !self.versions.contains_key(plugin)
            && let Some(idle) = self.versions.keys().find(|name| !self.plugins.contains_key(name)).cloned()
        {
            self.versions.remove(&idle);
        }
        self.versions.entry(plugin.clone()).or_default()
    }

    /// The plugin of a policy, in the version in force.
    #[must_use]
    pub fn plugin_of(&self, policy: &PolicyName) -> Option<&PluginActivated> {
        self.plugins.get(&self.configuration.policies.get(policy)?.plugin)
    }

    /// The stop that keeps a version in quarantine: it may not decide. What else halts a version halts its intents alone.
    #[must_use]
    pub fn quarantine(&self, version: &Digest) -> Option<(Seq, &StopEngaged)> {
        let keeps =
            |stop: &StopEngaged| stop.cause == StopCause::Quarantine && stop.scope == StopScope::Version(*version);
        self.stops.iter().find(|(_, stop)| keeps(stop)).map(|(seq, stop)| (*seq, stop))
    }

    /// Whether the version of a policy's plugin that is in force is in quarantine: its policies wait until another one is in force,
    /// or none.
    #[must_use]
    pub(crate) fn waits_for_a_version(&self, policy: &PolicyName) -> bool {
        self.plugin_of(policy).is_some_and(|version| self.quarantine(&version.digest).is_some())
    }
}
