//! Who speaks: named people, and everybody who is none of them.

use balm_core::{
    approval::{
        Approver,
        record::{Refusal, VoidReason},
    },
    record::IntentEnd,
};

use super::{Case, Ends, Expect, acts, case, ends, waits};
use crate::approvals::Needs::{Rules, Suggest};

pub(super) fn cases() -> Vec<Case> {
    let nobody = || waits(0).refusing(&[Refusal::NotAnApprover]);
    vec![
        case(
            "an approver says yes with a token, and it is done",
            Suggest,
            |it| {
                it.yes("ada");
                it.look();
            },
            acts(),
        ),
        case(
            "the same approver says yes as a user of the machine",
            Suggest,
            |it| {
                it.yes("#1001");
                it.look();
            },
            acts(),
        ),
        case(
            "an approver who is only a user of the machine says yes",
            Suggest,
            |it| {
                it.yes("#1002");
                it.look();
            },
            acts(),
        ),
        case(
            "it is done, and the world is as promised",
            Suggest,
            |it| {
                it.yes("ada");
                it.look();
                it.done_and_verified();
            },
            Expect::of(Ends::Verified),
        ),
        case("a user whom no approver is says yes", Suggest, |it| it.yes("#1003"), nobody()),
        case("root says yes", Suggest, |it| it.yes("#0"), nobody()),
        case("a user of whom the kernel does not say the number says yes", Suggest, |it| it.yes("#"), nobody()),
        case("the holder of a credential without the role says yes", Suggest, |it| it.yes("vic"), nobody()),
        case("a credential has the name of an approver who is only a user", Suggest, |it| it.yes("otto"), nobody()),
        case("a number is no name", Suggest, |it| it.yes("1001"), nobody()),
        case("a name in upper case is another name", Suggest, |it| it.yes("Ada"), nobody()),
        case("a name with a Cyrillic letter that looks alike", Suggest, |it| it.yes("аda"), nobody()),
        case("a name in full-width letters", Suggest, |it| it.yes("ａｄａ"), nobody()),
        case("a name with a combining accent", Suggest, |it| it.yes("a\u{301}da"), nobody()),
        case("a name with a character that is not seen", Suggest, |it| it.yes("ada\u{200b}"), nobody()),
        case("a name with a space behind it", Suggest, |it| it.yes("ada "), nobody()),
        case("a name with a line behind it", Suggest, |it| it.yes("ada\ngrace"), nobody()),
        case("nobody's name", Suggest, |it| it.yes(""), nobody()),
        case(
            "two approvers claim one user, who is then neither",
            Suggest,
            |it| {
                it.approvers(|terms| {
                    let twin = Approver { credential: false, uid: Some(1001) };
                    terms.approvers.insert("twin".parse().expect("a name"), twin);
                });
                it.yes("#1001");
            },
            nobody(),
        ),
        case(
            "the configuration names nobody, so nobody may",
            Suggest,
            |it| {
                it.approvers(|terms| terms.approvers.clear());
                it.yes("ada");
                it.yes("#0");
            },
            waits(0).refusing(&[Refusal::NotAnApprover; 2]),
        ),
        case(
            "an approver who is named while it waits says yes",
            Suggest,
            |it| {
                it.approvers(|terms| {
                    let new = Approver { credential: true, uid: None };
                    terms.approvers.insert("zoe".parse().expect("a name"), new);
                });
                it.yes("zoe");
                it.look();
            },
            acts(),
        ),
        case(
            "an approver who is named no longer says yes",
            Suggest,
            |it| {
                it.approvers(|terms| terms.approvers.retain(|name, _| name.as_str() != "ada"));
                it.yes("ada");
            },
            nobody(),
        ),
        case(
            "an approver is named no longer between the yes and the look",
            Suggest,
            |it| {
                it.yes("ada");
                it.approvers(|terms| terms.approvers.retain(|name, _| name.as_str() != "ada"));
                it.look();
            },
            ends(IntentEnd::Void).void(VoidReason::NoApprover),
        ),
        case(
            "of three who approved where two are needed, one is named no longer",
            Rules(2),
            |it| {
                it.yes("ada");
                it.yes("grace");
                it.yes("eve");
                it.approvers(|terms| terms.approvers.retain(|name, _| name.as_str() != "ada"));
                it.look();
            },
            acts(),
        ),
    ]
}
