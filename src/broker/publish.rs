//! An incoming PUBLISH: its handshake, what is retained, and where it goes (§3.3, §4.3).

use std::borrow::Cow;
use std::cell::OnceCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use crate::broker::Broker;
use crate::broker::Paused;
use crate::broker::What;
use crate::broker::durable::record::Record;
use crate::broker::listener;
use crate::broker::receive::{Frame, Step};
use crate::broker::router::{Route, Target};
use crate::broker::session::Session;
use crate::broker::shared::SessionKey;
use crate::broker::shared::retained::Source;
use crate::mqtt::PacketType;
use crate::mqtt::QoS;
use crate::mqtt::Reason;
use crate::mqtt::Version;
use crate::mqtt::Violation;
use crate::mqtt::delivery::AliasesIn;
use crate::mqtt::message::Message;
use crate::mqtt::property::{Properties, PropertyId};
use crate::mqtt::publish::Publish;

/// An Application Message on its way to the outboxes.
pub(crate) struct Incoming<'a> {
    pub(crate) topic: &'a str,
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
    pub(crate) properties: Properties<'a>,
    pub(crate) payload: &'a [u8],
    pub(crate) from: Option<SessionKey>,
    pub(crate) now: Instant,
    /// The packet it came in, where a client of the same version may get the very same bytes.
    pub(crate) plain: Option<Plain<'a>>,
    /// The payload, where it may be kept by reference.
    pub(crate) shared: Option<Bytes>,
    message: OnceCell<Message>,
}

/// A PUBLISH packet as it came.
#[derive(Clone, Copy)]
pub(crate) struct Plain<'a> {
    pub(crate) version: Version,
    pub(crate) frame: &'a [u8],
    /// Where the Packet Identifier stands.
    pub(crate) id_at: usize,
}

impl<'a> Incoming<'a> {
    /// A message that was made before: a will, one that crossed from another worker.
    pub(crate) fn of_message(message: &'a Message, from: Option<SessionKey>, now: Instant) -> Self {
        Self {
            topic: message.topic(),
            qos: message.qos(),
            retain: message.retain(),
            properties: message.properties(),
            payload: message.payload(),
            from,
            now,
            plain: None,
            shared: Some(message.shared_payload()),
            message: OnceCell::from(message.clone()),
        }
    }

    /// A PUBLISH as it was decoded from `frame`; `topic` is its Topic Name, or its alias's.
    pub(crate) fn of_publish(
        publish: &Publish<'a>,
        topic: &'a str,
        frame: Frame<'a>,
        version: Version,
        from: SessionKey,
        now: Instant,
    ) -> Self {
        let bytes = frame.bytes();
        let rewritten = |id| {
            matches!(
                id,
                PropertyId::TopicAlias | PropertyId::MessageExpiryInterval
            )
        };
        // Not where an alias stands for it, or a mount point before it.
        let own = topic.len() == publish.topic.len();
        let as_it_came = own
            && (publish.properties.is_empty()
                || !publish.properties.iter().any(|(id, _)| rewritten(id)));
        let payload_at = bytes.len() - publish.payload.len();
        let shared = match frame {
            Frame::Borrowed(_) => None,
            Frame::Part(whole) | Frame::Whole(whole) => Some(whole.slice(payload_at..)),
        };
        let message = OnceCell::new();
        if let (Frame::Whole(whole), true) = (frame, own) {
            let _ = message.set(Message::from_frame(whole.clone(), publish, now));
        }
        let plain = as_it_came.then(|| Plain {
            version,
            frame: bytes,
            // Here the topic is the packet's own, not one that an alias stands for.
            id_at: topic.as_ptr() as usize + topic.len() - bytes.as_ptr() as usize,
        });
        Self {
            topic,
            qos: publish.qos,
            retain: publish.retain,
            properties: publish.properties,
            payload: publish.payload,
            from: Some(from),
            now,
            plain,
            shared,
            message,
        }
    }

    /// The message, made when somebody has to keep it.
    pub(crate) fn message(&self) -> &Message {
        self.message.get_or_init(|| {
            let publish = Publish {
                dup: false,
                qos: self.qos,
                retain: self.retain,
                topic: self.topic,
                packet_id: None,
                properties: self.properties,
                payload: self.payload,
            };
            Message::new(&publish, self.now)
        })
    }
}

