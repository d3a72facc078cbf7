//! The admin API: where it listens, and who may ask it for what.

use std::{net::SocketAddr, path::Path};

use balm_core::{digest::Digest, name::CredentialName};

use super::document::{At, Section};
use crate::credential::{self, Credential, Role};

/// Credentials at most: every request is compared with all of them.
const CREDENTIALS: usize = 256;

/// The admin API as it is configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Admin {
    /// Where it listens.
    pub(crate) listen: SocketAddr,
    /// Who may read the metrics.
    pub(crate) metrics: MetricsFor,
    /// Who may ask. Empty means nobody.
    pub(crate) credentials: Vec<Credential>,
}

/// Who may read the metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MetricsFor {
    /// Whoever has a credential.
    Viewers,
    /// Whoever reaches the listener.
    Anyone,
}

pub(super) fn read(root: &mut Section<'_>, dir: &Path) -> Option<Admin> {
    let mut section = root.section("admin")?;
    let listen = match section.has("listen") {
        true => section.parsed::<SocketAddr>("listen").map(|at| at.value),
        false => {
            section
                .mistake(section.line(), "listen is missing: the address of the admin API, as in \"127.0.0.1:8301\"");
            None
        }
    };
    let metrics = section.word("metrics", &[("viewer", MetricsFor::Viewers), ("anyone", MetricsFor::Anyone)]);
    let mut credentials: Vec<Credential> = Vec::new();
    for written in section.sections("credential") {
        let (line, place) = (written.line(), credentials.len());
        credentials.extend(read_credential(written, dir));
        let Some(new) = credentials.get(place) else { continue };
        if credentials[..place].iter().any(|before| before.name == new.name) {
            section.mistake(line, format_args!("credential {} is configured twice", new.name));
        }
    }
    if credentials.len() > CREDENTIALS {
        section.mistake(section.line(), format_args!("more than {CREDENTIALS} credentials"));
    }
    section.end();
    Some(Admin { listen: listen?, metrics: metrics.map_or(MetricsFor::Viewers, |at| at.value), credentials })
}

fn read_credential(mut section: Section<'_>, dir: &Path) -> Option<Credential> {
    let name = section.needed_text("name", "what its holder is called in records");
    let name = name.and_then(|text| section.parse::<CredentialName>(&text));
    let role = match section.has("role") {
        true => section.word("role", &Role::WORDS),
        false => {
            section.mistake(section.line(), "role is missing: viewer, operator, approver or admin");
            None
        }
    };
    if !section.has("token-sha256") && !section.has("hash-file") {
        section.mistake(section.line(), "a credential needs token-sha256 or hash-file: `balm credential` makes one");
    }
    let mut texts = section.texts("token-sha256").map_or_else(Vec::new, |texts| texts.value);
    if let Some(path) = section.text("hash-file") {
        texts.extend(read_hashes(&section, &path, dir));
    }
    let hashes = texts.iter().filter_map(|text| read_hash(&section, text)).collect();
    section.end();
    Some(Credential { name: name?.value, role: role?.value, hashes })
}

/// The hashes of a file, one a line.
fn read_hashes(section: &Section<'_>, path: &At<String>, dir: &Path) -> Vec<At<String>> {
    let at = dir.join(&path.value);
    let text = std::fs::read_to_string(&at).unwrap_or_else(|error| {
        section.mistake(path.line, format_args!("hash-file: {} cannot be read: {error}", at.display()));
        String::new()
    });
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.map(|line| At { value: line.to_owned(), line: path.line }).collect()
}

fn read_hash(section: &Section<'_>, text: &At<String>) -> Option<Digest> {
    let hash = Digest::from_hex(text.value.to_ascii_lowercase().as_bytes());
    match hash {
        None if credential::is_token(&text.value) => {
            section
                .mistake(text.line, "this is a token itself: write its SHA-256, and give the token to its holder only");
        }
        None => section.mistake(text.line, "a hash is the 64 hexadecimal digits of the token's SHA-256"),
        Some(_) => {}
    }
    hash
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::document::{Document, Mistakes};

    const HASH: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    fn load(text: &str) -> Result<Option<Admin>, Vec<String>> {
        let mistakes = Mistakes::default();
        let document = Document::parse("balm.toml", text, &mistakes);
        let admin = read(&mut document.root(), Path::new("/conf"));
        let told: Vec<String> = mistakes.take().iter().map(ToString::to_string).collect();
        if told.is_empty() { Ok(admin) } else { Err(told) }
    }

    #[test]
    fn without_a_section_there_is_no_listener_and_without_credentials_nobody_may() {
        assert!(load("").unwrap().is_none());
        let admin = load("[admin]\nlisten = \"127.0.0.1:8301\"\n").unwrap().unwrap();
        assert_eq!((admin.credentials, admin.metrics), (Vec::new(), MetricsFor::Viewers));
    }

    #[test]
    fn what_a_new_token_prints_is_what_is_read() {
        let token = credential::Token::generate().unwrap();
        let text = token.toml(&"ada".parse().unwrap(), Role::Operator);
        let admin =
            load(&format!("[admin]\nlisten = \"127.0.0.1:8301\"\nmetrics = \"anyone\"\n{text}")).unwrap().unwrap();
        let found = credential::holder(&admin.credentials, token.reveal().as_bytes()).unwrap();
        assert_eq!((found.name.as_str(), found.role, admin.metrics), ("ada", Role::Operator, MetricsFor::Anyone));
    }

    #[test]
    fn every_mistake_is_told_with_its_line() {
        let text = format!(
            "[admin]\nlisten = \"here\"\nmetrics = \"all\"\n\
             [[admin.credential]]\nname = \"ada\"\nrole = \"admin\"\ntoken-sha256 = \"{HASH}\"\n\
             [[admin.credential]]\nname = \"ada\"\nrole = \"root\"\ntoken-sha256 = \"balm_x\"\n\
             [[admin.credential]]\nname = \"ada\"\nrole = \"viewer\"\ntoken-sha256 = [\"{HASH}\", \"abc\"]\n\
             [[admin.credential]]\nname = \"Ada\"\nhash-file = \"nowhere\"\n\
             [[admin.credential]]\nname = \"grace\"\nrole = \"viewer\"\n"
        );
        let told = load(&text).unwrap_err();
        let wanted = [
            "balm.toml:2: in [admin], invalid socket address",
            "balm.toml:3: in [admin], metrics is \"all\"; it must be one of viewer, anyone",
            "balm.toml:10: in [admin.credential], role is \"root\"",
            "balm.toml:11: in [admin.credential], this is a token itself",
            "balm.toml:12: in [admin], credential ada is configured twice",
            "balm.toml:15: in [admin.credential], a hash is the 64 hexadecimal digits",
            "balm.toml:16: in [admin.credential], role is missing",
            "balm.toml:17: in [admin.credential], \"Ada\" is no name of a credential",
            "balm.toml:18: in [admin.credential], hash-file: /conf/nowhere cannot be read",
            "balm.toml:19: in [admin.credential], a credential needs token-sha256 or hash-file",
        ];
        for (wanted, told) in wanted.iter().zip(&told) {
            assert!(told.starts_with(wanted), "\n  wanted {wanted}\n  told   {told}\n{told:#?}");
        }
        assert_eq!(told.len(), wanted.len(), "{told:#?}");
    }
}
