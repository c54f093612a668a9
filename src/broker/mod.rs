//! The server as a state machine: bytes and time in, bytes and effects out. No socket, no clock,
//! no thread is known here, so every rule is tested in virtual time.
//!
//! One [`Broker`] is one worker's share of the whole: it owns its connections and their Sessions
//! outright. What all workers see lies in [`Shared`]. The caller (`daemon::worker`, or a test)
//! moves in turns:
//!
//! 1. [`Broker::receive`] for all that was read, `Broker::deliver` for what came from other
//!    workers, [`Broker::tick`] when [`Broker::next_deadline`] has come;
//! 2. [`Broker::touched`], and for each connection [`Broker::slices`] and [`Broker::wrote`];
//! 3. [`Broker::effects`]: connections to close, questions, events, crossings.
//!
//! The walk of a PUBLISH: `receive` finds the frame, `publish` decodes it and settles the
//! handshake, `router` says who gets it, `deliver` puts it into each `outbox`, as it came or in
//! the form `outgoing` gives it.

pub mod access;
mod administration;
mod connect;
mod connection;
mod control;
mod crossing;
mod deliver;
pub mod durable;
mod ending;
mod event;
mod exchange;
mod following;
pub mod limits;
pub mod listener;
mod outbox;
mod outgoing;
mod permission;
pub mod profile;
mod publish;
mod pull;
mod rate;
mod receive;
mod router;
mod run;
mod session;
mod shared;
mod sparkplug;
mod stats;
mod subscribe;
mod sys;
mod timers;
mod trace;

use std::collections::HashSet;
use std::io::IoSlice;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use bytes::Bytes;
use slab::Slab;

use crate::broker::access::{Access, Question};
pub use crate::broker::administration::inspection::{
    InflightRow, QueuedRow, RetainedPage, Waiting,
};
pub use crate::broker::administration::retaining::RetainedRow;
pub use crate::broker::administration::snapshot::{
    ClientPage, ClientRow, ConnectedRow, Snapshot, Whole,
};
pub use crate::broker::administration::snapshot::{HeldPage, SubscriptionPage, SubscriptionRow};
pub use crate::broker::connection::{Cause, ConnectionId, Traffic};
use crate::broker::connection::{Connection, Phase};
pub use crate::broker::control::Control;
pub use crate::broker::crossing::Crossing;
pub use crate::broker::durable::fetching::Fetch;
pub use crate::broker::durable::gate::Turn;
use crate::broker::durable::recorder::Recorder;
pub use crate::broker::durable::restore::{Part, Restore};
pub use crate::broker::event::{Event, What};
pub use crate::broker::following::Parcel;
use crate::broker::limits::Limits;
use crate::broker::listener::{Listener, TooMany};
pub use crate::broker::outbox::SLICES_MAX;
use crate::broker::profile::Profile;
pub use crate::broker::receive::ALIVE_WHILE_DUE;
use crate::broker::router::Router;
use crate::broker::session::Session;
use crate::broker::shared::SessionKey;
pub use crate::broker::shared::Shared;
pub use crate::broker::stats::Stats;
pub use crate::broker::sys::SysWanted;
use crate::broker::timers::Timers;
use crate::mqtt::property::PropertiesBuf;

/// What a [`Broker`] is made of.
#[derive(Clone)]
pub struct Config {
    /// This worker's number.
    pub worker: u16,
    /// How many workers there are.
    pub workers: u16,
    /// The operator's numbers.
    pub limits: Limits,
    /// The standard's choices.
    pub profile: Profile,
    /// Who may connect.
    pub access: Access,
    /// Chance: nobody else knows it, so assigned Client Identifiers cannot be guessed.
    pub seed: [u8; 32],
    /// Somebody publishes the broker's own topics, and is told who wants them.
    pub sys: bool,
    /// Events for Subscriptions too, not only for connections.
    pub trace: bool,
    /// Events for each packet, too. Slow.
    pub trace_packets: bool,
}

