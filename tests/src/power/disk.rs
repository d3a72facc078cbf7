//! A model of a disk below a file system that promises no more than POSIX: what was synced is there, and of everything
//! else anything may be.
//!
//! Bytes of a file are safe once the file was synced, a name once its directory was. It refuses to know what is written.

use std::{
    collections::BTreeMap,
    fmt,
    fs::{self, File},
    iter,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
};

use super::{
    reader::OWN,
    step::Step,
    tear::{self, Tear},
};

/// Names whose fates are combined in every way: more are never under way at once. The journal's next file and the one that it
/// becomes, a state beside its place and in it, an older state that is deleted, and what was cut.
const NAMES: usize = 8;

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
    /// When each of those was asked for.
    asked: Vec<u64>,
}

/// The disk at some moment.
#[derive(Clone, Debug, Default)]
pub(super) struct Disk {
    inodes: Vec<Inode>,
    /// As the running system sees them.
    names: Names,
    synced: Names,
    pending: Vec<(u64, Naming)>,
    /// Changes so far that were asked for: the time of this disk.
    now: u64,
    /// Since when each thread syncs.
    syncing: BTreeMap<u32, u64>,
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
    /// What was asked for up to then is there.
    fn sync(&mut self, upto: u64) {
        let count = self.asked.partition_point(|asked| *asked <= upto);
        self.asked.drain(..count);
        for change in self.pending.drain(..count) {
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
    /// With what another host left in the data directory that a start reads, all of it synced.
    pub(super) fn holding(data: &Path, below: &Path) -> Self {
        let mut disk = Self::default();
        let name = |path: &Path| path.strip_prefix(below).expect("it lies there").to_owned();
        for dir in iter::once(data.to_owned()).chain(OWN.map(|own| data.join(own))).filter(|dir| dir.is_dir()) {
            disk.names.insert(name(&dir), Entry::Dir);
            let files = fs::read_dir(&dir).expect("a directory can be read").flatten().map(|entry| entry.path());
            for path in files.filter(|path| path.is_file() && dir != data) {
                let bytes = fs::read(&path).expect("a file can be read");
                disk.names.insert(name(&path), Entry::File(disk.inodes.len()));
                let size = bytes.len();
                disk.inodes.push(Inode { synced: Content { bytes, size }, ..Inode::default() });
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
            Step::Syncs(thread) => drop(self.syncing.insert(*thread, self.now)),
            Step::Synced(thread, path) => {
                let upto = self.syncing.remove(thread).expect("a sync begins before it ends");
                self.sync(path, upto);
            }
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
        self.now += 1;
        self.inodes[inode].pending.push(change);
        self.inodes[inode].asked.push(self.now);
    }

    fn name(&mut self, naming: Naming) {
        naming.apply(&mut self.names);
        self.now += 1;
        self.pending.push((self.now, naming));
    }

    fn sync(&mut self, path: &Path, upto: u64) {
        if let Some(Entry::File(inode)) = self.names.get(path) {
            return self.inodes[*inode].sync(upto);
        }
        let pending = std::mem::take(&mut self.pending);
        let is_synced = |(asked, naming): &(u64, Naming)| *asked <= upto && naming.dir() == path;
        let (synced, pending): (Vec<_>, Vec<_>) = pending.into_iter().partition(is_synced);
        self.pending = pending;
        synced.iter().for_each(|(_, naming)| naming.apply(&mut self.synced));
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
        self.pending
            .iter()
            .enumerate()
            .filter(|(nth, _)| holds(*nth))
            .for_each(|(_, (_, naming))| naming.apply(&mut names));
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

    /// All names hold, and what was written last to a file is there by half.
    pub(super) fn half(&self, path: &Path) -> State {
        let Some(Entry::File(file)) = self.names.get(path).copied() else { unreachable!("a file is written to") };
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

    fn sync(disk: &mut Disk, path: PathBuf) {
        disk.take(&Step::Syncs(1));
        disk.take(&Step::Synced(1, path));
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
        sync(&mut disk, path(""));
        disk.take(&Step::Create { path: path("d/a"), truncate: true });
        disk.take(&Step::Write { path: path("d/a"), at: 0, bytes: b"one".to_vec() });
        sync(&mut disk, path("d/a"));
        disk
    }

    #[test]
    fn a_name_is_safe_once_its_directory_is_synced_and_not_before() {
        let mut disk = begun();
        let there = |disk: &Disk| states(disk).iter().map(|state| file(state, "d/a").is_some()).collect::<Vec<_>>();
        assert!(there(&disk).contains(&false) && there(&disk).contains(&true));
        sync(&mut disk, path("d"));
        assert!(there(&disk).iter().all(|there| *there));
        disk.take(&Step::Rename(path("d/a"), path("d/b")));
        let names = |state: &State| (file(state, "d/a").is_some(), file(state, "d/b").is_some());
        let found: std::collections::BTreeSet<_> = states(&disk).iter().map(names).collect();
        assert_eq!(found.into_iter().collect::<Vec<_>>(), [(false, true), (true, false)]);
    }

    #[test]
    fn bytes_are_safe_once_their_file_is_synced_and_until_then_any_of_them_may_be_missing() {
        let mut disk = begun();
        sync(&mut disk, path("d"));
        disk.take(&Step::Allocate { path: path("d/a"), bytes: 4096 });
        sync(&mut disk, path("d/a"));
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
        sync(&mut disk, path("d/a"));
        assert!(states(&disk).iter().all(whole));
    }

    #[test]
    fn a_sync_promises_nothing_of_what_another_thread_asked_for_meanwhile() {
        let mut disk = begun();
        disk.take(&Step::Syncs(1));
        disk.take(&Step::Create { path: path("d/late"), truncate: true });
        disk.take(&Step::Write { path: path("d/a"), at: 3, bytes: b"two".to_vec() });
        disk.take(&Step::Syncs(2));
        disk.take(&Step::Synced(1, path("d")));
        let there = |name: &str| -> Vec<bool> { states(&disk).iter().map(|it| file(it, name).is_some()).collect() };
        assert!(there("d/a").iter().all(|there| *there), "it was made before");
        assert!(there("d/late").contains(&false));
        disk.take(&Step::Synced(2, path("d/a")));
        assert!(states(&disk).iter().all(|state| file(state, "d/a").is_some_and(|(bytes, _)| bytes == b"onetwo")));
    }

    #[test]
    fn what_lies_in_a_directory_that_is_lost_is_lost() {
        let mut disk = Disk::default();
        disk.take(&Step::MakeDir(path("d")));
        disk.take(&Step::Create { path: path("d/a"), truncate: true });
        sync(&mut disk, path("d"));
        assert!(states(&disk).iter().any(|state| state.0.is_empty()));
        assert!(states(&disk).iter().any(|state| file(state, "d/a").is_some()));
    }
}
