//! Seeds that are kept: those that failed once, in a file of a team's repository, to be lived through again.

use std::{fs, io::Write as _, path::Path};

use anyhow::{Context as _, ensure};
use serde::{Deserialize, Serialize};

use super::Terms;

/// Seeds of one file: more would be no list that anybody reads.
const KEPT_MOST: usize = 1_000;

/// A file of seeds.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Seeds {
    #[serde(default)]
    pub(crate) simulation: Vec<Kept>,
}

/// One of them, with the terms that it is to be lived through under.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Kept {
    pub(crate) seed: u64,
    pub(crate) minutes: u64,
    pub(crate) healthy_least: u32,
    pub(crate) reversals_most: u32,
    /// What did not hold when it was kept.
    pub(crate) why: String,
}

impl Seeds {
    /// Those of a file; none if there is no such file.
    pub(crate) fn read(file: &Path) -> anyhow::Result<Self> {
        let text = fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))?;
        let seeds: Self = toml::from_str(&text).with_context(|| format!("{} is no list of seeds", file.display()))?;
        ensure!(!seeds.simulation.is_empty(), "{} has no [[simulation]]", file.display());
        Ok(seeds)
    }
}

impl Kept {
    pub(crate) fn new(seed: u64, terms: Terms, why: &str) -> Self {
        let Terms { minutes, healthy_least, reversals_most } = terms;
        Self { seed, minutes, healthy_least, reversals_most, why: why.to_owned() }
    }

    pub(crate) const fn terms(&self) -> Terms {
        let Self { minutes, healthy_least, reversals_most, .. } = self;
        Terms { minutes: *minutes, healthy_least: *healthy_least, reversals_most: *reversals_most }
    }

    /// Append it to a file, which is made if need be. One that is there already is not written twice.
    pub(crate) fn keep(&self, file: &Path) -> anyhow::Result<()> {
        let known = if file.exists() { Seeds::read(file)?.simulation } else { Vec::new() };
        if known.iter().any(|other| (other.seed, other.terms()) == (self.seed, self.terms())) {
            return Ok(());
        }
        ensure!(known.len() < KEPT_MOST, "{} has {KEPT_MOST} seeds already", file.display());
        let mut text = String::new();
        if known.is_empty() {
            text.push_str("# Seeds in which something did not hold: `balm simulate --again` lives through them.\n");
        }
        let Self { seed, minutes, healthy_least, reversals_most, why } = self;
        let why = serde_json::to_string(why)?;
        text.push_str(&format!(
            "\n[[simulation]]\nseed = {seed}\nminutes = {minutes}\nhealthy-least = {healthy_least}\nreversals-most = \
             {reversals_most}\nwhy = {why}\n"
        ));
        let opened = fs::OpenOptions::new().create(true).append(true).open(file);
        let written = opened.and_then(|mut file| file.write_all(text.as_bytes()));
        written.with_context(|| format!("{} cannot be written", file.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_dir::TestDir;

    #[test]
    fn a_seed_is_kept_once_and_read_as_it_was() {
        let dir = TestDir::new("seeds");
        let file = dir.path().join("seeds.toml");
        assert!(Seeds::read(&file).is_err(), "a list that is not there proves nothing");
        let terms = Terms { minutes: 60, healthy_least: 2, reversals_most: 3 };
        let kept = [Kept::new(7, terms, "limits: \"too many\""), Kept::new(8, terms, "it did not end")];
        for one in [&kept[0], &kept[1], &kept[0]] {
            one.keep(&file).unwrap();
        }
        assert_eq!(Seeds::read(&file).unwrap().simulation, kept);
        assert_eq!(kept[0].terms(), terms);
    }
}
