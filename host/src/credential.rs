//! Credentials of the admin API: tokens that are made here and kept as hashes, and what a role may do.
//!
//! A token is 256 random bits, so its SHA-256 is enough to keep: nobody can try that many, and a slow hash, which protects
//! what people think up, would only let strangers keep the host busy. It refuses to know requests and records.

use std::fmt;

use balm_core::{digest::Digest, name::CredentialName};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use clap::ValueEnum;
use subtle::{Choice, ConstantTimeEq as _};

/// Random bytes of a token.
const TOKEN_BYTES: usize = 32;

/// What a token begins with, so that people and scanners know one that lies about.
const PREFIX: &str = "balm_";

/// What the holder of a credential may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Role {
    /// Read everything.
    Viewer,
    /// Read, halt and release, accept the clock: whoever is awake tonight.
    Operator,
    /// Read, and approve intents that wait for people.
    Approver,
    /// Everything.
    Admin,
}

/// What a request needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// To see.
    Read,
    /// To change what the host does now. Who may halt may also release: the one who is there must be able to go on.
    Operate,
    /// To say yes or no to a plan that waits for people.
    Approve,
    /// To bring code to the host, and to say which of it decides.
    Install,
}

impl Role {
    /// Every role, as it is written.
    pub(crate) const WORDS: [(&str, Self); 4] =
        [("viewer", Self::Viewer), ("operator", Self::Operator), ("approver", Self::Approver), ("admin", Self::Admin)];

    /// The one table of who may do what.
    pub(crate) const fn may(self, need: Need) -> bool {
        match (self, need) {
            (Self::Viewer | Self::Operator | Self::Approver | Self::Admin, Need::Read)
            | (Self::Operator | Self::Admin, Need::Operate)
            | (Self::Approver | Self::Admin, Need::Approve)
            | (Self::Admin, Need::Install) => true,
            (Self::Viewer | Self::Approver, Need::Operate)
            | (Self::Viewer | Self::Operator, Need::Approve)
            | (Self::Viewer | Self::Operator | Self::Approver, Need::Install) => false,
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = Self::WORDS.iter().find(|(_, role)| role == self).map_or("", |(word, _)| *word);
        f.pad(word)
    }
}

/// The least role that a need asks for.
impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Read => "viewer",
            Self::Operate => "operator",
            Self::Approve => "approver",
            Self::Install => "admin",
        })
    }
}

/// A credential as it is configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Credential {
    /// What its holder is called in records.
    pub(crate) name: CredentialName,
    /// What its holder may do.
    pub(crate) role: Role,
    /// The hashes of its tokens: any of them is valid, so that a holder can move from an old one to a new one.
    pub(crate) hashes: Vec<Digest>,
}

/// Whose a token is. Every hash is compared, each in constant time, so the time says nothing about any.
pub(crate) fn holder<'a>(credentials: &'a [Credential], token: &[u8]) -> Option<&'a Credential> {
    let hash = Digest::of(&[token]);
    let mut found = None;
    for credential in credentials {
        let equal = |known: &Digest| known.as_bytes().ct_eq(hash.as_bytes());
        let any = credential.hashes.iter().map(equal).fold(Choice::from(0), |any, equal| any | equal);
        if any.into() {
            found = Some(credential);
        }
    }
    found
}

/// A new token. It is shown once and kept nowhere.
pub(crate) struct Token(String);

impl Token {
    /// From the machine's randomness, which may fail.
    pub(crate) fn generate() -> Result<Self, getrandom::Error> {
        let mut bytes = [0; TOKEN_BYTES];
        getrandom::fill(&mut bytes)?;
        Ok(Self(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes))))
    }

    /// The text itself, for the one place that shows it.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }

    /// What is kept of it.
    pub(crate) fn hash(&self) -> Digest {
        Digest::of(&[self.0.as_bytes()])
    }

    /// The credential for the configuration.
    pub(crate) fn toml(&self, name: &CredentialName, role: Role) -> String {
        let hash = self.hash();
        format!("[[admin.credential]]\nname = \"{name}\"\nrole = \"{role}\"\ntoken-sha256 = \"{hash}\"\n")
    }
}

/// Whether a text looks like a token, which has no place in a file.
pub(crate) fn is_token(text: &str) -> bool {
    text.starts_with(PREFIX)
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credential(name: &str, role: Role, tokens: &[&Token]) -> Credential {
        Credential { name: name.parse().unwrap(), role, hashes: tokens.iter().map(|token| token.hash()).collect() }
    }

    #[test]
    fn a_token_has_256_random_bits_and_is_never_printed() {
        let (one, other) = (Token::generate().unwrap(), Token::generate().unwrap());
        let bytes = |token: &Token| URL_SAFE_NO_PAD.decode(token.reveal().strip_prefix(PREFIX).unwrap()).unwrap();
        assert_eq!((bytes(&one).len(), bytes(&other).len()), (32, 32));
        assert_ne!(one.reveal(), other.reveal());
        assert_eq!(format!("{one:?}"), "***");
        assert!(!one.toml(&"ada".parse().unwrap(), Role::Viewer).contains(one.reveal()));
    }

    #[test]
    fn a_token_has_one_holder_and_every_other_text_has_none() {
        let tokens: Vec<Token> = (0..3).map(|_| Token::generate().unwrap()).collect();
        let all = [
            credential("ada", Role::Admin, &[&tokens[0]]),
            credential("grace", Role::Viewer, &[&tokens[1], &tokens[2]]),
            credential("nobody", Role::Admin, &[]),
        ];
        let name = |token: &[u8]| holder(&all, token).map(|found| found.name.as_str());
        assert_eq!(name(tokens[0].reveal().as_bytes()), Some("ada"));
        assert_eq!(name(tokens[1].reveal().as_bytes()), Some("grace"));
        assert_eq!(name(tokens[2].reveal().as_bytes()), Some("grace"));
        let hash = tokens[0].hash().to_string();
        for wrong in ["", "balm_", hash.as_str(), &tokens[0].reveal()[1..]] {
            assert_eq!(name(wrong.as_bytes()), None, "{wrong}");
        }
    }

    #[test]
    fn everybody_reads_operators_operate_approvers_approve_and_admins_do_it_all() {
        let may =
            |need| Role::WORDS.iter().filter(|(_, role)| role.may(need)).map(|(word, _)| *word).collect::<Vec<_>>();
        assert_eq!(may(Need::Read), ["viewer", "operator", "approver", "admin"]);
        assert_eq!(may(Need::Operate), ["operator", "admin"]);
        assert_eq!(may(Need::Approve), ["approver", "admin"]);
    }
}
