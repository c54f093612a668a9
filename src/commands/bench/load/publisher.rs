//! One publisher: sends when it may (closed loop) or when it is due (open loop), and times the
//! acknowledgements.

use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::task::Context;
use std::time::Duration;

use crate::client::{End, Engine, Event, Feed, Handler, Message, Prepared};
use crate::commands::bench::load::board::{Phase, Times, What};
use crate::commands::bench::load::desk::{Desk, Ear, Opening, Published};
use crate::commands::bench::load::head::{HEAD_LEN, Head};
use crate::commands::bench::load::pace::Schedule;
use crate::commands::bench::plan::Load;
use crate::mqtt::{QoS, Reason};

/// A window that stays shut this long, in nanoseconds, is opened again: its messages are lost, and
/// the next ones will show it.
const STALL: u64 = 1_000_000_000;

/// Of messages that never left, the ages of this many are recorded; the rest is counted.
const UNSENT_AGED_MAX: u64 = 1_000_000;

pub(super) struct Publisher {
    desk: Rc<Desk>,
    name: String,
    number: u32,
    /// Deliveries each message should lead to.
    copies: u64,
    /// One a variant of the payload, in turns.
    prepared: Vec<Prepared>,
    has_numbers: bool,
    /// Also the count of messages sent.
    sequence: u64,
    schedule: Option<Schedule>,
    /// Undelivered messages allowed; none when nobody delivers, or nobody could tell.
    window: Option<u64>,
    /// Deliveries that are no longer waited for.
    forgiven: u64,
    /// When the window is looked at again, and how far deliveries had come when it was shut.
    stall: Option<(u64, u64)>,
    /// The client could take no more while something was due.
    is_blocked: bool,
    /// What the pacer was asked for last.
    asked: u64,
    has_begun: bool,
    is_done: bool,
    has_cleared: bool,
    acks: Acks,
    acked_now: u64,
    refused: u64,
    opening: Option<Opening>,
    ear: Ear,
}

impl Publisher {
    pub(super) fn new(
        desk: Rc<Desk>,
        name: String,
        number: u32,
        prepared: Vec<Prepared>,
        opening: Option<Opening>,
    ) -> Self {
        let board = &desk.board;
        let stage = &board.stage;
        let copies = u64::from(stage.shape.copies(number));
        let seed = stage.seed ^ u64::from(number) << 32;
        let (schedule, window) = match stage.load {
            Load::Max { window } => {
                // What other agents receive comes back as acknowledgements only.
                let has_window = copies > 0 && board.is_verified && stage.part.is_whole();
                (None, has_window.then_some(u64::from(window)))
            }
            Load::Rate {
                rate,
                arrival,
                ramp_from,
            } => {
                let pubs = f64::from(stage.shape.pubs);
                let share = f64::from(number) / pubs;
                let schedule = Schedule::new(rate / pubs, share, arrival, seed);
                let schedule = match ramp_from {
                    None => schedule,
                    Some(from) => schedule.rising(from / pubs, stage.duration.as_nanos() as u64),
                };
                (Some(schedule), None)
            }
        };
        Self {
            name,
            number,
            copies,
            prepared,
            has_numbers: board.bodies.has_numbers(),
            sequence: 0,
            schedule,
            window,
            forgiven: 0,
            stall: None,
            is_blocked: false,
            asked: 0,
            has_begun: false,
            is_done: false,
            has_cleared: false,
            acks: Acks::new(stage.qos, stage.inflight),
            acked_now: 0,
            refused: 0,
            opening,
            ear: Ear::default(),
            desk,
        }
    }

    /// What becomes due until the connection stands again is not late by our own fault.
    pub(super) fn interrupt(&mut self) {
        self.is_blocked = true;
    }

    fn feed_sentinel(&mut self, client: &mut Engine) -> Feed {
        if self.sequence > 0 || self.copies == 0 {
            return Feed::Idle;
        }
        let now = self.desk.board.clock.now();
        self.send(now, now, client);
        self.sent_some(now, 1);
        Feed::More
    }

    /// As fast as the window allows.
    fn feed_closed(&mut self, client: &mut Engine, cx: &Context<'_>) -> Feed {
        let now = self.desk.board.clock.now();
        let times = self.desk.board.times();
        if now < times.start {
            self.wake_at(times.start, cx);
            return Feed::Idle;
        }
        if now >= times.to {
            self.settle(true);
            return Feed::Idle;
        }
        let allowed = self.allowed();
        let mut count = 0;
        while count < allowed && client.room() {
            if !self.send(now, now, client) {
                return Feed::Idle;
            }
            count += 1;
        }
        self.sent_some(now, count);
        if count > 0 {
            return Feed::More;
        }
        self.desk.board.lines[self.number as usize].wait(cx);
        if self.allowed() > 0 {
            return Feed::More;
        }
        self.watch_stall(now, cx);
        Feed::Idle
    }

