//! Notes what a turn changes and what has to survive a restart, as [`Record`]s, for the store of
//! whoever runs the broker. Nothing is noted on QoS 0, nor for Sessions that end with their
//! connection, except a will: it is to be published even if the broker is not there at that time.

use std::collections::HashMap;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use crate::broker::Broker;
use crate::broker::connection::ConnectionId;
use crate::broker::durable::record::{
    Crossed, CrossedTarget, Kept, Record, SessionRecord, Waiting, WillRecord,
};
use crate::broker::publish::Incoming;
use crate::broker::router::Target;
use crate::broker::session::{Body, Session, SubscriptionIds};
use crate::broker::shared::retained::Source;
use crate::broker::shared::subscriptions::ShareGroup;
use crate::mqtt::PacketId;
use crate::mqtt::QoS;
use crate::mqtt::delivery::Pending;
use crate::mqtt::message::Message;

/// Bits of a message's mark below the worker that keeps it.
const BODY_BITS: u32 = 48;

/// What a worker has to tell a store, and who waits for it.
pub(crate) struct Recorder {
    pub(crate) records: Vec<Record>,
    pub(crate) bytes: usize,
    /// The turn that is under way.
    pub(crate) turn: u64,
    /// An instant, and what the wall clock said then, in milliseconds since 1970.
    pub(crate) clock: (Instant, u64),
    /// Bodies that several Sessions wait for, and how many.
    pub(crate) refs: HashMap<u64, u32>,
    /// Connections that got something behind their gate in this turn.
    pub(crate) gated: Vec<ConnectionId>,
    /// The same for former turns, with the bytes of their records.
    pub(crate) waiting: VecDeque<(u64, usize, Vec<ConnectionId>)>,
    /// Bytes of `waiting`.
    pub(crate) unsaved: usize,
    /// Publishers that wait until less is unsaved.
    pub(crate) stalled: Vec<ConnectionId>,
    pub(crate) failing: bool,
    /// Something was retained or cleared in this turn.
    pub(crate) retained: bool,
}

impl Recorder {
    fn new(now: Instant, wall: u64) -> Self {
        Self {
            records: Vec::new(),
            bytes: 0,
            turn: 1,
            clock: (now, wall),
            refs: HashMap::new(),
            gated: Vec::new(),
            waiting: VecDeque::new(),
            unsaved: 0,
            stalled: Vec::new(),
            failing: false,
            retained: false,
        }
    }

    pub(crate) fn push(&mut self, record: Record) {
        self.bytes += record.size();
        self.records.push(record);
    }

    /// What the wall clock says at an instant.
    pub(crate) fn wall(&self, at: Instant) -> u64 {
        let (anchor, wall) = self.clock;
        match at.checked_duration_since(anchor) {
            Some(after) => wall + after.as_millis() as u64,
            None => wall.saturating_sub(anchor.duration_since(at).as_millis() as u64),
        }
    }

    /// The body that a message is stored as, entered now if it is not yet.
    fn body(
        &mut self,
        worker: u16,
        message: Message,
        next: impl FnOnce() -> u64,
    ) -> (Message, u64) {
        let home = Self::mark(worker, 0);
        if let Some(body) =
            body_of(&message).filter(|_| message.mark() >> BODY_BITS << BODY_BITS == home)
        {
            *self.refs.entry(body).or_insert(1) += 1;
            return (message, body);
        }
        let body = next();
        // Another worker may have marked it before.
        let message = match message.set_mark(home | body) {
            true => message,
            false => message.with_mark(home | body),
        };
        let kept = self.kept(&message);
        self.push(Record::Body(body, kept));
        (message, body)
    }

    /// The mark of a message that this worker keeps as a body.
    pub(crate) fn mark(worker: u16, body: u64) -> u64 {
        (u64::from(worker) + 1) << BODY_BITS | body
    }

    /// The instant of a time on the wall; what is past is now.
    pub(crate) fn instant(&self, wall: u64, now: Instant) -> Instant {
        let left = Duration::from_millis(wall.saturating_sub(self.wall(now)));
        now.checked_add(left).unwrap_or(now)
    }

    pub(crate) fn kept(&self, message: &Message) -> Kept {
        Kept {
            message: message.clone(),
            expires: message.expires().map(|at| self.wall(at)),
        }
    }

    /// One Session fewer waits for a message.
    fn let_go(&mut self, message: &Message) {
        if let Some(body) = body_of(message) {
            self.let_go_of(body, Some(message));
        }
    }

    pub(crate) fn let_go_of(&mut self, body: u64, message: Option<&Message>) {
        match self.refs.get_mut(&body) {
            Some(2) => {
                self.refs.remove(&body);
            }
            Some(refs) => *refs -= 1,
            None => {
                if let Some(message) = message {
                    message.clear_mark();
                }
                self.push(Record::BodyGone(body));
            }
        }
    }
}

