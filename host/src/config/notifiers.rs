//! Notifiers: who is told.

use std::{collections::BTreeMap, path::Path};

use balm_core::name::NotifierName;

use super::{
    document::Section,
    secret::{self, Keys, Secret},
};

/// A receiver of notices.
#[derive(Clone, Debug)]
pub(crate) enum Notifier {
    /// The host's own log.
    Log,
    /// A URL that takes JSON, signed as Standard Webhooks are.
    Webhook {
        /// Where. It may carry a token, so it is a secret.
        url: Secret,
        /// With which key: the base64 part of a `whsec_…` secret, or any text.
        key: Secret,
    },
}

pub(super) fn read(root: &mut Section<'_>, dir: &Path) -> BTreeMap<NotifierName, Notifier> {
    let sections = root.named_sections::<NotifierName>("notifier");
    sections.into_iter().filter_map(|(name, section)| Some((name, read_notifier(section, dir)?))).collect()
}

fn read_notifier(mut section: Section<'_>, dir: &Path) -> Option<Notifier> {
    let kind = section.needed_text("kind", "\"log\" or \"webhook\"");
    let notifier = match kind.as_ref().map(|kind| kind.value.as_str()) {
        Some("log") => Some(Notifier::Log),
        Some("webhook") => read_webhook(&mut section, dir),
        Some(other) => {
            let line = kind.as_ref().map_or(0, |kind| kind.line);
            section.mistake(line, format_args!("{other:?} is no kind of notifier; there are \"log\" and \"webhook\""));
            None
        }
        None => None,
    };
    section.end();
    notifier
}

fn read_webhook(section: &mut Section<'_>, dir: &Path) -> Option<Notifier> {
    let mut one = |keys: Keys, what: &str| {
        let named = section.has(keys.file) || section.has(keys.env);
        let found = secret::read(section, keys, dir);
        if !named {
            section.mistake(section.line(), format_args!("{} is missing: {what}", keys.file));
        }
        found.into_iter().next()
    };
    let url = one(Keys { file: "url-file", env: "url-env" }, "the file with the address, which may carry a token");
    let key = one(Keys { file: "key-file", env: "key-env" }, "the file with the key that notices are signed with");
    let (url, key) = (url?, key?);
    if reqwest::Url::parse(url.reveal()).is_err() {
        section.mistake(section.line(), "the text in url-file is no address");
    }
    Some(Notifier::Webhook { url, key })
}
