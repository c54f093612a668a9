//! A connection of a TLS listener without I/O: bytes of the socket in, bytes for the socket out. With
//! a certificate it is rustls that speaks, with keys (feature `psk`) OpenSSL.

use std::ops::Range;
use std::sync::Arc;

use crate::net::tls::TlsFault;
use crate::net::tls::certified::Certified;
#[cfg(feature = "psk")]
use crate::net::tls::psk_server::Keyed;
#[cfg(feature = "psk")]
use crate::net::tls::psk_server::PskServer;
use crate::net::tls::server::TlsServer;

/// Bytes of plain text in a record at most (RFC 8446, §5.1).
pub(crate) const RECORD_MAX: usize = 16_384;

/// What a record adds, in any version, and then some.
const RECORD_EXTRA: usize = 64;

/// What a listener says of itself when nothing was sealed yet, and goodbyes.
const SPOKEN_MAX: usize = 4_096;

/// Room for `size` bytes of plain text and a record before them, once sealed.
pub(crate) const fn sealed_max(size: usize) -> usize {
    size + (2 * (size / RECORD_MAX) + 4) * RECORD_EXTRA + SPOKEN_MAX
}

/// A TLS listener's side.
#[derive(Clone, Debug)]
pub enum Server {
    /// It has a certificate.
    Certificate(Arc<TlsServer>),
    /// Keys are known to both.
    #[cfg(feature = "psk")]
    Keys(Arc<PskServer>),
}

impl Server {
    /// Reads its files again, for connections from now on. An error leaves all as it was.
    pub fn reload(&self) -> Result<(), TlsFault> {
        match self {
            Self::Certificate(server) => server.reload(),
            #[cfg(feature = "psk")]
            Self::Keys(server) => server.reload(),
        }
    }
}

/// See the module.
pub(crate) enum Session {
    Certificate(Certified),
    #[cfg(feature = "psk")]
    Keys(Box<Keyed>),
}

/// What a handshake led to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Established {
    /// `TLSv1.3`.
    pub(crate) version: &'static str,
    /// As OpenSSL calls it.
    pub(crate) cipher: String,
    /// Who the client is, where its certificate or key says so.
    pub(crate) user_name: Option<String>,
}

macro_rules! each {
    ($session:expr, $inner:ident => $what:expr) => {
        match $session {
            Session::Certificate($inner) => $what,
            #[cfg(feature = "psk")]
            Session::Keys($inner) => $what,
        }
    };
}

impl Session {
    /// A connection to this server that is to begin.
    pub(crate) fn new(server: &Server) -> Result<Self, String> {
        match server {
            Server::Certificate(server) => Certified::new(server)
                .map(Self::Certificate)
                .map_err(|error| error.to_string()),
            #[cfg(feature = "psk")]
            Server::Keys(server) => Keyed::new(server)
                .map(|keyed| Self::Keys(Box::new(keyed)))
                .map_err(|error| error.to_string()),
        }
    }

    /// What was not whole before, to be put in front of what is read next: less than a record, or,
    /// while hands are shaken, than a message of many records.
    pub(crate) fn held(&self) -> &[u8] {
        each!(self, inner => inner.held())
    }

    /// How much to read behind [`held`](Self::held) for at least `plain` bytes of plain text, so that
    /// it ends where a record does, as far as that can be told.
    pub(crate) fn reach(&self, plain: usize) -> usize {
        each!(self, inner => inner.reach(plain))
    }

    /// Takes the bytes of the socket that lie at `sealed` in `room`, [`held`](Self::held)'s in
    /// front; answers are appended to `out`. Returns how many bytes at the front of `room` are plain
    /// text now: `sealed` begins [`RECORD_MAX`] behind it, so that none is overwritten before it is
    /// opened, and no second buffer pushes this one out of the processor's cache. A fault is the end,
    /// and behind them.
    pub(crate) fn read(
        &mut self,
        room: &mut [u8],
        sealed: Range<usize>,
        out: &mut Vec<u8>,
    ) -> (usize, Result<(), String>) {
        each!(self, inner => inner.read(room, sealed, out))
    }

    /// What the handshake led to, once, when it is over.
    pub(crate) fn established(&mut self) -> Option<Established> {
        each!(self, inner => inner.established())
    }

    /// Seals all of `parts` into `room`, which has place for them ([`sealed_max`]); returns how many
    /// bytes that gave.
    pub(crate) fn write<'a>(
        &mut self,
        parts: impl Iterator<Item = &'a [u8]>,
        room: &mut [u8],
    ) -> usize {
        each!(self, inner => inner.write(parts, room))
    }

    /// Seals the `size` bytes at the front of `room` where they are; behind them there is at least one
    /// that is given back as it was. What belongs around each [`RECORD_MAX`] of them is put into
    /// `around`, piece by piece; returns how much of it comes before each, and how much behind. `None`:
    /// they are as they were, for [`write`](Self::write).
    pub(crate) fn seal_apart(
        &mut self,
        room: &mut [u8],
        size: usize,
        around: &mut Vec<u8>,
    ) -> Option<(usize, usize)> {
        match self {
            Self::Certificate(inner) => inner.seal_apart(room, size, around),
            // OpenSSL has memory of its own.
            #[cfg(feature = "psk")]
            Self::Keys(_) => None,
        }
    }

    /// Says goodbye.
    pub(crate) fn close(&mut self, out: &mut Vec<u8>) {
        each!(self, inner => inner.close(out));
    }

    /// The client said goodbye.
    pub(crate) fn is_closed(&self) -> bool {
        each!(self, inner => inner.is_closed())
    }

    /// Nothing can be sent any more.
    pub(crate) fn is_over(&self) -> bool {
        each!(self, inner => inner.is_over())
    }

    /// Whether the client would be let in by this server, too.
    pub(crate) fn would_be_taken(&self, server: &Server) -> bool {
        match (self, server) {
            (Self::Certificate(inner), Server::Certificate(server)) => inner.would_be_taken(server),
            #[cfg(feature = "psk")]
            (Self::Keys(inner), Server::Keys(server)) => inner.would_be_taken(server),
            #[cfg(feature = "psk")]
            _ => false,
        }
    }
}