/// The body a message is stored as by the worker that keeps it.
pub(crate) fn body_of(message: &Message) -> Option<u64> {
    let body = message.mark() & (u64::MAX >> (64 - BODY_BITS));
    (body != 0).then_some(body)
}

/// What a message in flight or in a queue is stored as.
pub(crate) struct Entry<'a> {
    pub(crate) message: Message,
    pub(crate) order: u32,
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
    pub(crate) packet_id: Option<PacketId>,
    pub(crate) subscription_ids: &'a SubscriptionIds,
    pub(crate) share: Option<&'a ShareGroup>,
}

impl Entry<'_> {
    fn waiting(&self, session: u64, body: u64) -> Box<Waiting> {
        let share = self
            .share
            .map(|group| (group.name.clone(), group.filter.clone()));
        Box::new(Waiting {
            session,
            order: self.order,
            body,
            size: self.message.size() as u32,
            qos: self.qos,
            retain: self.retain,
            packet_id: self.packet_id,
            subscription_ids: self.subscription_ids.clone(),
            share,
        })
    }
}

impl Broker {
    /// From now on every turn's records are to be fetched with [`end_turn`](Self::end_turn), and
    /// acknowledgements wait for [`durable`](Self::durable). `wall`: milliseconds since 1970.
    pub fn record(&mut self, now: Instant, wall: u64) {
        self.recorder = Some(Box::new(Recorder::new(now, wall)));
    }

    /// What the wall clock says; it may jump.
    pub fn tell_time(&mut self, now: Instant, wall: u64) {
        if let Some(recorder) = &mut self.recorder {
            recorder.clock = (now, wall);
        }
    }

    /// Whether nothing can be stored at present.
    pub(crate) fn store_fails(&self) -> bool {
        self.recorder
            .as_ref()
            .is_some_and(|recorder| recorder.failing)
    }

    /// Whether a message to a Session waits behind the gate of its connection: QoS 2 where the
    /// Session is kept, and QoS 1 that would overtake it.
    #[inline]
    pub(crate) fn waits(&mut self, slot: u32, session: u32, qos: QoS) -> bool {
        if qos == QoS::AtMostOnce || !self.keeps(session) {
            return false;
        }
        let gate = &mut self.connections[slot as usize].gate;
        match qos {
            QoS::ExactlyOnce => gate.get_or_insert_default().messages = true,
            _ => return gate.as_ref().is_some_and(|gate| gate.messages),
        }
        true
    }

    /// Whether messages for a Session are recorded.
    #[inline]
    pub(crate) fn keeps(&self, session: u32) -> bool {
        self.recorder.is_some() && {
            let state = &self.sessions[session as usize];
            state.key.kept && state.persists()
        }
    }

    /// Notes that a message waits for a Session or is in flight to it; returns the message to be
    /// held, which may have become another copy.
    pub(crate) fn note_waiting(&mut self, session: u32, entry: Entry<'_>) -> Message {
        let key = self.sessions[session as usize].key;
        let Some(recorder) = &mut self.recorder else {
            return entry.message;
        };
        let shared = &self.shared;
        let message = entry.message.clone();
        let (message, body) = recorder.body(key.worker, message, || shared.next_body());
        let entry = Entry { message, ..entry };
        recorder.push(Record::Waiting(entry.waiting(key.serial, body)));
        entry.message
    }

    /// Notes that a queued message is in flight now.
    pub(crate) fn note_sent(&mut self, session: u32, entry: Entry<'_>) -> Message {
        let key = self.sessions[session as usize].key;
        if let (Some(recorder), Some(body)) = (&mut self.recorder, body_of(&entry.message)) {
            recorder.push(Record::Waiting(entry.waiting(key.serial, body)));
        }
        entry.message
    }

    /// Notes that a message is not held for a Session any more. Zero: it never was noted.
    pub(crate) fn note_done(&mut self, session: u32, order: u32, message: &Message) {
        if order == 0 {
            return;
        }
        let session = self.sessions[session as usize].key.serial;
        if let Some(recorder) = &mut self.recorder {
            recorder.push(Record::Done { session, order });
            recorder.let_go(message);
        }
    }

    /// The same at PUBREC: the Packet Identifier is still needed.
    pub(crate) fn note_released(
        &mut self,
        session: u32,
        order: u32,
        packet_id: PacketId,
        message: &Message,
    ) {
        if order == 0 {
            return;
        }
        let session = self.sessions[session as usize].key.serial;
        if let Some(recorder) = &mut self.recorder {
            recorder.push(Record::Released {
                session,
                order,
                packet_id,
            });
            recorder.let_go(message);
        }
    }