impl Broker {
    pub(crate) fn publish(
        &mut self,
        slot: u32,
        session: u32,
        publish: &Publish<'_>,
        frame: Frame<'_>,
        now: Instant,
    ) -> Result<Step, Violation> {
        self.check_publish(slot, publish)?;
        let known = publish.qos == QoS::ExactlyOnce
            && publish
                .packet_id
                .is_some_and(|id| self.sessions[session as usize].receiver.knows(id));
        let topic = &*self.topic_of(slot, publish)?;
        if self.too_deep(topic) {
            return Err(Violation::new(
                Reason::TOPIC_NAME_INVALID,
                "too many topic levels",
            ));
        }
        if known {
            self.settle(slot, session, publish, Reason::SUCCESS)?;
            return Ok(Step::Done);
        }
        self.note_published(slot, topic, publish);
        if publish.payload.len() > self.config.limits.payload_size_max {
            self.stats.dropped_payload += 1;
            self.settle(slot, session, publish, self.config.profile.long_payload)?;
            return Ok(Step::Done);
        }
        let Some(route) = self.route_of(slot, session, topic) else {
            self.note_denied(slot, topic, publish);
            self.settle(slot, session, publish, Reason::NOT_AUTHORIZED)?;
            return Ok(Step::Done);
        };
        if !self.let_pass(slot, &route, now) {
            return Ok(Step::Pause);
        }
        if let Some(step) = self.hold_back(slot, session, publish, &route)? {
            return Ok(step);
        }
        self.stats.publish_received += 1;
        self.stats.payload_received += publish.payload.len() as u64;
        self.stats.note_received(publish.qos, publish.payload.len());
        self.connections[slot as usize].traffic.publish_received += 1;
        if topic.starts_with('$') && self.is_reserved(session, topic) {
            let reason = self.take_reserved(slot, session, topic, publish);
            self.settle(slot, session, publish, reason)?;
            return Ok(Step::Done);
        }
        let version = self.connections[slot as usize].version;
        let from = self.sessions[session as usize].key;
        let incoming = Incoming::of_publish(publish, topic, frame, version, from, now);
        let untold = !route.is_empty() || publish.qos > self.config.profile.nobody_told;
        let reason = match untold {
            true => Reason::SUCCESS,
            false => Reason::NO_MATCHING_SUBSCRIBERS,
        };
        let last = self.config.profile.acknowledged_last;
        if !last {
            self.settle(slot, session, publish, reason)?;
        }
        self.retain(&incoming);
        self.deliver_route(&route, &incoming);
        self.keep_birth(&route, &incoming, now);
        if last {
            self.settle(slot, session, publish, reason)?;
        }
        Ok(Step::Done)
    }

    /// What no client may send, or none of this connection.
    #[inline]
    fn check_publish(&self, slot: u32, publish: &Publish<'_>) -> Result<(), Violation> {
        if publish.properties.subscription_ids().next().is_some() {
            // [MQTT-3.3.4-6]
            return Err(Violation::protocol_error(
                "a client's PUBLISH with Subscription Identifier",
            ));
        }
        if publish.qos > self.connections[slot as usize].qos_max {
            // [MQTT-3.2.2-11]
            let what = "a PUBLISH above Maximum QoS";
            return Err(Violation::new(Reason::QOS_NOT_SUPPORTED, what));
        }
        if publish.retain && !self.config.profile.retain_available {
            // [MQTT-3.2.2-14]
            let what = "a PUBLISH with RETAIN, and retained messages are not taken";
            return Err(Violation::new(Reason::RETAIN_NOT_SUPPORTED, what));
        }
        Ok(())
    }

    /// Publishes what does not come from a connection: a will, the broker's own topics.
    pub(crate) fn publish_message(
        &mut self,
        message: &Message,
        from: Option<SessionKey>,
        now: Instant,
    ) {
        let overlap = self.config.profile.overlap;
        let route = self
            .router
            .route(&self.shared, self.config.worker, overlap, message.topic());
        let incoming = Incoming::of_message(message, from, now);
        self.retain(&incoming);
        self.deliver_route(&route, &incoming);
    }

