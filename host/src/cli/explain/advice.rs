//! What to do about each check that refuses.

use balm_core::record::CheckName;

/// What the check of the bounds finds where not a bound but the group itself is in the way.
const BY_THE_GROUP: &str = "the group's own ";

/// What to do about a check that refuses.
pub(super) fn advice(check: CheckName, found: &str) -> &'static str {
    match check {
        // The group's own numbers are AWS's matter: no bound of ours moves them.
        CheckName::Bounds if found.contains(BY_THE_GROUP) => {
            "The group's own minimum and maximum hold whatever a [[bound]] says: change them in AWS, if the policy is to go further."
        }
        CheckName::Stop => {
            "`balm status` shows the stops, `balm resume` ends them; a [[freeze]] in guardrails/limits.toml ends by itself."
        }
        CheckName::Stale => {
            "Too much time has passed, or the alert has changed since: the next trigger is judged anew."
        }
        CheckName::Mode => "Set the policy's mode: shadow records, enforce lets it act within the guardrails.",
        CheckName::Manifest => "The plugin must declare the action in its manifest (ACTIONS in Rust).",
        CheckName::Catalogue => "Only actions of the catalogue, with its parameters, can be done: mend the plugin.",
        CheckName::Target => {
            "The target must be among the policy's targets and in an [[aws.account]] whose identity is verified."
        }
        CheckName::Look => "What cannot be read is not changed: `balm iam` prints the permissions that the host needs.",
        CheckName::Expectation => "The world is no longer as the plugin saw it: its next evaluation sees the new one.",
        CheckName::Busy => "Something else is under way on the target: it must end first.",
        CheckName::Oscillation => {
            "The target was turned around too often: find out why before [conflicts] in guardrails/limits.toml allows more."
        }
        CheckName::Recurrence => "What the policy does does not help: the alert needs a person, or another policy.",
        CheckName::Storm => {
            "Many targets alert at once, so less is done: [storm] in guardrails/limits.toml says how much."
        }
        CheckName::Opposes => {
            "It would take back what was just done: [opposes] in guardrails/limits.toml says for how long."
        }
        CheckName::Limits => "A [[limit]] in guardrails/limits.toml must cover it and have room.",
        CheckName::Bounds => "A [[bound]] in guardrails/limits.toml must cover it and hold.",
        CheckName::Authorization => "A rule in guardrails/*.cedar must permit it, and none forbid it.",
    }
}
