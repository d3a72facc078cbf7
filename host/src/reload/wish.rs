//! What a person wants of plugins: a version handed over, chosen, gone back from, or none at all.
//!
//! A version that is handed over is compiled beside the loader, which meanwhile looks and listens as always; what is put in
//! force is so by one record, whose bytes are durable before it is.

use std::sync::Arc;

use balm_core::{
    caps,
    digest::Digest,
    input::{Arrived, Input, Reply},
    name::{PluginName, Seq},
    record::{Person, PluginActivated, PluginRemoved},
    state::State,
    versions::{
        Version, Versions,
        candidate::{CandidateEnded, CandidateNamed},
        record::{Cause, PluginPushed},
    },
};
use balm_sandbox::Plugin;
use tokio::{sync::oneshot, task::block_in_place};

use super::{Answer, Loader, Request, stopped::earlier};
use crate::{engine::Ended, plugins::permitted};

/// What is wanted.
pub(crate) enum Wish {
    /// The configuration is to be read again.
    Reload,
    /// These bytes are a version of a plugin.
    Push(PluginName, Vec<u8>),
    /// They were compiled and are one, or are not.
    Pushed(Box<Compiled>),
    /// The known version whose digest begins so is to be in force.
    Activate(PluginName, String),
    /// The version before the one in force is to be.
    RollBack(PluginName),
    /// None is to be.
    Disable(PluginName),
    /// The known version whose digest begins so is to be compared with the one in force; or none.
    Candidate(PluginName, Option<String>),
}

/// A version that was handed over, and what the compiler made of it.
pub(crate) struct Compiled {
    bytes: Vec<u8>,
    name: PluginName,
    loaded: Result<Arc<Plugin>, String>,
}

impl Loader {
    /// Do what a person wants, and answer.
    pub(super) async fn hear(&mut self, Request { wish, by, reply }: Request) -> Result<(), Ended> {
        let answer = match wish {
            Wish::Reload => self.reload(by).await?,
            Wish::Push(name, bytes) => match self.may_be_pushed(&name, &bytes).await {
                Ok(()) => return self.compile(name, bytes, by, reply),
                Err(why) => Err(why),
            },
            Wish::Pushed(compiled) => self.pushed(*compiled, by).await?,
            Wish::Activate(name, begins) => self.activate(name, &begins, by).await?,
            Wish::RollBack(name) => self.roll_back(name, by).await?,
            Wish::Disable(name) => self.disable(name, by).await?,
            Wish::Candidate(name, Some(begins)) => self.name_candidate(name, &begins, by).await?,
            Wish::Candidate(name, None) => self.end_candidate(name, by).await?,
        };
        let _ = reply.send(answer);
        Ok(())
    }

    async fn may_be_pushed(&self, name: &PluginName, bytes: &[u8]) -> Result<(), String> {
        permitted(bytes, self.config.plugin_class)?;
        let of = name.clone();
        let view = move |state: &State| state.versions.contains_key(&of) || state.versions.len() < caps::PLUGINS_KNOWN;
        match self.parts.inbox.view(view).await {
            Some(true) => Ok(()),
            Some(false) => {
                Err(format!("{} names of plugins are known already, and that is the most", caps::PLUGINS_KNOWN))
            }
            None => Err("the host is busy: try again".into()),
        }
    }

    /// Beside the loader, which hears of it when it is done.
    fn compile(
        &self,
        name: PluginName,
        bytes: Vec<u8>,
        by: Person,
        reply: oneshot::Sender<Answer>,
    ) -> Result<(), Ended> {
        let (plugins, requests) = (Arc::clone(&self.parts.plugins), self.requests.clone());
        tokio::spawn(async move {
            let loaded = plugins.compile(&name, &bytes).await;
            let wish = Wish::Pushed(Box::new(Compiled { bytes, name, loaded }));
            // If the host ends, so does whoever waits.
            let _ = requests.0.send(Request { wish, by, reply }).await;
        });
        Ok(())
    }

    async fn pushed(&mut self, Compiled { bytes, name, loaded }: Compiled, by: Person) -> Result<Answer, Ended> {
        let digest = Digest::of(&[&bytes]);
        let plugin = match loaded {
            Ok(plugin) => plugin,
            Err(why) => return Ok(Err(format!("it is no version of plugin {name}: {why}"))),
        };
        let Some(known) = self.version_of(&name, digest).await else { return busy() };
        if known.is_some() {
            return Ok(Ok(format!("version {digest} of plugin {name} is known already")));
        }
        if let Err(why) = block_in_place(|| self.parts.plugins.put(Arc::clone(&plugin), &bytes)) {
            return Ok(Err(why));
        }
        let (bytes, manifest) = (plugin.bytes(), plugin.manifest().clone());
        let pushed = PluginPushed { plugin: name.clone(), digest, bytes, manifest, by };
        let reply = self.parts.inbox.insist(Input::PluginPushed(Box::new(pushed))).await?;
        Ok(recorded(reply).map(|seq| {
            format!("version {digest} of plugin {name} is kept, and not in force: activate it; record {seq}")
        }))
    }

    async fn version_of(&self, name: &PluginName, digest: Digest) -> Option<Option<Version>> {
        let of = name.clone();
        let find = move |versions: &Versions| versions.version(&digest).cloned();
        self.parts.inbox.view(move |state| state.versions.get(&of).and_then(find)).await
    }

    async fn activate(&mut self, name: PluginName, begins: &str, by: Person) -> Result<Answer, Ended> {
        let of = name.clone();
        let Some(versions) = self.parts.inbox.view(move |state| state.versions.get(&of).cloned()).await else {
            return busy();
        };
        let version = match find(versions.as_ref(), begins) {
            Ok(version) => version.clone(),
            Err(why) => return Ok(Err(format!("plugin {name} {why}"))),
        };
        self.choose(name, version, Cause::Activated(by)).await
    }

