//! Withdrawn and denied.

use balm_core::{
    approval::record::{Refusal, Saying},
    digest::Digest,
    record::IntentEnd,
};

use super::{Case, acts, case, ends, waits};
use crate::approvals::Needs::{Rules, Suggest};

pub(super) fn cases() -> Vec<Case> {
    vec![
        case(
            "a yes is withdrawn before the host has looked",
            Suggest,
            |it| {
                it.yes("ada");
                it.withdraw("ada");
                it.look();
            },
            waits(0),
        ),
        case(
            "a yes is withdrawn by the same person as a user",
            Suggest,
            |it| {
                it.yes("ada");
                it.withdraw("#1001");
                it.look();
            },
            waits(0),
        ),
        case(
            "a yes is withdrawn while a look is to be tried again",
            Suggest,
            |it| {
                it.yes("ada");
                it.look_in_vain();
                it.withdraw("ada");
                it.wait(1);
                it.look();
            },
            waits(0),
        ),
        case(
            "one of two is withdrawn, and a third says yes",
            Rules(2),
            |it| {
                it.yes("ada");
                it.withdraw("ada");
                it.yes("grace");
                it.look();
            },
            waits(1),
        ),
        case(
            "a withdrawn yes is given again",
            Suggest,
            |it| {
                it.yes("ada");
                it.withdraw("ada");
                it.yes("ada");
                it.look();
            },
            acts(),
        ),
        case(
            "of three where two are needed one withdraws",
            Rules(2),
            |it| {
                it.yes("ada");
                it.yes("grace");
                it.yes("eve");
                it.withdraw("ada");
                it.look();
            },
            acts(),
        ),
        case(
            "nothing is withdrawn that was not given",
            Suggest,
            |it| it.withdraw("ada"),
            waits(0).refusing(&[Refusal::NotGiven]),
        ),
        case(
            "nobody withdraws another person's yes",
            Rules(2),
            |it| {
                it.yes("ada");
                it.withdraw("grace");
            },
            waits(1).refusing(&[Refusal::NotGiven]),
        ),
        case(
            "a withdrawal with another hash does not count",
            Rules(2),
            |it| {
                it.yes("ada");
                let (intent, zero) = (it.intent, Digest::ZERO.to_string());
                it.say(Saying::Withdrawn, "ada", intent, &zero);
            },
            waits(1).refusing(&[Refusal::WrongPlan]),
        ),
        case(
            "a withdrawal comes after it was used",
            Suggest,
            |it| {
                it.yes("ada");
                it.look();
                it.withdraw("ada");
            },
            acts().refusing(&[Refusal::Used]),
        ),
        case(
            "one person denies it",
            Suggest,
            |it| {
                it.no("ada");
                it.look();
            },
            ends(IntentEnd::Denied),
        ),
        case(
            "one person denies what another has approved",
            Rules(2),
            |it| {
                it.yes("ada");
                it.no("grace");
                it.look();
            },
            ends(IntentEnd::Denied),
        ),
        case(
            "a denial comes before the host has looked",
            Suggest,
            |it| {
                it.yes("ada");
                it.no("grace");
                it.look();
            },
            ends(IntentEnd::Denied),
        ),
        case(
            "whoever approved may deny",
            Rules(2),
            |it| {
                it.yes("ada");
                it.no("ada");
            },
            ends(IntentEnd::Denied),
        ),
        case(
            "a denial of somebody who may not approve does not count",
            Suggest,
            |it| it.no("vic"),
            waits(0).refusing(&[Refusal::NotAnApprover]),
        ),
        case(
            "a denial with another hash does not count",
            Suggest,
            |it| {
                let (intent, zero) = (it.intent, Digest::ZERO.to_string());
                it.say(Saying::No, "ada", intent, &zero);
            },
            waits(0).refusing(&[Refusal::WrongPlan]),
        ),
        case(
            "a denial comes after it was used",
            Suggest,
            |it| {
                it.yes("ada");
                it.look();
                it.no("grace");
            },
            acts().refusing(&[Refusal::Used]),
        ),
        case(
            "a denial is repeated",
            Suggest,
            |it| {
                it.no("ada");
                it.no("ada");
            },
            ends(IntentEnd::Denied).refusing(&[Refusal::Denied]),
        ),
    ]
}
