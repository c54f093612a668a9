//! What waits in a Session goes out as the client takes it, and publishers wait for clients that
//! do not: resuming, retained messages for a new Subscription, pressure and relief (§4.4, §4.9).

use std::sync::Arc;
use std::time::Instant;

use crate::broker::Broker;
use crate::broker::connection::Phase;
use crate::broker::crossing::{Crossing, Item};
use crate::broker::durable::recorder::Entry;
use crate::broker::outgoing::Outgoing;
use crate::broker::router::Route;
use crate::broker::session::{Body, Kept, ReplayPart, Session, SubscriptionIds};
use crate::broker::shared::SessionKey;
use crate::broker::shared::retained::Found;
use crate::broker::shared::subscriptions::ShareGroup;
use crate::broker::sys::SYS;
use crate::mqtt::PacketType;
use crate::mqtt::QoS;
use crate::mqtt::Reason;
use crate::mqtt::delivery::{Pending, Pubrec};
use crate::mqtt::message::Message;

/// A message on its way out.
struct Sending {
    message: Message,
    order: u32,
    qos: QoS,
    retain: bool,
    subscription_ids: SubscriptionIds,
    share: Option<Arc<ShareGroup>>,
}

impl Session {
    /// Whether [`Broker::pull`] would find anything.
    #[inline]
    pub(crate) fn has_waiting(&self) -> bool {
        !self.queue.is_empty() || self.replay.is_some() || self.again().is_some()
    }
}

impl Broker {
    /// Sends what waits, as far as quota and room allow.
    pub(crate) fn pull(&mut self, session: u32, now: Instant) {
        self.pull_all(session, now);
        // When all that waited was dropped, nothing is written that would tell of room.
        if let Some(slot) = self.sessions[session as usize].connection
            && self.connections[slot as usize].pressed
            && self.sessions[session as usize].queue.is_empty()
            && self.connections[slot as usize].outbox.is_empty()
        {
            self.unpress(slot);
        }
    }

    fn pull_all(&mut self, session: u32, now: Instant) {
        if let Some(slot) = self.sessions[session as usize].connection {
            self.pull_again(slot, session, now);
        }
        self.pull_replay(session, now);
        loop {
            let state = &self.sessions[session as usize];
            let (Some(slot), Some(next)) = (state.connection, state.queue.front()) else {
                return;
            };
            let connection = &self.connections[slot as usize];
            let waiting = connection.outbox.len() + connection.gated_bytes();
            let room = waiting < self.config.limits.outbox_bytes_max;
            if !room || (next.qos != QoS::AtMostOnce && !state.has_quota()) {
                return;
            }
            if matches!(next.body, Body::Away(_)) {
                return self.fetch(session);
            }
            let Some(queued) = self.sessions[session as usize].queue.pop_front() else {
                return;
            };
            let Body::Here(message) = queued.body else {
                return;
            };
            if self.sessions[session as usize].queue.is_empty() {
                self.sessions[session as usize].queue.shrink_to(64);
            }
            self.released(session, &message);
            self.not_here(session, queued.order, message.size());
            if message.is_expired(now) {
                self.stats.dropped_expired += 1;
                self.note_done(session, queued.order, &message);
                continue;
            }
            let sending = Sending {
                message,
                order: queued.order,
                qos: queued.qos,
                retain: queued.retain,
                subscription_ids: queued.subscription_ids,
                share: queued.share,
            };
            self.send(slot, session, sending, now);
        }
    }

    fn send(&mut self, slot: u32, session: u32, sending: Sending, now: Instant) {
        let Sending {
            mut message,
            mut order,
            qos,
            retain,
            subscription_ids,
            share,
        } = sending;
        let whole = message.clone();
        let mut outgoing = self.outgoing(slot, &whole, qos, retain, &subscription_ids, now);
        if !self.fit(slot, &mut outgoing) {
            self.note_done(session, order, &message);
            return;
        }
        let mut id = None;
        if qos != QoS::AtMostOnce {
            if self.keeps(session) {
                let state = &mut self.sessions[session as usize];
                let entry = Entry {
                    message,
                    order: if order == 0 {
                        state.next_order()
                    } else {
                        order
                    },
                    qos,
                    retain,
                    packet_id: state.sender.upcoming(),
                    subscription_ids: &subscription_ids,
                    share: share.as_deref(),
                };
                message = match order {
                    0 => {
                        order = entry.order;
                        self.note_waiting(session, entry)
                    }
                    _ => self.note_sent(session, entry),
                };
            } else {
                // Kept until now, and not any more.
                self.note_done(session, std::mem::take(&mut order), &message);
            }
            let state = &mut self.sessions[session as usize];
            let counts = self.config.limits.counts_flight();
            let keep = counts || state.persists() || share.is_some();
            let kept = Kept {
                message: keep.then(|| message.clone()),
                order,
                share,
                retain,
                subscription_ids: subscription_ids.clone(),
            };
            id = state.sender.start(qos, kept);
            if keep {
                self.held(session, &message);
            }
            if counts {
                let max = self.config.limits.inflight_bytes_max;
                self.sessions[session as usize].take_off(message.payload().len(), max);
            }
        }
        let waits = self.waits(slot, session, qos);
        let shared = whole.shared_payload();
        self.put_outgoing(slot, &outgoing, id, whole.payload(), Some(&shared), waits);
    }

