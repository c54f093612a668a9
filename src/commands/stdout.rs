//! Messages to standard output: at once when idle, in blocks under load.
//!
//! What is rendered collects in a buffer; it leaves when the connection has nothing more to read
//! at the moment, or when a block is full. A reader that has gone away ends the command quietly.

use std::fs::File;
use std::io;
use std::io::Write;
use std::path::Path;
use std::pin::Pin;
use std::task::Context;
use std::time::Duration;

/// Bytes that are written at once under load.
const BLOCK: usize = 64 * 1024;

/// How long to wait for a terminal that takes nothing just now, before trying again.
const PAUSE: Duration = Duration::from_millis(1);

pub(crate) struct Stdout {
    file: File,
    /// Ends when whoever reads the pipe behind it is gone.
    reader: Option<Pin<Box<dyn Future<Output = ()>>>>,
    pub(crate) buffer: Vec<u8>,
    /// The reader is gone, or the disk is full: nothing can be written any more.
    pub(crate) failed: Option<io::Error>,
}

impl Stdout {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {
            file: duplicate()?,
            reader: None,
            buffer: Vec::new(),
            failed: None,
        })
    }

    /// The same into a file.
    pub(crate) fn to(path: &Path) -> io::Result<Self> {
        Ok(Self {
            file: File::create(path)?,
            reader: None,
            buffer: Vec::new(),
            failed: None,
        })
    }

    /// From now on `look` tells when the reader of a pipe goes, before anything is written to it.
    /// Must be called inside the runtime.
    #[cfg(target_os = "linux")]
    pub(crate) fn watch(&mut self) {
        use std::os::unix::fs::FileTypeExt;
        use tokio::io::Interest;
        use tokio::net::unix::pipe::Sender;
        let is_pipe = |file: &File| file.metadata().is_ok_and(|of| of.file_type().is_fifo());
        if self.reader.is_some() || !is_pipe(&self.file) {
            return;
        }
        let pipe = self.file.try_clone();
        let pipe = pipe.and_then(|pipe| Sender::from_owned_fd_unchecked(pipe.into()));
        // Where the system does not tell, the next message does.
        if let Ok(pipe) = pipe {
            self.reader = Some(Box::pin(async move {
                let _gone = pipe.ready(Interest::ERROR).await;
            }));
        }
    }

    #[cfg(not(target_os = "linux"))]
    pub(crate) fn watch(&mut self) {}

    pub(crate) fn look(&mut self, cx: &mut Context<'_>) {
        if let Some(reader) = &mut self.reader
            && reader.as_mut().poll(cx).is_ready()
        {
            self.reader = None;
            self.failed
                .get_or_insert_with(|| io::ErrorKind::BrokenPipe.into());
        }
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
