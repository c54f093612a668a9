//! What reaches a worker from outside its connections: new connections, and mail of other threads.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use mio::Interest;
use mio::Token;
use zeroize::Zeroize as _;

use crate::broker;
use crate::broker::ConnectionId;
use crate::broker::Control;
use crate::broker::Crossing;
use crate::broker::access::{Asked, Question, TRUSTED};
use crate::broker::listener::{ListenerRules, TooMany};
use crate::daemon::auth::bans::Arrival;
use crate::daemon::conf::log_words::LogType;
use crate::daemon::control;
use crate::daemon::listener::Accepted;
use crate::daemon::mail::{Mail, Mailbox};
use crate::daemon::peer::Peer;
use crate::daemon::socket::{From, Socket};
use crate::daemon::worker::{LINGER, Worker};
use crate::net::system_words;

/// Connections accepted in a turn: a flood of them must not starve those who are connected.
const ACCEPTS_MAX: usize = 256;

/// Time for new connections in a turn. Each brings its first packet, which can be tens of kilobytes.
const ACCEPT_TIME: Duration = Duration::from_millis(2);

/// Connections by which workers may differ when a new one comes, beside an eighth of them.
const UNEVEN: usize = 2;

/// Time between two attempts to accept while none succeeds.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

impl Worker {
    pub(crate) fn accept(&mut self) {
        self.accepting = false;
        if self.accept_again.is_some_and(|at| at > self.now) {
            return;
        }
        let begun = Instant::now();
        for place in 0..self.seat.listeners.len() {
            for round in 0.. {
                if round >= ACCEPTS_MAX || (round > 0 && begun.elapsed() >= ACCEPT_TIME) {
                    self.accepting = true;
                    break;
                }
                match self.seat.listeners[place].accept() {
                    Ok(accepted) => {
                        let port = self.seat.listeners[place].port();
                        self.seat.log.accepted(&accepted.from, port);
                        self.place(accepted);
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) if is_of_one_connection(&error) => {}
                    Err(error) => {
                        // Mostly no descriptor is left. The connection stays in the backlog, and
                        // is tried again in a while. One line tells of all in a row.
                        if self.accept_again.is_none() {
                            let line = format!("accepting failed: {}", system_words(&error));
                            self.seat.log.say(LogType::Error, &line);
                        }
                        self.accept_again = Some(self.now + ACCEPT_PAUSE);
                        return;
                    }
                }
            }
        }
        self.accept_again = None;
    }

    /// Gives a new connection to one of the workers with few.
    pub(crate) fn place(&mut self, accepted: Accepted) {
        if !self.is_welcome(&accepted) {
            return;
        }
        let chosen = self.choose_worker();
        if chosen == self.seat.number {
            self.adopt(accepted, Vec::new());
        } else {
            self.seat.mailboxes[chosen]
                .connections
                .fetch_add(1, Ordering::Relaxed);
            let bytes = Vec::new();
            self.seat.mailboxes[chosen].post(Mail::Adopt { accepted, bytes });
        }
    }

    /// Which of those that have about the fewest connections is chance. Were it the one with the
    /// fewest, clients that come in turn, a subscriber, its publisher, and so on, would be sorted:
    /// all subscribers here and all publishers there, and no room for them to follow.
    fn choose_worker(&mut self) -> usize {
        let load = |mailbox: &Arc<Mailbox>| mailbox.connections.load(Ordering::Relaxed);
        let loads = || self.seat.mailboxes.iter().map(load).enumerate();
        let least = loads().map(|(_, load)| load).min().unwrap_or(0);
        let few = || loads().filter(|(_, load)| *load <= least + UNEVEN + least / 8);
        // Knuth's generator: nobody gains by guessing what it says.
        self.chance = self
            .chance
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let place = (self.chance >> 33) as usize % few().count().max(1);
        few()
            .nth(place)
            .map_or(self.seat.number, |(number, _)| number)
    }

    /// Whether the address of a connection is neither banned nor too quick.
    fn is_welcome(&mut self, accepted: &Accepted) -> bool {
        let Some(address) = accepted.from.ip() else {
            return true;
        };
        let (reason, told) = match self.seat.authenticator.arrives(address, self.now) {
            Arrival::Welcome => return true,
            Arrival::Banned(seconds, told) => (format!("banned for {seconds} s more"), told),
            Arrival::TooFast(told) => ("too many connections a second".to_owned(), told),
        };
        self.broker.note_turned_away();
        if told {
            let from = accepted.from;
            self.seat.log.line(&format!("{from} refused: {reason}"));
        }
        false
    }

