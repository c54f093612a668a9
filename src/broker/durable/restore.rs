//! A broker as it was: records become Sessions again, each at its worker.
//!
//! [`Restore`] gathers what a store has, in any order in which a Session's parts follow the
//! Session, and divides it by worker; [`Broker::adopt`] takes a worker's [`Part`] in. Clients are
//! gone: to every Session it is as if its connection had been lost, at the latest now.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use crate::broker::Broker;
use crate::broker::durable::record::{
    Crossed, CrossedTarget, Kept, Record, SessionRecord, ShareOf, Waiting,
};
use crate::broker::durable::recorder::{Entry, Recorder};
use crate::broker::session::{self, Away, Body, Queued, Session, Will};
use crate::broker::shared::SessionKey;
use crate::broker::shared::Shared;
use crate::broker::shared::retained::Source;
use crate::broker::shared::subscriptions::{ShareGroup, Subscription};
use crate::broker::timers::Deadline;
use crate::mqtt::PacketId;
use crate::mqtt::QoS;
use crate::mqtt::limits::SESSION_EXPIRY_NEVER;
use crate::mqtt::message::Message;
use crate::mqtt::subscribe::SubscribeOptions;

/// See the module.
pub struct Restore {
    workers: u16,
    now: Instant,
    wall: u64,
    sessions: BTreeMap<u64, Image>,
    bodies: HashMap<u64, Message>,
    crossed: BTreeMap<u64, Crossed>,
    /// Who waits for which body, once all is taken; by the numbers of the bodies.
    waiters: Option<Vec<Waiters>>,
    highest: u64,
}

/// What one worker takes in.
#[derive(Default)]
pub struct Part {
    sessions: Vec<Image>,
    /// Bodies that are wanted at once, and whether they are this worker's.
    bodies: Bodies,
    /// Bodies of this worker that several wait for, and how many.
    refs: HashMap<u64, u32>,
    /// Records that undo what is of no use any more.
    cleared: Vec<Record>,
}

type Bodies = HashMap<u64, (Message, bool)>;

/// Who waits for a body. It is the first worker's.
struct Waiters {
    body: u64,
    owner: u16,
    count: u32,
    others: bool,
    wanted: bool,
}

#[derive(Default)]
struct Image {
    record: Option<SessionRecord>,
    subscriptions: HashMap<Box<str>, (u8, u32)>,
    waiting: BTreeMap<u32, Waiting>,
    released: BTreeMap<PacketId, u32>,
    received: Vec<PacketId>,
    arrived: Vec<(Message, CrossedTarget, ShareOf)>,
}

