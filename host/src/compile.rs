//! Compiling plugins where it can harm nobody: in a child process without environment, limited in processor time, memory and
//! files; and keeping the native code, so that the same plugin is compiled once.
//!
//! What is kept is sealed with a key of this host: nothing else is ever run, whoever else may write into the directory. A
//! damaged, foreign or outdated file is as good as none. It owns the child, its limits and the seal; it refuses to know what
//! a plugin is for.

use std::{
    fs,
    io::{self, Read as _, Write as _},
    os::unix::{
        fs::{DirBuilderExt as _, OpenOptionsExt as _},
        process::ExitStatusExt as _,
    },
    path::{Path, PathBuf},
    process::{Child, ExitStatus, Stdio},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use balm_core::{digest::Digest, name::PluginName};
use balm_sandbox::{Class, Compiled, LoadError, Plugin, Sandbox};
use hmac::{Hmac, KeyInit as _, Mac as _};
use rustix::process::{Resource, Rlimit};
use sha2::Sha256;
use tokio::sync::Semaphore;

use crate::{itself, priority};

/// What compiling a component may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cost {
    cpu_s: u64,
    memory_mib: u64,
}

/// MiB of address space of a compilation, by the component's class. Measured at most: 118 MiB for QuickJS with 1.2 MB, 434 MiB
/// for componentize-py with 18.8 MB.
const PLAIN_MEMORY_MIB: u64 = 512;
const RUNTIME_MEMORY_MIB: u64 = 1024;

/// Seconds of processor time of a compilation: so many, so many more for each MiB, and never more than that. Measured:
/// 0.15 s for a Rust policy of 0.14 MB, 20 s for a language runtime of 12 MB.
const CPU_S: u64 = 10;
const CPU_S_PER_MIB: u64 = 4;
const CPU_S_MOST: u64 = 90;

/// How long a compilation may take by the wall's clock, so that whoever pushes something hears of it. What it costs the
/// processor's time bounds: on a machine where others want the processor too, a good plugin has all of this.
const WALL: Duration = Duration::from_secs(90);

/// Files that a compilation may hold open: its three streams, and those that starting a program takes for a moment.
const FILES: u64 = 16;

/// Bytes of native code that are taken from a child or from what is kept. The child says it of what has more.
const CODE_BYTES: u64 = Class::Runtime.most_code_bytes() as u64;

/// Bytes of a child's complaint that are read.
const COMPLAINT_BYTES: u64 = 4 << 10;

/// Children at once: compiling leaves a processor to alerts where there are two.
const CHILDREN: usize = 1;

/// Below the data directory: native code, sealed.
const CACHE: &str = "cache";

/// In it: the key of the seal.
const KEY: &str = "key";
const KEY_BYTES: usize = 32;

/// Bytes of the seal, which stands before the code.
const SEAL_BYTES: usize = 32;

/// Files that are kept; beyond that the oldest goes.
const FILES_MOST: usize = 256;

/// Compiles plugins, each once.
pub(crate) struct Compiler {
    sandbox: Arc<Sandbox>,
    cache: Option<Cache>,
    children: Semaphore,
}

/// Native code that was compiled before.
struct Cache {
    dir: PathBuf,
    key: [u8; KEY_BYTES],
    fingerprint: u64,
}

/// Why there is no native code of a component.
#[derive(Debug, thiserror::Error)]
enum CompileError {
    #[error("the child process that compiles it cannot be run: {0}")]
    Child(io::Error),
    #[error("{0}")]
    Refused(String),
    #[error("compiling it took more than {0} s of processor time: make it smaller")]
    OutOfTime(u64),
    #[error("compiling it took more than {} s on a busy machine: make it smaller, or try again", WALL.as_secs())]
    OutOfWall,
    #[error("compiling it took more than {1} MiB of memory, or broke the compiler ({0}): make it smaller")]
    Broke(ExitStatus, u64),
}

impl Compiler {
    /// One that keeps what it compiled below a data directory.
    pub(crate) fn keeping(sandbox: Arc<Sandbox>, data: &Path) -> io::Result<Self> {
        let cache = Some(Cache::open(data.join(CACHE), balm_sandbox::fingerprint(&sandbox))?);
        Ok(Self { sandbox, cache, children: Semaphore::new(CHILDREN) })
    }

    /// One that keeps nothing.
    pub(crate) fn forgetting(sandbox: Arc<Sandbox>) -> Self {
        Self { sandbox, cache: None, children: Semaphore::new(CHILDREN) }
    }

