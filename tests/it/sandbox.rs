//! A plugin that does what no policy should harms only itself: each way to misbehave has an ending of its own, recorded as
//! that plugin's failure, and the good plugin beside it decides as ever.

use std::{fs, path::Path, sync::Arc, time::Duration};

use balm_core::{
    evaluation::{Decision, Failure, FailureKind, Input, Outcome},
    json::Json,
};
use balm_sandbox::{LoadError, Plugin, Round, Sandbox};
use balm_tests::{MISBEHAVE, OPEN_SOCKET, SCALE_ECS_SERVICE, corpus};

/// Ways that end as a failure, with what it is called and what is said of it.
const ENDINGS: [(&str, FailureKind, &str); 15] = [
    ("loop", FailureKind::OutOfFuel, "instructions"),
    ("copy", FailureKind::OutOfFuel, "instructions"),
    ("chatter", FailureKind::OutOfTime, "ms"),
    ("allocate", FailureKind::OutOfSpace, "bytes of memory"),
    ("allocate-at-once", FailureKind::OutOfSpace, "bytes of memory"),
    ("recurse", FailureKind::Trapped, "wasm trap"),
    ("panic", FailureKind::Trapped, "as it was told to"),
    ("exit", FailureKind::Trapped, "exit"),
    ("sleep", FailureKind::Malformed, "a policy may not wait"),
    ("explain", FailureKind::Malformed, ""),
    ("propose", FailureKind::Malformed, "100 intents"),
    ("garble", FailureKind::Malformed, "JSON"),
    ("nest", FailureKind::Malformed, "JSON"),
    ("read-file", FailureKind::Returned, ""),
    ("write-file", FailureKind::Returned, ""),
];

/// Ways that end as a decision all the same, since what was too much is swallowed.
const SWALLOWED: [&str; 3] = ["log", "print", "look-around"];

pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
}

async fn load(sandbox: &Arc<Sandbox>, path: &str) -> Plugin {
    let bytes = fs::read(path).expect("the build made it");
    let name = Path::new(path).file_stem().and_then(|stem| stem.to_str()).expect("a name").replace('_', "-");
    Plugin::load(sandbox, name.parse().expect("a name"), &bytes).await.expect("it is a plugin")
}

fn input(settings: &str) -> Input {
    corpus::input(Json::parse(settings).expect("JSON"))
}

