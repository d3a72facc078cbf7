//! Targets: the resources that an intent may change, as typed ids, printed as ARNs.
//!
//! Parsing is canonical: a text is a target if and only if printing the target gives that text. So two spellings never
//! name the same resource, and nothing from a guest or an alert is matched by pattern.
//!
//! The ARN of an Auto Scaling group holds a UUID that AWS made up and nobody knows, yet a group's name is unique in its
//! account and region, and every call takes the name. So a group is printed as the policies of IAM spell it, with `*` where
//! the UUID is: that star is punctuation of this one form, and no other place of a target takes one.

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
    /// `arn:aws:autoscaling:<region>:<account>:autoScalingGroup:*:autoScalingGroupName/<name>`
    AsgGroup {
        /// The group's name.
        name: Arc<str>,
    },
}

/// What stands between account and name in the ARN of a group.
const GROUP: &str = "autoScalingGroup:*:autoScalingGroupName/";

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
    #[error(
        "{0:?} is no target: write the ARN of an ECS service, arn:aws:ecs:REGION:ACCOUNT:service/CLUSTER/NAME, or that of \
         an Auto Scaling group with * in place of its UUID, \
         arn:aws:autoscaling:REGION:ACCOUNT:autoScalingGroup:*:autoScalingGroupName/NAME"
    )]
    Arn(String),
    /// A cluster or service with characters that ECS does not allow.
    #[error("{0:?} is no name of an ECS cluster or service: use 1 to 255 letters, digits, `-` and `_`")]
    EcsName(String),
    /// A group whose name Auto Scaling does not allow, or would mean more than one group in a policy of IAM.
    #[error(
        "{0:?} is no name of an Auto Scaling group: use 1 to 255 visible ASCII characters except `:`, `*`, `?`, `$`, `\"` \
         and `\\`"
    )]
    AsgName(String),
}

impl Target {
    /// An ECS service. Fails if a name has characters that ECS does not allow
    /// (Amazon ECS API Reference, `CreateService`: letters, digits, underscores and hyphens, up to 255).
    pub fn ecs_service(account: AccountId, region: Region, cluster: &str, name: &str) -> Result<Self, InvalidTarget> {
        let resource = Resource::EcsService { cluster: ecs_name(cluster)?, name: ecs_name(name)? };
        Ok(Self { account, region, resource })
    }

    /// An Auto Scaling group. Fails if the name has a character that Auto Scaling does not allow (Amazon EC2 Auto Scaling
    /// API Reference, `CreateAutoScalingGroup`: ASCII 33 to 126 but no colon, up to 255), or one that IAM would read as a
    /// wildcard or variable.
    pub fn asg_group(account: AccountId, region: Region, name: &str) -> Result<Self, InvalidTarget> {
        Ok(Self { account, region, resource: Resource::AsgGroup { name: asg_name(name)? } })
    }

    /// The AWS partition that the region belongs to, as in the ARN.
    #[must_use]
    pub fn partition(&self) -> &'static str {
        self.region.partition()
    }
}

impl Resource {
    /// Its own name.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::EcsService { name, .. } | Self::AsgGroup { name } => name,
        }
    }

    /// Whether it is of the same kind as another and has its name.
    #[must_use]
    pub fn is_called_as(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other) && self.name() == other.name()
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
        let region: Region = region.parse()?;
        if arn != "arn" || partition != region.partition() {
            return Err(wrong());
        }
        match service {
            "ecs" => {
                let names = resource.strip_prefix("service/").and_then(|names| names.split_once('/'));
                let (cluster, name) = names.ok_or_else(wrong)?;
                Self::ecs_service(account.parse()?, region, cluster, name)
            }
            "autoscaling" => Self::asg_group(account.parse()?, region, resource.strip_prefix(GROUP).ok_or_else(wrong)?),
            _ => Err(wrong()),
        }
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

fn asg_name(text: &str) -> Result<Arc<str>, InvalidTarget> {
    let valid = |c: u8| c.is_ascii_graphic() && !matches!(c, b':' | b'*' | b'?' | b'$' | b'"' | b'\\');
    if (1..=255).contains(&text.len()) && text.bytes().all(valid) {
        Ok(text.into())
    } else {
        Err(InvalidTarget::AsgName(excerpt(text)))
    }
}

