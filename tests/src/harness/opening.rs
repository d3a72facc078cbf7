//! Opening what crashes and rot leave, with the real binary: one process opens thousands, each as a start does.

use std::{
    collections::BTreeSet,
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use serde_json::Value;

use super::programs;

/// What became of opening a state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Opened {
    /// It is open.
    Journal {
        /// The last record.
        seq: u64,
        /// Its hash.
        hash: String,
        /// Whether something was cut from its end.
        cut: bool,
        /// What the state would be vouched for with, if it was resumed from a saved one.
        state: Option<String>,
        /// The record that the saved state is of, if it was.
        used: Option<u64>,
        /// What is wrong with the records that were not read at first, if anything is.
        damage: Option<String>,
    },
    /// The host says why it does not start.
    Refused(String),
    /// The process ended, or said something that is no answer.
    Failed(String),
}

/// A process that opens data directories.
#[derive(Debug)]
pub struct Opener {
    what: &'static str,
    child: Child,
    ask: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Opener {
    /// One that opens journals.
    #[must_use]
    pub fn journals() -> Self {
        Self::start("journals")
    }

    /// One that loads plugins from native code that was kept.
    #[must_use]
    pub fn caches() -> Self {
        Self::start("caches")
    }

    fn start(what: &'static str) -> Self {
        let mut command = Command::new(programs::balm());
        command.args(["probe", what]).env_clear().stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("balm starts");
        let ask = child.stdin.take().expect("it is piped");
        let answers = BufReader::new(child.stdout.take().expect("it is piped"));
        Self { what, child, ask, answers }
    }

    /// Open a data directory's journal.
    pub fn open(&mut self, data: &Path) -> Opened {
        let answer = match self.ask(data) {
            Ok(answer) => answer,
            Err(why) => return Opened::Failed(why),
        };
        if let Some(why) = answer["refused"].as_str() {
            return Opened::Refused(why.into());
        }
        let words = |key: &str| answer[key].as_str().map(str::to_owned);
        match (answer["seq"].as_u64(), words("hash"), answer["cut"].as_u64()) {
            (Some(seq), Some(hash), Some(cut)) => Opened::Journal {
                seq,
                hash,
                cut: cut > 0,
                state: words("state"),
                used: answer["used"].as_u64(),
                damage: words("damage"),
            },
            _ => Opened::Failed(format!("it says {answer}")),
        }
    }

    /// The digests of the plugins below a data directory that are loaded from native code that was kept.
    pub fn loaded(&mut self, data: &Path) -> Result<BTreeSet<String>, String> {
        let answer = self.ask(data)?;
        let loaded = answer["loaded"].as_array().ok_or_else(|| format!("it says {answer}"))?;
        Ok(loaded.iter().filter_map(|digest| digest.as_str().map(str::to_owned)).collect())
    }

    fn ask(&mut self, data: &Path) -> Result<Value, String> {
        let mut line = String::new();
        let asked = writeln!(self.ask, "{}", data.display());
        let answered = asked.and_then(|()| self.answers.read_line(&mut line));
        if !answered.is_ok_and(|bytes| bytes > 0) {
            let ended = self.child.wait();
            *self = Self::start(self.what);
            return Err(format!("the process ended: {ended:?}"));
        }
        serde_json::from_str(&line).map_err(|error| format!("it says {line:?}: {error}"))
    }
}

impl Drop for Opener {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
