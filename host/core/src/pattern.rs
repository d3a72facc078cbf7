//! Patterns of targets: for stops, and for nothing else.
//!
//! A pattern only ever denies, so it may be wide. It comes from operators: nothing from a guest or an alert is matched by
//! pattern.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{caps, target::Target};

/// A target's ARN with stars, each of which stands for any characters, none included.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TargetPattern(String);

/// A text that is no pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no pattern of targets: write an ARN with stars, as in arn:aws:ecs:eu-central-1:123456789012:service/prod/*"
)]
pub struct InvalidPattern(String);

impl TargetPattern {
    /// Whether a target is one that it speaks of.
    #[must_use]
    pub fn covers(&self, target: &Target) -> bool {
        let text = target.to_string();
        let mut parts = self.0.split('*');
        let first = parts.next().unwrap_or_default();
        let Some(mut rest) = text.strip_prefix(first) else { return false };
        let parts: Vec<&str> = parts.collect();
        let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
        for part in middle {
            // The first place is as good as any: what follows it is longest there.
            let Some((_, after)) = rest.split_once(part) else { return false };
            rest = after;
        }
        rest.ends_with(last)
    }
}

impl std::str::FromStr for TargetPattern {
    type Err = InvalidPattern;

    fn from_str(text: &str) -> Result<Self, InvalidPattern> {
        let visible = text.bytes().all(|c| c.is_ascii_graphic());
        let whole = text.contains('*') && (text.starts_with("arn:") || text.starts_with('*'));
        if visible && whole && text.len() <= caps::PATTERN_BYTES {
            Ok(Self(text.into()))
        } else {
            Err(InvalidPattern(text.into()))
        }
    }
}

impl TryFrom<String> for TargetPattern {
    type Error = InvalidPattern;

    fn try_from(text: String) -> Result<Self, InvalidPattern> {
        text.parse()
    }
}

impl From<TargetPattern> for String {
    fn from(pattern: TargetPattern) -> Self {
        pattern.0
    }
}

impl fmt::Display for TargetPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn a_star_stands_for_any_characters() {
        let cases = [
            ("arn:aws:ecs:*", true),
            ("arn:aws:ecs:eu-central-1:123456789012:service/prod/*", true),
            ("arn:aws:ecs:*:service/*/web", true),
            ("*/web", true),
            ("*", true),
            ("*prod*web*", true),
            ("arn:aws:ecs:eu-central-1:123456789012:service/prod/web*", true),
            ("arn:aws:ecs:eu-west-1:*", false),
            ("*/we", false),
            ("*/webb*", false),
            ("arn:aws:autoscaling:*", false),
            ("*web*prod*", false),
            ("*web*web", false),
        ];
        for (pattern, covers) in cases {
            let pattern: TargetPattern = pattern.parse().expect("a pattern");
            assert_eq!(pattern.covers(&fixture::target()), covers, "{pattern}");
        }
    }

    #[test]
    fn a_group_is_covered_by_its_own_name_and_by_wider_ones() {
        for pattern in [fixture::fleet().to_string(), "arn:aws:autoscaling:*fleet".into()] {
            assert!(pattern.parse::<TargetPattern>().expect("a pattern").covers(&fixture::fleet()), "{pattern}");
        }
    }

    #[test]
    fn what_is_no_arn_or_has_no_star_is_no_pattern() {
        for text in ["", "prod/*", "arn:aws:ecs:eu-central-1:123456789012:service/prod/web", "arn: *", "arn:ü*"] {
            assert!(text.parse::<TargetPattern>().is_err(), "{text}");
        }
    }
}
