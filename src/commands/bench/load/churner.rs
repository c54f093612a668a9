//! A client that connects, says good-bye, and is replaced by the next: what a broker takes to let
//! somebody in.

use std::rc::Rc;
use std::sync::atomic::Ordering;

use crate::client::{Engine, Event, Handler};
use crate::commands::bench::load::desk::Desk;
use crate::mqtt::Reason;
use crate::mqtt::property::Properties;

pub(super) struct Churner {
    desk: Rc<Desk>,
    is_first: bool,
    connecting_since: u64,
}

impl Churner {
    pub(super) fn new(desk: Rc<Desk>, is_first: bool) -> Self {
        Self {
            is_first,
            connecting_since: desk.board.clock.now(),
            desk,
        }
    }
}

impl Handler for Churner {
    fn handle(&mut self, event: Event<'_>, client: &mut Engine) {
        let Event::Connack(connack) = event else {
            return;
        };
        if connack.reason != Reason::SUCCESS {
            return;
        }
        let board = &self.desk.board;
        let now = board.clock.now();
        let mut tally = self.desk.tally.borrow_mut();
        tally.connects += 1;
        board.live.connected();
        if board.times().is_inside(now) {
            tally.inside.connects += 1;
            tally.connect.record(now - self.connecting_since);
        }
        if self.is_first {
            board.ready.fetch_add(1, Ordering::Release);
        }
        client.disconnect(Reason::NORMAL_DISCONNECTION, Properties::EMPTY);
    }
}