impl Config {
    /// Whether packets that begin alike may differ in what becomes of them.
    fn looks_at_each(&self) -> bool {
        let sizes_matter = self.limits.payload_size_max < self.limits.packet_size_max;
        let payloads_matter = sizes_matter && self.limits.payload_size_max < PAYLOAD_MAX;
        self.trace_packets || self.profile.qos_raised || payloads_matter
    }
}

/// Bytes of the largest payload there can be.
const PAYLOAD_MAX: usize = 268_435_455;

/// Bytes that a message for one client weighs beside its payload, see [`Broker::made`].
const MESSAGE_WEIGHT: u64 = 64;

/// What one call of [`Broker::receive`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Bytes used up; the rest is to be given again, with more behind it.
    pub used: usize,
    /// What to do next.
    pub next: Next,
}

/// See [`Receipt`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Read on. The size of the packet whose beginning is here, zero when not known yet.
    Read(usize),
    /// Do not read until the connection is in [`Effects::resumed`].
    Wait,
    /// Hand the connection, and all bytes not used up, to this worker.
    Move(u16),
    /// Read no more; the connection is closed once its bytes are written.
    Stop,
}

/// What the world is to do, gathered since the last call of [`Broker::effects`].
#[derive(Default)]
pub struct Effects {
    /// Connections to close, after an attempt to write what waits for them.
    pub closing: Vec<ConnectionId>,
    /// Connections to read from again.
    pub resumed: Vec<ConnectionId>,
    /// For somebody who can answer: [`Broker::answer`].
    pub questions: Vec<Question>,
    /// Commands for those behind `$CONTROL`.
    pub controls: Vec<Control>,
    /// New Subscriptions to the broker's own topics.
    pub sys_wanted: Vec<SysWanted>,
    /// For the log.
    pub events: Vec<Event>,
    /// Messages wanted from the store: [`Broker::fetched`].
    pub fetches: Vec<Fetch>,
    /// A batch for each other worker, by its number.
    pub crossings: Vec<Vec<Crossing>>,
    /// Publishers whose messages all go to this other worker: [`Broker::depart`].
    pub following: Vec<(ConnectionId, u16)>,
}

impl Effects {
    /// Nothing is to be done here and now; what goes to other workers does not count.
    pub fn is_empty(&self) -> bool {
        self.closing.is_empty()
            && self.resumed.is_empty()
            && self.questions.is_empty()
            && self.controls.is_empty()
            && self.sys_wanted.is_empty()
            && self.events.is_empty()
    }
}

/// See the module.
pub struct Broker {
    config: Config,
    shared: Arc<Shared>,
    epoch: Instant,
    connections: Slab<Connection>,
    sessions: Slab<Session>,
    router: Router,
    timers: Timers,
    effects: Effects,
    touched: Vec<u32>,
    /// Emptied buffers for the next turn's outboxes.
    spare: Vec<Vec<u8>>,
    /// Properties of the PUBLISH being encoded.
    scratch: PropertiesBuf,
    /// Connections here that are pressed and not yet slow.
    pressed: usize,
    pressed_elsewhere: HashSet<SessionKey>,
    /// Workers with as much waiting for them as `crossing_bytes_max` allows.
    full: Vec<bool>,
    any_full: bool,
    paused: Vec<Paused>,
    /// No connection's time without a packet ends before this.
    next_check: Option<Instant>,
    /// When retained messages expire that nobody else looks after.
    purge_at: Option<Instant>,
    connection_serial: u32,
    assigned_ids: u64,
    stats: Stats,
    /// Sessions here that have a Network Connection.
    connected: usize,
    stopping: bool,
    /// Some connections have bytes that the system was not offered yet.
    behind: bool,
    /// Each PUBLISH is looked at, however alike they are.
    singly: bool,
    /// What one client may publish a second is limited.
    rated: bool,
    /// Only where what survives a restart is kept.
    recorder: Option<Box<Recorder>>,
}

