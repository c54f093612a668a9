//! The turn, and the only place that says which thread owns what.
//!
//! A worker owns its poll, its connections and its share of the broker. In a turn it takes all
//! that is readable, lets the broker handle it, and only then writes, once a connection: messages
//! and acknowledgements of a whole turn leave in one call. When much has come it writes earlier,
//! while the bytes are still in the processor's cache.

use std::io;
use std::io::IoSlice;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use mio::Events;
use mio::Interest;
use mio::Poll;
use mio::Token;
use mio::event::Event;
use mio::net::TcpStream;

use crate::broker::ALIVE_WHILE_DUE;
use crate::broker::Broker;
use crate::broker::Cause;
use crate::broker::ConnectionId;
use crate::broker::Crossing;
use crate::broker::Next;
use crate::broker::Receipt;
use crate::broker::SLICES_MAX;
use crate::daemon::auth::Authenticator;
use crate::daemon::buffers::Buffers;
use crate::daemon::listener::Listener;
use crate::daemon::log::Log;
use crate::daemon::mail::{MAILBOX, Mail, Mailbox};
use crate::daemon::peer::{LARGE_FROM, Large, Peer};
use crate::mqtt::Reason;

/// Bytes read from a connection at a time. Larger gains nothing, and leaves the cache.
const READ_SIZE: usize = 262_144;

/// A connection that gave this much in one read probably gives as much in the next.
const BULK_FROM: usize = 65_536;

/// Bytes taken in before what they led to is written.
const FLUSH_FROM: usize = 131_072;

/// Connections accepted in a turn: a flood of them must not starve those who are connected.
const ACCEPTS_MAX: usize = 256;

/// Time between two attempts to accept while none succeeds.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Events taken from the system at a time.
const EVENTS_MAX: usize = 1_024;

/// Tokens below the mailbox's that name listeners.
const LISTENERS_FROM: usize = usize::MAX - 1_024;

/// A closed connection may take this long to read what was written to it last.
const LINGER: Duration = Duration::from_secs(1);

/// What a worker works with: its place in the process.
pub(crate) struct Seat {
    pub(crate) poll: Poll,
    /// Registered already: see [`register`].
    pub(crate) listeners: Vec<Listener>,
    /// Of all workers.
    pub(crate) mailboxes: Vec<Arc<Mailbox>>,
    pub(crate) number: usize,
    pub(crate) log: Log,
    pub(crate) authenticator: Option<Authenticator>,
}

pub(crate) struct Worker {
    broker: Broker,
    seat: Seat,
    peers: Vec<Option<Peer>>,
    /// Connections that may have more to read than was taken.
    ready: Vec<ConnectionId>,
    lingering: Vec<ConnectionId>,
    buffer: Box<[u8]>,
    buffers: Buffers,
    touched: Vec<ConnectionId>,
    accepting: bool,
    /// Accepting failed: when to try again.
    accept_again: Option<Instant>,
    taken: usize,
    unfinished_bytes: usize,
    now: Instant,
    stopping: Option<Instant>,
}

/// Lets a worker's poll tell of new connections.
pub(crate) fn register(poll: &Poll, listeners: &mut [Listener]) -> io::Result<()> {
    for (place, listener) in listeners.iter_mut().enumerate() {
        let token = Token(LISTENERS_FROM + place);
        poll.registry()
            .register(&mut listener.socket, token, Interest::READABLE)?;
    }
    Ok(())
}

impl Worker {
    pub(crate) fn new(broker: Broker, seat: Seat) -> Self {
        Self {
            broker,
            seat,
            peers: Vec::new(),
            ready: Vec::new(),
            lingering: Vec::new(),
            buffer: vec![0; READ_SIZE + LARGE_FROM].into(),
            buffers: Buffers::default(),
            touched: Vec::new(),
            accepting: false,
            accept_again: None,
            taken: 0,
            unfinished_bytes: 0,
            now: Instant::now(),
            stopping: None,
        }
    }

