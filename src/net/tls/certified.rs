//! A connection of a TLS listener with a certificate, without I/O: rustls shakes hands, `records` goes
//! on from there. Nothing is kept between two turns but a record that is not whole.

use std::ops::Range;
use std::sync::Arc;

use rustls::ProtocolVersion;
use rustls::pki_types::CertificateDer;
use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{ConnectionState, EncodeError, EncodeTlsData};

use crate::net::tls::ciphers;
use crate::net::tls::protection::HEAD_SIZE;
use crate::net::tls::records::Records;
use crate::net::tls::server::TlsServer;
use crate::net::tls::session::Established;

/// See the module.
pub(crate) struct Certified {
    state: State,
    server: Arc<TlsServer>,
    /// The client's, its own first.
    certificates: Box<[CertificateDer<'static>]>,
    established: Option<Box<Established>>,
    /// Of a record that is not whole.
    held: Vec<u8>,
    closed: bool,
}

enum State {
    Shaking(Box<Handshake>),
    Open(Box<Records>),
    Failed,
}

struct Handshake {
    tls: UnbufferedServerConnection,
    /// How much of what is held rustls has looked at: whole records, of a message that is not.
    seen: usize,
}

impl Certified {
    pub(super) fn new(server: &Arc<TlsServer>) -> Result<Self, rustls::Error> {
        let tls = UnbufferedServerConnection::new(server.config())?;
        Ok(Self {
            state: State::Shaking(Box::new(Handshake { tls, seen: 0 })),
            server: Arc::clone(server),
            certificates: Box::default(),
            established: None,
            held: Vec::new(),
            closed: false,
        })
    }

    pub(super) fn held(&self) -> &[u8] {
        &self.held
    }

    pub(super) fn reach(&self, plain: usize) -> usize {
        match &self.state {
            State::Open(records) => records.reach(&self.held, plain),
            State::Shaking(_) | State::Failed => plain,
        }
    }

    pub(super) fn read(
        &mut self,
        room: &mut [u8],
        sealed: Range<usize>,
        out: &mut Vec<u8>,
    ) -> (usize, Result<(), String>) {
        let (mut filled, mut rest, end) = (0, sealed.start, sealed.end);
        let mut result = match &mut self.state {
            State::Shaking(_) => self.shake_hands(&mut room[..end], &mut rest, out),
            State::Open(_) | State::Failed => Ok(()),
        };
        if let State::Open(records) = &mut self.state {
            let (taken, opened) = records.read(room, rest..end, out);
            result = opened.map_err(|error| error.to_string());
            self.closed |= records.is_closed();
            (filled, rest) = (taken.filled, taken.rest);
        }
        self.held = match result {
            Ok(()) => room[rest..end].to_vec(),
            Err(_) => Vec::new(),
        };
        (filled, result)
    }

    /// Takes what lies from `at` to the end of `room`, a record at a time: what is behind the last of
    /// the handshake is not for rustls, which could not hand over what it would have to say to that.
    fn shake_hands(
        &mut self,
        room: &mut [u8],
        at: &mut usize,
        out: &mut Vec<u8>,
    ) -> Result<(), String> {
        while let State::Shaking(handshake) = &mut self.state {
            let next = *at + handshake.seen;
            let record = record_size(&room[next..]);
            handshake.seen += record.unwrap_or(0);
            // What is not whole may be wrong already.
            let end = record.map_or(room.len(), |size| next + size);
            loop {
                let status = handshake.tls.process_tls_records(&mut room[*at..end]);
                let used = status.discard;
                let is_waiting = match status.state {
                    Ok(ConnectionState::EncodeTlsData(mut data)) => {
                        put(&mut data, out);
                        false
                    }
                    Ok(ConnectionState::TransmitTlsData(data)) => {
                        data.done();
                        false
                    }
                    Ok(ConnectionState::PeerClosed | ConnectionState::Closed) => {
                        self.closed = true;
                        true
                    }
                    Ok(_) => true,
                    Err(error) => {
                        let why = error.to_string();
                        // The alert that tells the client of it.
                        let rest = &mut room[*at + used..end];
                        let status = handshake.tls.process_tls_records(rest);
                        if let Ok(ConnectionState::EncodeTlsData(mut data)) = status.state {
                            put(&mut data, out);
                        }
                        self.state = State::Failed;
                        return Err(why);
                    }
                };
                *at += used;
                handshake.seen = handshake.seen.saturating_sub(used);
                if is_waiting {
                    break;
                }
            }
            self.open_records()?;
            if record.is_none() || self.closed {
                break;
            }
        }
        Ok(())
    }