/// What is told of a text that is no target. Of a long one both ends: what is wrong with it may stand at either.
fn excerpt(text: &str) -> String {
    const HEAD: usize = 70;
    const TAIL: usize = 49;
    let chars = text.chars().count();
    if chars <= HEAD + 1 + TAIL {
        return text.to_owned();
    }
    text.chars().take(HEAD).chain(['…']).chain(text.chars().skip(chars - TAIL)).collect()
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { account, region, resource } = self;
        match resource {
            Resource::EcsService { cluster, name } => {
                write!(f, "arn:{}:ecs:{region}:{account}:service/{cluster}/{name}", self.partition())
            }
            Resource::AsgGroup { name } => {
                write!(f, "arn:{}:autoscaling:{region}:{account}:{GROUP}{name}", self.partition())
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

    const FLEET: &str = "arn:aws:autoscaling:eu-central-1:123456789012:autoScalingGroup:*:autoScalingGroupName/fleet";

    #[test]
    fn a_target_survives_its_text() {
        for text in [
            WEB,
            "arn:aws-cn:ecs:cn-north-1:123456789012:service/a/b_c-D",
            "arn:aws-us-gov:ecs:us-gov-west-1:000000000000:service/x/y",
            FLEET,
            "arn:aws-cn:autoscaling:cn-north-1:123456789012:autoScalingGroup:*:autoScalingGroupName/a/b_c-D.e",
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
            "arn:aws:autoscaling:eu-central-1:123456789012:autoScalingGroup:*:autoScalingGroupName/",
            "arn:aws:autoscaling:eu-central-1:123456789012:autoScalingGroup:*:autoScalingGroupName/*",
            "arn:aws:autoscaling:eu-central-1:123456789012:autoScalingGroup:*:autoScalingGroupName/fle?t",
            "arn:aws:autoscaling:eu-central-1:123456789012:autoScalingGroup:*:autoScalingGroupName/${aws:username}",
            "arn:aws:autoscaling:eu-central-1:123456789012:autoScalingGroup:*:autoScalingGroupName/a:b",
            "arn:aws:autoscaling:eu-central-1:123456789012:autoScalingGroup:*:autoScalingGroupName/the fleet",
            "arn:aws:autoscaling:eu-central-1:123456789012:autoScalingGroup:*:autoScalingGroupName/fléet",
            "arn:aws:autoscaling:eu-central-1:123456789012:autoScalingGroup:autoScalingGroupName/fleet",
            "arn:aws:autoscaling:eu-central-1:123456789012:autoScalingGroup::autoScalingGroupName/fleet",
            "arn:aws:autoscaling:eu-central-1:123456789012:autoScalingGroup/fleet",
            "arn:aws:autoscaling:eu-central-1:123456789012:launchConfiguration:*:launchConfigurationName/fleet",
            "arn:aws:autoscaling:*:123456789012:autoScalingGroup:*:autoScalingGroupName/fleet",
            "arn:aws:autoscaling:eu-central-1:*:autoScalingGroup:*:autoScalingGroupName/fleet",
            "arn:aws:ecs:eu-central-1:123456789012:autoScalingGroup:*:autoScalingGroupName/fleet",
            "prod/web",
            "",
        ];
        for text in spellings {
            assert!(text.parse::<Target>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_arn_that_aws_prints_for_a_group_is_refused_and_the_refusal_says_what_to_write() {
        let uuid = "930d940e-891e-4781-a11a-7b0acd480f03";
        let theirs = FLEET.replace('*', uuid);
        let refused = theirs.parse::<Target>().expect_err("refused").to_string();
        assert!(refused.contains("with * in place of its UUID"), "{refused}");
    }

    #[test]
    fn the_name_of_a_group_has_1_to_255_characters() {
        let group = |length: usize| FLEET.replace("fleet", &"x".repeat(length)).parse::<Target>();
        assert!(group(0).is_err() && group(1).is_ok() && group(255).is_ok() && group(256).is_err());
    }

    #[test]
    fn of_a_long_text_that_is_no_target_both_ends_are_told() {
        let text = format!("arn:aws:ecs:eu-central-1:123456789012:servce/{}/web", "x".repeat(200));
        let told = text.parse::<Target>().expect_err("it is no target").to_string();
        assert!(told.contains("arn:aws:ecs:eu-central-1:123456789012:servce/x") && told.contains("x…x"), "{told}");
        assert!(told.contains("x/web"), "{told}");
    }
}
