//! Compiling: from a component's bytes to native code, apart from using it.
//!
//! wasmtime promises nothing about what compiling costs, so [`compile`] is made to be run in a process of its own that is
//! limited from outside; what it hands over goes back into a sandbox as [`Compiled`]. Before anything is compiled the form is
//! looked at: size, functions, modules, how deep they are nested, and how texts are encoded. It refuses to know processes and files.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use wasmparser::{
    CanonicalFunction, CanonicalOption, ComponentCanonicalSectionReader, ImportSectionReader, Parser, Payload, TypeRef,
};
use wasmtime::{Engine, component::Component};

use crate::{
    class::Class,
    limits,
    plugin::LoadError,
    sandbox::{self, Sandbox},
};

/// Native code of a component, as [`compile`] made it.
pub struct Compiled(Vec<u8>);

impl Compiled {
    /// Code that comes back from another process or from a cache.
    ///
    /// # Safety
    ///
    /// These bytes are what [`compile`] of this very build returned, every one of them: they are run as native code.
    #[expect(unsafe_code, reason = "that these bytes are our own compiler's is for the caller to know")]
    #[must_use]
    pub const unsafe fn from_bytes(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// Bring it into an engine. Code of another version or of other settings is refused.
    #[expect(unsafe_code, reason = "a `Compiled` holds nothing but what our own compiler made")]
    pub(crate) fn component(&self, engine: &Engine) -> wasmtime::Result<Component> {
        // SAFETY: whoever made this value promised that the bytes are the compiler's.
        unsafe { Component::deserialize(engine, &self.0) }
    }
}

/// Compile a component. Takes as long and as much memory as it takes: limit the process that calls this.
pub fn compile(bytes: &[u8]) -> Result<Vec<u8>, LoadError> {
    check(bytes)?;
    let invalid = |error: wasmtime::Error| LoadError::Invalid(format!("{error:#}"));
    let mut config = sandbox::config();
    // One thread, whose processor time is what is limited.
    config.parallel_compilation(false);
    let code = Engine::new(&config).and_then(|engine| engine.precompile_component(bytes)).map_err(invalid)?;
    let most = Class::of(bytes.len()).map_or(0, Class::most_code_bytes);
    if code.len() > most { Err(LoadError::TooMuchCode { found: code.len(), most }) } else { Ok(code) }
}

/// What native code depends on beside the component: the engine's version, its settings, and the processor.
#[must_use]
pub fn fingerprint(sandbox: &Sandbox) -> u64 {
    let mut hasher = DefaultHasher::new();
    sandbox.engine.precompile_compatibility_hash().hash(&mut hasher);
    hasher.finish()
}

/// What can be told without compiling.
pub(crate) fn check(bytes: &[u8]) -> Result<(), LoadError> {
    if Class::of(bytes.len()).is_none() {
        return Err(LoadError::TooLarge(bytes.len()));
    }
    // The preamble of the binary format: magic, version, layer (WebAssembly Component Model, Binary.md).
    match bytes {
        [] => Err(LoadError::NotAComponent("empty")),
        [0, b'a', b's', b'm', 0x0d, 0, 1, 0, ..] => check_parts(bytes),
        [0, b'a', b's', b'm', 1, 0, 0, 0, ..] => Err(LoadError::NotAComponent("a core module")),
        [0, b'a', b's', b'm', ..] => Err(LoadError::NotAComponent("WebAssembly of an unknown version")),
        [0x7f, b'E', b'L', b'F', ..] => Err(LoadError::NotAComponent("native code, perhaps a precompiled module")),
        _ => Err(LoadError::NotAComponent("no WebAssembly")),
    }
}

/// Count what compiling would have to go through, without recursion and without keeping any of it.
fn check_parts(bytes: &[u8]) -> Result<(), LoadError> {
    let (mut functions, mut parts, mut depth, mut memories, mut definitions) = (0_u32, 0_u32, 0_u32, 0_u32, 0_u32);
    let most = |what, found, most| if found > most { Err(LoadError::TooMany { what, found, most }) } else { Ok(()) };
    for payload in Parser::new(0).parse_all(bytes) {
        let payload = payload.map_err(|error| LoadError::Invalid(error.to_string()))?;
        definitions = definitions.saturating_add(defined(&payload));
        match payload {
            Payload::CodeSectionStart { count, .. } => functions = functions.saturating_add(count),
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => {
                (parts, depth, memories) = (parts + 1, depth + 1, 0);
            }
            Payload::MemorySection(section) => memories = memories.saturating_add(section.count()),
            Payload::ImportSection(imports) => memories = memories.saturating_add(imported_memories(imports)?),
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::ComponentCanonicalSection(functions) => check_encodings(functions)?,
            _ => {}
        }
        most("functions", functions, limits::FUNCTIONS)?;
        most("types, imports and other definitions", definitions, limits::DEFINITIONS)?;
        most("nested modules and components", parts, limits::PARTS)?;
        most("levels of nesting", depth, limits::DEPTH)?;
        most("memories in a module", memories, limits::MEMORIES_OF_A_MODULE)?;
    }
    Ok(())
}

/// How much a section defines, beside functions, data and parts, which have limits of their own.
fn defined(section: &Payload<'_>) -> u32 {
    match section {
        Payload::TypeSection(section) => section.count(),
        Payload::ImportSection(section) => section.count(),
        Payload::TableSection(section) => section.count(),
        Payload::GlobalSection(section) => section.count(),
        Payload::ExportSection(section) => section.count(),
        Payload::ElementSection(section) => section.count(),
        Payload::CoreTypeSection(section) => section.count(),
        Payload::InstanceSection(section) => section.count(),
        Payload::ComponentInstanceSection(section) => section.count(),
        Payload::ComponentAliasSection(section) => section.count(),
        Payload::ComponentTypeSection(section) => section.count(),
        Payload::ComponentCanonicalSection(section) => section.count(),
        Payload::ComponentImportSection(section) => section.count(),
        Payload::ComponentExportSection(section) => section.count(),
        _ => 0,
    }
}

fn imported_memories(imports: ImportSectionReader<'_>) -> Result<u32, LoadError> {
    let mut memories = 0;
    for import in imports.into_imports() {
        let import = import.map_err(|error| LoadError::Invalid(error.to_string()))?;
        memories += u32::from(matches!(import.ty, TypeRef::Memory(_)));
    }
    Ok(memories)
}

/// Texts cross the boundary in UTF-8 alone: nothing that is built for a policy has any other, and each of wasmtime's
/// transcoders for UTF-16 and Latin-1 has had an advisory of its own. Functions that are neither lifted nor lowered belong
/// to the asynchronous ABI, which is off.
fn check_encodings(functions: ComponentCanonicalSectionReader<'_>) -> Result<(), LoadError> {
    for function in functions {
        let options = match function.map_err(|error| LoadError::Invalid(error.to_string()))? {
            CanonicalFunction::Lift { options, .. } | CanonicalFunction::Lower { options, .. } => options,
            _ => continue,
        };
        if options.iter().any(|option| matches!(option, CanonicalOption::UTF16 | CanonicalOption::CompactUTF16)) {
            return Err(LoadError::NotUtf8);
        }
    }
    Ok(())
}
