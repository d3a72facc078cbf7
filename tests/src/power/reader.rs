//! Makes steps of what strace saw.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use super::step::Step;
use crate::harness::strace::{Call, Event};

/// Calls that change files, and those with which an answer is sent. What else could change a file is among them so that it
/// is noticed: the model must know every call that touches what a start reads.
pub(super) const CALLS: &str = "--trace=openat,creat,mkdir,mkdirat,rename,renameat,renameat2,unlink,unlinkat,link,linkat,truncate,ftruncate,\
    fallocate,write,writev,pwrite64,pwritev,pwritev2,sync_file_range,msync,fsync,fdatasync,sendto,sendmsg";

/// Directories in the data directory that a start finds the records and the state in.
pub(super) const OWN: [&str; 3] = ["journal", "cut", "state"];

/// Which alerts the answers on a connection are for, in order; by the sender's port.
pub(super) type Sent = BTreeMap<u16, Vec<Vec<String>>>;

/// What is known of the host that strace saw.
pub(super) struct Reader<'a> {
    below: &'a Path,
    data: &'a Path,
    port: u16,
    sent: &'a Sent,
    /// The record of an alert.
    record: &'a dyn Fn(&str) -> Option<u64>,
    /// Answers so far, by the sender's port.
    answers: BTreeMap<u16, usize>,
    /// Where files end that are written from their beginning to their end.
    ends: BTreeMap<PathBuf, usize>,
}

impl<'a> Reader<'a> {
    /// Of a host with this data directory that listens on a port.
    pub(super) fn new(data: &'a Path, port: u16, sent: &'a Sent, record: &'a dyn Fn(&str) -> Option<u64>) -> Self {
        let below = data.parent().expect("it lies in a directory");
        Self { below, data, port, sent, record, answers: BTreeMap::new(), ends: BTreeMap::new() }
    }

    /// A change counts from the moment that it was asked for, since any of it may be there from then on, and a sync from its
    /// end. What failed did nothing.
    pub(super) fn read(mut self, events: &[Event]) -> Vec<Step> {
        let mut steps: Vec<Option<Step>> = Vec::new();
        let mut under_way: BTreeMap<u32, usize> = BTreeMap::new();
        for event in events {
            match event {
                Event::Begins(call) => {
                    under_way.insert(call.thread, steps.len());
                    steps.push(self.begins(call));
                }
                Event::Returns(call, result) => {
                    let begun = under_way.remove(&call.thread);
                    if result.starts_with("-1") {
                        begun.into_iter().for_each(|at| steps[at] = None);
                    } else {
                        self.check_whole(call, result);
                        steps.push(self.returns(call));
                    }
                }
            }
        }
        steps.into_iter().flatten().collect()
    }

    fn begins(&mut self, call: &Call) -> Option<Step> {
        let arguments = &call.arguments;
        match call.name.as_str() {
            "sendto" | "sendmsg" | "write" | "writev" if arguments.contains("<TCP:[") => self.answers(arguments),
            "openat" if arguments.contains("O_CREAT") => {
                let (path, truncate) = (self.own(&quoted(arguments).next()?)?, arguments.contains("O_TRUNC"));
                if truncate {
                    self.ends.insert(path.clone(), 0);
                }
                Some(Step::Create { path, truncate })
            }
            "mkdir" => Some(Step::MakeDir(self.own(&quoted(arguments).next()?)?)),
            "unlink" => Some(Step::Remove(self.own(&quoted(arguments).next()?)?)),
            "rename" => {
                let mut paths = quoted(arguments);
                let (from, to) = (self.own(&paths.next()?)?, self.own(&paths.next()?)?);
                Some(Step::Rename(from, to))
            }
            "fallocate" => {
                let (path, bytes) = (self.own(described(arguments)?)?, numbers(arguments).last()?);
                Some(Step::Allocate { path, bytes })
            }
            "pwrite64" => {
                let path = self.own(described(arguments)?)?;
                let (bytes, at) = (quoted(arguments).next()?, numbers(arguments).last()?);
                Some(Step::Write { path, at, bytes })
            }
            "write" => {
                let path = self.own(described(arguments)?)?;
                let bytes = quoted(arguments).next()?;
                let end = self.ends.get_mut(&path).expect("what is written to was emptied before");
                let at = std::mem::replace(end, *end + bytes.len());
                Some(Step::Write { path, at, bytes })
            }
            "fsync" | "fdatasync" => {
                self.own(described(arguments)?)?;
                Some(Step::Syncs(call.thread))
            }
            "openat" => None,
            other => {
                let touched = described(arguments).and_then(|path| self.own(path));
                assert!(touched.is_none(), "the model of the disk does not know {other}({arguments:.200})");
                None
            }
        }
    }

    fn returns(&self, call: &Call) -> Option<Step> {
        match call.name.as_str() {
            "fsync" | "fdatasync" => Some(Step::Synced(call.thread, self.own(described(&call.arguments)?)?)),
            _ => None,
        }
    }