    fn outgoing<'a>(
        &self,
        slot: u32,
        message: &'a Message,
        qos: QoS,
        retain: bool,
        subscription_ids: &'a SubscriptionIds,
        now: Instant,
    ) -> Outgoing<'a> {
        Outgoing {
            version: self.connections[slot as usize].version,
            qos,
            dup: false,
            retain,
            topic: message.topic(),
            alias: None,
            properties: message.properties(),
            expiry: message.expiry_left(now),
            subscription_ids: subscription_ids.as_deref().unwrap_or_default(),
            payload_len: message.payload().len(),
        }
    }

    /// A message is held for a Session.
    pub(crate) fn held(&mut self, session: u32, message: &Message) {
        let size = message.size();
        let state = &mut self.sessions[session as usize];
        state.held += 1;
        state.held_bytes += size;
        self.shared.hold(size);
    }

    /// A Session has its client back: first what was in flight, in its order and marked DUP
    /// [MQTT-4.4.0-1], then what was queued.
    pub(crate) fn resume(&mut self, session: u32, now: Instant) {
        let state = &mut self.sessions[session as usize];
        let again = state.sender.resend().map(|(id, _)| id).collect();
        state.set_again(again);
        self.pull(session, now);
    }

    /// Sends again what the quota of this connection allows.
    fn pull_again(&mut self, slot: u32, session: u32, now: Instant) {
        loop {
            let state = &mut self.sessions[session as usize];
            let Some((&id, left)) = state
                .again()
                .and_then(|all| Some((all.front()?, all.len())))
            else {
                return;
            };
            let (qos, kept) = match state.sender.pending(id) {
                None => {
                    state.pop_again();
                    continue;
                }
                Some(Pending::Pubrel) => {
                    state.pop_again();
                    self.acknowledge(slot, PacketType::Pubrel, id, Reason::SUCCESS);
                    continue;
                }
                Some(Pending::Publish(qos, kept)) => (qos, kept),
            };
            if state.sender.inflight() - left >= state.sender.quota() {
                return;
            }
            let (message, retain, order) = (kept.message.clone(), kept.retain, kept.order);
            let ids = kept.subscription_ids.clone();
            state.pop_again();
            let Some(message) = message else { continue };
            let mut outgoing = self.outgoing(slot, &message, qos, retain, &ids, now);
            outgoing.dup = true;
            if self.fit(slot, &mut outgoing) {
                let shared = message.shared_payload();
                let payload = message.payload();
                self.put_outgoing(slot, &outgoing, Some(id), payload, Some(&shared), false);
                continue;
            }
            // [MQTT-3.1.2-25]: as if it had been sent and acknowledged, or it would hold its share
            // of the quota for ever.
            let sender = &mut self.sessions[session as usize].sender;
            let ended = match qos {
                QoS::ExactlyOnce => matches!(sender.pubrec(id, true), Pubrec::Ended(_)),
                _ => sender.puback(id).is_some(),
            };
            if ended {
                self.note_done(session, order, &message);
                self.landed(session, &message);
            }
        }
    }

    /// Retained messages for a new Subscription, behind those that wait already.
    pub(crate) fn replay(&mut self, session: u32, part: ReplayPart, now: Instant) {
        let state = &mut self.sessions[session as usize];
        let replay = state.replay.get_or_insert_default();
        replay.asked += part.messages.len();
        replay.waiting.push_back(part);
        self.pull_replay(session, now);
    }

    fn pull_replay(&mut self, session: u32, now: Instant) {
        let state = &mut self.sessions[session as usize];
        if state.replay.is_none() {
            return;
        }
        let (Some(slot), Some(mut replay)) = (state.connection, state.replay.take()) else {
            return;
        };
        while let Some(part) = replay.waiting.front_mut() {
            let room =
                self.connections[slot as usize].outbox.len() < self.config.limits.outbox_bytes_max;
            let Some(next) = part.messages.as_slice().first() else {
                replay.waiting.pop_front();
                continue;
            };
            let qos = match self.config.profile.qos_raised {
                false => part.qos.min(next.message.qos()),
                true => part.qos,
            };
            let quota = self.sessions[session as usize].has_quota();
            if !room || (qos != QoS::AtMostOnce && !quota) {
                break;
            }
            let Some(found) = part.messages.next() else {
                continue;
            };
            let Some(message) = self.still_retained(found) else {
                continue;
            };
            if message.is_expired(now) {
                continue;
            }
            let subscription_ids = part.subscription_ids.clone();
            let sending = Sending {
                message,
                order: 0,
                qos,
                retain: true,
                subscription_ids,
                share: None,
            };
            self.send(slot, session, sending, now);
        }
        if !replay.waiting.is_empty() {
            self.sessions[session as usize].replay = Some(replay);
        }
    }

    /// A message that was to be sent because it was retained, unless it is not any more. The
    /// broker's own topics change without a word to subscribers: there its successor goes out.
    fn still_retained(&self, found: Found) -> Option<Message> {
        let retained = self.shared.retained();
        let current = retained.now(&found)?;
        if current.is_same(&found.message) {
            return Some(found.message);
        }
        current.topic().starts_with(SYS).then(|| current.clone())
    }

    /// The outbox of a connection is above its limit: publishers that reach it are to wait.
    pub(crate) fn press(&mut self, slot: u32) {
        let connection = &mut self.connections[slot as usize];
        if connection.pressed || connection.session().is_none() {
            return;
        }
        connection.pressed = true;
        if !connection.listener.rules.waited_for {
            connection.slow = true;
            return;
        }
        self.pressed += 1;
        self.tell_pressed(slot, true);
    }

    /// The same for a client that reads but does not acknowledge: its queue grows instead.
    pub(crate) fn press_by_queue(&mut self, slot: u32, session: u32) {
        if self.sessions[session as usize].held_bytes > self.config.limits.outbox_bytes_max {
            self.press(slot);
        }
    }

    /// A connection has room again: what waits for it goes on, and who waits for it.
    pub(crate) fn relieved(&mut self, slot: u32, now: Instant) {
        let low = self.config.limits.outbox_bytes_low();
        if let Phase::Open(session) = self.connections[slot as usize].phase {
            if self.sessions[session as usize].has_waiting() {
                self.pull(session, now);
            }
            let state = &self.sessions[session as usize];
            if !state.queue.is_empty() && state.held_bytes > low {
                return;
            }
        }
        if self.connections[slot as usize].outbox.len() <= low {
            self.unpress(slot);
        }
    }

    /// Nobody has to wait for this connection any more: it is well again, or it ends.
    pub(crate) fn unpress(&mut self, slot: u32) {
        let connection = &mut self.connections[slot as usize];
        let slow = std::mem::take(&mut connection.slow);
        if std::mem::take(&mut connection.pressed) && !slow {
            self.pressed -= 1;
            self.tell_pressed(slot, false);
            self.resume_paused();
        }
    }

    fn tell_pressed(&mut self, slot: u32, pressed: bool) {
        if self.config.workers < 2 {
            return;
        }
        let Some(session) = self.connections[slot as usize].session() else {
            return;
        };
        let session = self.sessions[session as usize].key;
        let here = self.config.worker;
        for worker in (0..self.config.workers).filter(|&worker| worker != here) {
            self.cross(worker, Crossing(Item::Pressed { session, pressed }));
        }
    }

    /// A publisher has waited its whole pause: those it waited for are slow from now on.
    pub(crate) fn declare_slow(&mut self, route: &Route) {
        for target in &route.local {
            if let Some(slot) = self.sessions[target.session.slot as usize].connection
                && self.connections[slot as usize].pressed
            {
                self.slow_down(slot);
            }
        }
        let remote = route.remote.iter().flat_map(|remote| remote.targets.iter());
        let members = route.shares.iter().flat_map(|group| group.turns());
        for session in remote.map(|target| target.session).chain(members) {
            if self.pressed_elsewhere.remove(&session) {
                self.cross(session.worker, Crossing(Item::Slow { session }));
            } else if session.worker == self.config.worker {
                self.slow_session(session);
            }
        }
    }

    /// The same for a Session by its name, if it is still there and connected.
    pub(crate) fn slow_session(&mut self, session: SessionKey) {
        let place = self.sessions.get(session.slot as usize);
        let state = place.filter(|state| state.key == session);
        let Some(slot) = state.and_then(|state| state.connection) else {
            return;
        };
        if self.behind && self.connections[slot as usize].pressed {
            // Not for its own sake perhaps; the worker that waited is to wait on.
            return self.tell_pressed(slot, true);
        }
        self.slow_down(slot);
    }

    /// Tells whether connections have bytes that the system was not offered yet, because a turn
    /// can only do so much: nobody is slow for that.
    pub fn set_behind(&mut self, behind: bool) {
        if std::mem::replace(&mut self.behind, behind) && !behind {
            self.resume_paused();
        }
    }

    pub(crate) fn slow_down(&mut self, slot: u32) {
        let connection = &mut self.connections[slot as usize];
        if connection.pressed && !std::mem::replace(&mut connection.slow, true) {
            self.pressed -= 1;
            self.tell_pressed(slot, false);
        }
    }

    /// Lets all paused publishers try again.
    pub(crate) fn resume_paused(&mut self) {
        for paused in std::mem::take(&mut self.paused) {
            self.effects.resumed.push(paused.connection);
        }
    }

    /// Lets those publishers try again whose pause is over; they find out for themselves why.
    pub(crate) fn expire_pauses(&mut self, now: Instant) {
        let resumed = &mut self.effects.resumed;
        self.paused.retain(|paused| {
            let over = paused.until <= now;
            if over {
                resumed.push(paused.connection);
            }
            !over
        });
    }
}
