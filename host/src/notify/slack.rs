//! A Slack incoming webhook as a receiver of notices: blocks that say what happened, to what, why, and where to look.
//!
//! An incoming webhook cannot answer in a thread and cannot change a message, so each message names its episode and says
//! how far its intent is. Success is 200 with the body `ok`. Limits as of docs.slack.dev, `reference/block-kit/blocks`:
//! 50 blocks, 150 characters of a header, 3,000 of a section, 2,000 of a field, 10 fields.

mod text;

use balm_core::notice::{Notice, Urgency};
use reqwest::Url;
use serde_json::{Value, json};

use self::text::{markup, plain};
use super::{
    Delivery,
    http::{NoClient, Receiver},
    message::{Body, Message},
};
use crate::config::Secret;

const HEADER_MOST: usize = 150;
const SECTION_MOST: usize = 3_000;
const FIELD_MOST: usize = 2_000;

/// Units of the fallback that phones and screen readers show.
const FALLBACK_MOST: usize = 400;

/// Units of a value in the table of a message, so that a message fits a screen.
const VALUE_MOST: usize = 300;

/// Units of a line of a digest.
const LINE_MOST: usize = 260;

/// Lines of one section: so many of that length fit it.
const LINES_PER_SECTION: usize = 10;

/// Bytes of a link as it is sent; longer ones are left out.
const LINK_BYTES: usize = 2_000;

pub(super) struct Slack {
    receiver: Receiver,
    base_url: Option<Url>,
}

impl Slack {
    pub(super) fn new(url: &Secret, base_url: Option<&Url>) -> Result<Self, NoClient> {
        Ok(Self { receiver: Receiver::new(url)?, base_url: base_url.cloned() })
    }

    pub(super) async fn deliver(&self, message: &Message) -> Delivery {
        let body = payload(message, self.base_url.as_ref()).to_string();
        match self.receiver.post(body, &[]).await {
            Ok(answer) if answer.status == 200 && answer.word.as_deref() == Some("ok") => {
                Delivery::Arrived("ok".into())
            }
            // To try again could repeat the message for ever, if it did arrive.
            Ok(answer) if answer.status == 200 => Delivery::Never(
                "the receiver answered 200 and not Slack's \"ok\": is the address that of an incoming webhook?".into(),
            ),
            Ok(answer) => answer.refusal(),
            Err(why) => Delivery::Later(why, None),
        }
    }
}

fn payload(message: &Message, base_url: Option<&Url>) -> Value {
    let (headline, blocks) = match &message.body {
        Body::Steps { lead, others } => (fallback(lead), steps(message, lead, others, base_url)),
        Body::Digest { urgency, headline, .. } => (format!("{} {headline}", mark(*urgency)), digest(message)),
    };
    json!({
        "text": markup(&headline, FALLBACK_MOST),
        "mrkdwn": false,
        "unfurl_links": false,
        "unfurl_media": false,
        "blocks": blocks,
    })
}

fn fallback(lead: &Notice) -> String {
    let of = lead.alert.as_ref().map(|alert| format!(" ({})", alert.name)).unwrap_or_default();
    format!("{}{of}: {}", title(lead), lead.headline)
}

fn mark(urgency: Urgency) -> &'static str {
    match urgency {
        Urgency::Info => "ℹ️",
        Urgency::Warning => "⚠️",
        Urgency::Person => "🚨",
    }
}

/// What happened, in a few words.
fn title(notice: &Notice) -> String {
    let state = notice.intent.as_ref().map(|intent| intent.state.as_str());
    let mark = if matches!(state, Some("verified" | "undone")) { "✅" } else { mark(notice.urgency) };
    match (&notice.intent, &notice.policy) {
        (Some(intent), Some(policy)) if !intent.action.is_empty() => {
            format!("{mark} {policy}: {}, {}", intent.action, intent.state)
        }
        (Some(intent), _) => format!("{mark} intent {}: {}", intent.id, intent.state),
        (None, Some(policy)) => format!("{mark} {policy}: {}", notice.kind.replace('-', " ")),
        (None, None) => format!("{mark} {}", notice.kind.replace('-', " ")),
    }
}

