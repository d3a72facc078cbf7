//! `balm audit find`: records by what they are about, from the journal or an export, page by page.
//!
//! A record of an intent counts as its policy's, its plugin's, its action's and its target's, and a record of an episode as
//! its alert's, also where it does not repeat them: they are remembered from the records before it, for as long as intent
//! and episode last.

use std::{collections::BTreeMap, ops::ControlFlow, process::ExitCode};

use balm_core::{
    action,
    digest::Digest,
    evaluation::{Conclusion, Proposal},
    name::{EpisodeId, IntentId, PluginName, PolicyName, Seq},
    record::{CallResult, CheckName, Fact, IntentEnd, Record, Settled, Verdict},
    target::Target,
    time::Timestamp,
};
use clap::Args;

use super::{
    out::{self, Reader},
    past::Past,
    show,
};

/// Records of one page, unless another number is asked for.
const PAGE: usize = 100;

/// What [`verdict`] says beside the names of checks.
const VERDICTS: [&str; 4] = ["admitted", "needs-approval", "observed", "refused"];

/// What [`result`] says.
const RESULTS: [&str; 14] = [
    "done",
    "refused",
    "not-done",
    "unknown",
    "seen",
    "not-seen",
    "for-a-person",
    "verified",
    "unverified",
    "failed",
    "undone",
    "expired",
    "denied",
    "void",
];

#[derive(Debug, Args)]
pub(super) struct Find {
    /// Only records written at this time or later, as in 2026-11-01T09:51:03Z.
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    since: Option<Timestamp>,
    /// Only records written at this time or earlier.
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    until: Option<Timestamp>,
    /// Only records of this kind, as in intent-judged.
    #[arg(long, value_parser = known_kind)]
    kind: Option<String>,
    /// Only records of alerts with this name or fingerprint.
    #[arg(long, value_name = "NAME|FINGERPRINT")]
    alert: Option<String>,
    /// Only records of this episode.
    #[arg(long, value_name = "NUMBER")]
    episode: Option<u64>,
    /// Only records of this policy.
    #[arg(long, value_name = "NAME")]
    policy: Option<PolicyName>,
    /// Only records of this plugin, or of a version by the beginning of its digest.
    #[arg(long, value_name = "NAME|DIGEST")]
    plugin: Option<String>,
    /// Only records of intents with this action.
    #[arg(long, value_name = "ACTION", value_parser = known_action)]
    action: Option<String>,
    /// Only records of intents on this target.
    #[arg(long, value_name = "ARN", value_parser = arn)]
    target: Option<String>,
    /// Only verdicts: admitted, needs-approval, observed, refused, or the check that refused.
    #[arg(long, value_name = "WORD", value_parser = known_verdict)]
    verdict: Option<String>,
    /// Only results of calls (done, refused, not-done, unknown, seen, not-seen, for-a-person) and ends of intents (verified,
    /// unverified, failed, unknown, undone, expired, denied, void).
    #[arg(long, value_name = "WORD", value_parser = known_result)]
    result: Option<String>,
    /// Go on behind this record.
    #[arg(long, value_name = "NUMBER", default_value = "0")]
    after: u64,
    /// How many records at most.
    #[arg(long, value_name = "COUNT", default_value_t = PAGE)]
    limit: usize,
    /// Records as JSON, one a line.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    past: Past,
}

fn parse_time(text: &str) -> Result<Timestamp, String> {
    let time = Timestamp::parse_rfc3339(text);
    time.ok_or_else(|| format!("{text:?} is no time: write it as in 2026-11-01T09:51:03Z"))
}

/// What no record can hold is a mistake: found nothing is an answer.
fn known(text: &str, what: &str, words: &[&str]) -> Result<String, String> {
    let is_known = words.contains(&text);
    is_known.then(|| text.to_owned()).ok_or_else(|| format!("{text:?} is no {what}; there are {}", words.join(", ")))
}

fn known_kind(text: &str) -> Result<String, String> {
    known(text, "kind of record", Fact::KINDS)
}

fn known_action(text: &str) -> Result<String, String> {
    known(text, "action", action::NAMES)
}

fn known_verdict(text: &str) -> Result<String, String> {
    let checks = CheckName::ALL.map(|check| check.to_string());
    let words: Vec<&str> = VERDICTS.into_iter().chain(checks.iter().map(String::as_str)).collect();
    known(text, "verdict", &words)
}

fn known_result(text: &str) -> Result<String, String> {
    known(text, "result", &RESULTS)
}

/// Which targets there are, or were, nobody knows: only how one is written.
fn arn(text: &str) -> Result<String, String> {
    text.parse::<Target>().map(|target| target.to_string()).map_err(|error| error.to_string())
}

