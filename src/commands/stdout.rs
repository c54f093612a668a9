//! Messages to standard output: at once when idle, in blocks under load.
//!
//! What is rendered collects in a buffer; it leaves when the connection has nothing more to read
//! at the moment, or when a block is full. A reader that has gone away ends the command quietly.

use std::fs::File;
use std::io;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

/// Bytes that are written at once under load.
const BLOCK: usize = 64 * 1024;

/// How long to wait for a terminal that takes nothing just now, before trying again.
const PAUSE: Duration = Duration::from_millis(1);

#[derive(Debug)]
pub(crate) struct Stdout {
    file: File,
    pub(crate) buffer: Vec<u8>,
    /// The reader is gone, or the disk is full: nothing can be written any more.
    pub(crate) failed: Option<io::Error>,
}

impl Stdout {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {
            file: duplicate()?,
            buffer: Vec::new(),
            failed: None,
        })
    }

    /// The same into a file.
    pub(crate) fn to(path: &Path) -> io::Result<Self> {
        Ok(Self {
            file: File::create(path)?,
            buffer: Vec::new(),
            failed: None,
        })
    }

    /// Writes the buffer if it is a block.
    #[inline]
    pub(crate) fn settle(&mut self) {
        if self.buffer.len() >= BLOCK {
            self.flush();
        }
    }

    pub(crate) fn flush(&mut self) {
        let mut at = 0;
        while at < self.buffer.len() && self.failed.is_none() {
            match self.file.write(&self.buffer[at..]) {
                Ok(written) => at += written,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    std::thread::sleep(PAUSE);
                }
                Err(error) => self.failed = Some(error),
            }
        }
        self.buffer.clear();
    }
}

/// The standard library's own stdout looks for newlines in every block; this file does not.
#[cfg(unix)]
fn duplicate() -> io::Result<File> {
    use std::os::fd::AsFd;
    Ok(File::from(io::stdout().as_fd().try_clone_to_owned()?))
}

#[cfg(windows)]
fn duplicate() -> io::Result<File> {
    use std::os::windows::io::AsHandle;
    Ok(File::from(io::stdout().as_handle().try_clone_to_owned()?))
}
