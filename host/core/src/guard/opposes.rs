//! The intent does not take back what was just done to the target.

use std::time::Duration;

use super::{Finding, ProposedIntent};
use crate::swings::Swing;

pub(super) fn check(proposed: &ProposedIntent<'_>) -> Finding {
    let Some((change, target)) = proposed.admissible() else { return Finding::Fails("it has no target".into()) };
    let Ok(reading) = proposed.reading else { return Finding::Fails("there is no look that says".into()) };
    let last = proposed.state.swings.last(target);
    let last = last.filter(|last| change.direction(reading).opposes(last.direction));
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
        configuration::Timing,
        fixture::{self, Bench},
        record::{CallResult, CheckName, Purpose, Verdict},
        time::Timestamp,
        trial::Trial,
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

    #[test]
    fn what_aws_refused_was_not_done_and_what_had_no_answer_may_have_been() {
        let scaled = |bench: &mut Bench, from, to| {
            bench.look(fixture::reading(from));
            bench.propose(|proposal| fixture::scale(proposal, from, to));
            assert_eq!(bench.judge_and_admit().verdict, Verdict::Admitted, "{from} to {to}");
        };
        let then_in = |bench: &mut Bench| {
            bench.call_ended(CallResult::Refused { why: "no".into() });
            bench.propose(|proposal| fixture::scale(proposal, 4, 3));
            bench.judge().verdict
        };
        let mut bench = Bench::new();
        scaled(&mut bench, 4, 6);
        assert_eq!(then_in(&mut bench), Verdict::Admitted);
        let mut bench = Bench::new();
        scaled(&mut bench, 3, 4);
        bench.done_and_verified();
        scaled(&mut bench, 4, 6);
        assert_eq!(then_in(&mut bench), Verdict::Refused(CheckName::Opposes), "what was done before that counts");
        let mut bench = Bench::new();
        scaled(&mut bench, 4, 6);
        bench.call_ended(CallResult::Unknown { why: "no answer".into() });
        bench.wait(Timing::default().settle());
        bench.looked(Purpose::Trace, Ok(fixture::reading(4)));
        assert_eq!(bench.judge_and_admit().verdict, Verdict::Admitted, "it is tried again");
        assert_eq!(then_in(&mut bench), Verdict::Refused(CheckName::Opposes), "the first call may have been heard");
    }

    #[test]
    fn two_policies_that_disagree_go_to_a_person_and_one_that_waits_does_not() {
        let escalated = |second: &str| {
            let mut configuration = fixture::configuration();
            configuration.policies.insert("other".parse().expect("a name"), fixture::policy());
            let mut trial = Trial::new(configuration, Timestamp::from_millis(1_000_000)).expect("the rules are good");
            let mut ask = |name: &str, from, to| {
                let (policy, mut proposal) = (name.parse().expect("a name"), fixture::proposal());
                fixture::scale(&mut proposal, from, to);
                let episode = trial.fire(&policy, &proposal.target, []).expect("it is concerned");
                let intent = trial.propose(episode, &policy, proposal).expect("it is taken");
                let verdict = trial.judge(intent, fixture::reading(from)).expect("it is judged").verdict;
                if verdict == Verdict::Admitted {
                    trial.verify(intent).expect("it is under way");
                }
                (verdict, trial.state().concern(episode, &policy).is_some_and(|concern| concern.escalated))
            };
            assert_eq!(ask("web-cpu", 4, 6), (Verdict::Admitted, false));
            let (verdict, escalated) = ask(second, 6, 4);
            assert_eq!(verdict, Verdict::Refused(CheckName::Opposes));
            escalated
        };
        assert_eq!([escalated("other"), escalated("web-cpu")], [true, false]);
    }
}
