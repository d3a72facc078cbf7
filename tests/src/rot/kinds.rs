//! The kinds of files, and how each is asked whether it is whole.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use super::{Damaged, Verdict, template::Template, whole};
use crate::{
    harness::{
        host::Files,
        opening::{Opened, Opener},
    },
    replay,
};

/// Of so many damaged files of native code one is given to a whole host, which then compiles the plugin again.
const STARTS_OF_CACHE: usize = 250;

/// A kind of file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The journal's files.
    Journal,
    /// Saved states.
    States,
    /// Those of the audit database.
    Audit,
    /// The bytes of plugins that were in force: what replays need beside the journal.
    Plugins,
    /// Native code, and the key that it is sealed with.
    Cache,
    /// What the operator wrote: configuration, guardrails, plugins as they were put there.
    Config,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Journal => "journal",
            Self::States => "states",
            Self::Audit => "audit",
            Self::Plugins => "plugins",
            Self::Cache => "cache",
            Self::Config => "config",
        })
    }
}

/// Processes that are asked again and again.
pub(super) struct Judge {
    journals: Opener,
    caches: Opener,
    asked_of_cache: usize,
}

impl Judge {
    pub(super) fn new() -> Self {
        Self { journals: Opener::journals(), caches: Opener::caches(), asked_of_cache: 0 }
    }
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Journal, Self::States, Self::Audit, Self::Plugins, Self::Cache, Self::Config];

    /// Whose turn it is. What a whole host must be started for comes less often: it costs a hundred times as much.
    pub(super) const TURNS: [Self; 12] = [
        Self::Journal,
        Self::States,
        Self::Audit,
        Self::Journal,
        Self::Cache,
        Self::Plugins,
        Self::States,
        Self::Journal,
        Self::Config,
        Self::Cache,
        Self::States,
        Self::Journal,
    ];

    /// The files of this kind.
    pub(super) fn files(self, template: &Template) -> Vec<PathBuf> {
        match self {
            Self::Journal => template.listed("data/journal", &[".journal"]),
            Self::States => template.listed("data/state", &[".state"]),
            Self::Audit => template.listed("data/audit", &[]),
            Self::Plugins => template.listed("data/plugins", &[".wasm"]),
            Self::Cache => template.listed("data/cache", &[]),
            Self::Config => {
                let own = template.listed("", &["balm.toml", "token"]);
                [own, template.listed("guardrails", &[]), template.listed("plugins", &[".wasm"])].concat()
            }
        }
    }

    pub(super) fn judge(self, judge: &mut Judge, template: &Template, damaged: &Damaged<'_>) -> Verdict {
        match self {
            Self::Journal => journal(judge, template, damaged),
            Self::States => states(judge, template, damaged),
            Self::Audit => whole::judge(template, damaged, "the audit database"),
            Self::Plugins => plugins(template, damaged),
            Self::Cache => cache(judge, template, damaged),
            Self::Config => config(template, damaged),
        }
    }
}

/// What a start reads of records.
const RECORDS: [&str; 3] = ["data/journal", "data/state", "data/cut"];

/// The journal is opened as by a start, and what that did not read is checked as behind its back. If the end is missing, only
/// what stands elsewhere can show it: a whole start must.
fn journal(judge: &mut Judge, template: &Template, damaged: &Damaged<'_>) -> Verdict {
    let copy = damaged.copy(&RECORDS);
    let name = damaged.name();
    match judge.journals.open(&copy.path().join("data")) {
        Opened::Journal { damage: Some(damage), .. } if damage.contains(&format!("in journal/{name} at byte ")) => {
            Verdict::Told
        }
        Opened::Journal { damage: Some(damage), .. } => Verdict::Silent(format!("another place is told: {damage}")),
        Opened::Journal { seq, hash, state, .. } if template.is_head(seq, &hash) => match state {
            Some(state) if state != template.state => Verdict::Silent("the state is another one".into()),
            Some(_) | None => Verdict::Same,
        },
        Opened::Journal { seq, .. } if seq < template.last() => ends_early(template, damaged, seq),
        Opened::Journal { seq, .. } => Verdict::Silent(format!("record {seq} is the last and another one")),
        Opened::Refused(why) if why.contains(".journal") || why.contains("missing from the journal") => Verdict::Told,
        Opened::Refused(why) => Verdict::Silent(format!("the place is not told: {why}")),
        Opened::Failed(why) => Verdict::Silent(why),
    }
}

fn ends_early(template: &Template, damaged: &Damaged<'_>, seq: u64) -> Verdict {
    let last = template.last();
    match Files::adopt(damaged.copy(&[])).try_start() {
        Err(said) if said.contains(&format!("holds record {last}, and the journal ends with {seq}")) => Verdict::Told,
        Err(said) => Verdict::Silent(format!("records are missing, and the host says {said}")),
        Ok(_) => Verdict::Silent(format!("records behind {seq} of {last} are missing, and the host starts")),
    }
}

