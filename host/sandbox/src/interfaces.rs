//! Interfaces: what a component imports and exports, read from its bytes alone.
//!
//! For people who ask about a file, also about one that is refused. Whether it may be loaded is decided elsewhere, by what
//! the compiler says of the same component.

use wasmparser::{Parser, Payload};

use crate::{limits, store::harmless};

/// The package of our contract.
const CONTRACT: &str = "balm:policy/plugin@";

/// The names at a component's outside.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interfaces {
    /// What it needs from outside, in the file's order.
    pub imports: Vec<String>,
    /// What it offers.
    pub exports: Vec<String>,
}

impl Interfaces {
    /// Those of a component. What cannot be read is left out: a damaged file has those before the damage.
    #[must_use]
    pub fn of(component: &[u8]) -> Self {
        let mut found = Self::default();
        let mut depth = 0_u32;
        for payload in Parser::new(0).parse_all(component).map_while(Result::ok) {
            match payload {
                Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
                Payload::End(_) => depth = depth.saturating_sub(1),
                Payload::ComponentImportSection(imports) if depth == 0 => {
                    let names = imports.into_iter().map_while(Result::ok).map(|import| name(import.name.name));
                    found.imports.extend(names.take(most(&found.imports)));
                }
                Payload::ComponentExportSection(exports) if depth == 0 => {
                    let names = exports.into_iter().map_while(Result::ok).map(|export| name(export.name.name));
                    found.exports.extend(names.take(most(&found.exports)));
                }
                _ => {}
            }
        }
        found
    }

    /// The version of the contract that it was built against, if it exports a plugin of ours.
    #[must_use]
    pub fn contract(&self) -> Option<&str> {
        self.exports.iter().find_map(|export| export.strip_prefix(CONTRACT))
    }
}

fn name(name: &str) -> String {
    harmless(name, limits::LOG_LINE_BYTES)
}

fn most(already: &[String]) -> usize {
    limits::NAMES_SHOWN - already.len()
}
