//! Few enough targets and accounts alert at once, or little enough was done meanwhile.

use super::{Finding, ProposedIntent};
use crate::{
    limit::Window,
    storm::{Slow, Width},
};

pub(super) fn check(proposed: &ProposedIntent<'_>) -> Finding {
    let Some(storm) = &proposed.guardrails().storm else { return Finding::passes() };
    let Some(Slow { from, count }) = &storm.slow else { return Finding::passes() };
    let width = proposed.state.alerting.width(storm.window_ms, |at| proposed.age(at));
    let Width { targets, accounts } = width;
    let within = storm.window_ms / 1000;
    let found = format!("{targets} targets of {accounts} accounts alert within {within} s");
    if !from.is_reached(width) {
        return Finding::Passes(found);
    }
    let (ledger, intent) = (&proposed.state.ledger, proposed.intent);
    let window = Window::of_ms(storm.window_ms);
    let spent = ledger.spent(window, intent.episode, |at| proposed.age(at), |other| other.intent != intent.id);
    if spent >= *count as usize {
        return Finding::Fails(format!(
            "{found}: {spent} of {count} intents are spent, and more is not done meanwhile"
        ));
    }
    Finding::Passes(format!("{found}; {spent} of {count} intents are spent meanwhile"))
}
