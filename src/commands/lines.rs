//! Standard input, by the line, read ahead by so much and no more.
//!
//! A thread of its own reads blocks, since a terminal or a pipe cannot be waited for otherwise; a
//! short queue holds them, and when it is full the thread waits: a slow broker slows down whoever
//! writes to us, and memory stays flat.

use std::io;
use std::io::Read;
use std::task::{Context, Poll};

use tokio::sync::mpsc;

use crate::mqtt::limits;

/// Bytes read at once.
const BLOCK: usize = 64 * 1024;

/// Blocks waiting to be split.
const AHEAD: usize = 4;

type Block = io::Result<Vec<u8>>;

#[derive(Debug)]
pub(crate) struct Lines {
    blocks: mpsc::Receiver<Block>,
    block: Vec<u8>,
    at: usize,
    /// A line put together from several blocks.
    line: Vec<u8>,
    /// The line above was handed out and can go.
    line_is_out: bool,
    ended: bool,
}

/// What there is to publish.
#[derive(Debug)]
pub(crate) enum Next<'a> {
    Line(&'a [u8]),
    /// Nothing yet; the task is woken when there is.
    Wait,
    End,
    Failed(io::Error),
}

impl Lines {
    pub(crate) fn new(mut input: impl Read + Send + 'static) -> Self {
        let (sender, blocks) = mpsc::channel(AHEAD);
        std::thread::spawn(move || {
            loop {
                let mut block = vec![0; BLOCK];
                let read = match input.read(&mut block) {
                    Ok(0) => return,
                    Ok(read) => read,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    Err(error) => {
                        let _ = sender.blocking_send(Err(error));
                        return;
                    }
                };
                block.truncate(read);
                if sender.blocking_send(Ok(block)).is_err() {
                    return;
                }
            }
        });
        Self {
            blocks,
            block: Vec::new(),
            at: 0,
            line: Vec::new(),
            line_is_out: false,
            ended: false,
        }
    }

    /// The next line, without its newline. What follows the last newline is a line too, unless
    /// it is empty.
    pub(crate) fn next(&mut self, cx: &mut Context<'_>) -> Next<'_> {
        if self.line_is_out {
            self.line_is_out = false;
            self.line.clear();
        }
        loop {
            let start = self.at;
            if let Some(end) = self.block[start..].iter().position(|&byte| byte == b'\n') {
                self.at = start + end + 1;
                let part = start..start + end;
                if self.line.is_empty() {
                    return Next::Line(&self.block[part]);
                }
                self.line.extend_from_slice(&self.block[part]);
                self.line_is_out = true;
                return Next::Line(&self.line);
            }
            self.line.extend_from_slice(&self.block[start..]);
            self.block.clear();
            self.at = 0;
            if self.line.len() > limits::PACKET_SIZE_MAX {
                let told = "a line is longer than a packet can be";
                return Next::Failed(io::Error::new(io::ErrorKind::InvalidData, told));
            }
            if self.ended {
                if self.line.is_empty() {
                    return Next::End;
                }
                self.line_is_out = true;
                return Next::Line(&self.line);
            }
            match self.blocks.poll_recv(cx) {
                Poll::Pending => return Next::Wait,
                Poll::Ready(None) => self.ended = true,
                Poll::Ready(Some(Ok(block))) => self.block = block,
                Poll::Ready(Some(Err(error))) => return Next::Failed(error),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A reader that gives so many bytes at a time.
    struct Trickle(Vec<u8>, usize);

    impl Read for Trickle {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            let count = self.1.min(self.0.len()).min(out.len());
            out[..count].copy_from_slice(&self.0[..count]);
            self.0.drain(..count);
            Ok(count)
        }
    }

    async fn all(text: &str, step: usize) -> Vec<String> {
        let mut lines = Lines::new(Trickle(text.as_bytes().to_vec(), step));
        let mut found = Vec::new();
        std::future::poll_fn(|cx| {
            loop {
                match lines.next(cx) {
                    Next::Line(line) => found.push(String::from_utf8_lossy(line).into_owned()),
                    Next::Wait => return Poll::Pending,
                    Next::End => return Poll::Ready(()),
                    Next::Failed(error) => panic!("{error}"),
                }
            }
        })
        .await;
        found
    }

    #[tokio::test]
    async fn lines_whatever_the_blocks() {
        for step in [1, 2, 3, 7, 100] {
            assert_eq!(
                all("one\n\nthree\nlast", step).await,
                ["one", "", "three", "last"]
            );
            assert_eq!(all("\n", step).await, [""]);
            assert_eq!(all("", step).await, [""; 0]);
        }
    }
}
