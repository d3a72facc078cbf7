//! Plugins: the versions in memory, their bytes by digest, and the directory from which new ones come.
//!
//! What is in force is said by records; the directory is only where files arrive. A file is read once, and what was read is
//! what is kept, compiled and asked. A bad file is refused with its reason, and the version in force stays. It refuses to
//! know how a plugin runs.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Read as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
};

use balm_core::{
    configuration::Policy,
    digest::Digest,
    name::{PluginName, PolicyName},
    record::{PluginActivated, PluginRefused},
};
use balm_sandbox::Plugin;

use crate::compile::Compiler;

/// Bytes of a file that are read at most: one more than a plugin may have, so that its size is refused and not cut.
const READ_BYTES: u64 = (4 << 20) + 1;

/// Below the data directory: the bytes of every version that was ever in force.
const KEPT: &str = "plugins";

/// The versions in memory.
pub(crate) struct Plugins {
    compiler: Compiler,
    kept: PathBuf,
    versions: RwLock<BTreeMap<Digest, Arc<Plugin>>>,
}

/// What became of a file of the directory.
#[derive(Debug)]
pub(crate) enum Arrival {
    /// It is a plugin, and its bytes are kept.
    Good(Box<PluginActivated>),
    /// It is not.
    Bad(PluginRefused),
}

impl Plugins {
    /// None in memory yet; bytes are kept below the data directory.
    pub(crate) fn new(compiler: Compiler, data: &Path) -> io::Result<Self> {
        let kept = data.join(KEPT);
        fs::create_dir_all(&kept)?;
        Ok(Self { compiler, kept, versions: RwLock::new(BTreeMap::new()) })
    }

    /// A version in memory.
    pub(crate) fn get(&self, digest: &Digest) -> Option<Arc<Plugin>> {
        self.versions.read().unwrap_or_else(PoisonError::into_inner).get(digest).cloned()
    }

    fn put(&self, plugin: Plugin) {
        let mut versions = self.versions.write().unwrap_or_else(PoisonError::into_inner);
        versions.insert(plugin.digest(), Arc::new(plugin));
    }

    /// The plugin files of a directory, by name. What cannot be a plugin's name is left out with a warning.
    pub(crate) fn files(dir: &Path) -> io::Result<BTreeMap<PluginName, PathBuf>> {
        let mut files = BTreeMap::new();
        for entry in fs::read_dir(dir)? {
            let path = entry?.path();
            if path.extension().is_none_or(|extension| extension != "wasm") {
                continue;
            }
            match path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default().parse::<PluginName>() {
                Ok(name) => drop(files.insert(name, path)),
                Err(error) => tracing::warn!(file = %path.display(), %error, "a file is left alone"),
            }
        }
        Ok(files)
    }

    /// Read, compile and ask a file, and try the settings of its policies on it.
    pub(crate) async fn arrive(&self, name: &PluginName, path: &Path, policies: &[(&PolicyName, &Policy)]) -> Arrival {
        let refuse = |digest, why| Arrival::Bad(PluginRefused { plugin: name.clone(), digest, why });
        let bytes = match read_once(path) {
            Ok(bytes) => bytes,
            Err(why) => return refuse(None, format!("{}: {why}", path.display())),
        };
        let digest = Digest::of(&[&bytes]);
        match self.load(name, &bytes, policies).await {
            Ok(plugin) => match self.keep(digest, &bytes) {
                Ok(()) => {
                    let activated = PluginActivated {
                        plugin: name.clone(),
                        digest,
                        bytes: plugin.bytes(),
                        manifest: plugin.manifest().clone(),
                    };
                    self.put(plugin);
                    Arrival::Good(Box::new(activated))
                }
                Err(error) => refuse(Some(digest), format!("its bytes cannot be kept: {error}")),
            },
            Err(why) => refuse(Some(digest), format!("{}: {why}", path.display())),
        }
    }

    async fn load(
        &self,
        name: &PluginName,
        bytes: &[u8],
        policies: &[(&PolicyName, &Policy)],
    ) -> Result<Plugin, String> {
        let plugin = self.compiler.load(name, bytes).await?;
        for (policy, configured) in policies {
            let validated = plugin.validate_settings(&configured.settings).await;
            validated.map_err(|why| format!("it does not accept the settings of policy {policy}: {why}"))?;
        }
        Ok(plugin)
    }

    /// Bring a version back into memory whose bytes are kept.
    pub(crate) async fn restore(&self, name: &PluginName, digest: Digest) -> Result<(), String> {
        if self.get(&digest).is_some() {
            return Ok(());
        }
        let path = self.path(digest);
        let bytes = read_once(&path)?;
        if Digest::of(&[&bytes]) != digest {
            return Err(format!(
                "{} is not what it was: put the plugin's file into the plugin directory again",
                path.display()
            ));
        }
        let plugin = self.compiler.load(name, &bytes).await?;
        self.put(plugin);
        Ok(())
    }

    fn path(&self, digest: Digest) -> PathBuf {
        self.kept.join(format!("{digest}.wasm"))
    }

    /// Durable before the record that names them is.
    fn keep(&self, digest: Digest, bytes: &[u8]) -> io::Result<()> {
        use io::Write as _;
        let (path, part) = (self.path(digest), self.kept.join(format!("{digest}.part")));
        if path.exists() {
            return Ok(());
        }
        let mut file = fs::File::create(&part)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(part, path)?;
        fs::File::open(&self.kept)?.sync_all()
    }
}

/// Read a regular file once. Anything else (a directory, a FIFO, a device) is refused without waiting for it.
pub(crate) fn read_once(path: &Path) -> Result<Vec<u8>, String> {
    let not_readable = |error: io::Error| format!("it cannot be read: {error}");
    let options = fs::OpenOptions::new().read(true).custom_flags(rustix::fs::OFlags::NONBLOCK.bits() as i32).open(path);
    let file = options.map_err(not_readable)?;
    let is_file = file.metadata().map_err(not_readable)?.is_file();
    if !is_file {
        return Err("it is no regular file".into());
    }
    let mut bytes = Vec::new();
    file.take(READ_BYTES).read_to_end(&mut bytes).map_err(not_readable)?;
    Ok(bytes)
}
