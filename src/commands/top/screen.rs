//! What the screen of `mqttx top` shows and what keys do to it; no terminal, no connection.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::cli::topic_rows;
use crate::cli::topic_rows::Row;
use crate::cli::topic_tree::{ROOT, Seen, Tree};
use crate::mqtt::Reason;

/// Characters typed at once.
pub(super) const TYPED_MAX: usize = 4_096;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum State {
    Connecting,
    Up,
    /// The sentence about it.
    Lost(String),
}

/// A message that is to be published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Order {
    pub(super) topic: String,
    pub(super) payload: String,
    pub(super) retain: bool,
}

/// What the keys go to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Asking {
    Nothing,
    Filter,
    Topic(String),
    Payload(Order),
    /// Whether the retained message of this topic is to be cleared.
    Clear(String),
    Help,
}

#[derive(Debug)]
pub(super) struct Screen {
    pub(super) place: String,
    pub(super) state: State,
    pub(super) tree: Tree,
    pub(super) rows: Vec<Row>,
    pub(super) order: topic_rows::Order,
    pub(super) filter: String,
    pub(super) asking: Asking,
    /// The level that is selected; its place among the rows changes.
    pub(super) selected: usize,
    /// The first row shown, and how many there is room for.
    pub(super) first: usize,
    pub(super) height: usize,
    pub(super) is_paused: bool,
    /// Messages that passed by meanwhile.
    pub(super) passed: u64,
    pub(super) notice: String,
    pub(super) orders: VecDeque<Order>,
    pub(super) sent: VecDeque<(u64, Order)>,
    /// Since when there is a subscription.
    pub(super) since: Option<Instant>,
    pub(super) beyond_told: u64,
    pub(super) is_changed: bool,
    pub(super) is_over: bool,
}

impl Screen {
    pub(super) fn new(place: &str, now: Instant) -> Self {
        Self {
            place: place.to_owned(),
            state: State::Connecting,
            tree: Tree::new(now),
            rows: Vec::new(),
            order: topic_rows::Order::default(),
            filter: String::new(),
            asking: Asking::Nothing,
            selected: ROOT,
            first: 0,
            height: 1,
            is_paused: false,
            passed: 0,
            notice: String::new(),
            orders: VecDeque::new(),
            sent: VecDeque::new(),
            since: None,
            beyond_told: 0,
            is_changed: true,
            is_over: false,
        }
    }

    pub(super) fn message(&mut self, seen: &Seen<'_>, now: Instant) {
        if self.is_paused {
            self.passed += 1;
        } else {
            self.tree.message(seen, now);
        }
    }

    /// Seconds of rates begin with the first subscription.
    pub(super) fn subscribed(&mut self, now: Instant) {
        if self.since.is_none() {
            self.since = Some(now);
            self.tree.begin(now);
        }
    }

    /// True when a second ended.
    pub(super) fn tick(&mut self, now: Instant) -> bool {
        let is_due = self.since.is_some() && self.tree.next_tick() <= now;
        if is_due && self.is_paused {
            self.tree.begin(now);
        } else if is_due {
            self.tree.tick(now);
        }
        is_due
    }

    /// When lines are to be printed next.
    pub(super) fn next_look(&self, now: Instant) -> Instant {
        let soon = now + Duration::from_millis(50);
        match self.since {
            Some(_) => self.tree.next_tick().max(now + Duration::from_millis(1)),
            None => soon,
        }
    }

    pub(super) fn acked(&mut self, ticket: u64, reason: Reason) {
        let Some(found) = self.sent.iter().position(|(other, _)| *other == ticket) else {
            return;
        };
        let Some((_, order)) = self.sent.remove(found) else {
            return;
        };
        let is_clearing = order.retain && order.payload.is_empty();
        let topic = topic_rows::escaped(&order.topic);
        self.notice = if reason.is_error() {
            format!(
                "the broker refused {topic}: {}",
                reason.name().to_lowercase()
            )
        } else if is_clearing {
            self.tree.cleared(&order.topic);
            format!("cleared {topic}")
        } else {
            format!("published to {topic}")
        };
        self.is_changed = true;
    }

    /// Makes the rows anew and keeps the selected one in sight.
    pub(super) fn arrange(&mut self, height: usize) {
        self.height = height.max(1);
        self.rows = topic_rows::rows(&self.tree, self.order, &self.filter);
        let at = self.position();
        if let Some(row) = self.rows.get(at) {
            self.selected = row.at;
        }
        let last = self.rows.len().saturating_sub(self.height);
        self.first = self
            .first
            .clamp((at + 1).saturating_sub(self.height), at)
            .min(last);
    }

    /// The selected row; where it is not shown, the next level above that is.
    pub(super) fn position(&self) -> usize {
        let mut at = self.selected;
        while at != ROOT {
            if let Some(found) = self.rows.iter().position(|row| row.at == at) {
                return found;
            }
            at = self.tree.level(at).above;
        }
        0
    }

    pub(super) fn step(&mut self, by: isize) {
        let last = self.rows.len().saturating_sub(1);
        let to = self.position().saturating_add_signed(by).min(last);
        if let Some(row) = self.rows.get(to) {
            self.selected = row.at;
        }
    }

    pub(super) fn open(&mut self, is_open: bool) {
        let level = self.tree.level_mut(self.selected);
        let has_below = !level.below.is_empty();
        if self.selected == ROOT {
            return;
        }
        if is_open {
            level.is_open = has_below;
        } else if level.is_open {
            level.is_open = false;
        } else if level.above != ROOT {
            self.selected = level.above;
        }
    }

    pub(super) fn toggle(&mut self) {
        let is_open = self.tree.level(self.selected).is_open;
        let has_below = !self.tree.level(self.selected).below.is_empty();
        if is_open || has_below {
            self.open(!is_open);
        }
    }

    pub(super) fn open_all(&mut self, is_open: bool) {
        for at in ROOT + 1..self.tree.len() {
            let level = self.tree.level_mut(at);
            level.is_open = is_open && !level.below.is_empty();
        }
    }

    pub(super) fn ask_to_clear(&mut self) {
        let level = self.tree.level(self.selected);
        match &level.last {
            Some(last) if last.is_retained => {
                self.asking = Asking::Clear(self.tree.topic(self.selected));
            }
            _ => "no retained message is known of this topic".clone_into(&mut self.notice),
        }
    }

    /// Nothing is put aside for later: who publishes sees it happen or not.
    pub(super) fn order(&mut self, order: Order) {
        if self.state == State::Up {
            self.orders.push_back(order);
        } else {
            "not published: there is no connection".clone_into(&mut self.notice);
        }
    }
}
