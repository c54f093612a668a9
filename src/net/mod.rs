//! Bytes in, bytes out: how a connection to a broker comes to be, and what it is afterwards.
//!
//! [`Dial`] says where to and by which way; [`Dial::connect`] walks that way and gives a
//! [`Stream`]. What the bytes mean is nobody's business here: packets live in `mqtt`, and who
//! sends which one in `client`.
//!
//! ```text
//! Address ──► tcp, by way of a proxy if wished ──┐
//!        └──► unix ──────────────────────────────┴──► tls ──► websocket ──► Stream
//!                                                    (if wished)
//! ```
pub mod address;
#[cfg(unix)]
pub mod descriptors;
pub mod frames;
pub mod proxy;
pub mod proxy_header;
#[cfg(feature = "srv")]
pub mod srv;
pub mod tcp;
pub mod tls;
#[cfg(unix)]
mod unix;
pub mod upgrade;
pub mod websocket;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
#[cfg(unix)]
use tokio::net::UnixStream;
use tokio_rustls::client::TlsStream;

use crate::net::address::{Address, Transport};
use crate::net::proxy::Proxy;
use crate::net::tls::Tls;
use crate::net::websocket::WebSocket;

/// `Connection refused`: what the system says, without the number Rust puts behind it.
pub(crate) fn system_words(error: &io::Error) -> String {
    let text = error.to_string();
    match text.split_once(" (os error") {
        Some((words, _)) => words.to_owned(),
        None => text,
    }
}

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
    /// What others who share this have found out about the host's name.
    pub known: Option<Arc<tcp::Known>>,
    /// The host is a domain whose SRV records name the brokers (feature `srv`).
    pub service: Option<ServiceLookup>,
    /// Another machine that connects for us (TCP only).
    pub proxy: Option<Proxy>,
    /// TCP asks a silent peer whether it is there.
    pub probes: Option<Probes>,
    /// How long bytes that were sent may be unacknowledged by TCP (Linux).
    pub user_timeout: Option<Duration>,
    pub tls: Option<Tls>,
    /// Inside TLS, if both are wished.
    pub websocket: Option<WebSocket>,
    /// For the whole way, name look-up and handshakes included.
    pub timeout: Duration,
}

/// Ask DNS where a domain's brokers are.
#[derive(Clone, Copy, Debug, Default)]
pub struct ServiceLookup {
    /// The name server to ask; none: those the system is set up with.
    pub server: Option<SocketAddr>,
}

/// When TCP asks a silent peer, how often, and when it gives up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probes {
    /// Silence before the first question.
    pub idle: Duration,
    /// Between two questions.
    pub interval: Duration,
    /// Questions without an answer.
    pub count: u32,
}

impl Dial {
    /// Straight to `address`, no longer than 30 seconds.
    pub fn new(address: Address) -> Self {
        Self {
            address,
            bind: None,
            nodelay: true,
            known: None,
            service: None,
            proxy: None,
            probes: None,
            user_timeout: None,
            tls: None,
            websocket: None,
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

    /// The same without an end in time, for whoever has one of their own. What few need is boxed: a
    /// client's task is as large as the largest step it may ever take.
    pub async fn walk(&self) -> io::Result<Stream> {
        let mut stream = match self.address.transport {
            Transport::Tcp => Stream::Tcp(self.connect_tcp().await?),
            #[cfg(unix)]
            Transport::Unix => Stream::Unix(unix::connect(&self.address.host).await?),
            #[cfg(not(unix))]
            Transport::Unix => return Err(io::ErrorKind::Unsupported.into()),
        };
        if let Some(tls) = &self.tls {
            stream = Box::pin(tls.connect(&self.address.host, stream)).await?;
        }
        if let Some(websocket) = &self.websocket {
            let is_tls = self.tls.is_some();
            let opened = Box::pin(websocket.connect(&self.address, is_tls, stream)).await?;
            stream = Stream::WebSocket(Box::new(opened));
        }
        Ok(stream)
    }

    async fn connect_tcp(&self) -> io::Result<TcpStream> {
        let Address { host, port, .. } = &self.address;
        if let Some(service) = &self.service {
            return Box::pin(self.connect_service(service)).await;
        }
        let Some(proxy) = &self.proxy else {
            return tcp::connect(host, *port, self).await;
        };
        let reached = tcp::connect(&proxy.host, proxy.port, self).await;
        let mut stream = reached.map_err(|error| proxy.unreachable(error))?;
        Box::pin(proxy.ask(&mut stream, host, *port)).await?;
        Ok(stream)
    }
}

#[cfg(feature = "srv")]
impl Dial {
    /// The first of the domain's brokers that answers. A certificate must be made out to the domain:
    /// whoever forges an answer of DNS does not choose whom we trust.
    async fn connect_service(&self, service: &ServiceLookup) -> io::Result<TcpStream> {
        let domain = &self.address.host;
        let targets = srv::look_up(domain, self.tls.is_some(), service.server).await?;
        let mut failed = io::Error::from(io::ErrorKind::NotFound);
        for srv::Target { host, port } in &targets {
            match tcp::connect(host, *port, self).await {
                Ok(stream) => return Ok(stream),
                Err(error) => failed = error,
            }
        }
        Err(failed)
    }
}

#[cfg(not(feature = "srv"))]
impl Dial {
    async fn connect_service(&self, _: &ServiceLookup) -> io::Result<TcpStream> {
        Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "SRV look-ups are not built into this mqttx",
        ))
    }
}

/// A connection, whatever it is made of.
#[derive(Debug)]
pub enum Stream {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(UnixStream),
    Tls(Box<TlsStream<Self>>),
    #[cfg(feature = "psk")]
    Psk(Box<tls::psk::PskStream>),
    WebSocket(Box<websocket::Opened>),
}

/// Hands a call to whatever the stream is made of.
macro_rules! inner {
    ($stream:expr, $call:ident($($argument:expr),*)) => {
        match $stream.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).$call($($argument),*),
            #[cfg(unix)]
            Self::Unix(stream) => Pin::new(stream).$call($($argument),*),
            Self::Tls(stream) => Pin::new(&mut **stream).$call($($argument),*),
            #[cfg(feature = "psk")]
            Self::Psk(stream) => Pin::new(&mut **stream).$call($($argument),*),
            Self::WebSocket(stream) => Pin::new(&mut **stream).$call($($argument),*),
        }
    };
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        inner!(self, poll_read(cx, buf))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        inner!(self, poll_write(cx, bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        inner!(self, poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        inner!(self, poll_shutdown(cx))
    }
}
