//! `balm explain`: why Balm did or did not act, in sentences.
//!
//! It owns the words for a chain of records; what to do about a check that refuses stands in `advice`. It says nothing that the
//! records do not say.

mod advice;

use std::{path::Path, process::ExitCode};

use anyhow::Context as _;
use balm_core::{
    approval::{self, record::ApprovalRequested},
    evaluation::{Capsule, Conclusion, Proposal, Trigger},
    line,
    name::{ApproverName, EpisodeId, IntentId, Seq},
    record::{
        AlertReceived, CallResult, CheckName, Checked, Fact, IntentEnd, IntentJudged, Purpose, Reception, Record,
        Settled, Verdict,
    },
};
use serde::Serialize;

use self::advice::advice;
use super::{
    Place, audit,
    client::Client,
    out::{self, say},
    show,
};
use crate::journal;

/// Among so many of the last records the newest alert is looked for.
const NEWEST_AMONG: usize = 10_000;

/// What happened in an episode, and why.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Story {
    episode: EpisodeId,
    /// How it began and what the policies said, a sentence each.
    words: Vec<String>,
    intents: Vec<Told>,
}

/// An intent, and what became of it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Told {
    intent: IntentId,
    action: String,
    target: String,
    /// One word: verified, refused, observed, …
    outcome: Outcome,
    /// The check that refused it.
    #[serde(skip_serializing_if = "Option::is_none")]
    check: Option<CheckName>,
    /// Whether AWS was called for it.
    acted: bool,
    /// What was proposed and what became of it, a sentence each.
    words: Vec<String>,
    /// Every check of the guard and what it found, when it was judged last.
    checks: Vec<Checked>,
}

/// How much is told in words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Detail {
    /// The story.
    Story,
    /// And every check of the guard.
    Checks,
}

/// What became of an intent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Outcome {
    /// It has not been judged, or is still under way.
    UnderWay,
    /// Its evaluation was overtaken by something newer.
    NotFollowed,
    /// The guard refused it.
    Refused,
    /// The policy only watches.
    Observed,
    /// It waits for people.
    NeedsApproval,
    /// It ended so.
    #[serde(untagged)]
    Ended(IntentEnd),
}

/// Tell the story of an episode or of one intent; of the newest alert if none is named.
pub(super) fn run(place: &Place, id: Option<&str>, json: bool, detail: Detail) -> anyhow::Result<ExitCode> {
    let id = match id {
        Some(id) => id.to_owned(),
        None => newest(place)?.context("no alert has come in yet: `balm send` sends a sample")?.to_string(),
    };
    let mut records = Vec::new();
    for line in audit::chain(place, &id)? {
        let (_, json) = line::split(&line).context("a line of the audit cannot be read")?;
        records.push(line::read_json(json).context("a record cannot be read")?.0);
    }
    match named(&records, &id) {
        Ok(story) if json => out::write(format!("{}\n", serde_json::to_string(&story)?))?,
        Ok(story) => out::write(story.text(detail))?,
        Err(why) if json => return unexplained(&serde_json::json!({ "detail": why }).to_string()),
        Err(why) => return unexplained(&why),
    };
    Ok(ExitCode::SUCCESS)
}

fn unexplained(why: &str) -> anyhow::Result<ExitCode> {
    say!("{why}")?;
    Ok(ExitCode::FAILURE)
}

/// What the records say of what was named, or why they say nothing of it.
fn named(records: &[Record], id: &str) -> Result<Story, String> {
    let intent = id.parse::<IntentId>().ok();
    let seq = intent.map_or_else(|| id.to_owned(), |intent| intent.proposed.to_string());
    if records.is_empty() {
        return Err(format!("there is no record {seq}: not yet, or no longer"));
    }
    let story = tell(records);
    let mut story =
        story.ok_or_else(|| format!("record {seq} belongs to no alert: `balm audit show {seq}` shows it"))?;
    if let Some(intent) = intent {
        story.intents.retain(|told| told.intent == intent);
        if story.intents.is_empty() {
            return Err(format!("record {seq} proposes no intent {intent}"));
        }
    }
    Ok(story)
}