    /// How many messages the window lets through.
    fn allowed(&self) -> u64 {
        let Some(window) = self.window else {
            return u64::MAX;
        };
        let seen = self.desk.board.lines[self.number as usize].seen() + self.forgiven;
        let missing = (self.sequence * self.copies).saturating_sub(seen);
        (window * self.copies).saturating_sub(missing) / self.copies
    }

    /// Opens the window again when nothing has come for too long.
    fn watch_stall(&mut self, now: u64, cx: &Context<'_>) {
        let seen = self.desk.board.lines[self.number as usize].seen();
        match self.stall {
            Some((due, _)) if now < due => {}
            Some((_, before)) if before == seen => {
                self.stall = None;
                let owed = self.sequence * self.copies;
                self.forgiven = owed.saturating_sub(seen);
                self.desk.tally.borrow_mut().stalls += 1;
                cx.waker().wake_by_ref();
            }
            _ => {
                self.stall = Some((now + STALL, seen));
                self.desk.pacer.wake_at(now + STALL, cx);
            }
        }
    }

    /// Everything that is due, at once when it is late.
    fn feed_open(&mut self, client: &mut Engine, cx: &Context<'_>) -> Feed {
        let times = self.desk.board.times();
        let clock = self.desk.board.clock;
        let mut now = clock.now();
        let was_blocked_until = if self.is_blocked { now } else { 0 };
        self.is_blocked = false;
        let mut count = 0;
        let mut worst = None;
        loop {
            let Some(schedule) = &mut self.schedule else {
                return Feed::Idle;
            };
            let due = schedule.due();
            if due >= times.to {
                self.sent_some(now, count);
                self.settle(true);
                return Feed::Idle;
            }
            if due > now {
                now = clock.now();
                if due > now {
                    self.sent_some(now, count);
                    if let Some(worst) = worst {
                        self.desk.board.live.late(worst);
                    }
                    self.wake_at(due, cx);
                    return Feed::Idle;
                }
            }
            if !client.room() {
                self.is_blocked = true;
                self.sent_some(now, count);
                return Feed::More;
            }
            schedule.advance();
            if !self.send(due, now, client) {
                return Feed::Idle;
            }
            count += 1;
            if due > was_blocked_until && times.is_inside(due) {
                self.desk.tally.borrow_mut().lag.record(now - due);
                worst = worst.max(Some(now - due));
            }
        }
    }

    /// Once for each time, however often it is asked for.
    fn wake_at(&mut self, due: u64, cx: &Context<'_>) {
        if self.asked != due {
            self.asked = due;
            self.desk.pacer.wake_at(due, cx);
        }
    }

    /// False when it can never be sent.
    fn send(&mut self, due: u64, now: u64, client: &mut Engine) -> bool {
        // What a payload has room for.
        let sequence = self.sequence as u32;
        let prepared = match self.prepared.len() {
            1 => &self.prepared[0],
            many => &self.prepared[sequence as usize % many],
        };
        let head = Head {
            run: self.desk.board.run,
            publisher: self.number as u16,
            sequence,
            due,
        };
        let board = &self.desk.board;
        let taken = client.send(prepared, |payload| {
            if payload.len() >= HEAD_LEN && board.is_verified {
                head.put(now, payload);
            }
            if self.has_numbers {
                board.bodies.put_number(self.number, sequence, payload);
            }
        });
        match taken {
            Ok(ticket) => {
                self.sequence += 1;
                self.acks.sent(ticket, now);
                true
            }
            Err(refused) => {
                let what = What::Unsendable(refused.to_string());
                self.desk.board.fail(&self.name, what);
                self.settle(true);
                false
            }
        }
    }

    fn sent_some(&self, now: u64, count: u64) {
        if count == 0 {
            return;
        }
        let board = &self.desk.board;
        board
            .expected
            .fetch_add(count * self.copies, Ordering::Relaxed);
        board.sent.fetch_add(count, Ordering::Release);
        let times = board.times();
        let mut tally = self.desk.tally.borrow_mut();
        if times.is_inside(now) {
            tally.inside.sent += count;
        }
        if let Some(at) = times.point(now) {
            tally.point(at).sent += count;
        }
    }

    /// Tells the board once that nothing more will be sent.
    fn settle(&mut self, is_done: bool) {
        if is_done && !self.is_done {
            self.is_done = true;
            self.desk.board.done.fetch_add(1, Ordering::Release);
        }
    }

    fn flush_acks(&mut self) {
        if self.acked_now > 0 {
            let board = &self.desk.board;
            board.acked.fetch_add(self.acked_now, Ordering::Release);
            self.acked_now = 0;
        }
    }

    fn acknowledged(&mut self, ticket: u64, reason: Reason) {
        let board = &self.desk.board;
        let now = board.clock.now();
        let times = board.times();
        let mut tally = self.desk.tally.borrow_mut();
        if let Some(since) = self.acks.acked(ticket)
            && times.is_inside(since)
        {
            tally.ack.record(now - since);
        }
        if times.is_inside(now) {
            tally.inside.acked += 1;
        }
        if reason.is_error() {
            *tally.refused.entry(reason.value()).or_default() += 1;
            self.refused += 1;
            // Nobody will get it: neither the window nor the drain must wait for it.
            self.forgiven += self.copies;
            board.expected.fetch_sub(self.copies, Ordering::Relaxed);
        }
        tally.acked += 1;
        drop(tally);
        self.acked_now += 1;
    }

