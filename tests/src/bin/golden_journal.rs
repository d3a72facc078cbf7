//! Writes the golden journal of this version of records, once: what is kept already is left alone.

use std::fs::{self, File};
use std::io::Write as _;

use balm_core::line::VERSION;
use balm_tests::golden_journal as golden;

fn main() -> anyhow::Result<()> {
    let (dir, text) = (golden::dir(), golden::write());
    let (_, chain, digest) = golden::fold(&text);
    fs::create_dir_all(&dir)?;
    File::create_new(dir.join(format!("records-{VERSION}.txt")))?.write_all(&text)?;
    let state = format!("{} {}\n{digest}\n", chain.seq, chain.hash);
    fs::write(dir.join(format!("records-{VERSION}.state.txt")), state)?;
    Ok(())
}