fn steps(message: &Message, lead: &Notice, others: &[Notice], base_url: Option<&Url>) -> Vec<Value> {
    let mut blocks = vec![header(&title(lead)), section(&plain(&lead.headline, SECTION_MOST))];
    let table = table(lead);
    if !table.is_empty() {
        blocks.push(json!({"type": "section", "fields": table}));
    }
    let why = lead.intent.as_ref().map(|intent| [intent.reason.as_str(), intent.explanation.as_str()]);
    let why = why.map(|[reason, explanation]| if reason.is_empty() { explanation } else { reason }).unwrap_or_default();
    if !why.is_empty() {
        blocks.push(section(&plain(&format!("Why: {why}"), SECTION_MOST)));
    }
    if !others.is_empty() {
        let lines: Vec<String> = others.iter().map(|step| line(step, false)).collect();
        blocks.extend(list("So far", &lines));
    }
    blocks.push(context(message, lead, base_url));
    blocks
}

/// Names on the left, values on the right; the values are other people's text.
fn table(lead: &Notice) -> Vec<Value> {
    let mut rows = Vec::new();
    if let Some(alert) = &lead.alert {
        let dash = if alert.summary.is_empty() { "" } else { " — " };
        rows.push(("Alert", format!("{}{dash}{}", alert.name, alert.summary)));
    }
    if let Some(policy) = &lead.policy {
        rows.push(("Policy", policy.to_string()));
    }
    if let Some(intent) = &lead.intent {
        let took = intent.proposed_at.map(|at| lead.at.since(at).as_secs());
        let after = took.filter(|took| *took > 0).map(|took| format!(", {took} s after it was proposed"));
        rows.extend([
            ("Target", intent.target.clone()),
            ("Change", format!("{} {}", intent.action, intent.change).trim().to_owned()),
            ("State", format!("{}{}", intent.state, after.unwrap_or_default())),
        ]);
    }
    if let Some(approval) = &lead.approval {
        rows.push(("Approve", approval.command.clone()));
        rows.push(("Until", approval.expires_at.to_string()));
    }
    let shown = rows.into_iter().filter(|(_, value)| !value.is_empty());
    shown
        .flat_map(|(name, value)| {
            let value = plain(&value, VALUE_MOST.min(FIELD_MOST));
            [json!({"type": "mrkdwn", "text": format!("*{name}*"), "verbatim": true}), plain_text(&value)]
        })
        .collect()
}

/// Where to look, in our words alone.
fn context(message: &Message, lead: &Notice, base_url: Option<&Url>) -> Value {
    let mut parts = Vec::new();
    if let Some(link) = lead.alert.as_ref().and_then(|alert| link(&alert.url, base_url)) {
        parts.push(link);
    }
    if let Some(episode) = lead.episode {
        parts.push(format!("episode {episode}: `balm audit show {episode}`"));
    }
    parts.push(format!("host {}", short(&message.host)));
    parts.extend(missing(message));
    json!({"type": "context", "elements": [mrkdwn(&parts.join(" · "))]})
}

fn digest(message: &Message) -> Vec<Value> {
    let Body::Digest { about, urgency, headline, counts, named, .. } = &message.body else { return Vec::new() };
    let mut blocks = vec![header(&format!("{} {headline}", mark(*urgency)))];
    let kinds = |urgency| {
        let of = counts.iter().filter(move |count| count.urgency == urgency);
        of.map(|count| format!("{} {}", count.count, count.kind)).collect::<Vec<_>>().join(", ")
    };
    let rows = [("Need a person", Urgency::Person), ("Warnings", Urgency::Warning), ("Information", Urgency::Info)];
    let rows = rows.map(|(name, urgency)| (name, kinds(urgency)));
    let fields = rows.iter().filter(|(_, kinds)| !kinds.is_empty()).flat_map(|(name, kinds)| {
        [
            json!({"type": "mrkdwn", "text": format!("*{name}*"), "verbatim": true}),
            plain_text(&plain(kinds, VALUE_MOST)),
        ]
    });
    blocks.push(json!({"type": "section", "fields": fields.collect::<Vec<_>>()}));
    let (persons, others): (Vec<_>, Vec<_>) = named.iter().partition(|notice| notice.urgency == Urgency::Person);
    let of = |urgency| counts.iter().filter(|count| count.urgency == urgency).map(|count| count.count).sum::<u64>();
    for (title, named, all) in [
        ("Need a person", persons, of(Urgency::Person)),
        ("The first of the others", others, of(Urgency::Warning) + of(Urgency::Info)),
    ] {
        let mut lines: Vec<String> = named.iter().map(|notice| line(notice, true)).collect();
        let more = all.saturating_sub(lines.len() as u64);
        if more > 0 && !lines.is_empty() {
            lines.push(format!("and {more} more"));
        }
        blocks.extend(list(title, &lines));
    }
    let mut parts = vec![
        format!("{} notices up to record {about}: `balm audit tail`", message.covers),
        format!("host {}", short(&message.host)),
    ];
    parts.extend(missing(message));
    blocks.push(json!({"type": "context", "elements": [mrkdwn(&parts.join(" · "))]}));
    blocks
}

