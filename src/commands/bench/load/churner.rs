//! A client that connects, says good-bye, and is replaced by the next: what a broker takes to let
//! somebody in.

use std::rc::Rc;
use std::sync::atomic::Ordering;

use crate::client::{Engine, Event, Handler};
use crate::commands::bench::load::desk::{Desk, Turn};
use crate::mqtt::Reason;

pub(super) struct Churner {
    desk: Rc<Desk>,
    since: u64,
    lag: Option<u64>,
}

impl Churner {
    pub(super) fn new(desk: Rc<Desk>, turn: Turn) -> Self {
        Self {
            since: turn.due.unwrap_or_else(|| desk.board.clock.now()),
            lag: turn.lag,
            desk,
        }
    }

    /// CONNACK has come.
    pub(super) fn welcomed(&self) {
        let board = &self.desk.board;
        let now = board.clock.now();
        let mut tally = self.desk.tally.borrow_mut();
        tally.connects += 1;
        board.live.connected();
        if board.times().is_inside(now) {
            tally.inside.connects += 1;
            tally.connect.record(now - self.since);
            if let Some(lag) = self.lag {
                tally.lag.record(lag);
            }
        }
    }
}

/// The first time, by the client layer.
impl Handler for Churner {
    fn handle(&mut self, event: Event<'_>, client: &mut Engine) {
        if let Event::Connack(connack) = event
            && connack.reason == Reason::SUCCESS
        {
            self.welcomed();
            self.desk.board.ready.fetch_add(1, Ordering::Release);
            self.desk.leave(client);
        }
    }
}
