//! A broker as it was: records become Sessions again, each at its worker.
//!
//! [`Restore`] gathers what a store has, in any order in which a Session's parts follow the
//! Session, and divides it by worker; [`Broker::adopt`] takes a worker's [`Part`] in. Clients are
//! gone: to every Session it is as if its connection had been lost, at the latest now.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use crate::broker::Broker;
use crate::broker::record::{
    Crossed, CrossedTarget, Kept, Record, SessionRecord, ShareOf, Waiting,
};
use crate::broker::recorder::Entry;
use crate::broker::session::{self, NEVER, Queued, Session, Will};
use crate::broker::shared::SessionKey;
use crate::broker::shared::Shared;
use crate::broker::shared::subscriptions::{ShareGroup, Subscription};
use crate::broker::timers::Deadline;
use crate::mqtt::PacketId;
use crate::mqtt::QoS;
use crate::mqtt::message::Message;
use crate::mqtt::subscribe::SubscribeOptions;

/// See the module.
pub struct Restore {
    workers: u16,
    now: Instant,
    wall: u64,
    sessions: BTreeMap<u64, Image>,
    bodies: HashMap<u64, Body>,
    crossed: BTreeMap<u64, Crossed>,
    highest: u64,
}

/// What one worker takes in.
#[derive(Default)]
pub struct Part {
    sessions: Vec<Image>,
    bodies: HashMap<u64, Body>,
    /// Records that undo what is of no use any more.
    cleared: Vec<Record>,
}

/// A body, and whose it is: the first worker's that needs it.
struct Body {
    message: Message,
    owner: Option<u16>,
}

struct Image {
    record: SessionRecord,
    subscriptions: HashMap<Box<str>, (u8, u32)>,
    waiting: BTreeMap<u32, Waiting>,
    released: BTreeMap<PacketId, u32>,
    received: Vec<PacketId>,
    arrived: Vec<(Message, CrossedTarget, ShareOf)>,
}

impl Restore {
    /// For so many workers; `wall`: what the wall clock says now, in milliseconds since 1970.
    pub fn new(workers: u16, now: Instant, wall: u64) -> Self {
        Self {
            workers,
            now,
            wall,
            sessions: BTreeMap::new(),
            bodies: HashMap::new(),
            crossed: BTreeMap::new(),
            highest: 0,
        }
    }

    /// Takes one record. What belongs to a Session that is not there is left out.
    pub fn take(&mut self, record: Record, shared: &Shared) {
        match record {
            Record::Session(record) => self.session(*record),
            Record::SessionGone(session) => {
                self.sessions.remove(&session);
            }
            Record::Body(body, kept) => {
                self.highest = self.highest.max(body);
                let message = self.message(kept);
                let owner = None;
                self.bodies.insert(body, Body { message, owner });
            }
            Record::BodyGone(body) => {
                self.bodies.remove(&body);
            }
            Record::Retained { kept, publisher } => {
                let message = self.message(kept);
                shared.restore_retained(&message, publisher, self.now);
            }
            Record::Cleared(topic) => shared.retained_mut().clear(&topic),
            Record::Crossed(number, crossed) => {
                self.highest = self.highest.max(number);
                self.crossed.insert(number, *crossed);
            }
            Record::Arrived(number) => {
                self.crossed.remove(&number);
            }
            of_session => self.of_session(of_session),
        }
    }

    /// Sessions found so far.
    pub fn sessions(&self) -> usize {
        self.sessions.len()
    }

    fn session(&mut self, record: SessionRecord) {
        self.highest = self.highest.max(record.session);
        match self.sessions.get_mut(&record.session) {
            Some(image) => image.record = record,
            None => {
                self.sessions.insert(record.session, Image::new(record));
            }
        }
    }

    fn of_session(&mut self, record: Record) {
        let session = match &record {
            Record::Subscribed { session, .. }
            | Record::Unsubscribed { session, .. }
            | Record::Released { session, .. }
            | Record::Done { session, .. }
            | Record::Completed { session, .. }
            | Record::Received { session, .. }
            | Record::Answered { session, .. } => *session,
            Record::Waiting(waiting) => waiting.session,
            _ => return,
        };
        let Some(image) = self.sessions.get_mut(&session) else {
            return;
        };
        match record {
            Record::Subscribed {
                filter,
                options,
                subscription_id,
                ..
            } => {
                image
                    .subscriptions
                    .insert(filter, (options, subscription_id));
            }
            Record::Unsubscribed { filter, .. } => {
                image.subscriptions.remove(&filter);
            }
            Record::Waiting(waiting) => {
                image.waiting.insert(waiting.order, *waiting);
            }
            Record::Released {
                order, packet_id, ..
            } => {
                image.waiting.remove(&order);
                image.released.insert(packet_id, order);
            }
            Record::Done { order, .. } => {
                image.waiting.remove(&order);
            }
            Record::Completed { packet_id, .. } => {
                image.released.remove(&packet_id);
            }
            Record::Received { packet_id, .. } => image.received.push(packet_id),
            Record::Answered { packet_id, .. } => image.received.retain(|held| *held != packet_id),
            _ => {}
        }
    }