fn missing(message: &Message) -> Option<String> {
    let dropped = message.dropped;
    (dropped > 0).then(|| format!("{dropped} notices before these were dropped or did not arrive"))
}

/// A notice on one line, already safe to show.
fn line(notice: &Notice, alone: bool) -> String {
    let time = notice.at.to_string();
    let time = time.get(11..19).unwrap_or_default();
    let of = |text: &str| if text.is_empty() { String::new() } else { format!(" [{text}]") };
    let around = match (&notice.alert, &notice.intent) {
        (alert, Some(intent)) if alone => {
            let alert = alert.as_ref().map(|alert| format!("{}, ", alert.name)).unwrap_or_default();
            of(format!("{alert}{} {} on {}", intent.action, intent.change, intent.target).trim())
        }
        (Some(alert), None) if alone => of(&alert.name),
        _ => String::new(),
    };
    let policy = notice.policy.as_ref().filter(|_| alone).map(|policy| format!("{policy}: ")).unwrap_or_default();
    let episode = notice.episode.filter(|_| alone).map(|episode| format!("(episode {episode}) ")).unwrap_or_default();
    plain(&format!("{time} {episode}{policy}{}{around}", notice.headline), LINE_MOST)
}

/// A titled list, in as many sections as it takes. No line can push another one out.
fn list(title: &str, lines: &[String]) -> Vec<Value> {
    let mut blocks = Vec::new();
    if !lines.is_empty() {
        blocks.push(json!({"type": "section", "text": mrkdwn(&format!("*{title}*"))}));
    }
    blocks.extend(lines.chunks(LINES_PER_SECTION).map(|lines| section(&lines.join("\n"))));
    blocks
}

/// A link to an alert's rule, if it leads where the operator lets links lead. It shows where that is.
fn link(url: &str, base_url: Option<&Url>) -> Option<String> {
    let url = Url::parse(url).ok()?;
    let speaks_http = matches!(url.scheme(), "http" | "https");
    let anonymous = url.username().is_empty() && url.password().is_none();
    let below = |base: &Url| {
        let path = base.path().trim_end_matches('/');
        let rest = url.path().strip_prefix(path);
        url.origin() == base.origin() && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    if !speaks_http || !anonymous || !base_url.is_none_or(below) {
        return None;
    }
    let mut address = String::new();
    for c in url.as_str().chars() {
        match c {
            '&' => address.push_str("&amp;"),
            '<' => address.push_str("%3C"),
            '>' => address.push_str("%3E"),
            '|' => address.push_str("%7C"),
            '@' => address.push_str("%40"),
            c => address.push(c),
        }
    }
    (address.len() <= LINK_BYTES).then_some(())?;
    Some(format!("<{address}|alert rule on {}>", markup(url.host_str()?, VALUE_MOST)))
}

fn short(host: &str) -> &str {
    host.get(..8).unwrap_or(host)
}

fn header(text: &str) -> Value {
    json!({"type": "header", "text": plain_text(&plain(text, HEADER_MOST))})
}

/// A section of text that is safe to show.
fn section(text: &str) -> Value {
    json!({"type": "section", "text": plain_text(text)})
}

fn plain_text(text: &str) -> Value {
    json!({"type": "plain_text", "text": text, "emoji": false})
}

/// Only for our own words.
fn mrkdwn(text: &str) -> Value {
    json!({"type": "mrkdwn", "text": text, "verbatim": true})
}

#[cfg(test)]
mod tests;