/// The episode of the newest alert, or the record of one that belongs to none.
fn newest(place: &Place) -> anyhow::Result<Option<Seq>> {
    let client = place.client()?;
    let newest = if client.is_running() { newest_of_host(&client)? } else { newest_of_journal(&place.data()?)? };
    Ok(newest)
}

fn newest_of_host(client: &Client) -> anyhow::Result<Option<Seq>> {
    let page = client.get(&format!("/records?most={NEWEST_AMONG}"))?;
    let mut alerts = page.split(|c| *c == b'\n').rev().filter_map(|line| {
        let (record, _) = line::read_json(line::split(line)?.1).ok()?;
        alert_of(&record)
    });
    Ok(alerts.next())
}

fn newest_of_journal(data: &Path) -> anyhow::Result<Option<Seq>> {
    let mut newest = None;
    journal::scan(data, |_, record, _| newest = alert_of(record).or(newest))?;
    Ok(newest)
}

/// The name of an alert's episode, if the record is an alert's.
fn alert_of(record: &Record) -> Option<Seq> {
    let Fact::AlertReceived(received) = &record.fact else { return None };
    Some(received.reception.episode().map_or(record.seq, |episode| episode.0))
}

/// Everything that the records of an episode say; none if no alert is among them.
fn tell(records: &[Record]) -> Option<Story> {
    let episode = records.iter().find_map(alert_of).map(EpisodeId)?;
    let mut story = Story { episode, words: Vec::new(), intents: Vec::new() };
    for record in records {
        match &record.fact {
            Fact::AlertReceived(received) => story.words.extend(alert_words(record, received)),
            Fact::EvaluationSkipped(skipped) => {
                story.words.push(format!("Policy {} was not evaluated: {}.", skipped.policy, skipped.why));
            }
            Fact::Evaluated(capsule) => story.evaluated(record.seq, capsule),
            Fact::UndoProposed(undo) => {
                let first = format!("Balm itself proposed it, to take back intent {}.", undo.of);
                story.propose(IntentId { proposed: record.seq, index: 0 }, &undo.proposal, first);
            }
            Fact::EpisodeEnded(ended) => {
                story.words.push(format!("The episode is over: {:?}.", ended.how).to_lowercase().replacen('t', "T", 1));
            }
            fact => story.follow(fact),
        }
    }
    Some(story)
}

fn alert_words(record: &Record, received: &AlertReceived) -> Vec<String> {
    let AlertReceived { reception, alert } = received;
    let labels: Vec<String> = alert.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let (at, name, source) = (record.at, &alert.name, &alert.source);
    let idle_words = |idle: &[balm_core::record::Idle]| -> Vec<String> {
        let word =
            |idle: &balm_core::record::Idle| format!("Policy {} matches and stays idle: {}.", idle.policy, idle.why);
        idle.iter().map(word).collect()
    };
    match reception {
        Reception::Opened { concerned, idle } => {
            let mut words = vec![format!("At {at}, {name} fired (source {source}, {}).", labels.join(" "))];
            if concerned.is_empty() && idle.is_empty() {
                words.push("No policy matches it, so nothing followed: see the policies' [match] and targets.".into());
            }
            words.extend(idle_words(idle));
            words
        }
        Reception::Reopened { idle, .. } => {
            let mut words = vec![format!("At {at}, it fired again.")];
            words.extend(idle_words(idle));
            words
        }
        Reception::Resolved { held: false, .. } => vec![format!("At {at}, it resolved.")],
        Reception::Resolved { held: true, .. } => vec![format!("At {at}, it ended, not because all is well.")],
        Reception::Ignored { why, .. } => vec![format!("At {at}, {name} came in and was ignored: {why}.")],
        // A repeat is a sign of life, and nothing follows from it.
        Reception::Repeated { concerned, .. } if concerned.is_empty() => Vec::new(),
        Reception::Repeated { .. } => vec![format!("At {at}, it was repeated, and new policies match it.")],
    }
}