    async fn roll_back(&mut self, name: PluginName, by: Person) -> Result<Answer, Ended> {
        let Some(digest) = self.in_force.get(&name).map(|version| version.digest) else {
            return Ok(Err(format!("no version of plugin {name} is in force; `balm plugin activate` chooses one")));
        };
        let of = name.clone();
        let Some(earlier) = self.parts.inbox.view(move |state| earlier(state, &of, &digest)).await else {
            return busy();
        };
        let Some(version) = earlier.into_iter().next() else {
            return Ok(Err(format!(
                "there is no version of plugin {name} before the one in force that is not in quarantine"
            )));
        };
        self.choose(name, version, Cause::RolledBack(by)).await
    }

    async fn choose(&mut self, name: PluginName, version: Version, cause: Cause) -> Result<Answer, Ended> {
        let Version { digest, bytes, manifest, .. } = version.clone();
        if self.in_force.get(&name).is_some_and(|in_force| in_force.digest == digest) {
            return Ok(Err(format!("version {digest} of plugin {name} is in force already")));
        }
        if self.in_force.len() >= caps::PLUGINS && !self.in_force.contains_key(&name) {
            return Ok(Err(format!("{} plugins are in force already, and that is the most", caps::PLUGINS)));
        }
        self.see_stops().await;
        if let Some(why) = self.quarantine(digest) {
            return Ok(Err(format!("{why}; release the stop first")));
        }
        if let Err(why) = self.ready(&name, &version).await {
            return Ok(Err(format!("version {digest} of plugin {name} cannot be in force: {why}")));
        }
        let activated = PluginActivated { plugin: name.clone(), digest, bytes, manifest, cause };
        let seq = self.put(Arrived { activated: vec![activated], ..Arrived::default() }).await?;
        Ok(Ok(format!("version {digest} of plugin {name} is in force; record {}", seq.unwrap_or_default())))
    }

    async fn name_candidate(&mut self, name: PluginName, begins: &str, by: Person) -> Result<Answer, Ended> {
        let of = name.clone();
        let Some(versions) = self.parts.inbox.view(move |state| state.versions.get(&of).cloned()).await else {
            return busy();
        };
        let version = match find(versions.as_ref(), begins) {
            Ok(version) => version.clone(),
            Err(why) => return Ok(Err(format!("plugin {name} {why}"))),
        };
        let digest = version.digest;
        if self.in_force.get(&name).is_none_or(|in_force| in_force.digest == digest) {
            return Ok(Err(format!(
                "plugin {name} has no other version in force that {digest} could be compared with"
            )));
        }
        if let Err(why) = self.ready(&name, &version).await {
            return Ok(Err(format!("version {digest} of plugin {name} cannot be compared: {why}")));
        }
        self.candidates.insert(name.clone(), digest);
        let named = CandidateNamed { plugin: name.clone(), digest, by };
        let reply = self.parts.inbox.insist(Input::CandidateNamed(named)).await?;
        let words = |seq| format!("version {digest} of plugin {name} is compared with the one in force; record {seq}");
        Ok(recorded(reply).map(words))
    }

    async fn end_candidate(&mut self, name: PluginName, by: Person) -> Result<Answer, Ended> {
        self.candidates.remove(&name);
        let of = name.clone();
        let view = move |state: &State| state.candidates.get(&of).map(|candidate| candidate.digest);
        let Some(candidate) = self.parts.inbox.view(view).await else { return busy() };
        let Some(digest) = candidate else { return Ok(Err(format!("plugin {name} has no candidate"))) };
        let why = format!("{} wants that: {}", by.who, by.why);
        let ended = CandidateEnded { plugin: name.clone(), digest, why, by: Some(by) };
        let reply = self.parts.inbox.insist(Input::CandidateEnded(ended)).await?;
        Ok(recorded(reply).map(|seq| format!("version {digest} of plugin {name} is compared no longer; record {seq}")))
    }

    async fn disable(&mut self, name: PluginName, by: Person) -> Result<Answer, Ended> {
        let Some(digest) = self.in_force.get(&name).map(|version| version.digest) else {
            return Ok(Err(format!("no version of plugin {name} is in force")));
        };
        let why = format!("{} disabled it: {}; its policies are idle until a version is activated", by.who, by.why);
        let removed = PluginRemoved { plugin: name.clone(), digest, why, by: Some(by) };
        let seq = self.put(Arrived { removed: vec![removed], ..Arrived::default() }).await?;
        Ok(Ok(format!("no version of plugin {name} is in force any more; record {}", seq.unwrap_or_default())))
    }
}

/// The one version whose digest begins so.
pub(super) fn find<'a>(versions: Option<&'a Versions>, begins: &str) -> Result<&'a Version, String> {
    let known = versions.map(Versions::known).unwrap_or_default();
    if begins.len() < 8 {
        return Err("needs more of a version: write at least 8 digits of its digest".into());
    }
    let mut found = known.iter().filter(|version| version.digest.to_string().starts_with(begins));
    match (found.next(), found.next()) {
        (Some(version), None) => Ok(version),
        (None, _) => Err(format!("has no version {begins}; `balm plugin show` lists those that are known")),
        (Some(_), Some(_)) => Err(format!("has several versions that begin with {begins}: write more of the digest")),
    }
}

fn recorded(reply: Reply) -> Result<Seq, String> {
    match reply {
        Reply::Recorded(seq) => Ok(seq),
        Reply::Refused(why) | Reply::Overloaded(why) | Reply::Waits(_, why) => Err(why),
    }
}

fn busy() -> Result<Answer, Ended> {
    Ok(Err("the host is busy: try again".into()))
}