    pub(crate) fn adopt(&mut self, accepted: Accepted, bytes: Vec<u8>) {
        let from = accepted.from;
        let id = match self.broker.open_on(&accepted.listener, self.now) {
            Ok(id) => id,
            Err(too_many) => return self.turn_away(from, too_many),
        };
        if let Some(proven) = &accepted.proven {
            self.broker.prove(id, Arc::clone(proven));
        }
        self.seat_peer(id, accepted, bytes);
    }

    fn turn_away(&self, from: From, too_many: TooMany) {
        if too_many != TooMany::Stopping {
            self.seat.log.full(&from);
        }
    }

    /// A connection of a bridge of ours. Without a user name it may do everything; with one, what
    /// that user may.
    #[cfg(unix)]
    pub(crate) fn adopt_bridge(&mut self, socket: mio::net::UnixStream, user: Option<String>) {
        let rules = ListenerRules {
            anonymous: Some(true),
            user_name_proven: user.is_some(),
            realm: if user.is_some() { 0 } else { TRUSTED },
            ..ListenerRules::default()
        };
        let listener = Arc::new(broker::listener::Listener::new(rules));
        let accepted = Accepted {
            socket: Socket::Unix(socket),
            from: From::Bridge,
            layers: None,
            listener,
            proven: user.map(Into::into),
        };
        self.adopt(accepted, Vec::new());
    }

    /// Gives a connection that the broker knows its socket.
    pub(crate) fn seat_peer(&mut self, id: ConnectionId, mut accepted: Accepted, bytes: Vec<u8>) {
        let slot = id.slot as usize;
        let both = Interest::READABLE | Interest::WRITABLE;
        let registry = self.seat.poll.registry();
        if let Err(error) = registry.register(&mut accepted.socket, Token(slot), both) {
            let (from, words) = (&accepted.from, system_words(&error));
            self.seat.log.line(&format!("{from} refused: {words}"));
            self.broker.closed(id, self.now);
            return;
        }
        if self.peers.len() <= slot {
            self.peers.resize_with(slot + 1, || None);
        }
        let mut peer = Peer::new(id, accepted);
        peer.unfinished = bytes;
        self.peers[slot] = Some(peer);
        self.count_connections();
        // The first packet is often here already; otherwise an event comes with it.
        self.read_paced(id);
    }

    /// Hands on what the broker cannot answer itself.
    pub(crate) fn put_questions(&mut self, questions: Vec<Question>, controls: Vec<Control>) {
        let tells = |question: &Question| matches!(question.asked, Asked::Password { .. });
        if questions.iter().any(tells) {
            // The password is in the question now; where it was read to it would stay for long.
            self.buffer.zeroize();
        }
        for question in questions {
            let address = self
                .peer_ref(question.connection)
                .and_then(|peer| peer.from.ip());
            let number = self.seat.number;
            if let Some((id, verdict)) = self.seat.authenticator.ask(number, question, address) {
                self.broker.answer(id, &verdict, self.now);
            }
        }
        for control in controls {
            let topic = control.topic.clone();
            let from = self.peer_ref(control.connection).map(|peer| peer.from);
            let taken = match from {
                Some(from) if *topic == *control::TOPIC => {
                    let number = self.seat.number;
                    self.seat.controller.command(number, from, control)
                }
                _ => self.seat.authenticator.command(control),
            };
            if !taken {
                self.seat
                    .log
                    .line(&format!("a command to {topic} is lost: too many at a time"));
            }
        }
    }

    pub(crate) fn take_mail(&mut self) {
        for mail in self.seat.mailboxes[self.seat.number].take() {
            match mail {
                Mail::Adopt { accepted, bytes } => self.adopt(accepted, bytes),
                Mail::Follow { accepted, parcel } => {
                    let id = self.broker.arrive(*parcel, self.now);
                    self.seat_peer(id, accepted, Vec::new());
                }
                Mail::Crossings(batch) => self.take_crossings(&batch),
                Mail::Drained(worker) => self.broker.set_full(worker, false),
                Mail::Durable(turn) => self.broker.durable(turn),
                Mail::Fetched(fetch, found) => self.broker.fetched(&fetch, found, self.now),
                Mail::Task(task) => task(self),
                Mail::Stop => {
                    self.seat.listeners.clear();
                    self.broker.shut_down(self.now);
                    self.stopping = Some(self.now + LINGER);
                }
            }
        }
        self.count_connections();
    }

    pub(crate) fn take_crossings(&mut self, batch: &[Crossing]) {
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
    pub(crate) fn post_crossings(&mut self) {
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

    pub(crate) fn count_connections(&self) {
        let count = self.broker.connections();
        self.seat.mailboxes[self.seat.number]
            .connections
            .store(count, Ordering::Relaxed);
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
