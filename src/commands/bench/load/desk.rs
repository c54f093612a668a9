//! What the clients of one generator thread share: its pacer, its counts, and the bell that wakes
//! all of them when the run moves on.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker};

use tokio::sync::OwnedSemaphorePermit;

use crate::cli::args::bench::Kind;
use crate::client::{End, Engine};
use crate::commands::bench::load::board::Board;
use crate::commands::bench::load::crew::Manner;
use crate::commands::bench::load::pace::Pacer;
use crate::commands::bench::load::track::Seen;
use crate::commands::bench::stats::Tally;
use crate::mqtt::Reason;
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
    /// What every last DISCONNECT carries.
    farewell: PropertiesBuf,
    /// When the next connection may be opened, where their rate is given.
    turn: Cell<f64>,
    /// Stretches of the run that others have been shown.
    shown: Cell<usize>,
}

/// What one publisher did, told when it is over.
#[derive(Clone, Copy, Debug)]
pub(in crate::commands::bench) struct Published {
    pub(in crate::commands::bench) publisher: u32,
    pub(in crate::commands::bench) sent: u64,
    pub(in crate::commands::bench) refused: u64,
}

/// What one subscription saw: of one topic, or of all; a count for each publisher it hears.
#[derive(Clone, Debug)]
pub(in crate::commands::bench) struct Heard {
    pub(in crate::commands::bench) wanted: Option<u32>,
    pub(in crate::commands::bench) seen: Vec<Seen>,
}

/// When a connection was to be opened.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Turn {
    /// None where no rate is given: as soon as others have come to stand.
    pub(super) due: Option<u64>,
    /// How late it was taken, as far as that is our own fault.
    pub(super) lag: Option<u64>,
}

/// A client that connects for the first time.
pub(super) struct Opening {
    since: u64,
    /// None where no rate is given.
    pub(super) due: Option<u64>,
    _permit: OwnedSemaphorePermit,
}

impl Desk {
    pub(super) fn new(board: Arc<Board>, manner: &Manner, can_spin: bool) -> Rc<Self> {
        Rc::new(Self {
            retains: manner.retain,
            subscribe_properties: manner.subscribe_properties.clone(),
            farewell: manner.farewell(),
            turn: Cell::new(0.0),
            pacer: Pacer::new(board.clock, can_spin),
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

    /// Waits for the next turn to connect, `gap` nanoseconds after the one before. Turns are absolute
    /// times: one that is taken late moves no other.
    pub(super) async fn turn(&self, gap: Option<f64>) -> Turn {
        let clock = self.board.clock;
        let Some(gap) = gap else {
            return Turn::default();
        };
        let asked = clock.now();
        let due = match self.turn.get() {
            0.0 => asked as f64,
            next => next,
        };
        self.turn.set(due + gap);
        let due = due as u64;
        let mut is_set = false;
        std::future::poll_fn(|cx| {
            if clock.now() >= due {
                return Poll::Ready(());
            }
            if !is_set {
                is_set = true;
                self.pacer.wake_at(due, cx);
            }
            Poll::Pending
        })
        .await;
        // Clients that come and go take a turn when they are back: then it was the broker who let
        // it wait.
        let is_ours = due >= asked || self.board.stage.shape.kind == Kind::Conn;
        Turn {
            due: Some(due),
            lag: is_ours.then(|| clock.now() - due),
        }
    }

    /// A client with this turn begins to connect.
    pub(super) fn opening(&self, turn: Turn, permit: OwnedSemaphorePermit) -> Opening {
        Opening {
            since: turn.due.unwrap_or_else(|| self.board.clock.now()),
            due: turn.due,
            _permit: permit,
        }
    }

    /// A client begins to connect, which was due then: until now it was we who let it wait.
    pub(super) fn begins(&self, due: u64) {
        if self.board.stage.shape.is_connects() {
            let late = self.board.clock.now().saturating_sub(due);
            self.tally.borrow_mut().lag.record(late);
        }
    }

    /// CONNACK came; false for a client that has been there before.
    pub(super) fn connected(&self, opening: &mut Option<Opening>) -> bool {
        let mut tally = self.tally.borrow_mut();
        let Some(opening) = opening.take() else {
            tally.reconnects += 1;
            return false;
        };
        tally.connects += 1;
        let now = self.board.clock.now();
        tally.connect.record(now - opening.since);
        self.board.live.connected();
        true
    }

    /// SUBACK has come, and no Reason Code in it says no.
    pub(super) fn granted(&self, reasons: &[u8]) {
        let asked = self.board.stage.qos.bits();
        if reasons.iter().any(|&granted| granted < asked) {
            self.tally.borrow_mut().lowered += 1;
        }
        self.board.ready.fetch_add(1, Ordering::Release);
    }

    /// A connection that will be tried again has ended, or could not be had.
    pub(super) fn lost(&self, end: &End) {
        if has_stood(end) {
            self.tally.borrow_mut().disconnects += 1;
        }
    }

    pub(super) fn leave(&self, client: &mut Engine) {
        client.disconnect(Reason::NORMAL_DISCONNECTION, self.farewell.properties());
    }

    /// Wakes everybody who listens.
    pub(super) fn ring(&self) {
        for waker in self.bell.borrow().iter() {
            waker.wake_by_ref();
        }
    }
}

/// Whether there was a connection at all before this end.
pub(super) fn has_stood(end: &End) -> bool {
    !matches!(
        end,
        End::Unreachable(_) | End::Refused { .. } | End::ConnackTimeout | End::Unanswered
    )
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