    /// The receiver's half of the handshake: PUBACK or PUBREC.
    pub(crate) fn settle(
        &mut self,
        slot: u32,
        session: u32,
        publish: &Publish<'_>,
        reason: Reason,
    ) -> Result<(), Violation> {
        let Some(id) = publish.packet_id else {
            return Ok(());
        };
        if publish.qos == QoS::AtLeastOnce {
            self.acknowledge(slot, PacketType::Puback, id, reason);
            return Ok(());
        }
        let receiver = &mut self.sessions[session as usize].receiver;
        if !reason.is_error() && receiver.publish(id) {
            if receiver.len() > usize::from(self.config.limits.receive_max) {
                self.stats.receive_max_exceeded += 1;
                if self.config.profile.receive_max_enforced {
                    // It is not delivered, so it must not count as received when it comes again.
                    receiver.release(id);
                    // [MQTT-3.3.4-7]
                    let what = "more QoS 2 messages unreleased than Receive Maximum";
                    return Err(Violation::new(Reason::RECEIVE_MAXIMUM_EXCEEDED, what));
                }
            }
            self.note(session, |session| Record::Received {
                session,
                packet_id: id,
            });
        }
        self.acknowledge(slot, PacketType::Pubrec, id, reason);
        Ok(())
    }

    /// The Topic Name that is meant: what an alias stands for, below the mount point.
    fn topic_of<'a>(
        &mut self,
        slot: u32,
        publish: &Publish<'a>,
    ) -> Result<Cow<'a, str>, Violation> {
        let topic = match publish.properties.two(PropertyId::TopicAlias) {
            Some(alias) => Cow::Owned(self.resolve_alias(slot, alias, publish.topic)?),
            None => Cow::Borrowed(publish.topic),
        };
        let Some(mount) = self.connections[slot as usize].listener.rules.mount() else {
            return Ok(topic);
        };
        let what = "a topic that is too long below the mount point";
        let mounted = listener::mounted_name(mount, &topic);
        mounted
            .map(Cow::Owned)
            .ok_or_else(|| Violation::new(Reason::TOPIC_NAME_INVALID, what))
    }

    fn resolve_alias(&mut self, slot: u32, alias: u16, topic: &str) -> Result<String, Violation> {
        let connection = &mut self.connections[slot as usize];
        let own = connection.listener.rules.topic_alias_max;
        let max = own.unwrap_or(self.config.limits.topic_alias_max);
        let aliases = &mut connection.aliases_in;
        let aliases = aliases.get_or_insert_with(|| Box::new(AliasesIn::new(max)));
        match aliases.resolve(alias, topic) {
            Some(topic) => Ok(topic.to_owned()),
            None if alias == 0 || alias > max => {
                // [MQTT-3.3.2-9]
                let what = "a Topic Alias above the maximum";
                Err(Violation::new(Reason::TOPIC_ALIAS_INVALID, what))
            }
            None => Err(Violation::protocol_error(
                "a Topic Alias that was never set",
            )),
        }
    }

    /// The same for a topic as a client of a mount point writes it.
    pub(crate) fn too_deep_below(&self, slot: u32, topic: &str) -> bool {
        match self.connections[slot as usize].listener.rules.mount() {
            Some(mount) => self.too_deep(&[mount, topic].concat()),
            None => self.too_deep(topic),
        }
    }

    /// Whether the topic or filter has more levels than `topic_levels_max`.
    pub(crate) fn too_deep(&self, topic: &str) -> bool {
        let max = self.config.limits.topic_levels_max;
        topic.len() >= max && topic.bytes().filter(|&byte| byte == b'/').count() >= max
    }

    /// The route of a topic; `None`: this publisher may not publish there. The last one is tried
    /// first: publishers mostly stay with a topic.
    #[inline]
    pub(crate) fn route_of(&mut self, slot: u32, session: u32, topic: &str) -> Option<Rc<Route>> {
        if let Some(route) = self.router.last(slot)
            && route.generation == self.shared.generation()
            && *route.topic == *topic
        {
            return Some(Rc::clone(route));
        }
        if !self.may_publish(slot, session, topic) {
            return None;
        }
        let overlap = self.config.profile.overlap;
        let route = self
            .router
            .route(&self.shared, self.config.worker, overlap, topic);
        self.router.set_last(slot, Rc::clone(&route));
        Some(route)
    }

    /// Whether a publisher may go on now. It may not while a subscriber it reaches is above its
    /// limit, but never for longer than `pause_max_ms`: then that subscriber counts as slow, and
    /// nobody waits for it until it is well again.
    #[inline]
    pub(crate) fn let_pass(&mut self, slot: u32, route: &Route, now: Instant) -> bool {
        let none_pressed = self.pressed == 0 && self.pressed_elsewhere.is_empty() && !self.any_full;
        if none_pressed || !self.reaches_pressed(route) {
            self.connections[slot as usize].paused_since = None;
            return true;
        }
        self.pause(slot, route, now)
    }

    fn reaches_pressed(&self, route: &Route) -> bool {
        let here = route.local.iter().any(|target| {
            self.sessions[target.session.slot as usize]
                .connection
                .is_some_and(|slot| {
                    let connection = &self.connections[slot as usize];
                    connection.pressed && !connection.slow
                })
        });
        here || route.remote.iter().any(|remote| {
            let pressed = |target: &Target| self.pressed_elsewhere.contains(&target.session);
            self.full[usize::from(remote.worker)] || remote.targets.iter().any(pressed)
        }) || route.shares.iter().any(|group| {
            let pressed = |key| self.is_pressed(key);
            group.turns().any(pressed)
        })
    }

    /// Whether publishers wait for the connection of a Session, wherever that lives.
    fn is_pressed(&self, key: SessionKey) -> bool {
        if key.worker != self.config.worker {
            return self.full[usize::from(key.worker)] || self.pressed_elsewhere.contains(&key);
        }
        let session = self.sessions.get(key.slot as usize);
        let slot = session
            .filter(|session| session.key == key)
            .and_then(|session| session.connection);
        slot.is_some_and(|slot| {
            let connection = &self.connections[slot as usize];
            connection.pressed && !connection.slow
        })
    }

    fn pause(&mut self, slot: u32, route: &Route, now: Instant) -> bool {
        let pause_max = self.config.limits.pause_max();
        let connection = &mut self.connections[slot as usize];
        let since = *connection.paused_since.get_or_insert(now);
        // Who is above the limit while we are behind may be so for our sake.
        if now.saturating_duration_since(since) >= pause_max && !self.behind {
            connection.paused_since = None;
            self.stats.pauses_expired += 1;
            self.declare_slow(route);
            return true;
        }
        if since == now {
            self.stats.pauses += 1;
        }
        let connection = self.connections[slot as usize].id;
        self.paused.push(Paused {
            connection,
            until: if self.behind { now } else { since } + pause_max,
        });
        false
    }

    /// Stores or clears the retained message of this topic (§3.3.1.3).
    pub(crate) fn retain(&mut self, incoming: &Incoming<'_>) {
        if !incoming.retain {
            return;
        }
        let source = incoming
            .from
            .and_then(|key| self.sessions.get_mut(key.slot as usize))
            .map(Session::source);
        let may_expire = self.config.limits.retained_expiry_s > 0;
        if may_expire || incoming.message().expires().is_some() {
            self.retain_as_long(incoming, source);
            return self.time_retained();
        }
        self.retain_as_long(incoming, source);
    }

    fn retain_as_long(&mut self, incoming: &Incoming<'_>, source: Option<Arc<Source>>) {
        if self.recorder.is_some() {
            self.retain_recorded(incoming, source);
        } else if incoming.payload.is_empty() {
            self.shared.retained_mut().clear(incoming.topic);
        } else if !self
            .shared
            .retained_mut()
            .keep(incoming.message(), source, incoming.now)
        {
            self.stats.retained_refused += 1;
        }
    }

    fn note_published(&mut self, slot: u32, topic: &str, publish: &Publish<'_>) {
        if self.config.trace_packets {
            self.event(
                slot,
                What::Published {
                    topic: topic.into(),
                    qos: publish.qos,
                    retain: publish.retain,
                    payload: publish.payload.len(),
                },
            );
        }
    }
}
