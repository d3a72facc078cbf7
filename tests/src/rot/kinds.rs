//! The kinds of files, and how each is asked whether it is whole.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use super::{
    Damaged, Verdict,
    template::{Answers, Template},
};
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
    /// Those of the audit database.
    Audit,
    /// The bytes of plugins that were in force.
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
    /// All of them, in turn.
    pub const ALL: [Self; 5] = [Self::Journal, Self::Audit, Self::Plugins, Self::Cache, Self::Config];

    /// The files of this kind.
    pub(super) fn files(self, template: &Template) -> Vec<PathBuf> {
        match self {
            Self::Journal => template.listed("data/journal", &[".journal"]),
            Self::Audit => template.listed("data/audit", &[]),
            Self::Plugins => template.listed("data/plugins", &[".wasm"]),
            Self::Cache => template.listed("data/cache", &[]),
            Self::Config => {
                let own = template.listed("", &["balm.toml", "token"]);
                [own, template.listed("guardrails", &[]), template.listed("plugins", &[".wasm"])].concat()
            }
        }
    }

    pub(super) fn judge(
        self,
        judge: &mut Judge,
        file: &Path,
        template: &Template,
        copy: &dyn Fn() -> Damaged,
    ) -> Verdict {
        match self {
            Self::Journal => journal(judge, template, copy),
            Self::Audit => host(template, copy, "the audit database"),
            Self::Plugins => plugins(template, copy),
            Self::Cache => cache(judge, file, template, copy),
            Self::Config => config(file, template, copy),
        }
    }
}

/// The journal is opened as by a start. If its end is missing, only what stands elsewhere can show it: a whole start must.
fn journal(judge: &mut Judge, template: &Template, copy: &dyn Fn() -> Damaged) -> Verdict {
    let damaged = copy();
    let (last, last_hash) = &template.head;
    match judge.journals.open(&damaged.data()) {
        Opened::Journal { seq, hash, .. } if (seq, &hash) == (*last, last_hash) => Verdict::Same,
        Opened::Journal { seq, .. } if seq < *last => match Files::adopt(copy().dir).try_start() {
            Err(said) if said.contains(&format!("holds record {last}, and the journal ends with {seq}")) => {
                Verdict::Told
            }
            Err(said) => Verdict::Silent(format!("records are missing, and the host says {said}")),
            Ok(_) => Verdict::Silent(format!("records behind {seq} of {last} are missing, and the host starts")),
        },
        Opened::Journal { seq, .. } => Verdict::Silent(format!("record {seq} is the last and another one")),
        Opened::Refused(why) if why.contains(".journal") => Verdict::Told,
        Opened::Refused(why) => Verdict::Silent(format!("the place is not told: {why}")),
        Opened::Failed(why) => Verdict::Silent(why),
    }
}

/// A whole host is started and asked for everything. What it cannot answer it must tell, and have mended by the next start.
fn host(template: &Template, copy: &dyn Fn() -> Damaged, place: &str) -> Verdict {
    let files = Files::adopt(copy().dir);
    let mut told = false;
    for start in ["this", "the next"] {
        let mut running = match files.try_start() {
            Ok(running) => running,
            Err(said) if said.contains(place) && !said.contains("panicked") => return Verdict::Told,
            Err(said) => return Verdict::Silent(format!("{start} start fails: {said}")),
        };
        let answers = Answers::ask(&files.data(), template.head.0);
        let ended = running.ended();
        running.kill();
        if let Some(ended) = ended {
            return Verdict::Silent(format!("the host ended with {ended}: {}", running.log()));
        }
        match answers {
            Ok(answers) => match answers.unlike(&template.answers) {
                None if told || running.log().contains("is built again from the journal") => return Verdict::Told,
                None => return Verdict::Same,
                Some(unlike) => return Verdict::Silent(format!("after {start} start {unlike}")),
            },
            Err(said) if said.contains(place) => told = true,
            Err(said) => return Verdict::Silent(format!("after {start} start the host says {said}")),
        }
    }
    Verdict::Silent("the next start has not mended it".into())
}

/// Decisions of the past are made again with the plugins that made them.
fn plugins(template: &Template, copy: &dyn Fn() -> Damaged) -> Verdict {
    let damaged = copy();
    match replay::run(&damaged.data()) {
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

/// Native code is run only under its seal. A host that finds it broken says so, and compiles the plugin again.
fn cache(judge: &mut Judge, file: &Path, template: &Template, copy: &dyn Fn() -> Damaged) -> Verdict {
    judge.asked_of_cache += 1;
    if judge.asked_of_cache % STARTS_OF_CACHE == 1 {
        match host(template, copy, "native code") {
            Verdict::Silent(why) => return Verdict::Silent(why),
            Verdict::Told | Verdict::Same => {}
        }
    }
    let damaged = copy();
    let is_key = file.file_name().is_some_and(|name| name == "key");
    let codes = template.listed("data/cache", &[]).len() - 1;
    let believed = if is_key { 0 } else { codes - 1 };
    match judge.caches.count(&damaged.data()) {
        Ok(count) if count == believed => Verdict::Told,
        Ok(count) => {
            Verdict::Silent(format!("{count} of {codes} files of native code are believed, and not {believed}"))
        }
        Err(why) => Verdict::Silent(why),
    }
}

/// What cannot be read is told by `balm check` with the place; what can be read is in force from now on, which a record says, and
/// changes no answer about the past.
fn config(file: &Path, template: &Template, copy: &dyn Fn() -> Damaged) -> Verdict {
    let files = Files::adopt(copy().dir);
    let output = files.balm(&["check"]);
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    match output.status.code() {
        // Whatever it then says of its configuration, it says.
        Some(0) => host(template, copy, ""),
        Some(1)
            if said.contains(name)
                || said.contains(file.file_stem().and_then(|stem| stem.to_str()).unwrap_or(name)) =>
        {
            Verdict::Told
        }
        Some(1) => Verdict::Silent(format!("the place is not told: {said}")),
        _ => Verdict::Silent(format!("balm check ended with {}: {said}", output.status)),
    }
}
