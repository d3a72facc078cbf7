//! The golden journal: what version 1 wrote, kept as text, so that every later version can show that it reads it, and that it
//! leads to the state that it led to then.
//!
//! It begins as a host of the simulator lived, and goes on with a record of every kind that did not happen to it. It is written
//! once for each version of records; what is kept is never written again.

use std::path::{Path, PathBuf};

use balm_core::{
    digest::Digest,
    engine::Engine,
    line::{self, Chain, Framing},
    record::{Fact, Record},
    recovery::{self, Held},
    snapshot,
};

use crate::sim;

/// The simulated life.
const SEED: u64 = 4;

/// Records of it that are kept.
const RECORDS: usize = 70;

/// Data of the kinds that happen seldom.
const SELDOM: &[(&str, &str)] = &[
    ("tail-cut", r#"{"bytes":40,"kept":"cut/00000000000000000009-0.cut"}"#),
    ("loss-accepted", r#"{"known":12,"by":"the audit database"}"#),
    (
        "state-saved",
        r#"{"upto":3,"digest":"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad","bytes":9,"version":1}"#,
    ),
    ("damage-found", r#"{"seq":2,"file":"journal/00000000000000000001.journal","offset":80,"why":"a test"}"#),
    ("plugin-refused", r#"{"plugin":"web","digest":null,"why":"it is no component"}"#),
    (
        "plugin-removed",
        r#"{"plugin":"web","digest":"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad","why":"its file is gone"}"#,
    ),
    ("configuration-refused", r#"{"part":"guardrails","mistakes":["web.cedar:1: it is no rule"]}"#),
    ("reloaded", r#"{"by":{"who":"ada","why":"new rules"},"after-restart":["listen"]}"#),
    ("account-checked", r#"{"account":"123456789012","region":"eu-central-1","identity":{"error":"no credentials"}}"#),
    ("clock-jumped", r#"{"by-ms":120000}"#),
    ("clock-accepted", r#"{"by":{"who":"ada","why":"it is right"}}"#),
    ("evaluation-skipped", r#"{"episode":7,"policy":"web-cpu","generation":9,"why":"its mode is off"}"#),
    (
        "undo-proposed",
        r#"{"of":"1.0","episode":7,"proposal":{"action":"ecs:scale-service","target":"arn:aws:ecs:eu-central-1:123456789012:service/prod/service-0","parameters":{"desired":4},"expects":{"desired":6},"verify-within":null,"undo":false,"reason":"a test"}}"#,
    ),
    ("attempt-settled", r#"{"intent":"1.0","episode":7,"attempt":1,"settled":"for-a-person","found":"a test"}"#),
    ("stop-engaged", r#"{"scope":"everything","by":{"who":"ada","why":"a test"}}"#),
    ("stop-released", r#"{"stop":1,"by":{"who":"ada","why":"a test"}}"#),
    (
        "history-dropped",
        r#"{"upto":1,"hash":"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad","bytes":9,"why":"a test"}"#,
    ),
    ("access-denied", r#"{"who":"viewer eve","what":"stop","unrecorded":3}"#),
    ("episode-ended", r#"{"episode":7,"how":"expired"}"#),
    ("intent-ended", r#"{"intent":"1.0","episode":7,"how":"undone","why":"a test"}"#),
    (
        "approval-requested",
        r#"{"intent":"1.0","episode":7,"policy":"web-cpu","plan":{"host":"simulated","intent":"1.0","episode":7,"policy":"web-cpu","policy-digest":"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad","plugin":"scale-ecs-service","plugin-digest":"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad","guardrails":"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad","action":"ecs:scale-service","target":"arn:aws:ecs:eu-central-1:123456789012:service/prod/service-0","parameters":{"desired":6},"expects":{"desired":4},"undo":false},"hash":"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad","needs":2,"approvers":["ada","bob"],"reminds-at":1795435999000,"expires-at":1795436999000}"#,
    ),
    (
        "approval-reminded",
        r#"{"intent":"1.0","episode":7,"hash":"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad","needs":2,"given":[],"expires-at":1795436999000}"#,
    ),
    (
        "approval-given",
        r#"{"intent":"1.0","episode":7,"hash":"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad","by":"ada","person":{"who":"ada","why":"a test"},"count":1,"needs":2}"#,
    ),
    (
        "approval-used",
        r#"{"intent":"1.0","episode":7,"hash":"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad","by":["ada"]}"#,
    ),
    (
        "approval-void",
        r#"{"intent":"1.0","episode":7,"hash":"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad","reason":{"refused":"limits"},"why":"a test","given":["ada"]}"#,
    ),
    (
        "approval-requested",
        r#"{"intent":"1.1","episode":7,"policy":"web-cpu","plan":{"host":"simulated","intent":"1.1","episode":7,"policy":"web-cpu","policy-digest":"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad","plugin":"scale-ecs-service","plugin-digest":"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad","guardrails":"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad","action":"ecs:scale-service","target":"arn:aws:ecs:eu-central-1:123456789012:service/prod/service-0","parameters":{"desired":6},"expects":{"desired":4},"undo":false},"hash":"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad","needs":2,"approvers":["ada","bob"],"reminds-at":1795435999000,"expires-at":1795436999000}"#,
    ),
    (
        "approval-denied",
        r#"{"intent":"1.1","episode":7,"hash":"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad","by":"ada","person":{"who":"ada","why":"a test"}}"#,
    ),
    (
        "approval-requested",
        r#"{"intent":"1.2","episode":7,"policy":"web-cpu","plan":{"host":"simulated","intent":"1.2","episode":7,"policy":"web-cpu","policy-digest":"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad","plugin":"scale-ecs-service","plugin-digest":"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad","guardrails":"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad","action":"ecs:scale-service","target":"arn:aws:ecs:eu-central-1:123456789012:service/prod/service-0","parameters":{"desired":6},"expects":{"desired":4},"undo":false},"hash":"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad","needs":2,"approvers":["ada","bob"],"reminds-at":1795435999000,"expires-at":1795436999000}"#,
    ),
    (
        "approval-expired",
        r#"{"intent":"1.2","episode":7,"hash":"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad","needs":2,"given":[]}"#,
    ),
    (
        "approval-requested",
        r#"{"intent":"1.3","episode":7,"policy":"web-cpu","plan":{"host":"simulated","intent":"1.3","episode":7,"policy":"web-cpu","policy-digest":"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad","plugin":"scale-ecs-service","plugin-digest":"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad","guardrails":"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad","action":"ecs:scale-service","target":"arn:aws:ecs:eu-central-1:123456789012:service/prod/service-0","parameters":{"desired":6},"expects":{"desired":4},"undo":false},"hash":"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad","needs":2,"approvers":["ada","bob"],"reminds-at":1795435999000,"expires-at":1795436999000}"#,
    ),
    (
        "approval-given",
        r#"{"intent":"1.3","episode":7,"hash":"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad","by":"ada","person":{"who":"ada","why":"a test"},"count":1,"needs":2}"#,
    ),
    (
        "approval-given",
        r#"{"intent":"1.3","episode":7,"hash":"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad","by":"bob","person":{"who":"bob","why":"a test"},"count":2,"needs":2}"#,
    ),
    (
        "approval-withdrawn",
        r#"{"intent":"1.3","episode":7,"hash":"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad","by":"ada","person":{"who":"ada","why":"a test"}}"#,
    ),
    (
        "approval-refused",
        r#"{"intent":"1.3","saying":"yes","plan":"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad","person":{"who":"ada","why":"a test"},"reason":"not-an-approver"}"#,
    ),
    (
        "checkpoint",
        r#"{"host":"simulated","seq":1,"hash":"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad","key":"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad","signature":"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015adba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"}"#,
    ),
    ("release-asked", r#"{"stop":1,"by":{"who":"ada","why":"a test"},"missing":1}"#),
    ("storm-brake", r#"{"on":true,"targets":30,"accounts":2}"#),
    (
        "conflict-found",
        r#"{"conflict":"oscillation","intent":"1.0","episode":7,"policy":"web-cpu","target":"arn:aws:ecs:eu-central-1:123456789012:service/prod/service-0","found":"a test"}"#,
    ),
    (
        "plugin-pushed",
        r#"{"plugin":"scale-ecs-service","digest":"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad","bytes":9,"manifest":{"version":"0.2.0","summary":"","actions":["ecs:scale-service"],"queries":["ecs:service"]},"by":{"who":"ada","why":"a test"}}"#,
    ),
    (
        "candidate-named",
        r#"{"plugin":"scale-ecs-service","digest":"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad","by":{"who":"ada","why":"a test"}}"#,
    ),
    (
        "candidate-compared",
        r#"{"plugin":"scale-ecs-service","digest":"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad","policy":"web-cpu","episode":7,"capsule":9,"agreement":"differs","outcome":{"concluded":{"failed":{"kind":"trapped","message":"a test"}}},"fuel":3}"#,
    ),
    (
        "candidate-ended",
        r#"{"plugin":"web","digest":"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad","why":"a test"}"#,
    ),
    ("host-stopped", r#"{"why":"SIGTERM"}"#),
];

/// Where golden journals are kept.
#[must_use]
pub fn dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/journal")
}

/// What a journal's text leads to: where it ends, and the digest of the state.
///
/// # Panics
///
/// If it is not whole.
#[must_use]
pub fn fold(text: &[u8]) -> (Vec<Record>, Chain, Digest) {
    let (mut engine, mut records) = (Engine::new(), Vec::new());
    let Held { chain, rest, .. } = recovery::read_file(text, Chain::START, |batch| {
        for placed in batch {
            engine.replay(&placed.line.record);
            records.push(placed.line.record);
        }
    });
    assert_eq!(rest, recovery::Rest::Nothing, "the golden journal is not believed");
    let digest = snapshot::write(engine.state(), chain, std::io::sink()).expect("nothing is written");
    (records, chain, digest)
}

/// The golden journal of this version.
///
/// # Panics
///
/// If the data of a seldom kind is not what this version reads.
#[must_use]
pub fn write() -> Vec<u8> {
    let mut records = Vec::new();
    recovery::read_file(&sim::journal(SEED), Chain::START, |batch| {
        if records.len() < RECORDS {
            records.extend(batch.into_iter().map(|placed| placed.line.record));
        }
    });
    let mut seq = records.last().expect("it lived").seq;
    let at = records.last().expect("it lived").at;
    for (kind, data) in SELDOM {
        seq = seq.next();
        let json = format!(r#"{{"v":1,"seq":{seq},"at":{},"kind":"{kind}","data":{data}}}"#, at.as_millis());
        let (record, _) = line::read_json(json.as_bytes()).expect("this version reads it");
        records.push(record);
    }
    let (mut text, mut chain) = (Vec::new(), Chain::START);
    let mut framing = Framing { prev: Some(Digest::ZERO), synced: Some(chain.seq) };
    for record in &records {
        chain = line::write(chain, record, std::mem::take(&mut framing), &mut text);
    }
    text
}

/// The kinds of records that there are in a journal.
pub fn kinds(records: &[Record]) -> std::collections::BTreeSet<&'static str> {
    records.iter().map(|record| Fact::kind(&record.fact)).collect()
}