    fn message(&self, kept: Kept) -> Message {
        kept.message
            .with_expiry(kept.expires.map(|at| self.instant(at)))
    }

    /// The instant of a time on the wall; what is past is now.
    fn instant(&self, wall: u64) -> Instant {
        let left = Duration::from_millis(wall.saturating_sub(self.wall));
        self.now.checked_add(left).unwrap_or(self.now)
    }

    /// A part for each worker. Numbers that were found are not given again.
    pub fn finish(mut self, shared: &Shared) -> Vec<Part> {
        shared.skip_numbers(self.highest);
        let mut parts: Vec<Part> = (0..self.workers).map(|_| Part::default()).collect();
        for (number, crossed) in std::mem::take(&mut self.crossed) {
            let message = self.message(crossed.kept);
            for target in crossed.targets {
                if let Some(image) = self.sessions.get_mut(&target.session) {
                    let share = crossed.share.clone();
                    image.arrived.push((message.clone(), target, share));
                }
            }
            parts[0].cleared.push(Record::Arrived(number));
        }
        for (_, image) in std::mem::take(&mut self.sessions) {
            let worker = image.record.worker % self.workers;
            let part = &mut parts[usize::from(worker)];
            for waiting in image.waiting.values() {
                if let Some(body) = self.bodies.get_mut(&waiting.body) {
                    let owned = *body.owner.get_or_insert(worker) == worker;
                    part.bodies.entry(waiting.body).or_insert_with(|| Body {
                        message: match owned {
                            true => body.message.clone(),
                            false => body.message.with_mark(0),
                        },
                        owner: body.owner,
                    });
                }
            }
            part.sessions.push(image);
        }
        let orphans = self.bodies.iter().filter(|(_, body)| body.owner.is_none());
        let orphans = orphans.map(|(body, _)| Record::BodyGone(*body));
        parts[0].cleared.extend(orphans);
        parts
    }
}

impl Image {
    fn new(record: SessionRecord) -> Self {
        Self {
            record,
            subscriptions: HashMap::new(),
            waiting: BTreeMap::new(),
            released: BTreeMap::new(),
            received: Vec::new(),
            arrived: Vec::new(),
        }
    }
}

impl Broker {
    /// Takes in what was restored for this worker; call [`record`](Self::record) before.
    pub fn adopt(&mut self, part: Part, now: Instant) {
        let Part {
            sessions,
            bodies,
            cleared,
        } = part;
        for image in sessions {
            self.adopt_session(image, &bodies, now);
        }
        if let Some(recorder) = &mut self.recorder {
            for record in cleared {
                recorder.push(record);
            }
            // What had expired was cleared for all workers.
            recorder.retained = true;
        }
    }

    fn adopt_session(&mut self, image: Image, bodies: &HashMap<u64, Body>, now: Instant) {
        let Image { record, .. } = &image;
        let client_id = Arc::clone(&record.client_id);
        let entry = self.sessions.vacant_entry();
        let key = SessionKey {
            worker: self.config.worker,
            kept: record.expiry > 0,
            slot: entry.key() as u32,
            serial: record.session,
        };
        if self
            .shared
            .directory()
            .enter(Arc::clone(&client_id), key)
            .is_err()
        {
            // Two of one name were never kept at a time.
            return;
        }
        entry.insert(Session::new(key, client_id, record.version));
        let session = key.slot;
        self.sessions[session as usize]
            .user_name
            .clone_from(&record.user_name);
        self.renew_rights(session);
        self.adopt_times(session, record, now);
        for (filter, (options, subscription_id)) in &image.subscriptions {
            let Ok(options) = SubscribeOptions::from_bits(*options) else {
                continue;
            };
            let subscription = Subscription {
                session: key,
                options,
                subscription_id: *subscription_id,
            };
            self.enter(session, filter, subscription);
        }
        self.set_online(session, false);
        for id in &image.received {
            self.sessions[session as usize].receiver.publish(*id);
        }
        self.adopt_messages(session, image, bodies);
        self.note_session(session);
    }

    fn adopt_times(&mut self, session: u32, record: &SessionRecord, now: Instant) {
        let ago = |wall: u64| {
            let wall_now = self.recorder.as_ref().map_or(wall, |held| held.wall(now));
            Duration::from_millis(wall_now.saturating_sub(wall))
        };
        // Since when it has no connection: at the latest since now.
        let away = record.lost.map_or(Duration::ZERO, ago);
        let after =
            |seconds: u32| now + Duration::from_secs(u64::from(seconds)).saturating_sub(away);
        let state = &mut self.sessions[session as usize];
        state.expiry = record.expiry;
        state.lost = now.checked_sub(away).or(Some(now));
        state.noted = true;
        let key = state.key;
        if let Some(will) = &record.will {
            let due = after(will.delay);
            state.will = Some(Box::new(Will {
                message: will.message.clone(),
                delay: will.delay,
                due: Some(due),
            }));
            self.timers
                .wake_by(&mut state.will_timed, due, Deadline::Will(key));
        }
        if record.expiry != NEVER {
            let at = after(record.expiry);
            state.expires_at = Some(at);
            self.timers
                .wake_by(&mut state.expiry_timed, at, Deadline::Session(key));
        }
    }

