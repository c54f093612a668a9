//! Where the core asks the rules of [`access`](crate::broker::access): at CONNECT, for a route,
//! for a retained message, for a will. Without rules each of these is one look at a `None`.
//!
//! The answer to "may it publish here" is kept with the route that a publisher used last, and the
//! answer to "may it have this" decides who is on a route at all: both are found anew when
//! something changes, never for a message.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use crate::broker::Broker;
use crate::broker::What;
use crate::broker::access::TRUSTED;
use crate::broker::access::rules::{Rights, RuleList, Rules};
use crate::broker::access::{Access, Revoked, Whom};
use crate::broker::connection::{Cause, ConnectionId};
use crate::broker::event::Denied;
use crate::broker::listener::ListenerRules;
use crate::broker::session::Session;
use crate::mqtt::Reason;
use crate::mqtt::Version;
use crate::mqtt::publish::Publish;

/// Topics of one publisher whose answer is kept, for those that change theirs with each message.
const KNOWN_MAX: usize = 256;

/// Refused messages of one connection that are told to the log without `trace`.
const TOLD_MAX: u8 = 8;

/// What a client is told that has to go.
const RULES_CHANGED: &str = "the rules have changed";

/// What the connection of a client with rules keeps of their answers.
#[derive(Default)]
pub(crate) struct Permits {
    known: HashMap<Box<str>, bool>,
    told: u8,
}

impl Broker {
    /// The rules that hold for a connection.
    pub(crate) fn access(&self, slot: u32) -> &Access {
        let realm = self.connections[slot as usize].listener.rules.realm;
        self.config.access.of(realm)
    }

    /// Whether a Client Identifier begins as the operator wants; one that is still to be assigned
    /// begins as its listener says.
    pub(crate) fn is_prefixed(&self, slot: u32, client_id: &str) -> bool {
        let prefixes = &self.access(slot).client_id_prefixes;
        let id = match client_id {
            "" => {
                &*self.connections[slot as usize]
                    .listener
                    .rules
                    .assigned_id_prefix
            }
            id => id,
        };
        let begins = |prefix: &str| id.starts_with(prefix);
        prefixes.is_empty() || prefixes.iter().any(|prefix| begins(prefix))
    }

    /// Notes who the client of a Session is, and what it may do.
    pub(crate) fn identify(
        &mut self,
        slot: u32,
        session: u32,
        user_name: Option<&str>,
        own: Option<&Arc<RuleList>>,
    ) {
        let rules = self.access(slot).rules.clone();
        let state = &mut self.sessions[session as usize];
        state.source = None;
        state.realm = self.connections[slot as usize].listener.rules.realm;
        if state.user_name.as_deref() != user_name {
            state.user_name = user_name.map(Arc::from);
        }
        let rights = rules.map(|rules| {
            let before = state.rights.as_ref();
            let same = before.filter(|rights| rights.is_of(&rules, user_name, own));
            same.cloned()
                .unwrap_or_else(|| rules.rights(&state.client_id, state.user_name.as_ref(), own))
        });
        let (key, before) = (state.key, state.rights.take());
        let subscribed = !state.subscriptions.is_empty() || !state.shares().is_empty();
        state.rights.clone_from(&rights);
        match (&before, &rights) {
            (None, None) => {}
            (Some(before), Some(after)) if Arc::ptr_eq(before, after) => {}
            _ if subscribed => self
                .shared
                .change_subscriptions(|subscriptions| subscriptions.readers.note(key, rights)),
            _ => self.shared.note_reader(key, rights),
        }
    }

    /// Whether a Session's client may publish to a topic.
    pub(crate) fn may_publish(&mut self, slot: u32, session: u32, topic: &str) -> bool {
        let Some(rights) = &self.sessions[session as usize].rights else {
            return true;
        };
        let permits = &mut self.connections[slot as usize].permits;
        let permits = permits.get_or_insert_default();
        if let Some(&known) = permits.known.get(topic) {
            return known;
        }
        let may = rights.may_publish(topic);
        if permits.known.len() >= KNOWN_MAX {
            permits.known.clear();
        }
        permits.known.insert(topic.into(), may);
        may
    }

    /// Counts a message that its publisher may not publish, and tells of the first ones.
    pub(crate) fn note_denied(&mut self, slot: u32, topic: &str, publish: &Publish<'_>) {
        self.stats.publish_received += 1;
        self.connections[slot as usize].traffic.publish_received += 1;
        self.stats.dropped_denied += 1;
        let permits = &mut self.connections[slot as usize].permits;
        let told = &mut permits.get_or_insert_default().told;
        if *told >= TOLD_MAX && !self.config.trace {
            return;
        }
        *told = told.saturating_add(1);
        let denied = Denied {
            topic: topic.into(),
            dup: publish.dup,
            qos: publish.qos,
            retain: publish.retain,
            packet_id: publish.packet_id.map_or(0, |id| id.value()),
            payload: publish.payload.len(),
        };
        self.event(slot, What::Denied(Box::new(denied)));
    }

    /// Puts new rules in force: everybody's rights are found anew, and those go who may no longer
    /// be connected.
    pub fn set_access(&mut self, access: Access, revoked: &Revoked, now: Instant) {
        self.router.sparkplug = access.sparkplug;
        let before = std::mem::replace(&mut self.config.access, access);
        for (_, connection) in &mut self.connections {
            connection.permits = None;
        }
        self.router.forget_all();
        let mut readers = Vec::new();
        for (_, state) in &mut self.sessions {
            let rules = &self.config.access.of(state.realm).rules;
            let own = state
                .rights
                .as_ref()
                .and_then(|rights| rights.own())
                .cloned();
            let user_name = state.user_name.as_ref();
            let found = rules
                .as_ref()
                .map(|rules| rules.rights(&state.client_id, user_name, own.as_ref()));
            if state.rights.is_some() || found.is_some() {
                readers.push((state.key, found.clone()));
            }
            state.rights = found;
        }
        self.shared.change_subscriptions(|subscriptions| {
            for (key, rights) in readers {
                subscriptions.readers.note(key, rights);
            }
        });
        self.drop_revoked(revoked, &before, now);
    }

