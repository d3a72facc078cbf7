//! One name of the plugin directory: `web.wasm` with the policy beside it, `web.toml`.
//!
//! Both are taken in together or not at all, so that a plugin that wants other settings than the one before can be dropped
//! in with them, and none ever runs with settings that it did not accept.

use std::sync::Arc;

use balm_core::{
    caps,
    configuration::Configuration,
    digest::Digest,
    input::Arrived,
    name::PluginName,
    record::{ConfigurationPart, PluginActivated, PluginRefused, PluginRemoved},
    versions::record::Cause,
};
use balm_sandbox::{Class, Plugin};
use tokio::task::block_in_place;

use super::{Loader, mistakes_of, not_accepted, settings_of};
use crate::{
    config::{self, Policies, Written, Wrong},
    engine::Ended,
    plugins::{
        Plugins,
        directory::{self, AtRest, Files, LOOK_EVERY, WHOLE_WITHIN},
        permitted, read_once,
    },
};

/// What was read of the files of a name.
struct Read {
    bytes: Option<Result<Vec<u8>, String>>,
    policy: Option<Result<Written, Wrong>>,
}

/// Why the files of a name change nothing.
enum Refusal {
    Plugin(PluginRefused),
    Policy(Vec<String>),
}

/// What the files of a name change.
struct Change {
    arrived: Arrived,
    policies: Policies,
}

impl Loader {
    /// Take in what lies under a name, or refuse it.
    pub(super) async fn take_in(&mut self, name: PluginName, found: AtRest) -> Result<(), Ended> {
        let Some(read) = block_in_place(|| self.read(&name, found)) else { return Ok(()) };
        let examined = self.examine(&name, read).await;
        if found.files == Files::default() {
            self.taken.remove(&name);
        } else {
            self.taken.insert(name.clone(), found.files);
        }
        match examined {
            Ok(Change { arrived, policies }) => {
                self.refused.remove(&name);
                self.wrong.remove(&ConfigurationPart::Beside(name));
                self.config.policies = policies;
                self.put(arrived).await?;
                self.show();
                Ok(())
            }
            Err(Refusal::Plugin(refused)) => {
                self.wrong.remove(&ConfigurationPart::Beside(name));
                self.refuse_plugin(refused).await
            }
            Err(Refusal::Policy(mistakes)) => {
                self.refused.remove(&name);
                self.refuse(ConfigurationPart::Beside(name), mistakes, None).await
            }
        }
    }

    /// Read the files, each once. Nothing if they are not what was found any more, or not whole yet: a later look sees them.
    fn read(&self, name: &PluginName, found: AtRest) -> Option<Read> {
        let dir = &self.config.plugins;
        let (wasm, toml) = (directory::wasm(dir, name), directory::toml(dir, name));
        let sources: Vec<_> = self.config.sources.keys().cloned().collect();
        let policy = found.files.toml.map(|_| config::beside(&toml, name, &sources));
        let mut bytes = found.files.wasm.map(|_| read_once(&wasm));
        if directory::files(dir, name) != found.files {
            return None;
        }
        if bytes.as_ref().is_some_and(|bytes| bytes.as_ref().is_ok_and(|bytes| directory::ends_early(bytes))) {
            if found.rested < WHOLE_WITHIN {
                if found.rested < LOOK_EVERY * 2 {
                    tracing::info!(file = %wasm.display(), "a file ends in the middle: waiting for the rest");
                }
                return None;
            }
            bytes = Some(Err("it ends in the middle: copy it again".into()));
        }
        Some(Read { bytes, policy })
    }

