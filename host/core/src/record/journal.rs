//! The journal's own records: its beginning, starts and ends of the host, what was saved, dropped, damaged and signed.

use serde::{Deserialize, Serialize};

use crate::{digest::Digest, name::Seq};

/// See [`Fact::Genesis`](super::Fact::Genesis).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Genesis {
    /// Who this host is: 32 random hexadecimal digits, for ever.
    pub host: String,
    /// The version of Balm that began the journal.
    pub version: String,
}

/// See [`Fact::HostStarted`](super::Fact::HostStarted).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct HostStarted {
    /// The version of Balm that runs.
    pub version: String,
    /// Of wasmtime: fuel is comparable within one version.
    pub engine: String,
}

/// See [`Fact::HostStopped`](super::Fact::HostStopped).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct HostStopped {
    /// Why: a signal's name.
    pub why: String,
}

/// See [`Fact::TailCut`](super::Fact::TailCut).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct TailCut {
    /// How many bytes.
    pub bytes: u64,
    /// The file in the data directory that keeps them.
    pub kept: String,
}

/// See [`Fact::LossAccepted`](super::Fact::LossAccepted).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct LossAccepted {
    /// The last record that something else had seen.
    pub known: Seq,
    /// What had seen it.
    pub by: String,
}

/// See [`Fact::StateSaved`](super::Fact::StateSaved).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct StateSaved {
    /// The last record that it is of.
    pub upto: Seq,
    /// Of the file.
    pub digest: Digest,
    /// How large the file is.
    pub bytes: u64,
    /// The version of its format; another version of Balm may not read it, and reads the records instead.
    pub version: u32,
}

/// See [`Fact::HistoryDropped`](super::Fact::HistoryDropped).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct HistoryDropped {
    /// The last record that is no longer kept.
    pub upto: Seq,
    /// Its hash: the first record that is kept follows it.
    pub hash: Digest,
    /// How many bytes of the disk become free.
    pub bytes: u64,
    /// By which bound.
    pub why: String,
}

/// See [`Fact::DamageFound`](super::Fact::DamageFound).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct DamageFound {
    /// The first record that cannot be read; everything before it was checked.
    pub seq: Seq,
    /// The file in the data directory.
    pub file: String,
    /// Where in it the record should begin.
    pub offset: u64,
    /// What is wrong.
    pub why: String,
}

/// See [`Fact::Checkpoint`](super::Fact::Checkpoint).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Checkpoint {
    /// Whose journal, as its `genesis` says.
    pub host: String,
    /// The record that was the last one then.
    pub seq: Seq,
    /// Its hash, which fixes every record up to it.
    pub hash: Digest,
    /// The public key of the host, Ed25519 (RFC 8032), as 64 hexadecimal digits.
    pub key: String,
    /// The signature over the text `balm checkpoint 1`, host, number and hash, each with a newline; 128 hexadecimal digits.
    pub signature: String,
}
