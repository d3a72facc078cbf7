//! Everything at once: when the host starts, and when a person has the configuration read again.
//!
//! At the start there is a last good to fall back to, in the journal: a policy beside a plugin whose file is wrong, or whose plugin
//! does not accept its settings, is what it was. A person who asks for a reload gets all of it or nothing.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use balm_core::{
    configuration::{Configuration, Policy},
    digest::Digest,
    input::Arrived,
    name::{PluginName, PolicyName},
    record::{ConfigurationPart, Person, PluginActivated, PluginRefused, Reloaded},
};
use tokio::task::block_in_place;

use super::{Answer, Loader, mistakes_of, not_accepted, settings_of, unit::activated};
use crate::{
    config::{self, Config, Starting, Wrong, WrongBeside},
    engine::Ended,
    plugins::{
        Plugins,
        directory::{self, Look},
        read_once,
    },
};

/// Times that everything is read again because something changed meanwhile.
const TRIES: u32 = 10;

/// The pause before.
const PAUSE: Duration = Duration::from_millis(100);

/// What a configuration and what lies in the directory come to.
#[derive(Default)]
struct Together {
    arrived: Arrived,
    refused: Vec<PluginRefused>,
    unaccepted: Vec<(PolicyName, String)>,
}

impl Loader {
    /// Bring the versions in force into memory, take in what lies in the directory, and let evaluations begin. `previous` is
    /// what was in force before this start.
    pub(crate) async fn start(&mut self, previous: &Configuration) -> Result<(), Ended> {
        self.see_stops().await;
        for (name, version) in &self.in_force {
            if let Err(why) = self.parts.plugins.restore(name, version.digest).await {
                tracing::error!(plugin = %name, why, "the version in force could not be loaded");
            }
        }
        for (name, candidate) in &self.candidates {
            if let Err(why) = self.parts.plugins.restore(name, *candidate).await {
                tracing::error!(plugin = %name, why, "the candidate could not be loaded");
            }
        }
        let mut tries = 1;
        let (mut config, wrong, mut together) = loop {
            let look = block_in_place(|| self.found());
            // Read again: since it was read first, it may have changed with the plugins.
            let starting = block_in_place(|| config::load_for_start(&self.config.file));
            let starting =
                starting.unwrap_or_else(|_| Starting { config: self.config.clone(), wrong: BTreeMap::new() });
            let config = starting.kept(previous);
            let together = self.together(&config, &look, &starting.wrong).await;
            if block_in_place(|| self.found()) == look || tries == TRIES {
                break (config, starting.wrong, together);
            }
            tokio::time::sleep(PAUSE).await;
            tries += 1;
        };
        for (policy, why) in std::mem::take(&mut together.unaccepted) {
            self.fall_back(&mut config, &policy, &why, previous.policies.get(&policy)).await?;
        }
        together.arrived.configuration = Some(config.core.clone());
        self.config = config;
        self.put(together.arrived).await?;
        for refused in together.refused {
            self.refuse_plugin(refused).await?;
        }
        for (plugin, WrongBeside { mistakes, .. }) in wrong {
            self.refuse(ConfigurationPart::Beside(plugin), mistakes_of(&mistakes), None).await?;
        }
        self.show();
        self.parts.inbox.loaded();
        Ok(())
    }

    /// A policy is what it was, if its plugin accepts that; otherwise there is none.
    async fn fall_back(
        &mut self,
        config: &mut Config,
        name: &PolicyName,
        why: &str,
        before: Option<&Policy>,
    ) -> Result<(), Ended> {
        let Some(plugin) = config.core.policies.get(name).map(|policy| policy.plugin.clone()) else { return Ok(()) };
        let mistake = config.policies.mistake(name, not_accepted(&plugin, why)).to_string();
        let beside = config.policies.beside(name).cloned();
        let part = beside.map_or_else(|| ConfigurationPart::Policy(name.clone()), ConfigurationPart::Beside);
        let mut before = before.filter(|before| before.plugin == plugin);
        if let Some(policy) = before {
            let in_force = self.in_force.get(&plugin).and_then(|version| self.parts.plugins.get(&version.digest));
            let settings = vec![(name.clone(), policy.settings.clone())];
            let accepted = match in_force {
                Some(version) => Plugins::accepts(version, settings).await.is_ok(),
                None => false,
            };
            before = before.filter(|_| accepted);
        }
        config.policies.replace(name, before);
        config.core.policies.remove(name);
        config.core.policies.extend(before.map(|policy| (name.clone(), policy.clone())));
        self.refuse(part, vec![mistake], None).await
    }

    /// Read everything again for a person.
    pub(super) async fn reload(&mut self, by: Person) -> Result<Answer, Ended> {
        let mut tries = 1;
        let (config, after_restart, together) = loop {
            let look = block_in_place(|| self.found());
            let (config, after_restart) = match block_in_place(|| self.load()) {
                Ok(loaded) => loaded,
                Err(wrong) => return self.refuse_whole(&wrong, by).await,
            };
            let together = self.together(&config, &look, &BTreeMap::new()).await;
            if block_in_place(|| self.found()) == look {
                break (config, after_restart, together);
            }
            if tries == TRIES {
                return Ok(Err("the files are being changed: nothing was done; try again".into()));
            }
            tokio::time::sleep(PAUSE).await;
            tries += 1;
        };
        let Together { mut arrived, refused, unaccepted } = together;
        if !unaccepted.is_empty() {
            let mistake = |(name, why): (PolicyName, String)| {
                let plugin = &config.core.policies[&name].plugin;
                config.policies.mistake(&name, not_accepted(plugin, &why))
            };
            let wrong = Wrong(unaccepted.into_iter().map(mistake).collect());
            return self.refuse_whole(&wrong, by).await;
        }
        config.log_warnings();
        // Before the record: whoever is told of what follows it is known by then.
        if let Err(error) = self.parts.notifiers.replace(&config.notifiers) {
            return Ok(Err(error.to_string()));
        }
        arrived.reloaded = Some(Reloaded { by, after_restart: after_restart.clone() });
        arrived.configuration = Some(config.core.clone());
        let seq = self.put(arrived).await?;
        self.parts.alerts.replace(config.sources.clone());
        self.config = config;
        // Everything is looked at once more, so that what changed since is not missed.
        self.taken.clear();
        self.taken_guardrails = None;
        self.wrong.clear();
        self.refused.retain(|name, _| refused.iter().any(|refused| refused.plugin == *name));
        let mut words = format!("the configuration is read; record {}", seq.unwrap_or_default());
        if !after_restart.is_empty() {
            words.push_str(&format!("\nonly a restart changes: {}", after_restart.join(", ")));
        }
        for refused in refused {
            words.push_str(&format!("\nplugin {} is refused: {}", refused.plugin, refused.why));
            self.refuse_plugin(refused).await?;
        }
        self.show();
        Ok(Ok(words))
    }

