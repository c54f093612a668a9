//! What a worker tells of itself when somebody asks: totals, and rows of clients and of their
//! Subscriptions a page at a time. Nothing here is kept up to date for those who do not ask; how
//! the answers of all workers come together is `daemon`'s business.
//!
//! A page looks at [`LOOKED_AT_MAX`] places at most, so that a broker with millions of Sessions
//! answers a little in each turn instead of all in one.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use crate::broker::Broker;
use crate::broker::access::Whom;
use crate::broker::connection::{About, ConnectionId, Traffic};
use crate::broker::session::Session;
use crate::broker::stats::Stats;
use crate::mqtt::QoS;
use crate::mqtt::Version;
use crate::mqtt::limits::SESSION_EXPIRY_NEVER;
use crate::mqtt::subscribe::SubscribeOptions;

/// Places looked at for one page.
const LOOKED_AT_MAX: u32 = 16_384;

/// Totals of a worker, or of all of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// What was counted since the start.
    pub stats: Stats,
    /// Network Connections, those before CONNECT included.
    pub connections: u64,
    /// Sessions with a Network Connection.
    pub connected: u64,
    /// Sessions, connected or not.
    pub sessions: u64,
    /// Connections with bytes that the system has not taken yet, and these bytes.
    pub unsent: u64,
    /// See [`unsent`](Self::unsent).
    pub unsent_bytes: u64,
    /// What all workers see alike.
    pub whole: Whole,
}

/// See [`Snapshot::whole`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Whole {
    /// The most Sessions there were at a time.
    pub sessions_most: u64,
    /// Subscriptions, those to Shared Subscriptions included.
    pub subscriptions: u64,
    /// Memberships in Shared Subscriptions.
    pub shared_subscriptions: u64,
    /// Retained messages.
    pub retained: u64,
    /// Their bytes, bookkeeping included.
    pub retained_bytes: u64,
    /// Messages kept for Sessions, queued or in flight.
    pub queued: u64,
    /// Their bytes.
    pub queued_bytes: u64,
    /// Somebody is subscribed to the broker's own topics.
    pub sys_wanted: bool,
}

/// Some of a worker's clients.
#[derive(Clone, Debug, Default)]
pub struct ClientPage {
    /// In the order of their places.
    pub rows: Vec<ClientRow>,
    /// Where the next page begins; `None` when this was the last.
    pub next: Option<u32>,
}

/// One Session and its connection, if it has one.
#[derive(Clone, Debug)]
pub struct ClientRow {
    /// Client Identifier.
    pub client_id: Arc<str>,
    /// Its Network Connection.
    pub connection: Option<ConnectedRow>,
    /// The version of its last CONNECT.
    pub version: Version,
    /// Session Expiry Interval in seconds; `None`: it never expires.
    pub session_expiry: Option<u32>,
    /// What is left of it while there is no connection.
    pub expires_in: Option<Duration>,
    /// Subscriptions, shared ones included.
    pub subscriptions: usize,
    /// Messages that wait for room, quota or the client.
    pub queued: usize,
    /// QoS 1 and 2 messages sent and not acknowledged.
    pub inflight: usize,
    /// QoS 2 messages received and not released.
    pub unreleased: usize,
    /// Bytes of messages kept for it.
    pub held_bytes: usize,
    /// Topic of the will that would be published.
    pub will_topic: Option<Box<str>>,
}

/// See [`ClientRow::connection`].
#[derive(Clone, Debug)]
pub struct ConnectedRow {
    /// Names it among the worker's connections.
    pub id: ConnectionId,
    /// User name of CONNECT.
    pub user_name: Option<Box<str>>,
    /// Clean Start of CONNECT.
    pub clean_start: bool,
    /// Keep Alive in seconds, as in force.
    pub keep_alive: u16,
    /// Since CONNECT was accepted.
    pub age: Duration,
    /// Bytes the system has not taken yet.
    pub unsent_bytes: usize,
    /// Its publishers are not waited for any more: it reads too slowly.
    pub slow: bool,
    /// What went through it.
    pub traffic: Traffic,
}

