//! The promises, each with what shows it and its figure.

mod crashes;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    sync::Arc,
};

use anyhow::Context as _;
use balm_sandbox::Sandbox;
use balm_tests::{
    approvals, corpus,
    harness::Dir,
    kills::{self, Report},
    replay, sim, swaps, tamper,
};
use clap::Parser;

/// What a seed of the kills comes from: any would do.
const SEED: u64 = 0x9e37_79b9_7f4a_7c15;

const KILLS: u32 = 50;
const SEEDS: u64 = 2_000;
const SWAPS: u64 = 1_000;
const RANDOM_TAMPERINGS: u64 = 100;

/// How much later an alert may be acknowledged while plugins are swapped.
const SWAP_P99_RATIO: f64 = 2.0;

/// Guests that the corpus has at least.
const HOSTILE_GUESTS: usize = 54;

/// Things that the type of an approved intent must not allow, each a program that must not compile.
const TYPE_PROOFS: u64 = 3;

/// What somebody may try with an approval, at least.
const APPROVAL_CASES: usize = 60;

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
    if wanted("approval") {
        eprintln!("trying what may be tried with approvals");
        promises.extend(approved());
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
    if wanted("power") {
        promises.extend(crashes::power_cuts(times as usize));
    }
    if wanted("corruption") || wanted("cache") {
        promises.extend(crashes::corruptions(times as usize, SEED));
    }
    if wanted("swap") {
        let swaps = SWAPS * u64::from(times);
        eprintln!("replacing plugins {swaps} times under load");
        let keep = arguments.keep.as_ref().map(|dir| dir.join("swaps"));
        promises.extend(swap_promises(&swaps::run(&swaps::Options { swaps, seed: SEED, keep }), swaps));
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
    let replay::Replayed { replayed, fuel_compared, mismatches, .. } = replay::run(&killed.join("data"))?;
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
