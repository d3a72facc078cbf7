//! Sources: who sends alerts, and how they prove who they are.

use std::{collections::BTreeMap, path::Path};

use balm_core::name::SourceName;

use super::{
    document::Section,
    secret::{self, Keys, Secret},
};

/// The header in which Grafana sends its signature, unless it is told otherwise (grafana/alerting, `http/hmac.go`).
const SIGNATURE_HEADER: &str = "x-grafana-alerting-signature";

/// A sender of alerts. Every credential that is configured must be shown; at least one is.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    /// `Authorization: Bearer …`: any of these.
    pub(crate) bearer: Vec<Secret>,
    /// `Authorization: Basic …`: this user with any of these passwords.
    pub(crate) basic: Option<(String, Vec<Secret>)>,
    /// A signature of the body.
    pub(crate) hmac: Option<Hmac>,
}

/// A signature of the body.
#[derive(Clone, Debug)]
pub(crate) struct Hmac {
    /// With any of these keys.
    pub(crate) keys: Vec<Secret>,
    /// In this header, lower case.
    pub(crate) header: String,
    /// Over the time in this header as well, lower case; without it a captured request can be sent again for ever.
    pub(crate) timestamp_header: Option<String>,
}

pub(super) fn read(root: &mut Section<'_>, dir: &Path) -> BTreeMap<SourceName, Source> {
    let sections = root.named_sections::<SourceName>("source");
    sections.into_iter().filter_map(|(name, section)| Some((name, read_source(section, dir)?))).collect()
}

fn read_source(mut section: Section<'_>, dir: &Path) -> Option<Source> {
    let kind = section.needed_text("kind", "\"grafana\"");
    if let Some(kind) = kind.filter(|kind| kind.value != "grafana") {
        section.mistake(kind.line, format_args!("{:?} is no kind of source; there is \"grafana\"", kind.value));
    }
    let asked = ["token-file", "token-env", "password-file", "password-env", "hmac-key-file", "hmac-key-env"]
        .iter()
        .any(|key| section.has(key));
    let bearer = secret::read(&mut section, Keys { file: "token-file", env: "token-env" }, dir);
    let user = section.text("user");
    let passwords = secret::read(&mut section, Keys { file: "password-file", env: "password-env" }, dir);
    let keys = secret::read(&mut section, Keys { file: "hmac-key-file", env: "hmac-key-env" }, dir);
    let header = section.text("hmac-header").map(|header| header.value.to_ascii_lowercase());
    let timestamp_header = section.text("hmac-timestamp-header").map(|header| header.value.to_ascii_lowercase());
    if !asked {
        let message = "a source needs a credential: write token-file, user and password-file, or hmac-key-file";
        section.mistake(section.line(), message);
    }
    if !bearer.is_empty() && user.is_some() {
        section.mistake(section.line(), "a request has one Authorization header: write a token or a user, not both");
    }
    let basic = match (user, passwords.is_empty()) {
        (Some(user), false) => Some((user.value, passwords)),
        (Some(user), true) => {
            section.mistake(user.line, "user without a password: write password-file or password-env");
            None
        }
        (None, false) => {
            section.mistake(section.line(), "a password without user: write user");
            None
        }
        (None, true) => None,
    };
    let header = header.unwrap_or_else(|| SIGNATURE_HEADER.into());
    let hmac = (!keys.is_empty()).then_some(Hmac { keys, header, timestamp_header });
    section.end();
    Some(Source { bearer, basic, hmac })
}
