//! The book and the README as programs: their fenced blocks, and a reader who types them.
//!
//! A block says by its info string what it is: `toml file=balm.toml` is a whole file, `add=` is added to one, `console` is
//! typed, line by line behind `$ `, and what stands below a command must be printed by it (`…` stands for anything). A block
//! that is for another machine says so with the word `elsewhere`. Everything else is refused, so that nothing in the book
//! goes untested unnoticed.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead as _, BufReader, Write as _},
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::MutexGuard,
    time::{Duration, Instant},
};

use crate::harness::{cloud::Cloud, programs};

/// How long a command's effect may take to show: what is asked repeatedly is a scene on the cloud.
const WITHIN: Duration = Duration::from_secs(90);

/// The addresses that the book speaks of; the reader's are the system's choice.
const HOST: &str = "127.0.0.1:8300";
const CLOUD: &str = "127.0.0.1:4566";

/// A fenced block.
#[derive(Clone, Debug)]
pub struct Block {
    /// The line of its fence.
    pub line: usize,
    /// The first word of its info string.
    pub language: String,
    /// The others.
    pub words: Vec<String>,
    /// What it holds.
    pub text: String,
}

/// The blocks of a page, in order.
#[must_use]
pub fn blocks(page: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut open: Option<Block> = None;
    for (number, line) in (1..).zip(page.lines()) {
        match (line.trim_start().strip_prefix("```"), open.take()) {
            (Some(_), Some(block)) => blocks.push(block),
            (Some(info), None) => {
                let mut words = info.split_whitespace().map(str::to_owned);
                let language = words.next().unwrap_or_default();
                open = Some(Block { line: number, language, words: words.collect(), text: String::new() });
            }
            (None, Some(mut block)) => {
                block.text.push_str(line);
                block.text.push('\n');
                open = Some(block);
            }
            (None, None) => {}
        }
    }
    blocks
}

impl Block {
    /// The value of `key=` in its info string.
    #[must_use]
    pub fn value(&self, key: &str) -> Option<&str> {
        self.words.iter().find_map(|word| word.strip_prefix(key)?.strip_prefix('='))
    }

    /// Whether it is for another machine than the reader's.
    #[must_use]
    pub fn is_elsewhere(&self) -> bool {
        self.words.iter().any(|word| word == "elsewhere")
    }
}

/// A command, and what it must print.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Typed {
    /// The command.
    pub command: String,
    /// Lines that it prints, in this order, among others.
    pub printed: Vec<String>,
}

/// The commands of a `console` block.
#[must_use]
pub fn typed(text: &str) -> Vec<Typed> {
    let mut all: Vec<Typed> = Vec::new();
    let mut continues = false;
    for line in text.lines() {
        match (line.strip_prefix("$ "), all.last_mut()) {
            (Some(command), _) => all.push(Typed { command: command.into(), printed: Vec::new() }),
            (None, Some(last)) if continues => last.command = format!("{}\n{line}", last.command),
            (None, Some(last)) => last.printed.push(line.trim().into()),
            (None, None) => {}
        }
        continues = line.ends_with('\\');
    }
    all
}

/// Whether the lines were printed, in their order, among others; otherwise the first that was not.
pub fn matches(said: &str, printed: &[String]) -> Result<(), String> {
    let mut lines = said.lines();
    for wanted in printed.iter().filter(|wanted| !wanted.is_empty() && *wanted != "…") {
        let fits = |line: &str| {
            let mut rest = line;
            wanted.split('…').all(|part| {
                let found = rest.find(part.trim()).map(|at| &rest[at + part.trim().len()..]);
                found.map(|left| rest = left).is_some()
            })
        };
        if !lines.any(fits) {
            return Err(wanted.clone());
        }
    }
    Ok(())
}

/// Somebody who reads a page and does what it says, in a directory of their own.
pub struct Reader {
    dir: PathBuf,
    bin: PathBuf,
    exported: BTreeMap<String, String>,
    /// What the page calls an address, and what it is here.
    addresses: BTreeMap<&'static str, String>,
    cloud: Option<Child>,
    host: Option<Child>,
    /// The right to build a policy where others are built.
    project: Option<MutexGuard<'static, ()>>,
}

