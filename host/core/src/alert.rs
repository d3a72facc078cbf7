//! Alerts: one alert instance each, normalised from what its source sent.
//!
//! It owns the shape, the identity and the caps on text. It refuses to know senders' formats (the host's sources parse
//! those) and what an alert leads to.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

use crate::{caps, digest::Digest, name::SourceName, time::Timestamp};

/// One alert instance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Alert {
    /// The configured sender.
    pub source: SourceName,
    /// The sender's tenant, in its own words; empty if it has none.
    pub org: String,
    /// The sender's identity of this instance.
    pub fingerprint: String,
    /// Whether it is firing.
    pub status: Status,
    /// The label `alertname`, or nothing.
    pub name: String,
    /// By name.
    pub labels: BTreeMap<String, String>,
    /// By name.
    pub annotations: BTreeMap<String, String>,
    /// What was measured, by query or expression; finite.
    pub values: BTreeMap<String, f64>,
    /// When it began, by the sender's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub starts_at: Option<Timestamp>,
    /// When it ended, by the sender's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends_at: Option<Timestamp>,
    /// Where people can look at its rule; empty if the sender did not say.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub url: String,
    /// Why no plugin may run on it, if so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<Held>,
}

/// Whether an alert is firing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// The condition holds.
    Firing,
    /// The condition has ended, or the sender lost sight of it; see [`Held::NotWell`].
    Resolved,
}

/// Why an alert starts no remediation, whatever its labels say: it does not tell that something was measured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Held {
    /// Somebody pressed the sender's test button.
    Test,
    /// The rule's query returned nothing.
    NoData,
    /// The rule could not be evaluated.
    Error,
    /// It carries no measured values, or only the sentinel -1 that Grafana sends after losing the data.
    NoValues,
    /// It is resolved for another reason than being well, in the sender's word: `MissingSeries`, `Paused`, …
    NotWell(String),
}

/// For people.
impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Test => f.write_str("a test of the contact point"),
            Self::NoData => f.write_str("the alert rule has no data"),
            Self::Error => f.write_str("the alert rule could not be evaluated"),
            Self::NoValues => f.write_str("the alert carries no measured values"),
            Self::NotWell(reason) => write!(f, "resolved, but not because it is well: {reason}"),
        }
    }
}

/// The identity of an alert instance: (source, org, fingerprint), as the first 16 bytes of their digest, so that
/// millions fit into memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AlertKey([u8; 16]);

/// As 32 hexadecimal digits.
impl From<AlertKey> for String {
    fn from(AlertKey(key): AlertKey) -> Self {
        format!("{:032x}", u128::from_be_bytes(key))
    }
}

/// Why a text is no [`AlertKey`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an alert's key is 32 hexadecimal digits")]
pub struct InvalidAlertKey;

impl TryFrom<String> for AlertKey {
    type Error = InvalidAlertKey;

    fn try_from(text: String) -> Result<Self, InvalidAlertKey> {
        let digits = text.len() == 32 && text.bytes().all(|c| c.is_ascii_hexdigit());
        let key = digits.then(|| u128::from_str_radix(&text, 16).ok()).flatten().ok_or(InvalidAlertKey)?;
        Ok(Self(key.to_be_bytes()))
    }
}

impl Alert {
    /// Its identity.
    #[must_use]
    pub fn key(&self) -> AlertKey {
        let fields = [self.source.as_str().as_bytes(), self.org.as_bytes(), self.fingerprint.as_bytes()];
        let mut key = [0; 16];
        key.copy_from_slice(&Digest::of_fields(&fields).as_bytes()[..16]);
        AlertKey(key)
    }

    /// The same alert within the caps: long texts cut, pairs beyond [`caps::ALERT_PAIRS`] dropped. What identifies it
    /// is never cut; a sender whose fingerprint is longer than the cap is refused before.
    #[must_use]
    pub fn within_caps(mut self) -> Self {
        for pairs in [&mut self.labels, &mut self.annotations] {
            cut_pairs(pairs);
            pairs.values_mut().for_each(cut_text);
        }
        cut_pairs(&mut self.values);
        for text in [&mut self.name, &mut self.url] {
            cut_text(text);
        }
        self
    }
}

fn cut_pairs<V>(pairs: &mut BTreeMap<String, V>) {
    while pairs.len() > caps::ALERT_PAIRS {
        pairs.pop_last();
    }
}

fn cut_text(text: &mut String) {
    if text.len() > caps::ALERT_TEXT_BYTES {
        text.truncate(text.floor_char_boundary(caps::ALERT_TEXT_BYTES));
        text.push('…');
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A firing alert with nothing remarkable about it.
    pub(crate) fn firing() -> Alert {
        Alert {
            source: "grafana".parse().expect("a name"),
            org: "1".into(),
            fingerprint: "c6eadffa33fcdf37".into(),
            status: Status::Firing,
            name: "HighCpu".into(),
            labels: [("alertname", "HighCpu"), ("service", "web")].map(|(k, v)| (k.into(), v.into())).into(),
            annotations: BTreeMap::new(),
            values: [("B".into(), 91.5)].into(),
            starts_at: Some(Timestamp::from_millis(1_000)),
            ends_at: None,
            url: String::new(),
            held: None,
        }
    }

    #[test]
    fn source_org_and_fingerprint_are_the_identity_and_nothing_else_is() {
        let alert = firing();
        let same = Alert { status: Status::Resolved, name: "x".into(), starts_at: None, ..alert.clone() };
        assert_eq!(alert.key(), same.key());
        let others = [
            Alert { source: "other".parse().expect("a name"), ..alert.clone() },
            Alert { org: "2".into(), ..alert.clone() },
            Alert { fingerprint: "c6eadffa33fcdf38".into(), ..alert.clone() },
        ];
        for other in others {
            assert_ne!(alert.key(), other.key());
        }
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        let at_cap = "x".repeat(caps::ALERT_TEXT_BYTES);
        let over = format!("{}é", "x".repeat(caps::ALERT_TEXT_BYTES - 1));
        let labels = [("a".to_owned(), at_cap.clone()), ("b".to_owned(), over)].into();
        let cut = Alert { labels, ..firing() }.within_caps();
        assert_eq!(cut.labels["a"], at_cap);
        assert_eq!(cut.labels["b"], format!("{}…", "x".repeat(caps::ALERT_TEXT_BYTES - 1)));
    }

    #[test]
    fn pairs_beyond_the_cap_are_dropped_in_order_of_names() {
        let labels = (0..caps::ALERT_PAIRS + 2).map(|i| (format!("{i:04}"), String::new())).collect();
        let cut = Alert { labels, ..firing() }.within_caps();
        assert_eq!(cut.labels.len(), caps::ALERT_PAIRS);
        assert!(cut.labels.contains_key(&format!("{:04}", caps::ALERT_PAIRS - 1)));
    }
}