    async fn examine(&self, name: &PluginName, read: Read) -> Result<Change, Refusal> {
        let wrong = |wrong: Wrong| Refusal::Policy(mistakes_of(&wrong));
        let beside = read.policy.transpose().map_err(wrong)?;
        let mut policies = self.config.policies.clone();
        policies.beside.remove(name);
        policies.beside.extend(beside.clone().map(|written| (name.clone(), written)));
        let united = config::unite(&policies).map_err(wrong)?;
        let configuration = Configuration { policies: united, ..self.config.core.clone() };
        let mut arrived = Arrived::default();
        let in_force = self.in_force.get(name).map(|version| version.digest);
        match read.bytes {
            Some(bytes) => {
                let refuse = |digest, why: String| Refusal::Plugin(self.refused(name, digest, &why));
                let bytes = bytes.map_err(|why| refuse(None, why))?;
                let digest = Digest::of(&[&bytes]);
                if in_force != Some(digest) && self.filed.get(name) == Some(&digest) {
                    // A person chose otherwise since it was put there: it stays so until another file is there.
                    self.chosen_accepts(name, &configuration, &policies).await?;
                    arrived.configuration = self.if_new(configuration);
                    return Ok(Change { arrived, policies });
                }
                if let Some(why) = self.quarantine(digest).filter(|_| in_force != Some(digest)) {
                    return Err(refuse(Some(digest), why));
                }
                let plugin = self
                    .version(self.config.plugin_class, name, &bytes)
                    .await
                    .map_err(|why| refuse(Some(digest), why))?;
                let accepted = Plugins::accepts(Arc::clone(&plugin), settings_of(&configuration, name)).await;
                match accepted {
                    Err((policy, why)) if in_force == Some(digest) => {
                        let mistake = policies.mistake(&policy, not_accepted(name, &why));
                        return Err(Refusal::Policy(vec![mistake.to_string()]));
                    }
                    Err((policy, why)) => {
                        let why = format!("it does not accept the settings of policy {policy}: {why}");
                        return Err(refuse(Some(digest), why));
                    }
                    Ok(()) => {}
                }
                let kept = block_in_place(|| self.parts.plugins.put(Arc::clone(&plugin), &bytes));
                kept.map_err(|why| refuse(Some(digest), why))?;
                arrived.activated.extend((in_force != Some(digest)).then(|| activated(&plugin)));
            }
            // What came otherwise than by a file does not go with one.
            None if self.filed.contains_key(name) => {
                arrived.removed.extend(in_force.map(|digest| self.gone(name, digest)));
            }
            None => self.chosen_accepts(name, &configuration, &policies).await?,
        }
        if let Some(written) = beside.filter(|written| written.policy.plugin != *name) {
            self.other_accepts(&written, &policies).await?;
        }
        arrived.configuration = self.if_new(configuration);
        Ok(Change { arrived, policies })
    }

    /// The version in force, which a person chose, accepts the settings as they are now; or there is none.
    async fn chosen_accepts(
        &self,
        name: &PluginName,
        configuration: &Configuration,
        policies: &Policies,
    ) -> Result<(), Refusal> {
        let in_force = self.in_force.get(name).and_then(|version| self.parts.plugins.get(&version.digest));
        let Some(plugin) = in_force else { return Ok(()) };
        Plugins::accepts(plugin, settings_of(configuration, name)).await.map_err(|(policy, why)| {
            Refusal::Policy(vec![policies.mistake(&policy, not_accepted(name, &why)).to_string()])
        })
    }

    /// A file beside one plugin may put another one to work.
    async fn other_accepts(&self, written: &Written, policies: &Policies) -> Result<(), Refusal> {
        let other = &written.policy.plugin;
        let in_force = self.in_force.get(other).and_then(|version| self.parts.plugins.get(&version.digest));
        let Some(plugin) = in_force else { return Ok(()) };
        let settings = vec![(written.name.clone(), written.policy.settings.clone())];
        Plugins::accepts(plugin, settings).await.map_err(|(policy, why)| {
            Refusal::Policy(vec![policies.mistake(&policy, not_accepted(other, &why)).to_string()])
        })
    }

    /// Compile and ask what was read of a plugin's file, if plugins of its class may be.
    pub(super) async fn version(&self, most: Class, name: &PluginName, bytes: &[u8]) -> Result<Arc<Plugin>, String> {
        permitted(bytes, most)?;
        if self.in_force.len() >= caps::PLUGINS && !self.in_force.contains_key(name) {
            return Err(format!("{} plugins are in force already, and that is the most", caps::PLUGINS));
        }
        self.parts.plugins.compile(name, bytes).await
    }

    pub(super) fn refused(&self, name: &PluginName, digest: Option<Digest>, why: &str) -> PluginRefused {
        let file = directory::wasm(&self.config.plugins, name);
        PluginRefused { plugin: name.clone(), digest, why: format!("{}: {why}", file.display()) }
    }

    pub(super) fn gone(&self, name: &PluginName, digest: Digest) -> PluginRemoved {
        let file = directory::wasm(&self.config.plugins, name);
        let why = format!("{} is gone; its policies are idle until it is there again", file.display());
        PluginRemoved { plugin: name.clone(), digest, why, by: None }
    }
}

/// The record of a version.
pub(super) fn activated(plugin: &Plugin) -> PluginActivated {
    PluginActivated {
        plugin: plugin.name().clone(),
        digest: plugin.digest(),
        bytes: plugin.bytes(),
        manifest: plugin.manifest().clone(),
        cause: Cause::Directory,
    }
}
