//! Policies, as they are configured: in the main file as `[[policy]]`, or beside a plugin as `web.toml`.

use std::collections::BTreeMap;

use balm_core::{
    caps,
    configuration::{Matcher, Mode, Policy, Targets},
    json::Json,
    name::{PluginName, PolicyName, SourceName},
    target::{AccountId, Region, Target},
};

use super::document::{At, Mistake, Mistakes, Section};

/// A policy with the place where it was written.
#[derive(Clone, Debug)]
pub(crate) struct Written {
    pub(crate) name: PolicyName,
    pub(crate) policy: Policy,
    pub(crate) file: String,
    pub(crate) line: usize,
}

/// All policies, as they are written.
#[derive(Clone, Debug, Default)]
pub(crate) struct Policies {
    /// In the main file.
    pub(crate) own: Vec<Written>,
    /// Beside plugins, by the file's name.
    pub(crate) beside: BTreeMap<PluginName, Written>,
}

impl Policies {
    /// By name; a name that is written twice is a mistake.
    pub(crate) fn unite(&self, mistakes: &Mistakes) -> BTreeMap<PolicyName, Policy> {
        let mut policies = BTreeMap::new();
        let mut places: BTreeMap<&PolicyName, String> = BTreeMap::new();
        for Written { name, policy, file, line } in self.all() {
            if let Some(first) = places.get(name) {
                let Mistake { message, .. } = configured_twice(name, file, *line, first);
                mistakes.add(file, *line, message);
            } else {
                places.insert(name, format!("{file}:{line}"));
                policies.insert(name.clone(), policy.clone());
            }
        }
        policies
    }

    /// Leave out what lies beside a plugin under a name that is configured before, and say so of each.
    pub(crate) fn leave_out_twice(&mut self) -> Vec<(PluginName, PolicyName, Mistake)> {
        let mut places: BTreeMap<PolicyName, String> = BTreeMap::new();
        for Written { name, file, line, .. } in &self.own {
            places.entry(name.clone()).or_insert_with(|| format!("{file}:{line}"));
        }
        let mut twice = Vec::new();
        for (plugin, Written { name, file, line, .. }) in &self.beside {
            match places.get(name) {
                Some(first) => twice.push((plugin.clone(), name.clone(), configured_twice(name, file, *line, first))),
                None => drop(places.insert(name.clone(), format!("{file}:{line}"))),
            }
        }
        self.beside.retain(|plugin, _| twice.iter().all(|(other, ..)| other != plugin));
        twice
    }

    /// A mistake in a policy, where it is written.
    pub(crate) fn mistake(&self, name: &PolicyName, message: String) -> Mistake {
        let written = self.all().find(|written| written.name == *name);
        let (file, line) = written.map_or((String::new(), 0), |written| (written.file.clone(), written.line));
        Mistake { file, line, message }
    }

    /// Whether it is written beside a plugin, and which.
    pub(crate) fn beside(&self, name: &PolicyName) -> Option<&PluginName> {
        self.beside.iter().find(|(_, written)| written.name == *name).map(|(plugin, _)| plugin)
    }

    /// Have another policy where one is written, or none.
    pub(crate) fn replace(&mut self, name: &PolicyName, policy: Option<&Policy>) {
        match policy {
            Some(policy) => {
                let named = |written: &&mut Written| written.name == *name;
                if let Some(written) = self.own.iter_mut().chain(self.beside.values_mut()).find(named) {
                    written.policy = policy.clone();
                }
            }
            None => {
                self.own.retain(|written| written.name != *name);
                self.beside.retain(|_, written| written.name != *name);
            }
        }
    }

    fn all(&self) -> impl Iterator<Item = &Written> {
        self.own.iter().chain(self.beside.values())
    }
}

fn configured_twice(name: &PolicyName, file: &str, line: usize, first: &str) -> Mistake {
    Mistake { file: file.to_owned(), line, message: format!("policy {name} is configured twice, first at {first}") }
}