    /// Messages that were due in time and never left.
    fn unsent(&self, times: Times) -> u64 {
        let Some(mut schedule) = self.schedule.clone().filter(|_| self.has_begun) else {
            return 0;
        };
        let now = self.desk.board.clock.now();
        let mut count = 0;
        let end = times.to.min(now);
        while schedule.due() < end {
            if count == UNSENT_AGED_MAX {
                return count + schedule.left(end);
            }
            // As old as they are now, at the least: leaving them out would flatter the broker.
            let mut tally = self.desk.tally.borrow_mut();
            if times.is_inside(schedule.due()) && self.copies > 0 {
                tally.e2e.record(now - schedule.due());
            }
            schedule.advance();
            count += 1;
        }
        count
    }
}

impl Handler for Publisher {
    fn handle(&mut self, event: Event<'_>, _: &mut Engine) {
        match event {
            Event::Connack(connack)
                if connack.reason == Reason::SUCCESS && self.desk.connected(&mut self.opening) =>
            {
                self.desk.board.ready.fetch_add(1, Ordering::Release);
            }
            Event::Acked(acked) => self.acknowledged(acked.ticket, acked.reason),
            _ => {}
        }
    }

    fn feed(&mut self, client: &mut Engine, cx: &mut Context<'_>) -> Feed {
        self.flush_acks();
        if self.is_done {
            return Feed::Idle;
        }
        match self.desk.board.phase() {
            Phase::Connect | Phase::Settle | Phase::Leave => Feed::Idle,
            Phase::Sentinel => self.feed_sentinel(client),
            Phase::Load | Phase::Drain => {
                if !self.has_begun {
                    self.has_begun = true;
                    let start = self.desk.board.times().start;
                    if let Some(schedule) = &mut self.schedule {
                        schedule.begin(start);
                    }
                }
                match self.schedule {
                    Some(_) => self.feed_open(client, cx),
                    None => self.feed_closed(client, cx),
                }
            }
        }
    }

    fn retry(&mut self, end: &End, _: Duration) {
        self.desk.lost(end);
        self.interrupt();
    }

    fn wake(&mut self, client: &mut Engine, cx: &mut Context<'_>) {
        self.ear.listen(&self.desk, cx);
        match self.desk.board.phase() {
            // In a closed loop nothing is owed.
            Phase::Drain => self.settle(self.schedule.is_none()),
            Phase::Settle => self.settle(true),
            Phase::Leave => {
                if self.desk.retains && self.sequence > 0 && !self.has_cleared {
                    // Retained messages of a bench are nobody's: an empty one takes them away.
                    self.has_cleared = true;
                    let topic = self.desk.board.stage.shape.topic_of(self.number) as usize;
                    let mut nothing = Message::new(&self.desk.board.topics[topic], b"");
                    nothing.retain = true;
                    let _ = client.publish(&nothing);
                }
                self.desk.leave(client);
            }
            _ => {}
        }
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        self.flush_acks();
        let unsent = self.unsent(self.desk.board.times());
        self.desk.tally.borrow_mut().unsent += unsent;
        self.desk.published.borrow_mut().push(Published {
            publisher: self.number,
            sent: self.sequence,
            refused: self.refused,
        });
    }
}

/// When each message in flight was handed over: a ring by ticket.
struct Acks {
    ring: Vec<(u64, u64)>,
}

impl Acks {
    /// Four times the window: tickets in flight lie close together, but not side by side.
    fn new(qos: QoS, inflight: u16) -> Self {
        let len = match qos {
            QoS::AtMostOnce => 0,
            _ => (4 * usize::from(inflight)).next_power_of_two(),
        };
        Self {
            ring: vec![(u64::MAX, 0); len],
        }
    }

    #[inline]
    fn sent(&mut self, ticket: u64, now: u64) {
        if !self.ring.is_empty() {
            let at = ticket as usize & (self.ring.len() - 1);
            self.ring[at] = (ticket, now);
        }
    }

    /// None when later messages have taken its place: one sample less, not a wrong one.
    #[inline]
    fn acked(&self, ticket: u64) -> Option<u64> {
        let at = ticket as usize & self.ring.len().checked_sub(1)?;
        let (held, since) = self.ring[at];
        (held == ticket).then_some(since)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trips_are_matched_by_ticket() {
        let mut acks = Acks::new(QoS::AtLeastOnce, 2);
        acks.sent(0, 10);
        acks.sent(1, 11);
        assert_eq!(acks.acked(1), Some(11));
        assert_eq!(acks.acked(0), Some(10));
        acks.sent(8, 18);
        assert_eq!(acks.acked(0), None);
        assert_eq!(Acks::new(QoS::AtMostOnce, 2).acked(0), None);
    }
}
