//! Operators change something while people think.

use balm_core::{
    approval::record::{Refusal, VoidReason},
    configuration::Mode,
    record::{CheckName, IntentEnd, StopScope},
};

use super::{Case, Ends, Expect, acts, case, ends, refused, waits};
use crate::approvals::{
    Needs::{Rules, Suggest},
    scene::{API, WEB, name, rules_for},
};

pub(super) fn cases() -> Vec<Case> {
    let changed = || ends(IntentEnd::Void).void(VoidReason::PlanChanged);
    let told = || changed().refusing(&[Refusal::Void]);
    vec![
        case(
            "everything is stopped while people think",
            Suggest,
            |it| {
                it.stop(StopScope::Everything);
                it.yes("ada");
                it.look();
            },
            refused(CheckName::Stop),
        ),
        case(
            "the policy is stopped between the yes and the look",
            Suggest,
            |it| {
                it.yes("ada");
                it.stop(StopScope::Policy(name("web-cpu")));
                it.look();
            },
            refused(CheckName::Stop),
        ),
        case(
            "the target is stopped",
            Rules(2),
            |it| {
                it.yes("ada");
                it.stop(StopScope::Target(WEB.parse().expect("a target")));
                it.yes("grace");
                it.look();
            },
            refused(CheckName::Stop),
        ),
        case(
            "another policy is stopped",
            Suggest,
            |it| {
                it.stop(StopScope::Policy(name("other")));
                it.yes("ada");
                it.look();
            },
            acts(),
        ),
        case(
            "a stop is released before the yes",
            Suggest,
            |it| {
                it.stop(StopScope::Everything);
                it.resume(StopScope::Everything);
                it.yes("ada");
                it.look();
            },
            acts(),
        ),
        case(
            "others have spent the limit while people think",
            Suggest,
            |it| {
                it.another_acts(API, 4, 5, true);
                it.another_acts(API, 5, 6, true);
                it.yes("ada");
                it.look();
            },
            refused(CheckName::Limits),
        ),
        case(
            "others have left one of the limit",
            Suggest,
            |it| {
                it.another_acts(API, 4, 5, true);
                it.yes("ada");
                it.look();
            },
            acts(),
        ),
        case(
            "rules are reloaded before the yes",
            Suggest,
            |it| {
                it.rules("permit(principal, action, resource); // the same, in other words");
                it.yes("ada");
            },
            told(),
        ),
        case(
            "rules are reloaded between the yes and the look",
            Suggest,
            |it| {
                it.yes("ada");
                it.rules("permit(principal, action, resource);");
                it.look();
            },
            changed(),
        ),
        case(
            "rules are reloaded that would need nobody",
            Rules(1),
            |it| {
                it.yes("ada");
                it.rules(&rules_for(0));
                it.look();
            },
            changed(),
        ),
        case(
            "rules are reloaded, and back",
            Suggest,
            |it| {
                it.yes("ada");
                it.rules("permit(principal, action, resource);");
                it.rules(&rules_for(0));
                it.look();
            },
            acts(),
        ),
        case(
            "limits are reloaded",
            Suggest,
            |it| {
                it.configure(|configuration| configuration.guardrails.limits[0].count = 9);
                it.yes("ada");
            },
            told(),
        ),
        case(
            "bounds are reloaded",
            Suggest,
            |it| {
                it.yes("ada");
                it.configure(|configuration| configuration.guardrails.bounds[0].maximum = Some(11));
                it.look();
            },
            changed(),
        ),
        case(
            "something else is reloaded",
            Suggest,
            |it| {
                it.yes("ada");
                it.configure(|configuration| configuration.notifiers.clear());
                it.look();
            },
            acts(),
        ),
        case(
            "the plugin is replaced before the yes",
            Suggest,
            |it| {
                it.plugin(b"another");
                it.yes("ada");
            },
            told(),
        ),
        case(
            "the plugin is replaced between the yes and the look",
            Suggest,
            |it| {
                it.yes("ada");
                it.plugin(b"another");
                it.look();
            },
            changed(),
        ),
        case(
            "the plugin is replaced between the first and the second yes",
            Rules(2),
            |it| {
                it.yes("ada");
                it.plugin(b"another");
                it.yes("grace");
            },
            told(),
        ),
        case(
            "the plugin is replaced, and back",
            Suggest,
            |it| {
                it.yes("ada");
                it.plugin(b"another");
                it.plugin(b"plugin");
                it.look();
            },
            acts(),
        ),
        case(
            "the plugin is taken away",
            Suggest,
            |it| {
                it.yes("ada");
                it.plugin_goes();
                it.look();
            },
            changed(),
        ),
        case(
            "the policy is taken away",
            Suggest,
            |it| {
                it.yes("ada");
                it.configure(|configuration| drop(configuration.policies.remove(&name("web-cpu"))));
                it.look();
            },
            changed(),
        ),
        case(
            "the policy only watches now",
            Suggest,
            |it| {
                it.yes("ada");
                it.mode(Mode::Shadow);
                it.look();
            },
            Expect::of(Ends::Observed).void(VoidReason::Observed),
        ),
        case(
            "the policy is off now",
            Suggest,
            |it| {
                it.yes("ada");
                it.mode(Mode::Off);
                it.look();
            },
            refused(CheckName::Mode),
        ),
        case(
            "the policy acts by itself now, and what waits still waits for people",
            Suggest,
            |it| {
                it.mode(Mode::Enforce);
                it.look();
            },
            waits(0),
        ),
        case(
            "the policy acts by itself now, and what was approved is done once",
            Suggest,
            |it| {
                it.mode(Mode::Enforce);
                it.yes("ada");
                it.look();
                it.look();
            },
            acts(),
        ),
        case(
            "the target is the policy's no longer",
            Suggest,
            |it| {
                it.yes("ada");
                it.configure(|configuration| {
                    let policy = configuration.policies.get_mut(&name("web-cpu")).expect("it is configured");
                    policy.targets = balm_core::configuration::Targets::Fixed(vec![API.parse().expect("a target")]);
                });
                it.look();
            },
            changed(),
        ),
        case(
            "the policy's settings are changed",
            Suggest,
            |it| {
                it.yes("ada");
                it.settings("web-cpu");
                it.look();
            },
            changed(),
        ),
        case(
            "another policy's settings are changed",
            Suggest,
            |it| {
                it.yes("ada");
                it.settings("other");
                it.look();
            },
            acts(),
        ),
        case(
            "the credentials turn out to be another account's",
            Suggest,
            |it| {
                it.yes("ada");
                it.account(Err("they belong to account 210987654321".into()));
                it.look();
            },
            refused(CheckName::Target),
        ),
    ]
}
