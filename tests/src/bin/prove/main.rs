//! The promises, each with what shows it and its figure.

mod crashes;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use balm_sandbox::Sandbox;
use balm_tests::{
    approvals, corpus, golden,
    harness::Dir,
    kills::{self, Report},
    mutants, oracle, outage, replay, sim, storm, swaps, tamper,
};
use clap::Parser;

/// What a seed of the kills comes from: any would do.
const SEED: u64 = 0x9e37_79b9_7f4a_7c15;

const GUARD_CASES: u64 = 100_000;
const STORM_ALERTS: u64 = 10_000;
const SLACK_ALERTS: u64 = 5_000;
const SLACK_AWAY: Duration = Duration::from_secs(600);
const KILLS: u32 = 50;
const SEEDS: u64 = 2_000;
const SWAPS: u64 = 1_000;
const RANDOM_TAMPERINGS: u64 = 100;

/// How much later an alert may be acknowledged while plugins are swapped.
const SWAP_P99_RATIO: f64 = 2.0;

/// How much later an alert may be acknowledged, and a scene be over, while nobody answers for Slack.
const SLACK_RATIO: f64 = 2.0;

/// Messages that may arrive once somebody does.
const SLACK_MESSAGES: usize = 19;

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
}

/// One promise.
struct Promise {
    says: &'static str,
    key: &'static str,
    figure: f64,
    holds: bool,
}

impl Promise {
    /// That something does not happen.
    fn none(says: &'static str, key: &'static str, figure: usize) -> Self {
        Self { says, key, figure: figure as f64, holds: figure == 0 }
    }
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
        let killed = dir.path().join("kills");
        eprintln!("killing a host {} times under load", KILLS * times);
        let report = kills::run(&kills::Options { kills: KILLS * times, seed: SEED, keep: Some(killed.clone()) });
        promises.extend(kill_promises(&report, KILLS * times));
        promises.extend(replays(&killed)?);
        explain(&killed, arguments.keep.is_some())?;
    }
    if wanted("syscall") {
        promises.extend(crashes::syscalls(arguments.long));
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
        promises.extend(unheard(&outage::run(outage::Options { alerts: SLACK_ALERTS, away })));
    }
    if wanted("hostile") {
        promises.extend(hostile()?);
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
    print(&promises, arguments.json);
    let broken = promises.iter().any(|promise| !promise.holds);
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
    Ok(vec![Promise { says, key: "type_proofs", figure: refused as f64, holds: refused >= TYPE_PROOFS }])
}

/// How much of what is judged stands on an edge at least, and is permitted at least and at most, in per cent: what is never
/// close proves little, and neither does what is always refused.
const GUARD_EDGES_LEAST: f64 = 20.0;
const GUARD_PERMITTED: std::ops::RangeInclusive<f64> = 20.0..=80.0;

fn judged(tally: &oracle::Tally) -> Vec<Promise> {
    tally.differences.iter().for_each(|difference| eprintln!("{difference}"));
    let none = |says, key, figure: u64| Promise { says, key, figure: figure as f64, holds: figure == 0 };
    let share = |part: u64| part as f64 * 100.0 / tally.cases as f64;
    let (edges, permitted) = (share(tally.edges), share(tally.permitted));
    let cases = tally.cases as f64;
    vec![
        Promise {
            says: "intents judged by the guard and by an oracle",
            key: "guard_cases",
            figure: cases,
            holds: cases > 0.0,
        },
        Promise {
            says: "% of them on an edge",
            key: "guard_edge_percent",
            figure: edges,
            holds: edges >= GUARD_EDGES_LEAST,
        },
        Promise {
            says: "% of them permitted",
            key: "guard_permitted_percent",
            figure: permitted,
            holds: GUARD_PERMITTED.contains(&permitted),
        },
        none("permitted by the guard and not by the oracle", "guard_over_grants", tally.over_grants),
        none("permitted by the oracle and not by the guard", "guard_over_denials", tally.over_denials),
        none("refused by both for different reasons", "guard_other_reasons", tally.other_reasons),
        none("limits that what was admitted went beyond", "guard_overruns", tally.overruns),
        Promise {
            says: "moments at which a host was killed and lived again from its journal",
            key: "guard_kills",
            figure: tally.kills as f64,
            holds: tally.kills > 0,
        },
        none(
            "of them, after which the guard judged by something else",
            "guard_kill_differences",
            tally.kill_differences,
        ),
    ]
}

fn stormed(report: &storm::Report) -> Vec<Promise> {
    let exactly =
        |says, key, figure: usize, wanted: usize| Promise { says, key, figure: figure as f64, holds: figure == wanted };
    let alerts = report.alerts as usize;
    vec![
        exactly("alerts of a storm over hundreds of services, a minute", "storm_alerts", alerts, STORM_ALERTS as usize),
        exactly("what the storm brake lets happen", "storm_cap", report.cap, report.cap),
        exactly("changes that the cloud was asked for", "storm_effects", report.effects, report.cap),
        exactly("of them, or services, below the minimum", "storm_below_minimum", report.below_minimum, 0),
        exactly("times a person was called", "storm_calls", report.calls, 1),
    ]
}

