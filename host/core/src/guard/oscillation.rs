//! The target is not turned around again and again, by whichever policies.

use std::time::Duration;

use super::{Finding, ProposedIntent};
use crate::swings::Conflicts;

pub(super) fn check(proposed: &ProposedIntent<'_>) -> Finding {
    let Some((change, target)) = proposed.admissible() else { return Finding::Fails("it has no target".into()) };
    let Ok(reading) = proposed.reading else { return Finding::Fails("there is no look that says".into()) };
    let swings = &proposed.state.swings;
    let turns = swings.last(target).is_some_and(|last| change.direction(reading).opposes(last.direction));
    if !turns || proposed.intent.undo_of.is_some() {
        return Finding::passes();
    }
    let Conflicts { reversals: most, reversals_within_ms, .. } = proposed.guardrails().conflicts;
    let within = Duration::from_millis(reversals_within_ms);
    let reversed = swings.reversals(target, within, |at| proposed.age(at));
    if reversed >= most as usize && !within.is_zero() {
        return Finding::Fails(format!(
            "it was turned around {reversed} times in {} s; at most {most} are allowed",
            within.as_secs()
        ));
    }
    Finding::Passes(format!("it was turned around {reversed} times in {} s", within.as_secs()))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::{
        fixture::{self, Bench},
        record::{CallResult, CheckName, Verdict},
    };

    const REFUSED: Verdict = Verdict::Refused(CheckName::Oscillation);

    /// A service that went out and in again, so often, in all every 100 s.
    fn swung(reversals: u32) -> Bench {
        let mut bench = Bench::new();
        bench.configure(|configuration, _| {
            configuration.guardrails.opposes_for_ms = 0;
            configuration.guardrails.conflicts.reversals = 2;
            configuration.guardrails.conflicts.reversals_within_ms = 1_000_000;
            configuration.timing.max_alert_age_ms = 86_400_000;
        });
        for turn in 0..=reversals {
            propose(&mut bench, turn);
            assert_eq!(bench.judge_and_admit().verdict, Verdict::Admitted, "turn {turn}");
            bench.done_and_verified();
            bench.wait(Duration::from_secs(100));
        }
        propose(&mut bench, reversals + 1);
        bench
    }

    fn propose(bench: &mut Bench, turn: u32) {
        let (from, to) = if turn.is_multiple_of(2) { (4, 6) } else { (6, 4) };
        bench.look(fixture::reading(from));
        bench.propose(|proposal| fixture::scale(proposal, from, to));
    }

    #[test]
    fn a_target_is_turned_around_so_often_and_no_more_within_the_time() {
        assert_eq!(swung(0).judge().verdict, Verdict::Admitted);
        assert_eq!(swung(1).judge().verdict, Verdict::Admitted);
        let mut bench = swung(2);
        assert_eq!(bench.judge().verdict, REFUSED);
        // The first turn was 200 s ago.
        bench.wait(Duration::from_millis(799_999));
        propose(&mut bench, 3);
        assert_eq!(bench.judge().verdict, REFUSED);
        bench.wait(Duration::from_millis(1));
        assert_eq!(bench.judge().verdict, Verdict::Admitted);
    }

    #[test]
    fn a_turn_that_aws_refused_is_none() {
        let mut bench = swung(1);
        for _ in 0..3 {
            assert_eq!(bench.judge_and_admit().verdict, Verdict::Admitted, "it was turned around once");
            bench.call_ended(CallResult::Refused { why: "no".into() });
            bench.look(fixture::reading(4));
            bench.propose(|proposal| fixture::scale(proposal, 4, 6));
        }
        assert_eq!(bench.judge_and_admit().verdict, Verdict::Admitted);
        bench.done_and_verified();
        propose(&mut bench, 3);
        assert_eq!(bench.judge().verdict, REFUSED, "and now twice");
    }

    #[test]
    fn more_of_the_same_is_no_turn() {
        let mut bench = swung(2);
        assert_eq!(bench.judge().verdict, REFUSED);
        bench.look(fixture::reading(6));
        bench.propose(|proposal| fixture::scale(proposal, 6, 8));
        assert_eq!(bench.judge().verdict, Verdict::Admitted);
    }

    #[test]
    fn what_oscillates_goes_to_a_person_once() {
        let mut bench = swung(2);
        assert_eq!(bench.judge_and_admit().verdict, REFUSED);
        bench.propose(|proposal| fixture::scale(proposal, 6, 4));
        assert_eq!(bench.judge_and_admit().verdict, REFUSED);
        let found = bench.records.iter().filter(|record| record.fact.kind() == "conflict-found").count();
        assert_eq!(found, 1);
    }
}
