//! strace: what a process asks of the kernel, in order, and an accident at one of those calls.
//!
//! It follows a host from its start or one of its threads from any moment, and reads what it wrote. It refuses to know what
//! the calls mean.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use super::wait;

/// How long strace may take to begin, and to write down the rest once the process has ended.
const WITHIN: Duration = Duration::from_secs(20);

/// Something that strace saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A thread entered a call. Where it did not return at once, the arguments are those known by then.
    Begins(Call),
    /// A call returned.
    Returns(Call, String),
}

/// A call to the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The thread, if more than one is followed.
    pub thread: u32,
    /// Which call.
    pub name: String,
    /// What stands in its parentheses.
    pub arguments: String,
}

/// A strace that follows one thread.
#[derive(Debug)]
pub struct Tracer {
    child: Child,
    output: PathBuf,
}

/// Why nothing can be followed on this machine, if that is so.
#[must_use]
pub fn missing() -> Option<String> {
    let mut sleeper = Command::new("sleep").arg("60").spawn().expect("a program can be started");
    let attached = attach(sleeper.id(), &[], Path::new("/dev/null"));
    let why = match attached {
        Ok(mut child) => {
            let _ = child.kill();
            let _ = child.wait();
            None
        }
        Err(why) => Some(why),
    };
    let _ = sleeper.kill();
    let _ = sleeper.wait();
    why
}

/// The thread of a process with a name.
///
/// # Panics
///
/// If there is none.
#[must_use]
pub fn thread(process: u32, name: &str) -> u32 {
    let threads = fs::read_dir(format!("/proc/{process}/task")).expect("the process runs").flatten();
    let named =
        threads.filter(|entry| fs::read_to_string(entry.path().join("comm")).is_ok_and(|comm| comm.trim() == name));
    let id = named.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).next();
    id.expect("the process has such a thread")
}

fn attach(thread: u32, arguments: &[&str], output: &Path) -> Result<Child, String> {
    let mut command = Command::new("strace");
    command.args(["-y", "-p", &thread.to_string(), "-o"]).arg(output).args(arguments);
    let spawned = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
    let mut child = spawned.map_err(|error| format!("strace cannot be run ({error}): install it"))?;
    let mut said = String::new();
    let stderr = child.stderr.take().expect("it is piped");
    let mut stderr = BufReader::new(stderr);
    let _ = stderr.read_line(&mut said);
    if said.contains(" attached") {
        // Whatever else it says must not make it wait for a reader.
        std::thread::spawn(move || std::io::copy(&mut stderr, &mut std::io::sink()));
        return Ok(child);
    }
    let _ = child.kill();
    let _ = child.wait();
    Err(format!(
        "strace may not follow others here ({}): run it as root, or set kernel.yama.ptrace_scope to 0",
        said.trim()
    ))
}

impl Tracer {
    /// Follow a thread from now on.
    ///
    /// # Panics
    ///
    /// If that is not possible: see [`missing`].
    #[must_use]
    pub fn attach(thread: u32, arguments: &[&str], output: PathBuf) -> Self {
        let child = attach(thread, arguments, &output).expect("strace may follow it");
        Self { child, output }
    }

    /// What was seen until the thread ended.
    #[must_use]
    pub fn ended(mut self) -> Vec<Event> {
        wait::until("strace to end", WITHIN, || self.child.try_wait().expect("it is our child"));
        read(&self.output)
    }
}

impl Drop for Tracer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a strace that was started before the process wrote, once it has seen the process end.
#[must_use]
pub fn read_to_the_end(output: &Path) -> Vec<Event> {
    wait::until("strace to see the process end", WITHIN, || {
        let text = fs::read(output).ok()?;
        let last = text[..text.len().saturating_sub(1)].rsplit(|c| *c == b'\n').next()?;
        let last = String::from_utf8_lossy(last);
        (last.contains("+++ exited with") || last.contains("+++ killed by")).then_some(())
    });
    read(output)
}

fn read(output: &Path) -> Vec<Event> {
    let text = fs::read(output).expect("strace writes what it sees");
    events(&String::from_utf8_lossy(&text))
}

/// Take strace's output apart. With several threads each line begins with one, and a call that others overtake is split.
fn events(text: &str) -> Vec<Event> {
    let (mut events, mut begun) = (Vec::new(), BTreeMap::new());
    for line in text.lines() {
        let (thread, rest) = split_thread(line);
        if let Some(resumed) = rest.strip_prefix("<... ") {
            let Some((name, rest)) = resumed.split_once(" resumed>") else { continue };
            let Some((end, result)) = split_result(rest) else { continue };
            let before: String = begun.remove(&thread).unwrap_or_default();
            let call = Call { thread, name: name.into(), arguments: before + end };
            events.push(Event::Returns(call, result.into()));
        } else if let Some((name, rest)) = rest.split_once('(').filter(|(name, _)| is_call(name)) {
            if let Some(arguments) = rest.strip_suffix(" <unfinished ...>") {
                begun.insert(thread, arguments.to_owned());
                events.push(Event::Begins(Call { thread, name: name.into(), arguments: arguments.into() }));
            } else {
                let (arguments, result) = split_result(rest).unwrap_or((rest, ""));
                let call = Call { thread, name: name.into(), arguments: arguments.into() };
                events.push(Event::Begins(call.clone()));
                if !result.is_empty() {
                    events.push(Event::Returns(call, result.into()));
                }
            }
        }
    }
    events
}

fn is_call(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'_')
}

fn split_thread(line: &str) -> (u32, &str) {
    let number = line.split_once(' ').and_then(|(number, rest)| Some((number.parse().ok()?, rest.trim_start())));
    number.unwrap_or((0, line))
}

/// Arguments and result. Strings of the arguments may hold anything, so the last `) = ` is meant.
fn split_result(text: &str) -> Option<(&str, &str)> {
    // The result may end in brackets of its own, and strace puts as many spaces before it as make a column.
    let mut ends = text.rmatch_indices(')').map(|(at, _)| at);
    ends.find_map(|at| Some((&text[..at], text[at + 1..].trim_start().strip_prefix("= ")?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_read_in_the_order_in_which_they_begin_and_return() {
        let text = "7 fdatasync(12</j> <unfinished ...>\n\
                    8 pwrite64(9</a b>, \") = \\\"\", 5, 0) = 5\n\
                    7 <... fdatasync resumed>)         = 0\n\
                    8 close(9</a b>)                   = -1 EIO (Input/output error) (INJECTED)\n\
                    7 futex(0x1, FUTEX_WAIT\n\
                    7 +++ killed by SIGKILL +++\n";
        let call =
            |thread, name: &str, arguments: &str| Call { thread, name: name.into(), arguments: arguments.into() };
        let write = call(8, "pwrite64", r#"9</a b>, ") = \"", 5, 0"#);
        let close = call(8, "close", "9</a b>");
        let wanted = [
            Event::Begins(call(7, "fdatasync", "12</j>")),
            Event::Begins(write.clone()),
            Event::Returns(write, "5".into()),
            Event::Returns(call(7, "fdatasync", "12</j>"), "0".into()),
            Event::Begins(close.clone()),
            Event::Returns(close, "-1 EIO (Input/output error) (INJECTED)".into()),
            Event::Begins(call(7, "futex", "0x1, FUTEX_WAIT")),
        ];
        assert_eq!(events(text), wanted);
    }
}
