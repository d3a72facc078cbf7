//! Directories: what lies in them, told without reading it, and when it is at rest.
//!
//! They are looked at again and again instead of being watched by inotify: that sees nothing of what another machine does
//! to a network file system, drops events when its queue is full, and must be told of every directory behind every
//! symbolic link anew, so that a look now and then would be needed all the same. A look at a hundred files takes a
//! fraction of a millisecond. It refuses to know what the files mean.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, Metadata},
    io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use balm_core::{caps, name::PluginName};

/// The time between two looks. What two looks find the same is at rest: so long, at least, nothing was written.
pub(crate) const LOOK_EVERY: Duration = Duration::from_millis(500);

/// How long a file that ends in the middle is waited for after its last change, before it is refused.
pub(crate) const WHOLE_WITHIN: Duration = Duration::from_secs(10);

/// Names that are looked at in the plugin directory: twice as many as plugins can be in force, for policies without one.
const NAMES: usize = 2 * caps::PLUGINS;

/// What can be told of a file without reading it. A file that was changed or replaced has another one: the time of the last
/// change of its inode cannot be set, and a replaced file has another inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    device: u64,
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

/// The files of one name: `web.wasm` and `web.toml`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Files {
    /// The plugin.
    pub(crate) wasm: Option<Stamp>,
    /// The policy beside it.
    pub(crate) toml: Option<Stamp>,
}

/// What a look found in the plugin directory.
pub(crate) type Look = BTreeMap<PluginName, Files>;

/// What a look found in the directory of the guardrails, by file name.
pub(crate) type Guardrails = BTreeMap<String, Stamp>;

/// Look at the plugin directory. What cannot be a plugin's name is left out, and handed to `strange` with the reason.
pub(crate) fn look(dir: &Path, mut strange: impl FnMut(&Path, &str)) -> io::Result<Look> {
    let mut look = Look::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let Some(extension @ ("wasm" | "toml")) = path.extension().and_then(|extension| extension.to_str()) else {
            continue;
        };
        let name = match path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default().parse::<PluginName>() {
            Ok(name) => name,
            Err(error) => {
                strange(&path, &error.to_string());
                continue;
            }
        };
        if look.len() >= NAMES && !look.contains_key(&name) {
            strange(&path, &format!("only {NAMES} names of a directory are looked at"));
            continue;
        }
        let files = look.entry(name).or_default();
        *(if extension == "wasm" { &mut files.wasm } else { &mut files.toml }) = Stamp::of(&path);
    }
    look.retain(|_, files| *files != Files::default());
    Ok(look)
}

/// The files of a plugin's name now.
pub(crate) fn files(dir: &Path, name: &PluginName) -> Files {
    Files { wasm: Stamp::of(&wasm(dir, name)), toml: Stamp::of(&toml(dir, name)) }
}

/// Where a plugin's component is.
pub(crate) fn wasm(dir: &Path, name: &PluginName) -> PathBuf {
    dir.join(format!("{name}.wasm"))
}

/// Where the policy beside it is.
pub(crate) fn toml(dir: &Path, name: &PluginName) -> PathBuf {
    dir.join(format!("{name}.toml"))
}

/// Look at the directory of the guardrails.
pub(crate) fn guardrails(dir: &Path) -> io::Result<Guardrails> {
    let mut look = Guardrails::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        if (name.ends_with(".cedar") || name.ends_with(".toml"))
            && let Some(stamp) = Stamp::of(&entry.path())
        {
            look.insert(name, stamp);
        }
    }
    Ok(look)
}

impl Stamp {
    /// Of what a path leads to, or of a link that leads nowhere: that is a file that cannot be read, and not none.
    fn of(path: &Path) -> Option<Self> {
        let metadata = fs::metadata(path).or_else(|_| fs::symlink_metadata(path)).ok()?;
        Some(Self::from(&metadata))
    }
}

