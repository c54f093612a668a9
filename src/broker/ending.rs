//! How connections, wills and Sessions end, and everything else that happens by time (§3.14,
//! §3.1.2.5, §4.1).

use std::time::Duration;
use std::time::Instant;

use crate::broker::Broker;
use crate::broker::What;
use crate::broker::connection::{Cause, ConnectionId, Phase};
use crate::broker::publish::Incoming;
use crate::broker::session::{Body, Session};
use crate::broker::timers::Deadline;
use crate::mqtt::QoS;
use crate::mqtt::Reason;
use crate::mqtt::Version;
use crate::mqtt::delivery::Pending;
use crate::mqtt::disconnect::Disconnect;
use crate::mqtt::limits::SESSION_EXPIRY_NEVER;
use crate::mqtt::message::Message;
use crate::mqtt::property::{PropertiesBuf, PropertyId, Value};
use crate::mqtt::publish::Publish;

impl Broker {
    /// The Network Connection is gone: the client closed it, or the network failed. After this
    /// the identifier names nothing.
    pub fn closed(&mut self, id: ConnectionId, now: Instant) {
        if self.connection(id).is_none() {
            return;
        }
        self.end_connection(id.slot, Cause::Lost, now);
        self.remove_connection(id.slot);
    }

    /// Ends a connection for a reason of the caller's, such as a limit of its own.
    pub fn drop_connection(
        &mut self,
        id: ConnectionId,
        reason: Reason,
        why: &'static str,
        now: Instant,
    ) {
        if self.connection(id).is_some() {
            self.put_disconnect(id.slot, reason, Some(why));
            self.end_connection(id.slot, Cause::Dropped(reason, why), now);
        }
    }

    /// Ends a connection whose packet would take the worker beyond `unfinished_bytes_max`.
    pub fn drop_unfinished(&mut self, id: ConnectionId, now: Instant) {
        self.stats.connections_unfinished += 1;
        let why = "too many unfinished packets";
        self.drop_connection(id, Reason::QUOTA_EXCEEDED, why, now);
    }

    /// Why a connection ends, once it does.
    pub fn cause(&self, id: ConnectionId) -> Option<Cause> {
        match self.connection(id)?.phase {
            Phase::Closing(cause) => Some(cause),
            _ => None,
        }
    }

    /// Says DISCONNECT 0x8B to every v5 client and ends every connection; no more are taken.
    pub fn shut_down(&mut self, now: Instant) {
        self.stopping = true;
        let open: Vec<u32> = self
            .connections
            .iter()
            .map(|(slot, _)| slot as u32)
            .collect();
        for slot in open {
            self.put_disconnect(slot, Reason::SERVER_SHUTTING_DOWN, None);
            self.end_connection(slot, Cause::ShuttingDown, now);
        }
    }

    /// Does what is due by now.
    pub fn tick(&mut self, now: Instant) {
        while let Some(deadline) = self.timers.due(now) {
            match deadline {
                Deadline::Will(key) => {
                    let session = self.sessions.get_mut(key.slot as usize);
                    let Some(state) = session.filter(|state| state.key == key) else {
                        continue;
                    };
                    state.absence().will_timed = None;
                    match state.will.as_ref().and_then(|will| will.due) {
                        Some(due) if due <= now => {
                            self.publish_will(key.slot, now);
                            self.note_session(key.slot);
                        }
                        Some(due) => {
                            let entry = &mut state.absence().will_timed;
                            self.timers.wake_by(entry, due, deadline);
                        }
                        None => {}
                    }
                }
                Deadline::Session(key) => self.session_due(key.slot, key.serial, now),
            }
        }
        if self.next_check.is_some_and(|at| at <= now) {
            self.check_keep_alive(now);
        }
        self.expire_pauses(now);
        self.purge_retained(now);
    }

    /// Ends what has been silent for too long, and finds the next time to look. One pass over all
    /// connections, at most as often as one could run out: no timer is armed for a packet.
    fn check_keep_alive(&mut self, now: Instant) {
        let ticks = self.ticks(now);
        let mut next = u64::MAX;
        let mut silent = Vec::new();
        for (slot, connection) in &self.connections {
            if connection.grace == 0 || matches!(connection.phase, Phase::Closing(_)) {
                continue;
            }
            // Who is not read from for the sake of others cannot be heard.
            let heard = match connection.paused_since {
                Some(_) => ticks,
                None => connection.last_received,
            };
            let ends = u64::from(heard) + u64::from(connection.grace);
            // Ticks are cut off, not rounded: one more makes sure that the time has passed.
            if ends < u64::from(ticks) {
                silent.push(slot as u32);
            } else {
                next = next.min(ends + 1);
            }
        }
        self.next_check = (next != u64::MAX).then(|| self.at(next));
        for slot in silent {
            let cause = match self.connections[slot as usize].phase {
                Phase::Open(_) => Cause::KeepAlive,
                _ => Cause::NoConnect,
            };
            if cause == Cause::KeepAlive {
                self.stats.keep_alive_timeouts += 1;
                self.put_disconnect(slot, Reason::KEEP_ALIVE_TIMEOUT, None);
            } else {
                self.stats.connections_unfinished += 1;
            }
            self.end_connection(slot, cause, now);
        }
    }

