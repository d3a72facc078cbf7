//! `balm send`: a sample alert to a running host, as Grafana would post it.
//!
//! It owns the sample's shape, with every key of Grafana's webhook, and shows the credentials that the configuration
//! names for the source. It goes through the same door as a stranger's alert.

use std::{
    collections::BTreeMap,
    io::Read as _,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, bail};
use balm_core::{name::SourceName, time::Timestamp};
use clap::Args;
use serde_json::{Value, json};

use super::{client::Client, out::say};
use crate::{
    clock,
    config::{self, Config, Source},
    http::auth,
};

/// A whole exchange; the host answers once the journal has the alert.
const TIMEOUT: Duration = Duration::from_secs(30);

/// What Go writes for no time.
const NO_TIME: &str = "0001-01-01T00:00:00Z";

/// How long a sample has been firing when it is sent.
const FIRING_FOR: Duration = Duration::from_secs(5 * 60);

#[derive(Debug, Args)]
pub(super) struct Send {
    /// The configuration, which has the source's credentials.
    #[arg(long, short, default_value = "balm.toml", env = "BALM_CONFIG", value_name = "FILE")]
    config: PathBuf,
    /// As which source; the only one, if there is only one.
    #[arg(long, value_name = "NAME")]
    source: Option<SourceName>,
    /// Where to, if not to the host that runs with this configuration's data directory: `http://HOST:PORT`
    #[arg(long, value_name = "URL")]
    to: Option<String>,
    /// The alert's name.
    #[arg(long, default_value = "HighCpu", value_name = "NAME")]
    alertname: String,
    /// A further label. Repeatable. The same labels are the same alert.
    #[arg(long = "label", value_name = "NAME=VALUE", value_parser = pair)]
    labels: Vec<(String, String)>,
    /// A measured value. Repeatable.
    #[arg(long = "value", value_name = "NAME=NUMBER", value_parser = number)]
    values: Vec<(String, f64)>,
    /// Say that the alert is over.
    #[arg(long)]
    resolved: bool,
    /// Send this body as it is instead, `-` for the standard input.
    #[arg(conflicts_with_all = ["alertname", "labels", "values", "resolved"])]
    file: Option<PathBuf>,
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

fn number(text: &str) -> Result<(String, f64), String> {
    let (name, value) = pair(text).map_err(|_| "write NAME=NUMBER")?;
    Ok((name, value.parse().map_err(|_| format!("{value:?} is no number"))?))
}

pub(super) fn run(send: &Send) -> anyhow::Result<()> {
    let config = config::load(&send.config)?;
    let (name, source) = source(&config, send.source.as_ref())?;
    let now = clock::wall();
    let body = match &send.file {
        Some(path) => read(path)?,
        None => send.sample(now).to_string().into_bytes(),
    };
    let url = format!("{}/v1/alerts/{name}", host(&config, send.to.as_deref())?);
    let (status, answer) = post(&url, source, body, now)?;
    let answer = answer.trim_end();
    if status != 200 {
        bail!("the host answered {status}: {answer}");
    }
    say!("{}", accepted(answer).with_context(|| format!("the answer of {url} cannot be read: {answer}"))?)?;
    Ok(())
}

fn source<'a>(config: &'a Config, named: Option<&SourceName>) -> anyhow::Result<(&'a SourceName, &'a Source)> {
    let names = || config.sources.keys().map(SourceName::as_str).collect::<Vec<_>>().join(", ");
    match named {
        Some(name) => config
            .sources
            .get_key_value(name)
            .with_context(|| format!("{name} is no configured source; there are: {}", names())),
        None if config.sources.len() == 1 => config.sources.first_key_value().context("there is one"),
        None => bail!("say which source with --source; there are: {}", names()),
    }
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    let mut body = Vec::new();
    if path == Path::new("-") {
        std::io::stdin().read_to_end(&mut body).context("the standard input cannot be read")?;
    } else {
        body = std::fs::read(path).with_context(|| format!("{} cannot be read", path.display()))?;
    }
    Ok(body)
}

/// Where the running host says that it listens; otherwise where it is configured to.
fn host(config: &Config, named: Option<&str>) -> anyhow::Result<String> {
    if let Some(url) = named {
        return Ok(url.trim_end_matches('/').into());
    }
    if let Ok(status) = Client::new(&config.data).get("/status") {
        let status: Value = serde_json::from_slice(&status).context("the host's status cannot be read")?;
        if let Some(address) = status["alerts-at"].as_str() {
            let address = address.trim_end_matches("/v1/alerts/");
            return Ok(address.parse().map_or_else(|_| address.to_owned(), |at| format!("http://{}", reachable(at))));
        }
    }
    if config.listen.port() == 0 {
        bail!("no host runs with the data directory {}: start one, or name one with --to", config.data.display());
    }
    Ok(format!("http://{}", reachable(config.listen)))
}

