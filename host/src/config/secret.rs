//! Secrets: texts that are never printed, from a file or the environment, never from the configuration itself.

use std::{fmt, os::unix::fs::MetadataExt as _, path::Path};

use subtle::ConstantTimeEq as _;

use super::document::Section;

/// A secret. It has no `Display`, and `Debug` prints `***`.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(String);

impl Secret {
    /// The text itself, for the one place that uses it.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }

    /// Whether a text is this secret, in a time that does not depend on where they differ.
    pub(crate) fn matches(&self, text: &[u8]) -> bool {
        let digest = |text: &[u8]| *balm_core::digest::Digest::of(&[text]).as_bytes();
        digest(self.0.as_bytes()).ct_eq(&digest(text)).into()
    }
}

#[cfg(test)]
impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Where secrets come from: a file below the configuration's directory, or an environment variable.
#[derive(Clone, Copy)]
pub(crate) struct Keys {
    pub(crate) file: &'static str,
    pub(crate) env: &'static str,
}

/// The secrets that a section names, or none if it names none. A file may hold several, one a line: each is valid, so
/// that a sender can be moved from the old to the new one.
pub(crate) fn read(section: &mut Section<'_>, keys: Keys, dir: &Path) -> Vec<Secret> {
    let from_file = section.text(keys.file).map(|path| {
        let at = dir.join(&path.value);
        if is_open(&at) {
            let file = at.display();
            section.warn(
                path.line,
                format_args!("{}: every user of this machine may read {file}: chmod o-r {file}", keys.file),
            );
        }
        (path.line, std::fs::read_to_string(&at).map_err(|error| format!("{} cannot be read: {error}", at.display())))
    });
    let from_env = section.text(keys.env).map(|name| {
        let missing = |_| format!("the environment variable {} is not set", name.value);
        (name.line, std::env::var(&name.value).map_err(missing))
    });
    let mut secrets = Vec::new();
    for (key, (line, text)) in
        [(keys.file, from_file), (keys.env, from_env)].into_iter().filter_map(|(k, v)| Some((k, v?)))
    {
        match text {
            Ok(text) => {
                let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
                let before = secrets.len();
                secrets.extend(lines.map(|line| Secret(line.into())));
                if secrets.len() == before {
                    section.mistake(line, format_args!("{key} names an empty secret"));
                }
            }
            Err(message) => section.mistake(line, format_args!("{key}: {message}")),
        }
    }
    secrets
}

/// Whether anybody who comes to it may read it. A group is its owner's choice.
fn is_open(file: &Path) -> bool {
    std::fs::metadata(file).is_ok_and(|metadata| metadata.mode() & 0o004 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::document::{Document, Mistakes};

    const KEYS: Keys = Keys { file: "token-file", env: "token-env" };

    #[test]
    fn a_secret_is_never_printed() {
        assert_eq!(format!("{:?} {:?}", Secret::from("hunter2"), Some(Secret::from("hunter2"))), "*** Some(***)");
    }

    #[test]
    fn only_the_whole_secret_matches() {
        let secret = Secret::from("hunter2");
        assert!(secret.matches(b"hunter2"));
        for wrong in [&b"hunter"[..], b"hunter22", b"", b"HUNTER2"] {
            assert!(!secret.matches(wrong));
        }
    }

    #[test]
    fn a_secret_that_every_user_may_read_is_warned_of_and_counts() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = crate::test_dir::TestDir::new("secret");
        std::fs::write(dir.path().join("token"), "hunter2").unwrap();
        let warnings = |mode: u32| {
            let rights = std::fs::Permissions::from_mode(mode);
            std::fs::set_permissions(dir.path().join("token"), rights).unwrap();
            let mistakes = Mistakes::default();
            let document = Document::parse("balm.toml", "[source]\ntoken-file = \"token\"\n", &mistakes);
            let mut section = document.root().section("source").expect("a section");
            assert_eq!(read(&mut section, KEYS, dir.path()), [Secret::from("hunter2")]);
            mistakes.take_warnings()
        };
        let told = warnings(0o644);
        assert_eq!(told.len(), 1);
        assert!(told[0].to_string().starts_with("balm.toml:2: in [source], token-file: every user"), "{told:?}");
        assert_eq!([warnings(0o600), warnings(0o640)], [[], []]);
    }

    #[test]
    fn a_missing_secret_is_a_mistake_that_names_where_it_should_be() {
        let mistakes = Mistakes::default();
        let text = "token-file = \"nowhere/token\"\ntoken-env = \"BALM_TEST_NO_SUCH_VARIABLE\"\n";
        let document = Document::parse("balm.toml", text, &mistakes);
        assert_eq!(read(&mut document.root(), KEYS, Path::new("/conf")), []);
        let told: Vec<String> = mistakes.take().iter().map(ToString::to_string).collect();
        assert!(told[0].starts_with("balm.toml:1: token-file: /conf/nowhere/token cannot be read"), "{told:?}");
        assert_eq!(told[1], "balm.toml:2: token-env: the environment variable BALM_TEST_NO_SUCH_VARIABLE is not set");
    }
}
