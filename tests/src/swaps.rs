//! Plugins replaced under load: round after round all of them at once, with the policies beside them, as a mounted volume is
//! swapped; some of the new ones are broken. Afterwards everything is recounted: what was acknowledged and decided, by
//! which version, and with whose settings.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::fs::symlink,
    path::PathBuf,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use balm_core::{
    digest::Digest,
    evaluation::Conclusion,
    name::{PluginName, PolicyName},
    record::{Configured, Fact, Record},
};
use serde_json::Value;

use crate::{
    bench::quantile,
    harness::{
        Dir,
        grafana::{Alert, body},
        host::{Files, TOKEN},
        http::Connection,
        journal, memory, socket, stamped, wait,
    },
};

/// What is to be done.
#[derive(Clone, Debug)]
pub struct Options {
    /// How often a plugin is replaced.
    pub swaps: u64,
    /// What all randomness comes from.
    pub seed: u64,
    /// Where everything stays that is needed to recount; a temporary directory otherwise.
    pub keep: Option<PathBuf>,
}

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// How often a plugin was replaced, and the host was seen to have taken the new one in or refused it.
    pub swaps: u64,
    /// Those of them that brought a broken plugin or policy.
    pub broken: u64,
    /// Alerts that were acknowledged meanwhile.
    pub acknowledged: usize,
    /// Those of them that are not in the journal, or that nothing was decided about.
    pub lost: usize,
    /// Decisions of a plugin with another one's settings, of a broken plugin, or that failed.
    pub mixed: usize,
    /// Good versions that never came into force, and broken ones without a record of their refusal.
    pub missed: usize,
    /// MiB of memory that the host has in the end beyond what it had after the first round. Versions that are no longer in
    /// force must not stay: episodes and the audit database's cache may.
    pub grown_mib: f64,
    /// Milliseconds until an alert was acknowledged, for 99 of 100, in rounds of swapping.
    pub p99_swapping_ms: f64,
    /// The same between them.
    pub p99_quiet_ms: f64,
}

impl Report {
    /// Whether nothing was lost, mixed or missed.
    #[must_use]
    pub const fn is_clean(&self) -> bool {
        self.lost == 0 && self.mixed == 0 && self.missed == 0
    }

    /// By how much swapping slows an acknowledgement.
    #[must_use]
    pub fn p99_ratio(&self) -> f64 {
        self.p99_swapping_ms / self.p99_quiet_ms
    }
}

/// Plugins that are replaced at once, each with a policy.
const PLUGINS: u64 = 16;

/// Threads that send, and the time between two alerts of each: 100 alerts a second.
const SENDERS: u64 = 4;
const SEND_EVERY: Duration = Duration::from_millis(40);

/// How long a round may take; in a build without optimisation a plugin compiles in a second.
const ROUND_WITHIN: Duration = Duration::from_secs(120);

/// The longest pause between two rounds, in which alerts are measured as well.
const QUIET_MOST: Duration = Duration::from_secs(4);

/// How often the host is asked how far it is.
const ASK_EVERY: Duration = Duration::from_millis(100);

/// What a plugin is replaced by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Offer {
    Good,
    NoWasm,
    Traps,
    OthersSettings,
    WrongPolicy,
}

/// One plugin of one round.
struct Swap {
    plugin: u64,
    number: u64,
    offer: Offer,
    digest: String,
}

struct Stage {
    /// Whether plugins are being replaced now.
    swapping: AtomicBool,
    curtain: AtomicBool,
    fingerprints: AtomicU64,
    sent: Mutex<Sent>,
}

/// What senders have to tell.
#[derive(Default)]
struct Sent {
    acknowledged: Vec<u64>,
    swapping_ms: Vec<f64>,
    quiet_ms: Vec<f64>,
}

