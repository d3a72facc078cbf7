//! A host's life under load, as strace saw it: every change to the journal's files, and every acknowledgement.

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    thread,
};

use super::{Alerts, disk::Disk};
use crate::harness::{
    Dir,
    grafana::{Alert, body},
    host::{Files, Host, TOKEN},
    http::Connection,
    journal,
    strace::{self, Call, Event},
};

/// Senders at once, so that groups of several requests are committed together.
const SENDERS: usize = 4;

/// Calls that change files, and those with which an answer is sent. What else could change a file is among them so that it
/// is noticed: the model must know every call that touches the journal.
const CALLS: &str = "--trace=openat,creat,mkdir,mkdirat,rename,renameat,renameat2,unlink,unlinkat,link,linkat,truncate,ftruncate,\
    fallocate,write,writev,pwrite64,pwritev,pwritev2,sync_file_range,msync,fsync,fdatasync,sendto,sendmsg";

/// Something that matters to what a power cut leaves. Paths are relative to what the data directory lies in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// A directory was made.
    MakeDir(PathBuf),
    /// A file was opened and made if it was not there.
    Create {
        /// Which.
        path: PathBuf,
        /// Whether it was emptied.
        truncate: bool,
    },
    /// Room was allocated.
    Allocate {
        /// Of which file.
        path: PathBuf,
        /// Up to here.
        bytes: usize,
    },
    /// Bytes were written.
    Write {
        /// To which file.
        path: PathBuf,
        /// From here on.
        at: usize,
        /// These.
        bytes: Vec<u8>,
    },
    /// A file has another name.
    Rename(PathBuf, PathBuf),
    /// A name is gone.
    Remove(PathBuf),
    /// A file or directory is on the disk as it was when this was asked for.
    Synced(PathBuf),
    /// An answer began to be sent that acknowledges alerts, the last of them in this record.
    Acknowledged(u64),
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MakeDir(path) => write!(f, "mkdir {}", path.display()),
            Self::Create { path, .. } => write!(f, "open {}", path.display()),
            Self::Allocate { path, .. } => write!(f, "fallocate {}", path.display()),
            Self::Write { path, at, bytes } => write!(f, "write {} bytes at {at} of {}", bytes.len(), path.display()),
            Self::Rename(from, to) => write!(f, "rename {} to {}", from.display(), to.display()),
            Self::Remove(path) => write!(f, "unlink {}", path.display()),
            Self::Synced(path) => write!(f, "end of sync {}", path.display()),
            Self::Acknowledged(seq) => write!(f, "acknowledgement of record {seq}"),
        }
    }
}

/// What a host did.
pub(super) struct Life {
    /// The disk before.
    pub(super) begins: Disk,
    pub(super) steps: Vec<Step>,
    /// The last record that was acknowledged before.
    pub(super) needed: u64,
    /// The hash of every record.
    pub(super) hashes: BTreeMap<u64, String>,
    pub(super) acknowledged: usize,
}

/// Which alerts the answers on a connection are for, in order; by the sender's port.
type Sent = BTreeMap<u16, Vec<Vec<String>>>;

impl Life {
    /// Prepare a data directory, and let a host live in it.
    pub(super) fn live(name: &str, requests: usize, prepare: impl FnOnce(&Path)) -> Self {
        let files = Files::bare(Dir::new(name));
        files.edit("balm.toml", |text| {
            let small = text.replace("reserve-mib = 0", "reserve-mib = 0\nsegment-mib = 1");
            format!("max-body-kib = 512\n{small}")
        });
        let data = files.data();
        let below = data.parent().expect("it lies in a directory").to_owned();
        prepare(&data);
        let begins = if data.exists() { Disk::holding(&data, &below) } else { Disk::default() };
        let output = files.path("strace.txt");
        let strace = ["strace", "-D", "-f", "-yy", "-xx", "-s", "2000000", CALLS, "-o"].map(str::to_owned);
        let strace = [&strace[..], &[output.display().to_string()]].concat();
        let host = files.try_start_below(&strace).expect("the host becomes ready");
        let sent = load(&host, requests);
        let port: u16 = host.alerts.rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port");
        host.stop();
        let events = strace::read_to_the_end(&output);
        let (mut hashes, mut alerts) = (BTreeMap::new(), Alerts::new());
        journal::each(&data, |record, line| {
            hashes.insert(record.seq.0, String::from_utf8_lossy(&line[..64]).into_owned());
            if let balm_core::record::Fact::AlertReceived(received) = record.fact {
                alerts.insert(received.alert.fingerprint.clone(), record.seq.0);
            }
        });
        let acknowledged = sent.values().flatten().map(Vec::len).sum();
        let reader = Reader { below, data, port, sent, alerts, answers: BTreeMap::new() };
        Self { begins, steps: reader.read(&events), needed: 0, hashes, acknowledged }
    }
}

