//! A host with several versions of one plugin, followed by strace while one change is made, and what is recounted once it has
//! started again.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use balm_core::{
    evaluation::{Capsule, Conclusion},
    record::Fact,
};
use serde_json::Value;

use super::{
    Change, Point, Report,
    changes::{ACTIVE, FILE, KNOWN, NEW},
};
use crate::harness::{
    Dir, copy,
    grafana::{Alert, body},
    host::{Files, Host},
    journal, socket, stamped,
    strace::{Event, Tracer},
};

/// How long anything may take, on a busy machine in a build without optimisation.
const WITHIN: Duration = Duration::from_secs(60);

/// How long a host that has answered is watched for its end: strace kills it in its next calls, or not any more.
const ENDS_WITHIN: Duration = Duration::from_millis(500);

/// The data directory of a host that knows three versions, to be copied.
pub(super) struct Template {
    data: PathBuf,
    /// In the names of the files of its cache: for which engine they are.
    engine: String,
    _dir: Dir,
}

/// The files of a host, with a change to be made.
pub(super) struct Stage {
    files: Files,
    change: Change,
    engine: String,
}

/// What a host shows of the plugin's versions: their states by their numbers.
type Shown = BTreeMap<u64, String>;

impl Template {
    pub(super) fn make() -> Self {
        let files = bare("lifecycle-template");
        let host = files.start();
        for version in [ACTIVE, KNOWN] {
            let _ = files.balm_says(&push(&files, version).each_ref().map(String::as_str));
        }
        let _ = files.balm_says(&["plugin", "activate", "web", &digest(ACTIVE), "--why", "it is better"]);
        host.stop();
        let cached = fs::read_dir(files.data().join("cache")).expect("there is a cache").flatten();
        let names = cached.filter_map(|entry| entry.file_name().into_string().ok());
        let engine =
            names.filter_map(|name| Some(name.split_once('-')?.1.to_owned())).next().expect("something is kept");
        let dir = Dir::new("lifecycle-template-data");
        copy(&files.data(), dir.path());
        Self { data: dir.path().into(), engine, _dir: dir }
    }
}

/// A host whose directory has the first version and its policy.
fn bare(name: &str) -> Files {
    let files = Files::bare(Dir::new(name));
    files.put("plugins/web.wasm", &stamped::version(FILE));
    files.write("plugins/web.toml", &stamped::policy("web", "any"));
    files
}

fn digest(version: u64) -> String {
    stamped::digest(&stamped::version(version))
}

/// The words that hand a version over.
fn push(files: &Files, version: u64) -> [String; 7] {
    let file = format!("{version}.wasm");
    files.put(&file, &stamped::version(version));
    let file = files.path(&file).display().to_string();
    ["plugin", "push", &file, "--name", "web", "--why", "a new build"].map(str::to_owned)
}

