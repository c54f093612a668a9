//! One subscriber: checks every message, counts it, and gives its publisher credit.
//!
//! The clock is read once for what one read from the socket brought; the client asks `feed` after
//! each read, which is where a batch ends.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::task::Context;
use std::time::Duration;

use crate::client::{End, Engine, Event, Feed, Handler};
use crate::commands::bench::load::board::{Phase, Times, What};
use crate::commands::bench::load::desk::{Desk, Ear, Heard, Opening};
use crate::commands::bench::load::head::{Head, WRITTEN_LEN, is_intact};
use crate::commands::bench::load::track::Tracker;
use crate::mqtt::Reason;
use crate::mqtt::publish::Publish;
use crate::mqtt::subscribe::SubscribeOptions;

/// What a subscription, or a group that shares one, has seen.
pub(super) type Trackers = Rc<RefCell<Vec<Tracker>>>;

pub(super) struct Subscriber {
    desk: Rc<Desk>,
    name: String,
    filter: String,
    /// One topic, or none for all.
    wanted: Option<u32>,
    trackers: Trackers,
    /// What topics have behind the publisher's own.
    suffix: &'static str,
    is_open: bool,
    is_subscribed: bool,
    batch: Option<Batch>,
    /// Credit of this batch by place, and the places that have some.
    moved: Vec<u64>,
    touched: Vec<usize>,
    /// What a payload with a number must be, worked out message by message.
    numbered: Vec<u8>,
    opening: Option<Opening>,
    ear: Ear,
}

/// What one read brought.
#[derive(Clone, Copy)]
struct Batch {
    now: u64,
    times: Times,
    is_inside: bool,
    point: Option<usize>,
    received: u64,
}

impl Subscriber {
    pub(super) fn new(
        desk: Rc<Desk>,
        name: String,
        filter: String,
        wanted: Option<u32>,
        trackers: Trackers,
        opening: Opening,
    ) -> Self {
        let places = trackers.borrow().len();
        Self {
            name,
            filter,
            wanted,
            trackers,
            suffix: "",
            is_open: desk.board.stage.is_open(),
            is_subscribed: false,
            batch: None,
            moved: vec![0; places],
            touched: Vec::new(),
            numbered: Vec::new(),
            opening: Some(opening),
            ear: Ear::default(),
            desk,
        }
    }

    /// Messages come on the publishers' topics with this behind them.
    pub(super) fn on_topics_with(mut self, suffix: &'static str) -> Self {
        self.suffix = suffix;
        self
    }

    fn subscribe(&mut self, client: &mut Engine) {
        let board = &self.desk.board;
        if !self.desk.connected(&mut self.opening) {
            // The Session is there still, or the client layer subscribes anew.
            return;
        }
        let how = SubscribeOptions::with_qos(board.stage.qos);
        let properties = self.desk.subscribe_properties.properties();
        if let Err(refused) = client.subscribe(&[(&self.filter, how)], properties) {
            board.fail(&self.name, What::Unsendable(refused.to_string()));
        }
    }

    #[inline]
    fn batch(&self) -> Batch {
        let board = &self.desk.board;
        let (now, times) = (board.clock.now(), board.times());
        Batch {
            now,
            times,
            is_inside: times.is_inside(now),
            point: times.point(now),
            received: 0,
        }
    }

    #[inline]
    fn note(&mut self, publish: Publish<'_>) {
        let mut batch = match self.batch {
            Some(batch) => batch,
            None => self.batch(),
        };
        if self.check(&publish, &batch) {
            batch.received += 1;
            if batch.is_inside {
                let mut tally = self.desk.tally.borrow_mut();
                tally.inside.received += 1;
                tally.inside.bytes += publish.payload.len() as u64;
            }
        }
        self.batch = Some(batch);
    }

