//! The journal on a real disk: what is durable is there again, and what is not is cut and said.

use std::fs;

use balm_core::{
    name::Seq,
    record::{ClockJumped, Fact},
    time::Timestamp,
};

use super::*;
use crate::test_dir::TestDir;

const SMALL: Layout = Layout { segment_bytes: 8 << 10, reserve_bytes: 0 };

impl Journal {
    /// From now on it takes what is written to it, and cannot sync it.
    pub(crate) fn cannot_sync(&mut self) {
        self.file = fs::OpenOptions::new().write(true).open("/dev/null").expect("it is there on every Linux");
    }
}

fn record(seq: u64, more: bool) -> Record {
    let fact = Fact::ClockJumped(ClockJumped { by_ms: seq });
    Record { seq: Seq(seq), at: Timestamp::from_millis(seq), more, fact }
}

fn open(data: &std::path::Path, layout: Layout, each: impl FnMut(Record)) -> Result<Opened, OpenError> {
    read(data, Chain::START, each)?.open(layout)
}

fn open_all(data: &std::path::Path) -> Result<(Opened, Vec<u64>), OpenError> {
    let mut seen = Vec::new();
    let opened = open(data, SMALL, |record| seen.push(record.seq.0))?;
    Ok((opened, seen))
}

/// Write so many batches of two records, a commit each.
fn write(data: &std::path::Path, batches: u64) -> u64 {
    let (mut opened, seen) = open_all(data).unwrap();
    let mut seq = seen.last().copied().unwrap_or(0);
    for _ in 0..batches {
        opened.journal.append(&[record(seq + 1, true), record(seq + 2, false)]).unwrap();
        opened.journal.commit().unwrap();
        seq += 2;
    }
    seq
}

#[test]
fn what_was_committed_is_there_again_over_many_files() {
    let dir = TestDir::new("journal-again");
    write(dir.path(), 100);
    let last = write(dir.path(), 100);
    assert_eq!(last, 400);
    let (opened, seen) = open_all(dir.path()).unwrap();
    assert_eq!(seen, (1..=400).collect::<Vec<u64>>());
    assert!(files::list(&dir.path().join("journal")).unwrap().len() > 3);
    assert!(opened.cut.is_empty());
    for seq in 1..=400 {
        assert_eq!(opened.log.read(Seq(seq)).unwrap(), record(seq, seq % 2 == 1), "record {seq}");
    }
    assert!(matches!(opened.log.read(Seq(401)), Err(LogError::Absent(_))));
}

#[test]
fn a_reader_gets_all_lines_in_order_and_then_what_comes() {
    let dir = TestDir::new("journal-lines");
    write(dir.path(), 150);
    let (mut opened, _) = open_all(dir.path()).unwrap();
    let (mut at, mut lines) = (Position::START, Vec::new());
    loop {
        let (more, next) = opened.log.lines(at, 1000).unwrap();
        if more.is_empty() {
            break;
        }
        lines.extend(more.split(|c| *c == b'\n').filter(|line| !line.is_empty()).map(<[u8]>::to_vec));
        at = next;
    }
    assert_eq!(lines.len(), 300);
    opened.journal.append(&[record(301, false)]).unwrap();
    assert!(opened.log.lines(at, 1000).unwrap().0.is_empty(), "it is not durable yet");
    opened.journal.commit().unwrap();
    assert!(!opened.log.lines(at, 1000).unwrap().0.is_empty());
    assert_eq!(opened.log.position(Seq(301)).unwrap(), at);
}

#[test]
fn an_unfinished_write_is_cut_kept_and_said_until_it_is_recorded() {
    let dir = TestDir::new("journal-torn");
    write(dir.path(), 3);
    let path = dir.path().join("journal").join(files::name(Seq(1)));
    let mut bytes = fs::read(&path).unwrap();
    let end = bytes.iter().rposition(|c| *c != 0).unwrap() + 1;
    bytes[end - 40..end].fill(0);
    fs::write(&path, &bytes).unwrap();
    let (opened, seen) = open_all(dir.path()).unwrap();
    assert_eq!(seen, [1, 2, 3, 4], "the batch of the unfinished write is gone as a whole");
    assert_eq!(opened.cut.len(), 1);
    drop(opened);
    let (opened, _) = open_all(dir.path()).unwrap();
    assert_eq!(opened.cut.len(), 1, "it is said again until it is recorded");
    cut_is_recorded(dir.path(), &opened.cut[0]).unwrap();
    assert_eq!(fs::metadata(dir.path().join(&opened.cut[0].kept)).unwrap().len(), opened.cut[0].bytes);
    drop(opened);
    assert!(open_all(dir.path()).unwrap().0.cut.is_empty());
    assert_eq!(write(dir.path(), 1), 6, "and the journal goes on");
}

