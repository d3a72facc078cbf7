//! Names and identities: what a policy, a plugin, a source is called, and how records, episodes and intents are
//! numbered.
//!
//! A name that exists is valid: names are checked where they are made, also when a record is read.

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};

/// Why a text is no name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no {what}: use 1 to 64 of a-z, 0-9, `-` and `_`, beginning with a letter or digit")]
pub struct InvalidName {
    what: &'static str,
    text: String,
}

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident: $what:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidName;

            fn from_str(text: &str) -> Result<Self, InvalidName> {
                if is_name(text) {
                    Ok(Self(text.into()))
                } else {
                    Err(InvalidName { what: $what, text: text.chars().take(80).collect() })
                }
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidName;

            fn try_from(text: String) -> Result<Self, InvalidName> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0.as_ref().into()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", self.0)
            }
        }
    )*};
}

names! {
    /// A configured sender of alerts.
    SourceName: "name of a source";
    /// A plugin put to work: the principal of the guardrails.
    PolicyName: "name of a policy";
    /// A plugin, named by its file.
    PluginName: "name of a plugin";
    /// A configured receiver of notices.
    NotifierName: "name of a notifier";
    /// A configured caller of the admin API.
    CredentialName: "name of a credential";
    /// A person who may approve. Only ASCII in lower case, so that no two look alike.
    ApproverName: "name of an approver";
}

fn is_name(text: &str) -> bool {
    let valid = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-' || c == b'_';
    (1..=64).contains(&text.len()) && text.bytes().all(valid) && text.as_bytes()[0].is_ascii_alphanumeric()
}

/// The place of a record in the journal: 1 for the first, without gaps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Seq(pub u64);

impl Seq {
    /// Before the first record.
    pub const ZERO: Self = Self(0);

    /// The place after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An episode, named by the place of the record that opened it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EpisodeId(pub Seq);

impl fmt::Display for EpisodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An intent, named by the place of the record that proposed it and its index there: `1042.0`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct IntentId {
    /// The record that proposed it.
    pub proposed: Seq,
    /// Its place in that record.
    pub index: u32,
}

impl fmt::Display for IntentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.proposed, self.index)
    }
}

/// Why a text names no intent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} names no intent: write the record's number, a dot and the intent's index, as in 1042.0")]
pub struct InvalidIntentId(String);

impl FromStr for IntentId {
    type Err = InvalidIntentId;

    fn from_str(text: &str) -> Result<Self, InvalidIntentId> {
        let parse = || {
            let (proposed, index) = text.split_once('.')?;
            Some(Self { proposed: Seq(proposed.parse().ok()?), index: index.parse().ok()? })
        };
        parse().ok_or_else(|| InvalidIntentId(text.chars().take(80).collect()))
    }
}

impl TryFrom<String> for IntentId {
    type Error = InvalidIntentId;

    fn try_from(text: String) -> Result<Self, InvalidIntentId> {
        text.parse()
    }
}

impl From<IntentId> for String {
    fn from(id: IntentId) -> Self {
        id.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_lower_case_and_begin_with_a_letter_or_digit() {
        for good in ["a", "web-cpu", "0ps", "scale_ecs", &"x".repeat(64)] {
            assert!(good.parse::<PolicyName>().is_ok(), "{good}");
        }
        for bad in ["", "-web", "_web", "Web", "web cpu", "wéb", "a/b", "a.b", &"x".repeat(65)] {
            assert!(bad.parse::<PolicyName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn intents_are_named_by_record_and_index() {
        let id = IntentId { proposed: Seq(1042), index: 3 };
        assert_eq!(id.to_string().parse(), Ok(id));
        for bad in ["", "1042", "1042.", ".0", "1042.-1", "1042.0.0", "x.0"] {
            assert!(bad.parse::<IntentId>().is_err(), "{bad}");
        }
    }
}