    fn adopt_messages(&mut self, session: u32, image: Image, bodies: &HashMap<u64, Body>) {
        let orders = image.waiting.keys().chain(image.released.values());
        let rank = Rank::of(orders.copied());
        let released = image.released.iter();
        let released = released.map(|(id, order)| (rank.of_order(*order), (*id, None)));
        let mut inflight: BTreeMap<u32, (PacketId, Option<_>)> = released.collect();
        let mut waiting: Vec<Waiting> = image.waiting.into_values().collect();
        waiting.sort_by_key(|waiting| rank.of_order(waiting.order));
        for waiting in waiting {
            self.sessions[session as usize].order = waiting.order;
            let Some(queued) = self.adopt_waiting(session, &waiting, bodies) else {
                continue;
            };
            let state = &mut self.sessions[session as usize];
            match waiting.packet_id {
                None => state.queue.push_back(queued),
                Some(id) => {
                    let kept = session::Kept {
                        message: Some(queued.message),
                        order: queued.order,
                        share: queued.share,
                        retain: queued.retain,
                        subscription_ids: queued.subscription_ids,
                    };
                    let rank = rank.of_order(waiting.order);
                    inflight.insert(rank, (id, Some((queued.qos, kept))));
                }
            }
        }
        let sender = &mut self.sessions[session as usize].sender;
        let left = sender.restore(inflight.into_values());
        for kept in left {
            if let Some(message) = kept.message {
                self.note_done(session, kept.order, &message);
                self.released(session, &message);
            }
        }
        for (message, target, share) in image.arrived {
            let qos = message.qos().min(target.qos);
            if qos != QoS::AtMostOnce {
                let retain = message.retain() && target.retain_as_published;
                let group = self.group_of(&share);
                self.adopt_new(
                    session,
                    message,
                    qos,
                    retain,
                    target.subscription_ids,
                    group,
                );
            }
        }
    }

    /// A message that waits, its body found.
    fn adopt_waiting(
        &mut self,
        session: u32,
        waiting: &Waiting,
        bodies: &HashMap<u64, Body>,
    ) -> Option<Queued> {
        let worker = self.config.worker;
        let key = self.sessions[session as usize].key;
        let recorder = self.recorder.as_mut()?;
        let Some(body) = bodies.get(&waiting.body) else {
            self.stats.dropped_unreadable += 1;
            let (session, order) = (key.serial, waiting.order);
            recorder.push(Record::Done { session, order });
            return None;
        };
        let known = body.owner == Some(worker);
        if known {
            recorder.enter_body(worker, &body.message, waiting.body);
        }
        let mut message = body.message.clone();
        let share = self.group_of(&waiting.share);
        if !known {
            // Its body is another worker's: it gets one of its own.
            let entry = Entry {
                message,
                order: waiting.order,
                qos: waiting.qos,
                retain: waiting.retain,
                packet_id: waiting.packet_id,
                subscription_ids: &waiting.subscription_ids,
                share: share.as_deref(),
            };
            message = self.note_waiting(session, entry);
        }
        self.held(session, &message);
        Some(Queued {
            message,
            order: waiting.order,
            qos: waiting.qos,
            retain: waiting.retain,
            subscription_ids: waiting.subscription_ids.clone(),
            share,
        })
    }

    fn adopt_new(
        &mut self,
        session: u32,
        message: Message,
        qos: QoS,
        retain: bool,
        subscription_ids: session::SubscriptionIds,
        share: Option<Arc<ShareGroup>>,
    ) {
        let order = self.sessions[session as usize].next_order();
        let entry = Entry {
            message: message.with_mark(0),
            order,
            qos,
            retain,
            packet_id: None,
            subscription_ids: &subscription_ids,
            share: share.as_deref(),
        };
        let message = self.note_waiting(session, entry);
        self.held(session, &message);
        self.sessions[session as usize].queue.push_back(Queued {
            message,
            order,
            qos,
            retain,
            subscription_ids,
            share,
        });
    }

    fn group_of(&self, share: &ShareOf) -> Option<Arc<ShareGroup>> {
        let (name, filter) = share.as_ref()?;
        self.shared.subscriptions().group(filter, name)
    }
}

/// The order of a Session's messages, also where their places began anew in between: there are
/// never as many as half of all places.
struct Rank {
    wrapped: bool,
}

impl Rank {
    fn of(orders: impl Iterator<Item = u32> + Clone) -> Self {
        let least = orders.clone().min().unwrap_or(0);
        let most = orders.max().unwrap_or(0);
        Self {
            wrapped: most - least > u32::MAX / 2,
        }
    }

    fn of_order(&self, order: u32) -> u32 {
        match self.wrapped {
            true => order.wrapping_add(1 << 31),
            false => order,
        }
    }
}