impl Stage {
    /// Ready for a change.
    pub(super) fn set(template: &Template, change: Change) -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let files = bare(&format!("lifecycle-{}", NUMBER.fetch_add(1, Ordering::Relaxed)));
        copy(&template.data, &files.data());
        Self { files, change, engine: template.engine.clone() }
    }

    /// Every point of the change, as it is made without an accident.
    pub(super) fn list(self) -> Vec<Point> {
        let mut host = self.files.start();
        let tracer = self.follow(&host, "--trace=all");
        let answered = self.make(&mut host);
        host.kill();
        assert!(answered, "{} is made where nothing happens: {}", self.change, host.log());
        let (mut seen, mut points) = (BTreeMap::<(u32, String), usize>::new(), Vec::new());
        for event in tracer.ended() {
            let Event::Begins(call) = event else { continue };
            let nth = seen.entry((call.thread, call.name.clone())).or_default();
            *nth += 1;
            let point = Point { change: self.change, call: call.name, nth: *nth };
            // Another thread's call of the same name and number is the same to strace.
            if !points.contains(&point) {
                points.push(point);
            }
        }
        points
    }

    /// Make the change, be killed at a point, start again and recount. Where the call does not come, nothing is counted.
    pub(super) fn kill(self, point: &Point) -> Report {
        let mut host = self.files.start();
        let tracer = self.follow(&host, &format!("--inject={}:signal=SIGKILL:when={}", point.call, point.nth));
        let answered = self.make(&mut host);
        let since = Instant::now();
        while host.ended().is_none() && since.elapsed() < ENDS_WITHIN {
            std::thread::sleep(Duration::from_millis(5));
        }
        let killed = host.ended().is_some();
        host.kill();
        drop(tracer);
        if !killed {
            return Report::default();
        }
        let mut report =
            Report { kills: 1, changes: [self.change].into(), calls: [point.call.clone()].into(), ..Report::default() };
        if let Err(why) = self.recount(answered, &mut report) {
            report.wrong.push(format!("SIGKILL before {} {} of {}: {why}", point.call, point.nth, self.change));
        }
        report
    }

    /// Follow all threads of a host, at calls about what a change leaves behind.
    fn follow(&self, host: &Host, tracing: &str) -> Tracer {
        let data = self.files.data();
        let mut paths = vec![data.join("plugins"), data.join("cache"), self.files.path("plugins/web.wasm")];
        for version in [FILE, ACTIVE, KNOWN, NEW] {
            let (digest, engine) = (digest(version), &self.engine);
            paths.extend(["wasm", "part"].map(|kind| data.join(format!("plugins/{digest}.{kind}"))));
            paths.extend(["", ".part"].map(|kind| data.join(format!("cache/{digest}-{engine}{kind}"))));
        }
        let journal = fs::read_dir(data.join("journal")).expect("there is a journal").flatten();
        paths.extend(journal.map(|entry| entry.path()));
        let mut arguments = vec!["-f".to_owned(), tracing.to_owned()];
        arguments.extend(paths.iter().flat_map(|path| ["-P".to_owned(), path.display().to_string()]));
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        Tracer::attach(host.pid(), &arguments, self.files.path("strace.txt"))
    }

    /// Make the change; whether it was answered as done.
    fn make(&self, host: &mut Host) -> bool {
        let words =
            |words: &[&str]| self.files.balm(&[&["plugin"], words, &["--why", "a test"]].concat()).status.success();
        match self.change {
            Change::Push => self.files.balm(&push(&self.files, NEW).each_ref().map(String::as_str)).status.success(),
            Change::Activate => words(&["activate", "web", &digest(KNOWN)]),
            Change::RollBack => words(&["rollback", "web"]),
            Change::Candidate => words(&["candidate", "web", &digest(KNOWN)]),
            Change::Disable => words(&["disable", "web"]),
            Change::DropIn => {
                self.files.put("plugins/web.wasm", &stamped::version(NEW));
                let since = Instant::now();
                while host.ended().is_none() && since.elapsed() < WITHIN {
                    let shown = socket::get(&self.files.data(), "/plugins").unwrap_or_default();
                    if shown[0]["digest"] == digest(NEW).as_str() {
                        return true;
                    }
                    std::thread::sleep(Duration::from_millis(20));
                }
                false
            }
        }
    }

    /// Start again, and say what is otherwise than it must be.
    fn recount(&self, answered: bool, report: &mut Report) -> Result<(), String> {
        let last = last_word(&self.files.data());
        let mut host = self.files.try_start().map_err(|said| {
            report.torn += 1;
            format!("the next start fails: {said}")
        })?;
        let shown = self.shown()?;
        let torn = self.torn(&shown, last);
        report.torn += u64::from(torn.is_some());
        torn.map_or(Ok(()), Err)?;
        if answered && !self.is_done(&shown) {
            report.lost += 1;
            return Err(format!("it was answered as done, and is not: {shown:?}"));
        }
        self.decides(&host, in_force(&shown)?, 1)?;
        if !self.is_done(&shown) {
            if !self.make(&mut host) {
                return Err("it cannot be made again".into());
            }
            let shown = self.shown()?;
            if !self.is_done(&shown) {
                return Err(format!("it was made again, and is not: {shown:?}"));
            }
            self.decides(&host, in_force(&shown)?, 2)?;
        }
        host.kill();
        let verified = self.files.balm(&["audit", "verify"]);
        if verified.status.success() {
            Ok(())
        } else {
            Err(format!("the journal is not whole: {}", String::from_utf8_lossy(&verified.stderr)))
        }
    }

    fn shown(&self) -> Result<Shown, String> {
        let said = self.files.balm_says(&["plugin", "show", "web", "--json"]);
        let shown: Value = serde_json::from_str(&said).map_err(|error| error.to_string())?;
        let versions = shown["versions"].as_array().ok_or("it shows no versions")?;
        let numbers: BTreeMap<String, u64> = (FILE..=NEW).map(|version| (digest(version), version)).collect();
        let one = |version: &Value| {
            let (digest, state) = (version["digest"].as_str()?, version["state"].as_str()?);
            Some((*numbers.get(digest)?, state.to_owned()))
        };
        versions
            .iter()
            .map(one)
            .collect::<Option<_>>()
            .ok_or_else(|| format!("it shows a version that is none: {said}"))
    }

    /// What is torn: not one version, another than it may be, or one that is not whole.
    fn torn(&self, shown: &Shown, last: Option<Option<String>>) -> Option<String> {
        let active = match in_force(shown) {
            Ok(active) => active,
            Err(why) => return Some(why),
        };
        if !self.change.permits(active) {
            return Some(format!("version {active:?} is in force: {shown:?}"));
        }
        let plugin = self.files.plugin("web");
        let told = (plugin["state"] == "active").then(|| plugin["digest"].as_str().unwrap_or_default().to_owned());
        if told != active.map(digest) {
            return Some(format!("what is in force is told in two ways: {shown:?} and {plugin}"));
        }
        // What lies in the directory is taken in by the start itself.
        if self.change != Change::DropIn && last.is_some_and(|last| last != told) {
            return Some(format!("the journal's last word was another: {shown:?}"));
        }
        let damaged = shown.keys().find(|version| {
            let kept = fs::read(self.files.data().join(format!("plugins/{}.wasm", digest(**version))));
            kept.map_or(true, |bytes| bytes != stamped::version(**version))
        });
        damaged.map(|version| format!("what is kept of version {version} is not what it was"))
    }

    fn is_done(&self, shown: &Shown) -> bool {
        let is = |version, state: &str| shown.get(&version).is_some_and(|is| is == state);
        in_force(shown) == Ok(self.change.leads_to())
            && match self.change {
                Change::Push => shown.contains_key(&NEW),
                Change::Candidate => is(KNOWN, "candidate"),
                Change::Activate | Change::RollBack | Change::Disable | Change::DropIn => true,
            }
    }

    /// An alert is decided about by the version that is in force.
    fn decides(&self, host: &Host, version: Option<u64>, fingerprint: u64) -> Result<(), String> {
        let Some(version) = version else { return Ok(()) };
        let before = self.files.facts().len();
        host.accept(&body(&[Alert::firing("Hot", "web", fingerprint)]));
        let (since, words) = (Instant::now(), stamped::explanation(version, "any"));
        let said = |capsule: &Capsule| match &capsule.conclusion {
            Conclusion::Decided(decision) => decision.explanation.clone(),
            Conclusion::Failed(failure) => failure.message.clone(),
        };
        while since.elapsed() < WITHIN {
            let decided = self.files.facts().into_iter().skip(before).find_map(|fact| match fact {
                Fact::Evaluated(capsule) => Some(said(&capsule)),
                _ => None,
            });
            match decided {
                Some(decided) if decided == words => return Ok(()),
                Some(decided) => return Err(format!("version {version} is in force, and it was decided: {decided}")),
                None => std::thread::sleep(Duration::from_millis(20)),
            }
        }
        Err(format!("version {version} decides nothing"))
    }
}

/// The one version in force, or none.
fn in_force(shown: &Shown) -> Result<Option<u64>, String> {
    let active: Vec<u64> = shown.iter().filter(|(_, state)| *state == "active").map(|(version, _)| *version).collect();
    match active[..] {
        [] => Ok(None),
        [one] => Ok(Some(one)),
        _ => Err(format!("several versions are in force: {shown:?}")),
    }
}

/// What a host that is gone said last of the version in force: its digest, or that there is none.
fn last_word(data: &Path) -> Option<Option<String>> {
    journal::facts(data).into_iter().rev().find_map(|fact| match fact {
        Fact::PluginActivated(activated) => Some(Some(activated.digest.to_string())),
        Fact::PluginRemoved(_) => Some(None),
        _ => None,
    })
}