    /// A Session came from another worker, which may have had other rules.
    pub(crate) fn renew_rights(&mut self, session: u32) {
        let state = &mut self.sessions[session as usize];
        let rules = self.config.access.of(state.realm).rules.as_ref();
        let before = state.rights.take();
        state.rights = rules.map(|rules| match before {
            Some(before) if Arc::ptr_eq(before.rules(), rules) => before,
            before => {
                let own = before.as_ref().and_then(|before| before.own());
                rules.rights(&state.client_id, state.user_name.as_ref(), own)
            }
        });
        if state.rights.is_some() {
            self.shared.note_reader(state.key, state.rights.clone());
        }
    }

    fn drop_revoked(&mut self, revoked: &Revoked, before: &Access, now: Instant) {
        let mut gone = Vec::new();
        for (_, state) in &self.sessions {
            let Some(slot) = state.connection else {
                continue;
            };
            let rules = &self.connections[slot as usize].listener.rules;
            let realm = self.config.access.of(state.realm);
            let anonymous = rules.anonymous.unwrap_or(realm.anonymous);
            let lost = match &state.user_name {
                _ if state.realm == TRUSTED => false,
                Some(name) if revoked.users.iter().any(|user| **user == **name) => true,
                // Who was not asked for a password has not shown that the name is his own.
                Some(_) => {
                    let asked = realm.passwords && before.of(state.realm).passwords;
                    !anonymous && !asked && !self.is_proven(slot)
                }
                None => (revoked.nobody || !anonymous) && !self.is_proven(slot),
            };
            if lost {
                gone.push(slot);
            }
        }
        for slot in gone {
            self.send_away(slot, Reason::NOT_AUTHORIZED, RULES_CHANGED, now);
        }
    }

    /// Whether an Authentication Method or a certificate has told who a client is: it is in no
    /// list of users.
    fn is_proven(&self, slot: u32) -> bool {
        let connection = &self.connections[slot as usize];
        connection.exchange.is_some() || connection.listener.rules.user_name_proven
    }

    /// Whether nobody has looked at who a client is.
    fn is_nobody(&self, slot: u32) -> bool {
        let session = self.connections[slot as usize].session();
        let unasked = |session: u32| {
            let state = &self.sessions[session as usize];
            let asked = self.config.access.of(state.realm).passwords && state.user_name.is_some();
            state.realm != TRUSTED && !asked
        };
        session.is_some_and(unasked) && !self.is_proven(slot)
    }

    /// Whether a listener's clients may come without a user name holds for those who are there,
    /// too: they are sent away now, or, where the listener leaves it to its realm, by
    /// [`set_access`](Self::set_access). Its other rules stay as they were.
    pub fn set_anonymous(&mut self, id: ConnectionId, anonymous: Option<bool>, now: Instant) {
        let Some(connection) = self.connection_mut(id) else {
            return;
        };
        if connection.listener.rules.anonymous != anonymous {
            let rules = ListenerRules {
                anonymous,
                ..connection.listener.rules.clone()
            };
            connection.listener = Arc::new(connection.listener.with_rules(rules));
        }
        if anonymous == Some(false) && self.is_nobody(id.slot) {
            self.send_away(id.slot, Reason::NOT_AUTHORIZED, RULES_CHANGED, now);
        }
    }

    /// Counts a Network Connection that was turned away before it came here.
    pub fn note_turned_away(&mut self) {
        self.stats.connections_turned_away += 1;
    }

    /// Ends the connections of some clients; how many there were.
    pub fn disconnect(
        &mut self,
        whom: Whom<'_>,
        reason: Reason,
        why: &'static str,
        now: Instant,
    ) -> usize {
        let sessions = self.sessions.iter().map(|(_, state)| state);
        let slots: Vec<u32> = match whom {
            // One is found without a look at all the others.
            Whom::Client(id) => self
                .session_of(id)
                .and_then(|state| state.connection)
                .into_iter()
                .collect(),
            _ => sessions
                .filter(|state| state.is_meant(whom))
                .filter_map(|state| state.connection)
                .collect(),
        };
        for &slot in &slots {
            self.send_away(slot, reason, why, now);
        }
        slots.len()
    }

    fn send_away(&mut self, slot: u32, reason: Reason, why: &'static str, now: Instant) {
        if self.connections[slot as usize].version == Version::V5 {
            self.put_disconnect(slot, reason, Some(why));
        }
        self.end_connection(slot, Cause::Dropped(reason, why), now);
    }
}

impl Session {
    /// Whether it is one of those.
    pub(crate) fn is_meant(&self, whom: Whom<'_>) -> bool {
        match whom {
            Whom::User(user) => user == self.user_name.as_deref(),
            Whom::Client(id) => *id == *self.client_id,
        }
    }
}

impl Rights {
    /// Whether these are the rights that such a client has under these rules.
    fn is_of(
        &self,
        rules: &Arc<Rules>,
        user_name: Option<&str>,
        own: Option<&Arc<RuleList>>,
    ) -> bool {
        let same_own = match (self.own(), own) {
            (None, None) => true,
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            _ => false,
        };
        same_own && self.user_name() == user_name && Arc::ptr_eq(self.rules(), rules)
    }
}
