//! A connection of a TLS listener with a certificate, without I/O, through rustls. Records are opened
//! where they were read and sealed where they are written from: nothing is kept between two turns
//! but a record that is not whole.

use std::ops::Range;
use std::sync::Arc;

use rustls::ProtocolVersion;
use rustls::pki_types::CertificateDer;
use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncodeTlsData, EncryptError, InsufficientSizeError, WriteTraffic,
};

use crate::net::tls::ciphers;
use crate::net::tls::server::TlsServer;
use crate::net::tls::session::{Established, RECORD_MAX};

/// See the module.
pub(crate) struct Certified {
    tls: Box<UnbufferedServerConnection>,
    server: Arc<TlsServer>,
    /// Of a record that is not whole.
    held: Vec<u8>,
    established: bool,
    closed: bool,
    failed: bool,
}

impl Certified {
    pub(super) fn new(server: &Arc<TlsServer>) -> Result<Self, rustls::Error> {
        Ok(Self {
            tls: Box::new(UnbufferedServerConnection::new(server.config())?),
            server: Arc::clone(server),
            held: Vec::new(),
            established: false,
            closed: false,
            failed: false,
        })
    }

    pub(super) fn held(&self) -> &[u8] {
        &self.held
    }

    pub(super) fn read(
        &mut self,
        room: &mut [u8],
        sealed: Range<usize>,
        out: &mut Vec<u8>,
    ) -> Result<usize, String> {
        let (mut at, end, mut filled) = (sealed.start, sealed.end, 0);
        loop {
            let (front, rest) = room[..end].split_at_mut(at);
            let status = self.tls.process_tls_records(rest);
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
                    self.held = room[at + used..end].to_vec();
                    return Ok(filled);
                }
                Ok(_) => {
                    self.held = room[at + used..end].to_vec();
                    return Ok(filled);
                }
                Err(error) => {
                    let why = error.to_string();
                    self.failed = true;
                    // The alert that tells the client of it.
                    let status = self.tls.process_tls_records(&mut room[at + used..end]);
                    if let Ok(ConnectionState::EncodeTlsData(mut data)) = status.state {
                        put(&mut data, out);
                    }
                    return Err(why);
                }
            }
            at += used;
        }
    }

    /// Lets TLS itself say what it has to say, and then `speak`. It is shown what is held: it
    /// remembers where in it the parts of a message lie.
    fn speak<T>(
        &mut self,
        out: &mut Vec<u8>,
        speak: impl FnOnce(&mut WriteTraffic<'_, ServerConnectionData>, &mut Vec<u8>) -> T,
    ) -> Option<T> {
        while !self.failed {
            let status = self.tls.process_tls_records(&mut self.held);
            let used = status.discard;
            match status.state {
                Ok(ConnectionState::EncodeTlsData(mut data)) => put(&mut data, out),
                Ok(ConnectionState::TransmitTlsData(data)) => data.done(),
                Ok(ConnectionState::WriteTraffic(mut traffic)) => {
                    let said = speak(&mut traffic, out);
                    self.held.drain(..used);
                    return Some(said);
                }
                _ => self.failed = true,
            }
            self.held.drain(..used);
        }
        None
    }

    pub(super) fn established(&mut self) -> Option<Established> {
        if self.established || self.tls.is_handshaking() {
            return None;
        }
        self.established = true;
        let version = match self.tls.protocol_version() {
            Some(ProtocolVersion::TLSv1_3) => "TLSv1.3",
            _ => "TLSv1.2",
        };
        let suite = self.tls.negotiated_cipher_suite();
        let cipher = suite.map_or("unknown", |suite| ciphers::name(suite.suite()));
        Some(Established {
            version,
            cipher: cipher.to_owned(),
            user_name: self.server.user_name(self.certificates()),
        })
    }

    /// The client's, its own first.
    fn certificates(&self) -> &[CertificateDer<'static>] {
        self.tls.peer_certificates().unwrap_or_default()
    }

    /// Whether this client would be let in by `server`, too.
    pub(super) fn would_be_taken(&self, server: &TlsServer) -> bool {
        !self.established || server.still_takes(self.certificates())
    }

    /// Seals all of `slices` into `room`; returns how many bytes that gave.
    pub(super) fn write<'a>(
        &mut self,
        slices: impl Iterator<Item = &'a [u8]>,
        gather: &mut Vec<u8>,
        room: &mut [u8],
    ) -> usize {
        let said = self.speak(&mut Vec::new(), |traffic, out| {
            let (first, rest) = room.split_at_mut(out.len());
            first.copy_from_slice(out);
            first.len() + seal(traffic, slices, gather, rest)
        });
        said.unwrap_or(0)
    }

    /// Says goodbye.
    pub(super) fn close(&mut self, out: &mut Vec<u8>) {
        if self.tls.is_handshaking() {
            return;
        }
        self.speak(out, |traffic, out| {
            append(out, |room| match traffic.queue_close_notify(room) {
                Err(EncryptError::InsufficientSize(short)) => Err(short),
                result => Ok(result.unwrap_or(0)),
            });
        });
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }
}

/// Small parts are gathered until they fill a record; those that fill one are sealed from where
/// they are.
fn seal<'a>(
    traffic: &mut WriteTraffic<'_, ServerConnectionData>,
    slices: impl Iterator<Item = &'a [u8]>,
    gather: &mut Vec<u8>,
    room: &mut [u8],
) -> usize {
    let mut at = 0;
    let mut seal = |part: &[u8]| {
        // Room there is; what else can go wrong is a key that is used up, which ends all.
        at += traffic.encrypt(part, &mut room[at..]).unwrap_or(0);
    };
    gather.clear();
    for slice in slices {
        let full = slice.len() >= RECORD_MAX || gather.len() + slice.len() > RECORD_MAX;
        if full && !gather.is_empty() {
            seal(gather);
            gather.clear();
        }
        match slice.len() >= RECORD_MAX {
            true => seal(slice),
            false => gather.extend_from_slice(slice),
        }
    }
    if !gather.is_empty() {
        seal(gather);
    }
    at
}

fn put(data: &mut EncodeTlsData<'_, ServerConnectionData>, out: &mut Vec<u8>) {
    append(out, |room| match data.encode(room) {
        Ok(size) => Ok(size),
        Err(EncodeError::InsufficientSize(short)) => Err(short),
        Err(EncodeError::AlreadyEncoded) => Ok(0),
    });
}

/// Appends what `write` writes, with as much room as it asks for.
fn append(
    out: &mut Vec<u8>,
    mut write: impl FnMut(&mut [u8]) -> Result<usize, InsufficientSizeError>,
) {
    let start = out.len();
    loop {
        match write(&mut out[start..]) {
            Ok(size) => return out.truncate(start + size),
            Err(short) => out.resize(start + short.required_size, 0),
        }
    }
}
