//! The table: what is tried, and how it must end.
#![expect(clippy::too_many_lines, reason = "each file is a part of the table")]

mod counts;
mod once;
mod operators;
mod people;
mod plans;
mod second_thoughts;
mod times;
mod worlds;

use balm_core::{
    approval::record::VoidReason,
    record::{CheckName, IntentEnd},
};

use super::{Case, Ends, Expect, Needs, scene::Scene};

fn case(name: &'static str, needs: Needs, story: fn(&mut Scene), expect: Expect) -> Case {
    Case { name, needs, story, expect }
}

fn acts() -> Expect {
    Expect::of(Ends::Acts)
}

fn waits(given: usize) -> Expect {
    Expect::of(Ends::Waits(given))
}

fn ends(how: IntentEnd) -> Expect {
    Expect::of(Ends::Ended(how))
}

/// The guard refuses it now, which makes the approval void.
fn refused(check: CheckName) -> Expect {
    Expect::of(Ends::Refused(check)).void(VoidReason::Refused(check))
}

/// All cases.
#[must_use]
pub fn cases() -> Vec<Case> {
    [
        people::cases(),
        plans::cases(),
        counts::cases(),
        times::cases(),
        once::cases(),
        second_thoughts::cases(),
        worlds::cases(),
        operators::cases(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
