//! The turn, and the only place that says which thread owns what.
//!
//! A worker owns its poll, its connections and its share of the broker. In a turn it takes all
//! that is readable, lets the broker handle it, and only then writes, once a connection: messages
//! and acknowledgements of a whole turn leave in one call. When much has come it writes earlier,
//! while the bytes are still in the processor's cache.

use std::io;
use std::io::IoSlice;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use mio::Events;
use mio::Poll;
use mio::Token;
use mio::event::Event;

use crate::broker::Broker;
use crate::broker::Cause;
use crate::broker::ConnectionId;
use crate::broker::SLICES_MAX;
use crate::broker::What;
use crate::daemon::auth::Authenticator;
use crate::daemon::buffers::Buffers;
use crate::daemon::control::Controller;
use crate::daemon::layers::Scratch;
use crate::daemon::listener::Listener;
use crate::daemon::log::Log;
use crate::daemon::mail::{MAILBOX, Mailbox};
use crate::daemon::observer::Notes;
use crate::daemon::pace::Pace;
use crate::daemon::peer::{self, LARGE_FROM, Peer};
use crate::daemon::storage::{self, Storage};

/// Bytes read from a connection at a time. Larger gains nothing, and leaves the cache.
pub(crate) const READ_SIZE: usize = 262_144;

/// Bytes taken in before what they led to is written.
pub(crate) const FLUSH_FROM: usize = 131_072;

/// Events taken from the system at a time.
const EVENTS_MAX: usize = 1_024;

/// Tokens below the mailbox's that name listeners.
pub(crate) const LISTENERS_FROM: usize = usize::MAX - 1_024;

/// A closed connection may take this long to read what was written to it last.
pub(crate) const LINGER: Duration = Duration::from_secs(1);

/// What a worker works with: its place in the process.
pub(crate) struct Seat {
    pub(crate) poll: Poll,
    /// Registered already: see [`register`].
    pub(crate) listeners: Vec<Listener>,
    /// Of all workers.
    pub(crate) mailboxes: Vec<Arc<Mailbox>>,
    pub(crate) number: usize,
    pub(crate) log: Log,
    pub(crate) authenticator: Authenticator,
    pub(crate) controller: Controller,
    pub(crate) notes: Notes,
    pub(crate) storage: Option<Storage>,
    /// How often the observer wants to hear that something goes on; zero: never.
    pub(crate) sample_every: Duration,
}

pub(crate) struct Worker {
    pub(crate) broker: Broker,
    pub(crate) seat: Seat,
    pub(crate) peers: Vec<Option<Peer>>,
    /// Connections that may have more to read than was taken.
    pub(crate) ready: Vec<ConnectionId>,
    /// Each with the time at which it is closed at the latest.
    pub(crate) lingering: Vec<(ConnectionId, Instant)>,
    pub(crate) buffer: Box<[u8]>,
    pub(crate) buffers: Buffers,
    pub(crate) scratch: Scratch,
    pub(crate) touched: Vec<ConnectionId>,
    pub(crate) accepting: bool,
    /// Accepting failed: when to try again.
    pub(crate) accept_again: Option<Instant>,
    pub(crate) taken: usize,
    pub(crate) pace: Pace,
    pub(crate) unfinished_bytes: usize,
    pub(crate) now: Instant,
    pub(crate) stopping: Option<Instant>,
    /// For choosing among equals.
    pub(crate) chance: u64,
    /// When the observer wants to hear again that something goes on.
    sample_at: Option<Instant>,
}

/// Lets a worker's poll tell of new connections.
pub(crate) fn register(poll: &Poll, listeners: &mut [Listener]) -> io::Result<()> {
    for (place, listener) in listeners.iter_mut().enumerate() {
        listener.register(poll.registry(), Token(LISTENERS_FROM + place))?;
    }
    Ok(())
}

impl Worker {
    pub(crate) fn new(broker: Broker, seat: Seat) -> Self {
        let mut worker = Self {
            broker,
            seat,
            peers: Vec::new(),
            ready: Vec::new(),
            lingering: Vec::new(),
            buffer: vec![0; READ_SIZE + LARGE_FROM].into(),
            buffers: Buffers::default(),
            scratch: Scratch::default(),
            touched: Vec::new(),
            accepting: false,
            accept_again: None,
            taken: 0,
            pace: Pace::default(),
            unfinished_bytes: 0,
            now: Instant::now(),
            stopping: None,
            chance: 0,
            sample_at: None,
        };
        worker.sample_every(worker.seat.sample_every);
        worker
    }

