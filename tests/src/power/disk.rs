//! A model of a disk below a file system that promises no more than POSIX: what was synced is there, and of everything
//! else anything may be.
//!
//! Bytes of a file are safe once the file was synced, a name once its directory was. It refuses to know what is written.

use std::{
    collections::BTreeMap,
    fmt,
    fs::{self, File},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
};

use super::{
    life::Step,
    tear::{self, Tear},
};

/// Names whose fates are combined in every way: more are never under way at once.
const NAMES: usize = 4;

/// What a name leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Entry {
    Dir,
    File(usize),
}

/// Paths below the directory that the data directory lies in.
type Names = BTreeMap<PathBuf, Entry>;

/// A change of names that is not synced.
#[derive(Clone, Debug)]
enum Naming {
    Made(PathBuf, Entry),
    Renamed(PathBuf, PathBuf, usize),
    Removed(PathBuf),
}

/// A change of a file's bytes that is not synced.
#[derive(Clone, Debug)]
pub(super) enum Change {
    /// Its size is another.
    Size(usize),
    /// These bytes stand there.
    Bytes(usize, Vec<u8>),
}

/// A file's bytes. What lies behind the last written byte is NUL up to the size.
#[derive(Clone, Debug, Default, Hash, PartialEq, Eq)]
pub(super) struct Content {
    bytes: Vec<u8>,
    size: usize,
}

#[derive(Clone, Debug, Default)]
struct Inode {
    synced: Content,
    pending: Vec<Change>,
}

/// The disk at some moment.
#[derive(Clone, Debug, Default)]
pub(super) struct Disk {
    inodes: Vec<Inode>,
    /// As the running system sees them.
    names: Names,
    synced: Names,
    pending: Vec<Naming>,
}

/// One way in which the disk may be found: which of the pending names hold, and what became of one file's bytes while those
/// of all others are all there or all missing.
#[derive(Clone, Debug)]
pub(super) struct Found {
    names: u32,
    others: bool,
    file: Option<(usize, Tear)>,
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "names {:b}, other files {}", self.names, if self.others { "whole" } else { "as last synced" })?;
        self.file.as_ref().map_or(Ok(()), |(inode, tear)| write!(f, ", file {inode} {tear}"))
    }
}

/// A state as it is found: files by their paths, and directories without content.
#[derive(Clone, Debug, Hash, PartialEq, Eq)]
pub(super) struct State(BTreeMap<PathBuf, Option<Content>>);

impl Content {
    fn change(&mut self, change: &Change) {
        match change {
            Change::Size(size) => {
                self.size = *size;
                self.bytes.truncate(*size);
            }
            Change::Bytes(at, bytes) => {
                let end = at + bytes.len();
                if self.bytes.len() < end {
                    self.bytes.resize(end, 0);
                }
                self.bytes[*at..end].copy_from_slice(bytes);
                self.size = self.size.max(end);
            }
        }
    }
}

impl Inode {
    fn sync(&mut self) {
        for change in std::mem::take(&mut self.pending) {
            self.synced.change(&change);
        }
    }

    fn found(&self, tear: &Tear) -> Content {
        let mut content = self.synced.clone();
        tear.of(&self.pending).iter().for_each(|change| content.change(change));
        content
    }
}

impl Disk {
    /// With what another host left in the data directory, all of it synced.
    pub(super) fn holding(data: &Path, below: &Path) -> Self {
        let mut disk = Self::default();
        let mut dirs = vec![data.to_owned()];
        while let Some(dir) = dirs.pop() {
            let name = |path: &Path| path.strip_prefix(below).expect("it lies there").to_owned();
            disk.names.insert(name(&dir), Entry::Dir);
            for path in fs::read_dir(&dir).expect("a directory can be read").flatten().map(|entry| entry.path()) {
                if path.is_dir() {
                    dirs.push(path);
                    continue;
                }
                let bytes = fs::read(&path).expect("a file can be read");
                disk.names.insert(name(&path), Entry::File(disk.inodes.len()));
                let size = bytes.len();
                disk.inodes.push(Inode { synced: Content { bytes, size }, pending: Vec::new() });
            }
        }
        disk.synced.clone_from(&disk.names);
        disk
    }