fn unheard(report: &outage::Report) -> Vec<Promise> {
    let none = |says, key, figure: u64| Promise { says, key, figure: figure as f64, holds: figure == 0 };
    let ratio = |says, key, figure: f64| Promise { says, key, figure, holds: figure <= SLACK_RATIO };
    let messages = report.messages.len();
    vec![
        Promise {
            says: "alerts that arrived while nobody answered for Slack",
            key: "slack_alerts",
            figure: report.alerts as f64,
            holds: report.alerts == SLACK_ALERTS,
        },
        Promise { says: "seconds of that", key: "slack_away_s", figure: report.away_s, holds: report.away_s > 0.0 },
        Promise {
            says: "messages that arrived afterwards",
            key: "slack_messages",
            figure: messages as f64,
            holds: (1..=SLACK_MESSAGES).contains(&messages),
        },
        none("notices that are in none of them", "slack_untold", report.untold),
        none("calls for a person that are not counted in them", "slack_uncalled", report.uncalled + report.unnamed),
        ratio(
            "times as long to an acknowledgement, 99 of 100, as beside a Slack that answers",
            "slack_ack_p99_ratio",
            report.ack_p99_ms / report.other_ack_p99_ms,
        ),
        ratio("times as long to the end of a scene", "slack_scene_ratio", report.scene_s / report.other_scene_s),
    ]
}

/// Each guest of the hostile corpus in a sandbox that all share: it must end as it is written, twice the same.
fn hostile() -> anyhow::Result<Vec<Promise>> {
    let guests = corpus::all();
    eprintln!("running {} hostile guests", guests.len());
    let sandbox = Arc::new(Sandbox::new()?);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let mut contained = 0_u32;
    for guest in &guests {
        match runtime.block_on(corpus::judge(&sandbox, guest)) {
            Ok(()) => contained += 1,
            Err(why) => eprintln!("{why}"),
        }
    }
    Ok(vec![
        Promise {
            says: "hostile guests that were loaded, asked and evaluated",
            key: "hostile_guests",
            figure: guests.len() as f64,
            holds: guests.len() >= HOSTILE_GUESTS,
        },
        Promise {
            says: "of them that ended as that plugin's own refusal or failure, or without effect",
            key: "hostile_contained",
            figure: f64::from(contained),
            holds: contained as usize == guests.len(),
        },
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
        Promise {
            says: "faults that were planted",
            key: "mutants",
            figure: outcomes.len() as f64,
            holds: outcomes.len() >= mutants::LEAST,
        },
        Promise {
            says: "of them that the tests found",
            key: "mutants_found",
            figure: found as f64,
            holds: found == outcomes.len(),
        },
    ])
}

fn approved() -> Vec<Promise> {
    let (cases, wrong) = (approvals::cases().len(), approvals::wrong());
    wrong.iter().for_each(|wrong| eprintln!("{wrong}"));
    vec![
        Promise {
            says: "things that somebody may try with an approval",
            key: "approval_cases",
            figure: cases as f64,
            holds: cases >= APPROVAL_CASES,
        },
        Promise {
            says: "of them that end otherwise than they must",
            key: "approval_wrong",
            figure: wrong.len() as f64,
            holds: wrong.is_empty(),
        },
    ]
}

/// Plugins of released contracts, and one policy in every language, decide as they did.
fn golden_promises() -> anyhow::Result<Vec<Promise>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let compared = runtime.block_on(golden::compare_all())?;
    compared.mismatches.iter().take(10).for_each(|mismatch| eprintln!("{mismatch}"));
    let (plugins, decisions, mismatches) = (compared.plugins, compared.decisions, compared.mismatches.len());
    Ok(vec![
        Promise {
            says: "plugins of released contracts, in every language",
            key: "golden_plugins",
            figure: plugins as f64,
            holds: plugins >= GOLDEN_PLUGINS,
        },
        Promise {
            says: "golden decisions that they were asked for",
            key: "golden_decisions",
            figure: decisions as f64,
            holds: decisions > 0,
        },
        Promise {
            says: "of them other than they were",
            key: "golden_mismatches",
            figure: mismatches as f64,
            holds: mismatches == 0,
        },
    ])
}