/// Some of the Subscriptions of one client.
#[derive(Clone, Debug, Default)]
pub struct SubscriptionPage {
    /// In no particular order.
    pub rows: Vec<SubscriptionRow>,
    /// Where the next page begins; `None` when this was the last.
    pub next: Option<u32>,
}

/// Some of the Subscriptions of a worker's clients.
#[derive(Clone, Debug, Default)]
pub struct HeldPage {
    /// Whose, and what.
    pub rows: Vec<(Arc<str>, SubscriptionRow)>,
    /// Where the next page begins: the place of a client, and which of its Subscriptions; `None`
    /// when this was the last.
    pub next: Option<(u32, u32)>,
}

/// One Subscription.
#[derive(Clone, Debug)]
pub struct SubscriptionRow {
    /// Topic Filter, `$share/NAME/` included.
    pub filter: String,
    /// Its options.
    pub options: SubscribeOptions,
    /// Subscription Identifier; zero when there is none.
    pub subscription_id: u32,
}

impl Snapshot {
    /// Adds another worker's figures.
    pub fn add(&mut self, other: &Self) {
        self.stats.add(&other.stats);
        self.connections += other.connections;
        self.connected += other.connected;
        self.sessions += other.sessions;
        self.unsent += other.unsent;
        self.unsent_bytes += other.unsent_bytes;
        // Whoever was asked last knows best.
        self.whole = other.whole;
    }
}

impl Broker {
    /// This worker's totals, and those of the whole broker, at once: bytes that the system has not
    /// taken yet are left out.
    pub fn totals(&self) -> Snapshot {
        Snapshot {
            stats: self.stats,
            connections: self.connections.len() as u64,
            connected: self.connected as u64,
            sessions: self.sessions.len() as u64,
            whole: self.whole(),
            ..Snapshot::default()
        }
    }

    /// The same with those bytes. One pass over the connections, as the check of Keep Alive is.
    pub fn snapshot(&self) -> Snapshot {
        let waiting = self
            .connections
            .iter()
            .map(|(_, connection)| connection.outbox.len())
            .filter(|&bytes| bytes > 0);
        let (unsent, unsent_bytes) = waiting.fold((0, 0), |(count, sum), bytes| {
            (count + 1, sum + bytes as u64)
        });
        Snapshot {
            unsent,
            unsent_bytes,
            ..self.totals()
        }
    }

    fn whole(&self) -> Whole {
        let (subscriptions, shared_subscriptions, sys_wanted) = {
            let held = self.shared.subscriptions();
            (held.len(), held.shared(), held.is_sys_wanted())
        };
        let (retained, retained_bytes) = self.retained();
        Whole {
            sessions_most: self.shared.directory().most() as u64,
            subscriptions: subscriptions as u64,
            shared_subscriptions: shared_subscriptions as u64,
            retained: retained as u64,
            retained_bytes: retained_bytes as u64,
            queued: self.shared.queued.load(Ordering::Relaxed) as u64,
            queued_bytes: self.shared.queued_bytes.load(Ordering::Relaxed) as u64,
            sys_wanted,
        }
    }

    /// Clients of this worker from place `from` on, `most` at most, those that `wanted` takes.
    pub fn clients(
        &self,
        from: u32,
        most: usize,
        wanted: impl Fn(&str, bool) -> bool,
        now: Instant,
    ) -> ClientPage {
        let mut page = ClientPage::default();
        let end = from.saturating_add(LOOKED_AT_MAX);
        for place in from..end {
            if place as usize >= self.sessions.capacity() {
                return page;
            }
            if page.rows.len() >= most {
                page.next = Some(place);
                return page;
            }
            let state = self.sessions.get(place as usize);
            if let Some(state) = state
                && wanted(&state.client_id, state.connection.is_some())
            {
                page.rows.push(self.client_row(state, now));
            }
        }
        page.next = Some(end);
        page
    }

    /// The client with this identifier, if its Session lives here.
    pub fn client(&self, client_id: &str, now: Instant) -> Option<ClientRow> {
        Some(self.client_row(self.session_of(client_id)?, now))
    }

    /// Subscriptions of a client from place `from` on, `most` at most. `None`: its Session does
    /// not live here.
    pub fn subscriptions_of(
        &self,
        client_id: &str,
        from: u32,
        most: usize,
    ) -> Option<SubscriptionPage> {
        let state = self.session_of(client_id)?;
        Some(self.subscription_page(state, from, most))
    }

