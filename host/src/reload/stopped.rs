//! Versions in quarantine: what is in force instead.
//!
//! The quarantine of the version in force makes its policies wait. Here the last good version is put in force again, if its bytes are
//! there and it accepts the settings of today; otherwise none is, and the policies are idle. Both follow from the records, so a
//! host that is killed in between does it when it starts again.

use std::{collections::BTreeMap, sync::Arc};

use balm_core::{
    digest::Digest,
    input::Arrived,
    name::{PluginName, Seq},
    record::{PluginActivated, PluginRemoved, StopCause, StopEngaged, StopScope},
    state::State,
    versions::{Version, record::Cause},
};

use super::{Loader, settings_of};
use crate::{engine::Ended, plugins::Plugins};

/// Versions in quarantine: by which stop, and why.
pub(super) type Stopped = BTreeMap<Digest, (Seq, String)>;

impl Loader {
    /// See which versions are in quarantine, and put something else in force where one of them is.
    pub(super) async fn look_at_stops(&mut self) -> Result<(), Ended> {
        if !self.see_stops().await {
            return Ok(());
        }
        let is_stopped = |version: &&PluginActivated| self.stopped.contains_key(&version.digest);
        let stopped: Vec<PluginActivated> = self.in_force.values().filter(is_stopped).cloned().collect();
        for version in stopped {
            self.replace(version).await?;
        }
        Ok(())
    }

    /// Returns whether they could be seen: the engine may be busy.
    pub(super) async fn see_stops(&mut self) -> bool {
        let Some(stopped) = self.parts.inbox.view(in_quarantine).await else { return false };
        // A file that was refused for a stop that is released is taken in again.
        let is_released = |digest: &Digest| self.stopped.contains_key(digest) && !stopped.contains_key(digest);
        for (name, refused) in &self.refused {
            if refused.digest.as_ref().is_some_and(is_released) {
                self.taken.remove(name);
            }
        }
        for (name, version) in &self.removed {
            if is_released(&version.digest) {
                self.taken.remove(name);
            }
        }
        self.stopped = stopped;
        true
    }

    /// Why a version may not decide.
    pub(super) fn quarantine(&self, digest: Digest) -> Option<String> {
        let (stop, why) = self.stopped.get(&digest)?;
        Some(format!("version {} is in quarantine (stop {stop}): {why}", digest.short()))
    }

    async fn replace(&mut self, version: PluginActivated) -> Result<(), Ended> {
        let (name, digest) = (version.plugin, version.digest);
        let Some((stop, _)) = self.stopped.get(&digest).cloned() else { return Ok(()) };
        let of = name.clone();
        let Some(earlier) = self.parts.inbox.view(move |state| earlier(state, &of, &digest)).await else {
            return Ok(());
        };
        for version in earlier {
            match self.ready(&name, &version).await {
                Ok(()) => {
                    let Version { digest, bytes, manifest, .. } = version;
                    let activated =
                        PluginActivated { plugin: name, digest, bytes, manifest, cause: Cause::Quarantine(stop) };
                    return self.put(Arrived { activated: vec![activated], ..Arrived::default() }).await.map(drop);
                }
                Err(why) => {
                    tracing::warn!(plugin = %name, version = version.digest.short(), why, "it is not gone back to");
                }
            }
        }
        let why = format!(
            "version {} is in quarantine (stop {stop}) and there is no earlier one to go back to; its policies are idle until the stop \
             is released or another version is there",
            digest.short()
        );
        let removed = PluginRemoved { plugin: name, digest, why, by: None };
        self.put(Arrived { removed: vec![removed], ..Arrived::default() }).await.map(drop)
    }

    /// Bring a version into memory, and ask whether it accepts what its policies tell it now.
    pub(super) async fn ready(&self, name: &PluginName, version: &Version) -> Result<(), String> {
        self.parts.plugins.restore(name, version.digest).await?;
        let plugin = self.parts.plugins.get(&version.digest).ok_or("it was forgotten")?;
        let accepted = Plugins::accepts(Arc::clone(&plugin), settings_of(&self.config.core, name)).await;
        accepted.map_err(|(policy, why)| format!("it does not accept the settings of policy {policy}: {why}"))
    }
}

fn in_quarantine(state: &State) -> Stopped {
    let of_version = |(seq, stop): (&Seq, &StopEngaged)| match stop.scope {
        StopScope::Version(digest) if stop.cause == StopCause::Quarantine => {
            Some((digest, (*seq, format!("{}, {}", stop.by.who, stop.by.why))))
        }
        _ => None,
    };
    state.stops.iter().filter_map(of_version).collect()
}

/// Versions to go back to, the last good one first.
pub(super) fn earlier(state: &State, name: &PluginName, digest: &Digest) -> Vec<Version> {
    let before = state.versions.get(name).map(|versions| versions.before(digest)).unwrap_or_default();
    before.into_iter().filter(|version| state.quarantine(&version.digest).is_none()).cloned().collect()
}
