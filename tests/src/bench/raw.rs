//! What this machine gives at best: a sync of its disk, and a call to the model cloud with nothing in between.

use std::{fs::File, os::unix::fs::FileExt as _, time::Instant};

use balm_cloud::Options;

use super::{Figures, quantile};
use crate::harness::{Dir, cloud::Cloud, http::Connection};

const SAMPLES: u64 = 500;

/// Medians.
pub fn measure(figures: &mut Figures) -> anyhow::Result<()> {
    figures.insert("raw_sync_1kib_p50_us", sync(1 << 10)?);
    figures.insert("raw_sync_64kib_p50_us", sync(64 << 10)?);
    figures.insert("raw_call_p50_us", call()?);
    Ok(())
}

fn sync(bytes: usize) -> anyhow::Result<f64> {
    let dir = Dir::new("bench-raw");
    let file = File::options().write(true).create(true).truncate(true).open(dir.path().join("file"))?;
    let block = vec![b'x'; bytes];
    // Written once before, so that no write allocates.
    for i in 0..SAMPLES {
        file.write_all_at(&block, i * bytes as u64)?;
    }
    file.sync_all()?;
    let mut samples = Vec::new();
    for i in 0..SAMPLES {
        let since = Instant::now();
        file.write_all_at(&block, i * bytes as u64)?;
        file.sync_data()?;
        samples.push(since.elapsed().as_secs_f64() * 1e6);
    }
    Ok(quantile(&mut samples, 0.5))
}

fn call() -> anyhow::Result<f64> {
    let cloud = Cloud::start(1, Options::default(), None);
    cloud.create_service("web", 4);
    let host = cloud.endpoint();
    let mut connection = Connection::open(host.trim_start_matches("http://"))?;
    let headers = [
        ("x-amz-target", "AmazonEC2ContainerServiceV20141113.DescribeServices"),
        ("content-type", "application/x-amz-json-1.1"),
    ];
    let mut samples = Vec::new();
    for _ in 0..SAMPLES {
        let since = Instant::now();
        connection.send("POST", "/", &headers, br#"{"cluster":"prod","services":["web"]}"#)?;
        samples.push(since.elapsed().as_secs_f64() * 1e6);
    }
    Ok(quantile(&mut samples, 0.5))
}
