//! The standard output: the one place through which every command speaks.
//!
//! A reader that has gone (`balm audit find | head`) is no mistake. What is said then is lost, and the command comes to its own end
//! with its own exit code: what it was to do is done, and what it found is told by that code. Only a command whose whole work is
//! what it says ends early. An output that cannot be written for another reason, a full disk, is an error.

use std::io::{self, Write};

/// Whether anybody still reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reader {
    Listens,
    Gone,
}

/// The standard output could not be written, though it has a reader.
#[derive(Debug, thiserror::Error)]
#[error("the standard output cannot be written: {0}")]
pub(super) struct Unwritable(io::Error);

impl Unwritable {
    /// Of an error of the standard output; none if that only says that its reader has gone.
    fn of(error: io::Error) -> Result<Reader, Self> {
        if error.kind() == io::ErrorKind::BrokenPipe { Ok(Reader::Gone) } else { Err(Self(error)) }
    }
}

/// Say a line, in the form of `format!`.
macro_rules! say {
    ($($words:tt)*) => { $crate::cli::out::write(format!("{}\n", format_args!($($words)*)).as_bytes()) };
}
pub(super) use say;

/// Write as it is, and at once.
pub(super) fn write(bytes: impl AsRef<[u8]>) -> Result<Reader, Unwritable> {
    write_to(&mut io::stdout().lock(), bytes.as_ref())
}

/// The same for what comes in many small pieces. Its errors are told by who writes them.
pub(super) fn in_pieces() -> impl Write {
    io::BufWriter::new(io::stdout().lock())
}

/// A line for whoever watches, beside the output. Nothing can be told of its failure to anybody.
pub(crate) fn aside(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

fn write_to(out: &mut dyn Write, bytes: &[u8]) -> Result<Reader, Unwritable> {
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Ok(()) => Ok(Reader::Listens),
        Err(error) => Unwritable::of(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An output that fails with this error.
    struct Failing(io::ErrorKind);

    impl Write for Failing {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Err(self.0.into())
        }
    }

    #[test]
    fn a_reader_that_has_gone_is_no_mistake_and_a_full_disk_is_one() {
        assert_eq!(write_to(&mut Vec::new(), b"a").expect("it is written"), Reader::Listens);
        assert_eq!(write_to(&mut Failing(io::ErrorKind::BrokenPipe), b"a").expect("no mistake"), Reader::Gone);
        let full = write_to(&mut Failing(io::ErrorKind::StorageFull), b"a").expect_err("a mistake").to_string();
        assert!(full.starts_with("the standard output cannot be written: "), "{full}");
    }
}
