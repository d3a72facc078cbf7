//! What is in force: takes in what arrives in the directories, and what a person has read again.
//!
//! It is the only place that puts plugins and configuration in force, one change after the other: a plugin with the
//! settings that it accepts is one batch of records, and what is refused leaves everything as it is. One name of the plugin
//! directory, `web.wasm` with `web.toml`, is `unit`'s; everything at once, at the start and when a person asks, is `whole`'s.
//! It refuses to know what any key of a configuration means.

mod shown;
mod stopped;
mod unit;
mod whole;
mod wish;

use std::{collections::BTreeMap, sync::Arc, time::Instant};

use balm_core::{
    caps,
    configuration::Configuration,
    digest::Digest,
    input::{Arrived, Input, Reply},
    json::Json,
    name::{PluginName, PolicyName, Seq},
    record::{ConfigurationPart, ConfigurationRefused, Person, PluginActivated, PluginRefused},
    state::State,
    versions::{Versions, record::Cause},
};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::{mpsc, oneshot, watch},
    task::block_in_place,
    time::MissedTickBehavior,
};

use self::stopped::Stopped;
pub(crate) use self::{
    shown::{PluginShown, PluginState, Shown},
    wish::Wish,
};
use crate::{
    config::{self, Config, Wrong},
    engine::{Ended, Inbox},
    http::alerts::Alerts,
    notify::Notifiers,
    plugins::{
        Plugins,
        directory::{self, AtRest, Files, Watch},
    },
};

/// People who wait for a reload; it takes a moment, and a further one is told to come back.
const WAITING: usize = 8;

/// What is told of what is in force.
pub(crate) struct Parts {
    pub(crate) inbox: Inbox,
    pub(crate) plugins: Arc<Plugins>,
    pub(crate) alerts: Arc<Alerts>,
    pub(crate) notifiers: Arc<Notifiers>,
    pub(crate) shown: Arc<Shown>,
}

/// The versions in force, and those that are known, as the records say.
pub(crate) struct Known {
    pub(crate) in_force: BTreeMap<PluginName, PluginActivated>,
    pub(crate) versions: BTreeMap<PluginName, Versions>,
    pub(crate) candidates: BTreeMap<PluginName, Digest>,
}

impl Known {
    /// Of a state.
    pub(crate) fn of(state: &State) -> Self {
        let candidates = state.candidates.iter().map(|(plugin, candidate)| (plugin.clone(), candidate.digest));
        Self { in_force: state.plugins.clone(), versions: state.versions.clone(), candidates: candidates.collect() }
    }
}

/// Knows what is in force, and changes it.
pub(crate) struct Loader {
    parts: Parts,
    /// Where what was compiled for a person comes back.
    requests: Requests,
    /// As it is in force: what was refused is not in it.
    config: Config,
    in_force: BTreeMap<PluginName, PluginActivated>,
    /// Files that are in the records already. The same again puts nothing in force: a person may have chosen otherwise since.
    filed: BTreeMap<PluginName, Digest>,
    /// What was in force before: it stays in memory, so that going back to it is the matter of a record.
    before: BTreeMap<PluginName, Digest>,
    /// What is compared with what is in force.
    candidates: BTreeMap<PluginName, Digest>,
    /// Versions in quarantine, with the stop.
    stopped: Stopped,
    removed: BTreeMap<PluginName, PluginActivated>,
    refused: BTreeMap<PluginName, PluginRefused>,
    wrong: BTreeMap<ConfigurationPart, Vec<String>>,
    /// Files that were taken in or refused; they are read again when they change.
    taken: BTreeMap<PluginName, Files>,
    taken_guardrails: Option<directory::Guardrails>,
    watch: Watch,
    /// What is wrong with the plugin directory itself, so that it is said once.
    trouble: Option<String>,
}

/// A person wants something.
pub(crate) struct Request {
    wish: Wish,
    by: Person,
    reply: oneshot::Sender<Answer>,
}

/// What a person is told: what was done, or why nothing was.
pub(crate) type Answer = Result<String, String>;

/// Where people ask.
#[derive(Clone)]
pub(crate) struct Requests(mpsc::Sender<Request>);

/// The place where people ask, and where they are heard.
pub(crate) fn requests() -> (Requests, mpsc::Receiver<Request>) {
    let (sender, receiver) = mpsc::channel(WAITING);
    (Requests(sender), receiver)
}

impl Requests {
    /// Have something done.
    pub(crate) async fn ask(&self, wish: Wish, by: Person) -> Answer {
        let (reply, replied) = oneshot::channel();
        let waits = self.0.try_send(Request { wish, by, reply });
        waits.map_err(|_| "too many others wait for the same, or the host ends: try again".to_owned())?;
        replied.await.unwrap_or_else(|_| Err("the host ends".into()))
    }

