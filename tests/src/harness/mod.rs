//! The real programs, in directories of their own, spoken to as strangers do.

pub mod cloud;
pub mod grafana;
pub mod host;
pub mod http;
pub mod journal;
pub mod memory;
pub mod moto;
pub mod programs;
pub mod receiver;
pub mod socket;
pub mod stamped;
pub mod strace;
pub mod wait;

use std::path::{Path, PathBuf};

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
        let path = std::env::temp_dir().join(format!("balm-tests-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).expect("a temporary directory can be made");
        Self { path, kept: false }
    }

    /// A directory that stays.
    #[must_use]
    pub fn kept(path: PathBuf) -> Self {
        std::fs::create_dir_all(&path).expect("the directory can be made");
        Self { path, kept: true }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        if !self.kept && !std::thread::panicking() {
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}