/// Swap, and recount.
///
/// # Panics
///
/// If a round is not taken in in time.
#[must_use]
pub fn run(options: &Options) -> Report {
    let files = Files::bare(options.keep.clone().map_or_else(|| Dir::new("swaps"), Dir::kept));
    for plugin in 0..PLUGINS {
        for extension in ["wasm", "toml"] {
            let file = format!("{}.{extension}", name(plugin));
            symlink(format!("..data/{file}"), files.path("plugins").join(file)).expect("a link can be made");
        }
    }
    let mut made = vec![round(&files, 0, (0..PLUGINS).map(|plugin| swap(plugin, plugin, Offer::Good)).collect())];
    let host = files.start();
    settle(&files, &made[0]);
    let resident = memory::resident_mib(host.pid());
    let stage = Stage {
        swapping: AtomicBool::new(false),
        curtain: AtomicBool::new(false),
        fingerprints: AtomicU64::new(1),
        sent: Mutex::new(Sent::default()),
    };
    thread::scope(|threads| {
        for _ in 0..SENDERS {
            threads.spawn(|| stage.send(&host.alerts));
        }
        stage.swap_all(&files, options, &mut made);
    });
    let sent = stage.sent.into_inner().unwrap_or_else(PoisonError::into_inner);
    wait::until("the host to have nothing more to do", ROUND_WITHIN, || {
        let status = socket::get(&files.data(), "/status").ok()?;
        (status["backlog"] == 0).then_some(())
    });
    let grown_mib = memory::resident_mib(host.pid()) - resident;
    host.stop();
    let report = recount(options, sent, &made, &files);
    Report { grown_mib, ..report }
}

impl Stage {
    /// Round after round, with a pause after each, in which nothing else is different.
    fn swap_all(&self, files: &Files, options: &Options, made: &mut Vec<Vec<Swap>>) {
        let mut random = options.seed | 1;
        let mut left = options.swaps;
        while left > 0 {
            let count = left.min(PLUGINS);
            let first = made.len() as u64 * PLUGINS;
            // The others are as they were, to the byte.
            let mut swaps: Vec<Swap> = (0..count).map(|i| swap(i, first + i, offer(&mut random))).collect();
            let before = made.last().expect("there is a first round");
            swaps.extend(
                before
                    .iter()
                    .skip(swaps.len())
                    .map(|as_it_was| swap(as_it_was.plugin, as_it_was.number, as_it_was.offer)),
            );
            let since = Instant::now();
            self.swapping.store(true, Ordering::SeqCst);
            let swapped = round(files, made.len(), swaps);
            settle(files, &swapped);
            self.swapping.store(false, Ordering::SeqCst);
            made.push(swapped);
            left -= count;
            rest(files, since.elapsed().min(QUIET_MOST));
        }
        self.curtain.store(true, Ordering::SeqCst);
    }

    /// Send an alert at every beat, and measure from the beat on, so that a late answer delays no measurement.
    fn send(&self, address: &str) {
        let authorization = format!("Bearer {TOKEN}");
        let headers = [("authorization", authorization.as_str())];
        let mut connection = Connection::open(address).expect("the host listens");
        let mut beat = Instant::now();
        while !self.curtain.load(Ordering::SeqCst) {
            beat += SEND_EVERY;
            thread::sleep(beat.saturating_duration_since(Instant::now()));
            let fingerprint = self.fingerprints.fetch_add(1, Ordering::SeqCst);
            let alert = Alert::firing("Swapped", &name(fingerprint % PLUGINS), fingerprint);
            let swapping = self.swapping.load(Ordering::SeqCst);
            let answer = connection.send("POST", "/v1/alerts/grafana", &headers, &body(&[alert]));
            let answered = beat.elapsed().as_secs_f64() * 1000.0;
            match answer {
                Ok(answer) if answer.status == 200 => {
                    let mut sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
                    sent.acknowledged.push(fingerprint);
                    if swapping { sent.swapping_ms.push(answered) } else { sent.quiet_ms.push(answered) }
                }
                // Sent back: not acknowledged, and slow enough to be seen where times are compared.
                Ok(_) => {}
                Err(_) => connection = Connection::open(address).expect("the host listens"),
            }
        }
    }
}

fn name(plugin: u64) -> String {
    format!("web-{plugin}")
}

