//! A connection of a TLS listener with a certificate, without I/O: rustls shakes hands, `records` goes
//! on from there. Nothing is kept between two turns but a record that is not whole.

use std::ops::Range;
use std::sync::Arc;

use rustls::ProtocolVersion;
use rustls::pki_types::CertificateDer;
use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{ConnectionState, EncodeError, EncodeTlsData};

use crate::net::tls::ciphers;
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
    Shaking(Box<UnbufferedServerConnection>),
    Open(Box<Records>),
    Failed,
}

impl Certified {
    pub(super) fn new(server: &Arc<TlsServer>) -> Result<Self, rustls::Error> {
        let tls = UnbufferedServerConnection::new(server.config())?;
        Ok(Self {
            state: State::Shaking(Box::new(tls)),
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
    ) -> Result<usize, String> {
        let end = sealed.end;
        let (filled, rest) = match &mut self.state {
            State::Shaking(_) => self.shake_hands(room, sealed, out)?,
            State::Open(records) => {
                let taken = records.read(room, sealed, out);
                let taken = taken.map_err(|error| error.to_string())?;
                self.closed = records.is_closed();
                (taken.filled, taken.rest)
            }
            State::Failed => (0, end),
        };
        self.held = room[rest..end].to_vec();
        Ok(filled)
    }

    /// What came behind the last message of the handshake with the same read is opened here, too.
    /// Returns how much that was, and where what is not whole begins.
    fn shake_hands(
        &mut self,
        room: &mut [u8],
        sealed: Range<usize>,
        out: &mut Vec<u8>,
    ) -> Result<(usize, usize), String> {
        let (mut at, end, mut filled) = (sealed.start, sealed.end, 0);
        while let State::Shaking(tls) = &mut self.state {
            let (front, rest) = room[..end].split_at_mut(at);
            let status = tls.process_tls_records(rest);
            let mut used = status.discard;
            match status.state {
                Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                    while let Some(record) = traffic.next_record() {
                        let record = record.map_err(|error| error.to_string())?;
                        used += record.discard;
                        let place = filled..filled + record.payload.len();
                        filled = place.end;
                        let place = front.get_mut(place).ok_or("a record that is too long")?;
                        place.copy_from_slice(record.payload);
                    }
                }
                Ok(ConnectionState::EncodeTlsData(mut data)) => put(&mut data, out),
                Ok(ConnectionState::TransmitTlsData(data)) => data.done(),
                Ok(ConnectionState::PeerClosed | ConnectionState::Closed) => {
                    // Behind its goodbye nothing is read any more.
                    self.closed = true;
                    self.open_records()?;
                }
                Ok(_) => {
                    self.open_records()?;
                    return Ok((filled, at + used));
                }
                Err(error) => {
                    let why = error.to_string();
                    // The alert that tells the client of it.
                    let status = tls.process_tls_records(&mut room[at + used..end]);
                    if let Ok(ConnectionState::EncodeTlsData(mut data)) = status.state {
                        put(&mut data, out);
                    }
                    self.state = State::Failed;
                    return Err(why);
                }
            }
            at += used;
        }
        Ok((filled, at))
    }

    /// When hands are shaken.
    fn open_records(&mut self) -> Result<(), String> {
        let tls = match std::mem::replace(&mut self.state, State::Failed) {
            State::Shaking(tls) if !tls.is_handshaking() => tls,
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
        let records = Records::new(*tls).map_err(|error| error.to_string())?;
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
