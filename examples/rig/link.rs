//! One connection of the generator: a socket, and what may lie between it and MQTT. WebSocket frames of publishers
//! were made before the clock started, one around each message with a mask of its own, as MQTT.js sends them; those
//! of the broker are taken off as they are read. Hands are shaken by rustls, with AES-128-GCM for every broker; what
//! is sealed after that is `sealed.rs`.

use std::io::{ErrorKind, IoSlice, Read, Write};
use std::net::TcpStream as Blocking;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use mio::net::TcpStream;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::process::Broker;
use crate::sealed::Tls;

/// What carries MQTT.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transport {
    Tcp,
    WebSocket,
    Tls,
}

/// A connection of the loop.
pub(crate) struct Link {
    pub(crate) stream: TcpStream,
    pub(crate) writable: bool,
    /// Set while the link stands in the loop's list of sockets to read.
    pub(crate) queued: bool,
    layer: Layer,
}

enum Layer {
    None,
    WebSocket(Frames),
    Tls(Box<Tls>),
}

impl Link {
    pub(crate) const fn plain(stream: TcpStream) -> Self {
        Self::new(stream, Layer::None)
    }

    const fn new(stream: TcpStream, layer: Layer) -> Self {
        Self {
            stream,
            writable: true,
            queued: false,
            layer,
        }
    }

    /// Puts MQTT in front of `buffer`: how many bytes, and whether the socket is empty now.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> Result<(usize, bool)> {
        if let Layer::Tls(tls) = &mut self.layer {
            return tls.read(&mut self.stream, buffer);
        }
        let Some(size) = read(&mut self.stream, buffer)? else {
            return Ok((0, true));
        };
        let data = match &mut self.layer {
            Layer::WebSocket(frames) => frames.take_off(&mut buffer[..size])?,
            _ => size,
        };
        Ok((data, size < buffer.len()))
    }

    /// Writes of `slices` what the socket takes: how many of their bytes are done with.
    pub(crate) fn write(&mut self, slices: &[IoSlice<'_>]) -> Result<usize> {
        if let Layer::Tls(tls) = &mut self.layer {
            let (size, writable) = tls.write(&mut self.stream, slices)?;
            self.writable = writable;
            return Ok(size);
        }
        match self.stream.write_vectored(slices) {
            Ok(size) => Ok(size),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                self.writable = false;
                Ok(0)
            }
            Err(error) => Err(error).context("write"),
        }
    }

    /// Whether bytes that were given to [`write`](Self::write) wait for the socket.
    pub(crate) fn holds_back(&self) -> bool {
        matches!(&self.layer, Layer::Tls(tls) if tls.holds_back())
    }
}

/// `None` when the socket is empty.
pub(crate) fn read(stream: &mut TcpStream, buffer: &mut [u8]) -> Result<Option<usize>> {
    match stream.read(buffer) {
        Ok(0) => bail!("the broker closed a connection"),
        Ok(size) => Ok(Some(size)),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error).context("read"),
    }
}

/// Where a reader is in the frames of a broker.
#[derive(Default)]
struct Frames {
    /// Bytes of the frame that are still to come.
    left: usize,
    /// Of a head that is not whole.
    head: Vec<u8>,
}

impl Frames {
    /// Leaves the data in front of `bytes`: so many.
    fn take_off(&mut self, bytes: &mut [u8]) -> Result<usize> {
        let (mut from, mut to) = (0, 0);
        while from < bytes.len() {
            if self.left > 0 {
                let count = self.left.min(bytes.len() - from);
                bytes.copy_within(from..from + count, to);
                self.left -= count;
                (from, to) = (from + count, to + count);
                continue;
            }
            if self.head.is_empty()
                && let Some((len, size)) = head(&bytes[from..])?
            {
                self.left = len;
                from += size;
                continue;
            }
            self.head.push(bytes[from]);
            from += 1;
            if let Some((len, _)) = head(&self.head)? {
                self.left = len;
                self.head.clear();
            }
        }
        Ok(to)
    }
}

/// Length of the data behind a head, and size of the head; `None` when it is not whole.
fn head(bytes: &[u8]) -> Result<Option<(usize, usize)>> {
    Ok(match *bytes {
        [first, ..] if first & 0x7f > 2 => bail!("a WebSocket frame that begins with {first:#x}"),
        [_, 126, a, b, ..] => Some((usize::from(u16::from_be_bytes([a, b])), 4)),
        [_, 127, a, b, c, d, e, f, g, h, ..] => {
            Some((usize::from_be_bytes([a, b, c, d, e, f, g, h]), 10))
        }
        [_, 126 | 127, ..] | [] | [_] => None,
        [_, len, ..] => Some((usize::from(len), 2)),
    })
}