#[test]
fn damage_in_the_middle_stops_the_host_and_is_located() {
    let dir = TestDir::new("journal-damage");
    write(dir.path(), 100);
    let (_, path) = files::list(&dir.path().join("journal")).unwrap().remove(1);
    let mut bytes = fs::read(&path).unwrap();
    bytes[100] ^= 1;
    fs::write(&path, bytes).unwrap();
    let told = open_all(dir.path()).err().unwrap().to_string();
    assert!(told.contains("the journal is damaged: record") && told.contains(&path.display().to_string()), "{told}");
}

#[test]
fn a_record_whose_line_does_not_end_is_damaged_and_others_are_read() {
    let dir = TestDir::new("journal-endless");
    write(dir.path(), 5);
    let (opened, _) = open_all(dir.path()).unwrap();
    let (_, path) = files::list(&dir.path().join("journal")).unwrap().remove(0);
    let bytes = fs::read(&path).unwrap();
    let ends: Vec<usize> = memchr::memchr_iter(b'\n', &bytes).collect();
    for ended in [8, 10] {
        let mut bytes = bytes.clone();
        bytes[ends[ended - 1]] = b' ';
        fs::write(&path, bytes).unwrap();
        let told = opened.log.read(Seq(ended as u64)).unwrap_err();
        assert!(matches!(told, LogError::Damaged { seq, .. } if seq.0 == ended as u64), "{told}");
        assert_eq!(opened.log.read(Seq(1)).unwrap(), record(1, true));
    }
}

#[test]
fn a_missing_file_stops_the_host() {
    let dir = TestDir::new("journal-missing");
    write(dir.path(), 100);
    let (_, path) = files::list(&dir.path().join("journal")).unwrap().remove(1);
    fs::remove_file(path).unwrap();
    assert!(matches!(open_all(dir.path()), Err(OpenError::Missing { .. })));
}

#[test]
fn a_batch_that_does_not_fit_begins_the_next_file_as_a_whole() {
    let dir = TestDir::new("journal-batch");
    let (mut opened, _) = open_all(dir.path()).unwrap();
    let batch: Vec<Record> = (1..=200).map(|seq| record(seq, seq < 200)).collect();
    opened.journal.append(&[record(1, false)]).unwrap();
    let batch: Vec<Record> = batch.into_iter().map(|r| Record { seq: r.seq.next(), ..r }).collect();
    opened.journal.append(&batch).unwrap();
    opened.journal.commit().unwrap();
    drop(opened);
    let (opened, seen) = open_all(dir.path()).unwrap();
    assert_eq!(seen.len(), 201);
    assert!(
        fs::metadata(files::list(&dir.path().join("journal")).unwrap()[1].1.clone()).unwrap().len()
            > SMALL.segment_bytes
    );
    drop(opened);
}

#[test]
fn without_the_reserve_there_is_no_room() {
    let dir = TestDir::new("journal-reserve");
    write(dir.path(), 1);
    let greedy = Layout { reserve_bytes: u64::MAX / 2, ..SMALL };
    let mut opened = open(dir.path(), greedy, |_| {}).unwrap();
    let told = opened.journal.room().unwrap_err();
    assert!(told.contains("MiB are kept in reserve: make room"), "{told}");
}

#[test]
fn what_cannot_be_synced_is_published_to_nobody() {
    let dir = TestDir::new("journal-sync");
    write(dir.path(), 1);
    let (mut opened, _) = open_all(dir.path()).unwrap();
    opened.journal.cannot_sync();
    opened.journal.append(&[record(3, false)]).unwrap();
    let broken = opened.journal.commit().unwrap_err();
    assert_eq!(broken.what, "sync");
    assert_eq!(opened.log.durable().seq, Seq(2));
    assert!(opened.log.read(Seq(3)).is_err());
}

#[test]
fn whoever_reads_a_file_that_was_dropped_meanwhile_is_told_to_do_it_again() {
    let dir = TestDir::new("journal-overtaken");
    write(dir.path(), 100);
    let found = files::list(&dir.path().join("journal")).unwrap();
    assert!(found.len() > 2);
    for (_, path) in &found[..2] {
        // Listed, and not there when it is opened.
        let aside = dir.path().join("aside");
        fs::rename(path, &aside).unwrap();
        std::os::unix::fs::symlink("nowhere", path).unwrap();
        assert!(matches!(scan(dir.path(), |_, _, _| {}), Err(OpenError::Overtaken)), "{}", path.display());
        fs::rename(&aside, path).unwrap();
    }
    assert!(scan(dir.path(), |_, _, _| {}).is_ok());
}
