//! Connections with something between the socket and MQTT: what `reading` and `worker` do for plain
//! ones, through [`Layers`](crate::daemon::layers::Layers).

use std::io;
use std::io::IoSlice;
use std::sync::Arc;

use bytes::BytesMut;

use crate::broker::ALIVE_WHILE_DUE;
use crate::broker::ConnectionId;
use crate::broker::Event;
use crate::broker::SLICES_MAX;
use crate::daemon::conf::log_words::LogType;
use crate::daemon::layers::{Fault, SEALED_MAX};
use crate::daemon::peer::{self, LARGE_FROM};
use crate::daemon::reading::BULK_FROM;
use crate::daemon::socket::From;
use crate::daemon::worker::{FLUSH_FROM, READ_SIZE, Worker};
use crate::mqtt::Reason;

impl Worker {
    /// Reads once.
    pub(crate) fn read_layered(&mut self, id: ConnectionId) {
        let Some(peer) = peer::find(&mut self.peers, id) else {
            return;
        };
        let kept = peer.unfinished.len();
        if kept > LARGE_FROM {
            // Left over from a pause: first this, then what comes.
            return self.take_unfinished(id);
        }
        let Some(layers) = &mut peer.layers else {
            return;
        };
        if layers.is_over() {
            return self.end_layered(id);
        }
        let mut bulk = None;
        let buffer = match peer.bulk && peer.large.is_none() {
            true => &mut **bulk.insert(self.buffers.take(READ_SIZE + LARGE_FROM)),
            false => &mut *self.buffer,
        };
        // Packets of one size are read to the end of a packet, as plain ones are.
        let wished = match peer.packet as usize {
            size if peer.bulk && (BULK_FROM / 16..=SEALED_MAX).contains(&size) => {
                (SEALED_MAX / size * size).checked_sub(kept)
            }
            _ => None,
        };
        let room = &mut buffer[kept..];
        let result = layers.read(&mut peer.socket, room, wished.filter(|&size| size > 0));
        match result {
            Ok((0, ..)) => self.end_layered(id),
            Ok((count, more, (unwrapped, fault))) => {
                self.taken += count;
                peer.bulk = count >= BULK_FROM;
                peer.readable = more;
                self.take_layered(id, bulk, unwrapped);
                self.follow_up(id, fault, more);
                if self.taken >= FLUSH_FROM {
                    self.flush();
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                if let Some(buffer) = bulk {
                    self.buffers.put_back(buffer);
                }
                peer.readable = false;
                if !peer.unfinished.is_empty() {
                    self.take_unfinished(id);
                }
            }
            Err(_) => self.close(id),
        }
    }

    /// Hands over what was unwrapped into `bulk`, or into the worker's own buffer.
    fn take_layered(&mut self, id: ConnectionId, bulk: Option<BytesMut>, count: usize) {
        self.hear_news(id);
        let Some(peer) = peer::find(&mut self.peers, id) else {
            return;
        };
        if count == 0 {
            if let Some(buffer) = bulk {
                self.buffers.put_back(buffer);
            }
        } else if peer.large.is_some() {
            self.fill_large(id, count);
        } else if let Some(mut buffer) = bulk {
            let kept = peer.unfinished.len();
            buffer[..kept].copy_from_slice(&peer.unfinished);
            peer.unfinished = Vec::new();
            self.unfinished_bytes -= peer.counted();
            let bytes = self.buffers.lend(buffer).slice(..kept + count);
            let receipt = self.broker.receive_shared(id, &bytes, self.now);
            self.keep(id, &bytes[receipt.used..], receipt);
        } else {
            self.take(id, count);
        }
    }

    /// A large packet goes on with `count` bytes in the worker's buffer; others may be behind it.
    fn fill_large(&mut self, id: ConnectionId, count: usize) {
        let Some(peer) = peer::find(&mut self.peers, id) else {
            return;
        };
        let Some(large) = &mut peer.large else { return };
        let before = large.size();
        let used = large.put(&self.buffer[..count]);
        self.unfinished_bytes += large.size() - before;
        if !large.whole() {
            if large.due() > ALIVE_WHILE_DUE {
                self.broker.heard(id, self.now);
            }
            return self.bound_unfinished(id);
        }
        // It may have to wait, or go to another worker, with the packet.
        peer.unfinished = self.buffer[used..count].to_vec();
        self.take(id, 0);
        let Some(peer) = self.peer(id) else { return };
        if !peer.waiting && !peer.unfinished.is_empty() {
            self.take_unfinished(id);
        }
    }

    /// What the layers know of the client now.
    fn hear_news(&mut self, id: ConnectionId) {
        let Some(peer) = peer::find(&mut self.peers, id) else {
            return;
        };
        let Some(layers) = &mut peer.layers else {
            return;
        };
        if let Some(news) = layers.news() {
            let port = match peer.from {
                From::Ip(address) => address.port(),
                #[cfg(unix)]
                From::Unix | From::Bridge | From::Http => 0,
            };
            if let Some(address) = news.address(port) {
                peer.from = From::Ip(address);
            }
            if let Some(user_name) = news.user_name {
                self.broker.prove(id, Arc::from(user_name));
            }
        }
        if layers.is_through() {
            peer.layers = None;
        }
    }

    /// Tells how the connection of a client that has come is encrypted.
    pub(crate) fn tell_encryption(&mut self, event: &Event) {
        let layers =
            peer::find(&mut self.peers, event.connection).and_then(|peer| peer.layers.as_mut());
        if let Some(negotiated) = layers.and_then(|layers| layers.negotiated()) {
            let (version, cipher) = *negotiated;
            let line = format!(
                "Client {} negotiated {version} cipher {cipher}",
                event.client_id
            );
            self.seat.log.say(LogType::Debug, &line);
        }
    }

    /// Lets the layers answer, and goes on or not. What the broker has to say leaves with the turn,
    /// behind what it promises.
    fn follow_up(&mut self, id: ConnectionId, fault: Option<Fault>, more: bool) {
        self.answer(id);
        match fault {
            Some(Fault::Said(fault)) => self.give_up(id, &fault),
            Some(Fault::Nobody) => {
                // Nobody was there, so nobody is said to have left.
                self.broker.forget(id);
                self.close(id);
            }
            None => {
                let over = |peer: &peer::Peer| peer.layers.as_ref().is_some_and(|l| l.is_over());
                match self.peer_ref(id).is_some_and(over) {
                    true => self.end_layered(id),
                    false => self.list(id, more),
                }
            }
        }
    }

    /// The other side sends no more: what it sent before comes first, after a pause if need be.
    fn end_layered(&mut self, id: ConnectionId) {
        let Some(peer) = self.peer(id) else { return };
        peer.ending = true;
        peer.readable = true;
        if !peer.waiting && !peer.unfinished.is_empty() {
            self.take_unfinished(id);
        }
        if self.peer_ref(id).is_some_and(|peer| !peer.waiting) {
            self.flush();
            self.answer(id);
            self.close(id);
        }
    }

    /// Writes what the layers say themselves.
    fn answer(&mut self, id: ConnectionId) {
        let Some(peer) = peer::find(&mut self.peers, id) else {
            return;
        };
        let Some(layers) = &mut peer.layers else {
            return;
        };
        if layers.waiting() > 0 && !peer.blocked {
            match layers.flush(&mut peer.socket) {
                Ok(all) => peer.blocked = !all,
                Err(_) => {
                    peer.ending = true;
                    layers.lose();
                }
            }
        }
    }

    /// Ends a connection whose layers went wrong; the answer to that goes out first.
    fn give_up(&mut self, id: ConnectionId, fault: &str) {
        if let Some(peer) = self.peer_ref(id) {
            self.seat
                .log
                .line(&format!("{} closed: {fault}", peer.from));
        }
        let why = "TLS, WebSocket or PROXY header went wrong";
        self.broker
            .drop_connection(id, Reason::UNSPECIFIED_ERROR, why, self.now);
    }

    /// Writes what waits.
    pub(crate) fn write_layered(&mut self, id: ConnectionId) {
        let Some(peer) = peer::find(&mut self.peers, id) else {
            return;
        };
        let Some(layers) = &mut peer.layers else {
            return;
        };
        while !peer.blocked && !layers.is_lost() {
            match layers.flush(&mut peer.socket) {
                Ok(true) => {}
                Ok(false) => {
                    peer.blocked = true;
                    break;
                }
                Err(_) => {
                    layers.lose();
                    break;
                }
            }
            let has_output = self.broker.has_output(id);
            if peer.lingers && !has_output && !layers.is_over() {
                // Behind all that was to be said.
                layers.close();
                continue;
            }
            if !has_output || !layers.takes_more() {
                break;
            }
            if self.pace.is_spent() {
                self.pace.put_off(id, &mut peer.late);
                break;
            }
            let (socket, scratch) = (&mut peer.socket, &mut self.scratch);
            let front = self.broker.front(id);
            let apart = front
                .and_then(|front| layers.write_apart(socket, front, &mut self.buffers, scratch));
            let result = apart.unwrap_or_else(|| {
                let mut slices = [IoSlice::new(&[]); SLICES_MAX];
                let count = self.broker.slices(id, &mut slices);
                layers.write(socket, &slices[..count], scratch)
            });
            match result {
                Ok((taken, all)) => {
                    self.pace.spend(taken);
                    self.broker.wrote(id, taken, self.now);
                    peer.blocked = !all;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => peer.blocked = true,
                Err(_) => layers.lose(),
            }
        }
        if layers.is_lost() {
            return self.lose_output(id);
        }
        if layers.is_used_up() && !peer.lingers {
            let (reason, why) = (Reason::UNSPECIFIED_ERROR, "the key of its TLS is used up");
            return self.broker.drop_connection(id, reason, why, self.now);
        }
        if peer.lingers && layers.waiting() == 0 && !self.broker.has_output(id) {
            peer.socket.shut_down_writing();
        }
    }

    /// It closed without reading its answers. What it said before is here and not read yet, as in
    /// [`write`](Self::write); what waits for it goes nowhere.
    fn lose_output(&mut self, id: ConnectionId) {
        let Some(peer) = peer::find(&mut self.peers, id) else {
            return;
        };
        if peer.lingers {
            return self.close(id);
        }
        peer.ending = true;
        while self.broker.has_output(id) {
            let mut slices = [IoSlice::new(&[]); SLICES_MAX];
            let count = self.broker.slices(id, &mut slices);
            let offered = slices[..count].iter().map(|slice| slice.len()).sum();
            self.broker.wrote(id, offered, self.now);
        }
        self.list(id, true);
    }
}
