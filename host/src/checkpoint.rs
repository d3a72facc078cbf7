//! Signing: how far the journal has come, with a key of this host, from time to time.
//!
//! The key is made at the first start and lies in the data directory, for the host alone. What it signs is recorded, and
//! sent to notifiers that are to have it: kept there, it proves a cut or rewritten journal even to somebody who owns this
//! machine. It owns the key and when to sign; what is checked is the core's (`checkpoint`).

use std::{
    fs,
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use balm_core::{
    checkpoint,
    input::{Input, Reply},
    line::{self, Chain},
    name::Seq,
    record::{Checkpoint, Fact},
};
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use tokio::sync::watch;

use crate::{
    engine::Inbox,
    journal::{Log, LogError},
};

/// The key's file in the data directory: its seed (RFC 8032, 5.1.5), as 64 hexadecimal digits.
const FILE: &str = "checkpoint.key";

/// Bytes of a key's seed.
const SEED_BYTES: usize = 32;

/// Bytes of the journal that are read at once to see whether there is anything to sign.
const READ_BYTES: usize = 64 << 10;

/// A host's key.
pub(crate) struct Key {
    pair: Ed25519KeyPair,
    public: String,
}

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeyError {
    /// Its file cannot be read or written.
    #[error("the key of checkpoints, {file}, cannot be {what}: {source}")]
    Io {
        /// Which file.
        file: String,
        /// What was to be done.
        what: &'static str,
        /// Why not.
        source: io::Error,
    },
    /// Its file holds something else.
    #[error(
        "{0} holds no key: restore it, or move it away and another is made; whoever checks the journal then needs both public keys"
    )]
    Damaged(String),
}

impl Key {
    /// The key of a data directory; made now if there is none.
    pub(crate) fn open(data: &Path) -> Result<Self, KeyError> {
        match Self::find(data)? {
            Some(key) => Ok(key),
            None => make(data).and_then(|()| Self::find(data)?.ok_or_else(|| KeyError::Damaged(file(data)))),
        }
    }

    /// The key of a data directory, if it has one.
    pub(crate) fn find(data: &Path) -> Result<Option<Self>, KeyError> {
        let text = match fs::read_to_string(path(data)) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(KeyError::Io { file: file(data), what: "read", source }),
        };
        let seed = from_hex(text.trim()).filter(|seed| seed.len() == SEED_BYTES);
        let pair = seed.and_then(|seed| Ed25519KeyPair::from_seed_unchecked(&seed).ok());
        let pair = pair.ok_or_else(|| KeyError::Damaged(file(data)))?;
        let public = to_hex(pair.public_key().as_ref());
        Ok(Some(Self { pair, public }))
    }

    /// The public key, as 64 hexadecimal digits.
    pub(crate) fn public(&self) -> &str {
        &self.public
    }

    /// Sign how far a journal has come.
    pub(crate) fn sign(&self, host: &str, Chain { seq, hash }: Chain) -> Checkpoint {
        let signature = self.pair.sign(checkpoint::signed(host, seq, hash).as_bytes());
        let (key, signature) = (self.public.clone(), to_hex(signature.as_ref()));
        Checkpoint { host: host.to_owned(), seq, hash, key, signature }
    }
}

/// Whether a text was signed.
pub(crate) fn verify(key: &str, signature: &str, signed: &str) -> bool {
    let (Some(key), Some(signature)) = (from_hex(key), from_hex(signature)) else { return false };
    UnparsedPublicKey::new(&ED25519, key).verify(signed.as_bytes(), &signature).is_ok()
}

/// Where the key of a data directory is.
pub(crate) fn path(data: &Path) -> PathBuf {
    data.join(FILE)
}

fn file(data: &Path) -> String {
    path(data).display().to_string()
}

fn make(data: &Path) -> Result<(), KeyError> {
    let failed = |source| KeyError::Io { file: file(data), what: "made", source };
    let mut seed = [0; SEED_BYTES];
    getrandom::fill(&mut seed).map_err(|error| failed(io::Error::other(error)))?;
    let part = path(data).with_extension("part");
    let options = fs::File::options().write(true).create(true).truncate(true).mode(0o600).open(&part);
    let mut written = options.map_err(failed)?;
    writeln!(written, "{}", to_hex(&seed)).and_then(|()| written.sync_all()).map_err(failed)?;
    fs::rename(part, path(data)).map_err(failed)?;
    fs::File::open(data).and_then(|dir| dir.sync_all()).map_err(failed)
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    let digit = |c: u8| char::from(c).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    if !digits.len().is_multiple_of(2) {
        return None;
    }
    digits.chunks_exact(2).map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?)).collect()
}

