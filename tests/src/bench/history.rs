//! What a long history costs: how long a start takes after a million records, and what an acknowledgement costs then, beside a host
//! without any.

use std::{
    fs::{self, File},
    io::{BufWriter, Write as _},
    path::Path,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use balm_cloud::Options;
use balm_core::{
    alert::{Alert as Received, Status},
    engine::{Engine, genesis},
    input::Input,
    line::{self, Chain, Framing},
    name::Seq,
    record::{HostStarted, Record},
    time::Timestamp,
};
use serde_json::Value;

use super::{Figures, quantile};
use crate::harness::{
    Dir,
    cloud::Cloud,
    grafana::{Alert, body},
    host::{Files, TOKEN, configuration},
    http::Connection,
};

/// Bytes of a segment, as hosts make them.
const SEGMENT_BYTES: u64 = 64 << 20;

/// How often a start is timed, and how many alerts are timed at each of both hosts.
const STARTS: usize = 5;
const ALERTS: u64 = 2_000;

/// How often a question is asked.
const FINDS: usize = 5;

/// How long the host may take to save its state, check the old records and copy them into the audit database.
const SETTLE_MOST: Duration = Duration::from_secs(3600);

/// Time between two alerts of the history: a million records are a month.
const BETWEEN_MS: u64 = 8_000;

/// Write a history of so many records, and measure.
pub fn measure(records: u64, figures: &mut Figures) -> anyhow::Result<()> {
    let cloud = Cloud::start(1, Options::default(), None);
    cloud.create_service("web", 4);
    let (long, empty) = (files("bench-long", &cloud), files("bench-empty", &cloud));
    write(&long.data(), records)?;
    let began = Instant::now();
    let host = long.start();
    figures.insert("open_1m_records_unsaved_ms", began.elapsed().as_secs_f64() * 1e3);
    settle(&long)?;
    host.stop();
    let mut starts = Vec::new();
    for _ in 0..STARTS {
        let began = Instant::now();
        let host = long.start();
        starts.push(began.elapsed().as_secs_f64() * 1e3);
        host.stop();
    }
    figures.insert("open_1m_records_ms", quantile(&mut starts, 0.5));
    find(&long, records, figures)?;
    let (of_long, of_empty) = (long.start(), empty.start());
    settle(&long)?;
    let (mut at_long, mut at_empty) = (Vec::new(), Vec::new());
    let (mut to_long, mut to_empty) = (Connection::open(&of_long.alerts)?, Connection::open(&of_empty.alerts)?);
    for fingerprint in 0..ALERTS {
        let text = body(&[Alert::firing("HighCpu", "web", fingerprint)]);
        at_long.push(post(&mut to_long, &text)?);
        at_empty.push(post(&mut to_empty, &text)?);
    }
    let (at_long, at_empty) = (quantile(&mut at_long, 0.5), quantile(&mut at_empty, 0.5));
    figures.insert("cost_1m_p50_us", at_long);
    figures.insert("cost_empty_p50_us", at_empty);
    figures.insert("cost_ratio_1m", at_long / at_empty);
    Ok(())
}

/// A page of what stands at the beginning, one of what stands near the end, and a question that only all records answer.
fn find(files: &Files, records: u64, figures: &mut Figures) -> anyhow::Result<()> {
    let late = (records - records / 10).to_string();
    let questions: [(&str, &[&str], bool); 3] = [
        ("find_first_page_ms", &["--kind", "alert-received"], true),
        ("find_late_page_ms", &["--kind", "episode-ended", "--after", &late], true),
        ("find_all_ms", &["--policy", "nobody"], false),
    ];
    for (key, arguments, finds) in questions {
        let mut took = Vec::new();
        for _ in 0..FINDS {
            let began = Instant::now();
            let said = files.balm_says(&[&["audit", "find", "--json", "--limit", "100"], arguments].concat());
            took.push(began.elapsed().as_secs_f64() * 1e3);
            anyhow::ensure!(
                said.lines().count() == if finds { 100 } else { 0 },
                "{key}: {} records",
                said.lines().count()
            );
        }
        figures.insert(key, quantile(&mut took, 0.5));
    }
    Ok(())
}

fn files(name: &str, cloud: &Cloud) -> Files {
    let files = Files::new(Dir::new(name), &cloud.endpoint());
    files.write("balm.toml", &configuration(&cloud.endpoint(), "shadow"));
    files
}

fn post(connection: &mut Connection, body: &[u8]) -> anyhow::Result<f64> {
    let authorization = format!("Bearer {TOKEN}");
    let headers = [("authorization", authorization.as_str()), ("content-type", "application/json")];
    let since = Instant::now();
    let answer = connection.send("POST", "/v1/alerts/grafana", &headers, body)?;
    anyhow::ensure!(answer.status == 200, "answered {}: {}", answer.status, answer.body);
    Ok(since.elapsed().as_secs_f64() * 1e6)
}

/// Wait until nothing is done behind the host's back any more.
fn settle(files: &Files) -> anyhow::Result<()> {
    let since = Instant::now();
    loop {
        let status: Value = serde_json::from_str(&files.balm_says(&["status"]))?;
        let saved = fs::read_dir(files.data().join("state"))?.flatten().count() > 0;
        if saved && status["verifying"] == false && status["audit-seq"] == status["seq"] && status["backlog"] == 0 {
            return Ok(());
        }
        anyhow::ensure!(since.elapsed() < SETTLE_MOST, "after {} s: {status}", SETTLE_MOST.as_secs());
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// Write a journal as a host would have written it whose alerts fired and resolved, one after the other.
pub fn write(data: &Path, records: u64) -> anyhow::Result<()> {
    let dir = data.join("journal");
    fs::create_dir_all(&dir)?;
    let now = balm_now()?;
    let mut at = now.saturating_sub(records / 3 * 2 * BETWEEN_MS + 60_000);
    let mut engine = Engine::new();
    let first = genesis("0123456789abcdef0123456789abcdef".into(), "0.1.0", Timestamp::from_millis(at));
    engine.replay(&first);
    let mut files = Writer::new(&dir)?;
    files.batch(&[first])?;
    let started = HostStarted { version: "0.1.0".into(), engine: "none".into() };
    let mut take = |input: Input, at: u64| {
        let at = Timestamp::from_millis(at);
        let mut batches = vec![engine.take(input, at).records];
        while engine.state().next_timer().is_some_and(|next| next <= at) {
            batches.push(engine.take(Input::Tick, at).records);
        }
        batches.iter().filter(|batch| !batch.is_empty()).try_for_each(|batch| files.batch(batch))?;
        anyhow::Ok(engine.state().seq)
    };
    take(Input::Started(started), at)?;
    let mut seq = take(Input::Configured(Box::default()), at)?;
    let mut number = 0_u64;
    while seq < Seq(records) {
        number += 1;
        for ends in [false, true] {
            at += BETWEEN_MS;
            seq = take(Input::Alerts(vec![alert(number, at, ends)]), at)?;
        }
    }
    files.end()
}

#[expect(clippy::disallowed_methods, reason = "a history ends now")]
fn balm_now() -> anyhow::Result<u64> {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).context("the clock is before 1970")?;
    u64::try_from(now.as_millis()).context("a far future")
}

fn alert(number: u64, at: u64, ends: bool) -> Received {
    let time = Some(Timestamp::from_millis(at));
    let text = |name: &str, text: &str| (name.to_owned(), text.to_owned());
    Received {
        source: "grafana".parse().expect("a name"),
        org: "1".into(),
        fingerprint: format!("{number:016x}"),
        status: if ends { Status::Resolved } else { Status::Firing },
        name: "HighCpu".into(),
        labels: [text("alertname", "HighCpu"), text("service", "web"), text("grafana_folder", "production")].into(),
        annotations: [
            text("summary", "CPU of web is saturated"),
            text("description", "The service has been above 90 % for five minutes and needs capacity."),
            text("runbook_url", "https://runbooks.example.com/cpu"),
        ]
        .into(),
        values: [("A".to_owned(), 93.41), ("B".to_owned(), 93.41)].into(),
        starts_at: time,
        ends_at: time.filter(|_| ends),
        url: "https://grafana.example.com/alerting/grafana/be1k3jxq0qdc0b/view?orgId=1".into(),
        held: None,
    }
}

/// The files of a journal in the making.
struct Writer {
    dir: std::path::PathBuf,
    file: BufWriter<File>,
    written: u64,
    chain: Chain,
    text: Vec<u8>,
}

impl Writer {
    fn new(dir: &Path) -> anyhow::Result<Self> {
        let file = Self::begin(dir, Chain::START)?;
        Ok(Self { dir: dir.to_owned(), file, written: 0, chain: Chain::START, text: Vec::new() })
    }

    fn begin(dir: &Path, chain: Chain) -> anyhow::Result<BufWriter<File>> {
        let file = File::create_new(dir.join(format!("{:020}.journal", chain.seq.next().0)))?;
        Ok(BufWriter::with_capacity(1 << 20, file))
    }

    /// Each batch as a write of its own.
    fn batch(&mut self, batch: &[Record]) -> anyhow::Result<()> {
        if self.written > SEGMENT_BYTES - (1 << 20) {
            self.close()?;
            (self.file, self.written) = (Self::begin(&self.dir, self.chain)?, 0);
        }
        let prev = (self.written == 0).then_some(self.chain.hash);
        let mut framing = Framing { synced: Some(self.chain.seq), prev };
        self.text.clear();
        for record in batch {
            self.chain = line::write(self.chain, record, std::mem::take(&mut framing), &mut self.text);
        }
        self.file.write_all(&self.text)?;
        self.written += self.text.len() as u64;
        Ok(())
    }

    fn close(&mut self) -> anyhow::Result<()> {
        self.file.flush()?;
        self.file.get_ref().set_len(SEGMENT_BYTES)?;
        Ok(self.file.get_ref().sync_all()?)
    }

    fn end(mut self) -> anyhow::Result<()> {
        self.close()
    }
}
