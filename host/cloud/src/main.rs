//! The program `balm-cloud`: the endpoint on its own, for demonstrations, crash tests and benchmarks.
//!
//! Its first line on stdout is one JSON object with its address; it ends on SIGTERM or ctrl-c.

use std::{
    collections::BTreeMap,
    future::Future,
    io::Write,
    net::SocketAddr,
    path::PathBuf,
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result};
use balm_cloud::{
    Cloud, Lag, Options, Span,
    http::{Server, Settings},
    log::Logged,
    scenario::{Address, GroupAddress, NewGroup, NewService, Step},
};
use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};

/// A model of ECS and Auto Scaling that is slow, can be told to lie, and logs what was really done. Loopback only.
#[derive(Parser)]
struct Args {
    /// Where to listen; port 0 lets the system choose.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// What all randomness comes from.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The account of all credentials that no --key names.
    #[arg(long, default_value = "123456789012", value_parser = account)]
    account: String,
    /// The account of one access key id, as KEY=ACCOUNT. Repeatable.
    #[arg(long, value_parser = key)]
    key: Vec<(String, String)>,
    /// The region of --service, --group and of scenario steps that name none.
    #[arg(long, default_value = "eu-central-1")]
    region: String,
    /// A steady service to begin with, as CLUSTER/NAME=TASKS. Repeatable.
    #[arg(long, value_parser = service)]
    service: Vec<NewService>,
    /// A steady group to begin with, as NAME=MIN/INSTANCES/MAX. Repeatable.
    #[arg(long, value_parser = group)]
    group: Vec<NewGroup>,
    /// From a task's creation until it runs, or an instance's until it is in service, as LEAST..MOST.
    #[arg(long, default_value_t = Lag::default().start_ms)]
    start_lag_ms: Span,
    /// From telling a task to stop until it has, or an instance until it is gone, as LEAST..MOST.
    #[arg(long, default_value_t = Lag::default().stop_ms)]
    stop_lag_ms: Span,
    /// From any change until the next step of the service's scheduler or the group, as LEAST..MOST.
    #[arg(long, default_value_t = Lag::default().scheduler_ms)]
    scheduler_lag_ms: Span,
    /// A file to append the call log to, as JSON Lines, each line before its call is answered.
    #[arg(long)]
    log: Option<PathBuf>,
    /// Leave reads out of the log.
    #[arg(long)]
    no_read_log: bool,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let args = Args::parse();
    let start_ms = now_ms()?;
    let cloud = cloud(&args, start_ms)?;
    let settings = Settings {
        account: args.account,
        region: args.region,
        keys: args.key.into_iter().collect(),
        start_ms,
        log_file: args.log,
    };
    let ended = ended()?;
    let server = Server::bind(args.listen, cloud, settings).await?;
    let mut stdout = std::io::stdout();
    writeln!(stdout, "{}", serde_json::json!({ "address": format!("http://{}", server.address()) }))?;
    stdout.flush()?;
    server.run(ended).await.context("the cloud stopped")
}

#[expect(clippy::disallowed_methods, reason = "the program's only clock; from here on time is an argument")]
fn now_ms() -> Result<u64> {
    Ok(u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())?)
}

fn cloud(args: &Args, now_ms: u64) -> Result<Cloud> {
    let lag = Lag { start_ms: args.start_lag_ms, stop_ms: args.stop_lag_ms, scheduler_ms: args.scheduler_lag_ms };
    let logged = if args.no_read_log { Logged::Mutations } else { Logged::Everything };
    let mut cloud = Cloud::new(args.seed, Options { lag, logged, ..Options::default() });
    for service in &args.service {
        cloud.play(now_ms, &Step::CreateService(service.clone()).at_home(&args.account, &args.region))?;
    }
    for group in &args.group {
        let step = Step::CreateGroup(group.clone());
        cloud.play(now_ms, &step.at_home(&args.account, &args.region))?;
    }
    Ok(cloud)
}

/// Ready on SIGTERM or ctrl-c. Both are listened for from here on, so that none is missed.
fn ended() -> Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

fn account(text: &str) -> Result<String, String> {
    let valid = text.len() == 12 && text.bytes().all(|digit| digit.is_ascii_digit());
    if valid { Ok(text.to_owned()) } else { Err("an account is twelve digits".to_owned()) }
}

fn key(text: &str) -> Result<(String, String), String> {
    let (key, of) = text.split_once('=').ok_or("write KEY=ACCOUNT")?;
    Ok((key.to_owned(), account(of)?))
}

fn service(text: &str) -> Result<NewService, String> {
    let parts = text.split_once('=').and_then(|(path, desired)| Some((path.split_once('/')?, desired.parse().ok()?)));
    let ((cluster, service), desired) = parts.ok_or("write CLUSTER/NAME=TASKS")?;
    let address = Address { cluster: cluster.to_owned(), service: service.to_owned(), ..Address::default() };
    Ok(NewService { address, desired, tags: BTreeMap::new(), ..NewService::default() })
}

fn group(text: &str) -> Result<NewGroup, String> {
    let parts = text.split_once('=').and_then(|(name, counts)| {
        let mut counts = counts.split('/').map(|count| count.parse::<u32>().ok());
        let group = (name, counts.next()??, counts.next()??, counts.next()??);
        counts.next().is_none().then_some(group)
    });
    let (name, min, desired, max) = parts.ok_or("write NAME=MIN/INSTANCES/MAX")?;
    let address = GroupAddress { group: name.to_owned(), ..GroupAddress::default() };
    Ok(NewGroup { address, desired, min, max, ..NewGroup::default() })
}