impl Story {
    fn evaluated(&mut self, seq: Seq, capsule: &Capsule) {
        let trigger = match capsule.trigger {
            Trigger::Fired => "the alert fired",
            Trigger::Resolved => "the alert resolved",
            Trigger::LookAgain => "it had asked to look again",
            Trigger::Unverified => "a change could not be verified",
        };
        let asked = format!("Policy {} was asked because {trigger}", capsule.policy);
        let decision = match &capsule.conclusion {
            Conclusion::Failed(failure) => {
                self.words.push(format!("{asked}, and failed: {}: {}.", failure.kind, failure.message));
                return;
            }
            Conclusion::Decided(decision) => decision,
        };
        let proposes = match decision.intents.len() {
            0 => "proposed nothing".to_owned(),
            1 => format!("proposed intent {seq}.0"),
            several => format!("proposed {several} intents"),
        };
        self.words.push(format!("{asked}, and {proposes}: {}.", decision.explanation.trim_end_matches('.')));
        for (index, proposal) in (0..).zip(&decision.intents) {
            let first = format!("Policy {} proposed it: {}.", capsule.policy, proposal.reason.trim_end_matches('.'));
            self.propose(IntentId { proposed: seq, index }, proposal, first);
            if let Some(told) = self.intents.last_mut().filter(|_| capsule.superseded) {
                told.outcome = Outcome::NotFollowed;
                told.words.push("It was not followed: something newer happened while the policy was asked.".into());
            }
        }
    }

    fn propose(&mut self, intent: IntentId, proposal: &Proposal, first: String) {
        let Proposal { action, target, parameters, expects, .. } = proposal;
        let provided =
            if expects.as_str() == "{}" { String::new() } else { format!(", provided that {expects} holds") };
        self.intents.push(Told {
            intent,
            action: action.clone(),
            target: target.clone(),
            outcome: Outcome::UnderWay,
            check: None,
            acted: false,
            words: vec![first, format!("It asks for {action} {parameters} on {target}{provided}.")],
            checks: Vec::new(),
        });
    }

    fn told(&mut self, intent: IntentId) -> Option<&mut Told> {
        self.intents.iter_mut().find(|told| told.intent == intent)
    }

    /// What is recorded of intents that were proposed.
    fn follow(&mut self, fact: &Fact) {
        let (intent, word) = match fact {
            // Looks for the verification are told by how it ended.
            Fact::TargetLooked(looked) if looked.purpose == Purpose::Guard => {
                (looked.intent, format!("Balm looked for itself: {}.", show::reading_words(&looked.reading)))
            }
            Fact::IntentJudged(judged) => {
                if let Some(told) = self.told(judged.intent) {
                    told.judged(judged);
                }
                return;
            }
            Fact::ApprovalRequested(requested) => (requested.plan.intent, approval_words(requested)),
            Fact::ApprovalGiven(given) => {
                let (by, person) = (&given.by, &given.person);
                let of = format!("{} of {}", given.count, given.needs);
                (
                    given.intent,
                    format!("{by} approved it ({of}; {}): {}.", person.who, person.why.trim_end_matches('.')),
                )
            }
            Fact::ApprovalWithdrawn(it) => {
                (it.intent, format!("{} took the approval back: {}.", it.by, it.person.why.trim_end_matches('.')))
            }
            Fact::ApprovalDenied(it) => {
                (it.intent, format!("{} denied it: {}.", it.by, it.person.why.trim_end_matches('.')))
            }
            Fact::ApprovalUsed(used) => {
                let by: Vec<&str> = used.by.iter().map(ApproverName::as_str).collect();
                (used.intent, format!("The approval of {} is used by that, and cannot be used again.", by.join(", ")))
            }
            Fact::ApprovalVoid(void) => {
                if let Some(told) = self.told(void.intent).filter(|told| told.outcome == Outcome::NeedsApproval) {
                    told.outcome = Outcome::UnderWay;
                }
                (void.intent, format!("What people were asked to approve is void: {}.", void.why))
            }
            Fact::AttemptStarted(attempt) => {
                let Some(told) = self.told(attempt.intent) else { return };
                told.acted = true;
                (attempt.intent, format!("AWS was called, attempt {}, token {}.", attempt.attempt, attempt.token))
            }
            Fact::AttemptEnded(ended) => (ended.intent, call_words(&ended.result)),
            Fact::AttemptSettled(settled) => {
                let so = match settled.settled {
                    Settled::Seen => "the change is there, so the call counts as done",
                    Settled::NotSeen => "the call did not happen, and is proposed again",
                    Settled::ForAPerson => "that cannot be told from here, so a person must look",
                };
                (settled.intent, format!("Balm looked for it: {}: {so}.", settled.found))
            }
            Fact::IntentEnded(ended) => {
                let word = format!("It is {}: {}.", ended.how, ended.why.trim_end_matches('.'));
                if let Some(told) = self.told(ended.intent) {
                    told.outcome = Outcome::Ended(ended.how);
                }
                (ended.intent, word)
            }
            _ => return,
        };
        if let Some(told) = self.told(intent) {
            told.words.push(word);
        }
    }

