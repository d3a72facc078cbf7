//! Errors of the disk, injected into the calls of the journal's thread.
//!
//! What a failed write or sync left behind cannot be known: the host must end, and may not try it again. Where only the
//! next file cannot be made ready, it sends alerts back until that is possible. What a signal interrupts is done again.

use std::{fmt, time::Duration};

use super::{
    Report,
    points::Where,
    stage::{Stage, Template},
};
use crate::harness::{strace::Event, wait};

/// How long a host may take to end after an error.
const ENDS_WITHIN: Duration = Duration::from_secs(20);

/// What must come of an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comes {
    /// The host ends by itself and says why, and nothing is written behind the error.
    Ends,
    /// Alerts are sent back for a while, and then no longer.
    SendsBack,
    /// Nothing.
    GoesOn,
}

/// An error of a call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Injected {
    call: &'static str,
    error: &'static str,
    /// Which of the thread's calls of this name, as strace counts them.
    when: &'static str,
    comes: Comes,
}

impl fmt::Display for Injected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} from {} {}", self.error, self.call, self.when)
    }
}

/// In this order, so that the first few are one of each sort.
pub(super) fn all() -> Vec<Injected> {
    const IN_A_COMMIT: [&str; 8] = ["1", "2", "3", "5", "8", "12", "16", "20"];
    const ERRORS: [&str; 3] = ["EIO", "ENOSPC", "EDQUOT"];
    let one = |call, error, when, comes| Injected { call, error, when, comes };
    let mut all = vec![
        one("fdatasync", "EIO", "4", Comes::Ends),
        one("pwrite64", "ENOSPC", "4", Comes::Ends),
        one("fallocate", "ENOSPC", "1..2", Comes::SendsBack),
        one("pwrite64", "EINTR", "4", Comes::GoesOn),
        one("rename", "EIO", "1", Comes::Ends),
        // The first is the directory's, the second the next file's.
        one("fsync", "EIO", "1", Comes::Ends),
        one("fsync", "EIO", "2", Comes::SendsBack),
        one("openat", "EMFILE", "2", Comes::SendsBack),
        one("statfs", "EIO", "1", Comes::SendsBack),
        one("fallocate", "EOPNOTSUPP", "1", Comes::GoesOn),
    ];
    for when in IN_A_COMMIT {
        for error in ERRORS {
            all.extend(["pwrite64", "fdatasync"].map(|call| one(call, error, when, Comes::Ends)));
        }
    }
    all
}

pub(super) fn spread(mut errors: Vec<Injected>, most: usize) -> Vec<Injected> {
    errors.truncate(most);
    errors
}

/// One error: what comes of it, and what the next start finds.
pub(super) fn inject(template: &Template, injected: &Injected) -> Report {
    let mut stage = Stage::set("errors", template, Where::Commit);
    let Injected { call, error, when, .. } = injected;
    let (gone, events) = stage.play_with(&format!("--inject={call}:error={error}:when={when}"));
    let mut wrong = Vec::new();
    let came =
        events.iter().position(|event| matches!(event, Event::Returns(_, result) if result.ends_with("(INJECTED)")));
    match came {
        None => wrong.push("the call did not come".to_owned()),
        Some(at) => wrong.extend(unlike(injected.comes, &stage, gone, &events[at + 1..])),
    }
    let mut report = stage.recount(&injected.to_string());
    report.errors = 1;
    report.wrong.extend(wrong.into_iter().map(|why| format!("{injected}: {why}")));
    report
}

/// What came otherwise than it must.
fn unlike(comes: Comes, stage: &Stage, gone: bool, behind: &[Event]) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut must = |holds: bool, why: &str| {
        if !holds {
            wrong.push(why.to_owned());
        }
    };
    let sent_back = stage.sent_back.iter().any(|why| why.contains("segment") || why.contains("free space"));
    match comes {
        Comes::Ends => {
            must(gone, "the host went on");
            let writes = |event: &&Event| matches!(event, Event::Begins(call) if matches!(call.name.as_str(), "pwrite64" | "fdatasync" | "fsync"));
            must(!behind.iter().any(|event| writes(&event)), "the thread wrote or synced again");
            must(stage.log().contains("start again once the disk is well"), "it did not say what to do");
        }
        Comes::SendsBack => {
            must(!gone, "the host ended");
            must(sent_back, &format!("no alert was sent back with the reason: {:?}", stage.sent_back));
        }
        Comes::GoesOn => {
            must(!gone, "the host ended");
            must(!sent_back, "alerts were sent back");
        }
    }
    wrong
}

/// Wait until a host that lost its journal has ended by itself.
pub(super) fn ended(host: &mut crate::harness::host::Host) -> std::process::ExitStatus {
    wait::until("the host to end", ENDS_WITHIN, || host.ended())
}