/// Appends `data` as one frame of a client, with the mask of this number.
pub(crate) fn put_frame(data: &[u8], number: u32, out: &mut Vec<u8>) {
    out.push(0x82);
    match data.len() {
        len @ 0..=125 => out.push(0x80 | len as u8),
        len @ 126..=0xffff => {
            out.push(0x80 | 126);
            out.extend((len as u16).to_be_bytes());
        }
        len => {
            out.push(0x80 | 127);
            out.extend((len as u64).to_be_bytes());
        }
    }
    // Neighbours differ in all four bytes.
    let mask = number
        .wrapping_add(1)
        .wrapping_mul(0x9e37_79b9)
        .to_be_bytes();
    out.extend(mask);
    out.extend(data.iter().zip(mask.iter().cycle()).map(|(a, b)| a ^ b));
}

/// A connection that is still made, one packet after the other.
pub(crate) enum Dialled {
    Tcp(Blocking),
    /// With the bytes of a frame that are still to come.
    WebSocket(Blocking, usize),
    Tls(Box<StreamOwned<ClientConnection, Blocking>>),
}

impl Dialled {
    pub(crate) fn dial(broker: &Broker, transport: Transport) -> Result<Self> {
        let stream = Blocking::connect(broker.address(transport)?)?;
        stream.set_nodelay(true)?;
        match transport {
            Transport::Tcp => Ok(Self::Tcp(stream)),
            Transport::WebSocket => upgraded(stream),
            Transport::Tls => {
                let name = ServerName::try_from("localhost")?;
                let config = client_config(broker.certificate()?)?;
                let connection = ClientConnection::new(config, name)?;
                Ok(Self::Tls(Box::new(StreamOwned::new(connection, stream))))
            }
        }
    }

    /// For the loop.
    pub(crate) fn into_link(self) -> Result<Link> {
        let (stream, layer) = match self {
            Self::Tcp(stream) => (stream, Layer::None),
            Self::WebSocket(_, 1..) => bail!("more came in a frame than was asked for"),
            Self::WebSocket(stream, _) => (stream, Layer::WebSocket(Frames::default())),
            Self::Tls(both) => {
                let StreamOwned { conn, sock } = *both;
                (sock, Layer::Tls(Box::new(Tls::new(conn)?)))
            }
        };
        stream.set_nonblocking(true)?;
        Ok(Link::new(TcpStream::from_std(stream), layer))
    }
}

impl Read for Dialled {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(buffer),
            Self::Tls(stream) => stream.read(buffer),
            Self::WebSocket(stream, left) => {
                let mut start = Vec::new();
                while *left == 0 {
                    let mut one = [0];
                    stream.read_exact(&mut one)?;
                    start.push(one[0]);
                    let found = head(&start).map_err(std::io::Error::other)?;
                    *left = found.map_or(0, |(len, _)| len);
                }
                let room = buffer.len().min(*left);
                let size = stream.read(&mut buffer[..room])?;
                *left -= size;
                Ok(size)
            }
        }
    }
}

impl Write for Dialled {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write(bytes),
            Self::Tls(stream) => stream.write(bytes),
            Self::WebSocket(stream, _) => {
                let mut frame = Vec::new();
                put_frame(bytes, 0, &mut frame);
                stream.write_all(&frame)?;
                Ok(bytes.len())
            }
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        match self {
            Self::Tls(stream) => stream.flush(),
            _ => Ok(()),
        }
    }
}

fn upgraded(mut stream: Blocking) -> Result<Dialled> {
    let host = stream.peer_addr()?;
    write!(
        stream,
        "GET /mqtt HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Protocol: mqtt\r\n\r\n"
    )?;
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        let mut one = [0];
        stream.read_exact(&mut one)?;
        answer.push(one[0]);
    }
    if !answer.starts_with(b"HTTP/1.1 101") {
        bail!("no WebSocket: {}", String::from_utf8_lossy(&answer));
    }
    Ok(Dialled::WebSocket(stream, 0))
}

/// One suite, so that every broker has the same to do.
fn client_config(certificate: &CertificateDer<'static>) -> Result<Arc<ClientConfig>> {
    let provider = CryptoProvider {
        cipher_suites: vec![ring::cipher_suite::TLS13_AES_128_GCM_SHA256],
        ..ring::default_provider()
    };
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone())?;
    let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.enable_secret_extraction = true;
    Ok(Arc::new(config))
}