    /// Ask whenever the process is sent SIGHUP.
    pub(crate) fn on_hangup(self) -> std::io::Result<()> {
        let mut hangup = signal(SignalKind::hangup())?;
        tokio::spawn(async move {
            while hangup.recv().await.is_some() {
                let by = Person { who: "a user of this machine".into(), why: "SIGHUP".into() };
                // What came of it is recorded and logged; nobody waits for it.
                let _ = self.ask(Wish::Reload, by).await;
            }
        });
        Ok(())
    }
}

impl Loader {
    /// What is in force as the records say. [`Loader::start`] comes first.
    pub(crate) fn new(parts: Parts, requests: Requests, config: Config, known: Known) -> Self {
        let Known { in_force, versions, candidates } = known;
        let filed = |(name, versions): (&PluginName, &Versions)| Some((name.clone(), versions.file()?));
        Self {
            parts,
            requests,
            config,
            in_force,
            filed: versions.iter().filter_map(filed).collect(),
            before: BTreeMap::new(),
            candidates,
            stopped: Stopped::new(),
            removed: BTreeMap::new(),
            refused: BTreeMap::new(),
            wrong: BTreeMap::new(),
            taken: BTreeMap::new(),
            taken_guardrails: None,
            watch: Watch::default(),
            trouble: None,
        }
    }

    /// Look and listen until the host ends.
    pub(crate) async fn run(mut self, mut requests: mpsc::Receiver<Request>, mut ending: watch::Receiver<bool>) {
        let mut looks = tokio::time::interval(directory::LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let done = tokio::select! {
                () = async { drop(ending.wait_for(|ending| *ending).await) } => return,
                request = requests.recv() => match request {
                    Some(request) => self.hear(request).await,
                    None => return,
                },
                _ = looks.tick() => self.look().await,
            };
            if done.is_err() {
                return;
            }
        }
    }

    /// Look at the directories, and take in what is at rest.
    async fn look(&mut self) -> Result<(), Ended> {
        match block_in_place(|| self.watch.look(&self.config.plugins, Instant::now())) {
            Ok(_) if !self.watch.found_any() && !self.filed.is_empty() => {
                self.complain("it has no plugin any more: everything in force stays as it is");
            }
            Ok(at_rest) => {
                self.calm();
                for (name, found) in self.changed(at_rest) {
                    self.take_in(name, found).await?;
                }
            }
            Err(error) => self.complain(&format!("it cannot be read, and everything in force stays: {error}")),
        }
        self.look_at_guardrails().await?;
        self.look_at_stops().await
    }

    /// Of what is at rest, what was not taken in as it is; and what is gone.
    fn changed(&mut self, at_rest: BTreeMap<PluginName, AtRest>) -> Vec<(PluginName, AtRest)> {
        let known = self.taken.keys().chain(self.filed.keys()).chain(self.config.policies.beside.keys());
        let gone: Vec<_> = known.filter(|name| self.watch.is_gone(name)).cloned().collect();
        let gone = gone.into_iter().map(|name| (name, AtRest::gone()));
        let changed = at_rest.into_iter().filter(|(name, found)| self.taken.get(name) != Some(&found.files));
        changed.chain(gone).collect::<BTreeMap<_, _>>().into_iter().collect()
    }

    fn complain(&mut self, why: &str) {
        if self.trouble.as_deref() != Some(why) {
            tracing::warn!(dir = %self.config.plugins.display(), why, "the plugin directory changes nothing");
            self.trouble = Some(why.to_owned());
        }
    }

    fn calm(&mut self) {
        if self.trouble.take().is_some() {
            tracing::info!(dir = %self.config.plugins.display(), "the plugin directory counts again");
        }
    }

    async fn look_at_guardrails(&mut self) -> Result<(), Ended> {
        let dir = self.config.guardrails.clone();
        let read = match block_in_place(|| self.watch.guardrails(&dir)) {
            Ok(Some(found)) if self.taken_guardrails.as_ref() != Some(&found) => {
                let read = block_in_place(|| config::guardrails(&dir));
                if block_in_place(|| directory::guardrails(&dir)).ok().as_ref() != Some(&found) {
                    // They are being changed: the next look sees how.
                    return Ok(());
                }
                self.taken_guardrails = Some(found);
                read.map_err(|wrong| mistakes_of(&wrong))
            }
            Ok(_) => return Ok(()),
            Err(error) => {
                self.taken_guardrails = None;
                Err(vec![format!("{}: cannot be read: {error}", dir.display())])
            }
        };
        match read {
            Ok(guardrails) => {
                self.wrong.remove(&ConfigurationPart::Guardrails);
                let configuration = Configuration { guardrails, ..self.config.core.clone() };
                self.put(Arrived { configuration: self.if_new(configuration), ..Arrived::default() }).await.map(drop)
            }
            Err(mistakes) => self.refuse(ConfigurationPart::Guardrails, mistakes, None).await,
        }
    }