/// An address that can be connected to: a host that listens everywhere listens here.
fn reachable(listen: SocketAddr) -> SocketAddr {
    if listen.ip().is_unspecified() { (IpAddr::V4(Ipv4Addr::LOCALHOST), listen.port()).into() } else { listen }
}

fn post(url: &str, source: &Source, body: Vec<u8>, now: Timestamp) -> anyhow::Result<(u16, String)> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let client = reqwest::Client::builder().timeout(TIMEOUT).redirect(reqwest::redirect::Policy::none()).build()?;
        let mut request = client.post(url).header("content-type", "application/json");
        for (name, value) in auth::credentials(source, &body, now) {
            request = request.header(name, value);
        }
        let answer = request.body(body).send().await.with_context(|| format!("{url} cannot be reached"))?;
        let status = answer.status().as_u16();
        Ok((status, answer.text().await.context("the answer did not arrive whole")?))
    })
}

/// The host's answer in words.
fn accepted(answer: &str) -> Option<String> {
    let answer: Value = serde_json::from_str(answer).ok()?;
    let (alerts, seq) = (answer["alerts"].as_u64()?, answer["seq"].as_u64()?);
    let alerts = if alerts == 1 { "1 alert is".to_owned() } else { format!("{alerts} alerts are") };
    Some(format!("{alerts} recorded, up to record {seq}; `balm explain` says what follows from it"))
}

impl Send {
    /// One alert, with every key that Grafana posts (grafana/alerting, `receivers/webhook`, version 12).
    fn sample(&self, now: Timestamp) -> Value {
        let mut labels: BTreeMap<&str, &str> = [("grafana_folder", "samples")].into();
        labels.extend(self.labels.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        labels.insert("alertname", &self.alertname);
        let mut values: BTreeMap<&str, f64> = [("A", 95.0), ("C", 1.0)].into();
        values.extend(self.values.iter().map(|(name, value)| (name.as_str(), *value)));
        let status = if self.resolved { "resolved" } else { "firing" };
        let since = now.before(FIRING_FOR).to_string();
        let ends = if self.resolved { now.to_string() } else { NO_TIME.to_owned() };
        let annotations = json!({ "summary": "a sample, sent by balm send" });
        let alert = json!({
            "status": status,
            "labels": labels,
            "annotations": annotations,
            "startsAt": since,
            "endsAt": ends,
            "generatorURL": "",
            "fingerprint": fingerprint(&labels),
            "silenceURL": "",
            "dashboardURL": "",
            "panelURL": "",
            "values": values,
            "valueString": "",
            "orgId": 1,
        });
        json!({
            "receiver": "balm",
            "status": status,
            "alerts": [alert],
            "groupLabels": { "alertname": self.alertname },
            "commonLabels": labels,
            "commonAnnotations": annotations,
            "externalURL": "",
            "appVersion": "",
            "version": "1",
            "groupKey": format!("{{}}:{{alertname={:?}}}", self.alertname),
            "truncatedAlerts": 0,
            "orgId": 1,
            "title": format!("[{}:1] {}", status.to_uppercase(), self.alertname),
            "state": if self.resolved { "ok" } else { "alerting" },
            "message": "",
        })
    }
}

/// FNV-1a over the labels in order, as Prometheus' `LabelSet.Fingerprint`: the same labels are the same alert.
fn fingerprint(labels: &BTreeMap<&str, &str>) -> String {
    let bytes = labels.iter().flat_map(|(name, value)| [name.bytes(), value.bytes()]);
    let separated = bytes.flat_map(|text| text.chain([0xff]));
    let hash = separated
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    format!("{hash:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_labels_are_the_same_alert_and_others_are_another() {
        // prometheus/common, model: an empty LabelSet has the offset basis.
        assert_eq!(fingerprint(&BTreeMap::new()), "cbf29ce484222325");
        let [a, b]: [BTreeMap<&str, &str>; 2] = [[("a", "bc")].into(), [("ab", "c")].into()];
        assert_eq!(fingerprint(&a), fingerprint(&a.clone()));
        assert_ne!(fingerprint(&a), fingerprint(&b), "where a name ends is part of it");
    }

    #[test]
    fn a_host_that_listens_everywhere_is_reached_here() {
        let at = |text: &str| reachable(text.parse().expect("an address")).to_string();
        assert_eq!(at("0.0.0.0:8300"), "127.0.0.1:8300");
        assert_eq!(at("[::]:8300"), "127.0.0.1:8300");
        assert_eq!(at("10.0.0.7:8300"), "10.0.0.7:8300");
    }
}