    /// DISCONNECT to a v5 client; before v5 servers have no such packet.
    pub(crate) fn put_disconnect(&mut self, slot: u32, reason: Reason, why: Option<&str>) {
        let connection = &mut self.connections[slot as usize];
        if connection.session().is_none() || connection.version != Version::V5 {
            return;
        }
        let in_words = self.config.profile.reasons_in_words && connection.problem_information;
        let why = why.filter(|_| in_words);
        let max = connection.packet_size_max;
        let disconnect = |properties: &PropertiesBuf, out: &mut Vec<u8>| {
            let properties = properties.properties();
            Disconnect { reason, properties }.encode(Version::V5, out);
        };
        let mut properties = PropertiesBuf::new();
        if let Some(why) = why {
            properties.push(PropertyId::ReasonString, Value::String(why));
        }
        let added = connection.outbox.encode(&mut self.spare, |out| {
            encode_within(max, &mut properties, out, disconnect);
        });
        self.stats.answers_sent += u64::from(added > 0);
        self.touch(slot);
    }

    /// Ends a connection once: the will, the Session, and a word to the log. Its place stays
    /// until [`closed`](Self::closed).
    pub(crate) fn end_connection(&mut self, slot: u32, cause: Cause, now: Instant) {
        let connection = &mut self.connections[slot as usize];
        if matches!(connection.phase, Phase::Closing(_)) {
            return;
        }
        let id = connection.id;
        self.unpress(slot);
        self.event(slot, What::Closed(cause));
        if self.config.trace_packets {
            let named = self.client_id(slot);
            self.connections[slot as usize].seldom().named = Some(named);
        }
        let connection = &mut self.connections[slot as usize];
        let phase = std::mem::replace(&mut connection.phase, Phase::Closing(cause));
        self.router.forget(slot);
        self.effects.closing.push(id);
        if let Phase::Open(session) = phase {
            self.detach(session, cause, now);
        }
    }

    fn detach(&mut self, session: u32, cause: Cause, now: Instant) {
        self.connected -= 1;
        let state = &mut self.sessions[session as usize];
        state.connection = None;
        if cause == Cause::Disconnected(Reason::NORMAL_DISCONNECTION) {
            // [MQTT-3.14.4-3]
            state.will = None;
        }
        if state.expiry == 0 {
            self.end_session(session, now);
            return;
        }
        let (key, expiry) = (state.key, state.expiry);
        state.absence().lost = Some(now);
        if let Some(will) = &mut state.will {
            let due = now + Duration::from_secs(u64::from(will.delay));
            will.due = Some(due);
            match will.delay {
                0 => self.publish_will(session, now),
                _ => {
                    let deadline = Deadline::Will(key);
                    let entry = &mut state.absence().will_timed;
                    self.timers.wake_by(entry, due, deadline);
                }
            }
        }
        self.set_online(session, false);
        if expiry != SESSION_EXPIRY_NEVER {
            let at = now + Duration::from_secs(u64::from(expiry));
            let absence = self.sessions[session as usize].absence();
            absence.expires_at = Some(at);
            let deadline = Deadline::Session(key);
            self.timers.wake_by(&mut absence.expiry_timed, at, deadline);
        }
        self.note_session(session);
    }

    fn session_due(&mut self, slot: u32, serial: u64, now: Instant) {
        let session = self.sessions.get_mut(slot as usize);
        let Some(state) = session.filter(|state| state.key.serial == serial) else {
            return;
        };
        let key = state.key;
        let absence = state.absence();
        absence.expiry_timed = None;
        match absence.expires_at {
            Some(at) if at <= now => {
                self.stats.sessions_expired += 1;
                self.note_expired(slot);
                self.end_session(slot, now);
            }
            Some(at) => {
                let deadline = Deadline::Session(key);
                self.timers.wake_by(&mut absence.expiry_timed, at, deadline);
            }
            None => {}
        }
    }