/// Read a policy. `beside` is the plugin that its file lies beside, if it does: then name and plugin need not be said.
pub(crate) fn read(mut section: Section<'_>, beside: Option<&PluginName>, sources: &[SourceName]) -> Option<Written> {
    let own = beside.map(|plugin| At { value: plugin.to_string(), line: section.line() });
    let name = section.text("name").or_else(|| own.clone());
    if name.is_none() {
        section.mistake(section.line(), "name is missing: what the policy is called in rules and records");
    }
    let name = name.and_then(|name| section.parse::<PolicyName>(&name));
    let plugin = section.text("plugin").or(own);
    if plugin.is_none() {
        section.mistake(section.line(), "plugin is missing: the name of the plugin's file without .wasm");
    }
    let plugin = plugin.and_then(|plugin| section.parse::<PluginName>(&plugin));
    let modes = [("off", Mode::Off), ("shadow", Mode::Shadow), ("suggest", Mode::Suggest), ("enforce", Mode::Enforce)];
    let mode = section.word("mode", &modes).map_or(Mode::default(), |mode| mode.value);
    let matches = section.section("match").map(|matches| read_matcher(matches, sources));
    if matches.is_none() {
        section.mistake(section.line(), "[policy.match] is missing: without a condition a policy matches nothing");
    }
    let targets = read_targets(&mut section);
    let settings = section.json("settings").map_or_else(Json::empty_object, |settings| Json::of(&settings.value));
    let (file, line) = (section.file().to_owned(), section.line());
    section.end();
    let policy = Policy { plugin: plugin?.value, mode, matches: matches??, targets: targets?, settings };
    Some(Written { name: name?.value, policy, file, line })
}

fn read_matcher(mut section: Section<'_>, known: &[SourceName]) -> Option<Matcher> {
    let mut sources = Vec::new();
    for text in section.texts("source").map(|texts| texts.value).unwrap_or_default() {
        let source = section.parse::<SourceName>(&text)?;
        if !known.contains(&source.value) {
            section.mistake(source.line, format_args!("{} is no configured source", source.value));
        }
        sources.push(source.value);
    }
    let labels = section.free_texts("labels");
    if sources.is_empty() && labels.is_empty() {
        section.mistake(section.line(), "a match without a source or label matches nothing: write at least one");
    }
    section.end();
    Some(Matcher { sources, labels })
}

fn read_targets(section: &mut Section<'_>) -> Option<Targets> {
    let fixed = section.texts("targets");
    let mapped = section.section("target-from-label");
    match (fixed, mapped) {
        (Some(fixed), None) => {
            if fixed.value.len() > caps::TARGETS_PER_POLICY {
                section.mistake(fixed.line, format_args!("at most {} targets are allowed", caps::TARGETS_PER_POLICY));
            }
            let targets: Option<Vec<Target>> =
                fixed.value.iter().map(|text| section.parse::<Target>(text).map(|at| at.value)).collect();
            Some(Targets::Fixed(targets?))
        }
        (None, Some(mapped)) => read_mapping(mapped),
        (None, None) => {
            let message = "targets are missing: write `targets = [\"arn:…\"]` or [policy.target-from-label]";
            section.mistake(section.line(), message);
            None
        }
        (Some(fixed), Some(_)) => {
            section.mistake(fixed.line, "targets and target-from-label exclude each other");
            None
        }
    }
}

/// The kinds of targets that a label can name.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    EcsService,
    AsgGroup,
}

fn read_mapping(mut section: Section<'_>) -> Option<Targets> {
    let kinds = [("ecs-service", Kind::EcsService), ("asg-group", Kind::AsgGroup)];
    let said = section.has("kind");
    let kind = section.word("kind", &kinds).map(|kind| kind.value);
    let kind = if said { kind? } else { Kind::EcsService };
    let account = section.needed_text("account", "the account of every target");
    let account = account.and_then(|account| section.parse::<AccountId>(&account));
    let region = section.needed_text("region", "the region of every target");
    let region = region.and_then(|region| section.parse::<Region>(&region));
    // A group is in no cluster: there the key is a mistake.
    let cluster = (kind == Kind::EcsService).then(|| section.needed_text("cluster", "the cluster of every target"));
    let label = section.needed_text("label", "the label whose value is the name of the service or group");
    let allowed = section.texts("allowed");
    if allowed.as_ref().is_none_or(|allowed| allowed.value.is_empty()) {
        section.mistake(section.line(), "allowed is missing or empty: the names that the label may have");
    }
    section.end();
    let (account, region, label) = (account?.value, region?.value, label?.value);
    let allowed: Vec<String> = allowed?.value.into_iter().map(|text| text.value).collect();
    Some(match cluster {
        Some(cluster) => Targets::EcsServiceFromLabel { account, region, cluster: cluster?.value, label, allowed },
        None => Targets::AsgGroupFromLabel { account, region, label, allowed },
    })
}
