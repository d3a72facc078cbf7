//! How long it takes from an alert's request to the call that changes AWS, with a decision, two readings and two syncs in
//! between; and how much memory an idle host takes.

use std::{
    fs, thread,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use balm_cloud::{Options, request::OperationName};
use balm_core::record::Record;

use super::{Figures, quantile};
use crate::harness::{
    Dir,
    cloud::{ACCOUNT, Cloud, REGION},
    grafana::{Alert, body},
    host::{Files, Host, TOKEN},
    http::Connection,
    journal,
};

const SERVICES: usize = 200;
const IDLE: Duration = Duration::from_secs(5);

/// Post an alert for one service after the other, and return what the journal then has.
pub fn measure(figures: &mut Figures) -> anyhow::Result<Vec<Record>> {
    let cloud = Cloud::start(1, Options::default(), None);
    (0..SERVICES).for_each(|i| cloud.create_service(&format!("web-{i}"), 4));
    let files = Files::new(Dir::new("bench-act"), &cloud.endpoint());
    files.edit("balm.toml", |text| {
        let fixed = text.lines().find(|line| line.starts_with("targets")).expect("the policy has targets").to_owned();
        let names: Vec<String> = (0..SERVICES).map(|i| format!("\"web-{i}\"")).collect();
        let mapped = format!(
            "[policy.target-from-label]\naccount = \"{ACCOUNT}\"\nregion = \"{REGION}\"\ncluster = \"prod\"\nlabel = \"service\"\nallowed = [{}]\n",
            names.join(", ")
        );
        text.replace(&fixed, "").replace("[policy.match]", &format!("{mapped}\n[policy.match]"))
    });
    let host = files.start();
    thread::sleep(IDLE);
    figures.insert("idle_rss_mb", resident_mb(&host)?);
    let mut samples = samples(&cloud, &host)?;
    figures.insert("alert_to_call_p50_ms", quantile(&mut samples, 0.5));
    figures.insert("alert_to_call_p99_ms", quantile(&mut samples, 0.99));
    host.stop();
    Ok(journal::read(&files.data()).into_iter().map(|(record, _)| record).collect())
}

fn samples(cloud: &Cloud, host: &Host) -> anyhow::Result<Vec<f64>> {
    let authorization = format!("Bearer {TOKEN}");
    let headers = [("authorization", authorization.as_str())];
    let mut connection = Connection::open(&host.alerts)?;
    let mut samples = Vec::new();
    for i in 0..SERVICES {
        let body = body(&[Alert::firing("HighCpu", &format!("web-{i}"), i as u64 + 1)]);
        let since = Instant::now();
        let answer = connection.send("POST", "/v1/alerts/grafana", &headers, &body)?;
        anyhow::ensure!(answer.status == 200, "answered {}: {}", answer.status, answer.body);
        while changes(cloud) <= i {
            anyhow::ensure!(since.elapsed() < Duration::from_secs(10), "no call for web-{i}: {}", host.log());
            thread::sleep(Duration::from_micros(50));
        }
        samples.push(since.elapsed().as_secs_f64() * 1e3);
    }
    Ok(samples)
}

/// Calls so far that change something.
fn changes(cloud: &Cloud) -> usize {
    let is_change = |name| name == OperationName::UpdateService;
    cloud.with(|cloud, _| cloud.log().entries().filter(|entry| is_change(entry.request.operation.name())).count())
}

fn resident_mb(host: &Host) -> anyhow::Result<f64> {
    let status = fs::read_to_string(format!("/proc/{}/status", host.pid()))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    let kib: f64 = line.trim().trim_end_matches(" kB").trim().parse()?;
    Ok(kib / 1024.0)
}