    /// Ends a Session: its will if it still waits [MQTT-3.1.2-8], its Subscriptions, and what
    /// other members of its Shared Subscriptions can still take (§4.8.2).
    pub(crate) fn end_session(&mut self, slot: u32, now: Instant) {
        self.publish_will(slot, now);
        let mut state = self.sessions.remove(slot as usize);
        self.note_session_gone(&state);
        self.shared.directory().remove(&state.client_id, state.key);
        if state.rights.is_some() {
            self.shared.note_reader(state.key, None);
        }
        let (will, expiry) = (Deadline::Will(state.key), Deadline::Session(state.key));
        if let Some(absence) = &state.absence {
            self.timers.remove(absence.will_timed, will);
            self.timers.remove(absence.expiry_timed, expiry);
        }
        if !state.subscriptions.is_empty() || !state.shares().is_empty() {
            self.shared.change_subscriptions(|subscriptions| {
                for &node in &state.subscriptions {
                    subscriptions.unsubscribe(node, state.key);
                }
                for share in state.shares() {
                    subscriptions.leave(share.node, &share.name, state.key);
                }
            });
        }
        self.shared.release(state.held, state.held_bytes);
        self.shared.not_here(state.here_bytes);
        if !state.shares().is_empty() {
            self.redeliver(&mut state, now);
        }
    }

    /// Messages of Shared Subscriptions that this member got and never acknowledged, or never
    /// got: to another member.
    fn redeliver(&mut self, state: &mut Session, now: Instant) {
        // A QoS 2 message that is in flight goes to nobody else [MQTT-4.8.2-5].
        let inflight = state
            .sender
            .resend()
            .filter_map(|(_, pending)| match pending {
                Pending::Publish(QoS::AtLeastOnce, kept) => {
                    Some((kept.message.clone(), kept.share.clone()))
                }
                _ => None,
            });
        let queued = state.queue.drain(..).map(|queued| match queued.body {
            Body::Here(message) => (Some(message), queued.share),
            // Nothing of a Shared Subscription is ever away.
            Body::Away(_) => (None, None),
        });
        let left: Vec<_> = inflight.chain(queued).collect();
        for (message, share) in left {
            let (Some(message), Some(share)) = (message, share) else {
                continue;
            };
            let group = {
                let subscriptions = self.shared.subscriptions();
                let group = subscriptions.group(&share.filter, &share.name);
                group.and_then(|group| subscriptions.readers.members(group, message.topic()))
            };
            if let Some(group) = group {
                let incoming = Incoming::of_message(&message, None, now);
                self.deliver_share(&group, &incoming);
            }
        }
    }

    /// Publishes the will of a Session, if it has one left.
    fn publish_will(&mut self, session: u32, now: Instant) {
        let Some(will) = self.sessions[session as usize].will.take() else {
            return;
        };
        if self.is_reserved(session, will.message.topic()) {
            self.stats.dropped_denied += 1;
            return;
        }
        let state = &self.sessions[session as usize];
        let topic = will.message.topic();
        if state
            .rights
            .as_ref()
            .is_some_and(|rights| !rights.may_publish(topic))
        {
            self.stats.dropped_denied += 1;
            return;
        }
        let key = state.key;
        let properties = will.message.properties();
        let mut kept = PropertiesBuf::new();
        kept.extend_filtered(properties, |id| id != PropertyId::WillDelayInterval);
        let publish = Publish {
            dup: false,
            qos: will.message.qos(),
            retain: will.message.retain(),
            topic: will.message.topic(),
            packet_id: None,
            properties: kept.properties(),
            payload: will.message.payload(),
        };
        let message = Message::new(&publish, now);
        self.publish_message(&message, Some(key), now);
    }
}

/// What a packet can do without, in the order in which it goes where the packet would be larger
/// than the client takes [MQTT-3.14.2-3] [MQTT-3.2.2-19] [MQTT-3.2.2-20].
const DISPENSABLE: [PropertyId; 4] = [
    PropertyId::ReasonString,
    PropertyId::UserProperty,
    PropertyId::ResponseInformation,
    PropertyId::ServerReference,
];

/// Encodes a packet within the client's Maximum Packet Size. One that is too large all the same is
/// not sent [MQTT-3.1.2-24].
pub(crate) fn encode_within(
    max: usize,
    properties: &mut PropertiesBuf,
    out: &mut Vec<u8>,
    encode: impl Fn(&PropertiesBuf, &mut Vec<u8>),
) {
    let before = out.len();
    encode(properties, out);
    for dispensable in DISPENSABLE {
        if out.len() - before <= max {
            return;
        }
        let mut without = PropertiesBuf::new();
        without.extend_filtered(properties.properties(), |id| id != dispensable);
        *properties = without;
        out.truncate(before);
        encode(properties, out);
    }
    if out.len() - before > max {
        out.truncate(before);
    }
}
