//! The real programs, in directories of their own, spoken to as strangers do.

pub mod cloud;
pub mod grafana;
pub mod host;
pub mod http;
pub mod journal;
pub mod known;
pub mod memory;
pub mod moto;
pub mod opening;
pub mod programs;
pub mod receiver;
pub mod socket;
pub mod stamped;
pub mod strace;
pub mod wait;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

/// A directory of its own, removed at its end unless it is to be kept.
#[derive(Debug)]
pub struct Dir {
    path: PathBuf,
    kept: bool,
}

impl Dir {
    /// A new directory in the system's place for temporary files.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self::below(&std::env::temp_dir(), name)
    }

    /// A new directory somewhere else.
    #[must_use]
    pub fn below(place: &Path, name: &str) -> Self {
        let path = place.join(format!("balm-tests-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).expect("a temporary directory can be made");
        Self { path, kept: false }
    }

    /// A new directory in memory, if the machine has a file system there: for thousands of files that are written and synced.
    #[must_use]
    pub fn in_memory(name: &str) -> Self {
        let memory = Path::new("/dev/shm");
        let probe = memory.join(format!("balm-tests-{name}-probe-{}", std::process::id()));
        if fs::write(&probe, [0; 64]).and_then(|()| fs::remove_file(&probe)).is_ok() {
            Self::below(memory, name)
        } else {
            Self::new(name)
        }
    }

    /// A directory that stays.
    #[must_use]
    pub fn kept(path: PathBuf) -> Self {
        fs::create_dir_all(&path).expect("the directory can be made");
        Self { path, kept: true }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Copy a directory of files; a socket is none.
pub fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a directory can be made");
    for entry in fs::read_dir(from).expect("the directory can be read").flatten() {
        let (kind, to) = (entry.file_type().expect("it has a type"), to.join(entry.file_name()));
        if kind.is_dir() {
            copy(&entry.path(), &to);
        } else if kind.is_file() {
            fs::copy(entry.path(), to).expect("a file can be copied");
        }
    }
}

/// Do something with each, so many at once.
pub fn side_by_side<T: Sync, R: Send>(at_once: usize, all: &[T], act: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let (next, done) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|threads| {
        for _ in 0..at_once {
            threads.spawn(|| {
                while let Some(one) = all.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let result = act(one);
                    done.lock().unwrap_or_else(PoisonError::into_inner).push(result);
                }
            });
        }
    });
    done.into_inner().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for Dir {
    fn drop(&mut self) {
        if !self.kept && !std::thread::panicking() {
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}
