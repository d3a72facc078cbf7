//! Used once.

use balm_core::{
    approval::record::{Refusal, VoidReason},
    record::{CallResult, IntentEnd},
};

use super::{Case, Ends, Expect, acts, case, ends, waits};
use crate::approvals::{
    Needs::{Rules, Suggest},
    scene::{EXPIRES_S, Scene},
};

pub(super) fn cases() -> Vec<Case> {
    let used = || acts().refusing(&[Refusal::Used]);
    vec![
        case(
            "a yes is repeated while it is being done",
            Suggest,
            |it| {
                it.yes("ada");
                it.look();
                it.yes("ada");
            },
            used(),
        ),
        case(
            "another person says yes while it is being done",
            Suggest,
            |it| {
                it.yes("ada");
                it.look();
                it.yes("grace");
            },
            used(),
        ),
        case(
            "a yes is repeated after it was done",
            Suggest,
            |it| {
                it.yes("ada");
                it.look();
                it.done_and_verified();
                it.yes("ada");
                it.look();
            },
            Expect::of(Ends::Verified).refusing(&[Refusal::Used]),
        ),
        case(
            "the look comes back twice",
            Suggest,
            |it| {
                it.yes("ada");
                it.look();
                it.look();
            },
            acts(),
        ),
        case("a look that nobody asked for is no approval", Suggest, Scene::look, waits(0)),
        case(
            "a call that surely did not happen is judged anew on the same approval",
            Suggest,
            |it| {
                it.yes("ada");
                it.look();
                it.call_ends(CallResult::NotDone { why: "throttled".into() });
                it.wait(2);
                it.look();
            },
            acts().attempts(2),
        ),
        case(
            "after such a call the plan has changed",
            Suggest,
            |it| {
                it.yes("ada");
                it.look();
                it.call_ends(CallResult::NotDone { why: "throttled".into() });
                it.plugin(b"another");
                it.wait(2);
                it.look();
            },
            ends(IntentEnd::Void).void(VoidReason::PlanChanged).attempts(1),
        ),
        case(
            "after such a call the approval has expired",
            Suggest,
            |it| {
                it.wait(EXPIRES_S - 1);
                it.yes("ada");
                it.look();
                it.call_ends(CallResult::NotDone { why: "throttled".into() });
                it.wait(2);
                it.look();
            },
            ends(IntentEnd::Expired).attempts(1),
        ),
        case(
            "AWS refuses what was approved, and a yes does not repeat it",
            Suggest,
            |it| {
                it.yes("ada");
                it.look();
                it.call_ends(CallResult::Refused { why: "AccessDenied".into() });
                it.yes("grace");
                it.look();
            },
            ends(IntentEnd::Failed).attempts(1).refusing(&[Refusal::Used]),
        ),
        case(
            "a yes is repeated after a denial",
            Rules(2),
            |it| {
                it.yes("ada");
                it.no("grace");
                it.yes("eve");
            },
            ends(IntentEnd::Denied).refusing(&[Refusal::Denied]),
        ),
        case(
            "a yes is repeated after it was void",
            Suggest,
            |it| {
                it.resolves();
                it.yes("ada");
            },
            ends(IntentEnd::Expired).void(VoidReason::Resolved).refusing(&[Refusal::Void]),
        ),
    ]
}