impl From<&Metadata> for Stamp {
    fn from(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            bytes: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

/// Looks at the directories, one after the other.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    last: Option<BTreeMap<PluginName, Seen>>,
    /// The names of the look before that.
    before: Option<BTreeSet<PluginName>>,
    last_guardrails: Option<Guardrails>,
    strange: BTreeSet<PathBuf>,
}

#[derive(Clone, Copy, Debug)]
struct Seen {
    files: Files,
    since: Instant,
}

/// Files that two looks found the same.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AtRest {
    /// Which.
    pub(crate) files: Files,
    /// For how long.
    pub(crate) rested: Duration,
}

impl AtRest {
    /// Neither file is there.
    pub(crate) fn gone() -> Self {
        Self { files: Files::default(), rested: Duration::ZERO }
    }
}

impl Watch {
    /// Look again: what is at rest.
    pub(crate) fn look(&mut self, dir: &Path, now: Instant) -> io::Result<BTreeMap<PluginName, AtRest>> {
        let strange = &mut self.strange;
        let look = look(dir, |path, why| {
            // Once each, and not for ever more of them.
            if strange.len() < NAMES && strange.insert(path.to_owned()) {
                tracing::warn!(file = %path.display(), why, "a file is left alone");
            }
        })?;
        let before = self.last.take();
        let mut at_rest = BTreeMap::new();
        let seen = |(name, files): (PluginName, Files)| {
            let same = before.as_ref().and_then(|before| before.get(&name)).filter(|seen| seen.files == files);
            if let Some(seen) = same {
                at_rest.insert(name.clone(), AtRest { files, rested: now - seen.since });
            }
            (name, same.copied().unwrap_or(Seen { files, since: now }))
        };
        self.last = Some(look.into_iter().map(seen).collect());
        self.before = before.map(|before| before.into_keys().collect());
        Ok(at_rest)
    }

    /// Whether the last look found any plugin.
    pub(crate) fn found_any(&self) -> bool {
        self.last.iter().flat_map(BTreeMap::values).any(|seen| seen.files.wasm.is_some())
    }

    /// Whether the last two looks missed both files of a name.
    pub(crate) fn is_gone(&self, name: &PluginName) -> bool {
        let last = self.last.as_ref().is_some_and(|last| !last.contains_key(name));
        last && self.before.as_ref().is_some_and(|before| !before.contains(name))
    }

    /// Look at the guardrails again: what is there, if it is at rest.
    pub(crate) fn guardrails(&mut self, dir: &Path) -> io::Result<Option<Guardrails>> {
        let look = guardrails(dir)?;
        let at_rest = self.last_guardrails.as_ref() == Some(&look);
        self.last_guardrails = Some(look.clone());
        Ok(at_rest.then_some(look))
    }
}

/// Whether a file ends before what it announces: it is being written, or was not copied whole.
pub(crate) fn ends_early(bytes: &[u8]) -> bool {
    /// Magic, version and layer (WebAssembly, Binary Format, Modules; Component Model, Binary.md).
    const PREAMBLE: usize = 8;
    if bytes.len() < PREAMBLE {
        return bytes.is_empty() || b"\0asm".starts_with(&bytes[..bytes.len().min(4)]);
    }
    if !bytes.starts_with(b"\0asm") {
        return false;
    }
    let mut rest = &bytes[PREAMBLE..];
    // Sections: an id of one byte, the size, and so many bytes.
    while let [_, sized @ ..] = rest {
        let Some((size, after)) = leb128(sized) else { return true };
        match after.get(size..) {
            Some(next) => rest = next,
            None => return true,
        }
    }
    false
}

