//! Writes the generated pages of the book, or says which are stale.

use std::{path::PathBuf, process::ExitCode};

use balm_tests::reference;

fn main() -> ExitCode {
    let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/reference");
    if !std::env::args().any(|argument| argument == "--check") {
        return match reference::write(&dir) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("{} cannot be written: {error}", dir.display());
                ExitCode::FAILURE
            }
        };
    }
    let stale = reference::stale(&dir);
    for page in &stale {
        eprintln!("docs/reference/{page} is stale: run `cargo xtask docs`");
    }
    if stale.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