fn offer(random: &mut u64) -> Offer {
    *random ^= *random << 13;
    *random ^= *random >> 7;
    *random ^= *random << 17;
    match *random % 16 {
        0 => Offer::NoWasm,
        1 => Offer::Traps,
        2 => Offer::OthersSettings,
        3 => Offer::WrongPolicy,
        _ => Offer::Good,
    }
}

fn swap(plugin: u64, number: u64, offer: Offer) -> Swap {
    let digest = stamped::digest(&component(number, offer));
    Swap { plugin, number, offer, digest }
}

fn component(number: u64, offer: Offer) -> Vec<u8> {
    match offer {
        Offer::NoWasm => format!("no WebAssembly, but a text with the number {number}").into_bytes(),
        Offer::Traps => stamped::trapping(number),
        Offer::Good | Offer::OthersSettings | Offer::WrongPolicy => stamped::version(number),
    }
}

fn policy(swap: &Swap) -> String {
    let stamp = if swap.offer == Offer::OthersSettings { "another" } else { &stamped::number(swap.number) };
    let mistake =
        if swap.offer == Offer::WrongPolicy { format!("mistake-{} = 1\n", swap.number) } else { String::new() };
    mistake + &stamped::policy(&name(swap.plugin), stamp)
}

/// All plugins with their policies, in place with one rename.
fn round(files: &Files, number: usize, swaps: Vec<Swap>) -> Vec<Swap> {
    let (plugins, version) = (files.path("plugins"), format!("..v{number}"));
    fs::create_dir(plugins.join(&version)).expect("a directory can be made");
    for swap in &swaps {
        let file = |extension: &str| plugins.join(&version).join(name(swap.plugin)).with_extension(extension);
        fs::write(file("wasm"), component(swap.number, swap.offer)).expect("a file can be written");
        fs::write(file("toml"), policy(swap)).expect("a file can be written");
    }
    symlink(version, plugins.join("..new")).expect("a link can be made");
    fs::rename(plugins.join("..new"), plugins.join("..data")).expect("a link can be renamed");
    if let Some(old) = number.checked_sub(2) {
        let _ = fs::remove_dir_all(plugins.join(format!("..v{old}")));
    }
    swaps
}

/// Wait until every plugin is in force or refused.
fn settle(files: &Files, swaps: &[Swap]) {
    wait::until("a round to be taken in", ROUND_WITHIN, || {
        let shown = socket::get(&files.data(), "/plugins").ok()?;
        let shown = shown.as_array()?;
        let by_name = |swap: &Swap| shown.iter().find(|plugin| plugin["plugin"] == name(swap.plugin).as_str());
        let settled = swaps.iter().all(|swap| by_name(swap).is_some_and(|plugin| is_settled(swap, plugin)));
        if !settled {
            thread::sleep(ASK_EVERY);
        }
        settled.then_some(())
    });
}

/// Do nothing but ask the host as often as while a round is taken in, so that asking makes no difference.
fn rest(files: &Files, span: Duration) {
    let since = Instant::now();
    while since.elapsed() < span {
        let _ = socket::get(&files.data(), "/plugins");
        thread::sleep(ASK_EVERY);
    }
}

fn is_settled(swap: &Swap, shown: &Value) -> bool {
    match swap.offer {
        Offer::Good => shown["digest"] == swap.digest.as_str() && shown["why"].is_null(),
        Offer::NoWasm | Offer::Traps | Offer::OthersSettings => shown["refused"]["digest"] == swap.digest.as_str(),
        Offer::WrongPolicy => {
            shown["why"].as_str().is_some_and(|why| why.contains(&format!("mistake-{} is no key", swap.number)))
        }
    }
}

