//! Records in words, for people who ask what happened and why.

use std::fmt::Write as _;

use balm_core::{
    approval::record::ApprovalRequested,
    evaluation::{Capsule, Conclusion},
    look::Reading,
    name::ApproverName,
    record::{AlertReceived, AttemptStarted, CallResult, Checked, Fact, IntentJudged, Reception, Record, TargetLooked},
};

use crate::text::is_invisible;

/// A record, as one line and, where there is more to say, indented ones below it.
pub(super) fn record(record: &Record) -> String {
    let (headline, details) = words(&record.fact);
    let mut text = format!("{:>8}  {}  {:<21} {}\n", record.seq, record.at, record.fact.kind(), printable(&headline));
    for detail in details {
        let _ = writeln!(text, "{:>39}{}", "", printable(&detail));
    }
    text
}

/// Alert text is written by strangers: it must neither move the cursor nor turn around what stands beside it.
pub(super) fn printable(text: &str) -> String {
    let shown = |c: char| if c.is_control() || is_invisible(c) { c.escape_unicode().collect() } else { vec![c] };
    text.chars().flat_map(shown).collect()
}

fn words(fact: &Fact) -> (String, Vec<String>) {
    let line = |text: String| (text, Vec::new());
    match fact {
        Fact::Genesis(genesis) => line(format!("host {}, begun by Balm {}", genesis.host, genesis.version)),
        Fact::HostStarted(started) => line(format!("Balm {} with {}", started.version, started.engine)),
        Fact::HostStopped(stopped) => line(stopped.why.clone()),
        Fact::Configured(configured) => configured_words(configured),
        Fact::PluginActivated(plugin) => {
            let manifest = &plugin.manifest;
            let what =
                format!("{} {} ({}, {} bytes)", plugin.plugin, manifest.version, plugin.digest.short(), plugin.bytes);
            let why = balm_core::notice::headline(fact);
            (what, vec![manifest.summary.clone(), format!("may propose {}", manifest.actions.join(", ")), why])
        }
        Fact::AlertReceived(received) => alert_words(received),
        Fact::EpisodeEnded(ended) => line(format!("episode {} is over: {:?}", ended.episode, ended.how).to_lowercase()),
        Fact::Evaluated(capsule) => capsule_words(capsule),
        Fact::TargetLooked(looked) => look_words(looked),
        Fact::IntentJudged(judged) => judged_words(judged),
        Fact::AttemptStarted(attempt) => {
            let AttemptStarted { intent, attempt, token, action, target, parameters, .. } = attempt.as_ref();
            (
                format!("intent {intent}, attempt {attempt}: {action} {parameters}"),
                vec![target.to_string(), format!("token {token}")],
            )
        }
        Fact::AttemptEnded(ended) => {
            let how = match &ended.result {
                CallResult::Done { request } => format!("done, request {request}"),
                CallResult::Refused { why } => format!("refused: {why}"),
                CallResult::NotDone { why } => format!("not done: {why}"),
                CallResult::Unknown { why } => format!("unknown: {why}"),
            };
            line(format!("intent {}, attempt {}: {how}", ended.intent, ended.attempt))
        }
        Fact::NoticeSent(sent) => {
            let how = sent.delivered.as_ref().map_or_else(
                |why| format!("could not be told: {why}"),
                |answer| if answer.is_empty() { "was told".into() } else { format!("was told, answered {answer}") },
            );
            let what = match sent.covers {
                1 => format!("of record {}", sent.about),
                covers => format!("of {covers} notices up to record {}", sent.about),
            };
            let later = if sent.kept { "; they are kept and told later" } else { "" };
            line(format!("{} {how}, {what}{later}", sent.notifier))
        }
        Fact::TimePassed(_) => line("something is due".into()),
        Fact::AccountChecked(checked) => match &checked.identity {
            Ok(identity) => line(format!("{} in {}: acting as {identity}", checked.account, checked.region)),
            Err(why) => line(format!("{} in {}: {why}", checked.account, checked.region)),
        },
        Fact::ConfigurationRefused(refused) => {
            let by = refused.by.iter().map(|by| format!("asked for by {}: {}", by.who, by.why));
            (balm_core::notice::headline(fact), refused.mistakes.iter().skip(1).cloned().chain(by).collect())
        }
        Fact::ApprovalRequested(requested) => request_words(requested),
        Fact::ClockAccepted(accepted) => line(format!("by {}: {}", accepted.by.who, accepted.by.why)),
        // What people are told of them is all that there is to say.
        Fact::TailCut(_)
        | Fact::LossAccepted(_)
        | Fact::PluginPushed(_)
        | Fact::CandidateNamed(_)
        | Fact::CandidateCompared(_)
        | Fact::CandidateEnded(_)
        | Fact::StateSaved(_)
        | Fact::HistoryDropped(_)
        | Fact::DamageFound(_)
        | Fact::PluginRefused(_)
        | Fact::PluginRemoved(_)
        | Fact::Reloaded(_)
        | Fact::ClockJumped(_)
        | Fact::EvaluationSkipped(_)
        | Fact::UndoProposed(_)
        | Fact::AttemptSettled(_)
        | Fact::IntentEnded(_)
        | Fact::StopEngaged(_)
        | Fact::ReleaseAsked(_)
        | Fact::StopReleased(_)
        | Fact::StormBrake(_)
        | Fact::ConflictFound(_)
        | Fact::ApprovalReminded(_)
        | Fact::ApprovalGiven(_)
        | Fact::ApprovalWithdrawn(_)
        | Fact::ApprovalDenied(_)
        | Fact::ApprovalExpired(_)
        | Fact::ApprovalUsed(_)
        | Fact::ApprovalVoid(_)
        | Fact::ApprovalRefused(_)
        | Fact::AccessDenied(_)
        | Fact::Checkpoint(_) => line(balm_core::notice::headline(fact)),
    }
}

