//! What plugins say: the last lines of each, in memory, for whoever asks. The host's own log has them all.
//!
//! It refuses to know who reads them: what plugins write is text of strangers, and is made harmless where it is shown.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Mutex, PoisonError},
};

use balm_core::{
    digest::Digest,
    name::{EpisodeId, PluginName, PolicyName},
    time::Timestamp,
};
use balm_sandbox::Level;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::admin::schema;

/// Lines of each plugin: what a person reads back. A line has 1 KiB at most.
pub(crate) const LINES_EACH: usize = 200;

/// Plugins whose lines are kept; at the cap those of all are forgotten. With full lines that is 50 MiB.
const PLUGINS: usize = 256;

/// The lines.
#[derive(Debug, Default)]
pub(crate) struct PluginLog(Mutex<BTreeMap<PluginName, VecDeque<Line>>>);

/// One line that a plugin wrote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Line {
    /// When the evaluation was made, in milliseconds since 1970.
    #[schema(value_type = u64)]
    pub(crate) at: Timestamp,
    /// The version that wrote it.
    #[schema(value_type = String)]
    pub(crate) digest: Digest,
    #[schema(schema_with = schema::name)]
    pub(crate) policy: PolicyName,
    #[schema(value_type = u64)]
    pub(crate) episode: EpisodeId,
    /// `debug`, `info` or `warn`; `failed` for how an evaluation failed, with what the plugin wrote before.
    pub(crate) level: String,
    pub(crate) message: String,
}

impl PluginLog {
    /// Keep a line; the oldest of the plugin goes.
    pub(crate) fn keep(&self, plugin: &PluginName, line: Line) {
        let mut plugins = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if plugins.len() >= PLUGINS && !plugins.contains_key(plugin) {
            plugins.clear();
        }
        let lines = plugins.entry(plugin.clone()).or_default();
        if lines.len() >= LINES_EACH {
            lines.pop_front();
        }
        lines.push_back(line);
    }

    /// The last lines of a plugin, oldest first.
    pub(crate) fn of(&self, plugin: &PluginName) -> Vec<Line> {
        let plugins = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        plugins.get(plugin).into_iter().flatten().cloned().collect()
    }
}

/// What stands in the place of a level where an evaluation failed.
pub(crate) const FAILED: &str = "failed";

/// A level in one word.
pub(crate) const fn word(level: Level) -> &'static str {
    match level {
        Level::Debug => "debug",
        Level::Info => "info",
        Level::Warn => "warn",
    }
}

#[cfg(test)]
mod tests {
    use balm_core::name::Seq;

    use super::*;

    #[test]
    fn the_last_lines_of_each_plugin_are_kept_and_no_more() {
        let log = PluginLog::default();
        let [web, api]: [PluginName; 2] = ["web", "api"].map(|name| name.parse().unwrap());
        let line = |number: usize| Line {
            at: Timestamp::from_millis(1),
            digest: Digest::ZERO,
            policy: "web".parse().unwrap(),
            episode: EpisodeId(Seq(1)),
            level: "info".into(),
            message: number.to_string(),
        };
        (0..LINES_EACH + 3).for_each(|number| log.keep(&web, line(number)));
        let kept = log.of(&web);
        assert_eq!((kept.len(), kept[0].message.as_str()), (LINES_EACH, "3"));
        assert_eq!(log.of(&api), []);
    }
}