impl Drop for Reader {
    fn drop(&mut self) {
        for child in [&mut self.host, &mut self.cloud].into_iter().flatten() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Reader {
    /// A reader who sits in a directory, with `balm` and `balm-cloud` on the path, and nothing else of ours.
    ///
    /// # Panics
    ///
    /// If the programs cannot be put on the path.
    #[must_use]
    pub fn sitting_in(dir: &Path) -> Self {
        let bin = dir.join(".bin");
        fs::create_dir_all(&bin).expect("a directory can be made");
        for program in [programs::balm(), programs::balm_cloud()] {
            let _ = symlink(program, bin.join(program.file_name().expect("a program has a name")));
        }
        let addresses = [(HOST, "127.0.0.1:0".to_owned()), (CLOUD, "127.0.0.1:0".to_owned())].into();
        Self { dir: dir.into(), bin, exported: BTreeMap::new(), addresses, cloud: None, host: None, project: None }
    }

    /// The same, with a cloud that is up already.
    #[must_use]
    pub fn with_cloud(mut self, cloud: &Cloud) -> Self {
        self.addresses.insert(CLOUD, cloud.endpoint().trim_start_matches("http://").into());
        self
    }

    /// Do everything that a page says.
    ///
    /// # Panics
    ///
    /// If something is not as the page says, with its line.
    #[expect(clippy::panic, reason = "this is how a test fails")]
    pub fn follow(&mut self, name: &str, page: &str) {
        for block in blocks(page).iter().filter(|block| !block.is_elsewhere()) {
            if let Err(why) = self.take(block) {
                panic!("{name}:{}: {why}", block.line);
            }
        }
    }

    fn take(&mut self, block: &Block) -> Result<(), String> {
        if let Some(path) = block.value("file") {
            return fs::write(self.dir.join(path), self.here(&block.text)).map_err(|error| format!("{path}: {error}"));
        }
        if let Some(path) = block.value("add") {
            let file = fs::File::options().append(true).open(self.dir.join(path));
            let written = file.and_then(|mut file| file.write_all(format!("\n{}", self.here(&block.text)).as_bytes()));
            return written.map_err(|error| format!("{path}: {error}"));
        }
        match block.language.as_str() {
            "console" => typed(&block.text).iter().try_for_each(|typed| self.type_in(typed)),
            "text" | "json" => Ok(()),
            other => {
                Err(format!("a block of {other:?} that is neither a file nor typed: say file=, add= or elsewhere"))
            }
        }
    }

    fn here(&self, text: &str) -> String {
        self.addresses.iter().fold(text.to_owned(), |text, (book, here)| text.replace(book, here))
    }

    fn type_in(&mut self, Typed { command, printed }: &Typed) -> Result<(), String> {
        let here = self.here(command);
        if let Some(dir) = command.strip_prefix("cd ") {
            self.dir = self.dir.join(dir).canonicalize().map_err(|error| format!("cd {dir}: {error}"))?;
            return Ok(());
        }
        if let Some(pairs) = command.strip_prefix("export ") {
            let pairs = pairs.split_whitespace().filter_map(|pair| pair.split_once('='));
            self.exported.extend(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())));
            return Ok(());
        }
        if command.starts_with("balm serve") || command.starts_with("balm-cloud") {
            return self.begin(&here);
        }
        // What shows an effect is asked until it does, as a person would.
        let asks =
            ["balm explain", "balm status", "balm audit", "balm approvals"].iter().any(|ask| command.starts_with(ask));
        let since = Instant::now();
        loop {
            let output = self.shell(&here).output().map_err(|error| format!("{command}: {error}"))?;
            let said = [output.stdout, output.stderr].concat();
            let said = String::from_utf8_lossy(&said);
            let wrong = match matches(&said, printed) {
                Ok(()) if output.status.success() || printed.iter().any(|line| line.starts_with("balm: ")) => break,
                Ok(()) => format!("it ended with {}", output.status),
                Err(line) => format!("it does not print {line:?}"),
            };
            if !asks || since.elapsed() > WITHIN {
                return Err(format!("`{command}`: {wrong}; it says:\n{said}"));
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        if let Some(name) = command.strip_prefix("balm new ").and_then(|rest| rest.split_whitespace().next()) {
            self.project = None;
            self.project = Some(programs::lend_a_target(&self.dir.join(name)));
        }
        Ok(())
    }

    fn shell(&self, command: &str) -> Command {
        let path = std::env::var("PATH").unwrap_or_default();
        let mut shell = Command::new("sh");
        shell
            .args(["-c", command])
            .current_dir(&self.dir)
            .env("PATH", format!("{}:{path}", self.bin.display()))
            .env_remove("CARGO_TARGET_DIR")
            .env_remove("BALM_CONFIG")
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .envs(&self.exported)
            .stdin(Stdio::null());
        shell
    }

    /// Start a program that stays; one that runs already is told to end first, as with Ctrl-C.
    fn begin(&mut self, command: &str) -> Result<(), String> {
        let is_host = command.starts_with("balm serve");
        let running = if is_host { &mut self.host } else { &mut self.cloud };
        if let Some(mut child) = running.take() {
            let _ = Command::new("kill").arg("-INT").arg(child.id().to_string()).status();
            let _ = child.wait();
        }
        let log = fs::File::options().create(true).append(true).open(self.bin.join("log"));
        let log = log.map_err(|error| error.to_string())?;
        let mut shell = self.shell(&format!("exec {command}"));
        let mut child = shell.stdout(Stdio::piped()).stderr(log).spawn().map_err(|error| error.to_string())?;
        let mut line = String::new();
        let read = BufReader::new(child.stdout.take().expect("it is piped")).read_line(&mut line);
        let ready: serde_json::Value = serde_json::from_str(&line).unwrap_or_default();
        let (key, book) = if is_host { ("alerts", HOST) } else { ("address", CLOUD) };
        if is_host {
            self.host = Some(child);
        } else {
            self.cloud = Some(child);
        }
        let Some(address) = ready[key].as_str().and_then(|url| url.split('/').nth(2)).filter(|_| read.is_ok()) else {
            let log = fs::read_to_string(self.bin.join("log")).unwrap_or_default();
            return Err(format!("`{command}` did not become ready: {line}{log}"));
        };
        // A host keeps its port in the book's file; it is another one each time here.
        if !is_host {
            self.addresses.insert(book, address.to_owned());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_read_with_what_they_must_print() {
        let all = typed("$ balm a \\\n    b\nfirst …\n\n$ balm c\n");
        assert_eq!(all[0].command, "balm a \\\n    b");
        assert_eq!(all[0].printed, ["first …", ""]);
        assert_eq!(all[1], Typed { command: "balm c".into(), printed: vec![] });
    }

    #[test]
    fn what_was_printed_is_compared_in_order_with_gaps() {
        let wanted = |lines: &[&str]| lines.iter().map(ToString::to_string).collect::<Vec<_>>();
        let said = "one\nintent 12.0: verified\nthree\n";
        assert_eq!(matches(said, &wanted(&["one", "intent …: verified"])), Ok(()));
        assert_eq!(matches(said, &wanted(&["three", "one"])), Err("one".into()));
        assert_eq!(matches(said, &wanted(&["intent …: refused"])), Err("intent …: refused".into()));
    }
}
