//! The main scene, live: Grafana says that a service is saturated, Balm scales it out on a model cloud, the alert resolves,
//! and Balm scales it in again. What is shown is Balm's own audit, and what the cloud has.

use std::{
    process::{Child, ExitCode, Stdio},
    thread,
    time::{Duration, Instant},
};

use balm_cloud::{Lag, Options, Span};
use balm_core::record::{EpisodeEnd, Fact, IntentEnd};
use balm_tests::harness::{
    Dir,
    cloud::{Cloud, arn},
    grafana::{Alert, body},
    host::{Files, Host, TOKEN},
    programs,
};

const SERVICE: &str = "web";
const STEADY: u32 = 4;

/// How long each half of the scene may take; it takes about five seconds.
const WITHIN: Duration = Duration::from_secs(60);

/// How often the cloud and the journal are looked at.
const GLANCE: Duration = Duration::from_millis(100);

fn main() -> ExitCode {
    let once = std::env::args().any(|argument| argument == "--once");
    let cloud = Cloud::start(1, options(), None);
    cloud.create_service(SERVICE, STEADY);
    let files = Files::new(Dir::new("demo"), &cloud.endpoint());
    let host = files.start();
    say(&format!("A model cloud listens on {}, Balm on http://{}.", cloud.endpoint(), host.alerts));
    let mut tail = files.begin(&["audit", "tail", "--from", "1"], Stdio::inherit());
    let ended = play(&cloud, &files, &host);
    if ended.is_ok() && !once {
        stay(&files, &host);
    }
    end(&mut tail);
    match ended {
        Ok(episode) => {
            say("The whole chain, as `balm audit show` tells it:");
            print!("{}", files.balm_says(&["audit", "show", &episode.to_string()]));
            say("Both changes are verified, and the episode is over.");
            ExitCode::SUCCESS
        }
        Err(why) => {
            eprintln!("the scene did not end well: {why}; Balm's log:\n{}", host.log());
            ExitCode::FAILURE
        }
    }
}

/// Tasks start and stop within seconds, as on a fast day.
fn options() -> Options {
    let span = |least, most| Span::between(least, most).expect("least is not above most");
    let lag = Lag { start_ms: span(800, 2_000), stop_ms: span(300, 900), scheduler_ms: span(50, 200) };
    Options { lag, ..Options::default() }
}

/// Both halves; the number of the episode, or why it did not end verified.
fn play(cloud: &Cloud, files: &Files, host: &Host) -> Result<u64, String> {
    let alert = Alert::firing("HighCpu", SERVICE, 0xc0ff_ee00);
    let (firing, resolved) = (body(std::slice::from_ref(&alert)), body(&[alert.resolved("2026-11-01T10:00:00Z")]));
    files.write("firing.json", &String::from_utf8_lossy(&firing));
    files.write("resolved.json", &String::from_utf8_lossy(&resolved));
    say(&format!("The CPU of {SERVICE} is saturated: Grafana's webhook posts a firing alert."));
    host.accept(&firing);
    watch(cloud, files, "scaled out and verified", 1)?;
    say("The load is gone: Grafana posts that the alert has resolved.");
    host.accept(&resolved);
    watch(cloud, files, "scaled in and verified", 2)?;
    finish(files)
}

/// Show the service until so many intents are verified.
fn watch(cloud: &Cloud, files: &Files, what: &str, verified: usize) -> Result<(), String> {
    let mut seen = None;
    waited(what, || {
        let service = cloud.service(SERVICE).service;
        let now = (service.desired_count, service.running_count);
        if seen.replace(now) != Some(now) {
            say(&format!("{SERVICE} on the cloud: {} desired, {} running", now.0, now.1));
        }
        let facts = files.facts();
        let failed = facts.iter().find_map(|fact| match fact {
            Fact::IntentEnded(ended) if ended.how != IntentEnd::Verified => Some(format!("{ended:?}")),
            _ => None,
        });
        if let Some(failed) = failed {
            return Some(Err(format!("an intent ended otherwise: {failed}")));
        }
        let ended = facts.iter().filter(|fact| matches!(fact, Fact::IntentEnded(_))).count();
        (ended >= verified).then_some(Ok(()))
    })
}

/// The episode, once it is over and everybody was told.
fn finish(files: &Files) -> Result<u64, String> {
    waited("the end of the episode", || {
        files.facts().iter().find_map(|fact| match fact {
            Fact::EpisodeEnded(ended) if ended.how == EpisodeEnd::Resolved => Some(Ok(ended.episode.0.0)),
            Fact::EpisodeEnded(ended) => Some(Err(format!("the episode ended otherwise: {ended:?}"))),
            _ => None,
        })
    })
}

fn waited<T>(what: &str, mut ask: impl FnMut() -> Option<Result<T, String>>) -> Result<T, String> {
    let since = Instant::now();
    while since.elapsed() < WITHIN {
        if let Some(answer) = ask() {
            return answer;
        }
        thread::sleep(GLANCE);
    }
    Err(format!("waited {} s for: {what}", WITHIN.as_secs()))
}

/// Leave everything running until a person has had enough.
fn stay(files: &Files, host: &Host) {
    let balm = programs::balm().display();
    let (config, firing, target) = (files.path("balm.toml"), files.path("firing.json"), arn(SERVICE));
    say("Everything stays up until Ctrl-C. In another terminal:");
    println!("  export BALM_CONFIG={}", config.display());
    println!("  {balm} status");
    println!("  {balm} audit tail");
    println!("  {balm} stop --target {target} --why 'let me look at it first'");
    println!("  {balm} resume --target {target}");
    println!(
        "  curl -H 'Authorization: Bearer {TOKEN}' --data @{} http://{}/v1/alerts/grafana",
        firing.display(),
        host.alerts
    );
    println!("  (the same with resolved.json: the episode opens again, and ends again)");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async { drop(tokio::signal::ctrl_c().await) });
}

fn say(text: &str) {
    use std::io::IsTerminal as _;
    let coloured = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let (bold, plain) = if coloured { ("\x1b[1m", "\x1b[0m") } else { ("", "") };
    println!("\n{bold}== {text}{plain}\n");
}

fn end(child: &mut Child) {
    let _ = child.kill();
    let _ = child.wait();
}
