//! The end in order: stop accepting, drain, flush; and at once when told twice.

use std::{
    collections::BTreeSet,
    fs,
    net::TcpStream,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use balm_cloud::{
    Options, Span,
    fault::{Chance, Fault, Matching},
};
use balm_core::record::{CallResult, Fact};
use balm_tests::harness::{
    Dir,
    cloud::Cloud,
    grafana::{Alert, body},
    host::{Files, Host, TOKEN, configuration},
    http::{self, Connection},
    journal, wait,
};

/// An end in order takes as long as the slowest call: about a second here.
const WITHIN: Duration = Duration::from_secs(30);

fn ended(host: &mut Host) -> std::process::ExitStatus {
    wait::until("the host to end", WITHIN, || host.ended())
}

#[test]
fn sigterm_under_load_loses_no_alert_that_was_acknowledged_and_ends_the_calls_under_way() {
    let cloud = Cloud::start(3, Options::default(), None);
    cloud.create_service("web", 4);
    // The call is on its way when the host is told to end.
    let ms = Span::between(400, 500).expect("least is not above most");
    let slow = Chance { matching: Matching::default(), per_million: 1_000_000, fault: Fault::Slow { ms } };
    cloud.with(|cloud, _| cloud.plan().chance(slow)).expect("the plan has room");
    let files = Files::new(Dir::new("shutdown"), &cloud.endpoint());
    let mut host = files.start();

    let (acknowledged, next) = (Mutex::new(BTreeSet::new()), AtomicU64::new(1));
    let over = AtomicBool::new(false);
    let address = host.alerts.clone();
    thread::scope(|threads| {
        for _ in 0..4 {
            threads.spawn(|| {
                while !over.load(Ordering::SeqCst) {
                    let fingerprint = next.fetch_add(1, Ordering::SeqCst);
                    let alert = Alert::firing("Load", "web", fingerprint);
                    let authorization = format!("Bearer {TOKEN}");
                    let headers = [("authorization", authorization.as_str())];
                    let answer = http::post(&address, "/v1/alerts/grafana", &headers, &body(&[alert]));
                    if answer.is_ok_and(|answer| answer.status == 200) {
                        acknowledged
                            .lock()
                            .unwrap_or_else(PoisonError::into_inner)
                            .insert(format!("{fingerprint:016x}"));
                    }
                }
            });
        }
        host.accept(&body(&[Alert::firing("HighCpu", "web", 0xc0ff_ee00)]));
        wait::until("a call to be under way", WITHIN, || {
            files.facts().iter().any(|fact| matches!(fact, Fact::AttemptStarted(_))).then_some(())
        });
        host.signal("TERM");
        let status = ended(&mut host);
        over.store(true, Ordering::SeqCst);
        assert!(status.success(), "it ended in order: {}", host.log());
    });

    let facts = journal::facts(&files.data());
    let received: BTreeSet<String> = facts
        .iter()
        .filter_map(|fact| match fact {
            Fact::AlertReceived(received) => Some(received.alert.fingerprint.clone()),
            _ => None,
        })
        .collect();
    let acknowledged = acknowledged.into_inner().unwrap_or_else(PoisonError::into_inner);
    assert!(acknowledged.len() > 10, "there was load: {}", acknowledged.len());
    let lost: Vec<&String> = acknowledged.difference(&received).collect();
    assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
    let done =
        |fact: &Fact| matches!(fact, Fact::AttemptEnded(ended) if matches!(ended.result, CallResult::Done { .. }));
    assert!(facts.iter().any(done), "the call under way came to its end, and that is recorded");
    assert!(matches!(facts.last(), Some(Fact::HostStopped(stopped)) if stopped.why == "SIGTERM"), "{:?}", facts.last());
    assert!(files.balm_says(&["audit", "verify"]).contains("are whole and in order"));

    // Nothing is left for the next start to guess.
    let host = files.start();
    host.stop();
    let begun = journal::facts(&files.data()).into_iter().skip(facts.len());
    let unsure = |fact: &Fact| matches!(fact, Fact::AttemptSettled(_) | Fact::TailCut(_) | Fact::LossAccepted(_));
    assert_eq!(begun.filter(unsure).count(), 0);
}

#[test]
fn a_host_with_no_call_under_way_waits_for_none() {
    let files = Files::new(Dir::new("shutdown-idle"), "http://127.0.0.1:9");
    files.write("balm.toml", &configuration("http://127.0.0.1:9", "enforce").replace(r#""1s""#, r#""60s""#));
    let mut host = files.start();
    host.accept(&body(&[Alert::firing("Load", "web", 1)]));
    host.signal("TERM");
    // Half of what a call may take.
    assert!(ended(&mut host).success(), "it ended in order: {}", host.log());
    assert!(matches!(journal::facts(&files.data()).last(), Some(Fact::HostStopped(_))));
}

#[test]
fn the_last_record_of_an_end_in_order_cannot_be_cut_off_unnoticed() {
    let files = Files::bare(Dir::new("shutdown-cut"));
    files.edit("balm.toml", |text| {
        format!("max-body-kib = 512\n{}", text.replace("reserve-mib = 0", "reserve-mib = 0\nsegment-mib = 1"))
    });
    files.start().stop();
    let (last, line) = journal::read(&files.data()).pop().expect("there are records");
    assert!(matches!(last.fact, Fact::HostStopped(_)), "{:?}", last.fact);
    let path = files.data().join(format!("journal/{:020}.journal", 1));
    let mut bytes = fs::read(&path).expect("it can be read");
    let end = bytes.iter().rposition(|byte| *byte != 0).expect("something was written") + 1;
    bytes[end - line.len() - 1..end].fill(0);
    fs::write(&path, bytes).expect("it can be written");
    let told = files.refuses_to_start();
    let (known, left) = (last.seq.0, last.seq.0 - 1);
    let wanted = format!("the audit database holds record {known}, and the journal ends with {left}");
    assert!(told.contains(&wanted), "{told}");
}

#[test]
fn a_second_signal_ends_at_once_what_the_first_let_drain() {
    let files = Files::new(Dir::new("second-signal"), "http://127.0.0.1:9");
    let mut host = files.start();
    // A request that will never be whole keeps the host draining.
    let mut unfinished = Connection::open(&host.alerts).expect("a connection");
    let head = format!(
        "POST /v1/alerts/grafana HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {TOKEN}\r\ncontent-length: 999\r\n\r\n{{",
        host.alerts
    );
    unfinished.send_raw(head.as_bytes()).expect("it is sent");
    // A request behind it is answered, so the host has read the first one's head by now.
    host.accept(&body(&[Alert::firing("Load", "web", 1)]));
    host.signal("TERM");
    wait::until("the host to stop accepting", WITHIN, || TcpStream::connect(&host.alerts).err());
    assert!(host.ended().is_none(), "it drains: {}", host.log());
    let since = Instant::now();
    host.signal("TERM");
    let status = ended(&mut host);
    assert!(since.elapsed() < Duration::from_secs(3), "it took {} ms", since.elapsed().as_millis());
    assert!(!status.success(), "it says that it was cut short");
    assert!(host.log().contains("told twice to end"), "{}", host.log());
    assert!(files.balm_says(&["audit", "verify"]).contains("are whole and in order"));
}