fn recount(options: &Options, mut sent: Sent, made: &[Vec<Swap>], files: &Files) -> Report {
    let good: BTreeMap<&str, u64> = made
        .iter()
        .flatten()
        .filter(|swap| swap.offer == Offer::Good)
        .map(|swap| (swap.digest.as_str(), swap.number))
        .collect();
    let mut seen = Recount::default();
    journal::each(&files.data(), |record, _| seen.take(record, &good));
    let broken = made.iter().flatten().filter(|swap| swap.offer != Offer::Good);
    let numbers: BTreeSet<u64> = broken.map(|swap| swap.number).collect();
    let activated = good.keys().filter(|digest| seen.activated.contains(**digest)).count();
    let refused = numbers.len().saturating_sub(seen.refused);
    let fingerprint = |number: &&u64| format!("{number:016x}");
    let lost = sent.acknowledged.iter().filter(|number| !seen.decided.contains(&fingerprint(number))).count();
    if options.keep.is_some() {
        let lines: String = sent.acknowledged.iter().map(|number| format!("{number:016x}\n")).collect();
        files.write("acknowledged.txt", &lines);
    }
    Report {
        swaps: options.swaps,
        broken: numbers.len() as u64,
        acknowledged: sent.acknowledged.len(),
        lost,
        mixed: seen.mixed,
        grown_mib: 0.0,
        missed: good.len() - activated + refused,
        p99_swapping_ms: quantile(&mut sent.swapping_ms, 0.99),
        p99_quiet_ms: quantile(&mut sent.quiet_ms, 0.99),
    }
}

/// What the journal says.
#[derive(Default)]
struct Recount {
    fingerprints: BTreeMap<u64, String>,
    configured: BTreeMap<u64, Box<Configured>>,
    /// The record with the configuration in force, and the versions in force.
    configuration: u64,
    versions: BTreeMap<PluginName, Digest>,
    /// What was in force together, at the end of a batch.
    together: BTreeSet<(PolicyName, Digest, String)>,
    decided: BTreeSet<String>,
    activated: BTreeSet<String>,
    refused: usize,
    mixed: usize,
}

impl Recount {
    fn take(&mut self, record: Record, good: &BTreeMap<&str, u64>) {
        let Record { seq, more, fact, .. } = record;
        let mut changed = true;
        match fact {
            Fact::AlertReceived(received) => {
                self.fingerprints.insert(seq.0, received.alert.fingerprint);
                changed = false;
            }
            Fact::Configured(configured) => {
                self.configuration = seq.0;
                self.configured.insert(seq.0, configured);
            }
            Fact::PluginActivated(activated) => {
                let digest = activated.digest.to_string();
                self.mixed += usize::from(!good.contains_key(digest.as_str()));
                self.activated.insert(digest);
                self.versions.insert(activated.plugin, activated.digest);
            }
            Fact::PluginRefused(_) | Fact::ConfigurationRefused(_) => self.refused += 1,
            Fact::Evaluated(capsule) => {
                let said = match &capsule.conclusion {
                    Conclusion::Decided(decision) => Some(decision.explanation.as_str()),
                    Conclusion::Failed(_) => None,
                };
                let number = good.get(capsule.plugin.to_string().as_str()).copied();
                let wanted = number.map(|number| stamped::explanation(number, &stamped::number(number)));
                let settings = self.settings(capsule.configured.0, &capsule.policy);
                let pair = settings.map(|settings| (capsule.policy.clone(), capsule.plugin, settings));
                let whole = wanted.is_some() && wanted.as_deref() == said;
                self.mixed += usize::from(!whole || pair.is_none_or(|pair| !self.together.contains(&pair)));
                self.decided.extend(self.fingerprints.get(&capsule.episode.0.0).filter(|_| said.is_some()).cloned());
                changed = false;
            }
            _ => changed = false,
        }
        if changed && !more {
            self.remember_together();
        }
    }

    fn remember_together(&mut self) {
        let Some(configured) = self.configured.get(&self.configuration) else { return };
        for (name, policy) in &configured.configuration.policies {
            if let Some(digest) = self.versions.get(&policy.plugin) {
                self.together.insert((name.clone(), *digest, policy.settings.to_string()));
            }
        }
    }

    fn settings(&self, configured: u64, policy: &PolicyName) -> Option<String> {
        let policies = &self.configured.get(&configured)?.configuration.policies;
        policies.get(policy).map(|policy| policy.settings.to_string())
    }
}