struct Paused {
    connection: ConnectionId,
    until: Instant,
}

impl Broker {
    /// A worker's share of the broker that `shared` holds together.
    pub fn new(config: Config, shared: Arc<Shared>, now: Instant) -> Self {
        let mut effects = Effects::default();
        effects
            .crossings
            .resize_with(usize::from(config.workers), Vec::new);
        let full = vec![false; usize::from(config.workers)];
        let (singly, rated) = (config.looks_at_each(), config.limits.is_rated());
        Self {
            shared,
            epoch: now,
            connections: Slab::new(),
            sessions: Slab::new(),
            router: Router::new(config.access.sparkplug),
            config,
            timers: Timers::default(),
            effects,
            touched: Vec::new(),
            spare: Vec::new(),
            scratch: PropertiesBuf::new(),
            pressed: 0,
            pressed_elsewhere: HashSet::new(),
            full,
            any_full: false,
            paused: Vec::new(),
            next_check: None,
            purge_at: None,
            connection_serial: 0,
            assigned_ids: 0,
            stats: Stats::default(),
            connected: 0,
            stopping: false,
            behind: false,
            singly,
            rated,
            recorder: None,
        }
    }

    /// A Network Connection was made to this listener. An error: it is to be closed at once.
    pub fn open_on(
        &mut self,
        listener: &Arc<Listener>,
        now: Instant,
    ) -> Result<ConnectionId, TooMany> {
        let taken = self.count_in(listener);
        if let Err(too_many) = taken {
            self.stats.connections_refused += 1;
            return Err(too_many);
        }
        self.stats.connections_opened += 1;
        let ticks = self.ticks(now);
        let grace = self.config.limits.connect_timeout_ms.div_ceil(100);
        self.connection_serial = self.connection_serial.wrapping_add(1);
        let entry = self.connections.vacant_entry();
        let id = ConnectionId {
            slot: entry.key() as u32,
            serial: self.connection_serial,
        };
        let size_max = self.config.limits.packet_size_max;
        entry.insert(Connection::new(
            id,
            Arc::clone(listener),
            size_max,
            ticks,
            grace,
        ));
        self.check_by(now + self.config.limits.connect_timeout());
        Ok(id)
    }

    fn count_in(&self, listener: &Listener) -> Result<(), TooMany> {
        if self.stopping {
            return Err(TooMany::Stopping);
        }
        if !listener.enter() {
            return Err(TooMany::OfListener);
        }
        let open = self.shared.connections.fetch_add(1, Ordering::Relaxed);
        if open >= self.config.limits.connections_max {
            self.shared.connections.fetch_sub(1, Ordering::Relaxed);
            listener.leave();
            return Err(TooMany::OfBroker);
        }
        Ok(())
    }

    /// A certificate or a key tells who is at the other end; before CONNECT.
    pub fn prove(&mut self, id: ConnectionId, user_name: Arc<str>) {
        if let Some(connection) = self.connection_mut(id) {
            connection.seldom().proven = Some(user_name);
        }
    }

    /// Whose rules a connection follows, and who it proved to be.
    pub fn standing_of(&self, id: ConnectionId) -> Option<(Arc<Listener>, Option<Arc<str>>)> {
        self.connection(id).map(|_| self.standing(id.slot))
    }

    /// Takes a connection out, which its listener counts no more.
    pub(crate) fn remove_connection(&mut self, slot: u32) {
        self.router.forget(slot);
        let connection = self.connections.remove(slot as usize);
        connection.listener.leave();
        self.shared.connections.fetch_sub(1, Ordering::Relaxed);
    }

    /// Connections with bytes to write, each once, since the last call.
    pub fn touched(&mut self, list: &mut Vec<ConnectionId>) {
        for slot in self.touched.drain(..) {
            if let Some(connection) = self.connections.get_mut(slot as usize)
                && connection.touched
            {
                connection.touched = false;
                list.push(connection.id);
            }
        }
    }

