//! Standard output whose reader may leave: `sequencer next orders --count 1000000 | head` is not a failure, and
//! must not panic.

use std::io::{self, BufWriter, ErrorKind, StdoutLock, Write};

use serde::Serialize;

use crate::core::printable::{printable, printable_json};

/// A writer that accepts a closed pipe: later output is dropped, and the command ends as if all of it had been
/// read.
#[derive(Debug)]
pub(super) struct Output<W> {
    to: W,
    closed: bool,
}

/// Standard output of this process.
pub(super) fn stdout() -> BufWriter<Output<StdoutLock<'static>>> {
    BufWriter::new(Output::new(io::stdout().lock()))
}

/// Prints a value as indented JSON.
pub(super) fn json(value: &impl Serialize, out: &mut impl Write) -> io::Result<()> {
    let text = serde_json::to_string_pretty(value)?;
    writeln!(out, "{}", printable_json(&text))
}

/// Prints the body of a reply in a line.
pub(super) fn body(body: &[u8], out: &mut impl Write) -> io::Result<()> {
    match std::str::from_utf8(body) {
        Ok(text) => writeln!(out, "{}", printable_json(text)),
        Err(_) => writeln!(out, "{}", printable(&String::from_utf8_lossy(body))),
    }
}

impl<W: Write> Output<W> {
    /// Wraps a writer.
    pub(super) fn new(to: W) -> Output<W> {
        Output { to, closed: false }
    }

    /// Returns the result of a write, or `otherwise` once the reader has left.
    fn unless_closed<T>(&mut self, result: io::Result<T>, otherwise: T) -> io::Result<T> {
        match result {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                self.closed = true;
                Ok(otherwise)
            }
            result => result,
        }
    }
}

impl<W: Write> Write for Output<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.closed {
            return Ok(bytes.len());
        }
        let written = self.to.write(bytes);
        self.unless_closed(written, bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.closed {
            return Ok(());
        }
        let flushed = self.to.flush();
        self.unless_closed(flushed, ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fails(ErrorKind);

    impl Write for Fails {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Err(self.0.into())
        }
    }

    #[test]
    fn a_reader_that_has_gone_is_no_failure_and_a_full_disk_is() {
        let mut gone = BufWriter::new(Output::new(Fails(ErrorKind::BrokenPipe)));
        for id in 0..100_000 {
            writeln!(gone, "{id}").unwrap();
        }
        gone.flush().unwrap();
        let mut full = Output::new(Fails(ErrorKind::StorageFull));
        assert!(writeln!(full, "1").is_err());
    }
}
