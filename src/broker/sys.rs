//! The broker's own topics, below `$SYS`: who wants them, and how they get to subscribers. What
//! they say is `daemon::sys`'s business.
//!
//! They are brought up to date when somebody subscribes, and published anew while anybody is
//! subscribed. So a new Subscription gets its retained messages a moment after SUBACK, and a
//! broker whose topics nobody reads does nothing for them.

use std::time::Instant;

use crate::broker::Broker;
use crate::broker::connection::{Connection, ConnectionId};
use crate::broker::publish::Incoming;
use crate::broker::shared::SessionKey;
use crate::broker::shared::subscriptions::Subscription;
use crate::mqtt::message::Message;
use crate::mqtt::topic;

/// What the broker's own topics begin with.
pub(crate) const SYS: &str = "$SYS";

/// A new Subscription to the broker's own topics: to be given to [`Broker::replay_sys`] once they
/// are up to date.
#[derive(Clone, Debug)]
pub struct SysWanted {
    session: SessionKey,
    /// `None` for a Shared Subscription, which gets nothing retained.
    filter: Option<Box<str>>,
    new: bool,
}

impl Broker {
    /// Notes a Subscription to the broker's own topics. False: it is to others.
    pub(crate) fn want_sys(&mut self, filter: &str, held: Subscription, new: bool) -> bool {
        let (share, plain) = match topic::split_share(filter) {
            Some((_, plain)) => (true, plain),
            None => (false, filter),
        };
        if plain.split('/').next() != Some(SYS) {
            return false;
        }
        self.effects.sys_wanted.push(SysWanted {
            session: held.session,
            filter: (!share).then(|| plain.into()),
            new,
        });
        true
    }

    /// Whether somebody publishes the broker's own topics, and is told who wants them.
    pub fn set_sys(&mut self, is_published: bool) {
        self.config.sys = is_published;
    }

    /// Retains messages of the broker's own topics without a word to subscribers.
    pub fn keep_sys(&mut self, messages: &[Message], now: Instant) {
        let mut retained = self.shared.retained_mut();
        for message in messages {
            // Nobody but us publishes there, and beyond the limits they are missing like others.
            retained.keep(message, None, now);
        }
    }

    /// Sends a Subscription what is retained for it.
    pub fn replay_sys(&mut self, wanted: &SysWanted, now: Instant) {
        let Some(filter) = wanted.filter.as_deref() else {
            return;
        };
        let slot = wanted.session.slot;
        let known = self.sessions.get(slot as usize);
        if known.is_none_or(|state| state.key != wanted.session) {
            return;
        }
        // It may have changed or ended since.
        let held = {
            let subscriptions = self.shared.subscriptions();
            subscriptions
                .find(filter)
                .and_then(|node| subscriptions.held_by(node, None, wanted.session))
        };
        let Some(held) = held else { return };
        if let Some(part) = self.find_retained(filter, held, wanted.new, now) {
            self.replay(slot, part, now);
        }
    }

    /// Publishes messages of the broker's own topics, and retains them.
    pub fn publish_sys(&mut self, messages: &[Message], now: Instant) {
        self.keep_sys(messages, now);
        self.publish_own(messages, now);
    }

    /// Publishes a message of the broker's own to the client of one connection and to nobody else,
    /// as far as that is subscribed to it.
    pub fn reply(&mut self, id: ConnectionId, message: &Message, now: Instant) {
        let session = self.connection(id).and_then(Connection::session);
        let Some(session) = session else { return };
        let key = self.sessions[session as usize].key;
        let (overlap, worker) = (self.config.profile.overlap, self.config.worker);
        let route = self
            .router
            .route(&self.shared, worker, overlap, message.topic());
        let incoming = Incoming::of_message(message, None, now);
        for target in route.local.iter().filter(|target| target.session == key) {
            self.deliver(target, incoming.qos, &incoming);
        }
    }

    /// Publishes messages of the broker's own, such as answers to commands; none is retained.
    pub fn publish_own(&mut self, messages: &[Message], now: Instant) {
        for message in messages {
            let overlap = self.config.profile.overlap;
            let worker = self.config.worker;
            let route = self
                .router
                .route(&self.shared, worker, overlap, message.topic());
            let incoming = Incoming::of_message(message, None, now);
            self.deliver_route(&route, &incoming);
        }
    }
}