/// Signs from time to time, as long as something happens.
pub(crate) struct Signer {
    pub(crate) key: Key,
    /// Who this host is.
    pub(crate) host: String,
    pub(crate) every: Duration,
    pub(crate) log: Arc<Log>,
    pub(crate) inbox: Inbox,
}

impl Signer {
    /// Until the host ends.
    pub(crate) async fn run(self, mut ended: watch::Receiver<bool>) {
        let mut signed = Seq::ZERO;
        loop {
            tokio::select! {
                () = tokio::time::sleep(self.every) => {}
                _ = ended.changed() => return,
            }
            match self.sign_after(signed).await {
                Ok(seq) => signed = seq,
                Err(error) => tracing::error!(%error, "the journal's head is not signed"),
            }
        }
    }

    /// Sign the head, if anything happened after a record. The last record that is signed.
    async fn sign_after(&self, signed: Seq) -> Result<Seq, LogError> {
        let (head, log) = (self.log.durable(), Arc::clone(&self.log));
        let worth = tokio::task::spawn_blocking(move || is_worth_signing(&log, signed)).await;
        // If reading failed by a bug of ours, the next time may go well.
        if !worth.unwrap_or(Ok(false))? {
            return Ok(signed);
        }
        let checkpoint = self.key.sign(&self.host, head);
        // Where there is no room for its record, it is signed the next time.
        let recorded = matches!(self.inbox.ask(Input::Checkpoint(checkpoint)).await, Ok(Reply::Recorded(_)));
        Ok(if recorded { head.seq } else { signed })
    }
}

/// Whether anything happened since a record but signing, telling of it, and time: an idle host's journal does not grow.
fn is_worth_signing(log: &Log, since: Seq) -> Result<bool, LogError> {
    let mut from = log.position(since.next().max(log.first()))?;
    loop {
        let (lines, next) = log.lines(from, READ_BYTES)?;
        if lines.is_empty() {
            return Ok(false);
        }
        let facts =
            lines.split(|c| *c == b'\n').filter_map(line::split).filter_map(|(_, json)| line::read_json(json).ok());
        let idle = |fact: &Fact| matches!(fact, Fact::Checkpoint(_) | Fact::NoticeSent(_) | Fact::TimePassed(_));
        if facts.map(|(record, _)| record.fact).any(|fact| !idle(&fact)) {
            return Ok(true);
        }
        from = next;
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use balm_core::digest::Digest;

    use super::*;
    use crate::test_dir::TestDir;

    fn head() -> Chain {
        Chain { seq: Seq(7), hash: Digest::of(&[b"head"]) }
    }

    #[test]
    fn the_key_is_made_once_for_its_owner_alone_and_stays_the_same() {
        let dir = TestDir::new("checkpoint-key");
        let made = Key::open(dir.path()).unwrap();
        let mode = fs::metadata(path(dir.path())).unwrap().permissions().mode();
        assert_eq!((mode & 0o777, made.public().len()), (0o600, 64));
        assert_eq!(Key::open(dir.path()).unwrap().public(), made.public());
        let other = TestDir::new("checkpoint-key-other");
        assert_ne!(Key::open(other.path()).unwrap().public(), made.public());
        fs::write(path(dir.path()), "no key").unwrap();
        assert!(matches!(Key::open(dir.path()), Err(KeyError::Damaged(_))), "another one is never made silently");
    }

    #[test]
    fn what_is_signed_is_believed_and_one_bit_less_is_not() {
        let dir = TestDir::new("checkpoint-sign");
        let Checkpoint { host, seq, hash, key, signature } = Key::open(dir.path()).unwrap().sign("host", head());
        assert!(verify(&key, &signature, &checkpoint::signed(&host, seq, hash)));
        assert!(!verify(&key, &signature, &checkpoint::signed("h0st", seq, hash)));
        assert!(!verify(&key, &signature, &checkpoint::signed(&host, seq.next(), hash)));
        for at in 0..signature.len() {
            let mut forged = signature.clone().into_bytes();
            forged[at] = if forged[at] == b'0' { b'1' } else { b'0' };
            assert!(!verify(&key, &String::from_utf8(forged).unwrap(), &checkpoint::signed(&host, seq, hash)), "{at}");
        }
        assert!(!verify("", &signature, "") && !verify(&key, "zz", ""));
    }

    /// RFC 8032, 7.1, TEST 2.
    #[test]
    fn keys_and_signatures_are_those_of_the_standard() {
        let dir = TestDir::new("checkpoint-rfc");
        let seed = "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb";
        fs::write(path(dir.path()), seed).unwrap();
        let key = Key::open(dir.path()).unwrap();
        assert_eq!(key.public(), "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c");
        assert_eq!(
            to_hex(key.pair.sign(b"r").as_ref()),
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da\
             085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
        );
    }
}
