//! The promises, each with what shows it and its figure.

mod crashes;
mod plugins;
mod promise;

use std::{
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use balm_sandbox::Sandbox;
use balm_tests::{
    approvals, corpus, fuzz, golden,
    harness::Dir,
    kills::{self, Report},
    mutants, oracle, outage,
    replay::{self, Replayed},
    sim, storm, swaps, tamper,
};
use clap::Parser;

use self::promise::Promise;

/// What a seed of the kills comes from: any would do.
const SEED: u64 = 0x9e37_79b9_7f4a_7c15;

const GUARD_CASES: u64 = 100_000;
const STORM_ALERTS: u64 = 10_000;
const SLACK_ALERTS: u64 = 5_000;
const SLACK_AWAY: Duration = Duration::from_secs(600);
const KILLS: u32 = 50;
/// With `--long`, each time from an empty journal: a host that never lives for long reads more of it at every start.
const KILL_ROUNDS: u32 = 20;
const SEEDS: u64 = 10_000;
const SWAPS: u64 = 1_000;
const RANDOM_TAMPERINGS: u64 = 100;

/// How much later an alert may be acknowledged while plugins are swapped.
const SWAP_P99_RATIO: f64 = 2.0;

/// How much later an alert may be acknowledged, and a scene be over, while nobody answers for Slack.
const SLACK_RATIO: f64 = 2.0;

/// Messages that may arrive once somebody does.
const SLACK_MESSAGES: usize = 19;

/// Decisions that are made again at least.
const REPLAYED: u64 = 10_000;

/// Guests that the corpus has at least.
const HOSTILE_GUESTS: usize = 54;

/// Things that the type of an approved intent must not allow, each a program that must not compile.
const TYPE_PROOFS: u64 = 3;

/// What somebody may try with an approval, at least.
const APPROVAL_CASES: usize = 60;

/// Two of the contract alone, and `scale-ecs-service` in Rust and four other languages.
const GOLDEN_PLUGINS: usize = 7;

#[derive(Debug, Parser)]
struct Arguments {
    #[arg(long)]
    json: bool,
    #[arg(long)]
    only: Option<String>,
    #[arg(long)]
    long: bool,
    #[arg(long)]
    keep: Option<PathBuf>,
    #[arg(long)]
    again: Option<PathBuf>,
}

fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    let times = if arguments.long { 10 } else { 1 };
    let wanted = |group: &str| arguments.only.as_deref().is_none_or(|only| only.starts_with(group));
    let mut promises = Vec::new();
    if wanted("type") {
        promises.extend(types()?);
    }
    if wanted("guard") {
        let cases = GUARD_CASES * u64::from(times);
        eprintln!("judging {cases} intents twice");
        promises.extend(judged(&oracle::run_all(0..cases / oracle::INTENTS)));
    }
    if wanted("approval") {
        eprintln!("trying what may be tried with approvals");
        promises.extend(approved());
    }
    if wanted("golden") {
        eprintln!("building policies in every language, and asking plugins of released contracts");
        promises.extend(golden_promises()?);
    }
    if wanted("kill") || wanted("replay") {
        let dir = arguments.keep.clone().map_or_else(|| Dir::new("prove"), Dir::kept);
        let rounds = if arguments.long { KILL_ROUNDS } else { 1 };
        eprintln!("killing a host {} times under load", KILLS * rounds);
        let (mut report, mut replayed) = (Report::default(), Replayed::default());
        for round in 0..rounds {
            let killed = dir.path().join(if rounds == 1 { "kills".to_owned() } else { format!("kills-{round}") });
            let seed = SEED ^ u64::from(round);
            report += kills::run(&kills::Options { kills: KILLS, seed, keep: Some(killed.clone()) });
            replayed += replay::run(&killed.join("data"))?;
            explain(&killed, arguments.keep.is_some())?;
        }
        promises.extend(kill_promises(&report, KILLS * rounds));
        promises.extend(replays(replayed));
    }
    if wanted("syscall") {
        promises.extend(crashes::syscalls(arguments.long));
    }
    if wanted("power") {
        promises.extend(crashes::power_cuts(times, SEED));
    }
    if wanted("corruption") {
        promises.extend(crashes::corruptions(SEED));
    }
    if wanted("cache") {
        promises.extend(crashes::cache(SEED));
    }
    if wanted("swap") {
        let swaps = SWAPS * u64::from(times);
        eprintln!("replacing plugins {swaps} times under load");
        let keep = arguments.keep.as_ref().map(|dir| dir.join("swaps"));
        promises.extend(swap_promises(&swaps::run(&swaps::Options { swaps, seed: SEED, keep }), swaps));
    }
    if wanted("storm") {
        eprintln!("sending {STORM_ALERTS} alerts, ten thousand a minute");
        promises.extend(stormed(&storm::run(STORM_ALERTS)));
    }
    if wanted("slack") {
        let away = SLACK_AWAY * times / 10;
        eprintln!("sending {SLACK_ALERTS} alerts in {} s, in which nobody answers for Slack", away.as_secs());
        promises.extend(unheard(&outage::run(outage::Options { alerts: SLACK_ALERTS, away }), away));
    }
    if wanted("hostile") {
        promises.extend(hostile()?);
    }
    if wanted("compile") {
        promises.extend(plugins::bombs());
    }
    if wanted("fuzz") {
        if let Some(file) = &arguments.again {
            fuzz::again(file)?;
        }
        promises.extend(plugins::fuzz(SEED, times));
    }
    if wanted("lifecycle") {
        promises.extend(plugins::lifecycle(arguments.long));
    }
    // What it measures is the machine's as well, and wants all of it: only where it is asked for.
    if wanted("neighbour") && arguments.only.is_some() {
        promises.extend(plugins::neighbour());
    }
    if wanted("sim") {
        let seeds = SEEDS * u64::from(times);
        eprintln!("simulating {seeds} lives of a host");
        promises.extend(simulated(&sim::run_all(0..seeds)));
    }
    if wanted("tamper") {
        eprintln!("tampering with exports");
        promises.extend(tamper_promises(&tamper::run(RANDOM_TAMPERINGS * u64::from(times), SEED)));
    }
    // Each fault is a build of its own: only where it is asked for.
    if wanted("mutants") && (arguments.long || arguments.only.is_some()) {
        promises.extend(planted()?);
    }
    anyhow::ensure!(!promises.is_empty(), "no promise's key begins as --only says");
    promise::print(&promises, arguments.json);
    let broken = promises.iter().any(|promise| !promise.holds());
    Ok(if broken { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Nothing unvalidated reaches AWS: the compiler refuses the programs that would.
fn types() -> anyhow::Result<Vec<Promise>> {
    eprintln!("compiling what must not compile");
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut cargo = Command::new(env!("CARGO"));
    let tested =
        cargo.current_dir(root).args(["test", "--quiet", "--package", "balm-core", "--doc", "--", "--show-output"]);
    let output = tested.arg("--format=pretty").output().context("cargo cannot be run")?;
    let said = String::from_utf8_lossy(&output.stdout);
    let refused = said.lines().filter(|line| line.contains("compile fail") && line.ends_with("ok")).count() as u64;
    let says = "programs that hand the executor something unvalidated, and do not compile";
    Ok(vec![Promise::at_least(says, "type_proofs", refused, TYPE_PROOFS)])
}

/// How much of what is judged stands on an edge at least, and is permitted at least and at most, in per cent: what is never
/// close proves little, and neither does what is always refused.
const GUARD_EDGES_LEAST: f64 = 20.0;
const GUARD_PERMITTED: std::ops::RangeInclusive<f64> = 20.0..=80.0;

fn judged(tally: &oracle::Tally) -> Vec<Promise> {
    tally.differences.iter().for_each(|difference| eprintln!("{difference}"));
    let share = |part: u64| part as f64 * 100.0 / tally.cases as f64;
    let (edges, permitted) = (share(tally.edges), share(tally.permitted));
    vec![
        Promise::at_least("intents judged by the guard and by an oracle", "guard_cases", tally.cases, 1),
        Promise::of("% of them on an edge", "guard_edge_percent", edges, edges >= GUARD_EDGES_LEAST),
        Promise::of("% of them permitted", "guard_permitted_percent", permitted, GUARD_PERMITTED.contains(&permitted)),
        Promise::none("permitted by the guard and not by the oracle", "guard_over_grants", tally.over_grants),
        Promise::none("permitted by the oracle and not by the guard", "guard_over_denials", tally.over_denials),
        Promise::none("refused by both for different reasons", "guard_other_reasons", tally.other_reasons),
        Promise::none("limits that what was admitted went beyond", "guard_overruns", tally.overruns),
        Promise::at_least(
            "moments at which a host was killed and lived again from its journal",
            "guard_kills",
            tally.kills,
            1,
        ),
        Promise::none(
            "of them, after which the guard judged by something else",
            "guard_kill_differences",
            tally.kill_differences,
        ),
    ]
}

fn stormed(report: &storm::Report) -> Vec<Promise> {
    let (effects, cap) = (report.effects as u64, report.cap as u64);
    // A tenth of the time is the machine's.
    let within_s = STORM_ALERTS as f64 * 60.0 / storm::RATE as f64 * 1.1;
    vec![
        Promise::exactly("alerts of a storm over hundreds of services", "storm_alerts", report.alerts, STORM_ALERTS),
        Promise::at_most("seconds in which they were sent", "storm_sent_s", report.sent_s, within_s),
        Promise::at_least("intents that came of them", "storm_judged", report.judged as u64, STORM_ALERTS),
        Promise::at_least("what the storm brake lets happen, which is less", "storm_cap", cap, 1),
        Promise::exactly("changes that the cloud was asked for", "storm_effects", effects, cap),
        Promise::none("of them, or services, below the minimum", "storm_below_minimum", report.below_minimum as u64),
        Promise::exactly("times a person was called", "storm_calls", report.calls as u64, 1),
        Promise::exactly("of them that were told", "storm_told", report.told as u64, 1),
    ]
}

fn unheard(report: &outage::Report, away: Duration) -> Vec<Promise> {
    let (messages, uncalled) = (report.messages.len(), report.uncalled + report.unnamed);
    let few = (1..=SLACK_MESSAGES).contains(&messages);
    let acknowledged = report.ack_p99_ms / report.other_ack_p99_ms;
    let alerts = report.alerts;
    vec![
        Promise::exactly("alerts that arrived while nobody answered for Slack", "slack_alerts", alerts, SLACK_ALERTS),
        Promise::of("seconds of that", "slack_away_s", report.away_s, report.away_s >= away.as_secs_f64()),
        Promise::of("messages that arrived afterwards", "slack_messages", messages as f64, few),
        Promise::none("notices that were not recorded as told, or too often", "slack_untold", report.untold),
        Promise::none("calls for a person that are not counted in them", "slack_uncalled", uncalled),
        Promise::at_most(
            "times as long to an acknowledgement, 99 of 100, as beside a Slack that answers",
            "slack_ack_p99_ratio",
            acknowledged,
            SLACK_RATIO,
        ),
        Promise::at_most(
            "times as long to the end of a scene",
            "slack_scene_ratio",
            report.scene_s / report.other_scene_s,
            SLACK_RATIO,
        ),
    ]
}

/// Each guest of the hostile corpus in a sandbox that all share: it must end as it is written, twice the same.
fn hostile() -> anyhow::Result<Vec<Promise>> {
    let guests = corpus::all();
    eprintln!("running {} hostile guests", guests.len());
    let sandbox = Arc::new(Sandbox::new()?);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let mut contained = 0;
    for guest in &guests {
        match runtime.block_on(corpus::judge(&sandbox, guest)) {
            Ok(()) => contained += 1,
            Err(why) => eprintln!("{why}"),
        }
    }
    Ok(vec![
        Promise::at_least(
            "hostile guests that were loaded, asked and evaluated",
            "hostile_guests",
            guests.len() as u64,
            HOSTILE_GUESTS as u64,
        ),
        Promise::exactly(
            "of them that ended as that plugin's own refusal or failure, or without effect",
            "hostile_contained",
            contained,
            guests.len() as u64,
        ),
    ])
}

/// Faults that were planted in a copy of the tree, and those that the tests found.
fn planted() -> anyhow::Result<Vec<Promise>> {
    eprintln!("planting faults; the first build takes some minutes");
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let outcomes = mutants::run_all(&root, |mutant, outcome| {
        let became = match outcome {
            mutants::Outcome::Found => "found".to_owned(),
            mutants::Outcome::Missed(tests) => format!("{}, and {} passes", mutant.what, tests.join(", ")),
            mutants::Outcome::Broken(why) => format!("it could not be tried: {why}"),
        };
        eprintln!("{}: {became}", mutant.name);
    })?;
    let found = outcomes.iter().filter(|outcome| **outcome == mutants::Outcome::Found).count();
    Ok(vec![
        Promise::at_least("faults that were planted", "mutants", outcomes.len() as u64, mutants::LEAST as u64),
        Promise::exactly("of them that the tests found", "mutants_found", found as u64, outcomes.len() as u64),
    ])
}

fn approved() -> Vec<Promise> {
    let (cases, wrong) = (approvals::cases().len(), approvals::wrong());
    wrong.iter().for_each(|wrong| eprintln!("{wrong}"));
    vec![
        Promise::at_least(
            "things that somebody may try with an approval",
            "approval_cases",
            cases as u64,
            APPROVAL_CASES as u64,
        ),
        Promise::none("of them that end otherwise than they must", "approval_wrong", wrong.len() as u64),
    ]
}

/// Plugins of released contracts, and one policy in every language, decide as they did.
fn golden_promises() -> anyhow::Result<Vec<Promise>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let compared = runtime.block_on(golden::compare_all())?;
    compared.mismatches.iter().take(10).for_each(|mismatch| eprintln!("{mismatch}"));
    let (plugins, decisions, mismatches) = (compared.plugins, compared.decisions, compared.mismatches.len());
    Ok(vec![
        Promise::at_least(
            "plugins of released contracts, in every language",
            "golden_plugins",
            plugins as u64,
            GOLDEN_PLUGINS as u64,
        ),
        Promise::at_least("golden decisions that they were asked for", "golden_decisions", decisions as u64, 1),
        Promise::none("of them other than they were", "golden_mismatches", mismatches as u64),
    ])
}

fn kill_promises(report: &Report, kills: u32) -> Vec<Promise> {
    vec![
        Promise::at_least("times a host was ended by SIGKILL, under load", "kills", report.kills as u64, kills.into()),
        Promise::at_least("alerts that it acknowledged", "kill_acknowledged", report.acknowledged as u64, 1),
        Promise::none("of them missing from the journal", "kill_lost", report.lost as u64),
        Promise::at_least("scenes that were begun", "kill_scenes", report.scenes as u64, 1),
        Promise::none("of them without their right end", "kill_scenes_unfinished", report.scenes_unfinished as u64),
        Promise::at_least("changes that the cloud made for it", "kill_effects", report.effects as u64, 1),
        Promise::none("of them made again", "kill_duplicate_effects", report.duplicate_effects as u64),
        Promise::none("of them without an earlier record", "kill_unrecorded_effects", report.unrecorded_effects as u64),
        Promise::none(
            "records that the audit database has otherwise",
            "kill_audit_differences",
            report.audit_differences as u64,
        ),
    ]
}

fn swap_promises(report: &swaps::Report, swaps: u64) -> Vec<Promise> {
    let p99 = |says, key, figure: f64| Promise::of(says, key, figure, figure.is_finite());
    let ratio = report.p99_ratio();
    vec![
        Promise::at_least("times a plugin with its policy was replaced, under load", "swaps", report.swaps, swaps),
        Promise::at_least("of them by something broken", "swap_broken", report.broken, 1),
        Promise::at_least(
            "alerts that were acknowledged meanwhile",
            "swap_acknowledged",
            report.acknowledged as u64,
            1,
        ),
        Promise::none("of them missing, or not decided", "swap_lost", report.lost as u64),
        Promise::none("decisions of a mixed or broken version", "swap_mixed", report.mixed as u64),
        Promise::none("replacements without their record", "swap_missed", report.missed as u64),
        p99("ms to an acknowledgement while plugins are replaced, 99 of 100", "swap_p99_ms", report.p99_swapping_ms),
        p99("ms between the replacements", "swap_quiet_p99_ms", report.p99_quiet_ms),
        Promise::at_most("times as long", "swap_p99_ratio", ratio, SWAP_P99_RATIO),
    ]
}

fn replays(Replayed { replayed, fuel_compared, mismatches, .. }: Replayed) -> Vec<Promise> {
    vec![
        Promise::at_least("decisions made again", "replayed", replayed, REPLAYED),
        Promise::exactly("of them with their fuel", "replayed_fuel", fuel_compared, replayed),
        Promise::none("of them other in one byte, or in their fuel", "replay_mismatches", mismatches),
    ]
}

fn tamper_promises(report: &tamper::Report) -> Vec<Promise> {
    report.unseen.iter().for_each(|unseen| eprintln!("taken for whole: {unseen}"));
    let (tampered, unseen) = (report.tampered, report.unseen.len());
    vec![
        Promise::at_least("exports that were tampered with", "tampered", tampered as u64, 1),
        Promise::none("verifiers that took one for whole", "tampered_unseen", unseen as u64),
    ]
}

fn simulated(tally: &sim::Tally) -> Vec<Promise> {
    for violation in tally.violations.iter().take(10) {
        eprintln!("{violation}");
    }
    let violations = tally.violations.len();
    vec![
        Promise::of(
            "simulated lives of a host, each with a crash at least",
            "sim_seeds",
            tally.seeds as f64,
            tally.crashes_least > 0,
        ),
        Promise::at_least("crashes in them", "sim_crashes", tally.crashes, 1),
        Promise::at_least("changes made in them", "sim_effects", tally.effects, 1),
        Promise::none("of them made again", "sim_duplicate_effects", tally.duplicate_effects),
        Promise::none("intents and episodes that did not come to an end", "sim_stuck", tally.stuck),
        Promise::none("violations of an invariant", "sim_violations", violations as u64),
    ]
}

/// Say how to recount what was kept, or remove it.
fn explain(killed: &Path, keep: bool) -> anyhow::Result<()> {
    if !keep {
        std::fs::remove_dir_all(killed)?;
        return Ok(());
    }
    let text = "acknowledged.txt   alerts that were answered 200: fingerprint and status\n\
                cloud-calls.jsonl  every call that the cloud got, written before it was answered\n\
                data/journal       what Balm wrote: `balm audit export --data data` turns it into JSON lines\n\
                seed.txt           what the moments of the kills came from\n\n\
                Lost: fingerprints of the first without an `alert-received` in the export.\n\
                Doubled: tokens that are in two applied UpdateService calls of the second.\n";
    std::fs::write(killed.join("RECOUNT.txt"), text)?;
    eprintln!("everything that is needed to recount is in {}", killed.display());
    Ok(())
}
