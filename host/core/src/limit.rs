//! Limits: how much is admitted in which window, as the operator writes it.
//!
//! It owns the words; what was admitted is the ledger's, and whether there is room is the guard's.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::configuration::Filter;

/// At most so many admissions in a window.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", try_from = "Written", into = "Written")]
pub struct Limit {
    /// What shares the count.
    pub scope: Scope,
    /// Which intents it counts.
    pub only: Filter,
    /// At most so many …
    pub count: u32,
    /// … in this window.
    pub window: Window,
}

/// What shares a limit's count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// All intents together.
    Everything,
    /// Those of one account.
    Account,
    /// Those on what has the same kind and name, in whatever cluster, region and account: one service in several places.
    Service,
    /// Those of one policy.
    Policy,
    /// Those on one target.
    Target,
}

/// In which a limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Window {
    /// This many milliseconds before now, since the start or the end of what was admitted.
    Time(u64, Since),
    /// The episode that the intent belongs to, for as long as it is remembered.
    Episode,
    /// Now: what is under way.
    AtOnce,
}

/// What a window's time is counted from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Since {
    /// Its admission.
    #[default]
    Start,
    /// Its end; what has not ended counts.
    End,
}

impl Window {
    /// A time since admissions.
    #[must_use]
    pub const fn of_ms(ms: u64) -> Self {
        Self::Time(ms, Since::Start)
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Everything => "everything",
            Self::Account => "account",
            Self::Service => "service",
            Self::Policy => "policy",
            Self::Target => "target",
        })
    }
}

/// `in 3600 s`, `in 3600 s after the end`, `in this episode`, `at once`
impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Time(ms, Since::Start) => write!(f, "in {} s", ms / 1000),
            Self::Time(ms, Since::End) => write!(f, "in {} s after the end", ms / 1000),
            Self::Episode => f.write_str("in this episode"),
            Self::AtOnce => f.write_str("at once"),
        }
    }
}

/// A limit as records have it: exactly one of `window-ms` and `per`.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Written {
    scope: Scope,
    #[serde(default)]
    only: Filter,
    count: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    window_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "crate::record::is_default")]
    since: Since,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    per: Option<Per>,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Per {
    Episode,
    AtOnce,
}

impl TryFrom<Written> for Limit {
    type Error = &'static str;

    fn try_from(written: Written) -> Result<Self, Self::Error> {
        let Written { scope, only, count, window_ms, since, per } = written;
        let window = match (window_ms, per) {
            (Some(ms), None) => Window::Time(ms, since),
            (None, Some(Per::Episode)) => Window::Episode,
            (None, Some(Per::AtOnce)) => Window::AtOnce,
            (None, None) | (Some(_), Some(_)) => return Err("a limit has either window-ms or per"),
        };
        Ok(Self { scope, only, count, window })
    }
}

impl From<Limit> for Written {
    fn from(Limit { scope, only, count, window }: Limit) -> Self {
        let (window_ms, since, per) = match window {
            Window::Time(ms, since) => (Some(ms), since, None),
            Window::Episode => (None, Since::Start, Some(Per::Episode)),
            Window::AtOnce => (None, Since::Start, Some(Per::AtOnce)),
        };
        Self { scope, only, count, window_ms, since, per }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_written_and_read_in_each_of_its_windows() {
        let windows = [
            (Window::of_ms(60_000), r#""window-ms":60000"#),
            (Window::Time(60_000, Since::End), r#""window-ms":60000,"since":"end""#),
            (Window::Episode, r#""per":"episode""#),
            (Window::AtOnce, r#""per":"at-once""#),
        ];
        for (window, written) in windows {
            let limit = Limit { scope: Scope::Target, only: Filter::default(), count: 3, window };
            let json = serde_json::to_string(&limit).expect("it is written");
            assert_eq!(json, format!(r#"{{"scope":"target","only":{{}},"count":3,{written}}}"#));
            assert_eq!(serde_json::from_str::<Limit>(&json).expect("it is read"), limit);
        }
    }

    #[test]
    fn a_limit_without_a_window_or_with_two_is_none() {
        for window in ["", r#","window-ms":1,"per":"episode""#] {
            assert!(serde_json::from_str::<Limit>(&format!(r#"{{"scope":"target","count":3{window}}}"#)).is_err());
        }
    }
}
