//! A message to those its route names: into the outbox of a connection, into the queue of a
//! Session, or dropped by a rule that has a counter (§4.3, §4.4, §4.9).

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use crate::broker::Broker;
use crate::broker::crossing::{Crossing, Item};
use crate::broker::durable::gate::gated;
use crate::broker::durable::recorder::Entry;
use crate::broker::listener;
use crate::broker::outgoing::Outgoing;
use crate::broker::publish::Incoming;
use crate::broker::router::{Route, Target};
use crate::broker::session::{Body, Kept, Queued};
use crate::broker::shared::subscriptions::ShareGroup;
use crate::mqtt::PacketId;
use crate::mqtt::QoS;
use crate::mqtt::message::Message;

/// Payloads in memory of their own from this size on are shared with all outboxes instead of copied
/// into each.
const SHARE_FROM: usize = 4_096;

/// Who gets a message, and with which marks.
struct Delivery<'a> {
    session: u32,
    target: &'a Target,
    qos: QoS,
    retain: bool,
    share: Option<&'a Arc<ShareGroup>>,
}

impl Broker {
    /// To everybody on a route.
    pub(crate) fn deliver_route(&mut self, route: &Route, incoming: &Incoming<'_>) {
        for target in &route.local {
            self.deliver(target, incoming.qos, incoming);
        }
        for remote in &route.remote {
            self.cross_message(remote, incoming);
        }
        for group in &route.shares {
            self.deliver_share(group, incoming);
        }
    }

    /// To the member of a Shared Subscription whose turn it is.
    pub(crate) fn deliver_share(&mut self, group: &Arc<ShareGroup>, incoming: &Incoming<'_>) {
        let Some(subscription) = group.pick() else {
            return;
        };
        let target = Target::new(subscription);
        if target.session.worker == self.config.worker {
            self.deliver_as(&target, incoming.qos, incoming, Some(group));
            return;
        }
        let worker = target.session.worker;
        let crossing = self.note_crossed(std::slice::from_ref(&target), Some(group), incoming);
        let item = Item::Message {
            message: incoming.message().clone(),
            from: incoming.from,
            targets: Arc::new([target]),
            share: Some(Arc::clone(group)),
            crossing,
        };
        self.cross(worker, Crossing(item));
    }

    /// What came from another worker.
    pub fn deliver_crossing(&mut self, crossing: &Crossing, now: Instant) {
        match &crossing.0 {
            Item::Message {
                message,
                from,
                targets,
                share,
                crossing,
            } => {
                let own = self.own_copy(message);
                let incoming = Incoming::of_message(own.as_ref().unwrap_or(message), *from, now);
                for target in targets.iter() {
                    self.deliver_as(target, message.qos(), &incoming, share.as_ref());
                }
                self.note_arrived(*crossing);
            }
            Item::Run {
                bytes,
                count,
                version,
                from,
                targets,
            } => {
                self.deliver_crossed_run(bytes, *count, *version, *from, targets, now);
            }
            Item::Frames {
                bytes,
                version,
                from,
                targets,
            } => self.deliver_crossed_frames(bytes, *version, *from, targets, now),
            &Item::Pressed {
                session,
                pressed: true,
            } => {
                self.pressed_elsewhere.insert(session);
            }
            &Item::Pressed {
                session,
                pressed: false,
            } => {
                self.pressed_elsewhere.remove(&session);
                self.resume_paused();
            }
            Item::Slow { session } => self.slow_session(*session),
        }
    }

    pub(crate) fn deliver(&mut self, target: &Target, qos: QoS, incoming: &Incoming<'_>) {
        self.deliver_as(target, qos, incoming, None);
    }

    fn deliver_as(
        &mut self,
        target: &Target,
        qos: QoS,
        incoming: &Incoming<'_>,
        share: Option<&Arc<ShareGroup>>,
    ) {
        let Some(target) = target.seen_by(incoming.from) else {
            return;
        };
        let session = target.session.slot;
        // A Session of this worker ends only after its Subscriptions, but what crosses from
        // another worker may come later than that.
        let place = self.sessions.get(session as usize);
        let Some(state) = place.filter(|state| state.key == target.session) else {
            return;
        };
        let delivery = Delivery {
            session,
            target,
            // [MQTT-3.8.4-8]
            qos: match self.config.profile.qos_raised {
                false => qos.min(target.qos),
                true => target.qos,
            },
            // [MQTT-3.3.1-12] [MQTT-3.3.1-13]
            retain: incoming.retain && target.retain_as_published,
            share,
        };
        let Some(slot) = state.connection else {
            if delivery.qos == QoS::AtMostOnce && !self.config.profile.qos0_queued {
                self.stats.dropped_offline += 1;
            } else {
                self.enqueue(&delivery, incoming);
            }
            return;
        };
        let connection = &self.connections[slot as usize];
        let full = connection.outbox.len() >= self.config.limits.outbox_bytes_max;
        if delivery.qos == QoS::AtMostOnce {
            if connection.slow {
                self.stats.dropped_slow += 1;
                self.connections[slot as usize].traffic.dropped += 1;
            } else if state.queue.is_empty() && !full {
                self.put(slot, &delivery, incoming);
            } else {
                // Also a will, which no publisher's pause holds back.
                self.enqueue(&delivery, incoming);
            }
        } else if state.queue.is_empty()
            && state.has_quota()
            && !full
            && connection.gated_bytes() < self.config.limits.outbox_bytes_max
        {
            self.put(slot, &delivery, incoming);
        } else {
            self.enqueue(&delivery, incoming);
            self.press_by_queue(slot, session);
        }
    }

