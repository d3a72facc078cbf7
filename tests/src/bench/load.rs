//! How many alerts are acknowledged: 64 connections that each post, wait for the answer and post again, every alert new and
//! concerning a policy in shadow, with the audit database on. What is counted is what the journal has afterwards.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use anyhow::Context as _;
use balm_cloud::Options;
use balm_core::{evaluation::Conclusion, record::Fact};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::Figures;
use crate::harness::{
    Dir,
    cloud::Cloud,
    grafana::{Alert, body},
    host::{Files, TOKEN, configuration},
    journal,
};

const CONNECTIONS: usize = 64;

/// How long the backlog may take: beyond that the figure says enough.
const DRAIN_MOST: Duration = Duration::from_secs(600);

/// The fingerprint in the rendered request, where each one's own is written.
const PLACE: &str = "f1f2f3f4f5f6f7f8";

/// What is posted.
#[derive(Clone, Copy, Debug)]
pub struct Offer {
    /// Alerts of one body.
    pub alerts: usize,
    /// For how long.
    pub lasts: Duration,
    /// Alerts in a second, if not as many as are answered.
    pub rate: Option<u32>,
}

/// What is posted, and how it is named in the figures.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// What is posted.
    pub offer: Offer,
    /// Key of requests or alerts acknowledged in a second.
    pub key: &'static str,
    /// Key of the audit database's lag at the end of the load.
    pub audit: &'static str,
    /// Key of the time until nothing waits any more.
    pub drain: &'static str,
}

/// Start a host, load it, recount.
pub fn measure(load: Load, figures: &mut Figures) -> anyhow::Result<()> {
    let cloud = Cloud::start(1, Options::default(), None);
    cloud.create_service("web", 4);
    let files = Files::new(Dir::new("bench"), &cloud.endpoint());
    files.write("balm.toml", &seldom(&configuration(&cloud.endpoint(), "shadow")));
    let host = files.start();
    let (acknowledged, took) = post(&host.alerts, load.offer)?;
    let ended = Instant::now();
    let (_, at_the_end) = waited(&files, ended, |_| true)?;
    let sequence = at_the_end["seq"].as_u64().context("a status without seq")?;
    let mut lag = None;
    let drained = waited(&files, ended, |status| {
        if lag.is_none() && status["audit-seq"].as_u64() >= Some(sequence) {
            lag = Some(ended.elapsed());
        }
        lag.is_some() && status["backlog"] == 0
    })?;
    host.stop();
    let (mut fingerprints, mut decided) = (HashSet::new(), 0);
    journal::each(&files.data(), |record, _| match &record.fact {
        Fact::AlertReceived(received) => drop(fingerprints.insert(received.alert.fingerprint.clone())),
        Fact::Evaluated(capsule) => decided += u64::from(matches!(capsule.conclusion, Conclusion::Decided(_))),
        _ => {}
    });
    anyhow::ensure!(decided >= acknowledged, "of {acknowledged} alerts {decided} were decided");
    anyhow::ensure!(
        fingerprints.len() as u64 >= acknowledged,
        "{acknowledged} alerts were acknowledged, the journal has {}",
        fingerprints.len()
    );
    figures.insert(load.key, rate(acknowledged, took));
    figures.insert(load.audit, lag.map_or(f64::NAN, |lag| lag.as_secs_f64()));
    figures.insert(load.drain, drained.0.as_secs_f64());
    Ok(())
}

/// Alerts that keep firing are looked at again: not while what was posted is still being evaluated.
pub(crate) fn seldom(configuration: &str) -> String {
    configuration.replace("out-pause = 60", "out-pause = 86400")
}

#[expect(clippy::cast_precision_loss, reason = "a figure for people")]
fn rate(count: u64, took: Duration) -> f64 {
    count as f64 / took.as_secs_f64()
}