/// A damaged state is never resumed from: the other one is, or all records are read, and the state is the same.
fn states(judge: &mut Judge, template: &Template, damaged: &Damaged<'_>) -> Verdict {
    let copy = damaged.copy(&RECORDS);
    let at = damaged.name().strip_suffix(".state").and_then(|name| name.parse().ok());
    match judge.journals.open(&copy.path().join("data")) {
        Opened::Journal { seq, hash, state, used, damage: None, .. } if template.is_head(seq, &hash) => match state {
            Some(_) if used == at => Verdict::Silent("it was resumed from".into()),
            Some(state) if state != template.state => Verdict::Silent("the state is another one".into()),
            // The newest was to be used, and was not: a start says so.
            Some(_) | None if at == Some(template.used) => Verdict::Told,
            Some(_) | None => Verdict::Same,
        },
        Opened::Refused(why) if why.contains(damaged.name()) => Verdict::Told,
        other => Verdict::Silent(format!("the host finds {other:?}")),
    }
}

/// Decisions of the past are made again with the plugins that made them.
fn plugins(template: &Template, damaged: &Damaged<'_>) -> Verdict {
    let copy = damaged.copy(&["data"]);
    match replay::run(&copy.path().join("data")) {
        Ok(replayed) if replayed == template.replayed => Verdict::Same,
        // Each decision that cannot be made is counted with the version that is not at hand.
        Ok(replayed) if replayed.replayed + replayed.mismatches == template.replayed.replayed => {
            if replayed.differing == 0 {
                Verdict::Told
            } else {
                Verdict::Silent(format!("decisions differ: {replayed:?}"))
            }
        }
        Ok(replayed) => Verdict::Silent(format!("decisions are missing: {replayed:?}")),
        Err(error) => Verdict::Silent(format!("{error:#}")),
    }
}

/// Native code is run only under its seal. Every plugin is loaded as by a start: all but the damaged one come from what was
/// kept, and none where the key is another. A whole host says so, and compiles the plugin again.
fn cache(judge: &mut Judge, template: &Template, damaged: &Damaged<'_>) -> Verdict {
    judge.asked_of_cache += 1;
    let copy = damaged.copy(&["data/cache", "data/plugins"]);
    let mut wanted = template.loaded.clone();
    match damaged.name().split_once('-') {
        Some((digest, _)) => wanted.retain(|loaded| loaded != digest),
        None => wanted.clear(),
    }
    match judge.caches.loaded(&copy.path().join("data")) {
        Ok(loaded) if loaded == wanted && loaded.len() < template.loaded.len() => {}
        Ok(loaded) => return Verdict::Silent(format!("{loaded:?} are loaded, and not {wanted:?}")),
        Err(why) => return Verdict::Silent(why),
    }
    if judge.asked_of_cache % STARTS_OF_CACHE == 1 { compiled_again(judge, template, damaged) } else { Verdict::Told }
}

fn compiled_again(judge: &mut Judge, template: &Template, damaged: &Damaged<'_>) -> Verdict {
    let files = Files::adopt(damaged.copy(&[]));
    let host = match files.try_start() {
        Ok(host) => host,
        Err(said) => return Verdict::Silent(format!("the host does not start: {said}")),
    };
    let log = host.log();
    host.stop();
    if !log.contains("kept native code is not what this host wrote, and is not used") {
        return Verdict::Silent(format!("the host does not say so: {log}"));
    }
    match judge.caches.loaded(&files.data()) {
        Ok(loaded) if loaded == template.loaded => Verdict::Told,
        other => Verdict::Silent(format!("it was not compiled again: {other:?}")),
    }
}

/// What cannot be read is told by `balm check` with the place; what can be read is in force from now on, which a record says, and
/// changes no answer about the past.
fn config(template: &Template, damaged: &Damaged<'_>) -> Verdict {
    let files = Files::adopt(damaged.copy(&[]));
    let output = files.balm(&["check"]);
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    let name = damaged.name();
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    match output.status.code() {
        // Whatever a host then says of its configuration, it says.
        Some(0) => whole::judge(template, damaged, ""),
        Some(1) if [name, stem, SETTINGS].iter().any(|place| said.contains(place)) => Verdict::Told,
        Some(1) => Verdict::Silent(format!("the place is not told: {said}")),
        _ => Verdict::Silent(format!("balm check ended with {}: {said}", output.status)),
    }
}

/// How settings are named that a plugin refuses: by the policy that they stand in.
const SETTINGS: &str = "policy web-cpu: the plugin does not accept its settings: ";

/// The last part of a path.
pub(super) fn name_of(path: &Path) -> &str {
    path.file_name().and_then(|name| name.to_str()).unwrap_or_default()
}