    /// A component as a plugin: from what was kept, or compiled now.
    pub(crate) async fn load(&self, name: &PluginName, bytes: &[u8]) -> Result<Plugin, String> {
        if let Some(loaded) = self.kept(name, bytes).await {
            return loaded;
        }
        let _turn = self.children.acquire().await.expect("the semaphore is never closed");
        let (digest, owned) = (Digest::of(&[bytes]), bytes.to_vec());
        let compiling = tokio::task::spawn_blocking(move || in_child(&owned)).await;
        let code = compiling.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
        if let Some(Err(error)) = self.cache.as_ref().map(|cache| cache.put(digest, &code)) {
            tracing::warn!(plugin = %name, %error, "its native code cannot be kept: it is compiled again at the next start");
        }
        let loaded = Plugin::from_compiled(&self.sandbox, name.clone(), bytes, &trusted(code)).await;
        loaded.map_err(|error| error.to_string())
    }

    /// The same from what was kept alone, if that is this engine's.
    pub(crate) async fn kept(&self, name: &PluginName, bytes: &[u8]) -> Option<Result<Plugin, String>> {
        let compiled = self.cache.as_ref()?.get(Digest::of(&[bytes]))?;
        match Plugin::from_compiled(&self.sandbox, name.clone(), bytes, &compiled).await {
            Err(LoadError::Stale(why)) => {
                tracing::info!(plugin = %name, why, "it is compiled anew");
                None
            }
            loaded => Some(loaded.map_err(|error| error.to_string())),
        }
    }
}

/// The one place where bytes become code that is run.
#[expect(
    unsafe_code,
    reason = "both callers know that the bytes are our own compiler's: from its pipe, or under our seal"
)]
fn trusted(code: Vec<u8>) -> Compiled {
    // SAFETY: they come from a child of this very program, directly or through a file that this host sealed.
    unsafe { Compiled::from_bytes(code) }
}

impl Cache {
    fn open(dir: PathBuf, fingerprint: u64) -> io::Result<Self> {
        match fs::DirBuilder::new().mode(0o700).create(&dir) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let path = dir.join(KEY);
        let kept = fs::read(&path).ok().and_then(|key| key.try_into().ok());
        let key = match kept {
            Some(key) => key,
            None => {
                let mut key = [0; KEY_BYTES];
                getrandom::fill(&mut key).map_err(io::Error::other)?;
                replace(&path, &[&key])?;
                key
            }
        };
        Ok(Self { dir, key, fingerprint })
    }

    fn path(&self, digest: Digest) -> PathBuf {
        self.dir.join(format!("{digest}-{:016x}", self.fingerprint))
    }

    /// Over which component, for which engine, and the code itself.
    fn seal(&self, digest: Digest, code: &[u8]) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key).expect("HMAC takes keys of any length");
        mac.update(digest.as_bytes());
        mac.update(&self.fingerprint.to_be_bytes());
        mac.update(code);
        mac
    }

    /// The whole file is read before anything of it is believed, and never mapped: it cannot change under us.
    fn get(&self, digest: Digest) -> Option<Compiled> {
        let path = self.path(digest);
        let mut bytes = Vec::new();
        let file = fs::File::open(&path).ok()?;
        file.take(CODE_BYTES + SEAL_BYTES as u64).read_to_end(&mut bytes).ok()?;
        let sealed = bytes.split_at_checked(SEAL_BYTES);
        let Some((_, code)) = sealed.filter(|(seal, code)| self.seal(digest, code).verify_slice(seal).is_ok()) else {
            tracing::warn!(file = %path.display(), "kept native code is not what this host wrote, and is not used");
            let _ = fs::remove_file(&path);
            return None;
        };
        Some(trusted(code.to_vec()))
    }

    fn put(&self, digest: Digest, code: &[u8]) -> io::Result<()> {
        replace(&self.path(digest), &[&self.seal(digest, code).finalize().into_bytes(), code])?;
        self.forget_the_oldest()
    }

    fn forget_the_oldest(&self) -> io::Result<()> {
        let mut files: Vec<_> = fs::read_dir(&self.dir)?
            .flatten()
            .filter(|entry| entry.file_name() != KEY)
            .filter_map(|entry| Some((entry.metadata().and_then(|metadata| metadata.modified()).ok()?, entry.path())))
            .collect();
        files.sort();
        let most = files.len().saturating_sub(FILES_MOST);
        files.iter().take(most).try_for_each(|(_, path)| fs::remove_file(path))
    }
}

