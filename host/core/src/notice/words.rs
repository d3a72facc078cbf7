//! The words of a record's notice: one sentence for each kind.

use super::approval;
use crate::{
    evaluation::Conclusion,
    record::{
        AttemptStarted, Checkpoint, ConfigurationRefused, ConflictFound, DamageFound, EvaluationSkipped, Fact,
        IntentEnded, IntentJudged, PluginActivated, ReleaseAsked, StopEngaged, StormBrake, Verdict,
    },
    versions::{
        candidate::{Agreement, CandidateCompared, CandidateEnded, CandidateNamed, CandidateOutcome},
        record::{Cause, PluginPushed},
    },
};

/// What a record says to people.
pub(super) fn of(fact: &Fact) -> String {
    match fact {
        Fact::TailCut(cut) => format!("an unfinished write of {} bytes was cut and kept in {}", cut.bytes, cut.kept),
        Fact::LossAccepted(loss) => {
            format!("records up to {} were lost, and the loss was accepted ({} knew them)", loss.known, loss.by)
        }
        Fact::StateSaved(saved) => format!("what the records up to {} say together was saved", saved.upto),
        Fact::HistoryDropped(dropped) => format!("records up to {} are no longer kept: {}", dropped.upto, dropped.why),
        Fact::DamageFound(damage) => {
            let DamageFound { seq, file, offset, why } = damage;
            format!(
                "the journal is damaged: record {seq} in {file} at byte {offset}: {why}; restore the file from a backup"
            )
        }
        Fact::PluginRefused(refused) => format!("plugin {} was refused: {}", refused.plugin, refused.why),
        Fact::PluginRemoved(removed) => format!("plugin {} was removed: {}", removed.plugin, removed.why),
        Fact::PluginActivated(activated) => activated_words(activated),
        Fact::CandidateNamed(CandidateNamed { plugin, digest, by }) => {
            format!("version {} of plugin {plugin} is compared, wanted by {}: {}", digest.short(), by.who, by.why)
        }
        Fact::CandidateEnded(CandidateEnded { plugin, digest, why, .. }) => {
            format!("version {} of plugin {plugin} is compared no longer: {why}", digest.short())
        }
        Fact::CandidateCompared(compared) => compared_words(compared),
        Fact::PluginPushed(pushed) => pushed_words(pushed),
        Fact::ConfigurationRefused(refused) => refused_words(refused),
        Fact::Reloaded(reloaded) => {
            format!("the configuration was read again by {}: {}", reloaded.by.who, reloaded.by.why)
        }
        Fact::ClockJumped(jump) => {
            format!("the clock was set ahead by {} s; accept it with `balm accept-clock`", jump.by_ms / 1000)
        }
        Fact::AccountChecked(checked) => {
            let why = checked.identity.as_ref().err().map_or("", String::as_str);
            format!("nothing is done in account {} in {}: {why}", checked.account, checked.region)
        }
        Fact::EvaluationSkipped(EvaluationSkipped { policy, why, .. }) => {
            format!("policy {policy} was not evaluated: {why}")
        }
        Fact::Evaluated(capsule) => {
            let why = match &capsule.conclusion {
                Conclusion::Failed(failure) => format!("{}: {}", failure.kind, failure.message),
                Conclusion::Decided(decision) => decision.explanation.clone(),
            };
            format!("policy {} failed: {why}", capsule.policy)
        }
        Fact::UndoProposed(undo) => format!("intent {} is to be undone: {}", undo.of, undo.proposal.reason),
        Fact::IntentJudged(judged) => judged_words(judged),
        Fact::AttemptStarted(attempt) => {
            let AttemptStarted { intent, action, target, parameters, .. } = attempt.as_ref();
            format!("intent {intent}: {action} {parameters} on {target}")
        }
        Fact::AttemptSettled(settled) => {
            format!("intent {}: a call had no answer; {}", settled.intent, settled.found)
        }
        Fact::IntentEnded(IntentEnded { intent, how, why, .. }) => format!("intent {intent} is {how}: {why}"),
        Fact::StopEngaged(stop) => stopped_words(stop),
        Fact::ReleaseAsked(asked) => {
            let ReleaseAsked { stop, by, missing } = asked;
            format!("{} would release stop {stop}, which takes {missing} more: {}", by.who, by.why)
        }
        Fact::StormBrake(brake) => storm_words(*brake),
        Fact::ConflictFound(conflict) => {
            let ConflictFound { conflict, policy, target, found, .. } = conflict.as_ref();
            format!("{conflict} of policy {policy} on {target}, and nothing is done: {found}")
        }
        Fact::StopReleased(released) => {
            format!("stop {} is released by {}: {}", released.stop, released.by.who, released.by.why)
        }
        Fact::Genesis(_)
        | Fact::HostStarted(_)
        | Fact::HostStopped(_)
        | Fact::Configured(_)
        | Fact::TimePassed(_)
        | Fact::ClockAccepted(_)
        | Fact::AlertReceived(_)
        | Fact::EpisodeEnded(_)
        | Fact::TargetLooked(_)
        | Fact::AttemptEnded(_)
        | Fact::NoticeSent(_) => fact.kind().to_owned(),
        Fact::AccessDenied(denied) => format!("{} was denied {}", denied.who, denied.what),
        Fact::ApprovalRequested(_)
        | Fact::ApprovalReminded(_)
        | Fact::ApprovalGiven(_)
        | Fact::ApprovalWithdrawn(_)
        | Fact::ApprovalDenied(_)
        | Fact::ApprovalExpired(_)
        | Fact::ApprovalUsed(_)
        | Fact::ApprovalVoid(_)
        | Fact::ApprovalRefused(_) => approval::words(fact),
        Fact::Checkpoint(Checkpoint { seq, hash, signature, .. }) => {
            format!("checkpoint of record {seq} {hash}, signed {signature}")
        }
    }
}