    /// Turns, until told to stop.
    pub(crate) fn run(mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(EVENTS_MAX);
        loop {
            let timeout = self.timeout();
            match self.seat.poll.poll(&mut events, timeout) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                result => result?,
            }
            self.now = Instant::now();
            self.turn(&events);
            let over = self.stopping.is_some_and(|until| until <= self.now);
            if self.stopping.is_some() && (over || self.peers.iter().all(Option::is_none)) {
                return Ok(());
            }
        }
    }

    fn turn(&mut self, events: &Events) {
        let ready = std::mem::take(&mut self.ready);
        for id in ready {
            if let Some(peer) = self.peer(id) {
                peer.listed = false;
                self.read(id);
            }
        }
        for event in events {
            match event.token() {
                MAILBOX => self.take_mail(),
                Token(token) if token >= LISTENERS_FROM => self.accepting = true,
                Token(slot) => self.ready_event(slot, event),
            }
        }
        if self.accepting || self.accept_again.is_some_and(|at| at <= self.now) {
            self.accept();
        }
        if self.broker.next_deadline().is_some_and(|at| at <= self.now) {
            self.broker.tick(self.now);
        }
        self.flush();
        self.stop_lingering();
    }

    /// How long to sleep: not at all when somebody has more to read, for ever when nothing is due.
    fn timeout(&self) -> Option<Duration> {
        if !self.ready.is_empty() || self.accepting {
            return Some(Duration::ZERO);
        }
        let lingers = self
            .lingering
            .iter()
            .filter_map(|&id| self.peer_ref(id)?.lingers)
            .min();
        let next = [
            self.broker.next_deadline(),
            lingers,
            self.stopping,
            self.accept_again,
        ];
        let next = next.into_iter().flatten().min()?;
        // A hair later than exact, so that what is due then is due.
        let wait = next.saturating_duration_since(Instant::now());
        Some(wait + Duration::from_millis(1))
    }

    fn ready_event(&mut self, slot: usize, event: &Event) {
        let Some(Some(peer)) = self.peers.get_mut(slot) else {
            return;
        };
        let id = peer.id;
        // Its end may come in one event with its last bytes, and then in no other.
        peer.ending |= event.is_read_closed();
        if event.is_writable() && std::mem::take(&mut peer.blocked) {
            self.write(id);
        }
        let Some(peer) = self.peer(id) else { return };
        if event.is_readable() || peer.ending {
            peer.readable = true;
            self.read(id);
        }
    }

    fn accept(&mut self) {
        self.accepting = false;
        if self.accept_again.is_some_and(|at| at > self.now) {
            return;
        }
        for place in 0..self.seat.listeners.len() {
            for round in 0.. {
                if round >= ACCEPTS_MAX {
                    self.accepting = true;
                    break;
                }
                match self.seat.listeners[place].socket.accept() {
                    Ok((stream, address)) => self.place(stream, address),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) if is_of_one_connection(&error) => {}
                    Err(error) => {
                        // Mostly no descriptor is left. The connection stays in the backlog, and
                        // is tried again in a while. One line tells of all in a row.
                        if self.accept_again.is_none() {
                            self.seat.log.line(&format!("accepting failed: {error}"));
                        }
                        self.accept_again = Some(self.now + ACCEPT_PAUSE);
                        return;
                    }
                }
            }
        }
        self.accept_again = None;
    }

    /// Gives a new connection to the worker with the fewest.
    fn place(&mut self, stream: TcpStream, address: SocketAddr) {
        // Small packets must not wait for acknowledgements of TCP; without it we only get slower.
        let _ = stream.set_nodelay(true);
        let load = |number: &usize| {
            self.seat.mailboxes[*number]
                .connections
                .load(Ordering::Relaxed)
        };
        let least = (0..self.seat.mailboxes.len())
            .min_by_key(load)
            .unwrap_or(self.seat.number);
        if least == self.seat.number {
            self.adopt(stream, address, Vec::new());
        } else {
            self.seat.mailboxes[least]
                .connections
                .fetch_add(1, Ordering::Relaxed);
            self.seat.mailboxes[least].post(Mail::Adopt {
                stream,
                address,
                bytes: Vec::new(),
            });
        }
    }

    fn adopt(&mut self, mut stream: TcpStream, address: SocketAddr, bytes: Vec<u8>) {
        let Some(id) = self.broker.open(self.now) else {
            self.seat.log.line(&format!(
                "{address} refused: as many connections as are allowed"
            ));
            return;
        };
        let slot = id.slot as usize;
        let both = Interest::READABLE | Interest::WRITABLE;
        if let Err(error) = self
            .seat
            .poll
            .registry()
            .register(&mut stream, Token(slot), both)
        {
            self.seat.log.line(&format!("{address} refused: {error}"));
            self.broker.closed(id, self.now);
            return;
        }
        if self.peers.len() <= slot {
            self.peers.resize_with(slot + 1, || None);
        }
        let mut peer = Peer::new(id, stream, address);
        peer.unfinished = bytes;
        self.peers[slot] = Some(peer);
        self.count_connections();
        // The first packet is often here already; otherwise an event comes with it.
        self.read(id);
    }

    fn take_mail(&mut self) {
        for mail in self.seat.mailboxes[self.seat.number].take() {
            match mail {
                Mail::Adopt {
                    stream,
                    address,
                    bytes,
                } => self.adopt(stream, address, bytes),
                Mail::Crossings(batch) => self.take_crossings(&batch),
                Mail::Drained(worker) => self.broker.set_full(worker, false),
                Mail::Verdict(id, verdict) => self.broker.answer(id, &verdict, self.now),
                Mail::Stop => {
                    self.seat.listeners.clear();
                    self.broker.shut_down(self.now);
                    self.stopping = Some(self.now + LINGER);
                }
            }
        }
        self.count_connections();
    }

    fn take_crossings(&mut self, batch: &[Crossing]) {
        for crossing in batch {
            self.broker.deliver_crossing(crossing, self.now);
        }
        let size: usize = batch.iter().map(Crossing::size).sum();
        let mailbox = &self.seat.mailboxes[self.seat.number];
        let before = mailbox.bytes.fetch_sub(size, Ordering::AcqRel);
        let max = self.broker.limits().crossing_bytes_max;
        if before > max && before - size <= max {
            for (number, other) in self.seat.mailboxes.iter().enumerate() {
                if number != self.seat.number {
                    other.post(Mail::Drained(self.seat.number as u16));
                }
            }
        }
    }

    /// Hands a turn's messages to the workers whose Sessions get them.
    fn post_crossings(&mut self) {
        let max = self.broker.limits().crossing_bytes_max;
        for worker in 0..self.seat.mailboxes.len() {
            let batch = &mut self.broker.effects().crossings[worker];
            if batch.is_empty() {
                continue;
            }
            let batch = std::mem::take(batch);
            let size: usize = batch.iter().map(Crossing::size).sum();
            let mailbox = &self.seat.mailboxes[worker];
            let before = mailbox.bytes.fetch_add(size, Ordering::AcqRel);
            if before + size > max {
                self.broker.set_full(worker as u16, true);
            }
            mailbox.post(Mail::Crossings(batch));
        }
    }

    fn count_connections(&self) {
        let count = self.broker.connections();
        self.seat.mailboxes[self.seat.number]
            .connections
            .store(count, Ordering::Relaxed);
    }

    /// Reads once from a connection, and lists it again when there may be more.
    fn read(&mut self, id: ConnectionId) {
        let Some(peer) = self
            .peers
            .get_mut(id.slot as usize)
            .and_then(Option::as_mut)
        else {
            return;
        };
        if peer.lingers.is_some() {
            return self.discard(id);
        }
        if peer.waiting {
            return;
        }
        let result = match &mut peer.large {
            Some(large) => large.read(&mut peer.stream),
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

    /// Reads into memory that outboxes can write from.
    fn read_bulk(&mut self, id: ConnectionId) {
        let Some(peer) = self
            .peers
            .get_mut(id.slot as usize)
            .and_then(Option::as_mut)
        else {
            return;
        };
        let kept = peer.unfinished.len();
        // Packets of one size are read to the end of a packet, so that no part is left to copy.
        let size = match peer.packet {
            size if (BULK_FROM / 16..=READ_SIZE).contains(&size) => READ_SIZE / size * size,
            _ => READ_SIZE,
        };
        let mut buffer = self.buffers.take(READ_SIZE + LARGE_FROM);
        buffer[..kept].copy_from_slice(&peer.unfinished);
        peer.unfinished = Vec::new();
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
        }
        match result {
            Ok(0) => self.close(id),
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

    fn list(&mut self, id: ConnectionId, more: bool) {
        let Some(peer) = self.peer(id) else { return };
        let more = more || peer.ending;
        peer.readable = more;
        if more && !peer.listed && !peer.waiting {
            peer.listed = true;
            self.ready.push(id);
        }
    }

    /// Hands `count` bytes that were just read to the broker.
    fn take(&mut self, id: ConnectionId, count: usize) {
        let Some(peer) = self
            .peers
            .get_mut(id.slot as usize)
            .and_then(Option::as_mut)
        else {
            return;
        };
        if let Some(large) = peer.large.take_if(|large| large.whole()) {
            self.unfinished_bytes -= large.size().min(self.unfinished_bytes);
            let (frame, behind) = large.into_frame(&mut self.buffers);
            let receipt = self.broker.receive_frame(id, &frame, self.now);
            if receipt.used == 0 {
                let Some(peer) = self.peer(id) else { return };
                peer.unfinished = [&frame[..], &behind[..]].concat();
                return self.follow(id, receipt.next, 0);
            }
            if behind.is_empty() {
                return self.follow(id, receipt.next, 0);
            }
            let receipt = self.broker.receive(id, &behind, self.now);
            return self.keep(id, &behind[receipt.used..], receipt);
        }
        if let Some(large) = &peer.large {
            if large.due() > ALIVE_WHILE_DUE {
                self.broker.heard(id, self.now);
            }
            return;
        }
        let kept = peer.unfinished.len();
        self.buffer[..kept].copy_from_slice(&peer.unfinished);
        peer.unfinished = Vec::new();
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
    fn take_unfinished(&mut self, id: ConnectionId) {
        let Some(peer) = self.peer(id) else { return };
        let bytes = std::mem::take(&mut peer.unfinished);
        let readable = peer.readable;
        let receipt = self.broker.receive(id, &bytes, self.now);
        self.keep(id, &bytes[receipt.used..], receipt);
        self.list(id, readable);
    }

    /// Keeps the bytes of a packet that is not whole.
    fn keep(&mut self, id: ConnectionId, rest: &[u8], receipt: Receipt) {
        let Some(peer) = self
            .peers
            .get_mut(id.slot as usize)
            .and_then(Option::as_mut)
        else {
            return;
        };
        if let Next::Read(total) = receipt.next
            && total > 0
        {
            peer.packet = total;
        }
        match receipt.next {
            Next::Read(total) if total >= LARGE_FROM && total > rest.len() => {
                let large = Box::new(Large::new(total, rest, &mut self.buffers));
                self.unfinished_bytes += large.size();
                peer.large = Some(large);
                if self.unfinished_bytes > self.broker.limits().unfinished_bytes_max {
                    let why = "too many unfinished packets";
                    self.broker
                        .drop_connection(id, Reason::QUOTA_EXCEEDED, why, self.now);
                }
            }
            Next::Stop => {}
            _ => peer.unfinished.extend_from_slice(rest),
        }
        self.follow(id, receipt.next, rest.len());
    }

    fn follow(&mut self, id: ConnectionId, next: Next, _rest: usize) {
        let Some(peer) = self.peer(id) else { return };
        match next {
            Next::Read(_) | Next::Stop => {}
            Next::Wait => peer.waiting = true,
            Next::Move(worker) => self.hand_over(id, usize::from(worker)),
        }
    }

    fn hand_over(&mut self, id: ConnectionId, worker: usize) {
        let Some(mut peer) = self.peers[id.slot as usize].take() else {
            return;
        };
        self.broker.forget(id);
        if self
            .seat
            .poll
            .registry()
            .deregister(&mut peer.stream)
            .is_err()
        {
            return;
        }
        let Peer {
            stream,
            address,
            unfinished: bytes,
            ..
        } = peer;
        self.seat.mailboxes[worker].post(Mail::Adopt {
            stream,
            address,
            bytes,
        });
    }

    /// Writes everything that waits, and carries out what the broker asks for, until neither is
    /// left.
    fn flush(&mut self) {
        self.taken = 0;
        loop {
            let mut touched = std::mem::take(&mut self.touched);
            self.broker.touched(&mut touched);
            for id in touched.drain(..) {
                self.write(id);
            }
            self.touched = touched;
            if !self.carry_out() {
                return;
            }
        }
    }

    /// False: there was nothing to do.
    fn carry_out(&mut self) -> bool {
        self.post_crossings();
        let effects = self.broker.effects();
        if effects.is_empty() {
            return self.broker.is_touched();
        }
        let events = std::mem::take(&mut effects.events);
        let questions = std::mem::take(&mut effects.questions);
        let closing = std::mem::take(&mut effects.closing);
        let resumed = std::mem::take(&mut effects.resumed);
        for event in &events {
            let address = self.peer_ref(event.connection).map(|peer| peer.address);
            self.seat.log.event(address, event);
        }
        for question in questions {
            if let Some(authenticator) = &self.seat.authenticator {
                let verdict = authenticator.ask(self.seat.number, question);
                if let Some((id, verdict)) = verdict {
                    self.broker.answer(id, &verdict, self.now);
                }
            }
        }
        for id in closing {
            self.end(id);
        }
        for id in resumed {
            let Some(peer) = self.peer(id) else { continue };
            peer.waiting = false;
            if peer.unfinished.is_empty() {
                let readable = peer.readable;
                self.list(id, readable);
            } else {
                self.take_unfinished(id);
            }
        }
        true
    }

    fn write(&mut self, id: ConnectionId) {
        let Some(peer) = self
            .peers
            .get_mut(id.slot as usize)
            .and_then(Option::as_mut)
        else {
            return;
        };
        while !peer.blocked {
            let mut slices = [IoSlice::new(&[]); SLICES_MAX];
            let count = self.broker.slices(id, &mut slices);
            if count == 0 {
                break;
            }
            let offered: usize = slices[..count].iter().map(|slice| slice.len()).sum();
            match peer.write(&slices[..count]) {
                Ok(taken) => {
                    peer.blocked = taken < offered;
                    self.broker.wrote(id, taken, self.now);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => peer.blocked = true,
                Err(_) => return self.close(id),
            }
        }
        if peer.lingers.is_some() && !self.broker.has_output(id) {
            let _ = peer.stream.shutdown(std::net::Shutdown::Write);
        }
    }

    /// The broker is done with a connection. One that the client ended is closed at once; to
    /// others a last packet was written, and closing while bytes from them are unread would take
    /// it away from them.
    fn end(&mut self, id: ConnectionId) {
        self.write(id);
        let cause = self.broker.cause(id);
        let Some(peer) = self
            .peers
            .get_mut(id.slot as usize)
            .and_then(Option::as_mut)
        else {
            return;
        };
        if matches!(cause, Some(Cause::Disconnected(_) | Cause::Lost) | None) {
            return self.close(id);
        }
        peer.lingers = Some(self.now + LINGER);
        peer.unfinished = Vec::new();
        if let Some(large) = peer.large.take() {
            self.unfinished_bytes -= large.size().min(self.unfinished_bytes);
        }
        if !self.broker.has_output(id) {
            let _ = peer.stream.shutdown(std::net::Shutdown::Write);
        }
        self.lingering.push(id);
        self.discard(id);
    }

    /// Reads and forgets what a connection that is over still sends.
    fn discard(&mut self, id: ConnectionId) {
        let Some(peer) = self
            .peers
            .get_mut(id.slot as usize)
            .and_then(Option::as_mut)
        else {
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

    fn stop_lingering(&mut self) {
        if self.lingering.is_empty() {
            return;
        }
        let now = self.now;
        let over: Vec<ConnectionId> = self
            .lingering
            .iter()
            .copied()
            .filter(|&id| {
                self.peer_ref(id)
                    .is_none_or(|peer| peer.lingers.is_some_and(|at| at <= now))
            })
            .collect();
        for id in over {
            self.close(id);
            self.lingering.retain(|&other| other != id);
        }
    }

    fn close(&mut self, id: ConnectionId) {
        let Some(peer) = self.peers.get_mut(id.slot as usize) else {
            return;
        };
        if peer.as_ref().is_none_or(|peer| peer.id != id) {
            return;
        }
        let Some(mut peer) = peer.take() else { return };
        if let Some(large) = peer.large.take() {
            self.unfinished_bytes -= large.size().min(self.unfinished_bytes);
        }
        // Its descriptor closes with it, which takes it out of the poll.
        let _ = self.seat.poll.registry().deregister(&mut peer.stream);
        self.broker.closed(id, self.now);
        for event in std::mem::take(&mut self.broker.effects().events) {
            let address = (event.connection == id).then_some(peer.address);
            let address =
                address.or_else(|| self.peer_ref(event.connection).map(|peer| peer.address));
            self.seat.log.event(address, &event);
        }
        self.broker
            .effects()
            .closing
            .retain(|&closing| closing != id);
        self.count_connections();
    }

    fn peer(&mut self, id: ConnectionId) -> Option<&mut Peer> {
        self.peers
            .get_mut(id.slot as usize)?
            .as_mut()
            .filter(|peer| peer.id == id)
    }

    fn peer_ref(&self, id: ConnectionId) -> Option<&Peer> {
        self.peers
            .get(id.slot as usize)?
            .as_ref()
            .filter(|peer| peer.id == id)
    }
}

/// Errors of accept that are about the one connection which failed before it was ours.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
    )
}