    /// Encodes the message for a connection, as it came if that may be.
    fn put(&mut self, slot: u32, delivery: &Delivery<'_>, incoming: &Incoming<'_>) {
        let connection = &self.connections[slot as usize];
        if let Some(plain) = incoming.plain
            && plain.version.is_v5() == connection.version.is_v5()
            && delivery.qos == incoming.qos
            && delivery.target.subscription_ids.is_none()
            && connection.unaltered
            && plain.frame.len() <= connection.packet_size_max
        {
            let Some(id) = self.start(delivery, || incoming.message().clone()) else {
                return;
            };
            let waits = self.waits(slot, delivery.session, delivery.qos);
            let first = 0x30 | delivery.qos.bits() << 1 | u8::from(delivery.retain);
            let shared = incoming
                .shared
                .as_ref()
                .filter(|payload| payload.len() >= SHARE_FROM);
            let copied = plain.frame.len() - shared.map_or(0, |payload| payload.len());
            let connection = &mut self.connections[slot as usize];
            let recorder = self.recorder.as_mut().filter(|_| waits);
            gated(recorder, connection, &mut self.spare, |outbox, spare| {
                outbox.encode(spare, |out| {
                    let at = out.len();
                    out.extend_from_slice(&plain.frame[..copied]);
                    out[at] = first;
                    if let Some(id) = id {
                        let id_at = at + plain.id_at;
                        out[id_at..id_at + 2].copy_from_slice(&id.value().to_be_bytes());
                    }
                });
                if let Some(payload) = shared {
                    outbox.share(payload.clone());
                }
            });
            if id.is_some() {
                self.stats.note_sent(delivery.qos, incoming.payload.len());
            }
            self.count_sent(slot, incoming.payload.len());
            self.touch(slot);
            return;
        }
        let expiry = incoming.message_expiry();
        let mut outgoing = Outgoing {
            version: connection.version,
            qos: delivery.qos,
            dup: false,
            retain: delivery.retain,
            topic: incoming.topic,
            alias: None,
            properties: incoming.properties,
            expiry,
            subscription_ids: delivery
                .target
                .subscription_ids
                .as_deref()
                .unwrap_or_default(),
            payload_len: incoming.payload.len(),
        };
        if !self.fit(slot, &mut outgoing) {
            return;
        }
        let Some(id) = self.start(delivery, || incoming.message().clone()) else {
            return;
        };
        let waits = self.waits(slot, delivery.session, delivery.qos);
        let shared = incoming.shared.as_ref();
        self.put_outgoing(slot, &outgoing, id, incoming.payload, shared, waits);
    }

    /// Takes a message of QoS 1 or 2 into flight; QoS 0 needs nothing. The outer `None`: there is
    /// no quota.
    fn start(
        &mut self,
        delivery: &Delivery<'_>,
        message: impl Fn() -> Message,
    ) -> Option<Option<PacketId>> {
        if delivery.qos == QoS::AtMostOnce {
            return Some(None);
        }
        let mut order = 0;
        let mut noted = None;
        if self.keeps(delivery.session) {
            let state = &mut self.sessions[delivery.session as usize];
            if !state.sender.has_quota() {
                return None;
            }
            order = state.next_order();
            let entry = Entry {
                message: message(),
                order,
                qos: delivery.qos,
                retain: delivery.retain,
                packet_id: state.sender.upcoming(),
                subscription_ids: &delivery.target.subscription_ids,
                share: delivery.share.map(|share| &**share),
            };
            noted = Some(self.note_waiting(delivery.session, entry));
        }
        let state = &mut self.sessions[delivery.session as usize];
        let counts = self.config.limits.counts_flight();
        let keep = counts || state.persists() || delivery.share.is_some();
        let kept = Kept {
            message: match noted {
                None => keep.then(message),
                noted => noted,
            },
            order,
            share: delivery.share.cloned(),
            retain: delivery.retain,
            subscription_ids: delivery.target.subscription_ids.clone(),
        };
        if let Some(message) = &kept.message {
            let size = message.size();
            state.held += 1;
            state.held_bytes += size;
            self.shared.hold(size);
            if counts {
                state.take_off(
                    message.payload().len(),
                    self.config.limits.inflight_bytes_max,
                );
            }
        }
        Some(Some(state.sender.start(delivery.qos, kept)?))
    }

