//! The approval matrix: everything that somebody may try with an approval, as a table, played on the core alone, without a
//! file, a socket or a clock.
//!
//! Each case is played twice: on a host that lives through it, and on one that is killed after every batch of records and
//! goes on from its journal's bytes. Whatever a case is about, an attempt without the approvals that it needs
//! is wrong (`laws`).

mod cases;
mod laws;
mod scene;

use balm_core::{
    approval::record::{Refusal, VoidReason},
    record::{CheckName, IntentEnd},
};

pub use self::cases::cases;
use self::scene::{Lives, Scene};

/// One case.
#[derive(Debug)]
pub struct Case {
    /// What is tried, as a sentence.
    pub name: &'static str,
    /// How many people the policy's intents need.
    needs: Needs,
    /// What happens.
    story: fn(&mut Scene),
    expect: Expect,
}

/// How many people an intent needs, and who says so.
#[derive(Clone, Copy, Debug)]
enum Needs {
    /// The mode `suggest`: one.
    Suggest,
    /// Rules that permit it once so many have approved it.
    Rules(u32),
    /// Both.
    Both(u32),
    /// Nobody: the policy acts by itself.
    Nobody,
}

/// How the intent must stand at the end of the story, and what must have been said on the way.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Expect {
    ends: Ends,
    /// Calls that were begun for it.
    attempts: usize,
    /// What was said and did not count, in order.
    refusals: Vec<Refusal>,
    /// Why its approvals are void, if they are.
    void: Option<VoidReason>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Ends {
    /// It waits for people, and so many have said yes.
    Waits(usize),
    /// A call for it is under way.
    Acts,
    /// It was done, and the world is as promised.
    Verified,
    /// The guard refused it.
    Refused(CheckName),
    /// The policy only watches.
    Observed,
    /// It ended so.
    Ended(IntentEnd),
}

impl Expect {
    fn of(ends: Ends) -> Self {
        let attempts = usize::from(matches!(ends, Ends::Acts | Ends::Verified));
        Self { ends, attempts, refusals: Vec::new(), void: None }
    }

    fn refusing(self, refusals: &[Refusal]) -> Self {
        Self { refusals: refusals.to_vec(), ..self }
    }

    fn void(self, reason: VoidReason) -> Self {
        Self { void: Some(reason), ..self }
    }

    fn attempts(self, attempts: usize) -> Self {
        Self { attempts, ..self }
    }
}

/// What is not as it must be, in a sentence each; the cases that hold are not among them.
#[must_use]
pub fn wrong() -> Vec<String> {
    cases().iter().flat_map(play).collect()
}

fn play(case: &Case) -> Vec<String> {
    let mut wrong = Vec::new();
    for lives in [Lives::Once, Lives::AfterEachBatch] {
        let mut scene = Scene::new(case.needs, lives);
        (case.story)(&mut scene);
        let found = scene.found();
        if found != case.expect {
            wrong.push(format!("{} ({lives:?}): wanted {:?}, found {found:?}", case.name, case.expect));
        }
        let broken = laws::broken(scene.records()).into_iter().chain(scene.complaints().iter().cloned());
        wrong.extend(broken.map(|law| format!("{} ({lives:?}): {law}", case.name)));
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_case_of_the_matrix_is_as_it_must_be() {
        let wrong = wrong();
        assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
    }

    #[test]
    fn the_matrix_has_at_least_sixty_cases_each_with_a_sentence_of_its_own() {
        let cases = cases();
        let names: std::collections::BTreeSet<&str> = cases.iter().map(|case| case.name).collect();
        assert_eq!(names.len(), cases.len());
        assert!(cases.len() >= 60, "{}", cases.len());
    }

    #[test]
    fn a_case_that_does_not_hold_is_noticed() {
        let mut case = cases().remove(0);
        case.expect = Expect::of(Ends::Waits(0));
        assert_eq!(play(&case).len(), 2, "once for each way to live");
    }
}
