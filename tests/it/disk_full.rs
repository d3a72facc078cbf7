//! A disk that is full: alerts are sent back, nothing is done, people can still stop everything, and all of it recovers.

use std::{
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use balm_tests::harness::{
    Dir,
    cloud::Cloud,
    grafana::{Alert, body},
    host::{self, Files, Host},
    wait,
};

const WITHIN: Duration = Duration::from_secs(30);

/// MiB of the disk, and what the journal leaves free on it.
const DISK_MIB: u64 = 48;
const RESERVE_MIB: u64 = 12;

/// Of one request.
const ALERTS: u64 = 100;

/// A host whose data directory is a disk of its own, which goes when the host does.
struct Stage {
    cloud: Cloud,
    files: Files,
    host: Host,
    /// The data directory as everybody outside of the host's mount namespace sees it.
    data: PathBuf,
    acknowledged: u64,
    fingerprint: u64,
}

/// What runs a program in a namespace with a small disk at its first argument, and `first` before that; none if this machine
/// does not let us.
fn small_disk(at: &Path, first: &str) -> Option<Vec<String>> {
    let script = format!("mount -t tmpfs -o size={DISK_MIB}m balm-tests \"$0\" && {first} exec \"$@\"");
    let words = ["unshare", "--mount", "--map-root-user", "sh", "-c", &script, &at.display().to_string()];
    let words: Vec<String> = words.map(str::to_owned).to_vec();
    let mut tried = Command::new(&words[0]);
    tried.args(&words[1..]).arg("true").stdout(Stdio::null()).stderr(Stdio::null());
    tried.status().is_ok_and(|tried| tried.success()).then_some(words)
}

/// Let a host's journal fit on it.
fn fit(files: &Files) {
    files.edit("balm.toml", |text| {
        let journal = format!("reserve-mib = {RESERVE_MIB}\nsegment-mib = 1");
        format!("max-body-kib = 512\n{}", text.replace("reserve-mib = 0", &journal))
    });
}

impl Stage {
    fn set(name: &str) -> Option<Self> {
        let cloud = Cloud::start(1, balm_cloud::Options::default(), None);
        cloud.create_service("web", 4);
        let files = Files::new(Dir::new(name), &cloud.endpoint());
        fs::create_dir_all(files.data()).expect("a directory can be made");
        let Some(disk) = small_disk(&files.data(), "") else {
            println!("skipped: this machine lets nobody mount a small disk in a namespace of his own");
            return None;
        };
        fit(&files);
        let words: Vec<&str> = disk.iter().map(String::as_str).collect();
        let host = files.start_below(&words);
        let data = Path::new("/proc")
            .join(host.pid().to_string())
            .join("root")
            .join(files.data().strip_prefix("/").expect("it is absolute"));
        Some(Self { cloud, files, host, data, acknowledged: 0, fingerprint: 0 })
    }

    /// `balm` on this data directory.
    fn balm(&self, arguments: &[&str]) -> String {
        let data = self.data.display().to_string();
        self.files.balm_says(&[arguments, &["--data", &data]].concat())
    }

    fn status(&self) -> serde_json::Value {
        serde_json::from_str(&self.balm(&["status"])).expect("JSON")
    }

    /// A request of alerts that concern nobody; the answer's status and body.
    fn pour(&mut self) -> (u16, String) {
        let alerts: Vec<Alert> = (0..ALERTS).map(|i| Alert::firing("Load", "db", self.fingerprint + i)).collect();
        self.fingerprint += ALERTS;
        let answer = self.host.post(&body(&alerts)).expect("the host answers");
        self.acknowledged += if answer.status == 200 { ALERTS } else { 0 };
        (answer.status, answer.body)
    }

    /// Take all of the disk but so many bytes.
    fn fill(&self, left: u64) {
        let path = self.data.join("ballast");
        let mut ballast = File::create(&path).expect("a file can be made");
        let block = [0x5a; 64 << 10];
        while ballast.write_all(&block).is_ok() {}
        let length = fs::metadata(&path).expect("it is there").len();
        ballast.set_len(length - left).expect("a file can be cut");
    }

    fn empty(&self) {
        fs::remove_file(self.data.join("ballast")).expect("it is there");
    }

    /// Pour until the host says that it has no room.
    fn pour_until_full(&mut self) -> String {
        let mut refused = (0..60).map(|_| self.pour()).filter(|(status, _)| *status == 503);
        refused.next().expect("a full disk has no room for so many alerts").1
    }

    /// Whether an alert that would change the service is taken.
    fn saturate(&self, fingerprint: u64) -> u16 {
        self.host.post(&body(&[Alert::firing("HighCpu", "web", fingerprint)])).expect("the host answers").status
    }

    /// Nothing acknowledged is missing, and nothing refused is there.
    fn recount(&self, saturations: u64) {
        wait::told("the audit database to have everything", WITHIN, || host::at_rest(self.status()));
        assert!(self.balm(&["audit", "verify"]).contains("are whole and in order"));
        let exported = self.balm(&["audit", "export"]);
        let received = exported.lines().filter(|line| line.contains(r#""kind":"alert-received""#)).count();
        assert_eq!(received as u64, self.acknowledged + saturations);
    }
}

#[test]
fn on_a_full_disk_alerts_are_sent_back_nothing_is_done_and_stopping_works_and_all_of_it_recovers() {
    let Some(mut stage) = Stage::set("disk-full") else { return };
    assert_eq!(stage.pour().0, 200);
    stage.fill((RESERVE_MIB << 20) + (512 << 10));
    let why = stage.pour_until_full();
    let wanted =
        format!("free on the journal's disk, a segment takes 1 MiB, and {RESERVE_MIB} MiB are kept in reserve");
    assert!(why.contains(&wanted) && why.contains("make room"), "{why}");
    assert_eq!(stage.saturate(0xf00d), 503);
    // Memory and a file need no room in the journal; the record does.
    let stopped = stage.balm(&["stop", "--why", "the disk is full"]);
    assert!(stopped.contains("everything is stopped; the record follows once the journal can be written"), "{stopped}");
    assert_eq!(stage.status()["stopped"], true);
    assert!(stage.data.join("STOPPED").exists());
    stage.empty();
    wait::until("room for alerts", WITHIN, || (stage.pour().0 == 200).then_some(()));
    let stops = wait::until("the stop's record", WITHIN, || {
        stage.status()["stops"].as_array().filter(|stops| !stops.is_empty()).cloned()
    });
    assert_eq!((stops.len(), stops[0]["why"].as_str()), (1, Some("the disk is full")), "{stops:?}");
    assert_eq!(stage.cloud.desired("web"), 4, "nothing was done meanwhile");
    stage.balm(&["resume"]);
    assert_eq!(stage.saturate(0xf00d), 200, "a sender that tries again is heard");
    wait::until("the change", WITHIN, || (stage.cloud.service("web").service.running_count == 6).then_some(()));
    stage.recount(1);
}

#[test]
fn the_audit_database_stands_still_no_longer_than_its_disk_is_full() {
    let Some(mut stage) = Stage::set("disk-full-audit") else { return };
    assert_eq!(stage.pour().0, 200);
    wait::told("the audit database to have everything", WITHIN, || host::at_rest(stage.status()));
    // What the journal has allocated takes more alerts, of which the database can keep none.
    stage.fill(0);
    assert_eq!(stage.pour().0, 200);
    wait::until("the audit database to fail", WITHIN, || {
        let asked = stage.files.balm(&["audit", "tail", "--no-follow", "--data", &stage.data.display().to_string()]);
        let complained = String::from_utf8_lossy(&asked.stderr);
        (!asked.status.success() && complained.contains("opened again once that can be done")).then_some(())
    });
    assert_eq!(stage.saturate(0xf00d), 200, "alerts are taken all the while");
    wait::until("the change", WITHIN, || (stage.cloud.service("web").service.running_count == 6).then_some(()));
    stage.empty();
    stage.recount(1);
    assert!(!stage.data.join("audit.damaged-1").exists(), "what it had was not built again");
}

#[test]
fn a_host_on_a_full_disk_ends_in_order_when_it_is_told_to() {
    let Some(mut stage) = Stage::set("disk-full-end") else { return };
    assert_eq!(stage.pour().0, 200);
    stage.fill(0);
    let _ = stage.pour_until_full();
    let Stage { host, cloud: _cloud, files: _files, .. } = stage;
    host.stop();
}

#[test]
fn a_start_on_a_full_disk_is_refused_before_it_takes_a_good_audit_database_for_a_damaged_one() {
    let cloud = Cloud::start(1, balm_cloud::Options::default(), None);
    let files = Files::new(Dir::new("disk-full-start"), &cloud.endpoint());
    fs::create_dir_all(files.data()).expect("a directory can be made");
    fit(&files);
    // A host that lives until its disk is full, and is killed.
    let first = r#"if [ "$1" != true ]; then "$@" > /dev/null & host=$!
        until [ -S "$0/balm.sock" ]; do kill -0 $host && sleep 0.01 || exit; done
        cat /dev/zero > "$0/ballast" 2>/dev/null
        kill -9 $host; fi;"#;
    let Some(disk) = small_disk(&files.data(), first) else {
        println!("skipped: this machine lets nobody mount a small disk in a namespace of his own");
        return;
    };
    let Err(said) = files.try_start_below(&disk) else { unreachable!("a host started on a full disk") };
    assert!(said.contains("less than 4 MiB are free on the audit database's disk: make room"), "{said}");
}