    fn if_new(&self, configuration: Configuration) -> Option<Configuration> {
        (configuration != self.config.core).then_some(configuration)
    }

    /// Put in force, in one batch. Everything in it was found good; versions are in memory.
    async fn put(&mut self, arrived: Arrived) -> Result<Option<Seq>, Ended> {
        if arrived.is_empty() {
            return Ok(None);
        }
        let seq = match self.parts.inbox.insist(Input::Arrived(Box::new(arrived.clone()))).await? {
            Reply::Recorded(seq) | Reply::Waits(seq, _) => seq,
            Reply::Refused(why) | Reply::Overloaded(why) => {
                // Its rules were compiled a moment ago, by the same code.
                tracing::error!(why, "what was found good was refused by the core: this is a bug of Balm");
                return Ok(None);
            }
        };
        for removed in arrived.removed {
            tracing::warn!(plugin = %removed.plugin, why = removed.why, "a plugin is in force no longer");
            if removed.by.is_none() {
                self.filed.remove(&removed.plugin);
            }
            let version = self.in_force.remove(&removed.plugin);
            self.removed.extend(version.map(|version| (removed.plugin, version)));
            if self.removed.len() > caps::PLUGINS {
                self.removed.pop_first();
            }
        }
        for activated in arrived.activated {
            tracing::info!(plugin = %activated.plugin, digest = activated.digest.short(), "a plugin is in force");
            self.removed.remove(&activated.plugin);
            if activated.cause == Cause::Directory {
                self.filed.insert(activated.plugin.clone(), activated.digest);
            }
            if let Some(before) = self.in_force.insert(activated.plugin.clone(), activated) {
                self.before.insert(before.plugin, before.digest);
            }
        }
        if let Some(configuration) = arrived.configuration {
            tracing::info!(record = seq.0, "a configuration is in force");
            self.config.core = configuration;
        }
        let others = self.before.values().chain(self.candidates.values()).copied();
        let in_memory = self.in_force.values().map(|version| version.digest).chain(others).collect();
        block_in_place(|| self.parts.plugins.keep_only(&in_memory));
        self.show();
        Ok(Some(seq))
    }

    /// Refuse a plugin's file: with a record once, however often it is looked at.
    async fn refuse_plugin(&mut self, refused: PluginRefused) -> Result<(), Ended> {
        if self.refused.get(&refused.plugin) != Some(&refused) {
            tracing::error!(plugin = %refused.plugin, why = refused.why, "a plugin was refused");
            self.refused.insert(refused.plugin.clone(), refused.clone());
            self.show();
            self.parts.inbox.insist(Input::PluginRefused(refused)).await?;
        }
        Ok(())
    }

    /// Refuse a configuration, or a part of one: with a record once, or whenever a person asked.
    async fn refuse(
        &mut self,
        part: ConfigurationPart,
        mut mistakes: Vec<String>,
        by: Option<Person>,
    ) -> Result<(), Ended> {
        let further = mistakes.len().saturating_sub(caps::MISTAKES);
        mistakes.truncate(caps::MISTAKES);
        mistakes.extend((further > 0).then(|| format!("and {further} more")));
        if by.is_some() || self.wrong.get(&part) != Some(&mistakes) {
            tracing::error!(mistakes = mistakes.join("; "), "{part} was refused, and what was in force stays");
            self.wrong.insert(part.clone(), mistakes.clone());
            self.show();
            let refused = ConfigurationRefused { part, mistakes, by };
            self.parts.inbox.insist(Input::ConfigurationRefused(refused)).await?;
        }
        Ok(())
    }

    fn show(&self) {
        self.parts.shown.set(shown::of(self));
    }
}

/// What the policies of a plugin tell it.
fn settings_of(configuration: &Configuration, plugin: &PluginName) -> Vec<(PolicyName, Json)> {
    let of_plugin = configuration.policies.iter().filter(|(_, policy)| policy.plugin == *plugin);
    of_plugin.map(|(name, policy)| (name.clone(), policy.settings.clone())).collect()
}

fn mistakes_of(wrong: &Wrong) -> Vec<String> {
    wrong.0.iter().map(ToString::to_string).collect()
}

fn not_accepted(plugin: &PluginName, why: &str) -> String {
    format!("plugin {plugin} does not accept its settings: {why}")
}
