//! How many: different people, as many as are needed.

use balm_core::{
    approval::record::Refusal,
    record::{CheckName, IntentEnd},
};

use super::{Case, Ends, Expect, acts, case, ends, waits};
use crate::approvals::{
    Needs::{Both, Rules, Suggest},
    scene::EXPIRES_S,
};

pub(super) fn cases() -> Vec<Case> {
    let twice = || waits(1).refusing(&[Refusal::AlreadyGiven]);
    vec![
        case(
            "one of two people says yes",
            Rules(2),
            |it| {
                it.yes("ada");
                it.look();
            },
            waits(1),
        ),
        case(
            "both of two people say yes",
            Rules(2),
            |it| {
                it.yes("ada");
                it.yes("grace");
                it.look();
            },
            acts(),
        ),
        case(
            "two of those who may say yes, by token and by user",
            Rules(2),
            |it| {
                it.yes("#1002");
                it.yes("eve");
                it.look();
            },
            acts(),
        ),
        case(
            "two of three say yes",
            Rules(3),
            |it| {
                it.yes("ada");
                it.yes("grace");
                it.look();
            },
            waits(2),
        ),
        case(
            "all three say yes",
            Rules(3),
            |it| {
                it.yes("ada");
                it.yes("grace");
                it.yes("eve");
                it.look();
            },
            acts(),
        ),
        case(
            "one person says yes twice",
            Rules(2),
            |it| {
                it.yes("ada");
                it.yes("ada");
                it.look();
            },
            twice(),
        ),
        case(
            "one person says yes with a token and as a user",
            Rules(2),
            |it| {
                it.yes("ada");
                it.yes("#1001");
                it.look();
            },
            twice(),
        ),
        case(
            "one person says yes twice in a race",
            Suggest,
            |it| {
                it.yes("ada");
                it.yes("ada");
                it.look();
            },
            acts().refusing(&[Refusal::AlreadyGiven]),
        ),
        case(
            "rules ask for two although the mode asks for one",
            Both(2),
            |it| {
                it.yes("ada");
                it.look();
            },
            waits(1),
        ),
        case(
            "the mode asks for one although rules ask for none",
            Both(0),
            |it| {
                it.yes("ada");
                it.look();
            },
            acts(),
        ),
        case(
            "one more says yes before the host has looked",
            Rules(2),
            |it| {
                it.yes("ada");
                it.yes("grace");
                it.yes("eve");
                it.look();
            },
            acts(),
        ),
        case(
            "rules that ask for more than three people permit nothing",
            Rules(4),
            |it| {
                it.yes("ada");
            },
            Expect::of(Ends::Refused(CheckName::Authorization)).refusing(&[Refusal::NoRequest]),
        ),
        case(
            "fewer people are named than are needed, so it is never done",
            Rules(2),
            |it| {
                it.approvers(|terms| terms.approvers.retain(|name, _| name.as_str() == "ada"));
                it.yes("ada");
                it.look();
                it.wait(EXPIRES_S);
            },
            ends(IntentEnd::Expired),
        ),
    ]
}