    /// Something was asked of the kernel, or a sync returned.
    pub(super) fn take(&mut self, step: &Step) {
        match step {
            Step::MakeDir(path) => self.name(Naming::Made(path.clone(), Entry::Dir)),
            Step::Create { path, truncate } => self.create(path, *truncate),
            Step::Rename(from, to) => {
                if let Entry::File(inode) = self.names[from] {
                    self.name(Naming::Renamed(from.clone(), to.clone(), inode));
                }
            }
            Step::Remove(path) => self.name(Naming::Removed(path.clone())),
            Step::Allocate { path, bytes } => {
                let size = self.size(path).max(*bytes);
                self.change(path, Change::Size(size));
            }
            Step::Write { path, at, bytes } => self.change(path, Change::Bytes(*at, bytes.clone())),
            Step::Synced(path) => self.sync(path),
            Step::Acknowledged(_) => {}
        }
    }

    fn create(&mut self, path: &Path, truncate: bool) {
        match self.names.get(path) {
            None => {
                self.inodes.push(Inode::default());
                self.name(Naming::Made(path.to_owned(), Entry::File(self.inodes.len() - 1)));
            }
            Some(Entry::File(_)) if truncate => self.change(path, Change::Size(0)),
            Some(_) => {}
        }
    }

    fn size(&self, path: &Path) -> usize {
        let Entry::File(inode) = self.names[path] else { return 0 };
        let inode = &self.inodes[inode];
        let mut content = inode.synced.clone();
        inode.pending.iter().for_each(|change| content.change(change));
        content.size
    }

    fn change(&mut self, path: &Path, change: Change) {
        let Entry::File(inode) = self.names[path] else { return };
        self.inodes[inode].pending.push(change);
    }

    fn name(&mut self, naming: Naming) {
        naming.apply(&mut self.names);
        self.pending.push(naming);
    }

    fn sync(&mut self, path: &Path) {
        if let Some(Entry::File(inode)) = self.names.get(path) {
            return self.inodes[*inode].sync();
        }
        let pending = std::mem::take(&mut self.pending);
        let (synced, pending): (Vec<_>, Vec<_>) = pending.into_iter().partition(|naming| naming.dir() == path);
        self.pending = pending;
        synced.iter().for_each(|naming| naming.apply(&mut self.synced));
    }

    /// Every way in which the disk may be found if the power is cut now. `seed` is where the random tears come from.
    pub(super) fn may_be_found(&self, seed: u64) -> Vec<Found> {
        assert!(self.pending.len() <= NAMES, "more names are under way than are combined: {:?}", self.pending);
        let mut found = Vec::new();
        for names in 0..1 << self.pending.len() {
            found.extend([false, true].map(|others| Found { names, others, file: None }));
            for (at, inode) in self.inodes.iter().enumerate() {
                let tears = tear::all(&inode.pending, seed);
                found.extend(tears.into_iter().map(|tear| Found { names, others: true, file: Some((at, tear)) }));
            }
        }
        found
    }

    /// The disk as it is found so.
    pub(super) fn state(&self, found: &Found) -> State {
        let mut names = self.synced.clone();
        let holds = |nth: usize| found.names >> nth & 1 == 1;
        self.pending.iter().enumerate().filter(|(nth, _)| holds(*nth)).for_each(|(_, naming)| naming.apply(&mut names));
        let content = |inode: usize| match &found.file {
            Some((torn, tear)) if *torn == inode => self.inodes[inode].found(tear),
            Some(_) | None => self.inodes[inode].found(if found.others { &Tear::Whole } else { &Tear::Missing }),
        };
        let is_there =
            |path: &Path| path.ancestors().skip(1).all(|dir| dir.as_os_str().is_empty() || names.contains_key(dir));
        let there = names.iter().filter(|(path, _)| is_there(path));
        let there = there.map(|(path, entry)| match entry {
            Entry::Dir => (path.clone(), None),
            Entry::File(inode) => (path.clone(), Some(content(*inode))),
        });
        State(there.collect())
    }

    /// All names hold, and the last write is there by half.
    pub(super) fn half(&self) -> State {
        let file = self.inodes.iter().position(|inode| !inode.pending.is_empty()).expect("a write is under way");
        let length = self.inodes[file].pending.iter().map(Change::bytes).sum::<usize>();
        let names = (1 << self.pending.len()) - 1;
        self.state(&Found { names, others: true, file: Some((file, Tear::Upto(length / 2))) })
    }
}

impl Change {
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Size(_) => 0,
            Self::Bytes(_, bytes) => bytes.len(),
        }
    }
}

impl Naming {
    fn dir(&self) -> &Path {
        let (Self::Made(path, _) | Self::Renamed(_, path, _) | Self::Removed(path)) = self;
        path.parent().expect("a path below another")
    }

