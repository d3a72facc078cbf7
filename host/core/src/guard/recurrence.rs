//! The alert has not fired again and again after what was done about it: a remedy that brings its own alert back is none.

use super::{Finding, ProposedIntent};
use crate::alert::Status;

pub(super) fn check(proposed: &ProposedIntent<'_>) -> Finding {
    let recurred = proposed.concern.map_or(0, |concern| concern.recurrences);
    let most = proposed.guardrails().conflicts.recurrences;
    // What takes a remedy back once its alert is over is none itself.
    let remedies = proposed.intent.status == Status::Firing && proposed.intent.undo_of.is_none();
    if remedies && recurred >= most {
        return Finding::Fails(format!(
            "its alert has fired again {recurred} times after what the policy did about it; at most {most} times it tries"
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

    fn round(bench: &mut Bench, act: bool) {
        bench.look(fixture::reading(4));
        bench.propose(|_| {});
        if act {
            assert_eq!(bench.judge_and_admit().verdict, Verdict::Admitted);
            bench.done_and_verified();
        }
        bench.wait(Duration::from_secs(10));
        bench.resolve();
        bench.wait(Duration::from_secs(10));
        bench.fires_again();
    }

    fn after(rounds: u32, act: bool) -> Bench {
        let mut bench = Bench::new();
        bench.configure(|configuration, _| configuration.guardrails.conflicts.recurrences = 2);
        (0..rounds).for_each(|_| round(&mut bench, act));
        bench.look(fixture::reading(4));
        bench.propose(|_| {});
        bench
    }

    #[test]
    fn a_remedy_whose_alert_fires_again_is_tried_so_often_and_no_more() {
        assert_eq!(after(1, true).judge().verdict, Verdict::Admitted);
        assert_eq!(after(2, true).judge().verdict, Verdict::Refused(CheckName::Recurrence));
    }

    #[test]
    fn an_alert_that_flaps_without_a_remedy_is_no_recurrence() {
        assert_eq!(after(3, false).judge().verdict, Verdict::Admitted);
    }
}
