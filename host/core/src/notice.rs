//! Notices: which records people are told about, and in which words.
//!
//! It owns the choice and the headline. How a notice looks in a medium is the notifier's business, and whether it
//! arrives changes nothing else.

use serde::Serialize;

use crate::{
    configuration::Mode,
    name::{EpisodeId, Seq},
    record::{
        AttemptStarted, EvaluationSkipped, Fact, IntentEnd, IntentEnded, IntentJudged, Record, Settled, StopEngaged,
        Verdict,
    },
    time::Timestamp,
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
}

/// How much a notice matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
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
        | Fact::PluginRefused(_)
        | Fact::ClockJumped(_)
        | Fact::EvaluationSkipped(_)
        | Fact::UndoProposed(_)
        | Fact::AttemptStarted(_)
        | Fact::IntentEnded(_)
        | Fact::StopEngaged(_)
        | Fact::StopReleased(_) => true,
        Fact::AccountChecked(checked) => checked.identity.is_err(),
        Fact::Evaluated(capsule) => {
            !capsule.superseded && matches!(capsule.conclusion, crate::evaluation::Conclusion::Failed(_))
        }
        // An admission is told by the attempt that follows it; what a policy in shadow would do is nobody's alarm.
        Fact::IntentJudged(judged) => {
            judged.mode != Mode::Shadow && matches!(judged.verdict, Verdict::Refused(_) | Verdict::NeedsApproval(_))
        }
        Fact::AttemptSettled(settled) => settled.settled != Settled::NotSeen,
        Fact::Genesis(_)
        | Fact::HostStarted(_)
        | Fact::HostStopped(_)
        | Fact::Configured(_)
        | Fact::PluginActivated(_)
        | Fact::TimePassed(_)
        | Fact::ClockAccepted(_)
        | Fact::AlertReceived(_)
        | Fact::EpisodeEnded(_)
        | Fact::TargetLooked(_)
        | Fact::AttemptEnded(_)
        | Fact::NoticeSent(_) => false,
    }
}

/// The notice of a record that is worth telling.
#[must_use]
pub fn of(record: &Record) -> Notice {
    let (urgency, headline) = words(&record.fact);
    let (episode, kind) = (record.fact.episode(), record.fact.kind());
    Notice { about: record.seq, at: record.at, urgency, kind, episode, headline }
}

/// The headline of a record's notice, also of one that nobody is told about.
#[must_use]
pub fn headline(fact: &Fact) -> String {
    words(fact).1
}

fn words(fact: &Fact) -> (Urgency, String) {
    use Urgency::{Info, Person, Warning};
    match fact {
        Fact::TailCut(cut) => {
            (Warning, format!("an unfinished write of {} bytes was cut and kept in {}", cut.bytes, cut.kept))
        }
        Fact::LossAccepted(loss) => (
            Person,
            format!("records up to {} were lost, and the loss was accepted ({} knew them)", loss.known, loss.by),
        ),
        Fact::PluginRefused(refused) => (Person, format!("plugin {} was refused: {}", refused.plugin, refused.why)),
        Fact::ClockJumped(jump) => {
            (Person, format!("the clock was set ahead by {} s; accept it with `balm accept-clock`", jump.by_ms / 1000))
        }
        Fact::AccountChecked(checked) => {
            let why = checked.identity.as_ref().err().map_or("", String::as_str);
            (Person, format!("nothing is done in account {} in {}: {why}", checked.account, checked.region))
        }
        Fact::EvaluationSkipped(EvaluationSkipped { policy, why, .. }) => {
            (Warning, format!("policy {policy} was not evaluated: {why}"))
        }
        Fact::Evaluated(capsule) => {
            let why = match &capsule.conclusion {
                crate::evaluation::Conclusion::Failed(failure) => format!("{}: {}", failure.kind, failure.message),
                crate::evaluation::Conclusion::Decided(decision) => decision.explanation.clone(),
            };
            (Warning, format!("policy {} failed: {why}", capsule.policy))
        }
        Fact::UndoProposed(undo) => (Warning, format!("intent {} is to be undone: {}", undo.of, undo.proposal.reason)),
        Fact::IntentJudged(judged) => judged_words(judged),
        Fact::AttemptStarted(attempt) => {
            let AttemptStarted { intent, action, target, parameters, .. } = attempt.as_ref();
            (Info, format!("intent {intent}: {action} {parameters} on {target}"))
        }
        Fact::AttemptSettled(settled) => {
            let urgency = if settled.settled == Settled::ForAPerson { Person } else { Warning };
            (urgency, format!("intent {}: a call had no answer; {}", settled.intent, settled.found))
        }
        Fact::IntentEnded(IntentEnded { intent, how, why, .. }) => {
            let urgency = match how {
                IntentEnd::Verified | IntentEnd::Undone => Info,
                IntentEnd::Expired => Warning,
                IntentEnd::Unverified | IntentEnd::Failed | IntentEnd::Unknown => Person,
            };
            (urgency, format!("intent {intent} is {how}: {why}"))
        }
        Fact::StopEngaged(StopEngaged { scope, by }) => {
            (Warning, format!("{scope} is stopped by {}: {}", by.who, by.why))
        }
        Fact::StopReleased(released) => {
            (Warning, format!("stop {} is released by {}: {}", released.stop, released.by.who, released.by.why))
        }
        Fact::Genesis(_)
        | Fact::HostStarted(_)
        | Fact::HostStopped(_)
        | Fact::Configured(_)
        | Fact::PluginActivated(_)
        | Fact::TimePassed(_)
        | Fact::ClockAccepted(_)
        | Fact::AlertReceived(_)
        | Fact::EpisodeEnded(_)
        | Fact::TargetLooked(_)
        | Fact::AttemptEnded(_)
        | Fact::NoticeSent(_) => (Info, fact.kind().to_owned()),
    }
}

fn judged_words(judged: &IntentJudged) -> (Urgency, String) {
    let IntentJudged { intent, policy, verdict, checks, .. } = judged;
    let why = match verdict {
        Verdict::Refused(check) => {
            checks.iter().find(|checked| checked.check == *check).map_or("", |checked| checked.found.as_str())
        }
        Verdict::NeedsApproval(_) | Verdict::Admitted | Verdict::Observed => "",
    };
    let urgency = if matches!(verdict, Verdict::NeedsApproval(_)) { Urgency::Person } else { Urgency::Warning };
    let colon = if why.is_empty() { "" } else { ": " };
    (urgency, format!("intent {intent} of policy {policy}: {verdict}{colon}{why}"))
}
