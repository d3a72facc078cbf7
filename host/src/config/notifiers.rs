//! Notifiers: who is told.

use std::{collections::BTreeMap, path::Path};

use balm_core::name::NotifierName;
use reqwest::Url;

use super::{
    document::Section,
    secret::{self, Keys, Secret},
};

/// A receiver of notices.
#[derive(Clone, Debug)]
pub(crate) enum Notifier {
    /// The host's own log.
    Log,
    /// An incoming webhook of Slack.
    Slack {
        /// Where: the whole address is the secret.
        url: Secret,
        /// Below which address links of alerts may lead; everywhere if it is not said.
        base_url: Option<Url>,
    },
    /// A URL that takes JSON, signed as Standard Webhooks are.
    Webhook {
        /// Where. It may carry a token, so it is a secret.
        url: Secret,
        /// With which key: the base64 part of a `whsec_…` secret, or any text.
        key: Secret,
    },
}

impl Notifier {
    /// Whether it is told of many things at once, with pauses: so are people; the log has a line for each.
    pub(super) fn is_paced(&self) -> bool {
        !matches!(self, Self::Log)
    }
}

/// Who is told, and who of them is sent checkpoints.
pub(super) fn read(root: &mut Section<'_>, dir: &Path) -> (BTreeMap<NotifierName, Notifier>, Vec<NotifierName>) {
    let (mut notifiers, mut checkpoints) = (BTreeMap::new(), Vec::new());
    for (name, mut section) in root.named_sections::<NotifierName>("notifier") {
        if section.flag("checkpoints").is_some_and(|flag| flag.value) {
            checkpoints.push(name.clone());
        }
        notifiers.extend(read_notifier(section, dir).map(|notifier| (name, notifier)));
    }
    (notifiers, checkpoints)
}

fn read_notifier(mut section: Section<'_>, dir: &Path) -> Option<Notifier> {
    let kind = section.needed_text("kind", "\"log\", \"slack\" or \"webhook\"");
    let notifier = match kind.as_ref().map(|kind| kind.value.as_str()) {
        Some("log") => Some(Notifier::Log),
        Some("slack") => read_slack(&mut section, dir),
        Some("webhook") => read_webhook(&mut section, dir),
        Some(other) => {
            let line = kind.as_ref().map_or(0, |kind| kind.line);
            let known = "there are \"log\", \"slack\" and \"webhook\"";
            section.mistake(line, format_args!("{other:?} is no kind of notifier; {known}"));
            None
        }
        None => None,
    };
    section.end();
    notifier
}

fn read_slack(section: &mut Section<'_>, dir: &Path) -> Option<Notifier> {
    let url = read_address(section, dir);
    let base_url = section.text("base-url").and_then(|text| match address(&text.value) {
        Ok(url) => Some(url),
        Err(why) => {
            section.mistake(text.line, format_args!("base-url {why}"));
            None
        }
    });
    Some(Notifier::Slack { url: url?, base_url })
}

fn read_webhook(section: &mut Section<'_>, dir: &Path) -> Option<Notifier> {
    let url = read_address(section, dir);
    let keys = Keys { file: "key-file", env: "key-env" };
    let key = read_one(section, keys, dir, "the file with the key that notices are signed with");
    Some(Notifier::Webhook { url: url?, key: key? })
}

/// Where notices are posted.
fn read_address(section: &mut Section<'_>, dir: &Path) -> Option<Secret> {
    let keys = Keys { file: "url-file", env: "url-env" };
    let url = read_one(section, keys, dir, "the file with the address, which may carry a token")?;
    match address(url.reveal()) {
        Ok(_) => Some(url),
        Err(why) => {
            section.mistake(section.line(), format_args!("the text in url-file or url-env {why}"));
            None
        }
    }
}

fn read_one(section: &mut Section<'_>, keys: Keys, dir: &Path, what: &str) -> Option<Secret> {
    let named = section.has(keys.file) || section.has(keys.env);
    let found = secret::read(section, keys, dir);
    if !named {
        section.mistake(section.line(), format_args!("{} is missing: {what}", keys.file));
    }
    found.into_iter().next()
}

/// An address that can be spoken to. The error does not repeat it.
fn address(text: &str) -> Result<Url, &'static str> {
    let url = Url::parse(text).map_err(|_| "is no address")?;
    if matches!(url.scheme(), "http" | "https") {
        Ok(url)
    } else {
        Err("begins neither with https:// nor with http://")
    }
}
