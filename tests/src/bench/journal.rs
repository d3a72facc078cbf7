//! What the journal costs beyond the disk: a host under a steady load, and then the same groups of the same bytes in a bare
//! loop of writes and syncs into a file that was allocated before.

use std::{
    fs::File,
    io,
    os::unix::fs::FileExt as _,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use balm_cloud::Options;
use balm_core::line;

use super::{Figures, load};
use crate::harness::{
    Dir,
    cloud::Cloud,
    host::{Files, configuration},
    http::Connection,
    journal,
};

/// A load that leaves the processors room, so that the disk is what is measured and not the turn of a thread.
const STEADY: load::Offer = load::Offer { alerts: 10, lasts: Duration::from_secs(10), rate: Some(5_000) };

/// The mean of a group: the bare loop's over the journal's.
pub fn measure(figures: &mut Figures) -> anyhow::Result<()> {
    let cloud = Cloud::start(1, Options::default(), None);
    cloud.create_service("web", 4);
    let files = Files::new(Dir::new("bench-journal"), &cloud.endpoint());
    let admin = "\n[admin]\nlisten = \"127.0.0.1:0\"\nmetrics = \"anyone\"\n";
    files.write("balm.toml", &(load::seldom(&configuration(&cloud.endpoint(), "shadow")) + admin));
    let host = files.start();
    load::post(&host.alerts, STEADY)?;
    files.wait_for_rest();
    let address = host.ready["admin"].as_str().context("no address of the admin API")?;
    let address = address.trim_start_matches("http://").trim_end_matches('/').to_owned();
    let metrics = Connection::open(&address)?.send("GET", "/metrics", &[], &[])?.body;
    let metric = |name: &str| {
        let line = metrics.lines().find_map(|line| line.strip_prefix(name)).context("a metric is missing")?;
        anyhow::Ok(line.trim().parse::<f64>()?)
    };
    let ours = metric("balm_journal_commit_seconds_sum ")? / metric("balm_journal_commit_seconds_count ")?;
    host.stop();
    let groups = groups(&files);
    let bare = bare(&files, &groups)?;
    figures.insert("journal_group_us", ours * 1e6);
    figures.insert("journal_ratio_to_raw", bare / ours);
    Ok(())
}

/// The bytes of each group that was synced at once: its first line says what was durable before.
fn groups(files: &Files) -> Vec<usize> {
    let mut groups = Vec::new();
    journal::each(&files.data(), |_, bytes| {
        let framing = line::split(bytes).and_then(|(_, json)| line::read_json(json).ok()).map(|(_, framing)| framing);
        if framing.is_some_and(|framing| framing.synced.is_some()) || groups.is_empty() {
            groups.push(0);
        }
        *groups.last_mut().expect("there is one") += bytes.len() + 1;
    });
    groups
}

/// Seconds that a group takes in a bare loop.
#[expect(clippy::cast_precision_loss, reason = "a figure for people")]
fn bare(files: &Files, groups: &[usize]) -> io::Result<f64> {
    let all: usize = groups.iter().sum();
    let file = File::options().write(true).create_new(true).open(files.path("bare"))?;
    rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, all as u64)?;
    file.sync_all()?;
    let bytes = vec![b'x'; groups.iter().copied().max().unwrap_or(0)];
    let (since, mut written) = (Instant::now(), 0);
    for group in groups {
        file.write_all_at(&bytes[..*group], written)?;
        file.sync_data()?;
        written += *group as u64;
    }
    Ok(since.elapsed().as_secs_f64() / groups.len() as f64)
}