    fn apply(&self, names: &mut Names) {
        match self {
            Self::Made(path, entry) => drop(names.insert(path.clone(), *entry)),
            Self::Renamed(from, to, inode) => {
                names.remove(from);
                names.insert(to.clone(), Entry::File(*inode));
            }
            Self::Removed(path) => drop(names.remove(path)),
        }
    }
}

impl State {
    /// Make it the data directory.
    pub(super) fn write(&self, data: &Path) {
        for (path, content) in &self.0 {
            // All paths begin with the data directory's own name.
            let path = data.join(path.components().skip(1).collect::<PathBuf>());
            match content {
                None => fs::create_dir_all(&path).expect("a directory can be made"),
                Some(content) => {
                    let file = File::create(&path).expect("a file can be made");
                    file.set_len(content.size as u64).expect("it can be given a size");
                    file.write_all_at(&content.bytes, 0).expect("it can be written");
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> PathBuf {
        text.into()
    }

    fn states(disk: &Disk) -> Vec<State> {
        disk.may_be_found(1).iter().map(|found| disk.state(found)).collect()
    }

    fn file(state: &State, name: &str) -> Option<(Vec<u8>, usize)> {
        state.0.get(&path(name)).and_then(Clone::clone).map(|content| (content.bytes, content.size))
    }

    /// A directory `d` that is synced, with a file `d/a` whose bytes are and whose name is not.
    fn begun() -> Disk {
        let mut disk = Disk::default();
        disk.take(&Step::MakeDir(path("d")));
        disk.take(&Step::Synced(path("")));
        disk.take(&Step::Create { path: path("d/a"), truncate: true });
        disk.take(&Step::Write { path: path("d/a"), at: 0, bytes: b"one".to_vec() });
        disk.take(&Step::Synced(path("d/a")));
        disk
    }

    #[test]
    fn a_name_is_safe_once_its_directory_is_synced_and_not_before() {
        let mut disk = begun();
        let there = |disk: &Disk| states(disk).iter().map(|state| file(state, "d/a").is_some()).collect::<Vec<_>>();
        assert!(there(&disk).contains(&false) && there(&disk).contains(&true));
        disk.take(&Step::Synced(path("d")));
        assert!(there(&disk).iter().all(|there| *there));
        disk.take(&Step::Rename(path("d/a"), path("d/b")));
        let names = |state: &State| (file(state, "d/a").is_some(), file(state, "d/b").is_some());
        let found: std::collections::BTreeSet<_> = states(&disk).iter().map(names).collect();
        assert_eq!(found.into_iter().collect::<Vec<_>>(), [(false, true), (true, false)]);
    }

    #[test]
    fn bytes_are_safe_once_their_file_is_synced_and_until_then_any_of_them_may_be_missing() {
        let mut disk = begun();
        disk.take(&Step::Synced(path("d")));
        disk.take(&Step::Allocate { path: path("d/a"), bytes: 4096 });
        disk.take(&Step::Synced(path("d/a")));
        let bytes: Vec<u8> = (0..1500_u32).map(|n| u8::try_from(n % 251 + 1).expect("a byte")).collect();
        disk.take(&Step::Write { path: path("d/a"), at: 3, bytes: bytes.clone() });
        let found = states(&disk);
        let first = |state: &State| file(state, "d/a").expect("it is there");
        assert!(found.iter().all(|state| first(state).0.starts_with(b"one") && first(state).1 == 4096));
        let whole = |state: &State| first(state).0.get(3..) == Some(&bytes[..]);
        let missing = |state: &State| first(state).0.len() == 3;
        // A sector in the middle that is missing while one behind it is there.
        let hole = |state: &State| {
            first(state).0.get(512..1024).is_some_and(|hole| hole.iter().all(|c| *c == 0))
                && first(state).0.len() > 1024
        };
        assert!(found.iter().any(whole) && found.iter().any(missing) && found.iter().any(hole));
        disk.take(&Step::Synced(path("d/a")));
        assert!(states(&disk).iter().all(whole));
    }

    #[test]
    fn what_lies_in_a_directory_that_is_lost_is_lost() {
        let mut disk = Disk::default();
        disk.take(&Step::MakeDir(path("d")));
        disk.take(&Step::Create { path: path("d/a"), truncate: true });
        disk.take(&Step::Synced(path("d")));
        assert!(states(&disk).iter().any(|state| state.0.is_empty()));
        assert!(states(&disk).iter().any(|state| file(state, "d/a").is_some()));
    }
}