    /// Notes what a Session is now, if it may have to be known after a restart.
    pub(crate) fn note_session(&mut self, session: u32) {
        let Some(recorder) = &mut self.recorder else {
            return;
        };
        let state = &mut self.sessions[session as usize];
        if !state.key.kept && state.will.is_none() && !state.noted {
            return;
        }
        state.noted = true;
        let will = state.will.as_ref().map(|will| WillRecord {
            message: will.message.clone(),
            delay: will.delay,
        });
        let record = SessionRecord {
            session: state.key.serial,
            client_id: Arc::clone(&state.client_id),
            user_name: state.user_name.clone(),
            worker: state.key.worker,
            version: state.version,
            expiry: state.expiry,
            lost: state.lost().map(|at| recorder.wall(at)),
            will,
        };
        recorder.push(Record::Session(Box::new(record)));
    }

    /// Notes the end of a Session, and of all that was kept for it.
    pub(crate) fn note_session_gone(&mut self, state: &Session) {
        let Some(recorder) = self.recorder.as_mut().filter(|_| state.noted) else {
            return;
        };
        for (_, pending) in state.sender.resend() {
            if let Pending::Publish(_, kept) = pending
                && kept.order != 0
                && let Some(message) = &kept.message
            {
                recorder.let_go(message);
            }
        }
        for queued in state.queue.iter().filter(|queued| queued.order != 0) {
            match &queued.body {
                Body::Here(message) => recorder.let_go(message),
                Body::Away(away) => recorder.let_go_of(away.number, None),
            }
        }
        recorder.push(Record::SessionGone(state.key.serial));
    }

    /// Notes something else that concerns a Session which is kept.
    pub(crate) fn note(&mut self, session: u32, record: impl FnOnce(u64) -> Record) {
        if self.keeps(session) {
            let serial = self.sessions[session as usize].key.serial;
            if let Some(recorder) = &mut self.recorder {
                recorder.push(record(serial));
            }
        }
    }

    /// Retains or clears, and notes it in the order in which all workers do.
    pub(crate) fn retain_recorded(&mut self, incoming: &Incoming<'_>, source: Option<Arc<Source>>) {
        let Some(recorder) = &mut self.recorder else {
            return;
        };
        if recorder.failing {
            self.stats.retained_refused += 1;
            return;
        }
        let mut retained = self.shared.retained_mut();
        let record = if incoming.payload.is_empty() {
            retained.clear(incoming.topic);
            Record::Cleared(incoming.topic.into())
        } else {
            // A copy of its own: the mark is about Sessions that wait.
            let message = incoming.message().with_mark(0);
            if !retained.keep(&message, source.clone(), incoming.now) {
                self.stats.retained_refused += 1;
                return;
            }
            let kept = recorder.kept(&message);
            Record::Retained {
                kept,
                publisher: source.as_ref().map(|source| Arc::clone(&source.client_id)),
                user_name: source.and_then(|source| source.user_name.clone()),
            }
        };
        recorder.bytes += record.size();
        recorder.retained = true;
        retained.records.push(record);
    }

    /// Notes a message for Sessions of another worker, so that it is safe before that worker has
    /// noted it. Zero: none of them is kept.
    pub(crate) fn note_crossed(
        &mut self,
        targets: &[Target],
        share: Option<&Arc<ShareGroup>>,
        incoming: &Incoming<'_>,
    ) -> u64 {
        let Some(recorder) = &mut self.recorder else {
            return 0;
        };
        let kept = |target: &&Target| target.session.kept && target.qos != QoS::AtMostOnce;
        if incoming.qos == QoS::AtMostOnce || !targets.iter().any(|target| kept(&target)) {
            return 0;
        }
        let seen = targets.iter().filter(kept);
        let seen = seen.filter_map(|target| target.seen_by(incoming.from));
        let targets = seen.map(|target| CrossedTarget {
            session: target.session.serial,
            qos: target.qos,
            retain_as_published: target.retain_as_published,
            subscription_ids: target.subscription_ids.clone(),
        });
        let crossed = Crossed {
            kept: recorder.kept(incoming.message()),
            targets: targets.collect(),
            share: share.map(|group| (group.name.clone(), group.filter.clone())),
        };
        let number = self.shared.next_body();
        recorder.push(Record::Crossed(number, Box::new(crossed)));
        number
    }

    /// A message of another worker is noted for its Sessions here.
    pub(crate) fn note_arrived(&mut self, crossing: u64) {
        if let Some(recorder) = self.recorder.as_mut().filter(|_| crossing != 0) {
            recorder.push(Record::Arrived(crossing));
        }
    }

    /// A message of another worker, to be marked by this one.
    pub(crate) fn own_copy(&self, message: &Message) -> Option<Message> {
        self.recorder.as_ref().map(|_| message.with_mark(0))
    }
}
