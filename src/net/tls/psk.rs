//! TLS with a key that both sides know and no certificate (RFC 4279; in TLS 1.3 RFC 8446, §2.2),
//! through OpenSSL, as rustls has none.
//!
//! [`PskConnection`] is one side of one connection without I/O: bytes of the socket in, bytes for
//! the socket out. [`PskStream`] is a client's, driven over a [`Stream`].

use std::fmt;
use std::io::{self, Read, Write};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use openssl::error::ErrorStack;
use openssl::ssl::{
    ErrorCode, Ssl, SslContext, SslContextBuilder, SslMethod, SslOptions, SslStream, SslVersion,
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::net::Stream;
use crate::net::tls::{KeyLogFile, PskKey, TlsFault, TlsOptions, TlsVersion};

/// What OpenSSL has room for (`PSK_MAX_IDENTITY_LEN`, `PSK_MAX_PSK_LEN`).
const IDENTITY_MAX: usize = 256;
const KEY_MAX: usize = 512;

/// Read from the socket at once; a TLS record is hardly longer.
const PORTION: usize = 16_384;

/// Without certificates only suites that need none: every one of TLS 1.2 that starts from a key.
/// Those of TLS 1.3 are not chosen this way.
const SUITES: &str = "PSK";

/// A client's configuration, read once and shared by its connections.
#[derive(Clone, Debug)]
pub(super) struct PskClient(SslContext);

impl PskClient {
    pub(super) fn new(options: &TlsOptions, known: &PskKey) -> Result<Self, TlsFault> {
        if known.key.is_empty() || known.key.len() > KEY_MAX {
            return Err(TlsFault::Psk("the key must have 1 to 512 bytes"));
        }
        // A NUL ends the identity.
        if known.identity.len() >= IDENTITY_MAX || known.identity.contains('\0') {
            return Err(TlsFault::Psk("the identity is too long, or holds a NUL"));
        }
        let mut builder = builder(options.version, options.ciphers.as_deref())?;
        let known = known.clone();
        builder.set_psk_client_callback(move |_, _, identity, key| {
            let name = known.identity.as_bytes();
            let (Some(name_room), Some(key_room)) = (
                identity.get_mut(..=name.len()),
                key.get_mut(..known.key.len()),
            ) else {
                return Ok(0);
            };
            name_room[..name.len()].copy_from_slice(name);
            name_room[name.len()] = 0;
            key_room.copy_from_slice(&known.key);
            Ok(known.key.len())
        });
        if !options.alpn.is_empty() {
            let mut list = Vec::new();
            for name in &options.alpn {
                list.push(u8::try_from(name.len()).unwrap_or(u8::MAX));
                list.extend_from_slice(name.as_bytes());
            }
            builder.set_alpn_protos(&list).map_err(config)?;
        }
        if let Some(path) = &options.key_log {
            let file = KeyLogFile::open(path)?;
            builder.set_keylog_callback(move |_, line| file.append(line));
        }
        Ok(Self(builder.build()))
    }

    /// The handshake, over a stream that stands.
    pub(super) async fn connect(&self, host: &str, stream: Stream) -> io::Result<PskStream> {
        let mut ssl = Ssl::new(&self.0).map_err(PskFault::of)?;
        if host.parse::<std::net::IpAddr>().is_err() && !host.contains('/') {
            ssl.set_hostname(host).map_err(PskFault::of)?;
        }
        ssl.set_connect_state();
        let mut stream = PskStream {
            stream,
            tls: PskConnection::new(ssl)?,
            scratch: vec![0; PORTION],
        };
        std::future::poll_fn(|cx| stream.poll_handshake(cx)).await?;
        Ok(stream)
    }
}

/// What both sides begin with.
pub(super) fn builder(
    version: Option<TlsVersion>,
    ciphers: Option<&str>,
) -> Result<SslContextBuilder, TlsFault> {
    let mut builder = SslContext::builder(SslMethod::tls()).map_err(config)?;
    let (least, most) = match version {
        None => (SslVersion::TLS1_2, None),
        Some(TlsVersion::Tls12) => (SslVersion::TLS1_2, Some(SslVersion::TLS1_2)),
        Some(TlsVersion::Tls13) => (SslVersion::TLS1_3, Some(SslVersion::TLS1_3)),
    };
    builder.set_min_proto_version(Some(least)).map_err(config)?;
    builder.set_max_proto_version(most).map_err(config)?;
    builder.set_options(SslOptions::NO_RENEGOTIATION);
    let suites = ciphers.unwrap_or(SUITES);
    builder
        .set_cipher_list(suites)
        .map_err(|_| TlsFault::Cipher(suites.to_owned()))?;
    Ok(builder)
}

pub(super) fn config(stack: ErrorStack) -> TlsFault {
    TlsFault::OpenSsl(reasons(&stack))
}

fn reasons(stack: &ErrorStack) -> String {
    let found: Vec<&str> = stack.errors().iter().filter_map(|e| e.reason()).collect();
    match found.is_empty() {
        true => "the connection was closed".to_owned(),
        false => found.join(", "),
    }
}

/// Why a handshake with keys, or what followed it, failed.
#[derive(Debug)]
pub struct PskFault(String);

impl PskFault {
    #[expect(clippy::needless_pass_by_value, reason = "for map_err")]
    fn of(stack: ErrorStack) -> io::Error {
        io::Error::other(Self(reasons(&stack)))
    }
}

impl fmt::Display for PskFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for PskFault {}

/// What TLS-PSK has to say about a failed connection, if it was that which failed.
pub fn psk_fault(error: &io::Error) -> Option<&PskFault> {
    error.get_ref()?.downcast_ref()
}

/// One side of one connection, without I/O.
#[derive(Debug)]
pub struct PskConnection {
    tls: SslStream<Wire>,
}

/// Both ends of the socket, as OpenSSL sees it.
#[derive(Debug, Default)]
struct Wire {
    /// Came from the socket; handled up to `at`.
    come: Vec<u8>,
    at: usize,
    /// Nothing more will come.
    is_closed: bool,
    /// To be written to the socket.
    out: Vec<u8>,
}

impl Read for Wire {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let held = &self.come[self.at..];
        if held.is_empty() {
            return match self.is_closed {
                true => Ok(0),
                false => Err(io::ErrorKind::WouldBlock.into()),
            };
        }
        let count = held.len().min(room.len());
        room[..count].copy_from_slice(&held[..count]);
        self.at += count;
        if self.at == self.come.len() {
            self.come.clear();
            self.at = 0;
        }
        Ok(count)
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl PskConnection {
    /// Takes an `Ssl` that knows which side it is.
    pub(super) fn new(ssl: Ssl) -> io::Result<Self> {
        let tls = SslStream::new(ssl, Wire::default()).map_err(PskFault::of)?;
        Ok(Self { tls })
    }

    /// What was agreed on.
    pub(super) fn ssl(&self) -> &openssl::ssl::SslRef {
        self.tls.ssl()
    }

    /// Bytes of the socket; none: it was closed.
    pub fn take(&mut self, bytes: &[u8]) {
        let wire = self.tls.get_mut();
        wire.is_closed |= bytes.is_empty();
        wire.come.extend_from_slice(bytes);
    }

    /// Bytes for the socket; what was written is to be drained.
    pub fn output(&mut self) -> &mut Vec<u8> {
        &mut self.tls.get_mut().out
    }

    /// Goes on with the handshake; true when it is done.
    pub fn handshake(&mut self) -> io::Result<bool> {
        match self.tls.do_handshake() {
            Ok(()) => Ok(true),
            Err(error) => self.waits(error).map(|()| false),
        }
    }

    /// Reads what the peer said: none when more of the socket is needed, 0 after its goodbye.
    pub fn read(&mut self, room: &mut [u8]) -> io::Result<Option<usize>> {
        match self.tls.ssl_read(room) {
            Ok(count) => Ok(Some(count)),
            Err(error) if error.code() == ErrorCode::ZERO_RETURN => Ok(Some(0)),
            Err(error) => self.waits(error).map(|()| None),
        }
    }

    /// Says this to the peer; returns how much of it was taken.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.is_empty() {
            return Ok(0);
        }
        match self.tls.ssl_write(bytes) {
            Ok(count) => Ok(count),
            Err(error) => self.waits(error).map(|()| 0),
        }
    }

    /// Says goodbye. That the peer says so too is not waited for.
    pub fn close(&mut self) {
        // A connection that has failed has nothing more to say.
        let _ = self.tls.shutdown();
    }

    /// Fails unless all that is missing are bytes of the socket.
    fn waits(&self, error: openssl::ssl::Error) -> io::Result<()> {
        match error.code() {
            ErrorCode::WANT_READ | ErrorCode::WANT_WRITE => Ok(()),
            _ if self.tls.get_ref().is_closed => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Err(match error.ssl_error() {
                Some(stack) => io::Error::other(PskFault(reasons(stack))),
                None => io::Error::other(PskFault("the connection was closed".to_owned())),
            }),
        }
    }
}

