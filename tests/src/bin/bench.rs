//! Measures the release build and prints its figures.

use std::time::Duration;

use balm_tests::bench::{Figures, acknowledge, act, backtest, decide, guard, history, journal, languages, load, raw};
use clap::Parser;

/// Alerts offered in a second over the whole time: what a host must sustain, and a little more. What it answers at most is
/// measured for itself, since nothing is evaluated meanwhile and all of it waits afterwards.
const OFFERED: u32 = 50_500;

/// How long it is offered as many as it answers.
const MOST_LASTS: Duration = Duration::from_secs(5);

#[derive(Debug, Parser)]
struct Arguments {
    /// One JSON object of numbers on the standard output.
    #[arg(long)]
    json: bool,
    /// Only raw, guard, act (with decide and backtest), languages, load (or of it requests or bodies), acknowledge or history.
    #[arg(long)]
    only: Option<String>,
    /// Seconds of each load.
    #[arg(long, default_value = "30")]
    seconds: u64,
    /// Records of the history.
    #[arg(long, default_value = "1000000")]
    records: u64,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let wanted = |group: &str| arguments.only.as_deref().is_none_or(|only| only == group);
    let lasts = Duration::from_secs(arguments.seconds);
    let mut figures = Figures::new();
    if wanted("raw") {
        raw::measure(&mut figures)?;
        journal::measure(&mut figures)?;
    }
    if wanted("guard") {
        guard::measure(&mut figures)?;
    }
    if wanted("act") {
        let records = act::measure(&mut figures)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(decide::measure(&records, &mut figures))?;
        backtest::measure(&records, &mut figures)?;
    }
    if wanted("languages") {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(languages::measure(&mut figures))?;
    }
    if wanted("load") || wanted("requests") {
        eprintln!("loading a host with single alerts");
        let single = load::Load {
            offer: load::Offer { alerts: 1, lasts, rate: None },
            key: "ack_requests_per_s",
            audit: "audit_lag_s_single",
            drain: "drain_s_single",
        };
        load::measure(single, &mut figures)?;
    }
    if wanted("load") || wanted("bodies") {
        eprintln!("loading a host with bodies of 100 alerts");
        let bodies = load::Load {
            offer: load::Offer { alerts: 100, lasts, rate: Some(OFFERED) },
            key: "ack_alerts_per_s",
            audit: "audit_lag_s",
            drain: "drain_s",
        };
        load::measure(bodies, &mut figures)?;
        eprintln!("loading a host with as many alerts as it answers");
        let most = load::Load {
            offer: load::Offer { lasts: lasts.min(MOST_LASTS), rate: None, ..bodies.offer },
            key: "ack_alerts_most_per_s",
            audit: "audit_lag_s_most",
            drain: "drain_s_most",
        };
        load::measure(most, &mut figures)?;
    }
    if wanted("acknowledge") {
        eprintln!("timing acknowledgements at 256 connections");
        acknowledge::measure(&mut figures)?;
    }
    if wanted("history") {
        eprintln!("writing a history of {} records, and starting a host on it", arguments.records);
        history::measure(arguments.records, &mut figures)?;
    }
    anyhow::ensure!(!figures.is_empty(), "nothing is measured that is called as --only says: see --help");
    if arguments.json {
        println!("{}", serde_json::to_string(&figures)?);
    } else {
        for (key, figure) in &figures {
            println!("{figure:>12.2}  {key}");
        }
    }
    Ok(())
}
