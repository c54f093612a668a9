//! What the clients of one generator thread share: its pacer, its counts, and the bell that wakes
//! all of them when the run moves on.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

use crate::commands::bench::load::board::Board;
use crate::commands::bench::load::pace::Pacer;
use crate::commands::bench::load::track::Seen;
use crate::commands::bench::stats::Tally;
use crate::mqtt::property::PropertiesBuf;

pub(super) struct Desk {
    pub(super) board: Arc<Board>,
    pub(super) pacer: Rc<Pacer>,
    pub(super) tally: RefCell<Tally>,
    pub(super) published: RefCell<Vec<Published>>,
    pub(super) heard: RefCell<Vec<Heard>>,
    bell: RefCell<Vec<Waker>>,
    /// Messages are retained, and taken away at the end.
    pub(super) retains: bool,
    /// What every SUBSCRIBE carries.
    pub(super) subscribe_properties: PropertiesBuf,
    /// When the next connection may be opened, where their rate is given.
    turn: Cell<f64>,
    /// Stretches of the run that others have been shown.
    shown: Cell<usize>,
}

/// What one publisher did, told when it is over.
#[derive(Clone, Copy, Debug)]
pub(super) struct Published {
    pub(super) publisher: u32,
    pub(super) sent: u64,
    pub(super) refused: u64,
}

/// What one subscription saw: of one topic, or of all; a count for each publisher it hears.
#[derive(Clone, Debug)]
pub(super) struct Heard {
    pub(super) wanted: Option<u32>,
    pub(super) seen: Vec<Seen>,
}

impl Desk {
    pub(super) fn new(
        board: Arc<Board>,
        retains: bool,
        subscribe_properties: PropertiesBuf,
    ) -> Rc<Self> {
        Rc::new(Self {
            retains,
            subscribe_properties,
            turn: Cell::new(0.0),
            pacer: Pacer::new(board.clock),
            board,
            tally: RefCell::new(Tally::new()),
            published: RefCell::new(Vec::new()),
            heard: RefCell::new(Vec::new()),
            bell: RefCell::new(Vec::new()),
            shown: Cell::new(0),
        })
    }

    /// Lets others see the stretches before this one, once each.
    #[inline]
    pub(super) fn show_until(&self, at: usize) {
        let from = self.shown.get();
        if from < at {
            self.shown.set(at);
            let tally = self.tally.borrow();
            let over = tally.points.iter().take(at).skip(from);
            over.for_each(|point| self.board.live.add(&point.e2e));
        }
    }

    /// Waits for the next turn to connect, `gap` nanoseconds after the one before.
    pub(super) async fn turn(&self, gap: Option<f64>) {
        let Some(gap) = gap else {
            return;
        };
        let now = self.board.clock.now() as f64;
        let due = match self.turn.get() {
            0.0 => now,
            next => next,
        };
        self.turn.set(due + gap);
        if due > now {
            tokio::time::sleep(Duration::from_nanos((due - now) as u64)).await;
        }
    }

    /// Wakes everybody who listens.
    pub(super) fn ring(&self) {
        for waker in self.bell.borrow().iter() {
            waker.wake_by_ref();
        }
    }
}

/// One client's ear for the bell.
#[derive(Debug, Default)]
pub(super) struct Ear {
    listens: Cell<bool>,
}

impl Ear {
    /// From the first call on the task of `cx` hears the bell: a task's waker stays the same.
    #[inline]
    pub(super) fn listen(&self, desk: &Desk, cx: &Context<'_>) {
        if !self.listens.replace(true) {
            desk.bell.borrow_mut().push(cx.waker().clone());
        }
    }
}
