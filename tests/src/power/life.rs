//! A host's life under load, as strace saw it: every change to what a start reads, and every acknowledgement.

use std::{
    fs,
    path::Path,
    sync::{Mutex, PoisonError},
    thread,
    time::Duration,
};

use super::{
    disk::Disk,
    reader::{CALLS, Reader, Sent},
    step::Step,
};
use crate::harness::{
    Dir,
    grafana::{Alert, body},
    host::{Files, Host, TOKEN},
    http::Connection,
    known::{Known, named},
    strace, wait,
};

/// Senders at once, so that groups of several requests are committed together.
const SENDERS: usize = 4;

/// Records between two saved states: as few as a configuration may have.
const STATE_EVERY: usize = 100;

/// Requests after which a state is due: each brings two to four records and later as many again.
const DUE_AFTER: usize = STATE_EVERY / 4;

/// Bytes of the journal after which another of its files is begun, and how many files are there before the oldest is dropped.
const SEGMENT_MIB: usize = 1;
const FILES: usize = 4;

const WITHIN: Duration = Duration::from_secs(120);

/// What happens in a life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Story {
    /// A host begins on nothing, and saves its state more than once.
    Begins,
    /// A host begins on a write that is there by half.
    CutsTorn,
    /// A host drops the oldest of its records.
    Drops,
}

/// What a host did.
pub(super) struct Life {
    pub(super) story: Story,
    /// The disk before.
    pub(super) begins: Disk,
    pub(super) steps: Vec<Step>,
    /// The last record that was acknowledged before.
    pub(super) needed: u64,
    pub(super) known: Known,
    pub(super) acknowledged: usize,
}

/// A host's files, and what is known of what it did before.
struct Prepared {
    files: Files,
    known: Known,
    needed: u64,
    /// Requests so far: no two are about the same alerts.
    requests: usize,
}

/// Sends requests to a host.
struct Load<'a> {
    host: &'a Host,
    requests: usize,
    sent: Sent,
}

impl Life {
    /// Of a host that begins on nothing.
    pub(super) fn beginning(requests: usize) -> Self {
        Prepared::new("power").live(Story::Begins, |load, data| {
            for _ in 0..3 {
                load.send_until_saved(data, requests.div_ceil(3));
            }
        })
    }

    /// Of a host that finds a write torn, behind a record that was acknowledged.
    pub(super) fn on_torn(torn: impl FnOnce(&Path), needed: u64, requests: usize) -> Self {
        let mut prepared = Prepared::new("power-torn");
        torn(&prepared.files.data());
        prepared.known.learn(&prepared.files.data());
        prepared.needed = needed;
        prepared.live(Story::CutsTorn, |load, _| load.send(requests))
    }

    /// Of a host that has more records than it is to keep, and drops the oldest.
    pub(super) fn dropping(requests: usize) -> Self {
        let mut prepared = Prepared::new("power-drops");
        prepared.fill();
        prepared.files.edit("balm.toml", |text| {
            text.replace("segment-mib", &format!("keep-mib = {}\nsegment-mib", SEGMENT_MIB * (FILES - 1)))
        });
        prepared.live(Story::Drops, |load, data| {
            let oldest = data.join(format!("journal/{:020}.journal", 1));
            while oldest.exists() {
                load.send_until_saved(data, requests);
            }
        })
    }
}

impl Prepared {
    fn new(name: &str) -> Self {
        let files = Files::bare(Dir::new(name));
        files.edit("balm.toml", |text| {
            let journal = format!("reserve-mib = 0\nsegment-mib = {SEGMENT_MIB}\nstate-every = {STATE_EVERY}");
            format!("max-body-kib = 512\n{}", text.replace("reserve-mib = 0", &journal))
        });
        Self { files, known: Known::default(), needed: 0, requests: 0 }
    }

    /// Let a host that nobody follows write until there are so many files.
    fn fill(&mut self) {
        let (host, data) = (self.files.start(), self.files.data());
        let mut load = Load { host: &host, requests: 0, sent: Sent::new() };
        while count(&data.join("journal"), "journal") < FILES {
            load.send_until_saved(&data, DUE_AFTER);
        }
        self.requests = load.requests;
        host.stop();
        self.known.learn(&data);
        self.needed = self.known.last();
    }