    async fn refuse_whole(&mut self, wrong: &Wrong, by: Person) -> Result<Answer, Ended> {
        self.refuse(ConfigurationPart::Whole, mistakes_of(wrong), Some(by)).await?;
        Ok(Err(format!("nothing was changed: {}", wrong.to_string().trim_end())))
    }

    /// The configuration as it is in its files, but for what only a restart changes.
    fn load(&self) -> Result<(Config, Vec<String>), Wrong> {
        let mut config = config::load(&self.config.file)?;
        let after_restart = config.keep_until_restart(&self.config)?;
        if !self.counts(&self.found()) {
            config.policies.beside.clone_from(&self.config.policies.beside);
            config.core.policies = config::unite(&config.policies)?;
        }
        Ok((config, after_restart))
    }

    fn found(&self) -> Look {
        directory::look(&self.config.plugins, |_, _| {}).unwrap_or_default()
    }

    /// A directory that lost all its plugins at once was lost itself, most likely: it changes nothing.
    fn counts(&self, look: &Look) -> bool {
        self.filed.is_empty() || look.values().any(|files| files.wasm.is_some())
    }

    /// A plugin and the policy beside it are one: what lies beside a policy that is `wrong` comes into force no more than it.
    async fn together(&mut self, config: &Config, look: &Look, wrong: &BTreeMap<PluginName, WrongBeside>) -> Together {
        let mut together = Together::default();
        if !self.counts(look) {
            self.complain("it has no plugin any more: everything in force stays as it is");
        }
        for (name, _) in look.iter().filter(|(_, files)| files.wasm.is_some()) {
            match self.newer(config, name).await {
                // Asked all the same: the bytes of the version in force may be needed from its file.
                _ if wrong.contains_key(name) => {}
                Ok(newer) => together.arrived.activated.extend(newer),
                Err(refused) => together.refused.push(refused),
            }
        }
        if self.counts(look) {
            let is_gone = |name: &PluginName| look.get(name).is_none_or(|files| files.wasm.is_none());
            let gone = self.in_force.values().filter(|v| self.filed.contains_key(&v.plugin) && is_gone(&v.plugin));
            together.arrived.removed.extend(gone.map(|version| self.gone(&version.plugin, version.digest)));
        }
        together.unaccepted = self.unaccepted(config, &together.arrived).await;
        together
    }

    /// The version in a plugin's file, if it is another one than that in force.
    async fn newer(&self, config: &Config, name: &PluginName) -> Result<Option<PluginActivated>, PluginRefused> {
        let path = directory::wasm(&config.plugins, name);
        let bytes = block_in_place(|| read_once(&path)).map_err(|why| self.refused(name, None, &why))?;
        let digest = Digest::of(&[&bytes]);
        let refuse = |why: String| self.refused(name, Some(digest), &why);
        let known = self.in_force.get(name).is_some_and(|version| version.digest == digest);
        let chosen_otherwise = !known && self.filed.get(name) == Some(&digest);
        // What is not whole yet is taken in by a later look.
        if chosen_otherwise || known && self.parts.plugins.get(&digest).is_some() || directory::ends_early(&bytes) {
            return Ok(None);
        }
        if let Some(why) = self.quarantine(digest).filter(|_| !known) {
            return Err(refuse(why));
        }
        let plugin = self.version(config.plugin_class, name, &bytes).await.map_err(refuse)?;
        let accepted = Plugins::accepts(Arc::clone(&plugin), settings_of(&config.core, name)).await;
        accepted
            .map_err(|(policy, why)| refuse(format!("it does not accept the settings of policy {policy}: {why}")))?;
        block_in_place(|| self.parts.plugins.put(Arc::clone(&plugin), &bytes)).map_err(refuse)?;
        Ok((!known).then(|| activated(&plugin)))
    }

    /// Policies whose plugins, in the versions that stay in force, do not accept their settings.
    async fn unaccepted(&self, config: &Config, arrived: &Arrived) -> Vec<(PolicyName, String)> {
        let removed = arrived.removed.iter().map(|removed| &removed.plugin);
        let others: BTreeSet<_> = arrived.activated.iter().map(|activated| &activated.plugin).chain(removed).collect();
        let mut unaccepted = Vec::new();
        for version in self.in_force.values().filter(|version| !others.contains(&version.plugin)) {
            let Some(plugin) = self.parts.plugins.get(&version.digest) else { continue };
            for settings in settings_of(&config.core, &version.plugin) {
                unaccepted.extend(Plugins::accepts(Arc::clone(&plugin), vec![settings]).await.err());
            }
        }
        unaccepted
    }
}
