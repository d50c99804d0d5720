//! Standard output, which may be a terminal, a file, or a pipe that its reader has left.

use std::io::{self, ErrorKind, Write};
use std::ops::ControlFlow;

use serde::Serialize;

/// Writes to standard output, painted on a terminal that wants it. Breaks when the reader is gone,
/// as `head` is after enough lines: that is no error.
///
/// # Errors
/// If it can't be written for any other reason.
pub(super) fn print(text: &str) -> io::Result<ControlFlow<()>> {
    put(&mut anstream::stdout(), text)
}

/// Writes a value as JSON, indented.
///
/// # Errors
/// As [`print`].
pub(super) fn json(value: &impl Serialize) -> io::Result<ControlFlow<()>> {
    print(&(serde_json::to_string_pretty(value)? + "\n"))
}

fn put(out: &mut impl Write, text: &str) -> io::Result<ControlFlow<()>> {
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(ControlFlow::Continue(())),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(ControlFlow::Break(())),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_that_left_is_no_error() {
        let (reader, mut writer) = io::pipe().unwrap();
        assert_eq!(put(&mut writer, "seen\n").unwrap(), ControlFlow::Continue(()));
        drop(reader);
        assert_eq!(put(&mut writer, "unseen\n").unwrap(), ControlFlow::Break(()));
    }

    #[test]
    fn a_full_disk_is_an_error() {
        let mut full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        assert!(put(&mut full, "lost\n").is_err());
    }
}