    /// The bytes that wait for a connection, for one vectored write; how many slices were set.
    pub fn slices<'a>(&'a self, id: ConnectionId, slices: &mut [IoSlice<'a>; SLICES_MAX]) -> usize {
        self.connection(id)
            .filter(|connection| !connection.is_barred())
            .map_or(0, |connection| connection.outbox.slices(slices))
    }

    /// Of those bytes the first part, where others may have it, too, and how much of it is written. A
    /// layer may take it out to change it on its way, and puts it back before [`wrote`](Self::wrote).
    pub fn front(&mut self, id: ConnectionId) -> Option<(&mut Bytes, usize)> {
        if self.config.trace_packets {
            return None;
        }
        let connection = self.connections.get_mut(id.slot as usize)?;
        match connection.id == id && !connection.is_barred() {
            true => connection.outbox.front(),
            false => None,
        }
    }

    /// Whether bytes wait for a connection.
    pub fn has_output(&self, id: ConnectionId) -> bool {
        self.connection(id)
            .is_some_and(|connection| !connection.outbox.is_empty() && !connection.is_barred())
    }

    /// The system took `count` bytes of what [`slices`](Self::slices) showed.
    pub fn wrote(&mut self, id: ConnectionId, count: usize, now: Instant) {
        let Some(connection) = self.connections.get_mut(id.slot as usize) else {
            return;
        };
        if connection.id != id {
            return;
        }
        if self.config.trace_packets {
            self.trace_sent(id, count);
        }
        let connection = &mut self.connections[id.slot as usize];
        connection.outbox.wrote(&mut self.spare, count);
        self.stats.bytes_sent += count as u64;
        connection.traffic.bytes_sent += count as u64;
        if connection.outbox.len() < self.config.limits.outbox_bytes_low() {
            connection.answered = 0;
            if std::mem::take(&mut connection.unheard) {
                self.effects.resumed.push(id);
            }
            self.relieved(id.slot, now);
        }
    }

    /// What is to be done, since the last call.
    pub fn effects(&mut self) -> &mut Effects {
        &mut self.effects
    }

    /// When [`tick`](Self::tick) is wanted, if nothing happens before.
    pub fn next_deadline(&self) -> Option<Instant> {
        let paused = self.paused.iter().map(|paused| paused.until).min();
        [self.next_check, self.timers.next(), self.purge_at, paused]
            .into_iter()
            .flatten()
            .min()
    }

    /// The operator's numbers.
    pub fn limits(&self) -> &Limits {
        &self.config.limits
    }

    /// Tells whether another worker has so much waiting for it (`crossing_bytes_max`) that
    /// publishers to its Sessions are to pause, as they do for a slow subscriber.
    pub fn set_full(&mut self, worker: u16, full: bool) {
        self.full[usize::from(worker)] = full;
        self.any_full = self.full.contains(&true);
        if !full {
            self.resume_paused();
        }
    }

    /// Whether a connection has something to write that [`touched`](Self::touched) would list.
    pub fn is_touched(&self) -> bool {
        !self.touched.is_empty()
    }

    /// Forgets a connection that another worker is to own: nobody is told.
    pub fn forget(&mut self, id: ConnectionId) {
        if self.connection(id).is_some() {
            self.remove_connection(id.slot);
        }
    }

    /// Counters of this worker.
    pub fn stats(&self) -> Stats {
        self.stats
    }

    /// What was encoded for clients since the start, in bytes: messages are weighed, because small
    /// ones cost more than their bytes.
    #[inline]
    pub fn made(&self) -> u64 {
        self.stats.payload_sent + MESSAGE_WEIGHT * self.stats.publish_sent
    }

    /// What was counted outside, and is to be told with the rest.
    pub fn add_stats(&mut self, more: &Stats) {
        self.stats.add(more);
    }

    /// Network Connections of this worker.
    pub fn connections(&self) -> usize {
        self.connections.len()
    }

