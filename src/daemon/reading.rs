//! From a readable socket to the broker: which memory is read into, what is kept of a packet that
//! is not whole, and what the broker's answer means for the socket.

use std::io;

use crate::broker::ALIVE_WHILE_DUE;
use crate::broker::ConnectionId;
use crate::broker::Next;
use crate::broker::Receipt;
use crate::daemon::listener::Accepted;
use crate::daemon::mail::Mail;
use crate::daemon::peer::{self, LARGE_FROM, Large, Peer};
use crate::daemon::worker::{FLUSH_FROM, READ_SIZE, Worker};

/// A connection that gave this much in one read probably gives as much in the next.
pub(crate) const BULK_FROM: usize = 65_536;

impl Worker {
    /// Reads once from a connection, and lists it again when there may be more.
    pub(crate) fn read(&mut self, id: ConnectionId) {
        let Some(peer) = peer::find(&mut self.peers, id) else {
            return;
        };
        if peer.lingers {
            return self.discard(id);
        }
        if peer.waiting {
            return;
        }
        if peer.layers.is_some() {
            return self.read_layered(id);
        }
        let result = match &mut peer.large {
            Some(large) => {
                let before = large.size();
                let result = large.read(&mut peer.socket);
                self.unfinished_bytes += large.size() - before;
                result
            }
            None => {
                let kept = peer.unfinished.len();
                if kept > LARGE_FROM {
                    // Left over from a pause: first this, then what comes.
                    return self.take_unfinished(id);
                }
                if peer.bulk {
                    return self.read_bulk(id);
                }
                let room = READ_SIZE;
                let result = peer.read(&mut self.buffer[kept..kept + room]);
                result.map(|count| (count, count == room))
            }
        };
        match result {
            Ok((0, _)) => {
                // What another worker has read before comes first, even when nothing follows it.
                peer.readable = true;
                self.take_unfinished(id);
                if self.peer_ref(id).is_some_and(|peer| !peer.waiting) {
                    self.close(id);
                }
            }
            Ok((count, more)) => {
                self.taken += count;
                peer.bulk = peer.large.is_none() && count >= BULK_FROM;
                self.take(id, count);
                self.list(id, more);
                if self.taken >= FLUSH_FROM {
                    self.flush();
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                peer.readable = false;
                if !peer.unfinished.is_empty() && peer.large.is_none() {
                    self.take_unfinished(id);
                }
            }
            Err(_) => self.close(id),
        }
    }

    /// Ends a connection whose packet would take the worker beyond `unfinished_bytes_max`.
    pub(crate) fn bound_unfinished(&mut self, id: ConnectionId) {
        if self.unfinished_bytes > self.broker.limits().unfinished_bytes_max {
            self.broker.drop_unfinished(id, self.now);
        }
    }

    /// Reads into memory that outboxes can write from.
    pub(crate) fn read_bulk(&mut self, id: ConnectionId) {
        let Some(peer) = peer::find(&mut self.peers, id) else {
            return;
        };
        let kept = peer.unfinished.len();
        // Packets of one size are read to the end of a packet, so that no part is left to copy.
        let size = match peer.packet as usize {
            size if (BULK_FROM / 16..=READ_SIZE).contains(&size) => READ_SIZE / size * size,
            _ => READ_SIZE,
        };
        let mut buffer = self.buffers.take(READ_SIZE + LARGE_FROM);
        buffer[..kept].copy_from_slice(&peer.unfinished);
        peer.unfinished = Vec::new();
        self.unfinished_bytes -= peer.counted();
        let end = if size > kept { size } else { kept + READ_SIZE };
        let result = peer.read(&mut buffer[kept..end]);
        let count = result.as_ref().map_or(0, |count| *count);
        peer.bulk = count >= BULK_FROM;
        let more = kept + count == end;
        self.taken += count;
        if count > 0 || kept > 0 {
            let bytes = self.buffers.lend(buffer).slice(..kept + count);
            let receipt = self.broker.receive_shared(id, &bytes, self.now);
            self.keep(id, &bytes[receipt.used..], receipt);
        } else {
            self.buffers.put_back(buffer);
        }
        match result {
            Ok(0) => {
                self.list(id, true);
                if self.peer_ref(id).is_some_and(|peer| !peer.waiting) {
                    self.close(id);
                }
            }
            Ok(_) => self.list(id, more),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                if let Some(peer) = self.peer(id) {
                    peer.readable = false;
                }
            }
            Err(_) => self.close(id),
        }
        if self.taken >= FLUSH_FROM {
            self.flush();
        }
    }

    pub(crate) fn list(&mut self, id: ConnectionId, more: bool) {
        let Some(peer) = self.peer(id) else { return };
        let more = more || peer.ending;
        peer.readable = more;
        if more && !peer.listed && !peer.waiting {
            peer.listed = true;
            self.ready.push(id);
        }
    }