/// Post so many requests, one after the other by each sender.
fn load(host: &Host, requests: usize) -> Sent {
    let sent = Mutex::new(Sent::new());
    thread::scope(|threads| {
        for sender in 0..SENDERS {
            let (sent, host) = (&sent, &host);
            threads.spawn(move || {
                let mut connection = Connection::open(&host.alerts).expect("the host listens");
                let mut answered = Vec::new();
                for nth in (sender..requests).step_by(SENDERS) {
                    let alerts = alerts(nth);
                    let authorization = format!("Bearer {TOKEN}");
                    let headers = [("authorization", authorization.as_str())];
                    let answer =
                        connection.send("POST", "/v1/alerts/grafana", &headers, &body(&alerts)).expect("an answer");
                    assert_eq!(answer.status, 200, "{}", answer.body);
                    answered.push(alerts.into_iter().map(|alert| alert.fingerprint).collect());
                }
                let port = connection.port().expect("it is connected");
                sent.lock().unwrap_or_else(PoisonError::into_inner).insert(port, answered);
            });
        }
    });
    sent.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// One to four alerts, some with much to say: writes of a few sectors and of many.
fn alerts(nth: usize) -> Vec<Alert> {
    let count = 1 + nth % 4;
    let alert = |of: usize| {
        let mut alert = Alert::firing("Load", "db", (nth * 8 + of) as u64 + 1);
        alert.labels.push(("said".into(), "x".repeat((nth * 977 + of * 331) % 6_000)));
        alert
    };
    (0..count).map(alert).collect()
}

/// Makes steps of what strace saw.
struct Reader {
    below: PathBuf,
    data: PathBuf,
    port: u16,
    sent: Sent,
    alerts: Alerts,
    /// Answers so far, by the sender's port.
    answers: BTreeMap<u16, usize>,
}

impl Reader {
    /// A change counts from the moment that it was asked for, since any of it may be there from then on, and a sync from its
    /// end. What failed did nothing.
    fn read(mut self, events: &[Event]) -> Vec<Step> {
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
                let path = self.own(&quoted(arguments).next()?)?;
                Some(Step::Create { path, truncate: arguments.contains("O_TRUNC") })
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
            "openat" | "fsync" | "fdatasync" => None,
            other => {
                let touched = described(arguments).and_then(|path| self.own(path));
                assert!(touched.is_none(), "the model of the disk does not know {other}({arguments:.200})");
                None
            }
        }
    }

    fn returns(&self, call: &Call) -> Option<Step> {
        match call.name.as_str() {
            "fsync" | "fdatasync" => Some(Step::Synced(self.own(described(&call.arguments)?)?)),
            _ => None,
        }
    }

    /// A write that was cut short would be two steps.
    fn check_whole(&self, call: &Call, result: &str) {
        if call.name == "pwrite64" && described(&call.arguments).and_then(|path| self.own(path)).is_some() {
            let asked = quoted(&call.arguments).next().map_or(0, |bytes| bytes.len());
            assert_eq!(result.parse(), Ok(asked), "a write was cut short, or strace did not show all of it");
        }
    }

    /// A path of the journal's: relative, if it is one.
    fn own(&self, path: impl AsRef<[u8]>) -> Option<PathBuf> {
        let path = PathBuf::from(String::from_utf8(path.as_ref().to_vec()).ok()?);
        let relative = path.strip_prefix(&self.below).ok()?.to_owned();
        let dir = path.strip_prefix(&self.data).ok().map(|path| path.components().next());
        let is_own = match dir {
            // The data directory, and what it lies in.
            None => relative.as_os_str().is_empty(),
            Some(None) => true,
            Some(Some(first)) => ["journal", "cut"].iter().any(|own| first.as_os_str() == *own),
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
        let record = |fingerprint: &String| self.alerts.get(fingerprint).copied().unwrap_or(u64::MAX);
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
}
