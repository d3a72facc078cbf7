//! Policies in other languages: `scale-ecs-service` once more in each of `sdk/*`, built from source when it is first asked for.
//!
//! The tools come from PyPI and npm. `cargo xtask test`, `bench` and `prove` install them and say where they are; without
//! them there is no component, and whoever wanted one says that it was left out.

use std::{
    env,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use crate::harness::programs;

/// The variable that names the directory of the tools: `python`, an environment of Python, and `node_modules`.
pub const TOOLS: &str = "BALM_TEST_LANGUAGES";

/// What a policy can be written in beside Rust.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// TypeScript, on QuickJS.
    JavaScript,
    /// Python, with its own runtime.
    Python,
    /// C.
    C,
    /// Go, with its own runtime.
    Go,
}

impl Language {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::JavaScript, Self::Python, Self::C, Self::Go];

    /// Its folder below `sdk`.
    #[must_use]
    pub const fn folder(self) -> &'static str {
        match self {
            Self::JavaScript => "javascript",
            Self::Python => "python",
            Self::C => "c",
            Self::Go => "go",
        }
    }

    /// The component of `scale-ecs-service` in this language, if the tools are here.
    ///
    /// The same commands as in the README of its folder.
    fn build(self, tools: &Tools) -> PathBuf {
        let dir = programs::target_dir().join("tmp/languages").join(self.folder());
        fs::create_dir_all(&dir).expect("a directory can be made");
        let out = dir.join("scale-ecs-service.wasm");
        match self {
            Self::JavaScript => tools.run(self, "node", &["build.mjs", "examples/scale-ecs-service.ts"], Some(&out)),
            Self::Python => {
                let world = ["-d", "../../wit/0.1.0", "-w", "policy", "componentize", "--stub-wasi"];
                let module = ["-p", ".", "-p", "examples", "scale_ecs_service", "-o"];
                tools.run(self, "componentize-py", &[world.as_slice(), &module].concat(), Some(&out));
            }
            Self::C => tools.run(self, "sh", &["build.sh", "examples/scale-ecs-service.c"], Some(&out)),
            Self::Go => tools.run(self, "sh", &["build.sh", "examples/scale-ecs-service"], Some(&out)),
        }
        out
    }
}

/// The component of `scale-ecs-service` in a language; nothing without the tools.
///
/// # Panics
///
/// If it cannot be built although the tools are here.
pub fn component(language: Language) -> Option<&'static Path> {
    static BUILT: [OnceLock<PathBuf>; 4] = [const { OnceLock::new() }; 4];
    let tools = Tools::here()?;
    Some(BUILT[language as usize].get_or_init(|| language.build(&tools)))
}

/// What the SDKs test by themselves, without Wasm; nothing without the tools.
///
/// # Panics
///
/// If a test fails.
pub fn test_sdks() -> Option<()> {
    let tools = Tools::here()?;
    let made = programs::target_dir().join("tmp/languages/javascript-tests");
    let types = tools.0.join("node_modules/@types");
    tools.run(Language::JavaScript, "tsc", &["--typeRoots", text(&types), "--outDir"], Some(&made));
    fs::write(made.join("package.json"), r#"{"type":"module"}"#).expect("a file can be written");
    tools.run(Language::JavaScript, "node", &["--test"], Some(&made.join("test")));
    tools.run(Language::Python, "python3", &["-B", "-m", "unittest", "--quiet", "tests.test_scale_ecs_service"], None);
    Some(())
}

struct Tools(PathBuf);

impl Tools {
    fn here() -> Option<Self> {
        env::var_os(TOOLS).map(|dir| Self(dir.into()))
    }

    /// Run a tool in the folder of a language; the last argument is where to.
    fn run(&self, language: Language, program: &str, arguments: &[&str], out: Option<&Path>) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../sdk").join(language.folder());
        let output = Command::new(program)
            .current_dir(folder)
            .args(arguments)
            .args(out)
            .env("PATH", self.path())
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("GOCACHE", self.0.join("go-cache"))
            .env("ZIG_GLOBAL_CACHE_DIR", self.0.join("zig-cache"))
            .output();
        let output = output.unwrap_or_else(|error| unusable(program, &error.to_string()));
        if !output.status.success() {
            let said = [output.stdout, output.stderr].concat();
            unusable(program, &format!("{}\n{}", output.status, String::from_utf8_lossy(&said)));
        }
    }

    fn path(&self) -> OsString {
        let own = [self.0.join("python/bin"), self.0.join("node_modules/.bin")];
        let others = env::var_os("PATH").unwrap_or_default();
        env::join_paths(own.into_iter().chain(env::split_paths(&others))).expect("no directory has a colon in its name")
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("the target directory's name is a text")
}

#[expect(clippy::panic, reason = "this is how a test fails")]
fn unusable(program: &str, why: &str) -> ! {
    panic!("{program}, of {TOOLS}, does not do its work: {why}")
}