    /// Chooses topic, alias and properties of what goes out. False, with a counter: the client
    /// takes no packet of that size [MQTT-3.1.2-24], or has no name for the topic.
    pub(crate) fn fit(&mut self, slot: u32, outgoing: &mut Outgoing<'_>) -> bool {
        let connection = &mut self.connections[slot as usize];
        if connection.mounted {
            let mount = &connection.listener.rules.mount_point;
            let Some(topic) = listener::unmounted(mount, outgoing.topic) else {
                // A Subscription of a Session that was somewhere else before.
                self.stats.dropped_denied += 1;
                return false;
            };
            outgoing.topic = topic;
        }
        if let Some(aliases) = &mut connection.aliases_out {
            outgoing.alias = aliases.alias(outgoing.topic);
        }
        self.scratch.clear();
        outgoing.put_properties(&mut self.scratch);
        if outgoing.size(self.scratch.properties()) > connection.packet_size_max {
            if let (Some(aliases), Some((alias, false))) =
                (&mut connection.aliases_out, outgoing.alias)
            {
                aliases.take_back(outgoing.topic, alias);
            }
            self.stats.dropped_too_large += 1;
            return false;
        }
        true
    }

    /// Appends what [`fit`](Self::fit) found to fit.
    pub(crate) fn put_outgoing(
        &mut self,
        slot: u32,
        outgoing: &Outgoing<'_>,
        id: Option<PacketId>,
        payload: &[u8],
        shared: Option<&bytes::Bytes>,
        waits: bool,
    ) {
        let connection = &mut self.connections[slot as usize];
        let recorder = self.recorder.as_mut().filter(|_| waits);
        let shared = shared.filter(|payload| payload.len() >= SHARE_FROM);
        let properties = self.scratch.properties();
        gated(recorder, connection, &mut self.spare, |outbox, spare| {
            outbox.encode(spare, |out| {
                outgoing.put_head(id, properties, out);
                if shared.is_none() {
                    out.extend_from_slice(payload);
                }
            });
            if let Some(payload) = shared {
                outbox.share(payload.clone());
            }
        });
        self.stats.note_sent(outgoing.qos, payload.len());
        self.count_sent(slot, payload.len());
        self.touch(slot);
    }

    #[inline]
    fn count_sent(&mut self, slot: u32, payload: usize) {
        self.stats.publish_sent += 1;
        self.stats.payload_sent += payload as u64;
        self.connections[slot as usize].traffic.publish_sent += 1;
    }

    /// Keeps a message until the client is there, acknowledges or reads; or drops it where a
    /// limit says so.
    fn enqueue(&mut self, delivery: &Delivery<'_>, incoming: &Incoming<'_>) {
        let limits = &self.config.limits;
        let state = &mut self.sessions[delivery.session as usize];
        let size = incoming.message().size();
        let total = self.shared.queued_bytes.load(Ordering::Relaxed);
        let (counted, most) = match self.config.profile.queued_beside_inflight {
            false => (state.waiting(), limits.session_messages_max),
            true => {
                let beside = usize::from(limits.inflight_max);
                let room = state.connection.map_or(0, |_| state.sender.quota());
                let most = limits.session_messages_max.saturating_sub(beside);
                (state.queue.len(), most + room)
            }
        };
        let full = counted >= most
            || state.held_bytes + size > limits.session_bytes_max
            || total + size > limits.queued_bytes_total_max;
        // One message always fits, or a large one could never be delivered.
        if full && state.waiting() > 0 {
            self.stats.dropped_queue_full += 1;
            return;
        }
        state.held += 1;
        state.held_bytes += size;
        self.shared.hold(size);
        let mut message = incoming.message().clone();
        let mut order = 0;
        if delivery.qos != QoS::AtMostOnce && self.keeps(delivery.session) {
            order = self.sessions[delivery.session as usize].next_order();
            let entry = Entry {
                message,
                order,
                qos: delivery.qos,
                retain: delivery.retain,
                packet_id: None,
                subscription_ids: &delivery.target.subscription_ids,
                share: delivery.share.map(|share| &**share),
            };
            message = self.note_waiting(delivery.session, entry);
        }
        let body = match order {
            0 => Body::Here(message),
            _ => self.keep_or_leave(delivery.session, message, delivery.share.is_some()),
        };
        let state = &mut self.sessions[delivery.session as usize];
        state.queue.push_back(Queued {
            body,
            order,
            qos: delivery.qos,
            retain: delivery.retain,
            subscription_ids: delivery.target.subscription_ids.clone(),
            share: delivery.share.cloned(),
        });
    }

    /// A message that was in flight is no longer held for a Session.
    pub(crate) fn landed(&mut self, session: u32, message: &Message) {
        if self.config.limits.counts_flight() {
            let max = self.config.limits.inflight_bytes_max;
            self.sessions[session as usize].land(message.payload().len(), max);
        }
        self.released(session, message);
    }

    /// A message is no longer held for a Session.
    pub(crate) fn released(&mut self, session: u32, message: &Message) {
        let size = message.size();
        let state = &mut self.sessions[session as usize];
        state.held -= 1;
        state.held_bytes -= size;
        self.shared.release(1, size);
    }
}

impl Incoming<'_> {
    /// What is left of the Message Expiry Interval.
    fn message_expiry(&self) -> Option<u32> {
        use crate::mqtt::property::PropertyId;
        self.properties.four(PropertyId::MessageExpiryInterval)?;
        self.message().expiry_left(self.now)
    }
}