/// Write a file that only we may read, whole or not at all.
fn replace(path: &Path, parts: &[&[u8]]) -> io::Result<()> {
    let part = path.with_extension("part");
    let mut file = fs::File::options().write(true).create(true).truncate(true).mode(0o600).open(&part)?;
    parts.iter().try_for_each(|part| file.write_all(part))?;
    file.sync_all()?;
    fs::rename(part, path)
}

/// What compiling so many bytes may cost. What is in no class is refused by the child before it costs anything.
fn cost(bytes: usize) -> Cost {
    let memory_mib = match Class::of(bytes) {
        Some(Class::Plain) => PLAIN_MEMORY_MIB,
        Some(Class::Runtime) | None => RUNTIME_MEMORY_MIB,
    };
    Cost { cpu_s: (CPU_S + CPU_S_PER_MIB * (bytes as u64 >> 20)).min(CPU_S_MOST), memory_mib }
}

/// Compile in a child of this program.
fn in_child(bytes: &[u8]) -> Result<Vec<u8>, CompileError> {
    let Cost { cpu_s: seconds, memory_mib } = cost(bytes.len());
    let mut child = itself::command()
        .args(["compile", "--cpu-seconds", &seconds.to_string(), "--memory-mib", &memory_mib.to_string()])
        .current_dir("/")
        .env_clear()
        // The allocator would begin with all the address space that the child may have.
        .env("MIMALLOC_ARENA_RESERVE", "64MiB")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(CompileError::Child)?;
    let most_code = Class::of(bytes.len()).map_or(0, Class::most_code_bytes);
    let told = talk(&mut child, bytes, WALL, most_code);
    if told.is_err() {
        let _ = child.kill();
    }
    let status = child.wait().map_err(CompileError::Child)?;
    let (code, complaint) = told.map_err(|error| match error.kind() {
        io::ErrorKind::TimedOut => CompileError::OutOfWall,
        _ => CompileError::Child(error),
    })?;
    let out_of_time =
        [rustix::process::Signal::XCPU, rustix::process::Signal::KILL].map(|signal| Some(signal.as_raw()));
    match (status.code(), status.signal()) {
        (Some(0), _) => Ok(code),
        (Some(1), _) => Err(CompileError::Refused(complaint.trim().to_owned())),
        (_, signal) if out_of_time.contains(&signal) => Err(CompileError::OutOfTime(seconds)),
        _ => Err(CompileError::Broke(status, memory_mib)),
    }
}

/// Hand over the component, and read both outputs to their ends. A child that takes too long is killed, which ends them.
fn talk(child: &mut Child, bytes: &[u8], within: Duration, most_code: usize) -> io::Result<(Vec<u8>, String)> {
    let missing = || io::Error::other("its streams are not there");
    let mut input = child.stdin.take().ok_or_else(missing)?;
    let output = child.stdout.take().ok_or_else(missing)?;
    let errors = child.stderr.take().ok_or_else(missing)?;
    thread::scope(|threads| {
        // A child that refuses its input early closes it; what it says then is what counts.
        threads.spawn(move || drop(input.write_all(bytes)));
        let complaint = threads.spawn(move || {
            let mut text = Vec::new();
            let _ = errors.take(COMPLAINT_BYTES).read_to_end(&mut text);
            String::from_utf8_lossy(&text).into_owned()
        });
        let code = threads.spawn(move || {
            // Room for the most, of which only what is written takes memory: growing would have it there twice.
            let mut code = Vec::with_capacity(most_code);
            output.take(CODE_BYTES).read_to_end(&mut code).map(|_| code)
        });
        let since = Instant::now();
        while !code.is_finished() && since.elapsed() < within {
            thread::sleep(Duration::from_millis(2));
        }
        let late = !code.is_finished();
        if late {
            child.kill()?;
        }
        let broken = |_| io::Error::other("a thread of ours failed");
        let (code, complaint) = (code.join().map_err(broken)??, complaint.join().map_err(broken)?);
        if late { Err(io::ErrorKind::TimedOut.into()) } else { Ok((code, complaint)) }
    })
}