    /// Hands `count` bytes that were just read to the broker.
    pub(crate) fn take(&mut self, id: ConnectionId, count: usize) {
        let Some(peer) = peer::find(&mut self.peers, id) else {
            return;
        };
        if let Some(large) = peer.large.take_if(|large| large.whole()) {
            self.unfinished_bytes -= large.size().min(self.unfinished_bytes);
            let (frame, behind) = large.into_frame(&mut self.buffers);
            let receipt = self.broker.receive_frame(id, &frame, self.now);
            if receipt.used == 0 {
                let Some(peer) = self.peer(id) else { return };
                let rest = std::mem::take(&mut peer.unfinished);
                peer.unfinished = [&frame[..], &behind[..], &rest[..]].concat();
                return self.follow(id, receipt.next);
            }
            if behind.is_empty() {
                return self.follow(id, receipt.next);
            }
            let receipt = self.broker.receive(id, &behind, self.now);
            return self.keep(id, &behind[receipt.used..], receipt);
        }
        if let Some(large) = &peer.large {
            if large.due() > ALIVE_WHILE_DUE {
                self.broker.heard(id, self.now);
            }
            return self.bound_unfinished(id);
        }
        let kept = peer.unfinished.len();
        self.buffer[..kept].copy_from_slice(&peer.unfinished);
        peer.unfinished = Vec::new();
        self.unfinished_bytes -= peer.counted();
        let receipt = self
            .broker
            .receive(id, &self.buffer[..kept + count], self.now);
        let rest = receipt.used..kept + count;
        if rest.is_empty() && receipt.next == Next::Read(0) {
            return;
        }
        let rest = self.buffer[rest].to_vec();
        self.keep(id, &rest, receipt);
    }

    /// Gives the broker again what it did not take before.
    pub(crate) fn take_unfinished(&mut self, id: ConnectionId) {
        let Some(peer) = self.peer(id) else { return };
        let bytes = std::mem::take(&mut peer.unfinished);
        let (readable, counted) = (peer.readable, peer.counted());
        self.unfinished_bytes -= counted;
        let receipt = self.broker.receive(id, &bytes, self.now);
        self.keep(id, &bytes[receipt.used..], receipt);
        self.list(id, readable);
    }

    /// Keeps the bytes of a packet that is not whole.
    pub(crate) fn keep(&mut self, id: ConnectionId, rest: &[u8], receipt: Receipt) {
        let Some(peer) = peer::find(&mut self.peers, id) else {
            return;
        };
        if let Next::Read(total) = receipt.next
            && total > 0
        {
            peer.packet = total as u32;
        }
        match receipt.next {
            Next::Read(total) if total >= LARGE_FROM && total > rest.len() => {
                let large = Box::new(Large::new(total, rest, &mut self.buffers));
                self.unfinished_bytes += large.size();
                peer.large = Some(large);
                self.bound_unfinished(id);
                return self.follow(id, receipt.next);
            }
            Next::Stop => {}
            // What waits for others is whole, and nobody's fault.
            Next::Read(_) if !rest.is_empty() => {
                peer.unfinished.extend_from_slice(rest);
                self.unfinished_bytes += peer.count();
                self.bound_unfinished(id);
            }
            _ => peer.unfinished.extend_from_slice(rest),
        }
        self.follow(id, receipt.next);
    }

    pub(crate) fn follow(&mut self, id: ConnectionId, next: Next) {
        let Some(peer) = self.peer(id) else { return };
        match next {
            Next::Read(_) | Next::Stop => {}
            Next::Wait => peer.waiting = true,
            Next::Move(worker) => self.hand_over(id, usize::from(worker)),
        }
    }

    pub(crate) fn hand_over(&mut self, id: ConnectionId, worker: usize) {
        let Some(mut peer) = self.peers[id.slot as usize].take() else {
            return;
        };
        self.unfinished_bytes -= peer.counted();
        let standing = self.broker.standing_of(id);
        self.broker.forget(id);
        if self
            .seat
            .poll
            .registry()
            .deregister(&mut peer.socket)
            .is_err()
        {
            return;
        }
        let Peer {
            socket,
            from,
            layers,
            unfinished: bytes,
            ..
        } = peer;
        let Some((listener, proven)) = standing else {
            return;
        };
        let accepted = Accepted {
            socket,
            from,
            layers,
            listener,
            proven,
        };
        self.seat.mailboxes[worker].post(Mail::Adopt { accepted, bytes });
    }

    /// Reads and forgets what a connection that is over still sends.
    pub(crate) fn discard(&mut self, id: ConnectionId) {
        let Some(peer) = peer::find(&mut self.peers, id) else {
            return;
        };
        match peer.read(&mut self.buffer) {
            Ok(0) => self.close(id),
            Ok(_) => {
                let more = true;
                peer.waiting = false;
                self.list(id, more);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => self.close(id),
        }
    }
}
