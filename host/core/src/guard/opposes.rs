//! The intent does not take back what was just done to the target.

use std::time::Duration;

use super::{Finding, ProposedIntent};
use crate::action::Direction;

pub(super) fn check(proposed: &ProposedIntent<'_>) -> Finding {
    let Some((change, target)) = proposed.admissible() else { return Finding::Fails("it has no target".into()) };
    let Ok(reading) = proposed.reading else { return Finding::Fails("there is no look that says".into()) };
    let Some(last) = proposed.state.changes.get(target) else { return Finding::passes() };
    let opposite = matches!(
        (last.direction, change.direction(reading)),
        (Direction::Out, Direction::In) | (Direction::In, Direction::Out)
    );
    let window = Duration::from_millis(proposed.state.configuration.guardrails.opposes_for_ms);
    let age = proposed.state.age(last.at, proposed.now);
    let undoes_it = proposed.intent.undo_of == Some(last.intent);
    if opposite && age < window && !undoes_it {
        return Finding::Fails(format!(
            "intent {} did the opposite {} s ago; for {} s it is not taken back",
            last.intent,
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
        bench.propose(|proposal| fixture::scale(proposal, 6, to));
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