    /// A write that was cut short would be two steps.
    fn check_whole(&self, call: &Call, result: &str) {
        let writes = matches!(call.name.as_str(), "write" | "pwrite64");
        if writes && described(&call.arguments).and_then(|path| self.own(path)).is_some() {
            let asked = quoted(&call.arguments).next().map_or(0, |bytes| bytes.len());
            assert_eq!(result.parse(), Ok(asked), "a write was cut short, or strace did not show all of it");
        }
    }

    /// A path that a start reads: relative, if it is one.
    fn own(&self, path: impl AsRef<[u8]>) -> Option<PathBuf> {
        let path = PathBuf::from(String::from_utf8(path.as_ref().to_vec()).ok()?);
        let relative = path.strip_prefix(self.below).ok()?.to_owned();
        let dir = path.strip_prefix(self.data).ok().map(|path| path.components().next());
        let is_own = match dir {
            // The data directory, and what it lies in.
            None => relative.as_os_str().is_empty(),
            Some(None) => true,
            Some(Some(first)) => OWN.iter().any(|own| first.as_os_str() == *own),
        };
        is_own.then_some(relative)
    }

    /// The record of the last alert that an answer acknowledges.
    fn answers(&mut self, arguments: &str) -> Option<Step> {
        let sent = quoted(arguments).next()?;
        let connection = described(arguments)?;
        let (own, peer) = connection.strip_prefix("TCP:[")?.strip_suffix(']')?.split_once("->")?;
        let port = |address: &str| address.rsplit(':').next()?.parse::<u16>().ok();
        if port(own)? != self.port || !sent.starts_with(b"HTTP/1.1 200 ") {
            return None;
        }
        let peer = port(peer)?;
        let nth = self.answers.entry(peer).or_default();
        let alerts = self.sent.get(&peer)?.get(*nth)?;
        *nth += 1;
        // An alert without a record was lost already.
        let record = |alert: &String| (self.record)(alert).unwrap_or(u64::MAX);
        alerts.iter().map(record).max().map(Step::Acknowledged)
    }
}

/// What strace says of a descriptor that is the first argument, as in `12</a/file>`.
fn described(arguments: &str) -> Option<String> {
    let first = arguments.split(", ").next()?;
    let described = first.split_once('<')?.1.strip_suffix('>')?;
    if described.starts_with("\\x") { String::from_utf8(digits(described)).ok() } else { Some(described.to_owned()) }
}

/// The strings among arguments, which strace writes in hexadecimal digits throughout.
fn quoted(arguments: &str) -> impl Iterator<Item = Vec<u8>> {
    arguments.split('"').skip(1).step_by(2).map(digits)
}

fn digits(text: &str) -> Vec<u8> {
    let byte = |digits| u8::from_str_radix(digits, 16).expect("strace writes two digits");
    text.split("\\x").skip(1).map(byte).collect()
}

/// The numbers among arguments.
fn numbers(arguments: &str) -> impl Iterator<Item = usize> {
    arguments.split(", ").filter_map(|argument| argument.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_read_as_strace_writes_them() {
        let write = r#"12<\x2f\x64\x2f\x6a>, "\x61\x0a\x00", 3, 864"#;
        assert_eq!(described(write).as_deref(), Some("/d/j"));
        assert_eq!(quoted(write).collect::<Vec<_>>(), [b"a\n\0"]);
        assert_eq!(numbers(write).last(), Some(864));
        let rename = r#""\x2f\x61", "\x2f\x62""#;
        assert_eq!(quoted(rename).collect::<Vec<_>>(), [b"/a", b"/b"]);
        assert_eq!(
            described("9<TCP:[127.0.0.1:1->127.0.0.1:2]>, 0").as_deref(),
            Some("TCP:[127.0.0.1:1->127.0.0.1:2]")
        );
    }

    #[test]
    fn a_file_without_places_is_written_from_its_beginning_and_a_sync_belongs_to_its_thread() {
        let hex = |text: &str| text.bytes().map(|byte| format!("\\x{byte:02x}")).collect::<String>();
        let call = |thread, name: &str, arguments: String| Call { thread, name: name.into(), arguments };
        let file = hex("/t/data/state/next.part");
        let events = [
            Event::Begins(call(7, "openat", format!("AT_FDCWD, \"{file}\", O_WRONLY|O_CREAT|O_TRUNC, 0600"))),
            Event::Begins(call(7, "write", format!("9<{file}>, \"{}\", 2", hex("ab")))),
            Event::Begins(call(7, "write", format!("9<{file}>, \"{}\", 1", hex("c")))),
            Event::Begins(call(7, "fsync", format!("9<{file}>"))),
            Event::Begins(call(8, "write", format!("2<{}>, \"{}\", 1", hex("/t/balm.log"), hex("x")))),
            Event::Returns(call(7, "fsync", format!("9<{file}>")), "0".into()),
        ];
        let (sent, path) = (Sent::new(), PathBuf::from("data/state/next.part"));
        let reader = Reader::new(Path::new("/t/data"), 80, &sent, &|_| None);
        let write = |at, bytes: &[u8]| Step::Write { path: path.clone(), at, bytes: bytes.into() };
        let wanted = [
            Step::Create { path: path.clone(), truncate: true },
            write(0, b"ab"),
            write(2, b"c"),
            Step::Syncs(7),
            Step::Synced(7, path.clone()),
        ];
        assert_eq!(reader.read(&events), wanted);
    }
}