    /// Subscriptions of this worker's clients from there on, `most` at most.
    pub fn all_subscriptions(&self, from: (u32, u32), most: usize) -> HeldPage {
        let mut page = HeldPage::default();
        let (first, mut skip) = from;
        let end = first.saturating_add(LOOKED_AT_MAX);
        for place in first..end {
            if place as usize >= self.sessions.capacity() {
                return page;
            }
            let room = most.saturating_sub(page.rows.len());
            if room == 0 {
                page.next = Some((place, 0));
                return page;
            }
            if let Some(state) = self.sessions.get(place as usize) {
                let part = self.subscription_page(state, skip, room);
                let rows = part.rows.into_iter();
                page.rows
                    .extend(rows.map(|row| (Arc::clone(&state.client_id), row)));
                if let Some(next) = part.next {
                    page.next = Some((place, next));
                    return page;
                }
            }
            skip = 0;
        }
        page.next = Some((end, 0));
        page
    }

    fn subscription_page(&self, state: &Session, from: u32, most: usize) -> SubscriptionPage {
        let subscriptions = self.shared.subscriptions();
        let plain = state.subscriptions.iter().map(|&node| (node, None));
        let shares = state.shares().iter();
        let shares = shares.map(|share| (share.node, Some(&*share.name)));
        let held = state.subscriptions.len() + state.shares().len();
        let mut page = SubscriptionPage::default();
        for (node, share) in plain.chain(shares).skip(from as usize).take(most) {
            let Some(found) = subscriptions.held_by(node, share, state.key) else {
                continue;
            };
            let filter = subscriptions.filter(node);
            page.rows.push(SubscriptionRow {
                filter: match share {
                    Some(name) => format!("$share/{name}/{filter}"),
                    None => filter,
                },
                options: found.options,
                subscription_id: found.subscription_id,
            });
        }
        let end = from as usize + most;
        page.next = (end < held).then_some(end as u32);
        page
    }

    /// How many connected clients are meant.
    pub fn count(&self, whom: Whom<'_>) -> usize {
        let sessions = self.sessions.iter().map(|(_, state)| state);
        let connected = sessions.filter(|state| state.connection.is_some());
        connected.filter(|state| state.is_meant(whom)).count()
    }

    pub(crate) fn session_of(&self, client_id: &str) -> Option<&Session> {
        let key = self.shared.directory().find(client_id)?;
        let session = self.sessions.get(key.slot as usize)?;
        (session.key == key).then_some(session)
    }

    fn client_row(&self, state: &Session, now: Instant) -> ClientRow {
        ClientRow {
            client_id: Arc::clone(&state.client_id),
            connection: state
                .connection
                .and_then(|slot| self.connected_row(slot, now)),
            version: state.version,
            session_expiry: (state.expiry != SESSION_EXPIRY_NEVER).then_some(state.expiry),
            expires_in: state
                .expires_at()
                .map(|at| at.saturating_duration_since(now)),
            subscriptions: state.subscriptions.len() + state.shares().len(),
            queued: state.queue.len(),
            inflight: state.sender.inflight(),
            unreleased: state.receiver.len(),
            held_bytes: state.held_bytes,
            will_topic: state.will.as_ref().map(|will| will.message.topic().into()),
        }
    }

    fn connected_row(&self, slot: u32, now: Instant) -> Option<ConnectedRow> {
        let connection = self.connections.get(slot as usize)?;
        let About {
            user_name,
            clean_start,
            keep_alive,
            since,
        } = connection.about.as_ref()?;
        Some(ConnectedRow {
            id: connection.id,
            user_name: user_name.clone(),
            clean_start: *clean_start,
            keep_alive: *keep_alive,
            age: now.saturating_duration_since(self.at(u64::from(*since))),
            unsent_bytes: connection.outbox.len(),
            slow: connection.slow,
            traffic: connection.traffic,
        })
    }
}

impl SubscriptionRow {
    /// The QoS asked for, which is the QoS granted.
    pub fn qos(&self) -> QoS {
        self.options.qos
    }
}
