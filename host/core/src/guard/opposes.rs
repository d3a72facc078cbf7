//! The intent does not take back what was just done to the target.

use std::time::Duration;

use super::{Finding, ProposedIntent};
use crate::swings::Swing;

/// By another policy: two that disagree. A person must say which is right.
pub(super) fn check_others(proposed: &ProposedIntent<'_>) -> Finding {
    check(proposed, |last| last.policy != proposed.intent.policy)
}

/// By the same policy: it waits until what it did can be seen.
pub(super) fn check_own(proposed: &ProposedIntent<'_>) -> Finding {
    check(proposed, |last| last.policy == proposed.intent.policy)
}

fn check(proposed: &ProposedIntent<'_>, is_whose: impl Fn(&Swing) -> bool) -> Finding {
    let Some((change, target)) = proposed.admissible() else { return Finding::Fails("it has no target".into()) };
    let Ok(reading) = proposed.reading else { return Finding::Fails("there is no look that says".into()) };
    let last = proposed.state.swings.last(target);
    let last = last.filter(|last| is_whose(last) && change.direction(reading).opposes(last.direction));
    // An undo is what must be possible.
    let Some(last) = last.filter(|last| proposed.intent.undo_of != Some(last.intent)) else { return Finding::passes() };
    let window = Duration::from_millis(proposed.guardrails().opposes_for_ms);
    let age = proposed.age(last.at);
    if age < window {
        let Swing { intent, policy, .. } = last;
        return Finding::Fails(format!(
            "intent {intent} of policy {policy} did the opposite {} s ago; for {} s it is not taken back",
            age.as_secs(),
            window.as_secs()
        ));
    }
    Finding::passes()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::{
        fixture::{self, Bench},
        record::{CheckName, Verdict},
    };

    /// Scales from 4 to 6, is verified, and then proposes `to` after a pause.
    fn then(to: u32, pause: Duration) -> Verdict {
        let mut bench = Bench::new();
        assert_eq!(bench.judge_and_admit().verdict, Verdict::Admitted);
        bench.done_and_verified();
        bench.wait(pause);
        bench.look(fixture::reading(6));
        bench.propose_anew(|proposal| fixture::scale(proposal, 6, to));
        bench.judge().verdict
    }

    #[test]
    fn the_opposite_is_refused_for_a_while_and_more_of_the_same_is_not() {
        let window = Duration::from_millis(fixture::configuration().guardrails.opposes_for_ms);
        let just_before = window - Duration::from_millis(1);
        assert_eq!(then(5, just_before), Verdict::Refused(CheckName::Opposes));
        assert_eq!(then(5, window), Verdict::Admitted);
        assert_eq!(then(7, Duration::ZERO), Verdict::Admitted);
    }
}
