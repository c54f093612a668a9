//! A publisher goes to its audience. What crosses workers costs a wake-up when little is going on,
//! and memory that another core has just written when much is. A publisher whose messages all go
//! to one other worker is therefore handed to that worker, Session and all, between two turns.
//!
//! Only those move who are easy to move: nothing subscribed, nothing in flight to them, nothing
//! kept when they go. Whoever carries them out ([`Effects::following`](super::Effects)) may also
//! decide not to, for the sake of an even load.

use std::time::Instant;

use crate::broker::Broker;
use crate::broker::connection::{Cause, Connection, ConnectionId, Phase};
use crate::broker::session::Session;
use crate::broker::shared::SessionKey;
use crate::broker::shared::directory::UNDERWAY;

/// Reads in a row that all went to one other worker before a publisher follows. Few enough to
/// matter soon, enough that one stray message moves nobody.
const READS: u16 = 16;

/// Each move doubles what the next one takes, so that a publisher with two audiences settles.
const DOUBLINGS_MAX: u8 = 10;

/// A publisher on its way to another worker; opaque to whoever carries it.
pub struct Parcel {
    connection: Connection,
    session: Session,
}

/// How long a connection's messages have been for one other worker.
#[derive(Clone, Copy, Default)]
pub(crate) struct Audience {
    reads: u16,
    moves: u8,
}

impl Broker {
    /// Notes after a read where the last message went.
    pub(crate) fn note_audience(&mut self, slot: u32) {
        let Some(connection) = self.connections.get_mut(slot as usize) else {
            return;
        };
        let worker = self.router.last(slot).and_then(|route| route.only_worker());
        let Some(worker) = worker else {
            connection.audience.reads = 0;
            return;
        };
        connection.audience.reads += 1;
        if connection.audience.reads >= READS << connection.audience.moves {
            connection.audience.reads = 0;
            self.effects.following.push((connection.id, worker));
        }
    }

    /// Whether a connection can be handed to another worker as things are: its turn is written,
    /// and nothing but its own packets concerns its Session.
    pub fn may_follow(&self, id: ConnectionId) -> bool {
        let Some(connection) = self.connection(id) else {
            return false;
        };
        let Phase::Open(session) = connection.phase else {
            return false;
        };
        let session = &self.sessions[session as usize];
        connection.outbox.is_empty()
            && connection.gate.is_none()
            && !connection.touched
            && !connection.pressed
            && !connection.slow
            && !connection.unheard
            && connection.exchange.is_none()
            && connection.paused_since.is_none()
            && session.is_movable()
            && !self.stopping
    }

    /// Gives up a connection that [`may_follow`](Self::may_follow) and its Session to `worker`.
    /// `post` hands them over while the directory is locked: a CONNECT that is sent after them
    /// because of what the directory says arrives after them, too.
    pub fn depart(&mut self, id: ConnectionId, worker: u16, post: impl FnOnce(Parcel)) {
        assert!(self.may_follow(id), "a connection that cannot move");
        self.router.forget(id.slot);
        let mut connection = self.connections.remove(id.slot as usize);
        let moves = connection.audience.moves + 1;
        connection.audience.moves = moves.min(DOUBLINGS_MAX);
        let Phase::Open(place) = connection.phase else {
            return;
        };
        let session = self.sessions.remove(place as usize);
        if session.rights.is_some() {
            self.shared.note_reader(session.key, None);
        }
        self.connected -= 1;
        let underway = SessionKey {
            worker,
            slot: UNDERWAY,
            ..session.key
        };
        let mut directory = self.shared.directory();
        directory.replace(&session.client_id, session.key, underway);
        post(Parcel {
            connection,
            session,
        });
    }

    /// Takes over a connection and its Session from another worker.
    pub fn arrive(&mut self, parcel: Parcel, now: Instant) -> ConnectionId {
        let Parcel {
            mut connection,
            mut session,
        } = parcel;
        let place = self.connections.vacant_entry();
        self.connection_serial = self.connection_serial.wrapping_add(1);
        let id = ConnectionId {
            slot: place.key() as u32,
            serial: self.connection_serial,
        };
        let entry = self.sessions.vacant_entry();
        let before = SessionKey {
            worker: self.config.worker,
            slot: UNDERWAY,
            ..session.key
        };
        session.key = SessionKey {
            slot: entry.key() as u32,
            ..before
        };
        session.connection = Some(id.slot);
        self.shared
            .directory()
            .replace(&session.client_id, before, session.key);
        connection.id = id;
        connection.phase = Phase::Open(session.key.slot);
        // What the rules say is asked anew: they may be others here.
        connection.permits = None;
        let (grace, at) = (connection.grace, session.key.slot);
        self.connected += 1;
        entry.insert(session);
        place.insert(connection);
        self.renew_rights(at);
        // Its last packet came a moment ago, by the other worker's count of time.
        self.heard(id, now);
        if grace > 0 {
            self.check_by(now + std::time::Duration::from_millis(u64::from(grace) * 100));
        }
        if self.stopping {
            self.end_connection(id.slot, Cause::ShuttingDown, now);
        }
        id
    }
}
