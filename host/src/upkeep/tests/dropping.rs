//! Old records are dropped, wherever that ends, and nothing that is kept is lost by it.

use super::*;

/// Drop the files before the older one of two saved states: the record is written, and nothing is deleted yet.
fn with_dropped(name: &str) -> (Bench, HistoryDropped, usize) {
    let mut bench = Bench::new(name);
    bench.alerts(150);
    let older = bench.save().chain.seq;
    bench.alerts(50);
    bench.save();
    let files = bench.log.files();
    let count = files.iter().take_while(|file| file.first() <= older).count() - 1;
    assert!(count > 3, "{count}");
    let dropped = bench.drop_before(&files[count]);
    bench.alerts(10);
    (bench, dropped, count)
}

#[test]
fn wherever_dropping_old_records_ends_the_rest_is_whole_and_the_next_start_goes_on_with_it() {
    let (whole, _, count) = with_dropped("history-dropping");
    drop(whole);
    for deleted in 0..=count {
        let (bench, dropped, _) = with_dropped("history-dropping");
        for file in &bench.log.files()[..deleted] {
            fs::remove_file(file.path()).unwrap();
        }
        assert!(bench.used().is_some(), "{deleted} of {count} files are deleted");
        journal::scan(bench.data(), |_, _, _| {}).unwrap();
        bench.scrub().unwrap();
        let left = fs::read_dir(bench.data().join("journal")).unwrap().count();
        assert_eq!(left, bench.files().len() - count + 1, "the start deleted the rest, and there is a spare");
        assert!(bench.used().is_some());
        let scanned = journal::scan(bench.data(), |_, record, _| assert!(record.seq > dropped.upto)).unwrap();
        assert_eq!(scanned.chain, bench.log.durable());
    }
}

#[test]
fn more_missing_than_was_dropped_is_no_whole_journal() {
    let (bench, dropped, count) = with_dropped("history-missing");
    for file in &bench.log.files()[..=count] {
        fs::remove_file(file.path()).unwrap();
    }
    let scanned = journal::scan(bench.data(), |_, _, _| {}).err().unwrap().to_string();
    assert!(scanned.contains("none of its records says that those before it were dropped on purpose"), "{scanned}");
    let refused = bench.recover().err().unwrap().to_string();
    assert!(refused.contains("none of its records says"), "{refused}");
    assert!(bench.engine.state().dropped.seq == dropped.upto);
}

#[test]
fn where_old_records_are_dropped_a_start_needs_a_saved_state() {
    let (bench, _, count) = with_dropped("history-none");
    delete(&bench.log, bench.engine.state().dropped.seq).unwrap();
    let first = bench.files()[0];
    assert!(first > Seq(1) && count > 0);
    let newest = bench.states.list().unwrap()[0];
    bench.damage(newest, Vec::clear);
    assert!(bench.used().is_some_and(|used| used < newest), "the older one leads there too");
    bench.states.keep(&[]).unwrap();
    let Err(recover::RecoverError::Journal(OpenError::NoState(at))) = bench.recover() else { panic!("it started") };
    assert_eq!(at, first);
}

#[test]
fn a_reader_of_dropped_records_is_told_so() {
    let (bench, _, _) = with_dropped("history-reader");
    let at = bench.log.position(Seq(1)).unwrap();
    let last = bench.log.position(bench.log.durable().seq).unwrap();
    delete(&bench.log, bench.engine.state().dropped.seq).unwrap();
    assert!(matches!(bench.log.lines(at, 1), Err(LogError::Dropped(first)) if first == bench.files()[0]));
    assert!(matches!(bench.log.read(Seq(1)), Err(LogError::Dropped(first)) if first == bench.files()[0]));
    assert!(matches!(bench.log.read(Seq::ZERO), Err(LogError::Absent(Seq::ZERO))), "it never was");
    assert!(!bench.log.lines(last, 1).unwrap().0.is_empty(), "places behind stay what they were");
}

#[test]
fn a_clock_that_leapt_ahead_makes_nothing_old_until_a_person_accepts_it() {
    let mut bench = Bench::new("history-clock");
    bench.alerts(200);
    bench.ahead = 365 * 86_400_000;
    bench.take(Input::ClockJumped(bench.ahead));
    bench.alerts(3);
    let keep = Retention { age: Some(Duration::from_secs(86_400)), bytes: None };
    let dropped = |bench: &Bench| {
        let closed = closed(&bench.log, &bench.log.files()).unwrap();
        keep.to_drop(&closed, 0, Seq(u64::MAX), Horizon::of(bench.engine.state()).now())
    };
    assert_eq!(dropped(&bench), None);
    bench.take(Input::ClockAccepted(Person { who: "ada".into(), why: "it was wrong before".into() }));
    assert!(dropped(&bench).is_some_and(|(files, _)| files > 3), "now a year has passed");
}