/// What the child does: limit itself, read a component, compile it, write the code. It says on its standard error what is
/// wrong with the component.
pub(crate) fn child(cpu_seconds: u64, memory_mib: u64) -> Result<(), String> {
    limit(Cost { cpu_s: cpu_seconds, memory_mib })
        .map_err(|error| format!("it cannot be compiled within limits here: {error}"))?;
    priority::stand_back();
    let mut bytes = Vec::new();
    io::stdin().lock().read_to_end(&mut bytes).map_err(|error| format!("it did not arrive: {error}"))?;
    let code = balm_sandbox::compile(&bytes).map_err(|error| error.to_string())?;
    io::stdout().lock().write_all(&code).map_err(|error| format!("its code could not be handed over: {error}"))
}

fn limit(cost: Cost) -> rustix::io::Result<()> {
    let limits = [
        (Resource::As, cost.memory_mib << 20),
        (Resource::Cpu, cost.cpu_s),
        (Resource::Nofile, FILES),
        // It writes no file and leaves no image of itself.
        (Resource::Fsize, 0),
        (Resource::Core, 0),
    ];
    for (resource, most) in limits {
        rustix::process::setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_dir::TestDir;

    const CODE: &[u8] = b"native code of some plugin";

    fn digest() -> Digest {
        Digest::of(&[b"its component"])
    }

    fn kept(cache: &Cache) -> bool {
        cache.get(digest()).is_some()
    }

    #[test]
    fn what_was_kept_is_found_again_for_the_same_component_and_engine_only() {
        let dir = TestDir::new("cache-found");
        let cache = Cache::open(dir.path().join("cache"), 7).unwrap();
        assert!(!kept(&cache));
        cache.put(digest(), CODE).unwrap();
        assert!(kept(&cache) && kept(&Cache::open(dir.path().join("cache"), 7).unwrap()), "also after a restart");
        assert!(!kept(&Cache::open(dir.path().join("cache"), 8).unwrap()), "another engine");
        fs::copy(cache.path(digest()), cache.path(Digest::of(&[b"another"]))).unwrap();
        assert!(cache.get(Digest::of(&[b"another"])).is_none(), "another component");
    }

    #[test]
    fn no_byte_of_what_is_kept_can_change_and_no_other_host_can_have_written_it() {
        let dir = TestDir::new("cache-damaged");
        let cache = Cache::open(dir.path().join("cache"), 7).unwrap();
        cache.put(digest(), CODE).unwrap();
        let whole = fs::read(cache.path(digest())).unwrap();
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 1 << (at % 8);
            fs::write(cache.path(digest()), damaged).unwrap();
            assert!(!kept(&cache), "byte {at}");
        }
        for shorter in [0, 1, SEAL_BYTES, whole.len() - 1] {
            fs::write(cache.path(digest()), &whole[..shorter]).unwrap();
            assert!(!kept(&cache), "cut to {shorter} bytes");
        }
        fs::write(cache.path(digest()), &whole).unwrap();
        assert!(kept(&cache));
        fs::remove_file(dir.path().join("cache").join(KEY)).unwrap();
        assert!(!kept(&Cache::open(dir.path().join("cache"), 7).unwrap()), "another key");
    }

    #[test]
    fn the_oldest_goes_when_there_are_too_many() {
        let dir = TestDir::new("cache-many");
        let cache = Cache::open(dir.path().join("cache"), 7).unwrap();
        for i in 0..FILES_MOST + 3 {
            cache.put(Digest::of(&[&i.to_be_bytes()]), CODE).unwrap();
        }
        assert_eq!(fs::read_dir(dir.path().join("cache")).unwrap().count(), FILES_MOST + 1, "with the key");
        assert!(cache.get(Digest::of(&[&(FILES_MOST + 2).to_be_bytes()])).is_some());
    }

    #[test]
    fn larger_components_get_more_time_up_to_a_cap() {
        let seconds = |bytes| cost(bytes).cpu_s;
        assert_eq!([0, 1 << 20, 12 << 20, 32 << 20, usize::MAX].map(seconds), [10, 14, 58, 90, 90]);
    }

    #[test]
    fn a_child_that_does_not_end_is_ended() {
        let mut sleep = std::process::Command::new("sleep");
        sleep.arg("600").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = sleep.spawn().unwrap();
        let told = talk(&mut child, b"a component", Duration::from_millis(20), 0);
        assert_eq!(told.unwrap_err().kind(), io::ErrorKind::TimedOut);
        let killed = rustix::process::Signal::KILL.as_raw();
        assert_eq!(child.wait().unwrap().signal(), Some(killed));
    }
}