    /// Whether this is a message we have not had yet, all of it in order.
    #[inline]
    fn check(&mut self, publish: &Publish<'_>, batch: &Batch) -> bool {
        let board = &self.desk.board;
        if !board.is_verified {
            return true;
        }
        let mut tally = self.desk.tally.borrow_mut();
        let Some((head, written)) = Head::read(publish.payload) else {
            // An empty one takes a retained message away: its publisher is leaving.
            tally.corrupt += u64::from(!(self.desk.retains && publish.payload.is_empty()));
            return false;
        };
        if head.run != board.run {
            tally.strays += 1;
            return false;
        }
        let stage = &board.stage;
        let publisher = u32::from(head.publisher);
        let came_on = publish.topic.strip_suffix(self.suffix);
        let topic = board.topics.get(stage.shape.topic_of(publisher) as usize);
        let place = stage.shape.place(publisher, self.wanted);
        let Some(place) = place.filter(|_| topic.is_some_and(|topic| came_on == Some(topic)))
        else {
            tally.misrouted += 1;
            return false;
        };
        let len = publish.payload.len();
        let is_as_sent = match board.bodies.of(publisher, head.sequence) {
            None => false,
            Some(body) if !board.bodies.has_numbers() => is_intact(publish.payload, body),
            Some(body) => {
                self.numbered.clear();
                self.numbered.extend_from_slice(body);
                let bodies = &board.bodies;
                bodies.put_number(publisher, head.sequence, &mut self.numbered);
                is_intact(publish.payload, &self.numbered)
            }
        };
        if !is_as_sent {
            tally.corrupt += 1;
            return false;
        }
        let tracker = &mut self.trackers.borrow_mut()[place];
        let before = tracker.seen.unique;
        let moved = tracker.note(head.sequence, publish.dup);
        if moved > 0 && !self.is_open {
            if self.moved[place] == 0 {
                self.touched.push(place);
            }
            self.moved[place] += moved;
        }
        if tracker.seen.unique == before {
            return false;
        }
        if self.is_open && batch.times.is_inside(head.due) {
            let late = batch.now.saturating_sub(head.due);
            tally.e2e.record(late);
            if let Some(written) = written.filter(|_| len >= WRITTEN_LEN) {
                tally.service.record(batch.now.saturating_sub(written));
            }
        }
        if self.is_open
            && let Some(at) = batch.point
        {
            tally
                .point(at)
                .e2e
                .saturating_record(batch.now.saturating_sub(head.due));
        }
        true
    }

    fn end_batch(&mut self) {
        let Some(batch) = self.batch.take() else {
            return;
        };
        let board = &self.desk.board;
        if let Some(at) = batch.point {
            self.desk.tally.borrow_mut().point(at).received += batch.received;
            if self.is_open {
                self.desk.show_until(at);
            }
        }
        let topics = board.stage.shape.topics as usize;
        for place in self.touched.drain(..) {
            let publisher = match self.wanted {
                None => place,
                Some(topic) => place * topics + topic as usize,
            };
            let by = std::mem::take(&mut self.moved[place]);
            board.lines[publisher].advance(by);
        }
        board.received.fetch_add(batch.received, Ordering::Release);
    }
}

impl Handler for Subscriber {
    #[inline]
    fn handle(&mut self, event: Event<'_>, client: &mut Engine) {
        match event {
            Event::Message(publish) => self.note(publish),
            Event::Connack(connack) if connack.reason == Reason::SUCCESS => self.subscribe(client),
            Event::Suback(suback) => {
                let board = &self.desk.board;
                match suback
                    .reasons
                    .iter()
                    .find(|&&reason| Reason(reason).is_error())
                {
                    Some(reason) => board.fail(&self.name, What::Unsubscribed(*reason)),
                    None if self.is_subscribed => {}
                    None => {
                        self.is_subscribed = true;
                        self.desk.granted(suback.reasons);
                    }
                }
            }
            _ => {}
        }
    }

    fn feed(&mut self, _: &mut Engine, _: &mut Context<'_>) -> Feed {
        self.end_batch();
        Feed::Idle
    }

    fn retry(&mut self, end: &End, _: Duration) {
        self.desk.lost(end);
        self.end_batch();
    }

    fn wake(&mut self, client: &mut Engine, cx: &mut Context<'_>) {
        self.ear.listen(&self.desk, cx);
        if self.desk.board.phase() == Phase::Leave {
            self.end_batch();
            self.desk.leave(client);
        }
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        self.end_batch();
        // Of a group that shares its trackers, the last one tells.
        if Rc::strong_count(&self.trackers) == 1 {
            let seen = self.trackers.borrow().iter().map(|t| t.seen).collect();
            self.desk.heard.borrow_mut().push(Heard {
                wanted: self.wanted,
                seen,
            });
        }
    }
}
