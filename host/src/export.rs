//! Exports: the journal as JSON lines, each with its hash, for whoever has no data directory of Balm.
//!
//! A line is the journal's own JSON with `,"hash":"<64 hexadecimal digits>"` put before its last brace, so that it is JSON
//! for everybody, and taking that out again gives back the bytes that the hash is over. It owns this form, written and
//! read; what the records mean is the core's business.

use std::{
    fs::File,
    io::{self, BufRead as _, BufReader, Write},
    path::Path,
};

use balm_core::{
    beginning::{self, Beginning, Unvouched},
    digest::Digest,
    line::{self, Chain, Line, LineError},
    name::Seq,
    record::Record,
};

use crate::journal::{self, OpenError};

/// Why an export cannot be written or believed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ExportError {
    /// The journal cannot be read.
    #[error(transparent)]
    Journal(#[from] OpenError),
    /// The disk or the pipe does not let us.
    #[error("{file} cannot be {what}: {source}")]
    Io {
        /// Which file.
        file: String,
        /// What was to be done.
        what: &'static str,
        /// Why not.
        source: io::Error,
    },
    /// Something else stands in a line.
    #[error("{file}:{line}: this is no line of an export")]
    NoLine {
        /// Which file.
        file: String,
        /// Which line.
        line: usize,
    },
    /// A line that is not what was written.
    #[error("{file}:{line}: record {seq} is not what was written: {why}")]
    Changed {
        /// Which file.
        file: String,
        /// Which line.
        line: usize,
        /// The record that should stand there.
        seq: Seq,
        /// What is wrong with it.
        why: LineError,
    },
    /// The last batch is not whole.
    #[error("{file} ends with record {seq}, and its batch goes on: the end is missing")]
    Unfinished {
        /// Which file.
        file: String,
        /// Its last record.
        seq: Seq,
    },
    /// Nothing says what came before the first record.
    #[error("{file} is not whole: {why}")]
    Beginning {
        /// Which file.
        file: String,
        /// What is missing.
        why: Unvouched,
    },
    /// There is nothing in it.
    #[error("{0} holds no record")]
    Empty(String),
}

/// Write a data directory's journal, beside a running host or without one, and let `each` see every record. That whoever
/// reads the export goes away early is no error.
pub(crate) fn write(
    data: &Path,
    name: &str,
    to: &mut dyn Write,
    mut each: impl FnMut(&Record),
) -> Result<(), ExportError> {
    let mut failed = None;
    journal::scan(data, |hash, record, line| {
        each(record);
        if let Some((_, json)) = line::split(line)
            && failed.is_none()
        {
            failed = to.write_all(&with_hash(json, &hash)).err();
        }
    })?;
    match failed.map_or_else(|| to.flush(), Err) {
        Err(source) if source.kind() != io::ErrorKind::BrokenPipe => {
            Err(ExportError::Io { file: name.to_owned(), what: "written", source })
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Check every line of an export, and hand each over. Returns where its chain stands.
pub(crate) fn scan(path: &Path, mut each: impl FnMut(&Line)) -> Result<Chain, ExportError> {
    let file = || path.display().to_string();
    let failed = |source| ExportError::Io { file: file(), what: "read", source };
    let lines = BufReader::new(File::open(path).map_err(failed)?);
    let (mut chain, mut goes_on, mut beginning) = (Chain::START, false, Beginning::default());
    for (number, text) in (1..).zip(lines.split(b'\n')) {
        let text = text.map_err(failed)?;
        let Some((json, hash)) = without_hash(&text) else {
            return Err(ExportError::NoLine { file: file(), line: number });
        };
        if chain == Chain::START {
            chain = before_first(&json).unwrap_or(chain);
        }
        let journals = [&hash.to_hex()[..], b" ", &json].concat();
        let seq = chain.seq.next();
        let line = line::read(chain, &journals).map_err(|why| ExportError::Changed {
            file: file(),
            line: number,
            seq,
            why,
        })?;
        each(&line);
        beginning.note(&line.record, line.framing);
        chain = Chain { seq: line.record.seq, hash: line.hash };
        goes_on = line.record.more;
    }
    match chain {
        Chain::START => Err(ExportError::Empty(file())),
        chain if goes_on => Err(ExportError::Unfinished { file: file(), seq: chain.seq }),
        chain => match beginning.check() {
            Ok(()) => Ok(chain),
            Err(why) => Err(ExportError::Beginning { file: file(), why }),
        },
    }
}

/// Where the chain stands before the first line of an export of a journal whose old records are no longer kept.
fn before_first(json: &[u8]) -> Option<Chain> {
    let (record, framing) = line::read_json(json).ok()?;
    beginning::before(record.seq, framing)
}

/// A line of an export, with its newline, from the journal's JSON.
fn with_hash(json: &[u8], hash: &Digest) -> Vec<u8> {
    let json = json.strip_suffix(b"}").unwrap_or(json);
    [json, b",\"hash\":\"", &hash.to_hex(), b"\"}\n"].concat()
}

/// The journal's JSON and the hash of a line of an export, which is without its newline.
fn without_hash(line: &[u8]) -> Option<(Vec<u8>, Digest)> {
    const END: usize = r#","hash":""}"#.len() + 64;
    let at = line.len().checked_sub(END)?;
    let hash = line[at..].strip_prefix(br#","hash":""#)?.strip_suffix(br#""}"#)?;
    Some(([&line[..at], b"}"].concat(), Digest::from_hex(hash)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exported_line_gives_back_the_journals_bytes() {
        let json = br#"{"v":1,"seq":1,"at":5,"kind":"time-passed","data":{}}"#;
        let hash = Digest::of(&[json]);
        let line = with_hash(json, &hash);
        assert!(serde_json::from_slice::<serde_json::Value>(&line).is_ok(), "it is JSON for everybody");
        assert_eq!(without_hash(line.strip_suffix(b"\n").unwrap()), Some((json.to_vec(), hash)));
        assert_eq!(without_hash(json), None);
    }
}
