//! Notices: which records people are told about, and in which words.
//!
//! It owns the choice, the headline, and what people need beside it: which alert, which change, and why, taken from the
//! records that a notice names. How a notice looks in a medium is the notifier's business, and whether it arrives changes
//! nothing else.

mod approval;
mod words;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use self::approval::Approval;

use crate::{
    alert, caps,
    configuration::Mode,
    evaluation::{Conclusion, Proposal},
    json::Json,
    name::{EpisodeId, IntentId, PolicyName, Seq, SourceName},
    record::{Checkpoint, Fact, IntentEnd, Record, Settled, StopCause, Verdict},
    time::Timestamp,
    versions::record::Cause,
};

/// What people are told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Notice {
    /// The record that it is about; its identity.
    pub about: Seq,
    /// When that was.
    pub at: Timestamp,
    /// Whether a person should do something.
    pub urgency: Urgency,
    /// The record's kind.
    pub kind: &'static str,
    /// The episode that it belongs to, if any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub episode: Option<EpisodeId>,
    /// One line.
    pub headline: String,
    /// The policy that it is about, if any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<PolicyName>,
    /// The intent that it is about, if any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub intent: Option<Intent>,
    /// The alert that opened the episode, once its record was learned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alert: Option<Alert>,
    /// What people are asked to approve, if that is what it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approval: Option<Approval>,
    /// The checkpoint, if it is one: for whoever keeps it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<Checkpoint>,
}

/// The intent that a notice is about. All but its name and state is known once the record that proposed it was learned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Intent {
    /// Which.
    pub id: IntentId,
    /// How it stands, after the record that the notice is about.
    pub state: String,
    /// What is done; in the plugin's words, as are the others.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub action: String,
    /// To what.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub target: String,
    /// From which values to which.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub change: String,
    /// Why this change.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// What the decision that proposed it says of the whole.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub explanation: String,
    /// When it was proposed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proposed_at: Option<Timestamp>,
}

/// The alert that a notice is about. Its texts are written by strangers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Alert {
    /// Who sent it.
    pub source: SourceName,
    /// Its name; its fingerprint if it has none.
    pub name: String,
    /// The annotation `summary`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub summary: String,
    /// Where people can look at its rule.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub url: String,
}

/// How much a notice matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Urgency {
    /// Good to know.
    Info,
    /// Something did not go as it should; Balm goes on by itself.
    Warning,
    /// A person should look.
    Person,
}

/// Whether people are told of such a record.
#[must_use]
pub fn is_worth_telling(fact: &Fact) -> bool {
    match fact {
        Fact::TailCut(_)
        | Fact::LossAccepted(_)
        | Fact::DamageFound(_)
        | Fact::PluginRefused(_)
        | Fact::PluginRemoved(_)
        | Fact::ConfigurationRefused(_)
        | Fact::ClockJumped(_)
        | Fact::EvaluationSkipped(_)
        | Fact::UndoProposed(_)
        | Fact::ApprovalRequested(_)
        | Fact::ApprovalReminded(_)
        | Fact::ApprovalGiven(_)
        | Fact::ApprovalWithdrawn(_)
        | Fact::ApprovalDenied(_)
        | Fact::ApprovalExpired(_)
        | Fact::ApprovalVoid(_)
        | Fact::AttemptStarted(_)
        | Fact::IntentEnded(_)
        | Fact::StopEngaged(_)
        | Fact::ReleaseAsked(_)
        | Fact::StopReleased(_)
        | Fact::StormBrake(_)
        | Fact::ConflictFound(_)
        // Of those notifiers that are to have them.
        | Fact::Checkpoint(_) => true,
        Fact::AccountChecked(checked) => checked.identity.is_err(),
        // What a person wanted, that person knows.
        Fact::CandidateEnded(ended) => ended.by.is_none(),
        // That another one is in force again belongs to the stop that people are told of.
        Fact::PluginActivated(activated) => matches!(activated.cause, Cause::Quarantine(_)),
        Fact::Evaluated(capsule) => !capsule.superseded && matches!(capsule.conclusion, Conclusion::Failed(_)),
        // An admission is told by the attempt that follows it; what a policy in shadow would do is nobody's alarm.
        Fact::IntentJudged(judged) => judged.mode != Mode::Shadow && matches!(judged.verdict, Verdict::Refused(_)),
        Fact::AttemptSettled(settled) => settled.settled != Settled::NotSeen,
        Fact::Genesis(_)
        | Fact::HostStarted(_)
        | Fact::HostStopped(_)
        | Fact::StateSaved(_)
        | Fact::HistoryDropped(_)
        | Fact::Configured(_)
        | Fact::PluginPushed(_)
        | Fact::CandidateNamed(_)
        | Fact::CandidateCompared(_)
        | Fact::Reloaded(_)
        | Fact::TimePassed(_)
        | Fact::ClockAccepted(_)
        | Fact::AlertReceived(_)
        | Fact::EpisodeEnded(_)
        | Fact::TargetLooked(_)
        | Fact::AttemptEnded(_)
        | Fact::NoticeSent(_)
        // The attempt that follows says it.
        | Fact::ApprovalUsed(_)
        // It is no trouble of the host's, and a credential must not be a way to flood people.
        | Fact::ApprovalRefused(_)
        | Fact::AccessDenied(_) => false,
    }
}

