//! AWS accounts: where intents may act, and as whom.

use std::time::Duration;

use balm_core::target::{AccountId, Region};

use super::{bounds, document::Section};

/// An account. The host acts nowhere else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AwsAccount {
    /// Which; the credentials must be this account's, which is asked before the first call.
    pub(crate) id: AccountId,
    /// Where in it.
    pub(crate) regions: Vec<Region>,
    /// The role to take on; without one the host's own credentials are used.
    pub(crate) role: Option<String>,
    /// Another endpoint than AWS's own, for tests.
    pub(crate) endpoint: Option<String>,
}

pub(super) fn read(root: &mut Section<'_>) -> (Vec<AwsAccount>, Duration) {
    let mut call_timeout = bounds::CALL_TIMEOUT_DEFAULT;
    let Some(mut aws) = root.section("aws") else { return (Vec::new(), call_timeout) };
    if let Some(timeout) = aws.duration("call-timeout", bounds::CALL_TIMEOUT) {
        call_timeout = timeout.value;
    }
    let mut accounts: Vec<AwsAccount> = Vec::new();
    for section in aws.sections("account") {
        let line = section.line();
        if let Some(account) = read_account(section) {
            if accounts.iter().any(|known| known.id == account.id) {
                aws.mistake(line, format_args!("account {} is configured twice", account.id));
            }
            accounts.push(account);
        }
    }
    aws.end();
    (accounts, call_timeout)
}

fn read_account(mut section: Section<'_>) -> Option<AwsAccount> {
    let id = section.needed_text("id", "the account's twelve digits");
    let id = id.and_then(|id| section.parse::<AccountId>(&id));
    let has = section.has("regions");
    let texts = section.texts("regions").map(|texts| texts.value).unwrap_or_default();
    if !has {
        section.mistake(section.line(), "regions are missing: in which regions of the account intents may act");
    }
    let regions = texts.iter().filter_map(|text| section.parse::<Region>(text)).map(|at| at.value).collect();
    let role = section.text("role");
    if let (Some(role), Some(id)) = (&role, &id)
        && !role.value.contains(&format!(":iam::{}:role/", id.value))
    {
        section.mistake(role.line, format_args!("{:?} is no role of account {}", role.value, id.value));
    }
    let endpoint = section.text("endpoint");
    if let Some(endpoint) = endpoint.as_ref().filter(|endpoint| !is_http(&endpoint.value)) {
        section.mistake(endpoint.line, format_args!("{:?} is no http:// or https:// address", endpoint.value));
    }
    section.end();
    Some(AwsAccount { id: id?.value, regions, role: role.map(|at| at.value), endpoint: endpoint.map(|at| at.value) })
}

fn is_http(text: &str) -> bool {
    ["http://", "https://"].iter().any(|scheme| text.len() > scheme.len() && text.starts_with(scheme))
}