#[test]
fn a_file_that_cannot_be_deleted_stays_the_first_and_leaves_no_hole() {
    let (bench, dropped, count) = with_dropped("history-undeleted");
    assert!(count > 2);
    let upto = Chain { seq: dropped.upto, hash: dropped.hash };
    let (second, third) = (bench.log.files()[1].clone(), bench.log.files()[2].clone());
    // A directory cannot be deleted as a file can.
    let aside = bench.data().join("aside");
    let swap = |away: &Path| {
        fs::rename(away, &aside).unwrap();
        fs::create_dir(away).unwrap();
    };
    let swap_back = |away: &Path| {
        fs::remove_dir(away).unwrap();
        fs::rename(&aside, away).unwrap();
    };
    swap(second.path());
    for _ in 0..2 {
        delete(&bench.log, upto.seq).unwrap_err();
        assert_eq!(bench.files()[0], second.first(), "it is still the first");
        assert!(third.path().exists(), "and nothing behind it is gone");
    }
    swap_back(second.path());
    assert!(bench.used().is_some(), "there is no hole");
    assert_eq!(finish_dropping(&bench.log, Chain::START, upto), upto);
}

#[test]
fn where_all_that_a_start_did_not_read_was_dropped_the_rest_is_verified() {
    let (bench, dropped, _) = with_dropped("history-verified");
    // The older one stands in the first file that is kept.
    bench.damage(bench.states.list().unwrap()[0], Vec::clear);
    let (mut running, found, _runtime) = bench.upkeep(Retention::default());
    let verified = Arc::clone(&running.parts.verified);
    assert!(verified.goes_on() && found.checked_from.seq == dropped.upto);
    let begins = finish_dropping(&running.parts.log, found.begins, found.dropped);
    running.scrub(begins, found.checked_from, found.checked_to);
    assert!(verified.goes_on(), "the audit database is to be checked");
    running.check_audit();
    assert!(!verified.goes_on() && verified.damage().is_none() && running.parts.audit.damage().is_none());
}

#[test]
fn a_damaged_line_where_two_files_meet_is_named_with_its_file_and_not_blamed_on_the_states() {
    let mut bench = Bench::new("history-boundary");
    bench.alerts(150).save();
    bench.alerts(50).save();
    let dropped = bench.drop_before(&bench.log.files()[2].clone());
    delete(&bench.log, dropped.upto).unwrap();
    let (first, second) = (bench.log.files()[0].clone(), bench.log.files()[1].clone());
    assert!(bench.used().is_some() && bench.states.list().unwrap().iter().all(|at| *at > second.first()));
    let end = usize::try_from(first.end()).unwrap();
    let last_line = fs::read(first.path()).unwrap()[..end - 1].iter().rposition(|c| *c == b'\n').unwrap() + 1;
    let prev = b"\"prev\":\"";
    let text = fs::read(second.path()).unwrap();
    let prev = text.windows(prev.len()).position(|window| window == prev).unwrap() + prev.len();
    for (file, at, seq) in [(&first, last_line, Seq(second.first().0 - 1)), (&second, prev, second.first())] {
        let whole = fs::read(file.path()).unwrap();
        let mut damaged = whole.clone();
        damaged[at] = if damaged[at] == b'0' { b'1' } else { b'0' };
        fs::write(file.path(), damaged).unwrap();
        let refused = bench.recover().err().unwrap().to_string();
        let wanted =
            format!("record {seq} is not where it should be, at the beginning or end of {}", file.path().display());
        assert!(refused.contains(&wanted) && refused.contains("restore that file from a backup"), "{refused}");
        fs::write(file.path(), whole).unwrap();
    }
}

#[test]
fn with_old_records_dropped_and_no_state_left_the_host_says_what_to_do_before_it_ends() {
    let (bench, dropped, _) = with_dropped("history-stateless");
    delete(&bench.log, dropped.upto).unwrap();
    let (mut running, _, _runtime) = bench.upkeep(Retention::default());
    let first = running.parts.log.first();
    bench.states.keep(&[]).unwrap();
    assert!(running.is_due());
    running.save();
    let told = running.parts.verified.damage().expect("it is told to whoever asks");
    assert!(told.contains(&format!("the records before {first} are no longer kept")), "{told}");
    assert!(told.contains("restore the files in `state` from a backup"), "{told}");
    assert!(!running.is_due(), "it is said once");
}

#[test]
fn records_grow_old_while_nothing_happens() {
    let mut bench = Bench::new("history-quiet");
    bench.alerts(200);
    let keep = Retention { age: Some(Duration::from_secs(86_400)), bytes: None };
    let (closed, horizon) = (closed(&bench.log, &bench.log.files()).unwrap(), Horizon::of(bench.engine.state()));
    let dropped =
        |hours: u64| keep.to_drop(&closed, 0, Seq(u64::MAX), horizon.after(Duration::from_secs(hours * 3_600)));
    assert_eq!(dropped(23), None);
    assert!(dropped(25).is_some(), "though no state was saved meanwhile");
}