/// The notice of a record that is worth telling.
#[must_use]
pub fn of(record: &Record) -> Notice {
    let fact = &record.fact;
    Notice {
        about: record.seq,
        at: record.at,
        urgency: urgency(fact),
        kind: fact.kind(),
        episode: fact.episode(),
        headline: cut(&words::of(fact)),
        policy: policy_of(fact).cloned(),
        intent: intent_of(fact),
        alert: None,
        approval: approval::of(fact),
        checkpoint: match fact {
            Fact::Checkpoint(checkpoint) => Some(checkpoint.clone()),
            _ => None,
        },
    }
}

impl Notice {
    /// The records that say more about it: at most two. Each is to be handed to [`Notice::learn`].
    pub fn related(&self) -> impl Iterator<Item = Seq> + use<> {
        let proposed = self.intent.as_ref().map(|intent| intent.id.proposed);
        self.episode.map(|episode| episode.0).into_iter().chain(proposed)
    }

    /// Take in what a related record says.
    pub fn learn(&mut self, record: &Record) {
        match &record.fact {
            Fact::AlertReceived(received) => self.alert = Some(Alert::of(&received.alert)),
            Fact::Evaluated(capsule) => {
                self.policy = Some(capsule.policy.clone());
                if let (Some(intent), Conclusion::Decided(decision)) = (&mut self.intent, &capsule.conclusion) {
                    let proposal = usize::try_from(intent.id.index).ok().and_then(|at| decision.intents.get(at));
                    intent.learn(proposal, record.at);
                    intent.explanation = cut(&decision.explanation);
                }
            }
            Fact::UndoProposed(undo) => {
                if let Some(intent) = &mut self.intent {
                    intent.learn(Some(&undo.proposal), record.at);
                }
            }
            _ => {}
        }
    }
}

impl Intent {
    fn new(id: IntentId, state: impl Into<String>) -> Self {
        let none = String::new;
        let (action, target, change, reason, explanation) = (none(), none(), none(), none(), none());
        Self { id, state: state.into(), action, target, change, reason, explanation, proposed_at: None }
    }

    fn learn(&mut self, proposal: Option<&Proposal>, at: Timestamp) {
        let Some(proposal) = proposal else { return };
        self.action = cut(&proposal.action);
        self.target = cut(&proposal.target);
        self.change = change(&proposal.parameters, &proposal.expects);
        self.reason = cut(&proposal.reason);
        self.proposed_at = Some(at);
    }
}

impl Alert {
    fn of(alert: &alert::Alert) -> Self {
        Self {
            source: alert.source.clone(),
            name: cut(if alert.name.is_empty() { &alert.fingerprint } else { &alert.name }),
            summary: alert.annotations.get("summary").map(|summary| cut(summary)).unwrap_or_default(),
            url: cut(&alert.url),
        }
    }
}