    fn text(&self, detail: Detail) -> String {
        let mut text = String::new();
        let mut paragraph = |title: &str, words: &[String]| {
            text.push_str(&show::printable(title));
            text.push('\n');
            for word in words {
                text.push_str(&format!("  {}\n", show::printable(word)));
            }
        };
        paragraph(&format!("episode {}", self.episode), &self.words);
        for told in &self.intents {
            paragraph(&format!("intent {}: {}", told.intent, told.outcome.word()), &told.words);
            let checks: Vec<String> = told.checks.iter().map(show::check).collect();
            match detail {
                Detail::Checks if checks.is_empty() => paragraph("it has not been judged", &[]),
                Detail::Checks => paragraph("every check, when it was judged last", &checks),
                Detail::Story => {}
            }
        }
        text
    }
}

fn approval_words(requested: &ApprovalRequested) -> String {
    let ApprovalRequested { plan, hash, needs, approvers, expires_at, .. } = requested;
    let (may, command) = (approvers.len(), approval::command(plan.intent, *hash));
    let nobody =
        if may < *needs as usize { format!(" Only {may} may: name people in [[approver]].") } else { String::new() };
    format!("People were asked until {expires_at}: `{command}` says yes.{nobody}")
}

fn call_words(result: &CallResult) -> String {
    match result {
        CallResult::Done { request } => format!("AWS answered that it is done, request {request}."),
        CallResult::Refused { why } => format!("AWS refused: {why}. It is not tried again."),
        CallResult::NotDone { why } => format!("It surely did not happen: {why}. It is proposed again."),
        CallResult::Unknown { why } => format!("Whether it happened is not known: {why}."),
    }
}

impl Told {
    fn judged(&mut self, judged: &IntentJudged) {
        self.checks.clone_from(&judged.checks);
        let failed: Vec<&Checked> = judged.checks.iter().filter(|checked| !checked.passed).collect();
        let found = |name| judged.checks.iter().find(|checked| checked.check == name).map_or("", |c| c.found.as_str());
        match &judged.verdict {
            Verdict::Admitted => {
                // It may have waited for people before.
                self.outcome = Outcome::UnderWay;
                let by = found(CheckName::Authorization);
                self.words.push(format!("It was admitted: all {} checks passed, {by}.", judged.checks.len()));
            }
            Verdict::Observed => {
                self.outcome = Outcome::Observed;
                self.words.push(format!(
                    "It was not done, since policy {} only watches; every other check would have admitted it. Set mode = \
                     \"enforce\" to let it act.",
                    judged.policy
                ));
            }
            Verdict::NeedsApproval(people) => {
                self.outcome = Outcome::NeedsApproval;
                let people = if *people == 1 { "a person".to_owned() } else { format!("{people} people") };
                self.words.push(format!("It was not done: {people} must approve it first."));
            }
            Verdict::Refused(check) => {
                self.outcome = Outcome::Refused;
                self.check = Some(*check);
                self.words.push(format!("It was refused by the check {check}: {}.", found(*check)));
                self.words.push(advice(*check, found(*check)).into());
                let others = failed.iter().filter(|other| other.check != *check);
                self.words.extend(others.map(|other| {
                    format!(
                        "The check {} would have refused it as well: {}. {}",
                        other.check,
                        other.found,
                        advice(other.check, &other.found)
                    )
                }));
            }
        }
    }
}

