//! What made the policy propose the intent is recent, and the alert has not changed its mind since.

use super::{Finding, ProposedIntent};

pub(super) fn check(proposed: &ProposedIntent<'_>) -> Finding {
    let intent = proposed.intent;
    if intent.undo_of.is_some() {
        return Finding::Passes("an undo follows a change of ours, not an alert".into());
    }
    let age = proposed.now.since(intent.triggered_at);
    let most = proposed.state.configuration.timing.max_alert_age();
    // A person's yes to the plan is younger than the trigger, and expires by itself.
    if proposed.approvals == 0 && age > most {
        return Finding::Fails(format!(
            "its trigger is {} s old; at most {} s are allowed",
            age.as_secs(),
            most.as_secs()
        ));
    }
    match proposed.state.episodes.get(&intent.episode) {
        None => Finding::Fails("its episode is no longer known".into()),
        Some(episode) if episode.status != intent.status => {
            Finding::Fails("the alert has changed since it was proposed".into())
        }
        Some(_) => Finding::Passes(format!("its trigger is {} s old", age.as_secs())),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::{
        fixture::Bench,
        record::{CheckName, Verdict},
    };

    #[test]
    fn a_trigger_may_be_as_old_as_the_configuration_says_and_no_older() {
        let mut bench = Bench::new();
        let most = bench.configuration().timing.max_alert_age();
        bench.wait(most);
        assert_eq!(bench.judge().verdict, Verdict::Admitted);
        bench.wait(Duration::from_millis(1));
        assert_eq!(bench.judge().verdict, Verdict::Refused(CheckName::Stale));
    }

    #[test]
    fn an_intent_of_a_firing_alert_dies_when_it_resolves() {
        let mut bench = Bench::new();
        bench.resolve();
        assert_eq!(bench.judge().verdict, Verdict::Refused(CheckName::Stale));
    }
}