fn request_words(requested: &ApprovalRequested) -> (String, Vec<String>) {
    let ApprovalRequested { plan, hash, needs, approvers, expires_at, .. } = requested;
    let names: Vec<&str> = approvers.iter().map(ApproverName::as_str).collect();
    let may = if names.is_empty() { "nobody may approve".to_owned() } else { format!("{} may", names.join(", ")) };
    let headline = format!("intent {} needs approval of {needs} until {expires_at}; {may}", plan.intent);
    let versions =
        format!("plugin {} {}, guardrails {}", plan.plugin, plan.plugin_digest.short(), plan.guardrails.short());
    (headline, vec![format!("plan {hash}"), plan.to_string(), versions])
}

fn configured_words(configured: &balm_core::record::Configured) -> (String, Vec<String>) {
    let configuration = &configured.configuration;
    let policies = configuration
        .policies
        .iter()
        .map(|(name, policy)| format!("{name}: {}, plugin {}", policy.mode, policy.plugin));
    let guardrails = &configuration.guardrails;
    let (rules, limits, bounds) = (guardrails.rules.len(), guardrails.limits.len(), guardrails.bounds.len());
    let headline = format!(
        "guardrails {}: {rules} files of rules, {limits} limits, {bounds} bounds",
        configured.guardrails.short()
    );
    (headline, policies.collect())
}

fn alert_words(received: &AlertReceived) -> (String, Vec<String>) {
    let AlertReceived { reception, alert } = received;
    let what = match reception {
        Reception::Opened { concerned, .. } if concerned.is_empty() => {
            "opens an episode; no policy is concerned".into()
        }
        Reception::Opened { .. } => "opens an episode".to_owned(),
        Reception::Reopened { episode, .. } => format!("fires again in episode {episode}"),
        Reception::Repeated { episode, .. } => format!("repeats episode {episode}"),
        Reception::Resolved { episode, held: false } => format!("resolves episode {episode}"),
        Reception::Resolved { episode, held: true } => format!("ends episode {episode}, not because it is well"),
        Reception::Ignored { why, .. } => format!("is ignored: {why}"),
    };
    let status = format!("{:?}", alert.status).to_lowercase();
    let pairs: Vec<String> = alert.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let values: Vec<String> = alert.values.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let mut details = vec![
        format!("{} org {}, fingerprint {}", alert.source, alert.org, alert.fingerprint),
        format!("labels {}", pairs.join(" ")),
        format!("values {}", values.join(" ")),
    ];
    if let Reception::Opened { concerned, idle } | Reception::Reopened { concerned, idle, .. } = reception {
        details.extend(concerned.iter().map(|concerned| {
            let targets: Vec<String> = concerned.targets.iter().map(ToString::to_string).collect();
            format!("concerns policy {} with {}", concerned.policy, targets.join(", "))
        }));
        details
            .extend(idle.iter().map(|idle| format!("matches policy {}, which stays idle: {}", idle.policy, idle.why)));
    }
    (format!("{} {status}, {what}", alert.name), details)
}