impl Part {
    /// How many Sessions it has.
    pub fn sessions(&self) -> usize {
        self.sessions.len()
    }
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
            waiters: None,
            highest: 0,
        }
    }

    /// Takes one record; those of bodies are of use once [`wanted`](Self::wanted) names them.
    pub fn take(&mut self, record: Record, shared: &Shared) {
        match record {
            Record::Session(record) => self.session(*record),
            Record::SessionGone(session) => {
                self.sessions.remove(&session);
            }
            Record::Body(body, kept) => {
                self.highest = self.highest.max(body);
                let message = self.message(kept);
                self.bodies.insert(body, message);
            }
            Record::BodyGone(body) => {
                self.bodies.remove(&body);
            }
            Record::Retained {
                kept,
                publisher,
                user_name,
            } => {
                let message = self.message(kept);
                let source = publisher.map(|client_id| Source {
                    client_id,
                    user_name,
                    realm: 0,
                    own: None,
                });
                shared.restore_retained(&message, source.map(Arc::new), self.now);
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

    fn session(&mut self, record: SessionRecord) {
        self.highest = self.highest.max(record.session);
        let image = self.sessions.entry(record.session).or_default();
        image.record = Some(record);
    }

    fn of_session(&mut self, record: Record) {
        let Some(session) = record.part_of() else {
            return;
        };
        // A Session's own record may have been written anew after what belongs to it.
        let image = self.sessions.entry(session).or_default();
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

    /// Whose bodies are needed before a client asks: those of messages in flight, and where a
    /// body has to become two.
    pub fn wanted(&mut self) -> Vec<u64> {
        let waiters = self.waiters();
        let waiters = self.waiters.insert(waiters);
        let wanted = waiters
            .iter()
            .filter(|waiters| waiters.wanted || waiters.others);
        wanted.map(|waiters| waiters.body).collect()
    }

    fn worker_of(&self, image: &Image) -> u16 {
        image.record.as_ref().map_or(0, |record| record.worker) % self.workers
    }

    /// A list and not a table: numbers mostly come in their order, and a million of them are sorted
    /// in less time than it takes to look a few up.
    fn waiters(&self) -> Vec<Waiters> {
        let mut bodies = Vec::new();
        let known = |image: &&Image| image.record.is_some();
        for image in self.sessions.values().filter(known) {
            let owner = self.worker_of(image);
            bodies.extend(image.waiting.values().map(|waiting| Waiters {
                body: waiting.body,
                owner,
                count: 1,
                others: false,
                wanted: waiting.packet_id.is_some() || waiting.share.is_some(),
            }));
        }
        // Those of one body stay in their order.
        bodies.sort_by_key(|waiters| waiters.body);
        bodies.dedup_by(|next, first| {
            if next.body != first.body {
                return false;
            }
            first.count += u32::from(next.owner == first.owner);
            first.others |= next.owner != first.owner;
            first.wanted |= next.wanted;
            true
        });
        bodies
    }

    /// A part for each worker. `stored`: the numbers of all bodies there are. Numbers that were
    /// found are not given again.
    pub fn finish(mut self, stored: &[u64], shared: &Shared) -> Vec<Part> {
        let highest = stored.iter().copied().fold(self.highest, u64::max);
        shared.skip_numbers(highest);
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
        let waiters = self.waiters.take().unwrap_or_else(|| self.waiters());
        let (mut stored, mut rest) = (stored.to_vec(), &waiters[..]);
        stored.sort_unstable();
        for body in stored {
            let before = rest.iter().take_while(|waiters| waiters.body < body);
            rest = &rest[before.count()..];
            if rest.first().is_none_or(|waiters| waiters.body != body) {
                parts[0].cleared.push(Record::BodyGone(body));
            }
        }
        for waiters in waiters.iter().filter(|waiters| waiters.count > 1) {
            let part = &mut parts[usize::from(waiters.owner)];
            part.refs.insert(waiters.body, waiters.count);
        }
        for (number, image) in std::mem::take(&mut self.sessions) {
            let worker = self.worker_of(&image);
            let part = &mut parts[usize::from(worker)];
            if image.record.is_none() {
                part.cleared.push(Record::SessionGone(number));
                continue;
            }
            for waiting in image.waiting.values() {
                if let Some(message) = self.bodies.get(&waiting.body) {
                    let place = waiters.binary_search_by_key(&waiting.body, |one| one.body);
                    let owned = place.is_ok_and(|place| waiters[place].owner == worker);
                    let own = || (message.with_mark(0), owned);
                    part.bodies.entry(waiting.body).or_insert_with(own);
                }
            }
            part.sessions.push(image);
        }
        parts
    }
}

impl Broker {
    /// Takes in what was restored for this worker; call [`record`](Self::record) before.
    pub fn adopt(&mut self, part: Part, now: Instant) {
        let Part {
            sessions,
            bodies,
            refs,
            cleared,
        } = part;
        if let Some(recorder) = &mut self.recorder {
            recorder.refs.extend(refs);
        }
        self.time_retained();
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

    fn adopt_session(&mut self, image: Image, bodies: &Bodies, now: Instant) {
        let Some(record) = &image.record else {
            return;
        };
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
                once: self.config.profile.v3_once
                    && !self.sessions[session as usize].version.is_v5(),
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
        state.absence().lost = now.checked_sub(away).or(Some(now));
        state.noted = true;
        let key = state.key;
        if let Some(will) = &record.will {
            let due = after(will.delay);
            state.will = Some(Box::new(Will {
                message: will.message.clone(),
                delay: will.delay,
                due: Some(due),
            }));
            let entry = &mut state.absence().will_timed;
            self.timers.wake_by(entry, due, Deadline::Will(key));
        }
        if record.expiry != SESSION_EXPIRY_NEVER {
            let at = after(record.expiry);
            let absence = state.absence();
            absence.expires_at = Some(at);
            self.timers
                .wake_by(&mut absence.expiry_timed, at, Deadline::Session(key));
        }
    }

    fn adopt_messages(&mut self, session: u32, image: Image, bodies: &Bodies) {
        let orders = image.waiting.keys().chain(image.released.values());
        let rank = Rank::of(orders.clone().copied());
        // Behind all that is kept, or a new message would take the place of one before PUBCOMP.
        let last = orders.copied().max_by_key(|order| rank.of_order(*order));
        self.sessions[session as usize].order = last.unwrap_or(0);
        let released = image.released.iter();
        let released = released.map(|(id, order)| (rank.of_order(*order), (*id, None)));
        let mut inflight: BTreeMap<u32, (PacketId, Option<_>)> = released.collect();
        let mut waiting: Vec<Waiting> = image.waiting.into_values().collect();
        waiting.sort_by_key(|waiting| rank.of_order(waiting.order));
        for waiting in waiting {
            let Some(queued) = self.adopt_waiting(session, &waiting, bodies) else {
                continue;
            };
            let state = &mut self.sessions[session as usize];
            match waiting.packet_id {
                None => state.queue.push_back(queued),
                Some(id) => {
                    let Body::Here(message) = queued.body else {
                        continue;
                    };
                    let kept = session::Kept {
                        message: Some(message),
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
        bodies: &Bodies,
    ) -> Option<Queued> {
        let worker = self.config.worker;
        let key = self.sessions[session as usize].key;
        let share = self.group_of(&waiting.share);
        let wanted = waiting.packet_id.is_some() || waiting.share.is_some();
        let body = match bodies.get(&waiting.body) {
            Some((message, true)) if wanted => {
                message.set_mark(Recorder::mark(worker, waiting.body));
                Body::Here(message.clone())
            }
            Some((message, false)) => {
                // Its body is another worker's: it gets one of its own.
                let entry = Entry {
                    message: message.clone(),
                    order: waiting.order,
                    qos: waiting.qos,
                    retain: waiting.retain,
                    packet_id: waiting.packet_id,
                    subscription_ids: &waiting.subscription_ids,
                    share: share.as_deref(),
                };
                Body::Here(self.note_waiting(session, entry))
            }
            None if wanted => {
                self.stats.dropped_unreadable += 1;
                let (session, order) = (key.serial, waiting.order);
                let recorder = self.recorder.as_mut()?;
                recorder.push(Record::Done { session, order });
                return None;
            }
            _ => Body::Away(Box::new(Away {
                number: waiting.body,
                size: waiting.size,
            })),
        };
        let size = match &body {
            Body::Here(message) => message.size(),
            Body::Away(away) => away.size as usize,
        };
        let state = &mut self.sessions[session as usize];
        state.held += 1;
        state.held_bytes += size;
        self.shared.hold(size);
        if let (Body::Here(_), None) = (&body, waiting.packet_id) {
            state.here_bytes += size;
            self.shared.here_bytes.fetch_add(size, Ordering::Relaxed);
        }
        Some(Queued {
            body,
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
        let body = self.keep_or_leave(session, message, share.is_some());
        self.sessions[session as usize].queue.push_back(Queued {
            body,
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