    /// Let a host live, followed by strace.
    fn live(mut self, story: Story, play: impl FnOnce(&mut Load<'_>, &Path)) -> Life {
        let data = self.files.data();
        let below = data.parent().expect("it lies in a directory");
        let begins = if data.exists() { Disk::holding(&data, below) } else { Disk::default() };
        let output = self.files.path("strace.txt");
        let strace = ["strace", "-D", "-f", "-yy", "-xx", "-s", "2000000", CALLS, "-o"].map(str::to_owned);
        let strace = [&strace[..], &[output.display().to_string()]].concat();
        let host = self.files.try_start_below(&strace).expect("the host becomes ready");
        let mut load = Load { host: &host, requests: self.requests, sent: Sent::new() };
        play(&mut load, &data);
        let sent = load.sent;
        let port: u16 = host.alerts.rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port");
        host.stop();
        self.known.learn(&data);
        let record = |alert: &str| self.known.record_of(alert);
        let steps = Reader::new(&data, port, &sent, &record).read(&strace::read_to_the_end(&output));
        let acknowledged = sent.values().flatten().map(Vec::len).sum();
        Life { story, begins, steps, needed: self.needed, known: self.known, acknowledged }
    }
}

impl Load<'_> {
    /// Send requests until a state is due, and wait for it.
    fn send_until_saved(&mut self, data: &Path, requests: usize) {
        let before = last_state(data);
        self.send(requests.max(DUE_AFTER));
        wait::until("a state to be saved", WITHIN, || (last_state(data) > before).then_some(()));
    }

    /// Send so many requests, one after the other by each sender: alerts that fire, and then the same resolved.
    fn send(&mut self, requests: usize) {
        let (host, sent) = (self.host, Mutex::new(&mut self.sent));
        let numbers = self.requests..self.requests + requests;
        thread::scope(|threads| {
            for sender in 0..SENDERS {
                let (sent, numbers) = (&sent, numbers.clone());
                threads.spawn(move || {
                    let mut connection = Connection::open(&host.alerts).expect("the host listens");
                    let mut answered = Vec::new();
                    for alerts in numbers.skip(sender).step_by(SENDERS).flat_map(|nth| [firing(nth), resolved(nth)]) {
                        let authorization = format!("Bearer {TOKEN}");
                        let headers = [("authorization", authorization.as_str())];
                        let answer =
                            connection.send("POST", "/v1/alerts/grafana", &headers, &body(&alerts)).expect("an answer");
                        assert_eq!(answer.status, 200, "{}", answer.body);
                        answered.push(alerts.iter().map(|alert| named(&alert.fingerprint, alert.firing)).collect());
                    }
                    let port = connection.port().expect("it is connected");
                    let mut sent = sent.lock().unwrap_or_else(PoisonError::into_inner);
                    sent.entry(port).or_insert_with(Vec::new).extend(answered);
                });
            }
        });
        self.requests += requests;
    }
}

/// One to four alerts, some with much to say: writes of a few sectors and of many.
fn firing(nth: usize) -> Vec<Alert> {
    let alert = |of: usize| {
        let mut alert = Alert::firing("Load", "db", (nth * 8 + of) as u64 + 1);
        alert.labels.push(("said".into(), "x".repeat((nth * 977 + of * 331) % 6_000)));
        alert
    };
    (0..=nth % 4).map(alert).collect()
}

/// The same at their end: what is open needs its records, and none of those could be dropped.
fn resolved(nth: usize) -> Vec<Alert> {
    let alert = |of: usize| Alert::firing("Load", "db", (nth * 8 + of) as u64 + 1).resolved("2026-11-01T10:00:00Z");
    (0..=nth % 4).map(alert).collect()
}

/// The record that the newest saved state is of.
fn last_state(data: &Path) -> u64 {
    let entries = fs::read_dir(data.join("state")).into_iter().flatten().flatten();
    let number = |entry: fs::DirEntry| entry.file_name().to_str()?.strip_suffix(".state")?.parse().ok();
    entries.filter_map(number).max().unwrap_or_default()
}

fn count(dir: &Path, ending: &str) -> usize {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries.filter(|entry| entry.path().extension().is_some_and(|it| it == ending)).count()
}
