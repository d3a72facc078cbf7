//! The plugin declared that it may propose such an action.

use super::{Finding, ProposedIntent};

pub(super) fn check(proposed: &ProposedIntent<'_>) -> Finding {
    let action = &proposed.intent.proposal.action;
    if proposed.intent.undo_of.is_some() {
        return Finding::Passes("an undo is proposed by the host".into());
    }
    match proposed.plugin {
        None => Finding::Fails("its plugin is not loaded".into()),
        Some(plugin) if plugin.manifest.actions.contains(action) => {
            Finding::Passes(format!("declared by {} {}", plugin.plugin, plugin.digest.short()))
        }
        Some(plugin) => {
            let declared = plugin.manifest.actions.join(", ");
            Finding::Fails(format!("the manifest of {} declares {declared}, not {action:?}", plugin.plugin))
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::{
        fixture::Bench,
        record::{CheckName, Verdict},
    };

    #[test]
    fn an_action_that_the_manifest_does_not_declare_is_refused() {
        let mut bench = Bench::new();
        bench.activate(&["ecs:redeploy-service"]);
        assert_eq!(bench.judge().verdict, Verdict::Refused(CheckName::Manifest));
        bench.activate(&["ecs:redeploy-service", "ecs:scale-service"]);
        assert_eq!(bench.judge().verdict, Verdict::Admitted);
        bench.activate(&[]);
        assert_eq!(bench.judge().verdict, Verdict::Refused(CheckName::Manifest));
    }
}
