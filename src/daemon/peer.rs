//! The world's side of a connection: its socket, and the bytes of a packet that is not whole yet.

use std::io;
use std::io::IoSlice;
use std::io::Read;
use std::io::Write;

use bytes::Bytes;
use bytes::BytesMut;

use crate::broker::ConnectionId;
use crate::daemon::buffers::Buffers;
use crate::daemon::layers::Layers;
use crate::daemon::listener::Accepted;
use crate::daemon::socket::{From, Socket};

/// Packets from this size on are read into memory of their own, which then is the message's body:
/// nothing is copied. Smaller ones come many to a read.
pub(crate) const LARGE_FROM: usize = 131_072;

/// Bytes read beyond the end of a large packet: enough for the next one's head, so that the next
/// large packet is read into its own memory too.
const BEHIND: usize = 16;

/// Memory taken for a packet before its bytes have come; a larger one grows as it is filled, so
/// that a head alone costs nothing.
const TAKEN_AT_ONCE_MAX: usize = 1_048_576;

pub(crate) struct Peer {
    pub(crate) id: ConnectionId,
    pub(crate) socket: Socket,
    pub(crate) from: From,
    /// TLS, WebSocket.
    pub(crate) layers: Option<Box<Layers>>,
    /// Bytes that were read and not used up; none for an idle connection.
    pub(crate) unfinished: Vec<u8>,
    /// Bytes of them that count against `unfinished_bytes_max`.
    counted: usize,
    pub(crate) large: Option<Box<Large>>,
    /// The broker wants no more bytes until it says so.
    pub(crate) waiting: bool,
    /// More may be there to read.
    pub(crate) readable: bool,
    /// Much came with the last read: the next one is into memory that can be written from.
    pub(crate) bulk: bool,
    /// The size of the last packet that did not come whole.
    pub(crate) packet: u32,
    /// The other side sends no more: read on until the end, whatever a read gives.
    pub(crate) ending: bool,
    /// In the worker's list of those to read from in the next turn.
    pub(crate) listed: bool,
    /// The system took less than was offered; an event tells when it takes more.
    pub(crate) blocked: bool,
    /// Its last read led to much; see [`Pace`](crate::daemon::pace::Pace).
    pub(crate) wide: bool,
    /// Among those whose bytes wait for the next turn.
    pub(crate) late: bool,
    /// Nothing is read any more; the worker's list says when it is closed at the latest.
    pub(crate) lingers: bool,
}

/// A connection by its name: not another one that has its place by now.
pub(crate) fn find(peers: &mut [Option<Peer>], id: ConnectionId) -> Option<&mut Peer> {
    peers
        .get_mut(id.slot as usize)?
        .as_mut()
        .filter(|peer| peer.id == id)
}

/// A large packet on its way in.
pub(crate) struct Large {
    /// As long as the room there is now.
    bytes: BytesMut,
    filled: usize,
    total: usize,
}

impl Large {
    /// A packet of `total` bytes, of which `start` has come.
    pub(crate) fn new(total: usize, start: &[u8], buffers: &mut Buffers) -> Self {
        let size = total.min(TAKEN_AT_ONCE_MAX).max(start.len()) + BEHIND;
        let mut bytes = buffers.take(size);
        bytes[..start.len()].copy_from_slice(start);
        Self {
            bytes,
            filled: start.len(),
            total,
        }
    }

    /// Bytes that are still to come.
    pub(crate) fn due(&self) -> usize {
        self.total.saturating_sub(self.filled)
    }

    /// What it costs now.
    pub(crate) fn size(&self) -> usize {
        self.bytes.len()
    }

    /// Reads once. Returns the bytes read, and whether that was all there was room for.
    pub(crate) fn read(&mut self, socket: &mut Socket) -> io::Result<(usize, bool)> {
        let wanted = self.total + BEHIND;
        if self.filled == self.bytes.len() {
            let room = (2 * self.filled).min(wanted);
            self.bytes.resize(room, 0);
        }
        let end = self.bytes.len().min(wanted);
        let count = read_once(socket, &mut self.bytes[self.filled..end])?;
        self.filled += count;
        Ok((count, self.filled == end))
    }

    /// Takes bytes of it that were read elsewhere; returns how many.
    pub(crate) fn put(&mut self, bytes: &[u8]) -> usize {
        let count = bytes.len().min(self.due());
        let end = self.filled + count;
        if end > self.bytes.len() {
            let room = (2 * self.filled).clamp(end, self.total.max(end));
            self.bytes.resize(room, 0);
        }
        self.bytes[self.filled..end].copy_from_slice(&bytes[..count]);
        self.filled = end;
        count
    }

    /// Whether all of it is here.
    pub(crate) fn whole(&self) -> bool {
        self.filled >= self.total
    }

    /// The packet and the bytes behind it.
    pub(crate) fn into_frame(self, buffers: &mut Buffers) -> (Bytes, Bytes) {
        let bytes = buffers.lend(self.bytes);
        (
            bytes.slice(..self.total),
            bytes.slice(self.total..self.filled),
        )
    }
}

fn read_once(socket: &mut Socket, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match socket.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

impl Peer {
    /// What is in `unfinished` is the beginning of a packet; returns what counts more than before.
    pub(crate) fn count(&mut self) -> usize {
        let before = std::mem::replace(&mut self.counted, self.unfinished.len());
        self.counted - before
    }

    /// `unfinished` was taken; returns what counts no longer.
    pub(crate) fn counted(&mut self) -> usize {
        std::mem::take(&mut self.counted)
    }

    pub(crate) fn new(id: ConnectionId, accepted: Accepted) -> Self {
        let Accepted {
            socket,
            from,
            layers,
            ..
        } = accepted;
        Self {
            id,
            socket,
            from,
            layers,
            unfinished: Vec::new(),
            counted: 0,
            large: None,
            waiting: false,
            readable: false,
            bulk: false,
            packet: 0,
            ending: false,
            listed: false,
            blocked: false,
            wide: false,
            late: false,
            lingers: false,
        }
    }

    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        read_once(&mut self.socket, buffer)
    }

    pub(crate) fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        loop {
            let result = match slices {
                // One slice, the usual case, has a cheaper call.
                [one] => self.socket.write(one),
                many => self.socket.write_vectored(many),
            };
            match result {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }
}
