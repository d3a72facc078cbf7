//! Targets: the resources that an intent may change, as typed ids, printed as ARNs.
//!
//! Parsing is canonical: a text is a target if and only if printing the target gives that text. So two spellings never
//! name the same resource, and nothing from a guest or an alert is matched by pattern.

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};

/// An AWS account: twelve digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AccountId([u8; 12]);

/// An AWS region: `eu-central-1`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Region(Arc<str>);

/// A resource of AWS.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Target {
    /// Whose it is.
    pub account: AccountId,
    /// Where it is.
    pub region: Region,
    /// What it is.
    pub resource: Resource,
}

/// What a target is, and what it is called there.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Resource {
    /// `arn:aws:ecs:<region>:<account>:service/<cluster>/<name>`
    EcsService {
        /// The cluster's name.
        cluster: Arc<str>,
        /// The service's name.
        name: Arc<str>,
    },
}

/// Why a text is no target, account or region.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTarget {
    /// Not twelve digits.
    #[error("{0:?} is no AWS account: write its twelve digits")]
    Account(String),
    /// Not of a region's shape.
    #[error("{0:?} is no AWS region: write it as in eu-central-1")]
    Region(String),
    /// Not an ARN of a kind that Balm knows.
    #[error("{0:?} is no target: write the ARN of an ECS service, arn:aws:ecs:REGION:ACCOUNT:service/CLUSTER/NAME")]
    Arn(String),
    /// A cluster or service with characters that ECS does not allow.
    #[error("{0:?} is no name of an ECS cluster or service: use 1 to 255 letters, digits, `-` and `_`")]
    EcsName(String),
}

impl Target {
    /// An ECS service. Fails if a name has characters that ECS does not allow
    /// (Amazon ECS API Reference, `CreateService`: letters, digits, underscores and hyphens, up to 255).
    pub fn ecs_service(account: AccountId, region: Region, cluster: &str, name: &str) -> Result<Self, InvalidTarget> {
        let resource = Resource::EcsService { cluster: ecs_name(cluster)?, name: ecs_name(name)? };
        Ok(Self { account, region, resource })
    }

    /// The AWS partition that the region belongs to, as in the ARN.
    #[must_use]
    pub fn partition(&self) -> &'static str {
        self.region.partition()
    }
}

impl AccountId {
    /// The twelve digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("an account is made of digits")
    }
}

impl Region {
    /// The region as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn partition(&self) -> &'static str {
        match () {
            () if self.0.starts_with("cn-") => "aws-cn",
            () if self.0.starts_with("us-gov-") => "aws-us-gov",
            () => "aws",
        }
    }
}

impl FromStr for AccountId {
    type Err = InvalidTarget;

    fn from_str(text: &str) -> Result<Self, InvalidTarget> {
        let digits: Option<[u8; 12]> = text.as_bytes().try_into().ok();
        match digits {
            Some(digits) if digits.iter().all(u8::is_ascii_digit) => Ok(Self(digits)),
            _ => Err(InvalidTarget::Account(excerpt(text))),
        }
    }
}

impl FromStr for Region {
    type Err = InvalidTarget;

    fn from_str(text: &str) -> Result<Self, InvalidTarget> {
        let parts: Vec<&str> = text.split('-').collect();
        let lower = |part: &&str| !part.is_empty() && part.bytes().all(|c| c.is_ascii_lowercase());
        let valid = match parts.as_slice() {
            [names @ .., number] => {
                names.len() >= 2
                    && names.iter().all(lower)
                    && (1..=2).contains(&number.len())
                    && number.bytes().all(|c| c.is_ascii_digit())
            }
            [] => false,
        };
        if valid && text.len() <= 32 { Ok(Self(text.into())) } else { Err(InvalidTarget::Region(excerpt(text))) }
    }
}

impl FromStr for Target {
    type Err = InvalidTarget;

    fn from_str(text: &str) -> Result<Self, InvalidTarget> {
        let wrong = || InvalidTarget::Arn(excerpt(text));
        let mut parts = text.splitn(6, ':');
        let mut part = || parts.next().ok_or_else(wrong);
        let (arn, partition, service) = (part()?, part()?, part()?);
        let (region, account, resource) = (part()?, part()?, part()?);
        let names = resource.strip_prefix("service/").and_then(|names| names.split_once('/')).ok_or_else(wrong)?;
        let region: Region = region.parse()?;
        if arn != "arn" || service != "ecs" || partition != region.partition() {
            return Err(wrong());
        }
        Self::ecs_service(account.parse()?, region, names.0, names.1)
    }
}

fn ecs_name(text: &str) -> Result<Arc<str>, InvalidTarget> {
    let valid = |c: u8| c.is_ascii_alphanumeric() || c == b'-' || c == b'_';
    if (1..=255).contains(&text.len()) && text.bytes().all(valid) {
        Ok(text.into())
    } else {
        Err(InvalidTarget::EcsName(excerpt(text)))
    }
}

fn excerpt(text: &str) -> String {
    text.chars().take(120).collect()
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { account, region, resource } = self;
        match resource {
            Resource::EcsService { cluster, name } => {
                write!(f, "arn:{}:ecs:{region}:{account}:service/{cluster}/{name}", self.partition())
            }
        }
    }
}

impl fmt::Display for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

macro_rules! texts {
    ($($name:ident)*) => {$(
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidTarget;

            fn try_from(text: String) -> Result<Self, InvalidTarget> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> Self {
                value.to_string()
            }
        }
    )*};
}

texts! { AccountId Region Target }

#[cfg(test)]
mod tests {
    use super::*;

    const WEB: &str = "arn:aws:ecs:eu-central-1:123456789012:service/prod/web";

    #[test]
    fn a_target_survives_its_text() {
        for text in [
            WEB,
            "arn:aws-cn:ecs:cn-north-1:123456789012:service/a/b_c-D",
            "arn:aws-us-gov:ecs:us-gov-west-1:000000000000:service/x/y",
        ] {
            assert_eq!(text.parse::<Target>().map(|target| target.to_string()), Ok(text.to_owned()));
        }
    }

    #[test]
    fn no_second_spelling_names_the_same_target() {
        let spellings = [
            "arn:aws:ecs:eu-central-1:123456789012:service/web",
            "arn:aws:ecs:eu-central-1:123456789012:service/prod/web/x",
            "arn:aws:ecs:eu-central-1:123456789012:service/prod/*",
            "arn:aws:ecs:eu-central-1:123456789012:service/prod/wéb",
            "arn:aws:ecs:eu-central-1:123456789012:service/prod/web ",
            " arn:aws:ecs:eu-central-1:123456789012:service/prod/web",
            "arn:aws:ecs:eu-central-1:123456789012:service/prod/",
            "arn:aws:ecs:eu-central-1::service/prod/web",
            "arn:aws:ecs:EU-central-1:123456789012:service/prod/web",
            "arn:aws:ecs:*:123456789012:service/prod/web",
            "arn:aws:ecs:eu-central-1:12345678901２:service/prod/web",
            "arn:aws-cn:ecs:eu-central-1:123456789012:service/prod/web",
            "ARN:aws:ecs:eu-central-1:123456789012:service/prod/web",
            "arn:aws:ecs:eu-central-1:123456789012:task/prod/web",
            "arn:aws:rds:eu-central-1:123456789012:service/prod/web",
            "prod/web",
            "",
        ];
        for text in spellings {
            assert!(text.parse::<Target>().is_err(), "{text}");
        }
    }
}