async fn misbehave(plugin: &Plugin, how: &str) -> Round {
    plugin.evaluate(&input(&format!(r#"{{"how":"{how}"}}"#))).await
}

fn failure(round: Round) -> Failure {
    match round.outcome {
        Err(failure) => failure,
        Ok(outcome) => unreachable!("it did not fail: {outcome:?}"),
    }
}

fn decision(round: Round) -> Decision {
    match round.outcome {
        Ok(Outcome::Decided(decision)) => decision,
        other => unreachable!("it did not decide: {other:?}"),
    }
}

/// What this process keeps in memory, in MiB.
fn resident_mib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("Linux says it");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("it is there");
    line.trim().trim_end_matches(" kB").trim().parse::<u64>().expect("a number") / 1024
}

#[test]
fn every_way_to_misbehave_ends_as_that_plugins_own_failure_with_its_own_name() {
    runtime().block_on(async {
        let sandbox = Arc::new(Sandbox::new().expect("a sandbox"));
        let plugin = load(&sandbox, MISBEHAVE).await;
        for (how, kind, said) in ENDINGS {
            let failure = failure(misbehave(&plugin, how).await);
            assert_eq!(failure.kind, kind, "{how}: {}", failure.message);
            assert!(failure.message.contains(said), "{how}: {}", failure.message);
            assert!(failure.message.len() <= 1_100, "{how}: {} bytes", failure.message.len());
        }
    });
}

#[test]
fn what_a_plugin_says_too_much_is_dropped_and_its_decision_stands() {
    runtime().block_on(async {
        let sandbox = Arc::new(Sandbox::new().expect("a sandbox"));
        let plugin = load(&sandbox, MISBEHAVE).await;
        for how in SWALLOWED {
            let round = misbehave(&plugin, how).await;
            let (lines, dropped) = (round.log.len(), round.log_dropped);
            assert!(lines <= 64 && round.log.iter().all(|line| line.message.len() <= 1_100), "{how}: {lines} lines");
            assert_eq!(dropped > 0, how == "log", "{how}: {dropped} lines dropped");
            decision(round);
        }
    });
}

#[test]
fn a_plugin_sees_nothing_of_the_world_and_the_same_every_time() {
    runtime().block_on(async {
        let sandbox = Arc::new(Sandbox::new().expect("a sandbox"));
        let plugin = load(&sandbox, MISBEHAVE).await;
        let (first, second) = (misbehave(&plugin, "look-around").await, misbehave(&plugin, "look-around").await);
        assert_eq!(first.fuel, second.fuel);
        let (first, second) = (decision(first), decision(second));
        assert_eq!(first, second);
        let seen = first.explanation;
        assert!(seen.starts_with("0 variables, 0 arguments, 1795435200123 ms, random "), "{seen}");
        assert!(seen.ends_with("nothing in the directory"), "{seen}");
        let other = plugin.evaluate(&Input { seed: 8, ..input(r#"{"how":"look-around"}"#) }).await;
        assert_ne!(decision(other).explanation, seen, "another seed, another randomness");
    });
}

#[test]
fn all_misbehave_at_once_and_the_good_plugin_beside_them_decides_as_ever() {
    runtime().block_on(async {
        let sandbox = Arc::new(Sandbox::new().expect("a sandbox"));
        let bad = Arc::new(load(&sandbox, MISBEHAVE).await);
        let good = load(&sandbox, SCALE_ECS_SERVICE).await;
        let question = input(r#"{"minimum":2,"maximum":12}"#);
        let alone = good.evaluate(&question).await;
        let before = resident_mib();
        let crowd: Vec<_> = (0..60)
            .map(|i| {
                let bad = Arc::clone(&bad);
                let how = ENDINGS[i % ENDINGS.len()].0;
                tokio::spawn(async move { misbehave(&bad, how).await.outcome.is_err() })
            })
            .collect();
        let mut decided = 0;
        while crowd.iter().any(|one| !one.is_finished()) {
            let round = good.evaluate(&question).await;
            assert_eq!((round.outcome, round.fuel), (alone.outcome.clone(), alone.fuel));
            decided += 1;
            tokio::task::yield_now().await;
        }
        for one in crowd {
            assert!(one.await.expect("no panic of ours"), "one did not end as a failure");
        }
        let grown = resident_mib().saturating_sub(before);
        println!("{decided} good decisions beside 60 bad evaluations; {grown} MiB more resident");
        assert!(decided > 0);
    });
}

#[test]
fn an_evaluation_that_is_given_up_in_the_middle_leaves_its_place_to_others() {
    runtime().block_on(async {
        let sandbox = Arc::new(Sandbox::new().expect("a sandbox"));
        let plugin = load(&sandbox, MISBEHAVE).await;
        // More than there are instances: if one stayed behind, the last would wait for ever.
        for _ in 0..100 {
            let given_up = tokio::time::timeout(Duration::from_millis(1), misbehave(&plugin, "chatter")).await;
            assert!(given_up.is_err());
        }
        decision(misbehave(&plugin, "look-around").await);
    });
}

#[test]
fn what_is_no_plugin_is_refused_with_what_it_is() {
    runtime().block_on(async {
        let sandbox = Arc::new(Sandbox::new().expect("a sandbox"));
        let good = fs::read(SCALE_ECS_SERVICE).expect("the build made it");
        let refused = async |bytes: &[u8]| {
            let loaded = Plugin::load(&sandbox, "web".parse().expect("a name"), bytes).await;
            loaded.err().map_or_else(String::new, |error: LoadError| error.to_string())
        };
        let mut flipped = good.clone();
        let middle = flipped.len() / 2;
        flipped[middle..middle + 64].fill(0xff);
        let cases: [(&[u8], &str); 7] = [
            (b"", "it is empty"),
            (b"#!/bin/sh\n", "no WebAssembly"),
            (b"\0asm\x01\0\0\0", "a core module"),
            (b"\0asm\x0d\0\x02\0", "unknown version"),
            (b"\x7fELF\x02", "native code"),
            (&good[..good.len() / 2], "cannot be compiled"),
            (&flipped, "cannot be compiled"),
        ];
        for (bytes, said) in cases {
            let told = refused(bytes).await;
            assert!(told.contains(said), "{said}: {told}");
        }
        let told = refused(&vec![0; (32 << 20) + 1]).await;
        assert!(told.contains("at most"), "{told}");
        let told = refused(&fs::read(OPEN_SOCKET).expect("the build made it")).await;
        assert!(told.contains("it imports wasi:sockets/") && told.contains("which no policy may"), "{told}");
        // A component all right, and none of the contract's.
        let told = refused(b"\0asm\x0d\0\x01\0").await;
        assert!(told.contains("does not fit the contract"), "{told}");
    });
}