    /// When hands are shaken.
    fn open_records(&mut self) -> Result<(), String> {
        let tls = match std::mem::replace(&mut self.state, State::Failed) {
            State::Shaking(handshake) if !handshake.tls.is_handshaking() => handshake.tls,
            other => {
                self.state = other;
                return Ok(());
            }
        };
        let version = match tls.protocol_version() {
            Some(ProtocolVersion::TLSv1_3) => "TLSv1.3",
            _ => "TLSv1.2",
        };
        let suite = tls.negotiated_cipher_suite();
        let cipher = suite.map_or("unknown", |suite| ciphers::name(suite.suite()));
        self.certificates = tls.peer_certificates().unwrap_or_default().into();
        self.established = Some(Box::new(Established {
            version,
            cipher: cipher.to_owned(),
            user_name: self.server.user_name(&self.certificates),
        }));
        let records = Records::new(tls).map_err(|error| error.to_string())?;
        self.state = State::Open(Box::new(records));
        Ok(())
    }

    pub(super) fn established(&mut self) -> Option<Established> {
        self.established.take().map(|established| *established)
    }

    /// Whether this client would be let in by `server`, too.
    pub(super) fn would_be_taken(&self, server: &TlsServer) -> bool {
        !matches!(self.state, State::Open(_)) || server.still_takes(&self.certificates)
    }

    /// Seals all of `parts` into `room`; returns how many bytes that gave.
    pub(super) fn write<'a>(
        &mut self,
        parts: impl Iterator<Item = &'a [u8]>,
        room: &mut [u8],
    ) -> usize {
        match &mut self.state {
            State::Open(records) => records.write(parts, room),
            State::Shaking(_) | State::Failed => 0,
        }
    }

    /// See [`Records::seal_apart`].
    pub(super) fn seal_apart(
        &mut self,
        room: &mut [u8],
        size: usize,
        around: &mut Vec<u8>,
    ) -> Option<(usize, usize)> {
        match &mut self.state {
            State::Open(records) => records
                .seal_apart(room, size, around)
                .then(|| records.around()),
            State::Shaking(_) | State::Failed => None,
        }
    }

    /// Says goodbye.
    pub(super) fn close(&mut self, out: &mut Vec<u8>) {
        if let State::Open(records) = &mut self.state {
            records.close(out);
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    /// Nothing can be sent any more.
    pub(super) fn is_over(&self) -> bool {
        match &self.state {
            State::Open(records) => records.is_over(),
            State::Shaking(_) => false,
            State::Failed => true,
        }
    }
}

/// The record at the front, if it is whole.
fn record_size(bytes: &[u8]) -> Option<usize> {
    let [_, _, _, high, low] = *bytes.first_chunk()?;
    let size = HEAD_SIZE + usize::from(u16::from_be_bytes([high, low]));
    (size <= bytes.len()).then_some(size)
}

fn put(data: &mut EncodeTlsData<'_, ServerConnectionData>, out: &mut Vec<u8>) {
    let start = out.len();
    loop {
        match data.encode(&mut out[start..]) {
            Ok(size) => return out.truncate(start + size),
            Err(EncodeError::InsufficientSize(short)) => {
                out.resize(start + short.required_size, 0);
            }
            Err(EncodeError::AlreadyEncoded) => return out.truncate(start),
        }
    }
}