/// An unsigned number of up to 32 bits; none if it ends early. What is too long counts as read, so that it is refused.
fn leb128(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut value = 0_u64;
    for (i, byte) in bytes.iter().enumerate().take(5) {
        value |= u64::from(byte & 0x7f) << (7 * i);
        if byte & 0x80 == 0 {
            return Some((usize::try_from(value).ok()?, &bytes[i + 1..]));
        }
    }
    if bytes.len() < 5 { None } else { Some((0, &[])) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_dir::TestDir;

    fn name() -> PluginName {
        "web".parse().unwrap()
    }

    fn at_rest(watch: &mut Watch, dir: &TestDir) -> Option<Files> {
        let at_rest = watch.look(dir.path(), Instant::now()).unwrap();
        at_rest.get(&name()).map(|at_rest| at_rest.files)
    }

    #[test]
    fn a_file_is_at_rest_when_two_looks_find_it_the_same() {
        let dir = TestDir::new("at-rest");
        let (mut watch, file) = (Watch::default(), dir.path().join("web.wasm"));
        fs::write(&file, "half").unwrap();
        assert_eq!(at_rest(&mut watch, &dir), None);
        fs::write(&file, "half and half").unwrap();
        assert_eq!(at_rest(&mut watch, &dir), None, "it grew");
        let found = at_rest(&mut watch, &dir).unwrap();
        assert_eq!(found, files(dir.path(), &name()));
        assert!(found.wasm.is_some() && found.toml.is_none());
        fs::write(dir.path().join("web.toml"), "").unwrap();
        assert_eq!(at_rest(&mut watch, &dir), None, "the policy beside it is new, and both count as one");
    }

    #[test]
    fn a_file_that_is_replaced_by_one_of_the_same_size_and_time_is_another() {
        let dir = TestDir::new("replaced");
        let (file, other) = (dir.path().join("web.wasm"), dir.path().join("other"));
        fs::write(&file, "one").unwrap();
        fs::write(&other, "two").unwrap();
        let before = files(dir.path(), &name());
        let time = fs::metadata(&file).unwrap().modified().unwrap();
        fs::File::options().write(true).open(&other).unwrap().set_modified(time).unwrap();
        fs::rename(other, file).unwrap();
        assert_ne!(files(dir.path(), &name()), before);
    }

    #[test]
    fn a_link_that_is_turned_elsewhere_is_another_file_and_one_that_leads_nowhere_is_not_gone() {
        use std::os::unix::fs::symlink;
        let dir = TestDir::new("links");
        for version in ["v1", "v2"] {
            fs::create_dir(dir.path().join(version)).unwrap();
            fs::write(dir.path().join(version).join("web.wasm"), "same").unwrap();
        }
        let turn = |to: &str| {
            symlink(to, dir.path().join("..new")).unwrap();
            fs::rename(dir.path().join("..new"), dir.path().join("..data")).unwrap();
        };
        turn("v1");
        symlink("..data/web.wasm", dir.path().join("web.wasm")).unwrap();
        let before = files(dir.path(), &name());
        turn("v2");
        assert_ne!(files(dir.path(), &name()), before);
        turn("v3");
        assert!(files(dir.path(), &name()).wasm.is_some());
    }

    #[test]
    fn a_name_is_gone_when_two_looks_miss_it() {
        let dir = TestDir::new("gone");
        let mut watch = Watch::default();
        let mut gone = || {
            at_rest(&mut watch, &dir);
            (watch.is_gone(&name()), watch.found_any())
        };
        fs::write(dir.path().join("web.wasm"), "one").unwrap();
        assert_eq!((gone(), gone()), ((false, true), (false, true)));
        fs::remove_file(dir.path().join("web.wasm")).unwrap();
        assert_eq!((gone(), gone(), gone()), ((false, false), (true, false), (true, false)));
        fs::write(dir.path().join("web.wasm"), "one").unwrap();
        assert_eq!(gone(), (false, true));
    }

    #[test]
    fn a_component_that_is_cut_anywhere_but_between_its_sections_ends_early() {
        // Two custom sections, of 3 and of 200 bytes.
        let sections = [vec![0, 3, 1, b'a', 7], [vec![0, 0xc8, 1], vec![0; 200]].concat()].concat();
        let whole = [b"\0asm\x0d\0\x01\0".to_vec(), sections].concat();
        let between = [8, 13, whole.len()];
        for cut in 0..=whole.len() {
            assert_eq!(ends_early(&whole[..cut]), !between.contains(&cut), "{cut} of {}", whole.len());
        }
        assert!(!ends_early(b"no WebAssembly at all"));
        assert!(!ends_early(b"#!/bin/sh\n"));
    }
}