impl Outcome {
    fn word(self) -> String {
        match self {
            Self::UnderWay => "under way".into(),
            Self::NotFollowed => "not followed".into(),
            Self::Refused => "refused".into(),
            Self::Observed => "observed only".into(),
            Self::NeedsApproval => "needs approval".into(),
            Self::Ended(how) => how.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const WEB: &str = "arn:aws:ecs:eu-central-1:123456789012:service/prod/web";

    fn record(seq: u64, kind: &str, data: &Value) -> Record {
        let line = json!({ "v": 1, "seq": seq, "at": 1_795_435_200_000_u64, "kind": kind, "data": data }).to_string();
        line::read_json(line.as_bytes()).expect("a record").0
    }

    fn alert(reception: &Value) -> Record {
        let alert = json!({
            "source": "grafana", "org": "1", "fingerprint": "c6eadffa33fcdf37", "status": "firing", "name": "HighCpu",
            "labels": { "alertname": "HighCpu" }, "annotations": {}, "values": {}, "url": "",
        });
        record(7, "alert-received", &json!({ "reception": reception, "alert": alert }))
    }

    fn opened() -> Record {
        alert(&json!({ "opened": { "concerned": [{ "policy": "web-cpu", "targets": [WEB] }] } }))
    }

    fn evaluated(superseded: bool) -> Record {
        let intent = json!({
            "action": "ecs:scale-service", "target": WEB, "parameters": { "desired": 6 }, "expects": { "desired": 4 },
            "undo": false, "reason": "web is saturated",
        });
        let decided = json!({ "intents": [intent], "explanation": "web is saturated", "extra": {} });
        let capsule = json!({
            "episode": 7, "policy": "web-cpu", "generation": 1, "plugin": "0".repeat(64), "alert": 7, "configured": 3,
            "trigger": "fired", "targets": [WEB], "answers": [], "history": [], "now": 0, "seed": 1, "rounds": 2,
            "fuel": 1, "took-us": 1, "conclusion": { "decided": decided }, "superseded": superseded,
        });
        record(8, "evaluated", &capsule)
    }

    fn judged(verdict: &Value, failed: &[(&str, &str)]) -> Record {
        let checks: Vec<Value> = ["limits", "bounds", "authorization"]
            .iter()
            .map(|name| match failed.iter().find(|(failed, _)| failed == name) {
                Some((_, found)) => json!({ "check": name, "passed": false, "found": found }),
                None => json!({ "check": name, "passed": true, "found": "permitted by web.cedar#0" }),
            })
            .collect();
        let judged = json!({
            "intent": "8.0", "episode": 7, "policy": "web-cpu", "mode": "enforce", "verdict": verdict, "checks": checks,
            "guardrails": "0".repeat(64),
        });
        record(9, "intent-judged", &judged)
    }

    #[test]
    fn a_refusal_names_the_check_what_it_found_what_to_do_and_what_else_is_missing() {
        let failed = [("limits", "no limit counts it"), ("authorization", "no rule permits it")];
        let story = tell(&[opened(), evaluated(false), judged(&json!({ "refused": "limits" }), &failed)]);
        let told = &story.as_ref().expect("a story").intents[0];
        assert_eq!((told.outcome, told.check, told.acted), (Outcome::Refused, Some(CheckName::Limits), false));
        let text = story.as_ref().expect("a story").text(Detail::Story);
        for words in [
            "HighCpu fired (source grafana, alertname=HighCpu)",
            "Policy web-cpu was asked because the alert fired, and proposed intent 8.0: web is saturated.",
            r#"ecs:scale-service {"desired":6} on arn:aws:ecs:eu-central-1:123456789012:service/prod/web, provided that {"desired":4} holds."#,
            "It was refused by the check limits: no limit counts it.",
            "A [[limit]] in guardrails/limits.toml must cover it",
            "The check authorization would have refused it as well: no rule permits it.",
        ] {
            assert!(text.contains(words), "{words:?} in {text}");
        }
    }

    #[test]
    fn an_intent_that_acted_is_told_from_the_call_to_its_end() {
        let attempt = json!({
            "intent": "8.0", "episode": 7, "attempt": 1, "token": "balm-1", "action": "ecs:scale-service",
            "target": WEB, "parameters": { "desired": 6 },
        });
        let ended = |result: Value| json!({ "intent": "8.0", "episode": 7, "attempt": 1, "result": result });
        let settled =
            json!({ "intent": "8.0", "episode": 7, "attempt": 1, "settled": "seen", "found": "desired is 6" });
        let over = json!({ "intent": "8.0", "episode": 7, "how": "verified", "why": "6 of 6 tasks run" });
        let story = tell(&[
            opened(),
            evaluated(false),
            judged(&json!("admitted"), &[]),
            record(10, "attempt-started", &attempt),
            record(11, "attempt-ended", &ended(json!({ "unknown": { "why": "the answer did not come in time" } }))),
            record(12, "attempt-settled", &settled),
            record(13, "intent-ended", &over),
        ])
        .expect("a story");
        let told = &story.intents[0];
        assert_eq!((told.outcome, told.acted), (Outcome::Ended(IntentEnd::Verified), true));
        assert!(told.words.contains(&"It was admitted: all 3 checks passed, permitted by web.cedar#0.".to_owned()));
        assert!(told.words.contains(&"It is verified: 6 of 6 tasks run.".to_owned()), "{:?}", told.words);
        let json = serde_json::to_value(&story).expect("JSON");
        assert_eq!(json["intents"][0]["outcome"], "verified");
    }

    #[test]
    fn what_was_not_followed_and_what_was_ignored_say_why() {
        let story = tell(&[opened(), evaluated(true)]).expect("a story");
        assert_eq!(story.intents[0].outcome, Outcome::NotFollowed);
        let ignored = tell(&[alert(&json!({ "ignored": { "why": "it is a test" } }))]).expect("a story");
        assert!(
            ignored.text(Detail::Story).contains("HighCpu came in and was ignored: it is a test."),
            "{}",
            ignored.text(Detail::Story)
        );
        let nobody = tell(&[alert(&json!({ "opened": { "concerned": [] } }))]).expect("a story");
        assert!(nobody.text(Detail::Story).contains("No policy matches it"), "{}", nobody.text(Detail::Story));
        assert!(tell(&[]).is_none());
    }

    #[test]
    fn no_bound_of_ours_is_advised_where_the_group_itself_is_in_the_way() {
        let advised = |found: &str| {
            let story =
                tell(&[opened(), evaluated(false), judged(&json!({ "refused": "bounds" }), &[("bounds", found)])]);
            story.expect("a story").text(Detail::Story)
        };
        let own = advised("7 is above the group's own maximum of 6");
        assert!(own.contains("change them in AWS") && !own.contains("must cover it"), "{own}");
        assert!(advised("7 is above the maximum of 6").contains("A [[bound]] in guardrails/limits.toml must cover it"));
    }

    #[test]
    fn every_check_has_advice() {
        let names =
            ["stop", "stale", "mode", "manifest", "catalogue", "target", "look", "expectation", "busy", "opposes"];
        for name in names {
            let refused = judged(&json!({ "refused": name }), &[]);
            let story = tell(&[opened(), evaluated(false), refused]).expect("a story");
            assert!(story.intents[0].words.iter().any(|word| word.ends_with('.') && word.len() > 40), "{name}");
        }
    }
}
