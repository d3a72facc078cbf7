//! The journal's files: their names, and how one is made ready before it is needed.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read as _},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
};

use balm_core::name::Seq;
use rustix::fs::FallocateFlags;

use super::{Layout, NoRoom};

const ENDING: &str = ".journal";
const SPARE: &str = "next.spare";

/// Bytes of a file that are read at once when all of it is.
const CHUNK_BYTES: usize = 1 << 20;

/// A file that is allocated and not yet part of the journal.
#[derive(Debug)]
pub(super) struct Spare {
    file: File,
    path: PathBuf,
    bytes: u64,
}

impl Spare {
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Make it the file that begins with this record; durable when this returns.
    pub(super) fn put_in_place(self, dir: &Path, first: Seq) -> io::Result<(PathBuf, File)> {
        let path = dir.join(name(first));
        fs::rename(&self.path, &path)?;
        sync_dir(dir)?;
        Ok((path, self.file))
    }
}

/// Allocate a file ahead of its use. Running out of disk is found out here and nowhere else.
pub(super) fn prepare_spare(dir: &Path, layout: Layout, bytes: u64) -> Result<Spare, NoRoom> {
    let path = dir.join(SPARE);
    let free = free_bytes(dir).map_err(|error| NoRoom::now(format!("cannot ask for free space: {error}")))?;
    if free < layout.reserve_bytes.saturating_add(bytes) {
        let (free, segment, reserve) = (free >> 20, bytes >> 20, layout.reserve_bytes >> 20);
        return Err(NoRoom::now(format!(
            "{free} MiB are free on the journal's disk, a segment takes {segment} MiB, and {reserve} MiB are kept in \
            reserve: make room"
        )));
    }
    allocate(&path, bytes).map(|file| Spare { file, path: path.clone(), bytes }).map_err(|error| {
        let _ = fs::remove_file(&path);
        NoRoom::now(format!("the journal's next segment cannot be allocated: {error}"))
    })
}

fn allocate(path: &Path, bytes: u64) -> io::Result<File> {
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path)?;
    match rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, bytes) {
        Ok(()) => {}
        // NFS before 4.2 cannot be asked to, and Amazon EFS is one: written once, the room is there as well.
        Err(rustix::io::Errno::OPNOTSUPP) => fill(&file, bytes)?,
        Err(error) => return Err(error.into()),
    }
    file.sync_all()?;
    Ok(file)
}

/// Write NUL over the whole length, which is what allocated room reads as.
fn fill(mut file: &File, bytes: u64) -> io::Result<()> {
    io::copy(&mut io::repeat(0).take(bytes), &mut file)?;
    Ok(())
}

/// Bytes that are free on the disk of a directory.
pub(crate) fn free_bytes(dir: &Path) -> io::Result<u64> {
    let stat = rustix::fs::statvfs(dir)?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// The name of the file that begins with a record: sorted by name, files are in order.
pub(crate) fn name(first: Seq) -> String {
    format!("{:020}{ENDING}", first.0)
}

/// All files with the record that each begins with, in order.
pub(super) fn list(dir: &Path) -> io::Result<Vec<(Seq, PathBuf)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let first = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_suffix(ENDING));
        if let Some(first) = first.filter(|first| first.len() == 20).and_then(|first| first.parse().ok()) {
            found.push((Seq(first), path));
        }
    }
    found.sort();
    Ok(found)
}

/// Make what happened to a directory's entries durable.
pub(crate) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// All bytes of a file but the NULs behind the last that is none, and the size of the whole: a new host's segment is nearly
/// empty, and need not take its size in memory.
pub(super) fn read_written(file: &File) -> io::Result<(Vec<u8>, u64)> {
    let (mut written, mut size) = (Vec::new(), 0);
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let read = match file.read_at(&mut chunk, size as u64) {
            Ok(0) => return Ok((written, size as u64)),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if let Some(last) = chunk[..read].iter().rposition(|c| *c != 0) {
            written.resize(size, 0);
            written.extend_from_slice(&chunk[..=last]);
        }
        size += read;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_dir::TestDir;

    #[test]
    fn a_disk_that_cannot_allocate_is_filled_instead() {
        let dir = TestDir::new("fill");
        let path = dir.path().join(SPARE);
        let file = File::create(&path).unwrap();
        let bytes = (1 << 20) + 7;
        fill(&file, bytes).unwrap();
        let found = fs::read(&path).unwrap();
        assert_eq!((found.len() as u64, found.iter().all(|byte| *byte == 0)), (bytes, true));
    }

    #[test]
    fn what_was_written_is_read_and_not_the_nuls_behind_it() {
        let dir = TestDir::new("written");
        let path = dir.path().join(SPARE);
        let read = |bytes: &[u8]| {
            fs::write(&path, bytes).unwrap();
            read_written(&File::open(&path).unwrap()).unwrap()
        };
        assert_eq!(read(b""), (vec![], 0));
        assert_eq!(read(b"ab\0c\0\0"), (b"ab\0c".to_vec(), 6));
        let size = 3 * CHUNK_BYTES + 5;
        for last in [0, CHUNK_BYTES - 1, CHUNK_BYTES, 2 * CHUNK_BYTES + 7, size - 1] {
            let mut bytes = vec![0; size];
            (bytes[0], bytes[last]) = (b'a', b'z');
            assert!(read(&bytes) == (bytes[..=last].to_vec(), size as u64), "up to {last}");
        }
        assert_eq!(read(&vec![0; size]), (vec![], size as u64));
    }
}