    /// The observer wants to hear so often that something goes on; zero: never.
    pub(crate) fn sample_every(&mut self, time: Duration) {
        self.seat.sample_every = time;
        self.sample_at = (!time.is_zero()).then(|| Instant::now() + time);
        self.broker.set_sys(!time.is_zero());
    }

    /// Turns, until told to stop.
    pub(crate) fn run(mut self) -> io::Result<()> {
        let mailbox = Arc::clone(&self.seat.mailboxes[self.seat.number]);
        let result = self.take_turns();
        self.commit();
        mailbox.close();
        result
    }

    fn take_turns(&mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(EVENTS_MAX);
        loop {
            let timeout = self.timeout();
            match self.seat.poll.poll(&mut events, timeout) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                result => result?,
            }
            self.now = Instant::now();
            self.turn(&events);
            if self.sample_at.is_some_and(|at| at <= self.now) {
                self.sample_at = Some(self.now + self.seat.sample_every);
                self.seat.notes.sample();
            }
            let over = self.stopping.is_some_and(|until| until <= self.now);
            if self.stopping.is_some() && (over || self.peers.iter().all(Option::is_none)) {
                return Ok(());
            }
        }
    }

    pub(crate) fn turn(&mut self, events: &Events) {
        if self.seat.storage.is_some() {
            self.broker.tell_time(self.now, storage::wall());
        }
        self.pace.begin(self.broker.made());
        self.read_ready();
        let mut mail = false;
        for event in events {
            match event.token() {
                MAILBOX => mail = true,
                Token(token) if token >= LISTENERS_FROM => self.accepting = true,
                Token(slot) => self.ready_event(slot, event),
            }
        }
        // New connections come last: events of this turn are not about those in the same place.
        if mail {
            self.take_mail();
        }
        if self.accepting || self.accept_again.is_some_and(|at| at <= self.now) {
            self.accept();
        }
        if self.broker.next_deadline().is_some_and(|at| at <= self.now) {
            self.broker.tick(self.now);
        }
        self.flush();
        self.greet();
        self.catch_up();
        self.let_follow();
        self.stop_lingering();
    }

    /// How long to sleep: not at all when somebody has more to read, for ever when nothing is due.
    pub(crate) fn timeout(&self) -> Option<Duration> {
        if !self.ready.is_empty() || self.accepting || self.pace.is_busy() {
            return Some(Duration::ZERO);
        }
        let lingers = self
            .lingering
            .iter()
            .filter(|(id, _)| self.peer_ref(*id).is_some())
            .map(|(_, at)| *at)
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

    pub(crate) fn ready_event(&mut self, slot: usize, event: &Event) {
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
            self.read_paced(id);
        }
    }

    /// Writes everything that waits, and carries out what the broker asks for, until neither is
    /// left.
    pub(crate) fn flush(&mut self) {
        self.taken = 0;
        loop {
            // Before the acknowledgements leave: who has one finds its message handed over.
            self.commit();
            self.post_crossings();
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

    /// Hands what has changed to the store, and lets go what waits for nothing.
    fn commit(&mut self) {
        let Some(storage) = &self.seat.storage else {
            return;
        };
        if let Some(turn) = self.broker.end_turn() {
            storage.append(self.seat.number, turn);
        }
        // Behind the turn that may have brought what is asked for.
        for fetch in std::mem::take(&mut self.broker.effects().fetches) {
            storage.fetch(self.seat.number, fetch);
        }
    }

    /// False: there was nothing to do.
    pub(crate) fn carry_out(&mut self) -> bool {
        // Before other workers hear of it.
        self.commit();
        self.post_crossings();
        let effects = self.broker.effects();
        if effects.is_empty() {
            return self.broker.is_touched();
        }
        let events = std::mem::take(&mut effects.events);
        let questions = std::mem::take(&mut effects.questions);
        let controls = std::mem::take(&mut effects.controls);
        let closing = std::mem::take(&mut effects.closing);
        let resumed = std::mem::take(&mut effects.resumed);
        let sys_wanted = std::mem::take(&mut effects.sys_wanted);
        for (at, event) in events.iter().enumerate() {
            if Log::is_retold(&events, at) {
                continue;
            }
            let address = self.peer_ref(event.connection).map(|peer| peer.from);
            self.seat.log.event(address, event);
            if matches!(event.what, What::Connected { .. }) {
                self.tell_encryption(event);
            }
        }
        for wanted in sys_wanted {
            if let Err(wanted) = self.seat.notes.wanted(self.seat.number, wanted) {
                // The observer has enough to do: what is there must be good enough.
                self.broker.replay_sys(&wanted, self.now);
            }
        }
        self.put_questions(questions, controls);
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

    pub(crate) fn write(&mut self, id: ConnectionId) {
        if self.peer_ref(id).is_some_and(|peer| peer.layers.is_some()) {
            return self.write_layered(id);
        }
        let Some(peer) = peer::find(&mut self.peers, id) else {
            return;
        };
        while !peer.blocked && self.broker.has_output(id) {
            if self.pace.is_spent() {
                self.pace.put_off(id, &mut peer.late);
                break;
            }
            let mut slices = [IoSlice::new(&[]); SLICES_MAX];
            let count = self.broker.slices(id, &mut slices);
            let offered: usize = slices[..count].iter().map(|slice| slice.len()).sum();
            match peer.write(&slices[..count]) {
                Ok(taken) => {
                    self.pace.spend(taken);
                    peer.blocked = taken < offered;
                    self.broker.wrote(id, taken, self.now);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => peer.blocked = true,
                Err(_) if peer.lingers => return self.close(id),
                Err(_) => {
                    // It closed without reading its answers. What it said before, DISCONNECT
                    // perhaps, is here and not read yet; what waits for it goes nowhere.
                    peer.ending = true;
                    self.broker.wrote(id, offered, self.now);
                }
            }
        }
        if peer.ending {
            return self.list(id, true);
        }
        if peer.lingers && !self.broker.has_output(id) {
            peer.socket.shut_down_writing();
        }
    }

    /// The broker is done with a connection. One that the client ended is closed at once; to
    /// others a last packet was written, and closing while bytes from them are unread would take
    /// it away from them. A client that said DISCONNECT inside of TLS or WebSocket has to say
    /// goodbye there, too, and may take a socket that is gone for an error.
    pub(crate) fn end(&mut self, id: ConnectionId) {
        // There may be no other turn for it.
        self.pace.renew();
        self.write(id);
        let cause = self.broker.cause(id);
        let Some(peer) = peer::find(&mut self.peers, id) else {
            return;
        };
        let over = match cause {
            Some(Cause::Disconnected(_)) => peer.layers.is_none(),
            cause => matches!(cause, Some(Cause::Lost) | None),
        };
        if over {
            return self.close(id);
        }
        peer.lingers = true;
        peer.unfinished = Vec::new();
        self.unfinished_bytes -= peer.counted();
        if let Some(large) = peer.large.take() {
            self.unfinished_bytes -= large.size().min(self.unfinished_bytes);
        }
        if peer.layers.is_some() {
            self.write(id);
        } else if !self.broker.has_output(id) {
            peer.socket.shut_down_writing();
        }
        self.lingering.push((id, self.now + LINGER));
        self.discard(id);
    }

    pub(crate) fn stop_lingering(&mut self) {
        if self.lingering.is_empty() {
            return;
        }
        let now = self.now;
        let over: Vec<ConnectionId> = self
            .lingering
            .iter()
            .filter(|(id, at)| *at <= now || self.peer_ref(*id).is_none())
            .map(|(id, _)| *id)
            .collect();
        if over.is_empty() {
            return;
        }
        for id in over {
            self.close(id);
        }
        // One pass for all: a broker that stops has many.
        let mut lingering = std::mem::take(&mut self.lingering);
        lingering.retain(|&(id, _)| self.peer_ref(id).is_some());
        self.lingering = lingering;
    }

    pub(crate) fn close(&mut self, id: ConnectionId) {
        let Some(peer) = self.peers.get_mut(id.slot as usize) else {
            return;
        };
        if peer.as_ref().is_none_or(|peer| peer.id != id) {
            return;
        }
        let Some(mut peer) = peer.take() else { return };
        self.unfinished_bytes -= peer.counted();
        if let Some(large) = peer.large.take() {
            self.unfinished_bytes -= large.size().min(self.unfinished_bytes);
        }
        // Its descriptor closes with it, which takes it out of the poll.
        let _ = self.seat.poll.registry().deregister(&mut peer.socket);
        self.broker.closed(id, self.now);
        for event in std::mem::take(&mut self.broker.effects().events) {
            let address = (event.connection == id).then_some(peer.from);
            let address = address.or_else(|| self.peer_ref(event.connection).map(|peer| peer.from));
            self.seat.log.event(address, &event);
        }
        self.broker
            .effects()
            .closing
            .retain(|&closing| closing != id);
        self.count_connections();
    }

    pub(crate) fn peer(&mut self, id: ConnectionId) -> Option<&mut Peer> {
        peer::find(&mut self.peers, id)
    }

    pub(crate) fn peer_ref(&self, id: ConnectionId) -> Option<&Peer> {
        self.peers
            .get(id.slot as usize)?
            .as_ref()
            .filter(|peer| peer.id == id)
    }
}