/// What parameters change: `desired 4 → 6` where it is said what is expected, otherwise `desired 6`.
pub(crate) fn change(parameters: &Json, expects: &Json) -> String {
    let attributes = |json: &Json| json.read::<BTreeMap<String, Value>>().unwrap_or_default();
    let before = attributes(expects);
    let one = |(name, after): (&String, &Value)| match before.get(name) {
        Some(before) => format!("{name} {} → {}", plain(before), plain(after)),
        None => format!("{name} {}", plain(after)),
    };
    cut(&attributes(parameters).iter().map(one).collect::<Vec<_>>().join(", "))
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// A text within [`caps::NOTICE_TEXT_BYTES`].
fn cut(text: &str) -> String {
    if text.len() <= caps::NOTICE_TEXT_BYTES {
        return text.to_owned();
    }
    format!("{}…", &text[..text.floor_char_boundary(caps::NOTICE_TEXT_BYTES)])
}

fn policy_of(fact: &Fact) -> Option<&PolicyName> {
    match fact {
        Fact::Evaluated(capsule) => Some(&capsule.policy),
        Fact::EvaluationSkipped(skipped) => Some(&skipped.policy),
        Fact::IntentJudged(judged) => Some(&judged.policy),
        Fact::ConflictFound(conflict) => Some(&conflict.policy),
        Fact::ApprovalRequested(requested) => Some(&requested.policy),
        _ => None,
    }
}

fn intent_of(fact: &Fact) -> Option<Intent> {
    match fact {
        Fact::UndoProposed(undo) => Some(Intent::new(undo.of, "to be undone")),
        Fact::IntentJudged(judged) => Some(Intent::new(judged.intent, judged.verdict.to_string())),
        Fact::ConflictFound(conflict) => Some(Intent::new(conflict.intent, format!("refused: {}", conflict.conflict))),
        Fact::AttemptStarted(attempt) => {
            Some(Intent::new(attempt.intent, format!("attempt {} under way", attempt.attempt)))
        }
        Fact::AttemptSettled(settled) => {
            let state = match settled.settled {
                Settled::Seen => "done (seen)",
                Settled::NotSeen => "not done",
                Settled::ForAPerson => "unknown",
            };
            Some(Intent::new(settled.intent, state))
        }
        Fact::IntentEnded(ended) => Some(Intent::new(ended.intent, ended.how.to_string())),
        _ => approval::intent_of(fact).map(|(intent, state)| Intent::new(intent, state)),
    }
}

/// The headline of a record's notice, also of one that nobody is told about.
#[must_use]
pub fn headline(fact: &Fact) -> String {
    words::of(fact)
}

/// How much a record matters to people.
pub(crate) fn urgency(fact: &Fact) -> Urgency {
    match fact {
        Fact::LossAccepted(_)
        | Fact::DamageFound(_)
        | Fact::PluginRefused(_)
        | Fact::ConfigurationRefused(_)
        | Fact::ClockJumped(_)
        | Fact::ConflictFound(_)
        | Fact::AccountChecked(_)
        | Fact::ApprovalRequested(_)
        | Fact::ApprovalReminded(_)
        | Fact::ApprovalExpired(_) => Urgency::Person,
        // What Balm halted itself waits for a person; what a person halted, a person knows.
        Fact::StopEngaged(stop) if stop.cause != StopCause::Person => Urgency::Person,
        // Whoever approved it takes it to be done.
        Fact::ApprovalVoid(void) if !void.given.is_empty() => Urgency::Person,
        Fact::AttemptSettled(settled) if settled.settled == Settled::ForAPerson => Urgency::Person,
        Fact::IntentEnded(ended) => match ended.how {
            IntentEnd::Verified | IntentEnd::Undone => Urgency::Info,
            // What expired or is void was told as such by the record before it.
            IntentEnd::Expired | IntentEnd::Denied | IntentEnd::Void => Urgency::Warning,
            IntentEnd::Unverified | IntentEnd::Failed | IntentEnd::Unknown => Urgency::Person,
        },
        Fact::TailCut(_)
        | Fact::EvaluationSkipped(_)
        | Fact::Evaluated(_)
        | Fact::UndoProposed(_)
        | Fact::IntentJudged(_)
        | Fact::AttemptSettled(_)
        | Fact::StopEngaged(_)
        | Fact::ReleaseAsked(_)
        | Fact::StopReleased(_)
        | Fact::StormBrake(_)
        | Fact::PluginRemoved(_)
        | Fact::CandidateEnded(_)
        | Fact::ApprovalWithdrawn(_)
        | Fact::ApprovalDenied(_)
        | Fact::ApprovalVoid(_)
        | Fact::ApprovalRefused(_)
        | Fact::AccessDenied(_) => Urgency::Warning,
        Fact::AttemptStarted(_)
        | Fact::Genesis(_)
        | Fact::HostStarted(_)
        | Fact::HostStopped(_)
        | Fact::StateSaved(_)
        | Fact::HistoryDropped(_)
        | Fact::Configured(_)
        | Fact::PluginActivated(_)
        | Fact::PluginPushed(_)
        | Fact::CandidateNamed(_)
        | Fact::CandidateCompared(_)
        | Fact::Reloaded(_)
        | Fact::TimePassed(_)
        | Fact::ClockAccepted(_)
        | Fact::AlertReceived(_)
        | Fact::EpisodeEnded(_)
        | Fact::TargetLooked(_)
        | Fact::AttemptEnded(_)
        | Fact::ApprovalGiven(_)
        | Fact::ApprovalUsed(_)
        | Fact::NoticeSent(_)
        | Fact::Checkpoint(_) => Urgency::Info,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        alert::tests::firing,
        evaluation::{Failure, FailureKind},
        fixture::{self, Bench},
        input::Input,
        record::CallResult,
    };

    /// The notice of the last record of a kind, with what the records that it names say.
    fn told(bench: &Bench, kind: &str) -> Notice {
        let record = bench.records.iter().rev().find(|record| record.fact.kind() == kind).expect("a record");
        let mut notice = of(record);
        for seq in notice.related() {
            notice.learn(bench.records.iter().find(|record| record.seq == seq).expect("a related record"));
        }
        notice
    }

    #[test]
    fn an_intents_notice_says_what_is_changed_from_what_to_what_and_why() {
        let mut bench = Bench::new();
        bench.judge_and_admit();
        bench.done_and_verified();
        let notice = told(&bench, "intent-ended");
        let intent = notice.intent.expect("an intent");
        assert_eq!((intent.state.as_str(), intent.action.as_str()), ("verified", "ecs:scale-service"));
        assert_eq!((intent.change.as_str(), intent.reason.as_str()), ("desired 4 → 6", "CPU is at 91 %"));
        assert_eq!((intent.target, intent.explanation), (fixture::target().to_string(), "saturated".into()));
        assert_eq!(notice.policy, Some(fixture::policy_name()));
        assert_eq!(notice.alert.expect("an alert").name, "HighCpu");
        assert_eq!((notice.episode, notice.urgency), (Some(bench.episode), Urgency::Info));
    }

    #[test]
    fn a_refusals_notice_says_which_check_refused_and_why() {
        let mut bench = Bench::new();
        bench.configure(|configuration, _| configuration.guardrails.rules.clear());
        bench.judge_and_admit();
        let notice = told(&bench, "intent-judged");
        assert_eq!(notice.intent.expect("an intent").state, "refused: authorization");
        assert!(notice.headline.contains("refused: authorization: "), "{}", notice.headline);
    }

    #[test]
    fn a_change_without_an_expectation_says_what_it_wants() {
        let parameters = fixture::proposal().parameters;
        assert_eq!(change(&parameters, &Json::empty_object()), "desired 6");
        assert_eq!(change(&Json::empty_object(), &Json::empty_object()), "");
    }

    #[test]
    fn long_texts_of_strangers_and_plugins_are_cut() {
        let mut bench = Bench::before_alert();
        let alert = alert::Alert { name: "é".repeat(caps::NOTICE_TEXT_BYTES), ..firing() };
        bench.take(Input::Alerts(vec![alert]));
        let record = bench.records.last().expect("a record").clone();
        let longest = caps::NOTICE_TEXT_BYTES + '…'.len_utf8();
        assert_eq!(Alert::of(&received(&record)).name.len(), longest);
        let mut bench = Bench::new();
        let message = "x".repeat(caps::TEXT_BYTES);
        bench.conclude(Conclusion::Failed(Failure { kind: FailureKind::Returned, message }));
        let notice = told(&bench, "evaluated");
        assert_eq!((notice.headline.len(), notice.intent), (longest, None));
    }

    fn received(record: &Record) -> alert::Alert {
        let Fact::AlertReceived(received) = &record.fact else { panic!("{record:?}") };
        received.alert.clone()
    }

    #[test]
    fn what_failed_needs_a_person_and_what_is_verified_does_not() {
        let mut bench = Bench::new();
        bench.judge_and_admit();
        bench.call_ended(CallResult::Refused { why: "AccessDenied".into() });
        assert_eq!(told(&bench, "intent-ended").urgency, Urgency::Person);
        assert_eq!(told(&bench, "attempt-started").urgency, Urgency::Info);
    }
}