/// A client's connection over a stream.
#[derive(Debug)]
pub struct PskStream {
    stream: Stream,
    tls: PskConnection,
    scratch: Vec<u8>,
}

impl PskStream {
    fn poll_handshake(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let step = self.tls.handshake();
            // The alert that says why goes out before the end does.
            let written = self.poll_drain(cx);
            if step? {
                return Poll::Ready(Ok(()));
            }
            if let Poll::Ready(Err(error)) = written {
                return Poll::Ready(Err(error));
            }
            ready!(self.poll_fill(cx))?;
        }
    }

    /// Reads the socket once.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut room = ReadBuf::new(&mut self.scratch);
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut room))?;
        self.tls.take(room.filled());
        Poll::Ready(Ok(()))
    }

    /// Writes all that waits for the socket.
    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let out = self.tls.output();
        let mut at = 0;
        let mut result = Poll::Ready(Ok(()));
        while at < out.len() {
            match Pin::new(&mut self.stream).poll_write(cx, &out[at..]) {
                Poll::Ready(Ok(count)) if count > 0 => at += count,
                Poll::Ready(Ok(_)) => {
                    result = Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                    break;
                }
                other => {
                    result = other.map_ok(|_| ());
                    break;
                }
            }
        }
        out.drain(..at);
        result
    }
}

impl AsyncRead for PskStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            if let Some(count) = this.tls.read(buf.initialize_unfilled())? {
                buf.advance(count);
                return Poll::Ready(Ok(()));
            }
            // Reading can leave something to say: a new key in TLS 1.3.
            if let Poll::Ready(Err(error)) = this.poll_drain(cx) {
                return Poll::Ready(Err(error));
            }
            ready!(this.poll_fill(cx))?;
        }
    }
}

impl AsyncWrite for PskStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.poll_drain(cx))?;
        let portion = &bytes[..bytes.len().min(PORTION)];
        let count = this.tls.write(portion)?;
        if let Poll::Ready(Err(error)) = this.poll_drain(cx) {
            return Poll::Ready(Err(error));
        }
        Poll::Ready(Ok(count))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_drain(cx))?;
        Pin::new(&mut this.stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.tls.close();
        ready!(this.poll_drain(cx))?;
        Pin::new(&mut this.stream).poll_shutdown(cx)
    }
}