pub(super) fn run(find: &Find) -> anyhow::Result<ExitCode> {
    let (mut context, mut found, mut last, mut more) = (Context::default(), 0, Seq::ZERO, false);
    let mut written = Ok(Reader::Listens);
    find.past.history()?.some(find.begins(), |record| {
        let about = context.about(record);
        if !find.wants(record, &about) {
            return ControlFlow::Continue(());
        }
        if found == find.limit {
            more = true;
            return ControlFlow::Break(());
        }
        (found, last) = (found + 1, record.seq);
        let line =
            if find.json { serde_json::to_string(record).map(|json| json + "\n") } else { Ok(show::record(record)) };
        written = line.map_err(anyhow::Error::from).and_then(|line| Ok(out::write(line)?));
        if matches!(written, Ok(Reader::Listens)) { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    written?;
    if more {
        out::aside(&format!("there are more: go on with --after {last}"));
    }
    Ok(ExitCode::SUCCESS)
}

/// What a record is about.
#[derive(Clone, Debug, Default)]
struct About {
    alert: Option<(String, String)>,
    episode: Option<EpisodeId>,
    policy: Option<PolicyName>,
    plugin: Option<(Digest, Option<PluginName>)>,
    /// Actions and targets: a decision may propose several.
    changes: Vec<(String, String)>,
}

/// What the records so far say of episodes and intents that are not over.
#[derive(Debug, Default)]
struct Context {
    names: BTreeMap<Digest, PluginName>,
    alerts: BTreeMap<EpisodeId, (String, String)>,
    intents: BTreeMap<IntentId, About>,
}

impl Context {
    fn about(&mut self, record: &Record) -> About {
        let fact = &record.fact;
        let mut about = intent_of(fact).and_then(|intent| self.intents.get(&intent).cloned()).unwrap_or_default();
        about.episode = fact.episode();
        match fact {
            fact if let Some((name, digest)) = fact.version() => {
                self.names.insert(digest, name.clone());
                about.plugin = Some((digest, Some(name.clone())));
            }
            Fact::AlertReceived(received) => {
                let episode = about.episode.unwrap_or(EpisodeId(record.seq));
                about.episode = Some(episode);
                self.alerts.insert(episode, (received.alert.name.clone(), received.alert.fingerprint.clone()));
            }
            Fact::Evaluated(capsule) => {
                about.policy = Some(capsule.policy.clone());
                about.plugin = Some((capsule.plugin, self.names.get(&capsule.plugin).cloned()));
                if let Conclusion::Decided(decision) = &capsule.conclusion {
                    self.propose(record.seq, &decision.intents, &about);
                    about.changes = decision.intents.iter().map(change).collect();
                }
            }
            Fact::EvaluationSkipped(skipped) => about.policy = Some(skipped.policy.clone()),
            Fact::UndoProposed(undo) => {
                self.propose(record.seq, std::slice::from_ref(&undo.proposal), &about);
            }
            _ => {}
        }
        about.alert = about.episode.and_then(|episode| self.alerts.get(&episode).cloned());
        match fact {
            Fact::IntentEnded(ended) => drop(self.intents.remove(&ended.intent)),
            Fact::EpisodeEnded(ended) => {
                self.alerts.remove(&ended.episode);
                self.intents.retain(|_, about| about.episode != Some(ended.episode));
            }
            _ => {}
        }
        about
    }

    fn propose(&mut self, proposed: Seq, intents: &[Proposal], about: &About) {
        for (index, intent) in (0..).zip(intents) {
            let about = About { changes: vec![change(intent)], ..about.clone() };
            self.intents.insert(IntentId { proposed, index }, about);
        }
    }
}

fn change(intent: &Proposal) -> (String, String) {
    (intent.action.clone(), intent.target.clone())
}

const fn intent_of(fact: &Fact) -> Option<IntentId> {
    match fact {
        Fact::TargetLooked(looked) => Some(looked.intent),
        Fact::IntentJudged(judged) => Some(judged.intent),
        Fact::ConflictFound(conflict) => Some(conflict.intent),
        Fact::AttemptStarted(attempt) => Some(attempt.intent),
        Fact::AttemptEnded(ended) => Some(ended.intent),
        Fact::AttemptSettled(settled) => Some(settled.intent),
        Fact::IntentEnded(ended) => Some(ended.intent),
        Fact::UndoProposed(undo) => Some(undo.of),
        _ => None,
    }
}

impl Find {
    /// The first record that matters: what a page does not show matters only where records of intents and episodes are asked
    /// for by what earlier ones say of them.
    fn begins(&self) -> Seq {
        let Self { alert, policy, plugin, action, target, .. } = self;
        let by_earlier = policy.is_some() || [alert, plugin, action, target].into_iter().any(Option::is_some);
        if by_earlier { Seq::ZERO } else { Seq(self.after).next() }
    }

    fn wants(&self, record: &Record, about: &About) -> bool {
        fn is<T>(wanted: Option<&T>, fits: impl FnOnce(&T) -> bool) -> ControlFlow<()> {
            if wanted.is_none_or(fits) { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        }
        let all = || {
            is(Some(&self.after), |after| record.seq.0 > *after)?;
            is(self.since.as_ref(), |since| record.at >= *since)?;
            is(self.until.as_ref(), |until| record.at <= *until)?;
            is(self.kind.as_ref(), |kind| kind == record.fact.kind())?;
            is(self.episode.as_ref(), |episode| about.episode == Some(EpisodeId(Seq(*episode))))?;
            is(self.policy.as_ref(), |policy| about.policy.as_ref() == Some(policy))?;
            is(self.alert.as_ref(), |wanted| {
                about.alert.as_ref().is_some_and(|(name, id)| wanted == name || wanted == id)
            })?;
            is(self.plugin.as_ref(), |wanted| about.plugin.as_ref().is_some_and(|plugin| is_plugin(wanted, plugin)))?;
            is(self.action.as_ref(), |wanted| about.changes.iter().any(|(action, _)| action == wanted))?;
            is(self.target.as_ref(), |wanted| about.changes.iter().any(|(_, target)| target == wanted))?;
            is(self.verdict.as_ref(), |wanted| verdict(&record.fact).iter().any(|word| word == wanted))?;
            is(self.result.as_ref(), |wanted| result(&record.fact) == Some(wanted.as_str()))
        };
        all().is_continue()
    }
}

fn is_plugin(wanted: &str, (digest, name): &(Digest, Option<PluginName>)) -> bool {
    // A name of hexadecimal digits is a name; eight digits tell versions apart.
    name.as_ref().is_some_and(|name| name.as_str() == wanted)
        || wanted.len() >= 8 && digest.to_string().starts_with(wanted)
}

fn verdict(fact: &Fact) -> Vec<String> {
    let Fact::IntentJudged(judged) = fact else { return Vec::new() };
    match &judged.verdict {
        Verdict::Admitted => vec!["admitted".into()],
        Verdict::NeedsApproval(_) => vec!["needs-approval".into()],
        Verdict::Observed => vec!["observed".into()],
        Verdict::Refused(check) => vec!["refused".into(), check.to_string()],
    }
}

const fn result(fact: &Fact) -> Option<&'static str> {
    match fact {
        Fact::AttemptEnded(ended) => Some(match ended.result {
            CallResult::Done { .. } => "done",
            CallResult::Refused { .. } => "refused",
            CallResult::NotDone { .. } => "not-done",
            CallResult::Unknown { .. } => "unknown",
        }),
        Fact::AttemptSettled(settled) => Some(match settled.settled {
            Settled::Seen => "seen",
            Settled::NotSeen => "not-seen",
            Settled::ForAPerson => "for-a-person",
        }),
        Fact::IntentEnded(ended) => Some(match ended.how {
            IntentEnd::Verified => "verified",
            IntentEnd::Unverified => "unverified",
            IntentEnd::Failed => "failed",
            IntentEnd::Unknown => "unknown",
            IntentEnd::Undone => "undone",
            IntentEnd::Expired => "expired",
            IntentEnd::Denied => "denied",
            IntentEnd::Void => "void",
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use balm_core::record::{AttemptEnded, AttemptSettled, IntentEnded};

    use super::*;

    #[test]
    fn a_word_that_no_record_holds_is_a_mistake() {
        for (read, right, wrong) in [
            (known_kind as fn(&str) -> Result<String, String>, "intent-judged", "intent-judge"),
            (known_action, "ecs:scale-service", "ecs:scale"),
            (known_verdict, "limits", "limit"),
            (known_verdict, "needs-approval", "approval"),
            (known_result, "for-a-person", "success"),
            (arn, "arn:aws:ecs:eu-central-1:123456789012:service/prod/web", "prod/web"),
        ] {
            assert_eq!(read(right).as_deref(), Ok(right));
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn every_result_that_a_record_can_have_can_be_asked_for() {
        let intent = IntentId { proposed: Seq(1), index: 0 };
        let episode = EpisodeId(Seq(1));
        let why = String::new;
        let calls = [
            CallResult::Done { request: why() },
            CallResult::Refused { why: why() },
            CallResult::NotDone { why: why() },
            CallResult::Unknown { why: why() },
        ];
        let calls = calls.map(|result| Fact::AttemptEnded(AttemptEnded { intent, episode, attempt: 1, result }));
        let settled = [Settled::Seen, Settled::NotSeen, Settled::ForAPerson]
            .map(|settled| Fact::AttemptSettled(AttemptSettled { intent, episode, attempt: 1, settled, found: why() }));
        let ends = [
            IntentEnd::Verified,
            IntentEnd::Unverified,
            IntentEnd::Failed,
            IntentEnd::Unknown,
            IntentEnd::Undone,
            IntentEnd::Expired,
            IntentEnd::Denied,
            IntentEnd::Void,
        ];
        let ends = ends.map(|how| Fact::IntentEnded(IntentEnded { intent, episode, how, why: why() }));
        for fact in calls.into_iter().chain(settled).chain(ends) {
            let word = result(&fact).expect("it is a result");
            assert!(RESULTS.contains(&word), "{word}");
        }
    }
}