    /// Sessions of this worker, connected or not.
    pub fn sessions(&self) -> usize {
        self.sessions.len()
    }

    /// Retained messages of the whole broker, and their bytes.
    pub fn retained(&self) -> (usize, usize) {
        let retained = self.shared.retained();
        (retained.len(), retained.bytes())
    }

    /// The Topic Filters a Session is subscribed to, Shared Subscriptions with their share name.
    pub fn filters_of(&self, client_id: &str) -> Vec<String> {
        let key = self.shared.directory().find(client_id);
        let session = key.and_then(|key| self.sessions.get(key.slot as usize));
        let Some(session) = session.filter(|session| Some(session.key) == key) else {
            return Vec::new();
        };
        let subscriptions = self.shared.subscriptions();
        let plain = session
            .subscriptions
            .iter()
            .map(|&node| subscriptions.filter(node));
        let shares = session.shares().iter();
        let shared = shares
            .map(|share| format!("$share/{}/{}", share.name, subscriptions.filter(share.node)));
        plain.chain(shared).collect()
    }

    /// The Topic Filters of all Sessions, each with its Client Identifier.
    pub fn all_filters(&self) -> Vec<(String, String)> {
        let ids = self.sessions.iter().map(|(_, session)| &session.client_id);
        ids.flat_map(|id| {
            let filters = self.filters_of(id).into_iter();
            filters.map(|filter| (filter, id.to_string()))
        })
        .collect()
    }

    /// Other numbers and choices from now on. Connections keep what they were told in CONNACK.
    pub fn set_limits(&mut self, limits: Limits, profile: Profile) {
        self.shared.retained_mut().set_limits(&limits);
        self.config.limits = limits;
        self.config.profile = profile;
        self.singly = self.config.looks_at_each();
        self.rated = self.config.limits.is_rated();
    }

    fn connection(&self, id: ConnectionId) -> Option<&Connection> {
        self.connections
            .get(id.slot as usize)
            .filter(|connection| connection.id == id)
    }

    fn connection_mut(&mut self, id: ConnectionId) -> Option<&mut Connection> {
        self.connections
            .get_mut(id.slot as usize)
            .filter(|connection| connection.id == id)
    }

    /// Notes that a connection has something to write, and whether that is too much.
    #[inline]
    fn touch(&mut self, slot: u32) {
        let connection = &mut self.connections[slot as usize];
        if !connection.touched {
            connection.touched = true;
            self.touched.push(slot);
        }
        if connection.outbox.len() > self.config.limits.outbox_bytes_max && !connection.pressed {
            self.press(slot);
        }
    }

    /// Tenths of a second since the start: four bytes a connection instead of sixteen.
    fn ticks(&self, now: Instant) -> u32 {
        (now.saturating_duration_since(self.epoch).as_millis() / 100) as u32
    }

    fn at(&self, ticks: u64) -> Instant {
        self.epoch + Duration::from_millis(ticks * 100)
    }

    fn check_by(&mut self, at: Instant) {
        self.next_check = Some(self.next_check.map_or(at, |next| next.min(at)));
    }

    fn client_id(&self, slot: u32) -> Arc<str> {
        match self
            .connections
            .get(slot as usize)
            .map(|connection| &connection.phase)
        {
            Some(&Phase::Open(session)) => Arc::clone(&self.sessions[session as usize].client_id),
            _ => self.last_id(slot).unwrap_or_default(),
        }
    }

    /// What a client called itself that was not let in, or has left.
    fn last_id(&self, slot: u32) -> Option<Arc<str>> {
        let connection = self.connections.get(slot as usize)?;
        connection.seldom.as_ref()?.named.clone()
    }

    fn event(&mut self, slot: u32, what: What) {
        let connection = self.connections[slot as usize].id;
        let client_id = self.client_id(slot);
        self.effects.events.push(Event {
            connection,
            client_id,
            what,
        });
    }
}