fn capsule_words(capsule: &Capsule) -> (String, Vec<String>) {
    let Capsule { policy, plugin, trigger, rounds, fuel, took_us, .. } = capsule;
    let superseded = if capsule.superseded { "; superseded, not followed" } else { "" };
    let headline = match &capsule.conclusion {
        Conclusion::Decided(decision) => decision.explanation.clone(),
        Conclusion::Failed(failure) => format!("{}: {}", failure.kind, failure.message),
    };
    let mut details = vec![format!(
        "policy {policy}, plugin {}, trigger {trigger}, {rounds} rounds, {} answers, {fuel} fuel, {took_us} µs",
        plugin.short(),
        capsule.answers.len()
    )];
    if let Conclusion::Decided(decision) = &capsule.conclusion {
        details.extend(decision.intents.iter().map(|intent| {
            format!(
                "proposes {} {} on {}, expecting {}: {}",
                intent.action, intent.parameters, intent.target, intent.expects, intent.reason
            )
        }));
        details.extend(decision.look_again_after.map(|seconds| format!("looks again after {seconds} s")));
    }
    (format!("{headline}{superseded}"), details)
}

fn look_words(looked: &TargetLooked) -> (String, Vec<String>) {
    let TargetLooked { intent, purpose, reading, meaning, .. } = looked;
    let purpose = format!("{purpose:?}").to_lowercase();
    let found = reading_words(reading);
    let meaning = if meaning.is_empty() { String::new() } else { format!(" ({meaning})") };
    (format!("intent {intent}, for {purpose}: {found}{meaning}"), Vec::new())
}

/// What a look found.
pub(super) fn reading_words(reading: &Result<Reading, String>) -> String {
    match reading {
        Ok(reading @ Reading::EcsService { service, tasks }) => {
            let tasks = if tasks.is_empty() { String::new() } else { format!(", {} tasks read", tasks.len()) };
            format!("{reading}, {} deployments{tasks}", service.deployments.len())
        }
        Ok(reading @ Reading::AsgGroup { group }) => {
            let refreshing =
                group.refreshing().map(|refresh| format!(", refresh {} is {}", refresh.id, refresh.status));
            let suspended = group.suspended.first().map(|_| format!(", {} suspended", group.suspended.join(", ")));
            format!("{reading}{}{}", refreshing.unwrap_or_default(), suspended.unwrap_or_default())
        }
        Err(why) => why.clone(),
    }
}

fn judged_words(judged: &IntentJudged) -> (String, Vec<String>) {
    let IntentJudged { intent, policy, verdict, checks, guardrails, .. } = judged;
    let details = checks.iter().map(check).chain([format!("guardrails {}", guardrails.short())]).collect();
    (format!("intent {intent} of policy {policy}: {verdict}"), details)
}

/// A check of the guard, and what it found.
pub(super) fn check(Checked { check, passed, found }: &Checked) -> String {
    let mark = if *passed { "passed" } else { "FAILED" };
    format!("{:<14} {mark}  {found}", check.to_string()).trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_strangers_neither_moves_a_cursor_nor_turns_a_line_around() {
        assert_eq!(printable("a\u{1b}[2J\nb\u{202e}c\u{200b}é"), r"a\u{1b}[2J\u{a}b\u{202e}c\u{200b}é");
    }
}
