//! A backup that is taken while the host works, and a host that goes on from it.

use std::{fs, path::Path};

use balm_core::record::{Fact, Record};
use balm_tests::harness::{Dir, cloud::Cloud, grafana::Alert, host::Files, journal};

use crate::stage::{self, Stage};

#[test]
fn a_backup_of_a_working_host_is_whole_and_another_host_goes_on_from_it() {
    let cloud = Cloud::start(19, stage::quick(), None);
    cloud.create_service("web", 4);
    let files = Files::new(Dir::new("backup"), &cloud.endpoint());
    // Small files, so that there are several.
    files.edit("balm.toml", |text| {
        text.replace("[journal]\n", "[journal]\nsegment-mib = 1\n").replace("listen =", "max-body-kib = 256\nlisten =")
    });
    let stage = Stage { host: files.start(), files, cloud };
    let fired = stage.fire("HighCpu", "web");
    assert_eq!(stage.ended(fired).episode, fired);
    for _ in 0..100 {
        let alerts: Vec<Alert> = (0..20).map(|_| Alert::firing("Load", "web", stage::fingerprint())).collect();
        stage.post(&alerts);
    }
    let to = stage.files.path("copy");
    let said = stage.files.balm_says(&["backup", "--to", &to.display().to_string()]);
    let told = stage.files.balm_fails(&["backup", "--to", &to.display().to_string()]);
    assert!(told.contains("is there already"), "{told}");
    assert!(fs::read_dir(to.join("journal")).expect("a journal").count() > 1, "it has several files");
    let key = stage.files.balm_says(&["audit", "key"]);
    let copied = journal::read(&to);
    assert!(said.starts_with(&format!("{} records are in ", copied.len())), "{said}");
    let Stage { host, files, cloud } = stage;
    host.stop();
    let all = journal::read(&files.data());
    assert!(copied.len() < all.len() && all.starts_with(&copied), "a backup is the journal's beginning, to the letter");
    goes_on(&to, &cloud, &copied, &key);
}

/// Another host, with another plugin directory, takes the copy as its data directory.
fn goes_on(copy: &Path, cloud: &Cloud, copied: &[(Record, Vec<u8>)], key: &str) {
    let other = Files::new(Dir::new("backup-other"), &cloud.endpoint());
    fs::remove_file(other.path("plugins/scale-ecs-service.wasm")).expect("it is there");
    fs::rename(copy, other.data()).expect("it can be put in place");
    let host = other.start();
    assert_eq!(other.balm_says(&["audit", "key"]), key);
    assert_eq!(other.plugin("scale-ecs-service")["state"], "active", "its bytes are in the backup");
    other.wait_for_rest();
    host.stop();
    let records = journal::read(&other.data());
    assert!(records.starts_with(copied) && records.len() > copied.len());
    let lost = |fact: &Fact| matches!(fact, Fact::TailCut(_) | Fact::LossAccepted(_));
    assert!(!records.iter().any(|(record, _)| lost(&record.fact)));
    assert!(other.balm(&["audit", "verify"]).status.success());
}
