//! How long a durable acknowledgement takes at 256 connections: each posts one new alert when its turn has come, at a rate that
//! leaves the host and whoever measures room, and an alert that is sent late counts from when it was due.

use std::{sync::Arc, time::Duration};

use balm_cloud::Options;
use tokio::{net::TcpStream, task::JoinSet, time::Instant};

use super::{Figures, load, quantile};
use crate::harness::{
    Dir,
    cloud::Cloud,
    host::{Files, configuration},
};

const CONNECTIONS: u32 = 256;

/// Alerts of a second, over all connections.
const RATE: u32 = 5_000;

/// How long, and how much of it warms up.
const LASTS: Duration = Duration::from_secs(15);
const WARMS_UP: Duration = Duration::from_secs(3);

/// Measure medians and tails.
pub fn measure(figures: &mut Figures) -> anyhow::Result<()> {
    let cloud = Cloud::start(1, Options::default(), None);
    cloud.create_service("web", 4);
    let files = Files::new(Dir::new("bench-acknowledge"), &cloud.endpoint());
    files.write("balm.toml", &load::seldom(&configuration(&cloud.endpoint(), "shadow")));
    let host = files.start();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut took = runtime.block_on(post(&host.alerts))?;
    files.wait_for_rest();
    host.stop();
    figures.insert("ack_p50_ms", quantile(&mut took, 0.5));
    figures.insert("ack_p99_ms", quantile(&mut took, 0.99));
    Ok(())
}

/// Milliseconds from when each was due to its answer.
async fn post(address: &str) -> anyhow::Result<Vec<f64>> {
    let mut streams = Vec::new();
    for _ in 0..CONNECTIONS {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        streams.push(stream);
    }
    let (request, since) = (Arc::new(load::Request::render(address, 1)), Instant::now());
    let mut connections = JoinSet::new();
    for (turn, stream) in (0..).zip(streams) {
        connections.spawn(one(stream, Arc::clone(&request), turn, since));
    }
    let mut took = Vec::new();
    while let Some(ended) = connections.join_next().await {
        took.extend(ended??);
    }
    Ok(took)
}

/// Every so manieth alert goes over this connection.
async fn one(
    mut stream: TcpStream,
    request: Arc<load::Request>,
    turn: u32,
    since: Instant,
) -> anyhow::Result<Vec<f64>> {
    let (mut took, mut answer) = (Vec::new(), vec![0; 4096]);
    for number in (turn..).step_by(CONNECTIONS as usize) {
        let due = since + Duration::from_secs(1) * number / RATE;
        if due >= since + LASTS {
            break;
        }
        tokio::time::sleep_until(due).await;
        let status = request.send(&mut stream, u64::from(number), &mut answer).await?;
        anyhow::ensure!(status == 200, "answered {status}");
        if due >= since + WARMS_UP {
            took.push(due.elapsed().as_secs_f64() * 1e3);
        }
    }
    Ok(took)
}
