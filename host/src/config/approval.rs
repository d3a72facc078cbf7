//! Approvals: who may give them, and for how long a request waits.
//!
//! A person is a name. They speak as the holder of the admin API's credential of that name, if its role lets it approve,
//! or as the user of this machine that an `[[approver]]` names; either way they count once.

use std::{ops::RangeInclusive, time::Duration};

use balm_core::{
    approval::{Approver, Terms},
    caps,
    name::ApproverName,
};

use super::{admin::Admin, document::Section};
use crate::credential::Need;

/// People at most: every request for approvals lists them.
const APPROVERS: usize = 256;

/// How long a request may wait. A second is for tests; a day is what an episode lives without a sign of life.
const EXPIRES_AFTER: RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_secs(caps::APPROVAL_EXPIRES_MOST_S);

/// What is configured of approvals beside the credentials.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Approval {
    /// If it is said.
    expires_after: Option<Duration>,
    /// People by the user of this machine that they are.
    users: Vec<(ApproverName, u32)>,
}

impl Approval {
    /// Who may approve, and for how long a request waits, with the credentials of the admin API.
    pub(crate) fn terms(&self, admin: Option<&Admin>) -> Terms {
        let mut terms = Terms::default();
        if let Some(expires_after) = self.expires_after {
            terms.expires_after_ms = u64::try_from(expires_after.as_millis()).unwrap_or(u64::MAX);
        }
        let credentials = admin.map_or(&[][..], |admin| &admin.credentials);
        for credential in credentials.iter().filter(|credential| credential.role.may(Need::Approve)) {
            // What names a credential can name an approver: the rule is the same.
            if let Ok(name) = credential.name.as_str().parse::<ApproverName>() {
                terms.approvers.insert(name, Approver { credential: true, uid: None });
            }
        }
        for (name, uid) in &self.users {
            terms.approvers.entry(name.clone()).or_default().uid = Some(*uid);
        }
        terms
    }
}

pub(super) fn read(root: &mut Section<'_>) -> Approval {
    let mut approval = Approval::default();
    if let Some(mut section) = root.section("approval") {
        approval.expires_after = section.duration("expires-after", EXPIRES_AFTER).map(|at| at.value);
        section.end();
    }
    for mut section in root.sections("approver") {
        let line = section.line();
        let name = section.needed_text("name", "what records call the person");
        let name = name.and_then(|text| section.parse::<ApproverName>(&text)).map(|at| at.value);
        let given = section.has("uid");
        let uid = section.number("uid", 0..=u64::from(u32::MAX) - 1).and_then(|at| u32::try_from(at.value).ok());
        if !given {
            section
                .mistake(line, "uid is missing: the number of the person's user on this machine, as `id -u` prints it");
        }
        if let (Some(name), Some(uid)) = (name, uid) {
            if approval.users.iter().any(|(known, _)| *known == name) {
                section.mistake(line, format_args!("approver {name} is configured twice"));
            }
            if let Some((other, _)) = approval.users.iter().find(|(_, known)| *known == uid) {
                section.mistake(line, format_args!("user {uid} is approver {other} already: one user is one person"));
            }
            approval.users.push((name, uid));
        }
        section.end();
    }
    if approval.users.len() > APPROVERS {
        root.mistake(0, format_args!("more than {APPROVERS} approvers"));
    }
    approval
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::document::{Document, Mistakes},
        credential::{Credential, Role},
    };

    fn load(text: &str) -> Result<Approval, Vec<String>> {
        let mistakes = Mistakes::default();
        let document = Document::parse("balm.toml", text, &mistakes);
        let approval = read(&mut document.root());
        let told: Vec<String> = mistakes.take().iter().map(ToString::to_string).collect();
        if told.is_empty() { Ok(approval) } else { Err(told) }
    }

    fn admin(credentials: &[(&str, Role)]) -> Admin {
        let credential =
            |(name, role): &(&str, Role)| Credential { name: name.parse().unwrap(), role: *role, hashes: Vec::new() };
        Admin {
            listen: "127.0.0.1:8301".parse().unwrap(),
            metrics: crate::config::admin::MetricsFor::Viewers,
            credentials: credentials.iter().map(credential).collect(),
        }
    }

    #[test]
    fn without_a_word_nobody_may_approve() {
        let terms = load("").unwrap().terms(None);
        assert_eq!((terms.approvers.len(), terms.is_default()), (0, true));
    }

    #[test]
    fn credentials_approve_by_their_role_and_users_by_their_number() {
        let text = "[approval]\nexpires-after = \"1h\"\n[[approver]]\nname = \"ada\"\nuid = 1000\n\
                    [[approver]]\nname = \"eve\"\nuid = 0\n";
        let admin =
            admin(&[("ada", Role::Approver), ("root", Role::Admin), ("eve", Role::Operator), ("vic", Role::Viewer)]);
        let terms = load(text).unwrap().terms(Some(&admin));
        assert_eq!(terms.expires_after_ms, 3_600_000);
        let told: Vec<(&str, bool, Option<u32>)> =
            terms.approvers.iter().map(|(name, how)| (name.as_str(), how.credential, how.uid)).collect();
        assert_eq!(told, [("ada", true, Some(1000)), ("eve", false, Some(0)), ("root", true, None)]);
    }

    #[test]
    fn every_mistake_is_told_with_its_line() {
        let text = "[approval]\nexpires-after = \"0s\"\n[[approver]]\nname = \"Ada\"\nuid = 1\n\
                    [[approver]]\nname = \"ada\"\n[[approver]]\nname = \"ada\"\nuid = 2\n\
                    [[approver]]\nname = \"eve\"\nuid = 2\n[[approver]]\nname = \"ada\"\nuid = -3\n";
        let told = load(text).unwrap_err();
        let wanted = [
            "balm.toml:2: in [approval], expires-after is \"0s\"; it must be a time from 1s to 1d",
            "balm.toml:4: in [approver], \"Ada\" is no name of an approver",
            "balm.toml:6: in [approver], uid is missing",
            "balm.toml:11: in [approver], user 2 is approver ada already",
            "balm.toml:16: in [approver], uid must be from 0 to 4294967294",
        ];
        for (wanted, told) in wanted.iter().zip(&told) {
            assert!(told.starts_with(wanted), "\n  wanted {wanted}\n  told   {told}\n{told:#?}");
        }
        assert_eq!(told.len(), wanted.len(), "{told:#?}");
    }
}
