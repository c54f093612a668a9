//! One connection of a bridge: whole packets in, bytes out.

use std::io;

use bytes::Buf;
use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};

use crate::mqtt::Packet;
use crate::mqtt::Version;
use crate::mqtt::frame::{self, Scan};
use crate::net::Stream;

/// Bytes read at a time.
const READ_SIZE: usize = 65_536;

pub(crate) struct Pipe {
    pub(crate) reader: Reader,
    pub(crate) writer: Writer,
}

pub(crate) struct Reader {
    half: ReadHalf<Stream>,
    buffer: BytesMut,
    version: Version,
    size_max: usize,
}

pub(crate) struct Writer(WriteHalf<Stream>);

impl Pipe {
    pub(crate) fn new(stream: Stream, version: Version, size_max: usize) -> Self {
        let (half, writer) = tokio::io::split(stream);
        Self {
            reader: Reader {
                half,
                buffer: BytesMut::new(),
                version,
                size_max,
            },
            writer: Writer(writer),
        }
    }
}

impl Reader {
    /// Reads what is there. An end is an error, too: there is no use in it for anybody.
    pub(crate) async fn fill(&mut self) -> io::Result<()> {
        self.buffer.reserve(READ_SIZE);
        match self.half.read_buf(&mut self.buffer).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }

    /// Hands every whole packet to `take` until that has enough.
    pub(crate) fn packets(&mut self, mut take: impl FnMut(&Packet<'_>) -> bool) -> io::Result<()> {
        loop {
            let head = match frame::scan(&self.buffer, self.size_max) {
                Ok(Scan::Head(head)) if head.total() <= self.buffer.len() => head,
                Ok(_) => return Ok(()),
                Err(violation) => return Err(io::Error::other(violation.what)),
            };
            let packet = Packet::decode(&self.buffer[..head.total()], self.version);
            let packet = packet.map_err(|violation| io::Error::other(violation.what))?;
            let goes_on = take(&packet);
            self.buffer.advance(head.total());
            if !goes_on {
                return Ok(());
            }
        }
    }

    /// Whether what came is a CONNACK of the versions before 5 that refuses.
    pub(crate) fn is_older_refusal(&self) -> bool {
        matches!(self.buffer[..], [0x20, 2, _, code] if code > 0)
    }

    /// The next packet, which is waited for.
    pub(crate) async fn next<T>(&mut self, take: impl Fn(&Packet<'_>) -> T) -> io::Result<T> {
        loop {
            let mut found = None;
            self.packets(|packet| {
                found = Some(take(packet));
                false
            })?;
            match found {
                Some(found) => return Ok(found),
                None => self.fill().await?,
            }
        }
    }
}

impl Writer {
    /// Writes what the system takes of it.
    pub(crate) async fn drain(&mut self, bytes: &mut Vec<u8>) -> io::Result<()> {
        let count = self.0.write(bytes).await?;
        if count == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        self.0.flush().await?;
        bytes.drain(..count);
        Ok(())
    }

    /// Writes all of it.
    pub(crate) async fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes).await?;
        self.0.flush().await
    }

    /// Writes the last bytes there are, as far as the other side takes them.
    pub(crate) async fn close(&mut self, bytes: &[u8]) {
        // The connection ends anyway.
        let _ = self.put(bytes).await;
        let _ = self.0.shutdown().await;
    }
}
