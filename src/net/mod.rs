//! Bytes in, bytes out: how a connection to a broker comes to be, and what it is afterwards.
//!
//! [`Dial`] says where to and by which way; [`Dial::connect`] walks that way and gives a
//! [`Stream`]. What the bytes mean is nobody's business here: packets live in `mqtt`, and who
//! sends which one in `client`.
//!
//! ```text
//! Address ──► tcp or unix ──► Stream
//! ```
pub mod address;
pub mod tcp;

use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::net::address::{Address, Transport};

/// Where to, and by which way.
#[derive(Clone, Debug)]
pub struct Dial {
    pub address: Address,
    /// The local address to speak from; several let one machine hold more connections than one
    /// address has ports.
    pub bind: Option<IpAddr>,
    /// Small packets leave at once instead of waiting for the peer's acknowledgement of the last
    /// ones. The writer collects what belongs together itself, so there is no reason to turn it
    /// off but imitation.
    pub nodelay: bool,
    /// For the whole way, name look-up included.
    pub timeout: Duration,
}

impl Dial {
    /// Straight to `address`, no longer than 30 seconds.
    pub fn new(address: Address) -> Self {
        Self {
            address,
            bind: None,
            nodelay: true,
            timeout: Duration::from_secs(30),
        }
    }

    /// Walks the whole way; an error says at which step it ended.
    pub async fn connect(&self) -> io::Result<Stream> {
        match tokio::time::timeout(self.timeout, self.walk()).await {
            Ok(result) => result,
            Err(_) => Err(io::Error::new(
                io::ErrorKind::TimedOut,
                format!(
                    "no connection to {} within {:?}",
                    self.address, self.timeout
                ),
            )),
        }
    }

    async fn walk(&self) -> io::Result<Stream> {
        match self.address.transport {
            Transport::Tcp => {
                let stream = tcp::connect(&self.address.host, self.address.port, self).await?;
                Ok(Stream::Tcp(stream))
            }
        }
    }
}

/// A connection, whatever it is made of.
#[derive(Debug)]
pub enum Stream {
    Tcp(TcpStream),
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