fn compared_words(compared: &CandidateCompared) -> String {
    let CandidateCompared { digest, policy, capsule, agreement, outcome, .. } = compared;
    let agreement = match agreement {
        Agreement::Same => "comes to the same as",
        Agreement::OtherWords => "would do the same, in other words, as",
        Agreement::Differs => "would not do the same as",
    };
    let what = match outcome {
        CandidateOutcome::Concluded(Conclusion::Decided(decision)) => decision.explanation.clone(),
        CandidateOutcome::Concluded(Conclusion::Failed(failure)) => format!("{}: {}", failure.kind, failure.message),
        CandidateOutcome::Asks(queries) => format!("it asks {} queries more", queries.len()),
    };
    format!("candidate {} of policy {policy} {agreement} the evaluation in record {capsule}: {what}", digest.short())
}

fn pushed_words(PluginPushed { plugin, digest, by, .. }: &PluginPushed) -> String {
    format!("version {} of plugin {plugin} was pushed by {}: {}", digest.short(), by.who, by.why)
}

fn activated_words(activated: &PluginActivated) -> String {
    let PluginActivated { plugin, digest, cause, .. } = activated;
    let version = digest.short();
    match cause {
        Cause::Directory => format!("version {version} of plugin {plugin} is in force: its file arrived"),
        Cause::Activated(by) => {
            format!("version {version} of plugin {plugin} is in force, chosen by {}: {}", by.who, by.why)
        }
        Cause::RolledBack(by) => {
            format!("version {version} of plugin {plugin} is in force again, gone back to by {}: {}", by.who, by.why)
        }
        Cause::Quarantine(stop) => {
            format!(
                "version {version} of plugin {plugin} is in force again, since the one after it is in quarantine (stop {stop})"
            )
        }
    }
}

fn refused_words(refused: &ConfigurationRefused) -> String {
    let ConfigurationRefused { part, mistakes, .. } = refused;
    let first = mistakes.first().map_or("", String::as_str);
    let further = mistakes.len().saturating_sub(1);
    let further = if further == 0 { String::new() } else { format!(" (and {further} more)") };
    format!("{part} was refused, and what was in force stays: {first}{further}")
}

fn stopped_words(stop: &StopEngaged) -> String {
    let StopEngaged { scope, by, until, .. } = stop;
    let until = until.map(|until| format!(" until {until}")).unwrap_or_default();
    format!("{scope} is stopped by {}{until}: {}", by.who, by.why)
}

fn storm_words(brake: StormBrake) -> String {
    let StormBrake { on, targets, accounts } = brake;
    let what = if on { "a storm: less is done while" } else { "the storm is over:" };
    format!("{what} {targets} targets of {accounts} accounts alert at once")
}

fn judged_words(judged: &IntentJudged) -> String {
    let IntentJudged { intent, policy, verdict, checks, .. } = judged;
    let why = match verdict {
        Verdict::Refused(check) => {
            checks.iter().find(|checked| checked.check == *check).map_or("", |checked| checked.found.as_str())
        }
        Verdict::NeedsApproval(_) | Verdict::Admitted | Verdict::Observed => "",
    };
    let colon = if why.is_empty() { "" } else { ": " };
    format!("intent {intent} of policy {policy}: {verdict}{colon}{why}")
}
