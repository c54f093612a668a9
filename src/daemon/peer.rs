//! The world's side of a connection: its socket, and the bytes of a packet that is not whole yet.

use std::io;
use std::io::IoSlice;
use std::io::Read;
use std::io::Write;
use std::net::SocketAddr;
use std::time::Instant;

use bytes::Bytes;
use mio::net::TcpStream;

use crate::broker::ConnectionId;

/// Packets from this size on are read into memory of their own, which then is the message's body:
/// nothing is copied. Smaller ones come many to a read.
pub(crate) const LARGE_FROM: usize = 32_768;

/// Bytes read beyond the end of a large packet: enough for the next one's head, so that the next
/// large packet is read into its own memory too.
const BEHIND: usize = 16;

/// Memory taken for a packet before its bytes have come; a larger one grows as it is filled, so
/// that a head alone costs nothing.
const TAKEN_AT_ONCE_MAX: usize = 1_048_576;

pub(crate) struct Peer {
    pub(crate) id: ConnectionId,
    pub(crate) stream: TcpStream,
    pub(crate) address: SocketAddr,
    /// Bytes that were read and not used up; none for an idle connection.
    pub(crate) unfinished: Vec<u8>,
    pub(crate) large: Option<Box<Large>>,
    /// The broker wants no more bytes until it says so.
    pub(crate) waiting: bool,
    /// More may be there to read.
    pub(crate) readable: bool,
    /// The other side sends no more: read on until the end, whatever a read gives.
    pub(crate) ending: bool,
    /// In the worker's list of those to read from in the next turn.
    pub(crate) listed: bool,
    /// The system took less than was offered; an event tells when it takes more.
    pub(crate) blocked: bool,
    /// Nothing is read any more; it is closed at this time at the latest.
    pub(crate) lingers: Option<Instant>,
}

/// A large packet on its way in.
pub(crate) struct Large {
    bytes: Vec<u8>,
    total: usize,
}

impl Large {
    /// A packet of `total` bytes, of which `start` has come.
    pub(crate) fn new(total: usize, start: &[u8]) -> Self {
        let mut bytes = Vec::with_capacity(total.min(TAKEN_AT_ONCE_MAX).max(start.len()) + BEHIND);
        bytes.extend_from_slice(start);
        Self { bytes, total }
    }

    /// Bytes that are still to come.
    pub(crate) fn due(&self) -> usize {
        self.total.saturating_sub(self.bytes.len())
    }

    /// What it costs now.
    pub(crate) fn size(&self) -> usize {
        self.bytes.capacity()
    }

    /// Reads once. Returns the bytes read, and whether that was all there was room for.
    pub(crate) fn read(&mut self, stream: &mut TcpStream) -> io::Result<(usize, bool)> {
        let wanted = self.total + BEHIND;
        if self.bytes.len() == self.bytes.capacity() {
            let more = self.bytes.len().min(wanted - self.bytes.len());
            self.bytes.reserve_exact(more);
        }
        let count = read_into_spare(stream, &mut self.bytes)?;
        Ok((count, self.bytes.len() == self.bytes.capacity()))
    }

    /// The packet and the bytes behind it, once it is whole.
    pub(crate) fn whole(&self) -> bool {
        self.bytes.len() >= self.total
    }

    pub(crate) fn into_frame(self) -> (Bytes, Bytes) {
        let mut frame = Bytes::from(self.bytes);
        let behind = frame.split_off(self.total);
        (frame, behind)
    }
}

/// Reads into memory that was never written, so that it need not be filled with zeros first.
#[cfg(unix)]
fn read_into_spare(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> io::Result<usize> {
    Ok(rustix::io::read(
        &*stream,
        rustix::buffer::spare_capacity(bytes),
    )?)
}

#[cfg(not(unix))]
fn read_into_spare(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> io::Result<usize> {
    let before = bytes.len();
    bytes.resize(bytes.capacity(), 0);
    let result = stream.read(&mut bytes[before..]);
    bytes.truncate(before + result.as_ref().map_or(0, |count| *count));
    result
}

impl Peer {
    pub(crate) fn new(id: ConnectionId, stream: TcpStream, address: SocketAddr) -> Self {
        Self {
            id,
            stream,
            address,
            unfinished: Vec::new(),
            large: None,
            waiting: false,
            readable: false,
            ending: false,
            listed: false,
            blocked: false,
            lingers: None,
        }
    }

    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.stream.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }

    pub(crate) fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        loop {
            let result = match slices {
                // One slice, the usual case, has a cheaper call.
                [one] => self.stream.write(one),
                many => self.stream.write_vectored(many),
            };
            match result {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }
}
