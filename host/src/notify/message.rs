//! Messages: what a vendor is given to show, read from the journal before.
//!
//! It owns reading the records that a message names, and those that these name: a bounded number. It refuses to know how
//! anything looks.

use balm_core::{
    name::{EpisodeId, Seq},
    notice::{self, Notice, Urgency},
    notices::{self, Content, Count},
    time::Timestamp,
};

use crate::journal::{Log, LogError};

/// What people are told at once.
#[derive(Clone, Debug)]
pub(super) struct Message {
    /// The same for every try of this message, and for no other.
    pub(super) id: String,
    /// Who is speaking.
    pub(super) host: String,
    /// Notices that it covers.
    pub(super) covers: u64,
    /// Notices before it that nobody was told of.
    pub(super) dropped: u64,
    pub(super) body: Body,
}

#[derive(Clone, Debug)]
pub(super) enum Body {
    /// One notice, or the steps of one episode.
    Steps {
        /// The most important one; the last of those.
        lead: Box<Notice>,
        /// All of them, oldest first, if there are several.
        others: Vec<Notice>,
    },
    /// More than anybody would read one by one.
    Digest {
        about: Seq,
        at: Timestamp,
        urgency: Urgency,
        headline: String,
        counts: Vec<Count>,
        /// First those that need a person.
        named: Vec<Notice>,
    },
}

impl Message {
    /// Read what a message says. Reads files.
    pub(super) fn read(log: &Log, host: &str, message: &notices::Message) -> Result<Self, LogError> {
        let (id, host) = (format!("{host}-{}", message.about), host.to_owned());
        let body = match &message.content {
            Content::Steps(steps) => {
                steps.iter().map(|seq| read(log, *seq)).collect::<Result<Vec<_>, _>>().map(Body::steps)?
            }
            Content::Digest { counts, named } => Body::Digest {
                about: message.about,
                at: log.read(message.about)?.at,
                urgency: counts.iter().map(|count| count.urgency).max().unwrap_or(Urgency::Info),
                headline: notices::headline(counts),
                counts: counts.clone(),
                named: named.iter().map(|seq| read(log, *seq)).collect::<Result<_, _>>()?,
            },
        };
        Ok(Self { id, host, covers: message.covers, dropped: message.dropped, body })
    }

    /// A test, which is about no record.
    pub(super) fn test(host: &str, headline: String, at: Timestamp) -> Self {
        let lead = Notice {
            about: Seq::ZERO,
            at,
            urgency: Urgency::Info,
            kind: "test",
            episode: None,
            headline,
            policy: None,
            intent: None,
            alert: None,
            approval: None,
            checkpoint: None,
        };
        let id = format!("{host}-test-{}", at.as_millis());
        Self { id, host: host.into(), covers: 1, dropped: 0, body: Body::steps(vec![lead]) }
    }

    /// The episode that all of it belongs to, if it is one.
    pub(super) fn episode(&self) -> Option<EpisodeId> {
        match &self.body {
            Body::Steps { lead, .. } => lead.episode,
            Body::Digest { .. } => None,
        }
    }
}

impl Body {
    /// Of at least one notice.
    fn steps(mut steps: Vec<Notice>) -> Self {
        let lead = steps.iter().max_by_key(|step| (step.urgency, step.about)).cloned();
        if steps.len() == 1 {
            steps.clear();
        }
        Self::Steps { lead: Box::new(lead.expect("a message is about something")), others: steps }
    }
}

/// A notice with all that is known of it. What surrounds it may be unreadable; it is told all the same.
fn read(log: &Log, seq: Seq) -> Result<Notice, LogError> {
    let mut notice = notice::of(&log.read(seq)?);
    for seq in notice.related() {
        if let Ok(record) = log.read(seq) {
            notice.learn(&record);
        }
    }
    Ok(notice)
}

#[cfg(test)]
pub(super) mod fixture {
    use balm_core::{name::IntentId, notice::Alert, notice::Intent};

    use super::*;

    /// A failed intent of an alert, with everything that is known of it.
    pub(crate) fn notice(seq: u64) -> Notice {
        let intent = Intent {
            id: IntentId { proposed: Seq(seq - 3), index: 0 },
            state: "failed".into(),
            action: "ecs:scale-service".into(),
            target: "arn:aws:ecs:eu-central-1:123456789012:service/prod/web".into(),
            change: "desired 4 → 6".into(),
            reason: "CPU is at 91 %".into(),
            explanation: "saturated".into(),
            proposed_at: Some(Timestamp::from_millis(1_793_526_663_000)),
        };
        let alert = Alert {
            source: "grafana".parse().unwrap(),
            name: "HighCpu".into(),
            summary: "CPU of web is saturated".into(),
            url: "https://grafana.example.com/alerting/grafana/be1k3/view?orgId=1&tab=query".into(),
        };
        Notice {
            about: Seq(seq),
            at: Timestamp::from_millis(1_793_526_663_000 + seq),
            urgency: Urgency::Person,
            kind: "intent-ended",
            episode: Some(EpisodeId(Seq(7))),
            headline: format!("intent {}.0 is failed: AWS refused it: AccessDenied", seq - 3),
            policy: Some("web-cpu".parse().unwrap()),
            intent: Some(intent),
            alert: Some(alert),
            approval: None,
            checkpoint: None,
        }
    }

    pub(crate) fn steps(count: u64) -> Message {
        let body = Body::steps((20..20 + count).map(notice).collect());
        Message { id: "host-20".into(), host: "host".into(), covers: count, dropped: 0, body }
    }

    pub(crate) fn digest(count: u64) -> Message {
        let counts = vec![Count { urgency: Urgency::Person, kind: "intent-ended", count }];
        let body = Body::Digest {
            about: Seq(19 + count),
            at: Timestamp::from_millis(1_793_526_663_000),
            urgency: Urgency::Person,
            headline: notices::headline(&counts),
            counts,
            named: (20..20 + count.min(45)).map(notice).collect(),
        };
        Message { id: "host-20".into(), host: "host".into(), covers: count, dropped: 3, body }
    }
}
