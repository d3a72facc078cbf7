//! Names and ARNs: how callers say which cluster, service or task they mean.
//!
//! Whether the thing exists is not known here.

use crate::answer::{Error, ErrorCode};

/// The account and region that a call is about.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    pub(crate) account: &'a str,
    pub(crate) region: &'a str,
}

impl Place<'_> {
    pub(crate) fn arn(&self, resource: impl std::fmt::Display) -> String {
        format!("arn:aws:ecs:{}:{}:{resource}", self.region, self.account)
    }

    /// The cluster's name; `default` when none is given.
    pub(crate) fn cluster<'t>(&self, given: Option<&'t str>) -> Result<&'t str, Error> {
        let Some(text) = given.filter(|text| !text.is_empty()) else { return Ok("default") };
        self.resource("cluster", None, text)
    }

    /// The service's name. An ARN that names another cluster is refused.
    pub(crate) fn service<'t>(&self, cluster: &str, text: &'t str) -> Result<&'t str, Error> {
        self.resource("service", Some(cluster), text)
    }

    /// The task's id: 32 hexadecimal digits, hyphens left out.
    pub(crate) fn task(&self, cluster: &str, text: &str) -> Result<TaskId, Error> {
        let id = self.resource("task", Some(cluster), text)?;
        if !matches!(id.len(), 32 | 36) {
            return Err(ErrorCode::InvalidParameterException.with("taskId length should be one of [32,36]"));
        }
        TaskId::read(id).ok_or_else(|| invalid("the task id is not hexadecimal"))
    }

    /// The last part of `text`, which is a name or an ARN of that kind, in this place, in that cluster.
    fn resource<'t>(&self, kind: &str, cluster: Option<&str>, text: &'t str) -> Result<&'t str, Error> {
        let Some(arn) = text.strip_prefix("arn:") else { return Ok(text) };
        let mut parts = arn.splitn(5, ':').skip(1);
        let (Some("ecs"), Some(region), Some(account), Some(resource)) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(invalid("Unexpected number of separators"));
        };
        if region != self.region {
            return Err(invalid(&format!("Identifier is for {region}. Your region is {}", self.region)));
        }
        if account != self.account {
            return Err(invalid(&format!("Identifier is for {account}. Your accountId is {}", self.account)));
        }
        let mut parts = resource.splitn(3, '/');
        match (parts.next(), parts.next(), parts.next()) {
            (Some(found), _, _) if found != kind => {
                Err(ErrorCode::InvalidParameterException.with(format!("Unsupported resource type: {found}")))
            }
            (_, Some(of), Some(name)) => match cluster {
                Some(cluster) if cluster == of => Ok(name),
                Some(cluster) => Err(invalid(&format!("Identifier is for cluster {of}. Your cluster is {cluster}"))),
                None => Err(invalid("Unexpected number of separators")),
            },
            // Services and tasks had ARNs without the cluster until 2018; they still read.
            (_, Some(name), None) => Ok(name),
            (_, None, _) => Err(invalid("Unexpected number of separators")),
        }
    }
}

fn invalid(what: &str) -> Error {
    ErrorCode::InvalidParameterException.with(format!("Invalid identifier: {what}"))
}

/// A task's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TaskId(u128);

impl TaskId {
    pub(crate) fn new(value: u128) -> Self {
        Self(value)
    }

    /// `None` when it is not 32 hexadecimal digits, hyphens left out.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let digits: String = text.chars().filter(|digit| *digit != '-').take(33).collect();
        let hexadecimal = digits.len() == 32 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        hexadecimal.then(|| u128::from_str_radix(&digits, 16).ok().map(Self))?
    }
}

impl std::fmt::Display for TaskId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// An instance's id: `i-` and 17 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct InstanceId(u128);

impl InstanceId {
    /// Of the value's low 68 bits, which is as much as an id holds.
    pub(crate) fn new(value: u128) -> Self {
        Self(value & ((1 << 68) - 1))
    }

    /// `None` when it is not `i-` and 17 lower-case hexadecimal digits.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let digits = text.strip_prefix("i-").filter(|digits| digits.len() == 17)?;
        let hexadecimal = digits.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
        hexadecimal.then(|| u128::from_str_radix(digits, 16).ok().map(Self))?
    }
}

impl std::fmt::Display for InstanceId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "i-{:017x}", self.0)
    }
}

/// The part of a name or ARN that a person would say.
pub(crate) fn short(text: &str) -> &str {
    if text.starts_with("arn:") { text.rsplit('/').next().unwrap_or(text) } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: Place<'_> = Place { account: "123456789012", region: "eu-central-1" };
    const ID: &str = "0123456789abcdef0123456789abcdef";

    #[test]
    fn names_and_arns_of_both_ages_mean_the_same() {
        assert_eq!(HERE.cluster(None), Ok("default"));
        assert_eq!(HERE.cluster(Some("prod")), Ok("prod"));
        assert_eq!(HERE.cluster(Some("arn:aws:ecs:eu-central-1:123456789012:cluster/prod")), Ok("prod"));
        assert_eq!(HERE.service("prod", "web"), Ok("web"));
        assert_eq!(HERE.service("prod", "arn:aws:ecs:eu-central-1:123456789012:service/prod/web"), Ok("web"));
        assert_eq!(HERE.service("prod", "arn:aws:ecs:eu-central-1:123456789012:service/web"), Ok("web"));
        let task = HERE.task("prod", &format!("arn:aws:ecs:eu-central-1:123456789012:task/prod/{ID}"));
        assert_eq!(task.map(|id| id.to_string()), Ok(ID.to_owned()));
        assert_eq!(HERE.task("prod", "01234567-89ab-cdef-0123-456789abcdef"), HERE.task("prod", ID));
    }

    #[test]
    fn an_identifier_of_elsewhere_is_refused_in_the_words_of_aws() {
        let message = |text: &str| HERE.service("prod", text).expect_err("refused").message;
        assert_eq!(
            message("arn:aws:ecs:eu-central-1:123456789012:service/test/web"),
            "Invalid identifier: Identifier is for cluster test. Your cluster is prod"
        );
        assert!(message("arn:aws:ecs:us-east-1:123456789012:service/prod/web").contains("Your region is eu-central-1"));
        assert!(message("arn:aws:ecs:eu-central-1:999999999999:service/prod/web").contains("Your accountId is"));
        assert_eq!(message("arn:aws:ecs:eu-central-1:123456789012:task/prod/web"), "Unsupported resource type: task");
        assert!(message("arn:aws:ecs").contains("separators"));
    }

    #[test]
    fn an_instance_id_has_17_hexadecimal_digits() {
        let id = InstanceId::new(u128::MAX);
        assert_eq!(id.to_string(), "i-fffffffffffffffff");
        assert_eq!(InstanceId::read(&id.to_string()), Some(id));
        for wrong in
            ["", "i-", "i-0123456789abcdef", "i-0123456789abcdef01", "i-0123456789ABCDEF0", "j-0123456789abcdef0"]
        {
            assert_eq!(InstanceId::read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_task_id_has_32_hexadecimal_digits() {
        for wrong in ["", "web", &ID[1..], "0123456789abcdef0123456789abcdeg", "++23456789abcdef0123456789abcdef"] {
            assert!(HERE.task("prod", wrong).is_err(), "{wrong}");
        }
    }
}