fn kill_promises(report: &Report, kills: u32) -> Vec<Promise> {
    let more =
        |says, key, figure: usize, least: usize| Promise { says, key, figure: figure as f64, holds: figure >= least };
    vec![
        more("times a host was ended by SIGKILL, under load", "kills", report.kills as usize, kills as usize),
        more("alerts that it acknowledged", "kill_acknowledged", report.acknowledged, 1),
        Promise::none("of them missing from the journal", "kill_lost", report.lost),
        more("scenes that were begun", "kill_scenes", report.scenes, 1),
        Promise::none("of them without their right end", "kill_scenes_unfinished", report.scenes_unfinished),
        more("changes that the cloud made for it", "kill_effects", report.effects, 1),
        Promise::none("of them made again", "kill_duplicate_effects", report.duplicate_effects),
        Promise::none("of them without an earlier record", "kill_unrecorded_effects", report.unrecorded_effects),
        Promise::none(
            "records that the audit database has otherwise",
            "kill_audit_differences",
            report.audit_differences,
        ),
    ]
}

fn swap_promises(report: &swaps::Report, swaps: u64) -> Vec<Promise> {
    let p99 = |says, key, figure: f64| Promise { says, key, figure, holds: figure.is_finite() };
    let ratio = report.p99_ratio();
    vec![
        Promise {
            says: "times a plugin with its policy was replaced, under load",
            key: "swaps",
            figure: report.swaps as f64,
            holds: report.swaps >= swaps,
        },
        Promise {
            says: "of them by something broken",
            key: "swap_broken",
            figure: report.broken as f64,
            holds: report.broken > 0,
        },
        Promise {
            says: "alerts that were acknowledged meanwhile",
            key: "swap_acknowledged",
            figure: report.acknowledged as f64,
            holds: report.acknowledged > 0,
        },
        Promise::none("of them missing, or not decided", "swap_lost", report.lost),
        Promise::none("decisions of a mixed or broken version", "swap_mixed", report.mixed),
        Promise::none("replacements without their record", "swap_missed", report.missed),
        p99("ms to an acknowledgement while plugins are replaced, 99 of 100", "swap_p99_ms", report.p99_swapping_ms),
        p99("ms between the replacements", "swap_quiet_p99_ms", report.p99_quiet_ms),
        Promise { says: "times as long", key: "swap_p99_ratio", figure: ratio, holds: ratio <= SWAP_P99_RATIO },
    ]
}

fn replays(killed: &Path) -> anyhow::Result<Vec<Promise>> {
    eprintln!("making every decision again");
    let replay::Replayed { replayed, fuel_compared, mismatches } = replay::run(&killed.join("data"))?;
    let holds = replayed > 0 && fuel_compared == replayed;
    Ok(vec![
        Promise { says: "decisions made again, with their fuel", key: "replayed", figure: replayed as f64, holds },
        Promise {
            says: "of them other in one byte, or in their fuel",
            key: "replay_mismatches",
            figure: mismatches as f64,
            holds: mismatches == 0,
        },
    ])
}

fn tamper_promises(report: &tamper::Report) -> Vec<Promise> {
    report.unseen.iter().for_each(|unseen| eprintln!("taken for whole: {unseen}"));
    let (tampered, unseen) = (report.tampered, report.unseen.len());
    vec![
        Promise {
            says: "exports that were tampered with",
            key: "tampered",
            figure: tampered as f64,
            holds: tampered > 0,
        },
        Promise {
            says: "verifiers that took one for whole",
            key: "tampered_unseen",
            figure: unseen as f64,
            holds: unseen == 0,
        },
    ]
}

fn simulated(tally: &sim::Tally) -> Vec<Promise> {
    for violation in tally.violations.iter().take(10) {
        eprintln!("{violation}");
    }
    let violations = tally.violations.len();
    vec![
        Promise {
            says: "simulated lives of a host, each with a crash at least",
            key: "sim_seeds",
            figure: tally.seeds as f64,
            holds: tally.crashes_least > 0,
        },
        Promise { says: "crashes in them", key: "sim_crashes", figure: tally.crashes as f64, holds: tally.crashes > 0 },
        Promise {
            says: "changes made in them",
            key: "sim_effects",
            figure: tally.effects as f64,
            holds: tally.effects > 0,
        },
        Promise {
            says: "violations of an invariant",
            key: "sim_violations",
            figure: violations as f64,
            holds: violations == 0,
        },
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

fn print(promises: &[Promise], json: bool) {
    if json {
        let figures: BTreeMap<&str, serde_json::Number> =
            promises.iter().map(|promise| (promise.key, number(promise.figure))).collect();
        println!("{}", serde_json::to_string(&figures).expect("numbers are JSON"));
        return;
    }
    for Promise { says, key, figure, holds } in promises {
        let (figure, mark) = (number(*figure).to_string(), if *holds { "" } else { "   BROKEN" });
        println!("{figure:>8}  {key:<24} {says}{mark}");
    }
}

/// A whole number as such, any other with two digits behind the point.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "figures are small and not negative")]
fn number(figure: f64) -> serde_json::Number {
    if figure.fract() == 0.0 {
        return (figure as u64).into();
    }
    serde_json::Number::from_f64((figure * 100.0).round() / 100.0).unwrap_or_else(|| 0.into())
}
