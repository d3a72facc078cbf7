//! A configuration as a start takes it: what is wrong in a file beside a plugin is that plugin's matter alone.
//!
//! A running host goes on with the last good policy when a file beside a plugin turns wrong, so the next start must too: otherwise the
//! mistake would take the intake of alerts and all other policies with it, at a moment that nobody chose. What the last good one was
//! stands in the journal. Everything else that is wrong refuses the start. It refuses to know how a policy is put in force.

use std::collections::BTreeMap;

use balm_core::{
    configuration::{Configuration, Policy},
    name::{PluginName, PolicyName},
};

use super::{Config, Mistake, Mistakes, Written, Wrong, document::Document};

/// What is right, and what is wrong beside plugins.
#[derive(Clone, Debug)]
pub(crate) struct Starting {
    /// Without the policies that are wrong.
    pub(crate) config: Config,
    pub(crate) wrong: BTreeMap<PluginName, WrongBeside>,
}

/// Everything that is wrong in the file beside a plugin.
#[derive(Clone, Debug)]
pub(crate) struct WrongBeside {
    pub(crate) mistakes: Wrong,
    /// The file, as mistakes name it.
    file: String,
    /// What its policy is called, where that can be read.
    name: Option<PolicyName>,
}

impl WrongBeside {
    pub(super) fn new(file: &str, text: Option<&str>, plugin: &PluginName, mistakes: Vec<Mistake>) -> Self {
        let name = text.and_then(|text| name_in(text, plugin));
        Self { mistakes: Wrong(mistakes), file: file.to_owned(), name }
    }

    /// Of a policy whose name is configured before.
    pub(super) fn twice(name: PolicyName, mistake: Mistake) -> Self {
        Self { file: mistake.file.clone(), mistakes: Wrong(vec![mistake]), name: Some(name) }
    }

    /// The policy of the file that was in force before. Where the file does not say what it is called, the one policy of the
    /// plugin that nothing else configures.
    fn last_good<'a>(
        &self,
        plugin: &PluginName,
        previous: &'a Configuration,
        now: &BTreeMap<PolicyName, Policy>,
    ) -> Option<(&'a PolicyName, &'a Policy)> {
        let mut free = previous.policies.iter().filter(|(name, _)| !now.contains_key(*name));
        if let Some(named) = &self.name {
            return free.find(|(name, _)| *name == named);
        }
        let mut of_plugin = free.filter(|(_, policy)| policy.plugin == *plugin);
        match (of_plugin.next(), of_plugin.next()) {
            (Some(only), None) => Some(only),
            (Some(_), Some(_)) | (None, _) => None,
        }
    }
}

/// What the policy of a file is called, whatever else is wrong with it.
fn name_in(text: &str, plugin: &PluginName) -> Option<PolicyName> {
    let unheard = Mistakes::default();
    let document = Document::parse("", text, &unheard);
    let is_whole = unheard.take().is_empty();
    let mut root = document.root();
    if root.has("name") {
        return root.text("name")?.value.parse().ok();
    }
    // Where the file is no TOML, the name may stand in what could not be read.
    if is_whole { plugin.as_str().parse().ok() } else { None }
}

impl Starting {
    /// With the last good of what is wrong, as far as there is one in what was in force before.
    pub(crate) fn kept(&self, previous: &Configuration) -> Config {
        let mut config = self.config.clone();
        for (plugin, wrong) in &self.wrong {
            let Some((name, policy)) = wrong.last_good(plugin, previous, &config.core.policies) else { continue };
            let written = Written { name: name.clone(), policy: policy.clone(), file: wrong.file.clone(), line: 0 };
            config.policies.beside.insert(plugin.clone(), written);
            config.core.policies.insert(name.clone(), policy.clone());
        }
        config
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plugin() -> PluginName {
        "web".parse().unwrap()
    }

    #[test]
    fn a_policy_is_found_by_its_name_however_wrong_the_rest_of_its_file_is() {
        let name = |text: &str| name_in(text, &plugin()).map(|name| name.to_string());
        assert_eq!(name("mode = \"enforc\"\n").as_deref(), Some("web"), "as its plugin");
        assert_eq!(name("name = \"web-cpu\"\nmode = 7\n").as_deref(), Some("web-cpu"));
        assert_eq!(name("name = \"web-cpu\"\nmode = \n").as_deref(), Some("web-cpu"), "in what could be read");
        assert_eq!(name("name = \nmode = \"shadow\"\n"), None, "it may be called anything");
        assert_eq!(name("name = \"No Name\"\n"), None);
    }

    #[test]
    fn the_last_good_is_never_a_policy_that_is_configured_elsewhere_or_one_of_several() {
        let policy = |plugin: &str| Policy {
            plugin: plugin.parse().unwrap(),
            mode: balm_core::configuration::Mode::Enforce,
            matches: balm_core::configuration::Matcher::default(),
            targets: balm_core::configuration::Targets::Fixed(Vec::new()),
            settings: balm_core::json::Json::empty_object(),
        };
        let of = |names: &[&str]| -> BTreeMap<PolicyName, Policy> {
            names.iter().map(|name| (name.parse().unwrap(), policy("web"))).collect()
        };
        let found = |text: &str, before: &[&str], now: &[&str]| {
            let previous = Configuration { policies: of(before), ..Configuration::default() };
            let wrong = WrongBeside::new("web.toml", Some(text), &plugin(), Vec::new());
            wrong.last_good(&plugin(), &previous, &of(now)).map(|(name, _)| name.to_string())
        };
        assert_eq!(found("mode = 7\n", &["web", "web-cpu"], &[]).as_deref(), Some("web"));
        assert_eq!(found("mode = 7\n", &["web-cpu"], &[]), None, "no policy was called so");
        assert_eq!(found("mode = 7\n", &["web"], &["web"]), None, "it is configured elsewhere");
        assert_eq!(found("name = \n", &["web-cpu", "web"], &["web"]).as_deref(), Some("web-cpu"));
        assert_eq!(found("name = \n", &["web-cpu", "web"], &[]), None, "either may be meant");
    }
}