/// Ask the host how it is until it is so; how long it took, and the last answer.
fn waited(files: &Files, since: Instant, mut is_so: impl FnMut(&Value) -> bool) -> anyhow::Result<(Duration, Value)> {
    loop {
        let status: Value = serde_json::from_str(&files.balm_says(&["status"]))?;
        if is_so(&status) {
            return Ok((since.elapsed(), status));
        }
        anyhow::ensure!(since.elapsed() < DRAIN_MOST, "after {} s: {status}", DRAIN_MOST.as_secs());
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Alerts that were answered 200, and the time that it took.
pub(super) fn post(address: &str, offer: Offer) -> anyhow::Result<(u64, Duration)> {
    let request = Arc::new(Request::render(address, offer.alerts));
    let (number, acknowledged, over) =
        (Arc::new(AtomicU64::new(1)), Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut connections = Vec::new();
        let since = Instant::now();
        let due = move |first: u64| offer.rate.map(|rate| since + Duration::from_secs(first) / rate);
        for _ in 0..CONNECTIONS {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            let (request, number) = (Arc::clone(&request), Arc::clone(&number));
            let (acknowledged, over) = (Arc::clone(&acknowledged), Arc::clone(&over));
            connections
                .push(tokio::spawn(async move { one(stream, &request, &number, &acknowledged, &over, due).await }));
        }
        tokio::time::sleep(offer.lasts).await;
        over.store(true, Relaxed);
        for connection in connections {
            connection.await??;
        }
        Ok((acknowledged.load(Relaxed), since.elapsed()))
    })
}

async fn one(
    mut stream: TcpStream,
    request: &Request,
    number: &AtomicU64,
    acknowledged: &AtomicU64,
    over: &AtomicBool,
    due: impl Fn(u64) -> Option<Instant>,
) -> anyhow::Result<()> {
    let mut bytes = request.bytes.clone();
    let mut answer = vec![0; 4096];
    while !over.load(Relaxed) {
        let first = number.fetch_add(request.places.len() as u64, Relaxed);
        if let Some(due) = due(first) {
            tokio::time::sleep_until(due.into()).await;
        }
        request.number(&mut bytes, first);
        stream.write_all(&bytes).await?;
        match status(&mut stream, &mut answer).await? {
            200 => drop(acknowledged.fetch_add(request.places.len() as u64, Relaxed)),
            // It says that it is busy, and the sender comes again: nothing is counted.
            503 => tokio::time::sleep(Duration::from_millis(50)).await,
            other => anyhow::bail!("answered {other}"),
        }
    }
    Ok(())
}

/// Read one whole answer, and return its status.
async fn status(stream: &mut TcpStream, buffer: &mut [u8]) -> anyhow::Result<u16> {
    let mut filled = 0;
    loop {
        let read = stream.read(&mut buffer[filled..]).await?;
        anyhow::ensure!(read > 0, "the host closed the connection");
        filled += read;
        let text = std::str::from_utf8(&buffer[..filled])?;
        let Some((head, rest)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = length.context("an answer without content-length")?.trim().parse()?;
        if rest.len() >= length {
            return Ok(head.split(' ').nth(1).context("an answer without status")?.parse()?);
        }
    }
}

/// A request, and where its fingerprints are.
pub(super) struct Request {
    bytes: Vec<u8>,
    places: Vec<usize>,
}

impl Request {
    pub(super) fn render(address: &str, alerts: usize) -> Self {
        let alert = Alert { fingerprint: PLACE.into(), ..Alert::firing("HighCpu", "web", 0) };
        let body = body(&vec![alert; alerts]);
        let head = format!(
            "POST /v1/alerts/grafana HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {TOKEN}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        let bytes = [head.into_bytes(), body].concat();
        let places: Vec<usize> =
            bytes.windows(PLACE.len()).enumerate().filter(|(_, at)| *at == PLACE.as_bytes()).map(|(i, _)| i).collect();
        assert_eq!(places.len(), alerts, "each alert has one fingerprint");
        Self { bytes, places }
    }

    /// Post it, with fingerprints from a number on, and read the answer's status.
    pub(super) async fn send(&self, stream: &mut TcpStream, first: u64, answer: &mut [u8]) -> anyhow::Result<u16> {
        let mut bytes = self.bytes.clone();
        self.number(&mut bytes, first);
        stream.write_all(&bytes).await?;
        status(stream, answer).await
    }

    fn number(&self, bytes: &mut [u8], first: u64) {
        for (own, place) in (first..).zip(&self.places) {
            bytes[*place..place + PLACE.len()].copy_from_slice(format!("{own:016x}").as_bytes());
        }
    }
}
