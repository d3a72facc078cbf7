//! The shelf: versions of plugins by digest, from where their bytes are kept.
//!
//! Bytes are believed by their digest alone, so it does not matter where they come from. Whoever replays a stranger's
//! history compiles strangers' code: in a child process, as the host does. A few versions are in memory at once, since a
//! long history may name thousands and goes through them in order.

use std::{
    collections::{BTreeMap, VecDeque},
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use balm_core::{digest::Digest, name::PluginName};
use balm_sandbox::{Plugin, Sandbox};
use tokio::runtime::Runtime;

use super::ReplayError;
use crate::{
    compile::Compiler,
    plugins::{self, read_once},
};

/// Versions in memory at once. Each costs some megabytes, a language runtime tens of them.
const AT_ONCE: usize = 32;

/// Versions of plugins.
pub(crate) struct Shelf {
    compiler: Compiler,
    runtime: Runtime,
    /// Where bytes are kept by digest.
    kept: Option<PathBuf>,
    /// Files by the digest of what they hold.
    given: BTreeMap<Digest, PathBuf>,
    /// The ones used last stand last.
    loaded: VecDeque<(Digest, Result<Arc<Plugin>, String>)>,
}

impl Shelf {
    /// Versions that a data directory keeps, and those in the files `*.wasm` of a directory, whatever they are called.
    pub(crate) fn new(sandbox: Arc<Sandbox>, data: Option<&Path>, dir: Option<&Path>) -> Result<Self, ReplayError> {
        Ok(Self {
            compiler: Compiler::forgetting(sandbox),
            runtime: tokio::runtime::Builder::new_current_thread().enable_all().build()?,
            kept: data.map(plugins::kept),
            given: dir.map(index).transpose()?.unwrap_or_default(),
            loaded: VecDeque::new(),
        })
    }

    /// A version under the name that it was in force with, or why there is none.
    pub(crate) fn get(&mut self, digest: Digest, name: &PluginName) -> Result<Arc<Plugin>, String> {
        if let Some(at) = self.loaded.iter().position(|(loaded, _)| *loaded == digest) {
            let found = self.loaded.remove(at).expect("it was found there");
            self.loaded.push_back(found);
        } else {
            let loaded = self.load(digest, name);
            if self.loaded.len() == AT_ONCE {
                self.loaded.pop_front();
            }
            self.loaded.push_back((digest, loaded));
        }
        self.loaded.back().map(|(_, loaded)| loaded.clone()).expect("it was put there")
    }

    fn load(&self, digest: Digest, name: &PluginName) -> Result<Arc<Plugin>, String> {
        let bytes = self.bytes(digest).ok_or_else(|| {
            format!("version {} of plugin {name} is not at hand: give its file with --plugins", digest.short())
        })?;
        self.compile(name, &bytes)
    }

    /// A component as a version.
    pub(crate) fn compile(&self, name: &PluginName, bytes: &[u8]) -> Result<Arc<Plugin>, String> {
        let loaded = self.runtime.block_on(self.compiler.load(name, bytes)).map(Arc::new);
        loaded.map_err(|why| format!("version {} of plugin {name}: {why}", Digest::of(&[bytes]).short()))
    }

    /// Wait for something that a version does.
    pub(super) fn wait<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    /// The bytes of a version, if a file has them to the letter.
    fn bytes(&self, digest: Digest) -> Option<Vec<u8>> {
        let kept = self.kept.as_ref().map(|kept| kept.join(plugins::file_name(digest)));
        let files = [self.given.get(&digest).cloned(), kept];
        let read = |path: PathBuf| read_once(&path).ok().filter(|bytes| Digest::of(&[bytes]) == digest);
        files.into_iter().flatten().find_map(read)
    }
}

fn index(dir: &Path) -> io::Result<BTreeMap<Digest, PathBuf>> {
    let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", dir.display()));
    let paths = fs::read_dir(dir).map_err(named)?.flatten().map(|entry| entry.path());
    let components = paths.filter(|path| path.extension().is_some_and(|extension| extension == "wasm"));
    Ok(components.filter_map(|path| Some((Digest::of(&[&read_once(&path).ok()?]), path))).collect())
}
