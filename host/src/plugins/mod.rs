//! Plugins: the versions in memory, and the bytes of every version that was ever in force.
//!
//! It owns how a file becomes a version: read once, and what was read is what is compiled, asked and kept. What is in force
//! is said by records, what arrives by the directory (`directory`), and what is put in force by `reload`. It refuses to
//! know how a plugin runs.

mod aside;
pub(crate) mod directory;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{self, Read as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
};

use balm_core::{
    digest::Digest,
    json::Json,
    name::{PluginName, PolicyName},
};
use balm_sandbox::{Class, Plugin};

use crate::compile::Compiler;

/// Bytes of a file that are read at most: one more than a plugin may have, so that its size is refused and not cut.
const READ_BYTES: u64 = Class::Runtime.most_bytes() as u64 + 1;

/// Below the data directory: the bytes of every version that was ever in force.
const KEPT: &str = "plugins";

/// The versions in memory.
pub(crate) struct Plugins {
    compiler: Compiler,
    kept: PathBuf,
    versions: RwLock<BTreeMap<Digest, Arc<Plugin>>>,
}

impl Plugins {
    /// None in memory yet; bytes are kept below the data directory.
    pub(crate) fn new(compiler: Compiler, data: &Path) -> io::Result<Self> {
        let kept = kept(data);
        fs::create_dir_all(&kept)?;
        Ok(Self { compiler, kept, versions: RwLock::new(BTreeMap::new()) })
    }

    /// A version in memory. Whoever has it may use it to its end, whatever comes into force meanwhile.
    pub(crate) fn get(&self, digest: &Digest) -> Option<Arc<Plugin>> {
        self.versions.read().unwrap_or_else(PoisonError::into_inner).get(digest).cloned()
    }

    /// Make ready to be in force: the bytes are durable, and whoever asks for the version finds it.
    pub(crate) fn put(&self, plugin: Arc<Plugin>, bytes: &[u8]) -> Result<(), String> {
        self.keep(plugin.digest(), bytes).map_err(|error| format!("its bytes cannot be kept: {error}"))?;
        self.versions.write().unwrap_or_else(PoisonError::into_inner).insert(plugin.digest(), plugin);
        Ok(())
    }

    /// Forget every other version; evaluations under way end on theirs, and then its memory is free.
    pub(crate) fn keep_only(&self, in_force: &BTreeSet<Digest>) {
        let mut versions = self.versions.write().unwrap_or_else(PoisonError::into_inner);
        versions.retain(|digest, _| in_force.contains(digest));
    }

    /// Compile and ask a file that was read, unless it is in memory under this name already. See [`permitted`].
    pub(crate) async fn compile(&self, name: &PluginName, bytes: &[u8]) -> Result<Arc<Plugin>, String> {
        if let Some(known) = self.get(&Digest::of(&[bytes])).filter(|known| known.name() == name) {
            return Ok(known);
        }
        self.compiler.load(name, bytes).await.map(Arc::new)
    }

    /// Whether a version accepts the settings of these policies; otherwise the first that it does not, and why.
    pub(crate) async fn accepts(
        plugin: Arc<Plugin>,
        policies: Vec<(PolicyName, Json)>,
    ) -> Result<(), (PolicyName, String)> {
        let Some((first, _)) = policies.first().cloned() else { return Ok(()) };
        let asking = async move {
            for (policy, settings) in policies {
                if let Err(why) = plugin.validate_settings(&settings).await {
                    return Err((policy, why));
                }
            }
            Ok(())
        };
        aside::run(asking).await.unwrap_or_else(|why| Err((first, why)))
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
        let plugin = self.compile(name, &bytes).await?;
        self.put(plugin, &bytes)
    }

    fn path(&self, digest: Digest) -> PathBuf {
        self.kept.join(file_name(digest))
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

/// Whether plugins of this size may be compiled where those up to a class may. What fits no class is refused by its size later.
pub(crate) fn permitted(bytes: &[u8], most: Class) -> Result<(), String> {
    match Class::of(bytes.len()) {
        Some(class) if class > most => Err(format!(
            "it has {} bytes, and a {most} plugin at most {}: if it carries the runtime of its language, permit that with \
             plugin-class = \"{class}\" in balm.toml",
            bytes.len(),
            most.most_bytes()
        )),
        Some(_) | None => Ok(()),
    }
}

/// Where the bytes of every version are that was ever in force.
pub(crate) fn kept(data: &Path) -> PathBuf {
    data.join(KEPT)
}

/// The name of a version's file there.
pub(crate) fn file_name(digest: Digest) -> String {
    format!("{digest}.wasm")
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
