//! The world moves on while people think.

use balm_core::{
    approval::record::{Refusal, VoidReason},
    record::{CheckName, IntentEnd},
};

use super::{Case, Ends, Expect, acts, case, ends, refused, waits};
use crate::approvals::{
    Needs::{Rules, Suggest},
    scene::{Scene, WEB},
};

pub(super) fn cases() -> Vec<Case> {
    let drifted = || Expect::of(Ends::Refused(CheckName::Expectation)).void(VoidReason::WorldChanged);
    vec![
        case(
            "somebody scales the service while people think",
            Suggest,
            |it| {
                it.becomes(5);
                it.yes("ada");
                it.look();
            },
            drifted(),
        ),
        case(
            "somebody scales it to what was wanted",
            Suggest,
            |it| {
                it.becomes(6);
                it.yes("ada");
                it.look();
            },
            drifted(),
        ),
        case(
            "somebody scales it between the yes and the look",
            Suggest,
            |it| {
                it.yes("ada");
                it.becomes(3);
                it.look();
            },
            drifted(),
        ),
        case(
            "a deployment is under way now",
            Suggest,
            |it| {
                it.service_becomes(|service| service.deployments.push(service.deployments[0].clone()));
                it.yes("ada");
                it.look();
            },
            refused(CheckName::Busy),
        ),
        case(
            "the service drains now",
            Suggest,
            |it| {
                it.service_becomes(|service| service.status = "DRAINING".into());
                it.yes("ada");
                it.look();
            },
            refused(CheckName::Busy),
        ),
        case(
            "another intent is under way on it now",
            Suggest,
            |it| {
                it.another_acts(WEB, 4, 5, false);
                it.yes("ada");
                it.look();
            },
            refused(CheckName::Busy),
        ),
        case(
            "another intent has just done the opposite",
            Suggest,
            |it| {
                it.another_acts(WEB, 5, 4, true);
                it.yes("ada");
                it.look();
            },
            refused(CheckName::Opposes),
        ),
        case(
            "two intents that would do the same are approved, and the second finds it done",
            Suggest,
            |it| {
                let other = it.propose_again();
                it.yes("ada");
                it.look();
                it.done_and_verified();
                it.intent = other;
                it.becomes(6);
                it.yes("ada");
                it.look();
            },
            drifted(),
        ),
        case(
            "it lost the tag by which a rule permits it",
            Suggest,
            |it| {
                it.rules(r#"permit(principal, action, resource) when { resource.hasTag("team") };"#);
                it.intent = it.propose_again();
                it.service_becomes(|service| service.tags.clear());
                it.yes("ada");
                it.look();
            },
            refused(CheckName::Authorization),
        ),
        case(
            "it cannot be read any more",
            Suggest,
            |it| {
                it.yes("ada");
                for pause in [1, 2, 4, 8] {
                    it.look_in_vain();
                    it.wait(pause);
                }
            },
            refused(CheckName::Look),
        ),
        case(
            "it cannot be read once, and can the next time",
            Suggest,
            |it| {
                it.yes("ada");
                it.look_in_vain();
                it.wait(1);
                it.look();
            },
            acts(),
        ),
        case(
            "a reading that is old is none",
            Suggest,
            |it| {
                it.yes("ada");
                it.look_late(11);
            },
            waits(1),
        ),
        case(
            "the alert resolves while people think",
            Suggest,
            Scene::resolves,
            ends(IntentEnd::Expired).void(VoidReason::Resolved),
        ),
        case(
            "the alert resolves between the yes and the look",
            Suggest,
            |it| {
                it.yes("ada");
                it.resolves();
                it.look();
            },
            refused(CheckName::Stale),
        ),
        case(
            "the alert resolves and fires again: what was asked before stays void",
            Suggest,
            |it| {
                it.resolves();
                it.wait(1);
                it.fires("HighCpu");
                it.yes("ada");
                it.look();
            },
            ends(IntentEnd::Expired).void(VoidReason::Resolved).refusing(&[Refusal::Void]),
        ),
        case(
            "the hour has come in which rules ask for two",
            Rules(1),
            |it| {
                it.rules(
                    r#"permit(principal, action, resource) when { context.approvals >= 1 };
                   forbid(principal, action, resource) when { context.hour < 6 && context.approvals < 2 };"#,
                );
                it.approvers(|terms| terms.expires_after_ms = 2 * 3_600_000);
                it.intent = it.propose_again();
                it.wait(3600);
                it.yes("ada");
                it.look();
            },
            ends(IntentEnd::Void).void(VoidReason::NeedsMore),
        ),
    ]
}
