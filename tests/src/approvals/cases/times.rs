//! When: until it expires, by the time of records.

use balm_core::{approval::record::Refusal, record::IntentEnd};

use super::{Case, acts, case, ends, waits};
use crate::approvals::{
    Needs::{Rules, Suggest},
    scene::EXPIRES_S,
};

pub(super) fn cases() -> Vec<Case> {
    let late = || ends(IntentEnd::Expired).refusing(&[Refusal::Expired]);
    vec![
        case(
            "a yes and a look in the last millisecond",
            Suggest,
            |it| {
                it.wait_ms(EXPIRES_S * 1000 - 1);
                it.yes("ada");
                it.look();
            },
            acts(),
        ),
        case(
            "a yes in the moment in which it expires, before the host noticed",
            Suggest,
            |it| {
                it.pass_unnoticed(EXPIRES_S * 1000);
                it.yes("ada");
                it.wait(0);
            },
            late(),
        ),
        case(
            "a yes after it has expired",
            Suggest,
            |it| {
                it.wait(EXPIRES_S);
                it.yes("ada");
            },
            late(),
        ),
        case("nobody answers", Suggest, |it| it.wait(EXPIRES_S), ends(IntentEnd::Expired)),
        case(
            "too few answer",
            Rules(2),
            |it| {
                it.yes("ada");
                it.wait(EXPIRES_S);
            },
            ends(IntentEnd::Expired),
        ),
        case(
            "people are told once more, and then somebody answers",
            Suggest,
            |it| {
                it.wait(EXPIRES_S / 2);
                it.yes("ada");
                it.look();
            },
            acts(),
        ),
        case(
            "a yes in time, and the look comes back in the moment in which it expires",
            Suggest,
            |it| {
                it.wait_ms(EXPIRES_S * 1000 - 1);
                it.yes("ada");
                it.pass_unnoticed(1);
                it.look();
            },
            ends(IntentEnd::Expired),
        ),
        case(
            "a yes in time, and the host sleeps over the end",
            Suggest,
            |it| {
                it.yes("ada");
                it.wait(EXPIRES_S);
                it.look();
            },
            ends(IntentEnd::Expired),
        ),
        case(
            "a clock that jumps ahead does not keep it open",
            Suggest,
            |it| {
                it.clock_jumps(EXPIRES_S);
                it.yes("ada");
            },
            late(),
        ),
        case(
            "a yes long after the trigger would have been too old to act on alone",
            Suggest,
            |it| {
                it.approvers(|terms| terms.expires_after_ms = 2 * 3_600_000);
                it.intent = it.propose_again();
                it.wait(3600);
                it.yes("ada");
                it.look();
            },
            acts(),
        ),
        case(
            "however long it may wait by the configuration, a day is the most",
            Suggest,
            |it| {
                it.approvers(|terms| terms.expires_after_ms = u64::MAX);
                it.intent = it.propose_again();
                it.fires("HighCpu");
                it.wait(12 * 3600);
                it.fires("HighCpu");
                it.pass_unnoticed(12 * 3_600_000);
                it.yes("ada");
            },
            waits(0).refusing(&[Refusal::Expired]),
        ),
    ]
}
